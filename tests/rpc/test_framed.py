"""`FramedConnection`: frames that pass hooks as bytes, both ways, with a peer that is played, and with another."""

import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest

from evkit.core import EventBase, SocketBufferEvent, set_log_callback
from evkit.rpc import CallLost, HookAborted, Service
from evkit.rpc.framed import SUSPEND_INPUT_FRAMES, SUSPEND_OUTPUT_FRAMES
from evkit.rpc.hook_context import FrameContext
from evkit.rpc.hooked import HookedConnection
from evkit.rpc.hooks import CONTINUE, INPUT, OUTPUT, PAUSE, TERMINATE, Hooks
from evkit.rpc.limits import Limits
from evkit.rpc.load import Load
from evkit.rpc.protocol.coders import Coders
from evkit.testing import ManualClock
from rpc_aids import Peer

Make = Callable[..., tuple[HookedConnection, Peer]]


def hooked(
    base: EventBase, sock: socket.socket, hooks: Hooks, service: Service | None = None, **limits: Any
) -> HookedConnection:
    return HookedConnection(
        hooks,
        SocketBufferEvent(base, sock),
        Coders(Limits(**limits)),
        "the peer",
        service or Service(),
        Load(),
        timeout=10.0,
    )


@pytest.fixture
def service() -> Service:
    service = Service()
    service.register(lambda what: what, "echo")
    return service


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    set_log_callback(lambda _severity, line: lines.append(line))
    yield lines
    set_log_callback(None)


@pytest.fixture
def make(
    manual_base: EventBase, service: Service, hooks: Hooks, log: list[str], open_descriptors: None
) -> Iterator[Make]:
    made: list[tuple[HookedConnection, Peer]] = []

    def connect(**limits: Any) -> tuple[HookedConnection, Peer]:
        ours, theirs = socket.socketpair()
        made.append((hooked(manual_base, ours, hooks, service, **limits), Peer(manual_base, theirs)))
        return made[-1]

    yield connect
    for connection, peer in made:
        peer.close()
        connection.close()
    assert [event for event in manual_base.events() if not event.internal] == []


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
        assert connection.bev.read_suspended & SUSPEND_INPUT_FRAMES
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
        assert (connection.closed, peer.at_end()) == (True, True)
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
        assert connection.bev.read_suspended & SUSPEND_OUTPUT_FRAMES
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


class TestBothEnds:
    def test_messages_and_streams_compressed(self, base: EventBase, service: Service) -> None:
        @service.method
        def count(n: int) -> Iterator[int]:
            yield from range(n)

        hooks = Hooks()
        hooks.add(OUTPUT, wrap, frames=True)
        hooks.add(INPUT, unwrap, frames=True)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        server, client = hooked(base, ours, hooks, service), hooked(base, theirs, hooks)
        server.features = client.features = frozenset({"meta", "stream"})
        assert [client.call("echo", number) for number in range(500)][-1].result() == 499
        assert list(client.stream("count", 1000)) == list(range(1000))
        assert client.call("echo", bytes(3_000_000)).result() == bytes(3_000_000)
        client.close()
        server.close()
