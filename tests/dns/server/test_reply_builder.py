"""`ReplyBuilder`: dnspython reads what it writes, names are compressed where they may be, and nothing is cut in two."""

import dns.flags
import dns.message
import dns.name
import dns.rdata
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.message import QR, encode_opt, encode_question
from evkit.dns.names import to_wire
from evkit.dns.server.reply_builder import (
    ADDITIONAL,
    ANSWER,
    AUTHORITY,
    ReplyBuilder,
    end_of_name,
    split_data,
)
from evkit.dns.types import MX, NS, SOA, SRV, TXT, A

QNAME = to_wire("www.example.org")
TO_QUESTION = b"\xc0\x0c"
IP = b"\xc0\x00\x02\x01"


def builder(name: bytes = QNAME, rdtype: int = A) -> ReplyBuilder:
    return ReplyBuilder(encode_question(name, rdtype), 1, name)


def built(reply: ReplyBuilder, opt: bytes = b"", max_size: int = 65535) -> bytes:
    return reply.build(0x1234, QR, opt, max_size)


def read(data: bytes) -> dns.message.Message:
    return dns.message.from_wire(data, one_rr_per_rrset=True)


class TestRecords:
    def test_a_reply_without_any(self) -> None:
        data = built(builder())
        assert data == b"\x12\x34\x80\x00\x00\x01" + bytes(6) + encode_question(QNAME, A)

    def test_a_record_of_the_name_asked_for(self) -> None:
        reply = builder()
        reply.add(ANSWER, QNAME, A, 1, 300, IP)
        expected = TO_QUESTION + b"\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04" + IP
        assert built(reply).endswith(expected)
        assert len(reply) == 1

    def test_sections_stand_in_order_whatever_came_first(self) -> None:
        reply = builder()
        reply.add(ADDITIONAL, QNAME, A, 1, 3, IP)
        reply.add(AUTHORITY, QNAME, NS, 1, 2, to_wire("ns.example.org"))
        reply.add(ANSWER, QNAME, A, 1, 1, IP)
        message = read(built(reply, encode_opt(1232)))
        assert [rrset.ttl for rrset in message.answer] == [1]
        assert [rrset.to_text() for rrset in message.authority] == [
            "www.example.org. 2 IN NS ns.example.org."
        ]
        assert [rrset.ttl for rrset in message.additional] == [3]
        assert message.edns == 0

    def test_records_that_are_cleared_are_gone(self) -> None:
        reply = builder()
        reply.add(ANSWER, QNAME, A, 1, 300, IP)
        reply.clear()
        assert built(reply) == built(builder())

    def test_it_can_be_built_twice(self) -> None:
        reply = builder()
        reply.add(ANSWER, to_wire("a.b.c"), NS, 1, 300, to_wire("b.c"))
        assert built(reply) == built(reply)

    @pytest.mark.parametrize(
        ("section", "rdtype", "rdclass", "ttl", "rdata", "expected"),
        [
            (3, A, 1, 0, IP, "expected the section ANSWER, AUTHORITY or ADDITIONAL, got 3"),
            (ANSWER, -1, 1, 0, IP, "expected a type and a class of 0 to 65535"),
            (ANSWER, 65536, 1, 0, IP, "expected a type and a class of 0 to 65535"),
            (ANSWER, A, 65536, 0, IP, "expected a type and a class of 0 to 65535"),
            (ANSWER, A, 1, -1, IP, "a TTL has 0 to 2147483647 seconds, got -1"),
            (ANSWER, A, 1, 2**31, IP, "a TTL has 0 to 2147483647 seconds, got 2147483648"),
            (ANSWER, TXT, 1, 0, bytes(65536), "the data of a record has at most 65535 bytes, got 65536"),
            (ANSWER, NS, 1, 0, b"\x01", "expected an uncompressed name at byte 0"),
            (ANSWER, NS, 1, 0, b"", "expected an uncompressed name at byte 0"),
            (ANSWER, NS, 1, 0, TO_QUESTION, "expected an uncompressed name at byte 0"),
            (ANSWER, NS, 1, 0, b"\0\0", "expected the data of type 2"),
            (ANSWER, MX, 1, 0, b"\0", "expected an uncompressed name at byte 2"),
            (ANSWER, SOA, 1, 0, b"\0\0" + bytes(19), "expected the data of type 6"),
            (ANSWER, SOA, 1, 0, b"\0\0" + bytes(21), "expected the data of type 6"),
        ],
    )
    def test_what_can_not_be_added(
        self, section: int, rdtype: int, rdclass: int, ttl: int, rdata: bytes, expected: str
    ) -> None:
        reply = builder()
        with pytest.raises(ValueError, match=expected):
            reply.add(section, QNAME, rdtype, rdclass, ttl, rdata)
        assert len(reply) == 0


class TestCompression:
    @pytest.mark.parametrize(
        ("owner", "expected"),
        [
            ("www.example.org", TO_QUESTION),
            ("WWW.Example.ORG", TO_QUESTION),
            ("example.org", b"\xc0\x10"),
            ("a.www.example.org", b"\x01a" + TO_QUESTION),
            ("ftp.example.org", b"\x03ftp\xc0\x10"),
            ("org", b"\xc0\x18"),
            ("example.net", b"\x07example\x03net\x00"),
            (".", b"\x00"),
        ],
    )
    def test_of_owners(self, owner: str, expected: bytes) -> None:
        reply = builder()
        reply.add(ANSWER, to_wire(owner), A, 1, 0, IP)
        rest = built(reply)[12 + len(QNAME) + 4 :]
        assert rest[:-14] == expected

    def test_names_that_came_before_are_pointed_at(self) -> None:
        reply = builder()
        for owner in ("x.example.net", "y.example.net", "x.example.net"):
            reply.add(ANSWER, to_wire(owner), A, 1, 0, IP)
        data = built(reply)
        assert data.count(b"example") == 2  # once in the question
        assert [str(rrset.name) for rrset in read(data).answer] == [
            "x.example.net.",
            "y.example.net.",
            "x.example.net.",
        ]

    @pytest.mark.parametrize(
        ("rdtype", "text", "size"),
        [
            ("NS", "ns.example.org.", 5),
            ("CNAME", "www.example.org.", 2),
            ("PTR", "example.org.", 2),
            ("MX", "10 mail.example.org.", 9),
            ("SOA", "ns.example.org. root.example.org. 1 2 3 4 5", 5 + 7 + 20),
            ("SRV", "1 2 3 www.example.org.", 6 + 17),  # RFC 2782: no compression
            ("DNAME", "www.example.org.", 17),  # RFC 6672 §2.5
            ("RP", "www.example.org. .", 18),
        ],
    )
    def test_of_data(self, rdtype: str, text: str, size: int) -> None:
        rdata = dns.rdata.from_text("IN", rdtype, text)
        reply = builder()
        reply.add(ANSWER, QNAME, int(rdata.rdtype), 1, 0, rdata.to_wire())
        data = built(reply)
        assert len(data) - (12 + len(QNAME) + 4 + 12) == size
        assert read(data).answer[0][0] == rdata

    def test_names_are_not_pointed_at_where_pointers_do_not_reach(self) -> None:
        reply = builder()
        reply.add(ANSWER, QNAME, TXT, 1, 0, bytes(0x4000))
        for _ in range(2):
            reply.add(ANSWER, to_wire("x.example.net"), A, 1, 0, IP)
        assert built(reply).count(b"\x01x\x07example\x03net\x00") == 2

    def test_a_name_across_the_end_of_reach(self) -> None:
        reply = builder()
        begin = 12 + len(QNAME) + 4
        padding = 0x4000 - begin - 12 - 2  # the owner begins two bytes before the end of reach
        reply.add(ANSWER, QNAME, TXT, 1, 0, bytes(padding))
        for _ in range(2):
            reply.add(ANSWER, to_wire("x.net"), A, 1, 0, IP)
        data = built(reply)
        assert data[0x3FFE:0x4005] == b"\x01x\x03net\x00"
        assert data[-16:-14] == b"\xff\xfe"

    def test_a_question_of_the_root(self) -> None:
        reply = builder(b"\0", NS)
        reply.add(ANSWER, b"\0", NS, 1, 0, to_wire("a.root-servers.net"))
        assert [rrset.to_text() for rrset in read(built(reply)).answer] == [". 0 IN NS a.root-servers.net."]

    def test_no_question_at_all(self) -> None:
        reply = ReplyBuilder(b"", 0)
        reply.add(ANSWER, to_wire("a.b"), NS, 1, 0, to_wire("b"))
        assert built(reply)[12:] == b"\x01a\x01b\x00\x00\x02\x00\x01\x00\x00\x00\x00\x00\x02\xc0\x0e"


class TestSize:
    def filled(self, count: int, section: int = ANSWER) -> ReplyBuilder:
        reply = builder()
        for number in range(count):
            reply.add(section, QNAME, A, 1, number, IP)
        return reply

    def test_what_just_fits_is_whole(self) -> None:
        size = 12 + len(QNAME) + 4 + 11 + 3 * 16
        message = read(built(self.filled(3), encode_opt(1232), size))
        assert len(message.answer) == 3
        assert not message.flags & dns.flags.TC

    def test_a_record_that_does_not_fit_is_left_out_whole(self) -> None:
        size = 12 + len(QNAME) + 4 + 11 + 3 * 16
        data = built(self.filled(3), encode_opt(1232), size - 1)
        message = read(data)
        assert [rrset.ttl for rrset in message.answer] == [0, 1]
        assert message.flags & dns.flags.TC
        assert message.edns == 0
        assert len(data) == size - 16

    def test_nothing_comes_after_what_was_left_out(self) -> None:
        reply = builder()
        reply.add(ANSWER, QNAME, TXT, 1, 0, b"\x01x" * 300)
        reply.add(ANSWER, QNAME, A, 1, 0, IP)
        reply.add(AUTHORITY, QNAME, A, 1, 0, IP)
        message = read(built(reply, b"", 512))
        assert message.flags & dns.flags.TC
        assert (message.answer, message.authority) == ([], [])

    def test_what_is_too_long_of_the_authority_section_is_told(self) -> None:
        message = read(built(self.filled(40, AUTHORITY), b"", 512))
        assert message.flags & dns.flags.TC

    def test_additional_records_may_be_missing(self) -> None:
        data = built(self.filled(40, ADDITIONAL), b"", 512)
        message = read(data)
        assert len(message.additional) == (512 - 12 - len(QNAME) - 4) // 16
        assert not message.flags & dns.flags.TC

    @pytest.mark.parametrize(("answers", "cut"), [(0, True), (1, False)])
    def test_but_not_those_of_a_referral(self, answers: int, cut: bool) -> None:
        reply = self.filled(40, ADDITIONAL)
        reply.add(AUTHORITY, QNAME, NS, 1, 0, to_wire("ns.www.example.org"))
        for _ in range(answers):
            reply.add(ANSWER, QNAME, A, 1, 0, IP)
        message = read(built(reply, b"", 512))
        assert bool(message.flags & dns.flags.TC) == cut


LABELS = st.sampled_from([b"a", b"B", b"b", b"example", b"x" * 63])
NAMES = st.lists(LABELS, max_size=3).map(
    lambda labels: b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
)


@given(
    NAMES,
    st.lists(
        st.tuples(st.integers(0, 2), NAMES, NAMES, st.sampled_from(["A", "NS", "MX", "SOA", "SRV"])),
        max_size=20,
    ),
    st.integers(512, 2000),
)
def test_dnspython_reads_what_was_written(
    qname: bytes, records: list[tuple[int, bytes, bytes, str]], size: int
) -> None:
    reply = builder(qname)
    written: list[list[tuple[dns.name.Name, dns.rdata.Rdata]]] = [[], [], []]
    for section, owner, target, kind in records:
        name = dns.name.from_wire(target, 0)[0]
        texts = {"A": "192.0.2.1", "NS": f"{name}", "MX": f"1 {name}", "SOA": f"{name} {name} 1 2 3 4 5"}
        rdata = dns.rdata.from_text("IN", kind, texts.get(kind, f"1 2 3 {name}"))
        reply.add(section, owner, int(rdata.rdtype), 1, 60, rdata.to_wire())
        written[section].append((dns.name.from_wire(owner, 0)[0], rdata))
    data = built(reply, encode_opt(1232), size)
    assert len(data) <= size
    message = read(data)
    found = [
        [(rrset.name, rrset[0]) for rrset in section]
        for section in (message.answer, message.authority, message.additional)
    ]
    flat = [record for section in found for record in section]
    assert flat == [record for section in written for record in section][: len(flat)]
    if len(built(reply, encode_opt(1232))) <= size:
        assert found == written
    if not message.flags & dns.flags.TC:
        assert found[:2] == written[:2]


class TestNames:
    @pytest.mark.parametrize(
        "data",
        [b"\0", b"\x01a\0", b"\x01a\0rest", QNAME, (b"\x3f" + b"x" * 63) * 3 + b"\x3d" + b"x" * 61 + b"\0"],
    )
    def test_its_end_is_found(self, data: bytes) -> None:
        assert data[end_of_name(data, 0) - 1] == 0
        assert data[: end_of_name(data, 0)] == data.removesuffix(b"rest")

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x01a",
            b"\x02a\0",
            b"\x40" + b"x" * 64 + b"\0",
            TO_QUESTION,
            (b"\x3f" + b"x" * 63) * 3 + b"\x3e" + b"x" * 62 + b"\0",  # 256 bytes
        ],
    )
    def test_what_is_no_name(self, data: bytes) -> None:
        with pytest.raises(ValueError, match="expected an uncompressed name"):
            end_of_name(data, 0)

    def test_data_is_split_around_its_names(self) -> None:
        assert split_data(MX, b"\0\x0a" + QNAME) == (b"\0\x0a", [QNAME], b"")
        assert split_data(SOA, QNAME + b"\0" + bytes(20)) == (b"", [QNAME, b"\0"], bytes(20))
        with pytest.raises(KeyError):
            split_data(SRV, QNAME)
