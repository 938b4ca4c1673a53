"""The RPC benchmark: each program does its work, wrong answers do not count, and both ends' time does."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from bench_rpc import choose_cases, choose_peers, commands, find_versions, make_parser
from common.machine import Cores
from common.programs import PeerMissing
from corebench.cases import Case
from corebench.runner import Plan, Row, Times, measure
from rpcbench import peers
from rpcbench.cases import make_cases
from rpcbench.goals import WANTED, tell, tell_memory
from rpcbench.peers import VERSIONS, command, environment, peers_of

PROGRAMS = Path(peers.__file__).parents[1] / "peers" / "rpc"
BY_NAME = {case.name: case for case in make_cases(200, 20, 1)}
FEW = {
    "sequential": BY_NAME["sequential"],
    "pipelined": BY_NAME["pipelined"],
    "big": BY_NAME["big"],
    "idle": BY_NAME["idle"],
}
NEEDS = {
    "aio-msgpack-rpc": ["aio_msgpack_rpc"],
    "grpcio": ["grpc"],
    "rpyc": ["rpyc"],
}
OLD = "msgpack-rpc-python"
"""Which lives in an environment that no test makes, since that needs a package index."""


def plan_for(build: Path) -> Plan:
    allowed = sorted(os.sched_getaffinity(0))
    return Plan([], (), 1, build, Cores(allowed[-1], allowed[0]))


# --- the programs


def needs(peer: str) -> pytest.MarkDecorator:
    missing = [name for name in NEEDS.get(peer, ()) if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} is not installed")


def programs() -> list[object]:
    pairs = [(case, peer) for case in FEW.values() for peer in peers_of(case) if peer != OLD]
    return [pytest.param(*pair, id="-".join((pair[0].name, pair[1])), marks=needs(pair[1])) for pair in pairs]


@pytest.mark.peer
@pytest.mark.parametrize(("case", "peer"), programs())
def test_each_program_does_its_work(case: Case, peer: str, tmp_path: Path) -> None:
    row = measure(case, peer, command(peer, tmp_path), plan_for(tmp_path), 1)
    assert row.error == ""
    assert list(row.sections) == ["idle" if case.name == "idle" else "echo"]
    assert all(times.cpu > 0 and times.wall > 0 for times in row.sections.values())
    assert (row.memory_growth is not None) == (case.name == "idle")


@pytest.mark.peer
@pytest.mark.parametrize("peer", ["evkit", "bare"])
def test_a_client_that_never_reads(peer: str, tmp_path: Path) -> None:
    """Of 16 MiB evkit takes what it can answer; the bare loop takes, and keeps, all."""
    case = BY_NAME["flood"]
    case = replace(case, arguments=("flood", "-n", "16"))
    row = measure(case, peer, command(peer, tmp_path), plan_for(tmp_path), 1)
    assert row.error == ""
    assert row.memory_growth is not None
    assert (row.memory_growth > 8 << 20) == (peer == "bare")


@pytest.fixture
def liar() -> Iterator[int]:
    """The port of a server that answers each call, in the order of their numbers, with ``"no"``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            import msgpack

            sock, _ = listener.accept()
            unpacker = msgpack.Unpacker()
            with sock:
                while data := sock.recv(65536):
                    unpacker.feed(data)
                    sock.sendall(b"".join(msgpack.packb([1, request[1], None, "no"]) for request in unpacker))

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.peer
@pytest.mark.parametrize("in_flight", [1, 10])
@pytest.mark.parametrize(
    "peer",
    [pytest.param(peer, marks=needs(peer)) for peer in ("bare", "evkit", "evkit-futures", "aio-msgpack-rpc")],
)
def test_who_got_another_answer_does_not_count(peer: str, in_flight: int, tmp_path: Path, liar: int) -> None:
    case = replace(BY_NAME["pipelined"], arguments=("-n", "200", "-c", str(in_flight), "--ask", str(liar)))
    row = measure(case, peer, command(peer, tmp_path), plan_for(tmp_path), 1)
    assert row.error == "ProgramError: did 0 of 200"
    assert row.sections == {}


@pytest.mark.peer
def test_the_servers_time_counts(tmp_path: Path) -> None:
    """What takes the server 20 ms a call takes the client next to nothing."""
    slow = tmp_path / "calls_slow.py"
    slow.write_text(
        f"import sys, time\nsys.path.insert(0, {str(PROGRAMS)!r})\n"
        "import calls_bare\nfrom call_work import run\n"
        "def burn(value):\n"
        "    end = time.process_time() + 0.02\n"
        "    while time.process_time() < end: pass\n"
        "    return value\n"
        "calls_bare.METHODS['echo'] = burn\n"
        "run(calls_bare.serve, calls_bare.Calls)\n"
    )
    done = subprocess.run(
        [sys.executable, slow, "-n", "5"], capture_output=True, text=True, timeout=60, check=True
    )
    told = json.loads(done.stdout)
    assert told["count"] == 5
    assert told["sections"]["echo"]["cpu"][0] > 5 * 0.02


# --- msgpack-rpc-python, which needs an environment of its own


def test_msgpack_rpc_python_gets_an_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Once, and with what it needs; nothing is installed here."""
    ran: list[list[str]] = []

    def run(told: list[str], advice: str) -> str:
        ran.append(told)
        (tmp_path / OLD).mkdir(exist_ok=True)
        return ""

    monkeypatch.setattr("rpcbench.peers.run", run)
    monkeypatch.setattr("shutil.which", lambda name: f"/somewhere/{name}")
    python = str(tmp_path / OLD / "bin" / "python")
    assert [environment(tmp_path), environment(tmp_path)] == [python, python]
    assert [told[1:3] for told in ran] == [["-m", "venv"], ["-m", "pip"]]
    assert ran[1][0] == python
    assert OLD in ran[1]
    assert command(OLD, tmp_path) == [python, str(PROGRAMS / "calls_msgpackrpc.py")]


def test_without_its_python_it_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.12.1")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(PeerMissing, match=r"needs Python 3\.11"):
        environment(tmp_path)


# --- the plan


def test_every_goal_names_a_section_and_a_peer() -> None:
    for case in BY_NAME.values():
        assert case.baseline in peers_of(case)
        assert "evkit" in peers_of(case)
        for goal in case.goals:
            assert goal.section == "echo"
            assert goal.against in peers_of(case)
    for wanted in WANTED:
        assert wanted.peer in peers_of(BY_NAME[wanted.case])


def test_the_numbers_are_what_programs_are_told() -> None:
    assert (BY_NAME["sequential"].count, BY_NAME["sequential"].arguments[:3]) == (50, ("calls", "-n", "50"))
    assert (BY_NAME["pipelined"].count, BY_NAME["pipelined"].arguments[1:5]) == (
        200,
        ("-n", "200", "-c", "100"),
    )
    assert (BY_NAME["big"].count, BY_NAME["big"].arguments[1:5]) == (1, ("-n", "16", "--unit", "16"))
    assert (BY_NAME["idle"].count, BY_NAME["idle"].arguments[:3]) == (20, ("idle", "-n", "20"))


def test_both_ends_share_a_processor_where_it_says_so() -> None:
    apart = {name for name, case in BY_NAME.items() if "--far" in case.arguments}
    assert set(BY_NAME) - apart == {"sequential-same", "big"}


def test_every_peer_has_its_program(tmp_path: Path) -> None:
    for peer in VERSIONS:
        if peer != OLD:
            assert Path(command(peer, tmp_path)[1]).is_file()
    assert command("evkit-futures", tmp_path)[2:] == ["--futures"]


def test_who_is_not_here_is_not_in_the_plan(tmp_path: Path) -> None:
    planned = commands([BY_NAME["big"], BY_NAME["idle"]], None, {"evkit": "1", "rpyc": "2"}, tmp_path)
    assert [(case.name, list(chosen)) for case, chosen in planned] == [
        ("big", ["evkit", "rpyc"]),
        ("idle", ["evkit"]),
    ]


def test_a_missing_peer_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def absent(build: Path) -> str:
        raise PeerMissing("not installed")

    monkeypatch.setattr("bench_rpc.VERSIONS", {"evkit": lambda _: "1", "rpyc": absent})
    assert find_versions(["evkit", "rpyc"], tmp_path) == ({"evkit": "1"}, {"rpyc": "not installed"})
    assert "rpyc: left out: not installed" in capsys.readouterr().out


def test_no_more_connections_than_there_are_descriptors(capsys: pytest.CaptureFixture[str]) -> None:
    (idle,) = choose_cases(["idle"], 100, 5000, 300)
    assert (idle.count, idle.arguments[2]) == (300, "300")
    assert "allows for 300" in capsys.readouterr().out
    (idle,) = choose_cases(["idle"], 100, 50, 300)
    assert idle.count == 50
    assert capsys.readouterr().out == ""


# --- what is told


def row(case: str, peer: str, number: int, cpu: float, wall: float = 1.0, memory: int | None = None) -> Row:
    return Row(case, peer, number, {"echo": Times(cpu, wall)}, memory)


def test_what_is_wanted_is_told_with_what_came_of_it() -> None:
    rows = [row("pipelined", "evkit", number, cpu) for number, cpu in ((1, 3.0), (2, 3.5), (3, 9.0))]
    rows += [row("pipelined", "evkit-futures", 1, 7.25)]
    assert tell(BY_NAME["pipelined"], rows) == [
        "  wanted: evkit at most 4 us cpu a call: 3.5, met",
        "  wanted: evkit-futures at most 7 us cpu a call: 7.2, MISSED",
    ]
    assert tell(BY_NAME["pipelined"], [])[0].endswith("a call: not measured")
    assert tell(BY_NAME["flood"], rows) == []


def test_a_rate_is_wanted_by_the_clock() -> None:
    (line,) = tell(BY_NAME["big"], [row("big", "evkit", 1, 1.0, 1000.5)])
    assert line == "  wanted: evkit at most 1,000 us wall a MiB: 1,000.5, MISSED"


def test_memory_is_told_for_each_connection() -> None:
    idle = BY_NAME["idle"]
    rows = [row("idle", "evkit", 1, 1.0, memory=20 * 4096), row("idle", "bare", 1, 1.0, memory=20 * 5000)]
    assert tell(idle, rows) == ["  wanted: evkit at most 4,096 bytes a connection: 4,096.0, met"]
    assert tell_memory(idle, rows) == [
        "  evkit: 4,096 bytes a connection",
        "  bare: 5,000 bytes a connection",
    ]
    assert tell_memory(BY_NAME["flood"], rows) == []


# --- the command line


def test_defaults_are_every_case() -> None:
    args = make_parser().parse_args([])
    assert (args.rounds, args.only, args.calls, args.idle) == (5, None, 20_000, 10_000)
    assert args.case == list(BY_NAME)


@pytest.mark.parametrize(
    "wrong",
    [["--rounds", "0"], ["--calls", "3"], ["--idle", "-1"], ["--case", "nope"], ["--only", "curl"]],
)
def test_nonsense_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        make_parser().parse_args(wrong)
    assert wrong[0] in capsys.readouterr().err


def test_only_keeps_the_baseline() -> None:
    assert choose_peers(BY_NAME["big"], ["evkit"]) == ["evkit", "aio-msgpack-rpc"]
    assert choose_peers(BY_NAME["idle"], ["grpcio"]) == ["aio-msgpack-rpc"]
    assert choose_peers(BY_NAME["big"], None) == list(VERSIONS)
