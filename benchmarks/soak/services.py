"""What stands above the connections of a soak: listeners, datagrams, frames and futures.

The cast decides what each of them must tell: a connection for each that was accepted, datagrams whole, frames in
order, one result. It knows nothing of the bytes of a stream.
"""

import socket
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from evkit.core import (
    EOL_LF,
    BufferEvent,
    DatagramEndpoint,
    Framed,
    Framing,
    Future,
    LengthFraming,
    LineFraming,
    Listener,
    SocketBufferEvent,
)
from evkit.errors import RemoteProtocolError, TransportError
from soak.carriers import Carriers
from soak.world import Operation, World, check

_MOST: Final = 6


class Frames:
    """One end of a framed connection: it sends numbers, and hears those of the other."""

    def __init__(self, world: World, bev: BufferEvent, framing: Framing) -> None:
        self.world = world
        self.sent = 0
        self.heard = 0
        self.ended = 0
        self.framed = Framed(bev, framing, self._on_frame, self._on_end)

    def send(self) -> None:
        """Send the next number."""
        self.sent += 1
        self.framed.send(b"%d" % self.sent)

    def end(self) -> None:
        """Close the connection, and let go of it."""
        framed = self.framed
        framed.bev.close()
        del self.framed

    def _on_frame(self, framed: Framed, frame: bytes) -> None:
        self.heard += 1
        check(frame == b"%d" % self.heard, "a frame is", frame, "and not", self.heard)
        check(not framed.ended and not framed.bev.closed, "a frame after the end")
        self.world.react()

    def _on_end(self, framed: Framed, error: TransportError | RemoteProtocolError | None) -> None:
        self.ended += 1
        check(self.ended == 1, "ended twice:", error)
        self.world.react()
        framed.bev.close()


class Services:
    """All of them.

    Args:
        world: Where they live.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._carriers = Carriers(world)
        self._folder = TemporaryDirectory()
        self._numbers = count()
        self._listeners: list[Listener] = []
        self._accepted: list[SocketBufferEvent] = []
        self._datagrams: list[DatagramEndpoint] = []
        self._frames: list[Frames] = []
        self._futures: list[Future[int]] = []

    def operations(self) -> Sequence[Operation]:
        """See `Cast.operations`."""
        return (
            Operation(1, "listen", self._listen),
            Operation(4, "connect to a listener", self._to_one(self._listeners, self._connect)),
            Operation(2, "use a listener", self._to_one(self._listeners, self._use_listener)),
            Operation(2, "use an accepted one", self._to_one(self._accepted, self._use_accepted)),
            Operation(1, "make a datagram endpoint", self._make_datagram),
            Operation(5, "datagram", self._to_one(self._datagrams, self._send_datagram)),
            Operation(2, "use a datagram endpoint", self._to_one(self._datagrams, self._use_datagram)),
            Operation(1, "make frames", self._make_frames),
            Operation(6, "send a frame", self._to_one(self._frames, Frames.send)),
            Operation(2, "use frames", self._to_one(self._frames, self._use_frames)),
            Operation(2, "make a future", self._make_future),
            Operation(6, "use a future", self._to_one(self._futures, self._use_future)),
        )

    def _to_one(self, things: list[Any], act: Callable[[Any], object]) -> Callable[[], None]:
        def run() -> None:
            if things:
                act(self.world.random.choice(things))

        return run

    # Listeners

    def _path(self) -> str:
        return str(Path(self._folder.name) / str(next(self._numbers)))

    def _listen(self) -> None:
        if len(self._listeners) >= 3:
            self._listeners.pop(0).close()
        address = ("127.0.0.1", 0) if self.world.random.random() < 0.2 else self._path()
        disabled = self.world.random.random() < 0.2
        self._listeners.append(Listener.bind(self.world.base, self._on_accept, address, disabled=disabled))

    def _connect(self, listener: Listener) -> None:
        if listener.closed or len(self._accepted) > 12:
            return
        bev = SocketBufferEvent(self.world.base)
        self._accepted.append(bev)
        bev.on_close = self._forget_accepted
        address = listener.socket.getsockname()
        bev.connect(address)
        bev.write(b"hello")

    def _on_accept(self, listener: Listener, sock: socket.socket, address: object) -> None:  # noqa: ARG002 - a callback
        check(not listener.closed and listener.enabled, "accepted by one that is closed:", listener)
        self.world.react()  # which may raise: the socket is closed then
        bev = SocketBufferEvent(self.world.base, sock)
        bev.on_close = self._forget_accepted
        self._accepted.append(bev)

    def _forget_accepted(self, bev: object) -> None:
        check(bev in self._accepted, "closed twice:", bev)
        self._accepted.remove(bev)  # type: ignore[arg-type]  # it is in there
        self.world.react()

    def _use_accepted(self, bev: SocketBufferEvent) -> None:
        act = self.world.random.choice((bev.close, bev.close_when_drained, bev.shutdown_write))
        act()

    def _use_listener(self, listener: Listener) -> None:
        act = self.world.random.choice(
            (
                listener.enable,
                listener.enable,
                listener.disable,
                listener.close,
                lambda: listener.set_callback(None),
                lambda: listener.set_callback(self._on_accept),
            )
        )
        act()

    # Datagrams

    def _make_datagram(self) -> None:
        if len(self._datagrams) >= 4:
            self._datagrams.pop(0).close()
        address = ("127.0.0.1", 0) if self.world.random.random() < 0.5 else self._path()
        endpoint = DatagramEndpoint.bind(self.world.base, address)
        endpoint.set_callbacks(self._on_datagram, self._on_drained, self._on_datagram_error)
        self._datagrams.append(endpoint)

    def _send_datagram(self, endpoint: DatagramEndpoint) -> None:
        other = self.world.random.choice(self._datagrams)
        if other.closed:
            return
        size = self.world.random.choice((0, 1, 5000))
        for _ in range(self.world.random.choice((1, 1, 50))):
            endpoint.send(bytes(size), other.socket.getsockname())

    def _on_datagram(self, endpoint: DatagramEndpoint, data: bytes, address: object) -> None:  # noqa: ARG002 - a callback
        check(not endpoint.closed and len(data) in (0, 1, 5000), "a wrong datagram:", len(data))
        self.world.react()

    def _on_drained(self, endpoint: DatagramEndpoint) -> None:
        check(not endpoint.closed, "called after close:", endpoint)
        self.world.react()

    def _on_datagram_error(self, endpoint: DatagramEndpoint, error: TransportError, address: object) -> None:  # noqa: ARG002 - a callback
        check(not endpoint.closed, "called after close:", endpoint)
        self.world.react()

    def _use_datagram(self, endpoint: DatagramEndpoint) -> None:
        act = self.world.random.choice((endpoint.pause, endpoint.resume, endpoint.resume, endpoint.close))
        act()

    # Frames

    def _make_frames(self) -> None:
        one, other = self._carriers.pair() if self.world.random.random() < 0.5 else self._carriers.sockets()
        make = self.world.random.choice((lambda: LineFraming(EOL_LF, max_length=6), lambda: LengthFraming(2)))
        self._frames += (Frames(self.world, one, make()), Frames(self.world, other, make()))
        while len(self._frames) > _MOST:
            self._frames.pop(0).end()

    def _use_frames(self, frames: Frames) -> None:
        framed = frames.framed
        act = self.world.random.choice(
            (framed.pause, framed.resume, framed.resume, framed.bev.shutdown_write, framed.bev.close)
        )
        act()

    # Futures

    def _make_future(self) -> None:
        if len(self._futures) >= _MOST:
            self._futures.pop(0)
        self._futures.append(Future(self.world.base, self._on_cancel))

    def _on_cancel(self, future: Future[int]) -> None:
        check(future.cancelled(), "on_cancel of one that is not cancelled")
        self.world.react()

    def _on_done(self, future: Future[int]) -> None:
        check(future.done(), "told of what is not done")
        self.world.react()

    def _use_future(self, future: Future[int]) -> None:
        act: Callable[[], object] = self.world.random.choice(
            (
                lambda: future.set_result(1),
                lambda: future.set_exception(ValueError("planned")),
                future.cancel,
                lambda: future.add_done_callback(self._on_done),
                lambda: future.add_done_callback(self._on_done),
                lambda: future.remove_done_callback(self._on_done),
                lambda: self._ask(future),
            )
        )
        act()

    def _ask(self, future: Future[int]) -> None:
        if future.done() and not future.cancelled():
            future.exception()
        elif not future.cancelled():
            try:
                future.result(timeout=0)
            except (TimeoutError, CancelledError):
                return

    # What must hold

    def verify(self) -> None:
        """See `Cast.verify`."""
        for listener in self._listeners:
            waits = self.world.base.waits_for(listener.socket.fileno())
            check(listener.enabled or not waits, "disabled, but it waits:", listener)
        for bev in self._accepted:
            check(not bev.closed, "closed without a word:", bev)

    def rehearse(self) -> None:
        """See `Cast.rehearse`: frames that were sent arrive where nothing keeps them."""
        self.world.settle()

    def let_go(self) -> None:
        """See `Cast.let_go`."""
        for listener in self._listeners:
            listener.close()
        for bev in tuple(self._accepted):
            bev.close()
        for endpoint in self._datagrams:
            endpoint.close()
        for frames in self._frames:
            frames.end()
        for things in (self._listeners, self._datagrams, self._frames, self._futures):
            things.clear()

    def verify_gone(self) -> None:
        """See `Cast.verify_gone`."""
        check(not self._accepted, "not closed:", self._accepted)
        check(not list(Path(self._folder.name).iterdir()), "files of unix sockets were left")

    def close(self) -> None:
        """Give back what is left: at the end of the world."""
        self._folder.cleanup()
