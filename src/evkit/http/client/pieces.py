"""A body in pieces: what may be one, and how they are sent, so that the other end knows where the last one ends.

It knows nothing of where the pieces come from, or of connections.
"""

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.client.request_fields import CHUNKED

Piece = bytes | bytearray | memoryview | str


def as_bytes(piece: object) -> bytes:
    """Return bytes, or text as UTF-8.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, bytes | bytearray | memoryview):
        return bytes(piece)
    raise TypeError(f"expected a piece of a body as bytes or str, got {type(piece).__name__}")


class Framing:
    """Marks where pieces end, or counts whether they come to what was said.

    Args:
        length: In bytes, or `CHUNKED`.
    """

    __slots__ = ("_left", "_length")

    def __init__(self, length: int) -> None:
        self._length = self._left = length

    def add(self, output: Buffer, piece: bytes) -> None:
        """Append a piece."""
        if not piece:
            return  # an empty chunk would be the last one
        if self._length == CHUNKED:
            output.add(b"%x\r\n" % len(piece))
            output.add(piece)
            output.add(b"\r\n")
            return
        if len(piece) > self._left:
            raise LocalProtocolError(f"the body is longer than its Content-Length of {self._length} bytes")
        self._left -= len(piece)
        output.add(piece)

    def end(self, output: Buffer) -> None:
        """Append the end."""
        if self._length == CHUNKED:
            output.add(b"0\r\n\r\n")
        elif self._left:
            raise LocalProtocolError(
                f"the body ended {self._left} bytes before its Content-Length of {self._length}"
            )
