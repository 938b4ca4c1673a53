"""The line that shows progress: what it says, and when it is drawn."""

import os
from collections.abc import Iterator

import pytest

from evkit.cli.progress import Progress, ProgressLine, show_bytes, show_duration
from evkit.testing import FakeBase

MIB = 1 << 20


def at(total: int | None, done: int, seconds: float) -> Progress:
    """Return progress that has come so far, evenly, by one sample."""
    progress = Progress(total, 100.0)
    progress.done = done
    progress.sample(100.0 + seconds)
    return progress


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1023 * 1024, "1.0 MiB"),
        (27 * MIB, "27.0 MiB"),
        (5 << 40, "5.0 TiB"),
        (2.0**75, "32768.0 EiB"),
    ],
)
def test_sizes(number: float, shown: str) -> None:
    assert show_bytes(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0:00"),
        (7.4, "0:07"),
        (59.6, "1:00"),
        (754, "12:34"),
        (3600, "1:00:00"),
        (359_999, "99:59:59"),
        (360_000, "days"),
        (float("inf"), "days"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert show_duration(seconds) == shown


def test_the_line_with_a_total() -> None:
    told = "2.0 MiB of 8.0 MiB, 1.0 MiB/s, 0:06 left"
    progress = at(8 * MIB, 2 * MIB, 2.0)
    assert progress.line(79) == f" 25% [{'#' * 5}{'-' * 16}] {told}"
    assert progress.line(98) == f" 25% [{'#' * 10}{'-' * 30}] {told}"
    assert progress.line(500) == progress.line(98)
    assert progress.line(63) == f" 25% [#----] {told}"
    assert progress.line(62) == f" 25% {told}"
    assert progress.line(10) == " 25% 2.0 M"


def test_the_line_without_a_total() -> None:
    assert at(None, 3 * MIB, 2.0).line(79) == "3.0 MiB, 1.5 MiB/s"
    assert at(None, 3 * MIB, 2.0).line(5) == "3.0 M"


def test_a_line_is_never_wider_than_the_terminal() -> None:
    longest = at(999 << 60, 998 << 60, 1e-9)
    assert len(longest.line(79)) <= 79
    assert len(longest.line(200)) <= 200


def test_nothing_has_come_yet() -> None:
    assert Progress(10, 100.0).line(30) == "  0% 0 B of 10 B, 0 B/s"
    assert at(10, 0, 5.0).line(30) == "  0% 0 B of 10 B, 0 B/s"


def test_more_has_come_than_was_announced() -> None:
    assert at(100, 300, 1.0).line(50) == "100% 300 B of 100 B, 300 B/s, 0:00 left"


def test_nothing_is_to_come() -> None:
    assert Progress(0, 100.0).line(50) == "100% 0 B of 0 B, 0 B/s"


def test_the_rate_is_that_of_the_last_samples() -> None:
    progress = Progress(None, 0.0)
    for second in range(1, 101):
        progress.done += 1000
        progress.sample(float(second))
    assert progress.rate == 1000
    for second in range(101, 120):  # a stall is seen, and what was before it is forgotten
        progress.sample(float(second))
    assert progress.rate == 0


def test_the_summary() -> None:
    progress = at(None, 10 * MIB, 1.0)
    assert progress.summary(105.0) == "10.0 MiB in 0:05, 2.0 MiB/s"
    assert progress.summary(100.0) == "10.0 MiB in 0:00"


@pytest.fixture
def screen() -> Iterator[tuple[int, int]]:
    """What is drawn on, and where it can be read."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield writer, reader
    os.close(writer)
    os.close(reader)


def drawn(reader: int) -> str:
    try:
        return os.read(reader, 65536).decode()
    except BlockingIOError:
        return ""


def test_it_is_drawn_now_and_then_and_summed_up(fakes: FakeBase, screen: tuple[int, int]) -> None:
    writer, reader = screen
    progress = Progress(None, fakes.base.now())
    with ProgressLine(fakes.base, progress, writer):
        progress.done = 1000_000
        fakes.run(0.2)
        assert drawn(reader) == ""
        fakes.run(0.06)
        assert drawn(reader) == "\r976.6 KiB, 3.8 MiB/s"
        fakes.run(9.74)
        assert drawn(reader).endswith("\r976.6 KiB, 0 B/s")
    assert drawn(reader) == f"\r{'976.6 KiB in 0:10, 97.7 KiB/s'}\n"
    fakes.run(1.0)
    assert drawn(reader) == ""  # its timer is gone


def test_the_line_covers_what_stood_there(fakes: FakeBase, screen: tuple[int, int]) -> None:
    writer, reader = screen
    progress = Progress(None, fakes.base.now())
    with ProgressLine(fakes.base, progress, writer):
        progress.done = 1_000_000
        fakes.run(0.25)
        before = drawn(reader)
        progress.done = 1 << 20
        fakes.run(0.25)
        after = drawn(reader)
    assert (before, after) == ("\r976.6 KiB, 3.8 MiB/s", "\r1.0 MiB, 2.0 MiB/s  ")


def test_the_line_makes_way_for_something_else(fakes: FakeBase, screen: tuple[int, int]) -> None:
    writer, reader = screen
    with ProgressLine(fakes.base, Progress(None, fakes.base.now()), writer) as line:
        line.hide()
        line.unhide()
        assert drawn(reader) == ""  # it was not there yet
        fakes.run(0.25)
        assert drawn(reader) == "\r0 B, 0 B/s"
        line.hide()
        assert drawn(reader) == f"\r{' ' * 10}\r"
        line.hide()
        assert drawn(reader) == ""
        line.unhide()
        assert drawn(reader) == "\r0 B, 0 B/s"
        line.unhide()
        assert drawn(reader) == ""
        line.hide()
        fakes.run(0.25)  # it comes back by itself, too
        assert drawn(reader) == f"\r{' ' * 10}\r\r0 B, 0 B/s"
        line.hide()
    assert drawn(reader) == f"\r{' ' * 10}\r"  # and says nothing in the end


def test_what_is_soon_done_draws_nothing(fakes: FakeBase, screen: tuple[int, int]) -> None:
    writer, reader = screen
    with ProgressLine(fakes.base, Progress(None, fakes.base.now()), writer):
        fakes.run(0.2)
    assert drawn(reader) == ""


def run_and_fail(fakes: FakeBase) -> None:
    fakes.run(0.25)
    raise ValueError("on purpose")


def test_a_failure_is_told_on_a_line_of_its_own(fakes: FakeBase, screen: tuple[int, int]) -> None:
    writer, reader = screen
    line = ProgressLine(fakes.base, Progress(None, fakes.base.now()), writer)
    with pytest.raises(ValueError, match="on purpose"), line:
        run_and_fail(fakes)
    assert drawn(reader) == "\r0 B, 0 B/s\n"


def test_a_terminal_that_has_gone_is_no_failure(fakes: FakeBase) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    progress = Progress(None, fakes.base.now())
    with ProgressLine(fakes.base, progress, writer):
        fakes.run(1.0)
    os.close(writer)
    assert progress.rate == 0


def test_the_width_is_that_of_the_terminal(
    fakes: FakeBase, screen: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = screen
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((8, 24)))
    with ProgressLine(fakes.base, Progress(None, fakes.base.now()), writer):
        fakes.run(0.25)
        assert drawn(reader) == "\r0 B, 0 "
        monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((0, 0)))  # it can't tell
        fakes.run(0.25)
        assert drawn(reader) == "\r0 B, 0 B/s"


def test_they_show_their_state(fakes: FakeBase) -> None:
    progress = Progress(10, 0.0)
    assert repr(progress) == "<Progress 0 of 10 bytes>"
    with ProgressLine(fakes.base, progress) as line:
        assert repr(line) == "<ProgressLine <Progress 0 of 10 bytes>>"
