"""`Tunnel`: the request by which a proxy connects its client with somebody else.

It asks over a connection to the proxy, and gives that on when it leads to the other end. How the proxy is reached, and
what is spoken with the other end, is somebody else's business.
"""

from collections.abc import Callable
from typing import Final

from evkit.core import Buffer, BufferEvent
from evkit.errors import ConnectError
from evkit.http.client.connection import ClientConnection
from evkit.http.client.proxy_choice import Route
from evkit.http.client.request_fields import connect_head
from evkit.http.client.retries import Progress
from evkit.http.client.timeouts import ClientTimeouts
from evkit.http.client.upload import Upload
from evkit.http.errors import BadResponse, RequestTimeout, quote
from evkit.http.parser import ResponseEngine, ResponseHead

_NEEDS_CREDENTIALS: Final = 407
_MAX_CHALLENGES: Final = 4
"""That are shown."""

TunnelDone = Callable[[BufferEvent | None, Exception | None], object]


class Tunnel:
    """The request for a tunnel, an `Asker`; its own connection's owner as long as it is HTTP.

    Args:
        route: To the proxy, and from there on.
        done: ``done(bev, error)``, once: one of the two is there.

    Raises:
        LocalProtocolError: One of the fields for the proxy can't be sent.
        Exception: What the proxy's credentials raise.

    Source: RFC 9110 §9.3.6.
    """

    __slots__ = (
        "_done",
        "_known",
        "_route",
        "head",
        "method",
        "paused",
        "sink",
        "switches",
        "upload",
        "waits",
        "whole",
    )

    def __init__(self, route: Route, done: TunnelDone) -> None:
        self._route = route
        self._done = done
        self.method = "CONNECT"
        told = () if route.proxy is None else route.proxy.told
        self._known = any(
            name.lower() == "proxy-authorization" for name, _ in told
        )  # the proxy knows who asks
        self.head = connect_head(route.connect_authority, told)
        self.upload: Upload | None = None
        self.waits = self.switches = self.whole = False
        self.sink = Buffer()
        self.paused = False

    def ask(self, bev: BufferEvent, engine: ResponseEngine, limit: float | None) -> None:
        """Ask.

        Args:
            bev: The proxy is at its other end.
            engine: Reads its answer.
            limit: Seconds that it has for that; ``None``: any number.
        """
        timeouts = ClientTimeouts(write=limit, head=limit, body=limit)
        ClientConnection(self, bev, engine, timeouts, None).ask(self)

    def on_interim(self, head: ResponseHead) -> None:
        """See `Asker.on_interim`."""

    def on_head(self, head: ResponseHead) -> None:
        """See `Asker.on_head`."""
        if not 200 <= head.status < 300:
            refused = f"the proxy {self._route.hop} gives no tunnel to {self._route.tunnel}"
            raise ConnectError(f"{refused}: {head.status} {quote(head.reason)}{self._wanted(head)}")

    def _wanted(self, head: ResponseHead) -> str:
        """Return what the proxy wants to be told, if that is what is missing. Source: RFC 9110 §11.7.1, §15.5.8."""
        if head.status != _NEEDS_CREDENTIALS:
            return ""
        challenges = head.headers.get_all("Proxy-Authenticate")[:_MAX_CHALLENGES]
        wanted = f", it wants {' or '.join(map(quote, challenges))}" if challenges else ""
        return wanted + (
            ", and refuses the credentials that it got" if self._known else ", and got no credentials"
        )

    def on_body(self) -> None:
        """See `Asker.on_body`."""

    def on_end(self, trailers: list[tuple[str, str]], body: bytes | None) -> None:  # noqa: ARG002 - the contract's
        """See `Asker.on_end`."""
        self._done(None, BadResponse("expected a tunnel of the proxy"))

    def on_switched(self, bev: BufferEvent) -> None:
        """See `Asker.on_switched`."""
        if bev.input.length:
            bev.close()  # nobody has spoken to the other end yet
            self._done(
                None, BadResponse("expected nothing behind the head that makes a tunnel", bytes(bev.input))
            )
        else:
            self._done(bev, None)

    def on_failed(self, error: Exception, progress: Progress) -> None:  # noqa: ARG002 - the contract's
        """See `Asker.on_failed`."""
        if isinstance(error, RequestTimeout):
            told = f"the proxy {self._route.hop} gave no tunnel to {self._route.tunnel} in time"
            error = RequestTimeout(told, during="connect", phase="connect")
        self._done(None, error)

    def released(self, connection: ClientConnection) -> None:
        """See `Owner.released`."""
        connection.close()

    def lost(self, connection: ClientConnection) -> None:
        """See `Owner.lost`."""
