"""A connection in memory to put layers on: what arrives and what is taken is the test's to say."""

from collections.abc import Callable

from evkit.core.base import EventBase
from evkit.core.bufferevent import BufferEvent
from evkit.core.flags import (
    BEV_EVENT_EOF,
    BEV_EVENT_READING,
    EV_READ,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
    bev_bits,
    event_bits,
)


class Below(BufferEvent):
    """A transport that notes what it sends.

    Attributes:
        sent: What it took.
        room: Bytes that it takes yet; ``None``: any number.
        shut: Whether it has ended the stream.
    """

    __slots__ = ("__weakref__", "_ends", "room", "sent", "shut")

    def __init__(self, base: EventBase) -> None:
        super().__init__(base)
        self.sent = b""
        self.room: int | None = None
        self.shut = self._ends = False

    def reads(self) -> bool:
        """Return whether anything that came would be taken."""
        return bool(self.enabled & EV_READ) and not self._read_suspended

    def arrive(self, data: bytes) -> None:
        assert self.reads(), "nobody reads"
        self.input.feed(data)
        if self._read_callback and self.input.length >= self._read_low:
            self._call(self._read_callback)

    def arrive_end(self) -> None:
        self._failed(EV_READ, BEV_EVENT_READING | BEV_EVENT_EOF, None)

    def take(self, size: int | None) -> None:
        """Send so many bytes more."""
        self.room = size
        self.flush_output()

    def flush_output(self) -> None:
        self._flush_queued = False
        size = self.output.length if self.room is None else min(self.room, self.output.length)
        if self._write_held or not size:
            self._end()
            return
        if self.room is not None:
            self.room -= size
        self.sent += bytes(self.output.pullup(size))
        self.output.spend(size)
        if self.output.length <= self._write_low and self._write_callback:
            self._call(self._write_callback)
        self._end()

    def shutdown_write(self) -> None:
        self._ends = True
        self._end()

    def _end(self) -> None:
        self.shut = self._ends and not self.output

    def _start(self, events: int) -> None:
        pass

    def _stop(self, events: int) -> None:
        pass

    def _adjust_timeouts(self) -> None:
        pass

    def _close_transport(self) -> None:
        pass


class Noted(BufferEvent):
    """A transport that carries nothing, and notes in ``log`` what it is told."""

    __slots__ = ("flushes", "log")

    def __init__(self, base: EventBase) -> None:
        self.log: list[str] = []
        self.flushes = 0
        super().__init__(base)

    def _start(self, events: int) -> None:
        if events:
            self.log.append(f"start {event_bits(events)}")

    def _stop(self, events: int) -> None:
        self.log.append(f"stop {event_bits(events)}")

    def _adjust_timeouts(self) -> None:
        self.log.append("adjust")

    def _close_transport(self) -> None:
        self.log.append("close")

    def flush_output(self) -> None:
        self.flushes += 1
        self._flush_queued = False

    def arrive(self, data: bytes) -> None:
        self.input.feed(data)

    def take_log(self) -> list[str]:
        log, self.log = self.log, []
        return log


class Ear:
    """Callbacks that note what they hear: ``"read b'…'"``, ``"write"``, and events in words with their error."""

    def __init__(self, bev: BufferEvent, *, takes: bool = True) -> None:
        self.heard: list[str] = []
        self.data = b""
        self.takes = takes
        bev.set_callbacks(self.on_read, self.on_write, self.on_event)

    def on_read(self, bev: BufferEvent) -> None:
        if self.takes:
            data = bev.read()
            self.data += data
            self.heard.append(f"read {len(data)}")
        else:
            self.heard.append("read")

    def on_write(self, bev: BufferEvent) -> None:
        self.heard.append("write")

    def on_event(self, bev: BufferEvent, what: int) -> None:
        self.heard.append(bev_bits(what) + (f" {bev.error}" if bev.error else ""))

    def take(self) -> list[str]:
        heard, self.heard = self.heard, []
        return heard


def each(*acts: Callable[..., object]) -> Callable[..., None]:
    """Make one callback of several."""

    def act(*args: object) -> None:
        for one in acts:
            one(*args)

    return act


def until(base: EventBase, done: Callable[[], object]) -> None:
    """Run until ``done()`` is true; fail after ten seconds."""
    turn(base)
    late: list[int] = []
    guard = base.timer(lambda _event, _what: late.append(1))
    guard.add(10)
    while not done():
        base.loop(EVLOOP_ONCE)
        assert not late, done
    guard.delete()


def turn(base: EventBase) -> None:
    """Run what can run without waiting."""
    base.loop(EVLOOP_NONBLOCK)
