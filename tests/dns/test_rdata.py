"""The data of records: values by hand, dnspython as the oracle for text and bytes, and what is refused."""

import subprocess
import sys

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dns_corpus import QNAME, pointer, record, reply
from evkit.dns.errors import MessageError
from evkit.dns.message import Limits, decode
from evkit.dns.rdata import read, text_of, to_rdata_wire
from evkit.dns.record_data import (
    Caa,
    Ds,
    Generic,
    Hinfo,
    Mx,
    NamePair,
    Naptr,
    Preferred,
    Px,
    RecordData,
    Soa,
    Srv,
    Sshfp,
    Tlsa,
    Uri,
)
from evkit.dns.types import type_number

SHA256 = bytes(range(32))


def read_alone(rdtype: int, wire: bytes, rdclass: int = 1) -> RecordData:
    """Read data as that of the only answer of a message, whose question is `QNAME`."""
    message = decode(reply(record(wire, rdtype, rdclass=rdclass)))
    return read(message, message.answers[0])


@pytest.mark.parametrize(
    ("kind", "text", "data"),
    [
        ("A", "192.0.2.1", "192.0.2.1"),
        ("AAAA", "2001:db8::1", "2001:db8::1"),
        ("AAAA", "::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("NS", "ns1.Example.org.", "ns1.Example.org"),
        ("CNAME", r"a\.b.example.", r"a\.b.example"),
        ("DNAME", "x.", "x"),
        ("PTR", ".", "."),
        ("SOA", "ns. host.example. 1 2 3 4 4294967295", Soa("ns", "host.example", 1, 2, 3, 4, 4294967295)),
        ("MX", "10 mail.example.", Mx(10, "mail.example")),
        ("MX", "0 .", Mx(0, ".")),
        ("SRV", "1 2 443 a.example.", Srv(1, 2, 443, "a.example")),
        ("TXT", r'"a b" "" "c\"\\\255"', (b"a b", b"", b'c"\\\xff')),
        ("SPF", '"v=spf1 -all"', (b"v=spf1 -all",)),
        (
            "NAPTR",
            '100 10 "u" "E2U+sip" "!^.*$!sip:a!" .',
            Naptr(100, 10, b"u", b"E2U+sip", b"!^.*$!sip:a!", "."),
        ),
        ("CAA", '128 issue "ca.example; a=b"', Caa(128, b"issue", b"ca.example; a=b")),
        ("CAA", '0 iodef ""', Caa(0, b"iodef", b"")),
        ("DS", f"12345 8 2 {SHA256.hex()}", Ds(12345, 8, 2, SHA256)),
        ("CDS", f"12345 8 2 {SHA256.hex()}", Ds(12345, 8, 2, SHA256)),
        ("TLSA", f"3 1 1 {SHA256.hex()}", Tlsa(3, 1, 1, SHA256)),
        ("SMIMEA", f"3 0 1 {SHA256.hex()}", Tlsa(3, 0, 1, SHA256)),
        ("SSHFP", f"4 2 {SHA256.hex()}", Sshfp(4, 2, SHA256)),
        ("URI", '10 1 "https://example.org/"', Uri(10, 1, b"https://example.org/")),
        ("HINFO", '"RFC8482" ""', Hinfo(b"RFC8482", b"")),
        ("DLV", f"1 8 2 {SHA256.hex()}", Ds(1, 8, 2, SHA256)),
        ("LP", "1 a.example.", Preferred(1, "a.example")),
        ("WALLET", '"BTC" "x"', (b"BTC", b"x")),
        ("RESINFO", '"qnamemin"', (b"qnamemin",)),
        ("RP", "a.example. b.example.", NamePair("a.example", "b.example")),
        ("AFSDB", "1 a.example.", Preferred(1, "a.example")),
        ("RT", "1 a.example.", Preferred(1, "a.example")),
        ("KX", "1 a.example.", Preferred(1, "a.example")),
        ("PX", "1 a. b.", Px(1, "a", "b")),
    ],
)
def test_types_that_are_read_by_table(kind: str, text: str, data: RecordData) -> None:
    rdtype = type_number(kind)
    oracle = dns.rdata.from_text("IN", kind, text)
    wire = oracle.to_wire()
    assert to_rdata_wire(rdtype, text) == wire
    assert read_alone(rdtype, wire) == data
    assert text_of(rdtype, data) == oracle.to_text() == text


@pytest.mark.parametrize(
    ("kind", "text", "fields"),
    [
        (
            "HTTPS",
            '1 . alpn="h2,h3" port="8443" ipv4hint="192.0.2.1" key667="x"',
            {
                "priority": 1,
                "target": ".",
                "params": {"alpn": "h2,h3", "port": "8443", "ipv4hint": "192.0.2.1", "key667": "x"},
            },
        ),
        ("SVCB", "0 a.example.", {"priority": 0, "target": "a.example", "params": {}}),
        ("SVCB", '1 . mandatory="alpn" alpn="h2" no-default-alpn', None),
        (
            "RRSIG",
            "A 8 2 300 20260101000000 20250101000000 123 example.org. AAAA",
            {
                "type_covered": 1,
                "algorithm": 8,
                "labels": 2,
                "original_ttl": 300,
                "expiration": 1767225600,
                "inception": 1735689600,
                "key_tag": 123,
                "signer": "example.org",
                "signature": b"\0\0\0",
            },
        ),
        ("NSEC", "b.example. A MX RRSIG", {"next": "b.example", "windows": [[0, b"\x40\x01\0\0\0\x02"]]}),
        ("DNSKEY", "257 3 8 AAAA", {"flags": 257, "protocol": 3, "algorithm": 8, "key": b"\0\0\0"}),
        ("APL", "1:192.0.2.0/24 !2:fe80::/10", {"items": ["1:192.0.2.0/24", "!2:fe80::/10"]}),
        ("EUI48", "00-00-5e-00-53-2a", {"eui": b"\0\0\x5e\0\x53\x2a"}),
        ("OPENPGPKEY", "AAAA", {"key": b"\0\0\0"}),
        ("LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m", None),
    ],
)
def test_types_that_dnspython_reads(kind: str, text: str, fields: dict[str, object] | None) -> None:
    rdtype = type_number(kind)
    oracle = dns.rdata.from_text("IN", kind, text)
    wire = to_rdata_wire(rdtype, text)
    assert wire == oracle.to_wire()
    data = read_alone(rdtype, wire)
    assert isinstance(data, Generic)
    assert (data.text, data.wire) == (oracle.to_text(), wire)
    assert text_of(rdtype, data) == oracle.to_text()
    if fields is not None:
        assert data.fields == fields
    for value in data.fields.values():  # nothing of dnspython's
        assert type(value) in (int, float, str, bytes, list, dict)


@pytest.mark.parametrize(
    ("rdtype", "wire", "text"),
    [(65280, b"", r"\# 0"), (65280, b"\1\2", r"\# 2 0102"), (10, b"\xff", r"\# 1 ff")],
)
def test_types_that_nobody_knows(rdtype: int, wire: bytes, text: str) -> None:
    data = read_alone(rdtype, wire)
    assert data == Generic(wire)
    assert text_of(rdtype, data) == text
    assert to_rdata_wire(rdtype, text) == wire


def test_types_of_other_classes() -> None:
    assert read_alone(16, b"\x04evkt", rdclass=3) == (b"evkt",)
    chaos = read_alone(1, b"\0\0\x07", rdclass=3)  # RFC 1035 §3.4.1 is about the Internet's A
    assert chaos == Generic(b"\0\0\x07")
    assert read_alone(47, b"\1b\0", rdclass=3) == Generic(b"\1b\0")


@pytest.mark.parametrize(
    ("rdtype", "wire", "data"),
    [
        (2, pointer(16), "example.org"),
        (15, b"\0\1\4mail" + pointer(16), Mx(1, "mail.example.org")),
        (
            6,
            pointer(12) + b"\1h" + pointer(16) + bytes(20),
            Soa("www.example.org", "h.example.org", 0, 0, 0, 0, 0),
        ),
        (33, b"\0\0\0\0\0\1" + pointer(12), Srv(0, 0, 1, "www.example.org")),  # not allowed, and done
        (14, pointer(12) * 2, NamePair("www.example.org", "www.example.org")),
    ],
)
def test_shortened_names(rdtype: int, wire: bytes, data: RecordData) -> None:
    assert read_alone(rdtype, wire) == data


def test_a_name_in_a_new_type_may_not_be_shortened() -> None:
    """RFC 3597 §4. SIG had it once: what the pointer means nobody should guess, so it is shown as bytes."""
    before = (
        b"\0\1\x08\2" + bytes(8) + b"\1a\0\0" + b"\0\x7b"
    )  # where a pointer to byte 12 of the data goes: "a"
    shortened = before + pointer(12) + b"\0\0\0"
    lone = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.SIG, shortened, 0, len(shortened))
    assert lone.to_text().endswith(" a. AAAA")
    data = read_alone(24, shortened)
    with pytest.raises(MessageError, match="expected data of RRSIG"):
        read_alone(46, shortened)
    assert data == Generic(shortened)


@pytest.mark.parametrize(
    ("rdtype", "wire", "words"),
    [
        (1, b"", "an address of 4 bytes, got 0"),
        (1, bytes(3), "an address of 4 bytes, got 3"),
        (1, bytes(8), "an address of 4 bytes, got 8"),  # evdns takes it for two
        (28, bytes(15), "an address of 16 bytes, got 15"),
        (28, bytes(4), "an address of 16 bytes, got 4"),
        (2, b"", "end of the message"),
        (2, b"\1a\0\0", "expected NS data of 3 bytes, got 4"),
        (2, b"\1a", "end of the message"),
        (5, pointer(12) + b"\0", "expected CNAME data of 2 bytes, got 3"),
        (5, pointer(45), "expected a pointer back"),
        (6, b"\0\0" + bytes(19), "expected SOA data of 22 bytes, got 21"),
        (6, b"\0\0" + bytes(21), "expected SOA data of 22 bytes, got 23"),
        (15, b"\0", "end of the message"),
        (15, b"\0\1", "end of the message"),
        (16, b"", "expected a string, got the end of the data"),
        (16, b"\5abcd", "expected TXT data of 6 bytes, got 5"),
        (16, b"\1a\1", "expected TXT data of 4 bytes, got 3"),
        (33, b"\0\0\0\0\0", "end of the message"),
        (35, b"\0\0\0\0\0\0", "expected a string, got the end"),
        (43, b"\0\0\0", "expected a value of 1 byte or more"),
        (52, b"\0", "expected a value of 1 byte or more"),
        (43, b"\0\0\0\0", "expected a value of 1 byte or more"),
        (257, b"\0\0x", "a tag of letters and digits, got b''"),
        (257, b"\0\3a b", "a tag of letters and digits, got b'a b'"),
        (257, b"\0\4iss", "expected CAA data of 6 bytes, got 5"),
        (13, b"\0", "expected a string, got the end"),
        (46, b"\0", "expected data of RRSIG"),
        (64, b"\0\1\0\0\1", "expected data of SVCB"),
        (47, b"", "expected data of NSEC"),
    ],
)
def test_data_that_is_wrong(rdtype: int, wire: bytes, words: str) -> None:
    with pytest.raises(MessageError, match=words):
        read_alone(rdtype, wire)


def test_a_name_may_not_run_over_the_end_of_its_data() -> None:
    message = decode(reply(record(b"\1", 2), record(owner=b"\0")))
    with pytest.raises(MessageError, match="expected NS data of"):
        read(message, message.answers[0])


def test_what_dnspython_reads_counts_as_steps() -> None:
    nsec = to_rdata_wire(47, "b.example. A MX RRSIG")
    message = decode(reply(*[record(nsec, 47)] * 3), Limits(label_steps=4 + 1 + 2 * len(nsec)))
    for raw in message.answers[:2]:
        read(message, raw)
    with pytest.raises(MessageError, match="expected fewer steps"):
        read(message, message.answers[2])


def test_types_that_nobody_knows_are_not_looked_for() -> None:
    """Each would be searched for in the file system once, and remembered for ever."""
    before = len(dns.rdata._rdata_classes)
    for rdtype in (65281, 65282, 10, 14, 30, 38):
        assert isinstance(read_alone(rdtype, b"\1a\0\1a\0"), Generic | NamePair)
    assert len(dns.rdata._rdata_classes) == before


KINDS = [*range(1, 70), 99, 104, 105, 106, 107, 108, 109, 249, 250, 256, 257, 258, 260, 261, 32769, 65280]


@given(
    st.sampled_from([kind for kind in KINDS if kind != 41]),
    st.binary(max_size=60),
    st.sampled_from([1, 3, 254]),
)
def test_any_data_is_read_or_refused(rdtype: int, wire: bytes, rdclass: int) -> None:
    try:
        data = read_alone(rdtype, wire, rdclass)
    except MessageError:
        return
    text = text_of(rdtype, data)
    assert text.isprintable()
    hash(data)


@given(
    st.sampled_from([1, 2, 5, 6, 12, 15, 16, 17, 33, 35, 39, 43, 44, 52, 256, 257, 13]),
    st.binary(max_size=60),
)
def test_text_gives_the_same_bytes_again(rdtype: int, wire: bytes) -> None:
    """Text is for master files; dnspython reads it for evkit, and refuses some that RFC 1035 does not."""
    try:
        data = read_alone(rdtype, wire)
        kind = dns.rdatatype.RdataType.make(rdtype)
        oracle = dns.rdata.from_wire(dns.rdataclass.IN, kind, wire, 0, len(wire))
    except (MessageError, dns.exception.DNSException):
        return
    assert to_rdata_wire(rdtype, text_of(rdtype, data)) == wire == oracle.to_wire()


@pytest.mark.parametrize(
    ("rdtype", "text", "words"),
    [
        (1, "1.2.3", "an address for A, got '1.2.3'"),
        (1, "::1", "an address for A"),
        (28, "192.0.2.1", "an address for AAAA"),
        (28, "fe80::1%lo", "an address for AAAA"),
        (28, "::1\0", "an address for AAAA"),
        (2, "a..b", "an empty one"),
        (15, "x y", "expected data of MX, got 'x y'"),
        (15, "10", "expected data of MX"),
        (16, "", "expected data of TXT"),
        (6, "\udc80", "expected data of SOA"),
        (65280, "abc", "expected data of TYPE65280"),
        (65280, r"\# 3 00", "expected data of TYPE65280"),
    ],
)
def test_text_that_is_wrong(rdtype: int, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        to_rdata_wire(rdtype, text)
    assert type(caught.value) is ValueError


def test_names_in_text_stand_below_the_origin() -> None:
    assert to_rdata_wire(5, "www", origin=b"\7example\3org\0") == QNAME
    assert to_rdata_wire(5, "www.", origin=b"\7example\3org\0") == b"\3www\0"
    assert to_rdata_wire(15, "10 www", origin=b"\7example\3org\0") == b"\0\x0a" + QNAME
    assert to_rdata_wire(5, "www.example.org") == QNAME
    assert to_rdata_wire(5, "@", origin=b"\3org\0") == b"\3org\0"
    assert to_rdata_wire(5, "@") == b"\0"
    assert to_rdata_wire(5, r"\@") == b"\1@\0"
    assert to_rdata_wire(15, "10 faß.de") == b"\0\x0a\x0axn--fa-hia\2de\0"


def test_nothing_foreign_is_imported_before_it_is_needed() -> None:
    script = (
        "import sys, evkit.dns.interpretation, evkit.dns.answer\n"
        "from evkit.dns.rdata import to_rdata_wire\n"
        "to_rdata_wire(5, 'example.org')\n"
        "assert not {'dns', 'idna'} & set(sys.modules), sorted(sys.modules)\n"
        "to_rdata_wire(15, '10 example.org')\n"
        "assert 'dns' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
