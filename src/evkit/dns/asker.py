"""`Asker`: all questions under way, and the name servers that they are put to.

It decides who shares a question, how many are under way at once, and which of them hears of what has come. It knows
nothing of caches, search lists or addresses, and leaves what is asked next to each `Inquiry`.
"""

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from evkit.dns.alarm import Alarm
from evkit.dns.assessment import repeats
from evkit.dns.chance import Chance
from evkit.dns.choice import FASTEST, Choice
from evkit.dns.cookies import Cookies
from evkit.dns.finding import Finding
from evkit.dns.inquiry import Inquiry
from evkit.dns.nameserver import NameServer
from evkit.dns.pursuit import Key, Pursuit, Waiter, words
from evkit.dns.tally import Tally
from evkit.dns.upstream import Upstream

if TYPE_CHECKING:
    import ssl

    from evkit.core.base import EventBase
    from evkit.dns.options import ResolverOptions
    from evkit.dns.ports import Port
    from evkit.dns.server_address import ServerAddress
    from evkit.dns.stream import Stream
    from evkit.dns.tries import Try

_SECRET_SIZE: Final = 16


class Asker:
    """Asks name servers.

    Args:
        base: The event base.
        options: See `evkit.dns.options.ResolverOptions`.
        remember: ``remember(key, finding)`` hears of each end, before those who have asked, unless nothing was sent.
        context: What to trust, for TLS; ``None``: the system's certificates.

    Attributes:
        base: The event base.
        choice: Chooses among servers.
        cookies: Those of all servers.
        options: See above.
        suspended: Whether nothing is sent until `resume`.
        tally: What happened, in numbers.
        upstreams: The name servers.
        waits: The time-outs of all tries.
    """

    __slots__ = (
        "_asked",
        "_chance",
        "_context",
        "_in_flight",
        "_known",
        "_remember",
        "_waiting",
        "base",
        "choice",
        "cookies",
        "options",
        "suspended",
        "tally",
        "upstreams",
        "waits",
    )

    def __init__(
        self,
        base: "EventBase",
        options: "ResolverOptions",
        remember: Callable[[Key, Finding], object],
        context: "ssl.SSLContext | None" = None,
    ) -> None:
        self.base = base
        self.cookies = Cookies(os.urandom(_SECRET_SIZE))
        self.suspended = False
        self.tally = Tally()
        self.upstreams: tuple[Upstream, ...] = ()
        self.waits: Alarm[Pursuit] = Alarm(base, _on_wait)
        self._asked: dict[Key, Pursuit] = {}
        self._chance = Chance()
        self._context = context
        self._in_flight: set[Pursuit] = set()
        self._remember = remember
        self._waiting: OrderedDict[Pursuit, None] = OrderedDict()
        self.configure((), options)

    def __repr__(self) -> str:
        return f"<Asker servers={len(self.upstreams)} in_flight={len(self._in_flight)} waiting={len(self._waiting)}>"

    def configure(
        self, servers: "tuple[ServerAddress, ...]", options: "ResolverOptions", policy: str = FASTEST
    ) -> None:
        """Ask these servers, in this way, from now on; what is known of those that were there before is kept.

        Args:
            servers: Whom to ask.
            options: How.
            policy: Whom first; see `evkit.dns.choice`.
        """
        former = {upstream.known.address: upstream for upstream in self.upstreams}
        self.options = options
        self.choice = Choice(self._chance, policy, options.attempts)
        self.cookies.clear()  # we may be somewhere else now, and nobody is to follow us (RFC 7873 §7.1)
        self.upstreams = tuple([former.get(server) or self._make(server) for server in servers])
        self._known: tuple[NameServer, ...] = tuple([upstream.known for upstream in self.upstreams])
        for upstream in self.upstreams:
            upstream.configure(options)
        for upstream in former.values():
            if upstream not in self.upstreams:
                upstream.retire()

    def _make(self, server: "ServerAddress") -> Upstream:
        return Upstream(self.base, server, self.options, self._chance, self.cookies, self._context, self)

    # Who asks

    def ask(self, key: Key, waiter: Waiter) -> Pursuit:
        """Ask, or wait with those who have asked the same.

        Returns:
            What is under way. ``waiter`` hears of its end from the loop, unless it leaves.
        """
        inquiry = self._asked.get(key)
        if inquiry is None:
            inquiry = self._asked[key] = Inquiry(self, key)
            inquiry.waiters[waiter] = None
            if len(self._in_flight) < self.options.max_inflight and not self.suspended:
                self._launch(inquiry)
            else:
                self._waiting[inquiry] = None
        else:
            inquiry.waiters[waiter] = None
        return inquiry

    def leave(self, inquiry: Pursuit, waiter: Waiter, *, late: bool = False) -> None:
        """Wait no longer; what nobody waits for is given up.

        Args:
            inquiry: What `ask` has returned.
            waiter: Who waits.
            late: It has taken too long; the server is to blame.
        """
        if inquiry.over:
            return
        del inquiry.waiters[waiter]
        if not inquiry.waiters:
            if late:
                inquiry.on_late()
            self._withdraw(inquiry)
            self._launch_waiting()

    def suspend(self) -> None:
        """Send nothing any more; what is under way waits for `resume`, and begins anew then.

        Source: ``evdns_base_clear_nameservers_and_suspend``.
        """
        self.suspended = True
        for inquiry in [inquiry for inquiry in self._in_flight if not inquiry.waiters]:
            self._withdraw(inquiry)  # it is to see whether a server is up
        for inquiry in reversed(list(self._asked.values())):
            if inquiry.launched:
                self._stop(inquiry)
                self._waiting[inquiry] = None
                self._waiting.move_to_end(inquiry, last=False)

    def resume(self) -> None:
        """Send again."""
        self.suspended = False
        self._launch_waiting()

    def close(self) -> None:
        """Give everything up. Nobody hears of it from here."""
        self.suspended = True
        for inquiry in [*self._asked.values(), *self._in_flight]:
            self._withdraw(inquiry)
        for upstream in self.upstreams:
            upstream.close()
        self.waits.close()

    def finish(self, inquiry: Pursuit, finding: Finding) -> None:
        """End a question, and tell who waits."""
        waiters = inquiry.waiters
        inquiry.over = True
        if self._asked.get(inquiry.key) is inquiry:
            del self._asked[inquiry.key]
        self._stop(inquiry)
        if inquiry.sent and waiters:  # else it was to see whether a server is up
            self._remember(inquiry.key, finding)
        for waiter in waiters:
            waiter.on_found(finding)
        if self._waiting:
            self._launch_waiting()

    def _launch(self, inquiry: Pursuit) -> None:
        self._in_flight.add(inquiry)
        inquiry.launch(self.upstreams, self._known)
        down = self.choice.probe(self._known, self.base.pass_time or self.base.now())
        if down is not None:
            self._probe(inquiry.key, self.upstreams[down])

    def _probe(self, key: Key, upstream: Upstream) -> None:
        """Send a copy of a question to a server that is down, to see whether it is up again."""
        upstream.known.probed(self.base.now())
        inquiry = Inquiry(self, key)
        self._in_flight.add(inquiry)
        inquiry.probe(upstream)

    def _launch_waiting(self) -> None:
        while self._waiting and len(self._in_flight) < self.options.max_inflight and not self.suspended:
            inquiry, _ = self._waiting.popitem(last=False)
            self._launch(inquiry)

    def _withdraw(self, inquiry: Pursuit) -> None:
        """Forget a question."""
        inquiry.over = True
        if self._asked.get(inquiry.key) is inquiry:
            del self._asked[inquiry.key]
        if inquiry.launched:
            self._stop(inquiry)
        else:
            self._waiting.pop(inquiry, None)

    def _stop(self, inquiry: Pursuit) -> None:
        self._in_flight.discard(inquiry)
        inquiry.stop()

    # What comes

    def on_datagram(self, port: "Port", data: bytes) -> None:
        """See `PortUser.on_datagram`."""
        attempt = port.tries.get(data[0] << 8 | data[1]) if len(data) > 1 else None
        if attempt is not None:
            attempt.inquiry.on_message(attempt, data)
            return
        self.tally.dropped["number"] += 1
        for other in list(port.tries.values()):
            if repeats(data, other.question):
                other.inquiry.suspect(other, "another number")

    def on_port_error(self, port: "Port", error: OSError) -> None:
        """See `PortUser.on_port_error`."""
        for attempt in list(port.tries.values()):
            if port.tries.get(attempt.id) is attempt:  # not by another's end
                attempt.inquiry.on_lost(attempt, words(error))

    def on_message(self, stream: "Stream", data: bytes) -> None:
        """See `StreamUser.on_message`."""
        attempt = stream.tries.get(int.from_bytes(data[:2], "big"))
        if attempt is not None:
            attempt.inquiry.on_message(attempt, data)
        else:
            self.tally.dropped["number"] += 1

    def on_lost(self, attempt: "Try", why: str) -> None:
        """See `StreamUser.on_lost`."""
        attempt.inquiry.on_lost(attempt, why)


def _on_wait(inquiry: Pursuit) -> None:
    inquiry.on_wait()
