"""`Dial`: a connection to a peer in the making.

The doer: it looks a name up, connects, and greets by TLS, all within one time. What the connection is used for is
somebody else's business.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evkit.core.base import EventBase
from evkit.core.bufferevent.common import BufferEvent
from evkit.core.bufferevent.socket import SocketBufferEvent
from evkit.core.event import Event
from evkit.core.flags import BEV_EVENT_CONNECTED
from evkit.core.net import Resolver, set_keepalive
from evkit.errors import ConnectError, TransportError, TransportTimeout
from evkit.rpc.client.target import Target
from evkit.rpc.protocol.intake import LARGEST_READ

if TYPE_CHECKING:
    import ssl

Done = Callable[[BufferEvent | None, Exception | None], object]
"""``done(bev, error)``: one of them is there."""


@dataclass(frozen=True, slots=True)
class Dialling:
    """How to connect.

    Attributes:
        timeout: Seconds for all of it; ``None``: no limit.
        resolver: Finds addresses; ``None``: that of the base.
        context: What to trust and to show under TLS; ``None``: the system's certificates.
        server_hostname: The name that the certificate is to be for; ``None``: the target's.
        keepalive: Seconds of silence after which the system asks the peer whether it is there; ``None``: never.
    """

    timeout: float | None
    resolver: Resolver | None = None
    context: "ssl.SSLContext | None" = None
    server_hostname: str | None = None
    keepalive: float | None = None


class Dial:
    """One attempt to connect.

    Args:
        base: The event base.
        target: Where to.
        how: How.
        done: Called once, from the loop, unless `cancel` was called before.
    """

    __slots__ = ("_bev", "_done", "_how", "_target", "_timer")

    def __init__(self, base: EventBase, target: Target, how: Dialling, done: Done) -> None:
        self._target = target
        self._how = how
        self._done: Done | None = done
        self._timer = base.timer(self._on_late)
        bev = SocketBufferEvent(base)
        bev.max_single_read = LARGEST_READ
        self._bev: BufferEvent = bev

    def __repr__(self) -> str:
        return f"<Dial to {self._target} {self._bev!r}>"

    def start(self) -> None:
        """Begin.

        Raises:
            ValueError: There can't be such a host.
            OSError: No socket could be made.
            Exception: What the resolver raises.
        """
        bev, target = self._bev, self._target
        assert isinstance(bev, SocketBufferEvent)
        if self._how.timeout is not None:
            self._timer.add(self._how.timeout)
        bev.set_callbacks(event=self._on_connected)
        try:
            address = target.address
            if address is not None:
                bev.connect(address)
            else:
                bev.connect_host(target.host, target.port, resolver=self._how.resolver)
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Give up, without a word."""
        self._done = None
        self._timer.free()
        self._bev.close()

    def _on_late(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        why = f"no connection to {self._target} within {self._how.timeout:g} s"
        self._failed(TransportTimeout(why, during="connect"))

    def _on_connected(self, bev: BufferEvent, what: int) -> None:
        if not what & BEV_EVENT_CONNECTED:
            self._failed(bev.error)
            return
        assert isinstance(bev, SocketBufferEvent)
        if self._how.keepalive is not None and self._target.path is None and bev.socket is not None:
            set_keepalive(bev.socket, self._how.keepalive)
        if self._target.secure:
            self._greet(bev)
        else:
            self._succeeded()

    def _greet(self, bev: BufferEvent) -> None:
        from evkit.core import TLSBufferEvent  # for those who need it: it takes its time to load

        try:
            name = self._how.server_hostname or self._target.host
            secure = TLSBufferEvent(bev, self._how.context, server_hostname=name)
        except ValueError as error:  # the name is one that no certificate can be checked against
            self._failed(error)
            return
        self._bev = secure
        secure.set_callbacks(event=self._on_greeted)

    def _on_greeted(self, bev: BufferEvent, what: int) -> None:
        if what & BEV_EVENT_CONNECTED:
            self._succeeded()
        else:
            self._failed(bev.error)

    def _succeeded(self) -> None:
        done, self._done = self._done, None
        self._timer.free()
        self._bev.set_callbacks()
        if done is not None:
            done(self._bev, None)

    def _failed(self, error: TransportError | ValueError | None) -> None:
        done = self._done
        self.cancel()
        if done is not None:
            done(None, error or ConnectError(f"{self._target} has closed the connection"))
