"""How a WebSocket lives and ends: pings, silence, the closing handshake from either side, and every kind of loss."""

from typing import Any

import pytest

from evkit import ConnectionLost, EventConfig, TransportTimeout
from evkit.core.bufferevent.gate import SUSPEND_BANDWIDTH
from evkit.core.flags import BASE_NO_CACHE_TIME, COUNT_ADDED, EV_READ
from evkit.core.framed import TURN
from evkit.http.websocket.errors import WebSocketError
from evkit.http.websocket.options import WebSocketOptions
from evkit.http.websocket.websocket import WebSocket
from evkit.testing import base_with_fakes
from websocket_aids import BINARY, CLOSE, MASK, PING, PONG, TEXT, Ends, Frame, close_frame, frame

QUIET = WebSocketOptions(ping_after=None)


def mask_of(client: bool) -> bytes | None:
    """What a peer of this end puts over its frames."""
    return None if client else MASK


def events(ends: Ends) -> int:
    return ends.ws.bev.base.num_events(COUNT_ADDED)


# --- pings


def test_pings_are_answered_with_what_they_say() -> None:
    with Ends() as ends:
        assert ends.feed(frame(PING, b"a") + frame(PING)) == [
            Frame(0x8A, False, b"a"),
            Frame(0x8A, False, b""),
        ]


def test_own_pings() -> None:
    with Ends(client=True) as ends:
        ends.ws.ping(b"x" * 125)
        ends.ws.ping(bytearray(b"y"))
        assert ends.run() == [Frame(0x89, True, b"x" * 125), Frame(0x89, True, b"y")]
        with pytest.raises(ValueError, match="at most 125 bytes, got 126"):
            ends.ws.ping(bytes(126))
        with pytest.raises(ValueError, match="at most 125 bytes, got 126"):
            ends.ws.ping(memoryview(bytes(126)).cast("H"))  # which has a length of 63
        ends.feed(frame(PONG, b"unasked", mask=None))
        assert ends.log.pongs == [b"unasked"]


@pytest.mark.parametrize("data", ["x", 5, None, [1]])
def test_a_ping_that_is_none(data: Any) -> None:
    with Ends() as ends:
        with pytest.raises(TypeError, match="a ping has bytes, got"):
            ends.ws.ping(data)
        assert ends.run() == []


def test_silence_brings_a_ping_and_then_the_end() -> None:
    with Ends() as ends:
        assert ends.run(29) == []
        assert ends.run(2) == [Frame(0x89, False, b"")]
        assert ends.run(18) == []
        assert ends.ws.open
        ends.run(2)
        assert isinstance(ends.ws.error, TransportTimeout)
        assert ends.log.ends == [(1006, "read: no answer to a ping within 20 s")]
        assert ends.ws.bev.closed


def test_an_answer_begins_the_time_anew() -> None:
    with Ends() as ends:
        for _ in range(3):
            assert ends.run(31) == [Frame(0x89, False, b"")]
            assert ends.feed(frame(PONG)) == []
            assert ends.run(29) == []
            assert ends.ws.open
            ends.feed(frame(PONG))


def test_anything_that_comes_is_a_sign_of_life() -> None:
    with Ends() as ends:
        for _ in range(10):
            assert ends.run(20) == []
            ends.feed(frame(TEXT, b"x"))
        assert ends.run(31) == [Frame(0x89, False, b"")]
        assert ends.run(18) == []
        ends.feed(frame(TEXT, b"slow")[:3])
        assert ends.run(19) == []
        assert ends.ws.open


def test_an_answer_begins_the_shorter_time_anew() -> None:
    with Ends(options=WebSocketOptions(ping_after=5, ping_timeout=20)) as ends:
        assert ends.run(6) == [Frame(0x89, False, b"")]
        assert ends.run(10) == []
        ends.feed(frame(PONG))
        assert ends.run(4) == []
        assert ends.run(2) == [Frame(0x89, False, b"")]
        assert ends.run(18) == []
        assert ends.ws.open
        ends.run(2)
        assert ends.log.ends == [(1006, "read: no answer to a ping within 20 s")]


def test_a_byte_after_a_ping_gives_all_of_the_time_again() -> None:
    with Ends() as ends:
        assert ends.run(31) == [Frame(0x89, False, b"")]
        for _ in range(5):
            assert ends.run(18) == []
            ends.feed(frame(TEXT, b"x")[:1])
            ends.feed(frame(TEXT, b"x")[1:])
        assert ends.run(18) == []
        assert ends.ws.open
        ends.run(3)
        assert ends.ws.closed


def test_where_no_time_is_cached() -> None:
    fakes = base_with_fakes(EventConfig(flags=BASE_NO_CACHE_TIME))
    with fakes.base, Ends(fakes=fakes) as ends:
        for _ in range(3):
            assert ends.run(29) == []
            ends.feed(frame(TEXT, b"x"))
        assert ends.run(31) == [Frame(0x89, False, b"")]


def test_what_is_held_back_is_no_silence() -> None:
    with Ends() as ends:
        ends.ws.bev.suspend(EV_READ, SUSPEND_BANDWIDTH)
        assert ends.run(1000) == []
        assert ends.ws.open
        ends.ws.bev.resume(EV_READ, SUSPEND_BANDWIDTH)
        assert ends.run(31) == [Frame(0x89, False, b"")]
        ends.ws.bev.suspend(EV_READ, SUSPEND_BANDWIDTH)
        assert ends.run(1000) == []
        ends.pair.feed(frame(PONG))  # it waits there
        ends.run(1000)
        assert ends.ws.open
        ends.ws.bev.resume(EV_READ, SUSPEND_BANDWIDTH)
        assert ends.run(29) == []
        assert ends.run(2) == [Frame(0x89, False, b"")]


def test_a_pong_where_nobody_pings() -> None:
    with Ends(options=QUIET) as ends:
        ends.ws.ping(b"x")
        ends.feed(frame(PONG, b"x"))
        assert ends.log.pongs == [b"x"]
        assert ends.run(1000) == []
        assert events(ends) == 0


def test_without_pings_silence_may_last() -> None:
    with Ends(options=QUIET) as ends:
        assert ends.run(100_000) == []
        assert ends.ws.open
        assert events(ends) == 0


def test_one_timer_is_all_that_an_idle_connection_has() -> None:
    with Ends() as ends:
        ends.feed(frame(TEXT, b"x"))
        assert events(ends) == 1
        assert ends.ws.bev.read_timeout is None  # to begin that anew would cost each message


@pytest.mark.parametrize("client", [False, True])
def test_no_timer_outlives_the_connection(client: bool) -> None:
    with Ends(client=client) as ends:
        ends.ws.abort()
        assert events(ends) == 0


def test_a_time_out_that_the_program_has_set_below_ends_it() -> None:
    with Ends() as ends:
        ends.ws.bev.set_timeouts(read=3)
        ends.run(4)
        assert isinstance(ends.ws.error, TransportTimeout)
        assert ends.log.ends == [(1006, "read: timed out after 3 s")]


def test_a_peer_that_still_takes_what_was_sent_is_not_pinged() -> None:
    options = WebSocketOptions(write_timeout=None)
    with Ends(options=options) as ends:
        ends.pair._far.disable(2)
        ends.ws.send(bytes(100))
        assert ends.run(200) == []
        assert ends.ws.open
        ends.pair._far.enable(2)
        assert [each.opcode for each in ends.run()] == [BINARY]
        assert [each.opcode for each in ends.run(31)] == [PING]


def test_a_paused_connection_waits() -> None:
    with Ends() as ends:
        ends.ws.pause()
        assert ends.run(1000) == []
        assert ends.ws.open
        ends.ws.resume()
        assert [each.opcode for each in ends.run(31)] == [PING]


# --- the peer closes


@pytest.mark.parametrize("client", [False, True])
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (4321, "ü" * 61)])
def test_the_peer_closes(client: bool, code: int, reason: str) -> None:
    with Ends(client=client) as ends:
        answer = ends.feed(close_frame(code, reason, mask=mask_of(client)))
        assert answer == [Frame(0x88, client, code.to_bytes(2, "big"))]
        assert ends.log.ends == [(code, reason)]
        assert ends.ws.error is None
        # The server ends the connection; a client waits for that.
        assert ends.pair.ended is not client
        ends.end()
        assert ends.ws.bev.closed
        assert events(ends) == 0
        assert ends.log.ends == [(code, reason)]


def test_the_peer_closes_without_a_word() -> None:
    with Ends() as ends:
        assert ends.feed(close_frame()) == [Frame(0x88, False, b"")]
        assert ends.log.ends == [(1005, "")]


@pytest.mark.parametrize("client", [False, True])
def test_a_peer_that_does_not_end_after_closing(client: bool) -> None:
    with Ends(client=client) as ends:
        ends.feed(close_frame(1000, mask=mask_of(client)))
        for _ in range(9):
            ends.pair.feed(bytes(100))  # whatever it says now is nothing
            assert not ends.ws.bev.closed
            ends.run(1)
        ends.run(1.5)
        assert ends.ws.bev.closed
        assert ends.log.ends == [(1000, "")]
        assert ends.ws.error is None
        assert events(ends) == 0


def test_what_was_sent_before_goes_out_before_the_close_frame() -> None:
    with Ends() as ends:
        ends.ws.on_message = lambda ws, data: (ws.send(data), None)[1]
        found = ends.feed(frame(BINARY, bytes(100_000)) + close_frame(1000))
        assert [each.opcode for each in found] == [BINARY, CLOSE]
        assert found[0].payload == bytes(100_000)


# --- this end closes


@pytest.mark.parametrize("client", [False, True])
def test_closing(client: bool) -> None:
    with Ends(client=client) as ends:
        ends.ws.send("last")
        ends.ws.close(1001, "going")
        assert not ends.ws.open
        assert not ends.ws.closed
        assert not ends.ws.send("after")
        ends.ws.ping()
        ends.ws.close()
        assert ends.run() == [Frame(0x81, client, b"last"), Frame(0x88, client, b"\x03\xe9going")]
        mask = mask_of(client)
        assert ends.feed(frame(TEXT, b"on its way", mask=mask) + frame(PING, mask=mask)) == []
        assert ends.log.ends == []
        assert ends.feed(close_frame(1001, "seen", mask=mask)) == []
        assert ends.log.ends == [(1001, "seen")]
        assert ends.log.messages == []
        assert ends.pair.ended is not client
        ends.end()
        assert ends.ws.bev.closed
        assert ends.ws.error is None
        assert events(ends) == 0


def test_closing_without_a_code() -> None:
    with Ends() as ends:
        ends.ws.close(None)
        assert ends.run() == [Frame(0x88, False, b"")]


@pytest.mark.parametrize(
    ("code", "reason"), [(1005, ""), (1006, ""), (999, ""), (5000, ""), (1000, "x" * 124), (None, "x")]
)
def test_codes_and_reasons_that_may_not_be(code: int | None, reason: str) -> None:
    with Ends() as ends:
        with pytest.raises(ValueError, match=r"code|reason"):
            ends.ws.close(code, reason)
        assert ends.ws.open
        assert ends.run() == []


def test_closing_while_paused() -> None:
    with Ends() as ends:
        ends.ws.on_message = lambda ws, data: (ends.log.on_message(ws, data), ws.pause())
        ends.feed(frame(TEXT, b"1") + frame(TEXT, b"2") + close_frame(1000))
        assert ends.log.messages == ["1"]
        ends.ws.close(4000)
        assert ends.log.ends == []
        assert [each.opcode for each in ends.run()] == [CLOSE]
        assert (ends.log.messages, ends.log.ends) == (["1"], [(1000, "")])


@pytest.mark.parametrize("client", [False, True])
def test_a_peer_that_does_not_answer_is_given_up(client: bool) -> None:
    with Ends(client=client) as ends:
        ends.ws.close()
        ends.run(9)
        ends.feed(frame(TEXT, b"still talking", mask=mask_of(client)))
        assert not ends.ws.closed
        ends.run(2)
        assert isinstance(ends.ws.error, TransportTimeout)
        assert ends.log.ends == [(1006, "read: no answer to a close frame within 10 s")]
        assert ends.ws.bev.closed


def test_a_peer_that_still_takes_what_was_sent_has_time_to_answer() -> None:
    with Ends() as ends:
        ends.pair._far.disable(2)
        ends.pair._far.set_watermark(2, 0, 1000)
        ends.ws.send(bytes(10_000))
        ends.ws.close()
        for _ in range(5):
            ends.run(8)
            assert not ends.ws.closed
            ends.pair._far.enable(2)
            ends.pair.run()
            ends.pair._far.disable(2)
        ends.run(11)
        ends.run(11)
        assert [code for code, _ in ends.log.ends] == [1006]


def test_the_time_to_answer_begins_when_the_peer_has_taken_all() -> None:
    with Ends() as ends:
        ends.pair._far.disable(2)
        ends.ws.close()
        ends.run(9)
        ends.pair._far.enable(2)
        ends.run(9)
        assert not ends.ws.closed
        ends.run(2)
        assert ends.ws.closed


def test_a_late_answer_still_gives_the_peer_time_to_end() -> None:
    with Ends() as ends:
        ends.ws.close()
        ends.run(9)
        ends.feed(close_frame(1000))
        ends.run(9)
        assert not ends.ws.bev.closed
        ends.run(2)
        assert ends.ws.bev.closed
        assert ends.ws.error is None


def test_a_connection_that_closes_is_not_pinged() -> None:
    options = WebSocketOptions(ping_after=5, ping_timeout=5, close_timeout=100)
    with Ends(options=options) as ends:
        ends.ws.close()
        assert [each.opcode for each in ends.run(99)] == [CLOSE]
        assert not ends.ws.closed
        ends.run(2)
        assert ends.log.ends == [(1006, "read: no answer to a close frame within 100 s")]


@pytest.mark.parametrize(("client", "last"), [(False, frame(3)), (True, close_frame(1000, mask=None))])
def test_the_end_after_a_turn_that_gave_way(client: bool, last: bytes) -> None:
    with Ends(client=client) as ends:
        ends.feed(frame(BINARY, b"x", mask=mask_of(client)) * (TURN + 5) + last)
        assert len(ends.log.messages) == TURN + 5
        assert ends.ws.closed
        ends.end()
        assert ends.ws.bev.closed


def test_both_close_at_once() -> None:
    with Ends() as ends:
        ends.ws.close(1000)
        assert ends.feed(close_frame(1001)) == [Frame(0x88, False, b"\x03\xe8")]
        assert ends.log.ends == [(1001, "")]


def test_a_peer_that_ends_in_place_of_an_answer() -> None:
    with Ends() as ends:
        ends.ws.close()
        ends.end()
        assert isinstance(ends.ws.error, ConnectionLost)
        assert ends.log.ends == [(1006, "read: ended without a close frame")]


# --- rules that are broken


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(3), 1002),
        (frame(TEXT, b"x", mask=None), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(BINARY, bytes(2000)), 1009),
        (close_frame(1005), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    ],
)
def test_a_broken_rule_is_told_and_ends_it(data: bytes, code: int) -> None:
    with Ends(options=WebSocketOptions(max_message=1000)) as ends:
        (said,) = ends.feed(frame(TEXT, b"before") + data + frame(TEXT, b"after"))
        assert said.opcode == CLOSE
        assert said.payload[:2] == code.to_bytes(2, "big")
        assert ends.log.messages == ["before"]
        assert isinstance(ends.ws.error, WebSocketError)
        assert ends.log.ends == [(code, str(ends.ws.error))]
        assert said.payload[2:].decode() == str(ends.ws.error)[:123]
        assert ends.pair.ended  # the end of what we say; what still comes is discarded
        assert not ends.ws.bev.closed
        ends.pair.feed(bytes(10_000))
        ends.end()
        assert ends.ws.bev.closed
        assert events(ends) == 0


def test_a_broken_rule_after_closing_is_not_answered() -> None:
    with Ends() as ends:
        ends.ws.close()
        assert [each.opcode for each in ends.feed(frame(3))] == [CLOSE]
        assert [code for code, _ in ends.log.ends] == [1002]
        assert ends.pair.ended


def test_the_error_of_a_limit_is_cut_to_fit() -> None:
    with Ends() as ends:

        def on_message(ws: WebSocket, data: str | bytes) -> None:
            raise WebSocketError(4000, "ü" * 100)

        ends.ws.on_message = on_message
        (said,) = ends.feed(frame(TEXT))
        assert said.payload[2:].decode() == "ü" * 61
        assert ends.log.ends == [(4000, "ü" * 100)]


# --- losses


@pytest.mark.parametrize("client", [False, True])
def test_an_end_without_a_close_frame(client: bool) -> None:
    with Ends(client=client) as ends:
        ends.pair.feed(
            frame(TEXT, b"x", mask=mask_of(client)), frame(TEXT, b"half", mask=mask_of(client))[:3]
        )
        ends.end()
        assert ends.log.messages == ["x"]
        assert isinstance(ends.ws.error, ConnectionLost)
        assert ends.log.ends == [(1006, "read: ended without a close frame")]
        assert ends.ws.bev.closed


def test_a_peer_that_reads_nothing() -> None:
    with Ends() as ends:
        ends.pair._far.disable(2)
        ends.ws.send(b"x")
        ends.run(29)
        assert ends.ws.open
        ends.run(2)
        assert isinstance(ends.ws.error, TransportTimeout)
        assert ends.log.ends == [(1006, "write: timed out after 30 s")]


def test_pongs_that_nobody_asked_for_are_no_sign_that_a_peer_reads() -> None:
    with Ends() as ends:
        ends.pair._far.disable(2)
        ends.ws.send(b"x")
        for _ in range(7):
            ends.run(5)
            ends.pair.feed(frame(PONG))
        assert ends.log.ends == [(1006, "write: timed out after 30 s")]


def test_closing_the_connection_below_is_heard() -> None:
    with Ends() as ends:
        ends.ws.bev.close()
        assert ends.log.ends == [(1006, "")]
        assert ends.ws.error is None
        assert ends.ws.closed


@pytest.mark.parametrize("client", [False, True])
@pytest.mark.parametrize("opcode", [CLOSE, 3])
def test_on_close_may_do_anything(client: bool, opcode: int) -> None:
    with Ends(client=client) as ends:

        def on_close(ws: WebSocket, code: int, reason: str) -> None:
            ends.log.on_close(ws, code, reason)
            ws.on_close = on_close  # too late: it is called once
            ws.send("x")
            ws.ping()
            ws.close()
            ws.abort()

        ends.ws.on_close = on_close
        ends.feed(frame(opcode, mask=mask_of(client)))
        assert len(ends.log.ends) == 1
        assert ends.ws.bev.closed
        assert events(ends) == 0


def test_a_ping_that_was_to_be_answered_later_is_not_after_closing() -> None:
    with Ends() as ends:
        ends.pair._far.disable(2)
        for _ in range(300):
            ends.pair._far.write(frame(PING, bytes(125)))
        ends.run()
        ends.ws.close()
        ends.pair._far.enable(2)
        assert ends.run()[-1].opcode == CLOSE
