"""What was answered before, for as long as it holds: answers, "there is no such thing", and failures.

A decider: it is told the time. It keeps values and looks into none of them; what a key is and what a value is, is its
user's business. The rules that it knows are those about time:

- An answer holds for its TTL, at most ``max_ttl`` (RFC 1035 §3.2.1, RFC 8767 §4). A TTL of 0 is for the one who asked.
- "No such name" and "no such records" hold for the TTL of RFC 2308, at most ``max_negative_ttl``.
- That it could not be resolved holds for ``failure_ttl``, longer with each failure (RFC 9520).
- Where an answer has run out and a new one can't be had, the old one may do: RFC 8767.

The least recently used entry goes when there are too many.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

MAX_FAILURE_TTL: Final = 300.0
"""Seconds for which a failure is remembered at most (RFC 9520 §3.2, RFC 2308 §7)."""
MAX_BACKOFF: Final = 60.0
"""Seconds up to which failures in a row are remembered for longer and longer. RFC 9520 would allow five minutes; but
here somebody waits for the servers to be back."""
STALE_TTL: Final = 30.0
"""Seconds for which an old answer is given out again, without asking (RFC 8767 §4 and §5)."""

_MAX_DOUBLINGS: Final = 20
"""Even a failure TTL of some milliseconds has come to `MAX_BACKOFF` by then."""

Value = TypeVar("Value")


class Entry(Generic[Value]):
    """What is known under a key.

    Attributes:
        value: What was put.
        stored_at: When it was put.
        expires_at: From when on it is no longer fresh.
        negative: It says that there is no such name, or no such records.
        failures: It says that it could not be resolved, so many times in a row; 0: it says something else.
        stale: The answer that a failure has not replaced; see `Cache.get_stale`.
    """

    __slots__ = ("expires_at", "failures", "negative", "stale", "stored_at", "value")

    def __init__(
        self, value: Value, stored_at: float, expires_at: float, negative: bool = False, failures: int = 0
    ) -> None:
        self.value = value
        self.stored_at = stored_at
        self.expires_at = expires_at
        self.negative = negative
        self.failures = failures
        self.stale: Entry[Value] | None = None

    def __repr__(self) -> str:
        kind = f"failures={self.failures}" if self.failures else "negative" if self.negative else "answer"
        return (
            f"<Entry {kind} stored_at={self.stored_at:.3f} expires_at={self.expires_at:.3f} {self.value!r}>"
        )

    def ttl(self, now: float) -> int:
        """Return the whole seconds for which it stays fresh, >= 0."""
        return max(0, int(self.expires_at - now))


class Cache(Generic[Value]):
    """Values by key, each for its time.

    Args:
        max_entries: How many are kept, >= 0; 0: none.
        max_ttl: Seconds for which an answer is kept at most.
        max_negative_ttl: Seconds for which "no such name" and "no such records" are kept at most (RFC 2308 §5
            proposes one to three hours).
        failure_ttl: Seconds for which the first failure is kept, at most `MAX_FAILURE_TTL`; doubled with each further
            one, up to `MAX_BACKOFF`. 0: failures are not kept. RFC 9520 demands a second at least.
        stale: Seconds for which an answer may stand in after it has run out; ``None``: never.

    Attributes:
        hits: How often `get` had something.
        misses: How often it had not.

    Source: libevent's cache knows answers only, and has no bound.
    """

    __slots__ = (
        "_entries",
        "_failure_ttl",
        "_max_entries",
        "_max_negative_ttl",
        "_max_ttl",
        "_stale",
        "hits",
        "misses",
    )

    def __init__(
        self,
        max_entries: int = 10_000,
        max_ttl: float = 86_400.0,
        max_negative_ttl: float = 10_800.0,
        failure_ttl: float = 5.0,
        stale: float | None = None,
    ) -> None:
        self._entries: OrderedDict[Hashable, Entry[Value]] = OrderedDict()
        self._max_entries = max_entries
        self._max_ttl = max_ttl
        self._max_negative_ttl = max_negative_ttl
        self._failure_ttl = min(failure_ttl, MAX_FAILURE_TTL)
        self._stale = stale or 0.0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Cache {len(self)}/{self._max_entries} hits={self.hits} misses={self.misses}>"

    def get(self, key: Hashable, now: float) -> Entry[Value] | None:
        """Return what is known and fresh: an answer, that there is none, or that it could not be resolved.

        Cost: O(1), some 0.2 µs.
        """
        entry = self._entries.get(key)
        if entry is not None and now < entry.expires_at:
            self._entries.move_to_end(key)
            self.hits += 1
            return entry
        self.misses += 1
        return None

    def get_stale(self, key: Hashable, now: float) -> Entry[Value] | None:
        """Return the answer that may stand in when there is no way to a new one, however old it is.

        "There is no such thing" never stands in: it helps nobody more than the failure does.

        Source: RFC 8767 §5. Tell users a TTL of `STALE_TTL`.
        """
        entry = self._entries.get(key)
        if entry is not None and entry.failures:
            entry = entry.stale
        if entry is None or entry.negative or now >= entry.expires_at + self._stale:
            return None
        return entry

    def put(self, key: Hashable, value: Value, ttl: float, now: float) -> None:
        """Keep an answer. With a ``ttl`` of 0 it is not kept, and what was there before is gone all the same."""
        self._keep(key, Entry(value, now, now + (ttl if ttl < self._max_ttl else self._max_ttl)))

    def put_negative(self, key: Hashable, value: Value, ttl: float, now: float) -> None:
        """Keep that there is no such name, or no such records.

        Args:
            key: As for `put`.
            value: As for `put`.
            ttl: The smaller one of the SOA record's own TTL and its MINIMUM field; 0 without such a record.
            now: The time.

        Source: RFC 2308 §5.
        """
        self._keep(key, Entry(value, now, now + min(ttl, self._max_negative_ttl), negative=True))

    def put_failure(self, key: Hashable, value: Value, now: float) -> None:
        """Keep that it could not be resolved. What may stand in for it stays; what is still fresh is not replaced.

        Source: RFC 9520 §3.2; RFC 8767 §5, "failure recheck timer", while an old answer stands in.
        """
        if not self._failure_ttl:
            return
        before = self._entries.get(key)
        if before is not None and not before.failures and now < before.expires_at:
            return
        failures = 1 + _failures_in_a_row(before, now)
        backoff = min(self._failure_ttl * 2.0 ** min(failures - 1, _MAX_DOUBLINGS), MAX_BACKOFF)
        ttl = max(self._failure_ttl, backoff)
        stale = self.get_stale(key, now)
        if stale is not None:
            ttl = max(ttl, STALE_TTL)
        entry = Entry(value, now, now + ttl, failures=failures)
        entry.stale = stale
        self._keep(key, entry)

    def remove(self, key: Hashable) -> None:
        """Forget what is known under ``key``; nothing is no error."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything; the counters stay."""
        self._entries.clear()

    def _keep(self, key: Hashable, entry: Entry[Value]) -> None:
        entries = self._entries
        if key in entries:
            del entries[key]
        if entry.expires_at > entry.stored_at and self._max_entries:
            if len(entries) >= self._max_entries:
                entries.popitem(last=False)
            entries[key] = entry


def _failures_in_a_row(before: Entry[Value] | None, now: float) -> int:
    """Return how many there were, up to now; those of long ago don't count."""
    return 0 if before is None or now > before.expires_at + MAX_FAILURE_TTL else before.failures
