"""What changed between two waits, one entry a descriptor: for the backends that tell the system all at once.

A decider: it touches no descriptor. It knows what the system was told last, what is wanted now, and what the system
would not have; what to tell the system of it is the backend's business.
"""

from evkit.core.log import LOG_WARN, log


class Changelist:
    """Descriptors to the mask that the system was told, and the mask that is wanted.

    Source: ``event_changelist_add_``, ``event_changelist_del_``; with whole masks in place of a change for each bit.
    """

    __slots__ = ("_pending", "_refused")

    def __init__(self) -> None:
        self._pending: dict[int, tuple[int, int]] = {}
        self._refused: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._pending)

    def change(self, fd: int, old: int, new: int) -> None:
        """Want ``new`` of ``fd`` in place of ``old``; see `Backend.change`.

        What was wanted and forgotten since the last `take` cancels out. What was forgotten and wanted again does not:
        the number may stand for another file now, which the system has never heard of.
        """
        self._refused.discard(fd)
        known = self._pending.pop(fd, None)
        told = old if known is None else known[0]
        if told or new:
            self._pending[fd] = (told, new)

    def repeat(self, fd: int, wanted: int) -> None:
        """Tell the system at the next wait once more what it was told already."""
        self._pending[fd] = (wanted, wanted)

    def refuse(self, fd: int, wanted: int, error: OSError) -> None:
        """Note that the system would not have ``fd``: try again at the next wait, and say so once."""
        if fd not in self._refused:
            self._refused.add(fd)
            log(
                LOG_WARN,
                f"descriptor {fd} can't be waited for, its events are called as if it were ready: {error}",
            )
        self.repeat(fd, wanted)

    def take(self) -> list[tuple[int, int, int]]:
        """Return all changes as descriptor, mask told, mask wanted, and begin anew."""
        changes = [(fd, told, wanted) for fd, (told, wanted) in self._pending.items()]
        self._pending.clear()
        return changes
