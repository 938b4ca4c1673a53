"""`Administration`: how a resolver is set up and set up anew, by evdns' names; half of `evkit.dns.resolver.Resolver`.

It decides nothing of how names are looked up: what is set comes to a `Configuration`, and the look-ups go by that.
"""

import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from evkit.core.net import Address
from evkit.dns.choice import FASTEST, ORDERED, ROTATE
from evkit.dns.configuration import DNS_OPTIONS_ALL, Configuration, Settings
from evkit.dns.files import (
    GAI_CONF,
    HOSTS,
    MAX_HOSTS,
    NSSWITCH,
    RESOLV_CONF,
    SystemFiles,
    read_file,
    trusted_environment,
)
from evkit.dns.lookups import Lookups
from evkit.dns.names import to_text
from evkit.dns.nameserver import Statistics
from evkit.dns.options import ResolverOptions
from evkit.dns.server_address import ServerAddress
from evkit.dns.tally import Tally
from evkit.errors import LoopError

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from evkit.core.base import EventBase


class Administration:
    """See `evkit.dns.resolver.Resolver`, whose arguments these are."""

    __slots__ = ("_configuration", "_files", "_first", "_lookups", "_settings", "base", "closed")

    def __init__(
        self,
        base: "EventBase",
        servers: Iterable[str | Address | ServerAddress] | None = None,
        *,
        options: ResolverOptions | None = None,
        conf: str | None = RESOLV_CONF,
        hosts: str | None = HOSTS,
        no_default_nameserver: bool = False,
        tls: "ssl.SSLContext | None" = None,
    ) -> None:
        environment = trusted_environment() if conf is not None else {}
        self.base = base
        self.closed = False
        self._settings = Settings(
            servers,
            options,
            no_default_nameserver=no_default_nameserver,
            environment=environment,
            host_name=socket.gethostname() if conf is not None else "",
        )
        self._files = SystemFiles(
            self._settings,
            conf=conf,
            hosts=hosts,
            nsswitch=NSSWITCH if conf is not None else None,
            gai_conf=GAI_CONF if conf is not None else None,
            host_aliases=environment.get("HOSTALIASES"),
        )
        self._configuration = self._settings.current()
        self._first = FASTEST if servers is not None else ORDERED
        self._lookups = Lookups(base, self._configuration.options, tls)
        self._configure()

    def __repr__(self) -> str:
        servers = ", ".join(str(server) for server in self._configuration.servers)
        state = "closed" if self.closed else "suspended" if self._lookups.asker.suspended else "open"
        return f"<{type(self).__name__} {state} servers=[{servers}] under_way={len(self)}>"

    def __len__(self) -> int:
        """Return how many look-ups are under way."""
        return len(self._lookups.under_way)

    def __bool__(self) -> bool:
        """Be true, whatever is under way."""
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: "TracebackType | None",
    ) -> None:
        self.close()

    def close(self, *, fail_requests: bool = True) -> None:
        """End all look-ups and close what is open. Closing again is harmless.

        Args:
            fail_requests: Whether those who wait hear of it, by `ResolveCancelled`; else they never hear of anything.

        Source: ``evdns_base_free``.
        """
        if not self.closed:
            self.closed = True
            self._lookups.close(tell=fail_requests)

    # What it is

    @property
    def options(self) -> ResolverOptions:
        """How it asks, all sources together."""
        return self._configuration.options

    @property
    def nameservers(self) -> tuple[Statistics, ...]:
        """The name servers, and what is known of each."""
        return tuple(upstream.known.statistics() for upstream in self._lookups.asker.upstreams)

    @property
    def search(self) -> tuple[str, ...]:
        """The search list."""
        return tuple(to_text(domain) for domain in self._configuration.search)

    @property
    def tally(self) -> Tally:
        """What it has done so far, in numbers."""
        return self._lookups.asker.tally

    def clear_cache(self) -> None:
        """Forget all answers."""
        self._lookups.cache.clear()

    # Name servers

    def nameserver_add(self, server: str | Address | ServerAddress) -> None:
        """Ask this server, too.

        Args:
            server: ``"192.0.2.1"``, ``"192.0.2.1:5353"``, ``"[2001:db8::1]:53"``, ``"tcp://…"``,
                ``"tls://192.0.2.1#dns.example"``, or the address of a socket. One that is known is not added again.

        Raises:
            ValueError: It is neither.

        Source: ``evdns_base_nameserver_ip_add``, ``evdns_base_nameserver_sockaddr_add``.
        """
        self._settings.nameserver_add(server)
        self._apply()

    def count_nameservers(self) -> int:
        """Return how many there are. Source: ``evdns_base_count_nameservers``."""
        return len(self._configuration.servers)

    def get_nameserver_addr(self, index: int) -> Address:
        """Return the address of one of them.

        Raises:
            IndexError: There are fewer.

        Source: ``evdns_base_get_nameserver_addr``, which returns -1.
        """
        servers = self._configuration.servers
        if not 0 <= index < len(servers):
            raise IndexError(f"there are {len(servers)} name servers, so none with the index {index}")
        return servers[index].address

    def clear_nameservers_and_suspend(self) -> None:
        """Forget all name servers, those of resolv.conf, too, and send nothing until `resume`; look-ups wait.

        Source: ``evdns_base_clear_nameservers_and_suspend``.
        """
        self._lookups.asker.suspend()
        self._settings.clear_nameservers()
        self._apply()

    def resume(self) -> None:
        """Ask again. Source: ``evdns_base_resume``."""
        self._check_open()
        self._lookups.asker.resume()

    # Everything else that evdns can be told

    def set_option(self, name: str, value: str) -> None:
        """Set an option by its name, whatever resolv.conf says.

        Args:
            name: A field of `ResolverOptions`, or evdns' name of it, as ``"ndots:"`` or ``"max-inflight"``.
            value: A number; for a switch ``"1"`` or ``"0"``, and nothing is ``"1"``.

        Raises:
            ValueError: There is no such option, or the value is none for it.

        Source: ``evdns_base_set_option``, which takes no notice of names that it does not know.
        """
        self._settings.set_option(name, value)
        self._apply()

    def resolv_conf_parse(self, path: str, flags: int = DNS_OPTIONS_ALL) -> None:
        """Take a file like resolv.conf, above the system's; it is read once.

        Args:
            path: Of the file.
            flags: ``DNS_OPTION_…`` bits: what to take of it. ``DNS_OPTION_HOSTSFILE`` asks for nothing here: the hosts
                file is another argument of the resolver.

        Raises:
            OSError: It can't be read. Source: ``evdns_base_resolv_conf_parse`` has codes of its own.
        """
        self._settings.resolv_conf_parse(read_file(path), flags)
        self._apply()

    def load_hosts(self, path: str = HOSTS) -> None:
        """Let a hosts file hold, too, after what there is; it is read once.

        Raises:
            OSError: It can't be read.

        Source: ``evdns_base_load_hosts``.
        """
        self._settings.load_hosts(read_file(path, MAX_HOSTS))
        self._apply()

    def clear_host_addresses(self) -> None:
        """Forget what hosts files say. Source: ``evdns_base_clear_host_addresses``."""
        self._settings.clear_host_addresses()
        self._apply()

    def search_clear(self) -> None:
        """Have no search list. Source: ``evdns_base_search_clear``."""
        self._settings.search_clear()
        self._apply()

    def search_add(self, domain: str) -> None:
        """Add a domain at the end of the search list.

        Raises:
            ValueError: It is no name.

        Source: ``evdns_base_search_add``, which puts it first.
        """
        self._settings.search_add(domain)
        self._apply()

    def search_ndots_set(self, ndots: int) -> None:
        """Set how many dots a name needs to be asked for as it is first. Source: ``evdns_base_search_ndots_set``.

        Raises:
            ValueError: It is not 0 to 15.
        """
        self._settings.ndots_set(ndots)
        self._apply()

    # For the look-ups

    def _current(self) -> Configuration:
        """Return what holds now; the system's files are looked at now and then.

        Raises:
            LoopError: The resolver or its base is closed.
        """
        if self._files.refresh(self.base.pass_time or self.base.now()):
            self._apply()
        if self.closed or self.base.closed:
            self._check_open()
        return self._configuration

    def _check_open(self) -> None:
        if self.closed or self.base.closed:
            raise LoopError(f"a look-up on a resolver or a base that is closed: {self!r}")

    def _apply(self) -> None:
        configuration = self._settings.current()
        if configuration is not self._configuration:
            self._configuration = configuration
            self._configure()

    def _configure(self) -> None:
        servers, options = self._configuration.servers, self._configuration.options
        self._lookups.configure(servers, options, ROTATE if options.rotate else self._first)
