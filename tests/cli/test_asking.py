"""The options of ``evkit get``: the request and the client that they make."""

import io
import os
import ssl
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from evkit import EventBase
from evkit.cli import asking
from evkit.cli.errors import FAILED, USAGE, Failure
from evkit.cli.parser import Parser
from evkit.http import Basic, ClientTimeouts

FORM = ("Content-Type", "application/x-www-form-urlencoded")


def parsed(*argv: str) -> Namespace:
    parser = Parser(prog="evkit get")
    asking.add_options(parser)
    return parser.parse_args([*argv, "http://a/"])


def options(*argv: str) -> dict[str, Any]:
    """Return what the request has beside what every request has."""
    with asking.request(parsed(*argv)) as found:
        assert {"headers", "follow", "timeout"} <= found.keys()
        return {name: value for name, value in found.items() if value and value is not True}


@pytest.mark.parametrize(
    ("argv", "method"),
    [
        ([], "GET"),
        (["-I"], "HEAD"),
        (["-d", "x"], "POST"),
        (["--form", "a=b"], "POST"),
        (["-T", "-"], "PUT"),
        (["-X", "DELETE"], "DELETE"),
        (["-X", "PATCH", "-d", "x"], "PATCH"),
        (["-I", "-X", "HEAD"], "HEAD"),
    ],
)
def test_the_method(argv: list[str], method: str) -> None:
    arguments = parsed(*argv)
    asking.check(arguments)
    assert asking.method(arguments) == method


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], {}),
        (["-H", "A: b", "--header", "C:\t d "], {"headers": [("A", "b"), ("C", "d")]}),
        (["-H", "Empty:"], {"headers": [("Empty", "")]}),
        (["-d", "a=b c"], {"headers": [FORM], "body": b"a=b c"}),
        (["-d", ""], {"headers": [FORM]}),
        (["-d", "é\udcff"], {"headers": [FORM], "body": "é".encode() + b"\xff"}),
        (
            ["-d", "{}", "-H", "content-type: application/json"],
            {"headers": [("content-type", "application/json")], "body": b"{}"},
        ),
        (["--form", "a=1=2", "--form", "ü="], {"form": [(b"a", b"1=2"), ("ü".encode(), b"")]}),
        (["-u", "me:pass:word"], {"auth": Basic("me", "pass:word")}),
        (["-u", "me:"], {"auth": Basic("me", "")}),
        (["-m", "2.5"], {"timeout": 2.5}),
        (["-m", "none"], {}),
    ],
)
def test_the_request(argv: list[str], expected: dict[str, Any]) -> None:
    assert options(*argv) == expected


def test_an_empty_body_is_a_body() -> None:
    with asking.request(parsed("-d", "")) as found:
        assert found["body"] == b""


def test_redirects_are_followed_unless_not_wanted() -> None:
    for argv, follow in (([], True), (["--no-location"], False), (["--no-location", "-L"], True)):
        with asking.request(parsed(*argv)) as found:
            assert found["follow"] is follow


@pytest.mark.parametrize("option", [["-T", "{}"], ["-d", "@{}"]])
def test_a_file_is_sent_and_closed(tmp_path: Path, option: list[str]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\0hello")
    with asking.request(parsed(*(word.format(path) for word in option))) as found:
        file = found["body"]
        assert file.read() == b"\0hello"
        assert found["headers"] == ([FORM] if option[0] == "-d" else [])
    assert file.closed


@pytest.mark.parametrize("option", [["-T", "-"], ["-d", "@-"]])
def test_standard_input_is_sent(monkeypatch: pytest.MonkeyPatch, option: list[str]) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"piped"))
    monkeypatch.setattr(sys, "stdin", stdin)
    with asking.request(parsed(*option)) as found:
        assert found["body"].read() == b"piped"
    assert not stdin.closed
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(Failure, match="standard input is closed"):
        options(*option)


def test_what_comes_by_standard_input_is_sent_when_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with open(reader) as stdin, open(writer, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdin", stdin)
        with asking.request(parsed("-T", "-")) as found:
            pipe.write(b"a little")
            assert found["body"].read(65536) == b"a little"


def test_the_scheme_may_be_left_out() -> None:
    parser = Parser(prog="evkit get")
    asking.add_options(parser)
    for text, url in (
        ("example.org", "http://example.org"),
        ("localhost:8080/a?b=c://d", "http://localhost:8080/a?b=c://d"),
        ("HTTPS://a", "HTTPS://a"),
        ("ftp://a", "ftp://a"),  # which the client refuses
    ):
        assert parser.parse_args([text]).url == url


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--key", "k"], "--key needs --cert FILE"),
        (["--unix", "s", "-x", "p"], "--unix and --proxy are two ways"),
        (["-I", "-X", "GET"], "--head and --method are two methods"),
    ],
)
def test_options_that_do_not_go_together(argv: list[str], said: str) -> None:
    with pytest.raises(Failure, match=said) as failure:
        asking.check(parsed(*argv))
    assert failure.value.status == USAGE


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-H", "no colon"], "argument -H/--header: expected NAME: VALUE, got 'no colon'"),
        (["--form", "a"], "argument --form: expected NAME=VALUE, got 'a'"),
        (["--retry", "-1"], "argument --retry: expected a number from 0 to 9999, got '-1'"),
        (["--retry", "10000"], "argument --retry: expected a number from 0 to 9999, got '10000'"),
        (["-m", "0"], "argument -m/--timeout: expected more than 0 seconds"),
        (["-d", "a", "-T", "b"], "argument -T/--upload: not allowed with argument -d/--data"),
        (["-I", "--form", "a=b"], "argument --form: not allowed with argument -I/--head"),
    ],
)
def test_words_that_mean_nothing(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parsed(*argv)
    assert end.value.code == USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-T", "missing"], "missing can't be read: No such file or directory"),
        (["-d", "@."], ". can't be read: Is a directory"),
        (["-u", "me\n:x"], "--user: a user of Basic has no colon and no control character"),
    ],
)
def test_what_cannot_be_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Failure) as failure:
        options(*argv)
    assert str(failure.value) == said


class Terminal:
    def __init__(self, *, there: bool) -> None:
        self.there = there

    def isatty(self) -> bool:
        return self.there


def test_a_password_is_asked_for_at_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        if len(asked) > 1:
            raise EOFError
        return "secret"

    monkeypatch.setattr(asking, "getpass", getpass)
    monkeypatch.setattr(sys, "stdin", Terminal(there=False))
    with pytest.raises(Failure, match="expected --user USER:PASSWORD, for there is no terminal to ask at"):
        options("-u", "me")
    assert asked == []
    monkeypatch.setattr(sys, "stdin", Terminal(there=True))
    assert options("-u", "me") == {"auth": Basic("me", "secret")}
    with pytest.raises(Failure, match="no password was given"):
        options("-u", "me")
    assert asked == ["password of me: "] * 2


@pytest.mark.parametrize(
    ("argv", "said", "status"),
    [
        (["--cacert", "none.pem"], "--cacert none.pem: No such file or directory", FAILED),
        (["--cacert", "text"], "--cacert text: no certificate or crl found", FAILED),
        (["--cert", "none.pem"], "--cert none.pem: No such file or directory", FAILED),
        (["-x", "socks5://a"], "--proxy: expected a URL of http or https", USAGE),
    ],
)
def test_what_the_way_cannot_be_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], said: str, status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("no certificate\n")
    with EventBase() as base, pytest.raises(Failure) as failure:
        asking.client(base, parsed(*argv))
    assert said in str(failure.value)
    assert failure.value.status == status


def made(monkeypatch: pytest.MonkeyPatch, *argv: str) -> dict[str, Any]:
    """Return what the client is made of."""
    monkeypatch.setattr(asking, "Client", lambda base, **options: options)
    with EventBase() as base:
        found: Any = asking.client(base, parsed(*argv))
    return dict(found)


def test_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(monkeypatch)
    assert found["timeouts"] == ClientTimeouts()
    assert (found["retries"], found["tls"], found["unix"], found["decode"]) == (None, None, None, True)
    found = made(
        monkeypatch, "--connect-timeout", "2", "--retry", "20", "--no-compressed", "--unix", "s", "-k"
    )
    assert found["timeouts"] == ClientTimeouts(connect=2)
    assert (found["unix"], found["decode"], found["proxies"]) == ("s", False, None)
    retries = found["retries"]
    assert (retries.attempts, retries.unanswered, retries.statuses) == (21, True, {429, 502, 503, 504})
    assert found["budget"] is None
    assert (found["tls"].check_hostname, found["tls"].verify_mode) == (False, ssl.CERT_NONE)


def test_a_proxy_of_the_environment_that_is_none_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", {"https_proxy": "socks5://a"})
    with EventBase() as base:
        with pytest.raises(Failure, match=r"^https_proxy: expected "):
            asking.client(base, parsed())
        for way in (["-x", "none"], ["-x", "a:3128"], ["--unix", "s"]):
            asking.client(base, parsed(*way)).close()
