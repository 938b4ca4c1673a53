"""The facts of a certificate, against what OpenSSL makes and what is made by hand."""

import ssl
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificates import Certificates
from evkit.http.tls.x509 import CertificateFacts, certificates_in, read_certificate

DAY = 86_400


def value(tag: int, *contents: bytes) -> bytes:
    """Write a value in DER."""
    content = b"".join(contents)
    size = len(content).to_bytes(2, "big")
    return bytes([tag]) + (size[1:] if len(content) < 128 else b"\x82" + size) + content


def certificate(
    *, begin: bytes, end: bytes, extensions: bytes = b"", version: bytes = b"\xa0\x03\x02\x01\x02"
) -> bytes:
    """Write a certificate in which all but the facts is empty."""
    empty = value(0x30)
    validity = value(0x30, begin, end)
    return value(
        0x30, value(0x30, version, value(2, b"\x01"), empty, empty, validity, empty, empty, extensions), empty
    )


def alt_names(*names: bytes, critical: bytes = b"") -> bytes:
    other = value(0x30, value(6, b"\x55\x1d\x0f"), value(4, b"no names"))
    extension = value(0x30, value(6, b"\x55\x1d\x11"), critical, value(4, value(0x30, *names)))
    return value(0xA3, value(0x30, other, extension))


UTC = value(0x17, b"260102030405Z")
UTC_SECONDS = 1767323045  # date -u -d '2026-01-02 03:04:05' +%s
GENERALIZED = value(0x18, b"20510102030405Z")
GENERALIZED_SECONDS = 2556241445  # likewise, in 2051
LONG = value(0x82, b"a" * 300)
GOOD = certificate(begin=UTC, end=GENERALIZED, extensions=alt_names(value(0x82, b"*.Example.org"), LONG))


def test_what_openssl_makes(certificates: Certificates) -> None:
    pem = Path(certificates.path("server")).read_bytes()
    [der] = certificates_in(pem)
    facts = read_certificate(der)
    assert ssl.PEM_cert_to_DER_cert(pem.decode().partition("-----BEGIN PRIVATE")[0]) == der
    assert facts.names == ("localhost",)  # the address is no name
    assert facts.not_after - facts.not_before == 3650 * DAY
    assert abs(time.time() - facts.not_before) < DAY


def test_a_certificate_without_names(certificates: Certificates) -> None:
    [der] = certificates_in(Path(certificates.path("ca")).read_bytes())
    assert read_certificate(der).names == ()


def test_names_and_times() -> None:
    assert read_certificate(GOOD) == CertificateFacts(
        ("*.example.org", "a" * 300), UTC_SECONDS, GENERALIZED_SECONDS
    )


def test_other_names_are_passed_over() -> None:
    mail, address = value(0x81, b"a@example.org"), value(0x87, b"\x7f\0\0\1")
    names = alt_names(mail, value(0x82, b"b"), address, critical=value(1, b"\xff"))
    assert read_certificate(certificate(begin=UTC, end=UTC, extensions=names)).names == ("b",)


def test_version_1_has_no_extensions() -> None:
    facts = read_certificate(certificate(begin=UTC, end=UTC, version=b""))
    assert facts == CertificateFacts((), UTC_SECONDS, UTC_SECONDS)


@pytest.mark.parametrize(("year", "seconds"), [(b"49", 2493072000), (b"50", -631152000)])
def test_two_digits_of_a_year(year: bytes, seconds: int) -> None:
    begin = value(0x17, year + b"0101000000Z")
    assert read_certificate(certificate(begin=begin, end=UTC)).not_before == seconds


def test_any_prefix_is_none() -> None:
    for size in range(len(GOOD)):
        with pytest.raises(ValueError, match="broken"):
            read_certificate(GOOD[:size])


def test_nothing_may_follow() -> None:
    with pytest.raises(ValueError, match="broken"):
        read_certificate(GOOD + b"\0\0")


def names_or_fault(der: bytes) -> tuple[str, ...] | str:
    try:
        return read_certificate(der).names
    except ValueError as error:
        return str(error)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_any_wrong_byte_is_an_error_or_harmless(at: int, byte: int) -> None:
    told = names_or_fault(GOOD[:at] + bytes([byte]) + GOOD[at + 1 :])
    assert told == "a certificate in it is broken" or isinstance(told, tuple)


def test_what_stands_between_certificates() -> None:
    body = b"-----BEGIN CERTIFICATE-----\r\nAAEC\r\nAwQ=\r\n-----END CERTIFICATE-----\r\n"
    key = b"-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE KEY-----\n"
    assert certificates_in(b"\xff words\n" + body + key + body) == [bytes(range(5))] * 2
    assert certificates_in(key) == []


def test_no_base64() -> None:
    with pytest.raises(ValueError, match="padding"):
        certificates_in(b"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----")
