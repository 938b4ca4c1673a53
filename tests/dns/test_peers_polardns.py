"""The resolver against PolarDNS, a server that somebody else has written to misbehave: each way ends in time, and well.

A name says what becomes of the reply. Most is done over UDP and TCP alike, so no good answer is there to be had.
"""

from collections.abc import Iterator

import pytest

from dns_peers import NameServer
from evkit.core import EventBase
from evkit.dns import Answer, Resolver, ResolverOptions
from evkit.errors import NameNotFound, NoData, ResolveError, ResolveTimeout, ServerFailure

pytestmark = pytest.mark.peer

HASTY = ResolverOptions(total_timeout=3.0, timeout=0.1, min_timeout=0.1, attempts=2)
ALWAYS = "2.3.4.5"
"""The address of what begins with "always"."""


@pytest.fixture
def resolver(polardns: NameServer) -> Iterator[Resolver]:
    """One on the best backend alone, as what is odd here is in the messages."""
    escaped: list[BaseException] = []
    with (
        EventBase() as base,
        Resolver(base, [str(polardns)], options=HASTY, conf=None, hosts=None) as resolver,
    ):
        base.exception_handler = lambda exception, _source: escaped.append(exception)
        yield resolver
    assert escaped == []


def ask(resolver: Resolver, name: str, kind: str = "A", **how: bool) -> Answer:
    return resolver.resolve(f"{name}.polar.test", kind, **how).result()


@pytest.mark.parametrize(
    "name",
    [
        "always",
        "always.tc",  # cut over UDP
        "always.nc",  # without compression
        "always.fc",
        "always.slp20",  # late
        "always.flgs0x8000",  # neither authoritative nor willing to recurse
        "always.s3.x.y",
        "always.add5",  # more bytes: over TCP they are not part of the message
    ],
)
@pytest.mark.parametrize("tcp", [False, True])
def test_odd_and_right(resolver: Resolver, name: str, tcp: bool) -> None:
    assert ask(resolver, name, tcp=tcp).addresses == [ALWAYS]


def test_in_pieces_over_tcp(resolver: Resolver) -> None:
    assert ask(resolver, "always.cnk1", tcp=True).addresses == [ALWAYS]


def test_many_addresses(resolver: Resolver) -> None:
    assert len(ask(resolver, "size.4000").addresses) > 4000 // 64  # no record of an address is so large


@pytest.mark.parametrize("name", ["bigtxt", "bigbintxt", "manytxt", "manybintxt"])
def test_large_texts(resolver: Resolver, name: str) -> None:
    assert len(ask(resolver, name, "TXT")) >= 1


@pytest.mark.parametrize(
    ("seconds", "ttl"), [("60", 60), ("86400", 86400), ("4294967295", 0), ("2147483648", 0)]
)
def test_a_time_to_live_with_its_top_bit_set_is_none(resolver: Resolver, seconds: str, ttl: int) -> None:
    answer = ask(resolver, f"always.ttl{seconds}")
    assert (answer.addresses, answer.ttl) == ([ALWAYS], ttl)  # RFC 2181 §8


@pytest.mark.parametrize(
    "name",
    [
        "badcompressfwptr1",
        "badcompressfwptr2",
        "badcompressloop1",
        "badcompressloop2",
        "badcompressloop3",
        "badcompressloop4",
        "badcompressloop5",
        "badcompressmid1",
        "empty1",
        "empty2",
        "empty3",
        "empty4",
        "empty5",
        "empty6",
        "empty7",
        "queryback1",
        "queryback2",
        "queryback3",
        "queryback4",
        "always.newid",
        "always.noq",
        "always.cut1",
        "always.cut4",
        "always.cut20",
        "always.add1.rl",
        "always.add50.rl",
        "always.qurr0",
        "always.qurr2",
        "always.anrr2",
        "always.anrr65535",
        "always.aurr1",
        "always.adrr1",
        "always.adrr65535",
        "always.flgs0x0000",  # a query
        "always.flgs0xA000",  # another opcode
        "cnloop",
        "cnchain",
        "cnalias",
        "loop",
        "close",
        "timeout",
    ],
)
def test_what_is_no_answer_is_none(resolver: Resolver, name: str) -> None:
    with pytest.raises((ServerFailure, ResolveTimeout)):
        ask(resolver, name)
    assert len(resolver) == 0


@pytest.mark.parametrize(
    "name", ["always.len0", "always.len1", "always.len20", "always.len65535", "close", "timeout"]
)
def test_over_tcp_a_length_may_lie(resolver: Resolver, name: str) -> None:
    with pytest.raises((ServerFailure, ResolveTimeout)):
        ask(resolver, name, tcp=True)


@pytest.mark.parametrize(
    ("code", "word"), [(1, "FORMERR"), (2, "SERVFAIL"), (4, "NOTIMP"), (5, "REFUSED"), (9, "NOTAUTH")]
)
def test_a_code_of_failure_counts_more_than_the_records(resolver: Resolver, code: int, word: str) -> None:
    with pytest.raises(ServerFailure, match=word):
        ask(resolver, f"always.rc{code}")


@pytest.mark.parametrize("name", ["always.nfz0", "always.nfz1", "always.nfz2", "always.nfz5.s2.m3.p1"])
def test_fuzzed_names_end_in_an_answer_or_a_failure(resolver: Resolver, name: str) -> None:
    try:
        addresses = ask(resolver, name).addresses
    except ResolveError:
        addresses = [ALWAYS]
    assert addresses == [ALWAYS]


def test_records_that_nobody_asked_for_are_left_out(resolver: Resolver) -> None:
    for name, kind in (("injcname", "A"), ("injns", "A"), ("inja", "TXT"), ("injmx", "A")):
        try:
            answer = ask(resolver, name, kind)
        except (NameNotFound, NoData, ServerFailure, ResolveTimeout):
            continue
        assert {record.name for record in answer} <= {answer.canonical_name}
    with pytest.raises(NameNotFound):
        ask(resolver, "nowhere")
