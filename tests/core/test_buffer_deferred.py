"""Deferred callbacks: the totals gather until the loop runs them, and the owner hears of each change at once."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.base import EventBase
from evkit.core.buffer import Buffer, BufferInfo, Flow
from evkit.errors import LoopError


class Later:
    """A loop's end of the protocol: keeps what is to be called, and calls it when told."""

    def __init__(self) -> None:
        self.due: list[Callable[[], object]] = []

    def call_soon(self, callback: Callable[[], object], /) -> None:
        self.due.append(callback)

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> None:
        pytest.fail("one thread needs no other's way in")

    def run(self) -> int:
        due, self.due = self.due, []
        for callback in due:
            callback()
        return len(due)


class Owner:
    def __init__(self) -> None:
        self.changes: list[tuple[int, int]] = []

    def buffer_changed(self, buffer: Flow, added: int, deleted: int) -> None:
        self.changes.append((added, deleted))


def deferred(data: bytes = b"") -> tuple[Buffer, Later, list[BufferInfo]]:
    """Give a buffer whose callback notes what it hears."""
    buffer, later, heard = Buffer(data), Later(), list[BufferInfo]()
    buffer.add_callback(lambda _, info: heard.append(info))
    buffer.defer_callbacks(later)
    return buffer, later, heard


def test_totals_gather_until_the_loop_runs() -> None:
    buffer, later, heard = deferred(b"abc")
    buffer.add(b"defg")
    buffer.drain(5)
    buffer.feed(b"h")
    assert heard == []
    assert later.run() == 1
    assert heard == [BufferInfo(3, 5, 5)]
    assert later.run() == 0


def test_what_came_and_went_is_told_all_the_same() -> None:
    buffer, later, heard = deferred()
    buffer.add(b"abc")
    buffer.clear()
    later.run()
    assert heard == [BufferInfo(0, 3, 3)]


def test_the_owner_hears_at_once() -> None:
    buffer, later, heard = deferred()
    owner = buffer.owner = Owner()
    buffer.add(b"abc")
    buffer.drain(1)
    assert owner.changes == [(3, 0), (0, 1)]
    assert heard == []
    later.run()
    assert heard == [BufferInfo(0, 3, 1)]
    assert len(owner.changes) == 2


def test_without_callbacks_nothing_gathers() -> None:
    buffer, later = Buffer(), Later()
    buffer.defer_callbacks(later)
    buffer.prepend(b"abc")
    assert later.due == []
    heard: list[BufferInfo] = []
    buffer.add_callback(lambda _, info: heard.append(info))
    buffer.add(b"de")
    later.run()
    assert heard == [BufferInfo(3, 2, 0)]


def test_who_comes_after_all_have_gone_hears_nothing_of_before() -> None:
    buffer, later = Buffer(), Later()
    buffer.defer_callbacks(later)
    entry = buffer.add_callback(lambda *_: pytest.fail("removed"))
    buffer.add(b"abc")
    entry.remove()
    heard: list[BufferInfo] = []
    buffer.add_callback(lambda _, info: heard.append(info))
    later.run()
    assert heard == []
    buffer.drain(1)
    later.run()
    assert heard == [BufferInfo(3, 0, 1)]


def test_a_callback_that_changes_the_buffer_is_called_by_the_next_run() -> None:
    buffer, later = Buffer(b"abc"), Later()
    heard: list[BufferInfo] = []

    def drain_one(buffer: Buffer, info: BufferInfo) -> None:
        heard.append(info)
        buffer.drain(1)

    buffer.add_callback(drain_one)
    buffer.defer_callbacks(later)
    buffer.add(b"d")
    assert [later.run() for _ in range(6)] == [1, 1, 1, 1, 1, 0]
    assert heard == [BufferInfo(3, 1, 0), *(BufferInfo(size, 0, 1) for size in (4, 3, 2, 1))]


def test_a_failing_callback_is_the_loops_and_the_next_change_is_told() -> None:
    buffer, later = Buffer(), Later()
    heard: list[BufferInfo] = []

    def fail_once(buffer: Buffer, info: BufferInfo) -> None:
        heard.append(info)
        if len(heard) == 1:
            raise KeyError("mine")

    buffer.add_callback(fail_once)
    buffer.defer_callbacks(later)
    buffer.add(b"abc")
    with pytest.raises(KeyError):
        later.run()
    buffer.add(b"d")
    later.run()
    assert heard == [BufferInfo(0, 3, 0), BufferInfo(3, 1, 0)]


def test_another_loop_may_be_named() -> None:
    buffer, first, heard = deferred()
    buffer.add(b"abc")
    second = Later()
    buffer.defer_callbacks(second)
    buffer.add(b"d")
    assert second.due == []
    first.run()
    assert heard == [BufferInfo(0, 4, 0)]
    buffer.add(b"e")
    assert first.due == []
    second.run()
    assert heard[1:] == [BufferInfo(4, 1, 0)]


@given(st.lists(st.tuples(st.sampled_from("+-r"), st.integers(1, 50))))
def test_what_is_heard_adds_up(steps: list[tuple[str, int]]) -> None:
    buffer, later, heard = deferred()
    for what, size in steps:
        if what == "+":
            buffer.add(bytes(size))
        elif what == "-":
            buffer.drain(size)
        else:
            later.run()
        assert len(later.due) <= 1
    later.run()
    size = 0
    for info in heard:
        assert info.orig_size == size
        assert info.added or info.deleted
        size += info.added - info.deleted
    assert size == len(buffer)


def test_an_event_base_runs_them() -> None:
    base = EventBase()
    heard: list[BufferInfo] = []
    buffer = Buffer()
    buffer.add_callback(lambda _, info: heard.append(info))
    buffer.defer_callbacks(base)
    buffer.add(b"abc")
    buffer.add(b"de")
    assert heard == []
    base.loop()
    assert heard == [BufferInfo(0, 5, 0)]
    base.close()
    with pytest.raises(LoopError):
        buffer.add(b"f")
    assert bytes(buffer) == b"abcdef"
