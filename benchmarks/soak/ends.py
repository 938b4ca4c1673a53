"""One end of a soak's connection: what its callbacks do, and what may still come.

An `End` decides whether a callback was due, and compares what arrives with what was sent. It knows nothing of what
carries the bytes, nor of what else is done to the connection.
"""

from evkit.core import BEV_EVENT_CONNECTED, Buffer, BufferCallback, BufferEvent, BufferInfo
from soak.streams import Stream
from soak.world import PlannedError, World, check


class End:
    """One end of a connection.

    Attributes:
        bev: The connection.
        out: What it sends.
        into: What it receives.
        sound: Nothing has happened to this direction or that after which bytes may stay away.
        closed: How often `on_close` was called.
    """

    def __init__(self, world: World, bev: BufferEvent, out: Stream, into: Stream) -> None:
        self.world = world
        self.bev = bev
        self.out = out
        self.into = into
        self.sound = True
        self.closed = 0
        self.entry: BufferCallback | None = None
        bev.on_close = self.on_close
        self.listen()

    def listen(self) -> None:
        """Set the callbacks."""
        self.bev.set_callbacks(self.on_read, self.on_write, self.on_event)

    def on_read(self, bev: BufferEvent) -> None:
        """Take some or all of what has come."""
        self._hear(bev)
        size = None if self.world.muted else self.world.random.choice((None, None, 1, 1000))
        self.into.arrive(bev.read(size))
        self.world.react()

    def on_write(self, bev: BufferEvent) -> None:
        """Be told that something was sent."""
        self._hear(bev)
        self.world.react()

    def on_event(self, bev: BufferEvent, what: int) -> None:
        """Be told of anything else; most of it is an end."""
        self._hear(bev)
        self.sound = self.sound and what == BEV_EVENT_CONNECTED
        self.world.react()

    def _hear(self, bev: BufferEvent) -> None:
        check(bev is self.bev and not self.closed and not bev.closed, "called after close:", bev)

    def on_close(self, bev: BufferEvent) -> None:
        """Be told of the end."""
        check(bev.closed, "not closed:", bev)
        self.closed += 1
        check(self.closed == 1, "closed twice:", bev)
        self.sound = False
        self.world.react()

    def end(self) -> None:
        """Close it, and let go of it."""
        self.bev.close()
        if self.entry is not None:
            self.entry.remove()
            self.entry = None

    def on_output(self, buffer: Buffer, info: BufferInfo) -> None:  # noqa: ARG002 - a callback
        """Hear of a change of the output."""
        check(info.added or info.deleted, "told of nothing")
        if not self.world.muted and self.world.random.random() < 0.02:
            raise PlannedError("a callback of a buffer fails")
