"""`evkit.http.proxies.proxy_protocol`: haproxy's own examples, hostile headers, and that any split gives the same."""

import socket
import struct
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core import Buffer
from evkit.core.net import Address
from evkit.errors import RemoteProtocolError
from evkit.http.proxies.proxy_protocol import MAX_HEADER, ProxyHeader, make_proxy_header, read_proxy_header
from evkit.http.proxies.proxy_tlv import TLV, ProxyTLS

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
REQUEST = b"GET / HTTP/1.1\r\nHost: 192.168.0.11\r\n\r\n"


def filled(data: bytes) -> Buffer:
    buffer = Buffer()
    buffer.add(data)
    return buffer


def read(data: bytes) -> ProxyHeader:
    """Read what is one whole header and a request behind it."""
    buffer = filled(data + REQUEST)
    header = read_proxy_header(buffer)
    assert header is not None
    assert bytes(buffer) == REQUEST
    return header


def refuse(data: bytes, match: str = "") -> None:
    buffer = filled(data)
    with pytest.raises(RemoteProtocolError, match=match):
        read_proxy_header(buffer)
    assert bytes(buffer) == data


def block(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    """Section 2.2 of proxy-protocol.txt, written anew."""
    return SIGNATURE + struct.pack(">BBH", command, family, len(body) if length is None else length) + body


# Version 1

LINES = {
    # Section 2.1's example, and its longest lines.
    b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n": (("192.168.0.1", 56324), ("192.168.0.11", 443)),
    b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n": (
        ("255.255.255.255", 65535),
        ("255.255.255.255", 65535),
    ),
    b"PROXY TCP6 %b %b 65535 65535\r\n" % (b":".join([b"ffff"] * 8), b":".join([b"FFFF"] * 8)): (
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
    ),
    b"PROXY TCP6 2001:DB8:0:0:0:0:0:1 :: 0 1\r\n": (("2001:db8::1", 0), ("::", 1)),
    # What inet_ntop writes of an IPv4 client of a dual-stack socket.
    b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 80\r\n": (
        ("::ffff:192.0.2.1", 1),
        ("::ffff:192.0.2.2", 80),
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_tells_both_ends(line: bytes) -> None:
    source, destination = LINES[line]
    assert read(line) == ProxyHeader(source, destination)


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN \r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        b"PROXY UNKNOWN \0\xff whatever\r\n",
        b"PROXY UNKNOWN %b\r\n" % (b"x" * 91),  # 107 bytes
    ],
)
def test_an_unknown_connection_has_no_ends(line: bytes) -> None:
    assert read(line) == ProxyHeader()


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY \r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY unknown\r\n",
        b"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 123456\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 00\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1_0 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 \u0661 2\r\n".encode(),
        b"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.04 1 2\r\n",
        b"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 16909060 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP6 ::1 1.2.3.4 1 2\r\n",
        b"PROXY TCP6 ::1::2 ::1 1 2\r\n",
        b"PROXY TCP6 [::1] ::1 1 2\r\n",
        b"PROXY TCP6 12345::1 ::1 1 2\r\n",
        b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
        b"PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n",
        b"PROXY TCP6 : ::1 1 2\r\n",
        b"PROXY TCP4 localhost 1.2.3.4 1 2\r\n",
    ],
)
def test_a_line_that_is_none_is_refused(line: bytes) -> None:
    refuse(line + REQUEST, "two addresses, two ports")


@pytest.mark.parametrize(
    "start",
    [
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
        b"PROXY TCP4 1.2.3.4\r1.2.3.4 1 2\r\n",
        b"PROXY UNKNOWN \r \r\n",
        b"PROXY \n",
        b"PROXY UNKNOWN %b\r\n" % (b"x" * 92),  # 108 bytes
        b"PROXY UNKNOWN %b\r" % (b"x" * 92),  # a CR that is the 107th
        b"PROXY " + b"x" * 101,
    ],
)
def test_a_line_without_its_end_is_refused(start: bytes) -> None:
    refuse(start, "CRLF within 107 bytes")


# Version 2

# haproxy, reg-tests/connection/proxy_protocol_tlv_validation.vtc
AUTHORITY = SIGNATURE + bytes.fromhex("21 11 00 14 7F000001 7F000001 002A 0539 02 0005 3132333435")
# haproxy, reg-tests/connection/proxy_protocol_tlv_embedded_nul.vtc, c1 and c2
PUBLIC = bytes.fromhex(
    "0d0a0d0a000d0a515549540a 2111 002f 7f0000017f000001002a0539 020006 7075626c6963 050006 7075626c6963"
    "e10006 7075626c6963 200005 0000000000"
)
EMBEDDED = bytes.fromhex(
    "0d0a0d0a000d0a515549540a 2111 002d 7f0000017f000001002a0539 020008 7075626c69630078"
    "050008 7075626c69630078 e10008 7075626c69630078"
)
HERE = (("127.0.0.1", 42), ("127.0.0.1", 1337))


def test_haproxys_own_header() -> None:
    header = read(AUTHORITY)
    assert header == ProxyHeader(*HERE, tlvs=((2, b"12345"),))
    assert header.authority == "12345"
    assert header.tls is None


def test_a_value_after_the_header_is_not_its() -> None:
    buffer = filled(AUTHORITY + bytes.fromhex("02 0005 3534333231"))
    header = read_proxy_header(buffer)
    assert header is not None
    assert header.authority == "12345"
    assert bytes(buffer).hex() == "0200053534333231"


@pytest.mark.parametrize(
    "values",
    [
        "02 000A 31323334353132333435",  # the value is longer than the header
        "02 0004 31323334",  # the header is longer than the value
    ],
)
def test_haproxys_own_wrong_headers(values: str) -> None:
    start = bytes.fromhex("21 11 00 14 7F000001 7F000001 002A 0539")
    refuse(SIGNATURE + start + bytes.fromhex(values) + REQUEST, "TLV")


def test_haproxys_values() -> None:
    header = read(PUBLIC)
    assert header.source, header.destination == HERE
    assert header.authority == "public"
    assert header.tlv(TLV.UNIQUE_ID) == b"public"
    assert header.tlv(0xE1) == b"public"
    assert header.tlv(TLV.SSL) == bytes(5)
    assert header.tls is None
    assert header.tlv(TLV.ALPN) is None


def test_a_text_with_a_nul_is_no_text() -> None:
    header = read(EMBEDDED)
    assert header.authority is None
    assert header.tlv(TLV.AUTHORITY) == header.tlv(0xE1) == b"public\0x"


def test_the_tls_of_the_client() -> None:
    ssl = b"\x01\0\0\0\x01" + b"\x21\0\x07TLSv1.3"
    body = bytes(12) + b"\x20" + len(ssl).to_bytes(2, "big") + ssl
    assert read(block(0x21, 0x11, body)).tls == ProxyTLS(version="TLSv1.3")


UNIX = b"/run/a.sock".ljust(108, b"\0") + b"\0abstract".ljust(108, b"\0")


@pytest.mark.parametrize(
    ("family", "body", "source", "destination"),
    [
        (0x11, "c0000201 c0000202 0001 ffff", ("192.0.2.1", 1), ("192.0.2.2", 65535)),
        (0x12, "c0000201 c0000202 0001 ffff", ("192.0.2.1", 1), ("192.0.2.2", 65535)),
        (0x21, f"20010db8{'00' * 11}01 {'00' * 15}01 3039 0050", ("2001:db8::1", 12345), ("::1", 80)),
        (0x22, f"20010db8{'00' * 11}01 {'00' * 15}01 3039 0050", ("2001:db8::1", 12345), ("::1", 80)),
        (0x31, UNIX.hex(), "/run/a.sock", b"\0abstract"),
        (0x32, UNIX.hex(), "/run/a.sock", b"\0abstract"),
        (0x31, bytes(216).hex(), "", ""),
        (0x31, (b"p" * 108 + b"\xff\0garbage".ljust(108, b"\0")).hex(), "p" * 108, "\udcff"),
    ],
)
def test_a_block_tells_both_ends(family: int, body: str, source: Address, destination: Address) -> None:
    assert read(block(0x21, family, bytes.fromhex(body))) == ProxyHeader(source, destination)


@pytest.mark.parametrize("family", [0x00, 0x01, 0x02, 0x10, 0x20, 0x30])
@pytest.mark.parametrize("body", [b"", bytes(12), b"\x03\0\x04junk", b"\xff" * 300])
def test_unspecified_addresses_are_passed_over(family: int, body: bytes) -> None:
    assert read(block(0x21, family, body)) == ProxyHeader()


@pytest.mark.parametrize("family", [0x00, 0x11, 0x21, 0xFF])
@pytest.mark.parametrize("body", [b"", b"\xff" * 300])
def test_of_a_local_connection_nothing_else_counts(family: int, body: bytes) -> None:
    assert read(block(0x20, family, body)) == ProxyHeader(local=True)


@pytest.mark.parametrize("command", [0x00, 0x01, 0x11, 0x22, 0x2F, 0x31, 0xFF])
def test_another_version_or_command_is_refused_at_its_byte(command: int) -> None:
    refuse(SIGNATURE + bytes([command]), f"0x{command:02x}")


@pytest.mark.parametrize("family", [0x03, 0x13, 0x1F, 0x40, 0x41, 0xF1, 0xFF])
def test_another_family_or_transport_is_refused_at_its_byte(family: int) -> None:
    refuse(SIGNATURE + bytes([0x21, family]), f"0x{family:02x}")


@pytest.mark.parametrize(("family", "needed"), [(0x11, 12), (0x21, 36), (0x31, 216)])
def test_a_length_below_that_of_the_addresses_is_refused_at_once(family: int, needed: int) -> None:
    refuse(block(0x21, family, b"", needed - 1), f"{needed} bytes of addresses")
    assert read_proxy_header(filled(block(0x21, family, b"", needed))) is None
    assert read(block(0x21, family, bytes(needed))).source is not None


@pytest.mark.parametrize("command", [0x20, 0x21])
def test_a_header_has_up_to_4096_bytes(command: int) -> None:
    assert MAX_HEADER == 4096
    assert read(block(command, 0, bytes(4080))) == ProxyHeader(local=command == 0x20)
    refuse(block(command, 0, b"", 4081), "4096")
    refuse(block(command, 0, b"", 0xFFFF), "4096")


# Both


@pytest.mark.parametrize(
    "start",
    [
        b"G",
        b"p",
        b"\0",
        b"\n",
        b"\x16",
        b"POST / HTTP/1.1\r\n",
        b"PROXYX",
        b"PROXY\t",
        b"\r\n\r\n\1",
        b"\r\nG",
        SIGNATURE[:-1] + b"\r",
        b" PROXY ",
    ],
)
def test_what_can_be_no_header_is_refused_at_once(start: bytes) -> None:
    refuse(start, "expected a header of the PROXY protocol")


def test_nothing_is_waited_for() -> None:
    assert read_proxy_header(Buffer()) is None


SUMMED = make_proxy_header(ProxyHeader(*HERE, tlvs=((0xE0, b"x" * 2000),)), checksum=True)
WHOLE = [
    *LINES,
    b"PROXY UNKNOWN x\r\n",
    AUTHORITY,
    PUBLIC,
    block(0x20, 0, b"abc"),
    block(0x21, 0x31, UNIX),
    SUMMED,
]


@pytest.mark.parametrize("whole", WHOLE)
def test_every_beginning_of_a_header_waits_and_keeps_its_bytes(whole: bytes) -> None:
    buffer = Buffer()
    for at, byte in enumerate(whole):
        assert read_proxy_header(buffer) is None
        assert len(buffer) == at
        buffer.add(bytes([byte]))
    assert read_proxy_header(buffer) == read(whole)
    assert not buffer


def outcome(pieces: list[bytes]) -> tuple[ProxyHeader | str | None, bytes]:
    """Feed pieces until there is a header or an error; return it, and what is left."""
    buffer = Buffer()
    header: ProxyHeader | str | None = None
    for piece in pieces:
        buffer.add(piece)
        if header is None:
            try:
                header = read_proxy_header(buffer)
            except RemoteProtocolError:
                header = "refused"
    return header, bytes(buffer)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted(min(at, len(data)) for at in cuts)
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


@st.composite
def nearly(draw: st.DrawFn) -> bytes:
    """Draw a header, changed in a few bytes."""
    data = bytearray(draw(st.sampled_from(WHOLE[:-1])) + REQUEST)
    for at, byte in draw(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=2)):
        data[min(at, len(data) - 1)] = byte
    return bytes(data)


@given(nearly(), st.lists(st.integers(0, 120), max_size=6))
def test_any_split_gives_the_same(data: bytes, cuts: list[int]) -> None:
    assert outcome(cut(data, cuts)) == outcome([data])


@given(st.one_of(st.binary(max_size=40), st.binary(max_size=60).map(lambda body: block(0x21, 0x11, body))))
def test_any_bytes_are_a_header_or_refused_or_waited_for(data: bytes) -> None:
    header, left = outcome([data])
    assert data.endswith(left)
    assert (len(left) < len(data)) == isinstance(header, ProxyHeader)


# Making


PORTS = st.integers(0, 65535)
FOUR = st.tuples(st.ip_addresses(v=4).map(str), PORTS)
SIX = st.tuples(
    st.binary(min_size=16, max_size=16).map(lambda raw: socket.inet_ntop(socket.AF_INET6, raw)), PORTS
)
# Of UTF-8 a character has up to four bytes.
PATHS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=27),
    st.binary(max_size=107).filter(lambda name: not name.endswith(b"\0") and name != b"").map(b"\0".__add__),
)
ENDS = st.one_of(st.tuples(FOUR, FOUR), st.tuples(SIX, SIX), st.tuples(PATHS, PATHS))
TLVS = st.lists(st.tuples(st.integers(0xE0, 0xFF), st.binary(max_size=200)), max_size=4).map(tuple)


@given(st.one_of(st.tuples(FOUR, FOUR), st.tuples(SIX, SIX)))
def test_a_line_says_what_it_was_made_of(ends: tuple[Address, Address]) -> None:
    line = make_proxy_header(ProxyHeader(*ends), 1)
    assert line.endswith(b"\r\n")
    assert len(line) <= 107
    assert read(line) == ProxyHeader(*ends)


@given(ENDS, TLVS, st.booleans())
def test_a_block_says_what_it_was_made_of(
    ends: tuple[Address, Address], tlvs: tuple[tuple[int, bytes], ...], checksum: bool
) -> None:
    header = ProxyHeader(*ends, tlvs=tlvs)
    made = make_proxy_header(header, checksum=checksum)
    assert read(made) == header
    plain = make_proxy_header(header)
    assert len(made) == len(plain) + 7 * checksum


@pytest.mark.parametrize(
    ("header", "version", "made"),
    [
        (
            ProxyHeader(("192.168.0.1", 56324), ("192.168.0.11", 443)),
            1,
            b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        ),
        (ProxyHeader(), 1, b"PROXY UNKNOWN\r\n"),
        (ProxyHeader(), 2, block(0x21, 0, b"")),
        (ProxyHeader(local=True), 2, block(0x20, 0, b"")),
        (ProxyHeader(*HERE, tlvs=((2, b"12345"),)), 2, AUTHORITY),
        # What getpeername() gives of an IPv6 socket.
        (ProxyHeader(("::1", 1, 0, 0), ("::1", 2, 7, 0)), 1, b"PROXY TCP6 ::1 ::1 1 2\r\n"),
        (ProxyHeader("/run/a.sock", "\0abstract"), 2, block(0x21, 0x31, UNIX)),
    ],
)
def test_a_header_is_that_of_the_document(header: ProxyHeader, version: Literal[1, 2], made: bytes) -> None:
    assert make_proxy_header(header, version) == made
    read(made)


@pytest.mark.parametrize(
    ("header", "options", "match"),
    [
        (ProxyHeader(), {"version": 3}, "version 1 or 2"),
        (ProxyHeader(local=True), {"version": 1}, "no LOCAL"),
        (ProxyHeader(*HERE, tlvs=((1, b""),)), {"version": 1}, "no TLVs"),
        (ProxyHeader(*HERE), {"version": 1, "checksum": True}, "no checksum"),
        (ProxyHeader("/a", "/b"), {"version": 1}, "no unix sockets"),
        (ProxyHeader(*HERE, local=True), {}, "ignored"),
        (ProxyHeader(tlvs=((1, b""),)), {}, "ignored"),
        (ProxyHeader(), {"checksum": True}, "ignored"),
        (ProxyHeader(HERE[0], None), {}, "both addresses"),
        (ProxyHeader(None, HERE[0]), {"version": 1}, "both addresses"),
        (ProxyHeader(HERE[0], ("::1", 1)), {}, "one family"),
        (ProxyHeader(HERE[0], "/a"), {}, "one family"),
        (ProxyHeader(("localhost", 1), HERE[0]), {}, "numeric"),
        (ProxyHeader(("127.0.0.1\r\n", 1), HERE[0]), {"version": 1}, "numeric"),
        (ProxyHeader(("", 1), HERE[0]), {"version": 1}, "numeric"),
        (ProxyHeader(("fe80::1%lo", 1, 0, 1), ("::1", 1)), {}, "without a scope"),
        (ProxyHeader(("127.0.0.1", 65536), HERE[0]), {}, "65535"),
        (ProxyHeader("/" * 109, "/b"), {}, "108 bytes"),
        (ProxyHeader(*HERE, tlvs=((256, b""),)), {}, "one byte"),
        (ProxyHeader(*HERE, tlvs=((0xE0, bytes(4096 - 16 - 12 - 3 + 1)),)), {}, "4096"),
        (ProxyHeader(*HERE, tlvs=((0xE0, bytes(40000)), (0xE1, bytes(40000)))), {}, "4096"),
        (ProxyHeader(*HERE, tlvs=((5, bytes(129)),)), {}, "UNIQUE_ID"),
        (ProxyHeader(*HERE, tlvs=((3, bytes(4)),)), {}, "CRC32C"),
        (ProxyHeader(*HERE, tlvs=((3, bytes(4)),)), {"checksum": True}, "CRC32C"),
        (ProxyHeader(*HERE, tlvs=((0x20, b""),)), {}, "SSL"),
    ],
)
def test_what_nobody_would_read_is_not_made(header: ProxyHeader, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make_proxy_header(header, **options)


def test_the_longest_header_is_made() -> None:
    header = ProxyHeader(*HERE, tlvs=((0xE0, bytes(4096 - 16 - 12 - 3)),))
    assert len(make_proxy_header(header)) == MAX_HEADER
    assert read(make_proxy_header(header)) == header


@pytest.mark.parametrize("at", range(12, len(SUMMED), 97))
def test_a_changed_byte_is_found_by_the_sum(at: int) -> None:
    changed = bytearray(SUMMED)
    changed[at] ^= 0x10
    with pytest.raises(RemoteProtocolError):
        read(bytes(changed))
