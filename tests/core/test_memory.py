"""A program's own memory functions: all three or none, in time, and each piece of memory freed once."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evkit.core.base import EventBase
from evkit.core.buffer import Buffer, FileAccess, FileSegment
from evkit.core.memory import MEMORY, Allocation, set_mem_functions
from evkit.core.setup import SETUP, Setup
from evkit.errors import FrozenBufferError, LoopError


class Pool:
    """Functions that know what is out, and notice what is freed twice or never was theirs."""

    def __init__(self, spare: int = 0) -> None:
        self.spare = spare
        self.out: dict[int, bytearray] = {}
        self.asked: list[int] = []
        self.shrunk: list[int] = []
        self.freed = 0

    def allocate(self, size: int) -> bytearray:
        memory = bytearray(b"?" * (size + self.spare))
        self.out[id(memory)] = memory
        self.asked.append(size)
        return memory

    def reallocate(self, memory: bytearray, size: int) -> bytearray:
        smaller = self.allocate(size)
        self.asked.pop()
        smaller[:size] = memory[:size]
        self.shrunk.append(size)
        self._take(memory)
        return smaller

    def free(self, memory: bytearray) -> None:
        self._take(memory)
        self.freed += 1

    def _take(self, memory: bytearray) -> None:
        assert self.out.pop(id(memory)) is memory
        memory.clear()  # BufferError if anything still refers to it


@pytest.fixture
def unused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process be as if nothing of evkit had been used."""
    monkeypatch.setattr(SETUP, "first_use", None)
    monkeypatch.setattr(MEMORY, "functions", None)
    monkeypatch.setattr(MEMORY, "setup", Setup())


@pytest.fixture
def pool(unused: None) -> Pool:
    pool = Pool()
    set_mem_functions(pool.allocate, pool.reallocate, pool.free)
    return pool


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Collect what `free` raised, which nobody else hears of."""
    reported: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reported.append(report.exc_value))
    return reported


def test_a_window_is_the_segment_and_freed_with_its_last_byte(pool: Pool, failures: list[object]) -> None:
    buffer, other = Buffer(), Buffer()
    buffer.reserve(5000)[:] = b"x" * 5000
    buffer.commit(5000)
    assert (pool.asked, pool.shrunk, pool.freed) == ([5000], [], 0)
    buffer.remove_buffer(other, 3000)
    buffer.clear()
    other.drain(2999)
    assert bytes(other) == b"x"
    assert pool.freed == 0
    other.drain(1)
    assert pool.freed == 1
    assert pool.out == {}
    assert failures == []


def test_a_window_is_cut_to_what_was_filled(pool: Pool, failures: list[object]) -> None:
    buffer = Buffer()
    window = buffer.reserve(100)
    window[:3] = b"abc"
    buffer.commit(3)
    assert pool.shrunk == [3]
    assert bytes(buffer) == b"abc"
    with pytest.raises(ValueError, match="released"):
        window[0] = 1
    buffer.clear()
    assert (pool.freed, pool.out, failures) == (1, {}, [])


def test_a_window_that_is_replaced_or_given_back_is_freed(pool: Pool, failures: list[object]) -> None:
    buffer = Buffer()
    first = buffer.reserve(10)
    second = buffer.reserve(20)
    assert pool.freed == 1
    buffer.commit(0)
    assert pool.freed == 2
    for window in (first, second):
        with pytest.raises(ValueError, match="released"):
            bytes(window)
    buffer.reserve(30)
    del buffer
    gc.collect()
    assert (pool.asked, pool.freed, pool.out, failures) == ([10, 20, 30], 3, {}, [])


def test_several_windows_are_several_segments(pool: Pool, failures: list[object]) -> None:
    buffer = Buffer()
    for window in buffer.reserve_iovec([2, 3, 4]):
        window[:] = b"abcd"[: len(window)]
    buffer.commit(2, 0, 1)
    assert pool.freed == 1  # the one in the middle
    assert [bytes(view) for view in buffer] == [b"ab", b"a"]
    buffer.drain(2)
    assert pool.freed == 2
    buffer.clear()
    assert (pool.freed, pool.out, failures) == (3, {}, [])


def test_a_refused_commit_keeps_the_window(pool: Pool) -> None:
    buffer = Buffer()
    window = buffer.reserve(4)
    window[:] = b"abcd"
    buffer.freeze(back=True)
    with pytest.raises(FrozenBufferError):
        buffer.commit(4)
    with pytest.raises(FrozenBufferError):
        buffer.reserve(9)
    buffer.unfreeze(back=True)
    buffer.commit(4)
    assert bytes(buffer) == b"abcd"


@pytest.mark.parametrize("access", FileAccess, ids=lambda access: access.value)
def test_only_a_file_that_is_read_at_once_takes_memory(
    pool: Pool, tmp_path: Path, access: FileAccess, failures: list[object]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content" * 1000)
    buffer, other = Buffer(), Buffer()
    with FileSegment(os.open(path, os.O_RDONLY), 1, access=access) as segment:
        assert pool.asked == ([6999] if access is FileAccess.READ else [])
        buffer.add_file_segment(segment)
        other.add_buffer_reference(buffer)
    assert bytes(other) == path.read_bytes()[1:]
    buffer.clear()
    assert pool.freed == 0
    other.clear()
    assert (pool.freed, pool.out) == (len(pool.asked), {})
    assert failures == []


def test_a_file_that_cannot_be_read_frees_its_memory(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: list[object]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    monkeypatch.setattr(os, "preadv", lambda *_: 0)  # as of a file cut short meanwhile
    with path.open("rb") as file:
        with pytest.raises(OSError, match="ends at or before"):
            FileSegment(file, access=FileAccess.READ)
        gc.collect()
        assert (pool.asked, pool.freed, pool.out, failures) == ([7], 1, {}, [])
        assert not file.closed


def test_everything_else_is_the_interpreters(pool: Pool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    buffer = Buffer(bytearray(b"abc"))
    buffer.add(b"x" * 3000)
    buffer.add_file(os.open(path, os.O_RDONLY))
    buffer.front()
    buffer.pullup()
    buffer.clear()
    assert pool.asked == []


def test_more_than_was_asked_for_is_fine(unused: None, failures: list[object]) -> None:
    pool = Pool(spare=100)
    set_mem_functions(pool.allocate, pool.reallocate, pool.free)
    buffer = Buffer()
    window = buffer.reserve(5)
    assert len(window) == 5
    window[:] = b"abcde"
    buffer.commit(3)
    assert bytes(buffer) == b"abc"
    buffer.clear()
    assert (pool.freed, pool.out, failures) == (1, {}, [])


def test_memory_that_cannot_shrink_stays_as_it_is(unused: None) -> None:
    pool = Pool()
    set_mem_functions(pool.allocate, lambda memory, size: None, pool.free)
    buffer = Buffer()
    buffer.reserve(5)[:] = b"abcde"
    buffer.commit(3)
    assert bytes(buffer) == b"abc"
    buffer.clear()
    assert (pool.freed, pool.out) == (1, {})


def test_no_memory_is_an_error_and_nothing_has_changed(unused: None) -> None:
    buffer = Buffer(b"abc")
    set_mem_functions(lambda size: None, lambda memory, size: None, print)
    with pytest.raises(MemoryError, match=r"allocate\(5\)"):
        buffer.reserve(5)
    with pytest.raises(ValueError, match="nothing is reserved"):
        buffer.commit(1)
    assert bytes(buffer) == b"abc"


@pytest.mark.parametrize(
    ("given_", "error"),
    [(bytearray(4), ValueError), (b"12345", TypeError), (memoryview(bytearray(20))[::2], TypeError)],
)
def test_bad_memory_is_refused_and_freed(unused: None, given_: object, error: type[Exception]) -> None:
    freed: list[object] = []
    set_mem_functions(lambda size: given_, lambda memory, size: memory, freed.append)
    with pytest.raises(error):
        Buffer().reserve(5)
    gc.collect()
    assert len(freed) == 1
    assert freed[0] is given_


def test_a_failing_free_goes_to_the_hook(unused: None, failures: list[object]) -> None:
    def fail(memory: object) -> None:
        raise KeyError("mine")

    set_mem_functions(bytearray, lambda memory, size: memory, fail)
    buffer = Buffer()
    buffer.reserve(1)
    buffer.commit()
    assert [type(failure) for failure in failures] == [KeyError]


steps = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "commit", "add", "drain", "move", "share", "join"]), st.integers(1, 3000)
    ),
    max_size=30,
)


def walk(steps: list[tuple[str, int]]) -> None:
    one, other = Buffer(), Buffer()
    model, other_model, size = bytearray(), bytearray(), 0
    for what, number in steps:
        if what == "reserve":
            size = number
            one.reserve(size)[:] = b"r" * size
        elif what == "commit" and size:
            one.commit(min(size, number))
            model += b"r" * min(size, number)
            size = 0
        elif what == "add":
            one.add(b"a" * number)
            model += b"a" * number
            size = 0
        elif what == "drain":
            one.drain(number)
            del model[:number]
        elif what == "move":
            one.remove_buffer(other, number)
            other_model += model[:number]
            del model[:number]
        elif what == "share":
            other.add_buffer_reference(one)
            other_model += model
        elif what == "join":
            other.front()
        assert bytes(one) == model
        assert bytes(other) == other_model


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps)
def test_each_piece_is_freed_once_whatever_happens(
    unused: None, failures: list[object], steps: list[tuple[str, int]]
) -> None:
    MEMORY.setup.first_use = None
    pool = Pool()
    set_mem_functions(pool.allocate, pool.reallocate, pool.free)
    walk(steps)
    gc.collect()
    assert pool.out == {}
    assert pool.freed == len(pool.asked)
    assert failures == []


# All three or none, and in time


@pytest.mark.parametrize("missing", range(3))
def test_some_without_the_others_are_refused(unused: None, missing: int) -> None:
    pool = Pool()
    functions = [pool.allocate, pool.reallocate, pool.free]
    functions[missing] = None  # type: ignore[call-overload]  # the point of the test
    with pytest.raises(ValueError, match="all three functions, or none"):
        set_mem_functions(*functions)
    assert MEMORY.functions is None


def test_what_cannot_be_called_is_refused(unused: None) -> None:
    with pytest.raises(TypeError, match="expected a function for free, got int"):
        set_mem_functions(bytearray, lambda memory, size: memory, 5)  # type: ignore[arg-type]  # the point
    assert MEMORY.functions is None


def test_none_at_all_is_the_default_again(pool: Pool) -> None:
    set_mem_functions(None, None, None)
    Buffer().reserve(5)
    assert pool.asked == []


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("used", ["base", "window"])
def test_too_late_is_refused(unused: None, used: str, reset: bool) -> None:
    if used == "base":
        EventBase().close()
    else:
        Buffer().reserve(1)
    pool = Pool()
    functions = (None, None, None) if reset else (pool.allocate, pool.reallocate, pool.free)
    with pytest.raises(LoopError, match=r"set_mem_functions\(\) comes too late"):
        set_mem_functions(*functions)
    assert MEMORY.functions is None


def test_a_buffer_that_took_no_memory_is_not_too_late(unused: None) -> None:
    buffer = Buffer(b"abc")
    buffer.drain(1)
    pool = Pool()
    set_mem_functions(pool.allocate, pool.reallocate, pool.free)
    buffer.reserve(2)
    assert pool.asked == [2]


def test_by_default_memory_is_a_bytearray(unused: None) -> None:
    memory = Allocation(5)
    with memory.view(5) as view:
        assert type(view.obj) is bytearray
        assert bytes(view) == bytes(5)


def test_memory_of_nobodys_functions_stays_as_it_is(unused: None) -> None:
    memory = Allocation(5)
    memory.shrink(2)
    with memory.view(5) as view:
        assert bytes(view) == bytes(5)


def test_a_fresh_process_may_choose() -> None:
    program = (
        "from evkit.core.memory import set_mem_functions\n"
        "from evkit import Buffer, EventBase\n"
        "asked = []\n"
        "def allocate(size):\n    asked.append(size)\n    return bytearray(size)\n"
        "set_mem_functions(allocate, lambda memory, size: None, lambda memory: asked.append('freed'))\n"
        "EventBase().close()\n"
        "buffer = Buffer()\nbuffer.reserve(7)\nbuffer.commit(7)\nbuffer.clear()\n"
        "print(asked)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.stdout, run.stderr) == ("[7, 'freed']\n", "")
