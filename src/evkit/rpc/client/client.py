"""`Client`: one peer to call, over a connection that is made when it is needed and made anew when it is lost.

It decides when to connect, and what waits meanwhile. What happens on a connection is `Connection`'s business, how one
is made `Dial`'s. It knows nothing of bytes.
"""

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from evkit.core.base import EventBase
from evkit.core.bufferevent.common import BufferEvent
from evkit.core.net import Resolver
from evkit.core.timers import check_seconds
from evkit.rpc.client.backoff import Backoff
from evkit.rpc.client.dialing import Dialling
from evkit.rpc.client.reconnecting import Reconnector, Upkeep
from evkit.rpc.client.target import Target, parse_target
from evkit.rpc.client.waiting import Waiting
from evkit.rpc.connection.caller import Caller
from evkit.rpc.connection.connection import Connection
from evkit.rpc.connection.load import Load
from evkit.rpc.connection.pending import Default, Notice, Pending
from evkit.rpc.errors import CallLost, ClientClosed, RPCError
from evkit.rpc.hooks.hooks import Hooks
from evkit.rpc.hooks.owner import HookOwner
from evkit.rpc.limits import DEFAULT_TIMEOUT, Limits
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.service.service import Service

if TYPE_CHECKING:
    import ssl

DEFAULT_MAX_QUEUE: Final = 10_000
DEFAULT_KEEPALIVE: Final = 30.0
"""Seconds. gRPC's servers take a client that asks more often than that for a nuisance."""
DEFAULT_BACKOFF: Final = Backoff()


class Client(Caller, HookOwner):
    """A client of one server.

        with EventBase() as base, Client(base, "127.0.0.1:7000") as client:
            print(client.call("add", 2, 3).result())

    It connects when something is called, and again when something is called after the connection was lost; with a
    ``service``, or after `connect`, it keeps a connection all the time. Calls wait for the connection within their
    time, and so the client may be there before its server.

    Args:
        base: The event base.
        where: ``"host:port"``, ``"tls://host:port"``, ``"unix:/path"``, or ``(host, port)``.
        timeout: Seconds that a call may take, connecting included; ``None``: no limit.
        service: What the server can call here; ``None``: nothing.
        limits: What the server may cost.
        max_in_flight: Calls that the server gets before it has answered others; ``None``: any number. Some servers
            lose calls that come before they have answered the last: those need 1.
        max_queue: Calls that may wait to be sent; one more is `Overloaded`. ``None``: any number.
        connect_timeout: Seconds for each attempt to connect, TLS included; ``None``: no limit.
        reconnect: How long to wait after attempts that failed; ``None``: calls fail when one does, and nothing is tried
            without a call.
        keepalive: Seconds of silence after which the server is asked whether it is there: by the system, and where that
            was agreed on by a hello, by a ping while an answer is waited for. ``None``: never.
        hello: Say at first what this side understands beyond the protocol, and use what both do: for evkit's servers.
            Others answer that there is no such method, or not at all, or close.
        resolver: Finds addresses; ``None``: that of the base.
        tls: What to trust and to show; ``None``: the system's certificates. Only for ``tls://``, and for unix sockets
            where TLS is spoken.
        server_hostname: The name that the server's certificate is to be for; ``None``: that of ``where``. TLS on a unix
            socket needs one.
        unicode_errors: What to do with text that is not UTF-8, as ``bytes.decode`` has it: ``"surrogateescape"`` for
            peers that send binary data as text.
        hooks: Those of somebody else, such as a pool; ``None``: its own.
        debug: Send the traceback of what escapes a handler to the server.

    Attributes:
        target: Where the server is.
        connection: The connection; ``None``: there is none now.
        hooks: See `add_hook`.
        error: Why there is none, if it is known: how the last one ended, or the last attempt.
        on_connect: ``on_connect(connection)`` when there is one.
        on_failure: ``on_failure(error)`` when an attempt has failed.
        on_disconnect: ``on_disconnect(connection)`` when it is gone; its ``error`` tells why.

    Raises:
        ValueError: Something is out of range, ``where`` is nowhere, or ``tls`` would not be used there.
        TypeError: Something is of a wrong type.

    Source: ``evrpc_pool_new``, of one connection.
    """

    __slots__ = (
        "_base",
        "_closed",
        "_coders",
        "_debug",
        "_load",
        "_max_in_flight",
        "_reconnect",
        "_reconnector",
        "_service",
        "_timeout",
        "_waiting",
        "connection",
        "error",
        "hooks",
        "on_connect",
        "on_disconnect",
        "on_failure",
        "target",
    )

    def __init__(
        self,
        base: EventBase,
        where: str | tuple[str, int] | Target,
        *,
        timeout: float | None = DEFAULT_TIMEOUT,
        service: Service | None = None,
        limits: Limits | None = None,
        max_in_flight: int | None = None,
        max_queue: int | None = DEFAULT_MAX_QUEUE,
        connect_timeout: float | None = DEFAULT_TIMEOUT,
        reconnect: Backoff | None = DEFAULT_BACKOFF,
        keepalive: float | None = DEFAULT_KEEPALIVE,
        hello: bool = False,
        resolver: Resolver | None = None,
        tls: "ssl.SSLContext | None" = None,
        server_hostname: str | None = None,
        unicode_errors: str = "strict",
        hooks: Hooks | None = None,
        debug: bool = False,
    ) -> None:
        for seconds in (timeout, connect_timeout, keepalive):
            if seconds is not None:
                check_seconds(seconds)
        for name, number, least in (("max_in_flight", max_in_flight, 1), ("max_queue", max_queue, 0)):
            if number is not None and (type(number) is not int or number < least):
                raise ValueError(f"expected {name} as a number >= {least} or None, got {number!r}")
        self._base = base
        self.target = _secured(parse_target(where), tls, server_hostname)
        self._timeout = timeout
        self.hooks = Hooks() if hooks is None else hooks
        self.connection: Connection | None = None
        self.on_connect: Callable[[Connection], object] | None = None
        self.on_disconnect: Callable[[Connection], object] | None = None
        self.on_failure: Callable[[Exception | None], object] | None = None
        self.error: Exception | None = None
        self._service = service or Service()
        self._coders = Coders(limits or Limits(), unicode_errors=unicode_errors)
        self._load = Load()
        self._waiting = Waiting(base, max_queue)
        self._max_in_flight = max_in_flight
        self._reconnect = reconnect
        self._debug = debug
        self._closed = False
        how = Dialling(connect_timeout, resolver, tls, server_hostname, keepalive)
        self._reconnector = Reconnector(base, self.target, how, Upkeep(reconnect, hello, keepalive), self)
        if service is not None:
            self._reconnector.persistent = True
            base.call_soon(self._need)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "connected" if self.connection else "away"
        return f"<Client {state} of {self.target} waiting={len(self._waiting.calls)}>"

    @property
    def base(self) -> EventBase:
        """The event base."""
        return self._base

    @property
    def timeout(self) -> float | None:
        """Seconds that a call may take, connecting included; ``None``: no limit. It may be changed, for calls to come.

        Source: ``evrpc_pool_set_timeout``.
        """
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        if seconds is not None:
            check_seconds(seconds)
        self._timeout = seconds
        if self.connection is not None:
            self.connection.timeout = seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def connect(self) -> None:
        """Connect now, and keep a connection from now on. Harmless where there is one."""
        self._reconnector.persistent = True
        self._need()

    def close(self) -> None:
        """Close; calls that are not answered fail with `ClientClosed`. Harmless when it is closed."""
        if self._closed:
            return
        self._closed = True
        self._fail_waiting(ClientClosed(f"the client of {self.target} was closed"))
        self._reconnector.close()

    # Calling

    def begin(self, pending: Pending, params: list[Any]) -> None:
        """See `Caller.begin`."""
        connection = self.connection
        if connection is not None and not self._waiting.calls:
            most = self._max_in_flight
            if most is None or connection.in_flight < most:
                try:
                    connection.begin(pending, params)
                except (CallLost, ClientClosed):
                    pass  # it has ended, and `on_down` is to come
                else:
                    return
        self._wait(pending, params)

    def notify(self, method: str, *params: Any) -> None:
        """See `Caller.notify`. Without a connection it waits for one, as long as a call would."""
        connection = self.connection
        if connection is not None and not self._waiting.calls and not connection.ended:
            connection.notify(method, *params)
        else:
            self._wait(Notice(method), list(params))

    def _wait(self, pending: Pending, params: list[Any]) -> None:
        if self._closed:
            raise ClientClosed(f"the client of {self.target} is closed")
        # What can't be sent is an error now, and not some time later.
        self._coders.pack((pending.method, params, pending.metadata))
        timeout = pending.timeout
        self._waiting.add(pending, params, self.timeout if isinstance(timeout, Default) else timeout)
        self._need()

    def _need(self) -> None:
        """Send what waits, and connect for that."""
        if self.connection is None:
            if not self._closed:
                self._reconnector.need()
        elif not self.connection.ended:  # else `on_down` comes
            self._send_waiting(self.connection)

    def _send_waiting(self, connection: Connection) -> None:
        most = self._max_in_flight
        while most is None or connection.in_flight < most:
            taken = self._waiting.take()
            if taken is None:
                return
            pending, params = taken
            try:
                if isinstance(pending, Notice):
                    pending.detach()
                    connection.notify(pending.method, *params)
                else:
                    connection.begin(pending, params)
            except (
                Exception
            ) as error:  # other than RPCError: of parameters that were changed while they waited
                pending.fail(self._base, _not_sent(pending, error))

    def _fail_waiting(self, cause: Exception | None) -> None:
        for pending in self._waiting.take_all():
            if pending.owner is self._waiting:  # no other's callback has cancelled it
                pending.fail(self._base, _not_sent(pending, cause))

    # For the one who connects; see `ConnectionOwner`

    @property
    def waits(self) -> bool:
        """Whether calls wait for a connection."""
        return bool(self._waiting.calls)

    def make_connection(self, bev: BufferEvent) -> Connection:
        """Make the connection of what was connected."""
        connection = self.connection_type(
            bev,
            self._coders,
            str(self.target),
            self._service,
            self._load,
            timeout=self._timeout,
            debug=self._debug,
        )
        if self._max_in_flight is not None:
            connection.on_free = self._need
        return connection

    def on_up(self, connection: Connection) -> None:
        """Hear that there is a connection."""
        self.error = self._waiting.why = None
        self.connection = connection
        connection.timeout = self._timeout
        if self.on_connect is not None:
            try:
                self.on_connect(connection)
            except Exception as exception:  # let through, it would end the connection
                self._base.escaped(exception, self.on_connect)
        if self.connection is connection:
            self._need()

    def on_down(self, connection: Connection) -> None:
        """Hear that it has gone."""
        self.connection = None
        self.error = self._waiting.why = connection.error
        if self.on_disconnect is not None:
            self.on_disconnect(connection)

    def on_failed(self, error: Exception | None) -> None:
        """Hear that an attempt to connect has failed."""
        self.error = self._waiting.why = error
        if self._reconnect is None:
            self._fail_waiting(error)
        if self.on_failure is not None and not self._closed:
            self.on_failure(error)


def _not_sent(pending: Pending, cause: Exception | None) -> RPCError:
    """Return what a call that was never sent fails with."""
    if isinstance(cause, RPCError):
        return cause
    error = CallLost(pending.method, sent=False)
    error.__cause__ = cause
    return error


def _secured(target: Target, tls: "ssl.SSLContext | None", server_hostname: str | None) -> Target:
    """Return the target, with TLS on a unix socket if that is wanted.

    Raises:
        ValueError: TLS is not spoken there, or there is no name to ask of its certificate.
    """
    if tls is not None and target.path is not None:
        if not server_hostname:
            raise ValueError(
                f"TLS on a unix socket needs server_hostname, the name of its certificate: {target}"
            )
        return target._replace(secure=True)
    if not target.secure and (tls is not None or server_hostname is not None):
        what = "tls" if tls is not None else "server_hostname"
        raise ValueError(f"{what} is for addresses that begin with tls://, got {target}")
    return target
