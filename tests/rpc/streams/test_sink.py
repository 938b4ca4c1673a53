"""`Sink` and `Feeder`: items that go as fast as credit and room allow, and what an iterator is asked for."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core import EventBase, Future
from evkit.core.flags import EVLOOP_NONBLOCK
from evkit.errors import LocalProtocolError, RemoteProtocolError
from evkit.rpc.errors import Overloaded
from evkit.rpc.streams.credit import Credit
from evkit.rpc.streams.sink import MAX_WAITING, Feeder, Sink


class End:
    """A sink, and what came out of it."""

    def __init__(self, credit: int = 0) -> None:
        self.out: list[bytes | str] = []
        self.room = True
        self.ready = 0
        self.sink: Sink[Any] = Sink(
            Credit(credit), self.pack, self.out.append, lambda: self.room, lambda: self.out.append("end")
        )

    def pack(self, item: Any) -> bytes:
        if not isinstance(item, int):
            raise TypeError("can't be sent")
        return str(item).encode()

    def on_ready(self) -> None:
        self.ready += 1


class TestSend:
    def test_credit(self) -> None:
        end = End(2)
        assert [end.sink.send(number) for number in range(4)] == [True, True, False, False]
        assert end.out == [b"0", b"1"]
        end.sink.granted(1)
        assert (end.out, end.sink.ready) == ([b"0", b"1", b"2"], False)
        end.sink.granted(5)
        assert (end.out[3:], end.sink.ready) == ([b"3"], True)

    def test_room(self) -> None:
        end = End(9)
        end.sink.on_ready = end.on_ready
        end.room = False
        assert (end.sink.ready, end.sink.send(1), end.out) == (False, False, [])
        end.sink.granted(1)
        assert (end.out, end.ready) == ([], 0)
        end.room = True
        end.sink.flow()
        assert (end.out, end.ready) == ([b"1"], 1)

    def test_nothing_overtakes_what_waits(self) -> None:
        end = End(9)
        end.room = False
        end.sink.send(1)
        end.room = True  # and `flow` is still to come
        assert end.sink.send(2) is False
        assert end.out == []
        end.sink.flow()
        assert end.out == [b"1", b"2"]

    def test_the_end_comes_after_what_waits(self) -> None:
        end = End(1)
        end.sink.send(1)
        end.sink.send(2)
        end.sink.end()
        assert end.out == [b"1"]
        with pytest.raises(LocalProtocolError):
            end.sink.send(3)
        with pytest.raises(LocalProtocolError):
            end.sink.end()
        end.sink.granted(7)
        end.sink.granted(7)
        assert end.out == [b"1", b"2", "end"]

    def test_the_end_at_once(self) -> None:
        end = End(5)
        assert end.sink.ready
        end.sink.end()
        assert end.out == ["end"]
        assert not end.sink.ready

    def test_what_can_not_be_sent_is_not_kept(self) -> None:
        end = End()
        with pytest.raises(TypeError):
            end.sink.send("text")
        assert end.sink.ready

    def test_too_many(self) -> None:
        end = End()
        for number in range(MAX_WAITING):
            end.sink.send(number)
        with pytest.raises(Overloaded):
            end.sink.send(1)
        end.sink.granted(1)
        assert end.sink.send(2) is False

    def test_nobody_takes_any_more(self) -> None:
        end = End()
        end.sink.send(1)
        end.sink.leave()
        assert (end.sink.send(2), end.sink.gone, end.out) == (False, True, [])
        end.sink.end()
        end.sink.granted(5)
        assert end.out == []

    def test_a_bad_grant(self) -> None:
        end = End()
        with pytest.raises(RemoteProtocolError):
            end.sink.granted(-1)

    def test_the_text_of_it(self) -> None:
        end = End(1)
        end.sink.send(1)
        end.sink.send(1)
        assert repr(end.sink) == "<Sink open credit=0 waiting=1>"
        end.sink.end()
        assert repr(end.sink) == "<Sink ended credit=0 waiting=1>"
        end.sink.leave()
        assert repr(end.sink) == "<Sink gone credit=0 waiting=0>"

    @given(st.lists(st.sampled_from(["send", "grant", "flow", "room", "full"]), max_size=60))
    def test_any_order_of_things(self, steps: list[str]) -> None:
        end = End()
        sent = granted = 0
        for step in steps:
            if step == "send":
                end.sink.send(sent)
                sent += 1
            elif step == "grant":
                end.sink.granted(2)
                granted += 2
            elif step == "flow":
                end.sink.flow()
            else:
                end.room = step == "room"
            assert end.out == [str(number).encode() for number in range(len(end.out))]
            assert len(end.out) <= min(sent, granted)
        end.room = True
        end.sink.flow()
        assert len(end.out) == min(sent, granted)


class TestWait:
    def test_until_it_may_go_on(self, base: EventBase) -> None:
        end = End(1)
        futures: list[Future[bool]] = [Future(base) for _ in range(3)]
        end.sink.send(1)
        end.sink.wait(futures[0])
        end.sink.send(2)
        end.sink.wait(futures[1])
        assert [future.done() for future in futures] == [True, False, False]
        end.sink.granted(1)
        end.sink.send(3)
        end.sink.wait(futures[2])
        end.sink.leave()
        assert [future.result() for future in futures] == [True, True, False]
        late: Future[bool] = Future(base)
        end.sink.wait(late)
        assert late.result() is False


class TestDryUp:
    def test_an_item_waits_already(self) -> None:
        end = End()
        starved: list[int] = []
        end.sink.send(1)
        end.sink.dry_up(lambda: starved.append(1))
        assert starved == [1]

    def test_an_item_waits_later(self) -> None:
        end = End(1)
        starved: list[int] = []
        end.sink.dry_up(lambda: starved.append(1))
        end.sink.send(1)
        assert starved == []
        end.sink.send(2)
        end.sink.send(3)
        assert starved == [1]

    def test_nothing_waits(self) -> None:
        end = End()
        starved: list[int] = []
        end.sink.dry_up(lambda: starved.append(1))
        assert starved == []

    def test_it_waits_for_room_alone(self) -> None:
        end = End(1)
        starved: list[int] = []
        end.room = False
        end.sink.send(1)
        end.sink.dry_up(lambda: starved.append(1))
        assert starved == []


class Fed:
    """A feeder, its sink, and what it told."""

    def __init__(self, base: EventBase, items: Iterator[Any], credit: int = 1000) -> None:
        self.end = End(credit)
        self.told: list[tuple[Any, Any]] = []
        self.feeder = Feeder(base, self.end.sink, items, lambda *what: self.told.append(what))


class TestFeeder:
    def test_all_of_it(self, base: EventBase) -> None:
        fed = Fed(base, iter([1, 2]))
        fed.feeder.run()
        assert (fed.end.out, fed.told) == ([b"1", b"2"], [(None, None)])

    def test_what_a_generator_returns(self, base: EventBase) -> None:
        def items() -> Iterator[int]:
            yield 1
            return "over"

        fed = Fed(base, items())
        fed.feeder.run()
        assert fed.told == [("over", None)]

    @pytest.mark.parametrize("exception", [ZeroDivisionError(), SystemExit(1), GeneratorExit()])
    def test_what_it_raises(self, base: EventBase, exception: BaseException) -> None:
        def items() -> Iterator[int]:
            yield 1
            raise exception

        fed = Fed(base, items())
        fed.feeder.run()
        assert (fed.end.out, fed.told) == ([b"1"], [(None, exception)])

    def test_an_item_that_can_not_be_sent(self, base: EventBase) -> None:
        closed: list[int] = []

        def items() -> Iterator[Any]:
            try:
                yield "text"
            finally:
                closed.append(1)

        fed = Fed(base, items())
        fed.feeder.run()
        ((value, exception),) = fed.told
        assert (value, type(exception), closed) == (None, TypeError, [1])

    def test_one_ahead_of_the_credit(self, base: EventBase) -> None:
        asked: list[int] = []

        def items() -> Iterator[int]:
            for number in range(10):
                asked.append(number)
                yield number

        fed = Fed(base, items(), credit=2)
        fed.feeder.run()
        assert (len(fed.end.out), asked) == (2, [0, 1, 2])
        fed.end.sink.granted(3)
        assert (len(fed.end.out), len(asked)) == (5, 6)

    def test_a_turn_is_a_hundred(self, base: EventBase) -> None:
        fed = Fed(base, iter(range(250)))
        fed.feeder.run()
        assert len(fed.end.out) == 100
        base.loop(EVLOOP_NONBLOCK)
        assert (len(fed.end.out), fed.told) == (250, [(None, None)])

    def test_closing_it(self, base: EventBase) -> None:
        closed: list[int] = []

        def items() -> Iterator[int]:
            try:
                while True:
                    yield 1
            finally:
                closed.append(1)

        fed = Fed(base, items())
        fed.feeder.run()
        fed.feeder.close()
        fed.feeder.close()
        base.loop(EVLOOP_NONBLOCK)
        assert (closed, len(fed.end.out), fed.told) == ([1], 100, [])

    def test_it_may_be_told_to_run_while_it_runs(self, base: EventBase) -> None:
        def items() -> Iterator[int]:
            yield 1
            fed.end.sink.granted(1)  # which calls `on_ready`
            fed.feeder.run()
            yield 2

        fed = Fed(base, items())
        fed.feeder.run()
        assert (fed.end.out, fed.told) == ([b"1", b"2"], [(None, None)])

    @pytest.mark.parametrize("exception", [ZeroDivisionError(), None])
    def test_what_it_raises_once_it_is_closed_is_told_to_nobody(
        self, base: EventBase, exception: Exception | None
    ) -> None:
        def items() -> Iterator[int]:
            yield 1
            fed.feeder.close()
            if exception is not None:
                raise exception

        fed = Fed(base, items())
        fed.feeder.run()
        assert fed.told == []

    def test_closing_it_from_inside(self, base: EventBase) -> None:
        closed: list[int] = []
        asked: list[int] = []

        def items() -> Iterator[int]:
            try:
                yield 1
                fed.feeder.close()
                yield 2
                asked.append(3)
                yield 3
            finally:
                closed.append(1)

        fed = Fed(base, items())
        fed.feeder.run()
        assert (closed, asked, fed.told) == ([1], [], [])

    def test_what_raises_when_it_is_closed(self, base: EventBase) -> None:
        escaped: list[BaseException] = []
        base.exception_handler = lambda exception, _source: escaped.append(exception)

        def items() -> Iterator[int]:
            try:
                while True:
                    yield 1
            finally:
                raise ZeroDivisionError("on purpose")

        fed = Fed(base, items())
        fed.feeder.run()
        fed.feeder.close()
        assert [type(exception) for exception in escaped] == [ZeroDivisionError]

    def test_an_interrupt_goes_through(self, base: EventBase) -> None:
        def items() -> Iterator[int]:
            yield 1
            raise KeyboardInterrupt

        fed = Fed(base, items())
        with pytest.raises(KeyboardInterrupt):
            fed.feeder.run()
        fed.feeder.run()
        assert fed.told == []

    def test_an_iterator_without_close(self, base: EventBase) -> None:
        fed = Fed(base, iter([1]), credit=0)
        run: Callable[[], None] = fed.feeder.run
        run()
        fed.feeder.close()
        assert fed.told == []
