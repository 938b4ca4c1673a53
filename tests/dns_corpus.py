"""Messages of the DNS made by hand: hostile ones, and what is wrong with each; the parts to make more.

What to expect comes from RFC 1035 §4.1, RFC 6891 §6.1 and RFC 9267, never from a run of the code.
"""

from collections.abc import Callable
from struct import pack
from typing import Final, NamedTuple

QNAME: Final = b"\3www\7example\3org\0"
QUESTION: Final = QNAME + b"\0\1\0\1"
POINTER_TO_QNAME: Final = b"\xc0\x0c"
AFTER_QUESTION: Final = 12 + len(QUESTION)
"""Where the first answer begins."""


class Hostile(NamedTuple):
    """A reply to `QUESTION`, and words of the refusal; ``None``: it may be read, but cheaply."""

    name: str
    data: bytes
    words: str | None


def header(
    answers: int = 0, authority: int = 0, additional: int = 0, questions: int = 1, flags: int = 0x8180
) -> bytes:
    return pack(">6H", 0x1234, flags, questions, answers, authority, additional)


def record(
    rdata: bytes = b"\xc0\0\2\1",
    rdtype: int = 1,
    owner: bytes = POINTER_TO_QNAME,
    ttl: int = 300,
    rdclass: int = 1,
    length: int | None = None,
) -> bytes:
    return owner + pack(">HHIH", rdtype, rdclass, ttl, len(rdata) if length is None else length) + rdata


def option(data: bytes = b"", code: int = 10) -> bytes:
    return pack(">HH", code, len(data)) + data


def opt(options: bytes = b"", *, ttl: int = 0, owner: bytes = b"\0") -> bytes:
    return record(options, 41, owner, ttl, 1232)


def reply(*answers: bytes, authority: tuple[bytes, ...] = (), additional: tuple[bytes, ...] = ()) -> bytes:
    counts = header(len(answers), len(authority), len(additional))
    return counts + QUESTION + b"".join(answers + authority + additional)


def pointer(offset: int) -> bytes:
    return pack(">H", 0xC000 | offset)


def name(*labels: bytes) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


LONGEST: Final = name(*[b"x"] * 127)
"""255 bytes, 127 labels."""
_HERE: Final = AFTER_QUESTION
_DATA: Final = AFTER_QUESTION + 12  # of a first answer whose owner is a pointer


def chain(hops: int, user: Callable[[bytes], bytes], users: int) -> bytes:
    """A record of a private type full of pointers, each to the one before, and records made with the last of them."""
    links = POINTER_TO_QNAME + b"".join(pointer(_DATA + 2 * i) for i in range(hops - 1))
    last = pointer(_DATA + 2 * (hops - 1))
    return reply(record(links, 65280), *[user(last) for _ in range(users)])


def _ladder(names: int, users_of_each: int) -> bytes:
    """Names of 127 labels, and records owned by pointers into all places of them."""
    long = [record(LONGEST, 65280) for _ in range(names)]
    at = [_DATA + i * (12 + len(LONGEST)) for i in range(names)]
    users = [record(b"", 65280, pointer(start + 2 * i)) for i in range(users_of_each) for start in at]
    return reply(*long, *users)


def _labels_before_pointers(count: int) -> bytes:
    """Owners of one label and a pointer to the owner before: each is longer by a label, until they are too long."""
    owners = [b"\1a" + POINTER_TO_QNAME]
    answers = [record(b"", 65280, owners[0])]
    at = _HERE
    for _ in range(count - 1):
        owners.append(b"\1a" + pointer(at))
        at += len(answers[-1])
        answers.append(record(b"", 65280, owners[-1]))
    return reply(*answers)


_A: Final = record()

HOSTILE: Final = [
    # The header, and what it promises.
    Hostile("nothing", b"", "header of 12 bytes, got 0"),
    Hostile("half a header", header()[:11], "header of 12 bytes, got 11"),
    Hostile(
        "counts without records", header(65535, 65535, 65535) + QUESTION, "1000 records at most, got 196606"
    ),
    Hostile("more records than can be", header(900) + QUESTION + _A * 20, "room for 901 records"),
    Hostile("one answer too few", header(3) + QUESTION + _A * 2 + b"\0" * 9, "room for|end of the message"),
    Hostile(
        "more records than may be", reply(*[record(b"", 65280)] * 1000), "1000 records at most, got 1001"
    ),
    Hostile(
        "one answer too many",
        header(1) + QUESTION + _A * 2,
        "expected the end of the message, got 16 bytes more",
    ),
    Hostile("a byte after the end", reply(_A) + b"\0", "expected the end of the message, got 1 bytes more"),
    Hostile("an answer cut in its data", reply(_A)[:-1], "end of the message"),
    Hostile("an answer cut in its fixed part", reply(_A, _A)[: -len(_A) + 5] + b"", "end of the message"),
    # Data lengths.
    Hostile("data longer than the message", reply(record(length=5)), "end of the message"),
    Hostile("data far longer than the message", reply(record(length=65535), _A), "end of the message"),
    Hostile("data shorter than its bytes", reply(record(length=3)), "expected the end of the message, got 1"),
    # Names: NAME:WRECK and friends.
    Hostile("a pointer to itself", reply(record(owner=pointer(_HERE))), f"got {_HERE}"),
    Hostile("two pointers in a circle", reply(record(pointer(_DATA + 2) + pointer(_DATA), 5), _A), None),
    Hostile("a pointer forwards", reply(record(owner=pointer(_HERE + 2))), f"got {_HERE + 2}"),
    Hostile("a pointer beyond the end", reply(record(owner=pointer(16383))), "got 16383"),
    Hostile("a pointer into the header", reply(record(owner=pointer(0))), "got 0"),
    Hostile("a pointer to the header's end", reply(record(owner=pointer(11))), "got 11"),
    Hostile("labels that point at themselves", reply(record(owner=b"\1a" + pointer(_HERE))), f"got {_HERE}"),
    Hostile("labels that point behind themselves", reply(record(owner=b"\1a" + pointer(_HERE + 1))), "got"),
    Hostile("half a pointer", reply(_A)[:_HERE] + b"\xc0" + b"\0" * 10, "got"),
    Hostile("a label of kind 0x40", reply(record(owner=b"\x41a\0")), "1 to 63 bytes or a pointer, got 0x41"),
    Hostile("a label of kind 0x80", reply(record(owner=b"\x81a\0")), "1 to 63 bytes or a pointer, got 0x81"),
    Hostile("a pointer of kind 0x40", reply(record(owner=b"\x40\x0c")), "got 0x40"),
    Hostile("a pointer of kind 0x80", reply(record(owner=b"\x80\x0c")), "got 0x80"),
    Hostile(
        "a label longer than the message", reply(record(owner=b"\1a\x3f", rdata=b"")), "end of the message"
    ),
    Hostile("a name without an end", header(1) + QUESTION + b"\1a" * 40, "end of the message"),
    Hostile("a name of 256 bytes", reply(record(owner=name(b"xx", *[b"x"] * 126))), "255 bytes at most"),
    Hostile("a name without zero for ages", header(1) + QUESTION + b"\1a" * 32000, "255 bytes at most"),
    Hostile(
        "a name of 256 bytes by a pointer",
        reply(record(LONGEST, 65280), record(owner=b"\1a" + pointer(_DATA))),
        "255 bytes at most",
    ),
    Hostile(
        "a pointer to a name of 257 bytes by a pointer",
        reply(record(LONGEST + b"\1a" + pointer(_DATA), 65280), record(owner=pointer(_DATA + len(LONGEST)))),
        "255 bytes at most",
    ),
    Hostile("names that grow by a label", _labels_before_pointers(200), "255 bytes at most"),
    Hostile("8000 pointers in a chain", chain(8000, lambda last: record(owner=last), 900), None),
    Hostile("100 names of 127 labels, pointed into", _ladder(60, 15), "fewer steps|got \\d"),
    Hostile(
        "900 owners of 127 labels", reply(record(LONGEST, 65280), *[record(owner=pointer(_DATA))] * 900), None
    ),
    Hostile("250 owners of 127 labels in full", reply(*[record(b"", 65280, LONGEST)] * 240), "fewer steps"),
    # OPT.
    Hostile("two OPT records", reply(additional=(opt(), opt())), "expected one OPT record, got two"),
    Hostile("an OPT record among the answers", reply(opt()), "OPT record of the root, among the additional"),
    Hostile(
        "an OPT record as authority",
        reply(authority=(opt(),)),
        "OPT record of the root, among the additional",
    ),
    Hostile(
        "an OPT record with a name",
        reply(additional=(opt(owner=POINTER_TO_QNAME),)),
        "OPT record of the root",
    ),
    Hostile(
        "an option that is too long",
        reply(additional=(opt(pack(">HH", 10, 9) + b"12345678"),)),
        "half a one|end",
    ),
    Hostile("half the head of an option", reply(additional=(opt(option() + b"\0\n\0"),)), "half a one|end"),
    Hostile(
        "options to fill 64 kB", reply(additional=(opt(option() * 16000),)), "100 options of EDNS at most"
    ),
    Hostile("an option over the end of OPT", reply(additional=(opt(pack(">HH", 10, 4)), _A)), "half a one"),
]
