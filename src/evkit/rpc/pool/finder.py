"""`Finder`: looks up which servers a pool's targets stand for, again and again.

The doer of `discovery`: it asks the resolver when that says so, and keeps what was found while it can't find
anything new. It knows nothing of connections.
"""

from collections.abc import Callable, Iterable
from functools import partial
from random import random
from typing import Any, Final

from evkit.core.base import EventBase
from evkit.core.event import Event
from evkit.core.future import Future
from evkit.core.log import LOG_WARN, log
from evkit.core.net import Address, RecordResolver, Resolver
from evkit.core.timers import NEVER
from evkit.rpc.client.target import Target
from evkit.rpc.pool.discovery import (
    ADDRESS_TTL,
    MAX_ENDPOINTS,
    Endpoint,
    Schedule,
    ServiceRecord,
    Source,
    endpoints_at,
    usable_services,
)

LEAST_PAUSE: Final = 0.001
"""Seconds: less, and what a float loses could have a timer come too early again and again."""


class Finder:
    """The servers behind some targets.

    Args:
        base: The event base.
        sources: The targets.
        resolver: Finds what they stand for; it has to be a `RecordResolver` where there are names of SRV records.
        on_change: Called from the loop when `endpoints` may have changed.
        is_away: ``is_away()`` tells whether one of them can't be reached, so that it is looked for sooner.

    Attributes:
        error: Why the last look-up failed; ``None``: it did not.

    Raises:
        TypeError: The resolver can't find SRV records.
    """

    __slots__ = ("_base", "_closed", "_is_away", "_lookups", "_on_change", "_resolver", "_timer", "error")

    def __init__(
        self,
        base: EventBase,
        sources: Iterable[Source],
        resolver: Resolver,
        on_change: Callable[[], object],
        is_away: Callable[[], bool],
    ) -> None:
        self._base = base
        self._resolver = resolver
        self._on_change = on_change
        self._is_away = is_away
        self._lookups = [_Lookup(source, self) for source in dict.fromkeys(sources)]
        for lookup in self._lookups:
            if lookup.source.kind == "srv" and not isinstance(resolver, RecordResolver):
                raise TypeError(f"expected a resolver with resolve(), for {lookup.source}, got {resolver!r}")
        self._timer = base.timer(self._on_timer)
        self._closed = False
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<Finder of {', '.join(str(lookup.source) for lookup in self._lookups) or 'nothing'}>"

    @property
    def endpoints(self) -> list[Endpoint]:
        """The servers, each place once."""
        places = {one.place: one for lookup in reversed(self._lookups) for one in reversed(lookup.endpoints)}
        return list(reversed(places.values()))

    def look(self) -> None:
        """Look up what is due, and be back when the next is."""
        now = self._base.now()
        for lookup in self._lookups:
            if lookup.schedule.due <= now:
                lookup.start(now)
        self._rest()

    def lost(self) -> None:
        """Look again soon: a connection was lost."""
        for lookup in self._lookups:
            lookup.schedule.lost(self._base.now())
        self._rest()

    def close(self) -> None:
        """Look up nothing more."""
        self._closed = True
        self._timer.free()
        for lookup in self._lookups:
            lookup.cancel()

    # For the look-ups

    def addresses(self, target: Target) -> Future[list[Address]]:
        """Ask for a host's addresses."""
        return self._resolver.getaddrinfo(target.host, target.port)

    def records(self, name: str) -> Future[Any]:
        """Ask for SRV records."""
        assert isinstance(self._resolver, RecordResolver)
        return self._resolver.resolve(name, "SRV")

    def on_found(self, lookup: "_Lookup", ttl: float) -> None:
        """Hear that a look-up has come to its end."""
        self.error = None
        self._on_change()
        away = self._is_away()
        lookup.schedule.found(self._base.now(), ttl, random(), away=away)  # noqa: S311 - no secret
        self._rest()

    def on_failed(self, lookup: "_Lookup", error: BaseException) -> None:
        """Hear that a look-up has failed; what it found before stays."""
        log(LOG_WARN, f"rpc: {lookup.source} could not be looked up: {error}")
        self.error = error
        lookup.schedule.failed(self._base.now(), random())  # noqa: S311 - no secret
        self._rest()

    def _rest(self) -> None:
        due = min((lookup.schedule.due for lookup in self._lookups), default=NEVER)
        if self._closed:
            return
        if due == NEVER:
            self._timer.delete()
        else:
            self._timer.add(max(LEAST_PAUSE, due - self._base.now()))

    def _on_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self.look()


class _Lookup:
    """One target, and what it stands for."""

    __slots__ = ("_finder", "_found", "_futures", "_known", "_ttl", "endpoints", "schedule", "source")

    def __init__(self, source: Source, finder: Finder) -> None:
        self._finder = finder
        self._futures: set[Future[Any]] = set()
        self._known: dict[Target, list[Address]] = {}  # what each name stood for when it was last found
        self._found = 0  # of the names that are being looked up
        self._ttl = ADDRESS_TTL
        self.source = source
        self.schedule = Schedule()
        self.endpoints: list[Endpoint] = []
        if source.kind == "fixed":
            self.endpoints = [Endpoint(source.target)]
            self.schedule.due = NEVER

    def start(self, now: float) -> None:
        self.schedule.asked(now)
        self._ttl = ADDRESS_TTL
        self._found = 0
        target = self.source.target
        if self.source.kind == "srv":
            self._ask(partial(self._finder.records, target.host), self._on_records)
        else:
            self._find([ServiceRecord(0, 1, target.port, target.host)])

    def cancel(self) -> None:
        self.schedule.due = NEVER
        for future in tuple(self._futures):
            future.cancel()
        self._futures.clear()

    def _ask(
        self,
        question: Callable[[], Future[Any]],
        done: Callable[[Future[Any] | None, BaseException | None], None],
    ) -> None:
        """Ask the resolver, and be told of what it raises as of what it answers."""

        def on_done(future: Future[Any]) -> None:
            if future in self._futures:
                self._futures.remove(future)
                cancelled = ConnectionAbortedError("the look-up was cancelled")
                error = cancelled if future.cancelled() else future.exception()
                done(None if error else future, error)

        try:
            future = question()
        except Exception as error:
            done(None, error)
            return
        self._futures.add(future)
        future.add_done_callback(on_done)

    def _on_records(self, future: Future[Any] | None, error: BaseException | None) -> None:
        if future is None:
            self._finder.on_failed(self, error or LookupError("no answer"))
            return
        try:
            answer = future.result()
            services = usable_services(record.data for record in answer)
            self._ttl = min(self._ttl, float(answer.ttl))
        except Exception as strange:  # the resolver is not evkit's, or its records are no SRV records
            self._finder.on_failed(self, strange)
            return
        self._find(services)

    def _find(self, services: list[ServiceRecord]) -> None:
        """Look up the addresses of each host."""
        secure = self.source.target.secure
        wanted = [(service, Target(service.target, service.port, None, secure)) for service in services]
        left = {target: None for _, target in wanted}
        if not left:
            self._finish(wanted)
        for target in tuple(left):
            self._ask(
                partial(self._finder.addresses, target), partial(self._on_addresses, wanted, left, target)
            )

    def _on_addresses(
        self,
        wanted: list[tuple[ServiceRecord, Target]],
        left: dict[Target, None],
        target: Target,
        future: Future[Any] | None,
        error: BaseException | None,
    ) -> None:
        del left[target]
        if future is not None:
            self._known[target] = future.result()
            self._found += 1
        if left:
            return
        if self._found:
            self._finish(wanted)
        else:
            self._finder.on_failed(self, error or LookupError("no answer"))

    def _finish(self, wanted: list[tuple[ServiceRecord, Target]]) -> None:
        self._known = {target: self._known.get(target, []) for _, target in wanted}
        self.endpoints = [
            endpoint
            for service, target in wanted
            for endpoint in endpoints_at(target, self._known[target], service.priority, service.weight)
        ][:MAX_ENDPOINTS]
        self._finder.on_found(self, self._ttl)
