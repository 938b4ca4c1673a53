"""`Upstream`: one name server, as it is asked: what is known of it, and the ways to it.

It decides how a question is worded for this server: case, EDNS, cookies, padding. It knows nothing of when it is asked.
"""

from typing import TYPE_CHECKING, Final, Protocol

from evkit.dns.message import AD, RD, encode_opt, encode_option, encode_query
from evkit.dns.nameserver import EDNS, EDNS_OPTIONS, MIXED_CASE, NameServer
from evkit.dns.options import PLAIN_UDP_SIZE
from evkit.dns.ports import Ports, PortUser
from evkit.dns.stream import Stream, StreamUser
from evkit.dns.tries import Try

if TYPE_CHECKING:
    import ssl

    from evkit.core.base import EventBase
    from evkit.dns.chance import Chance
    from evkit.dns.cookies import Cookies
    from evkit.dns.options import ResolverOptions
    from evkit.dns.pursuit import Pursuit
    from evkit.dns.server_address import ServerAddress

COOKIE: Final = 10
"""RFC 7873 §4."""
PADDING: Final = 12
"""RFC 7830 §3."""
_BLOCK: Final = 128
"""Bytes that the length of a query over TLS is a multiple of, so that it tells nothing of the name (RFC 8467 §4.1)."""
_HEADER: Final = 12
_OPTION_HEADER: Final = 4


class UpstreamUser(PortUser, StreamUser, Protocol):
    """Who asks name servers."""


class Upstream:
    """One name server.

    Args:
        base: The event base.
        address: Where it is, and how to talk to it.
        options: See `evkit.dns.options.ResolverOptions`.
        chance: Draws numbers, ports and case.
        cookies: Those of all servers.
        context: What to trust, for TLS.
        user: Hears of what comes, and of what will not.

    Attributes:
        known: What is known of it.
        text: Its address, for the trail.
        ports: For questions by UDP.
        stream: For those by TCP or TLS.
        streams_only: Whether UDP is out of the question.
        folded: Replies that had the name in another case than the question, in a row.
    """

    __slots__ = (
        "_chance",
        "_cookies",
        "_flags",
        "_opt",
        "_opt_cookie",
        "_options",
        "folded",
        "known",
        "ports",
        "stream",
        "streams_only",
        "text",
    )

    def __init__(
        self,
        base: "EventBase",
        address: "ServerAddress",
        options: "ResolverOptions",
        chance: "Chance",
        cookies: "Cookies",
        context: "ssl.SSLContext | None",
        user: UpstreamUser,
    ) -> None:
        self._chance = chance
        self._cookies = cookies
        self._opt_cookie = b""
        self.known = NameServer(address, options)
        self.text = str(address)
        self.streams_only = address.transport != "udp"
        self.ports = Ports(base, address.address, options, chance, user)
        self.stream = Stream(base, address, options, context, user)
        self.folded = 0
        self.configure(options)

    def __repr__(self) -> str:
        return f"<Upstream {self.known!r} {self.ports!r} {self.stream!r}>"

    def configure(self, options: "ResolverOptions") -> None:
        """Take other options, for what is sent from now on."""
        self._options = options
        self.known.configure(options)
        self.ports.configure(options)
        self.stream.configure(options)
        self._flags = RD | AD if options.trust_ad else RD  # RFC 6840 §5.7
        self._opt = b""

    def ask_by_datagram(self, inquiry: "Pursuit", now: float) -> "Try":
        """Send a question by UDP.

        Raises:
            OSError: There is no way to the server, or no socket is left.
        """
        name = inquiry.name
        if self._options.randomize_case and self.known.supports(MIXED_CASE, now):
            name = self._chance.case(name)
        attempt = Try(inquiry, self, "udp", name + inquiry.tail, now)
        port = self.ports.pick()
        attempt.id = self._number(port.tries)
        port.send(
            attempt, encode_query(attempt.id, attempt.question, self._opt_for(attempt, now), self._flags)
        )
        self.known.queries += 1
        return attempt

    def ask_by_stream(self, inquiry: "Pursuit", now: float) -> "Try":
        """Send a question over the connection, which is made first if there is none.

        Raises:
            OSError: No socket could be made, or there is no way to the server.
            ValueError: The server's name can't be checked against a certificate.
        """
        attempt = Try(inquiry, self, self.transport(by_stream=True), inquiry.name + inquiry.tail, now)
        attempt.id = self._number(self.stream.tries)
        opt = self._opt_for(attempt, now)
        if opt and attempt.transport == "tls":
            opt = self._padded(opt, len(attempt.question))
        self.stream.send(attempt, encode_query(attempt.id, attempt.question, opt, self._flags))
        self.known.queries += 1
        return attempt

    def transport(self, by_stream: bool) -> str:
        """Return what a question goes over, as the trail has it."""
        if not by_stream:
            return "udp"
        return "tls" if self.known.address.transport == "tls" else "tcp"

    def retire(self) -> None:
        """Keep nothing open for questions to come: it is not among the servers any more."""
        self.stream.retire()

    def close(self) -> None:
        """Close what is open."""
        self.ports.close()
        self.stream.close()

    def _number(self, taken: "dict[int, Try]") -> int:
        number = self._chance.id()
        while number in taken:
            number = self._chance.id()
        return number

    def _opt_for(self, attempt: "Try", now: float) -> bytes:
        """Return the OPT record for a try, and note in the try what is in it."""
        size = self._options.edns_udp_size
        if size <= PLAIN_UDP_SIZE or not self.known.supports(EDNS, now):
            attempt.plain = True
            return b""
        if self._options.cookies and attempt.transport != "tls" and self.known.supports(EDNS_OPTIONS, now):
            attempt.cookie = self._cookies.option_for(self.known.address, now)
        if attempt.cookie != self._opt_cookie or not self._opt:
            self._opt_cookie = attempt.cookie
            self._opt = encode_opt(size, encode_option(COOKIE, attempt.cookie) if attempt.cookie else b"")
        return self._opt

    def _padded(self, opt: bytes, question_size: int) -> bytes:
        """Return the OPT record filled up; nobody can forge what comes over TLS, so it needs no cookie."""
        size = _HEADER + question_size + len(opt) + _OPTION_HEADER
        return encode_opt(self._options.edns_udp_size, encode_option(PADDING, bytes(-size % _BLOCK)))
