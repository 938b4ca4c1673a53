"""`Lookups`: all look-ups of a resolver, what is known already, and how long they may take.

It decides what the cache keeps of what was found. It knows nothing of what is asked next, nor of servers.
"""

from typing import TYPE_CHECKING, Final

from evkit.core.future import Future
from evkit.dns.alarm import Alarm
from evkit.dns.answer import Answer
from evkit.dns.asker import Asker
from evkit.dns.cache import STALE_TTL, Cache
from evkit.dns.choice import FASTEST
from evkit.dns.finding import Finding
from evkit.dns.interpretation import ANSWER, Kind
from evkit.dns.lookup import Lookup

if TYPE_CHECKING:
    import ssl

    from evkit.core.base import EventBase
    from evkit.dns.options import ResolverOptions
    from evkit.dns.pursuit import Key
    from evkit.dns.server_address import ServerAddress


_FOREVER: Final = float("inf")


class Lookups:
    """All look-ups of a resolver.

    Args:
        base: The event base.
        options: See `evkit.dns.options.ResolverOptions`.
        context: What to trust, for TLS; ``None``: the system's certificates.

    Attributes:
        asker: Who asks.
        base: The event base.
        cache: What is known already.
        under_way: Look-ups that are not done, and until when each may take.
    """

    __slots__ = ("_options", "asker", "base", "cache", "under_way")

    def __init__(
        self, base: "EventBase", options: "ResolverOptions", context: "ssl.SSLContext | None" = None
    ) -> None:
        self.base = base
        self.asker = Asker(base, options, self.remember, context)
        self.cache = make_cache(options)
        self.under_way: Alarm[Lookup] = Alarm(base, Lookup.on_late)
        self._options = options

    def __repr__(self) -> str:
        return f"<Lookups under_way={len(self.under_way)} {self.asker!r} {self.cache!r}>"

    def configure(
        self, servers: "tuple[ServerAddress, ...]", options: "ResolverOptions", policy: str = FASTEST
    ) -> None:
        """Go on with these; see `Asker.configure`. What other servers have said is forgotten."""
        if servers != tuple([upstream.known.address for upstream in self.asker.upstreams]):
            self.cache.clear()
        if cache_options(options) != cache_options(self._options):
            self.cache = make_cache(options)
        self._options = options
        self.asker.configure(servers, options, policy)

    def start(
        self,
        candidates: list[bytes],
        rdtype: int,
        *,
        tcp: bool = False,
        ignore_tc: bool = False,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> Future[Answer]:
        """Look something up.

        Args:
            candidates: The names to ask for, folded, in wire form, until one is answered; at least one.
            rdtype: The type to ask for.
            tcp: Ask over TCP alone.
            ignore_tc: Take a reply that was cut as it is.
            fresh: Take nothing out of the cache.
            timeout: Seconds for all of it, ``> 0``; ``None``: those of the options.
        """
        self.asker.tally.lookups += 1
        key = (candidates[0], rdtype, tcp, ignore_tc)
        finding = None if fresh else self.cached(key)
        if finding is not None and finding.kind is ANSWER and finding.answer is not None:
            future: Future[Answer] = Future(self.base)
            future.set_result(finding.answer)
            return future
        seconds = self._options.total_timeout if timeout is None else timeout
        lookup = Lookup(self, candidates, key, fresh, seconds or _FOREVER)
        self.under_way.add(lookup, lookup.seconds, self.base.pass_time or self.base.now())
        lookup.begin(finding)
        return lookup.future

    def cached(self, key: "Key") -> Finding | None:
        """Return what is known, as it is by now."""
        now = self.base.pass_time or self.base.now()
        entry = self.cache.get(key, now)
        if entry is None:
            return None
        self.asker.tally.from_cache += 1
        return entry.value.aged(now - entry.stored_at)

    def remember(self, key: "Key", finding: Finding) -> None:
        """Keep what was found."""
        now = self.base.pass_time or self.base.now()
        if finding.answer is None:
            self.cache.put_failure(key, finding, now)
        elif finding.kind is ANSWER or finding.kind is Kind.ALIAS:
            self.cache.put(key, finding, finding.answer.ttl, now)
        else:
            self.cache.put_negative(key, finding, finding.answer.ttl, now)

    def stale(self, key: "Key") -> Answer | None:
        """Return an answer that is too old, for want of a better one."""
        if self._options.serve_stale is None:
            return None
        now = self.base.now()
        entry = self.cache.get_stale(key, now)
        if entry is None or entry.value.kind is not Kind.ANSWER or entry.value.answer is None:
            return None
        return entry.value.answer.aged(now - entry.stored_at, stale_ttl=int(STALE_TTL))

    def close(self, *, tell: bool) -> None:
        """End all look-ups.

        Args:
            tell: Whether those who wait hear of it, by `ResolveCancelled`; else their futures stay pending.
        """
        lookups = self.under_way.close()
        self.asker.close()
        if tell:
            for lookup in lookups:
                lookup.give_up()


def cache_options(options: "ResolverOptions") -> tuple[int, float, float, float, float | None]:
    """Return what a cache is made with."""
    return (
        options.max_cache,
        options.max_ttl,
        options.max_negative_ttl,
        options.failure_ttl,
        options.serve_stale,
    )


def make_cache(options: "ResolverOptions") -> Cache[Finding]:
    """Make an empty cache."""
    return Cache(*cache_options(options))
