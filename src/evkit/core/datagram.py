"""`DatagramEndpoint`: UDP and unix datagrams on an event base.

It decides what is sent at once, what waits and what is refused, and that no datagram that goes wrong does harm to the
next one. It knows nothing of what is in them.
"""

import socket
from collections.abc import Callable
from errno import (
    ECONNREFUSED,
    ECONNRESET,
    EHOSTDOWN,
    EHOSTUNREACH,
    EMSGSIZE,
    ENETDOWN,
    ENETUNREACH,
    ENOPROTOOPT,
    EPERM,
    EPROTO,
)
from typing import TYPE_CHECKING, Any, Final

from evkit.core.buffer.segments import Readable
from evkit.core.datagram_queue import SendQueue
from evkit.core.flags import EV_PERSIST, EV_READ, EV_WRITE
from evkit.core.log import LOG_DEBUG, log
from evkit.core.net import (
    Address,
    bound_datagram_socket,
    connected_datagram_socket,
    family_of,
    format_address,
)
from evkit.core.unix_socket import remove_if_abandoned
from evkit.errors import During, TransportError

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.event import Event

DEFAULT_MAX_SIZE: Final = 65535
"""What the length field of UDP can tell (RFC 768)."""
DEFAULT_MAX_QUEUE: Final = 256 * 1024
_PER_EVENT: Final = 64
"""A flood of datagrams must not keep others from being served."""
_PASSING: Final = frozenset(
    {
        ECONNREFUSED,
        ECONNRESET,
        EHOSTDOWN,
        EHOSTUNREACH,
        EMSGSIZE,
        ENETDOWN,
        ENETUNREACH,
        ENOPROTOOPT,
        EPERM,
        EPROTO,
    }
)
"""Errors of a datagram that was sent before, as an ICMP message tells them: to receive goes on."""
_PAUSE: Final = 0.1
"""Seconds before receiving is tried again after another error, which may stay."""
_RETRY: Final = 0.01
"""Seconds before sending is tried again where the system can't tell when there is room."""
ReceiveCallback = Callable[["DatagramEndpoint", bytes, Any], object]
"""``receive(endpoint, data, address)``; the address is an `Address`, but ``None`` for a unix socket without a name."""
DrainedCallback = Callable[["DatagramEndpoint"], object]
DatagramErrorCallback = Callable[["DatagramEndpoint", TransportError, Address | None], object]
"""``error(endpoint, error, address)``."""


class DatagramEndpoint:
    """A datagram socket on an event base; `bind` and `connect` make one with its socket.

    What escapes from a callback goes to the base's exception handler; the endpoint stays open.

    Args:
        base: The event base to run on.
        sock: A datagram socket, connected or not. The endpoint owns it from now on.
        receive: ``receive(endpoint, data, address)`` gets each datagram, an empty one, too, and who has sent it: what
            `send` takes, or ``None`` for a unix socket without a name, which can't be answered.
        drained: ``drained(endpoint)`` is called when the queue is empty again after `send` has refused something.
        error: ``error(endpoint, error, address)`` hears of each failure, from the loop and never from inside a call.
            ``error.during`` is ``"write"`` for the datagram to ``address`` (``None``: to the peer), which is lost, and
            ``"read"`` for what a peer or a router has answered to one before, or for one that was too long.
        max_size: Bytes of the longest datagram that is received, ``>= 1``; a longer one is an error (``EMSGSIZE``).
        max_queue: Bytes that may wait for room in the system's buffer, each datagram counting 64 more, ``>= 0``.

    Attributes:
        socket: The socket, for options such as ``SO_BROADCAST``.
        address: Its own address, as ``127.0.0.1:53`` or ``unix:/path``.
        port: The port of that; 0 for a unix socket.
        peer: What it is connected to, or ``None``.
        closed: Whether `close` was called.

    Raises:
        ValueError: The socket is of another kind, or a limit makes no sense. The socket is still the caller's then.

    Source: libevent has none, and its users write one each around an event.
    """

    __slots__ = (
        "_drained",
        "_error",
        "_owns_file",
        "_paused",
        "_queue",
        "_read_event",
        "_receive",
        "_resting",
        "_retry",
        "_write_event",
        "address",
        "base",
        "closed",
        "max_size",
        "peer",
        "port",
        "socket",
    )

    def __init__(
        self,
        base: "EventBase",
        sock: socket.socket,
        receive: ReceiveCallback | None = None,
        *,
        drained: DrainedCallback | None = None,
        error: DatagramErrorCallback | None = None,
        max_size: int = DEFAULT_MAX_SIZE,
        max_queue: int = DEFAULT_MAX_QUEUE,
    ) -> None:
        if sock.type != socket.SOCK_DGRAM:
            raise ValueError(f"expected a datagram socket, got {sock!r}")
        if max_size < 1 or max_queue < 0:
            raise ValueError(f"expected max_size >= 1 and max_queue >= 0, got {max_size} and {max_queue}")
        sock.setblocking(False)
        self.base = base
        self.socket = sock
        self.max_size = max_size
        self.closed = False
        self.peer = _peer_of(sock)
        name = sock.getsockname()
        self.address = format_address(name)
        self.port: int = name[1] if isinstance(name, tuple) else 0
        self._owns_file = False
        self._queue = SendQueue(max_queue)
        self._paused = False  # by the user
        self._resting = False  # after an error that may stay
        self._read_event = base.event(sock, EV_READ | EV_PERSIST, self._on_readable)
        self._write_event = base.event(sock, EV_WRITE | EV_PERSIST, self._on_writable)
        self._retry = base.timer(self._on_retry)
        self.set_callbacks(receive, drained, error)

    @classmethod
    def bind(
        cls,
        base: "EventBase",
        address: Address,
        receive: ReceiveCallback | None = None,
        *,
        reuseable_port: bool = False,
        ipv6_only: bool = False,
        mode: int | None = None,
    ) -> "DatagramEndpoint":
        """Make an endpoint that anybody may send to.

        Args:
            base: The event base to run on.
            address: ``(ip, port)``, port 0 for any free one, or the path of a unix socket; a stale file there is
                replaced, and the file is removed by `close`.
            receive: As in the constructor; see `set_callbacks` for the others.
            reuseable_port: Share the port with other processes, each of which gets a part of the senders.
            ipv6_only: Take no IPv4 on ``::``.
            mode: Permissions of the file of a unix socket: who may write may send.

        Raises:
            OSError: The address is in use, not here, or not allowed.
            ValueError: The host is a name, or an option does not go together with the address.
        """
        sock = bound_datagram_socket(address, reuseable_port=reuseable_port, ipv6_only=ipv6_only, mode=mode)
        endpoint = cls(base, sock, receive)
        endpoint._owns_file = sock.family == socket.AF_UNIX
        return endpoint

    @classmethod
    def connect(
        cls,
        base: "EventBase",
        address: Address,
        receive: ReceiveCallback | None = None,
        *,
        random_port: bool = False,
    ) -> "DatagramEndpoint":
        """Make an endpoint for one peer: only what that sends is received, and what it refuses is told.

        Args:
            base: The event base to run on.
            address: ``(ip, port)``, or the path of a unix socket, which can't answer as this end has no name.
            receive: As in the constructor; see `set_callbacks` for the others.
            random_port: Send from an unpredictable port of 1024 to 65535, and not only of the range from which the
                system chooses, so that answers are harder to forge.

        Raises:
            OSError: There is no way to the address, or nobody has the unix socket.
            ValueError: The host is a name.

        Source: RFC 5452 §9.2 for the random port.
        """
        return cls(base, connected_datagram_socket(address, random_port=random_port), receive)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "paused" if self._paused else "open"
        peer = "" if self.peer is None else f" -> {format_address(self.peer)}"
        return f"<DatagramEndpoint {self.address}{peer} {state} queued={len(self._queue)}>"

    def set_callbacks(
        self,
        receive: ReceiveCallback | None = None,
        drained: DrainedCallback | None = None,
        error: DatagramErrorCallback | None = None,
    ) -> None:
        """Replace all three; see the constructor. Without ``receive``, what comes waits in the system."""
        self._receive, self._drained, self._error = receive, drained, error
        self._apply()

    def pause(self) -> None:
        """Receive nothing; the system keeps what comes as long as it has room, and drops it then."""
        self._paused = True
        self._apply()

    def resume(self) -> None:
        """Receive again."""
        self._paused = False
        self._apply()

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
        if not self._queue.put(data, address):
            return False
        if len(self._queue) == 1:
            self._wait_for_room()
        return True

    def close(self) -> None:
        """Close the socket now; what is still in the queue is lost. No callback runs after this."""
        if self.closed:
            return
        self.closed = True
        self._read_event.free()
        self._write_event.free()
        self._retry.free()
        self._queue.clear()
        self._receive = self._drained = self._error = None
        path = self.socket.getsockname() if self._owns_file else ""
        self.socket.close()
        remove_if_abandoned(path)

    # Receiving

    def _receives(self) -> bool:
        return not (self._receive is None or self._paused or self._resting or self.closed)

    def _apply(self) -> None:
        if self._receives():
            self._read_event.add()
        elif not self.closed:
            self._read_event.delete()

    def _on_readable(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        for _ in range(_PER_EVENT):
            if not self._receives():
                return
            try:
                data, address = self.socket.recvfrom(self.max_size + 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._receiving_failed(error)
                continue
            if len(data) > self.max_size:
                self._report(OSError(EMSGSIZE, f"a datagram of more than {self.max_size} bytes"), "read")
            else:
                self._call(self._receive, data, address)

    def _receiving_failed(self, error: OSError) -> None:
        self._report(error, "read")
        if error.errno not in _PASSING:
            self._resting = True
            self._apply()
            self._retry.add(_PAUSE)

    def _on_retry(self, event: "Event", what: int) -> None:
        self._resting = False
        self._apply()
        if self._queue:
            self._on_writable(event, what)

    # Sending

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
                self.socket.sendto(data, address)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._report(error, "write", address)
        return True

    def _send_to_peer(self, data: Readable) -> None:
        try:
            self.socket.send(data)
        except ConnectionRefusedError as error:
            # Of a datagram before this one, mostly; the call has cleared it, and sent nothing.
            self.socket.send(data)
            self._report(error, "read")

    def _wait_for_room(self) -> None:
        if self.peer is None and self.socket.family == socket.AF_UNIX:
            # The room is the receiver's, whoever that is; by the system's account this socket can always be written.
            self._retry.add(_RETRY)
        else:
            self._write_event.add()

    def _on_writable(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        for _ in range(_PER_EVENT):
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
