"""`ServerRequest`: a query that waits for its answer, as a handler sees it.

It decides what may be said when: records until the answer, one answer, nothing after. Knows nothing of sockets, nor of
how a query is read or a reply written.
"""

import socket
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple, Protocol

from evkit.core.net import Address, format_address
from evkit.dns.message import AA, AD, CD, FIRST_NAME, QR, RA, RD, Opt, encode_opt, encode_option
from evkit.dns.names import to_text, to_wire
from evkit.dns.rdata import to_rdata_wire
from evkit.dns.server.limits import MAX_SIZE, MIN_UDP_SIZE, ServerLimits
from evkit.dns.server.reply_builder import ANSWER, ReplyBuilder, end_of_name
from evkit.dns.types import AAAA, CNAME, IN, PTR, SERVFAIL, A, type_name, type_number
from evkit.errors import LocalProtocolError

_KEPT: Final = RD | CD
"""Flags of the query that its reply repeats (RFC 1035 §4.1.1, RFC 4035 §3.2.2)."""
_OWN: Final = AA | RA | AD
"""Flags that are the server's to set."""
_MAX_CODE: Final = 0xFFF
"""Result codes have four bits in the header and eight more in OPT (RFC 6891 §6.1.3)."""
MIN_OPT: Final = 11
"""Bytes of an OPT record without options (RFC 6891 §6.1.2)."""
_MAX_PLAIN_CODE: Final = 0xF
_MAX_NUMBER: Final = 0xFFFF
_MAX_OPTIONS: Final = 32768
"""Bytes: room for an answer is left in the longest message."""


class Question(NamedTuple):
    """What is asked for.

    Attributes:
        wire: The name as it came, as a wire name.
        rdtype: The number of the type.
        rdclass: The number of the class: 1 for IN.
    """

    wire: bytes
    rdtype: int
    rdclass: int

    @property
    def name(self) -> str:
        """The name as text, in the letters of the client, which may be capitals here and there."""
        return to_text(self.wire)

    @property
    def type(self) -> str:
        """The type as text: ``"A"``, ``"TYPE65280"``."""
        return type_name(self.rdtype)


class Query(NamedTuple):
    """A query as it was read.

    Attributes:
        id: Its number, which the reply repeats.
        flags: The second word of its header.
        questions: What is asked for, one at least.
        section: The bytes of the question section.
        opt: Its OPT record, if it has one.
    """

    id: int
    flags: int
    questions: tuple[Question, ...]
    section: bytes
    opt: Opt | None


class Channel(Protocol):
    """Where a query came from, and its reply goes to."""

    @property
    def transport(self) -> Literal["udp", "tcp"]:
        """How it came."""

    def finish(self, request: "ServerRequest", reply: bytes | None) -> bool:
        """Send the reply of a request, if there is one, forget the request, and return whether a reply was sent."""


class ServerRequest:
    """A query, and its reply as far as it is made.

    Add records, then `respond`: in the handler, or whenever you know the answer.

    Attributes:
        questions: What is asked for: one, unless ``ServerLimits.max_questions`` allows more.
        edns: The OPT record of the query, or ``None``: its ``udp_size``, ``dnssec_ok`` and ``options``. The reply gets
            one of its own if the query had one.
        address: Who asks, as sockets have it; `peer` is the same as text.
        on_close: ``on_close(request)`` is called if the port gives the request up before it is answered: the handler
            took longer than ``ServerLimits.reply_timeout``, or the client or the port is gone.

    Source: ``struct evdns_server_request``.
    """

    __slots__ = (
        "_channel",
        "_flags",
        "_limits",
        "_options",
        "_query",
        "_reply",
        "_state",
        "address",
        "on_close",
    )

    def __init__(self, query: Query, channel: Channel, address: Address, limits: ServerLimits) -> None:
        self.address = address
        self.on_close: Callable[[ServerRequest], object] | None = None
        self._query = query
        self._channel = channel
        self._limits = limits
        self._reply = ReplyBuilder(query.section, len(query.questions), query.questions[0].wire)
        self._flags = 0
        self._options = b""
        self._state = "open"

    def __repr__(self) -> str:
        asked = ", ".join(f"{question.name} {question.type}" for question in self.questions)
        return f"<ServerRequest {asked} from {self.peer} over {self.transport} {self._state}>"

    # The query

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked for."""
        return self._query.questions

    @property
    def question(self) -> Question:
        """The first question, which is the only one by default."""
        return self._query.questions[0]

    @property
    def flags(self) -> int:
        """The flags of the query: ``request.flags & RD`` tells whether it wants recursion."""
        return self._query.flags

    @property
    def edns(self) -> Opt | None:
        """The OPT record of the query."""
        return self._query.opt

    @property
    def transport(self) -> Literal["udp", "tcp"]:
        """How it came: ``"udp"`` or ``"tcp"``."""
        return self._channel.transport

    @property
    def peer(self) -> str:
        """Who asks, as text: ``127.0.0.1:5353`` (``evdns_server_request_get_requesting_addr``)."""
        return format_address(self.address)

    @property
    def max_size(self) -> int:
        """Bytes that the reply may have: what the client can take, and the limits allow."""
        if self._channel.transport == "tcp":
            return MAX_SIZE
        opt = self._query.opt
        told = MIN_UDP_SIZE if opt is None else max(MIN_UDP_SIZE, opt.udp_size)
        return min(told, self._limits.max_udp_size)

    @property
    def done(self) -> bool:
        """Whether it was answered, dropped or given up."""
        return self._state != "open"

    # The reply

    def add_a_reply(self, addresses: str | Iterable[str], ttl: int, *, name: str | None = None) -> None:
        """Answer with IPv4 addresses, a record each.

        Args:
            addresses: One or several.
            ttl: Seconds, 0 to 2**31 - 1.
            name: Whose they are; ``None``: the question's.

        Raises:
            ValueError: One of them is none.
            LocalProtocolError: The request was answered before.

        Source: ``evdns_server_request_add_a_reply``.
        """
        self._add_addresses(socket.AF_INET, A, addresses, ttl, name)

    def add_aaaa_reply(self, addresses: str | Iterable[str], ttl: int, *, name: str | None = None) -> None:
        """Answer with IPv6 addresses; see `add_a_reply`. Source: ``evdns_server_request_add_aaaa_reply``."""
        self._add_addresses(socket.AF_INET6, AAAA, addresses, ttl, name)

    def add_ptr_reply(self, host: str, ttl: int, *, name: str | None = None) -> None:
        """Answer with the name of a host; see `add_a_reply`.

        Source: ``evdns_server_request_add_ptr_reply``, which takes the address, too; say
        ``name="1.2.0.192.in-addr.arpa"`` if it is not the question's.
        """
        self._add(ANSWER, name, PTR, IN, ttl, to_wire(host))

    def add_cname_reply(self, target: str, ttl: int, *, name: str | None = None) -> None:
        """Answer with an alias of ``target``; see `add_a_reply`. Source: ``evdns_server_request_add_cname_reply``."""
        self._add(ANSWER, name, CNAME, IN, ttl, to_wire(target))

    def add_reply(
        self,
        section: int,
        name: str | bytes | None,
        rdtype: str | int,
        ttl: int,
        data: str | bytes,
        *,
        rdclass: int = IN,
    ) -> None:
        """Add any record.

        Args:
            section: ``ANSWER``, ``AUTHORITY`` or ``ADDITIONAL``.
            name: Whose it is, as text or as a wire name; ``None``: the question's.
            rdtype: ``"MX"``, or the number of the type.
            ttl: Seconds, 0 to 2**31 - 1.
            data: As in a zone file (``"10 mail.example.org."``), or the bytes, with names uncompressed.
            rdclass: The number of the class.

        Raises:
            ValueError: One of them is none. Nothing was added.
            LocalProtocolError: The request was answered before.

        Source: ``evdns_server_request_add_reply``.
        """
        number = type_number(rdtype)
        rdata = to_rdata_wire(number, data) if isinstance(data, str) else data
        self._add(section, name, number, rdclass, ttl, rdata)

    def set_flags(self, flags: int) -> None:
        """Set flags of the reply.

        Args:
            flags: Of ``AA`` (this server is in charge of the name), ``RA`` (it looks up names of others) and ``AD``
                (it has checked signatures); those left out are taken away. ``RD`` and ``CD`` are the query's.

        Raises:
            ValueError: Another bit is set.
            LocalProtocolError: The request was answered before.

        Source: ``evdns_server_request_set_flags``.
        """
        self._check_open("set_flags()")
        if flags & ~_OWN:
            raise ValueError(f"expected AA, RA and AD, or some of them, got {flags:#06x}")
        self._flags = flags

    def add_option(self, code: int, data: bytes) -> None:
        """Add an option to the OPT record of the reply; without effect where the query had none.

        Args:
            code: Its number, 0 to 65535: 15 for an extended error (RFC 8914).
            data: Its bytes. Options that leave no room for the question are left out.

        Raises:
            ValueError: One is out of range, or the options are longer than 32768 bytes together.
            LocalProtocolError: The request was answered before.
        """
        self._check_open("add_option()")
        if not 0 <= code <= _MAX_NUMBER:
            raise ValueError(f"expected an option of 0 to {_MAX_NUMBER}, got {code}")
        if len(self._options) + len(data) > _MAX_OPTIONS:
            raise ValueError(f"expected options of {_MAX_OPTIONS} bytes together at most")
        self._options += encode_option(code, data)

    def respond(self, code: int = 0) -> bool:
        """Answer, now.

        What is too long for the client is cut off, and TC tells it to ask over TCP.

        Args:
            code: 0 for success, ``NXDOMAIN``, ``REFUSED`` …, up to 4095. One of more than 15 needs a client that knows
                EDNS; others are told ``SERVFAIL``.

        Returns:
            Whether the answer was sent. ``False``: the port has given the request up before, see `on_close`, or is
            closed, or the system has no room for it.

        Raises:
            ValueError: The code is out of range.
            LocalProtocolError: It was answered or dropped before.

        Source: ``evdns_server_request_respond``, which may be called once, too.
        """
        if not 0 <= code <= _MAX_CODE:
            raise ValueError(f"expected a result code of 0 to {_MAX_CODE}, got {code!r}")
        if self._is_given_up("respond()"):
            return False
        reply = self._build(code)
        self._state = "answered"
        return self._channel.finish(self, reply)

    def drop(self) -> None:
        """Answer nothing, ever; the client will ask again.

        Raises:
            LocalProtocolError: It was answered or dropped before.

        Source: ``evdns_server_request_drop``.
        """
        if not self._is_given_up("drop()"):
            self._state = "dropped"
            self._channel.finish(self, None)

    # For the port

    def fail(self) -> None:
        """Answer SERVFAIL in the handler's place; the request is open."""
        self._reply.clear()
        self._flags, self._options = 0, b""
        self._state = "failed"
        self._channel.finish(self, self._build(SERVFAIL))

    def give_up(self) -> None:
        """Think of the client no more; the request is open."""
        self._state = "given up"
        self._channel.finish(self, None)

    # Parts

    def _is_given_up(self, call: str) -> bool:
        if self._state in ("failed", "given up"):
            return True
        self._check_open(call)
        return False

    def _check_open(self, call: str) -> None:
        if self._state in ("answered", "dropped"):
            raise LocalProtocolError(f"{call} on a request that was {self._state} before")

    def _add_addresses(
        self,
        family: socket.AddressFamily,
        rdtype: int,
        addresses: str | Iterable[str],
        ttl: int,
        name: str | None,
    ) -> None:
        packed = [
            _packed(family, text) for text in ((addresses,) if isinstance(addresses, str) else addresses)
        ]
        for rdata in packed:
            self._add(ANSWER, name, rdtype, IN, ttl, rdata)

    def _add(
        self, section: int, name: str | bytes | None, rdtype: int, rdclass: int, ttl: int, rdata: bytes
    ) -> None:
        self._check_open("adding a record")
        self._reply.add(section, self._owner(name), rdtype, rdclass, ttl, rdata)

    def _owner(self, name: str | bytes | None) -> bytes:
        if name is None:
            return self._query.questions[0].wire
        if isinstance(name, str):
            return to_wire(name)
        if end_of_name(name, 0) != len(name):
            raise ValueError(f"expected one wire name, got {name!r}")
        return name

    def _build(self, code: int) -> bytes:
        query = self._query
        opt = b""
        if query.opt is not None:
            room = self.max_size - FIRST_NAME - len(query.section) - MIN_OPT
            opt = encode_opt(
                self._limits.max_udp_size,
                self._options if len(self._options) <= room else b"",
                dnssec_ok=query.opt.dnssec_ok,
                extended_rcode=code,
            )
        elif code > _MAX_PLAIN_CODE:
            code = SERVFAIL
        flags = QR | self._flags | (query.flags & _KEPT) | (code & _MAX_PLAIN_CODE)
        return self._reply.build(query.id, flags, opt, self.max_size)


def _packed(family: socket.AddressFamily, address: str) -> bytes:
    try:
        return socket.inet_pton(family, address)
    except (OSError, ValueError):
        kind = "IPv4" if family == socket.AF_INET else "IPv6"
        raise ValueError(f"expected an {kind} address, got {address!r}") from None
