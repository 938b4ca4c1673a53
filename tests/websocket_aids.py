"""WebSocket peers for tests: frames as RFC 6455 spells them, none of it evkit's code, and two ends in one loop."""

import base64
import hashlib
from typing import Any, Final, NamedTuple, Self

from evkit.core.flags import EV_READ
from evkit.http.websocket.websocket import WebSocket
from evkit.testing import FakeBase, MemoryPair

KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
"""The example of RFC 6455 §1.3."""
MASK: Final = b"\x37\xfa\x21\x3d"
"""That of RFC 6455 §5.7."""
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def accept_for(key: str) -> str:
    return base64.b64encode(
        hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    ).decode()


def xor(data: bytes, key: bytes) -> bytes:
    return bytes(byte ^ key[at % 4] for at, byte in enumerate(data))


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK
) -> bytes:
    """Spell a frame; a client's, unless ``mask`` is ``None``."""
    size, bit = len(payload), 0 if mask is None else 0x80
    if size < 126:
        length = bytes([bit | size])
    elif size < 65536:
        length = bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([bit | 127]) + size.to_bytes(8, "big")
    first = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    return first + length + (payload if mask is None else mask + xor(payload, mask))


def close_frame(code: int | None = None, reason: str = "", *, mask: bytes | None = MASK) -> bytes:
    said = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
    return frame(CLOSE, said, mask=mask)


class Frame(NamedTuple):
    first: int
    masked: bool
    payload: bytes

    @property
    def opcode(self) -> int:
        return self.first & 0xF


def frames(data: bytes) -> list[Frame]:
    """Take whole frames apart, whoever has sent them."""
    found = []
    while data:
        first, second = data[0], data[1]
        size, at = second & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        key = b""
        if second & 0x80:
            key, at = data[at : at + 4], at + 4
        payload = data[at : at + size]
        assert len(payload) == size, "half a frame"
        found.append(Frame(first, bool(key), xor(payload, key) if key else payload))
        data = data[at + size :]
    return found


class Log:
    """Hears what a WebSocket tells.

    ``messages`` and ``ends`` are what `on_message` and `on_close` were called with.
    """

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.ends: list[tuple[int, str]] = []
        self.pongs: list[bytes] = []
        self.drained = 0

    def attach(self, ws: WebSocket) -> None:
        ws.on_message = self.on_message
        ws.on_close = self.on_close
        ws.on_pong = self.on_pong
        ws.on_drained = self.on_drained

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        self.messages.append(data)

    def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
        assert ws.closed
        assert not ws.open
        self.ends.append((code, reason))

    def on_pong(self, ws: WebSocket, data: bytes) -> None:
        self.pongs.append(data)

    def on_drained(self, ws: WebSocket) -> None:
        self.drained += 1


class Ends:
    """A WebSocket on one end of a pair in memory; the test is the other end, and moves the time.

    What the test sends goes as it is; what comes back is taken apart.

    Args:
        client: Whether the WebSocket is a client's end.
        early: What has come before the WebSocket is made.
        fakes: As for `MemoryPair`.
        settings: Its ``options``, its ``agreement``.
    """

    def __init__(
        self, *, client: bool = False, early: bytes = b"", fakes: FakeBase | None = None, **settings: Any
    ) -> None:
        self.pair = MemoryPair(fakes)
        if early:
            self.pair.near.enable(EV_READ)
            self.pair.feed(early)
        self.ws = WebSocket(self.pair.near, client=client, **settings)
        self.log = Log()
        self.log.attach(self.ws)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.pair.__exit__(*error)  # type: ignore[arg-type]  # as the with statement gives them

    def feed(self, *pieces: bytes) -> list[Frame]:
        return frames(self.pair.feed(*pieces))

    def run(self, seconds: float = 0.0) -> list[Frame]:
        return frames(self.pair.run(seconds))

    def end(self) -> list[Frame]:
        return frames(self.pair.end())
