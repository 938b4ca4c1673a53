"""`ConnectingBufferEvent`: which socket a buffered connection goes over, and how that comes to be connected.

It makes the socket and its two events, waits for the end of connecting and tells of it, and gives all of them back in
the end. What flows over the socket, and when, is the business of `evkit.core.bufferevent.socket`.
"""

import os
import socket
from typing import TYPE_CHECKING

from evkit.core.bufferevent.gate import HELD_CONNECTING, HELD_NEW, HELD_WAITING
from evkit.core.bufferevent.limited import RateLimitedBufferEvent
from evkit.core.event import Deferred, Event, QueueEntry
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_ERROR,
    BEV_EVENT_TIMEOUT,
    EV_PERSIST,
    EV_READ,
    EV_WRITE,
    event_bits,
)
from evkit.core.net import CONNECT_GOES_ON, Address, Resolver, begin_connecting, family_of, stream_socket
from evkit.errors import ConnectError, TransportError, TransportTimeout

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.bufferevent.hostname import HostConnect


class ConnectingBufferEvent(RateLimitedBufferEvent):
    """A `BufferEvent` over a socket that it is given, or makes and connects; what flows is filled in below.

    Attributes:
        socket: The socket, or ``None`` before `connect`.
    """

    __slots__ = ("_attempt", "_ends", "_read_event", "_write_event")

    def __init__(
        self, base: "EventBase", sock: socket.socket | None, max_single_read: int, *, defer_callbacks: bool
    ) -> None:
        super().__init__(base, sock, max_single_read, defer_callbacks=defer_callbacks)
        self._read_event: Event | None = None
        self._write_event: Event | None = None
        # What will tell how connecting ends, where that is not the write event.
        self._attempt: HostConnect | Deferred | None = None
        self._ends = False  # the end of the stream is to follow the output
        if sock is None:
            self._write_held |= HELD_NEW
        else:
            sock.setblocking(False)
            self._make_events(sock)

    def __repr__(self) -> str:
        fd = -1 if self.socket is None else self.socket.fileno()
        return (
            f"<{type(self).__name__} fd={fd} {self._state()} enabled={event_bits(self.enabled)} "
            f"input={len(self.input)} output={len(self.output)}>"
        )

    def _state(self) -> str:
        if self.closed:
            return "closed"
        if self._write_held & HELD_CONNECTING:
            return "connecting"
        return "new" if self.socket is None else "open"

    # The socket

    def setfd(self, sock: socket.socket | None) -> socket.socket | None:
        """Go on over another socket, with the same buffers, callbacks and wishes.

        Args:
            sock: A connected stream socket, as for the constructor; ``None``: over none, until `connect` or `setfd`.

        Returns:
            The socket of before, or ``None``; it is the caller's now. An attempt to connect it is forgotten.

        Raises:
            ValueError: The connection is closed.
            OSError: ``sock`` is closed.

        Source: ``bufferevent_setfd``.
        """
        if self.closed:
            raise ValueError(f"setfd() on a connection that is closed: {self!r}")
        if sock is not None:
            sock.setblocking(False)
        former = self.socket
        self._free_events()
        self._write_held &= ~(HELD_CONNECTING | HELD_WAITING | HELD_NEW)
        self.socket = sock
        if sock is None:
            self._write_held |= HELD_NEW
            self._choose_road()
        else:
            self._make_events(sock)
            self._start(self.enabled & ~self._suspended())
        return former

    def replacefd(self, sock: socket.socket | None) -> None:
        """As `setfd`, but the socket of before is closed. Source: ``bufferevent_replacefd``."""
        former = self.setfd(sock)
        if former is not None and former is not sock:
            former.close()

    def _make_events(self, sock: socket.socket) -> None:
        self._choose_road()
        fd = sock.fileno()
        make = self.base.event_type
        self._read_event = make(self.base, fd, EV_READ | EV_PERSIST, self._on_readable)
        self._write_event = make(self.base, fd, EV_WRITE | EV_PERSIST, self._on_writable)
        self._read_event.level = self._write_event.level = self._priority

    def _free_events(self) -> None:
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None
        for event in (self._read_event, self._write_event):
            if event is not None:
                event.free()
        self._read_event = self._write_event = None

    def _stop_waiting(self) -> None:
        self._write_held &= ~HELD_WAITING
        if self._write_event is not None:
            self._write_event.delete()

    # Connecting

    def connect(self, address: Address | None) -> None:
        """Connect; the event callback hears ``BEV_EVENT_CONNECTED`` or ``BEV_EVENT_ERROR``, never from inside.

        An attempt that fails takes its socket along: another may follow on the same connection.

        Args:
            address: ``(ip, port)``, ``(ip6, port, flowinfo, scope)`` or the path of a unix socket. Host names are not
                looked up here, since that would block. ``None``: the socket given is connecting already.

        Raises:
            ValueError: The address is a host name, no address, or not of the socket's family; there is no socket for
                ``None``; or the connection is closed or connecting already.
            OSError: No socket could be made, the path of a unix socket is too long, or there is no such scope.

        Source: ``bufferevent_socket_connect``, which keeps a socket that has failed.
        """
        self._check_connectable()
        if address is None and self.socket is None:
            raise ValueError("connect(None) waits for a socket that is connecting, but there is none")
        code = 0 if address is None else self._begin_connecting(address)
        self._stop(EV_READ | EV_WRITE)
        self._write_held |= HELD_CONNECTING
        if code in CONNECT_GOES_ON:
            self._await_connection()
        else:
            self._refuse_soon(OSError(code, os.strerror(code)))

    def _check_connectable(self) -> None:
        if self.closed or self._write_held & HELD_CONNECTING:
            raise ValueError(f"connect() on a connection that is {self._state()}: {self!r}")

    def connect_host(
        self,
        host: str,
        port: int,
        *,
        resolver: Resolver | None = None,
        family: int = socket.AF_UNSPEC,
        local: Address | None = None,
    ) -> None:
        """Look a host up and connect to the first of its addresses that answers.

        The event callback hears of it as of `connect`; the write time-out holds for the connecting. `error` tells what
        each address failed with.

        Args:
            host: A name, or a numeric address.
            port: 0 to 65535.
            resolver: Finds the addresses; ``None``: that of the base.
            family: ``AF_INET`` or ``AF_INET6`` for one family only.
            local: The address to connect from, ``("192.0.2.7", 0)``; only addresses of its family are tried.

        Raises:
            ValueError: This can't be looked up, ``local`` is no IP address, or the connection has a socket, is closed
                or connecting already.
            Exception: What else the resolver raises, such as the ``LoopError`` of one that is closed.

        Source: ``bufferevent_socket_connect_hostname``, which tries one address, and blocks without evdns; RFC 8305.
        """
        self._check_connectable()
        if self.socket is not None:
            raise ValueError(f"connect_host() makes a socket, but there is one already: {self!r}")
        from evkit.core.bufferevent.hostname import HostConnect  # for programs that look names up
        from evkit.core.system_resolver import SystemResolver

        if resolver is None:
            resolver = self.base.resolver
        if resolver is None:
            resolver = self.base.resolver = SystemResolver(self.base)
        self._attempt = HostConnect(
            self.base, resolver, host, port, family, self.write_timeout, self._on_host, local
        )
        self._write_held |= HELD_CONNECTING

    def _on_host(self, sock: socket.socket | None, error: TransportError | None) -> None:
        self._attempt = None
        if error is not None:
            self._not_connected(error)
            return
        assert sock is not None
        self.socket = sock
        self._make_events(sock)
        self._write_held &= ~HELD_NEW
        self._connected()

    def _begin_connecting(self, address: Address) -> int:
        """Call ``connect``, on a new socket if there is none yet; return the system's answer."""
        family = family_of(address)
        if self.socket is not None:
            return begin_connecting(self.socket, address)
        sock = stream_socket(family)
        try:
            code = begin_connecting(sock, address)
        except BaseException:
            sock.close()
            raise
        self.socket = sock
        self._make_events(sock)
        self._write_held &= ~HELD_NEW
        return code

    def _await_connection(self) -> None:
        assert self._write_event is not None
        try:
            self._write_event.add(self.write_timeout)  # though writing may be disabled
        except OSError as error:  # the backend takes no more
            self._refuse_soon(error)

    def _refuse_soon(self, error: OSError) -> None:
        self._attempt = self.base.call_soon(self._refused, error)

    def _refused(self, error: OSError) -> None:
        self._not_connected(ConnectError.of(error, during="connect"))

    def _finish_connecting(self) -> None:
        assert self.socket is not None
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._refused(OSError(code, os.strerror(code)))
        else:
            self._connected()

    def _connected(self) -> None:
        self._write_held &= ~HELD_CONNECTING
        self._stop_waiting()
        try:
            self._start(self.enabled & ~self._suspended())
        except OSError as error:  # the backend takes no more
            self._refused(error)
            return
        self.error = None  # of an attempt before this one
        self._call_event(BEV_EVENT_CONNECTED)
        if self._ends and not self.output:
            self._end()

    def _not_connected(self, error: TransportError) -> None:
        self.replacefd(None)  # not every system lets it connect again, and none before it has failed
        self.error = error
        if isinstance(error, TransportTimeout):
            self.disable(EV_WRITE)
            self._call_event(BEV_EVENT_TIMEOUT)
        else:
            self.disable(EV_READ | EV_WRITE)
            self._call_event(BEV_EVENT_ERROR)

    # The contract of BufferEvent

    def _queue_entries(self) -> list[QueueEntry]:
        """See `BufferEvent._queue_entries`."""
        events = [event for event in (self._read_event, self._write_event) if event is not None]
        return [*super()._queue_entries(), *events]

    def _close_transport(self) -> None:
        """See `BufferEvent._close_transport`."""
        super()._close_transport()
        self._free_events()
        if self.socket is not None:
            self.socket.close()

    def shutdown_write(self) -> None:
        """See `BufferEvent.shutdown_write`."""
        if self.output or self._write_held & HELD_CONNECTING:
            self._ends = True
        else:
            self._end()

    def _end(self) -> None:
        self._ends = False
        if self.socket is not None and not self.closed:
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # not connected any more: there is nobody to tell

    # What flows

    def _on_readable(self, event: Event, what: int) -> None:
        """Read: the system says that there is something, or the read time-out is up."""
        raise NotImplementedError

    def _on_writable(self, event: Event, what: int) -> None:
        """Finish connecting, or write: the system says that it can be done, or the write time-out is up."""
        raise NotImplementedError
