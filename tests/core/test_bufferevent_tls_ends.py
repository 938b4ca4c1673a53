"""`TLSBufferEvent`: how a session ends, by either side, in order and otherwise."""

import gc
import os
import socket
import ssl
import weakref
from errno import ECONNRESET

import pytest

from below import Below, Ear, turn, until
from certificates import Certificates
from evkit.core.base import EventBase
from evkit.core.bufferevent import BufferEvent, SocketBufferEvent
from evkit.core.bufferevent.pair import PairBufferEvent
from evkit.core.bufferevent.tls import TLSBufferEvent
from evkit.core.flags import (
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_FINISHED,
    EV_READ,
    EV_WRITE,
)
from evkit.errors import TLSError
from evkit.testing import FakeBase, ManualClock
from tls_ends import (  # noqa: F401 - fixtures
    Ends,
    Pair,
    Wire,
    make_ends,
    make_version,
    make_wired,
    over,
)


class TestEnds:
    def test_close_notify_is_the_end(self, ends: Ends) -> None:
        ends.shake()
        ends.client.write(b"last")
        ends.client.shutdown_write()
        turn(ends.base)
        assert ends.server_ear.take() == ["read 4", "READING|EOF"]
        assert not ends.server.enabled & EV_READ
        ends.server.write(b"half-closed")
        turn(ends.base)
        assert ends.client_ear.data == b"half-closed"
        ends.server.shutdown_write()
        turn(ends.base)
        assert ends.client_ear.heard[-1] == "READING|EOF"

    def test_nothing_goes_out_after_it(self, ends: Ends) -> None:
        ends.shake()
        ends.client.shutdown_write()
        ends.client.shutdown_write()
        ends.client.write(b"x")
        turn(ends.base)
        assert ends.client_ear.heard == ["WRITING|ERROR write: TLS: protocol is shutdown"]

    def test_it_is_told_again_to_whoever_reads_again(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.client.shutdown_write()
        wired.carry()
        assert ends.server_ear.take() == ["READING|EOF"]
        for _ in range(2):
            ends.server.enable(EV_READ)
            turn(wired.base)
            assert ends.server_ear.take() == ["READING|EOF"]

    def test_nothing_is_read_after_it(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.client.shutdown_write()
        turn(wired.base)
        wired.server.arrive(wired.client.sent + b"junk after the end")
        assert ends.server_ear.heard == ["READING|EOF"]
        ends.server.enable(EV_READ)
        assert not wired.server.reads()

    def test_a_reset_after_it_is_none(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.client_ear.takes = False
        ends.client.set_watermark(EV_READ, high=3)
        ends.server.write(b"all of it")
        ends.server.shutdown_write()
        turn(wired.base)
        wired.client.arrive(wired.server.sent)
        wired.client._failed(
            EV_READ, BEV_EVENT_READING | BEV_EVENT_ERROR, ConnectionResetError(ECONNRESET, "reset")
        )
        ends.client_ear.takes = True
        ends.client.input.clear()
        turn(wired.base)
        assert ends.client_ear.heard == ["read", "read 3", "read 3", "READING|EOF"]
        assert ends.client.error is None

    def test_with_input_that_nobody_has_read(self, ends: Ends) -> None:
        ends.shake()
        ends.client.set_watermark(EV_READ, high=10)
        ends.client_ear.takes = False
        ends.server.write(bytes(100))
        ends.server.shutdown_write()
        turn(ends.base)
        assert len(ends.client.input) == 10
        ends.client.write(b"answer")
        ends.client.shutdown_write()
        turn(ends.base)
        assert ends.server_ear.data == b"answer"
        assert ends.server_ear.heard[-1] == "READING|EOF"
        assert len(ends.client.input) == 10  # OpenSSL would have lost the rest
        ends.client_ear.takes = True
        ends.client.input.clear()
        turn(ends.base)
        assert ends.client_ear.heard == ["read", *["write"], *["read 10"] * 9, "READING|EOF"]

    def test_nothing_is_told_to_whoever_does_not_read(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.server.write(b"one")
        turn(wired.base)
        wired.client.arrive(wired.server.sent[:5])
        ends.client.disable(EV_READ)
        wired.client.input.feed(wired.server.sent[5:])  # it was under way
        ends.client.shutdown_write()
        turn(wired.base)
        assert (ends.client_ear.data, len(ends.client.input)) == (b"", 0)
        ends.client.enable(EV_READ)
        turn(wired.base)
        assert ends.client_ear.data == b"one"

    def test_a_part_of_a_record_is_none_to_lose(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.server.write(b"the first half and the second")
        turn(wired.base)
        wired.client.arrive(wired.server.sent[:20])
        ends.client.shutdown_write()
        turn(wired.base)
        wired.client.arrive(wired.server.sent[20:])
        assert ends.client_ear.data == b"the first half and the second"

    def test_a_bad_record_that_waits_is_told_of(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.client_ear.takes = False
        ends.client.set_watermark(EV_READ, high=2)
        ends.server.write(b"good")
        turn(wired.base)
        wired.client.arrive(wired.server.sent + wired.server.sent)
        ends.client.shutdown_write()
        turn(wired.base)
        ends.client_ear.takes = True
        ends.client.input.clear()
        turn(wired.base)
        assert ends.client_ear.heard == [
            "read",
            "read 2",
            "READING|ERROR read: TLS: decryption failed or bad record mac",
        ]

    @pytest.mark.parametrize("dirty", [False, True])
    @pytest.mark.parametrize("cut", [0, 3])
    def test_a_stream_that_is_cut(self, wired: Wire, cut: int, *, dirty: bool) -> None:
        ends = wired.shake()
        ends.client.allow_dirty_shutdown = dirty
        ends.server.write(b"part one")
        ends.server.flush_output()
        ends.server.write(b"part two")
        turn(wired.base)
        wired.client.arrive(wired.server.sent[: len(wired.server.sent) - cut])
        wired.client.arrive_end()
        turn(wired.base)
        assert ends.client_ear.data == (b"part one" if cut else b"part onepart two")
        story = "READING|ERROR read: the stream ended without the peer's close_notify"
        assert ends.client_ear.heard[-1] == ("READING|EOF" if dirty else story)
        assert dirty or isinstance(ends.client.error, TLSError)

    def test_whoever_stops_sending_is_answered(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.client.allow_dirty_shutdown = True
        wired.client.arrive_end()
        ends.client.write(b"answer")
        ends.client.close_when_drained()
        wired.carry()
        assert ends.client_ear.heard[0] == "READING|EOF"
        assert ends.server_ear.data == b"answer"
        assert ends.server_ear.heard[-1] == "READING|EOF"

    def test_whoever_stops_sending_is_answered_over_a_socket(
        self, base: EventBase, pair: Pair, certificates: Certificates
    ) -> None:
        ends = over(SocketBufferEvent(base, pair[0]), SocketBufferEvent(base, pair[1]), certificates).shake()
        ends.server.allow_dirty_shutdown = True
        pair[0].shutdown(socket.SHUT_WR)
        until(base, lambda: ends.server_ear.heard)
        assert ends.server_ear.heard == ["READING|EOF"]
        ends.server.write(b"answer")
        ends.server.close_when_drained()
        until(base, lambda: len(ends.client_ear.heard) == 2)
        assert ends.client_ear.heard == ["read 6", "READING|EOF"]
        ends.close()

    @pytest.mark.parametrize("records", [1, 2])
    def test_a_cut_behind_what_is_not_read_yet(self, wired: Wire, records: int) -> None:
        """Whoever cuts a stream must not get an end in order for it by being quick."""
        ends = wired.shake()
        ends.server.disable(EV_READ)
        for _ in range(records):
            ends.client.write(b"last")
            turn(wired.base)
        wired.server.input.feed(wired.client.sent)  # it was under way
        wired.server.arrive_end()
        turn(wired.base)
        ends.server.enable(EV_READ)
        turn(wired.base)
        assert ends.server_ear.data == b"last" * records
        assert (
            ends.server_ear.heard[-1]
            == "READING|ERROR read: the stream ended without the peer's close_notify"
        )

    def test_a_cut_is_told_again_to_whoever_reads_again(self, wired: Wire) -> None:
        ends = wired.shake()
        wired.client.arrive_end()
        ends.client.enable(EV_READ)
        turn(wired.base)
        assert ends.client_ear.take() == 2 * [
            "READING|ERROR read: the stream ended without the peer's close_notify"
        ]
        ends.client.allow_dirty_shutdown = True
        ends.client.enable(EV_READ)
        turn(wired.base)
        assert ends.client_ear.take() == ["READING|EOF"]

    def test_a_reset(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.server.write(b"before it")
        turn(wired.base)
        wired.client.arrive(wired.server.sent)
        wired.client._failed(
            EV_READ, BEV_EVENT_READING | BEV_EVENT_ERROR, ConnectionResetError(ECONNRESET, "reset")
        )
        assert ends.client_ear.heard == ["read 9", f"READING|ERROR read: [Errno {ECONNRESET}] reset"]

    def test_a_reset_in_a_record(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.client.disable(EV_READ)
        ends.server.write(b"half of it")
        turn(wired.base)
        wired.client.input.feed(wired.server.sent[:20])  # it was under way
        wired.client._failed(
            EV_READ, BEV_EVENT_READING | BEV_EVENT_ERROR, ConnectionResetError(ECONNRESET, "reset")
        )
        ends.client.enable(EV_READ)
        turn(wired.base)
        assert ends.client_ear.heard == [f"READING|ERROR read: [Errno {ECONNRESET}] reset"]

    def test_a_bad_record(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.server.write(b"good")
        turn(wired.base)
        good = wired.server.sent
        wired.client.arrive(good + good)  # a record that is played again is a forged one
        assert ends.client_ear.heard[0] == "read 4"
        assert ends.client_ear.heard[1:] == ["READING|ERROR read: TLS: decryption failed or bad record mac"]
        assert isinstance(ends.client.error, TLSError)
        assert ends.client.error.during == "read"
        turn(wired.base)
        wired.server.arrive(wired.client.sent)  # the alert
        assert "alert" in ends.server_ear.heard[-1]
        ends.client.write(b"x")
        turn(wired.base)
        assert ends.client_ear.heard[-1].startswith("WRITING|ERROR write: TLS: ")
        ends.client.close_when_drained()
        turn(wired.base)
        assert ends.client.closed

    def test_the_alert_goes_out_though_the_user_closes_at_once(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.client.set_callbacks(event=lambda bev, _what: bev.close())
        wired.client.arrive(b"HTTP/1.1 400 Bad Request\r\n")
        assert ends.client.closed
        wired.server.arrive(wired.client.sent)
        assert "alert" in ends.server_ear.heard[0]

    def test_plain_text_after_the_handshake(self, wired: Wire) -> None:
        ends = wired.shake()
        wired.client.arrive(b"HTTP/1.1 400 Bad Request\r\n")
        assert ends.client_ear.heard == ["READING|ERROR read: TLS: wrong version number"]

    def test_flush_finished(self, ends: Ends) -> None:
        ends.shake()
        ends.client.write(b"x")
        ends.client.flush(EV_WRITE, BEV_FINISHED)
        turn(ends.base)
        assert ends.server_ear.heard == ["read 1", "READING|EOF"]


class TestClosing:
    def test_when_drained_says_goodbye(self, ends: Ends) -> None:
        ends.shake()
        data = os.urandom(500_000)
        ends.client.write(data)
        ends.client.close_when_drained()
        turn(ends.base)
        assert ends.client.closed
        assert ends.server_ear.data == data
        assert ends.server_ear.heard[-1] == "READING|EOF"

    def test_when_drained_in_the_handshake(self, ends: Ends) -> None:
        ends.client.write(b"all that I have to say")
        ends.client.close_when_drained()
        ends.server.enable(EV_READ)
        turn(ends.base)
        assert ends.client.closed
        assert ends.server_ear.data == b"all that I have to say"
        assert "READING|EOF" in ends.server_ear.heard

    def test_close_says_goodbye(self, ends: Ends) -> None:
        ends.shake()
        ends.client.close()
        turn(ends.base)
        assert ends.server_ear.heard == ["READING|EOF"]

    def test_close_does_not_say_that_this_was_all_when_it_was_not(self, ends: Ends) -> None:
        ends.shake()
        ends.client.write(b"x")
        ends.client.close()
        turn(ends.base)
        assert ends.server_ear.heard == [
            "READING|ERROR read: the stream ended without the peer's close_notify"
        ]

    def test_close_in_the_handshake(self, ends: Ends) -> None:
        ends.client.close()
        turn(ends.base)
        assert ends.server_ear.heard == ["ERROR connect: the peer ended the connection in the TLS handshake"]

    def test_goodbye_to_a_peer_that_is_gone(
        self, base: EventBase, pair: Pair, certificates: Certificates
    ) -> None:
        ends = over(SocketBufferEvent(base, pair[0]), SocketBufferEvent(base, pair[1]), certificates).shake()
        pair[1].close()
        ends.client.close()
        assert ends.client_ear.heard == []
        ends.server.close()

    def test_below_is_closed_though_a_callback_on_its_output_fails(
        self, fakes: FakeBase, certificates: Certificates
    ) -> None:
        class Wrong(Exception):  # noqa: N818 - it is no error of evkit
            pass

        def fail(_buffer: object, _info: object) -> None:
            raise Wrong

        wire = Wire(fakes.base, certificates, ssl.TLSVersion.TLSv1_3)
        ends = wire.shake()
        escaped: list[tuple[type, object]] = []
        fakes.base.exception_handler = lambda exception, source: escaped.append((type(exception), source))
        closed: list[object] = []
        ends.client.on_close = closed.append
        wire.client.output.add_callback(fail)
        ends.client.close()
        assert escaped == [(Wrong, ends.client), (Wrong, wire.client)]  # added, and given up
        assert wire.client.closed
        assert closed == [ends.client]
        ends.close()

    def test_what_comes_right_after_the_goodbye_belongs_to_the_plain_connection(
        self, fakes: FakeBase, certificates: Certificates
    ) -> None:
        wire = Wire(fakes.base, certificates, ssl.TLSVersion.TLSv1_3, close_underlying=False)
        ends, below = wire.shake(), wire.client
        ends.server.write(b"encrypted")
        ends.server.shutdown_write()
        turn(fakes.base)
        below.arrive(wire.server.sent + b"pla")
        assert ends.client_ear.heard == ["read 9", "READING|EOF"]
        below.input.feed(b"in")
        ends.client.close()
        ends.client.disable(EV_READ)
        assert below.reads()
        assert below.read() == b"plain"
        below.close()
        ends.close()

    def test_nothing_else_does(self, fakes: FakeBase, certificates: Certificates) -> None:
        wire = Wire(fakes.base, certificates, ssl.TLSVersion.TLSv1_3, close_underlying=False)
        ends, below = wire.shake(), wire.client
        ends.server.write(b"encrypted")
        turn(fakes.base)
        below.arrive(wire.server.sent[:-1])
        ends.client.close()
        assert below.read() == b""
        below.close()
        ends.close()

    def test_gives_the_plain_connection_back(self, fakes: FakeBase, certificates: Certificates) -> None:
        below = PairBufferEvent.pair(fakes.base)
        plain = Ear(below[0]), Ear(below[1])
        below[0].enable(EV_READ)
        below[1].write(b"220 ready\r\n")
        turn(fakes.base)
        ends = Ends(
            TLSBufferEvent(
                below[0], certificates.client(), server_hostname="localhost", close_underlying=False
            ),
            TLSBufferEvent(below[1], certificates.server(), server_side=True, close_underlying=False),
        ).shake()
        ends.client.shutdown_write()
        ends.server.shutdown_write()
        turn(fakes.base)
        assert ends.client_ear.heard == ends.server_ear.heard == ["READING|EOF"]
        ends.close()
        plain = Ear(below[0]), Ear(below[1])
        below[0].write(b"plain again")
        turn(fakes.base)
        assert plain[1].data == b"plain again"

    def test_leaves_no_cycle(self, fakes: FakeBase, certificates: Certificates) -> None:
        class Seen(TLSBufferEvent):
            __slots__ = ("__weakref__",)

        gc.disable()
        try:
            for refused in (False, True):
                below = PairBufferEvent.pair(fakes.base)
                name = "elsewhere" if refused else "localhost"
                client = Seen(below[0], certificates.client(), server_hostname=name)
                server = Seen(below[1], certificates.server(), server_side=True)
                client.set_callbacks(event=lambda bev, what: bev.read())
                client.enable(EV_READ)
                server.write(b"x")
                turn(fakes.base)
                assert (client.error is not None) is refused
                errors = client.error, server.error  # whoever keeps these keeps nothing else
                gone = weakref.ref(client), weakref.ref(server)
                client.close()
                server.close()
                turn(fakes.base)
                del client, server, below
                assert [ref() for ref in gone] == [None, None]
                assert all(error is None or error.__traceback__ is None for error in errors)
        finally:
            gc.enable()


class TestShutdown:
    def closed(self, bev: TLSBufferEvent) -> list[BufferEvent]:
        closed: list[BufferEvent] = []
        bev.on_close = closed.append
        return closed

    def test_waits_for_the_peer(self, ends: Ends) -> None:
        ends.shake()
        closed = self.closed(ends.client)
        ends.client.write(b"last")
        ends.client.shutdown()
        turn(ends.base)
        assert ends.server_ear.heard == ["read 4", "READING|EOF"]
        ends.server.write(bytes(100_000))  # it is dropped
        turn(ends.base)
        assert closed == []
        assert not ends.client.input
        ends.server.close()
        if not closed:
            turn(ends.base)
        assert closed == [ends.client]
        assert ends.client_ear.heard == []

    def test_that_both_ask_for(self, ends: Ends) -> None:
        ends.shake()
        ends.client.shutdown()
        ends.server.shutdown()
        turn(ends.base)
        assert ends.client.closed
        assert ends.server.closed

    def test_after_the_peers(self, ends: Ends) -> None:
        ends.shake()
        ends.server.shutdown_write()
        turn(ends.base)
        ends.client.write(b"answer")
        ends.client.shutdown()
        turn(ends.base)
        assert ends.client.closed
        assert ends.server_ear.data == b"answer"
        assert ends.server_ear.heard[-1] == "READING|EOF"

    def test_finishes_what_it_has_to_send_though_the_peer_is_done(self, wired: Wire) -> None:
        ends = wired.shake()
        wired.client.room = 0
        ends.client.write(b"long answer")
        ends.client.shutdown()
        ends.server.shutdown_write()
        wired.carry()
        assert "open" in repr(ends.client)
        wired.client.take(None)
        assert "closed" in repr(ends.client)
        wired.carry()
        assert ends.server_ear.data == b"long answer"

    @pytest.mark.parametrize("how", ["end", "reset", "junk"])
    def test_a_peer_that_says_nothing(self, wired: Wire, how: str) -> None:
        ends = wired.shake()
        ends.client.shutdown()
        turn(wired.base)
        if how == "end":
            wired.client.arrive_end()
        elif how == "reset":
            wired.client._failed(EV_READ, BEV_EVENT_READING | BEV_EVENT_ERROR, ConnectionResetError())
        else:
            wired.client.arrive(b"junk and junk and junk")
        assert ends.client.closed

    def test_time_out(self, manual_base: EventBase, clock: ManualClock, certificates: Certificates) -> None:
        ends = over(*PairBufferEvent.pair(manual_base), certificates).shake()
        ends.client.shutdown(timeout=3)
        turn(manual_base)
        clock.advance(2)
        turn(manual_base)
        assert "open" in repr(ends.client)
        clock.advance(1)
        turn(manual_base)
        assert "closed" in repr(ends.client)
        assert ends.client.error is None
        ends.close()

    def test_time_out_after_the_peer_s_goodbye(
        self, manual_base: EventBase, clock: ManualClock, certificates: Certificates
    ) -> None:
        wire = Wire(manual_base, certificates, ssl.TLSVersion.TLSv1_3)
        ends = wire.shake()
        ends.server.shutdown_write()
        wire.carry()
        wire.client.room = 0
        ends.client.write(b"nobody takes this")
        ends.client.shutdown(timeout=3)
        turn(manual_base)
        assert not ends.client.closed
        clock.advance(3)
        turn(manual_base)
        assert ends.client.closed
        ends.close()

    def test_without_a_time_out(
        self, manual_base: EventBase, clock: ManualClock, certificates: Certificates
    ) -> None:
        ends = over(*PairBufferEvent.pair(manual_base), certificates).shake()
        ends.client.shutdown(timeout=None)
        clock.advance(1000)
        turn(manual_base)
        assert not ends.client.closed
        ends.close()

    def test_of_a_silent_handshake(self, manual_base: EventBase, clock: ManualClock) -> None:
        bev = TLSBufferEvent(Below(manual_base), server_hostname="localhost")
        bev.shutdown(timeout=3)
        turn(manual_base)
        assert not bev.closed
        clock.advance(3)
        turn(manual_base)
        assert bev.closed

    def test_that_begins_in_the_handshake(
        self, manual_base: EventBase, clock: ManualClock, certificates: Certificates
    ) -> None:
        ends = over(*PairBufferEvent.pair(manual_base), certificates)
        ends.client.write(b"last")
        ends.client.shutdown(timeout=3)
        ends.server.enable(EV_READ)
        turn(manual_base)
        assert ends.server_ear.heard == ["CONNECTED", "read 4", "READING|EOF"]
        assert "open" in repr(ends.client)
        clock.advance(3)
        turn(manual_base)
        assert "closed" in repr(ends.client)
        ends.close()

    def test_more_than_once_and_too_late(self, ends: Ends) -> None:
        ends.shake()
        ends.client.shutdown()
        ends.client.shutdown()
        turn(ends.base)
        ends.server.close()
        turn(ends.base)
        assert ends.client.closed
        ends.client.shutdown()

    def test_of_a_handshake_that_failed(self, fakes: FakeBase) -> None:
        bev = TLSBufferEvent(Below(fakes.base), server_hostname="localhost")
        turn(fakes.base)
        bev.underlying.arrive(b"not TLS at all")  # type: ignore[attr-defined]  # it is a Below
        bev.shutdown()
        assert bev.closed

    def test_nonsense_changes_nothing(self, manual_base: EventBase, clock: ManualClock) -> None:
        bev = TLSBufferEvent(Below(manual_base), server_hostname="localhost")
        ear = Ear(bev)
        with pytest.raises(ValueError, match="a time-out is a number of seconds"):
            bev.shutdown(timeout=-1)
        turn(manual_base)
        clock.advance(60)
        turn(manual_base)
        assert ear.heard == ["TIMEOUT connect: timed out after 60 s"]
        bev.close()

    def test_of_one_that_is_closed(self, ends: Ends) -> None:
        ends.client.close()
        before = ends.base.events()
        ends.client.shutdown()
        assert ends.base.events() == before

    def test_whatever_the_marks_were(self, ends: Ends) -> None:
        ends.shake()
        ends.client_ear.takes = False
        ends.client.set_watermark(EV_READ, low=5, high=10)
        ends.server.write(bytes(100))
        turn(ends.base)
        ends.client.shutdown()
        assert not ends.client.input
        turn(ends.base)
        ends.server.write(b"1234")
        turn(ends.base)
        assert not ends.client.input
        ends.server.close()
        turn(ends.base)
        assert ends.client.closed

    def test_of_deferred_callbacks_forgets_what_was_due(
        self, fakes: FakeBase, certificates: Certificates
    ) -> None:
        below = PairBufferEvent.pair(fakes.base)
        ends = Ends(
            TLSBufferEvent(
                below[0], certificates.client(), server_hostname="localhost", defer_callbacks=True
            ),
            TLSBufferEvent(below[1], certificates.server(), server_side=True),
        ).shake()
        ends.client.trigger_event(BEV_EVENT_READING | BEV_EVENT_TIMEOUT)
        ends.client.write(b"last")
        ends.client.shutdown()
        turn(fakes.base)
        assert ends.server_ear.heard == ["read 4", "READING|EOF"]
        assert not ends.client.closed
        ends.close()

    def test_before_the_socket_is_connected(self, manual_base: EventBase, clock: ManualClock) -> None:
        bev = TLSBufferEvent.over_socket(manual_base, server_hostname="localhost")
        bev.shutdown(timeout=5)
        with socket.create_server(("127.0.0.1", 0)) as server:
            bev.connect(server.getsockname())
            until(manual_base, lambda: "connecting" not in repr(bev.underlying))
            clock.advance(5)
            turn(manual_base)
        assert bev.closed
