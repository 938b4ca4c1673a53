"""`QueryReader`: what is a query, what is answered at once, and what not at all."""

import struct

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dns_server_aids import code_of, counts, query
from evkit.dns.message import CD, QR, RD
from evkit.dns.names import to_wire
from evkit.dns.server.limits import ServerLimits
from evkit.dns.server.query import QueryReader
from evkit.dns.server.request import Query, Question
from evkit.dns.types import AAAA, FORMERR, NOTIMP, A

READER = QueryReader(ServerLimits())
NAME = to_wire("www.example.org")


def header(
    flags: int = RD, questions: int = 1, answers: int = 0, authority: int = 0, additional: int = 0
) -> bytes:
    return struct.pack(">6H", 0x1234, flags, questions, answers, authority, additional)


def question(name: bytes = NAME, rdtype: int = A, rdclass: int = 1) -> bytes:
    return name + struct.pack(">HH", rdtype, rdclass)


def read(data: bytes, reader: QueryReader = READER) -> Query:
    found = reader.read(data)
    assert isinstance(found, Query)
    return found


def refused(data: bytes, reader: QueryReader = READER) -> bytes:
    found = reader.read(data)
    assert isinstance(found, bytes)
    return found


class TestQueries:
    def test_a_plain_one(self) -> None:
        found = read(header(RD | CD) + question(to_wire("wWw.eXample.org")))
        assert found == Query(
            0x1234,
            RD | CD,
            (Question(to_wire("wWw.eXample.org"), A, 1),),
            question(to_wire("wWw.eXample.org")),
            None,
        )

    def test_its_words(self) -> None:
        (asked,) = read(header() + question(to_wire("wWw.example.org"), 65280)).questions
        assert (asked.name, asked.type, asked.rdtype, asked.rdclass) == (
            "wWw.example.org",
            "TYPE65280",
            65280,
            1,
        )

    def test_what_edns_tells(self) -> None:
        opt = read(query(use_edns=0, want_dnssec=True, payload=4000, options=[])).opt
        assert opt is not None
        assert (opt.udp_size, opt.version, opt.dnssec_ok, opt.options) == (4000, 0, True, ())

    def test_records_that_mean_nothing_to_a_server(self) -> None:
        record = b"\0" + struct.pack(">HHIH", 250, 255, 0, 3) + b"abc"
        assert read(header(additional=1) + question() + record).questions[0].rdtype == A

    def test_several_questions_if_that_is_allowed(self) -> None:
        reader = QueryReader(ServerLimits(max_questions=2))
        found = read(header(questions=2) + question() + question(b"\xc0\x10", AAAA), reader)
        assert found.questions == (Question(NAME, A, 1), Question(to_wire("example.org"), AAAA, 1))
        assert found.section == question() + question(to_wire("example.org"), AAAA)


class TestRefused:
    @pytest.mark.parametrize(
        "data",
        [
            header(questions=0),
            header(questions=2) + question() * 2,  # RFC 9619
            header(),
            header() + question()[:-1],
            header() + question() + b"\0",
            header(answers=1) + question(),
            header(questions=65535, answers=65535, authority=65535, additional=65535) + question(),
            header() + question(b"\xc0\x0c"),
            header() + question(b"\xc0\x00"),
            header() + question(b"\x40" + bytes(64)),
            header() + question((b"\x3f" + bytes(63)) * 4 + b"\0"),
            header(additional=2) + question() + (b"\0" + struct.pack(">HHIH", 41, 512, 0, 0)) * 2,
            header(additional=17 + 1) + question() + (b"\0" + struct.pack(">HHIH", 16, 1, 0, 0)) * 18,
        ],
        ids=range(13),
    )
    def test_what_can_not_be_read(self, data: bytes) -> None:
        assert refused(data) == header(QR | RD | FORMERR, 0)

    def test_what_is_too_long(self) -> None:
        for size, fits in ((4096, True), (4097, False)):
            padding = size - len(header() + question()) - 11 - 4
            option = struct.pack(">HH", 12, padding) + bytes(padding)
            opt = b"\0" + struct.pack(">HHIH", 41, 1232, 0, len(option)) + option
            found = READER.read(header(additional=1) + question() + opt)
            assert isinstance(found, Query) == fits
            assert fits or found == header(QR | RD | FORMERR, 0)

    @pytest.mark.parametrize("opcode", range(1, 16))
    def test_other_opcodes(self, opcode: int) -> None:
        flags = opcode << 11 | CD
        assert refused(header(flags) + question()) == header(QR | opcode << 11 | NOTIMP, 0)
        assert refused(header(flags) + b"whatever") == header(QR | opcode << 11 | NOTIMP, 0)

    def test_a_version_of_edns_to_come(self) -> None:
        message = dns.message.from_wire(refused(query(use_edns=1)))
        assert message.rcode() == dns.rcode.BADVERS
        assert (message.edns, message.payload) == (0, 1232)
        assert str(message.question[0]) == "www.example.org. IN A"
        assert message.flags == QR | RD

    def test_more_questions_than_every_reply_has_room_for(self) -> None:
        long = question((b"\x3f" + b"x" * 63) * 3 + b"\0")
        reader = QueryReader(ServerLimits(max_questions=3))
        assert refused(header(questions=3) + long * 3, reader) == header(QR | RD | FORMERR, 0)
        assert len(read(header(questions=2) + long * 2, reader).questions) == 2


class TestIgnored:
    @pytest.mark.parametrize("size", range(12))
    def test_what_is_shorter_than_a_header(self, size: int) -> None:
        assert READER.read(query()[:size]) is None

    @pytest.mark.parametrize("flags", [QR, QR | RD, QR | 5 << 11])
    def test_replies(self, flags: int) -> None:
        assert READER.read(header(flags) + question()) is None
        assert READER.read(header(flags) + b"x") is None


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda rest: header() + rest))
def test_nothing_but_these_comes_of_any_bytes(data: bytes) -> None:
    found = READER.read(data)
    if isinstance(found, bytes):
        assert (found[:2], found[2] & 0x80) == (data[:2], 0x80)
        assert code_of(found) in (FORMERR, NOTIMP, 0)  # BADVERS has its bits elsewhere
        assert counts(found)[1:3] == (0, 0)
    elif found is None:
        assert len(data) < 12 or data[2] & 0x80
    else:
        assert len(found.questions) == 1
