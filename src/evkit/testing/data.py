"""Input in pieces: whoever reads a stream must not care where its pieces begin and end."""

from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    """Yield ``data`` in pieces of ``size`` bytes, the last one maybe shorter.

    Raises:
        ValueError: ``size`` is below 1.
    """
    if size < 1:
        raise ValueError(f"size must be >= 1, got {size}")
    for start in range(0, len(data), size):
        yield data[start : start + size]


def split_everywhere(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield ``data`` in two pieces, cut at every place in turn, the two ends included."""
    for cut in range(len(data) + 1):
        yield data[:cut], data[cut:]


def ways_to_cut(data: bytes) -> Iterator[list[bytes]]:
    """Yield ``data`` as a list of pieces, in each way that finds faults: whole, cut in two everywhere, byte by byte."""
    yield [data]
    for cut in range(1, len(data)):
        yield [data[:cut], data[cut:]]
    if len(data) > 2:
        yield list(chunks(data, 1))


def same_however_cut(run: Callable[[list[bytes]], T], data: bytes) -> T:
    """Call ``run(pieces)`` for each of `ways_to_cut`, and prove that all give the same.

    Args:
        run: Feeds the pieces to something new and returns what came of them; anything that ``==`` can compare.
        data: The whole input. So many calls are made as it has bytes, and one.

    Returns:
        What came of it whole.

    Raises:
        AssertionError: Another way gave something else; it tells which.
    """
    ways = ways_to_cut(data)
    whole = run(next(ways))
    for pieces in ways:
        result = run(pieces)
        if result != whole:
            raise AssertionError(f"cut into {pieces!r} it gives {result!r}, but whole {whole!r}")
    return whole
