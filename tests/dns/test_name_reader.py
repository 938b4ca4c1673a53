"""Names in messages: pointers followed backwards only, nothing read twice, every step counted."""

import pytest

from dns_corpus import LONGEST, pointer
from evkit.dns.errors import MessageError
from evkit.dns.name_reader import NameReader


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (12, (b"\1a\1b\0", 17)),
        (14, (b"\1b\0", 17)),
        (16, (b"\0", 17)),
        (17, (b"\1c\1a\1b\0", 21)),
        (21, (b"\1c\1a\1b\0", 23)),
        (23, (b"\1d\1b\0", 27)),
    ],
)
def test_reading_of_names(offset: int, expected: tuple[bytes, int]) -> None:
    data = bytes(12) + b"\1a\1b\0" + b"\1c\xc0\x0c" + b"\xc0\x11" + b"\1d\xc0\x0e"
    assert NameReader(data).read(offset) == expected
    known = NameReader(data)
    for each in (23, 21, 17, 14, 12):
        known.read(each)
    assert known.read(offset) == expected


def test_a_name_that_is_known_may_not_be_pointed_at_from_before_it() -> None:
    names = NameReader(bytes(12) + pointer(14) + b"\1a\0")
    assert names.read(14) == (b"\1a\0", 17)
    with pytest.raises(MessageError, match="got 14"):
        names.read(12)


@pytest.mark.parametrize("data", [b"\5ab" + pointer(12), b"\1a\xc0", b"\1a", b"\1", b""])
def test_a_name_that_is_cut_short(data: bytes) -> None:
    with pytest.raises(MessageError, match="end of the message"):
        NameReader(bytes(12) + data).read(15 if len(data) == 5 else 12)


def test_the_longest_name() -> None:
    longest = bytes(12) + LONGEST
    assert NameReader(longest).read(12) == (LONGEST, 267)
    by_pointer = bytes(12) + LONGEST[2:] + b"\1x" + pointer(12)
    assert NameReader(by_pointer).read(265) == (LONGEST, 269)
    with pytest.raises(MessageError, match="255 bytes at most"):
        NameReader(by_pointer + b"\1x" + pointer(265)).read(269)
    with pytest.raises(MessageError, match="255 bytes at most"):
        NameReader(by_pointer + b"\1x" + pointer(265) + pointer(269)).read(273)


def test_labels_before_a_pointer_are_not_read_twice() -> None:
    names = NameReader(bytes(12) + b"\1a\1b\0" + b"\1c\1d\1e\1f" + pointer(12) + pointer(17) * 10)
    assert names.read(17) == (b"\1c\1d\1e\1f\1a\1b\0", 27)
    steps = names.steps_left
    for offset in range(27, 47, 2):
        assert names.read(offset) == (b"\1c\1d\1e\1f\1a\1b\0", offset + 2)
    assert steps - names.steps_left == 10


def test_steps_of_others_count() -> None:
    names = NameReader(bytes(12) + b"\1a\0", 7)
    assert names.read(12) == (b"\1a\0", 15)
    names.spend(5, 12)
    assert names.steps_left == 0
    with pytest.raises(MessageError, match=r"fewer steps .* \(at byte 13\)"):
        names.spend(1, 13)
    with pytest.raises(MessageError, match="fewer steps"):
        names.read(12)


@pytest.mark.parametrize(
    ("data", "offset", "words"),
    [
        (pointer(12), 12, "expected a pointer back, to byte 12 or later, got 12"),
        (b"\1a" + pointer(12), 12, "got 12"),
        (b"\1a" + pointer(14), 12, "got 14"),
        (pointer(13) + pointer(12), 14, "got 13"),
        (pointer(16383), 12, "got 16383"),
        (pointer(11), 12, "got 11"),
        (pointer(0), 12, "got 0"),
        (b"\1a" + pointer(0) + pointer(12), 16, "got 0"),
        (b"\x41a\0", 12, "expected a label of 1 to 63 bytes or a pointer, got 0x41"),
        (b"\x80\x0c", 12, "got 0x80"),
        (b"\1a\xbfx\0", 12, "got 0xbf"),
        (b"\1a" * 128 + b"\0", 12, "255 bytes at most"),
        (b"\x3f" + b"x" * 63 + (b"\x3f" + b"x" * 63) * 3 + b"\0", 12, "255 bytes at most"),
    ],
)
def test_what_is_no_name(data: bytes, offset: int, words: str) -> None:
    with pytest.raises(MessageError, match=words):
        NameReader(bytes(12) + data).read(offset)
    with pytest.raises(MessageError, match=words):
        NameReader(bytes(12) + data + b"\0\0").pointed_at(offset, 14 + len(data))


@pytest.mark.parametrize(
    ("data", "offset", "steps"),
    [
        (b"\0", 12, 1),
        (b"\1a\1b\0", 12, 3),
        (b"\1a\0\1b" + pointer(12), 15, 4),
        (b"\1a\0" + pointer(12) + pointer(15), 17, 4),
    ],
)
def test_each_label_and_pointer_is_a_step(data: bytes, offset: int, steps: int) -> None:
    names = NameReader(bytes(12) + data, steps)
    names.read(offset)
    assert names.steps_left == 0
    with pytest.raises(MessageError, match="fewer steps"):
        NameReader(bytes(12) + data, steps - 1).read(offset)


def test_a_name_without_an_end_is_not_followed_to_its_end() -> None:
    names = NameReader(bytes(12) + b"\1a" * 30_000, 20_000)
    with pytest.raises(MessageError, match="255 bytes at most"):
        names.read(12)
    assert names.steps_left >= 20_000 - 129


def test_what_is_pointed_at_is_no_longer_than_any_name() -> None:
    names = NameReader(bytes(12) + LONGEST + b"\1a" + pointer(12))
    with pytest.raises(MessageError, match="255 bytes at most"):
        names.pointed_at(267, 300)


def test_all_names_on_the_way_are_known() -> None:
    links = b"\1a\0" + b"".join(b"\1b" + pointer(12 if i == 0 else 11 + 4 * i) for i in range(20))
    names = NameReader(bytes(12) + links)
    assert names.pointed_at(11 + 4 * 20, 999) == b"\1b" * 20 + b"\1a\0"
    left = names.steps_left
    assert names.pointed_at(11 + 4 * 10, 999) == b"\1b" * 10 + b"\1a\0"
    assert names.steps_left == left
