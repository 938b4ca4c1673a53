"""`evkit.rpc.protocol.intake`: bytes in any pieces become the same objects, within the limits."""

import itertools

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evkit.rpc.errors import RPCProtocolError
from evkit.rpc.limits import Limits
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.intake import Intake

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Fed:
    """An intake, and what came out of it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.coders = Coders(limits or Limits())
        self.intake = Intake(self.coders)
        self.messages: list[object] = []
        self.ends: list[int] = []

    def feed(self, *pieces: bytes) -> "Fed":
        for piece in pieces:
            self.intake.take(piece, self.messages, self.ends)
        return self

    @property
    def error(self) -> RPCProtocolError:
        assert self.intake.error is not None
        return self.intake.error


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:stop] for start, stop in itertools.pairwise(places)]


@given(st.lists(VALUES, max_size=8), st.lists(st.integers(0, 10_000), max_size=8))
def test_however_it_is_cut_the_objects_and_their_ends_are_the_same(
    values: list[object], at: list[int]
) -> None:
    packed = [msgpack.packb(value) for value in values]
    fed = Fed().feed(*cut(b"".join(packed), at))
    assert fed.messages == values
    assert fed.ends == [sum(map(len, packed[: number + 1])) for number in range(len(packed))]
    assert not fed.intake.partial


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 150_000), min_size=1, max_size=6),
    st.lists(st.integers(0, 400_000), max_size=8),
)
def test_large_messages_among_small_ones_come_out_whole(sizes: list[int], at: list[int]) -> None:
    values = [[number, bytes([number]) * size] for number, size in enumerate(sizes)]
    data = b"".join(msgpack.packb(value) for value in values)
    fed = Fed().feed(*cut(data, at))
    assert fed.messages == values
    assert fed.ends[-1] == fed.intake.received == len(data)


@pytest.mark.parametrize("size", [10, 16_383, 16_384, 65_535, 65_536, 65_537, 200_000])
def test_every_size_in_one_piece_and_byte_by_byte_at_its_ends(size: int) -> None:
    data = msgpack.packb([1, bytes(size), "end"])
    assert Fed().feed(data).messages == [[1, bytes(size), "end"]]
    assert Fed().feed(data[:1], data[1:-1], data[-1:], b"\x07").messages == [[1, bytes(size), "end"], 7]


def test_a_part_of_a_message_says_where_it_begins() -> None:
    fed = Fed().feed(b"\x01\x02\x93\x01")
    assert fed.messages == [1, 2]
    assert (fed.intake.partial, fed.intake.partial_start) == (True, 2)
    fed.feed(bytes(2))
    assert not fed.intake.partial
    large = msgpack.packb(bytes(100_000))
    fed.feed(large[:70_000])
    assert (fed.intake.partial, fed.intake.partial_start) == (True, 6)


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (b"\x01\x02\xc1\x03", "0xc1", 3),
        (b"\x01\xa2\xff\xfe\x01\x02", "UTF-8", 4),
        (b"\x81\x90\x01", "key", 0),
    ],
)
def test_what_is_no_messagepack_ends_it_at_its_offset(data: bytes, reason: str, offset: int) -> None:
    fed = Fed().feed(data)
    assert reason in fed.error.reason
    assert abs(fed.error.offset - offset) <= 3
    before = list(fed.messages)
    fed.feed(b"\x05\x06")
    assert fed.messages == before


def test_what_is_inside_a_broken_string_is_never_taken_for_a_message() -> None:
    smuggled = msgpack.packb([0, 1, "shutdown", []])
    broken = bytes([0xD9, len(smuggled) + 1]) + b"\xff" + smuggled
    assert Fed().feed(broken).messages == []
    for place in range(1, len(broken)):
        assert Fed().feed(broken[:place], broken[place:], smuggled).messages == []


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"\xc6\xff\xff\xff\xff", "payload of 4294967295"),
        (b"\xdb\x7f\xff\xff\xff", "payload of 2147483647"),
        (b"\xdd\xff\xff\xff\xff", "4294967295 values"),
        (b"\x91" * 100, "64 levels"),
    ],
)
def test_what_a_large_message_declares_is_refused_before_it_has_come(head: bytes, reason: str) -> None:
    """In a read so large that it is looked at first; nothing is allocated for what is declared."""
    fed = Fed(Limits(max_message=1_000_000)).feed(b"\x92" + head + bytes(20_000))
    assert fed.messages == []
    assert reason in fed.error.reason


def test_a_small_message_that_grows_beyond_the_limit_is_refused() -> None:
    fed = Fed(Limits(max_message=1000)).feed(b"\x91\xc5\x10\x00", *[bytes(100)] * 20)
    assert fed.messages == []
    assert "1000" in fed.error.reason


@pytest.mark.parametrize("pieces", [1, 7, 1000, 5000])
def test_the_limit_on_messages_holds_to_the_byte(pieces: int) -> None:
    for size, fits in ((1000, True), (1001, False)):
        data = msgpack.packb(bytes(size - 3))
        assert len(data) == size
        fed = Fed(Limits(max_message=1000)).feed(*(data[i : i + pieces] for i in range(0, size, pieces)))
        assert bool(fed.messages) is fits
        assert (fed.intake.error is None) is fits


def test_a_message_of_too_many_elements_is_refused_undecoded() -> None:
    limits = Limits(max_elements=1000)
    assert Fed(limits).feed(b"\xdc\x03\xe7" + bytes(999)).messages == [[0] * 999]
    fed = Fed(limits).feed(b"\xdc\x03\xe8" + b"\x91\x00" * 1000)
    assert fed.messages == []
    assert "1000" in fed.error.reason


def test_a_connection_that_has_nothing_half_read_has_no_decoder() -> None:
    fed = Fed().feed(b"\x92\x01\x02" * 10)
    other = Intake(fed.coders)
    spare = fed.coders.borrow()
    fed.coders.give_back(spare)
    messages: list[object] = []
    other.take(b"\x01", messages, [])
    assert messages == [1]
    assert fed.coders.borrow() is spare


def test_two_connections_share_decoders_and_never_bytes() -> None:
    coders = Coders(Limits())
    one, two = Intake(coders), Intake(coders)
    ones: list[object] = []
    twos: list[object] = []
    one.take(b"\x92\x01", ones, [])
    two.take(b"\x92\x07", twos, [])
    one.take(b"\x02\x03", ones, [])
    two.take(b"\x08\x09", twos, [])
    assert (ones, twos) == ([[1, 2], 3], [[7, 8], 9])


def test_positions_go_on_when_a_decoder_has_served_others_before() -> None:
    coders = Coders(Limits())
    Intake(coders).take(bytes(500), [], [])
    ends: list[int] = []
    Intake(coders).take(b"\x01\x92\x01\x02", [], ends)
    assert ends == [1, 4]
