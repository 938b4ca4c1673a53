"""The shortcut for the usual reply: what it takes, and that the long way takes it to the same effect."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dns_corpus import (
    AFTER_QUESTION,
    HOSTILE,
    QNAME,
    QUESTION,
    Hostile,
    header,
    name,
    opt,
    option,
    pointer,
    record,
)
from evkit.dns.answer import Answer
from evkit.dns.finding import found
from evkit.dns.interpretation import Kind, interpret
from evkit.dns.message import AD, FIRST_NAME, Options, decode_reply
from evkit.dns.usual_reply import read_usual

NAME = QNAME.lower()
QUESTION_AAAA = QNAME + b"\0\x1c\0\1"
PARENT = pointer(FIRST_NAME + 1 + QNAME[0])
ROOT_OF_NAME = pointer(FIRST_NAME + len(QNAME) - 1)
V6 = bytes.fromhex("20010db8000000000000000000000001")
NS = record(b"\2ns" + PARENT, 2, PARENT)
GLUE = record(owner=pointer(AFTER_QUESTION + 16 + 12))


def usual(data: bytes, question: bytes = QUESTION) -> tuple[Answer, Options] | None:
    return read_usual(data, question, NAME, question[-3])


def message(*sections: tuple[bytes, ...], question: bytes = QUESTION, flags: int = 0x8180) -> bytes:
    counts = [len(section) for section in sections] + [0] * (3 - len(sections))
    return header(*counts, flags=flags) + question + b"".join(b"".join(section) for section in sections)


def taken_the_long_way(data: bytes, question: bytes) -> tuple[object, ...]:
    """Return what the general decoders say, after the checks that their callers make."""
    assert data[FIRST_NAME : FIRST_NAME + len(question)] == question
    assert data[4:6] == b"\0\1"
    assert (data[2] & 0xFA) == 0x80  # a reply to a query, and a whole one
    reply = decode_reply(data, question)
    verdict = interpret(reply, NAME, question[-3])
    assert (verdict.kind, reply.rcode) == (Kind.ANSWER, 0)
    finding = found(NAME, question[-3], verdict, authenticated=reply.flags & AD != 0)
    assert finding.answer is not None
    return finding.answer.as_dict(), () if reply.opt is None else reply.opt.options


def agree(data: bytes, question: bytes = QUESTION) -> bool:
    """Return whether the shortcut takes a reply; where it does the long way takes it too, to the same effect."""
    taken = usual(data, question)
    if taken is None:
        return False
    answer, options = taken
    assert (answer.as_dict(), options) == taken_the_long_way(data, question)
    return True


class TestTakes:
    def test_an_address(self) -> None:
        taken = usual(message((record(),)))
        assert taken is not None
        answer, options = taken
        assert (answer.name, answer.type, answer.ttl) == ("www.example.org", "A", 300)
        assert (answer.addresses, options) == (["192.0.2.1"], ())
        assert not answer.authenticated

    @pytest.mark.parametrize(
        "data",
        [
            message((record(),)),
            message((record(), record(b"\xc0\0\2\2", ttl=60))),
            message((record(), record())),  # each once
            message((record(ttl=2**31),)),  # which counts as 0
            message((record(ttl=2**31 - 1),)),
            message((record(),), (NS,), (GLUE, opt())),
            message((record(),), (record(b"", 2, ROOT_OF_NAME), record(b"", 2, b"\0"))),
            message((record(),), (), (opt(option(b"12345678") + option(b"", 3)),)),
            message((record(),), (), (record(b"x", 65280, b"\0"), opt())),
            message((record(),), flags=0x85A0),  # AA and AD
        ],
    )
    def test_what_the_long_way_takes_to_the_same_effect(self, data: bytes) -> None:
        assert agree(data)

    def test_ipv6(self) -> None:
        assert agree(
            message((record(V6, 28), record(V6, 28)), (), (opt(),), question=QUESTION_AAAA), QUESTION_AAAA
        )

    def test_a_question_with_letters_of_either_size(self) -> None:
        mixed = QUESTION.replace(b"www", b"wWw").replace(b"org", b"ORG")
        assert agree(message((record(),), (NS,), (GLUE, opt()), question=mixed), mixed)

    def test_that_the_server_vouches_for_it(self) -> None:
        taken = usual(message((record(),), flags=0x81A0))
        assert taken is not None
        assert taken[0].authenticated


class TestLeaves:
    @pytest.mark.parametrize("flags", [0x0180, 0x8980, 0xF980, 0x8380, 0x8181, 0x8183, 0x818F])
    def test_what_is_no_whole_reply_without_an_error(self, flags: int) -> None:
        assert usual(message((record(),), flags=flags)) is None

    @pytest.mark.parametrize("questions", [0, 2, 256, 65535])
    def test_another_number_of_questions(self, questions: int) -> None:
        assert usual(header(1, questions=questions) + QUESTION + record()) is None

    @pytest.mark.parametrize(
        "question", [QUESTION.swapcase(), QUESTION[:-3] + b"\x1c\0\1", QUESTION[:-1] + b"\3", b""]
    )
    def test_another_question(self, question: bytes) -> None:
        assert usual(message((record(),), question=question)) is None

    def test_other_types(self) -> None:
        question = QNAME + b"\0\x10\0\1"
        assert usual(message((record(b"\1x", 16),), question=question), question) is None

    @pytest.mark.parametrize(
        "answers",
        [
            (),
            (record(rdtype=28),),
            (record(rdclass=3),),
            (record(owner=PARENT),),
            (record(owner=QNAME),),
            (record(b"12345"),),
            (record(b"123"),),
            (record(length=5),),
            (record(length=3),),
            (record(name(b"other"), 5), record(owner=name(b"other"))),
            (record(), record(name(b"other"), 5)),
            (opt(), record()),
            (record(), opt()),
            (record(),) * 65,
        ],
    )
    def test_other_answers(self, answers: tuple[bytes, ...]) -> None:
        assert usual(message(answers)) is None

    @pytest.mark.parametrize(
        "owner",
        [
            QNAME,
            pointer(FIRST_NAME - 1),
            pointer(FIRST_NAME + 1),  # no label begins there
            pointer(FIRST_NAME + len(QNAME)),  # behind the name
            pointer(AFTER_QUESTION + 12),
            pointer(0x3FFF),
            b"\x40",
            b"\x80\0",
        ],
    )
    def test_other_owners_in_the_authority_section(self, owner: bytes) -> None:
        assert usual(message((record(),), (record(b"", 2, owner),))) is None

    @pytest.mark.parametrize(
        "owner", [QNAME, pointer(0), pointer(FIRST_NAME - 1), pointer(AFTER_QUESTION + 16), pointer(0x3FFF)]
    )
    def test_other_owners_in_the_additional_section(self, owner: bytes) -> None:
        assert usual(message((record(),), (), (record(b"", 1, owner),))) is None

    @pytest.mark.parametrize(
        ("authority", "additional"),
        [
            ((opt(),), ()),
            ((), (opt(), opt())),
            ((), (opt(), opt(option(b"x")))),
            ((), (opt(owner=PARENT),)),
            ((), (opt(ttl=1 << 24),)),  # BADVERS
            ((), (opt(b"\0\x0a\0\2x"),)),
            ((), (opt(b"\0\x0a"),)),
            ((), (opt(option() * 101),)),
        ],
    )
    def test_other_opt_records(self, authority: tuple[bytes, ...], additional: tuple[bytes, ...]) -> None:
        assert usual(message((record(),), authority, additional)) is None

    @pytest.mark.parametrize("data", [b"", header()[:11], header(), message((record(),)) + b"\0"])
    def test_what_is_too_short_or_too_long(self, data: bytes) -> None:
        assert usual(data) is None

    def test_what_was_cut_anywhere(self) -> None:
        data = message((record(), record()), (NS,), (GLUE, opt(option(b"12345678"))))
        assert [size for size in range(len(data) + 1) if usual(data[:size]) is not None] == [len(data)]

    @pytest.mark.parametrize("hostile", HOSTILE, ids=lambda case: case.name)
    def test_hostile_messages_unless_the_long_way_takes_them(self, hostile: Hostile) -> None:
        assert agree(hostile.data) is False or hostile.words is None


OWNERS = [
    b"\0",
    pointer(FIRST_NAME),
    PARENT,
    ROOT_OF_NAME,
    pointer(AFTER_QUESTION),
    pointer(13),
    QNAME,
    b"\1a" + PARENT,
]
RDATAS = [b"\xc0\0\2\1", b"\xc0\0\2\2", V6, b"", b"\2ns" + PARENT, option(b"12345678"), option(b"")[:-1]]
RECORDS = st.builds(
    record,
    st.sampled_from(RDATAS),
    st.sampled_from([1, 1, 1, 2, 5, 28, 41]),
    st.sampled_from(OWNERS),
    st.sampled_from([0, 300, 60, 2**31 - 1, 2**31, 1 << 24]),
    st.sampled_from([1, 1, 1, 3, 1232]),
    st.sampled_from([None, None, None, 0, 4, 16]),
)
ADDRESSES = st.builds(record, st.sampled_from(RDATAS[:2]), ttl=st.sampled_from([0, 60, 2**31 - 1, 2**31]))
SECTIONS = st.lists(RECORDS, max_size=3).map(tuple)
ANSWERS = st.one_of(st.lists(ADDRESSES, min_size=1, max_size=4).map(tuple), SECTIONS)


@settings(max_examples=400, deadline=None)
@given(ANSWERS, SECTIONS, SECTIONS, st.sampled_from([0x8180, 0x8580, 0x85A0, 0x8183]))
def test_whatever_it_takes_the_long_way_takes_to_the_same_effect(
    answers: tuple[bytes, ...], authority: tuple[bytes, ...], additional: tuple[bytes, ...], flags: int
) -> None:
    agree(message(answers, authority, additional, flags=flags))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_usual_reply_with_a_byte_changed(data: st.DataObject) -> None:
    whole = bytearray(message((record(), record(ttl=9)), (NS,), (GLUE, opt(option(b"12345678")))))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    agree(bytes(whole))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 3), st.integers(0, 3))
def test_any_bytes_after_a_usual_answer(tail: bytes, authority: int, additional: int) -> None:
    agree(header(1, authority, additional) + QUESTION + record() + tail)
