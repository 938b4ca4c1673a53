"""What replies say about a question, by tables."""

from itertools import pairwise

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dns_corpus import LONGEST, QNAME, QUESTION, header, name, opt, pointer, record, reply
from evkit.dns.answer import Record
from evkit.dns.interpretation import MAX_CHAIN, Kind, Verdict, interpret
from evkit.dns.message import AA, QR, RA, RD, decode, decode_reply, encode_question
from evkit.dns.names import to_text, to_wire
from evkit.dns.record_data import Soa

Line = str
"""A record as in a master file: ``"owner TTL type data"``; the class is IN unless it stands there."""


def message(
    *answers: Line,
    authority: tuple[Line, ...] = (),
    rcode: int = 0,
    flags: int = QR | RD | RA,
    asked: str = "www.example.org.",
    kind: str = "A",
) -> bytes:
    made = dns.message.make_response(dns.message.make_query(asked, kind))
    made.flags = dns.flags.Flag(flags)
    made.answer = [rrset_of(line) for line in answers]
    made.authority = [rrset_of(line) for line in authority]
    made.set_rcode(dns.rcode.Rcode(rcode))
    return made.to_wire()


def rrset_of(line: Line) -> dns.rrset.RRset:
    owner, ttl, kind, data = line.split(" ", 3)
    group, kind = kind.split("/") if "/" in kind else ("IN", kind)
    return dns.rrset.from_text(owner, int(ttl), group, kind, data)


def verdict_of(data: bytes, asked: str = "www.example.org", rdtype: int = 1) -> Verdict:
    return interpret(decode(data), to_wire(asked).lower(), rdtype)


SOA = "example.org. 600 SOA ns.example.org. host.example.org. 1 2 3 4 300"
SOA_OF_NO_TTL = SOA.replace("600", "0")
NS = "example.org. 600 NS ns.example.org."
A = "www.example.org. 300 A 192.0.2.1"


def test_one_address() -> None:
    verdict = verdict_of(message(A))
    assert verdict.kind is Kind.ANSWER
    assert verdict.records == (Record("www.example.org", "A", 300, "192.0.2.1"),)
    assert (verdict.ttl, verdict.target, verdict.rcode, verdict.ignored) == (300, QNAME, 0, 0)
    assert (verdict.aliases, verdict.authority, verdict.why) == ((), (), "")
    assert repr(verdict) == "<Verdict answer target=www.example.org records=1 aliases=0 ttl=300>"


def test_owners_compare_without_case() -> None:
    data = header(2) + encode_question(to_wire("WWW.example.ORG"), 1)
    data += record(b"\xc0\0\2\1", owner=to_wire("www.EXAMPLE.org"), ttl=9) + record(b"\xc0\0\2\2", ttl=8)
    verdict = verdict_of(data)
    assert [record.data for record in verdict.records] == ["192.0.2.1", "192.0.2.2"]
    assert verdict.ttl == 8


def test_a_chain_of_aliases() -> None:
    verdict = verdict_of(
        message(
            "c.example.net. 50 A 192.0.2.1",  # the order in the message counts for nothing
            "b.example.com. 40 CNAME c.example.net.",
            "www.example.org. 60 CNAME b.example.com.",
        )
    )
    assert verdict.kind is Kind.ANSWER
    assert verdict.target == to_wire("c.example.net")
    assert verdict.aliases == (
        Record("www.example.org", "CNAME", 60, "b.example.com"),
        Record("b.example.com", "CNAME", 40, "c.example.net"),
    )
    assert verdict.records == (Record("c.example.net", "A", 50, "192.0.2.1"),)
    assert (verdict.ttl, verdict.ignored) == (40, 0)


def test_records_of_others_are_ignored() -> None:
    verdict = verdict_of(
        message(
            "evil.example.org. 300 A 192.0.2.66",
            "www.example.org. 300 A 192.0.2.1",
            "www.example.org. 5 AAAA 2001:db8::1",
            "www.example.org. 5 CH/TXT x",
            "elsewhere.example.org. 5 CNAME www.example.org.",
        )
    )
    assert [record.data for record in verdict.records] == ["192.0.2.1"]
    assert (verdict.ttl, verdict.ignored) == (300, 4)
    foreign = verdict_of(message("evil.example.org. 300 A 192.0.2.66", flags=QR | RD))
    assert (foreign.kind, foreign.records, foreign.ignored) == (Kind.LAME, (), 1)


def test_the_type_goes_before_the_alias() -> None:
    verdict = verdict_of(message(A, "www.example.org. 60 CNAME b.example.com."))
    assert [record.data for record in verdict.records] == ["192.0.2.1"]
    assert (verdict.aliases, verdict.ttl) == ((), 300)


def test_the_first_of_several_aliases_counts() -> None:
    data = reply(
        record(name(b"a"), 5), record(name(b"b"), 5), record(owner=name(b"a")), record(owner=name(b"b"))
    )
    verdict = verdict_of(data)
    assert (verdict.kind, verdict.target, len(verdict.aliases), len(verdict.records)) == (
        Kind.ANSWER,
        b"\1a\0",
        1,
        1,
    )


def test_targets_compare_without_case() -> None:
    verdict = verdict_of(reply(record(name(b"B", b"Org"), 5), record(owner=name(b"b", b"oRG"))))
    assert (verdict.kind, verdict.target) == (Kind.ANSWER, name(b"b", b"org"))
    assert (verdict.aliases[0].data, verdict.records[0].name) == ("B.Org", "b.org")


def test_a_question_for_aliases_follows_none() -> None:
    verdict = verdict_of(message("www.example.org. 60 CNAME b.example.com.", kind="CNAME"), rdtype=5)
    assert verdict.records == (Record("www.example.org", "CNAME", 60, "b.example.com"),)
    assert (verdict.aliases, verdict.target) == ((), QNAME)


def test_any_takes_all() -> None:
    data = message(A, "www.example.org. 5 CNAME b.example.com.", "b.example.com. 5 A 192.0.2.9", kind="ANY")
    verdict = verdict_of(data, rdtype=255)
    assert [(record.type, record.data) for record in verdict.records] == [
        ("A", "192.0.2.1"),
        ("CNAME", "b.example.com"),
    ]
    assert (verdict.ttl, verdict.ignored) == (5, 1)


def test_aliases_and_any_are_of_the_class() -> None:
    data = reply(record(b"\1b\0", 5, rdclass=3), record(b"x", 65280, rdclass=3), record(ttl=7))
    assert verdict_of(data, rdtype=28).aliases == ()
    assert [each.type for each in verdict_of(data, rdtype=255).records] == ["A"]


def test_equal_records_count_once() -> None:
    a, b = record(b"\xc0\0\2\1"), record(b"\xc0\0\2\2")
    assert [each.data for each in verdict_of(reply(a, b, a, b)).records] == ["192.0.2.1", "192.0.2.2"]
    assert len(verdict_of(reply(*[record(b"\1\2", 65280)] * 3), rdtype=65280).records) == 1


def test_other_classes() -> None:
    data = message(
        "version.bind. 0 CH/TXT 9.18", "version.bind. 0 TXT other", asked="version.bind.", kind="TXT"
    )
    verdict = interpret(decode(data), to_wire("version.bind"), 16, 3)
    assert [record.data for record in verdict.records] == [(b"9.18",)]


@pytest.mark.parametrize(
    ("answers", "authority", "rcode", "flags", "kind", "ttl"),
    [
        # RFC 2308 §2.1.1 and §2.2: types of NXDOMAIN and NODATA, and referrals that look like them.
        ((), (SOA, NS), 3, QR | RD | RA, Kind.NO_NAME, 300),
        ((), (SOA,), 3, QR | AA, Kind.NO_NAME, 300),
        ((), (), 3, QR | RA, Kind.NO_NAME, 0),
        ((), (NS,), 3, QR | RA, Kind.NO_NAME, 0),
        ((), (SOA, NS), 0, QR | RA, Kind.NO_DATA, 300),
        ((), (SOA,), 0, QR, Kind.NO_DATA, 300),
        ((), (), 0, QR | RA, Kind.NO_DATA, 0),
        ((), (), 0, QR | AA, Kind.NO_DATA, 0),
        ((), (), 0, QR, Kind.LAME, 0),
        ((), (NS,), 0, QR, Kind.LAME, 0),
        ((), (". 600 NS a.root-servers.net.",), 0, QR | RD, Kind.LAME, 0),
        # The lesser of the SOA's TTL and its last field: §5.
        ((), (SOA.replace("600", "20"),), 0, QR | RA, Kind.NO_DATA, 20),
        ((), (". 86400 SOA . . 1 2 3 4 7",), 3, QR | RA, Kind.NO_NAME, 7),
        ((), (SOA_OF_NO_TTL,), 3, QR | RA, Kind.NO_NAME, 0),
        # A SOA of a zone that the name is not in says nothing.
        ((), (SOA.replace("example.org. 600", "example.com. 600"),), 0, QR | RA, Kind.NO_DATA, 0),
        ((), (SOA.replace("example.org. 600", "example.com. 600"),), 0, QR, Kind.LAME, 0),
        ((), (SOA.replace("example.org. 600", "a.www.example.org. 600"),), 3, QR | RA, Kind.NO_NAME, 0),
        ((), ("ample.org. 600 SOA . . 1 2 3 4 300",), 3, QR | RA, Kind.NO_NAME, 0),
        ((), (SOA.replace("SOA", "CH/SOA"),), 3, QR | RA, Kind.NO_NAME, 0),
        # Records of another type say that the name exists.
        (("www.example.org. 5 AAAA ::1",), (SOA,), 0, QR | RA, Kind.NO_DATA, 300),
    ],
)
def test_that_there_is_none(
    answers: tuple[str, ...], authority: tuple[str, ...], rcode: int, flags: int, kind: Kind, ttl: int
) -> None:
    verdict = verdict_of(message(*answers, authority=authority, rcode=rcode, flags=flags))
    assert (verdict.kind, verdict.ttl, verdict.records, verdict.target) == (kind, ttl, (), QNAME)
    assert len(verdict.authority) == (1 if ttl or authority == (SOA_OF_NO_TTL,) else 0)
    assert verdict.ignored == len(answers)
    assert verdict.rcode == rcode


def test_the_soa_comes_along() -> None:
    verdict = verdict_of(message(authority=(NS, SOA), rcode=3))
    soa = Soa("ns.example.org", "host.example.org", 1, 2, 3, 4, 300)
    assert verdict.authority == (Record("example.org", "SOA", 600, soa),)


ALIAS = "www.example.org. 60 CNAME b.example.com."
SOA_OF_TARGET = "example.com. 600 SOA . . 1 2 3 4 300"


@pytest.mark.parametrize(
    ("authority", "rcode", "flags", "kind", "ttl"),
    [
        ((), 0, QR | RA, Kind.ALIAS, 60),
        ((NS,), 0, QR | AA, Kind.ALIAS, 60),
        ((SOA,), 0, QR | AA, Kind.ALIAS, 60),  # of the zone that the alias is in, not its target
        ((SOA_OF_TARGET,), 0, QR | RA, Kind.NO_DATA, 60),
        ((SOA_OF_TARGET.replace("300", "20"),), 0, QR | RA, Kind.NO_DATA, 20),
        ((SOA_OF_TARGET,), 3, QR | RA, Kind.NO_NAME, 60),
        ((), 3, QR | RA, Kind.NO_NAME, 0),
    ],
)
def test_where_an_alias_leads_to_nothing(
    authority: tuple[str, ...], rcode: int, flags: int, kind: Kind, ttl: int
) -> None:
    verdict = verdict_of(message(ALIAS, authority=authority, rcode=rcode, flags=flags))
    assert (verdict.kind, verdict.ttl, verdict.target) == (kind, ttl, to_wire("b.example.com"))
    assert verdict.aliases == (Record("www.example.org", "CNAME", 60, "b.example.com"),)
    assert verdict.ignored == 0


@pytest.mark.parametrize(
    ("rcode", "why"), [(1, "FORMERR"), (2, "SERVFAIL"), (5, "REFUSED"), (6, "YXDOMAIN"), (11, "DSOTYPENI")]
)
def test_failures(rcode: int, why: str) -> None:
    verdict = verdict_of(message(A, rcode=rcode))
    assert (verdict.kind, verdict.rcode, verdict.why, verdict.records) == (Kind.FAILURE, rcode, why, ())


def test_extended_response_codes_are_no_answers() -> None:
    data = reply(record(), additional=(opt(ttl=2 << 24),))
    verdict = interpret(decode_reply(data, QUESTION), QNAME, 1)
    assert (verdict.kind, verdict.rcode, verdict.why) == (Kind.FAILURE, 32, "RCODE32")


def chain(links: int, last: str = "A 192.0.2.1") -> bytes:
    names = ["www.example.org.", *[f"n{i}.example.org." for i in range(1, links + 1)]]
    lines = [f"{owner} 60 CNAME {target}" for owner, target in pairwise(names)]
    return message(*lines, f"{names[-1]} 60 {last}")


def test_how_long_a_chain_may_be() -> None:
    verdict = verdict_of(chain(MAX_CHAIN))
    assert (verdict.kind, len(verdict.aliases), len(verdict.records)) == (Kind.ANSWER, 16, 1)
    too_long = verdict_of(chain(MAX_CHAIN + 1))
    assert (too_long.kind, too_long.records, too_long.aliases) == (Kind.BAD, (), ())
    assert too_long.why.startswith("expected 16 aliases at most, got more, or a circle")
    short = interpret(decode(chain(3)), QNAME, 1, max_chain=2)
    assert short.kind is Kind.BAD


@pytest.mark.parametrize("links", [1, 2, 5])
def test_aliases_in_a_circle(links: int) -> None:
    data = (
        chain(links - 1, "CNAME www.example.org.")
        if links > 1
        else message("www.example.org. 60 CNAME www.example.org.")
    )
    verdict = verdict_of(data)
    assert verdict.kind is Kind.BAD
    assert "a circle" in verdict.why


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (message(A, rcode=3), "NXDOMAIN, and yet an answer"),
        (message(ALIAS, "b.example.com. 60 A 192.0.2.1", rcode=3), "NXDOMAIN, and yet an answer"),
        (reply(record(b"\1\2\3")), "an address of 4 bytes, got 3"),
        (reply(record(), record(bytes(8))), "an address of 4 bytes, got 8"),
        (reply(record(b"\1a\0\0", 5)), "expected CNAME data of 3 bytes, got 4"),
        (reply(record(b"\1a", 5)), "end of the message"),
        (reply(record(pointer(45), 5)), "expected a pointer back"),
        (reply(authority=(record(bytes(21), 6),)), "expected SOA data of 22 bytes, got 21"),
    ],
)
def test_replies_that_are_wrong(data: bytes, words: str) -> None:
    verdict = verdict_of(data)
    assert verdict.kind is Kind.BAD
    assert words in verdict.why
    assert (verdict.records, verdict.ttl) == ((), 0)
    assert words in repr(verdict)


def test_what_is_wrong_elsewhere_is_nobodys_business() -> None:
    data = reply(
        record(), record(b"\1\2\3", owner=name(b"a")), record(b"\0", 28), authority=(record(b"", 6),)
    )
    assert verdict_of(data).kind is Kind.ANSWER


def test_dname_is_followed_by_the_alias_that_is_made_from_it() -> None:
    data = message(
        "example.org. 60 DNAME example.net.",
        "www.example.org. 60 CNAME www.example.net.",
        "www.example.net. 60 A 192.0.2.1",
    )
    verdict = verdict_of(data)
    assert (verdict.kind, to_text(verdict.target), verdict.ignored) == (Kind.ANSWER, "www.example.net", 1)
    without = verdict_of(message("example.org. 60 DNAME example.net.", "www.example.net. 60 A 192.0.2.1"))
    assert (without.kind, without.records) == (Kind.NO_DATA, ())


NAMES = st.sampled_from(["www.example.org.", "a.example.org.", "b.example.org.", "example.org.", "."])
LINES = st.one_of(
    st.tuples(NAMES, st.just("CNAME"), NAMES),
    st.tuples(NAMES, st.just("A"), st.sampled_from(["192.0.2.1", "192.0.2.2"])),
    st.tuples(NAMES, st.just("AAAA"), st.just("::1")),
    st.tuples(NAMES, st.just("SOA"), st.just(". . 1 2 3 4 5")),
)


@given(
    st.lists(LINES, max_size=6),
    st.lists(LINES, max_size=3),
    st.sampled_from([0, 3]),
    st.sampled_from([QR, QR | AA, QR | RA]),
    st.sampled_from([1, 28, 5, 255]),
)
def test_verdicts_hold_together(
    answers: list[tuple[str, str, str]],
    authority: list[tuple[str, str, str]],
    rcode: int,
    flags: int,
    rdtype: int,
) -> None:
    lines = [
        [f"{owner} {60 + i} {kind} {data}" for i, (owner, kind, data) in enumerate(each)]
        for each in (answers, authority)
    ]
    verdict = verdict_of(
        message(*lines[0], authority=tuple(lines[1]), rcode=rcode, flags=flags), rdtype=rdtype
    )
    links = {owner: data for owner, kind, data in reversed(answers) if kind == "CNAME"}
    asked = {1: "A", 28: "AAAA", 5: "CNAME", 255: ""}[rdtype]

    def has(owner: str) -> bool:
        return any(each == owner and (kind == asked or not asked) for each, kind, _ in answers)

    at, steps = "www.example.org.", 0
    if not has(at) and rdtype not in (5, 255):
        while at in links and steps < 20:
            at, steps = links[at], steps + 1
    zones = [
        owner
        for owner, kind, _ in authority
        if kind == "SOA" and (at == owner or owner == "." or at.endswith("." + owner))
    ]
    if steps == 20:
        expected = Kind.BAD
    elif has(at):
        expected = Kind.BAD if rcode else Kind.ANSWER
    elif rcode:
        expected = Kind.NO_NAME
    elif zones:
        expected = Kind.NO_DATA
    elif steps:
        expected = Kind.ALIAS
    else:
        expected = Kind.NO_DATA if flags & (AA | RA) else Kind.LAME
    assert verdict.kind is expected
    if expected is not Kind.BAD:
        assert (verdict.target, len(verdict.aliases)) == (to_wire(at), steps)
    assert bool(verdict.records) == (expected is Kind.ANSWER)


def test_long_names_all_the_way() -> None:
    data = reply(record(LONGEST, 5), record(owner=LONGEST))
    assert verdict_of(data).target == LONGEST
