"""`FramedConnection`: a connection whose frames pass hooks, as bytes.

The doer of `FrameGate`: it brings frames to the gates, and takes on what is through. It decides that nothing is read
while a frame is paused. It knows nothing of what is in a frame.
"""

from typing import Any, Final

from evkit.core.bufferevent.common import BufferEvent
from evkit.core.flags import EV_READ
from evkit.rpc.connection import Connection
from evkit.rpc.errors import HookAborted
from evkit.rpc.frame_gate import FrameGate, FrameSplitter
from evkit.rpc.hooks import INPUT, OUTPUT, Chain, Hooks, check_verdict
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.session import Session

SUSPEND_INPUT_FRAMES: Final = 0x100
SUSPEND_OUTPUT_FRAMES: Final = 0x200
"""Why reading is held back: a frame is paused."""


class _Session(Session[Any]):
    """A session that gets whole frames, and knows of the one that is not whole."""

    __slots__ = ("splitter",)

    def __init__(self, coders: Coders, splitter: FrameSplitter) -> None:
        super().__init__(coders)
        self.splitter = splitter

    @property
    def partial(self) -> bool:
        """See `Intake.partial`."""
        return self.splitter.partial

    @property
    def partial_start(self) -> int:
        """See `Intake.partial_start`."""
        return self.splitter.start


class FramedConnection(Connection):
    """A connection with hooks of frames; without any at its beginning it never has any.

    Args:
        hooks: Shared by all connections of their owner.
        arguments: As for a `Connection`.
    """

    __slots__ = ("_finishing", "_gate_in", "_gate_out", "_hooks", "_passed", "_plain", "_splitter")

    def __init__(self, hooks: Hooks, *arguments: Any, **options: Any) -> None:
        self._hooks = hooks
        self._finishing = False
        self._passed: list[bytes] = []  # through the hooks, and not in the output yet
        self._plain: list[bytes] = []  # what they were before
        self._splitter: FrameSplitter | None = None
        self._gate_in: FrameGate | None = None
        self._gate_out: FrameGate | None = None
        super().__init__(*arguments, **options)
        if hooks.input_frames or hooks.output_frames:
            self._make_gates(arguments[1])

    def _make_gates(self, coders: Coders) -> None:
        self._splitter = FrameSplitter(coders.limits)
        self.session = session = _Session(coders, self._splitter)
        self._gate_in = FrameGate(
            self,
            INPUT,
            lambda: self._hooks.input_frames,
            resume=self._resume,
            through=session.receive,
            refused=self._on_refused,
            resumed=self._on_input_resumed,
        )
        self._gate_out = FrameGate(
            self,
            OUTPUT,
            lambda: self._hooks.output_frames,
            resume=self._resume,
            through=self._passed.append,
            refused=self._on_refused,
            resumed=self._on_output_resumed,
        )

    def _resume(self, chain: Chain[Any], verdict: int) -> None:
        check_verdict(verdict)
        if self.base.in_thread():
            chain.resume(verdict)
        else:
            self.base.call_soon_threadsafe(chain.resume, verdict)

    # In

    def _on_read(self, bev: BufferEvent) -> None:
        splitter, gate = self._splitter, self._gate_in
        if splitter is None or gate is None:
            super()._on_read(bev)
            return
        gate.put(splitter.take(bev.input.remove()))
        self._after_frames()

    def _after_frames(self) -> None:
        """Hand out what is through, and wait for what is not."""
        splitter, gate = self._splitter, self._gate_in
        if splitter is None or gate is None or self.closed:
            return
        if gate.busy:
            self.bev.suspend(EV_READ, SUSPEND_INPUT_FRAMES)
        else:
            self.bev.resume(EV_READ, SUSPEND_INPUT_FRAMES)
            if splitter.error is not None:
                self.session.fail(*splitter.error)
        if not self.session.held:
            self._deliver()

    def _on_input_resumed(self) -> None:
        self.base.call_soon(self._after_frames)  # this may be inside a hand-out

    # Out

    def flush_output(self) -> None:
        """See `Link.flush_output`."""
        gate = self._gate_out
        if gate is None:
            super().flush_output()
            return
        self._plain, self._out = self._out, []
        gate.put(self._plain)
        sent_by_hooks, self._out = self._out, self._passed[:]
        self._passed.clear()
        if self.closed:
            return
        super().flush_output()
        self._plain = []
        for data in sent_by_hooks:
            self.send(data)
        if gate.busy:
            self.bev.suspend(EV_READ, SUSPEND_OUTPUT_FRAMES)

    def _weigh(self, out: list[bytes]) -> None:  # noqa: ARG002 - the superclass's
        super()._weigh(self._plain)  # which of them are answers can be seen before the hooks alone

    def _on_output_resumed(self) -> None:
        if self.closed or self._gate_out is None:
            return
        self.flush_output()
        if not self._gate_out.busy:
            self.bev.resume(EV_READ, SUSPEND_OUTPUT_FRAMES)
            if self._finishing:
                super().finish()

    def _on_refused(self, reason: str) -> None:
        if not self.closed:
            self.refuse(HookAborted(reason))

    # The end

    def _finish_if_done(self) -> None:
        if self._gate_in is None or not self._gate_in.busy:
            super()._finish_if_done()

    def finish(self) -> None:
        """See `Link.finish`. Frames that are paused go first."""
        self.flush_output()
        if self._gate_out is not None and self._gate_out.busy:
            self._finishing = True
        else:
            super().finish()

    def gone(self) -> None:
        """See `Connection.gone`."""
        for gate in (self._gate_in, self._gate_out):
            if gate is not None:
                gate.close()
        super().gone()
