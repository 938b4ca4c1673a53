"""The data of records: read from messages, strictly, and written as text and as bytes.

Types that are seen every day, and those whose names may be shortened by pointers, are read here by tables. All others
go through dnspython, one record's bytes at a time, so that no name in them can point into the message. It comes in here
and nowhere else, late, and none of its classes or exceptions gets out.

This module knows nothing of what records mean.
"""

import re
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from evkit.dns.errors import MessageError
from evkit.dns.message import Message, Raw
from evkit.dns.names import ROOT, to_text, to_wire
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
from evkit.dns.types import AAAA, IN, A, type_name, type_number


def _numbers(kinds: str) -> frozenset[int]:
    return frozenset([type_number(kind) for kind in kinds.split()])


_ADDRESSES: Final = frozenset({A, AAAA})
_NAMES: Final = _numbers("NS CNAME PTR DNAME MB MD MF MG MR")
_TEXTS: Final = _numbers("TXT AVC NINFO RESINFO SPF WALLET")
_READ_BY_DNSPYTHON: Final = _numbers(
    "AMTRELAY APL BRID CDNSKEY CERT CSYNC DHCID DNSKEY DSYNC EUI48 EUI64 GPOS HHIT HIP HTTPS IPSECKEY ISDN KEY L32 L64"
    " LOC NID NSAP NSAP-PTR NSEC NSEC3 NSEC3PARAM OPENPGPKEY RRSIG SIG SVCB WKS X25 ZONEMD"
)
"""Others it would look for on the disk, each time another."""

_LAYOUTS: Final[dict[int, tuple[Any, str]]] = {
    type_number(kind): layout
    for kinds, layout in {
        "SOA": (Soa, "NNIIIII"),
        "MX": (Mx, "HN"),
        "SRV": (Srv, "HHHN"),
        "NAPTR": (Naptr, "HHSSSN"),
        "CAA": (Caa, "BTQ"),
        "DS CDS DLV": (Ds, "HBBX"),
        "TLSA SMIMEA": (Tlsa, "BBBX"),
        "SSHFP": (Sshfp, "BBX"),
        "URI": (Uri, "HHQ"),
        "HINFO": (Hinfo, "SS"),
        "AFSDB KX LP RT": (Preferred, "HN"),
        "MINFO RP": (NamePair, "NN"),
        "PX": (Px, "HNN"),
    }.items()
    for kind in kinds.split()
}
"""What the data becomes, and its parts, each a letter of `_READERS`."""


def read(message: Message, raw: Raw) -> RecordData:
    """Read the data of a record.

    Args:
        message: The message, whose reader of names goes on counting its steps.
        raw: One of its records.

    Raises:
        MessageError: It is not what data of this type must be.
    """
    _, rdtype, rdclass, _, start, length = raw
    if rdtype in _ADDRESSES and rdclass == IN:
        return _address(message.data, rdtype, start, length)
    end = start + length
    if rdtype in _NAMES:
        name, stop = message.names.read(start)
        value: RecordData = to_text(name)
    elif rdtype in _LAYOUTS:
        make, layout = _LAYOUTS[rdtype]
        fields, stop = _fields(message, layout, start, end)
        value = make(*fields)
    elif rdtype in _TEXTS:
        value, stop = _texts(message.data, start, end)
    else:
        return _other(message, raw)
    if stop != end:
        raise MessageError(f"expected {type_name(rdtype)} data of {stop - start} bytes, got {length}", start)
    return value


def _address(data: bytes, rdtype: int, start: int, length: int) -> str:
    expected = 4 if rdtype == A else 16
    packed = data[start : start + length]
    if len(packed) != expected:
        raise MessageError(f"expected an address of {expected} bytes, got {len(packed)}", start)
    return socket.inet_ntoa(packed) if rdtype == A else socket.inet_ntop(socket.AF_INET6, packed)


def _texts(data: bytes, start: int, end: int) -> tuple[tuple[bytes, ...], int]:
    texts = []
    offset = start
    while True:
        text, offset = _string(data, offset, end)
        texts.append(text)
        if offset >= end:
            return tuple(texts), offset


def _string(data: bytes, offset: int, end: int) -> tuple[bytes, int]:
    if offset >= end:
        raise MessageError("expected a string, got the end of the data", offset)
    start = offset + 1
    offset = start + data[offset]
    return data[start:offset], offset


def _fields(message: Message, layout: str, start: int, end: int) -> tuple[list[Any], int]:
    fields = []
    offset = start
    for part in layout:
        field, offset = _READERS[part](message, offset, end)
        fields.append(field)
    return fields, offset


def _byte(message: Message, offset: int, end: int) -> tuple[int, int]:  # noqa: ARG001 - like the other readers
    return int.from_bytes(message.data[offset : offset + 1], "big"), offset + 1


def _short(message: Message, offset: int, end: int) -> tuple[int, int]:  # noqa: ARG001 - like the other readers
    return int.from_bytes(message.data[offset : offset + 2], "big"), offset + 2


def _long(message: Message, offset: int, end: int) -> tuple[int, int]:  # noqa: ARG001 - like the other readers
    return int.from_bytes(message.data[offset : offset + 4], "big"), offset + 4


def _name(message: Message, offset: int, end: int) -> tuple[str, int]:  # noqa: ARG001 - like the other readers
    name, offset = message.names.read(offset)
    return to_text(name), offset


def _text(message: Message, offset: int, end: int) -> tuple[bytes, int]:
    return _string(message.data, offset, end)


def _tag(message: Message, offset: int, end: int) -> tuple[bytes, int]:
    tag, after = _string(message.data, offset, end)
    if not tag.isalnum():
        raise MessageError(f"expected a tag of letters and digits, got {tag!r}", offset)
    return tag, after


def _rest(message: Message, offset: int, end: int) -> tuple[bytes, int]:
    return message.data[offset:end], max(offset, end)


def _digest(message: Message, offset: int, end: int) -> tuple[bytes, int]:
    if offset >= end:
        raise MessageError("expected a value of 1 byte or more, got the end of the data", offset)
    return message.data[offset:end], end


_READERS: Final[dict[str, Callable[[Message, int, int], tuple[Any, int]]]] = {
    "B": _byte,
    "H": _short,
    "I": _long,
    "N": _name,
    "S": _text,
    "T": _tag,
    "Q": _rest,
    "X": _digest,
}
"""Given the message, where a part begins, and where the data ends: the part, and where it ends."""


def text_of(rdtype: int, data: RecordData) -> str:
    """Return the data of a record as it stands in a master file: names end with a dot there.

    Source: RFC 1035 §5.1.
    """
    if isinstance(data, Generic):
        return data.text
    if isinstance(data, str):
        return _absolute(data) if rdtype in _NAMES else data
    if rdtype in _LAYOUTS:
        layout = _LAYOUTS[rdtype][1]
        return " ".join([_WRITERS[part](field) for part, field in zip(layout, data, strict=True)])
    return " ".join([_quoted(text) for text in data if isinstance(text, bytes)])


def _absolute(name: str) -> str:
    return name if name == "." else name + "."


_SPECIAL: Final = re.compile(rb"[^ !#-\[\]-~]")


def _quoted(text: bytes) -> str:
    return f'"{_SPECIAL.sub(_escaped, text).decode()}"'


def _escaped(match: re.Match[bytes]) -> bytes:
    return (b"\\%c" if match[0] in b'"\\' else b"\\%03d") % match[0][0]


_WRITERS: Final[dict[str, Callable[[Any], str]]] = {
    "B": str,
    "H": str,
    "I": str,
    "N": _absolute,
    "S": _quoted,
    "T": bytes.decode,
    "Q": _quoted,
    "X": bytes.hex,
}


def to_rdata_wire(rdtype: int, text: str, rdclass: int = IN, *, origin: bytes = ROOT) -> bytes:
    """Return the data of a record as bytes, names not shortened.

    Args:
        rdtype: The type.
        text: The data as it stands in a master file, ``"10 mail.example.org."``, or by RFC 3597 §5.
        rdclass: The class.
        origin: What names without a dot at their end stand below, in wire form.

    Raises:
        ValueError: This is no data of that type.
    """
    if rdclass == IN and rdtype in _ADDRESSES:
        try:
            return socket.inet_pton(socket.AF_INET if rdtype == A else socket.AF_INET6, text)
        except (OSError, ValueError):
            raise ValueError(f"expected an address for {type_name(rdtype)}, got {text!r}") from None
    if rdtype in _NAMES and origin == ROOT and text != "@":  # which is the origin in a master file
        return to_wire(text)
    return _wire_from_text(rdtype, rdclass, text, origin)


def _wire_from_text(rdtype: int, rdclass: int, text: str, origin: bytes) -> bytes:
    import dns.exception
    import dns.name
    import dns.rdata
    from dns.rdataclass import RdataClass
    from dns.rdatatype import RdataType

    kind, group = RdataType.make(rdtype), RdataClass.make(rdclass)
    try:
        base, _ = dns.name.from_wire(origin, 0)
        rdata = dns.rdata.from_text(
            group, kind, text, base, relativize=False, idna_codec=dns.name.IDNA_2008_UTS_46
        )
        return rdata.to_wire() or b""
    except (dns.exception.DNSException, ValueError) as exc:
        raise ValueError(f"expected data of {type_name(rdtype)}, got {text!r}: {exc}") from exc


def _other(message: Message, raw: Raw) -> Generic:
    _, rdtype, rdclass, _, start, length = raw
    wire = message.data[start : start + length]
    if rdtype not in _READ_BY_DNSPYTHON or rdclass != IN:
        return Generic(wire)
    message.names.spend(length, start)  # it takes time by the byte
    return _from_wire(rdtype, wire, start)


def _from_wire(rdtype: int, wire: bytes, start: int) -> Generic:
    import dns.exception
    import dns.rdata
    from dns.rdataclass import IN as INTERNET
    from dns.rdatatype import RdataType

    try:
        rdata = dns.rdata.from_wire(INTERNET, RdataType.make(rdtype), wire, 0, len(wire))
        same = rdata.to_wire() == wire
        fields = {name: _plain(getattr(rdata, name)) for name in _part_names(rdata)}
    except (dns.exception.DNSException, ValueError) as exc:
        raise MessageError(f"expected data of {type_name(rdtype)}: {exc}", start) from exc
    # Not same: a name was shortened, which is forbidden in these types, or something else is written oddly.
    return Generic(wire, fields, rdata) if same else Generic(wire)


def _part_names(rdata: object) -> list[str]:
    """Return what a class of dnspython has beyond what every rdata has, in the order of the data."""
    own = [cls for cls in reversed(type(rdata).__mro__) if not cls.__module__.startswith("dns.rdata")]
    names = [name for cls in own for name in getattr(cls, "__slots__", ())]
    return names or list(getattr(rdata, "__dict__", ()))


def _plain(value: Any) -> Any:
    """Return a part of a record of dnspython as Python's own types can hold it."""
    if value is None or isinstance(value, bool | float | str | bytes):
        return value
    if isinstance(value, int):  # many are enums
        return int(value)
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):  # the parameters of SVCB
        return {
            _key_text(key): "" if each is None else each.to_text().strip('"') for key, each in value.items()
        }
    if hasattr(value, "is_absolute"):
        return value.to_text(omit_final_dot=True)
    return str(value)


def _key_text(key: int) -> str:
    name = getattr(key, "name", "")
    return name.lower().replace("_", "-") or f"key{int(key)}"
