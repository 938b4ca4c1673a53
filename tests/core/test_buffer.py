"""What a Buffer does, by values: adding, taking, looking, searching, freezing, reserving, telling."""

import sys
from collections.abc import Callable

import pytest

from evkit.core.buffer import (
    EOL,
    EOL_ANY,
    EOL_CRLF,
    EOL_CRLF_STRICT,
    EOL_LF,
    EOL_NUL,
    Buffer,
    BufferCallback,
    BufferInfo,
)
from evkit.errors import FrozenBufferError

BIG = b"b" * 2000


def split(*parts: bytes) -> Buffer:
    """Give a buffer that really has these segments, whatever their size."""
    buffer = Buffer()
    for part in parts:
        buffer.add_reference(bytearray(part))
    assert [bytes(view) for view in buffer] == list(parts)
    return buffer


class Owner:
    def __init__(self) -> None:
        self.changes: list[tuple[int, int]] = []

    def buffer_changed(self, buffer: Buffer, added: int, deleted: int) -> None:
        self.changes.append((added, deleted))


# Adding


def test_new_buffer_is_empty() -> None:
    buffer = Buffer()
    assert len(buffer) == 0
    assert not buffer
    assert bytes(buffer) == b""
    assert list(buffer) == []
    assert buffer.front() == (b"", 0)
    assert buffer.first_size == 0


def test_bytes_are_handed_on_uncopied() -> None:
    buffer = Buffer(BIG)
    whole, offset = buffer.front()
    assert whole is BIG
    assert offset == 0
    assert buffer.remove() is BIG


@pytest.mark.parametrize("wrap", [lambda mutable: mutable, memoryview], ids=["bytearray", "memoryview"])
def test_what_could_change_is_copied(wrap: Callable[[bytearray], bytearray]) -> None:
    mutable = bytearray(b"before")
    buffer = Buffer(wrap(mutable))
    mutable[:] = b"after!"
    assert bytes(buffer) == b"before"


def test_many_small_adds_make_few_segments() -> None:
    buffer = Buffer()
    for _ in range(10_000):
        buffer.add(b"x")
    assert bytes(buffer) == b"x" * 10_000
    assert len(list(buffer)) <= 10


def test_joining_small_adds_remembers_what_was_consumed() -> None:
    buffer = Buffer(b"abc")
    buffer.drain(2)
    buffer.add(b"def")
    assert bytes(buffer) == b"cdef"
    whole, offset = buffer.front()
    assert whole[offset:] == b"cdef"


@pytest.mark.parametrize(
    ("wrong", "name"), [("text", "str"), ("", "str"), (0, "int"), (None, "NoneType"), ([1], "list")]
)
def test_wrong_types_are_named(wrong: bytes, name: str) -> None:
    buffer = Buffer()
    for call in (buffer.add, buffer.prepend, buffer.add_reference, buffer.search):
        with pytest.raises(TypeError, match=f"expected bytes, bytearray or memoryview, got {name}"):
            call(wrong)
    with pytest.raises(TypeError, match=f"expected bytes, bytearray or memoryview, got {name}"):
        Buffer(wrong)
    with pytest.raises(TypeError, match=f"expected bytearray or memoryview, got {name}"):
        buffer.remove_into(wrong)  # type: ignore[arg-type]  # that is the test
    for move in (buffer.add_buffer, buffer.prepend_buffer):
        with pytest.raises(TypeError, match=f"expected a Buffer, got {name}"):
            move(wrong)  # type: ignore[arg-type]  # that is the test
    with pytest.raises(TypeError, match=f"expected a Buffer, got {name}"):
        buffer.remove_buffer(wrong, 1)  # type: ignore[arg-type]  # that is the test


def test_negative_sizes_are_refused() -> None:
    buffer = Buffer(b"abc")
    for call in (
        buffer.drain,
        buffer.remove,
        buffer.copyout,
        buffer.pullup,
        buffer.peek,
        buffer.reserve,
        buffer.commit,
    ):
        with pytest.raises(ValueError, match="-1"):
            call(-1)
    with pytest.raises(ValueError, match="-1"):
        Buffer().drain(-1)
    with pytest.raises(ValueError, match="-1"):
        buffer.remove_buffer(Buffer(), -1)
    with pytest.raises(TypeError, match="float"):
        buffer.drain(1.5)  # type: ignore[arg-type]  # half a byte would leave a fraction in every position
    assert bytes(buffer) == b"abc"


def test_positions_beyond_the_end_are_refused() -> None:
    buffer = Buffer(b"abc")
    for call in (
        lambda: buffer.copyout(1, 4),
        lambda: buffer.peek(1, 4),
        lambda: buffer.search(b"x", 4),
        lambda: buffer.search(b"x", 0, 4),
        lambda: buffer.search_eol(EOL_LF, 4),
    ):
        with pytest.raises(ValueError, match="position up to 3, got 4"):
            call()


# Moving


def test_add_buffer_moves_without_copying() -> None:
    source, target = Buffer(BIG), Buffer(b"head")
    target.add_buffer(source)
    assert bytes(target) == b"head" + BIG
    assert len(source) == 0
    target.drain(4)
    assert target.front()[0] is BIG


def test_moving_a_buffer_to_itself_does_nothing() -> None:
    buffer = Buffer(b"abc")
    buffer.add_buffer(buffer)
    buffer.prepend_buffer(buffer)
    assert buffer.remove_buffer(buffer, 2) == 0
    assert bytes(buffer) == b"abc"


def test_prepend_keeps_the_order() -> None:
    buffer, source = Buffer(b"..3"), split(b"1", b"2")
    buffer.drain(2)
    buffer.prepend_buffer(source)
    buffer.prepend(b"0")
    assert bytes(buffer) == b"0123"
    assert not source


def test_remove_buffer_cuts_a_segment_without_copying() -> None:
    source, target = Buffer(BIG), Buffer()
    assert source.remove_buffer(target, 1500) == 1500
    (view,) = target
    assert view.obj is BIG
    assert len(source) == 500
    assert source.remove_buffer(target, 1000) == 500
    assert bytes(target) == BIG


# Taking


def test_drain_tells_how_much_went() -> None:
    buffer = split(b"abc", b"def", b"ghi")
    assert buffer.drain(0) == 0
    assert buffer.drain(4) == 4
    assert bytes(buffer) == b"efghi"
    assert buffer.drain(2) == 2
    assert bytes(buffer) == b"ghi"
    assert buffer.drain(100) == 3
    assert buffer.drain(1) == 0


def test_draining_part_of_a_segment_does_not_copy_it() -> None:
    buffer = Buffer(BIG)
    buffer.drain(1)
    whole, offset = buffer.front()
    assert whole is BIG
    assert offset == 1


def test_drain_lets_go_of_whole_segments() -> None:
    data = bytes(5000)
    before = sys.getrefcount(data)
    buffer = Buffer(data)
    buffer.add(BIG)
    buffer.drain(5000)
    assert sys.getrefcount(data) == before


def test_remove_into_fills_what_it_can() -> None:
    buffer = split(b"abc", b"def")
    target = bytearray(b"....")
    assert buffer.remove_into(memoryview(target)[:2]) == 2
    assert target == b"ab.."
    assert buffer.remove_into(target) == 4
    assert target == b"cdef"
    assert buffer.remove_into(target) == 0
    buffer.add(b"12345678")
    with pytest.raises(TypeError, match="read-only"):
        buffer.remove_into(memoryview(b".."))
    assert len(buffer) == 8
    assert buffer.remove_into(memoryview(target).cast("I")) == 4
    assert target == b"1234"
    assert bytes(buffer) == b"5678"


def test_clear() -> None:
    buffer = split(b"abc", b"def")
    buffer.clear()
    buffer.clear()
    assert bytes(buffer) == b""


# Looking


def test_pullup() -> None:
    buffer = split(b"abc", b"def", b"ghi")
    buffer.drain(1)
    assert buffer.first_size == 2
    assert bytes(buffer.pullup(2)) == b"bc"
    assert buffer.first_size == 2
    assert bytes(buffer.pullup(4)) == b"bcde"
    assert buffer.first_size == 4
    assert bytes(buffer) == b"bcdefghi"
    view = buffer.pullup()
    assert bytes(view) == b"bcdefghi"
    assert view.readonly


def test_pullup_of_nothing_and_of_too_much() -> None:
    buffer = Buffer(b"abc")
    assert bytes(buffer.pullup(0)) == b""
    assert bytes(Buffer().pullup()) == b""
    with pytest.raises(ValueError, match="pull up 4 bytes, the buffer has 3"):
        buffer.pullup(4)


def test_front_joins_once() -> None:
    buffer = split(b"abc", b"def")
    buffer.drain(1)
    whole, offset = buffer.front()
    assert whole[offset:] == b"bcdef"
    assert buffer.front()[0] is whole


def test_peek_is_exact_and_read_only() -> None:
    buffer = split(b"abc", b"def", b"ghi")
    views = buffer.peek(4, 2)
    assert [bytes(view) for view in views] == [b"c", b"def"]
    assert all(view.readonly for view in views)
    assert buffer.peek(5, 9) == []
    assert buffer.peek(0) == []
    assert len(buffer) == 9


@pytest.mark.parametrize("start", range(19))
def test_peek_gives_no_empty_views_wherever_it_begins(start: int) -> None:
    parts = [b"abc", b"def", b"g", b"hi", b"jklm", b"nopqr"]
    buffer = split(*parts)
    whole = b"".join(parts)
    for size in range(19):
        views = [bytes(view) for view in buffer.peek(size, start)]
        assert all(views)
        assert b"".join(views) == whole[start : start + size]


def test_copyout_leaves_the_bytes() -> None:
    buffer = split(b"abc", b"def")
    assert buffer.copyout(2, 2) == b"cd"
    assert buffer.copyout(100, 5) == b"f"
    assert buffer.copyout(start=6) == b""
    assert buffer.copyout() == b"abcdef"
    assert bytes(buffer) == b"abcdef"


def test_repr_tells_size_segments_and_freeze() -> None:
    buffer = split(b"a" * 100, b"b" * 30)
    assert repr(buffer) == "<Buffer 130 bytes in 2 segments>"
    buffer.freeze(back=True)
    assert repr(buffer) == "<Buffer 130 bytes in 2 segments frozen=BACK>"
    buffer.freeze(front=True)
    assert repr(buffer) == "<Buffer 130 bytes in 2 segments frozen=FRONT|BACK>"


# Searching


def test_search_over_the_seams() -> None:
    buffer = split(b"..ab", b"c", b"dabcd")
    buffer.drain(1)
    assert buffer.search(b"abcd") == 1
    assert buffer.search(b"abcd", 2) == 5
    assert buffer.search(b"abcd", 6) == -1
    assert b"cda" in buffer
    assert b"x" not in buffer


def test_search_ends_where_it_is_told() -> None:
    for buffer in (Buffer(b"xabcx"), split(b"xa", b"bcx")):
        assert buffer.search(b"abc", 0, 4) == 1
        assert buffer.search(b"abc", 0, 3) == -1
        assert buffer.search(b"abc", 3, 1) == -1


def test_an_empty_needle_is_found_at_the_start() -> None:
    buffer = Buffer(b"abc")
    assert buffer.search(b"") == 0
    assert buffer.search(b"", 3) == 3
    assert Buffer().search(b"") == 0


@pytest.mark.parametrize(
    ("eol", "found"),
    [
        (EOL_ANY, (1, 3)),
        (EOL_CRLF, (2, 2)),
        (EOL_CRLF_STRICT, (2, 2)),
        (EOL_LF, (3, 1)),
        (EOL_NUL, (5, 1)),
    ],
)
def test_search_eol_styles(eol: EOL, found: tuple[int, int]) -> None:
    text = b"a\r\r\nb\0"
    for buffer in (Buffer(text), split(*(text[at : at + 1] for at in range(len(text))))):
        assert buffer.search_eol(eol) == found
        assert buffer.search_eol(eol, 6) is None


def test_search_eol_does_not_look_back_before_the_start() -> None:
    buffer = Buffer(b"a\r\nb")
    assert buffer.search_eol(EOL_CRLF, 1) == (1, 2)
    assert buffer.search_eol(EOL_CRLF, 2) == (2, 1)


def test_a_style_is_an_eol() -> None:
    with pytest.raises(TypeError, match="expected an EOL"):
        Buffer(b"a\n").readln(b"\n")  # type: ignore[arg-type]  # that is the test


def test_strict_lines_do_not_end_at_a_bare_lf() -> None:
    buffer = Buffer(b"a\nb\r\nc")
    assert buffer.readln(EOL_CRLF_STRICT) == b"a\nb"
    assert buffer.readln(EOL_CRLF_STRICT) is None
    assert bytes(buffer) == b"c"


def test_readln_gives_empty_lines_and_zero_bytes() -> None:
    buffer = Buffer(b"\r\n\0x\n\nrest")
    assert [buffer.readln() for _ in range(4)] == [b"", b"\0x", b"", None]
    assert bytes(buffer) == b"rest"


def test_any_run_is_one_end() -> None:
    buffer = split(b"one\r", b"\n\n", b"\rtwo\r")
    assert buffer.readln(EOL_ANY) == b"one"
    assert buffer.readln(EOL_ANY) == b"two"
    assert len(buffer) == 0


# Freezing

FRONT_CALLS: dict[str, Callable[[Buffer], object]] = {
    "drain": lambda buffer: buffer.drain(1),
    "clear": lambda buffer: buffer.clear(),
    "remove": lambda buffer: buffer.remove(),
    "remove_into": lambda buffer: buffer.remove_into(bytearray(1)),
    "copyout": lambda buffer: buffer.copyout(),
    "readln": lambda buffer: buffer.readln(),
    "prepend": lambda buffer: buffer.prepend(b"x"),
    "prepend_buffer": lambda buffer: buffer.prepend_buffer(Buffer(b"x")),
    "add_buffer source": lambda buffer: Buffer().add_buffer(buffer),
    "prepend_buffer source": lambda buffer: Buffer().prepend_buffer(buffer),
    "remove_buffer source": lambda buffer: buffer.remove_buffer(Buffer(), 1),
    "write": lambda buffer: buffer.write(-1),
}
BACK_CALLS: dict[str, Callable[[Buffer], object]] = {
    "add": lambda buffer: buffer.add(b"x"),
    "add_reference": lambda buffer: buffer.add_reference(b"x", print),
    "add_buffer": lambda buffer: buffer.add_buffer(Buffer(b"x")),
    "remove_buffer": lambda buffer: Buffer(b"x").remove_buffer(buffer, 1),
    "reserve": lambda buffer: buffer.reserve(1),
    "read": lambda buffer: buffer.read(-1),
}


@pytest.mark.parametrize("name", FRONT_CALLS)
def test_a_frozen_front_stops(name: str) -> None:
    buffer = Buffer(b"line\n")
    buffer.freeze(front=True)
    with pytest.raises(FrozenBufferError, match="front"):
        FRONT_CALLS[name](buffer)
    assert bytes(buffer) == b"line\n"
    buffer.add(b"back is open")


@pytest.mark.parametrize("name", BACK_CALLS)
def test_a_frozen_back_stops(name: str) -> None:
    buffer = Buffer(b"line\n")
    buffer.freeze(back=True)
    with pytest.raises(FrozenBufferError, match="back"):
        BACK_CALLS[name](buffer)
    assert bytes(buffer) == b"line\n"
    assert buffer.readln() == b"line"


def test_a_failed_move_leaves_both_buffers() -> None:
    source, target = Buffer(b"source"), Buffer(b"target")
    target.freeze(back=True)
    with pytest.raises(FrozenBufferError):
        target.add_buffer(source)
    with pytest.raises(FrozenBufferError):
        source.remove_buffer(target, 3)
    assert (bytes(source), bytes(target)) == (b"source", b"target")


def test_nothing_to_do_succeeds_when_frozen() -> None:
    buffer = Buffer()
    buffer.freeze(front=True, back=True)
    assert buffer.drain(5) == 0
    assert buffer.remove() == b""
    assert buffer.remove_into(bytearray(3)) == 0
    assert buffer.copyout() == b""
    assert buffer.readln() is None
    assert buffer.write(-1) == 0
    buffer.add(b"")
    buffer.prepend(b"")
    buffer.add_buffer(Buffer())
    buffer.prepend_buffer(Buffer())
    assert Buffer().remove_buffer(buffer, 1) == 0
    assert not buffer


def test_looking_is_free_when_frozen() -> None:
    buffer = Buffer(b"abc")
    buffer.freeze(front=True, back=True)
    assert bytes(buffer.pullup()) == b"abc"
    assert buffer.front() == (b"abc", 0)
    assert bytes(buffer) == b"abc"
    assert buffer.search(b"c") == 2


def test_unfreeze_one_end() -> None:
    buffer = Buffer(b"abc")
    buffer.freeze(front=True, back=True)
    buffer.unfreeze(front=True)
    assert buffer.drain(1) == 1
    with pytest.raises(FrozenBufferError):
        buffer.add(b"x")


# Reserving


def test_commit_adds_what_was_filled() -> None:
    buffer = Buffer(b"a")
    window = buffer.reserve(10)
    assert len(window) == 10
    window[:3] = b"bcd"
    buffer.commit(3)
    assert bytes(buffer) == b"abcd"
    window[:3] = b"XXX"
    assert bytes(buffer) == b"abcd"


def test_commit_of_nothing_ends_the_reservation() -> None:
    buffer = Buffer()
    buffer.reserve(10)
    buffer.commit(0)
    assert not buffer
    with pytest.raises(ValueError, match="nothing is reserved"):
        buffer.commit(0)


def test_commit_of_more_than_was_reserved() -> None:
    buffer = Buffer()
    buffer.reserve(10)
    with pytest.raises(ValueError, match="cannot commit 11 bytes, 10 were reserved"):
        buffer.commit(11)
    with pytest.raises(ValueError, match="got 0"):
        buffer.reserve(0)


@pytest.mark.parametrize("name", set(BACK_CALLS) - {"reserve", "read", "add_reference"})
def test_commit_fails_after_an_add(name: str) -> None:
    buffer = Buffer(b"a")
    buffer.reserve(10)
    BACK_CALLS[name](buffer)
    with pytest.raises(ValueError, match="added to since"):
        buffer.commit(3)
    assert bytes(buffer) == b"ax"


def test_commit_needs_an_open_back() -> None:
    buffer = Buffer()
    buffer.reserve(10)
    buffer.freeze(back=True)
    with pytest.raises(FrozenBufferError):
        buffer.commit(3)
    buffer.unfreeze(back=True)
    buffer.commit(3)
    assert bytes(buffer) == bytes(3)


def test_a_callback_may_reserve_again() -> None:
    buffer = Buffer()
    windows: list[memoryview] = []

    def reserve(buffer: Buffer, info: BufferInfo) -> None:
        if not windows:
            windows.append(buffer.reserve(4))

    buffer.add_callback(reserve)
    buffer.reserve(3)[:] = b"abc"
    buffer.commit(3)
    windows[0][:] = b"defg"
    buffer.commit(4)
    assert bytes(buffer) == b"abcdefg"


# Telling


def test_callbacks_hear_net_changes_newest_first() -> None:
    buffer = Buffer(b"abc")
    heard: list[tuple[str, BufferInfo]] = []
    buffer.add_callback(lambda buffer, info: heard.append(("old", info)))
    buffer.add_callback(lambda buffer, info: heard.append(("new", info)))
    buffer.add(b"de")
    assert heard == [("new", BufferInfo(3, 2, 0)), ("old", BufferInfo(3, 2, 0))]
    heard.clear()
    buffer.drain(4)
    assert heard == [("new", BufferInfo(5, 0, 4)), ("old", BufferInfo(5, 0, 4))]


def test_readln_is_one_change() -> None:
    buffer = Buffer(b"line\r\n")
    heard: list[BufferInfo] = []
    buffer.add_callback(lambda buffer, info: heard.append(info))
    buffer.readln()
    assert heard == [BufferInfo(6, 0, 6)]


def test_nobody_hears_of_what_changes_nothing() -> None:
    buffer = split(b"abc", b"def")
    heard: list[BufferInfo] = []
    buffer.add_callback(lambda buffer, info: heard.append(info))
    buffer.add(b"")
    buffer.add_reference(b"")
    buffer.drain(0)
    buffer.front()
    buffer.add_buffer(Buffer())
    assert heard == []


def test_both_sides_of_a_move_hear_in_libevents_order() -> None:
    source, target = Buffer(b"abcd"), Buffer()
    heard: list[tuple[str, BufferInfo]] = []
    source.add_callback(lambda buffer, info: heard.append(("source", info)))
    target.add_callback(lambda buffer, info: heard.append(("target", info)))
    source.remove_buffer(target, 1)
    assert heard == [("target", BufferInfo(0, 1, 0)), ("source", BufferInfo(4, 0, 1))]
    heard.clear()
    target.add_buffer(source)
    assert heard == [("source", BufferInfo(3, 0, 3)), ("target", BufferInfo(1, 3, 0))]
    heard.clear()
    source.prepend_buffer(target)
    assert heard == [("target", BufferInfo(4, 0, 4)), ("source", BufferInfo(0, 4, 0))]


def test_the_second_side_hears_even_if_the_first_fails() -> None:
    def fail(buffer: Buffer, info: BufferInfo) -> None:
        raise RuntimeError("callback")

    for move in (Buffer.add_buffer, Buffer.prepend_buffer):
        source, target, owner = Buffer(b"abc"), Buffer(), Owner()
        source.add_callback(fail)
        target.owner = owner
        with pytest.raises(RuntimeError, match="callback"):
            move(target, source)
        assert owner.changes == [(3, 0)]
    target, owner = Buffer(), Owner()
    source = Buffer(b"abc")
    source.owner = owner
    target.add_callback(fail)
    with pytest.raises(RuntimeError, match="callback"):
        source.remove_buffer(target, 3)
    assert owner.changes == [(0, 3)]


def test_an_entry_can_be_disabled_and_removed() -> None:
    buffer = Buffer()
    heard: list[int] = []
    entry = buffer.add_callback(lambda buffer, info: heard.append(info.added))
    assert "enabled" in repr(entry)
    entry.enabled = False
    assert "disabled" in repr(entry)
    buffer.add(b"1")
    entry.enabled = True
    buffer.add(b"22")
    entry.remove()
    entry.remove()
    assert "removed" in repr(entry)
    buffer.add(b"333")
    assert heard == [2]


def test_a_callback_may_remove_itself_and_others() -> None:
    buffer = Buffer()
    heard: list[str] = []
    entries: dict[str, BufferCallback] = {}

    def remove_all(buffer: Buffer, info: BufferInfo) -> None:
        heard.append("new")
        for entry in entries.values():
            entry.remove()

    entries["old"] = buffer.add_callback(lambda buffer, info: heard.append("old"))
    entries["new"] = buffer.add_callback(remove_all)
    buffer.add(b"x")
    buffer.add(b"y")
    assert heard == ["new"]


def test_a_callback_may_change_the_buffer() -> None:
    buffer = Buffer()
    heard: list[BufferInfo] = []

    def shrink(buffer: Buffer, info: BufferInfo) -> None:
        heard.append(info)
        if len(buffer) > 2:
            buffer.drain(1)

    buffer.add_callback(shrink)
    buffer.add(b"abcd")
    assert bytes(buffer) == b"cd"
    assert heard == [BufferInfo(0, 4, 0), BufferInfo(4, 0, 1), BufferInfo(3, 0, 1)]


def test_a_failing_callback_leaves_the_change() -> None:
    buffer = Buffer()

    def fail(buffer: Buffer, info: BufferInfo) -> None:
        raise RuntimeError("callback")

    buffer.add_callback(fail)
    with pytest.raises(RuntimeError, match="callback"):
        buffer.add(b"abc")
    assert bytes(buffer) == b"abc"


def test_freezing_neither_end_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="front=True"):
        Buffer().freeze()
