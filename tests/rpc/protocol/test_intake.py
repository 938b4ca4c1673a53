"""`evkit.rpc.protocol.intake`: bytes in any pieces become the same objects, within the limits."""

import itertools
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evkit.core.buffer.segments import Readable
from evkit.rpc.errors import RPCProtocolError
from evkit.rpc.limits import Limits
from evkit.rpc.protocol import intake as module
from evkit.rpc.protocol.codec import Unpacker
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.intake import Intake
from evkit.rpc.protocol.scan import Scanner

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Fed:
    """An intake, and what came out of it."""

    def __init__(self, limits: Limits | None = None, coders: "type[Coders]" = Coders) -> None:
        self.coders: Any = coders(limits or Limits())
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


def test_whole_large_messages_and_parts_of_them_in_turns() -> None:
    sizes = [20_000, 30_000, 60_000, 20_000, 90_000, 200_000, 17_000, 17_000]
    packed = [msgpack.packb(bytes(size)) for size in sizes]
    fed = Fed()
    for number, data in enumerate(packed):
        fed.feed(*([data] if number % 2 else [data[:-1], data[-1:]]))
        assert not fed.intake.partial
    for data in packed:
        fed.feed(data)
    assert [len(message) for message in fed.messages if isinstance(message, bytes)] == sizes * 2
    assert fed.ends == list(itertools.accumulate(map(len, packed * 2)))


def test_a_large_message_after_whole_ones_is_refused_by_what_it_declares() -> None:
    fed = Fed(Limits(max_message=200_000))
    fed.feed(msgpack.packb(bytes(20_000)), msgpack.packb(bytes(20_000)))
    fed.feed(b"\xc6" + (1 << 20).to_bytes(4, "big") + bytes(90_000), bytes(20_000))
    assert fed.error.offset == 2 * 20_003
    assert len(fed.messages) == 2


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


# What the quick decoder refuses, and the patient one takes

TEXTS = {str(number): number for number in range(9)}
FEW = {"max_int_map": 3}


@pytest.mark.parametrize("size", [1, 5, 17, 1000])
def test_larger_maps_of_text_come_out_among_others(size: int) -> None:
    values = [1, TEXTS, "between", TEXTS, TEXTS, [2]]
    packed = [msgpack.packb(value) for value in values]
    data = b"".join(packed)
    fed = Fed(Limits(**FEW)).feed(*(data[start : start + size] for start in range(0, len(data), size)))
    assert fed.messages == values
    assert fed.ends == list(itertools.accumulate(map(len, packed)))
    assert not fed.intake.partial


def test_a_large_message_may_have_one_too() -> None:
    values = [7, [TEXTS, bytes(150_000)], TEXTS]
    data = b"".join(msgpack.packb(value) for value in values)
    fed = Fed(Limits(**FEW)).feed(data[:60_000], data[60_000:])
    assert fed.messages == values
    assert fed.ends[-1] == len(data)


def test_a_large_message_may_begin_with_one() -> None:
    large = msgpack.packb([TEXTS, bytes(150_000)])
    fed = Fed(Limits(**FEW)).feed(large[:40], large[40:], msgpack.packb(TEXTS))
    assert fed.messages == [[TEXTS, bytes(150_000)], TEXTS]


def test_a_large_message_of_numbers_is_refused_by_both_and_ends_it() -> None:
    before, good = b"\x07" * 10, msgpack.packb("after")
    data = before + msgpack.packb([dict.fromkeys(range(9), 0), bytes(150_000)]) + good
    fed = Fed(Limits(**FEW)).feed(data[:60_000], data[60_000:], good)
    assert fed.messages == [7] * 10
    assert fed.ends == list(range(1, 11))
    assert fed.error.reason == "a map of 9 pairs whose keys are not all text, where 3 are allowed"
    assert len(before) <= fed.error.offset <= len(data)
    assert not fed.intake.partial


def test_nothing_behind_a_large_message_that_is_wrong_is_taken() -> None:
    data = b"\x92" + msgpack.packb(bytes(150_000)) + b"\xa1\xff" + msgpack.packb("after")
    fed = Fed().feed(data[:90_000], data[90_000:])
    assert (fed.messages, fed.ends) == ([], [])
    assert "UTF-8" in fed.error.reason


def test_a_patient_decoder_is_lent_to_nobody() -> None:
    fed = Fed(Limits(**FEW)).feed(msgpack.packb(TEXTS))
    assert fed.messages == [TEXTS]
    spare = fed.coders.borrow()
    spare.feed(msgpack.packb(TEXTS))
    with pytest.raises(ValueError, match="max_map_len"):
        next(spare)


# What it looks at before it is decoded


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what was looked at."""
    found: list[int] = []

    class Noting(Scanner):
        def scan(self, data: Readable, start: int = 0) -> int:
            found.append(len(data))
            return super().scan(data, start)

    monkeypatch.setattr(module, "Scanner", Noting)
    return found


def of_size(size: int) -> bytes:
    """Return a message of so many bytes."""
    return b"\xc6" + (size - 5).to_bytes(4, "big") + bytes(size - 5)


@pytest.mark.parametrize(("size", "looked_at"), [(100, []), (16_383, []), (16_384, [16_384])])
def test_from_which_size_on_a_read_is_looked_at(looks: list[int], size: int, looked_at: list[int]) -> None:
    assert len(Fed().feed(of_size(size)).messages) == 1
    assert looks == looked_at


def test_large_messages_after_one_that_came_whole_are_not_looked_at(looks: list[int]) -> None:
    fed = Fed().feed(of_size(20_000), *[of_size(30_000)] * 3)
    assert len(fed.messages) == 4
    assert looks == [20_000]


def test_large_messages_are_looked_at_again_after_one_of_which_there_was_a_part(looks: list[int]) -> None:
    cut_up = of_size(60_000)
    fed = Fed().feed(of_size(20_000), cut_up[:16_384], cut_up[16_384:], of_size(17_000), of_size(18_000))
    assert len(fed.messages) == 4
    assert looks == [20_000, 17_000]


def test_a_small_part_behind_a_whole_one_changes_nothing(looks: list[int]) -> None:
    cut_up = of_size(30_000)
    fed = Fed().feed(of_size(20_000), of_size(25_000) + cut_up[:16_383], cut_up[16_383:], of_size(17_000))
    assert len(fed.messages) == 4
    assert looks == [20_000]


def test_a_small_part_does_not_make_the_large_ones_trusted(looks: list[int]) -> None:
    fed = Fed().feed(b"\x92\x01", b"\x02", of_size(20_000))
    assert len(fed.messages) == 2
    assert looks == [20_000]


@pytest.mark.parametrize(("size", "looked_at"), [(98_304, [20_000]), (98_305, [20_000, 98_304, 1])])
def test_up_to_which_size_whole_ones_are_not_looked_at(
    looks: list[int], size: int, looked_at: list[int]
) -> None:
    assert len(Fed().feed(of_size(20_000), of_size(size)).messages) == 2
    assert looks == looked_at


def test_a_message_that_is_of_one_read_together_is_not_looked_at(looks: list[int]) -> None:
    data = of_size(98_304)
    assert len(Fed().feed(data[:10_000], data[10_000:]).messages) == 1
    assert looks == []


def test_what_does_not_fit_into_a_read_is_looked_at_whatever_came_before(looks: list[int]) -> None:
    large = of_size(150_000)
    fed = Fed().feed(of_size(20_000), large[:98_304], large[98_304:])
    assert len(fed.messages) == 2
    assert looks == [20_000, 98_304, 51_696]


# What is one large message by itself


class Lending(Coders):
    """Coders that count how often a decoder was lent."""

    __slots__ = ("lent",)

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.lent = 0

    def borrow(self) -> Unpacker:
        self.lent += 1
        return super().borrow()


@pytest.fixture
def trusting() -> Fed:
    """An intake after a large message that came whole."""
    fed = Fed(Limits(**FEW), Lending).feed(of_size(20_000))
    fed.messages.clear()
    fed.ends.clear()
    fed.coders.lent = 0
    return fed


@pytest.mark.parametrize(("size", "lent"), [(16_383, 1), (16_384, 0), (98_304, 0)])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_large_message_that_is_one_read_goes_through_no_decoder(
    trusting: Fed, size: int, lent: int, kind: Any
) -> None:
    trusting.feed(kind(of_size(size)))
    assert trusting.messages == [bytes(size - 5)]
    assert trusting.ends == [20_000 + size]
    assert trusting.coders.lent == lent
    assert trusting.feed(b"\x07").ends[-1] == trusting.intake.received == 20_000 + size + 1


@pytest.mark.parametrize("behind", [[b"\x07"], [of_size(17_000)], [b"\x92\x01", b"\x02"]])
def test_one_and_what_is_behind_it_come_out_once(trusting: Fed, behind: list[bytes]) -> None:
    data = of_size(18_000)
    trusting.feed(data + behind[0], *behind[1:])
    assert trusting.messages == [bytes(17_995), msgpack.unpackb(b"".join(behind))]
    assert trusting.ends == [38_000, 38_000 + sum(map(len, behind))]


def test_what_looks_like_a_message_inside_another_is_none(trusting: Fed) -> None:
    trusting.feed(b"\x92", of_size(18_000))
    assert trusting.messages == []
    assert (trusting.intake.partial, trusting.intake.partial_start) == (True, 20_000)
    assert trusting.feed(b"\x05").messages == [[bytes(17_995), 5]]


def test_one_that_is_for_the_patient_decoder_comes_out_too(trusting: Fed) -> None:
    value = [TEXTS, bytes(20_000)]
    assert trusting.feed(msgpack.packb(value)).messages == [value]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(b"\xa1\xff", "UTF-8"), (b"\xc1", "0xc1"), (msgpack.packb(dict.fromkeys(range(9))), "9 pairs")],
)
def test_one_that_is_wrong_is_told_as_any(trusting: Fed, bad: bytes, reason: str) -> None:
    trusting.feed(b"\x92" + of_size(18_000) + bad)
    assert (trusting.messages, trusting.ends) == ([], [])
    assert reason in trusting.error.reason
    assert 38_000 <= trusting.error.offset <= 38_001 + len(bad)
    assert trusting.feed(of_size(18_000)).messages == []


# What it keeps


def test_a_large_message_in_small_pieces_is_kept_in_few() -> None:
    data = msgpack.packb(bytes(150_000))
    fed = Fed().feed(data[:100_000], *(data[start : start + 10] for start in range(100_000, 120_000, 10)))
    assert fed.messages == []
    assert len(fed.intake._pieces) <= 3
    assert fed.feed(data[120_000:]).messages == [bytes(150_000)]


@pytest.mark.parametrize(("size", "copied"), [(4096, False), (4095, True)])
def test_only_small_pieces_of_a_large_message_are_copied(size: int, copied: bool) -> None:
    data = of_size(150_000)
    piece = data[100_000 : 100_000 + size]
    fed = Fed().feed(data[:100_000], piece)
    kept = fed.intake._pieces[-1]
    assert (not isinstance(kept, memoryview) or kept.obj is not piece) is copied


@pytest.mark.parametrize("size", [3, 120_000])
def test_nothing_is_kept_after_a_fault(size: int) -> None:
    fed = Fed().feed(msgpack.packb(bytes(150_000))[:size])
    assert fed.intake.partial
    fed.intake.fail("enough", 5)
    fed.intake.fail("more than enough", 6)
    assert not fed.intake.partial
    assert str(fed.error) == "enough (at byte 5)"
    assert fed.feed(b"\x01").messages == []
    assert not fed.feed(msgpack.packb(bytes(150_000))[:20_000]).intake.partial
    assert fed.intake._pieces == []


@pytest.mark.parametrize("before", [b"", b"\x91" * 100])
def test_nothing_is_kept_of_what_is_refused_by_its_head(before: bytes) -> None:
    fed = Fed().feed(before, b"\x91" * 100 + bytes(120_000))
    assert "64 levels" in fed.error.reason
    assert fed.intake._pieces == []


def test_the_fault_that_comes_first_is_told_whenever_it_was_found() -> None:
    intake = Fed().intake
    for reason, offset in [("first", 9), ("later", 9), ("behind", 10), ("before", 8)]:
        intake.fail(reason, offset)
        assert str(intake.error) == ("before (at byte 8)" if reason == "before" else "first (at byte 9)")


@pytest.mark.parametrize(
    ("pieces", "place"),
    [
        ([b"\x91\x00\xc1"], 2),  # to the decoder
        ([b"\x92\x01\xc1" + bytes(20_000)], 2),  # looked at
        ([b"\x92\xc6\x00\x01\x86\xa0" + bytes(99_000), bytes(1000) + b"\xa1\xff"], 100_006),  # both
    ],
)
def test_the_place_of_a_fault_is_that_on_the_connection(pieces: list[bytes], place: int) -> None:
    """The decoder itself does not tell it to the byte."""
    fed = Fed().feed(bytes(500), *pieces)
    assert len(fed.messages) == len(fed.ends)
    assert 500 + place - 2 <= fed.error.offset <= 500 + place + 2


def test_a_decoder_that_was_given_back_is_not_used_any_more() -> None:
    coders = Coders(Limits())
    one, two = Intake(coders), Intake(coders)
    ones: list[object] = []
    one.take(b"\x01", ones, [])
    two.take(b"\x92\x07", [], [])
    one.take(b"\x02", ones, [])
    assert ones == [1, 2]


def test_nor_is_one_that_had_something_half_read() -> None:
    coders = Coders(Limits())
    one, two = Intake(coders), Intake(coders)
    ones: list[object] = []
    for piece in (b"\x92\x01", b"\x02"):
        one.take(piece, ones, [])
    two.take(b"\x92\x07", [], [])
    one.take(b"\x03", ones, [])
    assert ones == [[1, 2], 3]
