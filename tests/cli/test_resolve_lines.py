"""Lines of files and pipes: where they end, which are bad, and that no more is read than is wanted."""

import os
import pty
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit import EventBase
from evkit.cli.errors import Failure
from evkit.cli.resolve_lines import BLOCK, LONGEST, Line, LineReader, LineSplitter
from evkit.core.flags import COUNT_ADDED, EVLOOP_NONBLOCK, EVLOOP_ONCE


def split(*blocks: bytes) -> list[Line]:
    splitter = LineSplitter()
    return [line for block in (*blocks, b"") for line in splitter.feed(block)]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"a", [Line(1, 1, "a")]),
        (b"a\n", [Line(1, 2, "a")]),
        (b"a\n\nb", [Line(1, 2, "a"), Line(2, 3, ""), Line(3, 4, "b")]),
        (b"a\r\n", [Line(1, 3, "a\r")]),
        ("gr\u00fc\u00df\n".encode(), [Line(1, 7, "gr\u00fc\u00df")]),
        (b"\xff\nb\n", [Line(1, 2, None), Line(2, 4, "b")]),
        (b"x" * LONGEST, [Line(1, LONGEST, "x" * LONGEST)]),
        (b"x" * LONGEST + b"x\nb", [Line(1, LONGEST + 2, None), Line(2, LONGEST + 3, "b")]),
        (b"x" * 3 * LONGEST, [Line(1, 3 * LONGEST, None)]),
    ],
)
def test_lines_end_where_they_end(data: bytes, lines: list[Line]) -> None:
    assert split(data) == lines
    assert split(*[data[index : index + 1] for index in range(len(data))]) == lines


@given(st.lists(st.binary(max_size=LONGEST + 2), max_size=5), st.lists(st.integers(1, 9000), max_size=9))
def test_how_the_bytes_come_changes_nothing(raw: list[bytes], cuts: list[int]) -> None:
    data = b"\n".join(raw)
    blocks, rest = [], data
    for cut in cuts:
        blocks.append(rest[:cut])
        rest = rest[cut:]
    pieces = [block for block in [*blocks, rest] if block]
    assert split(*pieces) == split(*([data] if data else []))


def test_a_line_without_end_fills_no_memory() -> None:
    splitter, block = LineSplitter(), b"x" * BLOCK
    tracemalloc.start()
    try:
        for _ in range(50):
            assert splitter.feed(block) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * BLOCK
    assert splitter.feed(b"y\nnext\n") == [Line(1, 50 * BLOCK + 2, None), Line(2, 50 * BLOCK + 7, "next")]


class Heard:
    """What a reader says that it has more."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def take_all(reader: LineReader) -> list[str | None]:
    lines = []
    while (line := reader.take()) is not None:
        lines.append(line.text)
    return lines


def test_a_file_is_read_as_it_is_taken(base: EventBase, tmp_path: Path) -> None:
    path = tmp_path / "names"
    path.write_bytes(b"name\n" * BLOCK)
    heard = Heard()
    with path.open("rb", buffering=0) as file:
        reader = LineReader(base, file.fileno(), "names", heard)
        assert reader.size == 5 * BLOCK
        assert reader.take() == Line(1, 5, "name")
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == BLOCK
        assert take_all(reader) == ["name"] * (BLOCK - 1)
        assert reader.ended
        assert reader.take() is None
        reader.close()
    assert heard.times == 0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    try:
        os.close(writer)
    except OSError:
        pass


def test_a_pipe_is_waited_for(base: EventBase, pipe: tuple[int, int]) -> None:
    heard = Heard()
    reader = LineReader(base, pipe[0], "-", heard)
    assert reader.size is None
    base.loop(EVLOOP_NONBLOCK)
    os.write(pipe[1], b"a\nb")
    base.loop(EVLOOP_NONBLOCK)
    assert heard.times == 0  # nobody has asked yet
    assert reader.take() is None
    base.loop(EVLOOP_NONBLOCK)
    assert heard.times == 1
    assert take_all(reader) == ["a"]
    os.write(pipe[1], b"b\n")
    os.close(pipe[1])
    base.loop(EVLOOP_NONBLOCK)
    assert take_all(reader) == ["bb"]
    assert not reader.ended
    base.loop(EVLOOP_NONBLOCK)
    assert (heard.times, reader.take(), reader.ended) == (3, None, True)
    reader.close()
    assert base.num_events(COUNT_ADDED) == 0


def test_a_terminal_is_waited_for(base: EventBase) -> None:
    leader, follower = pty.openpty()
    os.set_blocking(follower, False)  # to read before something was typed would be a failure, and not a wait
    heard = Heard()
    reader = LineReader(base, follower, "-", heard)
    assert reader.take() is None
    os.write(leader, b"typed\n")
    while not heard.times:
        base.loop(EVLOOP_ONCE)
    assert take_all(reader) == ["typed"]
    reader.close()
    os.close(leader)
    os.close(follower)


def test_devices_are_read_as_files_are(base: EventBase) -> None:
    with open(os.devnull, "rb") as file:
        reader = LineReader(base, file.fileno(), "null", Heard())
        assert (reader.take(), reader.ended, reader.size) == (None, True, None)
        reader.close()


def test_what_cannot_be_read_is_told(base: EventBase, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    reader = LineReader(base, fd, "folder", Heard())
    with pytest.raises(Failure, match=r"^folder can't be read: Is a directory$"):
        reader.take()
    reader.close()
    os.close(fd)


def test_it_shows_its_state(base: EventBase) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"a\nb\n")
        file.seek(0)
        reader = LineReader(base, file.fileno(), "names", Heard())
        reader.take()
        assert repr(reader) == "<LineReader names lines=1>"
        take_all(reader)
        assert repr(reader) == "<LineReader names lines=0 ended>"
        reader.close()
