"""Values go out and come back; nothing of the library that does it shows."""

import enum
import struct
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unittest.mock import ANY

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evkit.rpc.limits import Limits
from evkit.rpc.protocol.codec import Ext, Unpacker, decode_failure, make_packer, make_unpack, make_unpacker

BOTH = pytest.mark.parametrize("patient", [False, True], ids=["quick", "patient"])


def decode(
    data: bytes, *, patient: bool = False, limits: Limits | None = None, errors: str = "strict"
) -> Any:
    unpacker = make_unpacker(limits or Limits(), errors, patient=patient)
    unpacker.feed(data)
    return next(unpacker)


def failure(data: bytes, **how: Any) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the decoder may raise
        decode(data, **how)
    return decode_failure(caught.value)


EXTS = st.builds(Ext, st.sampled_from([*range(-128, -1), *range(128)]), st.binary(max_size=40))
MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30))])).filter(
    lambda moment: moment.year not in (1, 9999)  # beyond these in UTC
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    EXTS,
    MOMENTS,
)
# Under -bb a dict that has both text and bytes for keys warns of their comparison.
KEYS = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.text(st.characters(exclude_categories=["Cs"])), EXTS, MOMENTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(value=VALUES, patient=st.booleans())
def test_what_goes_out_comes_back(value: object, patient: bool) -> None:
    back = decode(make_packer()(value), patient=patient)
    assert back == value
    assert type(back) is type(value)


@given(value=VALUES, kind=st.sampled_from([bytes, bytearray, memoryview]))
def test_one_value_by_itself(value: object, kind: Any) -> None:
    back = make_unpack(Limits())(kind(make_packer()(value)))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("data", [b"", b"\x92\x01", b"\x01\x02", b"\xa1"])
def test_what_is_more_or_less_than_one_value_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"extra data|incomplete"):
        make_unpack(Limits())(data)


@given(values=st.lists(VALUES, max_size=4), size=st.integers(1, 20), patient=st.booleans())
def test_any_cut_gives_the_same_values(values: list[object], size: int, patient: bool) -> None:
    pack = make_packer()
    data = b"".join(map(pack, values))
    unpacker = make_unpacker(Limits(), patient=patient)
    found: list[object] = []
    for start in range(0, len(data), size):
        unpacker.feed(memoryview(data)[start : start + size])
        found.extend(unpacker)
    assert found == values
    assert unpacker.tell() == len(data)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ([0, 1, "add", [1, 2]], "94 00 01 a3 616464 92 01 02"),  # the specification's request
        ((1, 1, None, 3), "94 01 01 c0 03"),
        (b"x", "c4 01 78"),
        (bytearray(b"x"), "c4 01 78"),
        (memoryview(b"x"), "c4 01 78"),
        ("\u20ac" * 11, "d9 21" + "e282ac" * 11),
        (2**64 - 1, "cf ffffffffffffffff"),
        (-(2**63), "d3 8000000000000000"),
        (Ext(0, b"\x01"), "d4 00 01"),  # neovim's buffer 1
        (Ext(-5, b"\x01\x02\x03"), "c7 03 fb 010203"),
        (Ext(127, memoryview(b"")), "c7 00 7f"),
        (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), "d6 ff 00000001"),
        (datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC), "d7 ff 00000fa0 00000001"),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), "c7 0c ff 00000000 ffffffffffffffff"),
        (datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), "d6 ff 00000000"),
        (OrderedDict(a=1), "81 a1 61 01"),
        (enum.IntEnum("Level", "LOW").LOW, "01"),  # type: ignore[attr-defined]  # made by the call
    ],
)
def test_bytes(value: object, data: str) -> None:
    assert make_packer()(value) == bytes.fromhex(data)


class Moment(datetime):
    """A program's own kind of datetime."""


def test_a_subclass_of_datetime_is_one() -> None:
    assert make_packer()(Moment(1970, 1, 1, 0, 0, 1, tzinfo=UTC)) == b"\xd6\xff\x00\x00\x00\x01"


class Broken(dict[str, int]):
    def items(self) -> Any:
        raise LookupError("no such thing")


def tower(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "a value of type object can't be sent"),
        ({1, 2}, "a value of type set can't be sent"),
        (1j, "a value of type complex can't be sent"),
        (2**64, "integers go from -(2**63) to 2**64-1, got one of 65 bits"),
        (-(2**63) - 1, "integers go from -(2**63) to 2**64-1, got one of 64 bits"),
        (
            datetime(2000, 1, 1),
            "a datetime without a time zone can't be sent: datetime.datetime(2000, 1, 1, 0, 0)",
        ),
        ("\ud800", "surrogates not allowed"),
        (tower(1023), "recursion limit exceeded"),
        (memoryview(b"abcd")[::2], "not C-contiguous"),
        (Broken(a=1), "no such thing"),
    ],
)
def test_what_cannot_be_packed_leaves_the_packer_as_it_was(value: object, words: str) -> None:
    pack = make_packer()
    with pytest.raises((TypeError, ValueError, OverflowError, BufferError, LookupError)) as caught:
        pack(["before", [value]])
    assert words in str(caught.value)
    assert pack(1) == b"\x01"


@BOTH
def test_each_kind_as_python_has_it(patient: bool) -> None:
    data = b"\x95\xc4\x01\xff\xa1a\x81\x01\x90\xd4\x05x\xd6\xff\x00\x00\x00\x01"
    moment = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert decode(data, patient=patient) == [b"\xff", "a", {1: []}, Ext(5, b"x"), moment]


@BOTH
def test_the_last_of_two_equal_keys_wins(patient: bool) -> None:
    assert decode(b"\x82\xa1a\x01\xa1a\x02", patient=patient) == {"a": 2}


@BOTH
def test_bad_utf8(patient: bool) -> None:
    assert failure(b"\x91\xa1\xff", patient=patient) == "a str that is not UTF-8: invalid start byte"
    assert decode(b"\xa1\xff", errors="surrogateescape", patient=patient) == "\udcff"
    assert make_unpack(Limits(), "surrogateescape")(b"\xa1\xff") == "\udcff"


def timestamp(seconds: int, nanoseconds: int = 0) -> bytes:
    return b"\xc7\x0c\xff" + struct.pack(">Iq", nanoseconds, seconds)


@pytest.mark.parametrize("seconds", [2**63 - 1, -(2**63), 253402300800, -62135596801])
def test_a_far_year_is_for_the_patient_one(seconds: int) -> None:
    raw = timestamp(seconds, 999_999_999)
    assert failure(raw) != ""
    kept = Ext(-1, raw[3:])
    assert decode(b"\x92" + raw + b"\x81" + raw + raw, patient=True) == [kept, {kept: kept}]
    assert make_packer()(kept) == raw


def test_a_timestamp_by_itself_is_none_of_the_librarys() -> None:
    assert decode(b"\xd6\xff\x00\x00\x00\x01", patient=True) == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert decode(timestamp(2**62), patient=True) == Ext(-1, timestamp(2**62)[3:])
    unpacker = make_unpacker(Limits(), patient=True)
    unpacker.feed(timestamp(2**62) + b"\x05")
    assert list(unpacker) == [Ext(-1, timestamp(2**62)[3:]), 5]


@BOTH
@pytest.mark.parametrize(
    ("seconds", "moment"),
    [
        (253402300799, datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        (-62135596800, datetime(1, 1, 1, 0, 0, 0, 999999, tzinfo=UTC)),
    ],
)
def test_the_last_moments_of_a_datetime(patient: bool, seconds: int, moment: datetime) -> None:
    assert decode(b"\x91" + timestamp(seconds, 999_999_999), patient=patient) == [moment]


@BOTH
@pytest.mark.parametrize("data", [b"\xd4\xff\x01", b"\xc7\x00\xff", timestamp(0, 1_000_000_000)])
def test_a_timestamp_that_is_none(patient: bool, data: bytes) -> None:
    assert "timestamp" in failure(data, patient=patient) or "nanoseconds" in failure(data, patient=patient)


def pairs(keys: Any) -> bytes:
    packed = [msgpack.packb(key) + b"\x01" for key in keys]
    return b"\xdf" + struct.pack(">I", len(packed)) + b"".join(packed)


FEW = Limits(max_map=5, max_int_map=3)


@pytest.mark.parametrize("keys", [range(3), "abc"])
def test_a_small_map_may_have_any_keys(keys: Any) -> None:
    expected = dict.fromkeys(keys, 1)
    assert decode(pairs(keys), limits=FEW) == decode(pairs(keys), limits=FEW, patient=True) == expected


@pytest.mark.parametrize("keys", ["abcd", [b"a", "b", "c", msgpack.ExtType(1, b"d")]])
def test_a_larger_map_of_text_is_for_the_patient_one(keys: Any) -> None:
    assert failure(pairs(keys), limits=FEW) == "a map of more than 3 pairs"
    with pytest.raises(ValueError, match="4 exceeds max_map_len"):
        make_unpack(FEW)(pairs(keys))
    unpacker = make_unpacker(FEW)  # which is the quick one
    unpacker.feed(pairs(keys))
    with pytest.raises(ValueError, match="4 exceeds max_map_len"):
        next(unpacker)
    assert len(decode(pairs(keys), limits=FEW, patient=True)) == 4


@pytest.mark.parametrize("keys", [range(4), "abc1", [1.5, "a", "b", "c"], ["a", "b", "c", None]])
def test_a_larger_map_of_numbers_is_for_nobody(keys: Any) -> None:
    keys = [int(key) if key == "1" else key for key in keys]
    assert failure(pairs(keys), limits=FEW) == "a map of more than 3 pairs"
    reason = "a map of 4 pairs whose keys are not all text, where 3 are allowed"
    assert failure(pairs(keys), limits=FEW, patient=True) == reason


@BOTH
def test_lengths_are_bounded(patient: bool) -> None:
    limits = Limits(max_message=20, max_elements=4, max_map=2)
    assert failure(b"\x95" + b"\x00" * 5, limits=limits, patient=patient) == "an array of more than 4 values"
    assert failure(pairs("abc"), limits=limits, patient=patient) == "a map of more than 2 pairs"
    for head, kind in ((b"\xb5", "a str"), (b"\xc4\x15", "a bin")):
        words = f"{kind} of more than 20 bytes"
        assert failure(head + b"x" * 21, limits=limits, patient=patient) == words
        assert decode(head[:-1] + bytes([head[-1] - 1]) + b"x" * 20, limits=limits, patient=patient)
    assert decode(b"\xc7\x13\x05" + b"x" * 19, limits=limits, patient=patient) == Ext(5, b"x" * 19)
    too_long = b"\xc7\x15\x05" + b"x" * 21
    assert failure(too_long, limits=limits, patient=patient) == "an extension of more than 20 bytes"
    for data in (b"\x95" + bytes(5), pairs("abc"), b"\xb5" + b"x" * 21, b"\xc4\x15" + bytes(21), too_long):
        with pytest.raises(ValueError, match="exceeds max_"):
            make_unpack(limits)(data)


@BOTH
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x91\xc1", "the byte 0xc1, which begins no value"),
        (b"\x91" * 1025, "more than 1024 levels of arrays and maps"),
        (b"\x81\x90\x00", "a map with an array or a map as a key"),
        (b"\x81\x80\x00", "a map with an array or a map as a key"),
    ],
)
def test_what_was_wrong_in_words(patient: bool, data: bytes, words: str) -> None:
    assert failure(data, patient=patient) == words
    with pytest.raises(Exception) as caught:  # noqa: PT011 - as above
        make_unpack(Limits())(data)
    assert decode_failure(caught.value) == words


def test_words_for_anything() -> None:
    assert decode_failure(msgpack.BufferFull()) == "more bytes than can be held"
    assert decode_failure(MemoryError()) == "MemoryError"


def test_much_may_be_held() -> None:
    unpacker: Unpacker = make_unpacker(Limits(max_message=1000))
    unpacker.feed(b"\xc0" * 200_000)
    assert sum(1 for _ in unpacker) == 200_000


def test_an_unknown_error_handler_shows_when_it_is_needed() -> None:
    with pytest.raises(LookupError):
        decode(b"\xa1\xff", errors="no-such")


@given(code=st.integers(-128, 127), data=st.binary())
@example(code=-1, data=b"")
def test_ext_is_a_value(code: int, data: bytes) -> None:
    one, other = Ext(code, data), Ext(code, bytearray(data))
    assert one == other
    assert hash(one) == hash(other)
    assert (one.code, one.data) == (code, data)
    assert repr(one) == f"Ext({code}, {data!r})"
    assert one != Ext(code, data + b"x")
    assert one != Ext(code ^ 1, data)
    assert (one == (code, data)) is False
    assert one == ANY  # whose turn it is, if it is none of ours


@pytest.mark.parametrize(
    ("code", "data", "kind", "words"),
    [
        ("1", b"", TypeError, "expected code as an int, got str"),
        (1, "text", TypeError, "expected data as bytes, got str"),
        (1, 5, TypeError, "expected data as bytes, got int"),
        (128, b"", ValueError, "code must be from -128 to 127, got 128"),
        (-129, b"", ValueError, "code must be from -128 to 127, got -129"),
    ],
)
def test_an_ext_that_is_none(code: Any, data: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught:
        Ext(code, data)
    assert str(caught.value) == words
