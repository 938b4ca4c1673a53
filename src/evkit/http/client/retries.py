"""Retries: whether a request that failed may be sent again, and how long to wait before.

A decider: the time and the draw of the dice are passed in. It knows nothing of connections; how far a request had come
when it failed, it is told.
"""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Final

from evkit.http.date import parse_http_date
from evkit.http.kinds import COUNT, FLAG, NUMBER, Kinds, check_options, set_of

IDEMPOTENT: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PUT", "TRACE"})
"""Methods by which a request that is done twice does the same as one. Source: RFC 9110 §9.2.2."""
BUSY: Final = frozenset({429, 502, 503, 504})
"""Statuses of a server that may do better in a while."""

_SECONDS: Final = re.compile(r"[0-9]++")
_MOST_DOUBLINGS: Final = 60
"""Powers of two beyond which no delay is worth computing: a float has no room for 2**1024."""


class Progress(Enum):
    """How far a request had come when its connection failed."""

    NOTHING_SENT = "not one byte of the request was sent"
    STALE = "a connection that was kept has ended before a byte of the response"
    UNANSWERED = "a new connection has ended before a byte of the response"
    BROKEN = "a part of the response has come"


_OPTIONS: Final[Kinds] = {
    "attempts": COUNT,
    "stale": FLAG,
    "unanswered": FLAG,
    "backoff": NUMBER,
    "max_backoff": NUMBER,
    "max_retry_after": NUMBER,
}
_BUDGET_OPTIONS: Final[Kinds] = {"size": NUMBER, "ratio": NUMBER}


_WITHOUT_ANSWER: Final = frozenset({Progress.STALE, Progress.UNANSWERED})


class Retries:
    """Rules for retries, for any number of requests.

    A request of which nothing was sent may be tried again whatever it is. Any other is repeated only if its method is
    one of ``methods`` and its body can be sent again.

    Args:
        attempts: Most attempts at one request, ``>= 1``, the first among them; 1 tries nothing again but ``stale``.
        stale: Send again at once what was sent on a kept connection that the server was about to close: once, whatever
            ``attempts``. The second time must be on a new connection.
        unanswered: Send again what was sent on a new connection that ended without a byte of the response.
        methods: Those that may be repeated.
        statuses: Of responses after which the request is sent again; `BUSY` is a good choice.
        backoff: Seconds that the first retry waits at most; each further one waits up to twice as long.
        max_backoff: Seconds that no retry waits longer than, but for ``Retry-After``.
        max_retry_after: Seconds of ``Retry-After`` that are waited for. A server that asks for more gets no retry.

    Raises:
        ValueError: A number is out of range.
        TypeError: Something is of a wrong type: ``methods`` is one ``str``, for one.

    Source: RFC 9110 §9.2.2, RFC 9112 §9.3.1. The waiting is "exponential backoff with full jitter" (Amazon's
    architecture blog, 2015). ``evhttp_connection_set_retries`` repeats failed connects only, without jitter.
    """

    __slots__ = (
        "attempts",
        "backoff",
        "max_backoff",
        "max_retry_after",
        "methods",
        "stale",
        "statuses",
        "unanswered",
    )

    def __init__(
        self,
        attempts: int = 1,
        *,
        stale: bool = True,
        unanswered: bool = False,
        methods: Iterable[str] = IDEMPOTENT,
        statuses: Iterable[int] = (),
        backoff: float = 0.1,
        max_backoff: float = 10.0,
        max_retry_after: float = 60.0,
    ) -> None:
        check_options(_OPTIONS, locals())
        if attempts < 1:
            raise ValueError(f"expected 1 or more attempts, got {attempts}")
        for name, seconds in (
            ("backoff", backoff),
            ("max_backoff", max_backoff),
            ("max_retry_after", max_retry_after),
        ):
            if not seconds >= 0:
                raise ValueError(f"expected {name} of 0 or more seconds, got {seconds}")
        self.attempts = attempts
        self.stale = stale
        self.unanswered = unanswered
        self.methods = set_of("methods", methods, str)
        self.statuses = set_of("statuses", statuses, int)
        self.backoff = backoff
        self.max_backoff = max_backoff
        self.max_retry_after = max_retry_after

    def __repr__(self) -> str:
        return f"<Retries attempts={self.attempts} stale={self.stale} statuses={sorted(self.statuses)}>"

    def delay(self, retry: int, draw: float) -> float:
        """Return how long the ``retry``-th retry, from 1, waits.

        Args:
            retry: Its number.
            draw: From 0 up to 1, drawn anew: ``random.random()``.
        """
        return draw * min(self.max_backoff, self.backoff * 2.0 ** min(retry - 1, _MOST_DOUBLINGS))


class RetryBudget:
    """Keeps the retries of all requests together a small part of them, so that they don't bring a weak server down.

    Every failure takes 1 from the budget, every success gives ``ratio`` back. While half of it is gone nothing is
    tried again.

    Args:
        size: Of the budget, ``> 0``.
        ratio: What a success gives back, ``> 0``.

    Raises:
        ValueError: A number is out of range.
        TypeError: It is none.

    Source: gRPC's retry throttling (proposal A6).
    """

    __slots__ = ("_left", "_ratio", "_size")

    def __init__(self, size: float = 20.0, ratio: float = 0.1) -> None:
        check_options(_BUDGET_OPTIONS, locals())
        if not (size > 0 and ratio > 0):
            raise ValueError(f"expected a size and a ratio of more than 0, got {size} and {ratio}")
        self._size = self._left = float(size)
        self._ratio = ratio

    def __repr__(self) -> str:
        return f"<RetryBudget {self._left:g} of {self._size:g}>"

    def succeeded(self) -> None:
        """Put a bit back: a request was answered, with no status that asks for a retry."""
        self._left = min(self._size, self._left + self._ratio)

    def failed(self) -> bool:
        """Take 1 out: an attempt has failed. Returns whether it may be tried again."""
        self._left = max(0.0, self._left - 1.0)
        return self._left > self._size / 2


class Attempts:
    """The attempts at one request; made when the first of them has failed.

    Args:
        rules: What is tried again.
        method: Of the request.
        repeatable: Whether its body, if it has one, can be sent again from its start.
        budget: That of the client, if it has one.

    Attributes:
        failures: Attempts that have failed so far.
    """

    __slots__ = ("_budget", "_may_repeat", "_rules", "_was_stale", "failures")

    def __init__(
        self, rules: Retries, method: str, *, repeatable: bool, budget: RetryBudget | None = None
    ) -> None:
        self._rules = rules
        self._may_repeat = repeatable and method in rules.methods
        self._budget = budget
        self._was_stale = False
        self.failures = 0

    def __repr__(self) -> str:
        return f"<Attempts {self.failures} of {self._rules.attempts} failed>"

    def failed(self, progress: Progress, draw: float) -> float | None:
        """Decide what comes after an attempt whose connection failed.

        Args:
            progress: How far it had come.
            draw: From 0 up to 1, drawn anew: ``random.random()``.

        Returns:
            Seconds to wait before the next attempt; ``None``: there is none.
        """
        if progress is Progress.STALE and self._rules.stale and self._may_repeat and not self._was_stale:
            self._was_stale = True
            return 0.0
        allowed = progress is Progress.NOTHING_SENT or (
            progress in _WITHOUT_ANSWER and self._rules.unanswered and self._may_repeat
        )
        return self._rules.delay(self.failures, draw) if self._again(allowed) else None

    def answered(self, status: int, retry_after: str | None, now: float, draw: float) -> float | None:
        """Decide whether a response is the answer, or what to wait for.

        Args:
            status: Of the response.
            retry_after: The value of its ``Retry-After``, if it has one.
            now: Seconds since 1970, from the wall's clock.
            draw: As for `failed`.

        Returns:
            Seconds to wait before the next attempt; ``None``: the response is the answer.
        """
        if status not in self._rules.statuses:
            return None
        asked = 0.0 if retry_after is None else seconds_of(retry_after, now)
        if not self._again(self._may_repeat and asked <= self._rules.max_retry_after):
            return None
        return asked + self._rules.delay(self.failures, draw)

    def _again(self, allowed: bool) -> bool:
        self.failures += 1
        affordable = self._budget is None or self._budget.failed()
        return allowed and affordable and self.failures < self._rules.attempts


def seconds_of(retry_after: str, now: float) -> float:
    """Return how long a ``Retry-After`` asks to wait; 0 for a time that is past, and for what is malformed.

    Args:
        retry_after: Seconds, or a date in any of HTTP's three forms.
        now: Seconds since 1970.

    Source: RFC 9110 §10.2.3.
    """
    text = retry_after.strip(" \t")
    if _SECONDS.fullmatch(text):
        return float(text)  # unlike int() it takes any number of digits, and takes no time for them
    date = parse_http_date(text, now)
    return 0.0 if date is None else max(0.0, date - now)
