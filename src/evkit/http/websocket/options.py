"""What a program may choose for its WebSockets; one object serves all connections."""

from dataclasses import dataclass
from typing import Final

from evkit.http.kinds import (
    COUNT,
    COUNT_OR_NONE,
    FUNCTION_OR_NONE,
    NUMBER,
    NUMBER_OR_NONE,
    Kind,
    Kinds,
    check_options,
)
from evkit.http.websocket.deflate import Deflate

_SIZES: Final[Kinds] = {
    "max_message": COUNT_OR_NONE,
    "max_frame": COUNT_OR_NONE,
    "high_water": COUNT,
    "max_buffered": COUNT_OR_NONE,
}
_TIMES: Final[Kinds] = {
    "ping_after": NUMBER_OR_NONE,
    "ping_timeout": NUMBER,
    "close_timeout": NUMBER,
    "write_timeout": NUMBER_OR_NONE,
}
_KINDS: Final[Kinds] = {**_SIZES, **_TIMES, "deflate": Kind("a Deflate, or None", Deflate, type(None))}


@dataclass(frozen=True, slots=True)
class WebSocketOptions:
    """Limits and time-outs; sizes in bytes, times in seconds.

    Attributes:
        max_message: Of a message that is received, inflated; the peer hears 1009 for more. ``None``: no limit.
        max_frame: Of one frame of it, as sent; ``None``: no limit of its own.
        ping_after: Without a byte from the peer before it gets a ping, while the connection is read; ``None``: no
            pings.
        ping_timeout: Without a byte after a ping before the connection is given up.
        close_timeout: For the peer to answer `WebSocket.close`, and then to end its side, without taking any of what
            is still to be sent.
        write_timeout: Without the peer taking a byte of what is to be sent; ``None``: for ever.
        high_water: Of what is to be sent, from which `WebSocket.send` says that it is enough.
        max_buffered: Of what is to be sent, from which `WebSocket.send` ends the connection: the peer does not keep
            up, and nobody waits for it. ``None``: no limit.
        deflate: How to compress messages, where the peer agrees; ``None``: messages go as they are, since that costs
            memory for each connection.

    Raises:
        ValueError: One is out of range.
        TypeError: One is of another type.
    """

    max_message: int | None = 1 << 20
    max_frame: int | None = None
    ping_after: float | None = 30.0
    ping_timeout: float = 20.0
    close_timeout: float = 10.0
    write_timeout: float | None = 30.0
    high_water: int = 1 << 16
    max_buffered: int | None = 1 << 24
    deflate: Deflate | None = None

    def __post_init__(self) -> None:
        check_options(_KINDS, {name: getattr(self, name) for name in _KINDS})
        for name in _SIZES:
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name} must be a positive number of bytes, got {size!r}")
        for name in _TIMES:
            seconds = getattr(self, name)
            if seconds is not None and not 0 < seconds < float("inf"):
                raise ValueError(f"{name} must be a positive number of seconds, got {seconds!r}")
        if self.max_buffered is not None and self.max_buffered < self.high_water:
            raise ValueError(
                f"max_buffered must be >= high_water, got {self.max_buffered} < {self.high_water}"
            )


DEFAULT_OPTIONS: Final = WebSocketOptions()

CHOICES: Final[Kinds] = {
    "on_message": FUNCTION_OR_NONE,
    "on_close": FUNCTION_OR_NONE,
    "options": Kind("WebSocketOptions", WebSocketOptions),
}
"""What all doors to a `WebSocket` take."""
