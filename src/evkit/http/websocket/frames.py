"""What a frame looks like: opcodes, heads, and what a close frame says.

Deciders over values. How frames follow each other is decided in `evkit.http.websocket.reader` and its counterpart
`evkit.http.websocket.writer`; this module knows nothing of connections.
"""

from typing import Final

from evkit.http.kinds import COUNT_OR_NONE, Kinds, check_options
from evkit.http.kinds import TEXT as TEXT_KIND
from evkit.http.websocket.codes import BAD_DATA, NO_CODE, PROTOCOL_ERROR, may_be_sent
from evkit.http.websocket.errors import WebSocketError

# RFC 6455 §5.2.
CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
KNOWN: Final = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})

FIN: Final = 0x80
RSV1: Final = 0x40
RSV: Final = 0x70
MASK: Final = 0x80

CONTROL: Final = 0x8
"""The bit of opcodes of control frames, which are whole, short, and stand between the frames of a message."""
MAX_CONTROL: Final = 125
TWO_BYTES: Final = 126
EIGHT_BYTES: Final = 127
"""What stands for a length of so many bytes that follows."""

_MAX_REASON: Final = MAX_CONTROL - 2
_CLOSING: Final[Kinds] = {"code": COUNT_OR_NONE, "reason": TEXT_KIND}


def head(first: int, length: int, mask_bit: int) -> bytes:
    """Return the beginning of a frame, up to its length.

    Args:
        first: FIN, reserved bits and opcode.
        length: Bytes of the payload.
        mask_bit: `MASK` if a key follows, or 0.

    Source: RFC 6455 §5.2.
    """
    if length <= MAX_CONTROL:
        return bytes((first, mask_bit | length))
    if length <= 0xFFFF:
        return bytes((first, mask_bit | TWO_BYTES, length >> 8, length & 0xFF))
    return bytes((first, mask_bit | EIGHT_BYTES)) + length.to_bytes(8, "big")


class ShortHeads(dict[int, bytes]):
    """Lengths to the beginnings of a server's whole messages, as `head` gives them, for those sent all the time.

    Args:
        first: FIN and opcode of all of them.
    """

    def __init__(self, first: int) -> None:
        super().__init__()
        self._first = first

    def __missing__(self, length: int) -> bytes:
        made = self[length] = head(self._first, length, 0)
        return made


def close_payload(code: int | None, reason: str) -> bytes:
    """Return what a close frame says.

    Args:
        code: Why; ``None``: nothing is said.
        reason: More of it, for people, in at most 123 bytes of UTF-8.

    Raises:
        ValueError: The code may not be sent, the reason is too long, or has no code before it.
        TypeError: The code is no ``int``, or the reason no ``str``.
    """
    check_options(_CLOSING, locals())
    said = reason.encode()
    if code is None:
        if said:
            raise ValueError("a reason needs a code before it")
        return b""
    if not may_be_sent(code):
        raise ValueError(f"expected a close code that may be sent, 1000 to 1014 or 3000 to 4999, got {code}")
    if len(said) > _MAX_REASON:
        raise ValueError(f"a reason has at most {_MAX_REASON} bytes, got {len(said)}")
    return code.to_bytes(2, "big") + said


def cut_reason(text: str) -> str:
    """Return as much of a text as a close frame can say, in whole characters."""
    said = text.encode("utf-8", "replace")
    if len(said) <= _MAX_REASON:
        return said.decode()
    return said[:_MAX_REASON].decode("utf-8", "ignore")


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame; 1005 and nothing where it says nothing.

    Raises:
        WebSocketError: It has half a code, one that may not be sent, or a reason that is no UTF-8.

    Source: RFC 6455 §5.5.1, §7.1.5.
    """
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise WebSocketError(PROTOCOL_ERROR, "expected a close frame with a code of two bytes, got one byte")
    code = int.from_bytes(payload[:2], "big")
    if not may_be_sent(code):
        raise WebSocketError(PROTOCOL_ERROR, f"expected a close code that may be sent, got {code}")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise WebSocketError(BAD_DATA, "expected a close reason in UTF-8") from None
