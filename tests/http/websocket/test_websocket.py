"""`WebSocket` over a pair in memory: messages both ways, pausing, back-pressure, and what callbacks may do."""

import gc
import weakref
from collections.abc import Callable

import pytest

from evkit import EV_READ, EventBase, LocalProtocolError, PairBufferEvent, TransportTimeout
from evkit.core.framed import TURN
from evkit.http.websocket.deflate import Agreed, Deflate
from evkit.http.websocket.errors import WebSocketError
from evkit.http.websocket.handshake import Agreement
from evkit.http.websocket.options import WebSocketOptions
from evkit.http.websocket.websocket import WebSocket
from evkit.testing import MemoryPair
from websocket_aids import BINARY, CLOSE, MASK, PING, PONG, TEXT, Ends, Frame, Log, close_frame, frame

SMALL = WebSocketOptions(high_water=1000, max_buffered=5000)


# --- receiving


@pytest.mark.parametrize("client", [False, True])
def test_messages_come_in_order(client: bool) -> None:
    mask = None if client else MASK
    with Ends(client=client) as ends:
        data = frame(TEXT, "ü".encode(), mask=mask) + frame(BINARY, b"x", mask=mask)
        assert ends.feed(data, data[:3], data[3:]) == []
        assert ends.log.messages == ["ü", b"x"] * 2
        assert ends.ws.open


def test_what_has_come_before_is_delivered_but_not_from_inside() -> None:
    with Ends(early=frame(TEXT, b"early")) as ends:
        assert ends.log.messages == []
        ends.run()
        assert ends.log.messages == ["early"]


def test_a_closed_connection_is_refused() -> None:
    with EventBase() as base:
        bev, other = PairBufferEvent.pair(base)
        bev.close()
        other.close()
        with pytest.raises(ValueError, match="closed"):
            WebSocket(bev, client=False)


def test_without_a_callback_messages_are_dropped() -> None:
    with Ends() as ends:
        ends.ws.on_message = None
        assert ends.feed(frame(TEXT, b"x") + frame(PING, b"y")) == [Frame(0x8A, False, b"y")]


def test_a_peer_that_sends_much_gives_way() -> None:
    with Ends() as ends:
        order: list[bytes | str] = []
        ends.ws.on_message = lambda ws, data: order.append(data)
        ends.ws.bev.base.call_soon(order.append, b"other")
        ends.feed(frame(BINARY, b"x") * (2 * TURN + 5))
        assert order.index(b"other") <= TURN
        assert order.count(b"x") == 2 * TURN + 5
        ends.feed(frame(BINARY, b"y"))
        assert order[-1] == b"y"


def test_fragments_give_way_too() -> None:
    with Ends() as ends:
        turns = [0]

        def other() -> None:
            turns[0] += 1
            if not ends.log.messages:
                ends.ws.bev.base.call_soon(other)

        ends.pair._far.write(
            frame(BINARY, fin=False) + frame(0, b"x", fin=False) * (3 * TURN) + frame(0, b"y")
        )
        other()
        ends.run()
        assert ends.log.messages == [b"x" * (3 * TURN) + b"y"]
        assert turns[0] > 3


# --- pausing


def test_pause_and_resume() -> None:
    with Ends() as ends:
        ends.ws.on_message = lambda ws, data: (ends.log.on_message(ws, data), ws.pause())
        ends.feed(frame(TEXT, b"1") + frame(TEXT, b"2"), frame(TEXT, b"3"))
        assert ends.log.messages == ["1"]
        assert ends.ws.paused
        for expected in (["1", "2"], ["1", "2", "3"]):
            ends.ws.resume()
            ends.ws.resume()
            assert ends.log.messages == expected[:-1]
            ends.run()
            assert ends.log.messages == expected
        ends.ws.resume()
        assert not ends.ws.paused
        ends.feed(frame(TEXT, b"4"))
        assert ends.log.messages[-1] == "4"


def test_what_is_not_read_waits_below() -> None:
    with Ends() as ends:
        ends.ws.pause()
        ends.feed(frame(BINARY, bytes(100_000)))
        assert not ends.ws.bev.input
        ends.ws.resume()
        ends.run()
        assert ends.log.messages == [bytes(100_000)]


def test_the_end_in_the_last_of_a_turn() -> None:
    """Reading is not held back then: what still comes is dropped, and the end of the connection below is heard."""
    with Ends(client=True) as ends:
        message, late = frame(BINARY, b"x", mask=None), frame(BINARY, b"late", mask=None)
        ends.feed(message * (TURN - 1) + close_frame(1000, mask=None) + late)
        assert ends.log.messages == [b"x"] * (TURN - 1)
        assert ends.log.ends == [(1000, "")]
        assert ends.ws.bev.read_suspended == 0
        ends.feed(late)
        assert not ends.ws.bev.input
        ends.end()
        assert ends.ws.bev.closed


def test_pause_in_the_last_of_a_turn() -> None:
    with Ends() as ends:

        def on_message(ws: WebSocket, data: str | bytes) -> None:
            ends.log.on_message(ws, data)
            if len(ends.log.messages) == TURN:
                ws.pause()

        ends.ws.on_message = on_message
        ends.feed(frame(BINARY, b"x") * (TURN + 3))
        assert len(ends.log.messages) == TURN
        ends.ws.resume()
        ends.run()
        ends.feed(frame(BINARY, b"x"))
        assert len(ends.log.messages) == TURN + 4


def test_a_peer_that_ends_while_paused_is_heard_after_resume() -> None:
    with Ends() as ends:
        ends.ws.on_message = lambda ws, data: (ends.log.on_message(ws, data), ws.pause())
        ends.feed(frame(TEXT, b"1") + frame(TEXT, b"2"))
        ends.end()
        assert ends.log.ends == []
        ends.ws.resume()
        ends.run()
        assert (ends.log.messages, ends.log.ends) == (["1", "2"], [])
        ends.ws.resume()
        ends.run()
        assert [code for code, _ in ends.log.ends] == [1006]


def test_an_end_that_is_told_while_paused_waits_for_what_came_before() -> None:
    """A connection that defers its callbacks tells of data and of the end at once."""
    with Ends() as ends:

        def on_message(ws: WebSocket, data: str | bytes) -> None:
            ends.log.on_message(ws, data)
            if data == "1":
                ws.pause()

        ends.ws.on_message = on_message
        ends.pair._far.write(frame(TEXT, b"1") + frame(TEXT, b"2"))
        ends.end()
        assert (ends.log.messages, ends.log.ends) == (["1"], [])
        ends.ws.resume()
        ends.run()
        assert ends.log.messages == ["1", "2"]
        assert [code for code, _ in ends.log.ends] == [1006]


def test_a_failure_that_is_told_while_paused_waits_for_what_came_before() -> None:
    with Ends() as ends:

        def on_message(ws: WebSocket, data: str | bytes) -> None:
            ends.log.on_message(ws, data)
            if data == "1":
                ws.pause()

        ends.ws.on_message = on_message
        blocked(ends)
        ends.ws.send(b"x")
        ends.feed(frame(TEXT, b"1") + frame(TEXT, b"2"))
        ends.run(31)
        assert ends.log.ends == []
        ends.ws.resume()
        ends.run()
        assert ends.log.messages == ["1", "2"]
        assert ends.log.ends == [(1006, "write: timed out after 30 s")]


def test_marks_of_before_do_not_count() -> None:
    with MemoryPair() as pair:
        pair.near.set_watermark(EV_READ, 10, 20)
        log = Log()
        ws = WebSocket(pair.near, client=False)
        log.attach(ws)
        pair.feed(frame(TEXT, b"x"))
        assert log.messages == ["x"]


# --- sending


def test_what_is_sent() -> None:
    with Ends() as ends:
        for data in ("ü", b"x", bytearray(b"y"), memoryview(b"zz")[1:]):
            assert ends.ws.send(data)
        assert ends.run() == [
            Frame(0x81, False, b"\xc3\xbc"),
            Frame(0x82, False, b"x"),
            Frame(0x82, False, b"y"),
            Frame(0x82, False, b"z"),
        ]


def test_a_client_masks() -> None:
    with Ends(client=True) as ends:
        ends.ws.send("x")
        assert ends.run() == [Frame(0x81, True, b"x")]


def test_what_can_not_be_sent() -> None:
    with Ends() as ends:
        with pytest.raises(TypeError, match="int"):
            ends.ws.send(1)  # type: ignore[arg-type]  # that is the point
        with pytest.raises(ValueError, match="surrogates"):
            ends.ws.send("\ud800")
        assert ends.run() == []


def test_fragments() -> None:
    with Ends() as ends:
        ends.ws.send_start(text=True)
        assert ends.ws.in_fragments
        assert ends.ws.send_piece("a")
        with pytest.raises(LocalProtocolError, match="before another message"):
            ends.ws.send("b")
        with pytest.raises(TypeError, match="str"):
            ends.ws.send_piece(b"c")
        ends.ws.ping(b"between")
        assert ends.ws.send_end()
        assert ends.ws.send("d")
        assert ends.run() == [
            Frame(0x01, False, b"a"),
            Frame(0x89, False, b"between"),
            Frame(0x80, False, b""),
            Frame(0x81, False, b"d"),
        ]


@pytest.mark.parametrize("client", [False, True])
def test_compression_both_ways(client: bool) -> None:
    """One end answers to another, each as agreed."""
    agreement = Agreement("chat", Agreed(server_bits=10, client_bits=11, client_fresh=True))
    options = WebSocketOptions(deflate=Deflate(min_size=10))
    with Ends(client=client, agreement=agreement, options=options) as ends:
        with Ends(client=not client, agreement=agreement, options=options) as other:
            assert ends.ws.subprotocol == "chat"
            for text in ("x" * 1000, "short", "x" * 1000):
                ends.ws.send(text)
                sent = ends.pair.run()
                assert len(sent) < 100
                other.ws.on_message = lambda ws, data: (ws.send(data), None)[1]
                ends.pair.feed(other.pair.feed(sent))
        assert ends.log.messages == ["x" * 1000, "short", "x" * 1000]


# --- back-pressure


def blocked(ends: Ends) -> None:
    """Let the peer take nothing."""
    ends.pair._far.disable(2)


def unblocked(ends: Ends) -> None:
    ends.pair._far.enable(2)


def test_send_says_when_it_is_enough_and_the_end_of_that_is_told_once() -> None:
    with Ends(options=SMALL) as ends:
        blocked(ends)
        assert ends.ws.send(bytes(900))
        assert not ends.ws.send(bytes(900))
        assert not ends.ws.send(bytes(1))
        assert ends.ws.buffered == 904 * 2 + 3
        ends.run()
        assert ends.log.drained == 0
        unblocked(ends)
        assert len(ends.run()) == 3
        assert ends.log.drained == 1
        assert ends.ws.send(b"x")
        ends.run()
        assert ends.log.drained == 1


def test_sending_from_on_drained() -> None:
    with Ends(options=SMALL) as ends:
        rounds = []

        def on_drained(ws: WebSocket) -> None:
            rounds.append(ws.buffered)
            if len(rounds) < 5:
                assert not ws.send(bytes(2000))

        ends.ws.on_drained = on_drained
        ends.ws.send(bytes(2000))
        assert len(ends.run()) == 5
        assert rounds == [0] * 5


@pytest.mark.parametrize("send", ["send", "send_piece", "send_end"])
def test_a_peer_that_does_not_keep_up_is_given_up(send: str) -> None:
    with Ends(options=SMALL) as ends:
        blocked(ends)
        if send != "send":
            ends.ws.send_start(text=False)
        act: dict[str, Callable[[], bool]] = {
            "send": lambda: ends.ws.send(bytes(100)),
            "send_piece": lambda: ends.ws.send_piece(bytes(100)),
            "send_end": ends.ws.send_end,
        }
        if send == "send":
            assert not ends.ws.send(bytes(20_000))  # one message may be as big as it likes
        else:
            assert not ends.ws.send_piece(bytes(20_000))
        assert ends.ws.open
        assert not act[send]()
        assert ends.ws.closed
        assert ends.ws.bev.closed
        assert isinstance(ends.ws.error, TransportTimeout)
        assert ends.log.ends == [(1006, str(ends.ws.error))]
        assert not act[send]()


def test_no_limit_of_what_waits() -> None:
    options = WebSocketOptions(high_water=1000, max_buffered=None)
    with Ends(options=options) as ends:
        blocked(ends)
        for _ in range(100):
            assert not ends.ws.send(bytes(10_000))
        assert ends.ws.open


def test_pings_of_a_peer_that_reads_nothing_are_answered_with_the_last() -> None:
    with Ends() as ends:
        blocked(ends)
        for number in range(3000):
            ends.pair._far.write(frame(PING, b"%125d" % number))
        ends.run()
        assert ends.ws.buffered < 20_000
        unblocked(ends)
        found = ends.run()
        assert {each.opcode for each in found} == {PONG}
        assert found[-1].payload == b"%125d" % 2999
        assert len(found) < 200
        assert ends.log.drained == 0
        assert ends.feed(frame(PING, b"again")) == [Frame(0x8A, False, b"again")]


# --- callbacks that do what they like


def test_an_exception_is_told_and_the_peer_hears_1011() -> None:
    with Ends() as ends:

        def on_message(ws: WebSocket, data: str | bytes) -> None:
            raise ZeroDivisionError

        ends.ws.on_message = on_message
        with pytest.raises(ZeroDivisionError):
            ends.feed(frame(TEXT, b"x") + frame(TEXT, b"y"))
        assert ends.run() == [Frame(0x88, False, b"\x03\xf3internal error")]
        assert ends.log.ends == [(1011, "internal error")]


def test_a_callback_may_end_with_a_code_of_its_own() -> None:
    with Ends() as ends:

        def on_message(ws: WebSocket, data: str | bytes) -> None:
            raise WebSocketError(1008, "no cats")

        ends.ws.on_message = on_message
        assert ends.feed(frame(TEXT, b"cat")) == [Frame(0x88, False, b"\x03\xf0no cats")]
        assert ends.log.ends == [(1008, "no cats")]
        assert isinstance(ends.ws.error, WebSocketError)


@pytest.mark.parametrize("name", ["on_pong", "on_drained", "on_close"])
def test_exceptions_of_other_callbacks(name: str) -> None:
    with Ends(options=SMALL) as ends:

        def fail(*_arguments: object) -> None:
            raise ZeroDivisionError

        setattr(ends.ws, name, fail)
        data = {"on_pong": frame(PONG), "on_drained": b"", "on_close": close_frame(1000)}[name]
        ends.ws.send(bytes(2000))
        with pytest.raises(ZeroDivisionError):
            ends.feed(data) if data else ends.run()
        assert ends.ws.closed
        if name != "on_close":
            assert ends.log.ends == [(1011, "internal error")]


@pytest.mark.parametrize("act", ["abort", "close", "bev", "pause"])
def test_ending_from_inside_a_message(act: str) -> None:
    with Ends() as ends:

        def on_message(ws: WebSocket, data: str | bytes) -> None:
            ends.log.on_message(ws, data)
            {"abort": ws.abort, "close": ws.close, "bev": ws.bev.close, "pause": ws.pause}[act]()

        ends.ws.on_message = on_message
        ends.feed(frame(TEXT, b"1") + frame(TEXT, b"2"))
        assert ends.log.messages == ["1"]
        assert ends.log.ends == ([(1006, "")] if act in ("abort", "bev") else [])
        assert ends.ws.error is None


def test_sending_after_the_end_is_dropped() -> None:
    with Ends() as ends:
        ends.ws.abort()
        assert not ends.ws.send("x")
        assert not ends.ws.send_piece("x")
        assert not ends.ws.send_end()
        ends.ws.send_start(text=True)
        ends.ws.ping()
        ends.ws.pause()
        ends.ws.resume()
        ends.ws.close()
        ends.ws.abort()
        assert ends.run() == []
        assert ends.log.ends == [(1006, "")]
        assert not ends.ws.paused


def test_its_repr_tells_its_state() -> None:
    with Ends() as ends:
        assert repr(ends.ws).startswith("<WebSocket server open <PairBufferEvent")
        ends.ws.pause()
        assert " open paused " in repr(ends.ws)
        ends.ws.close()
        assert "server closing <" in repr(ends.ws)
        ends.ws.abort()
        assert "server closed <" in repr(ends.ws)
    with Ends(client=True) as ends:
        assert "client open" in repr(ends.ws)


@pytest.mark.parametrize("data", [close_frame(1000), frame(3), frame(TEXT, b"\xff"), b""])
def test_nothing_is_left_when_it_has_ended(data: bytes) -> None:
    gc.disable()
    try:
        ends = Ends()
        with ends:
            ends.feed(frame(TEXT, b"x") + data)
            ends.end()
        kept = weakref.ref(ends.log)
        del ends
        assert kept() is None
    finally:
        gc.enable()


def test_close_frames_end_the_reading() -> None:
    with Ends() as ends:
        assert ends.feed(close_frame(1000) + frame(TEXT, b"late"))[0].opcode == CLOSE
        assert ends.log.messages == []
