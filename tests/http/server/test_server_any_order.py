"""Whatever client, handler and clock do, in any order: no connection is stuck, none is told twice, nothing escapes."""

import contextlib
import socket
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evkit.errors import LocalProtocolError
from evkit.http.server.request import Request
from evkit.testing import ManualClock
from http_server_aids import ENGINES, Client, Site, chunked, get, request

MIB = 1 << 20
SENT: dict[str, bytes] = {
    "get": get("/now"),
    "get later": get("/later"),
    "get large": get("/large"),
    "get and close": get("/later", "Connection: close"),
    "get by HTTP/1.0": get("/later", version="1.0"),
    "head": request("HEAD", "/later"),
    "post": request("POST", "/later", body=b"abc"),
    "post chunks": chunked("POST", "/later", b"abc", trailers=b"T: v\r\n"),
    "upload": request("POST", "/upload", body=b"abc"),
    "upload chunks": chunked("POST", "/upload", b"abc"),
    "upload nothing": get("/upload"),
    "upload and wait": request("POST", "/upload", "Expect: 100-continue", "Content-Length: 3"),
    "upload too much": chunked("POST", "/limited", b"abcdef"),
    "post too much": request("POST", "/limited", "Content-Length: 6"),
    "fails": get("/fails"),
    "half a head": b"GET / HT",
    "half a body": request("POST", "/later", "Content-Length: 9") + b"abc",
    "body": b"abc",
    "bad": b"bad request\r\n\r\n",
}


class World:
    """One site, one client, and a handler whose every move is an action."""

    def __init__(self, site: Site, clock: ManualClock) -> None:
        self.site = site
        self.clock = clock
        self.pending: list[Request] = []
        self.closed: Counter[int] = Counter()
        self.done: Counter[int] = Counter()
        self.given_up: set[int] = set()  # answered in part, or by evkit itself; the handler was told
        self.known: list[Request] = []
        self.kept: list[Request] = []  # so that no id comes twice
        server = site.server
        server.on_complete = self.completed
        server.set_cb("/now", lambda asked: asked.send_reply(200, b"now"))
        server.set_cb("/large", lambda asked: asked.send_reply(200, bytes(MIB)))
        server.set_cb("/later", self.handle)
        server.set_cb("/upload", self.handle, stream=True)
        server.set_cb("/limited", self.handle, stream=True, max_body=4)
        server.set_cb("/fails", self.fail)
        self.client: Client = site.client(receive_buffer=4096)
        for connection in server.connections:  # or the kernel would take all that nobody reads
            assert connection.bev.socket is not None
            connection.bev.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def completed(self, done: Request) -> None:
        self.kept.append(done)
        self.done[id(done)] += 1
        if done.aborted:
            self.given_up.add(id(done))

    def handle(self, asked: Request) -> None:
        self.known.append(asked)
        self.pending.append(asked)
        asked.on_close = lambda gone: self.closed.update([id(gone)])

    def fail(self, asked: Request) -> None:
        raise ZeroDivisionError

    def answer(self, how: Callable[[Request], object]) -> None:
        """Do something with the request that was handed over last, as far as the rules allow it."""
        if self.pending:
            with contextlib.suppress(LocalProtocolError):
                how(self.pending[-1])
        self.site.settle()

    def on_end(self, asked: Request) -> None:
        with contextlib.suppress(LocalProtocolError):
            asked.send_reply(200, b"received")

    def act(self, action: str) -> None:
        if action in SENT:
            with contextlib.suppress(OSError):
                if self.client.socket.fileno() >= 0:
                    self.client.socket.send(SENT[action])
        elif action.startswith("wait"):
            self.clock.advance(float(action.removeprefix("wait")))
        elif action in ("finish", "close", "reset"):
            with contextlib.suppress(OSError):
                getattr(self.client, action)()
        elif action == "read":
            with contextlib.suppress(OSError):
                self.client.take()
        elif action == "stop":
            self.site.server.stop()
        else:
            self.answer(ANSWERS[action](self))
        self.site.settle()


ANSWERS: dict[str, Callable[[World], Callable[[Request], object]]] = {
    "reply": lambda world: lambda asked: asked.send_reply(200, b"later"),
    "reply large": lambda world: lambda asked: asked.send_reply(200, bytes(MIB)),
    "reply and close": lambda world: lambda asked: asked.send_reply(200, b"x", [("Connection", "close")]),
    "start": lambda world: lambda asked: asked.send_reply_start(200),
    "start sized": lambda world: lambda asked: asked.send_reply_start(200, [("Content-Length", "5")]),
    "chunk": lambda world: lambda asked: asked.send_reply_chunk(b"abc", lambda: None),
    "chunk large": lambda world: lambda asked: asked.send_reply_chunk(bytes(MIB), lambda: None),
    "end": lambda world: lambda asked: asked.send_reply_end(),
    "receive": lambda world: lambda asked: asked.receive(lambda *_: None, world.on_end),
    "receive and refuse": lambda world: (
        lambda asked: asked.receive(lambda asked, _data: asked.send_reply(403, b"no"), world.on_end)
    ),
    "receive and forget": lambda world: lambda asked: asked.receive(lambda *_: None, lambda *_: None),
}
ACTIONS = st.sampled_from(
    [
        *SENT,
        *ANSWERS,
        *ANSWERS,
        "wait 1",
        "wait 12",
        "wait 33",
        "wait 80",
        "finish",
        "close",
        "reset",
        "read",
        "stop",
    ]
)


@pytest.mark.parametrize("engine", ENGINES)
@given(actions=st.lists(ACTIONS, max_size=15), stays=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_order_of_actions_ends_well(engine: str, actions: list[str], stays: bool) -> None:
    clock = ManualClock()
    with Site(engine, clock=clock) as site:
        world = World(site, clock)
        for action in actions:
            world.act(action)
        # The handler answers all that it was given; the client leaves, or stays and reads; all time-outs pass.
        if not stays:
            world.client.close()
        for _ in range(40):
            for asked in world.known:
                with contextlib.suppress(LocalProtocolError):
                    asked.send_reply(200)
                with contextlib.suppress(LocalProtocolError):
                    asked.send_reply_end()
            while stays and world.client.socket.fileno() >= 0 and not world.client.silent():
                site.settle()
            clock.advance(10.0)
            site.settle()
        assert not site.server.connections
        assert all(asked.gone for asked in world.known)
        assert max(world.closed.values(), default=0) <= 1
        assert max(world.done.values(), default=0) <= 1
        assert world.closed.keys() & world.done.keys() <= world.given_up
        failures = [error for error in site.take_escaped() if not isinstance(error, LocalProtocolError)]
        assert all(isinstance(error, ZeroDivisionError) for error in failures)
