"""A LockedBuffer holds its lock during each call, two locks in one order, and none afterwards."""

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import pytest

from evkit.core.buffer import Buffer, BufferInfo, FileSegment
from evkit.core.buffer.locked import LockedBuffer
from patience import PATIENCE


class Watched:
    """A lock that knows how often it is held, and notes when it is taken."""

    def __init__(self, taken: "list[Watched] | None" = None) -> None:
        self.lock = threading.RLock()
        self.depth = 0
        self.taken = taken if taken is not None else []

    def acquire(self) -> bool:
        self.lock.acquire()
        self.depth += 1
        self.taken.append(self)
        return True

    def release(self) -> None:
        self.depth -= 1
        self.lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> None:
        self.release()


class Sink:
    def send(self, data: bytes | memoryview, /) -> int:
        return len(data)

    def sendmsg(self, buffers: object, /) -> int:
        raise AssertionError(buffers)

    def recv(self, size: int, /) -> bytes:
        return bytes(size)

    def fileno(self) -> int:
        return -1


class Loop:
    """Takes calls from any thread, and no other way."""

    def __init__(self) -> None:
        self.due: list[Callable[[], object]] = []

    def call_soon(self, callback: Callable[[], object], /) -> None:
        raise AssertionError("it may be called in the loop's thread only")

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> None:
        self.due.append(callback)


def add_file(buffer: Buffer, path: Path) -> None:
    buffer.add_file(os.open(path, os.O_RDONLY))


def add_segment(buffer: Buffer, path: Path) -> None:
    with FileSegment(os.open(path, os.O_RDONLY)) as segment:
        buffer.add_file_segment(segment)


def limit(buffer: Buffer, path: Path) -> None:
    buffer.max_length = 5000


CALLS: dict[str, Callable[[LockedBuffer, Path], object]] = {
    "__bool__": lambda buffer, path: bool(buffer),
    "__bytes__": lambda buffer, path: bytes(buffer),
    "__contains__": lambda buffer, path: b"a" in buffer,
    "__iter__": lambda buffer, path: iter(buffer),
    "__len__": lambda buffer, path: len(buffer),
    "add": lambda buffer, path: buffer.add(b"x"),
    "add_buffer": lambda buffer, path: buffer.add_buffer(Buffer(b"x")),
    "add_buffer_reference": lambda buffer, path: buffer.add_buffer_reference(Buffer(b"x")),
    "add_callback": lambda buffer, path: buffer.add_callback(print),
    "add_file": add_file,
    "add_file_segment": add_segment,
    "add_iovec": lambda buffer, path: buffer.add_iovec([b"x", b"y"]),
    "add_reference": lambda buffer, path: buffer.add_reference(b"x"),
    "feed": lambda buffer, path: buffer.feed(b"x"),
    "clear": lambda buffer, path: buffer.clear(),
    "commit": lambda buffer, path: buffer.commit(0),
    "spend": lambda buffer, path: buffer.spend(1),
    "copyout": lambda buffer, path: buffer.copyout(),
    "defer_callbacks": lambda buffer, path: buffer.defer_callbacks(Loop()),
    "drain": lambda buffer, path: buffer.drain(1),
    "expand": lambda buffer, path: buffer.expand(1),
    "first_size": lambda buffer, path: buffer.first_size,
    "forget_callback": lambda buffer, path: buffer.add_callback(print).remove(),
    "freeze": lambda buffer, path: buffer.freeze(front=True),
    "front": lambda buffer, path: buffer.front(),
    "max_length": limit,
    "peek": lambda buffer, path: buffer.peek(),
    "prepend": lambda buffer, path: buffer.prepend(b"x"),
    "prepend_buffer": lambda buffer, path: buffer.prepend_buffer(Buffer(b"x")),
    "pullup": lambda buffer, path: buffer.pullup(),
    "read": lambda buffer, path: buffer.read(Sink(), 1),
    "readln": lambda buffer, path: buffer.readln(),
    "remove": lambda buffer, path: buffer.remove(),
    "remove_buffer": lambda buffer, path: buffer.remove_buffer(Buffer(), 1),
    "remove_into": lambda buffer, path: buffer.remove_into(bytearray(2)),
    "reserve": lambda buffer, path: buffer.reserve(1),
    "reserve_iovec": lambda buffer, path: buffer.reserve_iovec([1]),
    "run_deferred": lambda buffer, path: buffer.run_deferred(),
    "search": lambda buffer, path: buffer.search(b"a"),
    "search_eol": lambda buffer, path: buffer.search_eol(),
    "send_to": lambda buffer, path: buffer.send_to(Sink(), 1),
    "unfreeze": lambda buffer, path: buffer.unfreeze(front=True),
    "write": lambda buffer, path: buffer.write(Sink(), 1),
}
UNLOCKED = {"lock", "max_read", "length", "owner", "__init__", "__repr__"}


def test_every_call_of_a_buffer_is_known_here_and_overridden() -> None:
    defined = {
        name
        for kind in Buffer.__mro__[:-1]
        for name, thing in vars(kind).items()
        if not name.startswith("_") or (name.startswith("__") and callable(thing))
    }
    assert defined - UNLOCKED == set(CALLS)
    assert set(CALLS) <= set(vars(LockedBuffer))


@pytest.mark.parametrize("name", CALLS)
def test_each_call_holds_the_lock_and_gives_it_up(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    lock = Watched()
    buffer = LockedBuffer(b"abc\ndef", lock=lock)
    buffer.reserve(1)
    lock.taken.clear()
    CALLS[name](buffer, path)
    assert lock.taken
    assert lock.depth == 0


def test_a_failing_call_gives_the_lock_up() -> None:
    lock = Watched()
    buffer = LockedBuffer(lock=lock)
    with pytest.raises(ValueError, match="-1"):
        buffer.drain(-1)
    with pytest.raises(TypeError, match="expected a Buffer"):
        buffer.add_buffer(b"x")  # type: ignore[arg-type]  # the point of the test
    assert lock.depth == 0


def test_callbacks_and_cleanup_run_with_the_lock_held() -> None:
    lock = Watched()
    depths: list[int] = []
    buffer = LockedBuffer(lock=lock)
    buffer.add_callback(lambda *_: depths.append(lock.depth))
    buffer.add_reference(b"abc", lambda data: depths.append(lock.depth))
    buffer.clear()
    assert len(depths) == 3
    assert all(depths)


def test_deferred_callbacks_come_by_the_threads_way_in_and_hold_the_lock() -> None:
    lock, loop = Watched(), Loop()
    heard: list[tuple[BufferInfo, bool]] = []
    buffer = LockedBuffer(lock=lock)
    buffer.add_callback(lambda _, info: heard.append((info, bool(lock.depth))))
    buffer.defer_callbacks(loop)
    buffer.add(b"abc")
    buffer.drain(1)
    (run,) = loop.due
    run()
    assert heard == [(BufferInfo(0, 3, 1), True)]


MOVES: dict[str, Callable[[Buffer, Buffer], object]] = {
    "add_buffer": lambda one, other: one.add_buffer(other),
    "add_buffer_reference": lambda one, other: one.add_buffer_reference(other),
    "prepend_buffer": lambda one, other: one.prepend_buffer(other),
    "remove_buffer": lambda one, other: one.remove_buffer(other, 1),
}


@pytest.mark.parametrize("move", MOVES)
def test_two_locks_are_taken_in_one_order(move: str) -> None:
    taken: list[Watched] = []
    one, other = (LockedBuffer(b"abc", lock=Watched(taken)) for _ in range(2))
    firsts = []
    for pair in ((one, other), (other, one)):
        taken.clear()
        MOVES[move](*pair)
        assert set(taken) == {one.lock, other.lock}
        firsts.append(taken[0])
    assert firsts[0] is firsts[1]


@pytest.mark.parametrize("move", MOVES)
def test_a_plain_buffer_holds_the_lock_of_the_other(move: str) -> None:
    lock = Watched()
    plain, shared = Buffer(b"abc"), LockedBuffer(b"def", lock=lock)
    depths: list[int] = []
    plain.add_callback(lambda *_: depths.append(lock.depth))
    lock.taken.clear()
    MOVES[move](plain, shared)
    assert lock.taken
    assert depths
    assert all(depths)
    assert lock.depth == 0


@pytest.mark.parametrize("move", MOVES)
def test_moving_to_itself_is_as_for_a_plain_buffer(move: str) -> None:
    buffer = LockedBuffer(b"abc")
    if move == "add_buffer_reference":
        with pytest.raises(ValueError, match="itself"):
            MOVES[move](buffer, buffer)
    else:
        MOVES[move](buffer, buffer)
    assert bytes(buffer) == b"abc"


def test_compound_work_is_one_for_other_threads() -> None:
    buffer = LockedBuffer()
    seen: list[int] = []
    with buffer.lock:
        reader = threading.Thread(target=lambda: seen.append(len(buffer)))
        reader.start()
        buffer.add(b"ab")
        assert seen == []  # it waits, if it has come this far
        buffer.add(b"cd")
    reader.join(PATIENCE)
    assert seen == [4]


def test_its_repr_waits_for_nobody() -> None:
    """Who looks may be looking for a deadlock, or report the failure of a test."""
    buffer = LockedBuffer(b"abc")
    seen: list[str] = []
    with buffer.lock:
        thread = threading.Thread(target=lambda: seen.append(repr(buffer)), daemon=True)
        thread.start()
        thread.join(PATIENCE)
    assert seen == ["<LockedBuffer 3 bytes in 1 segments>"]


def test_a_plain_buffer_may_be_locked_and_nothing_happens() -> None:
    buffer = Buffer(b"abc")
    with buffer.lock, buffer.lock:
        assert buffer.remove() == b"abc"


def test_a_lock_may_be_shared() -> None:
    lock = threading.RLock()
    one, other = LockedBuffer(b"abc", lock=lock), LockedBuffer(lock=lock)
    assert one.lock is other.lock is lock
    other.add_buffer(one)
    assert bytes(other) == b"abc"


def test_the_limit_works_as_for_a_plain_buffer() -> None:
    buffer = LockedBuffer(b"ab")
    buffer.max_length = 3
    assert buffer.max_length == 3
    with pytest.raises(BufferError):
        buffer.add(b"cd")
    assert repr(buffer) == "<LockedBuffer 2 bytes in 1 segments>"


def test_threads_lose_nothing_and_never_wait_for_each_other_for_ever() -> None:
    """Two fill, two move to and fro, two take: each byte comes out once, and the callbacks' sums are right."""
    one, other = LockedBuffer(), LockedBuffer()
    heard = dict.fromkeys("+-", 0)

    def note(_: Buffer, info: BufferInfo) -> None:
        heard["+"] += info.added
        heard["-"] += info.deleted

    one.add_callback(note)
    out = [io.BytesIO(), io.BytesIO()]
    start = threading.Barrier(6)

    def fill(letter: bytes) -> None:
        start.wait(PATIENCE)
        for _ in range(2000):
            one.add(letter)

    def move(source: LockedBuffer, target: LockedBuffer) -> None:
        start.wait(PATIENCE)
        for _ in range(1000):
            target.add_buffer(source)

    def take(source: LockedBuffer, into: io.BytesIO) -> None:
        start.wait(PATIENCE)
        for _ in range(1000):
            into.write(source.remove(3))

    threads = [
        threading.Thread(target=target, args=args, daemon=True)
        for target, args in (
            (fill, (b"a",)),
            (fill, (b"b",)),
            (move, (one, other)),
            (move, (other, one)),
            (take, (one, out[0])),
            (take, (other, out[1])),
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    everything = bytes(one) + bytes(other) + out[0].getvalue() + out[1].getvalue()
    assert sorted(everything) == sorted(b"ab" * 2000)
    assert heard["+"] - heard["-"] == len(one)
