"""Frames on their way through hooks: cut out of what comes, and let through one after the other.

It decides where a frame ends, that none overtakes another that is paused, and what a hook may make of one. It knows
nothing of connections; who has a gate says where frames come from, and where they go.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from evkit.core.buffer.segments import Readable
from evkit.rpc.hook_context import FrameContext
from evkit.rpc.hooks import CONTINUE, PAUSE, Chain, Hook
from evkit.rpc.limits import Limits
from evkit.rpc.scan import ScanError, Scanner


class FrameSplitter:
    """Cuts bytes that come in any pieces into frames.

    Args:
        limits: Of what a frame may be.

    Attributes:
        received: Bytes that were taken so far.
        start: Where the frame begins that has come in part, in bytes since the connection began.
        error: What was wrong, and where; nothing is cut any more then.
    """

    __slots__ = ("_pieces", "_scanner", "error", "received", "start")

    def __init__(self, limits: Limits) -> None:
        self._scanner = Scanner(limits)
        self._pieces: list[bytes] = []
        self.received = 0
        self.start = 0
        self.error: tuple[str, int] | None = None

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and is not whole."""
        return bool(self._pieces)

    def take(self, data: Readable) -> list[bytes]:
        """Take what has come; return the frames that are whole now."""
        frames: list[bytes] = []
        data = bytes(data)
        position, size = 0, len(data)
        while position < size and self.error is None:
            position = self._cut(data, position, frames)
        self.received += size
        return frames

    def _cut(self, data: bytes, position: int, frames: list[bytes]) -> int:
        """Look for the end of one frame; return where the next one begins."""
        try:
            end = self._scanner.scan(data, position)
        except ScanError as error:
            self.error = (error.reason, self.start + error.offset)
            self._pieces.clear()
            return len(data)
        self._pieces.append(data[position:] if end < 0 else data[position:end])
        if end < 0:
            return len(data)
        frames.append(b"".join(self._pieces))
        self._pieces.clear()
        self.start = self.received + end
        return end


class FrameGate:
    """Lets frames of one direction through its hooks, in order.

    Args:
        connection: What the hooks are told of; its ``base`` hears what they raise.
        direction: `INPUT` or `OUTPUT`.
        hooks: ``hooks()`` returns the hooks as they are now.
        through: ``through(data)`` takes a frame that is through.
        refused: ``refused(reason)`` hears that a hook has ended it all; there may be no reason but that.
        resumed: ``resumed()`` hears that it went on after a pause.

    Attributes:
        waiting: Frames behind the one that is paused.
    """

    __slots__ = (
        "_connection",
        "_context",
        "_direction",
        "_hooks",
        "_refused",
        "_resume",
        "_resumed",
        "_through",
        "waiting",
    )

    def __init__(
        self,
        connection: Any,
        direction: int,
        hooks: Callable[[], tuple[Hook, ...]],
        *,
        resume: Callable[[Chain[Any], int], object],
        through: Callable[[bytes], object],
        refused: Callable[[str], object],
        resumed: Callable[[], object],
    ) -> None:
        self._connection = connection
        self._direction = direction
        self._hooks = hooks
        self._resume = resume
        self._through = through
        self._refused = refused
        self._resumed = resumed
        self._context: FrameContext | None = None  # of the frame in the gate
        self.waiting: deque[bytes] = deque()

    @property
    def busy(self) -> bool:
        """Whether any frame is not through."""
        return self._context is not None or bool(self.waiting)

    def put(self, frames: list[bytes]) -> None:
        """Let frames through, after those that wait."""
        self.waiting.extend(frames)
        self._run()

    def close(self) -> None:
        """Let none through any more."""
        self.waiting.clear()
        context, self._context = self._context, None
        if context is not None and context.chain is not None:
            context.chain.abandon()

    def _run(self) -> None:
        while self.waiting and self._context is None:
            context = FrameContext(self._connection, self._direction, self._resume, self.waiting.popleft())
            context.chain = Chain(self._hooks(), context, self._on_resumed, self._connection.base.escaped)
            self._context = context  # before the hooks run: what one of them sends must not overtake
            verdict = context.chain.start()
            if verdict == PAUSE:
                return
            self._pass(context, verdict)

    def _on_resumed(self, context: FrameContext, verdict: int) -> None:
        self._pass(context, verdict)
        self._run()
        self._resumed()

    def _pass(self, context: FrameContext, verdict: int) -> None:
        self._context = None
        if verdict != CONTINUE:
            self._refused("a hook refused a frame")
            return
        fault = _fault_of(context.data, self._connection.limits)
        if fault is None:
            self._through(context.data)
        else:
            self._refused(f"what a hook has made of a frame is no message: {fault}")


def _fault_of(data: object, limits: Limits) -> str | None:
    """Tell why this can't be a frame."""
    if type(data) is not bytes:
        return f"expected bytes, got {type(data).__name__}"
    try:
        end = Scanner(limits).scan(data)
    except ScanError as error:
        return str(error)
    return None if end == len(data) else f"expected one whole object, got {len(data)} bytes of another size"
