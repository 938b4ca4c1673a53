"""`Resolver`: looks names up in the DNS.

The face of it: what a user asks for becomes names and types for `evkit.dns.lookup`, and addresses are
`evkit.dns.address_lookup`'s business. It knows nothing of messages or servers.
"""

import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from evkit.core.future import Future
from evkit.core.net import Address, check_lookup, family_of
from evkit.dns.address_lookup import AddressLookup, AddrInfo, Wanted, usable_types
from evkit.dns.administration import Administration
from evkit.dns.answer import Answer
from evkit.dns.configuration import Configuration
from evkit.dns.files import HOSTS, RESOLV_CONF
from evkit.dns.finding import known
from evkit.dns.interpretation import Kind
from evkit.dns.ip_text import usual_form
from evkit.dns.names import is_absolute, reverse_name, to_text, to_wire
from evkit.dns.options import ResolverOptions
from evkit.dns.server_address import ServerAddress
from evkit.dns.services import service_port
from evkit.dns.types import AAAA, PTR, A, type_number

if TYPE_CHECKING:
    import ssl

    from evkit.core.base import EventBase

_TYPES: Final[dict[int, tuple[int, ...]]] = {
    socket.AF_UNSPEC: (AAAA, A),
    socket.AF_INET: (A,),
    socket.AF_INET6: (AAAA,),
}
_MAX_NAMES: Final = 4096
"""Names that are kept in the form in which they go over the wire, so that those asked often are not made anew."""


class Resolver(Administration):
    """Looks names up, from the event base's loop.

    It is a `Resolver` as `connect_host`, the HTTP client and others take one.

    Each look-up returns a future. It fails with a `ResolveError`: `NameNotFound`, `NoData`, `ServerFailure`,
    `ResolveTimeout`, or `ResolveCancelled`. To cancel it stops that look-up alone. The loop goes on as long as a
    look-up is under way; otherwise the resolver does not keep
    it, but for `tcp_idle_timeout` seconds after a connection was used. A child process makes a resolver of its own.

    Args:
        base: The event base.
        servers: The name servers: ``"192.0.2.1"``, ``"192.0.2.1:5353"``, ``"[2001:db8::1]"``, ``"tcp://…"``,
            ``"tls://192.0.2.1#dns.example"`` (the name is checked against the certificate; without it, the address
            is), or addresses of sockets; the fastest is asked first. ``None``: those of resolv.conf, in their order, as
            the first may know names that the others don't.
        options: How to ask. Fields that differ from the defaults hold, whatever resolv.conf says.
        conf: The path of resolv.conf; ``None``: nothing of how the system is set up holds but the hosts file. It is
            read again when it changes, as is the hosts file.
        hosts: The path of the hosts file; ``None``: none.
        no_default_nameserver: Don't ask 127.0.0.1 where resolv.conf names no server.
        tls: What to trust, for name servers over TLS; ``None``: the system's certificates.

    Attributes:
        base: The event base.
        closed: Whether `close` was called.

    Raises:
        ValueError: A server is none.

    Source: ``evdns_base_new``.
    """

    __slots__ = ("_wires",)

    def __init__(
        self,
        base: "EventBase",
        servers: Iterable[str | Address | ServerAddress] | None = None,
        *,
        options: ResolverOptions | None = None,
        conf: str | None = RESOLV_CONF,
        hosts: str | None = HOSTS,
        no_default_nameserver: bool = False,
        tls: "ssl.SSLContext | None" = None,
    ) -> None:
        super().__init__(
            base,
            servers,
            options=options,
            conf=conf,
            hosts=hosts,
            no_default_nameserver=no_default_nameserver,
            tls=tls,
        )
        self._wires: dict[str, bytes] = {}

    def resolve(
        self,
        name: str,
        type: str | int = "A",  # noqa: A002 - the field's term
        *,
        search: bool = False,
        tcp: bool = False,
        ignore_tc: bool = False,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> Future[Answer]:
        """Look up the records of a type.

        Args:
            name: As ``"example.org"``; other scripts by IDNA 2008, a backslash makes any byte an ordinary one.
            type: As ``"AAAA"``, ``28`` or ``"TYPE28"``.
            search: Try the search list as the system does. A name that ends with a dot is only tried as it is.
            tcp: Ask over TCP alone.
            ignore_tc: Take a reply that was cut as it is, and don't ask again over TCP.
            fresh: Take nothing out of the cache.
            timeout: Seconds for all of it, ``> 0``; ``None``: ``total_timeout`` of the options.

        Raises:
            ValueError: There can't be such a name, or there is no such type.
            LoopError: The resolver or its base is closed.

        Source: ``evdns_base_resolve_ipv4`` and its like, which know four types.
        """
        configuration = self._current()
        wire = self._wire(name)
        rdtype = type_number(type)
        if timeout is not None:
            check_total(timeout)
        names = configuration.candidates(wire, absolute=is_absolute(name)) if search else [wire]
        options = configuration.options
        return self._lookups.start(
            names,
            rdtype,
            tcp=tcp or options.use_vc,
            ignore_tc=ignore_tc or options.ignore_tc,
            fresh=fresh,
            timeout=timeout,
        )

    def reverse(self, address: str, *, timeout: float | None = None) -> Future[Answer]:
        """Look up the names of an address: the records of type PTR.

        Args:
            address: Numeric.
            timeout: As for `resolve`.

        Raises:
            ValueError: It is no address.
            LoopError: The resolver or its base is closed.

        Source: ``evdns_base_resolve_reverse``, ``evdns_base_resolve_reverse_ipv6``.
        """
        return self.resolve(to_text(reverse_name(address)), PTR, timeout=timeout)

    def getaddrinfo(
        self,
        host: str,
        port: int | str,
        family: int = socket.AF_UNSPEC,
        *,
        flags: int = 0,
        timeout: float | None = None,
    ) -> Future[list[Address]]:
        """Look up where to connect to; see `evkit.core.net.Resolver`, and `lookup_addrinfo` for what it does."""
        wanted, configuration = self._wanted(host, port, family, flags, timeout)
        return AddressLookup(self.base, self._ask, wanted, configuration, _listed).begin()

    def lookup_addrinfo(
        self,
        host: str | None,
        service: str | int | None = None,
        family: int = socket.AF_UNSPEC,
        *,
        flags: int = 0,
        timeout: float | None = None,
    ) -> Future[AddrInfo]:
        """Look up the addresses of a host, its canonical name, and how long they hold.

        Numeric hosts, ``localhost``, and what the hosts file has are known at once. For others A and AAAA are asked for
        together, and what is found is in the order of RFC 6724.

        Args:
            host: A name, tried with the search list unless it ends with a dot, or a numeric address; ``None``: this
                machine.
            service: A port, or the name of a service, as ``"https"``; it is part of each address. ``None``: 0.
            family: ``AF_INET`` or ``AF_INET6`` for addresses of that family only; ``AF_UNSPEC`` for both.
            flags: ``AI_PASSIVE`` (with ``None`` for a host: the addresses to listen on), ``AI_NUMERICHOST``,
                ``AI_NUMERICSERV``, ``AI_ADDRCONFIG`` (only of families with a way to the Internet); others have no
                effect.
            timeout: Seconds for all of it, ``> 0``; ``None``: ``total_timeout`` of the options.

        Raises:
            ValueError: There can't be such a host, port or family.
            socket.gaierror: There is no such service.
            LoopError: The resolver or its base is closed.

        Source: ``evdns_getaddrinfo``, RFC 3493 §6.1.
        """
        wanted, configuration = self._wanted(host, service, family, flags, timeout)
        return AddressLookup(self.base, self._ask, wanted, configuration, _whole).begin()

    def cache_write(self, name: str, addresses: Iterable[str], ttl: int) -> None:
        """Put addresses of a name into the cache, as if a server had said so; they replace what is there.

        Args:
            name: As for `resolve`.
            addresses: Numeric; of a family without any, nothing changes.
            ttl: Seconds for which they hold; 0: they are forgotten.

        Raises:
            ValueError: There can't be such a name, or an address is none.

        Source: ``evdns_cache_write``.
        """
        wire = self._wire(name)
        texts: dict[int, list[str]] = {A: [], AAAA: []}
        for text in addresses:
            texts[A if family_of((text, 0)) == socket.AF_INET else AAAA].append(text)
        for rdtype, fitting in texts.items():
            if fitting:
                finding = known(wire, rdtype, tuple(fitting), ttl)
                self._lookups.remember((wire, rdtype, False, False), finding)

    def cache_lookup(self, name: str, type: str | int = "A") -> Answer | None:  # noqa: A002 - the field's term
        """Return what the cache has; ``None``: nothing, or that there is none.

        Raises:
            ValueError: There can't be such a name, or there is no such type.

        Source: ``evdns_cache_lookup``.
        """
        finding = self._lookups.cached((self._wire(name), type_number(type), False, False))
        return None if finding is None or finding.kind is not Kind.ANSWER else finding.answer

    def _wanted(
        self,
        host: str | None,
        service: str | int | None,
        family: int,
        flags: int,
        timeout: float | None,
    ) -> tuple[Wanted, Configuration]:
        configuration = self._current()
        if (
            flags & socket.AI_NUMERICSERV
            and not isinstance(service, int)
            and not (service or "0").isdecimal()
        ):
            raise ValueError(f"expected a port, as AI_NUMERICSERV says so, got {service!r}")
        port = service_port(service)
        check_lookup("localhost" if host is None else host, port, family)
        if timeout is not None:
            check_total(timeout)
        name = b"" if host is None or usual_form(host) is not None else self._wire(host)
        types = _TYPES[family]
        if configuration.options.no_aaaa and family == socket.AF_UNSPEC:
            types = (A,)
        if flags & socket.AI_ADDRCONFIG:
            types = usable_types(types)
        seconds = configuration.options.total_timeout if timeout is None else timeout
        return Wanted(host, name, port, types, flags, seconds), configuration

    def _ask(self, name: bytes, rdtype: int, timeout: float | None) -> Future[Answer]:
        self._check_open()
        options = self.options
        return self._lookups.start(
            [name], rdtype, tcp=options.use_vc, ignore_tc=options.ignore_tc, timeout=timeout
        )

    def _wire(self, name: str) -> bytes:
        """Return a name as it goes over the wire, folded.

        Raises:
            ValueError: There can't be such a name.
        """
        wire = self._wires.get(name)
        if wire is None:
            wire = to_wire(name).lower()
            if len(self._wires) >= _MAX_NAMES:
                self._wires.clear()
            self._wires[name] = wire
        return wire


def _listed(info: AddrInfo) -> list[Address]:
    return list(info.addresses)


def _whole(info: AddrInfo) -> AddrInfo:
    return info


def check_total(timeout: float) -> None:
    """Refuse what can't be the time for a look-up.

    Raises:
        ValueError: It is 0, negative, infinite or not a number.
    """
    if not 0 < timeout < float("inf"):
        raise ValueError(f"expected a timeout in seconds above 0, or None, got {timeout!r}")
