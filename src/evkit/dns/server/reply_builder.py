"""`ReplyBuilder`: the records of a reply, and the bytes that they become, names compressed, and no longer than may be.

A decider over bytes: it knows nothing of who has asked, nor of what a type means but for the names in the oldest ones.
"""

from struct import Struct
from typing import Final, NamedTuple

from evkit.dns.message import FIRST_NAME, HEADER, POINTER, TC
from evkit.dns.names import MAX_LABEL, MAX_NAME, ROOT
from evkit.dns.types import CNAME, MX, NS, PTR, SOA

ANSWER: Final = 0
"""The section of answers (``EVDNS_ANSWER_SECTION``)."""
AUTHORITY: Final = 1
"""The section that tells who knows: SOA and NS (``EVDNS_AUTHORITY_SECTION``)."""
ADDITIONAL: Final = 2
"""The section of what the client would ask for next (``EVDNS_ADDITIONAL_SECTION``)."""

_RECORD: Final = Struct(">HHIH")
"""What stands between the owner and the data: type, class, TTL and length (RFC 1035 §3.2.1)."""
_POINTER: Final = Struct(">H")
_REACH: Final = 0x4000
"""Where pointers can't point any more: they have 14 bits."""
_TO_QUESTION: Final = _POINTER.pack(POINTER | FIRST_NAME)
_NUMBERS_OF_SOA: Final = 20
"""Bytes that come after the names in a SOA record (RFC 1035 §3.3.13)."""
_MAX_TTL: Final = 2**31 - 1
_MAX_NUMBER: Final = 0xFFFF

_NAMES_OF: Final = {
    NS: (0, 1),
    3: (0, 1),  # MD
    4: (0, 1),  # MF
    CNAME: (0, 1),
    SOA: (0, 2),
    7: (0, 1),  # MB
    8: (0, 1),  # MG
    9: (0, 1),  # MR
    PTR: (0, 1),
    14: (0, 2),  # MINFO
    MX: (2, 1),
}
"""Types whose names may be compressed: how many bytes come before the names, and how many names (RFC 3597 §4)."""


class Entry(NamedTuple):
    """A record to be sent; the names are uncompressed wire names."""

    owner: bytes
    rdtype: int
    rdclass: int
    ttl: int
    rdata: bytes


class ReplyBuilder:
    """The records of one reply.

    Args:
        questions: The question section as it came, which is sent back as it is: a client may compare its very bytes.
        count: How many questions it holds.
        qname: The first question's name, which stands at its beginning; the root where there is none.
    """

    __slots__ = ("_count", "_pointers", "_qname", "_questions", "_sections")

    def __init__(self, questions: bytes, count: int, qname: bytes = ROOT) -> None:
        self._questions = questions
        self._count = count
        self._qname = qname
        self._sections: tuple[list[Entry], list[Entry], list[Entry]] = ([], [], [])
        self._pointers: dict[bytes, bytes] | None = None  # to names that were written, folded

    def add(self, section: int, owner: bytes, rdtype: int, rdclass: int, ttl: int, rdata: bytes) -> None:
        """Add a record at the end of a section.

        Args:
            section: `ANSWER`, `AUTHORITY` or `ADDITIONAL`.
            owner: A whole wire name.
            rdtype: 0 to 65535.
            rdclass: Likewise.
            ttl: Seconds, 0 to 2**31 - 1 (RFC 2181 §8).
            rdata: The data, its names uncompressed; at most 65535 bytes.

        Raises:
            ValueError: One is out of range, or the names in the data are none. Nothing was added.
        """
        if section not in (ANSWER, AUTHORITY, ADDITIONAL):
            raise ValueError(f"expected the section ANSWER, AUTHORITY or ADDITIONAL, got {section!r}")
        if not (0 <= rdtype <= _MAX_NUMBER and 0 <= rdclass <= _MAX_NUMBER):
            raise ValueError(f"expected a type and a class of 0 to {_MAX_NUMBER}, got {rdtype} and {rdclass}")
        if not 0 <= ttl <= _MAX_TTL:
            raise ValueError(f"a TTL has 0 to {_MAX_TTL} seconds, got {ttl}")
        if len(rdata) > _MAX_NUMBER:
            raise ValueError(f"the data of a record has at most {_MAX_NUMBER} bytes, got {len(rdata)}")
        if rdtype in _NAMES_OF:
            split_data(rdtype, rdata)
        self._sections[section].append(Entry(owner, rdtype, rdclass, ttl, rdata))

    def clear(self) -> None:
        """Forget all records."""
        for section in self._sections:
            section.clear()

    def __len__(self) -> int:
        """Return how many records there are."""
        return sum(map(len, self._sections))

    def build(self, identity: int, flags: int, opt: bytes, max_size: int) -> bytes:
        """Return the message.

        What does not fit is left out, from the first record that does not fit on, and TC is set, but not where only
        additional records are missing, unless they belong to a referral, which is of no use without them.

        Args:
            identity: The query's id.
            flags: The second word of the header, but for TC.
            opt: The whole OPT record, or nothing. It stays whatever is left out.
            max_size: Bytes of the message, ``>= 512``.

        Source: RFC 1035 §4.1.4, RFC 2181 §9, RFC 6891 §7, RFC 9471 §2.
        """
        pieces = [b"", self._questions]
        counts = [0, 0, 0]
        at = FIRST_NAME + len(self._questions)
        room = max_size - len(opt)
        self._pointers = None
        for section, entries in enumerate(self._sections):
            for entry in entries:
                piece = self._encode(entry, at)
                at += len(piece)
                if at > room:
                    flags |= self._cut_flag(section)
                    return self._join(pieces, identity, flags, counts, opt)
                pieces.append(piece)
                counts[section] += 1
        return self._join(pieces, identity, flags, counts, opt)

    def _join(self, pieces: list[bytes], identity: int, flags: int, counts: list[int], opt: bytes) -> bytes:
        if opt:
            pieces.append(opt)
            counts[ADDITIONAL] += 1
        pieces[0] = HEADER.pack(identity, flags, self._count, *counts)
        return b"".join(pieces)

    def _cut_flag(self, section: int) -> int:
        referral = not self._sections[ANSWER] and any(
            entry.rdtype == NS for entry in self._sections[AUTHORITY]
        )
        return TC if section != ADDITIONAL or referral else 0

    def _encode(self, entry: Entry, at: int) -> bytes:
        """Return a record as it stands at ``at``."""
        owner = _TO_QUESTION if entry.owner == self._qname != ROOT else self._compress(entry.owner, at)
        rdata = entry.rdata
        if entry.rdtype in _NAMES_OF:
            rdata = self._compress_data(entry.rdtype, rdata, at + len(owner) + _RECORD.size)
        return owner + _RECORD.pack(entry.rdtype, entry.rdclass, entry.ttl, len(rdata)) + rdata

    def _compress_data(self, rdtype: int, rdata: bytes, at: int) -> bytes:
        head, names, tail = split_data(rdtype, rdata)
        out = head
        for name in names:
            out += self._compress(name, at + len(out))
        return out + tail

    def _compress(self, name: bytes, at: int) -> bytes:
        """Return a name as it stands at ``at``, and note where its parts are for those that follow."""
        pointers = self._pointers
        if pointers is None:
            pointers = self._pointers = {}
            self._compress(self._qname, FIRST_NAME)  # notes it: it stands there already
        folded = name.lower()
        offset = 0
        while name[offset]:
            pointer = pointers.get(folded[offset:])
            if pointer is not None:
                return name[:offset] + pointer
            if at + offset < _REACH:
                pointers[folded[offset:]] = _POINTER.pack(POINTER | (at + offset))
            offset += 1 + name[offset]
        return name


def split_data(rdtype: int, rdata: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Return what is before the names of a type that may be compressed, the names, and what is after.

    Raises:
        ValueError: The data ends within them, or has something after them that does not belong there.
    """
    at, count = _NAMES_OF[rdtype]
    head = rdata[:at]
    names = []
    for _ in range(count):
        end = end_of_name(rdata, at)
        names.append(rdata[at:end])
        at = end
    tail = rdata[at:]
    if len(tail) != (_NUMBERS_OF_SOA if rdtype == SOA else 0):
        raise ValueError(f"expected the data of type {rdtype}, got {rdata[:64]!r}")
    return head, names, tail


def end_of_name(data: bytes, start: int) -> int:
    """Return where an uncompressed name ends.

    Raises:
        ValueError: There is none.
    """
    at = start
    while at < len(data) and data[at] <= MAX_LABEL:
        step = data[at]
        at += 1 + step
        if not step:
            if at - start > MAX_NAME:
                break
            return at
    raise ValueError(f"expected an uncompressed name at byte {start} of the data, got {data[:64]!r}")
