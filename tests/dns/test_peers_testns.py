"""The resolver against ldns-testns, which replies what a script says: the right answer is found, or the error has a name.

A `Misdeed` is a reply that is wrong in one way. Each is tried alone, followed by the right one, with the right one over
TCP, and with another server that is right.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from dns_aids import outcomes
from dns_peers import NameServer, StartTestns
from evkit.core import EventBase
from evkit.dns import Resolver, ResolverOptions
from evkit.errors import NameNotFound, NoData, ResolveError, ResolveTimeout, ServerFailure

pytestmark = pytest.mark.peer

RIGHT: Final = "192.0.2.1"
WRONG: Final = "192.0.2.66"
PATIENT: Final = ResolverOptions(timeout=5.0, min_timeout=5.0, total_timeout=20.0, randomize_case=False)
"""For who gets an answer. The scripts can't know what case the letters have."""
HASTY: Final = replace(PATIENT, timeout=0.4, min_timeout=0.4, attempts=1)
"""For who gets none."""


# How scripts are written


def entry(name: str, *packets: str, match: str = "qname", adjust: str = "copy_id") -> str:
    """Write what is replied to a question for ``name``: all ``packets``, if it matches that of the first."""
    told = "\nEXTRA_PACKET\n".join(packets).replace("@", f"{name}.")
    return f"ENTRY_BEGIN\nMATCH {match}\nADJUST {adjust}\n{told}\nENTRY_END\n"


def packet(
    *answers: str, flags: str = "QR AA RD RA", rcode: str = "NOERROR", question: str = "@ IN A", rest: str = ""
) -> str:
    """Write a reply. ``@`` is the name that was asked for."""
    lines = [f"REPLY QUERY {flags} {rcode}", "SECTION QUESTION", question, "SECTION ANSWER", *answers, rest]
    return "\n".join(filter(None, lines))


def raw(name: str, message: bytes) -> str:
    """Write a reply byte by byte; its number is replaced by that of the question."""
    return f"SECTION QUESTION\n{name}. IN A\nHEX_ANSWER_BEGIN\n{message.hex(' ')}\nHEX_ANSWER_END"


ANSWER: Final = packet(f"@ 300 IN A {RIGHT}")
LIE: Final = f"@ 300 IN A {WRONG}"


def wire(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def message(name: str, *records: bytes, answers: int = 1, others: int = 0, flags: int = 0x8580) -> bytes:
    """Return a reply as bytes, whose counts need not be right."""
    header = struct.pack(">6H", 0, flags, 1, answers, others, 0)
    return header + wire(name) + b"\0\1\0\1" + b"".join(records)


def record(owner: bytes = b"\xc0\x0c", data: bytes = b"\xc0\0\2\x42", kind: int = 1, size: int | None = None) -> bytes:
    return owner + struct.pack(">HHIH", kind, 1, 300, len(data) if size is None else size) + data


def after_question(name: str, offset: int = 0) -> bytes:
    """Return a pointer to the place behind the question, or ``offset`` bytes from there."""
    return struct.pack(">H", 0xC000 | 12 + len(wire(name)) + 4 + offset)


# What is wrong


@dataclass(frozen=True)
class Misdeed:
    """A reply that is no answer.

    Attributes:
        kind: Under what it is counted, in ``tally.dropped``.
        write: Writes it, for the name that is asked for.
        match: What questions it is for.
        alone: Whether a reply that is right can't follow it in the same entry.
    """

    kind: str
    write: Callable[[str], str]
    match: str = "qname"
    alone: bool = False


def plain(kind: str, text: str, **how: bool | str) -> Misdeed:
    return Misdeed(kind, lambda _name: text, **how)  # type: ignore[arg-type]  # as its attributes say


def bytewise(kind: str, make: Callable[[str], bytes]) -> Misdeed:
    return Misdeed(kind, lambda name: raw(name, make(name)))


MISDEEDS: Final[dict[str, Misdeed]] = {
    "query-echoed": plain("kind", packet(flags="RD")),
    "query-with-answer": plain("kind", packet(LIE, flags="RD")),
    "other-opcode": plain("kind", packet(LIE).replace("QUERY", "STATUS")),
    "other-type": plain("question", packet(LIE, question="@ IN AAAA")),
    "other-class": plain("question", packet(LIE, question="@ CH A")),
    "other-name": plain("question", packet(LIE, question="test. IN A"), match="subdomain"),
    "two-questions": plain("question", packet(LIE, question="@ IN A\n@ IN A")),
    "other-case": Misdeed("case", lambda name: packet(LIE, question=f"{name.upper()}. IN A")),
    "name-error-and-answer": plain("malformed", packet(LIE, rcode="NXDOMAIN")),
    "alias-circle": plain("malformed", packet("@ 300 IN CNAME b.test.", "b.test. 300 IN CNAME @")),
    "empty": bytewise("malformed", lambda _name: b"\0\0"),  # nothing but its number
    "half-a-header": bytewise("malformed", lambda name: message(name)[:11]),
    "header-alone": bytewise("question", lambda _name: struct.pack(">6H", 0, 0x8580, 0, 0, 0, 0)),
    "header-that-promises": bytewise("question", lambda _name: struct.pack(">6H", 0, 0x8580, 1, 1, 0, 0)),
    "half-a-question": bytewise("question", lambda name: message(name)[:16]),
    "more-answers-than-there-are": bytewise("malformed", lambda name: message(name, record(), answers=2)),
    "all-counts-at-their-most": bytewise(
        "malformed", lambda name: message(name, record(), answers=65535, others=65535)
    ),
    "half-a-record": bytewise("malformed", lambda name: message(name, record()[:-2])),
    "data-beyond-the-end": bytewise("malformed", lambda name: message(name, record(size=65535))),
    "address-of-three-bytes": bytewise("malformed", lambda name: message(name, record(data=b"\xc0\0\2"))),
    "address-of-no-byte": bytewise("malformed", lambda name: message(name, record(data=b""))),
    "pointer-to-itself": bytewise("malformed", lambda name: message(name, record(owner=after_question(name)))),
    "pointer-forward": bytewise("malformed", lambda name: message(name, record(owner=after_question(name, 2)))),
    "pointer-beyond-the-end": bytewise("malformed", lambda name: message(name, record(owner=b"\xff\xff"))),
    "pointers-in-a-circle": bytewise(
        "malformed", lambda name: message(name, record(owner=b"\1a" + after_question(name)))
    ),
    "half-a-pointer": bytewise("malformed", lambda name: message(name, b"\xc0")),
    "label-of-another-kind": bytewise("malformed", lambda name: message(name, record(owner=b"\x41a\0"))),
    "name-of-three-hundred-bytes": bytewise(
        "malformed", lambda name: message(name, record(owner=(b"\x3b" + b"x" * 59) * 5 + b"\0"))
    ),
    "alias-to-a-pointer-circle": bytewise(
        "malformed", lambda name: message(name, record(data=after_question(name, 12), kind=5))
    ),
    "garbage": bytewise("question", lambda _name: bytes(range(0x80, 0x100)) * 4),
}


def script() -> str:
    entries = []
    for label, misdeed in MISDEEDS.items():
        for name in (f"{label}.udp.test", f"{label}.both.test", f"{label}.first.test"):
            packets = [misdeed.write(name)]
            if name.endswith("first.test"):
                packets.append(ANSWER)
            match = misdeed.match if name.endswith("both.test") else f"{misdeed.match} UDP"
            if misdeed.match == "subdomain":
                packets[0] = packets[0].replace("test. IN", name.partition(".")[2] + ". IN")
                match += " qtype"
            entries.append(entry(name, *packets, match=match))
        entries.append(entry(f"{label}.udp.test", ANSWER, match="qname TCP"))
    return "".join(entries)


@pytest.fixture(scope="module")
def wicked(start_testns: StartTestns) -> NameServer:
    return start_testns(script() + ODD)


@contextmanager
def resolver(*servers: NameServer, options: ResolverOptions = PATIENT) -> Iterator[Resolver]:
    """Make one on the best backend alone, as what is odd here is in the messages; nothing may escape, or stay."""
    escaped: list[BaseException] = []
    with (
        EventBase() as base,
        Resolver(base, [str(server) for server in servers], options=options, conf=None, hosts=None) as made,
    ):
        base.exception_handler = lambda exception, _source: escaped.append(exception)
        yield made
        assert len(made) == 0
    assert escaped == []
