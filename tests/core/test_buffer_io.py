"""Buffers that hold what is not theirs (references, files), and buffers at a socket or a descriptor."""

import errno
import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from evkit.core.buffer import DEFAULT_MAX_READ, Buffer
from evkit.errors import FrozenBufferError

CONTENT = bytes(range(256)) * 40
# More than any socket buffer holds by default.
HUGE = bytes(8 * 1024 * 1024)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "content"
    file.write_bytes(CONTENT)
    return file


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY)


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def receive(sock: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        data = sock.recv(size - len(received))
        assert data
        received += data
    return bytes(received)


class Recorder:
    """A socket that takes what it is told to, and remembers which call offered what."""

    def __init__(self, takes: int) -> None:
        self.takes = takes
        self.calls: list[tuple[str, list[bytes]]] = []

    def recv(self, size: int, /) -> bytes:
        return b"r" * size

    def send(self, data: bytes | memoryview, /) -> int:
        self.calls.append(("send", [bytes(data)]))
        return min(self.takes, len(data))

    def sendmsg(self, buffers: object, /) -> int:
        assert isinstance(buffers, list)
        self.calls.append(("sendmsg", [bytes(data) for data in buffers]))
        return min(self.takes, sum(map(len, buffers)))

    def fileno(self) -> int:
        return -1


# References


def test_a_reference_is_not_copied() -> None:
    memory = bytearray(b"abc")
    buffer = Buffer()
    buffer.add_reference(memory)
    memory[0:1] = b"X"
    assert bytes(buffer) == b"Xbc"
    with pytest.raises(BufferError):
        memory.append(1)
    buffer.clear()
    memory.append(1)


def test_cleanup_runs_once_when_the_last_byte_goes() -> None:
    given: list[object] = []
    memory = bytearray(b"abc")
    buffer = Buffer(b"before")
    buffer.add_reference(memory, given.append)
    buffer.add(b"after")
    buffer.drain(8)
    assert given == []
    buffer.drain(1)
    assert len(given) == 1
    assert given[0] is memory
    buffer.clear()
    assert len(given) == 1


def test_cleanup_waits_for_every_part() -> None:
    given: list[object] = []
    source, target = Buffer(), Buffer()
    source.add_reference(b"abcdef", given.append)
    source.remove_buffer(target, 2)
    source.clear()
    assert given == []
    other = Buffer()
    other.add_buffer(target)
    assert given == []
    other.drain(2)
    assert given == [b"abcdef"]


def test_cleanup_when_the_buffer_is_garbage() -> None:
    given: list[object] = []
    buffer = Buffer()
    buffer.add_reference(b"abc", given.append)
    buffer.add_callback(print)  # entry and buffer refer to each other: only the collector finds them
    del buffer
    gc.collect()
    assert given == [b"abc"]


def test_cleanup_when_the_bytes_are_joined() -> None:
    given: list[object] = []
    buffer = Buffer()
    buffer.add_reference(b"abc", given.append)
    buffer.add(b"def")
    assert buffer.front() == (b"abcdef", 0)
    assert given == [b"abc"]


def test_an_empty_reference_is_given_back_at_once() -> None:
    given: list[object] = []
    buffer = Buffer()
    buffer.freeze(back=True)
    buffer.add_reference(b"", given.append)
    assert given == [b""]
    assert list(buffer) == []


def test_cleanup_is_not_called_after_a_failure() -> None:
    given: list[object] = []
    buffer = Buffer()
    with pytest.raises(TypeError, match="contiguous"):
        buffer.add_reference(memoryview(b"abcdef")[::2], given.append)
    buffer.freeze(back=True)
    with pytest.raises(FrozenBufferError):
        buffer.add_reference(b"abc", given.append)
    assert given == []


def test_cleanup_may_use_the_buffer() -> None:
    buffer = Buffer()
    seen: list[bytes] = []

    def cleanup(data: object) -> None:
        seen.append(bytes(buffer))
        buffer.add(b"!")

    buffer.add_reference(b"abc", cleanup)
    buffer.add(b"rest")
    buffer.drain(3)
    assert seen == [b"rest"]
    assert bytes(buffer) == b"rest!"
    buffer.clear()
    buffer.add_reference(b"abc", cleanup)
    buffer.clear()
    assert seen == [b"rest", b""]
    assert bytes(buffer) == b"!"
    buffer.prepend(b"tail")
    buffer.add_reference(b"abc", cleanup)
    buffer.add(b"def")
    assert bytes(buffer.pullup(9)) == b"tail!abcd"
    assert seen[2:] == [b"tail!abcdef"]
    assert bytes(buffer) == b"tail!abcdef!"


def test_a_failing_cleanup_does_not_stop_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda report: reported.append(report.exc_type))
    buffer = Buffer()

    def fail(data: object) -> None:
        raise RuntimeError("cleanup")

    buffer.add_reference(b"abc", fail)
    assert buffer.drain(3) == 3
    assert reported == [RuntimeError]


def test_words_are_counted_in_bytes() -> None:
    buffer = Buffer()
    buffer.add_reference(memoryview(b"abcdefgh").cast("I"))
    assert len(buffer) == 8
    assert buffer.remove(3) == b"abc"
    assert bytes(buffer) == b"defgh"


# Files


def test_a_file_is_closed_when_its_last_byte_goes(path: Path) -> None:
    descriptor = opened(path)
    buffer = Buffer(b"head")
    buffer.add_file(descriptor, 10, 20)
    buffer.add(b"tail")
    assert bytes(buffer) == b"head" + CONTENT[10:30] + b"tail"
    buffer.drain(23)
    assert is_open(descriptor)
    buffer.drain(1)
    assert not is_open(descriptor)
    assert bytes(buffer) == b"tail"


def test_a_file_to_its_end(path: Path) -> None:
    buffer = Buffer()
    buffer.add_file(opened(path))
    buffer.add_file(opened(path), len(CONTENT) - 3)
    assert len(buffer) == len(CONTENT) + 3
    assert buffer.remove() == CONTENT + CONTENT[-3:]


def test_a_file_object_is_closed_too(path: Path) -> None:
    file = path.open("rb")
    buffer = Buffer()
    buffer.add_file(file)
    file.seek(100)
    assert buffer.copyout(10) == CONTENT[:10]
    assert not file.closed
    buffer.clear()
    assert file.closed


def test_parts_of_a_file_share_its_descriptor(path: Path) -> None:
    descriptor = opened(path)
    source, target = Buffer(), Buffer()
    source.add_file(descriptor)
    source.remove_buffer(target, 1000)
    source.clear()
    assert is_open(descriptor)
    assert target.remove(999) == CONTENT[:999]
    assert is_open(descriptor)
    target.clear()
    assert not is_open(descriptor)


def test_nothing_of_a_file_closes_it(path: Path) -> None:
    descriptor = opened(path)
    buffer = Buffer()
    buffer.freeze(back=True)
    buffer.add_file(descriptor, 0, 0)
    assert not is_open(descriptor)
    assert list(buffer) == []


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, len(CONTENT) + 1), (len(CONTENT) + 1, None), (1, len(CONTENT)), (-1, 2), (0, -1)],
)
def test_a_range_outside_the_file_is_refused_and_closed(path: Path, offset: int, length: int | None) -> None:
    descriptor = opened(path)
    buffer = Buffer()
    with pytest.raises(ValueError, match=f"not within a file of {len(CONTENT)} bytes"):
        buffer.add_file(descriptor, offset, length)
    assert not is_open(descriptor)
    assert not buffer


def test_a_frozen_buffer_closes_the_file_at_once(path: Path) -> None:
    descriptor = opened(path)
    buffer = Buffer()
    buffer.freeze(back=True)
    # The exception, and with it the frames that know the file, is alive at the assertion.
    with pytest.raises(FrozenBufferError) as caught:
        buffer.add_file(descriptor)
    assert not is_open(descriptor)
    assert caught.tb is not None


def test_a_refused_file_is_closed_only_once(path: Path) -> None:
    descriptor = opened(path)
    with pytest.raises(ValueError, match="not within"):
        Buffer().add_file(descriptor, -1)
    again = opened(path)
    assert again == descriptor
    gc.collect()
    assert is_open(again)
    os.close(again)


def test_only_a_regular_file_is_taken() -> None:
    reading, writing = os.pipe()
    with pytest.raises(ValueError, match="regular file"):
        Buffer().add_file(reading)
    assert not is_open(reading)
    os.close(writing)
    with pytest.raises(OSError, match="Bad file descriptor"):
        Buffer().add_file(reading)
    with pytest.raises(TypeError, match="expected a file descriptor or an open file, got str"):
        Buffer().add_file("name")  # type: ignore[arg-type]  # that is the test


def test_a_closed_file_object_is_refused(path: Path) -> None:
    file = path.open("rb")
    file.close()
    with pytest.raises(ValueError, match="closed file"):
        Buffer().add_file(file)


def test_a_file_cut_short_is_an_error_and_no_zeroes(
    path: Path, pair: tuple[socket.socket, socket.socket]
) -> None:
    buffer = Buffer()
    buffer.add_file(opened(path))
    os.truncate(path, 5000)
    assert buffer.copyout(5000) == CONTENT[:5000]
    for call in (bytes, Buffer.remove, Buffer.pullup, lambda buffer: buffer.search(b"nowhere")):
        with pytest.raises(
            OSError, match=f"to have {len(CONTENT)} bytes but ends at or before 5000"
        ) as caught:
            call(buffer)
        assert caught.value.errno == errno.EIO
    assert buffer.write(pair[0]) == 5000
    with pytest.raises(OSError, match="ends at or before 5000"):
        buffer.write(pair[0])
    assert len(buffer) == len(CONTENT) - 5000


def test_a_file_is_sent_from_the_front_only(path: Path, pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    descriptor = opened(path)
    buffer = Buffer(b"head")
    buffer.add_file(descriptor, 100, 1000)
    buffer.add(b"tail")
    assert buffer.write(ours) == 4
    assert buffer.write(ours, 600) == 600
    assert buffer.write(ours, 600) == 400
    assert not is_open(descriptor)
    assert buffer.write(ours) == 4
    assert receive(theirs, 1008) == b"head" + CONTENT[100:1100] + b"tail"
    assert not buffer


def test_where_sendfile_cannot_the_file_is_read(path: Path, tmp_path: Path) -> None:
    # Linux refuses sendfile to a file that is opened for appending.
    copy = tmp_path / "copy"
    target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    buffer = Buffer()
    buffer.add_file(opened(path))
    assert buffer.write(target, 300) == 300
    assert buffer.write(target) == len(CONTENT) - 300
    os.close(target)
    assert copy.read_bytes() == CONTENT


def test_a_large_file_is_searched_over_its_chunks(tmp_path: Path) -> None:
    # Chunks of 1, 2, 4 ... 256, 256 KiB: each needle lies over the end of one.
    ends = [size * 1024 for size in (1, 3, 127, 255, 511, 767)]
    content = bytearray(800_000)
    for end in ends:
        content[end - 3 : end + 3] = b"needle"
    path = tmp_path / "large"
    path.write_bytes(content)
    buffer = Buffer()
    buffer.add_file(opened(path))
    for end in ends:
        assert buffer.search(b"needle") == end - 3
        content[end] = 0
        path.write_bytes(content)
    assert buffer.search(b"needle") == -1


# Sockets and descriptors


def test_write_to_a_full_socket_is_partial(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    buffer = Buffer(HUGE)
    sent = buffer.write(ours)
    assert 0 < sent < len(HUGE)
    assert len(buffer) == len(HUGE) - sent
    try:
        while True:
            sent += buffer.write(ours)
    except BlockingIOError:
        pass
    assert len(buffer) == len(HUGE) - sent
    assert receive(theirs, sent) == HUGE[:sent]


def test_read_takes_what_there_is(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    buffer = Buffer(b"a")
    with pytest.raises(BlockingIOError):
        buffer.read(ours)
    theirs.send(b"bcdef")
    assert buffer.read(ours, 2) == 2
    assert buffer.read(ours) == 3
    assert bytes(buffer) == b"abcdef"
    theirs.close()
    assert buffer.read(ours) == 0
    assert bytes(buffer) == b"abcdef"


def test_read_is_limited() -> None:
    buffer = Buffer()
    assert buffer.max_read == DEFAULT_MAX_READ == 4096
    assert buffer.read(Recorder(0)) == 4096
    buffer.max_read = 10
    assert buffer.read(Recorder(0), 100) == 10
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=f"got {wrong}"):
            buffer.max_read = wrong
        with pytest.raises(ValueError, match=f"got {wrong}"):
            buffer.read(Recorder(0), wrong)


def test_one_segment_goes_by_send_as_it_is() -> None:
    sock = Recorder(3)
    buffer = Buffer(b"abcdef")
    assert buffer.write(sock) == 3
    assert buffer.write(sock, 2) == 2
    assert buffer.write(sock) == 1
    assert buffer.write(sock) == 0
    assert sock.calls == [("send", [b"abcdef"]), ("send", [b"de"]), ("send", [b"f"])]


def test_several_segments_go_by_one_sendmsg() -> None:
    sock = Recorder(4)
    buffer = Buffer()
    for part in (b"abc", b"def", b"ghi"):
        buffer.add_reference(bytearray(part))
    assert buffer.write(sock, 8) == 4
    assert buffer.write(sock, 4) == 4
    assert sock.calls == [("sendmsg", [b"abc", b"def", b"gh"]), ("sendmsg", [b"ef", b"gh"])]
    assert bytes(buffer) == b"i"


def test_a_head_and_a_body_go_by_one_sendmsg_however_much_it_takes() -> None:
    head, body = b"head" * 1024, b"body" * 1024
    buffer = Buffer(head)
    buffer.add(body)
    some, more, few = Recorder(4), Recorder(5000), Recorder(10)
    assert buffer.write(some) == 4
    assert buffer.write(more) == 5000
    assert some.calls == [("sendmsg", [head, body])]
    assert more.calls == [("sendmsg", [head[4:], body])]
    assert bytes(buffer) == (head + body)[5004:]
    buffer = Buffer(head)
    buffer.add(body)
    assert buffer.write(few, 4100) == 10
    assert few.calls == [("sendmsg", [head, body[:4]])]


def test_one_sendmsg_takes_128_segments() -> None:
    sock = Recorder(1000)
    buffer = Buffer()
    for _ in range(200):
        buffer.add_reference(bytearray(b"x"))
    assert buffer.write(sock) == 128
    assert len(buffer) == 72


def test_nothing_to_send_sends_nothing() -> None:
    sock = Recorder(9)
    assert Buffer().write(sock) == 0
    assert Buffer(b"abc").write(sock, 0) == 0
    assert sock.calls == []
    with pytest.raises(ValueError, match="-1"):
        Buffer(b"abc").write(sock, -1)


def test_descriptors_work_like_sockets() -> None:
    reading, writing = os.pipe()
    buffer = Buffer()
    for part in (b"abc", b"def"):
        buffer.add_reference(bytearray(part))
    assert buffer.write(writing, 5) == 5
    assert buffer.write(writing) == 1
    assert buffer.read(reading) == 6
    assert bytes(buffer) == b"abcdef"
    os.close(writing)
    assert buffer.read(reading) == 0
    os.close(reading)
