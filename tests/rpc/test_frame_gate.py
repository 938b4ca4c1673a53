"""`FrameSplitter` and `FrameGate`: where frames end, however they come, and in which order they pass hooks."""

from itertools import pairwise
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core import EventBase
from evkit.rpc.frame_gate import FrameGate, FrameSplitter
from evkit.rpc.hook_context import FrameContext
from evkit.rpc.hooks import CONTINUE, INPUT, OUTPUT, PAUSE, TERMINATE, Chain, Hooks
from evkit.rpc.limits import Limits

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


class TestSplitter:
    @given(st.lists(VALUES, max_size=5), st.lists(st.integers(0, 400), max_size=8))
    def test_any_frames_cut_anyhow(self, values: list[Any], cuts: list[int]) -> None:
        frames = [msgpack.packb(value) for value in values]
        data = b"".join(frames)
        edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        splitter = FrameSplitter(Limits())
        got: list[bytes] = []
        for start, stop in pairwise(edges):
            got += splitter.take(data[start:stop])
        assert got == frames
        assert (splitter.partial, splitter.received, splitter.start) == (False, len(data), len(data))

    def test_byte_by_byte(self) -> None:
        data = msgpack.packb([0, 1, "add", [1, 2]]) + msgpack.packb(b"x" * 300)
        splitter = FrameSplitter(Limits())
        sizes = [len(frame) for at in range(len(data)) for frame in splitter.take(data[at : at + 1])]
        assert sizes == [10, 303]

    def test_where_a_partial_one_begins(self) -> None:
        splitter = FrameSplitter(Limits())
        assert splitter.take(b"\x01\x02\x93\x01") == [b"\x01", b"\x02"]
        assert (splitter.partial, splitter.start) == (True, 2)
        assert splitter.take(b"\x02\x03\x04") == [b"\x93\x01\x02\x03", b"\x04"]
        assert not splitter.partial

    @pytest.mark.parametrize("size", [1, 3, 100])
    def test_what_is_no_frame(self, size: int) -> None:
        data = b"\x01\x92\x01\xc1\x05"
        splitter = FrameSplitter(Limits())
        frames: list[bytes] = []
        for at in range(0, len(data), size):
            frames += splitter.take(data[at : at + size])
        assert frames == [b"\x01"]
        assert splitter.error is not None
        assert splitter.error[1] == 3
        assert (splitter.take(b"\x01"), splitter.partial) == ([], False)

    def test_one_that_is_too_long(self) -> None:
        splitter = FrameSplitter(Limits(max_message=100))
        assert splitter.take(b"\xc5\x04\x00") == []
        assert splitter.error is not None


class Gate:
    """A gate, and what came through."""

    base: EventBase

    def __init__(self, base: EventBase, direction: int = OUTPUT, **limits: Any) -> None:
        self.base = base
        self.limits = Limits(**limits)
        self.hooks = Hooks()
        self.out: list[bytes] = []
        self.refused: list[str] = []
        self.resumed = 0
        self.gate = FrameGate(
            self,
            direction,
            lambda: self.hooks.output_frames if direction == OUTPUT else self.hooks.input_frames,
            resume=self.resume,
            through=self.out.append,
            refused=self.refused.append,
            resumed=self.on_resumed,
        )

    def resume(self, chain: Chain[Any], verdict: int) -> None:
        chain.resume(verdict)

    def on_resumed(self) -> None:
        self.resumed += 1


@pytest.fixture
def gate(base: EventBase) -> Gate:
    return Gate(base)


class TestGate:
    def test_without_hooks(self, gate: Gate) -> None:
        gate.gate.put([b"\x01", b"\x02"])
        assert (gate.out, gate.gate.busy) == ([b"\x01", b"\x02"], False)

    def test_hooks_rewrite_in_order(self, gate: Gate) -> None:
        def wrap(context: FrameContext) -> None:
            assert (context.connection, context.direction) == (gate, OUTPUT)
            context.data = b"\x91" + context.data

        gate.hooks.add(OUTPUT, wrap, frames=True)
        gate.hooks.add(OUTPUT, wrap, frames=True)
        gate.gate.put([b"\x01"])
        assert gate.out == [b"\x91\x91\x01"]

    def test_none_overtakes_one_that_is_paused(self, gate: Gate) -> None:
        contexts: list[FrameContext] = []

        def hook(context: FrameContext) -> int:
            contexts.append(context)
            return PAUSE if context.data == b"\x02" else CONTINUE

        gate.hooks.add(OUTPUT, hook, frames=True)
        gate.gate.put([b"\x01", b"\x02", b"\x03"])
        gate.gate.put([b"\x02", b"\x04"])
        assert (gate.out, gate.gate.busy, gate.resumed) == ([b"\x01"], True, 0)
        contexts[-1].resume(CONTINUE)
        assert (gate.out, gate.resumed) == ([b"\x01", b"\x02", b"\x03"], 1)
        contexts[-1].resume(CONTINUE)
        assert gate.out == [b"\x01", b"\x02", b"\x03", b"\x02", b"\x04"]
        assert (gate.gate.busy, gate.resumed) == (False, 2)

    def test_a_hook_that_sends_does_not_overtake(self, gate: Gate) -> None:
        def hook(context: FrameContext) -> None:
            if context.data == b"\x01":
                gate.gate.put([b"\x09"])

        gate.hooks.add(OUTPUT, hook, frames=True)
        gate.gate.put([b"\x01", b"\x02"])
        assert gate.out == [b"\x01", b"\x02", b"\x09"]

    def test_thousands_that_resume_themselves(self, gate: Gate) -> None:
        def hook(context: FrameContext) -> int:
            context.resume(CONTINUE)
            return PAUSE

        gate.hooks.add(OUTPUT, hook, frames=True)
        gate.gate.put([b"\x01"] * 5000)
        assert len(gate.out) == 5000

    def test_terminate(self, gate: Gate) -> None:
        gate.hooks.add(OUTPUT, lambda context: TERMINATE, frames=True)
        gate.gate.put([b"\x01"])
        assert (gate.out, gate.refused) == ([], ["a hook refused a frame"])

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x01\x02",
            b"\x92\x01",
            b"\xc1",
            b"\xa5abc",
            None,
            "text",
            bytearray(b"\x01"),
            bytes([0xC5, 1, 0]) + bytes(256),
        ],
    )
    def test_what_is_not_one_object(self, base: EventBase, data: Any) -> None:
        gate = Gate(base, max_message=200)
        gate.hooks.add(OUTPUT, lambda context: setattr(context, "data", data), frames=True)
        gate.gate.put([b"\x01"])
        assert gate.out == []
        assert "what a hook has made of a frame is no message" in gate.refused[0]

    def test_close(self, gate: Gate) -> None:
        contexts: list[FrameContext] = []

        def hook(context: FrameContext) -> int:
            contexts.append(context)
            return PAUSE

        gate.hooks.add(OUTPUT, hook, frames=True)
        gate.gate.put([b"\x01", b"\x02"])
        gate.gate.close()
        contexts[0].resume(CONTINUE)
        assert (gate.out, gate.gate.busy, len(contexts), gate.resumed) == ([], False, 1, 0)

    def test_a_hook_that_closes(self, gate: Gate) -> None:
        gate.hooks.add(OUTPUT, lambda context: gate.gate.close(), frames=True)
        gate.gate.put([b"\x01", b"\x02"])
        assert (gate.out, gate.gate.busy) == ([], False)

    def test_the_text_of_a_context(self, base: EventBase) -> None:
        gate = Gate(base, INPUT)
        seen: list[str] = []
        gate.hooks.add(INPUT, lambda context: seen.append(repr(context)), frames=True)
        gate.gate.put([b"\x01"])
        assert seen == ["<FrameContext INPUT 1 bytes>"]
