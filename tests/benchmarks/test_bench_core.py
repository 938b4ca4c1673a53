"""The core's benchmark: each program does its work, and figures become ratios, goals and tables."""

import importlib.util
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from bench_core import Preparation, choose_peers, make_parser, make_plan
from common.machine import Cores
from common.programs import PeerMissing
from corebench import peers as peers_module
from corebench.cases import CASES, FAR_CORE, Case, Goal
from corebench.peers import PROGRAMS, VERSIONS, peers_of, prepare, prepare_load
from corebench.report import document, format_case, growth, judge, sections_of, summarize
from corebench.runner import Plan, ProgramError, Row, Times, measure, measure_all, parse_line, times_of

HAS_C = shutil.which(os.environ.get("CC", "gcc")) is not None and Path("/usr/include/event2/event.h").exists()
HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None
BY_NAME = {case.name: case for case in CASES}
TINY = {
    "bench": replace(BY_NAME["bench"], count=52, arguments=("-n", "10", "-a", "2", "-w", "50", "-r", "2")),
    "cascade": replace(BY_NAME["cascade"], count=10, arguments=("-n", "10", "-r", "2")),
    "timers": replace(BY_NAME["timers"], count=100, arguments=("-n", "100", "-r", "2")),
    "echo": replace(
        BY_NAME["echo"], count=50, load=("-c", "3", "-s", "1024", "-m", "50"), warm_up=("-c", "2", "-m", "4")
    ),
    "pipe": replace(BY_NAME["pipe"], count=1, arguments=("-m", "1", "-r", "2", "--far", FAR_CORE)),
}
SECTIONS = {
    "bench": ["dispatch"],
    "cascade": ["cascade"],
    "timers": ["add", "move", "fire"],
    "echo": ["serve"],
    "pipe": ["transfer"],
}


def plan_for(build: Path, load: list[str] | None = None) -> Plan:
    allowed = sorted(os.sched_getaffinity(0))
    return Plan([], load or [], 1, build, Cores(allowed[-1], allowed[0]))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("build")


# --- the programs


def needs(case: Case, peer: str) -> pytest.MarkDecorator:
    missing = []
    if (peer == "libevent" or case.load) and not HAS_C:
        missing.append("gcc and libevent-dev are not installed")
    if peer == "uvloop" and not HAS_UVLOOP:
        missing.append("uvloop is not installed")
    return pytest.mark.skipif(bool(missing), reason=" and ".join(missing))


def programs() -> list[object]:
    pairs = [(case, peer) for case in TINY.values() for peer in peers_of(case)]
    return [pytest.param(*pair, id="-".join((pair[0].name, pair[1])), marks=needs(*pair)) for pair in pairs]


@pytest.mark.peer
@pytest.mark.parametrize(("case", "peer"), programs())
def test_each_program_does_its_work(case: Case, peer: str, build: Path) -> None:
    plan = plan_for(build, prepare_load(build) if case.load else None)
    row = measure(case, peer, prepare(case, peer, build), plan, 1)
    assert row.error == ""
    assert list(row.sections) == SECTIONS[case.name]
    assert all(times.cpu > 0 and times.wall > 0 for times in row.sections.values())
    assert (row.memory_growth is not None) == (case.name == "pipe")


@pytest.mark.skipif(not HAS_C, reason="gcc and libevent-dev are not installed")
def test_a_server_that_changes_messages_does_not_count(build: Path, tmp_path: Path) -> None:
    program = tmp_path / "liar.py"
    program.write_text((PROGRAMS / "echo_bare.py").read_text().replace("send(data)", "send(data[::-1])"))
    row = measure(
        TINY["echo"], "liar", [sys.executable, str(program)], plan_for(build, prepare_load(build)), 1
    )
    assert (row.error, row.sections) == ("ProgramError: ended with 1: a message came back changed", {})


def test_every_goal_names_a_section_and_a_peer() -> None:
    for case in CASES:
        for goal in case.goals:
            assert goal.section in SECTIONS[case.program]
            assert goal.against in peers_of(case)
        assert case.baseline in peers_of(case)
        assert "evkit" in peers_of(case)


# --- the runner


def program_that(script: str) -> list[str]:
    return [sys.executable, "-c", script]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ('print(\'{"count": 5, "sections": {}}\')', "ProgramError: did 5 of 52"),
        ("print('hello')", "ProgramError: expected a line of JSON with a count, got 'hello'"),
        ("print('[]')", "ProgramError: expected a line of JSON with a count, got '[]'"),
        ("raise SystemExit('boom')", "ProgramError: ended with 1: boom"),
    ],
)
def test_a_program_that_fails_is_told(script: str, error: str, build: Path) -> None:
    assert measure(TINY["bench"], "evkit", program_that(script), plan_for(build), 3) == Row(
        "bench", "evkit", 3, error=error
    )


def test_a_program_runs_on_its_core_and_hears_of_the_other(build: Path) -> None:
    plan = plan_for(build)
    script = (
        f"import os, sys; assert os.sched_getaffinity(0) == {{{plan.cores.server}}}; "
        f"assert sys.argv[1:] == ['-n', '{plan.cores.client}']; print('{{\"count\": 1, \"sections\": {{}}}}')"
    )
    case = Case("one", "one", "thing", 1, arguments=("-n", FAR_CORE))
    assert measure(case, "evkit", program_that(script), plan, 1).error == ""


def test_times_are_medians_for_one_unit() -> None:
    told = parse_line(
        '{"count": 20, "sections": {"add": {"cpu": [4e-5, 2e-5, 9e-5], "wall": [1e-4, 3e-4, 2e-4]}}}', 20
    )
    assert times_of(told) == {"add": Times(cpu=pytest.approx(2.0), wall=pytest.approx(10.0))}
    with pytest.raises(ProgramError, match="did 20 of 21"):
        parse_line('{"count": 20, "sections": {}}', 21)


def test_rounds_alternate_over_the_peers(build: Path) -> None:
    case = Case("one", "one", "thing", 1)
    command = program_that('print(\'{"count": 1, "sections": {}}\')')
    plan = replace(plan_for(build), commands=[(case, {"a": command, "b": command})], rounds=2)
    rows = list(measure_all(plan))
    assert [(row.round, row.peer) for row in rows] == [(1, "a"), (1, "b"), (2, "b"), (2, "a")]


# --- the report


CASE = Case(
    "timers",
    "timers: many",
    "timer",
    10,
    fewer="timers-1000",
    goals=(Goal("move", "asyncio", 0.5), Goal("move", "uvloop", 1.0), Goal("move", "libevent", 2.0)),
)


def row(peer: str, number: int, cpu: float, case: str = "timers", wall: float = 9.0) -> Row:
    return Row(case, peer, number, {"move": Times(cpu, wall)})


ROWS = [
    row("evkit", 1, 3.0),
    row("libevent", 1, 1.0, wall=18.0),
    row("asyncio", 1, 8.0),
    row("evkit", 2, 4.0),
    row("libevent", 2, 1.0, wall=18.0),
    row("asyncio", 2, 8.0),
    Row("timers", "asyncio", 3, error="ProgramError: boom"),
    row("evkit", 1, 1.0, "timers-1000"),
    row("evkit", 2, 2.0, "timers-1000"),
]


def test_summary_takes_medians_and_sorts_by_cpu_time() -> None:
    libevent, evkit, asyncio = summarize(CASE, "move", ROWS)
    assert [part.peer for part in (libevent, evkit, asyncio)] == ["libevent", "evkit", "asyncio"]
    assert (evkit.cpu, evkit.cpu_range, evkit.cpu_ratio, evkit.wall_ratio) == (3.5, (3.0, 4.0), 3.5, 0.5)
    assert (asyncio.rounds, libevent.cpu_ratio) == (2, 1.0)


def test_goals_are_met_missed_or_not_measured() -> None:
    by_asyncio, by_uvloop, by_libevent = judge(CASE, ROWS)
    assert (by_asyncio.ratio, by_asyncio.met) == (0.4375, True)
    assert (by_uvloop.ratio, by_uvloop.met) == (None, None)
    assert (by_libevent.ratio, by_libevent.met) == (3.5, False)


def test_growth_compares_with_the_smaller_case() -> None:
    assert growth(CASE, ROWS, "move") == {"evkit": 2.5}
    assert growth(replace(CASE, fewer=""), ROWS, "move") == {}


def test_text_of_a_case() -> None:
    lines = format_case(CASE, ROWS).splitlines()
    assert lines[0] == "timers: many"
    assert lines[1].split("  ")[0] == "move"
    assert lines[3].split() == ["evkit", "3.50", "3.00-4.00", "3.50", "9.00", "0.50"]
    assert [line.strip() for line in lines[5:]] == [
        "move, as a ratio to timers-1000: evkit 2.50",
        "goal: move, evkit at most 0.50 of asyncio: 0.44, met",
        "goal: move, evkit at most 1.00 of uvloop: not measured",
        "goal: move, evkit at most 2.00 of libevent: 3.50, MISSED",
        "asyncio: ProgramError: boom",
    ]


def test_the_most_memory_is_told() -> None:
    rows = [replace(row("bare", number, 1.0), memory_growth=number << 20) for number in (1, 3, 2)]
    assert "  bare: memory grew by 3.0 MB at most" in format_case(CASE, rows).splitlines()


def test_a_case_without_rows_has_its_heading_and_goals() -> None:
    assert sections_of(CASE, []) == []
    assert format_case(CASE, []).splitlines()[1].endswith("asyncio: not measured")


def test_document_survives_json() -> None:
    read = json.loads(json.dumps(document({"date": "today"}, [CASE], ROWS)))
    assert read["date"] == "today"
    assert read["rows"][0]["sections"]["move"] == {"cpu": 3.0, "wall": 9.0}
    assert [part["peer"] for part in read["summaries"]] == ["libevent", "evkit", "asyncio"]
    assert [goal["met"] for goal in read["goals"]] == [True, None, False]


# --- the command line


def test_defaults_are_every_case() -> None:
    args = make_parser().parse_args([])
    assert (args.rounds, args.only, args.case) == (5, None, [case.name for case in CASES])


@pytest.mark.parametrize("wrong", [["--rounds", "0"], ["--case", "nope"], ["--only", "libuv"]])
def test_nonsense_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        make_parser().parse_args(wrong)
    assert wrong[0] in capsys.readouterr().err


def test_only_keeps_the_baseline() -> None:
    assert choose_peers(BY_NAME["bench"], ["evkit"]) == ["libevent", "evkit"]
    assert choose_peers(BY_NAME["pipe"], ["evkit"]) == ["bare", "evkit"]
    assert choose_peers(BY_NAME["echo"], None) == list(VERSIONS)


def test_a_program_that_is_not_written_is_told_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers_module, "PROGRAMS", tmp_path)
    (tmp_path / "pipe_bare.py").touch()
    cores = plan_for(tmp_path).cores
    plan, ready = make_plan([BY_NAME["pipe"]], None, 1, tmp_path, cores)
    assert plan.commands == [(BY_NAME["pipe"], {"bare": [sys.executable, str(tmp_path / "pipe_bare.py")]})]
    assert ready.missing == {"pipe evkit": "there is no pipe_evkit.py yet"}
    assert "pipe evkit: left out: there is no pipe_evkit.py yet" in capsys.readouterr().out


def test_a_missing_peer_is_left_out_of_every_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: Path) -> str:
        raise PeerMissing("not installed")

    monkeypatch.setitem(VERSIONS, "uvloop", absent)
    ready = Preparation(tmp_path)
    ready.find_versions(["asyncio", "uvloop"])
    assert list(ready.commands(BY_NAME["cascade"], ["asyncio", "uvloop"])) == ["asyncio"]
    assert ready.missing == {"uvloop": "not installed"}


def test_servers_are_left_out_where_the_load_cannot_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "false")
    cores = plan_for(tmp_path).cores
    plan, ready = make_plan([BY_NAME["echo"], BY_NAME["bench"]], ["asyncio"], 1, tmp_path, cores)
    assert [(case.name, list(commands)) for case, commands in plan.commands] == [("bench", ["asyncio"])]
    assert "load" in ready.missing
