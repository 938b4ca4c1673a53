"""`Ports`: the UDP sockets by which questions go to one server, and their replies come back.

It decides from which port a question goes, and how long a port is used. What comes is handed on unread. It knows
nothing of what a message means.

Who forges replies has to guess the port as well (RFC 5452 §4.5). So a port is drawn by chance, serves a few questions,
and gives way to another; and when nothing is under way, none is open.
"""

import socket
from typing import TYPE_CHECKING, Final, Protocol

from evkit.core.flags import EV_PERSIST, EV_READ
from evkit.core.net import Address, connected_datagram_socket, family_of, with_scope

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.event import Event
    from evkit.dns.chance import Chance
    from evkit.dns.options import ResolverOptions
    from evkit.dns.tries import Try

MAX_PORTS: Final = 64
"""Open at a time for new questions to one server, beside those that wait for their last replies alone: six bits that
have to be guessed, beside those of the ports themselves."""


class PortUser(Protocol):
    """Who sends from ports."""

    def on_datagram(self, port: "Port", data: bytes) -> None:
        """Take what has come to a port."""

    def on_port_error(self, port: "Port", error: OSError) -> None:
        """Hear that the system could not deliver what went out of a port."""


class Ports:
    """The ports for one server.

    Args:
        base: The event base.
        address: The server's.
        options: See `evkit.dns.options.ResolverOptions`.
        chance: Draws ports and ids.
        user: Hears of all that comes.
    """

    __slots__ = ("_live", "address", "base", "chance", "max_size", "options", "under_way", "user")

    def __init__(
        self,
        base: "EventBase",
        address: Address,
        options: "ResolverOptions",
        chance: "Chance",
        user: PortUser,
    ) -> None:
        self.base = base
        self.address = address
        self.chance = chance
        self.user = user
        self.under_way = 0
        self._live: list[Port] = []
        self.configure(options)

    def __repr__(self) -> str:
        return f"<Ports open={len(self._live)} under_way={self.under_way}>"

    def configure(self, options: "ResolverOptions") -> None:
        """Take other options, for ports that are opened from now on."""
        self.options = options
        self.max_size = options.edns_udp_size + 1  # so that one that is longer shows

    def pick(self) -> "Port":
        """Return the port for the next question, which `Port.send` has to follow.

        Raises:
            OSError: There is no way to the server, or no socket is left.
        """
        live = self._live
        count = len(live)
        if count <= self.under_way and count < MAX_PORTS:
            try:
                port = Port(self)
            except OSError:
                if not live:
                    raise
                port = live[self.chance.below(count)]  # out of descriptors: make do with what there is
            else:
                live.append(port)
        else:
            port = live[self.chance.below(count)]
        port.uses += 1
        if port.uses >= self.options.queries_per_port:
            live.remove(port)
        return port

    def tidy(self, port: "Port") -> None:
        """Close what is out of use: ``port``, or all of them when nothing is under way."""
        if not self.under_way:
            self.close()
        if not port.tries and port not in self._live:
            port.close()

    def close(self) -> None:
        """Close all; what is under way has been withdrawn."""
        live, self._live = self._live, []
        for port in live:
            port.close()


class Port:
    """One socket, connected to the server.

    Attributes:
        tries: What is under way, by the number of the message.
        uses: Questions that have been sent from it.
    """

    __slots__ = ("_event", "_ports", "socket", "tries", "uses")

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self.tries: dict[int, Try] = {}
        self.uses = 0
        self.socket = _open(ports.address, ports.options)
        try:
            self._event = ports.base.event(self.socket, EV_READ | EV_PERSIST, self._on_readable)
            self._event.add()
        except BaseException:
            self.socket.close()
            raise

    def __repr__(self) -> str:
        return f"<Port fd={self.socket.fileno()} under_way={len(self.tries)} uses={self.uses}>"

    def send(self, attempt: "Try", message: bytes) -> None:
        """Send a question, and expect its reply.

        Raises:
            OSError: The system does not take it.
        """
        try:
            try:
                self.socket.send(message)
            except ConnectionRefusedError:  # the news of one that was sent before; this one was not
                self.socket.send(message)
        except (BlockingIOError, InterruptedError):
            pass  # it is lost, as a datagram may be anywhere: the time-out is what counts
        except BaseException:
            self._ports.tidy(self)
            raise
        self.tries[attempt.id] = attempt
        attempt.carrier = self
        self._ports.under_way += 1

    def withdraw(self, attempt: "Try") -> None:
        """See `Carrier.withdraw`."""
        if self.tries.get(attempt.id) is not attempt:
            return
        del self.tries[attempt.id]
        ports = self._ports
        ports.under_way -= 1
        if not self.tries and (not ports.under_way or self.uses >= ports.options.queries_per_port):
            ports.tidy(self)

    def close(self) -> None:
        """Close the socket; again is harmless."""
        self._event.free()
        self.socket.close()

    def _on_readable(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        # One datagram a time: a port has one reply to wait for, mostly, and to ask for another costs as much.
        ports = self._ports
        try:
            data = self.socket.recv(ports.max_size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            ports.user.on_port_error(self, error)
        else:
            ports.user.on_datagram(self, data)


def _open(address: Address, options: "ResolverOptions") -> socket.socket:
    """Return a socket that is connected to ``address`` from a port that nobody can tell beforehand.

    Raises:
        OSError: There is no way to it, or no socket is left.
    """
    if options.bind_to is None:
        sock = connected_datagram_socket(address, random_port=True)
    else:
        sock = _open_from(options.bind_to, address)
    try:
        sock.setblocking(False)
        if options.so_rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.so_rcvbuf)
        if options.so_sndbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, options.so_sndbuf)
    except BaseException:
        sock.close()
        raise
    return sock


def _open_from(local: str, address: Address) -> socket.socket:
    sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
    try:
        sock.bind(with_scope((local, 0)))
        sock.connect(with_scope(address))
    except BaseException:
        sock.close()
        raise
    return sock
