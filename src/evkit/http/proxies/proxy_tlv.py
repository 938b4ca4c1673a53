"""The typed values behind the addresses of a header of the PROXY protocol's version 2, and its checksum.

Decides how they are taken apart, which of them cannot stand, and what they tell of the client's TLS. It knows nothing
of the header around them.

Source: haproxy's ``doc/proxy-protocol.txt``, section 2.2.
"""

import enum
import functools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from evkit.errors import RemoteProtocolError

_HEAD: Final = struct.Struct(">BH")
_SUM_SIZE: Final = 4
_SUMMED_AS: Final = bytes(_SUM_SIZE)  # section 2.2.3: the sum counts as zeros while it is computed
_MAX_UNIQUE_ID: Final = 128
_SSL: Final = struct.Struct(">BI")
_BY_TLS: Final = 0x01  # PP2_CLIENT_SSL
_CERTIFICATE: Final = 0x02 | 0x04  # PP2_CLIENT_CERT_CONN, PP2_CLIENT_CERT_SESS
_CASTAGNOLI: Final = 0x82F63B78  # the polynomial of CRC32C, bits reversed


class TLV(enum.IntEnum):
    """The types that are registered for the values behind the addresses of version 2.

    Source: ``proxy-protocol.txt``, section 2.2, ``PP2_TYPE_*`` and ``PP2_SUBTYPE_*``.
    """

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    SSL_VERSION = 0x21
    SSL_CN = 0x22
    SSL_CIPHER = 0x23
    SSL_SIG_ALG = 0x24
    SSL_KEY_ALG = 0x25
    NETNS = 0x30


# Two of one of these would let two readers see two connections.
_ONCE: Final = frozenset({TLV.ALPN, TLV.AUTHORITY, TLV.CRC32C, TLV.UNIQUE_ID, TLV.SSL, TLV.NETNS})


@dataclass(frozen=True, slots=True)
class ProxyTLS:
    """How the client speaks TLS with the proxy. A text that was not told, or is none, is ``None``.

    Attributes:
        version: ``"TLSv1.3"``.
        cipher: ``"ECDHE-RSA-AES128-GCM-SHA256"``.
        certificate: Whether the client has shown a certificate, on this connection or before in its TLS session.
        verified: Whether it did, and the proxy found it good.
        common_name: Of the client's certificate.
        signature_algorithm: By which the proxy's certificate is signed: ``"RSA-SHA256"``.
        key_algorithm: Of its key: ``"RSA2048"``.

    Source: ``proxy-protocol.txt``, section 2.2.6.
    """

    version: str | None = None
    cipher: str | None = None
    certificate: bool = False
    verified: bool = False
    common_name: str | None = None
    signature_algorithm: str | None = None
    key_algorithm: str | None = None


def read_tlvs(block: bytes, start: int) -> tuple[tuple[int, bytes], ...]:
    """Take the values at the end of a header apart, and check its sum where there is one.

    Args:
        block: The whole header.
        start: Where the first of them begins; the last ends with the block.

    Returns:
        Type and value of each in order, without checksum and padding.

    Raises:
        RemoteProtocolError: One passes the end, or cannot stand, or stands twice, or the sum is wrong.
    """
    found = list(_split(block, start))
    _check((kind, value) for kind, value, _ in found)
    for kind, value, at in found:
        if kind == TLV.CRC32C and put_sum(block, at)[at : at + _SUM_SIZE] != value:
            raise RemoteProtocolError("the CRC32C of a PROXY header is wrong")
    return tuple((kind, value) for kind, value, _ in found if kind not in (TLV.CRC32C, TLV.NOOP))


def _split(data: bytes, at: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield type, value, and where the value begins, of what stands from ``at`` to the end."""
    while at < len(data):
        begin = at + _HEAD.size
        kind, size = _HEAD.unpack_from(data, at) if begin <= len(data) else (data[at], 0)
        if begin + size > len(data):
            raise RemoteProtocolError(f"the TLV 0x{kind:02x} of a PROXY header passes its end")
        at = begin + size
        yield kind, data[begin:at], begin


def _check(tlvs: Iterable[tuple[int, bytes]]) -> None:
    seen = set()
    for kind, value in tlvs:
        if kind in seen and kind in _ONCE:
            raise RemoteProtocolError(f"expected one TLV {TLV(kind).name} in a PROXY header, got two")
        seen.add(kind)
        if kind == TLV.CRC32C and len(value) != _SUM_SIZE:
            raise RemoteProtocolError(f"expected a CRC32C of {_SUM_SIZE} bytes, got {len(value)}")
        if kind == TLV.UNIQUE_ID and len(value) > _MAX_UNIQUE_ID:
            raise RemoteProtocolError(
                f"expected at most {_MAX_UNIQUE_ID} bytes of UNIQUE_ID, got {len(value)}"
            )
        if kind == TLV.SSL:
            tls_of(value)


def tls_of(value: bytes) -> ProxyTLS | None:
    """Read an SSL TLV; ``None``: the client speaks no TLS.

    Raises:
        RemoteProtocolError: It is too short, or a value within it passes its end.
    """
    if len(value) < _SSL.size:
        raise RemoteProtocolError(f"expected an SSL TLV of {_SSL.size} bytes or more, got {len(value)}")
    client, verify = _SSL.unpack_from(value)
    told: dict[int, str | None] = {}
    for kind, text, _ in _split(value, _SSL.size):
        told.setdefault(kind, text_of(text))
    if not client & _BY_TLS:
        return None
    certificate = client & _CERTIFICATE != 0
    return ProxyTLS(
        version=told.get(TLV.SSL_VERSION),
        cipher=told.get(TLV.SSL_CIPHER),
        certificate=certificate,
        verified=certificate and verify == 0,  # it is 0 for a client without a certificate, too
        common_name=told.get(TLV.SSL_CN),
        signature_algorithm=told.get(TLV.SSL_SIG_ALG),
        key_algorithm=told.get(TLV.SSL_KEY_ALG),
    )


def text_of(value: bytes | None) -> str | None:
    """Decode a text; ``None`` for what is none, or is empty, or has a NUL or another character that cannot be printed.

    Such a text deceives whoever compares or logs it. haproxy gives nothing for one with a NUL either
    (``proxy_protocol_tlv_embedded_nul.vtc``).
    """
    try:
        text = "" if value is None else value.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text and text.isprintable() else None


def pack_tlvs(tlvs: Iterable[tuple[int, bytes]]) -> bytes:
    """Put typed values together.

    Raises:
        ValueError: A type is not 0 to 255, or a value is longer than 65,535 bytes.
    """
    try:
        return b"".join(_HEAD.pack(kind, len(value)) + value for kind, value in tlvs)
    except struct.error as error:
        raise ValueError(f"expected TLV types of one byte and values of up to 65,535: {error}") from error


def pack_empty_sum() -> tuple[bytes, int]:
    """Return a TLV for the checksum, and where in it the sum is to be put."""
    return pack_tlvs([(TLV.CRC32C, _SUMMED_AS)]), _HEAD.size


def put_sum(block: bytes, at: int) -> bytes:
    """Return a whole header with its checksum put in at ``at``. Source: section 2.2.3."""
    end = at + _SUM_SIZE
    summed = crc32c(block[:at] + _SUMMED_AS + block[end:])
    return block[:at] + summed.to_bytes(_SUM_SIZE, "big") + block[end:]


def crc32c(data: bytes) -> int:
    """Return the CRC32C of some bytes, 0 to 2³²-1. Source: RFC 9260, Appendix A (RFC 4960, Appendix B)."""
    table = _crc_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@functools.cache
def _crc_table() -> tuple[int, ...]:
    return tuple(map(_crc_entry, range(256)))


def _crc_entry(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    return crc
