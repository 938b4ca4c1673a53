"""The WebSocket benchmark: each server echoes, and the plan is what was asked for."""

import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from bench_websocket import find_peers, make_parser, make_plan
from common.machine import Cores
from corebench.cases import Case
from corebench.runner import SERVED, Plan, measure
from websocketbench.cases import BASELINE, CASES
from websocketbench.peers import LOAD, VERSIONS, command

TINY = [
    replace(case, count=40, load=(*case.load[:5], "40", *case.load[6:]), warm_up=("-c", "2", "-m", "4"))
    for case in CASES
]


def is_here(peer: str) -> bool:
    wanted = [part for part in peer.split("-") if part not in ("bare", "evkit")]
    return all(importlib.util.find_spec(name) is not None for name in wanted)


# The bare one understands frames of one piece only.
ECHOES = [(case, peer) for case in TINY for peer in VERSIONS if (peer, case.name) != ("bare", "big")]


@pytest.mark.peer
@pytest.mark.parametrize(
    ("own", "peer"),
    [
        pytest.param(
            case,
            peer,
            marks=pytest.mark.skipif(not is_here(peer), reason=f"{peer} is not installed"),
            id=f"{case.name}-{peer}",
        )
        for case, peer in ECHOES
    ],
)
def test_each_server_echoes(own: Case, peer: str, tmp_path: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    plan = Plan([], LOAD, 1, tmp_path, Cores(allowed[-1], allowed[0]))
    row = measure(own, peer, command(peer), plan, 1)
    assert row.error == ""
    assert row.sections[SERVED].cpu > 0


def test_the_load_is_what_the_case_says() -> None:
    for case in CASES:
        assert case.load[case.load.index("-m") + 1] == str(case.count)
        assert case.baseline == BASELINE


def test_the_baseline_is_always_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    versions, missing = find_peers(["evkit"])
    assert set(versions) | set(missing) == {"evkit", BASELINE}
    assert "evkit: evkit " in capsys.readouterr().out


def test_the_plan() -> None:
    args = make_parser().parse_args(["--rounds", "3", "--case", "small"])
    plan = make_plan([case for case in CASES if case.name in args.case], ["evkit"], args.rounds)
    assert plan.rounds == 3
    assert [(case.name, list(commands)) for case, commands in plan.commands] == [("small", ["evkit"])]
