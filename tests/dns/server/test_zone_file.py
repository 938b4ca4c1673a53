"""Zone files: what they may look like, and which line is wrong. dnspython is the oracle of what the data means."""

import dns.rdata
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.names import to_text
from evkit.dns.server.reply_builder import Entry
from evkit.dns.server.zone_file import read_ttl, read_zone_file
from evkit.dns.types import type_name


def told(entry: Entry) -> str:
    data = dns.rdata.from_wire(entry.rdclass, entry.rdtype, entry.rdata, 0, len(entry.rdata))
    return f"{to_text(entry.owner)} {entry.ttl} {type_name(entry.rdtype)} {data}"


def read(text: str, origin: str | None = "example.org") -> list[str]:
    return [told(entry) for entry in read_zone_file(text, origin)]


RFC_1035 = r"""
@   IN  SOA     VENERA      Action\.domains (
                                 20     ; SERIAL
                                 7200   ; REFRESH
                                 600    ; RETRY
                                 3600000; EXPIRE
                                 60)    ; MINIMUM

        NS      A.ISI.EDU.
        NS      VENERA
        NS      VAXA
        MX      10      VENERA
        MX      20      VAXA

A       A       26.3.0.103

VENERA  A       10.1.0.52
        A       128.9.0.32

VAXA    A       10.2.0.27
        A       128.9.0.33
"""


def test_the_example_of_rfc_1035() -> None:
    assert read("$TTL 1d\n" + RFC_1035, "ISI.EDU") == [
        "ISI.EDU 86400 SOA VENERA.ISI.EDU. Action\\.domains.ISI.EDU. 20 7200 600 3600000 60",
        "ISI.EDU 86400 NS A.ISI.EDU.",
        "ISI.EDU 86400 NS VENERA.ISI.EDU.",
        "ISI.EDU 86400 NS VAXA.ISI.EDU.",
        "ISI.EDU 86400 MX 10 VENERA.ISI.EDU.",
        "ISI.EDU 86400 MX 20 VAXA.ISI.EDU.",
        "A.ISI.EDU 86400 A 26.3.0.103",
        "VENERA.ISI.EDU 86400 A 10.1.0.52",
        "VENERA.ISI.EDU 86400 A 128.9.0.32",
        "VAXA.ISI.EDU 86400 A 10.2.0.27",
        "VAXA.ISI.EDU 86400 A 128.9.0.33",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a 60 IN A 192.0.2.1", "a.example.org 60 A 192.0.2.1"),
        ("a IN 60 A 192.0.2.1", "a.example.org 60 A 192.0.2.1"),
        ("a in 1h30m a 192.0.2.1", "a.example.org 5400 A 192.0.2.1"),
        ("a. 60 A 192.0.2.1", "a 60 A 192.0.2.1"),
        ("a\\. 60 A 192.0.2.1", r"a\..example.org 60 A 192.0.2.1"),
        ("a\\\\. 60 A 192.0.2.1", r"a\\ 60 A 192.0.2.1"),
        ("@ 60 A 192.0.2.1", "example.org 60 A 192.0.2.1"),
        ("*.a 60 A 192.0.2.1 ; a comment", "*.a.example.org 60 A 192.0.2.1"),
        ("_sip._tcp 60 SRV 1 2 3 @", "_sip._tcp.example.org 60 SRV 1 2 3 example.org."),
        ('a 60 TXT "b ; c" d "\\"e\\"" "(" f\\;', 'a.example.org 60 TXT "b ; c" "d" "\\"e\\"" "(" "f;"'),
        ('a 60 TXT ("b"\n "c")', 'a.example.org 60 TXT "b" "c"'),
        ("a 60 TXT (b) ( (c)\n)", 'a.example.org 60 TXT "b" "c"'),
        ("a 60 TYPE65280 \\# 3 01 0203", "a.example.org 60 TYPE65280 \\# 3 010203"),
        ("a 60 A 192.0.2.1\r\n", "a.example.org 60 A 192.0.2.1"),
        ("a 60 RP b c.", "a.example.org 60 RP b.example.org. c."),
        ("a 60 SVCB 1 b alpn=h2", 'a.example.org 60 SVCB 1 b.example.org. alpn="h2"'),
    ],
)
def test_a_line(line: str, expected: str) -> None:
    assert read(line) == [expected]


def test_a_blank_owner_is_the_one_before() -> None:
    assert read("a 1 A 192.0.2.1\n\t2 A 192.0.2.2\n\n ; nothing\n 3 A 192.0.2.3") == [
        "a.example.org 1 A 192.0.2.1",
        "a.example.org 2 A 192.0.2.2",
        "a.example.org 3 A 192.0.2.3",
    ]


def test_a_ttl_that_is_not_told() -> None:
    assert [entry.ttl for entry in read_zone_file("a 5 A 192.0.2.1\na A 192.0.2.2", "b")] == [5, 5]
    text = "$TTL 7\na 5 A 192.0.2.1\na A 192.0.2.2\n$TTL 8\na A 192.0.2.3"
    assert [entry.ttl for entry in read_zone_file(text, "b")] == [5, 7, 8]


def test_origins() -> None:
    text = "$ORIGIN example.org.\na 1 NS b\n$ORIGIN sub\na 1 NS b\n$ORIGIN .\na 1 NS b"
    assert read(text, None) == [
        "a.example.org 1 NS b.example.org.",
        "a.sub.example.org 1 NS b.sub.example.org.",
        "a 1 NS b.",
    ]
    assert read("a 1 NS b", "example.org.") == read("a 1 NS b", "example.org")
    assert read("a 1 NS b", ".") == ["a 1 NS b."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 1 A 192.0.2.1\nb 1 A", "line 2: "),
        ("\n\na 1 A 1.2.3", "line 3: expected an address"),
        ("a 1 TXT (b\n\n c) d\nx 1 A y", "line 4: expected an address"),
        ("a 1", "line 1: expected the type of a record"),
        ("a 1 NOSUCH b", "line 1: expected a type"),
        ("a 1 AXFR b", "line 1: expected a record type"),
        ("a 1 CH A 192.0.2.1", "line 1: expected the class IN"),
        ("a 1 2 A 192.0.2.1", "line 1: expected a type"),
        ("a A 192.0.2.1", "line 1: expected a TTL"),
        (" 1 A 192.0.2.1", "line 1: expected the owner of the first record"),
        ("a..b 1 A 192.0.2.1", "line 1: expected labels"),
        ("a 1 TXT (b", "line 1: expected the bracket to be closed"),
        ("\na 1 TXT b)", "line 2: expected a bracket to be opened"),
        ('a 1 TXT "b\nc"', "line 1: expected a word or a string with its end, got '\"b"),
        ("a 1 TXT b\\", "line 1: expected a word"),
        ("$TTL", "line 1: expected one word after \\$TTL, got 0"),
        ("$TTL 1 2", "line 1: expected one word after \\$TTL, got 2"),
        ("$TTL x", "line 1: expected a time"),
        ("$ORIGIN a..b", "line 1: expected labels"),
        ("$INCLUDE /etc/passwd", "line 1: expected \\$ORIGIN or \\$TTL, got \\$INCLUDE"),
        ("$GENERATE 1-2 a$ A 192.0.2.$", "line 1: expected \\$ORIGIN or \\$TTL"),
    ],
)
def test_what_is_wrong_and_where(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        read_zone_file(text, "example.org")


@pytest.mark.parametrize("origin", ["", "a..b", "x" * 64])
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_zone_file("", origin)


def test_an_origin_that_ends_with_an_escaped_dot() -> None:
    assert read("a 1 A 192.0.2.1", "b\\.") == ["a.b\\. 1 A 192.0.2.1"]


@pytest.mark.parametrize("text", ["a 1 A 192.0.2.1", "@ 1 A 192.0.2.1", "a. 1 NS b.", "$ORIGIN a\n"])
def test_without_an_origin(text: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        read_zone_file(text)


@pytest.mark.parametrize(
    ("word", "seconds"),
    [("0", 0), ("86400", 86400), ("1w2d3h4m5s", 788645), ("1H", 3600), ("2147483647", 2**31 - 1)],
)
def test_times(word: str, seconds: int) -> None:
    assert read_ttl(word) == seconds


@pytest.mark.parametrize("word", ["", "h", "1x", "-1", "1 h", "2147483648", "1" * 5000, "3551w", "\u0661"])
def test_what_is_no_time(word: str) -> None:
    with pytest.raises(ValueError, match="expected a time"):
        read_ttl(word)


@given(st.text(alphabet='a1@.\\";() \t\n$TXIN', max_size=60))
def test_any_text_is_records_or_an_error_with_its_line(text: str) -> None:
    message = ""
    entries: list[Entry] = []
    try:
        entries = read_zone_file("$TTL 1\n" + text, "example.org")
    except ValueError as error:
        message = str(error)
    assert message.startswith("line ") or all(entry.owner.endswith(b"\0") for entry in entries)


def test_dnspython_reads_the_same() -> None:
    text = "$TTL 1d\n" + RFC_1035
    zone = dns.zone.from_text(text, "ISI.EDU.", relativize=False)
    theirs = {(name.to_wire(), rdata.to_wire()) for name, _, rdata in zone.iterate_rdatas()}
    ours = {(entry.owner, entry.rdata) for entry in read_zone_file(text, "ISI.EDU")}
    assert {(owner.lower(), rdata.lower()) for owner, rdata in theirs} == {
        (owner.lower(), rdata.lower()) for owner, rdata in ours
    }
