"""Answers, records and attempts: what users see."""

import json

from evkit.dns.answer import Answer, Attempt, Record
from evkit.dns.record_data import Mx, Soa

ADDRESS = Record("b.example.com", "A", 50, "192.0.2.1")
SIX = Record("b.example.com", "AAAA", 40, "2001:db8::1")
ALIAS = Record("www.example.org", "CNAME", 60, "b.example.com")
MAIL = Record("example.org", "MX", 300, Mx(10, "mail.example.org"))
SOA = Record("example.org", "SOA", 600, Soa("ns", "host", 1, 2, 3, 4, 300))
TRIED = Attempt("192.0.2.53:53", "udp", "NOERROR", 0.0123)


def test_a_record_as_text() -> None:
    assert (ADDRESS.text, str(ADDRESS)) == ("192.0.2.1", "b.example.com. 50 A 192.0.2.1")
    assert (MAIL.text, str(MAIL)) == ("10 mail.example.org.", "example.org. 300 MX 10 mail.example.org.")
    assert str(Record(".", "NS", 5, "a.root-servers.net")) == ". 5 NS a.root-servers.net."
    assert str(Record(r"a\.", "TXT", 5, (b"x y",))) == r'a\.. 5 TXT "x y"'
    # Numbers of types that are no data can stand in a reply, too.
    assert str(Record(".", "TYPE0", 5, "x")) == ". 5 TYPE0 x"


def test_an_attempt_as_text() -> None:
    assert str(TRIED) == "192.0.2.53:53 over udp: NOERROR after 12 ms"
    assert str(Attempt("[::1]:853", "tls", "timed out", 2.0)) == "[::1]:853 over tls: timed out after 2000 ms"


def test_an_answer_is_a_sequence_of_records() -> None:
    answer = Answer(
        "www.example.org", "A", (ADDRESS, SIX), canonical_name="b.example.com", aliases=(ALIAS,), ttl=40
    )
    assert (len(answer), list(answer), answer[0], answer[-1]) == (2, [ADDRESS, SIX], ADDRESS, SIX)
    assert answer.addresses == ["192.0.2.1", "2001:db8::1"]
    assert repr(answer) == "<Answer www.example.org A is b.example.com 2 records ttl=40>"
    assert Answer("example.org", "MX", (MAIL, MAIL)).addresses == []


def test_an_answer_without_records() -> None:
    answer = Answer("example.org", "A", ttl=300, authority=(SOA,), authenticated=True)
    assert (len(answer), answer.records, answer.canonical_name, answer.attempts) == (0, (), "example.org", ())
    assert not answer
    assert repr(answer) == "<Answer example.org A 0 records ttl=300 authenticated>"


def test_what_comes_out_of_a_cache_is_older() -> None:
    first = Answer(
        "www.example.org",
        "A",
        (ADDRESS,),
        canonical_name="b.example.com",
        aliases=(ALIAS,),
        ttl=50,
        attempts=(TRIED,),
        authenticated=True,
    )
    aged = first.aged(10.9)
    assert (aged.ttl, aged.records[0].ttl, aged.aliases[0].ttl) == (40, 40, 50)
    assert (aged.records[0][:2], aged.records[0].data) == (("b.example.com", "A"), "192.0.2.1")
    assert (aged.name, aged.type, aged.canonical_name) == ("www.example.org", "A", "b.example.com")
    assert (aged.cached, aged.stale, aged.authenticated, aged.attempts) == (True, False, True, ())
    assert (first.ttl, first.records[0].ttl, first.cached) == (50, 50, False)
    assert repr(aged) == "<Answer www.example.org A is b.example.com 1 record ttl=40 cached authenticated>"
    assert [each.ttl for each in (first.aged(55), *first.aged(55), *first.aged(55).aliases)] == [0, 0, 5]
    assert Answer("a", "A", ttl=9, authority=(SOA,)).aged(2).authority[0].ttl == 598


def test_what_is_stale_has_another_ttl() -> None:
    stale = Answer("b.example.com", "A", (ADDRESS,), ttl=50, authenticated=True).aged(3600, stale_ttl=30)
    assert (stale.ttl, stale.records[0].ttl) == (30, 30)
    assert (stale.cached, stale.stale, stale.authenticated) == (True, True, False)
    assert repr(stale) == "<Answer b.example.com A 1 record ttl=30 cached stale>"
    assert Answer("b.example.com", "A", (ADDRESS,), ttl=50).aged(3600, stale_ttl=0).ttl == 0


def test_json() -> None:
    answer = Answer(
        "example.org", "MX", (MAIL,), aliases=(ALIAS,), ttl=60, authority=(SOA,), attempts=(TRIED,)
    )
    assert json.loads(json.dumps(answer.as_dict())) == {
        "name": "example.org",
        "type": "MX",
        "canonical_name": "example.org",
        "ttl": 60,
        "records": [{"name": "example.org", "type": "MX", "ttl": 300, "data": "10 mail.example.org."}],
        "aliases": [{"name": "www.example.org", "type": "CNAME", "ttl": 60, "data": "b.example.com."}],
        "authority": [{"name": "example.org", "type": "SOA", "ttl": 600, "data": "ns. host. 1 2 3 4 300"}],
        "attempts": [
            {"server": "192.0.2.53:53", "transport": "udp", "outcome": "NOERROR", "seconds": 0.0123}
        ],
        "cached": False,
        "stale": False,
        "authenticated": False,
    }
