"""Fields in a buffer: libevent's bytes, its answers to odd ones, and that what fails changes nothing."""

import random
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit import Buffer, FrozenBufferError, LockedBuffer
from evkit.extra import TagError, TagIncomplete, tagging
from evkit.extra.tagging import DEFAULT_MAX_PAYLOAD
from evrpc_peers import Libevent
from patience import PATIENCE

U32 = st.integers(0, 2**32 - 1) | st.integers(0, 200)
U64 = st.integers(0, 2**64 - 1) | U32
BYTES = st.binary(max_size=300)
ODD = [0, 1, 2, 5, 7, 0x0F, 0x10, 0x1F, 0x20, 0x70, 0x7F, 0x80, 0x81, 0xF0, 0xFF]
"""Bytes at the edges of tags and integers."""


def made(write: Callable[..., object], *arguments: Any) -> bytes:
    buffer = Buffer()
    write(buffer, *arguments)
    return bytes(buffer)


# Measured with libevent 2.1.12.
FIELDS: list[tuple[str, tuple[Any, ...], str]] = [
    ("marshal_int", (5, 0), "050100"),
    ("marshal_int", (1, 0x2342), "0103324320"),
    ("marshal_int", (5, 0xDEADBEEF), "05057feebdaed0"),
    ("marshal_int64", (5, 0x123456789AB), "0506aba987654321"),
    ("marshal_int64", (2, 0x2342 << 32), "0207b0000000024320"),
    ("marshal_string", (1, "hello"), "010568656c6c6f"),
    ("marshal_string", (1, ""), "0100"),
    ("marshal_string", (3, "hi"), "03026869"),
    ("marshal_string", (0x10121, "gun"), "a182040367756e"),
    ("marshal", (300, b"abc"), "ac0203616263"),
    ("marshal", (2, bytes(300)), "022c21" + 300 * "00"),
    ("marshal", (2, bytearray(b"a")), "020161"),
    ("marshal", (2, memoryview(b"a")), "020161"),
    ("marshal", (2, memoryview(b"abcd").cast("I")), "020461626364"),
    ("marshal", (2, b""), "0200"),
    ("marshal_timeval", (7, 1.000002), "07020102"),
    ("marshal_timeval", (7, 1700000000.123456), "07087001f355604042e1"),
    ("marshal_timeval", (4, 1.9999999), "04020200"),
    ("encode_tag", (0x166,), "e602"),
    ("encode_int", (0x10,), "1010"),
    ("encode_int64", (2**32,), "8000000001"),
]


@pytest.mark.parametrize(("name", "arguments", "wire"), FIELDS)
def test_what_is_written(name: str, arguments: tuple[Any, ...], wire: str) -> None:
    assert made(getattr(tagging, name), *arguments).hex() == wire


def test_the_size_of_what_is_written_alone() -> None:
    buffer = Buffer()
    assert [tagging.encode_tag(buffer, 0x80), tagging.encode_int(buffer, 1)] == [2, 1]
    assert tagging.encode_int64(buffer, 2**64 - 1) == 9
    assert len(buffer) == 12


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("marshal", (-1, b"")),
        ("marshal", (2**32, b"")),
        ("marshal_int", (1, 2**32)),
        ("marshal_int", (1, -1)),
        ("marshal_int64", (1, 2**64)),
        ("marshal_string", (1, "a\0b")),
        ("marshal_string", (1, "\ud800")),
        ("marshal_timeval", (1, -0.5)),
        ("marshal_timeval", (1, 2.0**32)),
        ("marshal_timeval", (1, float("nan"))),
        ("marshal_timeval", (1, float("inf"))),
        ("encode_int", (2**32,)),
    ],
)
def test_what_cannot_be_written(name: str, arguments: tuple[Any, ...]) -> None:
    buffer = Buffer(b"before")
    with pytest.raises(ValueError, match=r".+"):
        getattr(tagging, name)(buffer, *arguments)
    assert bytes(buffer) == b"before"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("marshal", (1, "text")), ("marshal", (1, 3)), ("marshal_string", (1, b"a")), ("marshal_int", (1, "1"))],
)
def test_what_is_of_another_type(name: str, arguments: tuple[Any, ...]) -> None:
    buffer = Buffer(b"before")
    with pytest.raises(TypeError):
        getattr(tagging, name)(buffer, *arguments)
    assert bytes(buffer) == b"before"


class TestMarshalBuffer:
    def test_the_payload_is_moved(self) -> None:
        buffer, data = Buffer(b"<"), Buffer(b"abc")
        tagging.marshal_buffer(buffer, 300, data)
        assert (bytes(buffer), bytes(data)) == (b"<\xac\x02\x03abc", b"")

    def test_an_empty_payload(self) -> None:
        buffer = Buffer()
        tagging.marshal_buffer(buffer, 1, Buffer())
        assert bytes(buffer) == b"\1\0"

    def test_a_buffer_is_not_its_own_payload(self) -> None:
        buffer = Buffer(b"abc")
        with pytest.raises(ValueError, match="its own payload"):
            tagging.marshal_buffer(buffer, 1, buffer)

    def test_what_is_refused_stays_where_it_was(self) -> None:
        buffer, data = Buffer(b"<"), Buffer(b"abc")
        buffer.max_length = 5
        with pytest.raises(BufferError):
            tagging.marshal_buffer(buffer, 1, data)
        buffer.max_length = None
        buffer.freeze(back=True)
        with pytest.raises(FrozenBufferError):
            tagging.marshal_buffer(buffer, 1, data)
        buffer.unfreeze(back=True)
        data.freeze(front=True)
        with pytest.raises(FrozenBufferError):
            tagging.marshal_buffer(buffer, 1, data)
        assert (bytes(buffer), bytes(data)) == (b"<", b"abc")

    def test_a_payload_that_is_no_buffer(self) -> None:
        with pytest.raises(TypeError, match="expected a Buffer, got bytes"):
            tagging.marshal_buffer(Buffer(), 1, b"abc")  # type: ignore[arg-type]

    def test_only_one_lock_is_held_at_once(self) -> None:
        """Else two threads that move from one another might wait for each other."""
        buffer, data = LockedBuffer(), LockedBuffer(b"abc")
        free = []

        def look(*_: object) -> None:
            other = threading.Thread(target=buffer.drain, args=(0,), daemon=True)
            other.start()
            other.join(PATIENCE)
            free.append(not other.is_alive())

        data.add_callback(look)
        tagging.marshal_buffer(buffer, 1, data)
        assert free == [True]

    def test_a_listener_of_the_payload_that_fails_loses_nothing(self) -> None:
        buffer, data = Buffer(), Buffer(b"abc")
        entry = data.add_callback(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tagging.marshal_buffer(buffer, 1, data)
        entry.remove()
        assert (bytes(buffer), bytes(data)) == (b"", b"abc")

    def test_a_listener_that_fails_loses_nothing(self) -> None:
        buffer, data = Buffer(), Buffer(b"abc")
        buffer.add_callback(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tagging.marshal_buffer(buffer, 1, data)
        assert (bytes(buffer), bytes(data)) == (b"\1\3abc", b"")


# Reading

READS: dict[str, Callable[[Buffer], object]] = {
    "decode_tag": tagging.decode_tag,
    "decode_int": tagging.decode_int,
    "decode_int64": tagging.decode_int64,
    "unmarshal": tagging.unmarshal,
    "unmarshal_header": tagging.unmarshal_header,
    "consume": tagging.consume,
    "unmarshal_int": lambda buffer: tagging.unmarshal_int(buffer, 5),
    "unmarshal_int64": lambda buffer: tagging.unmarshal_int64(buffer, 5),
    "unmarshal_string": lambda buffer: tagging.unmarshal_string(buffer, 5),
    "unmarshal_fixed": lambda buffer: tagging.unmarshal_fixed(buffer, 5, 4),
    "unmarshal_timeval": lambda buffer: tagging.unmarshal_timeval(buffer, 5),
}
LOOKS: dict[str, Callable[[Buffer], int | None]] = {
    "peek": tagging.peek,
    "peek_length": tagging.peek_length,
    "payload_length": tagging.payload_length,
}

GOOD = [
    ("decode_tag", "e602", 0x166),
    ("decode_int", "2001", 0x100),
    ("decode_int64", "8000000001", 2**32),
    ("unmarshal", "ac0203616263", (300, b"abc")),
    ("consume", "ac0203616263", 6),
    ("unmarshal_int", "05057feebdaed0", 0xDEADBEEF),
    ("unmarshal_int", "05020700", 7),
    ("unmarshal_int64", "0506aba987654321", 0x123456789AB),
    ("unmarshal_int64", "050707ffffffffffff", 7),
    ("unmarshal_string", "050568656c6c6f", "hello"),
    ("unmarshal_string", "0503610062", "a\0b"),
    ("unmarshal_string", "0500", ""),
    ("unmarshal_fixed", "050401020304", b"\1\2\3\4"),
    ("unmarshal_timeval", "05020102", 1.000002),
    ("unmarshal_timeval", "05087001f355604042e1", 1700000000.123456),
    ("unmarshal_timeval", "05050150848e10", 3.0),  # 1 s and 2,000,000 us
]


@pytest.mark.parametrize(("name", "wire", "found"), GOOD)
def test_what_is_read_however_it_comes(name: str, wire: str, found: object) -> None:
    data = bytes.fromhex(wire)
    for size in range(len(data)):
        buffer = Buffer(data[:size])
        with pytest.raises(TagIncomplete):
            READS[name](buffer)
        assert bytes(buffer) == data[:size]
    buffer = Buffer()
    for byte in data + b"rest":
        buffer.add_reference(bytes((byte,)))
    assert READS[name](buffer) == found
    assert bytes(buffer) == b"rest"


def test_a_header_is_taken_once_its_payload_is_there() -> None:
    buffer = Buffer(b"\xac\2\3ab")
    with pytest.raises(TagIncomplete, match=r"expected a payload of 3 bytes, got 2 of them \(at byte 3\)"):
        tagging.unmarshal_header(buffer)
    assert bytes(buffer) == b"\xac\2\3ab"
    buffer.add(b"c...")
    assert tagging.unmarshal_header(buffer) == (300, 3)
    payload = Buffer()
    assert buffer.remove_buffer(payload, 3) == 3
    assert (bytes(payload), bytes(buffer)) == (b"abc", b"...")


@pytest.mark.parametrize(
    ("name", "wire", "reason"),
    [
        ("unmarshal_int", "06", "expected tag 5, got 6"),
        ("unmarshal_string", "06", "expected tag 5, got 6"),
        ("unmarshal_fixed", "06", "expected tag 5, got 6"),
        ("unmarshal_timeval", "e602", "expected tag 5, got 358"),
        ("unmarshal_int", "050110", "expected an integer of 2 bytes, got 1 of them in its field"),
        ("unmarshal_int", "05011010", "expected an integer of 2 bytes, got 1 of them in its field"),
        ("unmarshal_int", "0500", "expected an integer, got nothing in its field"),
        ("unmarshal_int", "05058000000001", "expected an integer of at most 32 bits, got one of 36"),
        ("unmarshal_timeval", "050101", "expected an integer, got nothing in its field"),
        ("unmarshal_fixed", "0503", "expected a payload of 4 bytes, got one of 3"),
        ("unmarshal_fixed", "0505", "expected a payload of 4 bytes, got one of 5"),
        ("unmarshal_string", "0502c328", "expected UTF-8, got byte 0xc3"),
        ("unmarshal", "058000000001", "expected an integer of at most 32 bits, got one of 36"),
        ("decode_int", "8000000001", "expected an integer of at most 32 bits, got one of 36"),
        ("decode_tag", "ffffffff1f", "expected a tag of at most 32 bits, got ff ff ff ff 1f"),
    ],
)
def test_what_is_refused_and_stays(name: str, wire: str, reason: str) -> None:
    data = bytes.fromhex(wire)
    buffer = Buffer(data)
    with pytest.raises(TagError) as caught:
        READS[name](buffer)
    assert caught.value.reason == reason
    assert not isinstance(caught.value, TagIncomplete)
    assert bytes(buffer) == data


@pytest.mark.parametrize("name", ["unmarshal", "unmarshal_header", "consume", "unmarshal_string"])
def test_a_payload_beyond_the_limit_is_refused_at_its_header(name: str) -> None:
    buffer = Buffer(b"\5" + bytes.fromhex("7000000080"))  # 2**31 bytes
    arguments = (5,) if name == "unmarshal_string" else ()
    read: Callable[..., object] = getattr(tagging, name)
    with pytest.raises(TagError, match=f"at most {DEFAULT_MAX_PAYLOAD} bytes, got one of") as caught:
        read(buffer, *arguments)
    assert not isinstance(caught.value, TagIncomplete)
    with pytest.raises(TagIncomplete):
        read(buffer, *arguments, max_payload=None)
    buffer = Buffer(b"\5\3abc")
    with pytest.raises(TagError, match="at most 2 bytes, got one of 3"):
        read(buffer, *arguments, max_payload=2)
    assert read(buffer, *arguments, max_payload=3) is not None


def test_looking_takes_nothing_and_waits() -> None:
    data = b"\xe6\2\x2c\x21" + 300 * b"."
    seen = {name: [look(Buffer(data[:size])) for size in range(6)] for name, look in LOOKS.items()}
    assert seen == {
        "peek": [None, None, 0x166, 0x166, 0x166, 0x166],
        "payload_length": [None, None, None, None, 300, 300],
        "peek_length": [None, None, None, None, 304, 304],
    }
    buffer = Buffer(data)
    assert [look(buffer) for look in LOOKS.values()] == [0x166, 304, 300]
    assert bytes(buffer) == data


@pytest.mark.parametrize("name", LOOKS)
def test_looking_at_what_can_never_be_a_field(name: str) -> None:
    with pytest.raises(TagError, match="32 bits") as caught:
        LOOKS[name](Buffer(bytes.fromhex("ffffffff1f")))
    assert not isinstance(caught.value, TagIncomplete)


def test_a_frozen_front_is_looked_at_and_not_taken_from() -> None:
    buffer = Buffer(b"\5\1\7")
    buffer.freeze(front=True)
    assert tagging.peek_length(buffer) == 3
    for name in ("unmarshal", "unmarshal_header", "unmarshal_int", "consume", "decode_tag"):
        with pytest.raises(FrozenBufferError):
            READS[name](buffer)
    assert bytes(buffer) == b"\5\1\7"


def test_a_locked_buffer() -> None:
    buffer, data = LockedBuffer(), LockedBuffer(b"abc")
    tagging.marshal_int(buffer, 5, 7)
    tagging.marshal_buffer(buffer, 6, data)
    assert tagging.peek(buffer) == 5
    assert tagging.unmarshal_int(buffer, 5) == 7
    assert tagging.unmarshal(buffer) == (6, b"abc")


# Beside libevent


@given(U32, U64, BYTES, st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_fields_are_those_of_libevent(
    libevent: Libevent, tag: int, number: int, data: bytes, text: str
) -> None:
    small = number % 2**32
    assert made(tagging.marshal_int, tag, small) == libevent.put_together("marshal_int", tag, small)
    assert made(tagging.marshal_int64, tag, number) == libevent.put_together("marshal_int64", tag, number)
    assert made(tagging.marshal, tag, data) == libevent.put_together("marshal", tag, data)
    assert made(tagging.marshal_string, tag, text) == libevent.put_together(
        "marshal_string", tag, text.encode()
    )
    buffer = Buffer()
    tagging.marshal_int(buffer, tag, small)
    tagging.marshal_int64(buffer, tag, number)
    tagging.marshal(buffer, tag, data)
    tagging.marshal_string(buffer, tag, text)
    assert tagging.unmarshal_int(buffer, tag) == small
    assert tagging.unmarshal_int64(buffer, tag) == number
    assert tagging.unmarshal_fixed(buffer, tag, len(data)) == data
    assert tagging.unmarshal_string(buffer, tag) == text
    assert not buffer


@given(U32, st.integers(0, 2**32 * 10**6 - 1))
def test_times_are_those_of_libevent(libevent: Libevent, tag: int, microseconds: int) -> None:
    seconds = float(Fraction(microseconds, 10**6))
    data = made(tagging.marshal_timeval, tag, seconds)
    assert data == libevent.put_together("marshal_timeval", tag, microseconds)
    assert tagging.unmarshal_timeval(Buffer(data), tag) == seconds


def answer_of(name: str, buffer: Buffer) -> tuple[int, bytes] | None:
    """Return a number and bytes, as the program beside us does; None for a failure."""
    try:
        found: Any = (READS | LOOKS)[name](buffer)
    except TagError:
        return None
    match found:
        case None:
            return None
        case (tag, bytes(payload)):
            return tag, payload
        case (tag, _):
            return tag, b""
        case bytes():
            return 0, found
        case str():
            return 0, found.encode().partition(b"\0")[0]  # as C sees it
        case float():
            return round(Fraction(found) * 10**6), b""
        case _:
            return (0 if name == "consume" else found), b""


def is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.sampled_from([*READS, *LOOKS]), st.lists(st.sampled_from(ODD) | st.integers(0, 255), max_size=20))
def test_odd_bytes_get_the_answers_of_libevent(libevent: Libevent, name: str, odd: list[int]) -> None:
    for data in (bytes(odd), b"\5" + bytes(odd), b"\5\4" + bytes(odd)):
        if name == "unmarshal_string" and not is_text(data[2:]):
            continue
        buffer = Buffer(data)
        ours, theirs = answer_of(name, buffer), libevent.take_apart(name, 5, data)
        if theirs is None:
            assert ours is None
            assert bytes(buffer) == data  # which libevent has drained in part
        else:
            assert ours == theirs[:2]
            assert len(buffer) == theirs[2]


def test_random_bytes_are_read_or_refused() -> None:
    chance = random.Random(2310)
    reads = list(READS.values())
    looks = list(LOOKS.values())
    taken = 0
    for turn in range(100_000):
        size = chance.randrange(16)
        data = bytes(chance.choices(ODD, k=size)) if turn % 2 else chance.randbytes(size)
        buffer = Buffer(data)
        error = refusal(lambda buffer, turn=turn: (looks[turn % 3](buffer), reads[turn % 11](buffer)), buffer)
        if error is None:
            assert len(buffer) < size
            taken += 1
        else:
            assert bytes(buffer) == data
            assert 0 <= error.offset <= size
    assert 1_000 < taken < 99_000


def refusal(read: Callable[[Buffer], object], buffer: Buffer) -> TagError | None:
    try:
        read(buffer)
    except TagError as error:
        return error
    return None
