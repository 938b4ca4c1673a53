"""The order in which the addresses of a host should be tried.

A decider: from where each address would be reached is asked of whoever calls, and the rules of RFC 6724 §6 are applied
to that. Knows nothing of sockets and routes.
"""

import socket
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

_BITS: Final = 128
_LINK_LOCAL: Final = 0x2
_SITE_LOCAL: Final = 0x5
_GLOBAL: Final = 0xE
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"
"""What stands before an IPv4 address in an IPv6 one (RFC 4291 §2.5.5.2)."""
_LOOPBACK: Final = b"\0" * 15 + b"\1"
_MAX_PREFIX: Final = 64
"""Bits of two addresses that are compared: no more than a source has in common with its link (RFC 6724 §2.2)."""


class Source(NamedTuple):
    """From where an address would be reached.

    Attributes:
        address: Numeric.
        deprecated: It is to be used no longer (RFC 4862 §5.5.4).
        home: It is a home address of Mobile IPv6 (RFC 6275).
        care_of: It is a care-of address.
    """

    address: str
    deprecated: bool = False
    home: bool = False
    care_of: bool = False


class Prefix(NamedTuple):
    """Addresses that begin alike, and a number for them.

    Attributes:
        bits: The beginning, as a number of ``length`` bits.
        length: 0 to 128.
        value: A precedence, of which the higher is preferred, or a label, which is only compared.
    """

    bits: int
    length: int
    value: int


class Policy(NamedTuple):
    """The policy table of RFC 6724 §2.1. Of each part the first prefix that fits holds, and the last fits all."""

    precedences: tuple[Prefix, ...]
    labels: tuple[Prefix, ...]


def prefix(network: str, value: int) -> Prefix:
    """Return a line of a policy table.

    Args:
        network: ``"2002::/16"``; IPv4 as ``"::ffff:10.0.0.0/104"``. Without a length it is one address.
        value: The precedence or the label.

    Raises:
        ValueError: It is no such network.
    """
    address, slash, digits = network.partition("/")
    if slash and not (digits.isascii() and digits.isdecimal() and len(digits) <= 3 and int(digits) <= _BITS):
        raise ValueError(f"expected a length from 0 to {_BITS}, got {network!r}")
    length = int(digits) if slash else _BITS
    try:
        number = int.from_bytes(socket.inet_pton(socket.AF_INET6, address), "big")
    except (OSError, ValueError):
        raise ValueError(f"expected an IPv6 address and a length, got {network!r}") from None
    return Prefix(number >> (_BITS - length), length, value)


def policy(precedences: Sequence[Prefix] = (), labels: Sequence[Prefix] = ()) -> Policy:
    """Return a policy table. A part that has nothing is as in the RFC; one that does not end in ``::/0`` gets that."""
    return Policy(
        _longest_first(precedences, prefix("::/0", 40)) if precedences else DEFAULT_POLICY.precedences,
        _longest_first(labels, prefix("::/0", 1)) if labels else DEFAULT_POLICY.labels,
    )


def _longest_first(prefixes: Sequence[Prefix], last: Prefix) -> tuple[Prefix, ...]:
    return tuple(sorted((*prefixes, last), key=lambda line: -line.length))


_TABLE: Final = (
    ("::1/128", 50, 0),
    ("::/0", 40, 1),
    ("::ffff:0:0/96", 35, 4),
    ("2002::/16", 30, 2),
    ("2001::/32", 5, 5),
    ("fc00::/7", 3, 13),
    ("::/96", 1, 3),
    ("fec0::/10", 1, 11),
    ("3ffe::/16", 1, 12),
)
DEFAULT_POLICY: Final = Policy(
    _longest_first([prefix(network, precedence) for network, precedence, _ in _TABLE], prefix("::/0", 40)),
    _longest_first([prefix(network, label) for network, _, label in _TABLE], prefix("::/0", 1)),
)


def order(
    addresses: Sequence[str],
    source_for: Callable[[str], Source | None],
    policy: Policy = DEFAULT_POLICY,
) -> list[str]:
    """Return addresses, the one to try first first.

    Args:
        addresses: Numeric, with a scope or without.
        source_for: Tells from where an address would be reached; ``None``: not at all. It is asked once for each, and
            not if there is but one.
        policy: The policy table.

    Raises:
        ValueError: One of them, or of the sources, is no address.

    Rule 7, native transport first, is left out, for nobody tells how a packet goes. Rule 9, the longest common prefix,
    is for IPv6 alone, as in Go: of IPv4 it would send all clients to the same of a site's servers.

    Source: RFC 6724 §6.
    """
    if len(addresses) < 2:
        return list(addresses)
    keys = {address: _key(address, source_for(address), policy) for address in dict.fromkeys(addresses)}
    return sorted(addresses, key=keys.__getitem__)


def _key(address: str, source: Source | None, policy: Policy) -> tuple[int, ...]:
    """Return what sorts: each rule as a number, of which the smaller is preferred."""
    if source is None:
        return (1,)
    to, by = _packed(address), _packed(source.address)
    scope = _scope(to)
    return (
        0,
        scope != _scope(by),
        source.deprecated,
        _away(source),
        _value(policy.labels, to) != _value(policy.labels, by),
        -_value(policy.precedences, to),
        scope,
        0 if to.startswith(_MAPPED) else -_common_bits(to, by),
    )


def _away(source: Source) -> int:
    """Return how far a source is from being a home address (rule 4)."""
    if source.home and source.care_of:
        return 0
    return 2 if source.care_of else 1


def _packed(address: str) -> bytes:
    plain = address.partition("%")[0]
    try:
        if ":" in plain:
            return socket.inet_pton(socket.AF_INET6, plain)
        return _MAPPED + socket.inet_pton(socket.AF_INET, plain)
    except (OSError, ValueError):
        raise ValueError(f"expected a numeric IP address, got {address!r}") from None


def _scope(packed: bytes) -> int:
    """Return the scope of an address. Source: RFC 6724 §3.1 and §3.2."""
    if packed.startswith(_MAPPED):
        return _LINK_LOCAL if packed[12] == 127 or packed[12:14] == b"\xa9\xfe" else _GLOBAL
    if packed[0] == 0xFF:
        return packed[1] & 0xF
    if packed == _LOOPBACK or (packed[0] == 0xFE and packed[1] & 0xC0 == 0x80):
        return _LINK_LOCAL
    return _SITE_LOCAL if packed[0] == 0xFE and packed[1] & 0xC0 == 0xC0 else _GLOBAL


def _value(prefixes: tuple[Prefix, ...], packed: bytes) -> int:
    number = int.from_bytes(packed, "big")
    return next(value for bits, length, value in prefixes if number >> (_BITS - length) == bits)


def _common_bits(one: bytes, other: bytes) -> int:
    half = _MAX_PREFIX // 8
    difference = int.from_bytes(one[:half], "big") ^ int.from_bytes(other[:half], "big")
    return _MAX_PREFIX - difference.bit_length()
