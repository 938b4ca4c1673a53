"""`Settings`: what the files of the system say and what the program wants; `Configuration`: what comes of it.

A decider: it is handed the bytes of files, and touches none. Which files there are, and whether they have changed, is
`evkit.dns.files`' business.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Final

from evkit.core.net import Address
from evkit.dns import gai_conf, resolv_conf
from evkit.dns import hosts as hosts_file
from evkit.dns.address_order import DEFAULT_POLICY, Policy
from evkit.dns.hosts import EMPTY, Hosts
from evkit.dns.names import to_wire
from evkit.dns.options import DEFAULT_OPTIONS, ResolverOptions, with_option
from evkit.dns.resolv_conf import ResolvConf
from evkit.dns.search import candidates
from evkit.dns.server_address import LOCAL_SERVER, ServerAddress, server_of

DNS_OPTION_SEARCH: Final = 0x01
"""Of a resolv.conf: ``search``, ``domain`` and ``ndots``."""
DNS_OPTION_NAMESERVERS: Final = 0x02
DNS_OPTION_MISC: Final = 0x04
"""All options but ``ndots``."""
DNS_OPTION_HOSTSFILE: Final = 0x08
"""Not of a resolv.conf: the system's hosts file, too."""
DNS_OPTIONS_ALL: Final = 0x0F
DNS_OPTION_NAMESERVERS_NO_DEFAULT: Final = 0x10
"""Don't ask 127.0.0.1 if no server is known."""

SOURCES: Final = ("files", "dns")
"""Where names are looked up if nsswitch.conf does not say."""
_NO_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a resolver runs with.

    Attributes:
        servers: Whom to ask. None at all: the program has cleared them, or does not want the default.
        search: The search list, as wire names.
        options: How to ask.
        sources: Where host names are looked up, ``"files"`` and ``"dns"``, in order.
        hosts: What the hosts file says.
        aliases: What names without dots stand for: folded wire names, and wire names.
        policy: What the order of a host's addresses goes by.
    """

    servers: tuple[ServerAddress, ...] = (LOCAL_SERVER,)
    search: tuple[bytes, ...] = ()
    options: ResolverOptions = DEFAULT_OPTIONS
    sources: tuple[str, ...] = SOURCES
    hosts: Hosts = EMPTY
    aliases: Mapping[bytes, bytes] = field(default_factory=dict)
    policy: Policy = DEFAULT_POLICY

    def candidates(self, name: bytes, *, absolute: bool = False) -> list[bytes]:
        """Return the names to ask for, in order: `candidates` of `evkit.dns.search`, and host aliases.

        Args:
            name: A wire name.
            absolute: It was written with a final dot.

        Source: glibc's ``__res_context_search``, where an alias is the only candidate, too.
        """
        alias = None if absolute else self.aliases.get(name.lower())
        if alias is not None:
            return [alias]
        options = self.options
        return candidates(
            name, self.search, options.ndots, absolute=absolute, no_tld_query=options.no_tld_query
        )


class Settings:
    """What is known of how to resolve: the files, and above them what the program says itself.

    `current` puts it together. What a file says may be taken again and again; what the program has said stays.

    Args:
        servers: Whom to ask in place of the servers in resolv.conf, as `nameserver_add` takes them; ``None``: those.
        options: Fields that differ from the defaults hold, whatever resolv.conf and ``RES_OPTIONS`` say. (To hold a
            default against them, `set_option`.)
        no_default_nameserver: Don't ask 127.0.0.1 if no server is known.
        environment: Where ``LOCALDOMAIN`` and ``RES_OPTIONS`` are looked up.
        host_name: Of this machine: its domain is the search list if resolv.conf has none.

    Raises:
        ValueError: One of the servers is none.

    Source: ``evdns_base_new`` and what there is to configure it.
    """

    __slots__ = (
        "_aliases",
        "_conf",
        "_current",
        "_default_server",
        "_host_name",
        "_hosts",
        "_local_domain",
        "_options",
        "_own_hosts",
        "_own_words",
        "_policy",
        "_res_options",
        "_search",
        "_servers",
        "_sources",
        "_system_servers",
    )

    def __init__(
        self,
        servers: Iterable[str | Address | ServerAddress] | None = None,
        options: ResolverOptions | None = None,
        *,
        no_default_nameserver: bool = False,
        environment: Mapping[str, str] = _NO_ENVIRONMENT,
        host_name: str = "",
    ) -> None:
        self._system_servers = servers is None
        self._default_server = servers is None and not no_default_nameserver
        self._servers = dict.fromkeys(server_of(server) for server in servers or ())
        self._options = options or DEFAULT_OPTIONS
        self._local_domain = resolv_conf.local_domain(environment)
        self._res_options = resolv_conf.res_options(environment)
        self._host_name = host_name
        self._conf = ResolvConf()
        self._sources: tuple[str, ...] | None = None
        self._aliases: Mapping[bytes, bytes] = {}
        self._policy = DEFAULT_POLICY
        self._own_hosts = EMPTY
        self._hosts = EMPTY  # of the system's file, and these
        self._search: tuple[bytes, ...] | None = None
        self._own_words: dict[str, str] = {}
        self._current: Configuration | None = None

    def __repr__(self) -> str:
        current = self.current()
        return f"<Settings servers={[str(server) for server in current.servers]} hosts={len(current.hosts)}>"

    def current(self) -> Configuration:
        """Return what all of it comes to; the same object as long as nothing has changed."""
        if self._current is None:
            self._current = Configuration(
                servers=self._all_servers(),
                search=self._search_list(),
                options=self._merged_options(),
                sources=self._sources or self._conf.sources or SOURCES,
                hosts=self._hosts,
                aliases=self._aliases,
                policy=self._policy,
            )
        return self._current

    def _all_servers(self) -> tuple[ServerAddress, ...]:
        system = self._conf.nameservers if self._system_servers else ()
        found = tuple(dict.fromkeys((*system, *self._servers)))
        return found or ((LOCAL_SERVER,) if self._default_server else ())

    def _search_list(self) -> tuple[bytes, ...]:
        for search in (self._search, self._local_domain, self._conf.search):
            if search is not None:
                return search
        return resolv_conf.host_domain(self._host_name)

    def _merged_options(self) -> ResolverOptions:
        system = _with_words(DEFAULT_OPTIONS, (*self._conf.options, *self._res_options))
        own = {
            item.name: getattr(self._options, item.name)
            for item in fields(ResolverOptions)
            if getattr(self._options, item.name) != getattr(DEFAULT_OPTIONS, item.name)
        }
        return _with_words(replace(system, **own), self._own_words.items())

    # What the files of the system say

    def take_resolv_conf(self, data: bytes) -> None:
        """Let resolv.conf say this, in place of what it has said."""
        self._conf = resolv_conf.parse(data)
        self._current = None

    def take_hosts(self, data: bytes) -> None:
        """Let the hosts file say this, in place of what it has said."""
        self._hosts = hosts_file.parse(data).followed_by(self._own_hosts)
        self._current = None

    def take_nsswitch(self, data: bytes) -> None:
        """Let nsswitch.conf say this, in place of what it has said."""
        self._sources = resolv_conf.parse_nsswitch(data)
        self._current = None

    def take_host_aliases(self, data: bytes) -> None:
        """Let the file of ``HOSTALIASES`` say this, in place of what it has said."""
        self._aliases = resolv_conf.parse_host_aliases(data)
        self._current = None

    def take_gai_conf(self, data: bytes) -> None:
        """Let gai.conf say this, in place of what it has said."""
        self._policy = gai_conf.parse(data)
        self._current = None

    # What the program says

    def nameserver_add(self, server: str | Address | ServerAddress) -> None:
        """Ask this server, too.

        Args:
            server: A text for `parse_server`, or the address of a socket. One that is known is not added again.

        Raises:
            ValueError: It is neither.

        Source: ``evdns_base_nameserver_ip_add``, ``evdns_base_nameserver_sockaddr_add``.
        """
        self._servers[server_of(server)] = None
        self._current = None

    def clear_nameservers(self) -> None:
        """Forget all servers, those of resolv.conf for good, too.

        Source: ``evdns_base_clear_nameservers_and_suspend``.
        """
        self._servers.clear()
        self._system_servers = self._default_server = False
        self._current = None

    def search_clear(self) -> None:
        """Have no search list, whatever resolv.conf says. Source: ``evdns_base_search_clear``."""
        self._search = ()
        self._current = None

    def search_add(self, domain: str) -> None:
        """Add a domain at the end of the search list, which is the program's own from now on.

        Raises:
            ValueError: It is no name.

        Source: ``evdns_base_search_add``, which puts it first.
        """
        self._search = (*self._search_list(), to_wire(domain))
        self._current = None

    def ndots_set(self, ndots: int) -> None:
        """Set the option ``ndots``, 0 to 15. Source: ``evdns_base_search_ndots_set``.

        Raises:
            ValueError: It is out of that range.
        """
        self.set_option("ndots", str(ndots))

    def set_option(self, name: str, value: str) -> None:
        """Set one option, whatever resolv.conf says; see `with_option`. Source: ``evdns_base_set_option``.

        Raises:
            ValueError: There is no such option, or the value is none for it.
        """
        with_option(DEFAULT_OPTIONS, name, value)
        self._own_words.pop(name, None)  # another name of it may have been set since: the last one holds
        self._own_words[name] = value
        self._current = None

    def load_hosts(self, data: bytes) -> None:
        """Let this hosts file hold, too, after what there is. Source: ``evdns_base_load_hosts``."""
        more = hosts_file.parse(data)
        self._own_hosts = self._own_hosts.followed_by(more)
        self._hosts = self._hosts.followed_by(more)
        self._current = None

    def clear_host_addresses(self) -> None:
        """Forget what hosts files have said, until one is taken again. Source: ``evdns_base_clear_host_addresses``."""
        self._hosts = self._own_hosts = EMPTY
        self._current = None

    def resolv_conf_parse(self, text: bytes | str, flags: int = DNS_OPTIONS_ALL) -> None:
        """Take a resolv.conf of the program's own: its servers are added, the rest stands above the system's.

        Args:
            text: The file.
            flags: ``DNS_OPTION_…`` bits: what to take of it. ``DNS_OPTION_HOSTSFILE`` asks for nothing here: the hosts
                file has been taken. If it names no server, and none is known, 127.0.0.1 is asked, unless there is
                ``DNS_OPTION_NAMESERVERS_NO_DEFAULT``.

        Source: ``evdns_base_resolv_conf_parse``.
        """
        conf = resolv_conf.parse(text)
        if flags & DNS_OPTION_NAMESERVERS:
            self._servers.update(dict.fromkeys(conf.nameservers))
            self._default_server |= not flags & DNS_OPTION_NAMESERVERS_NO_DEFAULT
        if flags & DNS_OPTION_SEARCH and conf.search is not None:
            self._search = conf.search
        for name, value in conf.options:
            if flags & (DNS_OPTION_SEARCH if name == "ndots" else DNS_OPTION_MISC):
                self._set_if_known(name, value)
        self._current = None

    def _set_if_known(self, name: str, value: str) -> None:
        try:
            self.set_option(name, value)
        except ValueError:
            pass  # as everywhere in resolv.conf


def _with_words(options: ResolverOptions, words: Iterable[tuple[str, str]]) -> ResolverOptions:
    """Return the options with those words that are known and right; of two values for one, the last."""
    for name, value in dict(words).items():
        try:
            options = with_option(options, name, value)
        except ValueError:
            pass  # as glibc
    return options
