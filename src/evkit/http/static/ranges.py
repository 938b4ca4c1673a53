"""Which bytes a ``Range`` field asks for, and how several stretches stand in one body.

A decider over strings and numbers. It is generous to nobody: what asks for too many stretches, or for the same bytes
twice, gets the whole file, as that costs the least (CVE-2011-3192).
"""

import re
from itertools import pairwise
from typing import Final

MAX_RANGES: Final = 16
"""More than a PDF viewer asks for at once, few enough that the parts' heads stay a trifle."""

_SPEC: Final = re.compile(r"([0-9]{0,20})-([0-9]{0,20})")  # 20 digits hold 2**64 - 1, which some clients send

ByteRange = tuple[int, int]
"""``(first, stop)``: the bytes from ``first`` up to, but without, ``stop``."""


def select_ranges(value: str, size: int) -> list[ByteRange] | None:
    """Decide what to send of ``size`` bytes.

    Args:
        value: Of the ``Range`` field.
        size: Bytes that there are, ``>= 0``.

    Returns:
        The stretches in the order asked for, none of them empty; ``[]`` if none of them exists (416); None if the
        field is to be ignored: another unit, malformed, too many, overlapping.

    Source: RFC 9110 §14.1.1, §14.1.2, §14.2.
    """
    unit, equals, asked = value.partition("=")
    specs = [spec for spec in (part.strip(" \t") for part in asked.split(",")) if spec]
    if not equals or unit.lower() != "bytes" or not 0 < len(specs) <= MAX_RANGES:
        return None
    chosen: list[ByteRange] = []
    for spec in specs:
        found = _SPEC.fullmatch(spec)
        if found is None or _is_backwards(found[1], found[2]):
            return None
        first, stop = _resolve(found[1], found[2], size)
        if first < stop:
            chosen.append((first, stop))
        elif not found[1] and int(found[2]):
            return None  # the last bytes of an empty file: satisfiable, but no Content-Range can name them
    return None if _overlap(chosen) else chosen


def _is_backwards(first: str, last: str) -> bool:
    """Return whether a range is none: without a number, or with its end before its start."""
    if first and last:
        return int(last) < int(first)
    return not (first or last)


def _resolve(first: str, last: str, size: int) -> ByteRange:
    if not first:
        return max(size - int(last), 0), size
    return int(first), min(int(last) + 1, size) if last else size


def _overlap(ranges: list[ByteRange]) -> bool:
    ordered = sorted(ranges)
    return any(left[1] > right[0] for left, right in pairwise(ordered))


def content_range(part: ByteRange, size: int) -> str:
    """Write a ``Content-Range``: ``bytes 0-9/100``. Source: RFC 9110 §14.4."""
    return f"bytes {part[0]}-{part[1] - 1}/{size}"


def part_head(boundary: str, content_type: str, part: ByteRange, size: int) -> bytes:
    """Write what stands before a part of a multipart body. Source: RFC 9110 §14.6."""
    text = f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {content_range(part, size)}\r\n\r\n"
    return text.encode("latin-1")


def last_line(boundary: str) -> bytes:
    """Write what ends a multipart body. Source: RFC 2046 §5.1.1."""
    return f"\r\n--{boundary}--\r\n".encode("ascii")
