"""When each of many tries has waited long enough: one first-in-first-out queue for each duration.

A decider: it is told the time and answers what is due. Most tries are answered, so what counts is that adding and
discarding cost next to nothing; a heap would keep the dead entries. It works because there are few durations: see
`evkit.dns.nameserver`, which rounds them.
"""

from collections import OrderedDict
from collections.abc import Hashable
from operator import itemgetter
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

_MANY_QUEUES: Final = 64
"""From so many durations on, those that nobody waits for are dropped before there is another one."""
_NEVER: Final = float("inf")
_DEADLINE: Final = itemgetter(1)


class Deadlines(Generic[Key]):
    """Keys and when they are due.

    The time must never go back: a queue is in order only because each deadline in it is later than the one before.

    Whoever acts on them fills in `on_first`, `on_last` and `on_unknown`, which do nothing here.

    Attributes:
        first: Nothing is due before. `on_first` was told of it, or whoever acts on them has set it.
    """

    __slots__ = ("_prune_at", "_queues", "first")

    def __init__(self) -> None:
        self.first = _NEVER
        # An ordinary dict would walk over the holes at its front, again for each question about the first one.
        self._queues: dict[float, OrderedDict[Key, float]] = {}
        self._prune_at = _MANY_QUEUES

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __repr__(self) -> str:
        name, durations = type(self).__name__, len(self._queues)
        return f"<{name} waiting={len(self)} durations={durations} next_at={self.next_at()}>"

    def add(self, key: Key, duration: float, now: float) -> float:
        """Wait ``duration`` seconds for ``key``, from ``now`` on; what it waited for with this duration is forgotten.

        Args:
            key: For whom.
            duration: Infinite: until it is discarded.
            now: The time.

        Returns:
            The deadline.

        Cost: O(1).
        """
        queue = self._queues.get(duration)
        if queue is None:
            queue = self._queue(duration)
        elif key in queue:
            del queue[key]  # it belongs at the end
        deadline = queue[key] = now + duration
        if deadline < self.first:
            self.first = deadline
            self.on_first(duration)
        return deadline

    def discard(self, key: Key, duration: float) -> bool:
        """Wait for ``key`` no longer; ``duration`` is what it was added with.

        Returns:
            Whether it was waited for.

        Cost: O(1).
        """
        queue = self._queues.get(duration)
        if queue is None or queue.pop(key, None) is None:
            self.on_unknown(key)
            return False
        if not queue and not len(self):
            self.first = _NEVER
            self.on_last()
        return True

    def on_first(self, seconds: float) -> None:
        """Hear that something is due in so many seconds, before all else."""

    def on_last(self) -> None:
        """Hear that the last one was discarded."""

    def on_unknown(self, key: Key) -> None:
        """Hear that somebody was discarded who does not wait, or not any more."""

    def next_at(self) -> float | None:
        """Return the first deadline; ``None`` when nothing is waited for.

        Cost: O(durations).
        """
        first = _NEVER
        for queue in self._queues.values():
            for deadline in queue.values():
                first = min(first, deadline)
                break
        return None if first == _NEVER else first

    def pop_due(self, now: float) -> list[Key]:
        """Take what is due at ``now``, the earliest first.

        Cost: O(durations), and O(n log n) for what is due.
        """
        due: list[tuple[Key, float]] = []
        for queue in self._queues.values():
            while queue and next(iter(queue.values())) <= now:
                due.append(queue.popitem(last=False))
        due.sort(key=_DEADLINE)
        return [key for key, _ in due]

    def clear(self) -> list[Key]:
        """Wait for nothing; return what was waited for."""
        keys = [key for queue in self._queues.values() for key in queue]
        self._queues.clear()
        self.first = _NEVER
        return keys

    def _queue(self, duration: float) -> OrderedDict[Key, float]:
        """Make the queue for a new duration."""
        if len(self._queues) >= self._prune_at:
            self._queues = {known: queue for known, queue in self._queues.items() if queue}
            self._prune_at = max(_MANY_QUEUES, 2 * len(self._queues))  # so that all of it stays O(n)
        queue = self._queues[duration] = OrderedDict()
        return queue
