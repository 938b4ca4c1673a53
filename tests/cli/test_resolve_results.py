"""How answers look, and that nothing in them reaches a terminal that it would obey."""

import json
import os
import pty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.cli.resolve_questions import Question
from evkit.cli.resolve_results import (
    Result,
    complaints,
    data,
    objects,
    printable,
    show_ttl,
    table,
    traces,
    wants_colour,
)
from evkit.dns.answer import Answer, Attempt, Record
from evkit.errors import NameNotFound, NoData, ResolveError, ResolveTimeout, ServerFailure

UDP = Attempt("192.0.2.53:53", "udp", "NOERROR", 0.0123)
LATE = Attempt("192.0.2.53:53", "udp", "timed out", 2.0)
GONE = Attempt("192.0.2.53:53", "udp", "NXDOMAIN", 0.001)
BAD = Attempt("192.0.2.54:53", "tcp", "SERVFAIL", 0.25)
PAIR = Question("www.a.test", ("A", "AAAA"), any_type=True)
ALIAS = Record("www.a.test", "CNAME", 3600, "host.a.test")
V4 = Answer(
    "www.a.test",
    "A",
    (Record("host.a.test", "A", 300, "192.0.2.1"), Record("host.a.test", "A", 300, "192.0.2.2")),
    canonical_name="host.a.test",
    aliases=(ALIAS,),
    ttl=300,
    attempts=(UDP,),
)
V6 = Answer(
    "www.a.test",
    "AAAA",
    (Record("host.a.test", "AAAA", 90061, "2001:db8::1"),),
    canonical_name="host.a.test",
    aliases=(ALIAS,),
    ttl=3600,
    cached=True,
)
NO_V6 = NoData("www.a.test", "AAAA", attempts=(UDP,))
BOTH = Result(PAIR, (V4, V6))


def failed(*failures: ResolveError, any_type: bool = True) -> Result:
    return Result(PAIR._replace(any_type=any_type), failures)


def test_the_table_has_columns_and_each_record_once() -> None:
    assert table(BOTH, colour=False) == [
        "www.a.test.         1h  CNAME  host.a.test.",
        "host.a.test.        5m  A      192.0.2.1",
        "host.a.test.        5m  A      192.0.2.2",
        "host.a.test.  1d1h1m1s  AAAA   2001:db8::1",
    ]


def test_the_root_has_one_dot() -> None:
    answer = Answer(".", "NS", (Record(".", "NS", 0, "a.test"),))
    assert table(Result(Question(".", ("NS",)), (answer,)), colour=False) == [".  0s  NS  a.test."]


def test_colours_are_beside_the_columns_and_end() -> None:
    answer = Answer("a.test", "A", (Record("a.test", "A", 5, "192.0.2.1"),))
    lines = table(Result(Question("a.test", ("A",)), (answer,)), colour=True)
    assert lines == ["a.test.  \x1b[2m5s\x1b[0m  \x1b[36mA\x1b[0m  192.0.2.1"]
    lines = complaints(failed(NameNotFound("www.a.test", "A")), trace=False, colour=True)
    assert lines == ["www.a.test: \x1b[31mno such name\x1b[0m"]


def test_no_answer_makes_no_table() -> None:
    assert table(failed(NO_V6), colour=False) == []


def test_data_alone() -> None:
    assert data(BOTH) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
    assert data(failed(NO_V6)) == []


NASTY = Answer(
    "www.a.test", "TXT", (Record("www.a.test", "TXT", 60, (b"\x1b[31m\x07", b"\xc2\x9b\r\n\x7f")),)
)


def test_what_a_terminal_would_obey_is_written_as_numbers() -> None:
    result = Result(Question("www.a.test", ("TXT",)), (NASTY,))
    shown = r'"\027[31m\007" "\194\155\013\010\127"'
    assert data(result) == [shown]
    assert table(result, colour=False) == [f"www.a.test.  1m  TXT  {shown}"]
    assert json.loads(objects(result, trace=False)[0])["records"][0]["data"] == shown


def test_what_a_server_calls_itself_is_written_so_too() -> None:
    attempt = Attempt("\x1b[2J", "udp", "\u202ebad", 0.0)
    failure = ServerFailure("a\tb", "A", "said \x9b", attempts=(attempt,))
    (line,) = complaints(Result(Question("a\tb", ("A",)), (failure,)), trace=False, colour=False)
    assert line.startswith(r"a\009b A: said \194\155 (\027[2J over udp: \226\128\174bad after ")
    assert line.isprintable()
    assert traces(Result(Question("x", ("A",)), (Answer("\x1b", "A", attempts=(attempt,)),)))[0].isprintable()


@given(st.text())
def test_what_is_printable_stays_and_the_rest_becomes_so(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


def test_a_lone_surrogate_is_no_trouble() -> None:
    assert printable("a\udc80") == r"a\237\178\128"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (1, "1s"),
        (60, "1m"),
        (61, "1m1s"),
        (3600, "1h"),
        (3630, "1h30s"),
        (86400, "1d"),
        (2**31 - 1, "24855d3h14m7s"),
    ],
)
def test_times_to_live(seconds: int, shown: str) -> None:
    assert show_ttl(seconds) == shown


def test_one_family_is_enough() -> None:
    result = Result(PAIR, (V4, NO_V6))
    assert result.resolved
    assert result.answers == [V4]
    assert complaints(result, trace=True, colour=False) == []


def test_a_family_that_could_not_be_asked_for_is_told() -> None:
    result = Result(PAIR, (V4, ResolveTimeout("www.a.test", "AAAA", attempts=(LATE,))))
    assert result.resolved
    told = f"www.a.test AAAA: no answer in time ({LATE})"
    assert complaints(result, trace=False, colour=False) == [told]


def test_each_type_that_was_asked_for_is_wanted() -> None:
    result = Result(PAIR._replace(any_type=False), (V4, NO_V6))
    assert not result.resolved
    assert complaints(result, trace=False, colour=False) == ["www.a.test AAAA: no record of this type"]


def test_what_is_the_same_is_told_once() -> None:
    gone = failed(NameNotFound("www.a.test", "A"), NameNotFound("www.a.test", "AAAA"))
    assert not gone.resolved
    assert complaints(gone, trace=False, colour=False) == ["www.a.test: no such name"]
    empty = failed(NoData("www.a.test", "A"), NoData("www.a.test", "AAAA"))
    assert complaints(empty, trace=False, colour=False) == ["www.a.test A AAAA: no record of this type"]
    mixed = failed(ServerFailure("www.a.test", "A", "x"), NoData("www.a.test", "AAAA"))
    assert complaints(mixed, trace=False, colour=False) == [
        "www.a.test A: x",
        "www.a.test AAAA: no record of this type",
    ]


def test_what_was_tried_is_told_of_a_plain_answer_if_it_is_wanted() -> None:
    gone = failed(NameNotFound("www.a.test", "A", attempts=(LATE, GONE)))
    assert complaints(gone, trace=False, colour=False) == ["www.a.test: no such name"]
    assert complaints(gone, trace=True, colour=False) == [f"www.a.test: no such name ({LATE}; {GONE})"]
    assert traces(BOTH) == [
        f"www.a.test A: {UDP}",
        "www.a.test AAAA: from the cache",
    ]
    other = Answer("localhost", "A"), Answer("a.test", "A", cached=True, stale=True)
    assert traces(Result(PAIR, other)) == [
        "localhost A: no server was asked",
        "a.test A: from the cache, and old",
    ]


@pytest.mark.parametrize(
    ("outcomes", "heard"),
    [
        ((V4,), True),
        ((NO_V6,), True),
        ((NameNotFound("x.invalid", "A"),), True),
        ((ResolveTimeout("a", "A", attempts=(LATE, LATE)),), False),
        ((ResolveTimeout("a", "A", attempts=(LATE, BAD)),), True),
        ((ServerFailure("a", "A", attempts=(BAD,)),), True),
        ((ServerFailure("a", "A", attempts=(LATE._replace(outcome="refused"),)),), False),
        ((ServerFailure("a", "A"),), False),
        ((ResolveTimeout("a", "A"), NO_V6), True),
    ],
)
def test_whether_a_server_was_heard(outcomes: tuple[Answer | ResolveError, ...], heard: bool) -> None:
    assert Result(PAIR, outcomes).heard is heard


def test_as_json() -> None:
    first, second = (json.loads(line) for line in objects(BOTH, trace=True))
    assert (first["name"], first["type"], first["ttl"]) == ("www.a.test", "A", 300)
    assert first["canonical_name"] == "host.a.test"
    assert [record["data"] for record in first["records"]] == ["192.0.2.1", "192.0.2.2"]
    assert first["attempts"] == [UDP._asdict()]
    assert (second["cached"], second["attempts"]) == (True, [])
    assert "attempts" not in json.loads(objects(BOTH, trace=False)[0])


def test_failures_as_json() -> None:
    failure = NameNotFound("\x1b.a.test", "A", attempts=(GONE,))
    (line,) = objects(failed(failure), trace=False)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {
        "name": "\x1b.a.test",
        "type": "A",
        "error": "NameNotFound",
        "code": 3,
        "reason": "no such name",
        "attempts": [GONE._asdict()],
    }


def test_colours_are_for_terminals_and_for_who_wants_them() -> None:
    leader, follower = pty.openpty()
    reader, writer = os.pipe()
    try:
        assert wants_colour(follower, {"TERM": "xterm"})
        assert wants_colour(follower, {"NO_COLOR": ""})
        assert not wants_colour(follower, {"NO_COLOR": "0"})
        assert not wants_colour(follower, {"TERM": "dumb"})
        assert not wants_colour(writer, {})
    finally:
        for fd in (leader, follower, reader, writer):
            os.close(fd)
