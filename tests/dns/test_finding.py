"""How the asking has ended, as a value: for who asked, for the cache, and for who asks again later."""

import gc

import pytest

from evkit.dns.answer import Answer, Attempt, Record
from evkit.dns.finding import Finding, failed, found, joined, known
from evkit.dns.interpretation import Kind, Verdict
from evkit.dns.types import AAAA, MX, A
from evkit.errors import NameNotFound, NoData, ResolveError, ResolveTimeout, ServerFailure

NAME = b"\3www\4test\0"
OTHER = b"\5other\4test\0"
RECORD = Record("www.test", "A", 300, "192.0.2.1")
ALIAS = Record("www.test", "CNAME", 60, "other.test")
SOA = Record("test", "SOA", 30, "ns.test admin.test 1 2 3 4 30")
TRAIL = (Attempt("192.0.2.53", "udp", "NOERROR", 0.01),)


class TestFound:
    def test_an_answer(self) -> None:
        verdict = Verdict(Kind.ANSWER, 0, NAME, ttl=300, records=(RECORD,))
        finding = found(NAME, A, verdict, authenticated=True)
        finding.tell(TRAIL, trusted=True)
        answer = finding.answer
        assert answer is not None
        assert (answer.name, answer.canonical_name, answer.type) == ("www.test", "www.test", "A")
        assert (answer.records, answer.ttl, answer.attempts) == ((RECORD,), 300, TRAIL)
        assert (answer.authenticated, answer.cached, answer.stale) == (True, False, False)
        assert (finding.kind, finding.trail) == (Kind.ANSWER, TRAIL)

    def test_an_answer_by_an_alias(self) -> None:
        record = RECORD._replace(name="other.test")
        verdict = Verdict(Kind.ANSWER, 0, OTHER, ttl=60, records=(record,), aliases=(ALIAS,))
        answer = found(NAME, A, verdict, authenticated=False).answer
        assert answer is not None
        assert (answer.name, answer.canonical_name) == ("www.test", "other.test")
        assert (answer.aliases, answer.ttl, answer.authenticated) == ((ALIAS,), 60, False)

    def test_an_alias_alone(self) -> None:
        verdict = Verdict(Kind.ALIAS, 0, OTHER, ttl=60, aliases=(ALIAS,))
        finding = found(NAME, A, verdict, authenticated=False)
        assert (finding.kind, finding.target) == (Kind.ALIAS, OTHER)
        assert finding.answer is not None
        assert (finding.answer.name, finding.answer.aliases) == ("www.test", (ALIAS,))

    @pytest.mark.parametrize(("kind", "error"), [(Kind.NO_NAME, NameNotFound), (Kind.NO_DATA, NoData)])
    def test_that_there_is_none(self, kind: Kind, error: type[ResolveError]) -> None:
        verdict = Verdict(kind, 3, NAME, ttl=30, authority=(SOA,))
        finding = found(NAME, A, verdict, authenticated=False)
        assert finding.answer is not None
        assert (len(finding.answer), finding.answer.ttl, finding.answer.authority) == (0, 30, (SOA,))
        told = finding.exception("WWW.test", "A", TRAIL * 2)
        assert type(told) is error
        assert (told.name, told.type, told.attempts) == ("WWW.test", "A", TRAIL * 2)
        assert told.answer is finding.answer
        assert told.code == error.default_code


class TestTell:
    @pytest.mark.parametrize(
        ("vouched", "trusted", "authenticated"),
        [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
    )
    def test_believes_a_server_that_vouches_only_if_it_is_trusted(
        self, vouched: bool, trusted: bool, authenticated: bool
    ) -> None:
        finding = Finding(Kind.ANSWER, Answer("www.test", "A", (RECORD,), authenticated=vouched))
        finding.tell(TRAIL, trusted=trusted)
        assert finding.answer is not None
        assert (finding.answer.authenticated, finding.answer.attempts) == (authenticated, TRAIL)
        assert finding.trail == TRAIL

    def test_what_was_tried_is_told_without_an_answer_too(self) -> None:
        finding = failed((), ResolveTimeout)
        finding.tell(TRAIL, trusted=True)
        assert (finding.trail, finding.answer) == (TRAIL, None)


class TestFailed:
    def test_has_its_own_code_and_words(self) -> None:
        told = failed(TRAIL, ServerFailure, 5, "REFUSED").exception("www.test", "A", TRAIL)
        assert (type(told), told.code, told.reason, told.answer) == (ServerFailure, 5, "REFUSED", None)

    def test_has_those_of_its_class_otherwise(self) -> None:
        finding = failed(TRAIL, ResolveTimeout)
        assert (finding.kind, finding.answer, finding.trail) == (Kind.FAILURE, None, TRAIL)
        told = finding.exception("www.test", "A", ())
        assert (type(told), told.code) == (ResolveTimeout, ResolveTimeout.default_code)
        assert told.reason == ResolveTimeout.default_reason


class TestAged:
    def finding(self) -> Finding:
        verdict = Verdict(Kind.ANSWER, 0, NAME, ttl=300, records=(RECORD,))
        finding = found(NAME, A, verdict, authenticated=True)
        finding.tell(TRAIL, trusted=True)
        return finding

    def test_is_cached_and_has_less_time_and_no_attempts(self) -> None:
        answer = self.finding().aged(100.9).answer
        assert answer is not None
        assert (answer.ttl, answer.records[0].ttl, answer.cached, answer.attempts) == (200, 200, True, ())

    def test_is_the_same_object_within_one_second_and_another_after(self) -> None:
        finding = self.finding()
        first = finding.aged(5.0)
        assert first is finding.aged(5.99)
        later = finding.aged(6.0)
        assert later.answer is not None
        assert later.answer.ttl == 294
        assert later is not first

    def test_at_once_is_cached_too(self) -> None:
        answer = self.finding().aged(0.0).answer
        assert answer is not None
        assert (answer.ttl, answer.cached) == (300, True)

    def test_keeps_everything_else(self) -> None:
        finding = failed(TRAIL, ServerFailure, 5, "REFUSED").aged(3.0)
        assert (finding.kind, finding.answer, finding.trail) == (Kind.FAILURE, None, TRAIL)
        assert (finding.error, finding.code, finding.reason) == (ServerFailure, 5, "REFUSED")
        alias = Finding(Kind.ALIAS, Answer("www.test", "A", aliases=(ALIAS,), ttl=60), TRAIL, target=OTHER)
        assert alias.aged(1.0).target == OTHER

    def test_is_gone_with_the_last_who_holds_it(self) -> None:
        gc.collect()
        gc.disable()
        try:
            self.finding().aged(1.0)
            assert gc.collect() == 0
        finally:
            gc.enable()


def test_joined_answers_are_one_from_the_first_name_to_the_last_records() -> None:
    first = Answer("www.test", "A", aliases=(ALIAS,), ttl=60, attempts=TRAIL, authenticated=True)
    record = RECORD._replace(name="other.test")
    last = Answer("other.test", "A", (record,), ttl=300, attempts=TRAIL, authenticated=True)
    finding = joined(NAME, [first, last])
    answer = finding.answer
    assert answer is not None
    assert (finding.kind, finding.trail) == (Kind.ANSWER, TRAIL * 2)
    assert (answer.name, answer.canonical_name, answer.records) == ("www.test", "other.test", (record,))
    assert (answer.aliases, answer.ttl, answer.attempts, answer.authenticated) == (
        (ALIAS,),
        60,
        TRAIL * 2,
        True,
    )
    doubted = joined(NAME, [first.replaced(authenticated=False), last]).answer
    assert doubted is not None
    assert not doubted.authenticated


@pytest.mark.parametrize(
    ("rdtype", "addresses", "kind", "records"),
    [
        (A, ("127.0.0.1", "::1"), Kind.ANSWER, ("127.0.0.1",)),
        (AAAA, ("127.0.0.1", "::1"), Kind.ANSWER, ("::1",)),
        (AAAA, ("127.0.0.1",), Kind.NO_DATA, ()),
        (MX, ("127.0.0.1",), Kind.NO_DATA, ()),
        (A, (), Kind.NO_NAME, ()),
    ],
)
def test_known_names(rdtype: int, addresses: tuple[str, ...], kind: Kind, records: tuple[str, ...]) -> None:
    finding = known(NAME, rdtype, addresses, 7)
    assert finding.answer is not None
    assert (finding.kind, finding.answer.name, finding.answer.ttl) == (kind, "www.test", 7)
    assert tuple(record.data for record in finding.answer) == records
    assert all(record.ttl == 7 and record.name == "www.test" for record in finding.answer)


def test_shows_what_was_found() -> None:
    assert repr(failed((), ResolveTimeout)) == "<Finding failure None>"
