"""Frames that pass hooks as bytes: a gate by itself, a connection with a peer that is played, and one with another."""

import gc
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core import (
    BEV_FINISHED,
    BEV_NEED_MORE,
    BEV_NORMAL,
    BEV_OK,
    EV_READ,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    Buffer,
    EventBase,
)
from evkit.errors import EvkitError
from evkit.rpc import CallLost, HookAborted, Overloaded, Service
from evkit.rpc.hooks.context import FrameContext
from evkit.rpc.hooks.frames import SUSPEND_FRAMES, FrameGate
from evkit.rpc.hooks.hooks import CONTINUE, INPUT, OUTPUT, PAUSE, TERMINATE, Hooks
from evkit.rpc.limits import Limits
from evkit.testing import ManualClock
from rpc_aids import Make, Peer


def wrap(context: FrameContext) -> None:
    context.data = msgpack.packb(msgpack.ExtType(1, zlib.compress(context.data)))


def unwrap(context: FrameContext) -> None:
    context.data = zlib.decompress(msgpack.unpackb(context.data).data)


class Pauses:
    def __init__(self) -> None:
        self.contexts: list[FrameContext] = []

    def __call__(self, context: FrameContext) -> int:
        self.contexts.append(context)
        return PAUSE


def request(number: int, what: Any) -> bytes:
    data: bytes = msgpack.packb([0, number, "echo", [what]])
    return data


class Gate:
    """A gate, the buffers on both of its sides, and its connection, which the test plays."""

    def __init__(self, base: EventBase, direction: int = INPUT, **limits: Any) -> None:
        self.base = base
        self.bev: Any = self
        self.direction = direction
        self.hooks = Hooks()
        self.source, self.sink = Buffer(), Buffer()
        self.suspended = 0
        self.ends: list[Any] = []
        self.gate = FrameGate(self, self.hooks, direction, Limits(**limits))

    def add(self, hook: Callable[[FrameContext], int | None]) -> None:
        self.hooks.add(self.direction, hook, frames=True)

    def put(self, data: bytes = b"", mode: int = BEV_NORMAL) -> bytes:
        """Have it come; return what goes through by that, as a layer has it go."""
        self.source.add(data)
        while not self.suspended and self.gate.filter(self.source, self.sink, 1 << 20, mode) == BEV_OK:
            pass
        return self.sink.remove()

    # What a connection has

    @property
    def read_suspended(self) -> int:
        return self.suspended

    def suspend(self, events: int, reason: int) -> None:
        assert events == (EV_READ if self.direction == INPUT else EV_WRITE)
        self.suspended |= reason

    def resume(self, events: int, reason: int) -> None:
        assert events == (EV_READ if self.direction == INPUT else EV_WRITE)
        self.suspended &= ~reason

    def refuse(self, error: EvkitError) -> None:
        self.ends.append(str(error))

    def break_off(self, reason: str, offset: int) -> None:
        self.ends.append((reason, offset))

    def too_slow(self) -> None:
        self.ends.append("slow")


@pytest.fixture
def gate(manual_base: EventBase) -> Iterator[Gate]:
    gate = Gate(manual_base)
    yield gate
    gate.gate.close()


VALUES = st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


class TestGate:
    @given(st.lists(VALUES, max_size=5), st.lists(st.integers(0, 400), max_size=8))
    def test_any_frames_cut_anyhow(self, values: list[Any], cuts: list[int]) -> None:
        frames = [msgpack.packb(value) for value in values]
        data = b"".join(frames)
        edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        seen: list[bytes] = []
        with EventBase() as base:
            gate = Gate(base)
            gate.add(lambda context: seen.append(context.data))
            through = b"".join(gate.put(data[start:stop]) for start, stop in pairwise(edges))
            assert (seen, through, gate.source.length) == (frames, data, 0)
            gate.gate.close()

    def test_without_hooks(self, gate: Gate) -> None:
        assert gate.put(b"\x01\x02") == b"\x01\x02"
        assert not gate.gate.busy

    def test_hooks_rewrite_in_order(self, gate: Gate) -> None:
        def wrap(context: FrameContext) -> None:
            assert (context.connection, context.direction) == (gate, INPUT)
            context.data = b"\x91" + context.data

        gate.add(wrap)
        gate.add(wrap)
        assert gate.put(b"\x01") == b"\x91\x91\x01"

    @pytest.mark.parametrize("direction", [INPUT, OUTPUT])
    def test_none_overtakes_one_that_is_paused(self, manual_base: EventBase, direction: int) -> None:
        gate = Gate(manual_base, direction)
        contexts: list[FrameContext] = []

        def hook(context: FrameContext) -> int:
            contexts.append(context)
            return PAUSE if context.data == b"\x02" else CONTINUE

        gate.add(hook)
        assert gate.put(b"\x01\x02\x03") == b"\x01"
        assert gate.put(b"\x02\x04") == b""
        assert (gate.suspended, gate.gate.busy, gate.source.length) == (SUSPEND_FRAMES, True, 4)
        contexts[-1].resume(CONTINUE)
        assert gate.put() == b"\x02\x03"
        contexts[-1].resume(CONTINUE)
        assert gate.put() == b"\x02\x04"
        assert (gate.suspended, gate.gate.busy, gate.source.length) == (0, False, 0)

    def test_while_a_hook_has_one_none_is_let_through(self, gate: Gate) -> None:
        inner: list[int] = []
        gate.add(lambda context: inner.append(gate.gate.filter(gate.source, gate.sink, 1, BEV_NORMAL)))
        assert gate.put(b"\x01\x02") == b"\x01\x02"
        assert inner == [BEV_NEED_MORE, BEV_NEED_MORE]

    def test_thousands_that_resume_themselves(self, gate: Gate) -> None:
        def hook(context: FrameContext) -> int:
            context.resume(CONTINUE)
            return PAUSE

        gate.add(hook)
        assert len(gate.put(b"\x01" * 5000)) == 5000

    def test_terminate(self, gate: Gate) -> None:
        gate.add(lambda context: TERMINATE if context.data == b"\x02" else CONTINUE)
        assert gate.put(b"\x01\x02\x03") == b"\x01"
        assert (gate.suspended, gate.ends) == (SUSPEND_FRAMES, [])  # what came before is handed on first
        gate.base.loop(EVLOOP_NONBLOCK)
        assert gate.ends == ["a hook refused a frame"]

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
    def test_what_is_not_one_object(self, manual_base: EventBase, data: Any) -> None:
        gate = Gate(manual_base, max_message=200)
        gate.add(lambda context: setattr(context, "data", data))
        assert gate.put(b"\x01") == b""
        manual_base.loop(EVLOOP_NONBLOCK)
        assert "what a hook has made of a frame is no message" in gate.ends[0]

    @pytest.mark.parametrize("size", [1, 3, 100])
    def test_what_is_no_frame(self, gate: Gate, size: int) -> None:
        data = b"\x01\x92\x01\xc1\x05"
        through = b"".join(gate.put(data[at : at + size]) for at in range(0, len(data), size))
        gate.base.loop(EVLOOP_NONBLOCK)
        assert (through, gate.suspended) == (b"\x01", SUSPEND_FRAMES)
        assert [offset for _, offset in gate.ends] == [3]

    def test_one_that_is_too_long(self, manual_base: EventBase) -> None:
        gate = Gate(manual_base, max_message=100)
        gate.put(b"\xc5\x04\x00")
        manual_base.loop(EVLOOP_NONBLOCK)
        assert [offset for _, offset in gate.ends] == [0]

    def test_half_a_frame_goes_on_at_the_end(self, gate: Gate) -> None:
        seen: list[bytes] = []
        gate.add(lambda context: seen.append(context.data))
        assert gate.put(b"\x01\x92\x01") == b"\x01"
        assert gate.put(mode=BEV_FINISHED) == b"\x92\x01"
        assert seen == [b"\x01"]

    def test_time(self, manual_base: EventBase, clock: ManualClock) -> None:
        gate = Gate(manual_base, message_timeout=5.0)
        gate.put(b"\x01\x92\x01")
        clock.advance(4)
        assert gate.put(b"\x02\x92\x01") == b"\x92\x01\x02"  # the time of the next one begins now
        clock.advance(4)
        manual_base.loop(EVLOOP_NONBLOCK)
        assert gate.ends == []
        clock.advance(1)
        manual_base.loop(EVLOOP_NONBLOCK)
        assert gate.ends == ["slow"]
        gate.gate.close()

    def test_time_that_this_side_takes(self, manual_base: EventBase, clock: ManualClock) -> None:
        gate = Gate(manual_base, message_timeout=5.0)
        gate.put(b"\x92\x01")
        gate.suspended = 0x80
        for _ in range(3):
            clock.advance(5)
            manual_base.loop(EVLOOP_NONBLOCK)
        assert gate.ends == []
        gate.suspended = 0
        clock.advance(5)
        manual_base.loop(EVLOOP_NONBLOCK)
        assert gate.ends == ["slow"]
        gate.gate.close()

    def test_one_that_is_whole_has_all_the_time(self, manual_base: EventBase, clock: ManualClock) -> None:
        gate = Gate(manual_base, message_timeout=5.0)
        gate.add(lambda context: PAUSE)
        gate.put(b"\x92\x01")
        gate.put(b"\x02")
        clock.advance(60)
        manual_base.loop(EVLOOP_NONBLOCK)
        assert gate.ends == []
        gate.gate.close()

    def test_ctrl_c_in_a_hook(self, gate: Gate) -> None:
        seen: list[bytes] = []

        def hook(context: FrameContext) -> None:
            seen.append(context.data)
            if len(seen) == 1:
                raise KeyboardInterrupt

        gate.add(hook)
        with pytest.raises(KeyboardInterrupt):
            gate.put(b"\x01\x02")
        assert gate.suspended == SUSPEND_FRAMES
        gate.base.loop(EVLOOP_NONBLOCK)
        assert (gate.put(), seen) == (b"\x01\x02", [b"\x01", b"\x01", b"\x02"])

    def test_close(self, gate: Gate) -> None:
        contexts: list[FrameContext] = []

        def hook(context: FrameContext) -> int:
            contexts.append(context)
            return PAUSE

        gate.add(hook)
        gate.put(b"\x01\x02")
        gate.gate.close()
        contexts[0].resume(CONTINUE)
        gate.suspended = 0
        assert (gate.put(), gate.gate.busy, len(contexts)) == (b"", False, 1)

    @pytest.mark.parametrize("verdict", [CONTINUE, PAUSE, TERMINATE])
    def test_a_hook_that_closes(self, gate: Gate, verdict: int) -> None:
        def hook(context: FrameContext) -> int:
            gate.gate.close()
            return verdict

        gate.add(hook)
        assert (gate.put(b"\x01\x02"), gate.gate.busy, gate.suspended) == (b"", False, 0)

    def test_the_text_of_a_context(self, gate: Gate) -> None:
        seen: list[str] = []
        gate.add(lambda context: seen.append(repr(context)))
        gate.put(b"\x01")
        assert seen == ["<FrameContext INPUT 1 bytes>"]


class TestInput:
    def test_each_frame_however_it_comes(self, make: Make, hooks: Hooks) -> None:
        seen: list[bytes] = []
        hooks.add(INPUT, lambda context: seen.append(context.data), frames=True)
        _, peer = make()
        data = request(1, "a") + request(2, "b" * 1000)
        for at in range(0, len(data), 7):
            peer.send(raw=data[at : at + 7])
        assert seen == [request(1, "a"), request(2, "b" * 1000)]
        assert peer.heard() == [[1, 1, None, "a"], [1, 2, None, "b" * 1000]]

    def test_rewritten(self, make: Make, hooks: Hooks) -> None:
        hooks.add(INPUT, unwrap, frames=True)
        _, peer = make()
        peer.send(msgpack.ExtType(1, zlib.compress(request(1, "a"))))
        assert peer.heard() == [[1, 1, None, "a"]]

    def test_a_pause_holds_what_comes_later_and_the_reading(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses, frames=True)
        connection, peer = make()
        peer.send(raw=request(1, "a") + request(2, "b"))
        peer.send(raw=request(3, "c"))
        assert (len(pauses.contexts), peer.heard()) == (1, [])
        assert connection.bev.read_suspended & SUSPEND_FRAMES
        for at in range(3):
            pauses.contexts[at].resume(CONTINUE)
            assert peer.heard() == [[1, at + 1, None, "abc"[at]]]

    def test_from_another_thread(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses, frames=True)
        _, peer = make()
        peer.send(raw=request(1, "a"))
        thread = threading.Thread(target=pauses.contexts[0].resume, args=(CONTINUE,))
        thread.start()
        thread.join()
        assert peer.heard() == [[1, 1, None, "a"]]

    @pytest.mark.parametrize("paused", [False, True])
    def test_terminate_ends_the_connection(
        self, make: Make, hooks: Hooks, log: list[str], paused: bool
    ) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses if paused else lambda context: TERMINATE, frames=True)
        connection, peer = make()
        future = connection.call("one")
        peer.send(raw=request(1, "a"))
        if paused:
            pauses.contexts[0].resume(TERMINATE)
        assert (peer.at_end(), connection.closed) == (True, True)
        assert isinstance(connection.error, HookAborted)
        error = future.exception()
        assert isinstance(error, CallLost)
        assert "a hook refused a frame" in log[-1]

    def test_what_came_before_broken_bytes_is_served(self, make: Make, hooks: Hooks, log: list[str]) -> None:
        seen: list[bytes] = []
        hooks.add(INPUT, lambda context: seen.append(context.data), frames=True)
        connection, peer = make()
        peer.send(raw=request(1, "a") + b"\xc1")
        assert (seen, connection.closed) == ([request(1, "a")], True)
        assert f"at byte {len(request(1, 'a'))}" in log[-1]

    def test_two_messages_of_one_frame_are_refused(self, make: Make, hooks: Hooks, log: list[str]) -> None:
        hooks.add(INPUT, lambda context: setattr(context, "data", context.data * 2), frames=True)
        connection, peer = make()
        peer.send(raw=request(1, "a"))
        assert connection.closed
        assert "is no message" in log[-1]

    def test_a_frame_that_does_not_end(self, make: Make, hooks: Hooks, clock: ManualClock) -> None:
        hooks.add(INPUT, lambda context: None, frames=True)
        connection, peer = make(message_timeout=5.0)
        peer.send(raw=request(1, "a")[:-1])
        clock.advance(4)
        peer.settle()
        assert not connection.closed
        clock.advance(2)
        peer.settle()
        assert connection.closed

    def test_the_peer_ends_inside_a_frame(self, make: Make, hooks: Hooks, log: list[str]) -> None:
        hooks.add(INPUT, lambda context: None, frames=True)
        connection, peer = make()
        peer.send(raw=request(1, "a")[:-1])
        peer.shut()
        assert connection.closed
        assert "inside a message" in log[-1]

    def test_what_is_paused_is_answered_after_the_end(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses, frames=True)
        connection, peer = make()
        peer.send(raw=request(1, "a"))
        peer.shut()
        assert not connection.closed
        pauses.contexts[0].resume(CONTINUE)
        assert peer.heard() == [[1, 1, None, "a"]]
        assert connection.closed

    def test_hooks_that_were_added_too_late(self, make: Make, hooks: Hooks) -> None:
        _, peer = make()
        hooks.add(INPUT, lambda context: TERMINATE, frames=True)
        peer.send(raw=request(1, "a"))
        assert peer.heard() == [[1, 1, None, "a"]]

    def test_removed_hooks(self, make: Make, hooks: Hooks) -> None:
        handle = hooks.add(INPUT, lambda context: TERMINATE, frames=True)
        _, peer = make()
        hooks.remove(handle)
        peer.send(raw=request(1, "a"))
        assert peer.heard() == [[1, 1, None, "a"]]


class TestOutput:
    def test_rewritten(self, make: Make, hooks: Hooks) -> None:
        hooks.add(OUTPUT, wrap, frames=True)
        connection, peer = make()
        peer.send(raw=request(1, "a"))
        connection.notify("tell", 1)
        inner = [msgpack.unpackb(zlib.decompress(ext.data)) for ext in peer.heard()]
        assert inner == [[1, 1, None, "a"], [2, "tell", [1]]]

    def test_a_pause_holds_what_goes_later(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(OUTPUT, pauses, frames=True)
        connection, peer = make()
        for number in range(3):
            connection.notify("tell", number)
        assert peer.heard() == []
        peer.send(raw=request(1, "a"))
        for at in range(3):
            assert len(pauses.contexts) == at + 1
            pauses.contexts[at].resume(CONTINUE)
            assert peer.heard() == [[2, "tell", [at]]]
        assert pauses.contexts[3].data == msgpack.packb([1, 1, None, "a"])
        pauses.contexts[3].resume(CONTINUE)
        assert peer.heard() == [[1, 1, None, "a"]]

    def test_terminate_ends_the_connection(self, make: Make, hooks: Hooks) -> None:
        hooks.add(OUTPUT, lambda context: TERMINATE, frames=True)
        connection, peer = make()
        future = connection.call("one")
        peer.settle()
        assert (connection.closed, peer.at_end()) == (True, True)
        assert isinstance(future.exception(), CallLost)

    def test_a_hook_that_sends(self, make: Make, hooks: Hooks) -> None:
        def hook(context: FrameContext) -> None:
            if b"first" in context.data:
                context.connection.notify("second")

        hooks.add(OUTPUT, hook, frames=True)
        connection, peer = make()
        connection.notify("first")
        assert peer.heard() == [[2, "first", []], [2, "second", []]]

    @pytest.mark.parametrize("data", [b"\x01", b"\xc0"])
    def test_frames_of_one_byte(self, make: Make, hooks: Hooks, data: bytes) -> None:
        hooks.add(OUTPUT, lambda context: setattr(context, "data", data), frames=True)
        connection, peer = make(high=10, low=1)
        for _ in range(100):
            connection.notify("tell")
        assert len(peer.heard()) == 100

    def test_what_is_paused_goes_before_the_end(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(OUTPUT, pauses, frames=True)
        connection, peer = make()
        peer.send(raw=request(1, "a"))
        peer.shut()
        assert not connection.closed
        pauses.contexts[0].resume(CONTINUE)
        assert peer.heard() == [[1, 1, None, "a"]]
        assert connection.closed

    def test_what_is_paused_goes_before_a_stop(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(OUTPUT, pauses, frames=True)
        connection, peer = make()
        connection.notify("tell")
        connection.stop()
        assert (peer.heard(), connection.closed, len(pauses.contexts)) == ([], False, 1)
        pauses.contexts[0].resume(CONTINUE)
        assert peer.heard() == [[2, "tell", []]]
        assert peer.at_end()

    def test_what_is_paused_counts_as_unread(self, make: Make, hooks: Hooks) -> None:
        hooks.add(OUTPUT, Pauses(), frames=True)
        connection, peer = make(high=1000, low=100)
        for _ in range(39):  # 8,000 bytes
            connection.notify("tell", bytes(200))
            peer.settle()
        with pytest.raises(Overloaded):
            connection.notify("tell")

    def test_answers_that_are_paused_hold_up_requests(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(OUTPUT, pauses, frames=True)
        connection, peer = make(high=1000, low=100)
        for number in range(20):
            peer.send(raw=request(number, bytes(200)))
        assert connection.bev.output.length < 2000
        heard = []
        while len(heard) < 20:
            pauses.contexts[-1].resume(CONTINUE)
            heard += peer.heard()
        assert [message[1] for message in heard] == list(range(20))

    def test_one_that_is_longer_than_this_side_takes(self, make: Make, hooks: Hooks) -> None:
        hooks.add(OUTPUT, lambda context: None, frames=True)
        connection, peer = make(max_message=100)
        connection.notify("tell", bytes(1000))
        assert peer.heard() == [[2, "tell", [bytes(1000)]]]

    def test_a_stop_waits_for_what_came(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses, frames=True)
        connection, peer = make()
        peer.send(raw=request(1, "a"))
        connection.stop()
        peer.settle()
        pauses.contexts[0].resume(CONTINUE)
        assert peer.heard() == [[1, 1, None, "a"]]
        assert peer.at_end()

    def test_an_end_while_it_is_paused(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        seen: list[FrameContext] = []
        hooks.add(OUTPUT, pauses, frames=True)
        hooks.add(OUTPUT, seen.append, frames=True)
        connection, peer = make()
        connection.notify("tell")
        peer.settle()
        connection.close()
        pauses.contexts[0].resume(CONTINUE)
        assert (peer.at_end(), seen) == (True, [])

    def test_a_peer_that_does_not_read_answers_is_not_read(self, make: Make, hooks: Hooks) -> None:
        hooks.add(OUTPUT, wrap_plainly, frames=True)
        connection, peer = make(high=200_000, low=1000)
        for number in range(40):
            if not connection.session.held:
                peer.send(raw=request(number, bytes(50_000)))
        assert connection.session.held
        assert connection.bev.output.length < 400_000


def wrap_plainly(context: FrameContext) -> None:
    context.data = msgpack.packb(msgpack.ExtType(1, context.data))


def gates() -> int:
    return sum(type(what) is FrameGate for what in gc.get_objects())


class TestBothEnds:
    def test_nothing_is_left_to_the_collector(
        self, base: EventBase, hooks: Hooks, build: Callable[..., Any], service: Service
    ) -> None:
        for kind in (INPUT, OUTPUT):
            hooks.add(kind, lambda context: PAUSE if b"wait" in context.data else CONTINUE, frames=True)
        gc.collect()
        gc.disable()
        try:
            ours, theirs = socket.socketpair()
            connection, peer = build(base, ours, service), Peer(base, theirs)
            peer.send(raw=request(1, "a") + request(2, "wait") + b"\x92")
            connection.notify("wait")
            assert (peer.heard(), gates()) == ([[1, 1, None, "a"]], 2)
            connection.close()
            peer.close()
            del connection
            assert gates() == 0
        finally:
            gc.enable()

    def test_messages_and_streams_compressed(
        self, base: EventBase, hooks: Hooks, build: Callable[..., Any], service: Service
    ) -> None:
        @service.method
        def count(n: int) -> Iterator[int]:
            yield from range(n)

        hooks.add(OUTPUT, wrap, frames=True)
        hooks.add(INPUT, unwrap, frames=True)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        features = frozenset({"meta", "stream"})
        server, client = build(base, ours, service, features), build(base, theirs, None, features)
        assert [client.call("echo", number) for number in range(500)][-1].result() == 499
        assert list(client.stream("count", 1000)) == list(range(1000))
        assert client.call("echo", bytes(3_000_000)).result() == bytes(3_000_000)
        client.close()
        server.close()
