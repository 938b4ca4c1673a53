"""What a reply says about a question: the answer, where to ask on, or that there is none.

A decider over a message that was taken apart. Only what stands under the name that was asked for, or under a name that
the chain of aliases from there leads to, is believed (RFC 5452 §6); all other records are ignored. It knows nothing of
servers, sockets or time.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final

from evkit.dns.answer import Record
from evkit.dns.errors import MessageError
from evkit.dns.message import AA, RA, Message, Raw
from evkit.dns.names import is_subdomain, to_text
from evkit.dns.rdata import read
from evkit.dns.record_data import Soa
from evkit.dns.types import ANY, CNAME, IN, NOERROR, NXDOMAIN, SOA, rcode_name, type_name

MAX_CHAIN: Final = 16
"""Aliases that are followed in one reply; Unbound's limit too is of this size."""


class Kind(Enum):
    """What a reply says."""

    ANSWER = "answer"
    """There are records of the type."""
    ALIAS = "alias"
    """The name has another name, about which the reply says nothing: ask for that."""
    NO_DATA = "no data"
    """The name exists, and has no records of the type."""
    NO_NAME = "no name"
    """There is no such name."""
    LAME = "lame"
    """The server neither knows nor asks others: it is not in charge of the name."""
    FAILURE = "failure"
    """The server has failed or refused: see the response code."""
    BAD = "bad"
    """The reply contradicts itself or the rules: see `Verdict.why`."""


ANSWER: Final = Kind.ANSWER
"""Each look-up would take some time to find it in its class."""


class Verdict:
    """What a reply says about a question.

    Attributes:
        kind: What.
        why: The same in words, what is wrong among them.
        rcode: The response code, extended bits and all.
        target: The name at the end of the chain of aliases, folded, in wire form: that of the records, that to ask for
            next, or that which does not exist. Without aliases it is the name that was asked for.
        ttl: Seconds for which this may be kept: the least of the chain and the records, or by RFC 2308 §5 for
            `Kind.NO_DATA` and `Kind.NO_NAME`. 0 where nothing says how long.
        records: The records of the type; empty but for `Kind.ANSWER`.
        aliases: The CNAME records of the chain, in its order.
        authority: The SOA record that says how long there will be none, if any.
        ignored: How many records of the answer section say nothing about the question.
    """

    __slots__ = ("aliases", "authority", "ignored", "kind", "rcode", "records", "target", "ttl", "why")

    def __init__(
        self,
        kind: Kind,
        rcode: int,
        target: bytes,
        *,
        why: str = "",
        ttl: int = 0,
        records: tuple[Record, ...] = (),
        aliases: tuple[Record, ...] = (),
        authority: tuple[Record, ...] = (),
        ignored: int = 0,
    ) -> None:
        self.kind = kind
        self.rcode = rcode
        self.target = target
        self.why = why
        self.ttl = ttl
        self.records = records
        self.aliases = aliases
        self.authority = authority
        self.ignored = ignored

    def __repr__(self) -> str:
        why = f": {self.why}" if self.why else ""
        counts = f"records={len(self.records)} aliases={len(self.aliases)} ttl={self.ttl}"
        return f"<Verdict {self.kind.value}{why} target={to_text(self.target)} {counts}>"


def interpret(
    message: Message, name: bytes, rdtype: int, rdclass: int = IN, *, max_chain: int = MAX_CHAIN
) -> Verdict:
    """Say what a reply means for a question.

    Args:
        message: The reply.
        name: What was asked for, folded, in wire form.
        rdtype: The type that was asked for; `ANY` takes all records of the name.
        rdclass: The class that was asked for.
        max_chain: Aliases to follow; a circle of them is longer than any limit.

    Returns:
        A verdict; one of `Kind.BAD` in place of an exception. Where a name has several CNAME records, which RFC 2181
        §10.1 forbids, the first counts.

    Source: RFC 1034 §4.3.2 from the other side, RFC 2308 §2 for what says that there is none, RFC 6604 §3 for the
    response code, which is that of the chain's end.
    """
    rcode = message.rcode
    if rcode and rcode != NXDOMAIN:
        return Verdict(Kind.FAILURE, rcode, name, why=rcode_name(rcode))
    try:
        return _judged(message, name, rdtype, rdclass, max_chain)
    except MessageError as error:
        return Verdict(Kind.BAD, rcode, name, why=str(error))


def _judged(message: Message, name: bytes, rdtype: int, rdclass: int, max_chain: int) -> Verdict:
    answers = message.answers
    chain: list[Record] = []
    target = name
    found = _owned(answers, name, rdtype, rdclass)
    if not found:
        target = _follow(message, name, rdclass, max_chain, chain)
        if chain:
            found = _owned(answers, target, rdtype, rdclass)
    if not found:
        return _nothing(message, target, rdclass, tuple(chain))
    if message.rcode == NXDOMAIN:
        return Verdict(Kind.BAD, NXDOMAIN, target, why="NXDOMAIN, and yet an answer")
    records = _records(message, found, target)
    ttl = records[0].ttl if len(records) == 1 and not chain else _least_ttl((*chain, *records))
    ignored = len(answers) - len(found) - len(chain)
    return Verdict(
        Kind.ANSWER, NOERROR, target, ttl=ttl, records=records, aliases=tuple(chain), ignored=ignored
    )


def _owned(answers: Sequence[Raw], name: bytes, rdtype: int, rdclass: int) -> list[Raw]:
    if rdtype == ANY:
        return [raw for raw in answers if raw[0] == name and raw[2] == rdclass]
    return [raw for raw in answers if raw[1] == rdtype and raw[0] == name and raw[2] == rdclass]


def _records(message: Message, found: list[Raw], owner: bytes) -> tuple[Record, ...]:
    """Read what was found, each record once: RFC 2181 §5."""
    name = to_text(owner)
    if len(found) == 1:
        raw = found[0]
        return (Record(name, type_name(raw[1]), raw[3], read(message, raw)),)
    records = [Record(name, type_name(raw[1]), raw[3], read(message, raw)) for raw in found]
    return tuple(dict.fromkeys(records))


def _least_ttl(records: tuple[Record, ...]) -> int:
    return min([record.ttl for record in records])


def _follow(message: Message, name: bytes, rdclass: int, max_chain: int, chain: list[Record]) -> bytes:
    """Follow the aliases of a name, put them into ``chain``, and return the name at their end."""
    links: dict[bytes, Raw] = {}
    for raw in message.answers:
        if raw[1] == CNAME and raw[2] == rdclass:
            links.setdefault(raw[0], raw)
    while (link := links.get(name)) is not None:
        owner, _, _, ttl, start, length = link
        if len(chain) == max_chain:
            raise MessageError(f"expected {max_chain} aliases at most, got more, or a circle", start)
        target, stop = message.names.read(start)
        if stop != start + length:
            raise MessageError(f"expected CNAME data of {stop - start} bytes, got {length}", start)
        chain.append(Record(to_text(owner), "CNAME", ttl, to_text(target)))
        name = target.lower()
    return name


def _nothing(message: Message, target: bytes, rdclass: int, chain: tuple[Record, ...]) -> Verdict:
    """Say what a reply without records of the type means."""
    soa = _start_of_authority(message, target, rdclass)
    ttl = 0
    if soa is not None:
        assert isinstance(soa.data, Soa)
        ttl = min([soa.ttl, soa.data.minimum, *[link.ttl for link in chain]])
    if message.rcode == NXDOMAIN:
        kind = Kind.NO_NAME
    elif soa is not None:
        kind = Kind.NO_DATA
    elif chain:
        kind = Kind.ALIAS
        ttl = _least_ttl(chain)
    else:
        # A referral, whatever it refers to, or a server that is nobody's: RFC 2308 §2.2. One that asks others for us
        # and found nothing may leave the SOA out.
        kind = Kind.NO_DATA if message.flags & (AA | RA) else Kind.LAME
    return Verdict(
        kind,
        message.rcode,
        target,
        ttl=ttl,
        aliases=chain,
        authority=() if soa is None else (soa,),
        ignored=len(message.answers) - len(chain),
    )


def _start_of_authority(message: Message, name: bytes, rdclass: int) -> Record | None:
    """Return the SOA record of a zone that the name is in, if the reply has one."""
    for raw in message.authority:
        owner, rdtype, its_class = raw[:3]
        if rdtype == SOA and its_class == rdclass and is_subdomain(name, owner):
            return _records(message, [raw], owner)[0]
    return None
