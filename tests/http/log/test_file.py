"""Lines reach their file whatever it does, and the one who writes them never waits."""

import errno
import os
import select
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core import LOG_WARN, set_log_callback
from evkit.http.log import file as log_file
from evkit.http.log.file import CALM, Backlog, LogFile, write_lines
from evkit.testing import ManualClock
from patience import PATIENCE

FULL = OSError(errno.ENOSPC, "No space left on device")


class Told:
    """Who hears of troubles, in whichever thread."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._changed = threading.Condition()

    def __call__(self, text: str) -> None:
        with self._changed:
            self.texts.append(text)
            self._changed.notify_all()

    def until(self, count: int) -> list[str]:
        """Wait for so many texts."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.texts) >= count, PATIENCE), self.texts
            return list(self.texts)


@pytest.fixture
def told() -> Told:
    return Told()


class Opened:
    """Tells when a file was opened, in whichever thread."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._real = os.open
        self._event = threading.Event()
        patch.setattr(os, "open", self._open)

    def _open(self, path: str, flags: int, mode: int) -> int:
        fd = self._real(path, flags, mode)
        self._event.set()
        return fd

    def wait(self) -> None:
        assert self._event.wait(PATIENCE)
        self._event.clear()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    with monkeypatch.context() as patch:
        yield Opened(patch)


class Pipe:
    """Both ends of a pipe; the writing one is somebody else's to close."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def read(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        data = b""
        while len(data) < size:
            assert select.select([self.reader], [], [], PATIENCE)[0], data
            piece = os.read(self.reader, size - len(data))
            assert piece, data
            data += piece
        return data

    def rest(self) -> bytes:
        """Read to the end."""
        data = b""
        while True:
            assert select.select([self.reader], [], [], PATIENCE)[0], data
            piece = os.read(self.reader, 65536)
            if not piece:
                return data
            data += piece


@pytest.fixture
def pipe(open_descriptors: None) -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.reader)


# What waits, and what is lost


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def backlog(clock: ManualClock) -> Backlog:
    return Backlog(10, clock)


def test_what_is_added_is_taken(backlog: Backlog) -> None:
    assert not backlog
    assert backlog.add(b"a\n") is None
    assert backlog.add(b"b\n") is None
    assert len(backlog) == 4
    assert backlog.take() == b"a\nb\n"
    assert len(backlog) == 4  # until it is written
    assert backlog.written(4, None) is None
    assert not backlog
    assert backlog.take() == b""


def test_what_is_too_much_is_dropped_and_told_once(backlog: Backlog) -> None:
    assert backlog.add(b"1234\n6789\n") is None
    text = backlog.add(b"a\nb\n")
    assert text == "the access log is written too slowly; lines are dropped until it keeps up"
    assert backlog.add(b"c\n") is None
    assert backlog.lost == 3
    assert backlog.take() == b"1234\n6789\n"
    assert backlog.add(b"d\n") is None, "what is being written counts, too, and it was told before"
    assert backlog.lost == 4


def test_an_error_is_told_once_and_what_was_not_written_waits(backlog: Backlog) -> None:
    backlog.add(b"1234\n")
    backlog.take()
    backlog.add(b"6789\n")
    assert backlog.written(2, FULL) == (
        "writing the access log failed: No space left on device; up to 10 bytes of lines wait until it works again"
    )
    assert len(backlog) == 8
    assert backlog.take() == b"34\n6789\n"
    assert backlog.written(0, FULL) is None
    assert backlog.take() == b"34\n6789\n"
    assert backlog.lost == 0


def test_an_error_without_words(backlog: Backlog) -> None:
    backlog.add(b"1\n")
    backlog.take()
    assert "failed: odd; " in (backlog.written(0, OSError("odd")) or "")


def test_a_trouble_is_over_when_nothing_was_lost_for_a_while(backlog: Backlog, clock: ManualClock) -> None:
    backlog.add(b"1234\n6789\n")
    assert backlog.add(b"a\nb\n") is not None
    backlog.take()
    assert backlog.written(10, None) is None
    clock.advance(CALM / 2)
    backlog.add(b"1234\n6789\n")
    assert backlog.add(b"c\n") is None
    clock.advance(CALM / 2)
    backlog.take()
    assert backlog.written(10, None) is None, "a line was lost meanwhile"
    clock.advance(CALM)
    backlog.add(b"1\n")
    backlog.take()
    assert backlog.written(2, None) == "the access log is written again; 3 lines were lost"
    backlog.add(b"1\n")
    backlog.take()
    assert backlog.written(1, FULL) is not None, "a new trouble"
    clock.advance(CALM)
    backlog.take()
    assert backlog.written(1, None) == "the access log is written again; 0 lines were lost"
    assert backlog.lost == 3


def test_a_new_file_begins_with_a_whole_line(backlog: Backlog) -> None:
    backlog.add(b"1234\n6\n")
    backlog.take()
    backlog.written(2, FULL)
    backlog.add(b"8\n")
    backlog.begin_file()
    backlog.begin_file()
    assert len(backlog) == 4
    assert backlog.take() == b"6\n8\n"
    assert backlog.lost == 1


@pytest.mark.parametrize("count", [0, 5])
def test_a_new_file_gets_all_lines_that_were_not_begun(backlog: Backlog, count: int) -> None:
    backlog.add(b"1234\n6\n")
    backlog.take()
    backlog.written(count, FULL)
    backlog.begin_file()
    assert backlog.take() == b"1234\n6\n"[count:]
    assert backlog.lost == 0


def test_the_end_loses_what_waits(backlog: Backlog) -> None:
    backlog.add(b"1\n2\n")
    backlog.take()
    backlog.add(b"3\n")
    assert backlog.end() == "the access log ends; 3 lines were lost"
    assert backlog.lost == 3
    assert not backlog
    assert backlog.written(0, FULL) is None, "it may come late, and changes nothing"
    assert not backlog


def test_the_end_of_a_log_that_has_lost_nothing(backlog: Backlog) -> None:
    assert backlog.end() is None


def test_one_line_was_lost(backlog: Backlog) -> None:
    backlog.add(b"1\n")
    assert backlog.end() == "the access log ends; 1 line was lost"


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.lists(st.integers(0, 6), min_size=1, max_size=3)),
            st.tuples(st.just("write"), st.floats(0, 1)),
            st.tuples(st.just("new"), st.none()),
        ),
        max_size=30,
    )
)
def test_lines_are_written_whole_and_in_order_or_counted(calls: list[tuple[str, object]]) -> None:
    """The model: what was accepted comes out in order, but for lines torn by a new file; all others are counted."""
    backlog = Backlog(20, ManualClock())
    files = [b""]
    accepted: list[bytes] = []
    total = 0
    for call, value in calls:
        if call == "add":
            assert isinstance(value, list)
            lines = []
            for length in value:
                lines.append(b"%d" % total * (length > 0) + b"\n")
                total += 1
            lost = backlog.lost
            backlog.add(b"".join(lines))
            if backlog.lost == lost:
                accepted += lines
        elif call == "write":
            assert isinstance(value, float)
            data = backlog.take()
            count = int(len(data) * value)
            backlog.written(count, None if count == len(data) else FULL)
            files[-1] += data[:count]
        else:
            backlog.begin_file()
            files.append(b"")
        assert len(backlog) <= 20
    data = backlog.take()
    backlog.written(len(data), None)
    files[-1] += data
    whole = [line for file in files for line in file.splitlines(keepends=True) if line.endswith(b"\n")]
    assert len(whole) + backlog.lost == total
    rest = iter(accepted)
    assert all(line in rest for line in whole), "out of order, or torn"


# Writing


def test_a_pipe_gets_whole_lines_that_it_does_not_tear(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[bytes] = []

    def write(fd: int, data: memoryview) -> int:
        pieces.append(bytes(data))
        return len(data)

    line = b"x" * 999 + b"\n"
    long = b"y" * (2 * select.PIPE_BUF) + b"\n"
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        assert write_lines(pipe.writer, 9 * line + long + line) == (10 * 1000 + len(long), None)
    os.close(pipe.writer)
    assert b"".join(pieces) == 9 * line + long + line
    assert all(len(piece) <= select.PIPE_BUF for piece in pieces)
    torn = [piece for piece in pieces if not piece.endswith(b"\n")]
    assert all(set(piece) == set(b"y") for piece in torn)


def test_a_file_is_written_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = os.write

    def write(fd: int, data: memoryview) -> int:
        sizes.append(len(data))
        return real(fd, data)

    with (tmp_path / "a").open("wb") as file, monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        assert write_lines(file.fileno(), b"x\n" * 50_000) == (100_000, None)
    assert sizes == [100_000]


def test_a_pipe_that_does_not_block_takes_what_it_can(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    data = b"x\n" * 1_000_000
    count, error = write_lines(pipe.writer, data)
    assert error is None
    assert 0 < count < len(data)
    assert count % 2 == 0
    os.close(pipe.writer)


def test_a_descriptor_that_is_none_is_an_error(open_descriptors: None) -> None:
    count, error = write_lines(1_000_000, b"x\n")
    assert count == 0
    assert error is not None
    assert error.errno == errno.EBADF


# The thread


def test_lines_are_appended(tmp_path: Path, open_descriptors: None) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    with LogFile(path) as file:
        file.write(b"1\n")
        file.write(b"2\n")
        assert "waiting=" in repr(file)
    assert path.read_bytes() == b"before\n1\n2\n"
    assert repr(file) == f"<LogFile {path!r} closed lost=0>"
    file.close()


@pytest.mark.parametrize(("interval", "count"), [(0.0, 30), (log_file.INTERVAL, 2)])
def test_lines_come_soon_again_and_again(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch, interval: float, count: int
) -> None:
    monkeypatch.setattr(log_file, "INTERVAL", interval)
    with LogFile(pipe.writer) as file:
        for number in range(count):
            line = b"%d\n" % number
            file.write(line)
            assert pipe.read(len(line)) == line


def test_signals_are_left_to_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked: set[int] = set()

    def write(fd: int, data: memoryview) -> int:
        blocked.update(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        return len(data)

    with monkeypatch.context() as patch, LogFile(tmp_path / "log") as file:
        patch.setattr(os, "write", write)
        file.write(b"1\n")
        file.close()
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD} <= blocked
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_log_without_lines(tmp_path: Path, open_descriptors: None) -> None:
    before = threading.active_count()
    with LogFile(tmp_path / "log"):
        assert threading.active_count() == before
    assert (tmp_path / "log").read_bytes() == b""


def test_where_no_thread_can_be_had_lines_wait(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch, open_descriptors: None
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with LogFile(tmp_path / "lost", tell=told) as lost:
            lost.write(b"1\n")
        file = LogFile(tmp_path / "log")
        file.write(b"1\n")
    assert told.texts == ["the access log ends; 1 line was lost"]
    file.write(b"2\n")
    file.close()
    assert (tmp_path / "log").read_bytes() == b"1\n2\n"
    assert (tmp_path / "lost").read_bytes() == b""


def test_a_file_that_can_t_be_opened(tmp_path: Path, open_descriptors: None) -> None:
    with pytest.raises(FileNotFoundError):
        LogFile(tmp_path / "no" / "log")


def test_after_the_end_lines_are_counted(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log")
    file.close()
    file.close()
    file.write(b"1\n2\n")
    assert file.lost == 2
    file.reopen()
    assert (tmp_path / "log").read_bytes() == b""


def test_who_does_not_read_stops_nobody(pipe: Pipe, told: Told) -> None:
    file = LogFile(pipe.writer, tell=told, limit=100_000)
    line = b"x" * 99 + b"\n"
    for _ in range(10_000):
        file.write(line)
    assert told.texts == ["the access log is written too slowly; lines are dropped until it keeps up"]
    assert 0 < file.lost < 10_000
    before = file.lost
    file.close(0)
    assert len(told.texts) == 2
    assert told.texts[1].endswith(f"the access log ends; {file.lost} lines were lost")
    assert file.lost > before
    data = pipe.rest()  # and the thread, which has waited for a reader, ends
    assert data == line * (len(data) // 100)


def test_a_pipe_that_has_lost_its_reader(told: Told, open_descriptors: None) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with LogFile(writer, tell=told) as file:
        file.write(b"1\n")
        assert told.until(1) == [
            "writing the access log failed: Broken pipe; up to 1048576 bytes of lines wait until it works again"
        ]
        file.write(b"2\n")
    assert told.texts[1:] == ["the access log ends; 2 lines were lost"]
    assert file.lost == 2


def dev_full() -> str:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    return "/dev/full"


def test_what_a_full_disk_did_not_take_comes_when_it_works_again(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch, open_descriptors: None
) -> None:
    monkeypatch.setattr(log_file, "RETRY", 0.001)
    full = threading.Event()
    full.set()
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if full.is_set():
            raise FULL
        return real(fd, data)

    with monkeypatch.context() as patch, LogFile(tmp_path / "log", tell=told) as file:
        patch.setattr(os, "write", write)
        file.write(b"1\n")
        assert len(told.until(1)) == 1
        file.write(b"2\n")
        full.clear()
    assert (tmp_path / "log").read_bytes() == b"1\n2\n"
    assert len(told.texts) == 1
    assert file.lost == 0


def test_a_log_that_is_moved_away_goes_on_under_its_name(
    tmp_path: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch, open_descriptors: None
) -> None:
    monkeypatch.setattr(log_file, "INTERVAL", 1000.0)  # neither this nor the end waits for it
    path, old = tmp_path / "log", tmp_path / "log.1"
    with LogFile(path) as file:
        opened.wait()
        file.write(b"1\n")
        path.rename(old)
        file.reopen()
        opened.wait()
        file.write(b"2\n")
    assert old.read_bytes() == b"1\n"
    assert path.read_bytes() == b"2\n"


def test_a_log_that_has_written_nothing_can_be_opened_anew(
    tmp_path: Path, opened: Opened, open_descriptors: None
) -> None:
    path = tmp_path / "log"
    with LogFile(path) as file:
        opened.wait()
        path.unlink()
        file.reopen()
        opened.wait()
        file.write(b"1\n")
    assert path.read_bytes() == b"1\n"


def test_a_full_disk_loses_nothing_when_the_log_moves_to_another(
    tmp_path: Path, told: Told, opened: Opened, open_descriptors: None
) -> None:
    path = tmp_path / "log"
    path.symlink_to(dev_full())
    with LogFile(path, tell=told) as file:
        opened.wait()
        file.write(b"1\n")
        assert "No space left on device" in told.until(1)[0]
        path.unlink()
        file.reopen()
        opened.wait()
        file.write(b"2\n")
    assert path.read_bytes() == b"1\n2\n"
    assert len(told.texts) == 1


def test_half_a_line_does_not_begin_the_new_file(
    tmp_path: Path, told: Told, opened: Opened, monkeypatch: pytest.MonkeyPatch, open_descriptors: None
) -> None:
    path, old = tmp_path / "log", tmp_path / "log.1"
    real = os.write
    calls = 0

    def write(fd: int, data: memoryview) -> int:
        nonlocal calls
        calls += 1
        if calls in (2, 3):  # the rest, and the rest once more before the file is left
            raise FULL
        return real(fd, data[:1] if calls == 1 else data)

    with LogFile(path, tell=told) as file:
        opened.wait()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            file.write(b"12\n34\n")
            assert len(told.until(1)) == 1
            path.rename(old)
            file.reopen()
            opened.wait()
            file.close()
    assert old.read_bytes() == b"1"
    assert path.read_bytes() == b"34\n"
    assert told.texts[1:] == ["the access log ends; 1 line was lost"]


def test_what_has_failed_is_not_tried_all_the_time(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch, open_descriptors: None
) -> None:
    monkeypatch.setattr(log_file, "INTERVAL", 0.0)
    monkeypatch.setattr(log_file, "RETRY", 1000.0)
    calls = 0

    def write(fd: int, data: memoryview) -> int:
        nonlocal calls
        calls += 1
        raise FULL

    with monkeypatch.context() as patch, LogFile(tmp_path / "log", tell=told) as file:
        patch.setattr(os, "write", write)
        file.write(b"1\n")
        told.until(1)
        for _ in range(1000):
            file.write(b"2\n")
        file.close()  # which tries once more
    assert calls == 2
    assert file.lost == 1001


def test_a_log_that_can_t_be_opened_anew_goes_on(tmp_path: Path, told: Told, open_descriptors: None) -> None:
    path = tmp_path / "logs" / "log"
    path.parent.mkdir()
    with LogFile(path, tell=told) as file:
        path.parent.rename(tmp_path / "old")
        file.reopen()
        assert told.until(1) == [
            f"the access log {path!r} can't be reopened: No such file or directory; the old one goes on"
        ]
        file.write(b"1\n")
    assert (tmp_path / "old" / "log").read_bytes() == b"1\n"


@pytest.fixture
def failing_close(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closing a file tells what could not be written, as a network's file system does."""
    real = os.close

    def close(fd: int) -> None:
        real(fd)
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", close)
        yield


CLOSING_FAILED = "closing the access log failed: Disk quota exceeded"


def test_an_old_log_tells_when_it_is_closed_what_it_has_lost(
    tmp_path: Path, told: Told, open_descriptors: None, failing_close: None
) -> None:
    path, old = tmp_path / "log", tmp_path / "log.1"
    with LogFile(path, tell=told) as file:
        path.rename(old)
        file.reopen()
        assert told.until(1) == [CLOSING_FAILED]
        file.write(b"1\n")
    assert path.read_bytes() == b"1\n"


@pytest.mark.parametrize("lines", [b"", b"1\n"])
def test_a_log_tells_when_it_is_closed_what_it_has_lost(
    tmp_path: Path, told: Told, open_descriptors: None, failing_close: None, lines: bytes
) -> None:
    with LogFile(tmp_path / "log", tell=told) as file:
        if lines:
            file.write(lines)
    assert told.texts == [CLOSING_FAILED]


def test_a_descriptor_can_t_be_opened_anew(pipe: Pipe) -> None:
    with LogFile(pipe.writer) as file:
        file.write(b"1\n")
        assert pipe.read(2) == b"1\n"
        file.reopen()
        file.write(b"2\n")
        assert pipe.read(2) == b"2\n"


def test_troubles_go_to_the_log_of_evkit(open_descriptors: None) -> None:
    heard = Told()
    severities: list[int] = []
    reader, writer = os.pipe()
    os.close(reader)

    def hear(severity: int, text: str) -> None:
        severities.append(severity)
        heard(text)

    set_log_callback(hear)
    try:
        with LogFile(writer) as file:
            file.write(b"1\n")
            assert "Broken pipe" in heard.until(1)[0]
    finally:
        set_log_callback(None)
    assert severities == [LOG_WARN, LOG_WARN]


def test_who_can_t_be_told_ends_nothing(open_descriptors: None) -> None:
    heard = Told()
    reader, writer = os.pipe()
    os.close(reader)

    def fail(text: str) -> None:
        raise ValueError("deaf")

    set_log_callback(lambda _severity, text: heard(text))
    try:
        file = LogFile(writer, tell=fail)
        file.write(b"1\n")
        (text,) = heard.until(1)
        assert "Broken pipe" in text
        assert text.endswith("and telling so failed with ValueError('deaf')")
        file.close()
    finally:
        set_log_callback(None)
    assert file.lost == 1
