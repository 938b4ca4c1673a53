"""What a message means for the try to which it has come."""

from typing import Any, cast

import pytest

from dns_corpus import POINTER_TO_QNAME, QNAME, QUESTION, header, name, opt, record
from evkit.dns.assessment import CASE, EDNS_TROUBLE, Assessment, Step, assess, repeats
from evkit.dns.interpretation import Kind
from evkit.dns.tries import Try

KEY = (QNAME.lower(), 1, False, False)
QR = 0x8000
TC = 0x0200
RD_RA = 0x0180
OK = QR | RD_RA


class Asked:
    """As much of an inquiry as there has to be."""

    key = KEY


def new_try(question: bytes = QUESTION, transport: str = "udp", *, plain: bool = False) -> Try:
    attempt = Try(cast(Any, Asked()), cast(Any, None), transport, question, 0.0)
    attempt.plain = plain
    return attempt


def judge(data: bytes, how: Try | None = None, **options: bool) -> Assessment:
    return assess(data, how or new_try(), **options)


def kind_of(judged: Assessment) -> Kind:
    assert judged.finding is not None
    return judged.finding.kind


def addresses_of(judged: Assessment) -> list[str]:
    assert judged.finding is not None
    assert judged.finding.answer is not None
    return judged.finding.answer.addresses


def reply(
    flags: int = OK, *answers: bytes, question: bytes = QUESTION, additional: tuple[bytes, ...] = ()
) -> bytes:
    counts = header(len(answers), 0, len(additional), flags=flags)
    return counts + question + b"".join(answers + additional)


class TestDone:
    def test_an_answer(self) -> None:
        judged = judge(reply(OK, record()))
        assert (judged.step, judged.code, judged.why) == (Step.DONE, 0, "NOERROR")
        assert judged.options is not None
        assert (kind_of(judged), addresses_of(judged)) == (Kind.ANSWER, ["192.0.2.1"])

    def test_an_answer_over_a_connection(self) -> None:
        assert judge(reply(OK, record()), new_try(transport="tls")).step is Step.DONE

    def test_that_there_is_no_such_name(self) -> None:
        judged = judge(reply(OK | 3))
        assert (judged.step, judged.code, judged.why) == (Step.DONE, 3, "NXDOMAIN")
        assert kind_of(judged) is Kind.NO_NAME

    def test_that_there_are_no_such_records(self) -> None:
        judged = judge(reply())
        assert (judged.step, kind_of(judged)) == (Step.DONE, Kind.NO_DATA)

    def test_an_alias(self) -> None:
        judged = judge(reply(OK, record(name(b"other"), 5)))
        assert (judged.step, kind_of(judged)) == (Step.DONE, Kind.ALIAS)

    def test_the_question_comes_back_in_the_case_in_which_it_went(self) -> None:
        mixed = QUESTION.replace(b"www", b"wWw")
        judged = judge(reply(OK, record(), question=mixed), new_try(mixed))
        assert judged.step is Step.DONE
        assert addresses_of(judged) == ["192.0.2.1"]

    def test_a_reply_that_was_cut_where_that_is_taken(self) -> None:
        assert judge(reply(OK | TC, record()), ignore_tc=True).step is Step.DONE


class TestDrop:
    @pytest.mark.parametrize("data", [b"", b"\x12", b"\x12\x34", header()[:11]])
    def test_what_is_shorter_than_a_header(self, data: bytes) -> None:
        judged = judge(data)
        assert (judged.step, judged.kind) == (Step.DROP, "malformed")
        assert judged.why == f"{len(data)} bytes, less than a header"

    @pytest.mark.parametrize(
        ("flags", "why"),
        [
            (RD_RA, "no reply"),
            (0x2800 | RD_RA, "no reply"),  # an update, and no reply to one either
            (OK | 0x0800, "a reply to another operation"),  # opcode 1
            (OK | 0x2800, "a reply to another operation"),  # opcode 5
            (OK | 0x7800, "a reply to another operation"),  # opcode 15
        ],
    )
    def test_what_is_no_reply_to_a_query(self, flags: int, why: str) -> None:
        judged = judge(reply(flags, record()))
        assert (judged.step, judged.kind, judged.why) == (Step.DROP, "kind", why)

    @pytest.mark.parametrize("flags", [OK, OK | TC, OK | 2])
    @pytest.mark.parametrize(
        "question",
        [
            QUESTION.replace(b"www", b"wwx"),
            QUESTION[:-3] + b"\x1c\0\1",  # AAAA
            QUESTION[:-1] + b"\3",  # CHAOS
            b"\0\0\1\0\1",
            QUESTION[:-2],
            b"",
        ],
    )
    def test_what_answers_another_question(self, question: bytes, flags: int) -> None:
        judged = judge(reply(flags, question=question))
        assert (judged.step, judged.kind, judged.why) == (Step.DROP, "question", "another question")

    @pytest.mark.parametrize("count", [0, 2, 255, 256, 257])
    def test_what_says_that_it_has_another_number_of_questions(self, count: int) -> None:
        judged = judge(header(1, questions=count) + QUESTION + record())
        assert (judged.step, judged.kind) == (Step.DROP, "question")

    @pytest.mark.parametrize("sent", ["www", "WWW", "wWw"])
    def test_what_has_the_question_in_another_case(self, sent: str) -> None:
        question = QUESTION.replace(b"www", sent.encode())
        judged = judge(reply(OK, record(), question=question.swapcase()), new_try(question))
        assert (judged.step, judged.kind) == (Step.DROP, CASE)
        assert judged.why == "the question in another case"

    @pytest.mark.parametrize(
        "data",
        [
            reply(OK, record()) + b"\0",
            reply(OK, record())[:-1],
            reply(OK, record(length=5)),
            reply(OK, record(b"12345")),  # five bytes are no address
            reply(OK, record(owner=b"\xc0\xff")),
            reply(OK | 3, record()),  # no such name, and yet an answer
            reply(OK, record(POINTER_TO_QNAME, 5)),  # an alias of itself
        ],
    )
    def test_what_can_not_be_read_or_contradicts_itself(self, data: bytes) -> None:
        judged = judge(data)
        assert (judged.step, judged.kind) == (Step.DROP, "malformed")
        assert judged.why
        assert judged.finding is None

    @pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
    def test_by_whatever_way_it_came(self, transport: str) -> None:
        assert judge(reply(RD_RA), new_try(transport=transport)).step is Step.DROP


class TestWithoutTheQuestion:
    @pytest.mark.parametrize(
        ("code", "why"), [(1, "FORMERR"), (2, "SERVFAIL"), (4, "NOTIMP"), (5, "REFUSED")]
    )
    def test_a_failure_may_be_anybody_s(self, code: int, why: str) -> None:
        judged = judge(header(questions=0, flags=OK | code))
        assert (judged.step, judged.code, judged.why) == (Step.SOFT, code, f"{why} without the question")
        assert judged.options is None

    @pytest.mark.parametrize("code", [0, 3, 6, 9, 15])
    def test_anything_else_is_no_reply(self, code: int) -> None:
        judged = judge(header(questions=0, flags=OK | code))
        assert (judged.step, judged.kind) == (Step.DROP, "question")

    @pytest.mark.parametrize("flags", [0x0102, OK | 0x0800 | 2])
    def test_nor_is_what_is_no_reply_to_a_query(self, flags: int) -> None:
        assert judge(header(questions=0, flags=flags)).step is Step.DROP


class TestNext:
    @pytest.mark.parametrize(
        ("code", "why"), [(2, "SERVFAIL"), (5, "REFUSED"), (6, "YXDOMAIN"), (9, "NOTAUTH"), (15, "RCODE15")]
    )
    def test_a_server_that_can_not_help(self, code: int, why: str) -> None:
        judged = judge(reply(OK | code))
        assert (judged.step, judged.code, judged.why) == (Step.NEXT, code, why)
        assert judged.options is not None

    def test_a_server_that_is_not_in_charge(self) -> None:
        authority = record(name(b"ns", b"elsewhere"), 2, name(b"example", b"org"))
        judged = judge(header(0, 1, flags=QR | 0x0100) + QUESTION + authority)
        assert (judged.step, judged.code, judged.why) == (Step.NEXT, -1, "not in charge of the name")

    @pytest.mark.parametrize("code", sorted(EDNS_TROUBLE - {16}))
    def test_trouble_with_a_question_that_had_no_edns(self, code: int) -> None:
        assert judge(reply(OK | code), new_try(plain=True)).step is Step.NEXT

    @pytest.mark.parametrize("transport", ["tcp", "tls"])
    def test_a_reply_that_was_cut_though_it_is_no_datagram(self, transport: str) -> None:
        judged = judge(reply(OK | TC, record()), new_try(transport=transport))
        assert (judged.step, judged.code) == (Step.NEXT, -1)


class TestAgain:
    @pytest.mark.parametrize("answers", [(), (record(),), (record()[:5],)])
    def test_over_tcp_what_was_cut_wherever_it_was(self, answers: tuple[bytes, ...]) -> None:
        judged = judge(reply(OK | TC, *answers))
        assert (judged.step, judged.why) == (Step.OVER_TCP, "truncated")

    @pytest.mark.parametrize("code", [1, 4])
    def test_without_edns_what_is_not_understood(self, code: int) -> None:
        judged = judge(reply(OK | code))
        assert (judged.step, judged.code) == (Step.WITHOUT_EDNS, code)

    def test_without_edns_where_the_version_is_not_known(self) -> None:
        judged = judge(reply(OK, additional=(opt(ttl=1 << 24),)))
        assert (judged.step, judged.code, judged.why) == (Step.WITHOUT_EDNS, 16, "BADVERS")

    def test_with_a_new_cookie(self) -> None:
        judged = judge(reply(OK | 7, additional=(opt(ttl=1 << 24),)))
        assert (judged.step, judged.code, judged.why) == (Step.NEW_COOKIE, 23, "BADCOOKIE")


def test_repeats_the_question_in_whatever_case() -> None:
    assert repeats(reply(question=QUESTION.swapcase()), QUESTION)
    assert not repeats(reply(question=QUESTION[:-1] + b"\3"), QUESTION)
    assert not repeats(reply()[:-1], QUESTION)
    assert not repeats(b"", QUESTION)


def test_changes_nothing_about_the_try() -> None:
    attempt = new_try()
    before = {name: getattr(attempt, name) for name in Try.__slots__}
    for data in (reply(OK, record()), reply(OK | 1), reply(OK | TC), header(questions=0, flags=OK | 2), b"x"):
        judge(data, attempt)
    assert {name: getattr(attempt, name) for name in Try.__slots__} == before


def test_shows_step_and_reason() -> None:
    assert repr(judge(reply(OK | 2))) == "<Assessment next: SERVFAIL>"
