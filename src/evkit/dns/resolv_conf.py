"""What resolv.conf, the variables that go with it, nsswitch.conf and a file of host aliases say.

A decider over bytes: it reads what it knows, passes over the rest as glibc does, and never fails. What is read is not
applied here. Knows nothing of files.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from evkit.dns.names import labels, to_wire
from evkit.dns.options import MAX_NDOTS
from evkit.dns.server_address import ServerAddress, parse_server

MAX_NAMESERVERS: Final = 16
"""glibc and Go ask three, musl too; evdns and c-ares all. Whoever lists more means them, up to a point."""
MAX_SEARCH: Final = 32
"""Kubernetes' limit. glibc has none since 2.26; each domain may cost one more query for a name."""

Words = tuple[tuple[str, str], ...]
"""Options, as ``(name, value)``; the value is empty where there was no colon."""

_LIMITS: Final = {"ndots": (0, MAX_NDOTS), "timeout": (1, 30), "attempts": (1, 5)}
"""What glibc makes of numbers below 1 and above its limit: RES_MAXNDOTS, RES_MAXRETRANS and RES_MAXRETRY."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?")
_SOURCES: Final = {
    "files": ("files",),
    "dns": ("dns",),
    "resolve": ("files", "dns"),  # systemd-resolved, which reads the hosts file before it asks
    "file": ("files",),
    "bind": ("dns",),
}
"""Services of nsswitch.conf, and the words of BSD's ``lookup``."""
_SERVICE_OR_ACTION: Final = re.compile(r"\[[^\]]*+\]?|[^\s\[]++")


class ResolvConf(NamedTuple):
    """What one resolv.conf says.

    Attributes:
        nameservers: The servers, in order, each once.
        search: The search list as wire names; ``None``: neither ``search`` nor ``domain`` is there.
        options: The words of the ``options`` lines, in order, numbers within glibc's limits.
        sources: Where host names are looked up, ``"files"`` and ``"dns"``; ``None``: BSD's ``lookup`` is not there.
    """

    nameservers: tuple[ServerAddress, ...] = ()
    search: tuple[bytes, ...] | None = None
    options: Words = ()
    sources: tuple[str, ...] | None = None


def parse(text: bytes | str) -> ResolvConf:
    """Read a resolv.conf.

    ``search`` and ``domain``: the last line holds. ``options``: they add up. A word that begins with ``#`` or ``;``
    ends its line anywhere, and blanks may stand before the first word; both are more than glibc allows. A server may
    be anything that `parse_server` takes. ``sortlist`` is passed over: ``getaddrinfo`` never heeded it. Of OpenBSD's
    ``family``, ``inet4`` alone means ``no-aaaa``.

    Source: resolv.conf(5) of glibc and of OpenBSD; ``evdns_base_resolv_conf_parse``.
    """
    servers: dict[ServerAddress, None] = {}
    search: tuple[bytes, ...] | None = None
    options: list[tuple[str, str]] = []
    sources: tuple[str, ...] | None = None
    for keyword, *words in _lines(text):
        if keyword == "nameserver":
            servers.update(dict.fromkeys(_servers(words[:1])))
        elif keyword in ("search", "domain") and words:
            search = _domains(words[:1] if keyword == "domain" else words)
        elif keyword == "options":
            options += _options(words)
        elif keyword == "lookup":
            sources = _known_sources(words) or sources
        elif keyword == "family" and words == ["inet4"]:
            options.append(("no-aaaa", ""))
    return ResolvConf(tuple(servers)[:MAX_NAMESERVERS], search, tuple(options), sources)


def local_domain(environment: Mapping[str, str]) -> tuple[bytes, ...] | None:
    """Return the search list of ``LOCALDOMAIN``, which stands above resolv.conf's; ``None`` if it is not set."""
    text = environment.get("LOCALDOMAIN")
    return None if text is None else _domains(text.partition("\n")[0].split())


def res_options(environment: Mapping[str, str]) -> Words:
    """Return the words of ``RES_OPTIONS``, which come after those of resolv.conf."""
    return tuple(_options(environment.get("RES_OPTIONS", "").split()))


def host_domain(host_name: str) -> tuple[bytes, ...]:
    """Return the search list of a machine whose resolv.conf has none: what follows the first dot of its name."""
    return _domains([host_name.partition(".")[2]])


def parse_nsswitch(text: bytes | str) -> tuple[str, ...] | None:
    """Read where nsswitch.conf has host names looked up.

    Returns:
        ``"files"`` and ``"dns"``, as many as there are and in that order; ``None`` where neither is, or no line of
        ``hosts:``. Other services are passed over. ``files [NOTFOUND=return]`` ends the list.

    Source: nsswitch.conf(5).
    """
    sources = None
    for words in _lines(text):
        database, _, services = " ".join(words).partition(":")
        if database.strip() == "hosts":
            sources = _known_sources(_until_return(services)) or sources
    return sources


def parse_host_aliases(text: bytes | str) -> dict[bytes, bytes]:
    """Read the file that ``HOSTALIASES`` names: on each line a name without dots, and the name that it stands for.

    Returns:
        Folded wire names, and wire names for them. The first line of a name holds.

    Source: hostname(7); glibc's ``__res_context_hostalias``.
    """
    aliases: dict[bytes, bytes] = {}
    for words in _lines(text):
        names = _domains(words[:2])
        if len(names) == 2 and len(labels(names[0])) == 1:
            aliases.setdefault(names[0].lower(), names[1])
    return aliases


def _lines(text: bytes | str) -> Iterator[list[str]]:
    """Yield the words of each line that has any. A line with a NUL in it is damaged, and says nothing."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    for line in data.split(b"\n"):
        words = [] if b"\0" in line else list(_until_comment(line.split()))
        if words:
            yield words


def _until_comment(words: list[bytes]) -> Iterator[str]:
    for word in words:
        if word.startswith((b"#", b";")):
            return
        yield word.decode("utf-8", "replace")


def _servers(words: Iterable[str]) -> Iterator[ServerAddress]:
    for word in words:
        try:
            yield parse_server(word)
        except ValueError:
            pass


def _domains(words: Iterable[str]) -> tuple[bytes, ...]:
    domains: dict[bytes, None] = {}
    for word in words:
        try:
            domains[to_wire(word)] = None
        except ValueError:
            continue
        if len(domains) == MAX_SEARCH:
            break
    return tuple(domains)


def _options(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        name, _, value = word.partition(":")
        yield name, _limited(name, value)


def _limited(name: str, value: str) -> str:
    if name not in _LIMITS or _NUMBER.fullmatch(value) is None:
        return value
    least, most = _LIMITS[name]
    if float(value) <= 0:
        return str(least)
    return str(most) if float(value) > most else value


def _known_sources(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(source for word in words for source in _SOURCES.get(word, ())))


def _until_return(line: str) -> Iterator[str]:
    """Yield the services, up to one that is to be believed that a name is not there."""
    service = ""
    for word in _SERVICE_OR_ACTION.findall(line):
        if not word.startswith("["):
            service = word
            yield word
        elif service in ("files", "dns") and _returns_if_not_found(word):
            return


def _returns_if_not_found(action: str) -> bool:
    reactions = action.lower().strip("[]").split()
    but_for_another = (word for word in reactions if word.startswith("!") and word != "!notfound=return")
    return "notfound=return" in reactions or any(word.endswith("=return") for word in but_for_another)
