"""`AddressLookup`: from a host name to the addresses to connect to, in the order in which to try them.

It decides what is asked for a host: nobody, where the answer is known; the hosts file; A and AAAA together, for one
name of the search list after the other, so that all addresses are of one host. It knows nothing of servers or messages.

Source: RFC 3493 §6.1, RFC 6724, RFC 8305 §3; glibc's ``getaddrinfo``, evdns' ``evdns_getaddrinfo``.
"""

import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from evkit.core.future import Future
from evkit.core.net import Address, with_scope
from evkit.dns.address_order import order
from evkit.dns.answer import Answer
from evkit.dns.ip_text import usual_form
from evkit.dns.names import is_absolute, to_text
from evkit.dns.source_address import source_of
from evkit.dns.special_names import special_addresses
from evkit.dns.types import AAAA, A, type_name
from evkit.errors import EvkitError, NameNotFound, NoData, ResolveCancelled, ResolveError, ResolveTimeout

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.event import Event
    from evkit.dns.answer import Attempt
    from evkit.dns.configuration import Configuration

T = TypeVar("T")
Ask = Callable[[bytes, int, float | None], Future[Answer]]
"""``ask(name, rdtype, timeout)`` looks up a folded wire name."""

ANY_ADDRESS: Final = ("::", "0.0.0.0")  # noqa: S104 - for those who want to listen everywhere
LOOPBACK: Final = ("::1", "127.0.0.1")
_FAMILIES: Final = {A: socket.AF_INET, AAAA: socket.AF_INET6}
_FAR_AWAY: Final = {A: "198.41.0.4", AAAA: "2001:503:ba3e::2:30"}
"""A root server's: is there a way to it, there is one to the Internet. Nothing is sent."""
_WORDS: Final = "A/AAAA"
"""What errors say for the type."""


class AddrInfo(NamedTuple):
    """What a look-up of a host has found.

    Attributes:
        addresses: In the order in which to try them, each once; what ``connect`` takes.
        canonical_name: The host's own name, where aliases have led to another one; else the name that was found.
        ttl: Seconds for which this holds; 0 for what no server has said.
        attempts: What was tried.
    """

    addresses: tuple[Address, ...]
    canonical_name: str
    ttl: int = 0
    attempts: "tuple[Attempt, ...]" = ()


class Wanted(NamedTuple):
    """What is looked up.

    Attributes:
        host: As given; ``None``: this machine.
        name: The same as a folded wire name; empty: it can't be one.
        port: Part of each address.
        types: ``A``, ``AAAA`` or both.
        flags: ``AI_…`` bits.
        timeout: Seconds for all of it; ``None``: no limit.
    """

    host: str | None
    name: bytes
    port: int
    types: tuple[int, ...]
    flags: int
    timeout: float | None


def at_once(wanted: Wanted) -> AddrInfo | None:
    """Return what nobody has to be asked for; ``None``: somebody has to.

    Raises:
        ResolveError: Nobody has to be asked to know that there is none.
        OSError: There is no such scope.
    """
    host = wanted.host
    if host is None:
        found: Iterable[str] = ANY_ADDRESS if wanted.flags & socket.AI_PASSIVE else LOOPBACK
        return _fitting(wanted, found, "")
    address = usual_form(host)
    if address is not None:
        return _fitting(wanted, [address], address)
    if wanted.flags & socket.AI_NUMERICHOST or _ends_in_number(wanted.name):
        raise NameNotFound(host, _WORDS, "no numeric address")
    special = special_addresses(wanted.name)
    if special is not None:
        return _fitting(wanted, special, host)
    return None


def in_hosts(wanted: Wanted, configuration: "Configuration") -> AddrInfo | None:
    """Return what the hosts file says; ``None``: nothing.

    Raises:
        ResolveError: It says that the host has no address of the family asked for.
    """
    addresses = configuration.hosts.addresses(wanted.name)
    if not addresses:
        return None
    canonical = configuration.hosts.canonical_name(wanted.name)
    return _fitting(wanted, addresses, canonical or to_text(wanted.name))


def _fitting(wanted: Wanted, addresses: Iterable[str], canonical_name: str) -> AddrInfo:
    fitting = [address for address in addresses if (AAAA if ":" in address else A) in wanted.types]
    if fitting:
        return AddrInfo(tuple([_address(text, wanted.port) for text in fitting]), canonical_name)
    if any(addresses):
        raise NoData(wanted.host or "", _WORDS, "no address of this family")
    raise NameNotFound(wanted.host or "", _WORDS)


def _ends_in_number(name: bytes) -> bool:
    """Return whether a name is rather meant for an address: no domain at the top is a number."""
    labels = to_text(name).rpartition(".")[2]
    return labels.isdecimal()


def _address(text: str, port: int) -> Address:
    return with_scope((text, port, 0, 0)) if ":" in text else (text, port)


class AddressLookup(Generic[T]):
    """One look-up of a host.

    Args:
        base: The event base.
        ask: Looks up one name and type.
        wanted: What is looked up.
        configuration: What holds at the time.
        shape: Makes the result of what was found.

    Attributes:
        future: The result.
    """

    __slots__ = (
        "_answers",
        "_ask",
        "_base",
        "_candidates",
        "_configuration",
        "_deadline",
        "_failure",
        "_pending",
        "_shape",
        "_skew",
        "_spoilt",
        "_wanted",
        "future",
    )

    def __init__(
        self,
        base: "EventBase",
        ask: Ask,
        wanted: Wanted,
        configuration: "Configuration",
        shape: Callable[[AddrInfo], T],
    ) -> None:
        self._base = base
        self._ask = ask
        self._wanted = wanted
        self._configuration = configuration
        self._shape = shape
        self._deadline = None if wanted.timeout is None else base.now() + wanted.timeout
        self._candidates: list[bytes] = []
        self._pending: dict[int, Future[Answer]] = {}
        self._answers: list[Answer] = []
        self._failure: ResolveError | None = None
        self._spoilt: ResolveError | None = None  # of the name under way
        self._skew: Event | None = None
        self.future: Future[T] = Future(base, self._on_cancel)

    def __repr__(self) -> str:
        return f"<AddressLookup {self._wanted.host} pending={len(self._pending)} {self.future!r}>"

    def begin(self) -> Future[T]:
        """Begin; return the future."""
        try:
            found = self._without_asking()
        except (ResolveError, OSError) as error:
            self.future.set_exception(error)
            return self.future
        if found is not None:
            self.future.set_result(self._shape(found))
            return self.future
        absolute = is_absolute(self._wanted.host or "")
        self._candidates = self._configuration.candidates(self._wanted.name, absolute=absolute)
        self._candidates.reverse()
        self._ask_next()
        return self.future

    def _without_asking(self) -> AddrInfo | None:
        found = at_once(self._wanted)
        if found is not None:
            return found
        sources = self._configuration.sources
        if "files" in sources and sources.index("files") <= _place(sources, "dns"):
            found = in_hosts(self._wanted, self._configuration)
        if found is None and "dns" not in sources:
            raise NameNotFound(self._wanted.host or "", _WORDS, "not in the hosts file")
        return found

    # One name after the other

    def _ask_next(self) -> None:
        if not self._candidates:
            self._fail()
            return
        name = self._candidates.pop()
        self._answers.clear()
        self._spoilt = None
        types = self._wanted.types
        self._ask_for(name, types[:1] if self._in_turn() else types)

    def _in_turn(self) -> bool:
        return self._configuration.options.single_request

    def _ask_for(self, name: bytes, types: tuple[int, ...]) -> None:
        left = None if self._deadline is None else max(0.001, self._deadline - self._base.now())
        try:
            for rdtype in types:
                asked = self._pending[rdtype] = self._ask(name, rdtype, left)
                asked.add_done_callback(partial(self._on_done, name, rdtype))
        except EvkitError as error:  # the resolver was closed
            self._drop_pending()
            self.future.set_exception(error)

    def _on_done(self, name: bytes, rdtype: int, done: Future[Answer]) -> None:
        if self._pending.get(rdtype) is not done:
            return  # it was given up
        del self._pending[rdtype]
        try:
            self._answers.append(done.result())
        except ResolveError as error:
            self._spoilt = worse(self._spoilt, error)
            self._failure = worse(self._failure, error)
        others = self._wanted.types[1:] if self._in_turn() and rdtype == self._wanted.types[0] else ()
        if others and not isinstance(self._spoilt, ResolveTimeout | ResolveCancelled):
            self._ask_for(name, others)
        elif not self._pending:
            self._conclude()
        elif self._answers:
            self._wait_for_the_other()

    def _wait_for_the_other(self) -> None:
        seconds = self._configuration.options.getaddrinfo_allow_skew
        self._skew = self._base.timer(self._on_skew)
        self._skew.add(seconds)

    def _on_skew(self, event: Any, what: int) -> None:  # noqa: ARG002 - a callback
        self._conclude()

    def _conclude(self) -> None:
        """Take what there is for this name, or go on with the next."""
        self._drop_pending()
        spoilt = self._spoilt
        strict = self._configuration.options.strict_error and not isinstance(spoilt, NoData | None)
        if self._answers and not strict:
            self.future.set_result(self._shape(self._found()))
        elif isinstance(spoilt, ResolveTimeout | ResolveCancelled):
            self._fail()  # the next name would have the same servers to wait for
        else:
            self._ask_next()

    def _found(self) -> AddrInfo:
        texts = list(dict.fromkeys(text for answer in self._answers for text in answer.addresses))
        ordered = order(texts, source_of, self._configuration.policy)
        first = self._answers[0]
        return AddrInfo(
            tuple([_address(text, self._wanted.port) for text in ordered]),
            first.canonical_name,
            min([answer.ttl for answer in self._answers]),
            tuple([attempt for answer in self._answers for attempt in answer.attempts]),
        )

    def _fail(self) -> None:
        failure = self._failure
        assert failure is not None  # the last name has left one
        told = type(failure)(
            self._wanted.host or "",
            "/".join(map(type_name, self._wanted.types)),
            failure.reason,
            code=failure.code,
            attempts=failure.attempts,
            answer=failure.answer,
        )
        self.future.set_exception(told)

    def _on_cancel(self, future: Future[T]) -> None:  # noqa: ARG002 - a callback
        self._drop_pending()

    def _drop_pending(self) -> None:
        if self._skew is not None:
            self._skew.free()
            self._skew = None
        pending, self._pending = self._pending, {}
        for asked in pending.values():
            asked.cancel()


def worse(one: ResolveError | None, other: ResolveError) -> ResolveError:
    """Return which of two failures tells more: that a name has nothing, rather than that there is no such name.

    A failure of servers counts most, as it may hide an address.
    """
    if one is None or isinstance(one, NameNotFound):
        return other
    return one if isinstance(other, NameNotFound | NoData) else other


def usable_types(types: tuple[int, ...]) -> tuple[int, ...]:
    """Return those of the types for whose addresses there is a way to the Internet: ``AI_ADDRCONFIG``.

    All of them where there is a way to none.
    """
    return tuple([rdtype for rdtype in types if source_of(_FAR_AWAY[rdtype]) is not None]) or types


def _place(sources: tuple[str, ...], source: str) -> int:
    return sources.index(source) if source in sources else len(sources)
