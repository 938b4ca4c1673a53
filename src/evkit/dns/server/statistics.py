"""`ServerStatistics`: what a name server has done so far. Counts, and knows nothing else."""

from typing import Final

_COUNTS: Final = (
    "queries",
    "replies",
    "ignored",
    "refused",
    "turned_away",
    "failed",
    "timed_out",
    "unsent",
    "tcp_connections",
    "tcp_turned_away",
)


class ServerStatistics:
    """Counts since the port was made.

    Attributes:
        queries: That were well formed.
        replies: That were sent, errors among them.
        ignored: Messages that can't be answered: replies, shorter than a header, from port 0 or nobody.
        refused: Messages that were answered with FORMERR, NOTIMP or BADVERS before a handler saw them.
        turned_away: Queries for which there was no room, as too many waited.
        failed: Handlers that raised.
        timed_out: Requests that the handler has not answered in time.
        unsent: Replies for which the system had no room.
        tcp_connections: Connections that were let in.
        tcp_turned_away: Connections that were closed for want of room: new ones, and idle ones.
    """

    __slots__ = _COUNTS

    def __init__(self) -> None:
        self.queries = 0
        self.replies = 0
        self.ignored = 0
        self.refused = 0
        self.turned_away = 0
        self.failed = 0
        self.timed_out = 0
        self.unsent = 0
        self.tcp_connections = 0
        self.tcp_turned_away = 0

    def __repr__(self) -> str:
        return f"<ServerStatistics {' '.join(f'{name}={count}' for name, count in self.as_dict().items())}>"

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in _COUNTS}
