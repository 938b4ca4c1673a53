"""A client that comes through a proxy, until the proxy has said who it is.

The doer between a buffered connection and `read_proxy_header`. What is served then, and whether by TLS, is the
`Reception`'s business.
"""

from collections.abc import Callable
from typing import Final

from evkit.core import BEV_EVENT_EOF, EV_READ, BufferEvent, Event
from evkit.errors import RemoteProtocolError
from evkit.http.proxies.proxy_protocol import MAX_HEADER, ProxyHeader, read_proxy_header

_ENDED: Final = "the connection ended before its PROXY header did"


class Arrival:
    """Waits for one PROXY header, and closes the connection where none comes.

    Args:
        bev: The connection.
        timeout: Seconds that the header may take; ``None``: any number.
        arrived: ``arrived(arrival, header)`` when it is there; what came after it is in the connection's input.
        failed: ``failed(arrival, error)`` when there is none; the connection is closed.

    Attributes:
        bev: The connection.
    """

    __slots__ = ("_arrived", "_deadline", "_failed", "_hurried", "bev")

    def __init__(
        self,
        bev: BufferEvent,
        timeout: float | None,
        arrived: "Callable[[Arrival, ProxyHeader], object]",
        failed: "Callable[[Arrival, RemoteProtocolError | None], object]",
    ) -> None:
        self.bev = bev
        self._arrived = arrived
        self._failed = failed
        self._deadline: Event | None = None
        self._hurried = False
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        bev.set_watermark(EV_READ, 0, MAX_HEADER)  # what follows the header is not ours to gather
        bev.on_close = self._on_closed
        if timeout is not None:
            self._deadline = bev.base.timer(self._on_deadline)
            self._deadline.add(timeout)
        bev.enable(EV_READ)

    def hurry(self, seconds: float) -> None:
        """Wait no longer than so many seconds from now on; 0: until the next poll."""
        self._hurried = True
        base = self.bev.base
        if self._deadline is None:
            self._deadline = base.timer(self._on_deadline)
        if base.now() + seconds < self._deadline.deadline:
            self._deadline.add(seconds)

    def _on_read(self, bev: BufferEvent) -> None:
        try:
            header = read_proxy_header(bev.input)
        except RemoteProtocolError as error:
            self._fail(error)
            return
        if header is not None:
            self._let_go()
            bev.set_callbacks()
            bev.set_watermark(EV_READ, 0, None)
            self._arrived(self, header)

    def _on_event(self, bev: BufferEvent, what: int) -> None:  # noqa: ARG002 - a callback
        self._fail(RemoteProtocolError(_ENDED) if what & BEV_EVENT_EOF else None)

    def _on_deadline(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        # Who was hurried has done nothing wrong.
        self._fail(None if self._hurried else RemoteProtocolError("the PROXY header took too long"))

    def _on_closed(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        self._fail(None)

    def _fail(self, error: RemoteProtocolError | None) -> None:
        self._let_go()
        self.bev.close()
        self._failed(self, error)

    def _let_go(self) -> None:
        self.bev.on_close = None
        if self._deadline is not None:
            self._deadline.free()
            self._deadline = None
