"""Messages: what dnspython writes is read the same, what is hostile is refused, and no message makes much work."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evkit
from dns_corpus import (
    AFTER_QUESTION,
    HOSTILE,
    LONGEST,
    QNAME,
    QUESTION,
    Hostile,
    chain,
    header,
    name,
    opt,
    option,
    pointer,
    record,
    reply,
)
from evkit.dns.errors import MessageError
from evkit.dns.interpretation import interpret
from evkit.dns.message import (
    CD,
    QR,
    RA,
    RD,
    Limits,
    Message,
    Opt,
    decode,
    decode_reply,
    encode_opt,
    encode_option,
    encode_query,
    encode_question,
)
from evkit.dns.rdata import read

SOURCES = str(Path(evkit.__file__).parent)
ONE_A = reply(record())


def test_a_query() -> None:
    question = encode_question(QNAME, 28)
    query = encode_query(0x1234, question)
    assert query == bytes.fromhex("123401000001000000000000") + QNAME + b"\0\x1c\0\1"
    parsed = dns.message.from_wire(
        encode_query(7, question, encode_opt(1232, encode_option(10, b"12345678")), RD | CD)
    )
    assert (parsed.id, parsed.flags, parsed.payload) == (7, dns.flags.RD | dns.flags.CD, 1232)
    assert parsed.question[0].to_text() == "www.example.org. IN AAAA"
    assert parsed.options == (dns.edns.CookieOption(b"12345678", b""),)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (encode_opt(512), "0000290200000000000000"),
        (encode_opt(1232, dnssec_ok=True), "00002904d0000080000000"),
        (encode_opt(1232, b"\0\3\0\0"), "00002904d00000000000040003" + "0000"),
        (encode_opt(1232, extended_rcode=23), "00002904d0010000000000"),
        (encode_opt(1232, version=1, extended_rcode=0xFFF), "00002904d0ff0100000000"),
    ],
)
def test_opt_records(made: bytes, expected: str) -> None:
    assert made.hex() == expected


def test_a_reply() -> None:
    message = decode_reply(ONE_A, QUESTION)
    assert message.answers == [(QNAME, 1, 1, 300, AFTER_QUESTION + 12, 4)]
    assert (message.id, message.flags, message.rcode, message.opcode) == (0x1234, QR | RD | RA, 0, 0)
    assert message.questions == ((QNAME, 1, 1),)
    assert (message.authority, message.additional, message.opt) == ((), (), None)
    assert message.data == ONE_A
    assert repr(message) == f"<Message reply id=4660 NOERROR records=1/1/0/0 bytes={len(ONE_A)}>"


def test_opcode_and_response_code() -> None:
    message = decode(header(questions=0, flags=13 << 11 | 3))
    assert (message.opcode, message.rcode) == (13, 3)
    assert repr(message) == "<Message query id=4660 NXDOMAIN records=0/0/0/0 bytes=12>"


@pytest.mark.parametrize("ttl", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_ttl_with_its_highest_bit_set_is_nothing(ttl: int) -> None:
    message = decode_reply(reply(record(ttl=ttl)), QUESTION)
    assert message.answers[0][3] == (ttl if ttl < 0x80000000 else 0)


def test_letters_made_large_by_chance_do_not_show() -> None:
    sent = encode_question(b"\3wWw\7eXAmPLe\3oRG\0", 0x4141, 0x4142)
    assert sent.endswith(b"AAAB")  # type and class may look like letters
    data = header(2) + sent + record(b"\4Mail" + pointer(16), 5) + record(owner=b"\3WWW" + pointer(16))
    message = decode_reply(data, sent)
    assert message.questions == ((QNAME, 0x4141, 0x4142),)
    assert [raw[0] for raw in message.answers] == [QNAME, QNAME]
    assert read(message, message.answers[0]) == "Mail.example.org"
    assert decode(data).questions == [(b"\3wWw\7eXAmPLe\3oRG\0", 0x4141, 0x4142)]


def test_owners_are_folded_and_names_in_data_are_not() -> None:
    message = decode(reply(record(name(b"NS1", b"Example"), 2, name(b"Sub", b"EXAMPLE"))))
    assert message.answers[0][0] == name(b"sub", b"example")
    assert read(message, message.answers[0]) == "NS1.Example"


def test_opt() -> None:
    options = option(b"12345678") + option(b"", 3) + option(b"\0\x16x", 15)
    message = decode(reply(record(), additional=(record(), opt(options, ttl=0x01_02_80_00), record())))
    assert message.opt == Opt(1232, 2, True, ((10, b"12345678"), (3, b""), (15, b"\0\x16x")))
    assert message.rcode == 16
    assert len(message.additional) == 2
    assert decode(reply(additional=(opt(ttl=0xFF00_7FFF),))).rcode == 0xFF0
    assert decode(reply(additional=(opt(ttl=0xFF00_7FFF),))).opt == Opt(1232, 0, False, ())


def decoded(data: bytes, limits: Limits = Limits()) -> Message:  # noqa: B008 - a tuple
    """Decode as a reply what repeats the question, and anything else as what it is."""
    return decode_reply(data, QUESTION, limits) if data.startswith(QUESTION, 12) else decode(data, limits)


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.name)
def test_hostile_messages(case: Hostile) -> None:
    for read_it in (decoded, decode):
        if case.words is None:
            assert read_it(case.data).answers
        else:
            with pytest.raises(MessageError, match=case.words) as caught:
                read_it(case.data)
            assert 0 <= caught.value.offset <= len(case.data)


def lines_of(work: Callable[[], object]) -> int:
    """Count the lines of evkit that some work runs through: what it costs on any machine."""
    count = 0

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(SOURCES):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def read_all(data: bytes) -> None:
    """Read all that there is in a message, as nobody does, and whatever becomes of it."""
    try:
        message = decoded(data)
    except MessageError:
        return
    for raw in message.answers:
        try:
            read(message, raw)
        except MessageError:
            pass
    interpret(message, QNAME, 1)


MOST_LINES = 12 * 20_000 + 600 * 1000 + 10 * 65_535
"""So many for a step, for a record, whose name may have to be turned into text, and for a byte, as strings may be
empty: what any message may cost."""


def test_lines_are_counted() -> None:
    ten = lines_of(lambda: decode_reply(reply(*[record()] * 10), QUESTION))
    assert lines_of(lambda: decode_reply(reply(*[record()] * 20), QUESTION)) > ten + 50


TO_A_LONG_NAME = [record(LONGEST, 2), *[record(pointer(AFTER_QUESTION + 12), 2) for _ in range(900)]]
NS_TO_LONG_NAMES = reply(*TO_A_LONG_NAME)
CNAMES = reply(*[record(name(b"%d" % i), 5, QNAME if i == 0 else name(b"%d" % (i - 1))) for i in range(900)])
FULL = [
    *HOSTILE,
    Hostile("900 NS of 127 labels", NS_TO_LONG_NAMES, None),
    Hostile("a chain of 900 aliases", CNAMES, None),
    Hostile("64 kB of empty strings", reply(record(b"\0" * 65000, 16)), None),
    Hostile("both", reply(*TO_A_LONG_NAME, record(b"\0" * 52_000, 16)), None),
    Hostile("64 kB of answers", reply(*[record(b"x" * 60, 65280) for _ in range(900)]), None),
    Hostile("900 circles", reply(*[record(pointer(AFTER_QUESTION + 12), 2) for _ in range(900)]), None),
]


@pytest.mark.parametrize("case", FULL, ids=lambda case: case.name)
def test_no_message_makes_much_work(case: Hostile) -> None:
    assert len(case.data) <= 65535
    assert lines_of(lambda: read_all(case.data)) < MOST_LINES


def test_what_is_pointed_at_again_is_not_read_again() -> None:
    message = decode_reply(NS_TO_LONG_NAMES, QUESTION)
    for raw in message.answers:
        read(message, raw)
    assert Limits().label_steps - message.names.steps_left <= 128 + 901


def test_no_chain_is_followed_twice() -> None:
    message = decode_reply(chain(8000, lambda last: record(last, 2), 900), QUESTION)
    for raw in message.answers[1:]:
        assert read(message, raw) == "www.example.org"
    assert Limits().label_steps - message.names.steps_left <= 8000 + 4 + 900


def test_limits_can_be_set() -> None:
    two = reply(record(), record(owner=QNAME), additional=(opt(option() * 3),))
    assert len(decoded(two, Limits(4, 4, 3)).answers) == 2
    for limits, words in (
        (Limits(records=3), "expected 3 records at most, got 4"),
        (Limits(label_steps=3), "fewer steps"),
        (Limits(edns_options=2), "expected 2 options"),
    ):
        with pytest.raises(MessageError, match=words):
            decoded(two, limits)


def test_steps_are_counted_on_after_decoding() -> None:
    message = decode_reply(reply(record(QNAME, 2), record(QNAME, 2)), QUESTION, Limits(label_steps=7))
    assert read(message, message.answers[0]) == "www.example.org"
    with pytest.raises(MessageError, match="fewer steps"):
        read(message, message.answers[1])


# dnspython as the oracle.

NAMES = st.lists(st.sampled_from([b"a", b"B", b"www", b"x" * 63, b"\0.", b"_sip"]), max_size=3).map(
    lambda parts: dns.name.Name([*parts, b"example", b""])
)
TEXTS = st.one_of(
    st.tuples(st.just("A"), st.just("192.0.2.1")),
    st.tuples(st.just("AAAA"), st.just("2001:db8::1")),
    st.tuples(st.sampled_from(["NS", "CNAME", "PTR"]), NAMES.map(str)),
    st.tuples(st.just("MX"), NAMES.map(lambda each: f"10 {each}")),
    st.tuples(st.just("SOA"), st.tuples(NAMES, NAMES).map(lambda two: f"{two[0]} {two[1]} 1 2 3 4 5")),
    st.tuples(st.just("TXT"), st.just('"a" "" "b c"')),
    st.tuples(st.just("TYPE65280"), st.just("\\# 3 c00c01")),
)
RRSETS = st.builds(
    lambda owner, ttl, what: dns.rrset.from_text(owner, ttl, "IN", *what),
    NAMES,
    st.integers(0, 0x7FFFFFFF),
    TEXTS,
)
SECTIONS = st.lists(RRSETS, max_size=4)


@st.composite
def replies(draw: st.DrawFn) -> dns.message.Message:
    query = dns.message.make_query(draw(NAMES), "A", id=draw(st.integers(0, 65535)))
    made = dns.message.make_response(query)
    made.flags |= draw(st.sampled_from([0, int(dns.flags.AA), int(dns.flags.RA)]))
    made.answer = draw(SECTIONS)
    made.authority = draw(SECTIONS)
    made.additional = draw(SECTIONS)
    options = draw(
        st.lists(
            st.builds(dns.edns.GenericOption, st.integers(65001, 65534), st.binary(max_size=9)), max_size=3
        )
    )
    if draw(st.booleans()):
        made.use_edns(0, draw(st.sampled_from([0, int(dns.flags.DO)])), 1232, options=options)
    made.set_rcode(draw(st.sampled_from([0, 2, 3, 5, 16, 23] if made.edns >= 0 else [0, 2, 3, 5])))
    return made


def as_told(section: list[dns.rrset.RRset]) -> list[tuple[bytes, int, int, int, str]]:
    return [
        (rrset.name.to_wire().lower(), int(rrset.rdtype), int(rrset.rdclass), rrset.ttl, rdata.to_text())
        for rrset in section
        for rdata in rrset
    ]


def as_read(message: Message, section: list[Any]) -> list[tuple[bytes, int, int, int, str]]:
    told = []
    for raw in section:
        kind = dns.rdatatype.RdataType.make(raw[1])
        rdata = dns.rdata.from_wire(dns.rdataclass.IN, kind, message.data, raw[4], raw[5])
        told.append((*raw[:4], rdata.to_text()))
    return told


def outcome(read_: Callable[[], Message]) -> object:
    try:
        message = read_()
    except MessageError as error:
        return type(error)
    return message.answers, message.authority, message.opt, message.rcode


@pytest.mark.parametrize("target", range(len(ONE_A) + 20))
def test_owners_above_the_question_s_name_are_read_like_all_others(target: int) -> None:
    data = reply(record(), authority=(record(owner=pointer(target)), record(owner=pointer(target))))
    assert outcome(lambda: decode_reply(data, QUESTION)) == outcome(lambda: decode(data))


class TestAdditionalRecordsOfReplies:
    @pytest.mark.parametrize("target", range(len(ONE_A) + 20))
    def test_point_back_only(self, target: int) -> None:
        data = reply(record(), additional=(record(owner=pointer(target)), opt()))
        if 12 <= target < len(ONE_A):
            message = decode_reply(data, QUESTION)
            assert (len(message.answers), len(message.additional)) == (1, 0)
            assert message.opt == Opt(1232, 0, False, ())
        else:
            with pytest.raises(MessageError, match="pointer"):
                decode_reply(data, QUESTION)

    @pytest.mark.parametrize(
        "data",
        [
            reply(record(), additional=(record(),))[:-1],
            reply(record(), additional=(record(),)) + b"\0",
            reply(record(), additional=(opt(), opt())),
            reply(record(), additional=(record(owner=pointer(12), rdtype=41),)),
            reply(record(), additional=(record(owner=b"\x01a\0", rdtype=41),)),
            reply(record(), additional=(record(owner=b"\x40a\0"),)),
            reply(record(), authority=(opt(),)),
            header(1, 1, 0, 1) + QUESTION + record(),
        ],
    )
    def test_are_held_against_the_bytes_that_are_there(self, data: bytes) -> None:
        with pytest.raises(MessageError):
            decode_reply(data, QUESTION)

    def test_may_have_names_of_their_own(self) -> None:
        data = reply(record(), additional=(record(owner=b"\x02ns" + pointer(16)), record(owner=b"\0")))
        assert not decode_reply(data, QUESTION).additional


@given(replies())
def test_what_dnspython_writes_is_read_the_same(made: dns.message.Message) -> None:
    data = made.to_wire()
    message = decode(data)
    question = made.question[0]
    assert message.questions == [(question.name.to_wire(), 1, 1)]
    assert (message.id, message.rcode) == (made.id, int(made.rcode()))
    assert message.flags & ~0xF == int(made.flags) & ~0xF
    sections = (message.answers, message.authority, message.additional)
    for read_, told in zip(sections, (made.answer, made.authority, made.additional), strict=True):
        assert as_read(message, read_) == as_told(told)
    if made.edns >= 0:
        options = tuple((int(each.otype), each.to_wire()) for each in made.options)
        assert message.opt == Opt(1232, 0, bool(made.ednsflags & dns.flags.DO), options)
    else:
        assert message.opt is None
    sent = encode_question(question.name.to_wire(), 1)
    again = decode_reply(data, sent)
    assert (again.answers, again.authority, again.additional) == (message.answers, message.authority, ())
    assert (again.opt, again.rcode) == (message.opt, message.rcode)


@given(
    st.one_of(
        st.binary(max_size=200), st.binary(max_size=100).map(lambda rest: header(1, 1, 1) + QUESTION + rest)
    )
)
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    read_all(data)


@given(replies(), st.data())
def test_messages_with_errors(made: dns.message.Message, data: st.DataObject) -> None:
    mutated = bytearray(made.to_wire())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        mutated[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 3))
    read_all(bytes(mutated[: len(mutated) - cut]))


@given(replies())
def test_nothing_shorter_is_whole(made: dns.message.Message) -> None:
    data = made.to_wire()
    for size in range(len(data)):
        with pytest.raises(MessageError):
            decode(data[:size])
    for extra in (b"\0", b"\0" * 11, record()):
        with pytest.raises(MessageError):
            decode(data + extra)
