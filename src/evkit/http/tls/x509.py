"""What a server must know of its own certificates: the names that they are for, and their time.

Python's ``ssl`` tells this of a peer's certificate only, and only after a handshake that has verified it. So the few
fields are read from the DER here. Whether a certificate is any good is OpenSSL's to say: this knows nothing of keys,
signatures and trust.
"""

import binascii
import calendar
import re
import time
from dataclasses import dataclass
from typing import Final

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)

# Tags of DER (X.690 §8.1.2) as they stand in a certificate (RFC 5280 §4.1, §4.2.1.6).
_UTC_TIME: Final = 0x17
_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3
_DNS_NAME: Final = 0x82
_SUBJECT_ALT_NAME: Final = b"\x55\x1d\x11"  # 2.5.29.17
# Where the validity stands, counted from the serial number.
_VALIDITY: Final = 3
_FIRST_YEAR_OF_1900S: Final = 50
"""RFC 5280 §4.1.2.5.1: of the two digits of a year."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What is read of a certificate.

    Attributes:
        names: The DNS names of its subjectAltName, in lower case; they may begin with ``*.``.
        not_before: When it begins to be valid, in seconds since 1970.
        not_after: When it ends.
    """

    names: tuple[str, ...]
    not_before: int
    not_after: int


def certificates_in(pem: bytes) -> list[bytes]:
    """Return the certificates of a PEM file as DER, in their order. What stands between them is passed over.

    Raises:
        ValueError: One of them is not base64.

    Source: RFC 7468 §5.
    """
    return [binascii.a2b_base64(body) for body in _PEM.findall(pem)]


def read_certificate(der: bytes) -> CertificateFacts:
    """Read a certificate.

    Raises:
        ValueError: This is none.

    Source: RFC 5280 §4.1. The common name is no host's name: RFC 9525 §2.
    """
    try:
        [(_, certificate)] = _fields(der)
        fields = _fields(_fields(certificate)[0][1])
        validity = _fields(fields[_VALIDITY + (fields[0][0] == _VERSION)][1])
        not_before, not_after = (_seconds(tag, text) for tag, text in validity)
        names = [name for tag, value in fields if tag == _EXTENSIONS for name in _names(value)]
    except (IndexError, ValueError) as error:
        raise ValueError("a certificate in it is broken") from error
    return CertificateFacts(tuple(names), not_before, not_after)


def _fields(der: bytes) -> list[tuple[int, bytes]]:
    """Return the tag and the content of each value that stands in ``der``, one behind the other."""
    found = []
    at = 0
    while at < len(der):
        tag, size = der[at], der[at + 1]
        at += 2
        if size & 0x80:  # so many bytes have the size
            begin, at = at, at + (size & 0x7F)
            size = int.from_bytes(der[begin:at], "big")
        if size > len(der) - at:
            raise ValueError("cut short")
        found.append((tag, der[at : at + size]))
        at += size
    return found


def _seconds(tag: int, text: bytes) -> int:
    """Return a Time (RFC 5280 §4.1.2.5)."""
    digits = text.decode("ascii")
    if tag == _UTC_TIME:
        digits = ("19" if int(digits[:2]) >= _FIRST_YEAR_OF_1900S else "20") + digits
    return calendar.timegm(time.strptime(digits, "%Y%m%d%H%M%SZ"))


def _names(extensions: bytes) -> list[str]:
    """Return the DNS names of the extension that has them."""
    for _, extension in _fields(_fields(extensions)[0][1]):
        (_, kind), *_, (_, value) = _fields(extension)
        if kind == _SUBJECT_ALT_NAME:
            general_names = _fields(_fields(value)[0][1])
            return [name.decode("ascii").lower() for tag, name in general_names if tag == _DNS_NAME]
    return []
