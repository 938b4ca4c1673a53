"""The access log of ``evkit serve``: what its options mean, and what they can't."""

import os
import re
import signal
import sys
import threading
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from evkit.cli.access_log import check, log_format, opened
from evkit.cli.errors import USAGE, Failure
from evkit.cli.options import add_options
from evkit.cli.parser import Parser
from evkit.core import EventBase, EventConfig
from evkit.http import Request
from evkit.http.log.format import LogFormat
from patience import PATIENCE


def parse(*argv: str) -> Namespace:
    parser = Parser(prog="evkit serve")
    add_options(parser)
    return parser.parse_args(argv)


def a_request(target: str = "/a") -> Request:
    request = Request("GET", target, 1, "a", 0, True, False, b"Host: a\r\n")
    request.peer = "192.0.2.7:40000"
    request.status = 200
    request.reply_size = 5
    return request


def write(path: Path, *argv: str) -> str:
    """Return what is logged of one request."""
    with EventBase() as base, opened(base, parse(f"--access-log={path}", *argv), rotates=False) as log:
        assert log is not None
        log.complete(a_request())
    return path.read_text()


def test_no_log_if_none_is_asked_for(base: EventBase) -> None:
    with opened(base, parse(), rotates=True) as log:
        assert log is None


def test_a_file_is_appended_to_with_milliseconds(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    text = write(tmp_path / "log")
    assert re.fullmatch(r'before\n192\.0\.2\.7 - - \[.*\] "GET /a HTTP/1\.1" 200 5 [0-9]+\.[0-9]{3}\n', text)


@pytest.mark.parametrize(
    ("name", "start"),
    [("common", "192.0.2.7 - - ["), ("json", '{"time":"'), ("{status} {target}", "200 /a\n")],
)
def test_formats(tmp_path: Path, name: str, start: str) -> None:
    text = write(tmp_path / "log", "--access-log-format", name)
    assert text.startswith(start)
    assert text.count("\n") == 1


def test_a_wrong_format_is_an_error_at_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse("--access-log", "--access-log-format", "{stat} 100%")
    assert end.value.code == USAGE
    assert (
        "argument --access-log-format: a log format knows no {stat}; did you mean {status}? There are {peer}, "
        in capsys.readouterr().err
    )
    with pytest.raises(ArgumentTypeError, match="expected common"):
        log_format("no placeholder")
    assert isinstance(log_format("common"), LogFormat)


def test_a_format_without_a_log_is_an_error() -> None:
    with pytest.raises(Failure, match="--access-log-format needs --access-log") as caught:
        check(parse("--access-log-format=json", "app:handler"))
    assert caught.value.status == USAGE


@pytest.mark.parametrize("taken", ["app:handler", "."])
def test_a_log_that_has_taken_what_is_to_be_served_is_an_error(taken: str) -> None:
    with pytest.raises(Failure, match=f"--access-log has taken '{taken}' for its file") as caught:
        check(parse("--access-log", taken))
    assert caught.value.status == USAGE


@pytest.mark.parametrize(
    "argv", [[], ["--access-log", "./a:b"], ["--access-log", "a:b", "c"], ["--access-log"]]
)
def test_options_that_are_right(argv: list[str]) -> None:
    assert check(parse(*argv)) is None  # type: ignore[func-returns-value]  # it might raise


def test_a_file_that_can_t_be_opened(base: EventBase, tmp_path: Path) -> None:
    arguments = parse(f"--access-log={tmp_path / 'no' / 'log'}")
    with (
        pytest.raises(Failure, match=r"the access log '.*log' can't be opened: No such file"),
        opened(base, arguments, rotates=True),
    ):
        pass


def test_standard_output(base: EventBase, capfd: pytest.CaptureFixture[str]) -> None:
    with opened(base, parse("--access-log", "--access-log-format={target}"), rotates=True) as log:
        assert log is not None
        log.complete(a_request())
    assert capfd.readouterr().out == "/a\n"
    os.fstat(1)


def test_standard_output_that_is_closed(base: EventBase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with (
        pytest.raises(Failure, match="standard output is closed"),
        opened(base, parse("--access-log"), rotates=True),
    ):
        pass


def test_a_full_disk_is_told_at_the_terminal(base: EventBase, capfd: pytest.CaptureFixture[str]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with opened(base, parse("--access-log=/dev/full"), rotates=True) as log:
        assert log is not None
        log.complete(a_request())
    first, second = capfd.readouterr().err.splitlines()
    assert first.startswith("evkit serve: writing the access log failed: No space left on device; ")
    assert second == "evkit serve: the access log ends; 1 line was lost"


def test_hup_opens_the_file_anew(
    config: Callable[..., EventConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, old = tmp_path / "log", tmp_path / "log.1"
    reopened = threading.Event()
    real = os.open

    def open_(name: str, flags: int, mode: int) -> int:
        fd = real(name, flags, mode)
        if threading.current_thread() is not threading.main_thread():
            reopened.set()
        return fd

    before = signal.getsignal(signal.SIGHUP)
    # One callback in a pass: the signal comes while the loop is too busy to write by itself.
    with monkeypatch.context() as patch, EventBase(config(max_dispatch_callbacks=1)) as base:
        patch.setattr(os, "open", open_)
        arguments = parse(f"--access-log={path}", "--access-log-format={target}")
        with opened(base, arguments, rotates=True) as log:
            assert log is not None
            assert signal.getsignal(signal.SIGHUP) is not before
            path.rename(old)
            base.call_soon(log.complete, a_request("/1"))
            base.call_soon(signal.raise_signal, signal.SIGHUP)
            for _ in range(10):
                base.call_soon(int)
            end = base.signal(signal.SIGHUP, lambda _event, _what: base.loopexit())
            end.add()
            base.dispatch()
            end.free()
            assert reopened.wait(PATIENCE)
            log.complete(a_request("/2"))
        assert signal.getsignal(signal.SIGHUP) is before
    assert (old.read_text(), path.read_text()) == ("/1\n", "/2\n")


@pytest.mark.parametrize(("path", "rotates"), [("log", False), ("-", True)])
def test_hup_is_left_alone(
    base: EventBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, rotates: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGHUP)
    with opened(base, parse(f"--access-log={path}"), rotates=rotates):
        assert signal.getsignal(signal.SIGHUP) is before
