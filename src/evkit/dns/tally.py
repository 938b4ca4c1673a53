"""`Tally`: what a resolver has done, in numbers. It decides nothing."""

from collections import Counter


class Tally:
    """Counts since the resolver was made.

    Attributes:
        lookups: What `Resolver.resolve` and its like were asked.
        from_cache: How many of these the cache has answered.
        sent: Messages sent, repetitions included.
        received: Messages that came for something under way.
        timeouts: How often a reply did not come in time.
        dropped: Messages that were no reply, by what was wrong with them: ``number`` (nothing under way has it),
            ``question``, ``case``, ``kind`` (no reply, or of another operation), ``cookie``, ``malformed``.
    """

    __slots__ = ("dropped", "from_cache", "lookups", "received", "sent", "timeouts")

    def __init__(self) -> None:
        self.lookups = 0
        self.from_cache = 0
        self.sent = 0
        self.received = 0
        self.timeouts = 0
        self.dropped: Counter[str] = Counter()

    def __repr__(self) -> str:
        return (
            f"<Tally lookups={self.lookups} from_cache={self.from_cache} sent={self.sent} received={self.received} "
            f"timeouts={self.timeouts} dropped={self.dropped.total()}>"
        )
