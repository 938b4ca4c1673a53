"""The mask that lies over the payloads of clients: XOR with four bytes, over and over.

Decides nothing but how to do it quickly without a compiler. It knows nothing of frames.
"""

from typing import Final

_WIDE: Final = 4096
"""Bytes up to which one XOR of two long integers is quicker than four passes over a quarter each. Measured: at 128
bytes 0.5 µs against 1.1, at 64 KiB 160 µs against 65."""
_number: Final = int.from_bytes


def masked(data: bytes, key: bytes) -> bytes:
    """Return ``data`` with the mask put on, or taken off, which is the same.

    Args:
        data: What to mask, from the first byte of the key on.
        key: Four bytes.

    Source: RFC 6455 §5.3.
    """
    size = len(data)
    if size > _WIDE:
        return _masked_by_quarters(data, key)
    mask = (key * ((size + 3) >> 2))[:size]
    return (_number(data) ^ _number(mask)).to_bytes(size)


def _masked_by_quarters(data: bytes, key: bytes) -> bytes:
    out = bytearray(len(data))
    for start in range(4):
        out[start::4] = data[start::4].translate(_TABLES[key[start]])
    return bytes(out)


_TABLES: Final = tuple(masked(bytes(range(256)), bytes((key,) * 4)) for key in range(256))
"""For each byte of a key, what it makes of any byte: 64 KiB."""


def turned(key: bytes, size: int) -> bytes:
    """Return the key for what follows ``size`` bytes that it was used for."""
    by = size & 3
    return key[by:] + key[:by]
