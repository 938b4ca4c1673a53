"""What is known of one name server: how fast it is, whether it is up, what it can't do.

A decider: it is told what happened and when, and answers how long to wait and whether to ask. It knows nothing of
questions, sockets or other servers.

- How long to wait follows the time that its replies took, five times their mean, within the user's limits.
- A server that fails so many times in a row is down. It is then sent copies of real queries, rarely and ever more
  rarely, until one is answered.
- What a server chokes on (EDNS, its options, mixed case) is remembered for a quarter of an hour: what looked like that
  may have been a lost packet.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from evkit.dns.options import ResolverOptions
    from evkit.dns.server_address import ServerAddress

EDNS: Final = 0
"""The server can't do with an OPT record."""
EDNS_OPTIONS: Final = 1
"""It can't do with options in it, such as cookies."""
MIXED_CASE: Final = 2
"""It does not copy the case of the name."""
FEATURE_MEMORY: Final = 900.0
"""Seconds for which it is remembered that a server lacks something (unbound's ``infra-host-ttl``)."""
UNKNOWN_RTT: Final = 0.376
"""Seconds that a server nobody has asked yet is reckoned to take (unbound's ``UNKNOWN_SERVER_NICENESS``)."""

_NEVER: Final = float("inf")
_RTTS_TO_WAIT: Final = 5.0
"""Times the mean: a name that the server has to look up itself takes longer than one that it knows (c-ares)."""
_SMOOTHING: Final = 0.125
"""The weight of a new sample in the mean (RFC 6298 §2)."""
_STEPS_PER_DOUBLING: Final = 3
"""Time-outs grow in steps of a quarter, so that there are few different ones; see `evkit.dns.deadlines`."""


@lru_cache(maxsize=64)
def time_outs(shortest: float, longest: float) -> tuple[float, ...]:
    """Return the time-outs that are used: from ``shortest`` up to ``longest``, three to a doubling.

    Args:
        shortest: Seconds, > 0.
        longest: Seconds. Where it is below ``shortest`` it is the only one.
    """
    series = []
    step = 0
    while (seconds := shortest * 2.0 ** (step / _STEPS_PER_DOUBLING)) < longest:
        series.append(seconds)
        step += 1
    return (*series, longest)


class Statistics(NamedTuple):
    """What a server has done so far.

    Attributes:
        server: Its address.
        up: Whether it is asked in the first place.
        rtt: The mean of the seconds that its replies took; ``None``: there was none yet.
        timeout: Seconds to wait for it when it is asked for the first time.
        queries: How often it was asked.
        replies: How often it replied.
        timeouts: How often it did not.
        failures: How often it could not be asked, or refused.
        consecutive_failures: Time-outs and failures since the last reply.
    """

    server: str
    up: bool
    rtt: float | None
    timeout: float
    queries: int
    replies: int
    timeouts: int
    failures: int
    consecutive_failures: int


class NameServer:
    """One name server.

    Args:
        address: Where it is, and how to talk to it.
        options: The limits.

    Attributes:
        address: As given.
        up: Whether it is to be asked in the first place.
        rank: Seconds that it is expected to take; infinite while it is down. For `evkit.dns.choice`.
        rtt: The mean of the seconds that its replies took; ``None``: there was none yet.
        queries: How often it was asked; the asker counts.
        replies: How often it replied.
        timeouts: How often it did not.
        failures: How often it could not be asked, or refused.
        consecutive_failures: Time-outs and failures since the last reply.
        copies_from: While it is down: from when on copies of queries may go to it.
        next_probe_at: While it is down: from when on the next query is copied to it for certain.
    """

    __slots__ = (
        "_fast",
        "_news_at",
        "_options",
        "_probe_after",
        "_slow",
        "_step",
        "_time_outs",
        "_without",
        "address",
        "consecutive_failures",
        "copies_from",
        "failures",
        "next_probe_at",
        "queries",
        "rank",
        "replies",
        "rtt",
        "timeouts",
        "up",
    )

    def __init__(self, address: "ServerAddress", options: "ResolverOptions") -> None:
        self.address = address
        self.up = True
        self.rank = UNKNOWN_RTT
        self.rtt: float | None = None
        self.queries = self.replies = self.timeouts = self.failures = self.consecutive_failures = 0
        self._news_at = -_NEVER  # when there was a reply, or a failure that counts
        self.copies_from = self.next_probe_at = _NEVER
        self._probe_after = 0.0  # set when it goes down
        self._without = [0.0, 0.0, 0.0]
        self.configure(options)

    def configure(self, options: "ResolverOptions") -> None:
        """Take other limits; what is known of the server stays."""
        self._options = options
        self._time_outs = time_outs(options.min_timeout, options.timeout)
        self._find_step()

    def __repr__(self) -> str:
        rtt = "unknown" if self.rtt is None else f"{self.rtt * 1000:.3g}ms"
        state = "up" if self.up else f"down next_probe_at={self.next_probe_at:.3f}"
        return (
            f"<NameServer {self.address} {state} rtt={rtt} timeout={self.timeout_for(0) * 1000:.0f}ms "
            f"failures={self.consecutive_failures}>"
        )

    def statistics(self) -> Statistics:
        """Return what it has done so far."""
        return Statistics(
            str(self.address),
            self.up,
            self.rtt,
            self.timeout_for(0),
            self.queries,
            self.replies,
            self.timeouts,
            self.failures,
            self.consecutive_failures,
        )

    def timeout_for(self, attempt: int) -> float:
        """Return how many seconds to wait for a reply.

        Args:
            attempt: How often this question has been put to this server before: it doubles the time.

        Returns:
            ``min_timeout`` to ``timeout`` of the options, one of `time_outs`; ``timeout`` while no reply has come yet.
        """
        if not attempt:
            return self._time_outs[self._step]
        return self._time_outs[min(self._step + attempt * _STEPS_PER_DOUBLING, len(self._time_outs) - 1)]

    def replied(self, sent_at: float, now: float) -> bool:
        """Note a reply, of any response code that does not say that the server won't serve us.

        Args:
            sent_at: When just that query was sent. Replies that come after their time-out are to be told, too: else
                the mean would never learn that it is too short.
            now: The time.

        Returns:
            Whether the server was down until now.

        Source: RFC 6298 §2 and §3. Each try has an id and a port of its own, so a reply tells which try it is for.
        """
        self.replies += 1
        self._news_at = now
        self.consecutive_failures = 0
        rtt = self.rtt
        if rtt is None or not self.up:
            return self._start_anew(now - sent_at)
        self.rank = self.rtt = rtt = rtt + (now - sent_at - rtt) * _SMOOTHING
        if not self._fast < rtt <= self._slow:
            self._find_step()
        return False

    def timed_out(self, sent_at: float, now: float) -> bool:
        """Note that no reply has come.

        It is a failure of the server only if nothing was heard of it since ``sent_at``. After a reply to another
        query a packet was lost, no more; and when a hundred queries wait while it has a moment's trouble, this is one
        failure, not a hundred in a row.

        Returns:
            Whether the server is down from now on.
        """
        self.timeouts += 1
        self._expect_at_least(now - sent_at)
        return sent_at >= self._news_at and self._fail(now)

    def failed(self, now: float, sent_at: float = _NEVER) -> bool:
        """Note that it could not be reached, or that it refuses to serve us (REFUSED, NOTIMP).

        Args:
            now: The time.
            sent_at: When a query was sent that can't be answered any more. Of many that the end of one connection
                leaves so, the first counts, and none if there were replies meanwhile.

        Returns:
            Whether the server is down from now on.

        Source: libevent has it down after the first such failure.
        """
        self.failures += 1
        return sent_at >= self._news_at and self._fail(now)

    def probed(self, now: float) -> None:
        """Note that a copy of a query goes to it while it is down: the next one goes later."""
        self._probe_after = min(
            self._probe_after * self._options.probe_backoff_factor, self._options.max_probe_timeout
        )
        self._plan_probe(now)

    def supports(self, feature: int, now: float) -> bool:
        """Return whether nothing speaks against using ``feature``: `EDNS`, `EDNS_OPTIONS` or `MIXED_CASE`."""
        return now >= self._without[feature]

    def give_up(self, feature: int, now: float) -> None:
        """Do without ``feature`` for `FEATURE_MEMORY`."""
        self._without[feature] = now + FEATURE_MEMORY

    def _expect_at_least(self, seconds: float) -> None:
        """Let a reply that has not come for so long be a part of the mean: it would have taken longer."""
        if self.rtt is None:
            rank = max(self.rank, seconds)
        else:
            rank = self.rtt = max(self.rtt, self.rtt + (seconds - self.rtt) * _SMOOTHING)
            self._find_step()
        if self.up:
            self.rank = rank

    def _fail(self, now: float) -> bool:
        self.consecutive_failures += 1
        self._news_at = now
        if not self.up or self.consecutive_failures < self._options.max_timeouts:
            return False
        self.up = False
        self.rank = _NEVER
        self._probe_after = min(self._options.initial_probe_timeout, self._options.max_probe_timeout)
        self._plan_probe(now)
        return True

    def _plan_probe(self, now: float) -> None:
        self.copies_from = now + min(self._options.initial_probe_timeout, self._probe_after)
        self.next_probe_at = now + self._probe_after

    def _start_anew(self, seconds: float) -> bool:
        """Take the first reply, or the first after it was down: what was before says little about it."""
        was_down = not self.up
        self.up = True
        self.copies_from = self.next_probe_at = _NEVER
        self.rank = self.rtt = seconds
        self._find_step()
        return was_down

    def _find_step(self) -> None:
        """Find the time-out for the mean, and from which mean to which it is the right one."""
        series = self._time_outs
        last = len(series) - 1
        wanted = _NEVER if self.rtt is None else self.rtt * _RTTS_TO_WAIT
        self._step = step = next((step for step, seconds in enumerate(series) if seconds >= wanted), last)
        self._fast = series[step - 1] / _RTTS_TO_WAIT if step else -_NEVER
        self._slow = series[step] / _RTTS_TO_WAIT if step < last else _NEVER
