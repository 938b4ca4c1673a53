"""`evkit.rpc.connection.link`: bytes, turns, time and the end of a connection, under a half that serves nothing."""

import socket
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from evkit.core import EventBase, SocketBufferEvent
from evkit.errors import ConnectionLost, TransportTimeout
from evkit.rpc import Limits, Service
from evkit.rpc.connection import link as link_module
from evkit.rpc.connection.link import FAREWELL, FORGIVEN, HELD_PAUSED, HELD_SERVING, UNJOINED, Link
from evkit.rpc.errors import RPCProtocolError
from evkit.rpc.protocol.coders import Coders
from evkit.testing import ManualClock
from rpc_aids import Make, Peer


class Half(Link):
    """Notes what it is told, and answers with the parameters, but a ``wait`` and a ``hold``."""

    __slots__ = ("heard", "told", "wakes")

    def __init__(self, bev: SocketBufferEvent, coders: Coders, peer: str) -> None:
        super().__init__(bev, coders, peer)
        self.heard: list[str] = []
        self.told: list[str] = []
        self.wakes: list[float] = []

    def on_request(self, number: int, method: str, params: list[Any]) -> None:
        self.heard.append(method)
        if method == "raise":
            raise ZeroDivisionError(params)
        if method == "hold":
            self.hold(HELD_SERVING)
        if method == "wait":
            self.session.serving[number] = None
        else:
            self.answer(number, params)

    def on_notification(self, method: str, params: list[Any]) -> None:
        self.heard.append(method)

    def answer(self, number: int, value: object) -> None:
        self.session.serving.pop(number, None)
        self.send(self.session.pack((1, number, None, value)))

    def drained(self) -> None:
        self.told.append("drained")

    def peer_ended(self) -> None:
        self.told.append("peer ended")

    def fail_calls(self) -> None:
        self.told.append("no answers")

    def gone(self) -> None:
        self.session.serving.clear()
        self.told.append("gone")

    def look_at_calls(self, now: float) -> None:
        self.wakes.append(now)


def half_of(base: EventBase, sock: socket.socket, service: Service, **limits: Any) -> Half:
    return Half(SocketBufferEvent(base, sock), Coders(Limits(**limits)), "the peer")


@pytest.fixture
def build() -> Callable[..., Half]:
    return half_of


def read_all(peer: Peer) -> int:
    """Return how many bytes come until nothing does."""
    total = 0
    while data := peer.read():
        total += len(data)
        peer.settle()
    return total


def later(clock: ManualClock, peer: Peer, seconds: float) -> None:
    clock.advance(seconds)
    peer.settle()


class TestOut:
    def test_what_a_read_brings_is_answered_in_one_send(self, make: Make) -> None:
        _, peer = make()
        peer.send(*[[0, number, "echo", [number]] for number in range(50)])
        assert len(peer.read()) == 50 * 6
        assert peer.read() == b""

    def test_what_is_sent_outside_goes_out_from_the_loop_together(self, make: Make) -> None:
        link, peer = make()
        for _ in range(3):
            link.send(b"\x05")
        assert link.bev.output.length == 0
        peer.settle()
        assert peer.read() == b"\x05\x05\x05"
        link.send(b"\x06")
        peer.settle()
        assert peer.read() == b"\x06"

    @pytest.mark.parametrize("size", [UNJOINED - 1, UNJOINED, 3 * UNJOINED])
    def test_large_and_small_keep_their_order(self, make: Make, size: int) -> None:
        link, peer = make()
        pieces = [b"a", b"b" * size, b"c", b"d" * size]
        for piece in pieces:
            link.send(piece)
        peer.settle()
        data = b""
        while got := peer.read():
            data += got
            peer.settle()
        assert data == b"".join(pieces)

    def test_answers_that_are_not_read_hold_the_peer(self, make: Make) -> None:
        link, peer = make(high=200_000, low=1000)
        peer.send([0, 1, "wait", []], [0, 2, "wait", []])
        link.answer(1, bytes(600_000))
        peer.settle()
        assert link.session.held
        assert link.bev.read_suspended
        peer._sock.send(msgpack.packb([2, "later", []]))
        peer.settle()
        assert link.heard == ["wait", "wait"]
        assert link.told == []
        assert read_all(peer) > 600_000
        assert link.told == ["drained"]
        assert link.heard[-1] == "later"
        link.answer(2, None)

    def test_what_is_asked_holds_nobody(self, make: Make) -> None:
        """Else two that ask each other much would wait for each other."""
        link, peer = make(high=200_000, low=1000)
        for number in range(10):
            link.send(link.session.pack((0, number, "ask", [bytes(100_000)])))
        peer.settle()
        assert link.bev.output.length > 200_000
        peer.send([2, "heard", []])
        assert link.heard == ["heard"]

    def test_answers_to_a_peer_that_reads_are_not_added_up(self, make: Make) -> None:
        link, peer = make(high=200_000, low=1000)
        for number in range(20):
            peer.send([0, number, "wait", []])
            link.answer(number, bytes(50_000))
            peer.settle()
            read_all(peer)
        assert not link.session.held
        assert link.told == []

    def test_answers_behind_what_is_asked_add_up(self, make: Make) -> None:
        link, peer = make(high=200_000, low=1000)
        numbers = range(8)
        peer.send(*[[0, number, "wait", []] for number in numbers])
        link.send(link.session.pack((0, 1, "ask", [bytes(900_000)])))
        peer.settle()
        held = []
        for number in numbers:
            link.answer(number, bytes(50_000))
            peer.settle()
            held.append(bool(link.session.held))
        assert held == [False] * 3 + [True] * 5  # the fourth makes it more than 200,000

    def test_answers_that_were_read_are_not_counted_again(self, make: Make) -> None:
        link, peer = make(high=600_000, low=1000)
        for number in range(8):
            peer.send([0, number, "wait", []])
            link.send(link.session.pack((0, number, "ask", [bytes(599_000)])))
            peer.settle()
            link.answer(number, bytes(300_000))
            peer.settle()
            assert not link.session.held
            read_all(peer)

    def test_it_goes_on_at_the_low_mark(self, make: Make) -> None:
        link, peer = make(high=600_000, low=300_000)
        peer.send([0, 1, "wait", []])
        link.answer(1, bytes(1_500_000))
        peer.settle()
        while not link.told:
            assert peer.read(20_000)
            peer.settle()
        assert 0 < link.bev.output.length <= 300_000

    def test_what_breaks_the_rules_after_a_hold_is_the_last_that_is_told(self, make: Make) -> None:
        link, peer = make(high=200_000, low=1000)
        peer.send([0, 1, "wait", []], [0, 2, "wait", []])
        link.answer(1, bytes(600_000))
        peer.settle()
        peer._sock.send(b"\xc1")
        read_all(peer)
        assert link.closed
        assert link.told[-1] == "gone"

    def test_a_peer_that_reads_nothing_has_so_much_time(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(message_timeout=5.0)
        link.send(bytes(3_000_000))
        peer.settle()
        later(clock, peer, 4.9)
        assert not link.closed
        later(clock, peer, 0.2)
        assert isinstance(link.error, TransportTimeout)


class TestTurns:
    def test_thousands_at_once_give_way_to_others(self, make: Make) -> None:
        order: list[str] = []
        (busy, many), (other, one) = make(), make()
        busy.heard = other.heard = order
        many._sock.send(bytes.fromhex("9302a16290") * 1000)
        one._sock.send(bytes.fromhex("9302a16f90"))
        many.settle()
        assert order.count("b") == 1000
        assert order.index("o") < 600

    def test_reasons_are_bits_of_their_own(self) -> None:
        reasons = [getattr(link_module, name) for name in dir(link_module) if name.startswith("HELD_")]
        assert len(reasons) == 6
        assert sum(reasons) == 2 ** len(reasons) - 1

    def test_two_reasons(self, make: Make) -> None:
        link, peer = make()
        link.hold(HELD_SERVING)
        link.hold(HELD_PAUSED)
        peer.send([2, "a", []])
        link.unhold(HELD_SERVING)
        peer.settle()
        assert link.heard == []
        link.unhold(HELD_SERVING)
        assert link.session.held == HELD_PAUSED
        link.unhold(HELD_PAUSED)
        peer.settle()
        assert link.heard == ["a"]

    def test_what_is_held_in_the_middle_waits_there(self, make: Make) -> None:
        link, peer = make()
        peer.send([0, 1, "hold", []], [2, "a", []])
        assert link.heard == ["hold"]
        link.unhold(HELD_SERVING)
        peer.settle()
        assert link.heard == ["hold", "a"]

    def test_what_escapes_in_a_later_turn_does_not_end_the_loop(
        self, make: Make, escaped: list[BaseException]
    ) -> None:
        link, peer = make()
        notes = [[2, "a", []]] * 300
        peer.send(*notes, [0, 1, "raise", [5]])
        assert [type(one) for one in escaped] == [ZeroDivisionError]
        assert len(link.heard) == 301


class TestMessages:
    def test_byte_by_byte(self, make: Make) -> None:
        _, peer = make()
        for byte in bytes.fromhex("940001a46563686f9107"):
            assert peer.heard() == []
            peer.send(raw=bytes([byte]))
        assert peer.heard() == [[1, 1, None, [7]]]

    def test_what_came_before_a_fault_is_answered(self, make: Make, log: list[str]) -> None:
        link, peer = make()
        peer.send([0, 1, "echo", [1]], raw=b"\xc1" + msgpack.packb([0, 2, "echo", [2]]))
        assert peer.heard() == [[1, 1, None, [1]]]
        assert link.closed
        assert isinstance(link.error, RPCProtocolError)
        assert log == [f"rpc: the peer: {link.error}; the connection was closed"]
        assert link.told == ["gone"]

    def test_one_that_does_not_end_ends_the_connection(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(message_timeout=5.0)
        peer.send([0, 1, "echo", [1]], raw=b"\x94\x00")
        for byte in (b"\x02", b"\xa4"):  # it goes on, and yet is the same message
            clock.advance(2.0)
            peer.send(raw=byte)
        assert not link.closed
        later(clock, peer, 0.9)
        assert not link.closed
        later(clock, peer, 0.2)
        assert isinstance(link.error, TransportTimeout)
        assert str(link.error) == "read: a message was not whole after 5 s"
        assert link.wakes == []

    def test_the_very_first_does_not_end(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(message_timeout=5.0)
        peer.send(raw=b"\x93")
        later(clock, peer, 4.9)
        assert not link.closed
        later(clock, peer, 0.2)
        assert link.closed

    def test_its_time_begins_anew_when_this_side_did_not_read(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(message_timeout=5.0)
        peer.send(raw=b"\x93")
        link.hold(HELD_SERVING)
        later(clock, peer, 5.1)
        link.unhold(HELD_SERVING)
        later(clock, peer, 4.8)
        assert not link.closed
        later(clock, peer, 0.3)
        assert link.closed

    def test_its_time_begins_with_it(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(message_timeout=5.0)
        for _ in range(6):
            peer.send(raw=bytes.fromhex("940001a4"))
            clock.advance(3.0)
            peer.send(raw=bytes.fromhex("6563686f9107"))
        assert len(peer.heard()) == 6
        later(clock, peer, 100.0)
        assert not link.closed

    def test_one_that_begins_while_another_is_waited_for_has_its_own_time(
        self, make: Make, clock: ManualClock
    ) -> None:
        link, peer = make(message_timeout=5.0)
        peer.send(raw=b"\x93\x02")
        clock.advance(4.0)
        peer.send(raw=b"\xa1a\x90\x93")
        later(clock, peer, 1.5)
        assert not link.closed  # that was the time of the first
        later(clock, peer, 3.4)
        assert not link.closed
        later(clock, peer, 0.2)
        assert link.closed

    def test_one_may_take_for_ever(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(message_timeout=None)
        peer.send(raw=b"\x93")
        later(clock, peer, 1e6)
        assert not link.closed

    def test_it_is_not_late_while_this_side_does_not_read(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(message_timeout=5.0)
        peer.send([0, 1, "hold", []], raw=b"\x93")
        for _ in range(4):
            later(clock, peer, 3.0)
        assert not link.closed
        link.unhold(HELD_SERVING)
        later(clock, peer, 5.1)
        later(clock, peer, 5.1)
        assert link.closed


class TestStrays:
    def test_they_are_forgiven_after_a_while(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(max_stray=3)
        for _ in range(5):
            peer.send(*[[1, 77, None, None]] * 3)
            later(clock, peer, FORGIVEN + 0.1)
        assert (link.session.stray, link.session.stray_lately, link.closed) == (15, 0, False)

    def test_not_before(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(max_stray=3)
        peer.send([1, 77, None, None])
        later(clock, peer, FORGIVEN - 0.1)
        assert link.session.stray_lately == 1
        peer.send(*[[1, 77, None, None]] * 2)
        later(clock, peer, 0.2)
        assert link.session.stray_lately == 0

    def test_another_timer_forgives_nothing(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(max_stray=3)
        peer.send([1, 77, None, None])
        link.wake_at(link.base.now() + 1.0)
        later(clock, peer, 1.1)
        assert link.session.stray_lately == 1
        later(clock, peer, FORGIVEN)
        assert link.session.stray_lately == 0


class TestTime:
    def test_the_earliest_look_counts(self, make: Make, clock: ManualClock) -> None:
        link, peer = make()
        start = link.base.now()
        for seconds in (10.0, 2.0, 5.0):
            link.wake_at(start + seconds)
        later(clock, peer, 1.9)
        assert link.wakes == []
        later(clock, peer, 0.2)
        assert len(link.wakes) == 1
        later(clock, peer, 20.0)
        assert len(link.wakes) == 1

    def test_one_that_is_past_comes_at_once(self, make: Make) -> None:
        link, peer = make()
        link.wake_at(link.base.now() - 5.0)
        peer.settle()
        assert len(link.wakes) == 1


class TestEnd:
    def test_the_peer_says_no_more(self, make: Make) -> None:
        link, peer = make()
        peer.send([0, 1, "echo", [1]])
        peer.shut()
        assert link.told == ["peer ended", "no answers", "gone"]
        assert peer.heard() == [[1, 1, None, [1]]]
        assert (link.closed, link.error) == (True, None)

    def test_what_is_served_then_is_answered(self, make: Make) -> None:
        link, peer = make()
        peer.send([0, 1, "wait", []])
        peer.shut()
        assert (link.closed, link.ended, link.busy) == (False, True, True)
        link.answer(1, bytes(500_000))
        link.end_soon()
        assert read_all(peer) > 500_000
        assert (link.closed, link.error) == (True, None)

    def test_a_call_that_is_never_answered_then(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(half_closed_timeout=20.0)
        peer.send([0, 1, "wait", []])
        peer.shut()
        later(clock, peer, 19.9)
        assert not link.closed
        later(clock, peer, 0.2)
        assert (link.closed, link.told[-1]) == (True, "gone")
        assert isinstance(link.error, TransportTimeout)
        assert "calls were not answered 20 s after the peer had closed its side" in str(link.error)

    def test_who_is_reading_then_has_time(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(half_closed_timeout=20.0, message_timeout=None)
        peer.send([0, 1, "wait", []], [0, 2, "wait", []])
        peer.shut()
        link.answer(1, bytes(3_000_000))
        for _ in range(4):
            later(clock, peer, 10.0)
            assert not link.closed
        assert read_all(peer) > 3_000_000
        later(clock, peer, 10.0)
        assert link.closed

    def test_it_may_have_all_the_time(self, make: Make, clock: ManualClock) -> None:
        link, peer = make(half_closed_timeout=None)
        peer.send([0, 1, "wait", []])
        peer.shut()
        later(clock, peer, 100_000.0)
        assert not link.closed

    def test_what_waits_then_is_served_first(self, make: Make) -> None:
        link, peer = make()
        peer.send([0, 1, "hold", []], [0, 2, "echo", [1]])
        link.end_soon()
        assert peer.heard() == [[1, 1, None, []]]
        link.unhold(HELD_SERVING)
        assert peer.heard() == [[1, 2, None, [1]]]
        assert peer.at_end()

    def test_an_end_inside_a_message_is_an_error(self, make: Make, log: list[str]) -> None:
        link, peer = make()
        peer.send(raw=b"\x94\x00")
        peer.shut()
        assert str(link.error) == "the connection ended inside a message (at byte 2)"
        assert len(log) == 1

    def test_a_reset_is_an_error(self, make: Make) -> None:
        link, peer = make()
        link.send(b"\x05")
        peer.settle()
        peer.close()  # with what it has not read
        assert link.closed
        assert isinstance(link.error, ConnectionLost)

    @pytest.mark.parametrize("size", [1, 3_000_000])
    def test_a_reset_while_it_waits_for_the_end(self, make: Make, size: int) -> None:
        link, peer = make()
        link.send(bytes(size))
        link.end_soon()
        peer.settle()
        assert not link.closed
        peer.close()
        assert link.closed
        assert isinstance(link.error, ConnectionLost)

    def test_a_farewell_leaves_no_timer(self, make: Make, clock: ManualClock) -> None:
        link, peer = make()
        peer.send([1, 77, None, None], raw=b"\x93")
        link.end_soon()
        later(clock, peer, FAREWELL + 0.1)
        assert link.closed  # and `make` looks for timers

    def test_who_says_nothing_is_let_go_unless_it_waits(self, make: Make, clock: ManualClock) -> None:
        link, peer = make()
        peer.send([0, 1, "wait", []])
        link.bev.set_timeouts(read=5.0)
        for _ in range(3):
            later(clock, peer, 5.1)
        assert not link.closed
        link.answer(1, None)
        peer.settle()
        later(clock, peer, 5.1)
        assert link.closed
        assert isinstance(link.error, TransportTimeout)

    def test_a_farewell(self, make: Make, clock: ManualClock) -> None:
        link, peer = make()
        link.end_soon()
        assert link.told == ["no answers"]
        assert peer.at_end()
        peer.send(raw=b"\x93\x02")  # nobody reads it
        assert (link.closed, link.heard) == (False, [])
        later(clock, peer, FAREWELL - 0.1)
        assert not link.closed
        later(clock, peer, 0.2)
        assert (link.closed, link.error) == (True, None)

    def test_a_farewell_that_is_answered(self, make: Make) -> None:
        link, peer = make()
        link.end_soon()
        assert peer.at_end()
        peer.shut()
        assert (link.closed, link.error) == (True, None)

    def test_a_farewell_waits_for_a_peer_that_is_still_reading(self, make: Make, clock: ManualClock) -> None:
        link, peer = make()
        link.send(bytes(3_000_000))
        link.end_soon()
        for _ in range(3):
            later(clock, peer, FAREWELL + 0.1)
            assert not link.closed
        assert read_all(peer) == 3_000_000
        later(clock, peer, FAREWELL + 0.1)
        later(clock, peer, FAREWELL + 0.1)
        assert link.closed

    def test_an_end_twice_is_one(self, make: Make) -> None:
        link, peer = make()
        link.end_soon()
        link.end_soon()
        peer.settle()
        assert link.told == ["no answers"]

    def test_a_close(self, make: Make) -> None:
        told: list[Link] = []
        link, peer = make()
        link.on_close = told.append
        link.wake_at(link.base.now() + 5.0)
        link.send(b"\x05")
        link.close()
        link.close()
        assert (told, link.told, link.closed, link.ended, link.error) == ([link], ["gone"], True, True, None)
        assert peer.read() == b""

    @pytest.mark.parametrize("error", [None, TransportTimeout("too late", during="read")])
    def test_a_loss_has_a_reason(self, make: Make, error: TransportTimeout | None) -> None:
        link, _ = make()
        link.lose(error)
        assert isinstance(link.error, ConnectionLost if error is None else TransportTimeout)
        assert error in (None, link.error)
        first = link.error
        link.lose(TransportTimeout("later", during="read"))
        assert link.error is first

    def test_nothing_is_done_after_a_close(self, make: Make) -> None:
        link, peer = make()
        link.hold(HELD_SERVING)
        peer.send([2, "a", []])
        link.close()
        link.unhold(HELD_SERVING)
        link.end_soon()
        peer.settle()
        assert (link.heard, link.told) == ([], ["gone"])
