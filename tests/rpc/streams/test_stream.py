"""`Stream`: items and their end, taken by a loop, a task, a thread or a callback, in order and within the window."""

import asyncio
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from evkit.core.base import EventBase
from evkit.core.event import Event
from evkit.core.flags import EVLOOP_NONBLOCK
from evkit.core.future import Future
from evkit.errors import LoopError, RemoteProtocolError
from evkit.rpc.errors import RemoteCallError
from evkit.rpc.streams.credit import Window
from evkit.rpc.streams.stream import Stream
from patience import PATIENCE


class Source:
    """A stream, and the peer that sends its items."""

    def __init__(self, base: EventBase, size: int = 4) -> None:
        self.base = base
        self.size = size
        self.sent = 0
        self.granted: list[int] = []
        self.cancelled = 0
        self.result: Future[Any] = Future(base, self.on_cancel)
        self.stream: Stream[Any] = Stream(base, self.result, self.granted.append, Window(size))

    def on_cancel(self, future: Future[Any]) -> None:
        self.cancelled += 1

    def send(self, *items: Any) -> None:
        for item in items:
            self.sent += 1
            self.stream.arrived(item)

    @property
    def room(self) -> int:
        """How many items the stream has asked for, and not got."""
        return self.size + sum(self.granted) - self.sent

    def later(self, callback: Callable[..., object], *arguments: Any) -> None:
        """Do it when the loop runs, after a poll."""
        self.base.timer(lambda _event, _what: callback(*arguments)).add(0)


@pytest.fixture
def source(base: EventBase) -> Source:
    return Source(base)


class TestLoop:
    def test_items_and_the_end(self, source: Source) -> None:
        source.send(1, 2, 3)
        source.result.set_result("over")
        assert list(source.stream) == [1, 2, 3]
        assert list(source.stream) == []
        assert source.stream.result.result() == "over"

    def test_it_runs_the_base_meanwhile(self, source: Source) -> None:
        source.later(source.send, 1)
        source.later(source.send, 2)
        source.later(source.result.set_result, None)
        assert list(source.stream) == [1, 2]

    def test_what_came_before_an_error_comes_first(self, source: Source) -> None:
        source.send(1, 2)
        source.result.set_exception(RemoteCallError("m", "no", "no"))
        assert [next(source.stream), next(source.stream)] == [1, 2]
        with pytest.raises(RemoteCallError, match="no"):
            next(source.stream)

    def test_an_error_while_it_waits(self, source: Source) -> None:
        source.later(source.result.set_exception, RemoteCallError("m", "no", "no"))
        with pytest.raises(RemoteCallError, match="no"):
            next(source.stream)

    def test_the_value_of_the_end(self, source: Source) -> None:
        source.result.set_result((1, 2))
        with pytest.raises(StopIteration) as caught:
            next(source.stream)
        assert caught.value.value == (1, 2)

    def test_a_cancel_drops_what_waits(self, source: Source) -> None:
        source.send(1, 2)
        assert next(source.stream) == 1
        assert source.stream.cancel() is True
        assert source.stream.cancel() is False
        with pytest.raises(asyncio.CancelledError):
            next(source.stream)
        assert (len(source.stream), source.cancelled) == (0, 1)

    def test_the_result_is_cancelled(self, base: EventBase, source: Source) -> None:
        source.send(1, 2)
        source.result.cancel()
        base.loop(EVLOOP_NONBLOCK)
        assert len(source.stream) == 0
        with pytest.raises(asyncio.CancelledError):
            next(source.stream)

    def test_with_cancels_at_its_end(self, source: Source) -> None:
        source.send(1, 2, 3)
        with source.stream as stream:
            for item in stream:
                if item == 2:
                    break
        assert (source.cancelled, len(stream)) == (1, 0)

    def test_with_after_the_end(self, source: Source) -> None:
        source.result.set_result(7)
        with source.stream as stream:
            assert list(stream) == []
        assert (source.cancelled, stream.result.result()) == (0, 7)

    def test_inside_the_loop(self, base: EventBase, source: Source) -> None:
        errors: list[LoopError] = []

        def ask() -> None:
            source.send(1)
            assert next(source.stream) == 1  # which is there already
            with pytest.raises(LoopError, match="use set_callbacks") as caught:
                next(source.stream)
            errors.append(caught.value)

        base.call_soon(ask)
        base.loop(EVLOOP_NONBLOCK)
        assert len(errors) == 1

    def test_a_base_with_nothing_left_to_wait_for(self, source: Source) -> None:
        with pytest.raises(LoopError, match="can never be done"):
            next(source.stream)
        assert source.stream._waiters == []  # who gave up is not in the way of who asks next
        source.send(1)
        assert next(source.stream) == 1

    @pytest.mark.parametrize("size", [0, 1, 50])
    def test_all_at_once(self, source: Source, size: int) -> None:
        assert source.stream.sink is None
        source.stream.collected(list(range(size)))
        source.result.set_result(None)
        assert list(source.stream) == list(range(size))
        assert source.granted == []

    def test_the_text_of_it(self, source: Source) -> None:
        assert repr(source.stream) == "<Stream open waiting=0 window=4>"
        source.send(None)
        assert (len(source.stream), bool(source.stream)) == (1, True)
        source.result.set_result(None)
        assert repr(source.stream) == "<Stream ended waiting=1 window=4>"
        assert source.stream


class TestCredit:
    def test_who_takes_grants(self, source: Source) -> None:
        source.send(1, 2, 3, 4)
        granted = [(next(source.stream), list(source.granted))[1] for _ in range(4)]
        assert granted == [[], [2], [2], [2, 2]]

    def test_who_takes_nothing_grants_nothing(self, base: EventBase, source: Source) -> None:
        source.send(1, 2, 3, 4)
        base.loop(EVLOOP_NONBLOCK)
        assert source.granted == []
        with pytest.raises(RemoteProtocolError, match="an item without credit"):
            source.send(5)
        assert len(source.stream) == 4

    def test_nothing_is_granted_after_the_end(self, source: Source) -> None:
        source.send(1, 2, 3, 4)
        source.result.set_result(None)
        assert list(source.stream) == [1, 2, 3, 4]
        assert source.granted == []

    def test_an_endless_peer_in_bounded_memory(self, base: EventBase) -> None:
        source = Source(base, 10)
        numbers = count()
        most = 0

        def send(number: int) -> None:
            nonlocal most
            for _ in range(number):
                source.stream.arrived(next(numbers))
            most = max(most, len(source.stream))

        source.stream = Stream(base, source.result, send, Window(10))
        send(10)
        assert [next(source.stream) for _ in range(1000)] == list(range(1000))
        assert most == 10


class TestCallbacks:
    def test_each_at_once(self, base: EventBase, source: Source) -> None:
        seen: list[Any] = []
        source.stream.set_callbacks(item=lambda stream, item: seen.append((stream, item)), end=seen.append)
        source.send(1)
        assert seen == [(source.stream, 1)]
        source.send(2)
        source.result.set_result(None)
        base.loop(EVLOOP_NONBLOCK)
        assert seen == [(source.stream, 1), (source.stream, 2), source.stream]
        base.loop(EVLOOP_NONBLOCK)
        assert len(seen) == 3

    def test_what_waits_comes_from_the_loop(self, base: EventBase, source: Source) -> None:
        seen: list[Any] = []
        source.send(1, 2)
        source.stream.set_callbacks(item=lambda stream, item: seen.append(item))
        assert seen == []
        source.send(3)  # not before those
        base.loop(EVLOOP_NONBLOCK)
        assert seen == [1, 2, 3]

    def test_after_the_end(self, base: EventBase, source: Source) -> None:
        seen: list[Any] = []
        source.send(1)
        source.result.set_result(None)
        base.loop(EVLOOP_NONBLOCK)
        source.stream.set_callbacks(
            item=lambda stream, item: seen.append(item), end=lambda stream: seen.append("end")
        )
        base.loop(EVLOOP_NONBLOCK)
        assert seen == [1, "end"]

    def test_after_the_end_without_items(self, base: EventBase, source: Source) -> None:
        source.result.set_result(None)
        base.loop(EVLOOP_NONBLOCK)
        ended: list[Any] = []
        source.stream.set_callbacks(end=ended.append)
        base.loop(EVLOOP_NONBLOCK)
        assert ended == [source.stream]

    def test_without_an_item_callback_the_end_waits_for_who_takes(
        self, base: EventBase, source: Source
    ) -> None:
        ended: list[Any] = []
        source.stream.set_callbacks(end=ended.append)
        source.send(1)
        source.result.set_result(None)
        base.loop(EVLOOP_NONBLOCK)
        assert ended == []
        assert list(source.stream) == [1]
        base.loop(EVLOOP_NONBLOCK)
        assert ended == [source.stream]

    def test_taking_the_callback_away_lets_the_peer_wait(self, base: EventBase, source: Source) -> None:
        seen: list[Any] = []

        def two(stream: Stream[Any], item: Any) -> None:
            seen.append(item)
            if len(seen) == 2:
                stream.set_callbacks()

        source.stream.set_callbacks(item=two)
        source.send(1, 2, 3, 4)
        base.loop(EVLOOP_NONBLOCK)
        assert (seen, len(source.stream)) == ([1, 2], 2)

    def test_a_callback_that_brings_items_keeps_the_order(self, source: Source) -> None:
        seen: list[Any] = []

        def more(stream: Stream[Any], item: Any) -> None:
            if item == 1:
                source.send(2, 3)
            seen.append(item)

        source.stream.set_callbacks(item=more)
        source.send(1)
        assert seen == [1, 2, 3]

    def test_a_callback_that_cancels(self, base: EventBase, source: Source) -> None:
        seen: list[Any] = []

        def stop(stream: Stream[Any], item: Any) -> None:
            seen.append(item)
            stream.cancel()

        source.send(1, 2, 3)
        source.stream.set_callbacks(item=stop, end=lambda stream: seen.append("end"))
        base.loop(EVLOOP_NONBLOCK)
        assert (seen, source.cancelled) == ([1, "end"], 1)

    def test_a_callback_that_raises_cancels(self, base: EventBase, source: Source) -> None:
        escaped: list[Any] = []
        base.exception_handler = lambda exception, blamed: escaped.append((type(exception), blamed))
        source.stream.set_callbacks(item=lambda stream, item: 1 // item, end=lambda stream: 1 // 0)
        source.send(1, 0)
        assert escaped == [(ZeroDivisionError, source.stream)]
        base.loop(EVLOOP_NONBLOCK)
        assert escaped == [(ZeroDivisionError, source.stream)] * 2  # that of the end, too, which comes once
        base.loop(EVLOOP_NONBLOCK)
        assert (len(escaped), source.cancelled) == (2, 1)

    def test_what_is_no_callback(self, source: Source) -> None:
        nonsense: Any = "item"
        with pytest.raises(TypeError):
            source.stream.set_callbacks(item=nonsense)
        with pytest.raises(TypeError):
            source.stream.set_callbacks(end=nonsense)


class TestThreads:
    def run(self, source: Source, work: Callable[[], Any]) -> Any:
        """Do ``work`` in another thread while the loop runs here; return what it returned, or raised."""
        outcome: list[Any] = []

        def go() -> None:
            try:
                outcome.append(work())
            except BaseException as exception:
                outcome.append(exception)
            finally:
                source.base.stop()

        source.base.add_virtual()
        thread = threading.Thread(target=go, daemon=True)
        source.base.call_soon(thread.start)
        deadline = source.base.timer(lambda _event, _what: source.base.stop())
        deadline.add(PATIENCE)
        source.base.dispatch()
        deadline.free()
        source.base.del_virtual()
        assert outcome, "the thread has not come to its end"
        return outcome[0]

    def test_a_loop_in_another_thread(self, source: Source) -> None:
        def first(event: Event, what: int) -> None:
            source.send(1, 2)
            source.later(second)

        def second() -> None:
            source.send(3)
            source.result.set_result(None)

        source.base.timer(first).add(0)
        assert self.run(source, lambda: list(source.stream)) == [1, 2, 3]

    def test_an_error_there(self, source: Source) -> None:
        source.later(source.result.set_exception, RemoteCallError("m", "no", "no"))
        assert isinstance(self.run(source, lambda: list(source.stream)), RemoteCallError)

    def test_leaving_early_there(self, source: Source) -> None:
        def work() -> Any:
            with source.stream as stream:
                return next(stream)

        source.later(source.send, 1, 2, 3)
        assert self.run(source, work) == 1
        source.base.loop(EVLOOP_NONBLOCK)
        assert source.cancelled == 1

    def test_one_that_has_given_up_takes_no_item(self, base: EventBase, source: Source) -> None:
        future: Future[Any] = Future(base)
        source.stream._hand(future)
        future.cancel()
        base.loop(EVLOOP_NONBLOCK)
        source.send(1)
        base.loop(EVLOOP_NONBLOCK)
        assert next(source.stream) == 1

    def test_two_threads_share(self, source: Source) -> None:
        taken: list[int] = []

        def work() -> None:
            other = threading.Thread(target=lambda: taken.extend(source.stream), daemon=True)
            other.start()
            taken.extend(source.stream)
            other.join(PATIENCE)

        numbers = iter(range(20))

        def send() -> None:
            if source.room == 0:  # the threads are not so fast
                source.later(send)
                return
            for number in numbers:
                source.send(number)
                source.later(send)
                return
            source.result.set_result(None)

        source.later(send)
        self.run(source, work)
        assert sorted(taken) == list(range(20))


class TestTasks:
    """``async for``, by a driver of its own: evkit's futures need no asyncio."""

    def drive(self, base: EventBase, coroutine: Any) -> list[Any]:
        """Run a coroutine over evkit's futures; return what it returned, or raised, when it did."""
        outcome: list[Any] = []

        def step(_future: Any = None) -> None:
            try:
                future = coroutine.send(None)
            except StopIteration as stop:
                outcome.append(stop.value)
            except BaseException as exception:
                outcome.append(exception)
            else:
                future.add_done_callback(step)

        step()
        return outcome

    async def collect(self, stream: Stream[Any]) -> list[Any]:
        return [item async for item in stream]

    def test_items_and_the_end(self, base: EventBase, source: Source) -> None:
        outcome = self.drive(base, self.collect(source.stream))
        source.later(source.send, 1, 2)
        source.later(source.send, 3)
        source.later(source.result.set_result, None)
        base.dispatch()
        assert outcome == [[1, 2, 3]]

    def test_an_error(self, base: EventBase, source: Source) -> None:
        outcome = self.drive(base, self.collect(source.stream))
        source.later(source.send, 1)
        source.later(source.result.set_exception, RemoteCallError("m", "no", "no"))
        base.dispatch()
        assert isinstance(outcome[0], RemoteCallError)

    def test_a_cancel(self, base: EventBase, source: Source) -> None:
        outcome = self.drive(base, self.collect(source.stream))
        source.later(source.stream.cancel)
        base.dispatch()
        assert isinstance(outcome[0], asyncio.CancelledError)

    def test_two_tasks_share(self, base: EventBase, source: Source) -> None:
        outcomes = [self.drive(base, self.collect(source.stream)) for _ in range(2)]

        def send(number: int) -> None:
            if number == 12:
                source.result.set_result(None)
            else:
                source.send(number)
                source.later(send, number + 1)

        source.later(send, 0)
        base.dispatch()
        assert sorted(outcomes[0][0] + outcomes[1][0]) == list(range(12))

    def test_who_gives_up_takes_nothing_along(self, base: EventBase, source: Source) -> None:
        coroutine = self.collect(source.stream)
        self.drive(base, coroutine)
        outcome = self.drive(base, self.collect(source.stream))
        coroutine.close()
        source.later(source.send, 1)
        source.later(source.result.set_result, None)
        base.dispatch()
        assert outcome == [[1]]
