"""`evkit.rpc.protocol.coders`: one decoder is lent to whoever has something half read, and comes back."""

from datetime import UTC, datetime
from typing import Any

import pytest

from evkit.rpc.limits import Limits
from evkit.rpc.protocol.codec import Ext
from evkit.rpc.protocol.coders import Coders


def test_what_is_given_back_is_lent_again() -> None:
    coders = Coders(Limits())
    first = coders.borrow()
    second = coders.borrow()
    assert first is not second
    coders.give_back(first)
    assert coders.borrow() is first
    assert coders.borrow() not in (first, second)


def test_limits_and_errors_are_those_of_all_decoders() -> None:
    limits = Limits(max_elements=3)
    coders = Coders(limits, unicode_errors="surrogateescape")
    assert coders.limits is limits
    for unpacker in (coders.borrow(), coders.make_unpacker(), coders.make_unpacker(patient=True)):
        unpacker.feed(b"\xa1\xff\x94")
        assert next(unpacker) == "\udcff"
        with pytest.raises(ValueError, match="4 exceeds"):
            next(unpacker)


@pytest.mark.parametrize("patient", [False, True])
def test_the_patient_one_takes_larger_maps_of_text(patient: bool) -> None:
    unpacker = Coders(Limits(max_int_map=1)).make_unpacker(patient=patient)
    unpacker.feed(b"\x82\xa1a\x01\xa1b\x02")
    if patient:
        assert next(unpacker) == {"a": 1, "b": 2}
    else:
        with pytest.raises(ValueError, match="exceeds"):
            next(unpacker)


def test_it_encodes() -> None:
    assert Coders(Limits()).pack([0, 1, "add", (1, 2)]) == bytes.fromhex("940001a3616464920102")


@pytest.mark.parametrize(
    "value", [["x" * 20_000, b"x" * 20_000], Ext(5, b"x"), {"a": datetime(2026, 1, 2, 3, tzinfo=UTC)}, {1: 2}]
)
def test_what_is_one_value_is_decoded_as_by_a_decoder(value: Any) -> None:
    coders = Coders(Limits())
    assert coders.unpack(coders.pack(value)) == value
    assert coders.unpack(memoryview(coders.pack(value))) == value


@pytest.mark.parametrize(
    "data", [b"", b"\x92\x01", b"\x01\x02", b"\xc1", b"\xa1\xff", b"\x94\x01\x02\x03\x04"]
)
def test_what_is_not_one_value_is_not(data: bytes) -> None:
    coders = Coders(Limits(max_elements=3))
    try:
        value = coders.unpack(data)
    except Exception:  # of as many kinds as a decoder's
        return
    pytest.fail(f"it was decoded: {value!r}")


def test_the_one_value_has_the_errors_of_all() -> None:
    assert Coders(Limits(), unicode_errors="surrogateescape").unpack(b"\xa1\xff") == "\udcff"
    with pytest.raises(ValueError, match="exceeds max_map_len"):
        Coders(Limits(max_int_map=1)).unpack(b"\x82\xa1a\x01\xa1b\x02")


def test_what_is_no_error_handler_is_said_at_once() -> None:
    with pytest.raises(TypeError):
        Coders(Limits(), unicode_errors=5)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(ValueError, match=r"^expected unicode_errors as bytes.decode has it, got 'strange'$"):
        Coders(Limits(), unicode_errors="strange")
