"""The rules of messages: which fields may be there, how often, how deep, how many."""

from types import SimpleNamespace

import pytest

from evkit.extra import TagError, TagIncomplete
from evkit.extra.message_kinds import Number, Source, Text
from evkit.extra.message_layout import MAX_DEPTH, Field, Layout, Times

LAYOUT = Layout(
    "It",
    [
        Field("name", 1, Times.ONE, Text()),
        Field("age", 2, Times.OPTIONAL, Number()),
        Field("marks", 0x10121, Times.ARRAY, Number()),
    ],
)


def encode(**values: object) -> str:
    return LAYOUT.encode(SimpleNamespace(**{"age": None, "marks": []} | values)).hex()


def decode(wire: str, max_fields: int | None = None) -> dict[str, object]:
    data = bytes.fromhex(wire)
    return LAYOUT.decode(Source(data, max_fields), 0, len(data))


def test_fields_are_written_in_the_order_of_their_declaration() -> None:
    assert encode(marks=(1, 0x10), age=5, name="a") == "010161" + "020105" + "a182040101" + "a18204021010"
    assert encode(name="") == "0100"


def test_fields_are_read_in_any_order() -> None:
    assert decode("a182040101" + "020105" + "010161" + "a18204021010") == {
        "name": "a",
        "age": 5,
        "marks": [1, 0x10],
    }
    assert decode("0100") == {"name": ""}


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        ({}, ValueError, "It.name: it is not set"),
        ({"name": None}, ValueError, "It.name: it is not set"),
        ({"name": 1}, TypeError, "It.name: expected str, got int"),
        ({"name": "a", "age": -1}, ValueError, r"It.age: expected a number from 0 to 2\*\*32 - 1, got -1"),
        ({"name": "a", "marks": None}, TypeError, "It.marks: expected a list, got NoneType"),
        ({"name": "a", "marks": "12"}, TypeError, "It.marks: expected a list, got str"),
        ({"name": "a", "marks": [1, None]}, TypeError, "It.marks: "),
        ({"name": "\udfff"}, ValueError, "It.name: .*surrogates"),
    ],
)
def test_what_cannot_be_written(values: dict[str, object], kind: type[Exception], reason: str) -> None:
    with pytest.raises(kind, match=reason):
        encode(**values)


@pytest.mark.parametrize(
    ("wire", "reason", "offset"),
    [
        ("", "It.name: expected tag 1, got none", 0),
        ("020105", "It.name: expected tag 1, got none", 3),
        ("0100" + "0300", "It: expected a tag of one of its fields, got 3", 2),
        ("0100" + "0100", "It.name: expected tag 1 once, got it again", 2),
        ("0100" + "020105" * 2, "It.age: expected tag 2 once, got it again", 5),
        ("0100" + "0280", "It.age: expected an integer of at most 32 bits, got one of 36", 3),
        ("0103" + "6161", "It.name: expected a payload of 3 bytes, got 2 of them", 2),
        ("01" + "7fffffff", "It.name: expected an integer of 5 bytes, got 4 of them in its field", 1),
        ("01", "It.name: expected an integer, got nothing in its field", 1),
        ("0100" + "a182", "It: expected a tag, got 2 bytes of one", 2),
        ("0100" + "ffffffff1f", "It: expected a tag of at most 32 bits, got ff ff ff ff 1f", 2),
        ("0101ff", "It.name: expected UTF-8, got byte 0xff", 2),
    ],
)
def test_what_is_refused(wire: str, reason: str, offset: int) -> None:
    with pytest.raises(TagError) as caught:
        decode(wire)
    assert (caught.value.reason, caught.value.offset) == (reason, offset)
    assert not isinstance(caught.value, TagIncomplete)  # no more will come


def test_a_message_within_bounds_of_its_data() -> None:
    data = b"\xff\1\1a\xff"
    assert LAYOUT.decode(Source(data, None), 1, 4) == {"name": "a"}
    with pytest.raises(TagError, match="got 0 of them"):
        LAYOUT.decode(Source(data, None), 1, 3)


def test_how_many_fields_there_may_be() -> None:
    assert len(decode("0100" + "a182040101" * 9, max_fields=10)) == 2
    with pytest.raises(TagError, match="expected at most 10 fields, got more"):
        decode("0100" + "a182040101" * 10, max_fields=10)


def test_how_deep_messages_may_be() -> None:
    it = SimpleNamespace(name="", age=None, marks=[])
    assert LAYOUT.encode(it, MAX_DEPTH) == b"\1\0"
    assert LAYOUT.is_complete(it, MAX_DEPTH)
    assert LAYOUT.decode(Source(b"\1\0", None), 0, 2, MAX_DEPTH) == {"name": ""}
    with pytest.raises(ValueError, match="at most 64 messages within one another"):
        LAYOUT.encode(it, MAX_DEPTH + 1)
    with pytest.raises(TagError, match="at most 64 messages within one another"):
        LAYOUT.decode(Source(b"\1\0", None), 0, 2, MAX_DEPTH + 1)
    assert not LAYOUT.is_complete(it, MAX_DEPTH + 1)


def test_what_is_complete() -> None:
    assert LAYOUT.is_complete(SimpleNamespace(name="a", age=None, marks=[]))
    assert not LAYOUT.is_complete(SimpleNamespace(name=None, age=1, marks=[1]))
