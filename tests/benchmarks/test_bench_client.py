"""The client's benchmark: each program does its work, wrong answers do not count, and peers are who was asked for."""

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

from bench_client import choose_peers, commands, find_versions, make_parser
from clientbench import peers as peers_module
from clientbench.cases import make_cases
from clientbench.peers import VERSIONS, command, peers_of, prepare_server, serving
from common.machine import Cores
from common.programs import PeerMissing
from corebench.cases import FAR_CORE, Case
from corebench.runner import Plan, measure

HAS_C = shutil.which(os.environ.get("CC", "gcc")) is not None and Path("/usr/include/event2/event.h").exists()
CASES = make_cases(1)
BY_NAME = {case.name: case for case in CASES}
TINY = {
    "requests": replace(BY_NAME["requests"], count=7, arguments=("-n", "7", "-c", "3", "-r", "2")),
    "requests-urls": replace(
        BY_NAME["requests-urls"], count=7, arguments=("-n", "7", "-c", "3", "-r", "2", "--distinct")
    ),
    "download": replace(BY_NAME["download"], arguments=("-m", "1", "-r", "2")),
    "upload": replace(BY_NAME["upload"], arguments=("-m", "1", "-r", "2", "--far", FAR_CORE)),
}
NEEDS = {"aiohttp": ["aiohttp"], "aiohttp-uvloop": ["aiohttp", "uvloop"], "httpx": ["httpx"]}


def plan_for(build: Path) -> Plan:
    allowed = sorted(os.sched_getaffinity(0))
    return Plan([], (), 1, build, Cores(allowed[-1], allowed[0]))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="module")
def port(build: Path) -> Iterator[int]:
    """Of the server that the clients ask."""
    prepare_server(build)
    with serving(build, 1, plan_for(build).cores.client) as port:
        yield port


# --- the programs


def needs(case: Case, peer: str) -> pytest.MarkDecorator:
    missing = [
        f"{name} is not installed" for name in NEEDS.get(peer, ()) if importlib.util.find_spec(name) is None
    ]
    if not HAS_C:
        missing.append("gcc and libevent-dev are not installed")
    return pytest.mark.skipif(bool(missing), reason=" and ".join(missing))


def programs() -> list[object]:
    pairs = [(case, peer) for case in TINY.values() for peer in peers_of(case)]
    return [pytest.param(*pair, id="-".join((pair[0].name, pair[1])), marks=needs(*pair)) for pair in pairs]


@pytest.mark.peer
@pytest.mark.parametrize(("case", "peer"), programs())
def test_each_program_does_its_work(case: Case, peer: str, build: Path, port: int) -> None:
    row = measure(case, peer, command(case, peer, port), plan_for(build), 1)
    assert row.error == ""
    assert list(row.sections) == [case.program]
    assert all(times.cpu > 0 and times.wall > 0 for times in row.sections.values())
    assert (row.memory_growth is not None) == (case.program != "requests")


class Answerer:
    """A server that gives the same answer to everyone, and closes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            sock = self._listener.accept()[0]
            with sock:
                if not sock.recv(65536):  # the word to stop
                    return
                sock.sendall(self._answer)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass

    def close(self) -> None:
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._listener.close()


@pytest.fixture
def liar() -> Iterator[Answerer]:
    answerer = Answerer(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!")
    yield answerer
    answerer.close()


@pytest.mark.parametrize("peer", ["bare", "evkit"])
def test_a_client_that_got_something_else_does_not_count(peer: str, build: Path, liar: Answerer) -> None:
    case = replace(TINY["requests"], arguments=("-n", "7", "-c", "1", "-r", "1"))
    row = measure(case, peer, command(case, peer, liar.port), plan_for(build), 1)
    assert (row.error, row.sections) == ("ProgramError: ended with 1: got 200 and b'Hello, World!'", {})


@pytest.mark.parametrize("peer", ["bare", "evkit"])
def test_a_download_that_is_cut_short_does_not_count(peer: str, build: Path, liar: Answerer) -> None:
    row = measure(TINY["download"], peer, command(TINY["download"], peer, liar.port), plan_for(build), 1)
    assert (row.error, row.sections) == ("ProgramError: ended with 1: 13 bytes of 1048576 arrived", {})


def test_an_upload_that_is_refused_does_not_count(tmp_path: Path) -> None:
    peers = Path(peers_module.__file__).parents[1] / "peers"
    for folder in ("client", "core"):
        shutil.copytree(peers / folder, tmp_path / folder)
    program = tmp_path / "client" / "upload_bare.py"
    program.write_text(program.read_text().replace("200 OK", "507 Full"))
    row = measure(TINY["upload"], "bare", [sys.executable, str(program)], plan_for(tmp_path), 1)
    assert (row.error, row.sections) == ("ProgramError: ended with 1: the sender has ended with 1", {})


def test_the_file_that_is_served_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> None:
        raise OSError("no server")

    monkeypatch.setattr(peers_module, "running", absent)
    with pytest.raises(OSError, match="no server"), serving(tmp_path, 1, 0):
        raise AssertionError("there is no server")
    assert not (tmp_path / "download.bin").exists()


# --- the plan


def test_every_goal_names_a_section_and_a_peer() -> None:
    for case in CASES:
        assert case.goals
        for goal in case.goals:
            assert goal.section == case.program
            assert goal.against in peers_of(case)
        assert case.baseline in peers_of(case)
        assert "evkit" in peers_of(case)


def test_every_peer_has_its_program() -> None:
    for case in CASES:
        for peer in peers_of(case):
            assert Path(command(case, peer, 1)[1]).is_file()


def test_the_size_of_a_transfer_is_what_its_programs_are_told() -> None:
    requests, _, download, upload = make_cases(3)
    assert (download.count, upload.count) == (3, 3)
    assert download.arguments[:2] == upload.arguments[:2] == ("-m", "3")
    assert requests == BY_NAME["requests"]


def test_a_peer_on_another_loop_is_told_so() -> None:
    assert command(BY_NAME["requests"], "aiohttp-uvloop", 8080)[2:] == ["--port", "8080", "--loop", "uvloop"]
    assert command(BY_NAME["requests"], "aiohttp", 8080)[2:] == ["--port", "8080"]


def test_who_is_not_here_is_not_in_the_plan() -> None:
    planned = commands([BY_NAME["requests"], BY_NAME["upload"]], None, {"evkit": "1", "httpx": "2"}, 1)
    assert [(case.name, list(peers)) for case, peers in planned] == [
        ("requests", ["evkit", "httpx"]),
        ("upload", ["evkit"]),
    ]


def test_a_missing_peer_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def absent() -> str:
        raise PeerMissing("not installed")

    monkeypatch.setattr("bench_client.VERSIONS", {"bare": lambda: "1", "httpx": absent})
    assert find_versions(["bare", "httpx"]) == ({"bare": "1"}, {"httpx": "not installed"})
    assert "httpx: left out: not installed" in capsys.readouterr().out


# --- the command line


def test_defaults_are_every_case() -> None:
    args = make_parser().parse_args([])
    assert (args.rounds, args.only, args.mib) == (5, None, 1024)
    assert args.case == ["requests", "requests-urls", "download", "upload"]


@pytest.mark.parametrize("wrong", [["--rounds", "0"], ["--mib", "0"], ["--case", "nope"], ["--only", "curl"]])
def test_nonsense_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        make_parser().parse_args(wrong)
    assert wrong[0] in capsys.readouterr().err


def test_only_keeps_the_baseline() -> None:
    assert choose_peers(BY_NAME["requests"], ["evkit"]) == ["evkit", "aiohttp"]
    assert choose_peers(BY_NAME["download"], ["evkit"]) == ["bare", "evkit"]
    assert choose_peers(BY_NAME["requests"], None) == list(VERSIONS)
