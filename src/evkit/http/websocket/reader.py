"""Where frames end, which may follow which, and what messages they make: the receiving half of RFC 6455.

A decider over a `Buffer`: it takes frames off the front, whatever the pieces in which the bytes came, and refuses what
breaks a rule or a limit as soon as that shows. It knows nothing of connections, and answers nothing.
"""

from struct import Struct
from typing import Final

from evkit.core import Buffer
from evkit.http.websocket.codes import PROTOCOL_ERROR, TOO_BIG
from evkit.http.websocket.errors import WebSocketError
from evkit.http.websocket.frames import (
    BINARY,
    CONTINUATION,
    CONTROL,
    EIGHT_BYTES,
    FIN,
    KNOWN,
    MASK,
    MAX_CONTROL,
    RSV,
    RSV1,
    TEXT,
    TWO_BYTES,
)
from evkit.http.websocket.masking import masked, turned, unmasked
from evkit.http.websocket.message import NO_LIMIT, Assembly, Inflater, no_text

WebSocketEvent = tuple[int, str | bytes]
"""What has come: `TEXT` with a ``str``, `BINARY`, `CLOSE`, `PING` or `PONG` with ``bytes``, or `FRAGMENT`."""
FRAGMENT: Final[WebSocketEvent] = (CONTINUATION, b"")
"""A frame that is not a message's last. It is told so that whoever counts can count it."""
_NO_FRAME: Final = -1
_WHOLE_TEXT: Final = FIN | TEXT
_WHOLE_BINARY: Final = FIN | BINARY
_HEAD: Final = 2
_KEY: Final = 4
_first_four: Final = Struct(">BBH").unpack_from
"""The first two bytes of a frame, and the two that stand for its length if they are one."""


class FrameReader:
    """Reads what one peer sends.

    Args:
        from_client: Whether the peer is the client, whose frames are masked; a server's must not be.
        max_message: Bytes of a message, after inflating; ``None``: no limit.
        max_frame: Bytes of a frame of a message, as sent; ``None``: no limit of its own.
        inflater: Undoes permessage-deflate, if that was agreed upon.
    """

    __slots__ = (
        "_final",
        "_inflater",
        "_key",
        "_key_size",
        "_left",
        "_mask_bit",
        "_max_frame",
        "_max_message",
        "_max_whole",
        "_message",
        "_payload_at",
    )

    def __init__(
        self,
        *,
        from_client: bool,
        max_message: int | None = None,
        max_frame: int | None = None,
        inflater: Inflater | None = None,
    ) -> None:
        self._mask_bit = MASK if from_client else 0
        self._key_size = _KEY if from_client else 0
        self._payload_at = _HEAD + self._key_size  # in a short frame
        self._max_message = NO_LIMIT if max_message is None else max_message
        self._max_frame = NO_LIMIT if max_frame is None else max_frame
        self._max_whole = min(self._max_message, self._max_frame)
        self._inflater = inflater
        self._message: Assembly | None = None  # one whose end has not come
        self._left = _NO_FRAME  # bytes of the frame that have not come, if it is one of a message
        self._key = b""  # for the next of them
        self._final = False  # it is the message's last

    def next_event(self, buffer: Buffer) -> WebSocketEvent | None:
        """Take the next frame, or as much as there is of one that belongs to a message, off the front.

        Args:
            buffer: What has come and was not taken; always the same one.

        Returns:
            A message, when its last frame was taken; a control frame; `FRAGMENT`; ``None`` if bytes are missing.

        Raises:
            WebSocketError: A rule or a limit is broken. There is nothing to be read any more.
        """
        if self._message is not None:
            return self._next_part(buffer)
        data, at = buffer.front()
        size = buffer.length
        if size > 3:  # nearly always a whole message: the short way
            first, length, more = _first_four(data, at)
            length -= self._mask_bit
            start = at + self._payload_at
            if length == TWO_BYTES:
                length = more
                start += 2
                if length <= MAX_CONTROL:
                    return self._next_part(buffer)
            elif length > MAX_CONTROL or length < 0:
                return self._next_part(buffer)
            end = start + length
            if end - at <= size and length <= self._max_whole:
                if first == _WHOLE_BINARY:
                    buffer.drain(end - at)
                    return BINARY, unmasked(data, start, end) if self._mask_bit else data[start:end]
                if first == _WHOLE_TEXT:
                    buffer.drain(end - at)
                    return TEXT, _text(unmasked(data, start, end) if self._mask_bit else data[start:end])
        return self._next_part(buffer)

    def _next_part(self, buffer: Buffer) -> WebSocketEvent | None:
        """Go the long way: a frame of a message as it comes, a control frame as a whole."""
        if self._left == _NO_FRAME:
            control = self._begin(buffer)
            if control is not None or self._left == _NO_FRAME:
                return control
        return self._go_on(buffer)

    def _begin(self, buffer: Buffer) -> WebSocketEvent | None:
        """Take the head of a frame, and all of a control frame; do nothing if bytes are missing."""
        data, at = buffer.front()
        if buffer.length < _HEAD:
            return None
        first, length = data[at], data[at + 1] - self._mask_bit
        self._check_first(first, length)
        extended = {TWO_BYTES: 2, EIGHT_BYTES: 8}.get(length, 0)
        start = _HEAD + extended
        if buffer.length < start:
            return None
        if extended:
            length = _long_length(data[at + _HEAD : at + start])
        if not first & CONTROL and length > self._max_frame:
            raise _too_long(length, self._max_frame)
        whole = start + self._key_size + (length if first & CONTROL else 0)
        if buffer.length < whole:
            return None
        key = data[at + start : at + start + self._key_size]
        if first & CONTROL:
            payload = data[at + start + self._key_size : at + whole]
            buffer.drain(whole)
            return first & 0xF, masked(payload, key) if key else payload
        self._announce(first, length)
        buffer.drain(whole)
        self._key = key
        return None

    def _check_first(self, first: int, length: int) -> None:
        """Refuse what shows in the first two bytes."""
        opcode = first & 0xF
        rsv = first & RSV
        if rsv and (rsv != RSV1 or self._inflater is None or opcode not in (TEXT, BINARY)):
            raise _broken(f"expected reserved bits that were agreed upon, got {rsv >> 4:03b}")
        if opcode not in KNOWN:
            raise _broken(f"expected an opcode of RFC 6455, got {opcode:#x}")
        if not 0 <= length <= EIGHT_BYTES:
            who = "masked frames from a client" if self._mask_bit else "frames without a mask from a server"
            raise _broken(f"expected {who}")
        if opcode & CONTROL:
            if not first & FIN:
                raise _broken("expected a control frame in one piece, got a fragment")
            if length > MAX_CONTROL:
                raise _broken(f"expected a control frame of at most {MAX_CONTROL} bytes, got a longer one")
        elif (opcode == CONTINUATION) != (self._message is not None):
            raise _broken(
                "expected a new message, got a continuation"
                if opcode == CONTINUATION
                else "expected a continuation, got a new message"
            )

    def _announce(self, first: int, length: int) -> None:
        opcode = first & 0xF
        message = self._message
        if message is None:
            inflater = self._inflater if first & RSV1 else None
            message = self._message = Assembly(opcode, self._max_message, inflater)
        message.announce(length)
        self._left = length
        self._final = bool(first & FIN)

    def _go_on(self, buffer: Buffer) -> WebSocketEvent | None:
        """Take what there is of a frame whose head was taken."""
        message = self._message
        assert message is not None
        if self._left and buffer.length:
            piece = buffer.remove(min(self._left, buffer.length))
            self._left -= len(piece)
            if self._key:
                piece, self._key = masked(piece, self._key), turned(self._key, len(piece))
            message.add(piece)
        if self._left:
            return None
        self._left = _NO_FRAME
        if not self._final:
            return FRAGMENT
        self._message = None
        return message.kind, message.finish()


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise no_text(error) from None


def _long_length(extended: bytes) -> int:
    length = int.from_bytes(extended, "big")
    if length <= (MAX_CONTROL if len(extended) == 2 else 0xFFFF):
        raise _broken(f"expected a length in as few bytes as can be, got {length} in {len(extended)}")
    if length >> 63:
        raise _broken("expected a length of 63 bits, got one more")
    return length


def _too_long(length: int, most: int) -> WebSocketError:
    return WebSocketError(TOO_BIG, f"expected a frame of at most {most} bytes, got one of {length}")


def _broken(message: str) -> WebSocketError:
    return WebSocketError(PROTOCOL_ERROR, message)
