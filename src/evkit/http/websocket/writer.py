"""What messages look like on the way out: the sending half of RFC 6455.

A decider that appends frames to a `Buffer`. It masks where that is the rule, compresses where that was agreed upon, and
keeps fragments in order. It knows nothing of connections, nor of when they end.
"""

import os
from typing import Final, NamedTuple

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.websocket.deflate import Deflater
from evkit.http.websocket.frames import BINARY, CONTINUATION, FIN, MASK, RSV1, TEXT, ShortHeads, head
from evkit.http.websocket.masking import masked

_JOIN_UP_TO: Final = 4096
"""Bytes of a payload that are joined to their head: one copy is cheaper than one segment more in the system call."""

_TEXT_HEADS: Final = ShortHeads(FIN | TEXT)
_BINARY_HEADS: Final = ShortHeads(FIN | BINARY)

MessageData = str | bytes | bytearray | memoryview
"""A text or bytes."""


class Encoded(NamedTuple):
    """A message that goes to many."""

    kind: int
    payload: bytes
    frame: bytes
    """It as a server sends it."""


class FrameWriter:
    """Writes what one peer sends.

    Args:
        client: Whether this is the client, whose frames are masked.
        deflater: Compresses, if that was agreed upon.
    """

    __slots__ = ("_compresses", "_deflater", "_kind", "_mask_bit", "_next", "_plain")

    def __init__(self, *, client: bool, deflater: Deflater | None = None) -> None:
        self._mask_bit = MASK if client else 0
        self._deflater = deflater
        self._plain = not client and deflater is None  # and no message in fragments is under way
        self._kind = CONTINUATION  # of the message that goes out in fragments; this: there is none
        self._next = CONTINUATION  # the first byte of its next frame, but for FIN
        self._compresses = False  # it is compressed

    def message(self, output: Buffer, data: MessageData) -> None:
        """Append a whole message: a text if it is ``str``, bytes otherwise.

        Raises:
            LocalProtocolError: Another goes out in fragments, and has not ended.
            TypeError: It is neither text nor bytes.
            ValueError: A text that UTF-8 has no bytes for.
        """
        if type(data) is bytes:
            kind, payload = BINARY, data
        elif isinstance(data, str):
            kind, payload = TEXT, data.encode()
        else:
            kind, payload = BINARY, as_payload(data)
        if self._plain and len(payload) <= _JOIN_UP_TO:
            output.add((_BINARY_HEADS if kind == BINARY else _TEXT_HEADS)[len(payload)] + payload)
            return
        if self._kind:
            raise LocalProtocolError("send_end() comes before another message")
        deflater = self._deflater
        if deflater is not None and deflater.takes(len(payload)):
            self.frame(output, FIN | RSV1 | kind, deflater.deflate(payload) + deflater.finish())
        else:
            self.frame(output, FIN | kind, payload)

    def encoded(self, output: Buffer, message: Encoded) -> None:
        """Append a message that was encoded for many.

        Raises:
            LocalProtocolError: Another goes out in fragments, and has not ended.
        """
        if self._kind:
            raise LocalProtocolError("send_end() comes before another message")
        if self._mask_bit:
            self.frame(output, FIN | message.kind, message.payload)
        else:
            output.add(message.frame)

    def frame(self, output: Buffer, first: int, payload: bytes) -> None:
        """Append a frame.

        Args:
            output: Where to.
            first: FIN, reserved bits and opcode.
            payload: As it is; the mask is put on here.
        """
        size = len(payload)
        if self._mask_bit:
            key = os.urandom(4)  # RFC 6455 §10.3: nobody must be able to tell it beforehand
            output.add(head(first, size, MASK) + key + masked(payload, key))
        elif size <= _JOIN_UP_TO:
            output.add(head(first, size, 0) + payload)
        else:
            output.add(head(first, size, 0))
            output.add(payload)

    # A message in fragments

    @property
    def in_fragments(self) -> bool:
        """Whether one has begun and not ended."""
        return self._kind != CONTINUATION

    def begin(self, kind: int) -> None:
        """Begin a message whose size need not be known.

        Raises:
            LocalProtocolError: Another has not ended.
        """
        if self._kind:
            raise LocalProtocolError("send_end() comes before another message")
        self._kind = self._next = kind
        self._plain = False
        self._compresses = self._deflater is not None and self._deflater.takes(_JOIN_UP_TO)
        if self._compresses:
            self._next |= RSV1

    def piece(self, output: Buffer, data: MessageData) -> None:
        """Append a piece of it; nothing, where compression keeps all of that for now.

        Raises:
            LocalProtocolError: No message has begun.
            TypeError: Text in a message of bytes, or the other way round.
            ValueError: A text that UTF-8 has no bytes for.
        """
        if not self._kind:
            raise LocalProtocolError("send_start() comes before a piece")
        if isinstance(data, str) != (self._kind == TEXT):
            wanted = "str" if self._kind == TEXT else "bytes"
            raise TypeError(f"expected {wanted} in this message, got {type(data).__name__}")
        payload = as_payload(data)
        if self._compresses:
            assert self._deflater is not None
            payload = self._deflater.deflate(payload)
        if payload:
            self.frame(output, self._next, payload)
            self._next = CONTINUATION

    def end(self, output: Buffer) -> None:
        """Append the end of it.

        Raises:
            LocalProtocolError: No message has begun.
        """
        if not self._kind:
            raise LocalProtocolError("send_start() comes before send_end()")
        rest = b""
        if self._compresses:
            assert self._deflater is not None
            rest = self._deflater.deflate(b"") + self._deflater.finish()
        self.frame(output, FIN | self._next, rest)
        self._kind = CONTINUATION
        self._plain = not self._mask_bit and self._deflater is None


def encode(data: MessageData) -> Encoded:
    """Encode a message once for many; raises as `as_payload`."""
    kind, payload = TEXT if isinstance(data, str) else BINARY, as_payload(data)
    return Encoded(kind, payload, head(FIN | kind, len(payload), 0) + payload)


def as_payload(data: MessageData) -> bytes:
    """Return a message as bytes.

    Raises:
        TypeError: It is neither text nor bytes.
        ValueError: A text that UTF-8 has no bytes for: half of a surrogate pair.
    """
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise TypeError(f"a message is str or bytes, got {type(data).__name__}")
