"""Connections in memory: what a test says arrives, what comes back is seen, time passes, and failures fail the test."""

import pytest

from evkit.core.bufferevent import BufferEvent
from evkit.core.flags import BEV_EVENT_EOF, BEV_EVENT_READING, BEV_EVENT_TIMEOUT, BEV_FINISHED, EV_READ
from evkit.testing import FakeBase, MemoryPair, chunks


class Shouter:
    """Answers in capitals, closes at the end of the stream or after half a minute of silence, and notes all."""

    def __init__(self, bev: BufferEvent) -> None:
        self.heard: list[bytes] = []
        self.events: list[int] = []
        bev.set_callbacks(read=self.on_read, event=self.on_event)
        bev.set_timeouts(read=30)
        bev.enable(EV_READ)

    def on_read(self, bev: BufferEvent) -> None:
        data = bev.read()
        self.heard.append(data)
        bev.write(data.upper())

    def on_event(self, bev: BufferEvent, what: int) -> None:
        self.events.append(what)
        bev.close()


class TestTalking:
    def test_feed_gives_the_answer(self) -> None:
        with MemoryPair() as pair:
            Shouter(pair.near)
            assert pair.feed(b"abc") == b"ABC"
            assert pair.feed(b"d", b"e") == b"DE"
            assert pair.feed() == b""

    def test_each_piece_comes_by_itself(self) -> None:
        with MemoryPair() as pair:
            shouter = Shouter(pair.near)
            assert pair.feed(*chunks(b"abcde", 2)) == b"ABCDE"
            assert shouter.heard == [b"ab", b"cd", b"e"]

    def test_what_is_not_read_waits(self) -> None:
        with MemoryPair() as pair:
            assert pair.feed(b"abc") == b""
            Shouter(pair.near)
            assert pair.run() == b"ABC"

    def test_end_of_the_stream_is_heard_and_answered(self) -> None:
        with MemoryPair() as pair:
            shouter = Shouter(pair.near)
            pair.near.set_callbacks(read=shouter.on_read, event=lambda bev, _what: bev.write(b"bye"))
            assert pair.end() == b"bye"
            assert not pair.ended

    def test_tells_the_near_ends_end(self) -> None:
        with MemoryPair() as pair:
            shouter = Shouter(pair.near)
            pair.end()
            assert shouter.events == [BEV_EVENT_READING | BEV_EVENT_EOF]
            assert pair.ended
            assert pair.near.closed
            assert pair.feed(b"to nobody") == b""

    def test_half_closed(self) -> None:
        with MemoryPair() as pair:
            shouter = Shouter(pair.near)
            pair.near.shutdown_write()
            pair.run()
            assert pair.ended
            pair.feed(b"still heard")
            assert shouter.heard == [b"still heard"]

    def test_an_end_that_reads_no_more_has_not_ended(self) -> None:
        with MemoryPair() as pair:
            pair.near.flush(EV_READ, BEV_FINISHED)
            pair.near.write(b"more")
            assert pair.run() == b"more"
            assert not pair.ended


class TestTime:
    def test_passes_at_once(self) -> None:
        with MemoryPair() as pair:
            shouter = Shouter(pair.near)
            start = pair.fakes.clock.monotonic()
            pair.run(29.5)
            assert shouter.events == []
            pair.run(0.5)
            assert pair.near.closed
            assert shouter.events == [BEV_EVENT_READING | BEV_EVENT_TIMEOUT]
            assert pair.fakes.clock.monotonic() == start + 30

    def test_brings_what_was_said_in_it(self, fakes: FakeBase) -> None:
        with MemoryPair(fakes) as pair:
            ticks = fakes.base.timer(lambda _event, _what: pair.near.write(b"tick "), persist=True)
            ticks.add(10)
            assert pair.run(35) == b"tick tick tick "
            ticks.delete()


class TestFailures:
    def test_what_escapes_from_a_callback_is_raised(self) -> None:
        def on_read(bev: BufferEvent) -> None:
            assert bev.read() == b"expected"

        with MemoryPair() as pair:
            pair.near.set_callbacks(read=on_read)
            pair.near.enable(EV_READ)
            with pytest.raises(AssertionError):
                pair.feed(b"something else")
            assert pair.near.closed
            assert pair.run() == b""

    def test_what_escapes_at_the_end_is_raised_too(self) -> None:
        def on_close(bev: BufferEvent) -> None:
            raise RuntimeError("last words")

        pair = MemoryPair()
        pair.near.on_close = on_close
        with pytest.raises(RuntimeError, match="last words"):
            pair.close()
        assert pair.fakes.base.closed

    def test_the_tests_own_failure_comes_first(self) -> None:
        def on_close(bev: BufferEvent) -> None:
            raise RuntimeError("last words")

        def fail_a_test() -> None:
            with MemoryPair() as pair:
                pair.near.on_close = on_close
                raise KeyError

        with pytest.raises(KeyError):
            fail_a_test()

    def test_on_a_base_of_ones_own_its_handler_hears(self, fakes: FakeBase) -> None:
        escaped: list[BaseException] = []
        fakes.base.exception_handler = lambda exception, _source: escaped.append(exception)
        with MemoryPair(fakes) as pair:
            pair.near.set_callbacks(read=lambda _bev: 1 // 0)
            pair.near.enable(EV_READ)
            pair.feed(b"x")
        assert [type(exception) for exception in escaped] == [ZeroDivisionError]


class TestClosing:
    def test_closes_its_own_base(self) -> None:
        with MemoryPair() as pair:
            pass
        assert pair.near.closed
        assert pair.fakes.base.closed
        pair.close()

    def test_leaves_anothers_base_open(self, fakes: FakeBase) -> None:
        with MemoryPair(fakes) as pair:
            assert pair.fakes is fakes
        assert pair.near.closed
        assert pair._far.closed
        assert not fakes.base.closed


def test_state_in_words() -> None:
    with MemoryPair() as pair:
        assert repr(pair) == f"<MemoryPair near={pair.near!r}>"
        pair.near.close()
        pair.run()
        assert repr(pair) == f"<MemoryPair ended near={pair.near!r}>"
