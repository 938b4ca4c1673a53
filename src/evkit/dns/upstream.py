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
_EMPTY_OPT: Final = 11
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
        "_cookie",
        "_cookies",
        "_flags",
        "_mixed_case",
        "_opt",
        "_options",
        "_worded_until",
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
        self._opt = b""
        self._cookie = b""
        self._mixed_case = False
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
        self._worded_until = 0.0

    def ask_by_datagram(self, inquiry: "Pursuit", now: float) -> "Try":
        """Send a question by UDP.

        Raises:
            OSError: There is no way to the server, or no socket is left.
        """
        if now >= self._worded_until:
            self._word(now)
        name = self._chance.case(inquiry.name) if self._mixed_case else inquiry.name
        attempt = Try(inquiry, self, "udp", name + inquiry.tail, now)
        attempt.cookie = self._cookie
        attempt.plain = not self._opt
        port = self.ports.pick()
        attempt.id = self._number(port.tries)
        port.send(attempt, encode_query(attempt.id, attempt.question, self._opt, self._flags))
        self.known.queries += 1
        return attempt

    def ask_by_stream(self, inquiry: "Pursuit", now: float) -> "Try":
        """Send a question over the connection, which is made first if there is none.

        Raises:
            OSError: No socket could be made, or there is no way to the server.
            ValueError: The server's name can't be checked against a certificate.
        """
        if now >= self._worded_until:
            self._word(now)
        attempt = Try(inquiry, self, self.transport(by_stream=True), inquiry.name + inquiry.tail, now)
        attempt.id = self._number(self.stream.tries)
        attempt.plain = not self._opt
        opt = self._opt
        if attempt.transport == "tcp":
            attempt.cookie = self._cookie
        elif opt:
            opt = self._padded(len(attempt.question))
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

    def reword(self) -> None:
        """Find out anew how to word questions, as something was learned of the server."""
        self._worded_until = 0.0

    def _word(self, now: float) -> None:
        """Find out how to word questions, for a second: what is known of a server may hold for a time only."""
        options, known = self._options, self.known
        size = options.edns_udp_size
        edns = size > PLAIN_UDP_SIZE and known.supports(EDNS, now)
        cookies = edns and options.cookies and known.supports(EDNS_OPTIONS, now)
        self._mixed_case = options.randomize_case and known.supports(MIXED_CASE, now)
        self._cookie = self._cookies.option_for(known.address, now) if cookies else b""
        option = encode_option(COOKIE, self._cookie) if self._cookie else b""
        self._opt = encode_opt(size, option) if edns else b""
        self._worded_until = now + 1.0

    def _padded(self, question_size: int) -> bytes:
        """Return an OPT record that fills the query up; nobody can forge what comes over TLS: it needs no cookie."""
        size = _HEADER + question_size + _EMPTY_OPT + _OPTION_HEADER
        return encode_opt(self._options.edns_udp_size, encode_option(PADDING, bytes(-size % _BLOCK)))
