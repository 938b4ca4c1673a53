"""`Zone`: what it says to every kind of question. A table of a small zone, after RFC 1034 §6.2 and RFC 4592 §2.2.1."""

import dns.flags
import dns.rcode
import dns.rdata
import pytest

from dns_server_aids import Asked, query
from evkit.dns.names import to_text, to_wire
from evkit.dns.server import Zone
from evkit.dns.server.reply_builder import Entry
from evkit.dns.types import rcode_name, type_name, type_number

HEAD = """
$ORIGIN example.org.
$TTL 3600
@ SOA ns hostmaster 1 7200 3600 1209600 300
@ NS ns
"""
TEXT = (
    HEAD
    + """
@ MX 10 mail
@ MX 20 mail.example.net.
ns A 192.0.2.1
mail A 192.0.2.2
mail AAAA 2001:db8::2
www CNAME mail
out CNAME www.example.net.
gone CNAME nothing
chain1 CNAME chain2
chain2 CNAME mail
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
a.b.c A 192.0.2.3
*.wild MX 10 host1
*.wild TXT "wild"
sub.*.wild TXT "not a wildcard"
host1.wild A 192.0.2.4
_ssh._tcp.host1.wild SRV 0 0 22 host1.wild
*.alias CNAME mail
sub NS ns.sub
sub NS ns.example.net.
sub DS 1 8 2 00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF
ns.sub A 192.0.2.53
ns.sub AAAA 2001:db8::53
tosub CNAME host.sub
old DNAME new
x.new A 192.0.2.5
away DNAME example.net.
"""
)
ZONE = Zone.parse(TEXT)
SOA = "example.org 300 SOA ns.example.org. hostmaster.example.org. 1 7200 3600 1209600 300"


def told(entry: Entry) -> str:
    data = dns.rdata.from_wire(entry.rdclass, entry.rdtype, entry.rdata, 0, len(entry.rdata))
    return f"{to_text(entry.owner)} {entry.ttl} {type_name(entry.rdtype)} {data}"


def ask(name: str, rdtype: str, zone: Zone = ZONE) -> tuple[str, bool, list[str], list[str], list[str]]:
    found = zone.find(to_wire(name), type_number(rdtype))
    return (
        rcode_name(found.code),
        found.authoritative,
        [told(entry) for entry in found.answer],
        [told(entry) for entry in found.authority],
        [told(entry) for entry in found.additional],
    )


MAIL = "mail.example.org 3600 A 192.0.2.2"
MAIL6 = "mail.example.org 3600 AAAA 2001:db8::2"
REFERRAL = ["sub.example.org 3600 NS ns.sub.example.org.", "sub.example.org 3600 NS ns.example.net."]
GLUE = ["ns.sub.example.org 3600 A 192.0.2.53", "ns.sub.example.org 3600 AAAA 2001:db8::53"]
NS_ADDRESS = "ns.example.org 3600 A 192.0.2.1"


@pytest.mark.parametrize(
    ("name", "rdtype", "answer", "additional"),
    [
        ("mail.example.org", "A", [MAIL], []),
        ("MAIL.Example.ORG", "AAAA", [MAIL6], []),
        ("example.org", "NS", ["example.org 3600 NS ns.example.org."], [NS_ADDRESS]),
        (
            "example.org",
            "MX",
            ["example.org 3600 MX 10 mail.example.org.", "example.org 3600 MX 20 mail.example.net."],
            [MAIL, MAIL6],
        ),
        (
            "_ssh._tcp.host1.wild.example.org",
            "SRV",
            ["_ssh._tcp.host1.wild.example.org 3600 SRV 0 0 22 host1.wild.example.org."],
            ["host1.wild.example.org 3600 A 192.0.2.4"],
        ),
        ("www.example.org", "CNAME", ["www.example.org 3600 CNAME mail.example.org."], []),
        ("www.example.org", "A", ["www.example.org 3600 CNAME mail.example.org.", MAIL], []),
        (
            "chain1.example.org",
            "A",
            [
                "chain1.example.org 3600 CNAME chain2.example.org.",
                "chain2.example.org 3600 CNAME mail.example.org.",
                MAIL,
            ],
            [],
        ),
        ("out.example.org", "A", ["out.example.org 3600 CNAME www.example.net."], []),
        (
            "loop1.example.org",
            "A",
            [
                "loop1.example.org 3600 CNAME loop2.example.org.",
                "loop2.example.org 3600 CNAME loop1.example.org.",
            ],
            [],
        ),
        ("self.example.org", "A", ["self.example.org 3600 CNAME self.example.org."], []),
        ("www.example.org", "ANY", ["www.example.org 3600 CNAME mail.example.org."], []),
        ("mail.example.org", "ANY", [MAIL], []),
        # RFC 4592 §2.2.1
        ("host3.wild.example.org", "MX", ["host3.wild.example.org 3600 MX 10 host1.example.org."], []),
        ("a.b.wild.example.org", "TXT", ['a.b.wild.example.org 3600 TXT "wild"'], []),
        ("*.wild.example.org", "TXT", ['*.wild.example.org 3600 TXT "wild"'], []),
        ("X.alias.example.org", "A", ["X.alias.example.org 3600 CNAME mail.example.org.", MAIL], []),
        (
            "x.old.example.org",
            "A",
            [
                "old.example.org 3600 DNAME new.example.org.",
                "x.old.example.org 3600 CNAME x.new.example.org.",
                "x.new.example.org 3600 A 192.0.2.5",
            ],
            [],
        ),
        (
            "x.old.example.org",
            "CNAME",
            [
                "old.example.org 3600 DNAME new.example.org.",
                "x.old.example.org 3600 CNAME x.new.example.org.",
            ],
            [],
        ),
        ("old.example.org", "DNAME", ["old.example.org 3600 DNAME new.example.org."], []),
        (
            "a.away.example.org",
            "A",
            [
                "away.example.org 3600 DNAME example.net.",
                "a.away.example.org 3600 CNAME a.example.net.",
            ],
            [],
        ),
        (
            "sub.example.org",
            "DS",
            ["sub.example.org 3600 DS 1 8 2 " + "00112233445566778899aabbccddeeff" * 2],
            [],
        ),
    ],
)
def test_what_there_is(name: str, rdtype: str, answer: list[str], additional: list[str]) -> None:
    assert ask(name, rdtype) == ("NOERROR", True, answer, [], additional)


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("mail.example.org", "TXT"),
        ("example.org", "A"),
        ("example.org", "DS"),
        ("b.c.example.org", "A"),  # it has names below it
        ("c.example.org", "A"),
        ("host3.wild.example.org", "A"),  # RFC 4592 §2.2.1, and what follows
        ("sub.*.wild.example.org", "MX"),
        ("wild.example.org", "TXT"),
        ("_tcp.host1.wild.example.org", "TXT"),
        ("b.c.example.org", "ANY"),
        ("old.example.org", "A"),
    ],
)
def test_a_name_without_such_records(name: str, rdtype: str) -> None:
    assert ask(name, rdtype) == ("NOERROR", True, [], [SOA], [])


@pytest.mark.parametrize(
    "name",
    [
        "nothing.example.org",
        "a.mail.example.org",
        "x.a.b.c.example.org",
        "x.b.c.example.org",
        "_telnet._tcp.host1.wild.example.org",  # RFC 4592 §2.2.1
        "ghost.*.wild.example.org",
        "www\\.example.org.example.org",
    ],
)
def test_a_name_that_is_not_there(name: str) -> None:
    assert ask(name, "MX") == ("NXDOMAIN", True, [], [SOA], [])


@pytest.mark.parametrize(
    "name", ["sub.example.org", "host.sub.example.org", "a.b.sub.example.org", "ns.sub.example.org"]
)
def test_a_zone_below(name: str) -> None:
    assert ask(name, "A") == ("NOERROR", False, [], REFERRAL, GLUE)


def test_an_alias_of_what_is_not_there() -> None:
    """RFC 6604: the code is about the last name."""
    alias = "gone.example.org 3600 CNAME nothing.example.org."
    assert ask("gone.example.org", "A") == ("NXDOMAIN", True, [alias], [SOA], [])


def test_an_alias_of_what_has_no_such_records() -> None:
    alias = "www.example.org 3600 CNAME mail.example.org."
    assert ask("www.example.org", "TXT") == ("NOERROR", True, [alias], [SOA], [])


def test_an_alias_into_a_zone_below() -> None:
    alias = "tosub.example.org 3600 CNAME host.sub.example.org."
    assert ask("tosub.example.org", "A") == ("NOERROR", True, [alias], REFERRAL, GLUE)


@pytest.mark.parametrize("name", ["example.net", "org", ".", "xexample.org", "x\\007example.org"])
def test_names_of_others(name: str) -> None:
    assert ask(name, "A") == ("REFUSED", False, [], [], [])


def test_a_dname_that_makes_a_name_too_long() -> None:
    zone = Zone.parse(HEAD + f"old DNAME {'x' * 63}.{'y' * 63}.new\n")
    label = "z" * 60
    code, _, answer, _, _ = ask(f"{label}.{label}.old.example.org", "A", zone)
    assert (code, len(answer)) == ("YXDOMAIN", 1)
    code, _, answer, _, _ = ask(f"{label}.old.example.org", "A", zone)
    assert (code, len(answer)) == ("NXDOMAIN", 2)


def test_a_dname_of_the_zone_itself() -> None:
    zone = Zone.parse(HEAD + "@ DNAME example.net.\n")
    assert ask("a.example.org", "A", zone)[2][1] == "a.example.org 3600 CNAME a.example.net."
    assert ask("example.org", "NS", zone)[2] == ["example.org 3600 NS ns.example.org."]


def test_aliases_without_end_have_one() -> None:
    chain = "".join(f"n{number} CNAME n{number + 1}\n" for number in range(40))
    code, _, answer, authority, _ = ask("n0.example.org", "A", Zone.parse(HEAD + chain))
    assert (code, len(answer), authority) == ("NOERROR", 17, [])


def test_a_dname_that_renames_for_ever() -> None:
    zone = Zone.parse(HEAD + "x DNAME a.x\n")
    code, _, answer, _, _ = ask("b.x.example.org", "A", zone)
    assert code == "NOERROR"
    assert len(answer) == 1 + 17
    assert answer[0] == "x.example.org 3600 DNAME a.x.example.org."
    assert len(set(answer)) == len(answer)


def test_two_dnames_that_lead_to_each_other() -> None:
    zone = Zone.parse(HEAD + "x DNAME y\ny DNAME x\n")
    code, _, answer, _, _ = ask("b.x.example.org", "A", zone)
    assert code == "NOERROR"
    assert sorted(answer) == [
        "b.x.example.org 3600 CNAME b.y.example.org.",
        "b.y.example.org 3600 CNAME b.x.example.org.",
        "x.example.org 3600 DNAME y.example.org.",
        "y.example.org 3600 DNAME x.example.org.",
    ]


def test_the_zone_of_the_root() -> None:
    zone = Zone.parse("$ORIGIN .\n$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\norg NS ns.org\nns.org A 192.0.2.1\n")
    assert ask("a.b.org", "A", zone)[3:] == (["org 60 NS ns.org."], ["ns.org 60 A 192.0.2.1"])
    assert ask("com", "A", zone)[0] == "NXDOMAIN"
    assert repr(zone) == "<Zone . names=3>"


class TestRecords:
    def test_each_record_is_there_once_and_a_set_has_one_ttl(self) -> None:
        zone = Zone.parse(HEAD + "a 60 A 192.0.2.1\nA 30 A 192.0.2.2\na 90 A 192.0.2.1\n")
        assert sorted(ask("a.example.org", "A", zone)[2]) == [
            "A.example.org 30 A 192.0.2.2",
            "a.example.org 30 A 192.0.2.1",
        ]

    def test_its_name_may_be_found_in_the_file(self) -> None:
        assert Zone.parse(HEAD).origin == to_wire("example.org")
        assert Zone.parse(HEAD.replace("$ORIGIN example.org.\n", ""), "Example.net").origin == to_wire(
            "example.net"
        )

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("$ORIGIN example.org.\n", "a zone has one SOA record, got 0"),
            (HEAD + "@ SOA ns hostmaster 2 7200 3600 1209600 300", "a zone has one SOA record, got 2"),
            (HEAD.replace("@ NS ns\n", ""), "a zone has an NS record of its own name, example.org"),
            (
                HEAD + "a.example.net. A 192.0.2.1",
                "expected names of the zone example.org, got a.example.net",
            ),
            (
                HEAD + "a CNAME b\na A 192.0.2.1",
                "a.example.org is an alias by its CNAME record, and can't have A, too",
            ),
            (HEAD + "a CNAME b\na CNAME c", "a.example.org can have one CNAME record, got several"),
            (HEAD + "a DNAME b\na DNAME c", "a.example.org can have one DNAME record, got several"),
            (HEAD + "a A x", "line 6: expected an address"),
        ],
    )
    def test_what_makes_no_zone(self, text: str, expected: str) -> None:
        with pytest.raises(ValueError, match=expected):
            Zone.parse(text)

    def test_many_records_of_one_name(self) -> None:
        zone = Zone(
            [
                *(entry for node in ZONE.nodes.values() for entries in node.values() for entry in entries),
                *(
                    Entry(to_wire("big.example.org"), 16, 1, 60, b"\x04%04d" % number)
                    for number in range(5000)
                ),
            ]
        )
        assert len(zone.find(to_wire("big.example.org"), 16).answer) == 5000


class TestHandle:
    def test_it_answers_a_request(self) -> None:
        asked = Asked(query("Example.org", "MX", use_edns=0))
        ZONE.handle(asked.request)
        reply = asked.reply()
        assert str(reply.question[0].name) == "Example.org."
        assert reply.flags & dns.flags.AA
        assert [len(section) for section in (reply.answer, reply.authority, reply.additional)] == [1, 0, 2]

    def test_a_referral_is_not_authoritative(self) -> None:
        asked = Asked(query("a.sub.example.org"))
        ZONE.handle(asked.request)
        assert not asked.reply().flags & dns.flags.AA
        assert [len(section) for section in (asked.reply().authority, asked.reply().additional)] == [1, 2]

    @pytest.mark.parametrize(
        ("name", "rdtype", "rdclass"),
        [
            ("example.net", "A", "IN"),
            ("example.org", "AXFR", "IN"),
            ("example.org", "IXFR", "IN"),
            ("version.bind", "TXT", "CH"),
            ("example.org", "SOA", "CH"),
        ],
    )
    def test_what_it_refuses(self, name: str, rdtype: str, rdclass: str) -> None:
        asked = Asked(query(name, rdtype, rdclass=rdclass))
        ZONE.handle(asked.request)
        assert asked.reply().rcode() == dns.rcode.REFUSED
        assert not asked.reply().flags & dns.flags.AA
