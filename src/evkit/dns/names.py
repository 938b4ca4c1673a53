"""Names: between text and the form that they have in messages, and what a name may be.

Inside `evkit.dns` a name is its *wire* form: ``bytes``, uncompressed, each label after its length, zero at the end. A
name is *folded* when its ASCII letters are small, by ``wire.lower()``: a length is 63 at most and so never a letter.
Folded names compare byte by byte (RFC 4343). Text stands only at the face of the package.

The package ``idna`` comes in here and nowhere else. This module knows nothing of messages.
"""

import re
import socket
from typing import Final

MAX_NAME: Final = 255
"""Bytes of a name on the wire, the zero at its end included: RFC 1035 §2.3.4."""
MAX_LABEL: Final = 63
ROOT: Final = b"\0"

_DOTS: Final = (".", "\u3002", "\uff0e", "\uff61")
"""Those of UTS 46 §4."""
_MAX_TEXT: Final = 4 * MAX_NAME + 4  # each byte as \DDD, and a little more
_SIZES: Final = {size: bytes((size,)) for size in range(1, MAX_LABEL + 1)}
"""As they stand before labels."""

_LABEL: Final = re.compile(r"((?:[^\\.\u3002\uff0e\uff61]|\\.)*+)([.\u3002\uff0e\uff61]?)", re.DOTALL)
"""A label and the dot after it; the dots of UTS 46 §4 are dots."""
_WRITTEN: Final = re.compile(rb"(?:[!-\[\]-~]|\\[0-9]{3}|\\[^0-9])*+")
_ESCAPE: Final = re.compile(rb"\\(?:([0-9]{3})|(.))", re.DOTALL)
_FREE: Final = b"!#%&'*+,-/0123456789:<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~"
_SPECIAL: Final = re.compile(rb"[^%b]" % re.escape(_FREE))
"""Bytes of a label that are written with a backslash: what master files give a meaning, and what can't be seen."""
_PLAIN: Final = re.compile(f"[.{re.escape(_FREE.decode())}]+")
_TEXTS: Final[dict[bytes, str]] = {}
"""Texts of plain names that were made wire names of late: what was asked for is told of in the answer."""
_MAX_TEXTS: Final = 4096
_MOST_DOTTED: Final = 0x20
"""A length up to this can't be taken for a character."""
_DOT: Final = ord(".")
_BACKSLASH: Final = ord("\\")
_DOTTED: Final = bytes(
    _DOT if byte <= _MOST_DOTTED else byte if byte in _FREE else _BACKSLASH for byte in range(256)
)
"""A dot for what may be a length, and a backslash for what has to be escaped."""


def to_wire(name: str) -> bytes:
    r"""Return the wire form of a name, which is taken to be absolute.

    Args:
        name: ``"example.org"``; one dot at its end changes nothing, and ``"."`` is the root. ``\.`` and ``\DDD`` stand
            for bytes that can't be written (RFC 1035 §5.1). Labels that are not ASCII go by IDNA 2008 after the
            mapping of UTS 46. ASCII labels may hold all that can be seen, underscores too.

    Raises:
        ValueError: It is empty, or has an empty or too long label, a space or control character, a broken escape, or
            more than 255 bytes, or IDNA refuses it.
        TypeError: It is no text.

    Source: RFC 1035 §3.1, RFC 5891 §5. The case of ASCII letters is kept.
    """
    if not isinstance(name, str):
        raise TypeError(f"expected a name as a str, got {name!r}")
    if not 0 < len(name) <= _MAX_TEXT:
        raise ValueError(f"expected a name of 1 to {MAX_NAME - 2} characters, got {_show(name)}")
    if name == ".":
        return ROOT
    plain = _PLAIN.fullmatch(name)
    labels = name.encode().split(b".") if plain else _unusual_labels(name)
    text = name
    if not labels[-1]:
        del labels[-1]
        text = name[:-1]
    wire = _joined(labels, name)
    if plain:
        if len(_TEXTS) >= _MAX_TEXTS:
            _TEXTS.clear()
        _TEXTS[wire] = text
    return wire


def _joined(labels: list[bytes], name: str) -> bytes:
    try:
        wire = b"".join([_SIZES[len(label)] + label for label in labels]) + ROOT
    except KeyError as error:
        what = f"one of {error.args[0]} bytes" if error.args[0] else "an empty one"
        raise ValueError(f"expected labels of 1 to {MAX_LABEL} bytes, got {what} in {_show(name)}") from None
    if len(wire) > MAX_NAME:
        raise ValueError(f"expected a name of {MAX_NAME} bytes at most, got {len(wire)} in {_show(name)}")
    return wire


def _unusual_labels(name: str) -> list[bytes]:
    """Take apart what holds escapes, or more than ASCII, or something wrong."""
    labels: list[bytes] = []
    position = 0
    while True:
        match = _LABEL.match(name, position)
        assert match is not None  # it takes the empty text
        text, dot = match.groups()
        labels += [_ascii_label(text, name)] if text.isascii() else _international(text, name)
        position = match.end()
        if not dot:
            break
    if position != len(name):
        raise ValueError(f"expected a character after the backslash, got the end of {_show(name)}")
    return labels


def _ascii_label(text: str, name: str) -> bytes:
    written = text.encode()
    match = _WRITTEN.match(written)
    assert match is not None  # it takes the empty text
    if match.end() != len(written):
        raise ValueError(
            f"expected characters that can be seen, or \\DDD for others, got {text[match.end()]!r} in {_show(name)}"
        )
    try:
        return _ESCAPE.sub(_unescaped, written)
    except ValueError:
        raise ValueError(f"expected \\000 to \\255 for a byte, got more in {_show(name)}") from None


def _unescaped(match: re.Match[bytes]) -> bytes:
    number, character = match.groups()
    return character if number is None else bytes((int(number),))


def _international(text: str, name: str) -> list[bytes]:
    import idna  # imported late: its tables are large, and few names need them

    if "\\" in text:
        raise ValueError(f"a label with more than ASCII has no escapes, got {_show(name)}")
    try:
        return idna.encode(text, uts46=True, std3_rules=True).split(b".")
    except UnicodeError as exc:  # what IDNAError is; idna raises it itself for some lone surrogates
        raise ValueError(f"IDNA refuses {_show(name)}: {exc}") from exc


def to_text(wire: bytes) -> str:
    """Return a name as text, without a dot at its end; ``"."`` for the root.

    What can't be seen or means something in master files is escaped, so that `to_wire` gives the same name
    again. Labels of IDNA stay as they are, ``xn--…``.

    Args:
        wire: A whole name, as `to_wire` and the readers of messages give it.
    """
    text = _TEXTS.get(wire)
    if text is not None:
        return text
    # As nearly all are: with a dot for each length, and for nothing else, it is done.
    position = sizes = 0
    while 0 < (size := wire[position]) <= _MOST_DOTTED:
        position += size + 1
        sizes += 1
    dotted = wire.translate(_DOTTED)
    if not size and dotted.count(_DOT) == sizes + 1 and _BACKSLASH not in dotted:
        return dotted[1:-1].decode() or "."
    return b".".join([_SPECIAL.sub(_escaped, label) for label in labels(wire)]).decode()


def _escaped(match: re.Match[bytes]) -> bytes:
    byte = match[0][0]
    return b"\\%c" % byte if 0x20 < byte < 0x7F else b"\\%03d" % byte


def is_absolute(name: str) -> bool:
    r"""Return whether a name ends with a dot that is none of its last label: ``a.``, and not ``a\.``."""
    before = name[:-1]
    return name[-1:] in _DOTS and (len(before) - len(before.rstrip("\\"))) % 2 == 0


def labels(wire: bytes) -> list[bytes]:
    """Return the labels of a name, without the root's: ``[]`` for the root."""
    parts = []
    position = 0
    while size := wire[position]:
        start = position + 1
        position = start + size
        parts.append(wire[start:position])
    return parts


def is_subdomain(wire: bytes, ancestor: bytes) -> bool:
    """Tell whether a name is ``ancestor`` or below it. Both are folded."""
    if not wire.endswith(ancestor):
        return False
    # The bytes of a label may look like the ancestor's: it must begin where a label does.
    start = len(wire) - len(ancestor)
    position = 0
    while position < start:
        position += wire[position] + 1
    return position == start


def reverse_name(address: str) -> bytes:
    """Return the name under which the names of an address are found.

    Args:
        address: IPv4 or IPv6, ``"192.0.2.1"`` or ``"2001:db8::1"``. An IPv4 address mapped into IPv6 is looked up as
            the IPv4 address that it is, as glibc does.

    Raises:
        ValueError: It is no address, or has a scope (``%eth0``).
        TypeError: It is no text.

    Source: RFC 1035 §3.5, RFC 3596 §2.5.
    """
    if not isinstance(address, str):
        raise TypeError(f"expected an IP address as a str, got {address!r}")
    packed = _packed(address)
    if packed.startswith(_MAPPED):
        packed = packed[len(_MAPPED) :]
    if len(packed) == 4:
        return to_wire(".".join([str(byte) for byte in reversed(packed)]) + ".in-addr.arpa")
    return to_wire(".".join(reversed(packed.hex())) + ".ip6.arpa")


_MAPPED: Final = bytes(10) + b"\xff\xff"


def _packed(address: str) -> bytes:
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):
        raise ValueError(f"expected an IPv4 or IPv6 address without a scope, got {_show(address)}") from None


def _show(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}… of {len(text)} characters"


_SHOWN: Final = 80
