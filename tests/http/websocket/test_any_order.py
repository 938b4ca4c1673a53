"""Whatever a program and its peer do, in whatever order: a WebSocket ends once, and nothing is left of it."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from evkit import LocalProtocolError
from evkit.core.flags import COUNT_ADDED
from evkit.http.websocket.errors import WebSocketError
from evkit.http.websocket.group import WebSocketGroup
from evkit.http.websocket.options import WebSocketOptions
from evkit.http.websocket.websocket import WebSocket
from websocket_aids import BINARY, MASK, PING, PONG, TEXT, Ends, close_frame, frame

OPTIONS = WebSocketOptions(high_water=500, max_buffered=2000, max_message=1000)

CALLS: dict[str, Callable[[WebSocket], object]] = {
    "send": lambda ws: ws.send("x"),
    "send much": lambda ws: ws.send(bytes(600)),
    "start": lambda ws: ws.send_start(text=True),
    "piece": lambda ws: ws.send_piece("y"),
    "end": lambda ws: ws.send_end(),
    "ping": lambda ws: ws.ping(b"p"),
    "pause": lambda ws: ws.pause(),
    "resume": lambda ws: ws.resume(),
    "close": lambda ws: ws.close(4000, "r"),
    "abort": lambda ws: ws.abort(),
    "below": lambda ws: ws.bev.close(),
}
SAID = {
    "text": (TEXT, b"hello"),
    "many": (BINARY, bytes(300)),
    "ping?": (PING, b"q"),
    "pong": (PONG, b""),
    "bad": (3, b""),
    "big": (BINARY, bytes(2000)),
}
STEPS = [
    *CALLS,
    *SAID,
    "fragment",
    "half",
    "peer closes",
    "peer ends",
    "peer stops",
    "peer reads",
    "time",
    "much time",
]


class World:
    """One WebSocket, whose callbacks do what is drawn, too."""

    def __init__(self, *, client: bool, inside: list[str]) -> None:
        self.ends = Ends(client=client, options=OPTIONS)
        self.mask = None if client else MASK
        self.group, self.gone = WebSocketGroup(), 0
        self.group.add(self.ends.ws)
        self.inside = list(inside)
        self.ends.ws.on_message = self.on_message
        self.ends.ws.on_drained = self.on_drained

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        assert ws.open
        self.ends.log.on_message(ws, data)
        self.act()

    def on_drained(self, ws: WebSocket) -> None:
        assert ws.open
        assert not ws.buffered
        self.act()

    def act(self) -> None:
        if self.inside:
            call = self.inside.pop()
            if call == "raise":
                raise WebSocketError(4001, "drawn")
            self.call(call)

    def call(self, name: str) -> None:
        try:
            CALLS[name](self.ends.ws)
        except LocalProtocolError:
            assert name in ("send", "send much", "start", "piece", "end")

    def step(self, name: str) -> None:
        pair, far = self.ends.pair, self.ends.pair._far
        if name in CALLS:
            self.call(name)
        elif name in SAID:
            opcode, payload = SAID[name]
            far.write(frame(opcode, payload, mask=self.mask))
        elif name == "fragment":
            far.write(frame(TEXT, b"a", fin=False, mask=self.mask))
        elif name == "half":
            far.write(frame(TEXT, b"hello", mask=self.mask)[:3])
        elif name == "peer closes":
            far.write(close_frame(1000, mask=self.mask))
        elif name == "peer ends":
            far.shutdown_write()
        elif name == "peer stops":
            far.disable(2)
        elif name == "peer reads":
            far.enable(2)
        pair.run({"time": 6, "much time": 40}.get(name, 0))
        self.check()

    def check(self) -> None:
        ws, log = self.ends.ws, self.ends.log
        assert len(log.ends) == ws.closed
        assert not (ws.open and ws.closed)
        assert ws.closed or not ws.bev.closed
        assert (ws in self.group) == (not ws.closed)
        assert ws.error is None or ws.closed
        assert ws.buffered < 2 * 2000

    def finish(self) -> None:
        """Leave: the peer goes, whether it takes what was sent or not, and time goes by."""
        ws = self.ends.ws
        self.group.close(closed=self.note)
        self.ends.pair.run()
        self.ends.pair._far.close()
        self.ends.pair.run(200)
        self.check()
        assert ws.closed
        assert ws.bev.closed
        assert ws.group is None
        assert self.gone == 1
        assert ws.bev.base.num_events(COUNT_ADDED) == 0

    def note(self) -> None:
        self.gone += 1


@settings(max_examples=300, deadline=None)
@given(
    st.booleans(),
    st.lists(st.sampled_from(STEPS), max_size=12),
    st.lists(st.sampled_from([*CALLS, "raise"]), max_size=5),
)
def test_any_order(client: bool, steps: list[str], inside: list[str]) -> None:
    world = World(client=client, inside=inside)
    with world.ends:
        for name in steps:
            world.step(name)
        world.finish()
