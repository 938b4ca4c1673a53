"""`WebSocketGroup`: connections that are told the same, and that end together.

A server forgets a connection that has become a WebSocket; who wants to close all of them keeps them here. It knows who
belongs to it, and nothing of requests.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from evkit.core.event import check_callback
from evkit.errors import LocalProtocolError
from evkit.http.websocket.codes import GOING_AWAY
from evkit.http.websocket.frames import close_payload
from evkit.http.websocket.writer import MessageData, encode

if TYPE_CHECKING:
    from evkit.http.websocket.life import WebSocketLife
    from evkit.http.websocket.websocket import WebSocket


class WebSocketGroup:
    """WebSockets that have not ended; each leaves by itself when it does.

    What is left of one, until its peer has read the last frame and the connection below is closed, is waited for by
    `close` and ended by `abort`, too.

    ``len(group)``, ``for ws in group`` and ``ws in group`` work as one expects; a loop may close and add.

    Attributes:
        closing: Whether `close` was called: who comes now is told to go.
    """

    __slots__ = ("_after", "_closed", "_ending", "_members", "closing")

    def __init__(self) -> None:
        self._members: dict[WebSocketLife, WebSocket] = {}  # in the order in which they came
        self._ending: set[WebSocketLife] = set()  # those that have ended, but for the connection below
        self._closed: list[Callable[[], object]] = []
        self._after = (GOING_AWAY, "")
        self.closing = False

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> "Iterator[WebSocket]":
        return iter(tuple(self._members.values()))

    def __contains__(self, ws: object) -> bool:
        return ws in self._members

    def __repr__(self) -> str:
        return f"<WebSocketGroup {len(self)} members{' closing' if self.closing else ''}>"

    def add(self, ws: "WebSocket") -> None:
        """Take a connection in; if `close` was called, it is told to go.

        Raises:
            ValueError: It has ended, or belongs to another group.
        """
        if ws.closed or ws.group not in (None, self):
            raise ValueError(f"expected a WebSocket that is open and in no other group, got {ws!r}")
        ws.group = self
        self._members[ws] = ws
        if self.closing:
            ws.close(*self._after)

    def remove(self, ws: "WebSocket") -> None:
        """Let a connection go, which stays as it is.

        Raises:
            KeyError: It is none of these.
        """
        del self._members[ws]
        ws.group = None
        self._check_closed()

    def note_end(self, ws: "WebSocketLife") -> None:
        """Hear from ``ws`` that it has ended; the connection below is still there."""
        if self._members.pop(ws, None) is not None:
            self._ending.add(ws)

    def note_gone(self, ws: "WebSocketLife") -> None:
        """Hear from ``ws`` that the connection below is closed, too."""
        self._ending.discard(ws)
        self._check_closed()

    def broadcast(self, data: MessageData, *, but: "WebSocket | None" = None) -> None:
        """Send a message to all. It is encoded once, and goes out without compression.

        Who does not keep up is dropped; see `WebSocketOptions.max_buffered`.

        Args:
            data: Text if it is ``str``, binary otherwise.
            but: Who does not get it, as a rule because it came from there.

        Raises:
            LocalProtocolError: To one of them a message in fragments has not ended. Nothing was sent.
            TypeError: It is neither text nor bytes.
            ValueError: A text that UTF-8 has no bytes for.
        """
        message = encode(data)
        receivers = [ws for ws in self if ws is not but]
        busy = next((ws for ws in receivers if ws.in_fragments), None)
        if busy is not None:
            raise LocalProtocolError(f"send_end() comes before another message to {busy!r}")
        for ws in receivers:
            ws.send_encoded(message)

    def close(
        self, code: int = GOING_AWAY, reason: str = "", closed: Callable[[], object] | None = None
    ) -> None:
        """Begin the closing handshake with all, and with who comes later.

        Args:
            code: As for `WebSocket.close`; 1001: this side is going away.
            reason: Likewise.
            closed: Called without arguments when the last one is gone, which takes no longer than their time-outs
                allow; at once if there is none.

        Raises:
            ValueError: As `WebSocket.close`. Nothing was closed.
            TypeError: Likewise; or ``closed`` can't be called.
        """
        close_payload(code, reason)
        if closed is not None:
            self._closed.append(check_callback(closed))
        self._after = (code, reason)
        self.closing = True
        for ws in self:
            ws.close(code, reason)
        self._check_closed()

    def abort(self) -> None:
        """End all connections now, and what is left of those that have ended."""
        for ws in (*self._members, *self._ending):
            ws.abort()

    def _check_closed(self) -> None:
        if self.closing and not (self._members or self._ending):
            waiting, self._closed = self._closed, []
            for closed in waiting:
                closed()
