"""``evkit resolve`` against real name servers: what comes out, what is complained of, and the exit status."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from dns_peers import NameServer
from dns_zone import BIG_TEXT, MANY, NASTY_TEXT, THREE, WILD, WWW, WWW_6, ZONE, distinct
from evkit.cli import main
from patience import PATIENCE
from running import run_evkit

pytestmark = pytest.mark.peer

PROG = "evkit resolve: "


class Done(NamedTuple):
    status: int
    out: list[str]
    err: list[str]


class Shell:
    """Runs the command in this process."""

    def __init__(self, server: str, capfd: pytest.CaptureFixture[str]) -> None:
        self.server = server
        self._capfd = capfd

    def __call__(self, *words: str, server: str | None = None) -> Done:
        status = main(["resolve", "--server", server or self.server, *words])
        out, err = self._capfd.readouterr()
        return Done(status, out.splitlines(), err.splitlines())

    def json(self, *words: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in self("--json", *words).out]


@pytest.fixture
def shell(nsd: NameServer, capfd: pytest.CaptureFixture[str]) -> Shell:
    return Shell(str(nsd), capfd)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that says nothing."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


def full(name: str) -> str:
    return f"{name}.{ZONE}"


# What comes out


def test_addresses(shell: Shell) -> None:
    assert shell(full("www")) == Done(
        0, [f"www.{ZONE}.  5m  A     {WWW}", f"www.{ZONE}.  5m  AAAA  {WWW_6}"], []
    )


def test_aliases_come_first(shell: Shell) -> None:
    done = shell(full("chain"), "a")
    assert [line.split() for line in done.out] == [
        [f"chain.{ZONE}.", "5m", "CNAME", f"chain-1.{ZONE}."],
        [f"chain-1.{ZONE}.", "5m", "CNAME", f"chain-2.{ZONE}."],
        [f"chain-2.{ZONE}.", "10s", "CNAME", f"www.{ZONE}."],
        [f"www.{ZONE}.", "5m", "A", WWW],
    ]


def test_types_among_the_words(shell: Shell) -> None:
    done = shell("mx", ZONE, "TXT", "type6", "--short")
    assert done.out == [
        f"10 mail.{ZONE}.",
        f"20 backup.{ZONE}.",
        '"v=spf1 -all"',
        f"ns1.{ZONE}. hostmaster.{ZONE}. 2026112301 3600 600 86400 60",
    ]
    assert shell(f"mx.{ZONE}.", "--short").out == ["192.0.2.65"]


def test_one_family_is_enough(shell: Shell) -> None:
    assert shell(full("three"), "--short") == Done(0, list(THREE), [])
    assert shell(full("six"), "--short") == Done(0, ["2001:db8::6"], [])


def test_names_in_their_order(shell: Shell) -> None:
    names = [name for name, _ in distinct(300)]
    assert shell(*names, "a", "--short", "-c", "7") == Done(0, [address for _, address in distinct(300)], [])


def test_the_names_of_addresses(shell: Shell) -> None:
    done = shell("--reverse", "--short", "192.0.2.1", "2001:db8::1")
    assert done == Done(0, [f"www.{ZONE}.", f"www.{ZONE}."], [])
    done = shell("--reverse", "192.0.2.10")
    assert {line.split()[-1] for line in done.out} == {f"three.{ZONE}.", f"ten.{ZONE}."}
    assert {line.split()[0] for line in done.out} == {"10.2.0.192.in-addr.arpa."}


def test_the_search_list_is_tried_on_demand(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALDOMAIN", ZONE)
    assert shell("www", "--search", "--short", "a") == Done(0, [WWW], [])
    assert shell("www", "--short", "a").status == 1
    assert shell("www.", "--search", "--short", "a").status == 1


def test_a_name_in_another_script(shell: Shell) -> None:
    assert shell(full("straße"), "a", "--short").out == ["192.0.2.64"]


def test_what_takes_more_than_a_datagram(shell: Shell) -> None:
    strings = b" ".join(b'"%b"' % string for string in BIG_TEXT).decode()
    done = shell(full("big"), "txt", "--short", "--trace-attempts")
    assert done.out == [strings]
    assert len(done.err) == 1
    assert re.fullmatch(
        rf"{PROG}big\.{ZONE} TXT: {shell.server} over udp: .* {shell.server} over tcp: NOERROR .*",
        done.err[0],
    )
    assert sorted(shell(full("many"), "a", "--short").out) == sorted(MANY)


def test_over_tcp_alone(shell: Shell) -> None:
    done = shell(full("www"), "a", "--tcp", "--trace-attempts", "--short")
    assert (done.status, done.out) == (0, [WWW])
    assert f"{shell.server} over tcp: NOERROR" in done.err[0]
    assert "udp" not in done.err[0]


def test_over_tls(bind: NameServer) -> None:
    if bind.certificates is None:
        pytest.skip("needs the openssl program (Debian package openssl)")
    words = ["resolve", "--server", bind.over_tls, full("www"), "a", "--short", "--trace-attempts"]
    done = run_evkit(words)
    assert (done.returncode, done.stdout) == (3, "")
    assert "certificate verify failed" in done.stderr  # nobody knows its authority
    done = run_evkit(words, SSL_CERT_FILE=bind.certificates.path("ca"))
    assert (done.returncode, done.stdout) == (0, f"{WWW}\n")
    assert f"{bind.over_tls} over tls: NOERROR" in done.stderr


def test_a_terminal_gets_nothing_that_it_would_obey(shell: Shell) -> None:
    for options in ([], ["--short"], ["--json"]):
        done = shell(full("nasty"), "txt", *options)
        (line,) = done.out
        assert line.isascii()
        assert line.isprintable()
    (found,) = shell.json(full("nasty"), "txt")
    assert found["records"] == [
        {"name": full("nasty"), "type": "TXT", "ttl": 300, "data": " ".join(map(as_text, NASTY_TEXT))}
    ]


def as_text(string: bytes) -> str:
    """Write a string as a zone file has it."""
    written = ""
    for byte in string:
        shown = chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03}"
        written += f"\\{shown}" if shown in '"\\' else shown
    return f'"{written}"'


def test_as_json(shell: Shell) -> None:
    first, second, third = shell.json(full("chain"), full("nowhere"), "a", "mx")[:3]
    assert (first["name"], first["type"], first["canonical_name"]) == (full("chain"), "A", full("www"))
    assert first["ttl"] == 10
    assert "attempts" not in first
    assert (second["type"], second["error"]) == ("MX", "NoData")
    assert (third["name"], third["error"], third["code"]) == (full("nowhere"), "NameNotFound", 3)


# What goes wrong


def test_no_such_name(shell: Shell) -> None:
    done = shell(full("nowhere"), full("www"), full("mail"), "a", "--short")
    assert done == Done(1, [WWW, "192.0.2.25"], [f"{PROG}{full('nowhere')}: no such name"])


def test_a_type_that_is_not_there(shell: Shell) -> None:
    done = shell(full("mail"), "mx", "a", "--short")
    assert done == Done(1, ["192.0.2.25"], [f"{PROG}{full('mail')} MX: no record of this type"])


def test_no_server_answers(shell: Shell, silent: str) -> None:
    done = shell(full("www"), "a", "-m", "0.2", server=silent)
    assert (done.status, done.out) == (3, [])
    (line,) = done.err
    assert line.startswith(f"{PROG}{full('www')} A: ")


def test_another_server_answers(shell: Shell, nsd: NameServer) -> None:
    nobody = "127.0.0.1:1"
    assert shell(full("www"), "a", "--short", "--server", str(nsd), server=nobody).out == [WWW]
    assert shell(full("www"), "a", server=nobody).status == 3


def test_a_refusal_is_no_silence(shell: Shell) -> None:
    done = shell("x.elsewhere.test", "a", "--retries", "0")
    assert (done.status, done.out) == (1, [])
    assert f"{shell.server} over udp: REFUSED" in done.err[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected a name .* or --file, got neither"),
        (["mx"], "expected a name .one that looks like a type has a dot at its end., or --file, got neither"),
        (["a.test", "--file", "x"], "or --file, got both"),
        (["a..test"], "an empty one"),
        (["a.test", "192.0.2.1"], "got the address 192.0.2.1; --reverse asks for its names"),
        (["--reverse", "a.test"], "expected an IPv4 or IPv6 address"),
        (["a.test", "axfr"], "AXFR can't be asked for"),
        (["a.test", "--server", "name.test"], "--server: expected "),
        (["a.test", "-c", "0"], "argument -c/--concurrency: expected a number from 1 to 10000, got '0'"),
        (["a.test", "-c", "-1"], "expected"),
        (["a.test", "--retries", "100"], "argument --retries: expected a number from 0 to 99, got '100'"),
        (["a.test", "-m", "0"], "argument -m/--timeout: expected more than 0 seconds"),
        (["a.test", "-m", "0.0001"], "--timeout: total_timeout must be a number from 0.001"),
        (["a.test", "--json", "--short"], "not allowed with"),
    ],
)
def test_wrong_usage(words: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["resolve", *words]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert re.search(f"^evkit resolve: error: .*{said}", err)
    assert err.count("\n") == 1


# Files


def test_a_file(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "names"
    lines = [
        "# names",
        "",
        full("www"),
        "bad..line",
        f"  {ZONE} mx\r",
        full("nowhere"),
        "a.test nonsense",
        full("mail"),
    ]
    path.write_text("\n".join(lines))
    done = shell("--file", str(path), "a", "--short", "-c", "1")
    assert done.status == 1
    assert done.out == [WWW, f"10 mail.{ZONE}.", f"20 backup.{ZONE}.", "192.0.2.25"]
    assert done.err[0] == (
        f"{PROG}{path}:4: expected labels of 1 to 63 bytes, got an empty one in 'bad..line'"
    )
    assert done.err[1] == f"{PROG}{full('nowhere')}: no such name"
    assert done.err[2].startswith(f"{PROG}{path}:7: expected a type of ")
    assert re.fullmatch(r"4 done, 1 failed, 2 bad lines in 0:0\d(, [\d,]+/s)?", done.err[3])
    assert len(done.err) == 4


def test_a_long_file(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_text("".join(f"{name}\n" for name, _ in distinct(2000)))
    done = shell("--file", str(path), "a", "--short")
    assert (done.status, done.err) == (0, [])
    assert sorted(done.out) == sorted(address for _, address in distinct(2000))


def test_a_file_of_addresses(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "addresses"
    path.write_text("192.0.2.1\nwww.test\n192.0.2.25\n")
    done = shell("--reverse", "--file", str(path), "--short", "-c", "1")
    assert (done.status, done.out) == (1, [f"www.{ZONE}.", f"mail.{ZONE}."])
    assert done.err[0].startswith(f"{PROG}{path}:2: expected an IPv4 or IPv6 address")


def test_a_bad_line_is_no_danger_to_a_terminal(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_bytes(b"\x1b[31m.test\n\xff.test\n" + b"x" * 5000 + b"\na.test \x1b]0;x\x07\n")
    done = shell("--file", str(path))
    assert (done.status, done.out) == (1, [])
    assert len(done.err) == 5
    assert all(line.isprintable() for line in done.err)


def test_a_file_that_is_not_there(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "none"
    assert shell("--file", str(path)).err == [f"{PROG}error: {path} can't be read: No such file or directory"]
    assert shell("--file", str(tmp_path)).err == [f"{PROG}error: {tmp_path} can't be read: Is a directory"]
    assert shell("--file", "").err == [f"{PROG}error: '' can't be read: No such file or directory"]


def test_a_name_of_a_file_is_no_danger_to_a_terminal(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "\x1b]0;x\x07"
    (line,) = shell("--file", str(path)).err
    assert line.isprintable()
    path.mkdir()
    (line,) = shell("--file", str(path)).err
    assert line.isprintable()


def test_an_empty_file(shell: Shell) -> None:
    assert shell("--file", os.devnull) == Done(0, [], [])


# As a process of its own


def start(server: str, *words: str, **streams: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-X", "dev", "-m", "evkit", "resolve", "--server", server, *words]
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return subprocess.Popen(command, env=environment | {"TERM": "xterm"}, **streams)


def read_until(fd: int, ending: bytes) -> bytes:
    seen = b""
    while ending not in seen:
        data = os.read(fd, 4096)
        assert data, seen
        seen += data
    return seen


def test_answers_come_while_names_are_still_written(shell: Shell) -> None:
    with start(
        shell.server, "--file", "-", "a", "--short", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name, address in (("www", WWW), ("x.wild", WILD)):
            os.write(process.stdin.fileno(), f"{full(name)}\n".encode())
            assert read_until(process.stdout.fileno(), b"\n") == f"{address}\n".encode()
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


def test_a_terminal_shows_progress_and_colours(shell: Shell) -> None:
    leader, follower = pty.openpty()
    with start(
        shell.server, "--file", "-", "a", stdin=subprocess.PIPE, stdout=follower, stderr=follower
    ) as process:
        os.close(follower)
        assert process.stdin is not None
        os.write(process.stdin.fileno(), f"{full('www')}\n{full('nowhere')}\n".encode())
        seen = read_until(leader, b"2 done, 1 failed, ")  # the line is drawn
        os.write(process.stdin.fileno(), f"{full('mail')}\n".encode())
        seen += read_until(leader, b"192.0.2.25")
        process.stdin.close()
        seen += read_until(leader, b"3 done, 1 failed in ")
        assert process.wait(PATIENCE) == 1
    os.close(leader)
    text = seen.decode()
    assert f"\x1b[36mA\x1b[0m  {WWW}" in text
    assert f"{PROG}{full('nowhere')}: \x1b[31mno such name\x1b[0m" in text
    # What is drawn is taken away before something is written in its place.
    assert re.search(r"/s\r +\rmail", text)


def test_who_types_names_is_not_disturbed(shell: Shell) -> None:
    leader, follower = pty.openpty()
    with start(
        shell.server, "--file", "-", "a", stdin=follower, stdout=subprocess.PIPE, stderr=follower
    ) as process:
        os.close(follower)
        assert process.stdout is not None
        for name in ("www", "mail"):
            os.write(leader, f"{full(name)}\n".encode())
            read_until(process.stdout.fileno(), b"\n")
        os.write(leader, b"\x04")  # the end of what is typed
        assert process.wait(PATIENCE) == 0
    seen = os.read(leader, 4096).decode()
    os.close(leader)
    assert seen == f"{full('www')}\r\n{full('mail')}\r\n"


def test_what_the_resolver_logs_is_told_as_the_rest(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # so that no name server is there
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
        done = shell(full("www"), "a", server=nobody)
    assert done.err[0] == f"{PROG}name server {nobody} is down"
    assert len(done.err) == 2


def test_no_colours_where_they_are_not_wanted(shell: Shell) -> None:
    leader, follower = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "evkit",
        "resolve",
        "--server",
        shell.server,
        full("www"),
        full("nowhere"),
    ]
    with subprocess.Popen(
        command, env=os.environ | {"NO_COLOR": "1"}, stdout=follower, stderr=follower
    ) as process:
        os.close(follower)
        seen = read_until(leader, b"no such name")
        assert process.wait(PATIENCE) == 1
    os.close(leader)
    assert b"\x1b" not in seen


def test_who_has_read_enough_is_no_trouble(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_text(f"{full('x.wild')}\n" * 3000)
    with start(
        shell.server, "--file", str(path), "a", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() != b""
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 1


def test_ctrl_c() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{sock.getsockname()[1]}"
        with start(server, "a.test", "a", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            sock.recv(512)  # it asks, and nobody answers
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (128 + signal.SIGINT, b"", b"")
