"""`Answer`: what a look-up has found, its records, and how it was found.

Values for the user, who sees text and plain data; names here have no dot at their end. This module knows nothing of
messages or servers.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from evkit.dns.rdata import text_of
from evkit.dns.record_data import RecordData
from evkit.dns.types import type_number


class Attempt(NamedTuple):
    """One try to have a question answered.

    Attributes:
        server: Whom, as ``"192.0.2.1:53"``.
        transport: ``"udp"``, ``"tcp"`` or ``"tls"``.
        outcome: The response code, as ``"NXDOMAIN"``, or what went wrong, as ``"timed out"``.
        seconds: How long it took.
    """

    server: str
    transport: str
    outcome: str
    seconds: float

    def __str__(self) -> str:
        milliseconds = self.seconds * 1000
        precise = f"{milliseconds:.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"
        return f"{self.server} over {self.transport}: {self.outcome} after {precise} ms"


class Record(NamedTuple):
    """One record.

    Attributes:
        name: Whose it is, in small letters.
        type: As ``"AAAA"``.
        ttl: Seconds for which it may be kept.
        data: By type: see `RecordData`.
    """

    name: str
    type: str
    ttl: int
    data: RecordData

    @property
    def text(self) -> str:
        """The data as in a master file, ``"10 mail.example.org."``: names end with a dot there."""
        return text_of(type_number(self.type, asked=False), self.data)

    def __str__(self) -> str:
        """The whole record as in a master file."""
        owner = self.name if self.name == "." else f"{self.name}."
        return f"{owner} {self.ttl} {self.type} {self.text}"

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"name": self.name, "type": self.type, "ttl": self.ttl, "data": self.text}


class Answer:
    """What a look-up has found. Iterating over it, ``len`` and ``[0]`` are about its records.

    Attributes:
        name: What was asked for.
        type: Of which type, as ``"AAAA"``.
        canonical_name: The name that the chain of aliases leads to; ``name`` itself without one.
        records: The records of the type under that name; for ``ANY`` those of all types. None where the answer is that
            there are none.
        aliases: The CNAME records from ``name`` to ``canonical_name``, in order.
        ttl: Seconds for which this may be kept: the least of all these records.
        authority: Where there are no records: the SOA record that says for how long, if there is one.
        attempts: What was tried, in order; empty for what came out of the cache or the hosts file.
        cached: It was found before.
        stale: It was found before, is older than its ``ttl``, and no server could be asked: RFC 8767.
        authenticated: The server vouches for it, and is trusted to: the ``AD`` bit with ``trust_ad``.
    """

    __slots__ = (
        "aliases",
        "attempts",
        "authenticated",
        "authority",
        "cached",
        "canonical_name",
        "name",
        "records",
        "stale",
        "ttl",
        "type",
    )

    def __init__(
        self,
        name: str,
        type: str,  # noqa: A002 - the field's term
        records: tuple[Record, ...] = (),
        *,
        canonical_name: str | None = None,
        aliases: tuple[Record, ...] = (),
        ttl: int = 0,
        authority: tuple[Record, ...] = (),
        attempts: tuple[Attempt, ...] = (),
        cached: bool = False,
        stale: bool = False,
        authenticated: bool = False,
    ) -> None:
        self.name = name
        self.type = type
        self.records = records
        self.canonical_name = name if canonical_name is None else canonical_name
        self.aliases = aliases
        self.ttl = ttl
        self.authority = authority
        self.attempts = attempts
        self.cached = cached
        self.stale = stale
        self.authenticated = authenticated

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __getitem__(self, index: int) -> Record:
        return self.records[index]

    @property
    def addresses(self) -> list[str]:
        """The addresses, of A and AAAA records."""
        return [str(record.data) for record in self.records if record.type in ("A", "AAAA")]

    def aged(self, seconds: float, *, stale_ttl: int | None = None) -> "Answer":
        """Return the same as it comes out of a cache.

        Args:
            seconds: How long ago it was found; all TTLs are that much less, and not below 0.
            stale_ttl: It is older than may be: all TTLs are this, 30 by RFC 8767 §4.
        """
        stale = stale_ttl is not None
        age = int(seconds)

        def left(ttl: int) -> int:
            return max(0, ttl - age) if stale_ttl is None else stale_ttl

        def older(records: tuple[Record, ...]) -> tuple[Record, ...]:
            return tuple([Record(name, kind, left(ttl), data) for name, kind, ttl, data in records])

        return Answer(
            self.name,
            self.type,
            older(self.records),
            canonical_name=self.canonical_name,
            aliases=older(self.aliases),
            ttl=left(self.ttl),
            authority=older(self.authority),
            cached=True,
            stale=stale,
            authenticated=self.authenticated and not stale,
        )

    def replaced(self, **changes: Any) -> "Answer":
        """Return the same with some attributes changed."""
        return Answer(**({name: getattr(self, name) for name in Answer.__slots__} | changes))

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold."""
        return {
            "name": self.name,
            "type": self.type,
            "canonical_name": self.canonical_name,
            "ttl": self.ttl,
            "records": [record.as_dict() for record in self.records],
            "aliases": [record.as_dict() for record in self.aliases],
            "authority": [record.as_dict() for record in self.authority],
            "attempts": [attempt._asdict() for attempt in self.attempts],
            "cached": self.cached,
            "stale": self.stale,
            "authenticated": self.authenticated,
        }

    def __repr__(self) -> str:
        words = [f"{len(self.records)} record{'' if len(self.records) == 1 else 's'}", f"ttl={self.ttl}"]
        if self.canonical_name != self.name:
            words.insert(0, f"is {self.canonical_name}")
        words += [word for word in ("cached", "stale", "authenticated") if getattr(self, word)]
        return f"<Answer {self.name} {self.type} {' '.join(words)}>"
