"""The resolver against real name servers: what dig would say of them, evkit says too."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from dns_peers import NameServer
from dns_recipes import ROUTER
from dns_zone import (
    BIG_TEXT,
    CHAIN,
    MANY,
    NASTY_TEXT,
    NEGATIVE_TTL,
    THREE,
    WILD,
    WWW,
    WWW_6,
    ZONE,
    distinct,
)
from evkit.core import EventBase
from evkit.dns import Answer, Resolver, ResolverOptions
from evkit.errors import NameNotFound, NoData, ResolveError, ServerFailure

pytestmark = pytest.mark.peer

PATIENT = ResolverOptions(total_timeout=20.0)
"""A busy machine is no defect."""


def full(name: str) -> str:
    return f"{name}.{ZONE}"


class Asked:
    """One resolver that asks one server."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver

    def __call__(self, name: str, kind: str = "A", **how: bool) -> Answer:
        return self.resolver.resolve(name, kind, **how).result()


class Ask:
    """Makes resolvers, and closes them in the end."""

    def __init__(self, base: EventBase) -> None:
        self._base = base
        self.resolvers = ExitStack()

    def __call__(self, server: str, tls: ssl.SSLContext | None = None) -> Asked:
        resolver = Resolver(self._base, [server], options=PATIENT, conf=None, hosts=None, tls=tls)
        return Asked(self.resolvers.enter_context(resolver))


@pytest.fixture
def ask(base: EventBase) -> Iterator[Ask]:
    """For what is hard for a loop: on every backend."""
    maker = Ask(base)
    with maker.resolvers:
        yield maker


@pytest.fixture
def asked(name_server: NameServer) -> Iterator[Asked]:
    """For what stands in messages: each server, on the best backend alone."""
    escaped: list[BaseException] = []
    with EventBase() as base:
        base.exception_handler = lambda exception, _source: escaped.append(exception)
        maker = Ask(base)
        with maker.resolvers:
            yield maker(str(name_server))
    assert escaped == []


def texts(answer: Answer) -> list[str]:
    return sorted(record.text for record in answer)


def test_addresses(asked: Asked) -> None:
    assert asked(full("www")).addresses == [WWW]
    assert asked(full("www"), "AAAA").addresses == [WWW_6]
    assert sorted(asked(full("three")).addresses) == sorted(THREE)
    assert asked(full("x.y.wild")).addresses == [WILD]
    assert asked(full("mIxEd")).addresses == ["192.0.2.62"]


def test_a_chain_of_aliases(asked: Asked) -> None:
    answer = asked(full(CHAIN[0]))
    assert answer.addresses == [WWW]
    assert answer.canonical_name == full(CHAIN[-1])
    assert [record.name for record in answer.aliases] == [full(name) for name in CHAIN[:-1]]
    assert answer.ttl <= 10


def test_an_alias_by_a_dname(asked: Asked) -> None:
    answer = asked(full("leaf.tree"))
    assert (answer.canonical_name, answer.addresses) == (full("leaf.under"), ["192.0.2.40"])


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("", "MX", [f"10 mail.{ZONE}.", f"20 backup.{ZONE}."]),
        ("", "SOA", [f"ns1.{ZONE}. hostmaster.{ZONE}. 2026112301 3600 600 86400 60"]),
        ("", "NS", [f"ns1.{ZONE}.", f"ns2.{ZONE}."]),
        ("", "TXT", ['"v=spf1 -all"']),
        ("", "CAA", ['0 issue "ca.example.net"']),
        ("_sip._tcp.", "SRV", [f"10 60 5060 www.{ZONE}.", f"20 0 5061 mail.{ZONE}."]),
        ("sip.", "NAPTR", [f'10 100 "S" "SIP+D2T" "" _sip._tcp.{ZONE}.']),
        ("program.", "HINFO", ['"PC-Intel-700mhz" "Redhat Linux 7.1"']),
        ("link.", "URI", ['10 1 "https://www.peers.test/"']),
        ("strange.", "TYPE65280", [r"\# 4 0a000001"]),
        ("tree.", "DNAME", [f"under.{ZONE}."]),
        (
            "_443._tcp.www.",
            "TLSA",
            ["3 1 1 92003ba34942dc74152e2f2c408d29eca5a520e7f2e06bb944f4dca346baf63c"],
        ),
    ],
)
def test_records_of_many_types(asked: Asked, name: str, kind: str, expected: list[str]) -> None:
    assert texts(asked(f"{name}{ZONE}", kind)) == expected


def test_a_service_binding(asked: Asked) -> None:
    (text,) = texts(asked(ZONE, "HTTPS"))
    assert text.replace('"', "") == "1 . alpn=h2,h3 ipv4hint=192.0.2.1"


def test_what_takes_more_than_a_datagram(asked: Asked) -> None:
    answer = asked(full("big"), "TXT")
    assert [record.data for record in answer] == [BIG_TEXT]
    assert [attempt.transport for attempt in answer.attempts][-1] == "tcp"
    assert sorted(asked(full("many")).addresses) == sorted(MANY)


def test_bytes_are_bytes(asked: Asked) -> None:
    (record,) = asked(full("nasty"), "TXT")
    assert record.data == NASTY_TEXT


def test_names_of_odd_characters(asked: Asked) -> None:
    assert asked(rf"a\.dot.{ZONE}").addresses == ["192.0.2.60"]
    assert asked(rf"a\032space.{ZONE}").addresses == ["192.0.2.61"]
    assert asked(full("under_score")).addresses == ["192.0.2.63"]
    assert asked(full("straße")).addresses == ["192.0.2.64"]


def test_names_of_addresses(asked: Asked) -> None:
    assert [record.data for record in asked.resolver.reverse("192.0.2.1").result()] == [full("www")]
    assert [record.data for record in asked.resolver.reverse(WWW_6).result()] == [full("www")]
    names = {record.data for record in asked.resolver.reverse("192.0.2.10").result()}
    assert names
    assert names <= {full("three"), full("ten")}  # dnsmasq keeps one of them in its cache


def test_there_is_no_such_name(asked: Asked) -> None:
    for name in ("nowhere", "dangling"):
        with pytest.raises(NameNotFound) as told:
            asked(full(name))
        assert told.value.answer.authority[0].type == "SOA"
        assert 0 < told.value.answer.ttl <= NEGATIVE_TTL


def test_there_is_nothing_of_the_type(asked: Asked) -> None:
    for name, kind in (("mail", "MX"), ("empty", "A"), ("chain", "MX")):
        with pytest.raises(NoData):
            asked(full(name), kind)


def test_a_time_to_live_of_nothing_is_not_kept(asked: Asked) -> None:
    assert asked(full("zero")).ttl == 0
    assert not asked(full("zero")).cached
    assert not asked(full("www")).cached
    assert asked(full("www")).cached


def test_many_at_once(ask: Ask, name_server: NameServer) -> None:
    asked = ask(str(name_server))
    expected = dict(distinct(1000))
    futures = {name: asked.resolver.resolve(name) for name in expected}
    assert {name: future.result().addresses[0] for name, future in futures.items()} == expected


def test_over_tcp(ask: Ask, name_server: NameServer) -> None:
    asked = ask(str(name_server))
    expected = dict(distinct(200))
    futures = {name: asked.resolver.resolve(name, tcp=True) for name in expected}
    assert {name: future.result().addresses[0] for name, future in futures.items()} == expected
    answer = asked(full("www"), tcp=True)
    assert {attempt.transport for attempt in answer.attempts} == {"tcp"}


def test_addresses_to_connect_to(asked: Asked) -> None:
    found = asked.resolver.getaddrinfo(full("chain"), 80).result()
    assert {address[0] for address in found} == {WWW, WWW_6}
    assert {address[1] for address in found} == {80}


def test_over_tls(ask: Ask, bind: NameServer) -> None:
    if bind.certificates is None:
        pytest.skip("needs the openssl program (Debian package openssl)")
    asked = ask(bind.over_tls, tls=bind.certificates.client())
    expected = dict(distinct(200))
    futures = {name: asked.resolver.resolve(name) for name in expected}
    assert {name: future.result().addresses[0] for name, future in futures.items()} == expected
    answer = asked(full("www"))
    assert {attempt.transport for attempt in answer.attempts} == {"tls"}
    assert [record.data for record in asked(full("big"), "TXT")] == [BIG_TEXT]


def test_a_certificate_for_another_name_is_refused(ask: Ask, bind: NameServer) -> None:
    if bind.certificates is None:
        pytest.skip("needs the openssl program (Debian package openssl)")
    other = bind.over_tls.replace("#localhost", "#other.test")
    with pytest.raises(ServerFailure, match="certificate"):
        ask(other, tls=bind.certificates.client())(full("www"))
    trusting_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ServerFailure, match="certificate"):
        ask(bind.over_tls, tls=trusting_nobody)(full("www"))


def test_a_refusal_is_told(ask: Ask, nsd: NameServer) -> None:
    with pytest.raises(ResolveError, match="REFUSED"):
        ask(str(nsd))("www.elsewhere.test")


def test_a_delegation_is_no_answer(ask: Ask, nsd: NameServer) -> None:
    with pytest.raises(ServerFailure):
        ask(str(nsd))(full("www.sub"))


def test_what_a_router_knows_itself(ask: Ask, dnsmasq: NameServer) -> None:
    assert ask(str(dnsmasq))(ROUTER[0]).addresses == [ROUTER[1]]
