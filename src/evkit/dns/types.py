"""The numbers of the DNS and their mnemonics: record types, classes, response codes.

Inside `evkit.dns` they travel as ints. This module knows nothing of names or messages.

Source: IANA, "Domain Name System (DNS) Parameters".
"""

import re
from typing import Final

# What the code of evkit names.
A: Final = 1
NS: Final = 2
CNAME: Final = 5
SOA: Final = 6
PTR: Final = 12
MX: Final = 15
TXT: Final = 16
AAAA: Final = 28
SRV: Final = 33
DNAME: Final = 39
OPT: Final = 41
DS: Final = 43
TSIG: Final = 250
IXFR: Final = 251
AXFR: Final = 252
ANY: Final = 255

IN: Final = 1

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
BADVERS: Final = 16
BADCOOKIE: Final = 23

_MAX: Final = 0xFFFF


def _numbered(runs: dict[int, str]) -> dict[int, str]:
    """Number the words of each run from its key on."""
    return {start + i: word for start, words in runs.items() for i, word in enumerate(words.split())}


_TYPES: Final = _numbered(
    {
        1: "A NS MD MF CNAME SOA MB MG MR NULL WKS PTR HINFO MINFO MX TXT RP AFSDB X25 ISDN RT NSAP NSAP-PTR SIG KEY PX"
        " GPOS AAAA LOC NXT EID NIMLOC SRV ATMA NAPTR KX CERT A6 DNAME SINK OPT APL DS SSHFP IPSECKEY RRSIG NSEC DNSKEY"
        " DHCID NSEC3 NSEC3PARAM TLSA SMIMEA",
        55: "HIP NINFO RKEY TALINK CDS CDNSKEY OPENPGPKEY CSYNC ZONEMD SVCB HTTPS DSYNC HHIT BRID",
        99: "SPF UINFO UID GID UNSPEC NID L32 L64 LP EUI48 EUI64",
        128: "NXNAME",
        249: "TKEY TSIG IXFR AXFR MAILB MAILA ANY URI CAA AVC DOA AMTRELAY RESINFO WALLET CLA IPN",
        32768: "TA DLV",
    }
)
_CLASSES: Final = {IN: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}
_RCODES: Final = _numbered(
    {
        0: "NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE DSOTYPENI",
        16: "BADVERS BADKEY BADTIME BADMODE BADNAME BADALG BADTRUNC BADCOOKIE",
    }
)
_TYPE_NUMBERS: Final = {name: number for number, name in _TYPES.items()} | {"*": ANY}
_CLASS_NUMBERS: Final = {name: number for number, name in _CLASSES.items()}
_UNKNOWN: Final = re.compile(r"(TYPE|CLASS)(\d{1,5})", re.ASCII)

_NOT_ASKED: Final = frozenset({OPT, 249, TSIG, IXFR, AXFR})
"""Types that are no data of a name, or whose answers are not one message: RFC 6895 §3.1, RFC 5936."""

_EVERYDAY: Final[dict[str | int, int]] = {
    name: _TYPE_NUMBERS[name] for name in ("A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT")
}
"""What is asked for most is found at once."""


def type_number(what: str | int, *, asked: bool = True) -> int:
    """Return the number of a record type.

    Args:
        what: ``"AAAA"`` in any case, ``"TYPE65280"`` (RFC 3597 §5), or a number of 0 to 65535.
        asked: It is to be asked for; otherwise any type will do.

    Raises:
        ValueError: There is no such type, or it can't be asked for: OPT, TKEY, TSIG, IXFR, AXFR, and 0.
        TypeError: It is neither text nor number.
    """
    everyday = _EVERYDAY.get(what)
    if everyday is not None:
        return everyday
    number = _number(what, "type", _TYPE_NUMBERS)
    if asked and (number in _NOT_ASKED or not number):
        raise ValueError(f"expected a record type that can be asked for, got {type_name(number)}")
    return number


def class_number(what: str | int) -> int:
    """Return the number of a class, which is ``"IN"`` nearly always.

    Raises:
        ValueError: There is no such class.
        TypeError: It is neither text nor number.
    """
    return _number(what, "class", _CLASS_NUMBERS)


def _number(what: str | int, kind: str, numbers: dict[str, int]) -> int:
    if isinstance(what, int):
        number = what
    elif isinstance(what, str):
        name = what.upper()
        found = _UNKNOWN.fullmatch(name)
        number = int(found[2]) if found and found[1] == kind.upper() else numbers.get(name, -1)
    else:
        raise TypeError(f"expected a {kind} as a str or an int, got {what!r}")
    if 0 <= number <= _MAX:
        return number
    some = "A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT, HTTPS, …" if kind == "type" else ", ".join(numbers)
    raise ValueError(
        f"expected a {kind} of {some}, {kind.upper()}0 to {kind.upper()}{_MAX}, or its number, got {what!r}"
    )


def type_name(number: int) -> str:
    """Return the mnemonic of a record type, ``"TYPE65280"`` for one that has none (RFC 3597 §5)."""
    return _TYPES.get(number) or f"TYPE{number}"


def class_name(number: int) -> str:
    """Return the mnemonic of a class, ``"CLASS32"`` for one that has none."""
    return _CLASSES.get(number) or f"CLASS{number}"


def rcode_name(number: int) -> str:
    """Return the mnemonic of a response code, extended ones among them, ``"RCODE24"`` for one that has none."""
    return _RCODES.get(number) or f"RCODE{number}"
