"""The resolver against ldns-testns, which replies what a script says: the right answer is found, or an error tells why.

A `Misdeed` is a reply that is wrong in one way. Each is tried alone, followed by the right one, with the right one over
TCP, and with another server that is right.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from dns_aids import outcomes
from dns_peers import NameServer, StartTestns
from evkit.core import EventBase
from evkit.dns import Resolver, ResolverOptions
from evkit.errors import NameNotFound, NoData, ResolveError, ResolveTimeout, ServerFailure

pytestmark = pytest.mark.peer

RIGHT: Final = "192.0.2.1"
WRONG: Final = "192.0.2.66"
PATIENT: Final = ResolverOptions(timeout=5.0, min_timeout=5.0, total_timeout=20.0, randomize_case=False)
"""For who gets an answer. The scripts can't know what case the letters have."""
ONCE: Final = replace(PATIENT, attempts=1)
"""For who gets none, and need not wait for that."""


# How scripts are written


def entry(name: str, *packets: str, match: str = "qname", adjust: str = "copy_id") -> str:
    """Write what is replied to a question for ``name``: all ``packets``, if it matches that of the first."""
    told = "\nEXTRA_PACKET\n".join(packets).replace("@", f"{name}.")
    return f"ENTRY_BEGIN\nMATCH {match}\nADJUST {adjust}\n{told}\nENTRY_END\n"


def packet(
    *answers: str,
    flags: str = "QR AA RD RA",
    rcode: str = "NOERROR",
    question: str = "@ IN A",
    rest: str = "",
) -> str:
    """Write a reply. ``@`` is the name that was asked for."""
    lines = [f"REPLY QUERY {flags} {rcode}", "SECTION QUESTION", question, "SECTION ANSWER", *answers, rest]
    return "\n".join(filter(None, lines))


def raw(name: str, message: bytes) -> str:
    """Write a reply byte by byte; its number is replaced by that of the question."""
    return f"SECTION QUESTION\n{name}. IN A\nHEX_ANSWER_BEGIN\n{message.hex(' ')}\nHEX_ANSWER_END"


ANSWER: Final = packet(f"@ 300 IN A {RIGHT}")
LIE: Final = f"@ 300 IN A {WRONG}"


def wire(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def message(name: str, *records: bytes, answers: int = 1, others: int = 0, flags: int = 0x8580) -> bytes:
    """Return a reply as bytes, whose counts need not be right."""
    header = struct.pack(">6H", 0, flags, 1, answers, others, 0)
    return header + wire(name) + b"\0\1\0\1" + b"".join(records)


def record(
    owner: bytes = b"\xc0\x0c", data: bytes = b"\xc0\0\2\x42", kind: int = 1, size: int | None = None
) -> bytes:
    return owner + struct.pack(">HHIH", kind, 1, 300, len(data) if size is None else size) + data


def after_question(name: str, offset: int = 0) -> bytes:
    """Return a pointer to the place behind the question, or ``offset`` bytes from there."""
    return struct.pack(">H", 0xC000 | 12 + len(wire(name)) + 4 + offset)


# What is wrong


@dataclass(frozen=True)
class Misdeed:
    """A reply that is no answer.

    Attributes:
        kind: Under what it is counted, in ``tally.dropped``.
        write: Writes it, for the name that is asked for.
        match: What questions it is for.
    """

    kind: str
    write: Callable[[str], str]
    match: str = "qname"


def plain(kind: str, text: str) -> Misdeed:
    return Misdeed(kind, lambda _name: text)


def bytewise(kind: str, make: Callable[[str], bytes]) -> Misdeed:
    return Misdeed(kind, lambda name: raw(name, make(name)))


MISDEEDS: Final[dict[str, Misdeed]] = {
    "query-echoed": plain("kind", packet(flags="RD")),
    "query-with-answer": plain("kind", packet(LIE, flags="RD")),
    "other-opcode": plain("kind", packet(LIE).replace("QUERY", "STATUS")),
    "other-type": plain("question", packet(LIE, question="@ IN AAAA")),
    "other-class": plain("question", packet(LIE, question="@ CH A")),
    "other-name": Misdeed(
        "question",
        lambda name: packet(LIE, question=f"{name.partition('.')[2]}. IN A"),
        match="subdomain",
    ),
    "two-questions": plain("question", packet(LIE, question="@ IN A\n@ IN A")),
    "other-case": Misdeed("case", lambda name: packet(LIE, question=f"{name.upper()}. IN A")),
    "name-error-and-answer": plain("malformed", packet(LIE, rcode="NXDOMAIN")),
    "alias-circle": plain("malformed", packet("@ 300 IN CNAME b.test.", "b.test. 300 IN CNAME @")),
    "empty": bytewise("malformed", lambda _name: b"\0\0"),  # nothing but its number
    "half-a-header": bytewise("malformed", lambda name: message(name)[:11]),
    "header-alone": bytewise("question", lambda _name: struct.pack(">6H", 0, 0x8580, 0, 0, 0, 0)),
    "header-that-promises": bytewise("question", lambda _name: struct.pack(">6H", 0, 0x8580, 1, 1, 0, 0)),
    "half-a-question": bytewise("question", lambda name: message(name)[:16]),
    "more-answers-than-there-are": bytewise("malformed", lambda name: message(name, record(), answers=2)),
    "all-counts-at-their-most": bytewise(
        "malformed", lambda name: message(name, record(), answers=65535, others=65535)
    ),
    "half-a-record": bytewise("malformed", lambda name: message(name, record()[:-2])),
    "data-beyond-the-end": bytewise("malformed", lambda name: message(name, record(size=65535))),
    "address-of-three-bytes": bytewise("malformed", lambda name: message(name, record(data=b"\xc0\0\2"))),
    "address-of-no-byte": bytewise("malformed", lambda name: message(name, record(data=b""))),
    "pointer-to-itself": bytewise(
        "malformed", lambda name: message(name, record(owner=after_question(name)))
    ),
    "pointer-beyond-the-end": bytewise("malformed", lambda name: message(name, record(owner=b"\xff\xff"))),
    "pointers-in-a-circle": bytewise(
        "malformed", lambda name: message(name, record(owner=b"\1a" + after_question(name)))
    ),
    "half-a-pointer": bytewise("malformed", lambda name: message(name, b"\xc0")),
    "label-of-another-kind": bytewise("malformed", lambda name: message(name, record(owner=b"\x41a\0"))),
    "name-of-three-hundred-bytes": bytewise(
        "malformed", lambda name: message(name, record(owner=(b"\x3b" + b"x" * 59) * 5 + b"\0"))
    ),
    "alias-to-a-pointer-circle": bytewise(
        "malformed", lambda name: message(name, record(data=after_question(name, 12), kind=5))
    ),
    "garbage": bytewise("question", lambda _name: bytes(range(0x80, 0x100)) * 4),
}


def script() -> str:
    entries = []
    for label, misdeed in MISDEEDS.items():
        alone, first, mended = (f"www.{way}.{label}.test" for way in ("alone", "first", "mended"))
        by_udp = f"{misdeed.match} UDP"
        entries += [
            entry(alone, misdeed.write(alone), match=misdeed.match),
            entry(first, misdeed.write(first), ANSWER, match=by_udp),
            entry(mended, misdeed.write(mended), match=by_udp),
            entry(mended, ANSWER, match="qname TCP"),
        ]
    return "".join(entries)


# What is odd in other ways

RCODES: Final = {
    "FORMERR": "FORMERR",
    "SERVFAIL": "SERVFAIL",
    "NOTIMPL": "NOTIMP",
    "REFUSED": "REFUSED",
    "YXDOMAIN": "YXDOMAIN",
    "NOTZONE": "NOTZONE",
}
"""As ldns calls them, and as we do."""
CUT: Final = packet(flags="QR AA TC RD RA")
SOA: Final = "SECTION AUTHORITY\ntest. 300 IN SOA ns.test. admin.test. 1 3600 600 86400 60"
ODD: Final = "".join(
    [
        entry("cut.test", CUT, match="qname UDP"),
        entry("cut.test", ANSWER, match="qname TCP"),
        entry("cut-and-filled.test", packet(LIE, flags="QR AA TC RD RA"), match="qname UDP"),
        entry("cut-and-filled.test", ANSWER, match="qname TCP"),
        entry("cut-and-none.test", CUT, match="qname UDP"),
        entry("cut-and-none.test", packet(rcode="NXDOMAIN", rest=SOA), match="qname TCP"),
        entry("cut-and-closed.test", CUT, match="qname UDP"),
        entry("cut-always.test", CUT),
        entry("other-number.test", ANSWER, match="qname UDP", adjust=""),
        entry("other-number.test", ANSWER, match="qname TCP"),
        entry("other-number-always.test", ANSWER, adjust=""),
        entry("twice.test", ANSWER, ANSWER),
        entry("and-another.test", ANSWER, packet(LIE)),
        entry("many.test", *[packet(LIE, question="@ IN AAAA")] * 100, ANSWER, match="qname UDP"),
        entry("any-case.test", ANSWER, adjust="copy_id copy_query"),
        entry("alias.test", packet("@ 300 IN CNAME b.test.", f"b.test. 300 IN A {RIGHT}")),
        entry("other-owner.test", packet(f"b.test. 300 IN A {WRONG}", rest=SOA)),
        entry("other-owner-too.test", packet(f"b.test. 300 IN A {WRONG}", f"@ 300 IN A {RIGHT}")),
        entry("no-data.test", packet(rest=SOA)),
        entry("no-name.test", packet(rcode="NXDOMAIN", rest=SOA)),
        *[entry(f"{rcode.lower()}.test", packet(rcode=rcode)) for rcode in RCODES],
        entry("bare-failure.test", raw("bare-failure.test", struct.pack(">6H", 0, 0x8182, 0, 0, 0, 0))),
    ]
)


@pytest.fixture(scope="module")
def wicked(start_testns: StartTestns) -> NameServer:
    return start_testns(script() + ODD)


@pytest.fixture(scope="module")
def righteous(start_testns: StartTestns) -> NameServer:
    return start_testns("".join(entry(f"www.alone.{label}.test", ANSWER) for label in MISDEEDS))


@contextmanager
def resolver(
    *servers: NameServer, options: ResolverOptions = PATIENT, conf: str | None = None
) -> Iterator[Resolver]:
    """Make one on the best backend alone, as what is odd here is in the messages; nothing may escape, or stay."""
    escaped: list[BaseException] = []
    with (
        EventBase() as base,
        Resolver(
            base, [str(server) for server in servers] or None, options=options, conf=conf, hosts=None
        ) as made,
    ):
        base.exception_handler = lambda exception, _source: escaped.append(exception)
        yield made
        assert len(made) == 0
    assert escaped == []


@pytest.mark.parametrize("label", MISDEEDS)
class TestMisdeeds:
    def test_the_answer_comes_behind_it(self, wicked: NameServer, label: str) -> None:
        with resolver(wicked) as made:
            answer = made.resolve(f"www.first.{label}.test").result()
            assert answer.addresses == [RIGHT]
            assert made.tally.dropped == {MISDEEDS[label].kind: 1}
            assert [outcome[:8] for _, outcome in outcomes(answer)] == ["dropped:", "NOERROR"]

    def test_the_answer_comes_over_tcp(self, wicked: NameServer, label: str) -> None:
        with resolver(wicked) as made:
            answer = made.resolve(f"www.mended.{label}.test").result()
            assert answer.addresses == [RIGHT]
            assert [transport for transport, _ in outcomes(answer)] == ["udp", "tcp"]

    def test_nothing_else_comes(self, wicked: NameServer, label: str) -> None:
        with resolver(wicked, options=ONCE) as made:
            error = made.resolve(f"www.alone.{label}.test").exception()
            assert type(error) is ServerFailure
            assert "all that came was no answer" in str(error)
            assert {transport for transport, _ in outcomes(error)} == {"udp", "tcp"}

    def test_another_server_has_the_answer(
        self, wicked: NameServer, righteous: NameServer, tmp_path: Path, label: str
    ) -> None:
        conf = tmp_path / "resolv.conf"  # whose servers are asked in their order
        conf.write_text(f"nameserver {wicked}\nnameserver {righteous}\n")
        with resolver(options=ONCE, conf=str(conf)) as made:
            answer = made.resolve(f"www.alone.{label}.test").result()
            assert answer.addresses == [RIGHT]
            assert [attempt.server for attempt in answer.attempts] == [str(wicked)] * 2 + [str(righteous)]


# Cut


@pytest.mark.parametrize("name", ["cut.test", "cut-and-filled.test"])
def test_what_was_cut_is_asked_for_over_tcp(wicked: NameServer, name: str) -> None:
    with resolver(wicked) as made:
        answer = made.resolve(name).result()
        assert answer.addresses == [RIGHT]
        assert outcomes(answer) == [("udp", "truncated"), ("tcp", "NOERROR")]


def test_what_was_cut_is_taken_as_it_is_on_request(wicked: NameServer) -> None:
    with resolver(wicked) as made:
        assert made.resolve("cut-and-filled.test", ignore_tc=True).result().addresses == [WRONG]


def test_over_tcp_there_may_be_no_such_name(wicked: NameServer) -> None:
    with resolver(wicked) as made:
        error = made.resolve("cut-and-none.test").exception()
        assert type(error) is NameNotFound
        assert outcomes(error) == [("udp", "truncated"), ("tcp", "NXDOMAIN")]


def test_what_is_cut_over_tcp_too_is_a_failure(wicked: NameServer) -> None:
    with resolver(wicked, options=ONCE) as made:
        error = made.resolve("cut-always.test").exception()
        assert type(error) is ServerFailure
        assert outcomes(error) == [("udp", "truncated"), ("tcp", "truncated, though it is no datagram")]


def test_a_connection_that_ends_without_a_reply_is_a_failure(wicked: NameServer) -> None:
    with resolver(wicked, options=ONCE) as made:
        error = made.resolve("cut-and-closed.test").exception()
        assert type(error) is ServerFailure
        assert outcomes(error) == [("udp", "truncated"), ("tcp", "connection closed")]


# Other numbers, and more replies than one; that the script's number, 0, is right has a chance of 1 in 65,536


def test_another_number_over_udp_is_mended_over_tcp(wicked: NameServer) -> None:
    with resolver(wicked) as made:
        answer = made.resolve("other-number.test").result()
        assert answer.addresses == [RIGHT]
        assert made.tally.dropped == {"number": 1}
        assert outcomes(answer) == [("udp", "dropped: another number"), ("tcp", "NOERROR")]


def test_another_number_always_is_a_failure(wicked: NameServer) -> None:
    with resolver(wicked, options=replace(ONCE, timeout=1.0, min_timeout=1.0)) as made:
        error = made.resolve("other-number-always.test").exception()
        assert type(error) is ServerFailure
        assert ("udp", "dropped: another number") in outcomes(error)


@pytest.mark.parametrize("name", ["twice.test", "and-another.test"])
def test_the_first_of_two_counts(wicked: NameServer, name: str) -> None:
    with resolver(wicked) as made:
        answer = made.resolve(name).result()
        assert (answer.addresses, outcomes(answer)) == ([RIGHT], [("udp", "NOERROR")])
        assert made.resolve(name, fresh=True).result().addresses == [RIGHT]  # with the other one on its way


def test_a_hundred_bad_replies_keep_nobody_from_the_good_one(wicked: NameServer) -> None:
    with resolver(wicked) as made:
        assert made.resolve("many.test").result().addresses == [RIGHT]
        assert made.tally.dropped == {"question": 100}


def test_random_case_that_is_repeated_is_right(wicked: NameServer) -> None:
    with resolver(wicked, options=replace(PATIENT, randomize_case=True)) as made:
        answer = made.resolve("any-case.test").result()
        assert outcomes(answer) == [("udp", "NOERROR")]
        assert answer.addresses == [RIGHT]


# Records, and codes


def test_aliases_are_followed(wicked: NameServer) -> None:
    with resolver(wicked) as made:
        answer = made.resolve("alias.test").result()
        assert (answer.addresses, answer.canonical_name) == ([RIGHT], "b.test")


def test_records_of_other_names_are_nothing(wicked: NameServer) -> None:
    with resolver(wicked) as made:
        assert made.resolve("other-owner-too.test").result().addresses == [RIGHT]
        assert type(made.resolve("other-owner.test").exception()) is NoData


@pytest.mark.parametrize(("name", "kind"), [("no-data.test", NoData), ("no-name.test", NameNotFound)])
def test_that_there_is_none_is_an_answer(wicked: NameServer, name: str, kind: type[ResolveError]) -> None:
    with resolver(wicked) as made:
        error = made.resolve(name).exception()
        assert type(error) is kind
        assert error.answer is not None
        assert error.answer.authority[0].type == "SOA"


@pytest.mark.parametrize("rcode", RCODES)
def test_codes_of_failure_have_names(wicked: NameServer, rcode: str) -> None:
    with resolver(wicked, options=ONCE) as made:
        error = made.resolve(f"{rcode.lower()}.test").exception()
        assert type(error) is ServerFailure
        assert RCODES[rcode] in str(error)


def test_a_failure_without_the_question_is_believed_in_the_end(wicked: NameServer) -> None:
    with resolver(wicked, options=ONCE) as made:
        error = made.resolve("bare-failure.test").exception()
        assert type(error) is ServerFailure
        assert outcomes(error) == [("udp", "SERVFAIL")]


# Late: these servers are their own, since they do nothing else while they sleep


def test_beyond_the_time_out_there_is_none(start_testns: StartTestns) -> None:
    slow = start_testns(entry("slow.test", ANSWER, adjust="copy_id sleep=1"))
    with resolver(slow, options=replace(ONCE, timeout=0.1, min_timeout=0.1)) as made:
        error = made.resolve("slow.test").exception()
        assert type(error) is ResolveTimeout
        assert outcomes(error) == [("udp", "timed out")]


def test_what_is_late_is_welcome_while_it_is_asked_again(start_testns: StartTestns) -> None:
    slow = start_testns(entry("slow.test", ANSWER, adjust="copy_id sleep=1"))
    with resolver(slow, options=replace(PATIENT, timeout=0.7, min_timeout=0.7, attempts=2)) as made:
        answer = made.resolve("slow.test").result()
        assert answer.addresses == [RIGHT]
        assert outcomes(answer) == [("udp", "timed out"), ("udp", "NOERROR")]


def test_a_bad_reply_now_and_the_good_one_late(start_testns: StartTestns) -> None:
    bad = packet(LIE, question="@ IN AAAA")
    slow = start_testns(entry("slow.test", bad, f"ADJUST packet_sleep=1\n{ANSWER}", match="qname UDP"))
    with resolver(slow) as made:
        answer = made.resolve("slow.test").result()
        assert answer.addresses == [RIGHT]
        assert outcomes(answer) == [("udp", "dropped: another question"), ("udp", "NOERROR")]
