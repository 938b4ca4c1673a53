"""Words to the terminal: at once, on one line, and never a failure of their own."""

import os
import sys
from contextlib import ExitStack
from io import BytesIO, TextIOWrapper

import pytest

from evkit.cli.errors import Failure
from evkit.cli.terminal import flush_output, one_line, say, show


def test_say_writes_what_cannot_be_encoded(capfd: pytest.CaptureFixture[str]) -> None:
    say("é \udcff")
    assert capfd.readouterr().err == "é \\udcff\n"


def test_say_to_nobody(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)  # what Python makes of a descriptor that was closed from the start
        say("this could reach a client whose socket has the number 2")
    assert capfd.readouterr().err == ""


def test_say_to_a_pipe_without_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def broken(fd: int, data: bytes) -> int:
        calls.append(fd)
        raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", broken)
        say("hello")
    assert calls == [2]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\n b\t\tc ", "a b c"), ("", ""), ("it's", "it's"), ("a\x1b[31m", "a\\x1b[31m"), ("ü", "ü")],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


def test_show_and_flush(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    show("text")
    assert flush_output()
    assert capsys.readouterr().out == "text\n"
    monkeypatch.setattr(sys, "stdout", None)
    assert flush_output()


def test_show_what_cannot_be_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, "ascii"))
    show("é")
    assert written.getvalue() == b"\\xe9\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_show_on_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as files:
        full = files.enter_context(open("/dev/full", "w"))
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(Failure, match="standard output can't be written to: No space left on device"):
            show("text")
        assert not flush_output()
        assert flush_output()  # what is left went nowhere
