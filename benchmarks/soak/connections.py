"""The connections of a soak: whatever a user may do to one end of them.

The cast draws it, and decides of which connections bytes may be asked when all is over. What an end expects is the
business of `ends`, what it is made of that of `carriers`.
"""

import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from typing import Final

from evkit.core import (
    BEV_EVENT_CONNECTED,
    BEV_FINISHED,
    BEV_FLUSH,
    BEV_NORMAL,
    BEV_TRIG_DEFER_CALLBACKS,
    BEV_TRIG_IGNORE_WATERMARKS,
    EV_READ,
    EV_WRITE,
    Buffer,
    BufferEvent,
    RateLimit,
    RateLimitGroup,
    SocketBufferEvent,
    TLSBufferEvent,
)
from soak.carriers import Carriers, Ends
from soak.ends import End
from soak.streams import PATTERN, PERIOD, Stream
from soak.world import Operation, World, check

_BOTH: Final = EV_READ | EV_WRITE
_DIRECTIONS: Final = (EV_READ, EV_WRITE, _BOTH)
_SIZES: Final = (1, 10, 1000, 20_000, 300_000)
_MOST: Final = 24
_OWN_REASON: Final = 0x40
"""Why this program suspends reading: a bit that evkit has no use for."""


class Connections:
    """All of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ends: list[End] = []
        self._carriers = Carriers(world)
        self._raw: list[socket.socket] = []
        self._groups: list[RateLimitGroup] = []
        self._lent = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._file.write(PATTERN)
        self._file.flush()

    def operations(self) -> Sequence[Operation]:
        """See `Cast.operations`."""
        to_one: tuple[tuple[int, str, Callable[[End], object]], ...] = (
            (24, "send", self._send),
            (6, "take", self._take),
            (4, "enable", self._enable),
            (2, "disable", self._disable),
            (2, "time-outs", self._set_timeouts),
            (3, "watermark", self._set_watermark),
            (3, "trigger", self._trigger),
            (2, "flush", self._flush),
            (1, "connection priority", self._set_priority),
            (2, "suspend", self._suspend),
            (2, "callbacks", self._set_callbacks),
            (3, "rate limit", self._limit),
            (2, "rate limit group", self._join),
            (1, "setfd", self._setfd),
            (2, "close", self._close),
            (1, "close when drained", self._close_when_drained),
            (1, "shutdown", self._shut_down),
        )
        makers = (
            (3, "make sockets", self._carriers.sockets),
            (2, "make a pair", self._carriers.pair),
            (2, "make filters", self._carriers.filters),
            (1, "make TLS", self._carriers.tls),
            (2, "make a pipe", self._carriers.piped),
        )
        return (
            Operation(1, "connect", self._connect),
            Operation(2, "use a pipe", self._carriers.use_pipe),
            *(Operation(weight, name, self._to_one(act)) for weight, name, act in to_one),
            *(Operation(weight, name, self._maker(make)) for weight, name, make in makers),
        )

    def _maker(self, make: Callable[[], Ends]) -> Callable[[], None]:
        return lambda: self.keep(*make())

    def _to_one(self, act: Callable[[End], object]) -> Callable[[], None]:
        def run() -> None:
            if self.ends:
                end = self.world.random.choice(self.ends)
                self.world.note(type(end.bev).__name__, id(end) % 9973, "closed" if end.bev.closed else "")
                act(end)

        return run

    # Making

    def keep(self, one: BufferEvent, other: BufferEvent) -> None:
        """Watch over two ends of one connection."""
        there, back = Stream(), Stream()
        self.ends += (End(self.world, one, there, back), End(self.world, other, back, there))
        for bev in (one, other):
            if self.world.random.random() < 0.9:
                bev.enable(EV_READ)
        while len(self.ends) > _MOST:
            self.ends.pop(self.world.random.randrange(len(self.ends))).end()

    def _connect(self) -> None:
        """Connect to nobody."""
        bev = SocketBufferEvent(self.world.base)
        self.ends.append(End(self.world, bev, Stream(), Stream()))
        bev.connect(self.world.random.choice((("127.0.0.1", 1), "/nobody/is/here")))

    # To one of them

    def _send(self, end: End) -> None:
        size = self.world.random.choice(_SIZES)
        output = end.bev.output
        if output.length > 1_000_000:
            return
        way = self.world.random.randrange(6)
        start = end.out.sent % PERIOD
        data = end.out.next(size)
        if way == 0:
            self._lent += 1
            output.add_reference(data, self._give_back)
        elif way == 1:
            output.add_file(os.dup(self._file.fileno()), start, size)
        elif way == 2:
            output.add_buffer(Buffer(data))
        elif way == 3:
            output.reserve(size)[:] = data
            output.commit(size)
        elif way == 4:
            output.add_iovec([data[:3], data[3:]])
        else:
            end.bev.write(data)

    def _give_back(self, data: object) -> None:  # noqa: ARG002 - a callback
        self._lent -= 1

    def _take(self, end: End) -> None:
        way = self.world.random.randrange(3)
        data = end.bev.input
        if way == 0:
            target = bytearray(500)
            end.into.arrive(bytes(target[: data.remove_into(target)]))
        elif way == 1:
            moved = Buffer()
            moved.add_buffer(data)
            end.into.arrive(bytes(moved))
        else:
            end.into.arrive(end.bev.read(self.world.random.choice((None, 10))))

    def _enable(self, end: End) -> None:
        end.bev.enable(self.world.random.choice(_DIRECTIONS))

    def _disable(self, end: End) -> None:
        end.bev.disable(self.world.random.choice(_DIRECTIONS))

    def _set_timeouts(self, end: End) -> None:
        choices = (None, None, 0.0, 1.0, 10.0)
        end.bev.set_timeouts(self.world.random.choice(choices), self.world.random.choice(choices))

    def _set_watermark(self, end: End) -> None:
        direction = self.world.random.choice(_DIRECTIONS)
        low = self.world.random.choice((0, 0, 5, 3000))
        end.bev.set_watermark(direction, low, self.world.random.choice((None, None, 100, 5000)))

    def _trigger(self, end: End) -> None:
        options = self.world.random.choice((0, BEV_TRIG_DEFER_CALLBACKS, BEV_TRIG_IGNORE_WATERMARKS))
        if self.world.random.random() < 0.8:
            end.bev.trigger(self.world.random.choice(_DIRECTIONS), options)
        else:
            end.bev.trigger_event(BEV_EVENT_CONNECTED, options)

    def _flush(self, end: End) -> None:
        mode = self.world.random.choice((BEV_NORMAL, BEV_FLUSH, BEV_FLUSH, BEV_FINISHED))
        if mode == BEV_FINISHED:
            self._unsound(end)
        end.bev.flush(self.world.random.choice(_DIRECTIONS), mode)

    def _unsound(self, end: End) -> None:
        """Expect nothing of a connection any more, at either end."""
        for other in self.ends:
            if other is end or other.out is end.into:
                other.sound = False

    def _set_priority(self, end: End) -> None:
        end.bev.set_priority(self.world.random.randrange(3))

    def _suspend(self, end: End) -> None:
        act = self.world.random.choice((end.bev.suspend, end.bev.resume))
        act(EV_READ, _OWN_REASON)

    def _set_callbacks(self, end: End) -> None:
        chance = self.world.random.random()
        if chance < 0.3:
            end.bev.set_callbacks()
        elif chance < 0.8 or end.bev.closed:
            end.listen()
        elif end.entry is None:
            end.entry = end.bev.output.add_callback(end.on_output)
        else:
            end.entry.remove()
            end.entry = None

    def _limit(self, end: End) -> None:
        bev = end.bev
        if not isinstance(bev, SocketBufferEvent):
            return
        rate = self.world.random.choice((1, 1000, 100_000))
        limit = RateLimit(rate, 2 * rate, rate, tick=self.world.random.choice((0.1, 1.0)))
        chance = self.world.random.random()
        if chance < 0.5:
            bev.set_rate_limit(self.world.random.choice((None, limit)))
        elif chance < 0.7:
            bev.max_single_write = self.world.random.choice((None, 1, 5000))
        elif chance < 0.9:
            bev.max_single_read = self.world.random.choice((1, 65536, 65536))
        else:
            bev.decrement_read_limit(self.world.random.choice((-100, 100)))
            bev.decrement_write_limit(100)

    def _join(self, end: End) -> None:
        bev = end.bev
        if not isinstance(bev, SocketBufferEvent):
            return
        chance = self.world.random.random()
        if len(self._groups) < 2:
            limit = RateLimit(self.world.random.choice((100, 100_000)), write_rate=50_000)
            self._groups.append(RateLimitGroup(self.world.base, limit, pick=self.world.random.randrange))
        group = self.world.random.choice(self._groups)
        if chance < 0.7:
            group.add(bev)
        elif chance < 0.9:
            group.remove(bev)
        else:
            group.set_limit(RateLimit(self.world.random.choice((None, 1000)), write_rate=1000))
            group.min_share = self.world.random.choice((1, 64))

    def _setfd(self, end: End) -> None:
        bev = end.bev
        if not isinstance(bev, SocketBufferEvent):
            return
        self._unsound(end)
        end.into.broken = end.out.broken = True
        one, other = socket.socketpair()
        self._raw.append(other)
        if len(self._raw) > 4:
            self._raw.pop(0).close()
        new = None if self.world.random.random() < 0.3 else one
        try:
            if self.world.random.random() < 0.5:
                bev.replacefd(new)
            elif (former := bev.setfd(new)) is not None:
                former.close()
        finally:
            if bev.socket is not one:
                one.close()

    def _close(self, end: End) -> None:
        if self.world.random.random() < 0.8 and end in self.ends:
            self.ends.remove(end)
            end.end()
        else:  # and it is used all the same
            end.bev.close()

    def _close_when_drained(self, end: End) -> None:
        self._unsound(end)
        end.bev.close_when_drained()

    def _shut_down(self, end: End) -> None:
        self._unsound(end)
        if isinstance(end.bev, TLSBufferEvent) and self.world.random.random() < 0.5:
            end.into.broken = True  # what still comes is dropped, but for the last of it
            end.bev.shutdown(self.world.random.choice((None, 1.0)))
        else:
            end.bev.shutdown_write()

    # What must hold

    def verify(self) -> None:
        """See `Cast.verify`."""
        for end in self.ends:
            check(bool(end.closed) == end.bev.closed, "told of its end?", end.bev)

    def rehearse(self) -> None:
        """See `Cast.rehearse`: what nothing has happened to delivers all that was written to it."""
        for end in self.ends:
            end.sound = end.sound and end.bev not in self._carriers.disturbed
        sound = [end for end in self.ends if end.sound and self._peer(end) is not None]
        for end in self.ends:
            if end not in sound:
                end.end()  # it may read byte by byte, at a more urgent priority
        for end in sound:
            self._set_free(end)
        for _ in range(4):
            self.world.settle()
            self.world.clock.advance(0.01)
        for end in sound:
            peer = self._peer(end)
            if peer is not None and end.sound and peer.sound:
                check(
                    end.into.got == end.into.sent, end.into.got, "came of", end.into.sent, end.bev, peer.bev
                )

    def _peer(self, end: End) -> End | None:
        return next((other for other in self.ends if other.out is end.into and other.sound), None)

    def _set_free(self, end: End) -> None:
        bev = end.bev
        end.listen()
        bev.set_timeouts()
        bev.set_watermark(_BOTH)
        bev.resume(EV_READ, _OWN_REASON)
        if isinstance(bev, SocketBufferEvent):
            bev.set_rate_limit(None)
            bev.max_single_write = None
            bev.max_single_read = 1 << 20
            if bev.rate_limit_group is not None:
                bev.rate_limit_group.remove(bev)
        bev.enable(_BOTH)
        end.into.arrive(bev.read())
        if bev.output.length < 1_000_000:
            bev.write(end.out.next(10))

    def let_go(self) -> None:
        """See `Cast.let_go`."""
        for end in self.ends:
            end.end()
        self._carriers.let_go()
        for sock in self._raw:
            sock.close()
        for things in (self.ends, self._raw, self._groups):
            things.clear()

    def verify_gone(self) -> None:
        """See `Cast.verify_gone`."""
        self._carriers.verify_gone()
        check(not self._lent, self._lent, "pieces of memory were not given back")

    def close(self) -> None:
        """Give back what is left: at the end of the world."""
        self._file.close()
