"""`Zone`: what a server says that has all records of a part of the tree of names.

A decider: it finds what is to be answered, and knows nothing of messages. Only `Zone.handle` speaks to a request.

Source: RFC 1034 §4.3.2, with RFC 4592 for wildcards, RFC 6672 for DNAME, RFC 2308 for what is not there.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple, Self

from evkit.dns.message import AA
from evkit.dns.names import MAX_NAME, is_subdomain, to_text
from evkit.dns.server.reply_builder import ADDITIONAL, ANSWER, AUTHORITY, Entry
from evkit.dns.server.request import ServerRequest
from evkit.dns.server.zone_file import read_zone_file
from evkit.dns.types import (
    AAAA,
    ANY,
    AXFR,
    CNAME,
    DNAME,
    DS,
    IN,
    IXFR,
    MX,
    NOERROR,
    NS,
    NXDOMAIN,
    REFUSED,
    SOA,
    SRV,
    A,
    type_name,
)

_YXDOMAIN: Final = 6
"""A name that is made by DNAME would be too long (RFC 6672 §2.2)."""
_MAX_CHAIN: Final = 16
"""Aliases in a row that are followed within the zone."""
_WILDCARD: Final = b"\x01*"
_TARGETS: Final = {NS: 0, MX: 2, SRV: 6}
"""Types with a host in them whose addresses the client wants next, and where its name begins in the data."""
_ALONE: Final = (CNAME, DNAME)
"""Types of which a name has one record at most."""

Node = dict[int, list[Entry]]


class ZoneAnswer(NamedTuple):
    """What a zone says to a question.

    Attributes:
        code: The result code.
        authoritative: Whether the zone itself knows, and does not send the client to other servers.
        answer: Records of the answer section, and so on.
        authority: Likewise.
        additional: Likewise.
    """

    code: int
    authoritative: bool
    answer: list[Entry]
    authority: list[Entry]
    additional: list[Entry]


class Zone:
    """The records of a zone.

    Args:
        entries: All of them, among them one SOA, whose owner is the zone's name, and an NS of that.

    Attributes:
        origin: The name of the zone, folded.
        soa: Its SOA record, with the TTL of answers that say what is not there (RFC 2308 §3).
        nodes: The records by folded owner and type; names without records that have others below them, too.

    Raises:
        ValueError: They make no zone; it says why.
    """

    __slots__ = ("nodes", "origin", "soa")

    def __init__(self, entries: Iterable[Entry]) -> None:
        records = list(entries)
        heads = [entry for entry in records if entry.rdtype == SOA]
        if len(heads) != 1:
            raise ValueError(f"a zone has one SOA record, got {len(heads)}")
        self.origin = heads[0].owner.lower()
        self.nodes = _nodes_of(records, self.origin)
        if NS not in self.nodes[self.origin]:
            raise ValueError(f"a zone has an NS record of its own name, {to_text(self.origin)}")
        minimum = int.from_bytes(heads[0].rdata[-4:], "big")
        self.soa = heads[0]._replace(ttl=min(heads[0].ttl, minimum))

    @classmethod
    def parse(cls, text: str, origin: str | None = None) -> Self:
        """Read a zone file.

        Args:
            text: The file. ``$INCLUDE`` and ``$GENERATE`` are not for it.
            origin: What its relative names are relative to; ``None``: it says so itself.

        Raises:
            ValueError: It can't be read, or makes no zone.

        Source: RFC 1035 §5.
        """
        return cls(read_zone_file(text, origin))

    def __repr__(self) -> str:
        return f"<Zone {to_text(self.origin)} names={len(self.nodes)}>"

    # Answers

    def handle(self, request: ServerRequest) -> None:
        """Answer a request: a handler for `ServerPort`. What is not in the zone is refused."""
        question = request.question
        if question.rdclass != IN or question.rdtype in (AXFR, IXFR):
            request.respond(REFUSED)
            return
        found = self.find(question.wire, question.rdtype)
        if found.authoritative:
            request.set_flags(AA)
        for section, entries in (
            (ANSWER, found.answer),
            (AUTHORITY, found.authority),
            (ADDITIONAL, found.additional),
        ):
            for entry in entries:
                request.add_reply(section, entry.owner, entry.rdtype, entry.ttl, entry.rdata)
        request.respond(found.code)

    def find(self, name: bytes, rdtype: int) -> ZoneAnswer:
        """Return what is to be answered.

        Aliases are followed as long as they stay in the zone, 16 of them at most. `ANY` gets the records of one type
        (RFC 8482 §4.1).

        Args:
            name: A wire name, in letters of any size.
            rdtype: The number of the type.
        """
        if not is_subdomain(name.lower(), self.origin):
            return ZoneAnswer(REFUSED, False, [], [], [])
        search = _Search(self, rdtype)
        search.run(name)
        return search.result()


class _Search:
    """One question to a zone, and what has been found so far."""

    __slots__ = ("_additional", "_answer", "_authoritative", "_authority", "_code", "_rdtype", "_zone")

    def __init__(self, zone: Zone, rdtype: int) -> None:
        self._zone = zone
        self._rdtype = rdtype
        self._code = NOERROR
        self._authoritative = True
        self._answer: list[Entry] = []
        self._authority: list[Entry] = []
        self._additional: list[Entry] = []

    def result(self) -> ZoneAnswer:
        for entry in self._answer + self._authority:
            self._add_addresses(entry)
        return ZoneAnswer(self._code, self._authoritative, self._answer, self._authority, self._additional)

    def run(self, name: bytes) -> None:
        target: bytes | None = name
        for _ in range(_MAX_CHAIN + 1):
            if target is None or not is_subdomain(target.lower(), self._zone.origin):
                return
            target = self._step(target)

    def _step(self, name: bytes) -> bytes | None:
        """Add what there is of a name; return the one to go on with, if it is an alias."""
        nodes, origin = self._zone.nodes, self._zone.origin
        folded = name.lower()
        closest = origin
        for below in [origin, *_path(folded, origin)]:
            node = nodes.get(below)
            if node is None:
                break
            closest = below
            if NS in node and below != origin and not (below == folded and self._rdtype == DS):
                self._refer(node[NS])
                return None
            if DNAME in node and below != folded:
                return self._rename(name, node[DNAME][0])
        if closest == folded:
            return self._take(name, nodes[folded], synthetic=False)
        wildcard = nodes.get(_WILDCARD + closest)
        if wildcard is not None:
            return self._take(name, wildcard, synthetic=True)
        self._code = NXDOMAIN
        self._authority.append(self._zone.soa)
        return None

    def _take(self, name: bytes, node: Node, *, synthetic: bool) -> bytes | None:
        rdtype = next(iter(node), ANY) if self._rdtype == ANY else self._rdtype
        found = node.get(rdtype) or node.get(CNAME, [])
        if not found:
            self._authority.append(self._zone.soa)
            return None
        if synthetic:
            found = [entry._replace(owner=name) for entry in found]
        if found[0] in self._answer:
            return None  # aliases that go in a circle
        self._answer += found
        return found[0].rdata if found[0].rdtype == CNAME != rdtype else None

    def _refer(self, servers: list[Entry]) -> None:
        """Send the client to the servers of a zone below."""
        self._authoritative = bool(self._answer)  # AA is about the name that was asked for (RFC 1035 §4.1.1)
        self._authority += servers

    def _rename(self, name: bytes, dname: Entry) -> bytes | None:
        """Follow a DNAME: everything below its owner is below its target instead."""
        if dname not in self._answer:
            self._answer.append(dname)
        target = name[: len(name) - len(dname.owner)] + dname.rdata
        if len(target) > MAX_NAME:
            self._code = _YXDOMAIN
            return None
        alias = Entry(name, CNAME, IN, dname.ttl, target)
        if alias in self._answer:
            return None  # as in `_take`
        self._answer.append(alias)
        return None if self._rdtype == CNAME else target

    def _add_addresses(self, entry: Entry) -> None:
        """Add the addresses of the host that a record names, as far as they are here."""
        start = _TARGETS.get(entry.rdtype)
        if start is None:
            return
        node = self._zone.nodes.get(entry.rdata[start:].lower(), {})
        for rdtype in (A, AAAA):
            self._additional += [
                address for address in node.get(rdtype, ()) if address not in self._answer + self._additional
            ]


def _nodes_of(records: Iterable[Entry], origin: bytes) -> dict[bytes, Node]:
    """Put records together by owner and type, and check that they go together."""
    nodes: dict[bytes, Node] = {}
    for entry in records:
        owner = entry.owner.lower()
        if not is_subdomain(owner, origin):
            raise ValueError(f"expected names of the zone {to_text(origin)}, got {to_text(owner)}")
        nodes.setdefault(owner, {}).setdefault(entry.rdtype, []).append(entry)
    for owner, node in list(nodes.items()):
        for rdtype, entries in node.items():
            node[rdtype] = _as_set(entries)
        _check_node(owner, node)
        for above in _path(owner, origin):
            nodes.setdefault(above, {})  # it exists, without records
    return nodes


def _as_set(entries: list[Entry]) -> list[Entry]:
    """Return records of one owner and type, each once, and with one TTL (RFC 2181 §5)."""
    ttl = min(entry.ttl for entry in entries)
    return [entry._replace(ttl=ttl) for entry in {entry.rdata: entry for entry in entries}.values()]


def _check_node(owner: bytes, node: Node) -> None:
    if CNAME in node and len(node) > 1:
        others = ", ".join(type_name(rdtype) for rdtype in node if rdtype != CNAME)
        raise ValueError(f"{to_text(owner)} is an alias by its CNAME record, and can't have {others}, too")
    for rdtype in _ALONE:
        if len(node.get(rdtype, ())) > 1:
            raise ValueError(f"{to_text(owner)} can have one {type_name(rdtype)} record, got several")


def _path(folded: bytes, origin: bytes) -> list[bytes]:
    """Return the names from right below the origin down to this one."""
    path = []
    at = 0
    while len(folded) - at > len(origin):
        path.append(folded[at:])
        at += 1 + folded[at]
    path.reverse()
    return path
