"""A buffered connection without a descriptor: time-outs by timers of its own, bytes that are moved and not read.

What a pair and the layers share. It decides when silence is counted: in a direction that is enabled, held back by
nothing on this side, and, for writing, has something to write. It knows nothing of where the bytes come from.
"""

from typing import TYPE_CHECKING, Final

from evkit.core.buffer import NO_LIMIT, Buffer
from evkit.core.bufferevent.common import BufferEvent
from evkit.core.bufferevent.gate import HELD_CLOSED, HELD_CONNECTING, HELD_WAITING
from evkit.core.event import Event, QueueEntry
from evkit.core.flags import EV_READ, EV_TIMEOUT, EV_WRITE, event_bits

if TYPE_CHECKING:
    from evkit.core.base import EventBase

_NOT_OPEN: Final = HELD_CLOSED | HELD_CONNECTING


class VirtualBufferEvent(BufferEvent):
    """A `BufferEvent` whose silence is measured by timers. Source: ``bufferevent_init_generic_timeout_cbs_``."""

    __slots__ = ("_read_timer", "_write_timer")

    def __init__(self, base: "EventBase", *, defer_callbacks: bool = False) -> None:
        self._read_timer: Event | None = None
        self._write_timer: Event | None = None
        super().__init__(base, defer_callbacks=defer_callbacks)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self._state()} enabled={event_bits(self.enabled)} "
            f"input={len(self.input)} output={len(self.output)}>"
        )

    def _state(self) -> str:
        return "closed" if self.closed else "open"

    # What may flow

    def _reads(self, ignored: int = 0) -> bool:
        """Whether the user wants input, and nothing is against it; ``ignored`` are reasons that do not count."""
        if self._read_suspended & ~ignored or self._write_held & _NOT_OPEN:
            return False
        return bool(self.enabled & EV_READ)

    def room(self) -> int:
        """Return how many bytes the input may take."""
        return max(0, self._read_high - self.input.length) if self._read_high else NO_LIMIT

    # Silence

    def _tend_timers(self, events: int, *, anew: bool = False) -> None:
        """Begin to count silence where that is due by now, and stop where it no longer is.

        Args:
            events: The directions concerned.
            anew: Something has moved: silence that goes on began now.
        """
        if events & EV_READ and (self._read_timer is not None or self.read_timeout is not None):
            due = self._reads()
            self._read_timer = self._tend(self._read_timer, self.read_timeout, due=due, anew=anew)
        if events & EV_WRITE and (self._write_timer is not None or self.write_timeout is not None):
            due = not self._write_held & ~HELD_WAITING and self._unsent() > 0
            self._write_timer = self._tend(self._write_timer, self.write_timeout, due=due, anew=anew)

    def _note_input(self) -> None:
        """Count the silence of reading anew: something has come."""
        timer, timeout = self._read_timer, self.read_timeout
        if timer is not None and timeout is not None:
            deadline = (self.base.pass_time or self.base.now()) + timeout
            if timer.deadline <= deadline:  # it counts, for one that does not has an infinite deadline
                timer.deadline = deadline  # as `Event.run`: only ever later, so the heap need not hear of it
                return
        self._tend_timers(EV_READ, anew=True)

    def _tend(self, timer: Event | None, timeout: float | None, *, due: bool, anew: bool) -> Event | None:
        if timeout is None or not due:
            if timer is not None:
                timer.delete()
            return timer
        if timer is None:
            timer = self.base.timer(self._on_timer)
            timer.level = self._priority
        if anew or not timer.pending(EV_TIMEOUT):
            timer.add(timeout)
        return timer

    def _on_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._timed_out(EV_READ if event is self._read_timer else EV_WRITE)

    # The contract of BufferEvent

    def _start(self, events: int) -> None:
        """See `BufferEvent._start`."""
        self._tend_timers(events)

    def _stop(self, events: int) -> None:
        """See `BufferEvent._stop`."""
        self._tend_timers(events)

    def _adjust_timeouts(self) -> None:
        """See `BufferEvent._adjust_timeouts`."""
        self._tend_timers(EV_READ | EV_WRITE, anew=True)

    def _queue_entries(self) -> list[QueueEntry]:
        """See `BufferEvent._queue_entries`."""
        timers = [timer for timer in (self._read_timer, self._write_timer) if timer is not None]
        return [*super()._queue_entries(), *timers]

    def _close_transport(self) -> None:
        """See `BufferEvent._close_transport`."""
        for timer in (self._read_timer, self._write_timer):
            if timer is not None:
                timer.free()
        self._read_timer = self._write_timer = None


def move(source: Buffer, target: Buffer, size: int) -> int:
    """Move up to ``size`` bytes as `Buffer.remove_buffer` does, between ends that are frozen against users."""
    source.unfreeze(front=True)
    target.unfreeze(back=True)
    try:
        return source.remove_buffer(target, size)
    finally:
        source.freeze(front=True)
        target.freeze(back=True)
