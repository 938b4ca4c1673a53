"""Messages of the DNS: questions are written, and whole messages are taken apart strictly, with bounded work.

Deciders over bytes. A record is told as a tuple, `Raw`, that says where its data stands; what the data means is read in
`evkit.dns.rdata`, and what a reply says about a question in `evkit.dns.interpretation`. This module knows nothing of
sockets, and believes nothing that a message says of itself: counts, lengths and pointers are held against the bytes
that are there, and the steps of reading names are counted against a limit.

Source: RFC 1035 §4, RFC 6891; RFC 9267 tells what others got wrong.
"""

from collections.abc import Sequence
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class
from typing import Final, NamedTuple

from evkit.dns.errors import MessageError
from evkit.dns.name_reader import FIRST_NAME as FIRST_NAME
from evkit.dns.name_reader import MOST_STEPS, POINTER_BYTE, NameReader
from evkit.dns.name_reader import POINTER as POINTER
from evkit.dns.names import ROOT
from evkit.dns.types import IN, OPT, rcode_name

HEADER: Final = Struct(">6H")
"""Id, flags, and how many questions, answers, authority and additional records follow."""

QR: Final = 0x8000
AA: Final = 0x0400
TC: Final = 0x0200
RD: Final = 0x0100
RA: Final = 0x0080
AD: Final = 0x0020
CD: Final = 0x0010
OPCODE_SHIFT: Final = 11
OPCODE_BITS: Final = 0xF << OPCODE_SHIFT
RCODE_BITS: Final = 0xF

MAX_TTL: Final = 0x7FFFFFFF
"""A TTL with its highest bit set counts as nothing: RFC 2181 §8."""

Question = tuple[bytes, int, int]
"""The name as sent, in wire form; type; class."""
Raw = tuple[bytes, int, int, int, int, int]
"""A record: the owner, folded; type; class; TTL in seconds; where its data begins in the message; how long that is."""
Options = tuple[tuple[int, bytes], ...]
"""Those of EDNS: code and data of each, in order."""

_DNSSEC_OK: Final = 0x8000
_QUESTION: Final = Struct(">HH")
_RECORD: Final = Struct(">HHIH")
_OPTION: Final = Struct(">HH")
_FIXED: Final = _RECORD.size
_AFTER_POINTER: Final = 2 + _FIXED
_MIN_QUESTION: Final = 1 + _QUESTION.size
_MIN_RECORD: Final = 1 + _FIXED
_unpack_header: Final = HEADER.unpack_from
_unpack_record: Final = _RECORD.unpack_from
_unpack_after_pointer: Final = Struct(">HHHIH").unpack_from
_unpack_question: Final = _QUESTION.unpack_from

_FIRST_NAME_POINTER: Final = POINTER | FIRST_NAME
_CUT: Final = "expected more of a record, got the end of the message"
_MISPLACED_OPT: Final = "expected an OPT record of the root, among the additional records"


class Limits(NamedTuple):
    """How much one message may ask for, whatever its size.

    Attributes:
        records: Questions and records of all sections together. BIND and Unbound limit them too since CVE-2024-1737.
        label_steps: Labels and pointers that are looked at to read all names, those of the records' data among them;
            and bytes of data that `evkit.dns.rdata` has others read.
        edns_options: Options in its OPT record.
    """

    records: int = 1000
    label_steps: int = MOST_STEPS
    edns_options: int = 100


DEFAULT_LIMITS: Final = Limits()


class Opt(NamedTuple):
    """What the OPT record says: RFC 6891 §6.1.

    Attributes:
        udp_size: Bytes that the sender can take in a datagram.
        version: Of EDNS, 0.
        dnssec_ok: DNSSEC's records are welcome: RFC 3225.
        options: Code and data of each, in order.
    """

    udp_size: int
    version: int
    dnssec_ok: bool
    options: Options


class Message:
    """A message that was taken apart.

    Attributes:
        id: 0 to 65535.
        flags: The second word of the header: `QR`, `AA`, … with opcode and response code.
        rcode: The response code, with the bits that the OPT record adds to it.
        questions: What is asked.
        answers: The records of the answer section, and so on; the OPT record is in none of them.
        authority: Likewise.
        additional: Likewise.
        opt: What the OPT record says; ``None`` without one.
        data: The whole message, which the records' places refer to.
    """

    __slots__ = (
        "_names",
        "_steps",
        "additional",
        "answers",
        "authority",
        "data",
        "flags",
        "id",
        "opt",
        "questions",
        "rcode",
    )

    def __init__(self, data: bytes, message_id: int, flags: int, steps: int) -> None:
        self.data = data
        self.id = message_id
        self.flags = flags
        self.rcode = flags & RCODE_BITS
        self.questions: Sequence[Question] = ()
        self.answers: Sequence[Raw] = ()
        self.authority: Sequence[Raw] = ()
        self.additional: Sequence[Raw] = ()
        self.opt: Opt | None = None
        self._names: NameReader | None = None
        self._steps = steps

    @property
    def names(self) -> NameReader:
        """What reads the names in it and counts the steps; made when it is first needed, as many replies never do."""
        if self._names is None:
            self._names = NameReader(self.data, self._steps)
        return self._names

    @property
    def opcode(self) -> int:
        """What kind of message it is: 0 for questions and their answers."""
        return self.flags >> OPCODE_SHIFT & 0xF

    def __repr__(self) -> str:
        counts = "/".join(
            str(len(each)) for each in (self.questions, self.answers, self.authority, self.additional)
        )
        kind = "reply" if self.flags & QR else "query"
        return (
            f"<Message {kind} id={self.id} {rcode_name(self.rcode)} records={counts} bytes={len(self.data)}>"
        )


def encode_question(wire_name: bytes, rdtype: int, rdclass: int = IN) -> bytes:
    """Return a question as it stands in a message: name, type, class."""
    return wire_name + _QUESTION.pack(rdtype, rdclass)


def encode_query(message_id: int, question: bytes, opt: bytes = b"", flags: int = RD) -> bytes:
    """Return a query with one question.

    Args:
        message_id: 0 to 65535.
        question: As `encode_question` gives it.
        opt: An OPT record, as `encode_opt` gives it, or nothing.
        flags: What the header says beside it.
    """
    return HEADER.pack(message_id, flags, 1, 0, 0, 1 if opt else 0) + question + opt


def encode_opt(
    udp_size: int, options: bytes = b"", *, dnssec_ok: bool = False, extended_rcode: int = 0, version: int = 0
) -> bytes:
    """Return an OPT record.

    Args:
        udp_size: Bytes that this side can take in a datagram, to 65535.
        options: One after the other, as `encode_option` gives them.
        dnssec_ok: Ask for DNSSEC's records.
        extended_rcode: The whole response code; the upper eight of its twelve bits stand here.
        version: Of EDNS.

    Source: RFC 6891 §6.1.
    """
    ttl = extended_rcode >> 4 << 24 | version << 16 | (_DNSSEC_OK if dnssec_ok else 0)
    return ROOT + _RECORD.pack(OPT, udp_size, ttl, len(options)) + options


def encode_option(code: int, data: bytes) -> bytes:
    """Return an option of EDNS: RFC 6891 §6.1.2."""
    return _OPTION.pack(code, len(data)) + data


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """Take a whole message apart, with any number of questions.

    Raises:
        MessageError: It is cut short, or goes on after its end; it has more records than may be or can be; a name is
            bad (see `NameReader.read`); there are two OPT records, or one in the wrong place.
    """
    message, counts = _begin(data, limits)
    offset = HEADER.size
    questions = []
    try:
        for _ in range(counts[0]):
            name, offset = message.names.read(offset)
            questions.append((name, *_unpack_question(data, offset)))
            offset += _QUESTION.size
    except StructError:
        raise MessageError("expected more of a question, got the end of the message", offset) from None
    message.questions = questions
    _read_sections(message, offset, counts, {}, limits)
    return message


def decode_reply(data: bytes, question: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
    """Take the reply to a question apart.

    Args:
        data: The reply. The caller has seen that id and QR are right, that it has one question, and that
            ``data.startswith(question, FIRST_NAME)``; and that `TC` is not set, as what was cut off
            may be half a record.
        question: What was asked, as it was sent: its name may have letters of either size by chance.
        limits: Of the whole message.

    Returns:
        The message, in which the name of the question is folded: letters made large by chance don't show up in names
        that were shortened by pointing to it. It has no additional records but what the OPT record says: nobody asks
        for the others, which anybody may have put there. They are checked, but names that pointers stand for are not
        read.

    Raises:
        MessageError: As `decode` does.
    """
    name = question[:-4].lower()
    if not data.startswith(name, FIRST_NAME):
        data = data[:FIRST_NAME] + name + data[FIRST_NAME + len(name) :]
    message, (_, answers, authority, additional) = _begin(data, limits)
    message.questions = ((name, *_unpack_question(question, len(name))),)
    offset = FIRST_NAME + len(question)
    owners = {_FIRST_NAME_POINTER: name}
    try:
        if answers:
            message.answers, offset = _read_records(message, offset, answers, owners)
        if authority:
            _know_suffix(data, offset, name, owners)
            message.authority, offset = _read_records(message, offset, authority, owners)
        if additional:
            offset = _pass_over(message, offset, additional, limits)
    except (IndexError, StructError):
        raise MessageError(_CUT, len(data)) from None
    if offset != len(data):
        raise _wrong_end(offset, len(data))
    return message


def _know_suffix(data: bytes, offset: int, name: bytes, owners: dict[int, bytes]) -> None:
    """Know the owner of the record at ``offset`` if it points into the question's name.

    That is how a zone above the name is written, and quicker than to read it.
    """
    target = (data[offset] << 8 | data[offset + 1]) - _FIRST_NAME_POINTER
    if 0 < target < len(name):
        position = 0
        while position < target:
            position += name[position] + 1
        if position == target:
            owners[target + _FIRST_NAME_POINTER] = name[position:]


def _pass_over(message: Message, offset: int, count: int, limits: Limits) -> int:
    """Check ``count`` additional records, take the OPT record, and return where the message should end.

    Raises:
        MessageError: As `decode` does, but for what a pointer goes to, as long as it goes back.
    """
    data = message.data
    for _ in range(count):
        first = data[offset]
        if first >= POINTER_BYTE:
            pointer, rdtype, rdclass, ttl, length = _unpack_after_pointer(data, offset)
            if not _FIRST_NAME_POINTER <= pointer < POINTER | offset:
                raise MessageError(f"expected a pointer back, got one to {pointer - POINTER}", offset)
            start = offset + _AFTER_POINTER
        else:
            offset = message.names.read(offset)[1] if first else offset + 1
            rdtype, rdclass, ttl, length = _unpack_record(data, offset)
            start = offset + _FIXED
        if rdtype == OPT:
            if first:
                raise MessageError(_MISPLACED_OPT, start)
            _read_opt(message, rdclass, ttl, start, length, limits)
        offset = start + length
    return offset


_Counts = tuple[int, int, int, int]


def _begin(data: bytes, limits: Limits) -> tuple[Message, _Counts]:
    """Read the header, and hold its counts against the limit and the bytes that are there, before anything else."""
    size = len(data)
    if size < FIRST_NAME:
        raise MessageError(f"expected a header of {FIRST_NAME} bytes, got {size}", 0)
    message_id, flags, questions, answers, authority, additional = _unpack_header(data)
    records = answers + authority + additional
    if questions + records > limits.records:
        raise MessageError(f"expected {limits.records} records at most, got {questions + records}", 4)
    if questions * _MIN_QUESTION + records * _MIN_RECORD > size - FIRST_NAME:
        raise MessageError(
            f"expected room for {questions + records} records, got {size - FIRST_NAME} bytes", 4
        )
    message = Message(data, message_id, flags, limits.label_steps)
    return message, (questions, answers, authority, additional)


def _read_sections(
    message: Message, offset: int, counts: _Counts, owners: dict[int, bytes], limits: Limits
) -> None:
    """Read all records.

    Args:
        message: Where they go.
        offset: Where they begin.
        counts: What the header says.
        owners: Pointers, as numbers of 16 bits, to the folded names that they stand for; it grows.
        limits: Of the message.
    """
    _, answers, authority, additional = counts
    try:
        if answers:
            message.answers, offset = _read_records(message, offset, answers, owners)
        if authority:
            message.authority, offset = _read_records(message, offset, authority, owners)
        if additional:
            message.additional, offset = _read_records(message, offset, additional, owners, limits)
    except (IndexError, StructError):
        raise MessageError(_CUT, len(message.data)) from None
    if offset != len(message.data):
        raise _wrong_end(offset, len(message.data))


def _wrong_end(offset: int, size: int) -> MessageError:
    if offset < size:
        return MessageError(f"expected the end of the message, got {size - offset} bytes more", offset)
    return MessageError(
        f"expected {offset - size} bytes more of a record's data, got the end of the message", size
    )


def _read_records(
    message: Message, offset: int, count: int, owners: dict[int, bytes], limits: Limits | None = None
) -> tuple[list[Raw], int]:
    """Read ``count`` records; return them and where the next would begin, which may be beyond the message's end.

    An OPT record may only be among those for which there are ``limits``: the additional ones.
    """
    data = message.data
    section: list[Raw] = []
    for _ in range(count):
        first = data[offset]
        if first >= POINTER_BYTE:
            pointer, rdtype, rdclass, ttl, length = _unpack_after_pointer(data, offset)
            owner = owners.get(pointer)
            if owner is None:
                owner = owners[pointer] = message.names.pointed_at(pointer - POINTER, offset).lower()
            start = offset + _AFTER_POINTER
        else:
            if first:
                name, offset = message.names.read(offset)
                owner = name.lower()
            else:
                owner = ROOT
                offset += 1
            rdtype, rdclass, ttl, length = _unpack_record(data, offset)
            start = offset + _FIXED
        offset = start + length
        if rdtype == OPT:
            if limits is None or owner != ROOT:
                raise MessageError(_MISPLACED_OPT, start)
            _read_opt(message, rdclass, ttl, start, length, limits)
        else:
            section.append((owner, rdtype, rdclass, ttl if ttl <= MAX_TTL else 0, start, length))
    return section, offset


def _read_opt(message: Message, udp_size: int, ttl: int, start: int, length: int, limits: Limits) -> None:
    if message.opt is not None:
        raise MessageError("expected one OPT record, got two", start)
    options = read_options(message.data, start, length, limits) if length else ()
    message.opt = Opt(udp_size, ttl >> 16 & 0xFF, bool(ttl & _DNSSEC_OK), options)
    message.rcode |= ttl >> 24 << 4


def read_options(data: bytes, start: int, length: int, limits: Limits = DEFAULT_LIMITS) -> Options:
    """Read the data of an OPT record.

    Raises:
        MessageError: There are too many options, or the last one is not whole.
    """
    options: list[tuple[int, bytes]] = []
    end = start + length
    offset = start
    while offset < end:
        if len(options) == limits.edns_options:
            raise MessageError(f"expected {limits.edns_options} options of EDNS at most, got more", offset)
        code, size = _OPTION.unpack_from(data, offset)
        offset += _OPTION.size + size
        options.append((code, data[offset - size : offset]))
    if offset != end:
        raise MessageError("expected options of EDNS as long as their record, got half a one", start)
    return tuple(options)
