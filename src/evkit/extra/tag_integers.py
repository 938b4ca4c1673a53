"""The two kinds of numbers that tagged data are made of: tags, and integers.

A tag has 7 bits in each byte, the lowest first, and the high bit set in all bytes but the last. An integer has as its
first half byte how many half bytes follow, less one; then they follow, the lowest first, and a half byte of 0 fills the
last byte up.

Decided here: what a number looks like, and which odd forms are read all the same. They are those that libevent 2.1.12
reads: a tag or an integer with more zeroes than it needs, and an integer whose last half byte is not 0. A tag of more
than 32 bits or 5 bytes is refused. Nothing is known here of buffers or fields.

Source: ``event_tagging.c``; its comment on the format tells the order of tags and of integers the wrong way round.
"""

from operator import index
from typing import Final

from evkit.extra.errors import TagError, TagIncomplete

MAX_TAG_SIZE: Final = 5
"""Bytes of a tag of 32 bits."""
MAX_INT_SIZE: Final = 5
"""Bytes of an integer of 32 bits."""
MAX_INT64_SIZE: Final = 9
"""Bytes of an integer of 64 bits."""
_LAST_SHIFT: Final = 28
"""The fifth byte of a tag has its bits 28 to 31, and no more."""


def as_number(number: int, bits: int) -> int:
    """Check that a number has no sign and fits.

    Raises:
        TypeError: It is no integer.
        ValueError: It is negative, or needs more bits.
    """
    number = index(number)
    if number < 0 or number >> bits:
        raise ValueError(f"expected a number from 0 to 2**{bits} - 1, got {number}")
    return number


def tag_bytes(tag: int) -> bytes:
    """Encode a tag.

    Raises:
        TypeError: It is no integer.
        ValueError: It does not fit into 32 bits.
    """
    tag = as_number(tag, 32)
    encoded = bytearray()
    while tag > 0x7F:
        encoded.append(tag & 0x7F | 0x80)
        tag >>= 7
    encoded.append(tag)
    return bytes(encoded)


def int_bytes(number: int, bits: int = 32) -> bytes:
    """Encode an integer, in as few bytes as it needs.

    Args:
        number: ``0 <= number < 2**bits``.
        bits: 32 or 64. They bound it only: its encoding is the same.

    Raises:
        TypeError: It is no integer.
        ValueError: It does not fit.
    """
    digits = f"{as_number(number, bits):x}"
    filler = "" if len(digits) % 2 else "0"
    return bytes.fromhex(f"{len(digits) - 1:x}{digits[::-1]}{filler}")


def read_tag(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a tag from ``data[at:end]``.

    Returns:
        The tag, and where it ends.

    Raises:
        TagIncomplete: It goes on beyond ``end``.
        TagError: It has more than 32 bits.
    """
    tag = shift = 0
    for position in range(at, end):
        byte = data[position]
        if shift == _LAST_SHIFT and byte > 0x0F:
            raise TagError(f"expected a tag of at most 32 bits, got {data[at : position + 1].hex(' ')}", at)
        tag |= (byte & 0x7F) << shift
        if byte < 0x80:
            return tag, position + 1
        shift += 7
    raise TagIncomplete(f"expected a tag, got {end - at} bytes of one", at)


def read_int(data: bytes, at: int, end: int, bits: int = 32) -> tuple[int, int]:
    """Read an integer from ``data[at:end]``.

    Returns:
        The integer, and where it ends.

    Raises:
        TagIncomplete: It goes on beyond ``end``.
        TagError: It has more half bytes than a number of that many bits.
    """
    if at >= end:
        raise TagIncomplete("expected an integer, got nothing", at)
    count = (data[at] >> 4) + 1
    if count * 4 > bits:
        raise TagError(f"expected an integer of at most {bits} bits, got one of {count * 4}", at)
    stop = at + count // 2 + 1
    if stop > end:
        raise TagIncomplete(f"expected an integer of {stop - at} bytes, got {end - at} of them", at)
    return int(data[at:stop].hex()[count:0:-1], 16), stop


def read_last_int(data: bytes, at: int, end: int, bits: int = 32) -> tuple[int, int]:
    """Read an integer that must not go on beyond ``end``, as nothing more will come.

    Raises:
        TagError: It does, or has too many bits.
    """
    try:
        return read_int(data, at, end, bits)
    except TagIncomplete as exc:
        raise TagError(f"{exc.reason} in its field", at) from None
