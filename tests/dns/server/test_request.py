"""`ServerRequest`: what may be said when, and what the client gets of it. A channel that keeps it stands in."""

from typing import Literal

import dns.flags
import dns.message
import dns.rcode
import pytest

from dns_server_aids import PEER, Asked, query
from evkit.dns.message import AA, AD, CD, RA, RD, TC
from evkit.dns.names import to_wire
from evkit.dns.server import ADDITIONAL, ANSWER, AUTHORITY
from evkit.errors import LocalProtocolError


def texts(section: list[object]) -> list[str]:
    return [line for rrset in section for line in str(rrset).split("\n")]


class TestTheQuery:
    def test_what_is_asked_and_by_whom(self) -> None:
        request = Asked(query("Www.Example.org", "AAAA", use_edns=0, payload=4096)).request
        assert [(asked.name, asked.type) for asked in request.questions] == [("Www.Example.org", "AAAA")]
        assert request.question is request.questions[0]
        assert request.flags == RD
        assert request.edns is not None
        assert request.edns.udp_size == 4096
        assert (request.peer, request.address, request.transport) == ("192.0.2.9:5353", PEER, "udp")

    def test_nobody_hears_of_its_end_by_default(self) -> None:
        assert Asked().request.on_close is None

    def test_without_edns(self) -> None:
        assert Asked().request.edns is None

    @pytest.mark.parametrize(
        ("data", "transport", "size"),
        [
            (query(), "udp", 512),
            (query(use_edns=0, payload=100), "udp", 512),
            (query(use_edns=0, payload=1000), "udp", 1000),
            (query(use_edns=0, payload=65535), "udp", 1232),
            (query(), "tcp", 65535),
        ],
    )
    def test_how_long_the_reply_may_be(
        self, data: bytes, transport: Literal["udp", "tcp"], size: int
    ) -> None:
        assert Asked(data, transport).request.max_size == size

    def test_its_repr_shows_its_state(self) -> None:
        request = Asked().request
        expected = "<ServerRequest www.example.org A from 192.0.2.9:5353 over udp {}>"
        assert repr(request) == expected.format("open")
        request.respond()
        assert repr(request) == expected.format("answered")


class TestRecords:
    def test_addresses(self) -> None:
        asked = Asked()
        asked.request.add_a_reply("192.0.2.1", 60)
        asked.request.add_a_reply(["192.0.2.2", "192.0.2.3"], 60)
        asked.request.add_aaaa_reply("2001:db8::1", 70, name="other.example.org")
        assert asked.request.respond()
        assert texts(asked.reply().answer) == [
            "www.example.org. 60 IN A 192.0.2.1",
            "www.example.org. 60 IN A 192.0.2.2",
            "www.example.org. 60 IN A 192.0.2.3",
            "other.example.org. 70 IN AAAA 2001:db8::1",
        ]

    def test_names(self) -> None:
        asked = Asked()
        asked.request.add_cname_reply("host.example.net", 60)
        asked.request.add_ptr_reply("host.example.org", 61, name="1.2.0.192.in-addr.arpa")
        asked.request.respond()
        assert texts(asked.reply().answer) == [
            "www.example.org. 60 IN CNAME host.example.net.",
            "1.2.0.192.in-addr.arpa. 61 IN PTR host.example.org.",
        ]

    def test_any_record(self) -> None:
        asked = Asked()
        asked.request.add_reply(ANSWER, None, "mx", 60, "10 mail.example.org.")
        asked.request.add_reply(ANSWER, "www.example.org", 65280, 60, b"\1\2")
        asked.request.add_reply(AUTHORITY, to_wire("org"), "NS", 60, to_wire("ns.org"))
        asked.request.add_reply(ADDITIONAL, None, "TXT", 60, '"a b" c', rdclass=3)
        asked.request.respond()
        reply = asked.reply()
        assert texts(reply.answer) == [
            "www.example.org. 60 IN MX 10 mail.example.org.",
            r"www.example.org. 60 IN TYPE65280 \# 2 0102",
        ]
        assert texts(reply.authority) == ["org. 60 IN NS ns.org."]
        assert texts(reply.additional) == ['www.example.org. 60 CH TXT "a b" "c"']

    @pytest.mark.parametrize(
        ("call", "arguments", "expected"),
        [
            ("add_a_reply", ("192.0.2", 60), "expected an IPv4 address, got '192.0.2'"),
            ("add_a_reply", (["192.0.2.1", "::1"], 60), "expected an IPv4 address, got '::1'"),
            ("add_a_reply", ("192.0.2.1\0", 60), "expected an IPv4 address"),
            ("add_aaaa_reply", ("192.0.2.1", 60), "expected an IPv6 address"),
            ("add_a_reply", ("192.0.2.1", -1), "a TTL has 0 to"),
            ("add_cname_reply", ("a..b", 60), "label"),
            ("add_ptr_reply", ("", 60), "name"),
            ("add_reply", (ANSWER, "a..b", "A", 60, "192.0.2.1"), "label"),
            ("add_reply", (ANSWER, b"\x01a", "A", 60, "192.0.2.1"), "expected an uncompressed name"),
            ("add_reply", (ANSWER, b"\x01a\0\0", "A", 60, "192.0.2.1"), "expected one wire name"),
            ("add_reply", (ANSWER, None, "OPT", 60, b""), "type"),
            ("add_reply", (ANSWER, None, "NOSUCH", 60, b""), "type"),
            ("add_reply", (ANSWER, None, "MX", 60, "mail"), "MX"),
            ("add_reply", (4, None, "A", 60, "192.0.2.1"), "section"),
        ],
    )
    def test_what_is_no_record_adds_nothing(
        self, call: str, arguments: tuple[object, ...], expected: str
    ) -> None:
        asked = Asked()
        with pytest.raises(ValueError, match=expected):
            getattr(asked.request, call)(*arguments)
        asked.request.respond()
        assert asked.reply().answer == []


class TestTheReply:
    def test_it_repeats_id_question_and_flags(self) -> None:
        data = bytearray(query("wWw.eXample.org"))
        data[2:4] = (RD | CD | AD).to_bytes(2, "big")
        asked = Asked(bytes(data))
        asked.request.respond(3)
        sent = asked.slot.finished[0][1]
        assert sent is not None
        assert sent[:2] == data[:2]
        assert sent[12:] == data[12:]  # the very letters: some clients compare them
        assert asked.reply().flags & ~0xF == dns.flags.QR | RD | CD
        assert asked.reply().rcode() == dns.rcode.NXDOMAIN

    def test_flags_of_its_own(self) -> None:
        asked = Asked()
        asked.request.set_flags(RA)
        asked.request.set_flags(AA | AD)
        asked.request.respond()
        assert asked.reply().flags == dns.flags.QR | RD | AA | AD

    @pytest.mark.parametrize("flags", [TC, RD, CD, 1, 0x8000])
    def test_flags_that_are_not_the_servers(self, flags: int) -> None:
        with pytest.raises(ValueError, match="expected AA, RA and AD"):
            Asked().request.set_flags(flags)

    def test_edns_is_answered_with_edns(self) -> None:
        asked = Asked(query(use_edns=0, want_dnssec=True, payload=4096))
        asked.request.add_option(15, b"\0\x16why")
        asked.request.respond()
        reply = asked.reply()
        assert (reply.edns, reply.payload, reply.ednsflags) == (0, 1232, dns.flags.DO)
        assert [(int(option.otype), option.to_wire()) for option in reply.options] == [(15, b"\0\x16why")]

    def test_without_edns_there_are_no_options(self) -> None:
        asked = Asked()
        asked.request.add_option(15, b"\0\x16")
        asked.request.respond()
        assert asked.reply().edns == -1

    @pytest.mark.parametrize(
        ("code", "data"), [(-1, b""), (65536, b""), (15, bytes(65536)), (15, bytes(32769))]
    )
    def test_what_is_no_option(self, code: int, data: bytes) -> None:
        with pytest.raises(ValueError, match="expected"):
            Asked().request.add_option(code, data)

    def test_the_longest_option_and_the_largest_number(self) -> None:
        asked = Asked(query(use_edns=0), "tcp")
        asked.request.add_option(65535, bytes(32768 - 4))
        asked.request.add_option(0, b"")
        asked.request.respond()
        assert [int(option.otype) for option in asked.reply().options] == [65535, 0]

    def test_options_that_leave_no_room_are_left_out(self) -> None:
        for size, left in ((512 - 12 - 21 - 11 - 4, 1), (512 - 12 - 21 - 11 - 3, 0)):
            asked = Asked(query(use_edns=0, payload=512))
            asked.request.add_option(65001, bytes(size))
            asked.request.respond()
            assert len(asked.reply().options) == left
            assert asked.size() == (512 if left else 12 + 21 + 11)

    def test_codes_of_more_than_four_bits(self) -> None:
        asked = Asked(query(use_edns=0))
        asked.request.respond(23)
        assert asked.reply().rcode() == 23
        asked = Asked()
        asked.request.respond(23)
        assert asked.reply().rcode() == dns.rcode.SERVFAIL
        asked = Asked()
        asked.request.respond(15)
        assert asked.reply().rcode() == 15

    @pytest.mark.parametrize("code", [-1, 4096])
    def test_what_is_no_code(self, code: int) -> None:
        asked = Asked()
        with pytest.raises(ValueError, match="expected a result code of 0 to 4095"):
            asked.request.respond(code)
        assert not asked.request.done

    def test_it_is_cut_to_the_clients_size(self) -> None:
        for transport, tc in (("udp", True), ("tcp", False)):
            asked = Asked(transport=transport)
            for _ in range(100):
                asked.request.add_a_reply("192.0.2.1", 60)
            asked.request.respond()
            assert bool(asked.reply().flags & dns.flags.TC) == tc
            assert (asked.size() <= 512) == tc


class TestTheEnd:
    @pytest.mark.parametrize(("end", "state"), [("respond", "answered"), ("drop", "dropped")])
    def test_nothing_may_be_said_after_it(self, end: str, state: str) -> None:
        asked = Asked()
        getattr(asked.request, end)()
        assert asked.request.done
        for call, arguments in (
            ("respond", ()),
            ("drop", ()),
            ("add_a_reply", ("192.0.2.1", 1)),
            ("add_reply", (ANSWER, None, "A", 1, IP)),
            ("set_flags", (AA,)),
            ("add_option", (15, b"")),
        ):
            with pytest.raises(LocalProtocolError, match=f"on a request that was {state} before"):
                getattr(asked.request, call)(*arguments)
        assert len(asked.slot.finished) == 1

    def test_a_dropped_request_has_no_reply(self) -> None:
        asked = Asked()
        asked.request.drop()
        assert asked.slot.finished == [(asked.request, None)]

    def test_a_reply_that_is_not_sent_is_told(self) -> None:
        asked = Asked()
        asked.slot.open = False
        assert not asked.request.respond()

    def test_a_failure_says_nothing_of_what_was_prepared(self) -> None:
        asked = Asked(query(use_edns=0))
        asked.request.add_a_reply("192.0.2.1", 60)
        asked.request.set_flags(AA)
        asked.request.add_option(15, b"\0\0")
        asked.request.fail()
        reply = asked.reply()
        assert (reply.rcode(), reply.answer, reply.options) == (dns.rcode.SERVFAIL, [], ())
        assert reply.flags & ~0xF == dns.flags.QR | RD
        assert reply.edns == 0

    @pytest.mark.parametrize("end", ["fail", "give_up"])
    def test_who_answers_too_late_does_no_harm(self, end: str) -> None:
        asked = Asked()
        getattr(asked.request, end)()
        asked.request.add_a_reply("192.0.2.1", 60)
        asked.request.set_flags(AA)
        assert not asked.request.respond()
        asked.request.drop()
        assert len(asked.slot.finished) == 1
        assert asked.request.done


IP = b"\xc0\x00\x02\x01"
