"""Discovery: what a pool's targets stand for, which servers there are, and when to look again.

Deciders: they are told what look-ups have found, and what time it is. How a name is looked up is `finder`'s
business. Nothing here knows of connections.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from evkit.core.net import Address
from evkit.core.timers import NEVER
from evkit.rpc.client.backoff import Backoff
from evkit.rpc.client.target import Target, parse_target

LEAST: Final = 1.0
"""Seconds between two looks at the same name, whatever happens."""
MOST: Final = 300.0
"""Seconds after which it is looked up again, whatever its TTL."""
ADDRESS_TTL: Final = 30.0
"""Seconds that addresses are kept, whose TTL a `Resolver` does not tell. gRPC looks again that often, too."""
SMALL_WEIGHT: Final = 0.1
"""For the weight 0, which is to have "a very small chance of being selected"."""
MAX_ENDPOINTS: Final = 256
"""Servers that one name may stand for: each costs a connection."""
_AGAIN: Final = Backoff(LEAST, 2.0, ADDRESS_TTL)
_TLS: Final = "tls://"


class Source(NamedTuple):
    """One of a pool's targets.

    Attributes:
        target: Where the server is; for a name of SRV records, its host is that name and its port 0.
        kind: ``"fixed"``, for an address or a unix socket; ``"host"``; or ``"srv"``.
    """

    target: Target
    kind: str

    def __str__(self) -> str:
        if self.kind != "srv":
            return str(self.target)
        return f"{_TLS if self.target.secure else ''}{self.target.host}"


class Endpoint(NamedTuple):
    """One server, at one address.

    Attributes:
        target: What to connect to, and by which name the server is known.
        address: The address behind that name; ``None``: that is the target itself.
        priority: Those with a higher number only get calls while no other can be reached.
        weight: Which part of the calls it gets, ``> 0``.
    """

    target: Target
    address: Address | None = None
    priority: int = 0
    weight: float = 1.0

    @property
    def place(self) -> "tuple[Target, Address | None]":
        """What makes it another one if it changes."""
        return self.target, self.address


class ServiceRecord(NamedTuple):
    """What one SRV record says. Source: RFC 2782."""

    priority: int
    weight: int
    port: int
    target: str


def parse_source(where: "str | tuple[str, int] | Target") -> Source:
    """Read one of a pool's targets.

    Args:
        where: What a `Client` takes, or the name of SRV records as ``"_rpc._tcp.example.org"``, with ``tls://`` before
            it where TLS is spoken.

    Raises:
        ValueError: It is none of these.
        TypeError: It is no text, nor a host and a port.
    """
    if isinstance(where, str) and (name := where.removeprefix(_TLS)).startswith("_") and ":" not in name:
        return Source(Target(name, 0, None, where.startswith(_TLS)), "srv")
    target = parse_target(where)
    return Source(target, "host" if target.address is None else "fixed")


def endpoints_at(
    target: Target, addresses: Iterable[Address], priority: int = 0, weight: float = 1.0
) -> list[Endpoint]:
    """Return the servers behind a name, which share its weight.

    Args:
        target: The name, and how to speak to the server.
        addresses: What it was found to stand for.
        priority: See `Endpoint`.
        weight: Of all together, ``>= 0``.
    """
    places = list(dict.fromkeys(addresses))
    share = (weight or SMALL_WEIGHT) / max(1, len(places))
    return [Endpoint(target, place, priority, share) for place in places]


def usable_services(data: Iterable[Iterable[Any]]) -> list[ServiceRecord]:
    """Return what SRV records say, the most preferred first; ``"."`` says that there is no such service.

    Raises:
        TypeError, ValueError: It is no data of an SRV record.
    """
    services = [_checked(ServiceRecord(*fields)) for fields in data]
    usable = {service for service in services if service.port and service.target not in (".", "")}
    return sorted(usable)[:MAX_ENDPOINTS]


def _checked(service: ServiceRecord) -> ServiceRecord:
    numbers = (service.priority, service.weight, service.port)
    if not all(type(number) is int for number in numbers) or not isinstance(service.target, str):
        raise TypeError(f"expected priority, weight, port and target of an SRV record, got {service!r}")
    return service


class Schedule:
    """When a name is looked up again.

    Attributes:
        due: When, on the clock of ``now``; `NEVER` while it is being looked up.
    """

    __slots__ = ("_asked", "_failures", "_lost", "due")

    def __init__(self) -> None:
        self.due = 0.0
        self._asked = 0.0
        self._failures = 0  # in a row; what was found while a server was away counts as well
        self._lost = False  # since it was asked

    def __repr__(self) -> str:
        return f"<Schedule due={self.due:g} failures={self._failures}>"

    def asked(self, now: float) -> None:
        """Hear that it is being looked up."""
        self.due = NEVER
        self._asked = now
        self._lost = False

    def found(self, now: float, ttl: float, roll: float, *, away: bool) -> None:
        """Hear what came of it.

        Args:
            now: Seconds on a clock that never goes back.
            ttl: Seconds for which it holds.
            roll: From 0 up to 1, drawn anew.
            away: Whether a server that it had named before can't be reached: the name may soon stand for others.
        """
        self._failures = self._failures + 1 if away else 0
        pause = min(max(ttl, LEAST), MOST)
        if away:
            pause = min(pause, max(LEAST, _AGAIN.delay(self._failures, roll)))
        self._wait(now, pause)

    def failed(self, now: float, roll: float) -> None:
        """Hear that nothing came of it; what was found before holds on. For the arguments see `found`."""
        self._failures += 1
        self._wait(now, max(LEAST, _AGAIN.delay(self._failures, roll)))

    def lost(self, now: float) -> None:
        """Hear that a connection was lost: look again, though not too soon after the last time."""
        if self.due == NEVER:
            self._lost = True  # what is being looked up may be older than the loss
        else:
            self.due = min(self.due, max(now, self._asked + LEAST))

    def _wait(self, now: float, seconds: float) -> None:
        self.due = now + seconds
        if self._lost:
            self.lost(now)
