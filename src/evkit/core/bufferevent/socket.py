"""`SocketBufferEvent`: a buffered connection over a stream socket.

The doer: it calls ``recv`` and ``send``, connects, and translates what the system says into callbacks. Which callback
is due when is decided in `evkit.core.bufferevent.common`.
"""

import os
import socket
from errno import EINPROGRESS
from typing import TYPE_CHECKING, Final

from evkit.core.buffer import Buffer
from evkit.core.bufferevent.common import (
    HELD_CLOSED,
    HELD_CONNECTING,
    HELD_NEW,
    HELD_WAITING,
    time_out,
)
from evkit.core.bufferevent.limited import RateLimitedBufferEvent
from evkit.core.event import INSERTED, Event, QueueEntry
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    EV_PERSIST,
    EV_READ,
    EV_TIMEOUT,
    EV_WRITE,
    event_bits,
)
from evkit.core.net import Address, Resolver, family_of, stream_socket
from evkit.errors import ConnectError, TransportError, TransportTimeout

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.bufferevent.hostname import HostConnect

DEFAULT_MAX_SINGLE_READ: Final = 65536
"""Bytes asked for in one ``recv``. libevent's 16384 would cost four calls where one will do."""
_MORE_SENDS: Final = 3
"""Calls after the first in one flush: a head, a file and a little more go out at once; a long stream gives way."""


class SocketBufferEvent(RateLimitedBufferEvent):
    """A buffered connection over a socket.

    Args:
        base: The event base to run on.
        sock: A connected stream socket; ``None``: `connect` will make one. It is made non-blocking and is owned by the
            connection from now on.
        defer_callbacks: Run callbacks later, from the loop, never from inside a call (``BEV_OPT_DEFER_CALLBACKS``).

    Attributes:
        socket: The socket, or ``None`` before `connect`.

    Source: ``bufferevent_socket_new``.
    """

    __slots__ = ("_by_name", "_ends", "_read_event", "_write_event")

    def __init__(
        self, base: "EventBase", sock: socket.socket | None = None, *, defer_callbacks: bool = False
    ) -> None:
        super().__init__(base, sock, DEFAULT_MAX_SINGLE_READ, defer_callbacks=defer_callbacks)
        self._read_event: Event | None = None
        self._write_event: Event | None = None
        self._by_name: HostConnect | None = None  # while it looks for a host
        self._ends = False  # the end of the stream is to follow the output
        if sock is None:
            self._write_held |= HELD_NEW
        else:
            sock.setblocking(False)
            self._make_events(sock)

    def setfd(self, sock: socket.socket | None) -> socket.socket | None:
        """Go on over another socket, with the same buffers, callbacks and wishes.

        Args:
            sock: A connected stream socket, as for the constructor; ``None``: over none, until `connect` or `setfd`.

        Returns:
            The socket of before, or ``None``; it is the caller's now. An attempt to connect it is forgotten.

        Raises:
            ValueError: The connection is closed.

        Source: ``bufferevent_setfd``.
        """
        if self.closed:
            raise ValueError(f"setfd() on a connection that is closed: {self!r}")
        former = self.socket
        self._free_events()
        self._write_held &= ~(HELD_CONNECTING | HELD_WAITING | HELD_NEW)
        self.socket = sock
        if sock is None:
            self._write_held |= HELD_NEW
            self._choose_road()
        else:
            sock.setblocking(False)
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

    # Connecting

    def connect(self, address: Address | None) -> None:
        """Connect; the event callback hears ``BEV_EVENT_CONNECTED`` or ``BEV_EVENT_ERROR``, never from inside.

        Args:
            address: ``(ip, port)``, ``(ip6, port, flowinfo, scope)`` or the path of a unix socket. Host names are not
                looked up here, since that would block. ``None``: the socket given is connecting already.

        Raises:
            ValueError: The address is a host name or no address, there is no socket for ``None``, or the connection is
                closed or connecting already.
            OSError: No socket could be made, or the path of a unix socket is too long.

        Source: ``bufferevent_socket_connect``.
        """
        self._check_connectable()
        if address is None and self.socket is None:
            raise ValueError("connect(None) waits for a socket that is connecting, but there is none")
        code = 0 if address is None else self._begin_connecting(address)
        self._stop(EV_READ | EV_WRITE)
        self._write_held |= HELD_CONNECTING
        if code in (0, EINPROGRESS):
            assert self._write_event is not None
            self._write_event.add(self.write_timeout)  # though writing may be disabled
        else:
            self.base.call_soon(self._connected, OSError(code, os.strerror(code)))

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
    ) -> None:
        """Look a host up and connect to the first of its addresses that answers.

        The event callback hears of it as of `connect`; the write time-out holds for the connecting. `error` tells what
        each address failed with.

        Args:
            host: A name, or a numeric address.
            port: 0 to 65535.
            resolver: Finds the addresses; ``None``: that of the base.
            family: ``AF_INET`` or ``AF_INET6`` for one family only.

        Raises:
            ValueError: This can't be looked up, or the connection has a socket, is closed or connecting already.

        Source: ``bufferevent_socket_connect_hostname``, which tries one address, and blocks without evdns; RFC 8305.
        """
        self._check_connectable()
        if self.socket is not None:
            raise ValueError(f"connect_host() makes a socket, but there is one already: {self!r}")
        from evkit.core.bufferevent.hostname import HostConnect  # for programs that look names up
        from evkit.core.system_resolver import SystemResolver

        resolver = resolver or self.base.resolver
        if resolver is None:
            resolver = self.base.resolver = SystemResolver(self.base)
        self._by_name = HostConnect(
            self.base, resolver, host, port, family, self.write_timeout, self._on_host
        )
        self._stop(EV_READ | EV_WRITE)
        self._write_held |= HELD_CONNECTING

    def _on_host(self, sock: socket.socket | None, error: TransportError | None) -> None:
        self._by_name = None
        if error is not None:
            self._not_connected(error)
            return
        assert sock is not None
        self.socket = sock
        self._make_events(sock)
        self._write_held &= ~HELD_NEW
        self._connected(None)

    def _begin_connecting(self, address: Address) -> int:
        """Call ``connect``, on a new socket if there is none yet; return the system's answer."""
        family = family_of(address)
        if self.socket is not None:
            return self.socket.connect_ex(address)
        sock = stream_socket(family)
        try:
            code = sock.connect_ex(address)
        except (OverflowError, TypeError) as error:
            sock.close()
            raise ValueError(f"expected (ip, port) with a port up to 65535, got {address!r}") from error
        except BaseException:
            sock.close()
            raise
        self.socket = sock
        self._make_events(sock)
        self._write_held &= ~HELD_NEW
        return code

    def _finish_connecting(self) -> None:
        assert self.socket is not None
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._connected(OSError(code, os.strerror(code)) if code else None)

    def _connected(self, error: OSError | None) -> None:
        if self.closed or not self._write_held & HELD_CONNECTING:
            return  # the socket has been replaced meanwhile
        if error is not None:
            self._not_connected(ConnectError.of(error, during="connect"))
            return
        self._write_held &= ~HELD_CONNECTING
        self._stop_waiting()
        self.error = None  # of an attempt before this one
        self._start(self.enabled & ~self._suspended())
        self._call_event(BEV_EVENT_CONNECTED)
        if self._ends and not self.output:
            self._end()

    def _not_connected(self, error: TransportError) -> None:
        self._write_held &= ~HELD_CONNECTING
        self._stop_waiting()
        self.error = error
        if isinstance(error, TransportTimeout):
            self.disable(EV_WRITE)
            self._call_event(BEV_EVENT_TIMEOUT)
        else:
            self.disable(EV_READ | EV_WRITE)
            self._call_event(BEV_EVENT_ERROR)

    # Reading

    def _on_readable(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        if what == EV_TIMEOUT:
            self._timed_out(EV_READ)
            return
        source = self.input
        size = self._max_single_read
        if self._read_high:
            size = min(size, self._read_high - len(source))
        recv = self._recv  # a call of an attribute that is no method of the class is slow
        try:
            data = recv(size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._failed(EV_READ, BEV_EVENT_READING | BEV_EVENT_ERROR, error)
            return
        if not data:
            self._failed(EV_READ, BEV_EVENT_READING | BEV_EVENT_EOF, None)
            return
        try:
            source.feed(data)
            callback = self._read_callback
            if callback is not None and source.length >= self._read_low:
                callback(self)
        except Exception as exception:
            self.escaped(exception)

    # Writing

    def flush_output(self) -> None:
        """See `BufferEvent.flush_output`.

        What the write callback adds is not sent at once but in the next pass, since it might never end: others want
        to send, too. (``_flush_queued`` is set while this runs, so that nothing queues the connection again.)
        """
        if self._write_held:
            self._flush_queued = False
            return
        self._flush_queued = True
        output = self.output
        send = self._send  # see _on_readable
        try:
            try:
                sent = send(self.socket)  # type: ignore[arg-type]  # nothing holds writing, so there is one
                if output.length:
                    self._send_rest(output, sent)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                sent = 0
                self._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, error)
            except Exception as exception:  # of a callback on the output buffer
                sent = 0
                self.escaped(exception)
            if sent and self._write_callback is not None and output.length <= self._write_low:
                self._call(self._write_callback)
        finally:  # KeyboardInterrupt must not leave it waiting for nothing
            if output.length:
                self._wait_writable()
            elif self._ends:
                self._end()
            self._flush_queued = False

    def _on_writable(self, event: Event, what: int) -> None:
        if what == EV_TIMEOUT:
            self._write_timed_out()
        elif self._write_held & HELD_CONNECTING:
            self._finish_connecting()
        else:
            self._write_held &= ~HELD_WAITING
            self.flush_output()
            if not self._write_held & HELD_WAITING:
                event.delete()

    def _write_timed_out(self) -> None:
        if self._write_held & HELD_CONNECTING:
            self._not_connected(time_out("connect", self.write_timeout))
        else:
            self._timed_out(EV_WRITE)

    def _send_rest(self, output: Buffer, sent: int) -> None:
        """Go on where one call could not take everything, as a head and a file, while the system takes it."""
        if self._limits is not None:
            return  # what may go at once has gone
        for _ in range(_MORE_SENDS):
            if not (sent and output.length):
                return
            try:
                sent = self._send(self.socket)  # type: ignore[arg-type]  # as above
            except (BlockingIOError, InterruptedError):
                return

    def _wait_writable(self) -> None:
        if self._write_event is not None and not self._write_held & ~HELD_WAITING:
            self._write_held |= HELD_WAITING
            self._write_event.add(self.write_timeout)

    def _stop_waiting(self) -> None:
        self._write_held &= ~HELD_WAITING
        if self._write_event is not None:
            self._write_event.delete()

    # The contract of BufferEvent

    def _start(self, events: int) -> None:
        """See `BufferEvent._start`."""
        if self._write_held & (HELD_CONNECTING | HELD_CLOSED) or self._read_event is None:
            return
        if events & EV_READ:
            self._read_event.add(self.read_timeout)
        if events & EV_WRITE and self.output and not self._flush_queued:
            # Not sent from in here: a write callback that enables writing would call itself.
            self._flush_queued = True
            self.base.queues.outbox.append(self)

    def _stop(self, events: int) -> None:
        """See `BufferEvent._stop`."""
        if events & EV_READ and self._read_event is not None:
            self._read_event.delete()
        if events & EV_WRITE and not self._write_held & HELD_CONNECTING:
            self._stop_waiting()

    def _adjust_timeouts(self) -> None:
        """See `BufferEvent._adjust_timeouts`."""
        for event, timeout in (
            (self._read_event, self.read_timeout),
            (self._write_event, self.write_timeout),
        ):
            if event is not None and event.flags & INSERTED:
                if timeout is None:
                    event.remove_timer()
                else:
                    event.add(timeout)

    def _queue_entries(self) -> list[QueueEntry]:
        """See `BufferEvent._queue_entries`."""
        events = [event for event in (self._read_event, self._write_event) if event is not None]
        return [*super()._queue_entries(), *events]

    def _free_events(self) -> None:
        if self._by_name is not None:
            self._by_name.cancel()
            self._by_name = None
        for event in (self._read_event, self._write_event):
            if event is not None:
                event.free()
        self._read_event = self._write_event = None

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
