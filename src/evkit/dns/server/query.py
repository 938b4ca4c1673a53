"""What has come from a client: a query for the handler, something to answer at once, or nothing at all.

A decider over bytes: it knows nothing of who sent them.
"""

from typing import Final

from evkit.dns.errors import MessageError
from evkit.dns.message import HEADER, OPCODE_SHIFT, QR, RD, Limits, decode, encode_opt, encode_question
from evkit.dns.server.limits import MIN_UDP_SIZE, ServerLimits
from evkit.dns.server.reply_builder import ReplyBuilder
from evkit.dns.server.request import MIN_OPT, Query, Question
from evkit.dns.types import BADVERS, FORMERR, NOTIMP

_OPCODE: Final = 0xF
_MORE_RECORDS: Final = 16
"""Records beside the questions that a query may have: OPT, a signature, a SOA; all else means nothing to a server."""

_MAX_QUERY: Final = 4096
"""Bytes of a query. The longest that mean anything, signed and padded, have some 1,000; each that waits is kept."""
_MAX_SECTION: Final = MIN_UDP_SIZE - HEADER.size - MIN_OPT
"""Bytes of several questions, which every reply repeats; a single one is never so long."""


class QueryReader:
    """Reads queries.

    Args:
        limits: ``max_questions`` and ``max_udp_size`` count here.
    """

    __slots__ = ("_bounds", "_max_questions", "_udp_size")

    def __init__(self, limits: ServerLimits) -> None:
        self._max_questions = limits.max_questions
        self._udp_size = limits.max_udp_size
        records = limits.max_questions + _MORE_RECORDS
        self._bounds = Limits(records=records, label_steps=128 * records, edns_options=100)

    def read(self, data: bytes) -> Query | bytes | None:
        """Return the query, or the reply to something else, or ``None`` for what can't be answered.

        ``None`` are replies, which may not be answered lest two servers go on for ever, and what is shorter than a
        header. FORMERR answers what can't be read, NOTIMP all opcodes but that of queries, BADVERS versions of EDNS
        after 0.

        Source: RFC 1035 §4.1.1, RFC 6891 §6.1.3 and §7, RFC 9619. libevent answers no NOTIMP, although it means to.
        """
        if len(data) < HEADER.size:
            return None
        flags = data[2] << 8 | data[3]
        if flags & QR:
            return None
        if flags >> OPCODE_SHIFT & _OPCODE:
            return _header(data, NOTIMP)
        if len(data) > _MAX_QUERY:
            return _header(data, FORMERR)
        try:
            message = decode(data, self._bounds)
        except MessageError:
            return _header(data, FORMERR)
        questions = tuple([Question(*question) for question in message.questions])
        if not 1 <= len(questions) <= self._max_questions:
            return _header(data, FORMERR)
        section = b"".join([encode_question(*question) for question in questions])
        if len(section) > _MAX_SECTION:
            return _header(data, FORMERR)
        query = Query(message.id, flags, questions, section, message.opt)
        return query if message.opt is None or not message.opt.version else self._refuse_version(query)

    def _refuse_version(self, query: Query) -> bytes:
        reply = ReplyBuilder(query.section, len(query.questions))
        opt = encode_opt(self._udp_size, extended_rcode=BADVERS)
        return reply.build(query.id, QR | (query.flags & RD) | BADVERS & 0xF, opt, self._udp_size)


def _header(data: bytes, code: int) -> bytes:
    """Return a reply of a header alone: the id, the opcode and RD are the query's."""
    kept = (data[2] << 8 | data[3]) & (_OPCODE << OPCODE_SHIFT | RD)
    return HEADER.pack(data[0] << 8 | data[1], QR | kept | code, 0, 0, 0, 0)
