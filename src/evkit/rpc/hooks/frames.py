"""Frames on their way through hooks: a layer between a connection and what carries it.

It decides where a frame ends, that none overtakes another that is paused, and what a hook may make of one. A frame
stays in the buffer that it came by until it is through, so that whatever is said there of ends, room and time holds for
those that hooks have, too. It knows nothing of what is in a frame.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from evkit.core.base import EventBase
from evkit.core.buffer import Buffer
from evkit.core.bufferevent.common import BufferEvent
from evkit.core.bufferevent.filter import FilterBufferEvent
from evkit.core.event import Event
from evkit.core.flags import BEV_FINISHED, BEV_NEED_MORE, BEV_OK, EV_READ, EV_WRITE
from evkit.errors import EvkitError
from evkit.rpc.errors import HookAborted
from evkit.rpc.hooks.context import FrameContext
from evkit.rpc.hooks.hooks import CONTINUE, INPUT, OUTPUT, PAUSE, Chain, Hooks
from evkit.rpc.limits import Limits
from evkit.rpc.protocol.scan import ScanError, Scanner

SUSPEND_FRAMES: Final = 0x40
"""Why a direction is held back: hooks have a frame. See ``SUSPEND_…`` of `evkit.core.bufferevent.common`."""
_ANY: Final = Limits(max_message=1 << 30, max_depth=1000, max_elements=(1 << 32) - 1, max_map=(1 << 32) - 1)
"""For what this side sends: how much of it the peer takes is the peer's matter."""


class FrameOwner(Protocol):
    """The connection whose frames they are."""

    @property
    def base(self) -> EventBase:
        """The event base."""

    @property
    def bev(self) -> BufferEvent:
        """The layer."""

    def refuse(self, error: EvkitError) -> object:
        """End it: a hook has said so."""

    def break_off(self, reason: str, offset: int) -> object:
        """End it when what came before is handed out: what begins at ``offset`` is no message."""

    def too_slow(self) -> object:
        """End it: a message takes longer than any may."""


class FrameLayer:
    """The frames of one connection, both ways.

    Args:
        owner: The connection.
        hooks: Its hooks, now and later.
        limits: Of what comes.
    """

    __slots__ = ("_input", "_output")

    def __init__(self, owner: FrameOwner, hooks: Hooks, limits: Limits) -> None:
        self._input = FrameGate(owner, hooks, INPUT, limits)
        self._output = FrameGate(owner, hooks, OUTPUT, _ANY)

    def over(self, below: BufferEvent) -> FilterBufferEvent:
        """Return the layer, which has ``below`` from now on, with its time-outs."""
        layer = FilterBufferEvent(below, self._input.filter, self._output.filter)
        layer.set_timeouts(below.read_timeout, below.write_timeout)
        below.set_timeouts()
        return layer

    @property
    def busy(self) -> bool:
        """Whether hooks have a frame that came."""
        return self._input.busy

    def close(self) -> None:
        """Let nothing through any more."""
        self._input.close()
        self._output.close()


class FrameGate:
    """One direction: a filter that asks hooks about each frame.

    Args:
        owner: See `FrameLayer`; likewise the others.
        direction: `INPUT` or `OUTPUT`.
    """

    __slots__ = (
        "_context",
        "_direction",
        "_hooks",
        "_limits",
        "_owner",
        "_passed",
        "_scanner",
        "_seen",
        "_timer",
        "_verdict",
        "_whole",
    )

    def __init__(self, owner: FrameOwner, hooks: Hooks, direction: int, limits: Limits) -> None:
        self._owner: FrameOwner | None = owner  # None: nothing passes any more
        self._hooks = hooks
        self._direction = direction
        self._limits = limits
        self._scanner = Scanner(limits)
        self._passed = 0  # bytes of frames that are through, as they came
        self._seen = 0  # bytes of the next one, as far as it has been looked at
        self._whole = False  # whether these are all
        self._context: FrameContext | None = None  # of the one that hooks have
        self._verdict: int | None = None  # what they have said of it
        self._timer: Event | None = None

    @property
    def busy(self) -> bool:
        """Whether hooks have a frame."""
        return self._context is not None

    def filter(self, source: Buffer, sink: Buffer, limit: int, mode: int) -> int:  # noqa: ARG002 - a frame is not cut
        """Let the next frame through: see `evkit.core.bufferevent.filter.Filter`."""
        owner = self._owner
        if owner is not None and self._verdict is None and not self.busy and self._find_end(source, owner):
            self._ask(FrameContext(owner, self._direction, source.copyout(self._seen)))
        if self._verdict is not None:
            self._judge(source, sink)
            return BEV_OK
        if mode == BEV_FINISHED and self._seen and not self._whole:
            source.remove_buffer(sink, source.length)  # above they know what to say of half a message
        return BEV_NEED_MORE

    def close(self) -> None:
        """Let nothing through any more."""
        self._owner = self._verdict = None
        context, self._context = self._context, None
        if context is not None:
            context.abandon()
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.free()

    # Where a frame ends

    def _find_end(self, source: Buffer, owner: FrameOwner) -> bool:
        """Look at what has come since; return whether there is a whole frame."""
        try:
            for piece in () if self._whole else source.peek(start=self._seen):
                end = self._scanner.scan(piece)
                self._whole = end >= 0
                self._seen += end if self._whole else len(piece)
                if self._whole:
                    break
        except ScanError as error:
            self._stop(owner.break_off, error.reason, self._passed + error.offset)
            return False
        self._watch(owner)
        return self._whole

    def _watch(self, owner: FrameOwner) -> None:
        """See that a frame whose beginning has come gets an end."""
        limit = self._limits.message_timeout
        if self._seen and not self._whole and self._direction == INPUT and limit is not None:
            if self._timer is None:
                self._timer = owner.base.timer(self._on_late)
            if not self._timer.pending():
                self._timer.add(limit)
        elif self._timer is not None:
            self._timer.delete()

    def _on_late(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        owner, limit = self._owner, self._limits.message_timeout
        if owner is None or limit is None:
            return
        if owner.bev.read_suspended:  # it is this side that does not read
            event.add(limit)
        else:
            owner.too_slow()

    # What hooks say

    def _ask(self, context: FrameContext) -> None:
        owner: FrameOwner = context.connection
        hooks = self._hooks.input_frames if self._direction == INPUT else self._hooks.output_frames
        context.chain = Chain(hooks, self._on_resumed, owner.base.escaped)
        self._context = context
        try:
            verdict = context.chain.start(context)
        except KeyboardInterrupt:
            self._context = None  # the program may go on, and then they are asked again
            self._suspend(owner)
            owner.base.call_soon(self._resume)
            raise
        if verdict != PAUSE:
            self._verdict = verdict
        elif self._context is not None:  # no hook has closed the connection
            self._suspend(owner)

    def _on_resumed(self, context: FrameContext, verdict: int) -> None:  # noqa: ARG002 - a callback
        self._verdict = verdict
        self._resume()

    def _suspend(self, owner: FrameOwner) -> None:
        owner.bev.suspend(self._bit, SUSPEND_FRAMES)

    def _resume(self) -> None:
        if self._owner is not None:
            self._owner.bev.resume(self._bit, SUSPEND_FRAMES)

    @property
    def _bit(self) -> int:
        return EV_READ if self._direction == INPUT else EV_WRITE

    def _judge(self, source: Buffer, sink: Buffer) -> None:
        """Do what hooks have said of the first frame."""
        owner, context, verdict = self._owner, self._context, self._verdict
        self._context = self._verdict = None
        if owner is None or context is None:
            return
        if verdict != CONTINUE:
            self._stop(owner.refuse, HookAborted("a hook refused a frame"))
        elif fault := _fault_of(context.data, self._limits):
            self._stop(owner.refuse, HookAborted(f"what a hook has made of a frame is no message: {fault}"))
        else:
            self._passed += source.drain(self._seen)
            self._seen, self._whole = 0, False
            sink.add(context.data)

    def _stop(self, end: Callable[..., object], *reason: Any) -> None:
        """Let nothing through any more, and end the connection when what came before has been handed on."""
        owner, self._owner = self._owner, None
        if owner is not None:
            self._suspend(owner)
            owner.base.call_soon(end, *reason)


def _fault_of(data: object, limits: Limits) -> str:
    """Tell why this can't be a frame; nothing, if it can."""
    if type(data) is not bytes:
        return f"expected bytes, got {type(data).__name__}"
    try:
        end = Scanner(limits).scan(data)
    except ScanError as error:
        return str(error)
    return "" if end == len(data) else f"expected one whole object, got {len(data)} bytes of another size"
