"""Input in pieces: whoever reads a stream must not care where its pieces begin and end."""

from collections.abc import Iterator


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
