"""Which of several name servers to ask next.

A decider: it looks at what is known of the servers (`evkit.dns.nameserver`), changes nothing there, and knows nothing
of questions but which servers they have been put to.

Whatever the policy:

- Nobody is asked more than ``attempts`` times, and of those that are up nobody twice before each was asked once.
- One that is down is asked when those that are up have been asked twice. When all are down each is asked as if it were
  up; whichever replies is up, and so the one to ask from then on.
"""

from collections.abc import Sequence
from typing import Final

from evkit.dns.chance import Chance
from evkit.dns.nameserver import NameServer

FASTEST: Final = "fastest"
"""One of those that are about as fast as the fastest, each as likely; rarely another one, to see how fast it is."""
ROTATE: Final = "rotate"
"""Each in turn (``rotate`` in resolv.conf; libevent always does so)."""
ORDERED: Final = "ordered"
"""The first, as long as it is up (resolv.conf without ``rotate``)."""
POLICIES: Final = (FASTEST, ROTATE, ORDERED)

_BAND: Final = 2.0
_BAND_FLOOR: Final = 0.005
"""As fast as the fastest is who takes up to twice its time and 5 ms: unbound's band of 400 ms is for a resolver whose
servers are all far away."""
_EXPLORE: Final = 64
"""One query in so many goes to any server that is up."""
_DOWN: Final = 1.5
"""Tries that being down counts for: a packet may be lost, so one that is up gets a second chance before."""
_LATEST: Final = 1e9
"""A rank that is no better than being down."""
_NEVER: Final = float("inf")
_COPY: Final = 10
"""One query in so many is copied to a server that is down (c-ares' ``retry_chance``)."""


class Choice:
    """A way to choose, and whose turn it is.

    Args:
        chance: Where to draw from.
        policy: `FASTEST`, `ROTATE` or `ORDERED`.
        attempts: How often each server is asked at most for one question, >= 1.

    Raises:
        ValueError: There is no such policy.
    """

    __slots__ = ("_attempts", "_chance", "_policy", "_turn")

    def __init__(self, chance: Chance, policy: str = FASTEST, attempts: int = 3) -> None:
        if policy not in POLICIES:
            raise ValueError(f"expected one of {', '.join(POLICIES)}, got {policy!r}")
        self._chance = chance
        self._policy = policy
        self._attempts = attempts
        self._turn = -1

    def __repr__(self) -> str:
        return f"<Choice {self._policy} attempts={self._attempts}>"

    def choose(self, servers: Sequence[NameServer], tried: Sequence[int] = ()) -> int | None:
        """Choose the server to ask.

        Args:
            servers: All of them.
            tried: How often the question was put to each of them; empty: to none so far.

        Returns:
            The index of the server; ``None``: there is none, or each was asked ``attempts`` times.
        """
        if tried:
            return self._again(servers, tried)
        if len(servers) < 2:
            return 0 if servers else None
        return self._among(servers, range(len(servers)))

    def probe(self, servers: Sequence[NameServer], now: float) -> int | None:
        """Choose a server that is down, and to which a copy of a query shall go, to see whether it is up again.

        Call it once per question. Whoever sends the copy calls `NameServer.probed`.

        Returns:
            Its index; ``None``: there is none, or it is too early.

        Source: c-ares' ``ARES_OPT_SERVER_FAILOVER``. libevent asks for ``google.com``.
        """
        for server in servers:
            if not server.up and now >= server.copies_from and self._copies(server, now):
                return servers.index(server)
        return None

    def _copies(self, server: NameServer, now: float) -> bool:
        return now >= server.next_probe_at or not self._chance.below(_COPY)

    def _again(self, servers: Sequence[NameServer], tried: Sequence[int]) -> int | None:
        """Choose for another try: among those that were asked least."""
        costs = [
            _NEVER if asked >= self._attempts else asked if server.up else asked + _DOWN
            for server, asked in zip(servers, tried, strict=True)
        ]
        least = min(costs)
        if least == _NEVER:
            return None
        return self._among(servers, [index for index, cost in enumerate(costs) if cost == least])

    def _among(self, servers: Sequence[NameServer], candidates: Sequence[int]) -> int:
        """Choose one of ``candidates``, which are one at least and in order."""
        if self._policy == FASTEST:
            return self._fastest(servers, candidates)
        up = [index for index in candidates if servers[index].up] or candidates
        if self._policy == ORDERED:
            return up[0]
        for index in up:  # plain loops, here and below: this runs for each question
            if index > self._turn:
                break
        else:
            index = up[0]
        self._turn = index
        return index

    def _fastest(self, servers: Sequence[NameServer], candidates: Sequence[int]) -> int:
        best = _NEVER
        for index in candidates:
            rank = servers[index].rank
            if rank < best:
                best = rank
        self._turn += 1
        limit = best * _BAND + _BAND_FLOOR if self._turn % _EXPLORE or best == _NEVER else _LATEST
        band = [index for index in candidates if servers[index].rank <= limit]
        return band[0] if len(band) == 1 else band[self._chance.below(len(band))]
