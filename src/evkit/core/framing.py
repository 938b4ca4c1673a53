"""Where a message ends in a stream of bytes: at a line end, or after as many bytes as a prefix says.

Deciders over a `Buffer`: each takes whole frames off its front, whatever the pieces in which the bytes came, and
refuses what gets too long before it is kept. They know nothing of connections; `evkit.core.framed` puts one on each.
"""

from typing import Final, Literal, Protocol

from evkit.core.buffer import EOL, EOL_ANY, EOL_CRLF, EOL_CRLF_STRICT, EOL_LF, EOL_NUL, Buffer
from evkit.core.buffer.segments import Readable
from evkit.errors import RemoteProtocolError

DEFAULT_MAX_LINE: Final = 65536
"""As the line limit of asyncio's streams."""
DEFAULT_MAX_MESSAGE: Final = 1 << 20
_LOOK: Final = 64
"""Bytes looked at at once for the rest of a run of line ends, which is short, mostly."""

_WRITTEN: Final = {EOL_ANY: b"\n", EOL_CRLF: b"\r\n", EOL_CRLF_STRICT: b"\r\n", EOL_LF: b"\n", EOL_NUL: b"\0"}
"""What `LineFraming` writes at the end of a line."""
_FORBIDDEN: Final = {
    EOL_ANY: (b"\n", b"\r"),
    EOL_CRLF: (b"\n",),
    EOL_CRLF_STRICT: (b"\r\n",),
    EOL_LF: (b"\n",),
    EOL_NUL: (b"\0",),
}
"""What a reader would take for the end of the line."""


class Framing(Protocol):
    """How a stream is cut into frames. One object serves one stream: it remembers where that is."""

    def next_frame(self, buffer: Buffer) -> bytes | None:
        """Take one whole frame off the front.

        Args:
            buffer: What has come and was not taken; always the same one.

        Returns:
            The frame without what delimits it; ``None`` if there is no whole one yet.

        Raises:
            RemoteProtocolError: The frame is too long. Every later call raises it again.
        """

    def check_end(self, buffer: Buffer) -> None:
        """Hear that the stream has ended, after `next_frame` has returned ``None``.

        Raises:
            RemoteProtocolError: It ended within a frame.
        """

    def encode(self, frame: Readable) -> tuple[Readable, ...]:
        """Return the pieces to write for ``frame``, itself among them.

        A limit of what is received does not count here: the peer's may be another.

        Raises:
            ValueError: It can't be framed: it has in it what would end it, or its length does not fit.
        """


class LineFraming:
    """Lines; see `Framing`.

    A last line without an end is an error, as it may have been cut short. With ``EOL_ANY`` a run of line ends counts as
    one wherever the network cuts it, so that no line but the first is empty. (``Buffer.readln`` takes what there is.)

    Args:
        eol: What ends a line.
        max_length: Bytes of a line that is received, without its end, ``>= 0``; ``None``: no limit.

    Raises:
        TypeError: ``eol`` is no style of line end.
        ValueError: ``max_length`` is negative.

    Source: ``evbuffer_readln``, without a limit.
    """

    __slots__ = ("_in_run", "_slack", "eol", "max_length")

    def __init__(self, eol: EOL = EOL_CRLF, max_length: int | None = DEFAULT_MAX_LINE) -> None:
        if eol not in _WRITTEN:
            raise TypeError(f"expected an EOL, got {eol!r}")
        if max_length is not None and max_length < 0:
            raise ValueError(f"max_length must be >= 0 or None, got {max_length}")
        self.eol = eol
        self.max_length = max_length
        self._in_run = False  # the line before ended with a run that may not be over
        self._slack = 1 if eol in (EOL_CRLF, EOL_CRLF_STRICT) else 0  # the last byte may be half of an end

    def __repr__(self) -> str:
        return f"LineFraming({self.eol.name}, max_length={self.max_length})"

    def next_frame(self, buffer: Buffer) -> bytes | None:
        """See `Framing.next_frame`."""
        if self._in_run:
            self._skip_run(buffer)
        found = buffer.search_eol(self.eol)
        size = buffer.length - self._slack if found is None else found[0]
        if self.max_length is not None and size > self.max_length:
            raise RemoteProtocolError(f"expected a line of at most {self.max_length} bytes, got a longer one")
        if found is None:
            return None
        line = buffer.remove(found[0])
        buffer.drain(found[1])
        self._in_run = self.eol is EOL_ANY
        return line

    def _skip_run(self, buffer: Buffer) -> None:
        while buffer:
            head = buffer.copyout(_LOOK)
            rest = len(head.lstrip(b"\r\n"))
            buffer.drain(len(head) - rest)
            if rest:
                self._in_run = False
                return

    def check_end(self, buffer: Buffer) -> None:
        """See `Framing.check_end`."""
        if buffer:
            raise RemoteProtocolError(f"the stream ended within a line, after {len(buffer)} bytes of it")

    def encode(self, frame: Readable) -> tuple[Readable, ...]:
        """See `Framing.encode`."""
        line = bytes(frame)
        if self.eol is EOL_ANY and not line:
            raise ValueError("an empty line can't be told from the end of the line before it with EOL_ANY")
        for end in _FORBIDDEN[self.eol]:
            if end in line:
                raise ValueError(f"a line can't have {end!r} in it, which would end it: got {line[:80]!r}")
        return line, _WRITTEN[self.eol]


class LengthFraming:
    """Messages, each behind its length; see `Framing`.

    Args:
        width: Bytes of the length: 1, 2, 4 or 8.
        byteorder: ``"big"``, as the network has it, or ``"little"``.
        max_size: Bytes of a message that is received, without its length, ``>= 0``; ``None``: as many as the length
            can tell.

    Raises:
        ValueError: One of them is something else.
    """

    __slots__ = ("_size", "byteorder", "max_size", "width")

    def __init__(
        self,
        width: int = 4,
        byteorder: Literal["big", "little"] = "big",
        max_size: int | None = DEFAULT_MAX_MESSAGE,
    ) -> None:
        if width not in (1, 2, 4, 8):
            raise ValueError(f"a length has 1, 2, 4 or 8 bytes, got {width!r}")
        if byteorder not in ("big", "little"):
            raise ValueError(f"byteorder must be 'big' or 'little', got {byteorder!r}")
        if max_size is not None and max_size < 0:
            raise ValueError(f"max_size must be >= 0 or None, got {max_size}")
        self.width = width
        self.byteorder: Literal["big", "little"] = byteorder
        self.max_size = self._most if max_size is None else min(max_size, self._most)
        self._size: int | None = None  # of the message whose length was taken already

    def __repr__(self) -> str:
        return f"LengthFraming({self.width}, {self.byteorder!r}, max_size={self.max_size})"

    @property
    def _most(self) -> int:
        return (1 << 8 * self.width) - 1

    def next_frame(self, buffer: Buffer) -> bytes | None:
        """See `Framing.next_frame`."""
        if self._size is None:
            if buffer.length < self.width:
                return None
            self._size = int.from_bytes(buffer.remove(self.width), self.byteorder)
        size = self._size
        if size > self.max_size:
            raise RemoteProtocolError(
                f"expected a message of at most {self.max_size} bytes, got one of {size}"
            )
        if buffer.length < size:
            return None
        self._size = None
        return buffer.remove(size)

    def check_end(self, buffer: Buffer) -> None:
        """See `Framing.check_end`."""
        if self._size is not None:
            raise RemoteProtocolError(
                f"the stream ended within a message, after {len(buffer)} of {self._size} bytes"
            )
        if buffer:
            raise RemoteProtocolError(
                f"the stream ended within a length, after {len(buffer)} of {self.width} bytes"
            )

    def encode(self, frame: Readable) -> tuple[Readable, ...]:
        """See `Framing.encode`."""
        size = memoryview(frame).nbytes
        if size > self._most:
            raise ValueError(f"a length of {self.width} bytes can tell {self._most} at most, got {size}")
        return size.to_bytes(self.width, self.byteorder), frame
