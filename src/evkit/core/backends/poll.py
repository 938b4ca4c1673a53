"""poll: takes every kind of descriptor, regular files too; each wait costs O(descriptors)."""

import select
from typing import Final

from evkit.core.backends.contract import MaskTable
from evkit.core.flags import EV_CLOSED, EV_READ, EV_WRITE, FEATURE_EARLY_CLOSE, FEATURE_FDS

_POLLRDHUP: Final = getattr(select, "POLLRDHUP", 0)


def _to_native(wanted: int) -> int:
    native = 0
    if wanted & EV_READ:
        native |= select.POLLIN
    if wanted & EV_WRITE:
        native |= select.POLLOUT
    if wanted & EV_CLOSED:
        native |= _POLLRDHUP
    return native


def _from_native(native: int) -> int:
    """Translate as ``poll_dispatch`` does: errors and hang-ups wake reader and writer.

    They wake who waits for ``EV_CLOSED`` too: left out, as by libevent, the kernel reports them for ever.
    """
    what = 0
    if native & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
        what |= EV_READ | EV_WRITE | EV_CLOSED
    if native & select.POLLIN:
        what |= EV_READ
    if native & select.POLLOUT:
        what |= EV_WRITE
    if native & _POLLRDHUP:
        what |= EV_CLOSED
    return what


class PollBackend:
    """``Backend`` over ``select.poll``."""

    __slots__ = ("_poll", "masks")

    name: Final = "poll"
    features: Final = FEATURE_FDS | (FEATURE_EARLY_CLOSE if _POLLRDHUP else 0)

    def __init__(self) -> None:
        self._poll = select.poll()
        self.masks = MaskTable(_from_native)

    def change(self, fd: int, old: int, new: int) -> None:
        """See `Backend.change`. ``register`` replaces an earlier mask, so adding and changing are one."""
        if new:
            self._poll.register(fd, _to_native(new))
        elif old:
            self._poll.unregister(fd)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """See `Backend.wait`. ``select.poll`` rounds up to milliseconds, so no timer fires early."""
        return self._poll.poll(None if timeout is None else timeout * 1000.0)

    def close(self) -> None:
        """See `Backend.close`: there is no descriptor to give back."""
