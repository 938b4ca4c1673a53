"""`DatagramOutput`: the sending half of a `DatagramEndpoint`, and what tells its user of failures.

It decides what is sent at once, what waits and what is refused, whom an error belongs to, and that no datagram that
goes wrong does harm to the next one. It knows nothing of receiving, nor of what is in a datagram.
"""

import socket
from collections.abc import Callable
from errno import (
    ECONNREFUSED,
    ECONNRESET,
    EHOSTDOWN,
    EHOSTUNREACH,
    ENETDOWN,
    ENETUNREACH,
    ENOPROTOOPT,
    EPROTO,
)
from typing import TYPE_CHECKING, Final

from evkit.core.buffer.segments import Readable
from evkit.core.datagram_queue import SendQueue
from evkit.core.flags import EV_PERSIST, EV_WRITE
from evkit.core.log import LOG_DEBUG, log
from evkit.core.net import Address, family_of, with_scope
from evkit.errors import During, TransportError

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.event import Event

ANSWERS: Final = frozenset(
    {ECONNREFUSED, ECONNRESET, EHOSTDOWN, EHOSTUNREACH, ENETDOWN, ENETUNREACH, ENOPROTOOPT, EPROTO}
)
"""What a peer or a router says of a datagram by ICMP: the next call on the socket, whichever it is, brings it."""
PER_EVENT: Final = 64
"""Datagrams in a row: a flood of them must not keep others from being served."""
_RETRY: Final = 0.01
"""Seconds before sending is tried again where the system can't tell when there is room."""


class DatagramOutput:
    """A datagram socket as far as it sends; see `DatagramEndpoint`, which tells of arguments and attributes."""

    __slots__ = (
        "_drained",
        "_error",
        "_queue",
        "_retry",
        "_write_event",
        "base",
        "closed",
        "peer",
        "socket",
    )

    def __init__(self, base: "EventBase", sock: socket.socket, max_queue: int) -> None:
        self.base = base
        self.socket = sock
        self.peer = _peer_of(sock)
        self.closed = False
        self._drained: Callable[..., object] | None = None
        self._error: Callable[..., object] | None = None
        self._queue = SendQueue(max_queue)
        self._write_event = base.event(sock, EV_WRITE | EV_PERSIST, self._on_writable)
        self._retry = base.timer(self._on_writable)

    def send(self, data: Readable, address: Address | None = None) -> bool:
        """Send one datagram, at once if the system has room for it, else as soon as it has.

        Args:
            data: Its bytes; none is fine.
            address: Where to; ``None`` for the peer of a connected endpoint.

        Returns:
            ``False`` if the queue is full, and nothing was taken: wait for ``drained``. ``True`` does not mean that it
            arrives; failures that this machine knows of are told to ``error``.

        Raises:
            ValueError: The endpoint is closed, the address is none of its family or is a host name, or there is none
                although the endpoint has no peer, or one although it has.
        """
        if self.closed:
            raise ValueError(f"send() on a closed endpoint: {self!r}")
        self._check_destination(address)
        if not self._queue and self._try_to_send(data, address):
            return True
        taken = self._queue.put(data, address)
        self._wait_for_room()  # also for one that the queue refuses although it is empty
        return taken

    def _check_destination(self, address: Address | None) -> None:
        if (address is None) == (self.peer is None):
            expected = "an address" if address is None else "none"
            raise ValueError(f"send() needs {expected} on {self!r}, got {address!r}")
        if address is None:
            return
        family = family_of(address)  # a name would be looked up by the system, which blocks
        if family != self.socket.family:
            raise ValueError(f"expected an address of {self.socket.family.name}, got {address!r}")

    def _try_to_send(self, data: Readable, address: Address | None) -> bool:
        """Send, or tell why that failed; return ``False`` if there is no room now."""
        try:
            if address is None:
                self._send_to_peer(data)
            else:
                self.socket.sendto(data, with_scope(address))
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._report(error, "write", address)
        return True

    def _send_to_peer(self, data: Readable) -> None:
        try:
            self.socket.send(data)
        except OSError as error:
            if error.errno not in ANSWERS:
                raise
            self._send_again(data, error)

    def _send_again(self, data: Readable, before: OSError) -> None:
        """Send what has met an error of a datagram before it, mostly: the call has cleared it, and sent nothing."""
        own = False
        try:
            self.socket.send(data)
        except OSError as error:
            own = error.errno == before.errno
            raise
        finally:
            if not own:
                self._report(before, "read")

    def _wait_for_room(self) -> None:
        if self.peer is None and self.socket.family == socket.AF_UNIX:
            # The room is the receiver's, whoever that is; by the system's account this socket can always be written.
            self._retry.add(_RETRY)
        else:
            self._write_event.add()

    def _on_writable(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        for _ in range(PER_EVENT):
            if not self._queue:
                break
            data, address = self._queue.first()
            if not self._try_to_send(data, address):
                break
            self._queue.drop_first()
        if self._queue:
            self._wait_for_room()
            return
        self._write_event.delete()
        if self._queue.take_relief():
            self._call(self._drained)

    def _stop_sending(self) -> None:
        self._write_event.free()
        self._retry.free()
        self._queue.clear()
        self._drained = self._error = None

    # Telling

    def _report(self, error: OSError, during: During, address: Address | None = None) -> None:
        self.base.call_soon(self._tell, TransportError.of(error, during=during), address)

    def _tell(self, error: TransportError, address: Address | None) -> None:
        if self._error is not None:
            self._call(self._error, error, address)
        elif not self.closed:
            log(LOG_DEBUG, f"{self!r}: {error}")

    def _call(self, callback: Callable[..., object] | None, *args: object) -> None:
        try:
            if callback is not None:
                callback(self, *args)
        except Exception as exception:
            self.base.escaped(exception, self)


def _peer_of(sock: socket.socket) -> Address | None:
    try:
        peer: Address = sock.getpeername()
    except OSError:
        return None
    return peer
