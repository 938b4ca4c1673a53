"""What an event base asks of the operating system: libevent's ``eventop``, in three methods.

A backend knows descriptors and masks. It knows nothing of events, timers or callbacks, and hears only when what is
wanted of a descriptor changes (`evkit.core.evmap` counts), so each of them is a page.

Where the system refuses a descriptor, some backends learn it at once and raise, others only when they wait. The late
ones report such a descriptor as ready, at every wait until it is forgotten: whoever waits for it, for whatever, is
called and learns the reason from the call that follows. No event goes deaf without a word.
"""

from collections.abc import Callable
from typing import Final, Protocol

from evkit.core.flags import EV_CLOSED, EV_READ, EV_WRITE

IO_BITS: Final = EV_READ | EV_WRITE | EV_CLOSED


def same(bits: int) -> int:
    """Translate for a backend whose native masks are ``EV_…`` bits already."""
    return bits


class MaskTable(dict[int, int]):
    """Native readiness masks to ``EV_…`` bits; each mask is translated once, then looked up."""

    def __init__(self, translate: Callable[[int], int]) -> None:
        super().__init__()
        self._translate = translate

    def __missing__(self, native: int) -> int:
        bits = self[native] = self._translate(native)
        return bits


class Backend(Protocol):
    """One way of waiting for descriptors."""

    masks: MaskTable
    """Translates what `wait` reports."""

    @property
    def name(self) -> str:
        """As libevent spells it: ``"kqueue"``, ``"epoll"``, ``"poll"``, ``"select"``."""

    @property
    def features(self) -> int:
        """``FEATURE_…`` bits."""

    def change(self, fd: int, old: int, new: int) -> None:
        """Want ``new`` of ``fd`` in place of ``old``.

        Args:
            fd: A descriptor that was open when the event was added; it may have been closed, or reused, since.
            old: The mask of the call before (0: none), of ``EV_READ``, ``EV_WRITE``, ``EV_CLOSED``, ``EV_ET``.
            new: The mask from now on; 0 forgets the descriptor and never fails.

        Raises:
            OSError: The system refuses the descriptor. A backend that gathers changes never raises, see above.
        """

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """Wait until something is ready, at most ``timeout`` seconds, never less where nothing is.

        The loop asks for 35 minutes at most.

        Returns:
            Descriptors with their native mask, to be looked up in `masks`. Empty after the time-out.
        """

    def close(self) -> None:
        """Give the backend's own descriptor back. May be called twice."""
