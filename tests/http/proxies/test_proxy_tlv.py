"""`evkit.http.proxies.proxy_tlv`: what stands behind the addresses, taken apart; sums by published vectors."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.errors import RemoteProtocolError
from evkit.http.proxies.proxy_tlv import (
    TLV,
    ProxyTLS,
    crc32c,
    pack_empty_sum,
    pack_tlvs,
    put_sum,
    read_tlvs,
    text_of,
    tls_of,
)

# RFC 3720 §B.4 gives the bytes in the order in which iSCSI sends them, the lowest first; the last is the catalogue's.
SUMS = {
    bytes(32): "aa36918a",
    b"\xff" * 32: "43aba862",
    bytes(range(32)): "4e79dd46",
    bytes(range(31, -1, -1)): "5cdb3f11",
    b"123456789": "839206e3",
}


@pytest.mark.parametrize("data", SUMS)
def test_a_sum_is_that_of_the_standard(data: bytes) -> None:
    assert crc32c(data).to_bytes(4, "little").hex() == SUMS[data]


def tlv(kind: int, value: bytes) -> bytes:
    """Section 2.2 of proxy-protocol.txt, written anew."""
    return bytes([kind, len(value) >> 8, len(value) & 0xFF]) + value


def ssl(client: int, verify: int, *sub: tuple[int, bytes]) -> bytes:
    return struct.pack(">BI", client, verify) + b"".join(tlv(*pair) for pair in sub)


def test_the_numbers_are_those_of_the_document() -> None:
    assert {one.name: one.value for one in TLV} == {
        "ALPN": 0x01,
        "AUTHORITY": 0x02,
        "CRC32C": 0x03,
        "NOOP": 0x04,
        "UNIQUE_ID": 0x05,
        "SSL": 0x20,
        "SSL_VERSION": 0x21,
        "SSL_CN": 0x22,
        "SSL_CIPHER": 0x23,
        "SSL_SIG_ALG": 0x24,
        "SSL_KEY_ALG": 0x25,
        "NETNS": 0x30,
    }


def test_values_come_in_order_and_what_stands_before_is_left_alone() -> None:
    block = b"head" + tlv(0x01, b"h2") + tlv(0xE0, b"") + tlv(0xE0, b"\0" * 300)
    assert read_tlvs(block, 4) == ((1, b"h2"), (0xE0, b""), (0xE0, bytes(300)))
    assert read_tlvs(b"head", 4) == ()


def test_padding_is_left_out() -> None:
    assert read_tlvs(tlv(4, b"\0\0") + tlv(4, b"") + tlv(2, b"a"), 0) == ((2, b"a"),)


@pytest.mark.parametrize(
    "block",
    [
        b"\x01",
        b"\x01\0",
        b"\x01\0\x01",
        b"\x01\0\x02a",
        b"\x01\xff\xffa",
        tlv(1, b"a") + b"\xe0",
        tlv(1, b"a") + b"\xe0\0\x02a",
    ],
)
def test_a_value_that_passes_the_end_is_refused(block: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="passes its end"):
        read_tlvs(block, 0)


@pytest.mark.parametrize("kind", [1, 2, 5, 0x30])
def test_a_registered_value_stands_once(kind: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"one TLV {TLV(kind).name}"):
        read_tlvs(tlv(kind, b"a") + tlv(0xE0, b"") + tlv(kind, b"a"), 0)


def test_two_ssl_values_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="one TLV SSL"):
        read_tlvs(tlv(0x20, ssl(0, 0)) * 2, 0)


def test_two_sums_are_refused_before_they_are_computed() -> None:
    with pytest.raises(RemoteProtocolError, match="one TLV CRC32C"):
        read_tlvs(tlv(3, bytes(4)) * 500, 0)


def test_a_unique_id_has_up_to_128_bytes() -> None:
    assert read_tlvs(tlv(5, bytes(128)), 0) == ((5, bytes(128)),)
    with pytest.raises(RemoteProtocolError, match="128"):
        read_tlvs(tlv(5, bytes(129)), 0)


# The sum


def test_a_sum_is_put_in_as_the_document_says_and_checked() -> None:
    empty, offset = pack_empty_sum()
    assert (empty, offset) == (b"\x03\0\x04\0\0\0\0", 3)
    block = put_sum(b"123456" + empty + tlv(0xE0, b"x"), 9)
    assert block[9:13] == crc32c(b"123456\x03\0\x04\0\0\0\0\xe0\0\x01x").to_bytes(4, "big")
    assert read_tlvs(block, 6) == ((0xE0, b"x"),)
    assert put_sum(block, 9) == block


@pytest.mark.parametrize("at", [0, 5, 9, 12, 16])
def test_a_block_that_was_changed_is_refused(at: int) -> None:
    block = bytearray(put_sum(b"123456" + pack_empty_sum()[0] + tlv(0xE0, b"x"), 9))
    block[at] ^= 1
    with pytest.raises(RemoteProtocolError, match="CRC32C of a PROXY header is wrong"):
        read_tlvs(bytes(block), 6)


@pytest.mark.parametrize("size", [0, 3, 5])
def test_a_sum_has_four_bytes(size: int) -> None:
    with pytest.raises(RemoteProtocolError, match="CRC32C of 4 bytes"):
        read_tlvs(tlv(3, bytes(size)), 0)


# TLS


def test_a_client_with_a_certificate() -> None:
    value = ssl(
        0x07,
        0,
        (0x21, b"TLSv1.3"),
        (0x22, "Zoë".encode()),
        (0x23, b"TLS_AES_128_GCM_SHA256"),
        (0x24, b"RSA-SHA256"),
        (0x25, b"RSA2048"),
        (0x7F, b"\xff"),
    )
    assert tls_of(value) == ProxyTLS(
        version="TLSv1.3",
        cipher="TLS_AES_128_GCM_SHA256",
        certificate=True,
        verified=True,
        common_name="Zoë",
        signature_algorithm="RSA-SHA256",
        key_algorithm="RSA2048",
    )


@pytest.mark.parametrize(
    ("client", "verify", "certificate", "verified"),
    [
        (0x01, 0, False, False),  # nobody was verified
        (0x01, 1, False, False),
        (0x03, 0, True, True),
        (0x05, 0, True, True),
        (0x03, 0x80000000, True, False),
        (0x07, 1, True, False),
        (0xF9, 0, False, False),
    ],
)
def test_a_certificate_is_good_if_it_was_there(
    client: int, verify: int, certificate: bool, verified: bool
) -> None:
    assert tls_of(ssl(client, verify)) == ProxyTLS(certificate=certificate, verified=verified)


def test_a_client_without_tls_has_none() -> None:
    # What haproxy's send-proxy-v2-ssl says of a client without TLS (proxy_protocol_ssl_tlv.vtc).
    assert tls_of(bytes.fromhex("0000000000")) is None
    assert tls_of(ssl(0x06, 0, (0x21, b"TLSv1.3"))) is None


@pytest.mark.parametrize("value", [b"", bytes(4), ssl(1, 0) + b"\x21", ssl(0, 0) + b"\x21\0\x02a"])
def test_an_ssl_value_that_is_cut_is_refused(value: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        tls_of(value)
    with pytest.raises(RemoteProtocolError):
        read_tlvs(tlv(0x20, value), 0)


def test_the_first_of_two_sub_values_holds() -> None:
    found = tls_of(ssl(1, 0, (0x21, b"TLSv1.3"), (0x21, b"TLSv1.0")))
    assert found is not None
    assert found.version == "TLSv1.3"


# Texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"example.com", "example.com"),
        ("bücher.example".encode(), "bücher.example"),
        (None, None),
        (b"", None),
        (b"public\0x", None),
        (b"a\nb", None),
        (b"\xff", None),
        ("\u2028".encode(), None),
    ],
)
def test_a_text_is_what_can_be_printed(value: bytes | None, text: str | None) -> None:
    assert text_of(value) == text


# Making


@given(st.lists(st.tuples(st.integers(0xE0, 0xFF), st.binary(max_size=300)), max_size=5))
def test_what_was_put_together_is_taken_apart(tlvs: list[tuple[int, bytes]]) -> None:
    block = pack_tlvs(tlvs)
    assert block == b"".join(tlv(*one) for one in tlvs)
    assert read_tlvs(b"head" + block, 4) == tuple(tlvs)


@pytest.mark.parametrize(("kind", "value"), [(256, b""), (-1, b""), (1, bytes(65536))])
def test_a_value_that_has_no_form_is_refused(kind: int, value: bytes) -> None:
    with pytest.raises(ValueError, match="TLV types of one byte"):
        pack_tlvs([(kind, value)])


@given(st.binary(max_size=60))
def test_any_bytes_are_values_or_refused(block: bytes) -> None:
    try:
        found = read_tlvs(block, 0)
    except RemoteProtocolError:
        return
    assert sum(len(value) + 3 for _, value in found) <= len(block)
