"""The PROXY protocol, versions 1 and 2: what a proxy tells of a connection in front of its first byte.

Decides which bytes are a header and what they say, strictly, and makes headers. It never decides whether a peer may
send one: the protocol wants that configured and never guessed (section 5), since whoever may send a header may claim
any address. It knows nothing of sockets, nor of what follows the header.

Source: haproxy's ``doc/proxy-protocol.txt``.
"""

import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from evkit.core import Buffer
from evkit.core.net import Address, family_of
from evkit.errors import RemoteProtocolError
from evkit.http.errors import quote
from evkit.http.proxies.proxy_tlv import (
    TLV,
    ProxyTLS,
    pack_empty_sum,
    pack_tlvs,
    put_sum,
    read_tlvs,
    text_of,
    tls_of,
)

MAX_HEADER: Final = 4096
"""Bytes of the longest header that is read or made; the protocol's own limit is 65,551. nginx has the same."""

_MAX_LINE: Final = 107  # section 2.1: the longest line of version 1, with its CRLF
_MAX_PORT: Final = 65535
_LINE_START: Final = b"PROXY "
_LINE_END: Final = re.compile(rb"[\r\n]")
_PORT: Final = rb"(0|[1-9][0-9]{0,4})"
_IP: Final = rb"([0-9A-Fa-f:.]++)"
_LINE: Final = re.compile(rb"PROXY TCP([46]) %b %b %b %b\r\n" % (_IP, _IP, _PORT, _PORT))
_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*+)?+\r\n")
_UNKNOWN_LINE: Final = b"PROXY UNKNOWN\r\n"

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED: Final = struct.Struct(">12sBBH")
_LOCAL: Final = 0x20  # version 2 in the upper four bits, the command in the lower
_PROXY: Final = 0x21
_STREAM: Final = 1
_MAX_TRANSPORT: Final = 2
_FAMILIES: Final = {1: socket.AF_INET, 2: socket.AF_INET6, 3: socket.AF_UNIX}
_CODES: Final = {family: code for code, family in _FAMILIES.items()}
_ENDS: Final = {1: struct.Struct(">4s4sHH"), 2: struct.Struct(">16s16sHH"), 3: struct.Struct(">108s108s")}
_MAX_PATH: Final = 108


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a header says.

    Attributes:
        source: The client's address: ``(ip, port)`` or the path of a unix socket, as ``accept`` would give them, but
            without flow and scope. ``None`` where nothing is told (LOCAL, UNKNOWN, UNSPEC): then the connection's own
            addresses hold.
        destination: The address that the client has connected to, likewise.
        local: The connection is the proxy's own, such as a health check: version 2 alone can say so.
        tlvs: Type and value of what stands behind the addresses, in order, without the checksum, which was checked, and
            the padding. Types are those of `TLV`, or others.
    """

    source: Address | None = None
    destination: Address | None = None
    local: bool = False
    tlvs: tuple[tuple[int, bytes], ...] = ()

    def tlv(self, kind: int) -> bytes | None:
        """Return the first value of a type, ``None`` for none: ``header.tlv(TLV.UNIQUE_ID)``."""
        return next((value for known, value in self.tlvs if known == kind), None)

    @property
    def authority(self) -> str | None:
        """The host name that the client asked for, by SNI as a rule, unchecked; ``None`` where no text was told."""
        return text_of(self.tlv(TLV.AUTHORITY))

    @property
    def tls(self) -> ProxyTLS | None:
        """How the client speaks TLS with the proxy; ``None`` where it does not, or nothing is told of it.

        Raises:
            RemoteProtocolError: The value is malformed. `read_proxy_header` has let no such header pass.
        """
        value = self.tlv(TLV.SSL)
        return None if value is None else tls_of(value)


def read_proxy_header(buffer: Buffer) -> ProxyHeader | None:
    """Take a header of either version off the front of a buffer.

    Args:
        buffer: What the peer has sent, from its first byte. It is drained of exactly the header, and of nothing as
            long as the header is not complete, or when it is none.

    Returns:
        The header; ``None``: more bytes are needed.

    Raises:
        RemoteProtocolError: This is no header, and more bytes would not make it one. The connection is to be closed,
            without an answer: nobody knows which protocol the peer speaks.

    Cost: Linear in the header's size; what waits for more bytes looks at 107 of them at most.
    Source: ``proxy-protocol.txt``, section 2. Beyond it, headers of more than `MAX_HEADER` bytes are refused, and two
    TLVs of a registered type.
    """
    start = buffer.copyout(_MAX_LINE)
    parse: Callable[[bytes], ProxyHeader]
    if _LINE_START.startswith(start[: len(_LINE_START)]):
        size, parse = _line_size(start), _parse_line
    elif _SIGNATURE.startswith(start[: len(_SIGNATURE)]):
        size, parse = _block_size(start[: _FIXED.size]), _parse_block
    else:
        raise RemoteProtocolError(f"expected a header of the PROXY protocol, got {quote(start)}")
    if not size or size > buffer.length:
        return None
    header = parse(buffer.copyout(size))
    buffer.drain(size)
    return header


# Version 1


def _line_size(start: bytes) -> int:
    """Return the size of the line with its end; 0: it has not come yet."""
    end = _LINE_END.search(start)
    if end is not None and start.startswith(b"\r\n", end.start()):
        return end.start() + 2
    if len(start) < _MAX_LINE and (end is None or start[end.start() :] == b"\r"):
        return 0
    raise RemoteProtocolError(f"expected CRLF within {_MAX_LINE} bytes of a PROXY line, got {quote(start)}")


def _parse_line(line: bytes) -> ProxyHeader:
    if _UNKNOWN.fullmatch(line):
        return ProxyHeader()
    match = _LINE.fullmatch(line)
    if match is not None:
        family = socket.AF_INET if match[1] == b"4" else socket.AF_INET6
        hosts = [_canonical(family, host.decode("ascii")) for host in match.group(2, 3)]
        ports = [int(port) for port in match.group(4, 5)]
        if all(hosts) and max(ports) <= _MAX_PORT:
            return ProxyHeader((hosts[0], ports[0]), (hosts[1], ports[1]))
    raise RemoteProtocolError(
        f"expected PROXY, TCP4 or TCP6, two addresses, two ports; or UNKNOWN; got {quote(line)}"
    )


def _canonical(family: int, host: str) -> str:
    """Write an address as the system does; ``""`` for what is none of its family."""
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, host))
    except OSError:
        return ""


# Version 2


def _block_size(fixed: bytes) -> int:
    """Return the size of a header by its first 16 bytes; 0: they have not come yet. Judges what has come of them."""
    _, command, family, length = _FIXED.unpack(fixed + bytes(_FIXED.size - len(fixed)))
    if len(fixed) > 12 and command not in (_LOCAL, _PROXY):
        raise RemoteProtocolError(f"expected version 2 and the command LOCAL or PROXY, got 0x{command:02x}")
    told = command == _PROXY  # of a LOCAL one the family is to be ignored
    if told and (family >> 4 > max(_FAMILIES) or family & 0xF > _MAX_TRANSPORT):
        raise RemoteProtocolError(
            f"expected a family and transport of the PROXY protocol, got 0x{family:02x}"
        )
    if len(fixed) < _FIXED.size:
        return 0
    if told and length < _size_of_ends(family):
        raise RemoteProtocolError(
            f"expected {_size_of_ends(family)} bytes of addresses or more, got {length}"
        )
    size: int = _FIXED.size + length
    if size > MAX_HEADER:
        raise RemoteProtocolError(f"expected a PROXY header of up to {MAX_HEADER} bytes, got {size}")
    return size


def _size_of_ends(family: int) -> int:
    """Return the size of the addresses; 0 where family or transport are UNSPEC, so that nobody knows it."""
    return _ENDS[family >> 4].size if family >> 4 and family & 0xF else 0


def _parse_block(block: bytes) -> ProxyHeader:
    _, command, family, _ = _FIXED.unpack_from(block)
    ends = _size_of_ends(family) if command == _PROXY else 0
    if not ends:
        # What else stands in the block is to be ignored: section 2.2.
        return ProxyHeader(local=command == _LOCAL)
    return ProxyHeader(*_addresses(family >> 4, block), tlvs=read_tlvs(block, _FIXED.size + ends))


def _addresses(code: int, block: bytes) -> tuple[Address, Address]:
    family = _FAMILIES[code]
    source, destination, *ports = _ENDS[code].unpack_from(block, _FIXED.size)
    if family == socket.AF_UNIX:
        return _path(source), _path(destination)
    return (
        (socket.inet_ntop(family, source), ports[0]),
        (socket.inet_ntop(family, destination), ports[1]),
    )


def _path(raw: bytes) -> str | bytes:
    """Return a path as ``accept`` does: an abstract name as ``bytes``; the protocol cannot tell NULs at its end."""
    name = raw.rstrip(b"\0")
    if name.startswith(b"\0"):
        return name
    return name.partition(b"\0")[0].decode("utf-8", "surrogateescape")


# Making


def make_proxy_header(header: ProxyHeader, version: Literal[1, 2] = 2, *, checksum: bool = False) -> bytes:
    """Make the header that a proxy sends in front of a connection; `read_proxy_header` takes whatever it makes.

    Args:
        header: What to say. Hosts are numeric; ``socket.getpeername()`` may be passed as it is. Both addresses are of
            one family, or ``None``.
        version: 1 has no unix sockets, LOCAL, TLVs and checksum.
        checksum: Add a CRC32C; ``header.tlvs`` has none.

    Raises:
        ValueError: The version cannot say this, or it breaks the protocol's rules, or passes `MAX_HEADER`.

    Source: ``proxy-protocol.txt``, section 2. The transport is STREAM.
    """
    if version not in (1, 2):
        raise ValueError(f"expected version 1 or 2 of the PROXY protocol, got {version!r}")
    if version == 1 and (header.local or header.tlvs or checksum):
        raise ValueError("version 1 of the PROXY protocol has no LOCAL, no TLVs and no checksum")
    made = _make_line(header) if version == 1 else _make_block(header, checksum)
    probe = Buffer()
    probe.add(made)
    try:
        read_proxy_header(probe)
    except RemoteProtocolError as error:
        raise ValueError(f"no reader would take this header: {error}") from error
    return made


def _make_line(header: ProxyHeader) -> bytes:
    if header.source is None and header.destination is None:
        return _UNKNOWN_LINE
    family, ends, ports = _pack(header)
    if family == socket.AF_UNIX:
        raise ValueError("version 1 of the PROXY protocol has no unix sockets")
    hosts = [socket.inet_ntop(family, end) for end in ends]
    digit = 4 if family == socket.AF_INET else 6
    return f"PROXY TCP{digit} {hosts[0]} {hosts[1]} {ports[0]} {ports[1]}\r\n".encode("ascii")


def _make_block(header: ProxyHeader, checksum: bool) -> bytes:
    if header.local or (header.source is None and header.destination is None):
        if header != ProxyHeader(local=header.local) or checksum:
            raise ValueError("addresses, TLVs and checksum are ignored by readers where no address is told")
        return _FIXED.pack(_SIGNATURE, _LOCAL if header.local else _PROXY, 0, 0)
    family, ends, ports = _pack(header)
    packed = _ENDS[_CODES[family]].pack(*ends, *ports)
    empty_sum, offset = pack_empty_sum() if checksum else (b"", 0)
    tlvs = empty_sum + pack_tlvs(header.tlvs)
    length = len(packed) + len(tlvs)
    if _FIXED.size + length > MAX_HEADER:
        raise ValueError(f"expected a PROXY header of up to {MAX_HEADER} bytes, got {_FIXED.size + length}")
    block = _FIXED.pack(_SIGNATURE, _PROXY, _CODES[family] << 4 | _STREAM, length) + packed + tlvs
    return put_sum(block, _FIXED.size + len(packed) + offset) if checksum else block


def _pack(header: ProxyHeader) -> tuple[socket.AddressFamily, list[bytes], list[int]]:
    """Return the family of both ends, their addresses in network order, and their ports."""
    if header.source is None or header.destination is None:
        raise ValueError("expected both addresses of a connection, or neither")
    family = family_of(header.source)
    if family != family_of(header.destination):
        raise ValueError(f"expected addresses of one family, got {header.source!r}, {header.destination!r}")
    addresses, ports = [], []
    for end in (header.source, header.destination):
        if isinstance(end, tuple):
            addresses.append(_pack_ip(family, end[0]))
            ports.append(end[1])
        else:
            addresses.append(_pack_path(end))
    return family, addresses, ports


def _pack_ip(family: int, host: str) -> bytes:
    try:
        return socket.inet_pton(family, host)
    except OSError as error:
        raise ValueError(f"expected a numeric address without a scope, got {host!r}") from error


def _pack_path(path: str | bytes) -> bytes:
    raw = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
    if len(raw) > _MAX_PATH:
        raise ValueError(f"expected a path of up to {_MAX_PATH} bytes, got {len(raw)}")
    return raw
