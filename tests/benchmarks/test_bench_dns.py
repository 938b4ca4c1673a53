"""The resolver's benchmark: each program does its work, wrong answers do not count, and peers are who was asked for."""

import importlib.util
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from bench_dns import choose_peers, commands, find_versions, make_parser
from common.machine import Cores
from common.programs import PeerMissing
from corebench.cases import Case
from corebench.runner import Plan, measure
from dnsbench.cases import make_cases
from dnsbench.peers import VERSIONS, command, find_server, peers_of, serving
from dnsbench.zone import WILD, write_files

HAS_C = shutil.which(os.environ.get("CC", "gcc")) is not None and Path("/usr/include/event2/dns.h").exists()
CASES = make_cases(70, 50)
BY_NAME = {case.name: case for case in CASES}
TINY = {
    "lookups": replace(BY_NAME["lookups"], arguments=("-n", "70", "-c", "9", "-r", "2")),
    "cached": replace(BY_NAME["cached"], count=2000, arguments=("-n", "2000", "-r", "2")),
    "million": BY_NAME["million"],
}
NEEDS = {
    "aiodns": ["aiodns"],
    "aiodns-uvloop": ["aiodns", "uvloop"],
    "pycares": ["pycares"],
}


def plan_for(build: Path) -> Plan:
    allowed = sorted(os.sched_getaffinity(0))
    return Plan([], (), 1, build, Cores(allowed[-1], allowed[0]))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="module")
def port(build: Path) -> Iterator[int]:
    """Of the name server that all ask."""
    try:
        find_server()
    except PeerMissing as missing:
        pytest.skip(str(missing))
    with serving(build, 1000, plan_for(build).cores.client) as port:
        yield port


# --- the programs


def needs(peer: str) -> pytest.MarkDecorator:
    missing = [
        f"{name} is not installed" for name in NEEDS.get(peer, ()) if importlib.util.find_spec(name) is None
    ]
    if peer == "evdns" and not HAS_C:
        missing.append("gcc and libevent-dev are not installed")
    return pytest.mark.skipif(bool(missing), reason=" and ".join(missing))


def programs() -> list[object]:
    pairs = [(case, peer) for case in TINY.values() for peer in peers_of(case)]
    return [pytest.param(*pair, id="-".join((pair[0].name, pair[1])), marks=needs(pair[1])) for pair in pairs]


@pytest.mark.peer
@pytest.mark.parametrize(("case", "peer"), programs())
def test_each_program_does_its_work(case: Case, peer: str, build: Path, port: int) -> None:
    row = measure(case, peer, command(case, peer, port, build), plan_for(build), 1)
    assert row.error == ""
    assert list(row.sections) == [case.program]
    assert all(times.cpu > 0 and times.wall > 0 for times in row.sections.values())
    assert (row.memory_growth is not None) == (case.program == "million")


@pytest.fixture
def liar() -> Iterator[int]:
    """The port of a server that has the same address for every name."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                query, peer = sock.recvfrom(512)
                if not query:  # the word to stop
                    return
                question = query[12 : query.index(b"\0", 12) + 5]
                record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
                sock.sendto(query[:2] + b"\x84\0\0\1\0\1\0\0\0\0" + question + record, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield sock.getsockname()[1]
        with socket.socket(type=socket.SOCK_DGRAM) as stopper:
            stopper.sendto(b"", sock.getsockname())
        thread.join()


@pytest.mark.peer
@pytest.mark.parametrize("peer", [pytest.param(peer, marks=needs(peer)) for peer in VERSIONS])
def test_who_got_another_address_does_not_count(peer: str, build: Path, liar: int) -> None:
    row = measure(TINY["lookups"], peer, command(TINY["lookups"], peer, liar, build), plan_for(build), 1)
    assert row.error.startswith("ProgramError: ended with 1: ")
    assert row.sections == {}


# --- the zone


def test_the_zone_has_the_names_that_are_asked_for(tmp_path: Path) -> None:
    configuration = write_files(tmp_path, 5300, 70_000).read_text()
    assert "127.0.0.1@5300" in configuration
    lines = (tmp_path / "bench.test.zone").read_text().splitlines()
    assert f"*.any A {WILD}" in lines
    assert {"h0 A 10.0.0.0", "h256 A 10.0.1.0", "h69999 A 10.1.17.111"} <= set(lines)


# --- the plan


def test_every_goal_names_a_section_and_a_peer() -> None:
    for case in CASES:
        for goal in case.goals:
            assert goal.section == case.program
            assert goal.against in peers_of(case)
        assert case.baseline in peers_of(case)
        assert "evkit" in peers_of(case)
    assert len(BY_NAME["lookups"].goals) == 3


def test_the_numbers_are_what_programs_are_told() -> None:
    assert (BY_NAME["lookups"].count, BY_NAME["lookups"].arguments[:2]) == (70, ("-n", "70"))
    assert (BY_NAME["million"].count, BY_NAME["million"].arguments[:2]) == (50, ("-n", "50"))


def test_every_peer_has_its_program(tmp_path: Path) -> None:
    for case in CASES:
        for peer in peers_of(case):
            if peer != "evdns":
                assert Path(command(case, peer, 1, tmp_path)[1]).is_file()


def test_a_peer_on_another_loop_is_told_so(tmp_path: Path) -> None:
    lookups = BY_NAME["lookups"]
    assert command(lookups, "aiodns-uvloop", 53, tmp_path)[2:] == ["--port", "53", "--loop", "uvloop"]
    assert command(lookups, "aiodns", 53, tmp_path)[2:] == ["--port", "53"]


def test_who_is_not_here_is_not_in_the_plan(tmp_path: Path) -> None:
    here = {"evkit": "1", "dnspython": "2"}
    planned = commands([BY_NAME["lookups"], BY_NAME["cached"]], None, here, 1, tmp_path)
    assert [(case.name, list(peers)) for case, peers in planned] == [
        ("lookups", ["evkit", "dnspython"]),
        ("cached", ["evkit"]),
    ]


def test_a_missing_peer_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def absent(build: Path) -> str:
        raise PeerMissing("not installed")

    monkeypatch.setattr("bench_dns.VERSIONS", {"evkit": lambda _: "1", "aiodns": absent})
    assert find_versions(["evkit", "aiodns"], tmp_path) == ({"evkit": "1"}, {"aiodns": "not installed"})
    assert "aiodns: left out: not installed" in capsys.readouterr().out


# --- the command line


def test_defaults_are_every_case() -> None:
    args = make_parser().parse_args([])
    assert (args.rounds, args.only, args.lookups, args.names) == (5, None, 10_000, 1_000_000)
    assert args.case == ["lookups", "cached", "million"]


@pytest.mark.parametrize(
    "wrong",
    [["--rounds", "0"], ["--names", "0"], ["--lookups", "-1"], ["--case", "nope"], ["--only", "curl"]],
)
def test_nonsense_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        make_parser().parse_args(wrong)
    assert wrong[0] in capsys.readouterr().err


def test_only_keeps_the_baseline() -> None:
    assert choose_peers(BY_NAME["lookups"], ["evkit"]) == ["evkit", "aiodns"]
    assert choose_peers(BY_NAME["cached"], ["aiodns"]) == ["evkit"]
    assert choose_peers(BY_NAME["lookups"], None) == list(VERSIONS)
