"""Draws by a source that is known, by statistics, and in a forked process."""

import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.chance import Chance
from forking import in_child

NAME = b"\x03www\x07EXAMPLE\x03o-9\x00"
WIRE = st.binary(max_size=300)


def seeded(seed: int = 1) -> Chance:
    return Chance(random.Random(seed).randbytes)


def constant(byte: int) -> Callable[[int], bytes]:
    return lambda size: bytes([byte]) * size


class TestId:
    @pytest.mark.parametrize(("byte", "expected"), [(0, 0), (0xFF, 0xFFFF), (0x11, 0x1111)])
    def test_it_is_two_bytes_of_the_source(self, byte: int, expected: int) -> None:
        assert Chance(constant(byte)).id() == expected

    def test_the_source_is_asked_for_many_at_once_and_each_is_used_once(self) -> None:
        blocks: list[bytes] = []

        def source(size: int) -> bytes:
            blocks.append(bytes(byte & 0xFF for byte in range(size)))
            return blocks[-1]

        chance = Chance(source)
        first = [chance.id() for _ in range(2048)]
        assert len(blocks) == 1
        assert len(blocks[0]) == 4096
        chance.id()
        assert len(blocks) == 2
        assert Counter(first) == Counter(memoryview(blocks[0]).cast("H").tolist())

    def test_all_of_16_bits_come(self) -> None:
        chance = seeded()
        seen = {chance.id() for _ in range(20_000)}
        assert min(seen) < 100
        assert max(seen) > 65_435
        assert len(seen) > 15_000  # 17,233 are to be expected; an id of 15 bits would give 14,970

    def test_by_default_no_two_stocks_are_alike(self) -> None:
        one, other = Chance(), Chance()
        assert [one.id() for _ in range(20)] != [other.id() for _ in range(20)]


class TestBelow:
    @pytest.mark.parametrize("limit", [0, -1, 65_537])
    def test_limits_out_of_range_are_refused(self, limit: int) -> None:
        with pytest.raises(ValueError, match="expected a limit of 1 to 65536, got"):
            Chance().below(limit)

    def test_there_is_one_number_below_one(self) -> None:
        assert {seeded().below(1) for _ in range(10)} == {0}

    def test_the_whole_range_is_that_of_ids(self) -> None:
        assert seeded(3).below(65_536) == seeded(3).id()

    @pytest.mark.parametrize("limit", [2, 3, 7, 10])
    def test_each_is_as_likely(self, limit: int) -> None:
        chance = seeded()
        counts = Counter(chance.below(limit) for _ in range(7000))
        assert set(counts) == set(range(limit))
        assert all(0.85 < count * limit / 7000 < 1.15 for count in counts.values())

    def test_a_limit_that_divides_badly_favours_nobody(self) -> None:
        # 40,000 goes 1.6 times into 65,536: without drawing again those below 25,536 would be twice as likely.
        chance = seeded()
        low = sum(chance.below(40_000) < 25_536 for _ in range(4000))
        assert 0.60 < low / 4000 < 0.68  # 0.64; else 0.78

    def test_one_above_the_last_whole_multiple_is_drawn_again(self) -> None:
        # 65,535 is 3 times 21,845: its own number is one too many for 0. The next word is 257.
        chance = Chance(lambda size: b"\x01" * (size - 2) + b"\xff\xff")
        assert chance.below(3) == 2


class TestRoll:
    @pytest.mark.parametrize(("byte", "least", "below"), [(0, 0.0, 1e-9), (0xFF, 0.999999, 1.0)])
    def test_the_ends(self, byte: int, least: float, below: float) -> None:
        assert least <= Chance(constant(byte)).roll() < below

    def test_the_mean_is_a_half(self) -> None:
        chance = seeded()
        assert 0.47 < sum(chance.roll() for _ in range(3000)) / 3000 < 0.53


class TestCase:
    @pytest.mark.parametrize(
        ("byte", "expected"),
        [
            (0x00, NAME),
            (0xFF, b"\x03WWW\x07example\x03O-9\x00"),
            (0x20, b"\x03WWW\x07example\x03O-9\x00"),
            (0xDF, NAME),
        ],
    )
    def test_one_bit_of_the_source_decides_for_each_letter(self, byte: int, expected: bytes) -> None:
        assert Chance(constant(byte)).case(NAME) == expected

    @given(WIRE)
    def test_nothing_but_the_case_of_ascii_letters_changes(self, wire: bytes) -> None:
        # bytes.swapcase() knows ASCII only, so it says which bytes are letters.
        changed = Chance(constant(0xFF)).case(wire)
        assert changed == wire.swapcase()
        assert len(changed) == len(wire)

    @given(WIRE, st.integers(0, 1000))
    def test_it_folds_to_the_same_name(self, wire: bytes, seed: int) -> None:
        assert seeded(seed).case(wire).lower() == wire.lower()

    def test_each_letter_is_upper_as_often_as_lower_whatever_the_others_are(self) -> None:
        chance = seeded()
        names = [chance.case(b"\x02ab\x00") for _ in range(2000)]
        counts = Counter(names)
        assert set(counts) == {b"\x02ab\x00", b"\x02aB\x00", b"\x02Ab\x00", b"\x02AB\x00"}
        assert all(430 < count < 570 for count in counts.values())

    def test_no_bit_is_used_twice(self) -> None:
        drawn = b""

        def source(size: int) -> bytes:
            nonlocal drawn
            block = random.Random(len(drawn)).randbytes(size)
            drawn += block
            return block

        chance = Chance(source)
        used = b"".join(bytes(byte & 0x20 for byte in chance.case(b"A" * 64)) for _ in range(2 * 64))
        assert used == bytes(byte & 0x20 for byte in drawn)

    def test_a_name_that_goes_past_the_end_of_a_block_gets_fresh_bits(self) -> None:
        zeros_then_ones = iter([bytes(4096), b"\xff" * 4096])
        chance = Chance(lambda size: next(zeros_then_ones))
        assert chance.case(b"a" * 4000) == b"a" * 4000
        assert chance.case(b"a" * 97) == b"A" * 97

    def test_no_name_is_too_long(self) -> None:
        assert Chance(constant(0xFF)).case(b"a" * 5000) == b"A" * 5000


class TestFork:
    def test_a_forked_process_draws_otherwise(self) -> None:
        chance = Chance()
        chance.id()
        chance.case(NAME)  # so that both kinds are in stock
        assert "words=2047" in repr(chance)
        theirs = bytes.fromhex(in_child(lambda: draws(chance).hex()))
        ours = draws(chance)
        assert len(theirs) == len(ours)
        assert theirs[:100] != ours[:100]
        assert theirs[100:] != ours[100:]


def draws(chance: Chance) -> bytes:
    """Return 50 ids and a long name's case."""
    return b"".join(chance.id().to_bytes(2, "big") for _ in range(50)) + chance.case(b"a" * 200)


def test_what_is_forgotten_does_not_come() -> None:
    blocks = iter([b"\x00" * 4096, b"\x00" * 4096, b"\xff" * 4096, b"\xff" * 4096])
    chance = Chance(lambda size: next(blocks))
    assert (chance.id(), chance.case(b"a")) == (0, b"a")
    chance.forget()
    assert repr(chance) == "<Chance words=0 bytes=0>"
    assert (chance.id(), chance.case(b"a")) == (0xFFFF, b"A")


def test_repr_tells_what_is_in_stock() -> None:
    chance = seeded()
    assert repr(chance) == "<Chance words=0 bytes=0>"
    chance.id()
    chance.case(b"\x01a\x00")
    assert repr(chance) == "<Chance words=2047 bytes=4093>"
