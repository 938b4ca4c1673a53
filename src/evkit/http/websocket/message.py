"""A message that comes in pieces: kept, inflated, counted and checked as they arrive.

Decides when a message is too big and when its text is no UTF-8, at the first byte that shows it. It knows nothing of
frames, and of compression only that there is something to give the pieces to.
"""

import codecs
from typing import Final, Protocol

from evkit.http.websocket.codes import BAD_DATA, TOO_BIG
from evkit.http.websocket.errors import WebSocketError
from evkit.http.websocket.frames import TEXT

_Decoder: Final = codecs.getincrementaldecoder("utf-8")
NO_LIMIT: Final = 1 << 62
"""More than any peer can send; one bit less than what zlib takes for a limit."""
_OVERHEAD: Final = 64
"""Bytes by which a compressed message may be longer than its content, besides one in 256: deflate's worst is less."""


class Inflater(Protocol):
    """What undoes the compression of a message."""

    def inflate(self, piece: bytes, most: int) -> bytes:
        """Return what ``piece`` stands for.

        Raises:
            WebSocketError: It stands for nothing, or for more than ``most`` bytes.
        """

    def finish(self, most: int) -> bytes:
        """Return the rest, at the end of a message; raises likewise."""


class Assembly:
    """One message.

    Args:
        kind: `TEXT` or `BINARY`.
        most: Bytes that it may have, inflated.
        inflater: Undoes its compression; ``None``: it is not compressed.

    Attributes:
        kind: As given.
    """

    __slots__ = ("_check", "_data", "_inflater", "_most", "_wire", "kind")

    def __init__(self, kind: int, most: int, inflater: Inflater | None) -> None:
        self.kind = kind
        self._most = most
        self._inflater = inflater
        self._data = bytearray()
        self._wire = 0  # bytes of compressed frames that were announced
        self._check = _Decoder() if kind == TEXT else None

    def announce(self, length: int) -> None:
        """Hear of a frame before its payload.

        Raises:
            WebSocketError: The message would be too big.
        """
        if self._inflater is None:
            size, most = len(self._data) + length, self._most
        else:
            self._wire += length
            size, most = self._wire, self._most + (self._most >> 8) + _OVERHEAD
        if size > most:
            raise too_big(self._most)

    def add(self, piece: bytes) -> None:
        """Take a piece of the payload, without its mask.

        Raises:
            WebSocketError: The message is too big, is no UTF-8, or can't be inflated.
        """
        if self._inflater is not None:
            piece = self._inflater.inflate(piece, self._most - len(self._data))
        self._keep(piece)

    def finish(self) -> str | bytes:
        """Return the message, which is whole.

        Raises:
            WebSocketError: As `add`.
        """
        if self._inflater is not None:
            self._keep(self._inflater.finish(self._most - len(self._data)))
        if self._check is None:
            return bytes(self._data)
        try:
            return self._data.decode()  # which may have ended within a character
        except UnicodeDecodeError as error:
            raise no_text(error) from None

    def _keep(self, piece: bytes) -> None:
        if self._check is not None:
            try:
                self._check.decode(piece)
            except UnicodeDecodeError as error:
                raise no_text(error) from None
        self._data += piece


def too_big(most: int) -> WebSocketError:
    """Make the error for a message of more than ``most`` bytes."""
    return WebSocketError(TOO_BIG, f"expected a message of at most {most} bytes, got a bigger one")


def no_text(error: UnicodeDecodeError) -> WebSocketError:
    """Make the error for a text that is none."""
    return WebSocketError(BAD_DATA, f"expected a text in UTF-8, got {error.reason}")
