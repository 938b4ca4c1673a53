"""`DatagramEndpoint`: UDP and unix datagrams on an event base.

It decides what is received and when, and when the socket ends; sending is `DatagramOutput`'s half. It knows nothing of
what is in a datagram.
"""

import socket
from collections.abc import Callable
from errno import EMSGSIZE, EPERM
from typing import TYPE_CHECKING, Any, Final, Self

from evkit.core.datagram_output import ANSWERS, PER_EVENT, DatagramOutput
from evkit.core.flags import EV_PERSIST, EV_READ
from evkit.core.net import (
    Address,
    bound_datagram_socket,
    close_bound_socket,
    connected_datagram_socket,
    format_address,
)
from evkit.errors import TransportError

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.event import Event

DEFAULT_MAX_SIZE: Final = 65535
"""What the length field of UDP can tell (RFC 768)."""
DEFAULT_MAX_QUEUE: Final = 256 * 1024
_PASSING: Final = ANSWERS | {EMSGSIZE, EPERM}
"""Errors of a datagram that was sent before: to receive goes on."""
_PAUSE: Final = 0.1
"""Seconds before receiving is tried again after another error, which may stay."""
ReceiveCallback = Callable[["DatagramEndpoint", bytes, Any], object]
"""``receive(endpoint, data, address)``; the address is an `Address`, but ``None`` for a unix socket without a name."""
DrainedCallback = Callable[["DatagramEndpoint"], object]
DatagramErrorCallback = Callable[["DatagramEndpoint", TransportError, Address | None], object]
"""``error(endpoint, error, address)``."""


class DatagramEndpoint(DatagramOutput):
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
            ``"read"`` for one from ``address`` that was too long, or, with ``None``, for what a peer or a router has
            answered to one that was sent before, or what the system says.
        max_size: Bytes of the longest datagram that is received, ``>= 1``; a longer one is dropped, and is an error
            (``EMSGSIZE``).
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
        "_owns_file",
        "_paused",
        "_read_event",
        "_receive",
        "_rest",
        "_resting",
        "address",
        "max_size",
        "port",
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
        super().__init__(base, sock, max_queue)
        self.max_size = max_size
        name = sock.getsockname()
        self.address = format_address(name)
        self.port: int = name[1] if isinstance(name, tuple) else 0
        self._owns_file = False
        self._paused = False  # by the user
        self._resting = False  # after an error that may stay
        self._read_event = base.event(sock, EV_READ | EV_PERSIST, self._on_readable)
        self._rest = base.timer(self._on_rested)
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
    ) -> Self:
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
        endpoint = cls._over(base, sock, receive)
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
    ) -> Self:
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
        return cls._over(base, connected_datagram_socket(address, random_port=random_port), receive)

    @classmethod
    def _over(cls, base: "EventBase", sock: socket.socket, receive: ReceiveCallback | None) -> Self:
        try:
            return cls(base, sock, receive)
        except BaseException:
            close_bound_socket(sock)
            raise

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
        """Replace all three; see the constructor. Without ``receive``, what comes waits in the system.

        Without effect on a closed endpoint.
        """
        if self.closed:
            return
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

    def close(self) -> None:
        """Close the socket now; what is still in the queue is lost. No callback runs after this."""
        if self.closed:
            return
        self.closed = True
        self._read_event.free()
        self._rest.free()
        self._stop_sending()
        self._receive = None
        if self._owns_file:
            close_bound_socket(self.socket)
        else:
            self.socket.close()

    # Receiving

    def _receives(self) -> bool:
        return not (self._receive is None or self._paused or self._resting or self.closed)

    def _apply(self) -> None:
        if self._receives():
            self._read_event.add()
        elif not self.closed:
            self._read_event.delete()

    def _on_readable(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        for _ in range(PER_EVENT):
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
                self._report(
                    OSError(EMSGSIZE, f"a datagram of more than {self.max_size} bytes"), "read", address
                )
            else:
                self._call(self._receive, data, address)

    def _receiving_failed(self, error: OSError) -> None:
        self._report(error, "read")
        if error.errno not in _PASSING:
            self._resting = True
            self._apply()
            self._rest.add(_PAUSE)

    def _on_rested(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        self._resting = False
        self._apply()
