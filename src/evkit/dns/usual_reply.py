"""The reply that nearly every question for addresses gets, read in one go.

A shortcut, for speed alone: whatever it takes, `evkit.dns.message.decode_reply` and
`evkit.dns.interpretation.interpret` take to the same effect, and what it does not take says nothing: it is left to
them. So it knows but one kind of answer, addresses of the very name that was asked for, and of all records after them
no more than what tells whether they are well made. It knows nothing of tries, servers or sockets.
"""

import socket
from collections.abc import Callable
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class
from typing import Final

from evkit.dns.answer import Answer, Record
from evkit.dns.errors import MessageError
from evkit.dns.message import (
    AD,
    FIRST_NAME,
    HEADER,
    MAX_TTL,
    OPCODE_BITS,
    POINTER,
    QR,
    RCODE_BITS,
    TC,
    Options,
    read_options,
)
from evkit.dns.names import to_text
from evkit.dns.types import AAAA, IN, OPT, A, type_name

_PLAIN: Final = QR | OPCODE_BITS | TC | RCODE_BITS
"""The flags that are those of a whole reply without an error when `QR` alone is set."""
_MOST: Final = 64
"""Records: reading more of them takes its time anyhow."""
_OWN_NAME: Final = POINTER | FIRST_NAME
_unpack_header: Final = HEADER.unpack_from
_unpack_fixed: Final = Struct(">HHIH").unpack_from
_skim: Final = Struct(">HH6xH").unpack_from
"""Of a record whose owner is a pointer: the pointer, the type, and how long the data is."""
_record: Final = tuple.__new__
"""``_record(Record, fields)`` is `Record` without its detour."""
_FIXED: Final = 10
_AFTER_POINTER: Final = 12


class _Kind:
    """A kind of address, and how its records look."""

    __slots__ = ("begin", "name", "size", "text_of", "unpack")

    def __init__(self, rdtype: int, size: int, text_of: Callable[[bytes], str]) -> None:
        self.name = type_name(rdtype)
        self.begin = Struct(">HHH").pack(_OWN_NAME, rdtype, IN)
        self.size = size
        self.text_of = text_of
        self.unpack = Struct(f">6sIH{size}s").unpack_from


_KINDS: Final = {
    A: _Kind(A, 4, socket.inet_ntoa),
    AAAA: _Kind(AAAA, 16, lambda packed: socket.inet_ntop(socket.AF_INET6, packed)),
}


def read_usual(data: bytes, question: bytes, name: bytes, rdtype: int) -> tuple[Answer, Options] | None:
    """Read the reply to a question, if it is as most are.

    Args:
        data: What came; the caller has seen that the id is right.
        question: What was asked, as it was sent.
        name: The name in it, folded.
        rdtype: The type in it.

    Returns:
        The answer, and what options of EDNS came with it; ``None``: have a closer look. `Answer.authenticated` is what
        the server says.
    """
    kind = _KINDS.get(rdtype)
    if kind is None:
        return None
    start = FIRST_NAME + len(question)
    if len(data) < start or data[FIRST_NAME:start] != question:
        return None
    _, flags, questions, answers, authority, additional = _unpack_header(data)
    if flags & _PLAIN != QR or questions != 1 or not answers:
        return None
    if answers + authority + additional > _MOST:
        return None
    text = to_text(name)
    try:
        records = _addresses(data, start, answers, kind, text)
        if records is None:
            return None
        start += answers * (_AFTER_POINTER + kind.size)
        options = _options_after(data, start, name, authority, additional)
    except (IndexError, StructError, MessageError):
        return None
    if options is None:
        return None
    ttl = records[0].ttl if answers == 1 else min([record.ttl for record in records])
    answer = Answer(text, kind.name, records)
    answer.ttl = ttl
    answer.authenticated = flags & AD != 0
    return answer, options


def _addresses(data: bytes, start: int, count: int, kind: _Kind, name: str) -> tuple[Record, ...] | None:
    """Read the records of the answer, each once; ``None``: one is not as usual."""
    records = []
    for _ in range(count):
        begin, ttl, length, packed = kind.unpack(data, start)
        if begin != kind.begin or length != kind.size:
            return None
        records.append(_record(Record, (name, kind.name, ttl if ttl <= MAX_TTL else 0, kind.text_of(packed))))
        start += _AFTER_POINTER + length
    return tuple(records) if count == 1 else tuple(dict.fromkeys(records))


def _options_after(data: bytes, offset: int, name: bytes, authority: int, additional: int) -> Options | None:
    """Pass over the other records, and return the options in the OPT record; ``None``: something is not as usual."""
    options: Options | None = None
    for place in range(-authority, additional):
        if data[offset]:
            pointer, rdtype, length = _skim(data, offset)
            if rdtype == OPT or not _OWN_NAME <= pointer < POINTER | offset:
                return None
            if place < 0 and not _is_suffix(name, pointer - _OWN_NAME):
                return None
            offset += _AFTER_POINTER + length
        else:
            rdtype, _, ttl, length = _unpack_fixed(data, offset + 1)
            offset += 1 + _FIXED + length
            if rdtype == OPT:
                if place < 0 or options is not None or ttl >> 24:
                    return None
                options = read_options(data, offset - length, length) if length else ()
    return (options or ()) if offset == len(data) else None


def _is_suffix(name: bytes, start: int) -> bool:
    """Tell whether one of the labels of a name begins at ``start``, or its root stands there."""
    position = 0
    while position < start:
        position += name[position] + 1
    return position == start < len(name)
