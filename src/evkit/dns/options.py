"""`ResolverOptions`: how a resolver asks, and the same by the names that evdns and resolv.conf have for it.

A decider over values: it knows nothing of files, servers or time.
"""

import re
from dataclasses import dataclass, fields, replace
from types import UnionType
from typing import Any, Final

from evkit.dns.ip_text import usual_form

MAX_NDOTS: Final = 15
"""glibc's ``RES_MAXNDOTS``."""
PLAIN_UDP_SIZE: Final = 512
"""RFC 1035 §4.2.1. As an ``edns_udp_size`` it means: no EDNS."""
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0

_RANGES: Final[dict[str, tuple[float, float]]] = {
    "ndots": (0, MAX_NDOTS),
    "timeout": (0.001, _HOUR),
    "min_timeout": (0.001, _HOUR),
    "attempts": (1, 255),
    "total_timeout": (0.001, _DAY),
    "max_inflight": (1, 65_000),
    "edns_udp_size": (PLAIN_UDP_SIZE, 65_535),
    "tcp_idle_timeout": (0, _DAY),
    "max_timeouts": (1, 255),
    "initial_probe_timeout": (0.001, _HOUR),
    "max_probe_timeout": (0.001, _DAY),
    "probe_backoff_factor": (1, 10),
    "getaddrinfo_allow_skew": (0, _HOUR),
    "so_rcvbuf": (1, 2**31 - 1),
    "so_sndbuf": (1, 2**31 - 1),
    "max_cache": (0, 2**31 - 1),
    "max_ttl": (0, 2**31 - 1),
    "max_negative_ttl": (0, 2**31 - 1),
    "failure_ttl": (0, 300),  # RFC 9520 §3.2: no longer than 5 minutes
    "serve_stale": (0, 7 * _DAY),  # RFC 8767 §5 suggests one to three days
    "queries_per_port": (1, 65_000),
}
_ALIASES: Final = {"usevc": "use_vc", "tcp": "use_vc"}
_WITHOUT_EFFECT: Final = frozenset(
    {
        "debug",
        "edns0",
        "inet6",
        "ip6_bytestring",
        "ip6_dotint",
        "no_check_names",
        "no_ip6_dotint",
    }
)
"""Words that resolv.conf may have and that ask for nothing here: EDNS is on anyway, the others are gone from glibc."""
_FLAGS: Final = {"": True, "1": True, "0": False}
_NUMBER: Final = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolverOptions:
    """How a resolver asks. Times are seconds, sizes bytes.

    Each may be set by name, too: `with_option` takes evdns's names, which are those below with hyphens, and those of
    resolv.conf's ``options`` line.

    Attributes:
        ndots: A name with so many dots, 0 to 15, is asked for as it is before the search list is tried.
        timeout: The longest wait for one server's reply. evdns and glibc say 5; two are enough, as in c-ares.
        min_timeout: The shortest: a server that is known to be quick is given so much, and never more than
            ``timeout``. As in c-ares.
        attempts: How often each server is asked at most, 1 to 255. glibc says 2, evdns 3.
        total_timeout: How long a whole look-up may take, all servers and search domains; ``None``: as long as the
            attempts do. A longer ``timeout`` in resolv.conf does not move it.
        max_inflight: Queries that wait for replies at once, 1 to 65,000; more are sent when others are done. Linux's
            usual receive buffer, 208 KiB, holds some 277 small ones: what comes at once on top of that is lost. evdns
            says 64.
        rotate: Ask the servers in turn, to share the load, and not the best one first. glibc's.
        randomize_case: Send names in random case and want them back so, against forged replies: 0x20 encoding.
        edns_udp_size: The largest reply over UDP that is asked for, 512 to 65,535; 512: no EDNS. 1,232 passes without
            fragments (DNS flag day 2020). evdns says 512.
        cookies: Send DNS cookies, against forged replies (RFC 7873).
        use_vc: Ask over TCP always.
        ignore_tc: Take a truncated reply as it is, and don't ask again over TCP.
        tcp_idle_timeout: How long an unused TCP connection to a server is kept.
        max_timeouts: After so many time-outs in a row, 1 to 255, a server counts as down.
        initial_probe_timeout: How long after that it is tried again first; evdns says 10.
        max_probe_timeout: The longest time between two such trials.
        probe_backoff_factor: By how much it grows from one to the next, 1 to 10.
        getaddrinfo_allow_skew: How long the addresses of one family wait for those of the other. RFC 8305 §3 says
            50 ms; evdns 3 s.
        bind_to: The address to ask from, without a port; ``None``: the system's choice.
        so_rcvbuf: ``SO_RCVBUF`` of the sockets; ``None``: the system's (evdns: 0).
        so_sndbuf: ``SO_SNDBUF``, likewise.
        no_aaaa: Ask for no IPv6 addresses. glibc's.
        single_request: Ask for the second family only when the first has been answered. glibc's.
        single_request_reopen: Ask for the second family from another socket. glibc's.
        no_tld_query: Don't ask for a name without a dot as it is, where there is a search list. glibc's.
        trust_ad: Believe the servers' word that an answer is authentic. glibc's.
        strict_error: Let a look-up of both families fail if one of them does. glibc's.
        no_reload: Don't read resolv.conf and hosts again when they have changed. glibc's.
        max_cache: Answers that are kept; 0: none.
        max_ttl: The longest that one is kept.
        max_negative_ttl: The longest that "there is no such thing" is kept (RFC 2308 §5).
        failure_ttl: How long a failure is kept, at most 300 (RFC 9520).
        serve_stale: For so long an answer that has expired is given while no server can be reached (RFC 8767);
            ``None``: never.
        queries_per_port: How many queries are sent from one port before another is taken.

    Raises:
        ValueError: One is out of its range, or not of its type.

    Source: ``evdns_base_set_option``, resolv.conf(5).
    """

    ndots: int = 1
    timeout: float = 2.0
    min_timeout: float = 0.25
    attempts: int = 3
    total_timeout: float | None = 5.0
    max_inflight: int = 256
    rotate: bool = False
    randomize_case: bool = True
    edns_udp_size: int = 1232
    cookies: bool = True
    use_vc: bool = False
    ignore_tc: bool = False
    tcp_idle_timeout: float = 5.0
    max_timeouts: int = 3
    initial_probe_timeout: float = 5.0
    max_probe_timeout: float = 3600.0
    probe_backoff_factor: float = 3.0
    getaddrinfo_allow_skew: float = 0.05
    bind_to: str | None = None
    so_rcvbuf: int | None = None
    so_sndbuf: int | None = None
    no_aaaa: bool = False
    single_request: bool = False
    single_request_reopen: bool = False
    no_tld_query: bool = False
    trust_ad: bool = False
    strict_error: bool = False
    no_reload: bool = False
    max_cache: int = 10_000
    max_ttl: int = 86_400
    max_negative_ttl: int = 10_800
    failure_ttl: float = 5.0
    serve_stale: float | None = None
    queries_per_port: int = 32

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            _check(name, value, kind)


def _kind_of(annotation: Any) -> tuple[type, bool]:
    """Return the type of a field, and whether it may be None."""
    if isinstance(annotation, UnionType):
        return annotation.__args__[0], True
    return annotation, False


_KINDS: Final[dict[str, type]] = {item.name: _kind_of(item.type)[0] for item in fields(ResolverOptions)}
_OPTIONAL: Final = frozenset(item.name for item in fields(ResolverOptions) if _kind_of(item.type)[1])


def _check(name: str, value: Any, kind: type) -> None:
    least, most = _RANGES.get(name, (None, None))
    if not _is_a(value, kind) or (least is not None and not least <= value <= most):  # nor NaN
        raise ValueError(f"{name} must be {_expected(name, kind)}, got {value!r}")


def _is_a(value: object, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, str):
        return kind is str and usual_form(value) is not None
    return isinstance(value, (int, float) if kind is float else kind)


def _expected(name: str, kind: type) -> str:
    if name not in _RANGES:
        return "True or False" if kind is bool else "a numeric IP address without a port"
    least, most = _RANGES[name]
    return f"{'a whole number' if kind is int else 'a number'} from {_plain(least)} to {_plain(most)}"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


DEFAULT_OPTIONS: Final = ResolverOptions()


def with_option(options: ResolverOptions, name: str, value: str) -> ResolverOptions:
    """Set one option by name.

    Args:
        options: The others; they stay as they are.
        name: A field of `ResolverOptions`, a name of evdns's, or a word of resolv.conf's ``options`` line; with hyphens
            or underscores, and with or without a colon at its end.
        value: A number; for a switch ``1`` or ``0``, and nothing is ``1``; ``none`` for fields that may be ``None``,
            and 0 for the two sizes of sockets, too.

    Returns:
        The options with it. A word of resolv.conf that no longer does anything, such as ``debug``, changes nothing.

    Raises:
        ValueError: There is no such option, or the value is none for it.

    Source: ``evdns_base_set_option``, which takes no notice of names that it does not know; here they are mistakes.
    """
    field = name.removesuffix(":").replace("-", "_")
    field = _ALIASES.get(field, field)
    if field in _WITHOUT_EFFECT:
        return options
    if field not in _KINDS:
        raise ValueError(f"expected an option out of {', '.join(sorted(_KINDS))}; got {name!r}")
    return replace(options, **{field: _read(field, value)})


def _read(field: str, value: str) -> Any:
    kind = _KINDS[field]
    if field in _OPTIONAL and (value == "none" or (field.startswith("so_") and value == "0")):
        return None
    if kind is str:
        return value
    if kind is bool:
        if value in _FLAGS:
            return _FLAGS[value]
    elif _NUMBER.fullmatch(value) is not None and (kind is float or value.isdecimal()):
        return kind(value)
    raise ValueError(f"{field} must be {_expected(field, kind)}, got {value!r}")
