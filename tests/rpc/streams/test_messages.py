"""Streams on the wire: what is said and heard, by a peer that the test plays, well-behaved and hostile."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest

from evkit.core import EventBase, set_log_callback
from evkit.errors import LocalProtocolError
from evkit.rpc import Call, CallLost, MethodError, Overloaded, RemoteCallError, RPCError, Service
from evkit.rpc.connection.connection import Connection
from evkit.rpc.streams.credit import MAX_CREDIT
from evkit.rpc.streams.messages import StreamMessages
from evkit.rpc.streams.sink import MAX_WAITING
from patience import PATIENCE
from rpc_aids import Peer, connection_to

ALL = frozenset({"meta", "cancel", "stream"})
NONSENSE: list[Any] = [-1, 0, -(2**40), MAX_CREDIT + 1, 2**63, 1.5, "1", b"1", None, True, [1], {}]
Make = Callable[..., tuple[Connection, Peer]]


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    set_log_callback(lambda _severity, line: lines.append(line))
    yield lines
    set_log_callback(None)


@pytest.fixture
def make(manual_base: EventBase, service: Service, log: list[str], open_descriptors: None) -> Iterator[Make]:
    """Make a connection and the peer at its other end, who knows streams."""
    made: list[tuple[Connection, Peer]] = []
    streams: list[StreamMessages] = []

    def connect(features: frozenset[str] = ALL, **how: Any) -> tuple[Connection, Peer]:
        ours, theirs = socket.socketpair()
        made.append((connection_to(manual_base, ours, service, **how), Peer(manual_base, theirs)))
        made[-1][0].features = features
        streams.append(made[-1][0].extensions.streams)
        return made[-1]

    yield connect
    for connection, peer in made:
        peer.close()
        connection.close()
        assert connection.session.serving == {}
        assert connection.session.calls == {}
    assert [messages.calls for messages in streams] == [{} for _ in streams]
    assert [event for event in manual_base.events() if not event.internal] == []


def iter_over(n: int) -> Iterator[int]:
    yield from range(n)


class TestServing:
    """A handler's items, to a caller who takes them one by one."""

    def test_items_then_the_answer(self, make: Make, service: Service) -> None:
        @service.method
        def count(n: int) -> Iterator[int]:
            yield from range(n)
            return "over"

        _, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 10}]], [0, 7, "count", [3]])
        assert peer.heard() == [
            [2, "$/next", [7, 0]],
            [2, "$/next", [7, 1]],
            [2, "$/next", [7, 2]],
            [1, 7, None, "over"],
        ]

    def test_a_stream_comes_to_its_end_after_a_stop(self, make: Make, service: Service) -> None:
        service.register(iter_over, "count")
        connection, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 1}]], [0, 7, "count", [3]])
        connection.stop()
        assert peer.heard() == [[2, "$/next", [7, 0]]]
        peer.send([2, "$/credit", [7, 5]])
        assert peer.heard() == [[2, "$/next", [7, 1]], [2, "$/next", [7, 2]], [1, 7, None, None]]
        assert peer.at_end()

    def test_a_caller_may_cancel_a_stream_after_a_stop(self, make: Make, service: Service) -> None:
        service.register(iter_over, "count")
        connection, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 1}]], [0, 7, "count", [3]])
        connection.stop()
        peer.heard()
        peer.send([2, "$/cancelRequest", [7]])
        assert [message[:2] for message in peer.heard()] == [[1, 7]]
        assert peer.at_end()

    def test_no_more_than_the_credit(self, make: Make, service: Service) -> None:
        asked: list[int] = []

        @service.method
        def count() -> Iterator[int]:
            for number in range(6):
                asked.append(number)
                yield number

        connection, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 2}]], [0, 7, "count", []])
        assert [message[2][1] for message in peer.heard()] == [0, 1]
        assert asked == [0, 1, 2]  # one waits
        assert list(connection.session.serving) == [7]
        peer.send([2, "$/credit", [7, 1]])
        assert peer.heard() == [[2, "$/next", [7, 2]]]
        peer.send([2, "$/credit", [7, 3]])
        assert peer.heard()[-1] == [1, 7, None, None]
        assert connection.session.serving == {}

    def test_the_answer_with_the_last_credit(self, make: Make, service: Service) -> None:
        service.register(lambda: (number for number in range(2)), "two")
        _, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 2}]], [0, 7, "two", []])
        assert [message[0] for message in peer.heard()] == [2, 2, 1]

    def test_without_credit_all_at_once(self, make: Make, service: Service) -> None:
        service.register(lambda n: (one for one in range(n)), "count")
        _, peer = make(frozenset())
        peer.send([0, 7, "count", [250]])
        assert peer.heard() == [[1, 7, None, list(range(250))]]

    def test_all_at_once_is_bounded(self, make: Make, service: Service, manual_base: EventBase) -> None:
        manual_base.exception_handler = lambda *_: None

        def endless() -> Iterator[str]:
            while True:
                yield "x" * 50

        service.register(endless)
        connection, peer = make(frozenset(), max_message=10_000)
        peer.send([0, 7, "endless", []])
        ((_, _, error, result),) = peer.heard()
        assert ("too much for one message" in error, result) == (True, None)
        assert connection.session.serving == {}

    @pytest.mark.parametrize("features", [ALL, frozenset()])
    def test_a_generator_that_raises_in_the_middle(
        self, make: Make, service: Service, manual_base: EventBase, features: frozenset[str]
    ) -> None:
        escaped: list[BaseException] = []
        manual_base.exception_handler = lambda exception, _source: escaped.append(exception)

        @service.method
        def fails() -> Iterator[int]:
            yield 1
            raise ZeroDivisionError("on purpose")

        _, peer = make(features)
        if features:
            peer.send([2, "$/meta", [7, {"credit": 5}]])
        peer.send([0, 7, "fails", []])
        *items, (_, _, error, result) = peer.heard()
        assert (len(items), result) == (1 if features else 0, None)
        assert "ZeroDivisionError: on purpose" in error
        assert [type(exception) for exception in escaped] == [ZeroDivisionError]

    def test_an_error_of_its_own_making(self, make: Make, service: Service) -> None:
        @service.method
        def fails() -> Iterator[int]:
            yield 1
            raise MethodError("no luck")

        _, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 5}]], [0, 7, "fails", []])
        assert peer.heard()[-1] == [1, 7, "no luck", None]

    def test_sys_exit_in_a_generator(self, make: Make, service: Service, manual_base: EventBase) -> None:
        manual_base.exception_handler = lambda *_: None

        @service.method
        def leaves() -> Iterator[int]:
            yield 1
            raise SystemExit(3)

        _, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 5}]], [0, 7, "leaves", []])
        assert peer.heard()[-1][2] is not None
        peer.send([0, 8, "$/ping", []])
        assert peer.heard() == [[1, 8, None, None]]

    def test_an_item_that_can_not_be_sent(self, make: Make, service: Service, manual_base: EventBase) -> None:
        manual_base.exception_handler = lambda *_: None
        ended: list[int] = []

        @service.method
        def odd() -> Iterator[object]:
            try:
                yield 1
                yield object()
            finally:
                ended.append(1)

        _, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 5}]], [0, 7, "odd", []])
        first, last = peer.heard()
        assert (first, last[0], last[3]) == ([2, "$/next", [7, 1]], 1, None)
        assert ended == [1]

    @pytest.mark.parametrize("how", ["cancel", "lost", "closed", "late"])
    def test_an_end_in_the_middle_closes_the_generator(
        self, make: Make, service: Service, clock: Any, how: str
    ) -> None:
        ended: list[str] = []

        @service.method
        def endless() -> Iterator[int]:
            try:
                while True:
                    yield 1
            except GeneratorExit:
                ended.append("closed")
                raise

        connection, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 3, "deadline_ms": 1000}]], [0, 7, "endless", []])
        assert (len(peer.heard()), ended) == (3, [])
        if how == "cancel":
            peer.send([2, "$/cancelRequest", [7]])
            ((_, number, error, _),) = peer.heard()
            assert (number, error is None) == (7, False)
        elif how == "lost":
            peer.close()
        elif how == "closed":
            connection.close()
        else:
            clock.advance(2)
            assert len(peer.heard()) == 1
        assert ended == ["closed"]
        assert connection.session.serving == {}

    def test_a_generator_that_closes_its_connection(self, make: Make, service: Service) -> None:
        @service.method
        def suicidal() -> Iterator[int]:
            yield 1
            connection.close()
            yield 2

        connection, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 9}]], [0, 7, "suicidal", []])
        assert (connection.closed, peer.at_end()) == (True, True)

    def test_an_endless_one_lets_others_have_their_turn(self, make: Make, service: Service) -> None:
        def endless() -> Iterator[int]:
            while True:
                yield 1

        service.register(endless)
        connection, peer = make(high=65536, low=1024)
        peer.send([2, "$/meta", [7, {"credit": MAX_CREDIT}]], [0, 7, "endless", []], [0, 8, "$/ping", []])
        said = b"".join(peer.read() for _ in range(5))
        assert msgpack.packb([1, 8, None, None]) in said
        peer.send([2, "$/cancelRequest", [7]])
        assert connection.session.serving == {}

    def test_a_peer_that_does_not_read_is_not_sent_more(self, make: Make, service: Service) -> None:
        made: list[int] = []

        def endless() -> Iterator[bytes]:
            while True:
                made.append(1)
                yield bytes(1000)

        service.register(endless)
        connection, peer = make(high=100_000, low=1000)
        peer.send([2, "$/meta", [7, {"credit": MAX_CREDIT}]], [0, 7, "endless", []])
        for _ in range(50):
            peer.settle()
        size = connection.bev.output.length
        assert 50_000 < size < 300_000
        so_far = len(made)
        for _ in range(50):
            peer.settle()
        assert len(made) == so_far
        for _ in range(50):
            peer.read(65536)
            peer.settle()
        assert len(made) > so_far + 1000
        peer.close()
        assert connection.closed


def iter_of(n: int) -> Iterator[int]:
    yield from range(n)


class TestSend:
    """``call.send`` in a handler."""

    def test_an_item_that_the_peer_does_not_take(self, make: Make, service: Service) -> None:
        @service.method
        def some(call: Call) -> str:
            with pytest.raises(
                ValueError, match=r"^the peer takes messages of at most 1000 bytes, got one of"
            ):
                call.send(bytes(1000))
            call.send(bytes(1000 - largest))
            return "over"

        item = bytes(900)
        largest = len(msgpack.packb([2, "$/next", [2**32 - 1, item]])) - len(item)
        connection, peer = make()
        connection.peer_max_message = 1000
        peer.send([2, "$/meta", [7, {"credit": 2}]], [0, 7, "some", []])
        assert peer.heard() == [[2, "$/next", [7, bytes(1000 - largest)]], [1, 7, None, "over"]]

    def test_then_a_result(self, make: Make, service: Service) -> None:
        @service.method
        def some(call: Call) -> str:
            return f"{call.send(1)} {call.send(2)} {call.send(3)}"

        _, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 2}]], [0, 7, "some", []])
        assert peer.heard() == [[2, "$/next", [7, 1]], [2, "$/next", [7, 2]]]
        peer.send([2, "$/credit", [7, 5]])  # the answer waits for the items before it
        assert peer.heard() == [[2, "$/next", [7, 3]], [1, 7, None, "True True False"]]

    def test_later(self, make: Make, service: Service) -> None:
        calls: list[Call] = []

        @service.method
        def some(call: Call) -> None:
            call.defer()
            calls.append(call)

        _, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 2}]], [0, 7, "some", []])
        calls[0].send("a")
        calls[0].reply("b")
        assert peer.heard() == [[2, "$/next", [7, "a"]], [1, 7, None, "b"]]
        with pytest.raises(LocalProtocolError):
            calls[0].reply("c")
        assert calls[0].send("d") is False

    def test_a_second_answer_while_the_first_waits(self, make: Make, service: Service) -> None:
        calls: list[Call] = []

        @service.method
        def some(call: Call) -> None:
            call.defer()
            calls.append(call)

        _, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 0}]], [0, 7, "some", []])
        calls[0].send(1)
        calls[0].reply(2)
        with pytest.raises(LocalProtocolError):
            calls[0].reply(3)
        with pytest.raises(LocalProtocolError):
            calls[0].send(4)
        assert peer.heard() == []
        peer.send([2, "$/credit", [7, 1]])
        assert peer.heard() == [[2, "$/next", [7, 1]], [1, 7, None, 2]]

    def test_collected(self, make: Make, service: Service) -> None:
        @service.method
        def some(call: Call) -> None:
            call.send(1)
            call.send(2)

        _, peer = make(frozenset())
        peer.send([0, 7, "some", []])
        assert peer.heard() == [[1, 7, None, [1, 2]]]

    def test_an_error_after_items(self, make: Make, service: Service) -> None:
        @service.method
        def some(call: Call) -> None:
            call.send(1)
            call.fail(MethodError("no"))

        _, peer = make(frozenset())
        peer.send([0, 7, "some", []])
        assert peer.heard() == [[1, 7, "no", None]]

    def test_who_does_not_stop_has_an_error(self, make: Make, service: Service) -> None:
        calls: list[Call] = []

        @service.method
        def some(call: Call) -> None:
            call.defer()
            calls.append(call)

        _, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 1}]], [0, 7, "some", []])
        for number in range(1 + MAX_WAITING):
            calls[0].send(number)
        with pytest.raises(Overloaded, match="1000 items wait"):
            calls[0].send(0)
        peer.close()

    def test_on_ready(self, make: Make, service: Service) -> None:
        calls: list[Call] = []
        ready: list[int] = []

        @service.method
        def some(call: Call) -> None:
            call.defer()
            calls.append(call)

        _, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 1}]], [0, 7, "some", []])
        calls[0].stream.output.on_ready = lambda: ready.append(1)
        assert (calls[0].send(1), calls[0].send(2)) == (True, False)
        assert ready == []
        peer.send([2, "$/credit", [7, 1]])
        assert ready == [1]
        calls[0].reply()

    def test_from_another_thread(self, make: Make, service: Service, manual_base: EventBase) -> None:
        results: list[bool] = []

        def work(call: Call) -> None:
            results.extend(call.send(number) for number in range(5))
            manual_base.call_soon_threadsafe(call.reply, "over")

        @service.method
        def some(call: Call) -> None:
            call.defer()
            thread = threading.Thread(target=work, args=(call,), daemon=True)
            threads.append(thread)
            thread.start()

        threads: list[threading.Thread] = []
        _, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 1}]], [0, 7, "some", []])
        heard: list[Any] = []
        deadline = time.monotonic() + PATIENCE
        while (not heard or heard[-1][0] != 1) and time.monotonic() < deadline:
            new = peer.heard()
            heard += new
            if any(message[0] == 2 for message in new):
                peer.send([2, "$/credit", [7, 1]])
        threads[0].join(PATIENCE)
        assert [message[2][1] for message in heard[:-1]] == list(range(5))
        assert results == [True] * 5

    def test_from_another_thread_to_nobody(
        self, make: Make, service: Service, manual_base: EventBase
    ) -> None:
        results: list[object] = []

        def work(call: Call) -> None:
            try:
                while call.send(1):
                    pass
                results.append("nobody takes any more")
            finally:
                results.append("over")

        @service.method
        def some(call: Call) -> None:
            call.defer()
            thread = threading.Thread(target=work, args=(call,), daemon=True)
            threads.append(thread)
            thread.start()

        threads: list[threading.Thread] = []
        _, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 2}]], [0, 7, "some", []])
        deadline = time.monotonic() + PATIENCE
        while not peer.heard() and time.monotonic() < deadline:
            pass
        peer.close()
        while len(results) < 2 and time.monotonic() < deadline:
            peer.settle()
        threads[0].join(PATIENCE)
        assert results == ["nobody takes any more", "over"]


class TestItems:
    """A caller's items, in a handler."""

    def test_they_are_asked_for_and_end(self, make: Make, service: Service) -> None:
        seen: list[Any] = []

        @service.method
        def total(call: Call) -> None:
            call.defer()
            call.items.set_callbacks(
                item=lambda stream, item: seen.append(item), end=lambda stream: call.reply(sum(seen))
            )

        _, peer = make()
        peer.send([2, "$/meta", [7, {"items": True}]], [0, 7, "total", []])
        assert peer.heard() == [[2, "$/grant", [7, 100]]]
        peer.send(*[[2, "$/put", [7, number]] for number in range(60)])
        assert peer.heard() == [[2, "$/grant", [7, 50]]]
        peer.send([2, "$/put", [7, 1000]], [2, "$/end", [7]])
        assert peer.heard() == [[1, 7, None, sum(range(60)) + 1000]]

    def test_they_are_one_stream(self, make: Make, service: Service) -> None:
        calls: list[Call] = []

        @service.method
        def total(call: Call) -> None:
            call.defer()
            calls.append(call)

        _, peer = make()
        peer.send([2, "$/meta", [7, {"items": True}]], [0, 7, "total", []])
        assert calls[0].items is calls[0].items
        assert peer.heard() == [[2, "$/grant", [7, 100]]]
        calls[0].reply()

    def test_who_does_not_want_them_any_more_may_still_get_some(self, make: Make, service: Service) -> None:
        calls: list[Call] = []

        @service.method
        def total(call: Call) -> None:
            call.defer()
            calls.append(call)
            assert call.items.cancel()

        connection, peer = make()
        peer.send([2, "$/meta", [7, {"items": True}]], [0, 7, "total", []])
        peer.send([2, "$/put", [7, 1]], [2, "$/end", [7]])
        assert not connection.closed
        calls[0].reply("enough")
        assert peer.heard()[-1] == [1, 7, None, "enough"]

    @pytest.mark.parametrize("whole", [False, True])
    def test_a_caller_who_says_no_more(self, make: Make, service: Service, whole: bool) -> None:
        ended: list[bool] = []

        @service.method
        def total(call: Call) -> None:
            def end(stream: Any) -> None:
                ended.append(stream.result.cancelled())
                call.reply("over")

            call.defer()
            call.items.set_callbacks(item=lambda stream, item: None, end=end)

        connection, peer = make()
        peer.send([2, "$/meta", [7, {"items": True}]], [0, 7, "total", []], [2, "$/put", [7, 1]])
        peer.heard()
        if whole:
            peer.send([2, "$/end", [7]])
        peer.shut()
        assert ended == [not whole]
        assert peer.heard() == [[1, 7, None, "over"]]
        assert connection.closed

    def test_of_a_caller_who_sends_none(self, make: Make, service: Service) -> None:
        @service.method
        def total(call: Call) -> int:
            return sum(call.items)

        _, peer = make()
        peer.send([0, 7, "total", []])
        assert peer.heard() == [[1, 7, None, 0]]

    def test_who_does_not_ask_gets_none(self, make: Make, service: Service) -> None:
        @service.method
        def waits(call: Call) -> None:
            call.defer()

        connection, peer = make()
        peer.send([2, "$/meta", [7, {"items": True}]], [0, 7, "waits", []])
        assert peer.heard() == []
        peer.send([2, "$/end", [7]], [2, "$/put", [8, 1]])
        assert (peer.heard(), connection.closed) == ([], False)

    @pytest.mark.parametrize("grab", [False, True])
    def test_one_without_credit_ends_the_connection(
        self, make: Make, service: Service, log: list[str], grab: bool
    ) -> None:
        @service.method
        def never(call: Call) -> None:
            call.defer()
            if grab:
                assert len(call.items) == 0

        connection, peer = make()
        peer.send([2, "$/meta", [7, {"items": True}]], [0, 7, "never", []])
        peer.send(*[[2, "$/put", [7, bytes(10)]] for _ in range(100 if grab else 0)])
        assert not connection.closed
        peer.send([2, "$/put", [7, 1]])
        assert (connection.closed, peer.at_end()) == (True, True)
        assert "an item without credit" in log[-1]

    @pytest.mark.parametrize("how", ["cancel", "lost", "answered"])
    def test_an_end_in_the_middle(self, make: Make, service: Service, how: str) -> None:
        ended: list[bool] = []
        calls: list[Call] = []

        @service.method
        def total(call: Call) -> None:
            call.defer()
            calls.append(call)
            call.items.set_callbacks(
                item=lambda stream, item: None, end=lambda stream: ended.append(stream.result.cancelled())
            )

        connection, peer = make()
        peer.send([2, "$/meta", [7, {"items": True}]], [0, 7, "total", []], [2, "$/put", [7, 1]])
        if how == "cancel":
            peer.send([2, "$/cancelRequest", [7]])
        elif how == "lost":
            peer.close()
        else:
            calls[0].reply("early")
            peer.settle()
            peer.send(*[[2, "$/put", [7, 1]] for _ in range(99)], [2, "$/end", [7]])  # it did not know
        peer.settle()
        assert ended == [True]
        assert (connection.session.stray, connection.closed) == (0, how == "lost")

    def test_after_the_end(self, make: Make, service: Service, log: list[str]) -> None:
        @service.method
        def waits(call: Call) -> None:
            call.defer()
            call.items.set_callbacks(item=lambda stream, item: None)

        connection, peer = make()
        peer.send([2, "$/meta", [7, {"items": True}]], [0, 7, "waits", []], [2, "$/end", [7]])
        assert not connection.closed
        peer.send([2, "$/end", [7]])  # twice is once
        assert not connection.closed
        peer.send([2, "$/put", [7, 1]])
        assert connection.closed
        assert "an item after the end" in log[-1]


class TestHostileCallers:
    @pytest.mark.parametrize("credit", [*NONSENSE[:1], *NONSENSE[2:]])
    def test_no_such_credit_at_the_beginning(
        self, make: Make, service: Service, log: list[str], credit: Any
    ) -> None:
        service.register(lambda: None, "nothing")
        connection, peer = make()
        peer.send([2, "$/meta", [7, {"credit": credit}]], [0, 7, "nothing", []])
        if credit is None:  # as if it had said nothing
            assert peer.heard() == [[1, 7, None, None]]
        else:
            assert (connection.closed, peer.at_end()) == (True, True)
            assert "expected a credit of 1 to" in log[-1]

    def test_a_generator_is_not_begun_for_such_credit(
        self, make: Make, service: Service, log: list[str], manual_base: EventBase
    ) -> None:
        escaped: list[BaseException] = []
        manual_base.exception_handler = lambda exception, _source: escaped.append(exception)
        called: list[int] = []

        @service.method
        def count() -> Iterator[int]:
            called.append(1)
            return iter_of(3)

        connection, peer = make()
        peer.send([2, "$/meta", [7, {"credit": -1}]], [0, 7, "count", []])
        assert (connection.closed, called, escaped) == (True, [], [])
        assert "expected a credit" in log[-1]

    @pytest.mark.parametrize("credit", NONSENSE)
    def test_no_such_grant(self, make: Make, service: Service, log: list[str], credit: Any) -> None:
        def endless() -> Iterator[int]:
            while True:
                yield 1

        service.register(endless)
        connection, peer = make()
        peer.send([2, "$/meta", [7, {"credit": 1}]], [0, 7, "endless", []], [2, "$/credit", [7, credit]])
        assert (connection.closed, peer.at_end()) == (True, True)
        assert "expected a credit of 1 to" in log[-1]

    def test_late_credit_is_no_stray(self, make: Make, service: Service) -> None:
        service.register(lambda: iter_of(3), "three")
        connection, peer = make(max_stray=0)
        peer.send([2, "$/meta", [7, {"credit": 9}]], [0, 7, "three", []], [2, "$/credit", [7, 5]])
        assert (len(peer.heard()), connection.session.stray, connection.closed) == (4, 0, False)

    @pytest.mark.parametrize("name", ["$/next", "$/credit", "$/put", "$/grant"])
    @pytest.mark.parametrize("params", [[], [1], [1, 2, 3], ["1", 2], [None, 1], [True, 1], [[1], 1]])
    def test_what_is_no_pair_is_counted(self, make: Make, name: str, params: list[Any]) -> None:
        connection, peer = make()
        assert connection.extensions.streams.calls == {}  # streams are known here
        peer.send([2, name, params])
        assert (connection.session.stray, connection.closed) == (1, False)

    def test_credit_for_a_call_that_streams_nothing(self, make: Make, service: Service) -> None:
        calls: list[Call] = []

        @service.method
        def waits(call: Call) -> None:
            call.defer()
            calls.append(call)

        connection, peer = make()
        peer.send([0, 7, "waits", []], [2, "$/credit", [7, 5]], [2, "$/put", [7, 5]])
        assert not connection.closed
        calls[0].reply(1)
        assert peer.heard() == [[1, 7, None, 1]]


class TestCalling:
    """A call of ours whose answer comes as items."""

    def test_what_is_said_and_heard(self, make: Make) -> None:
        connection, peer = make()
        stream = connection.stream("tail", "file", window=4)
        assert peer.heard() == [[2, "$/meta", [1, {"credit": 4}]], [0, 1, "tail", ["file"]]]
        peer.send([2, "$/next", [1, "a"]], [2, "$/next", [1, "b"]])
        assert [next(stream), next(stream)] == ["a", "b"]
        assert peer.heard() == [[2, "$/credit", [1, 2]]]
        peer.send([2, "$/next", [1, "c"]], [1, 1, None, "over"])
        assert (list(stream), stream.result.result()) == (["c"], "over")
        assert connection.extensions.streams.calls == {}

    def test_an_error_of_the_peer(self, make: Make) -> None:
        connection, peer = make()
        stream = connection.stream("tail")
        peer.send([2, "$/next", [1, "a"]], [1, 1, "no more", None])
        assert next(stream) == "a"
        with pytest.raises(RemoteCallError, match="no more"):
            next(stream)

    def test_a_lost_connection(self, make: Make) -> None:
        connection, peer = make()
        stream = connection.stream("tail")
        peer.send([2, "$/next", [1, "a"]])
        peer.close()
        assert next(stream) == "a"
        with pytest.raises(CallLost):
            next(stream)

    def test_a_consumer_who_never_consumes(self, make: Make, log: list[str]) -> None:
        connection, peer = make()
        stream = connection.stream("tail", window=50)
        peer.heard()
        peer.send(*[[2, "$/next", [1, number]] for number in range(50)])
        assert (len(stream), peer.heard(), connection.closed) == (50, [], False)
        peer.send([2, "$/next", [1, 50]])
        assert (len(stream), connection.closed) == (50, True)
        assert "an item without credit: 50 items were to come at most" in log[-1]
        peer.settle()
        assert isinstance(stream.result.exception(), CallLost)

    def test_a_cancel(self, make: Make) -> None:
        connection, peer = make(max_stray=0)
        stream = connection.stream("tail")
        peer.heard()
        stream.cancel()
        assert peer.heard() == [[2, "$/cancelRequest", [1]]]
        peer.send(*[[2, "$/next", [1, number]] for number in range(90)], [1, 1, "cancelled", None])
        assert (connection.session.stray, connection.closed, len(stream)) == (0, False, 0)

    def test_a_time_out(self, make: Make, clock: Any) -> None:
        connection, peer = make()
        stream = connection.stream("tail", timeout=5.0)
        assert peer.heard()[0] == [2, "$/meta", [1, {"credit": 100, "deadline_ms": 5000}]]
        clock.advance(6)
        peer.settle()
        assert isinstance(stream.result.exception(), TimeoutError)
        assert peer.heard() == [[2, "$/cancelRequest", [1]]]

    def test_no_time_out_unless_asked_for(self, make: Make, clock: Any) -> None:
        connection, peer = make(timeout=1.0)
        stream = connection.stream("tail")
        clock.advance(1000)
        peer.settle()
        assert not stream.result.done()
        stream.cancel()

    @pytest.mark.parametrize("number", [2, 99, -1, 2**64 - 1])
    def test_items_for_nobody_are_counted(self, make: Make, log: list[str], number: int) -> None:
        connection, peer = make(max_stray=3)
        stream = connection.stream("tail")
        peer.send(*[[2, "$/next", [number, 1]]] * 3)
        assert (connection.session.stray, connection.closed, len(stream)) == (3, False, 0)
        peer.send([2, "$/next", [number, 1]])
        assert connection.closed
        stream.result.exception(0)

    def test_items_after_the_answer_are_counted(self, make: Make) -> None:
        connection, peer = make()
        stream = connection.stream("tail")
        peer.send([1, 1, None, None], [2, "$/next", [1, "late"]])
        assert (list(stream), connection.session.stray) == ([], 1)

    def test_an_item_callback_that_raises(self, make: Make, manual_base: EventBase) -> None:
        escaped: list[BaseException] = []
        manual_base.exception_handler = lambda exception, _source: escaped.append(exception)
        connection, peer = make()
        stream = connection.stream("tail")
        stream.set_callbacks(item=lambda stream, item: 1 // item)
        peer.heard()
        peer.send([2, "$/next", [1, 0]], [2, "$/next", [1, 0]])
        assert (len(escaped), connection.closed) == (1, False)
        assert peer.heard() == [[2, "$/cancelRequest", [1]]]

    @pytest.mark.parametrize("window", [0, -1, MAX_CREDIT + 1, "1"])
    def test_no_such_window(self, make: Make, window: Any) -> None:
        connection, peer = make()
        with pytest.raises(ValueError, match="expected a window"):
            connection.stream("tail", window=window)
        assert peer.heard() == []

    def test_metadata_goes_along(self, make: Make) -> None:
        connection, peer = make()
        metadata = {"who": "me"}
        stream = connection.stream("tail", metadata=metadata)
        assert peer.heard()[0] == [2, "$/meta", [1, {"who": "me", "credit": 100}]]
        assert metadata == {"who": "me"}
        stream.cancel()


class TestPeerWithoutStreams:
    def test_an_array_is_the_items(self, make: Make) -> None:
        connection, peer = make(frozenset())
        stream = connection.stream("tail", window=2)
        assert peer.heard() == [[0, 1, "tail", []]]
        peer.send([1, 1, None, [1, 2, 3, 4]])
        assert (list(stream), stream.result.result()) == ([1, 2, 3, 4], None)
        assert peer.heard() == []

    def test_anything_else_is_the_result(self, make: Make) -> None:
        connection, peer = make(frozenset())
        stream = connection.stream("tail")
        peer.send([1, 1, None, "text"])
        assert (list(stream), stream.result.result()) == ([], "text")

    def test_an_error(self, make: Make) -> None:
        connection, peer = make(frozenset())
        stream = connection.stream("tail", items=[1])
        peer.send([1, 1, "no", None])
        with pytest.raises(RemoteCallError):
            list(stream)

    def test_it_gets_no_items(self, make: Make) -> None:
        connection, peer = make(frozenset())
        stream = connection.stream("total", items=[1])
        assert peer.heard() == [[0, 1, "total", []]]
        peer.send([1, 1, None, 0])
        with pytest.raises(RPCError, match="knows no streams"):
            list(stream)

    def test_a_cancel(self, make: Make) -> None:
        connection, peer = make(frozenset())
        connection.stream("tail").cancel()
        peer.heard()
        peer.send([1, 1, None, [1]])
        assert connection.session.stray == 0


class TestSending:
    """Items of ours."""

    def test_as_fast_as_they_are_taken(self, make: Make) -> None:
        connection, peer = make()
        stream = connection.stream("total", items=range(5))
        assert peer.heard() == [[2, "$/meta", [1, {"credit": 100, "items": True}]], [0, 1, "total", []]]
        peer.send([2, "$/grant", [1, 2]])
        assert peer.heard() == [[2, "$/put", [1, 0]], [2, "$/put", [1, 1]]]
        peer.send([2, "$/grant", [1, 3]])
        assert peer.heard() == [
            [2, "$/put", [1, 2]],
            [2, "$/put", [1, 3]],
            [2, "$/put", [1, 4]],
            [2, "$/end", [1]],
        ]
        peer.send([1, 1, None, 10])
        assert (list(stream), stream.result.result()) == ([], 10)

    def test_by_hand(self, make: Make) -> None:
        connection, peer = make()
        stream = connection.stream("total", items=True)
        assert stream.sink is not None
        assert (stream.sink.send("a"), stream.sink.send("b")) == (False, False)
        stream.sink.end()
        peer.heard()
        peer.send([2, "$/grant", [1, 9]])
        assert peer.heard() == [[2, "$/put", [1, "a"]], [2, "$/put", [1, "b"]], [2, "$/end", [1]]]
        with pytest.raises(LocalProtocolError):
            stream.sink.end()
        with pytest.raises(LocalProtocolError):
            stream.sink.send("c")
        stream.cancel()
        assert stream.sink.send("d") is False

    def test_an_item_that_can_not_be_sent(self, make: Make) -> None:
        connection, peer = make()
        stream = connection.stream("total", items=True)
        assert stream.sink is not None
        with pytest.raises(TypeError):
            stream.sink.send(object())
        stream.sink.send(1)
        stream.sink.end()
        peer.heard()
        peer.send([2, "$/grant", [1, 9]])
        assert peer.heard() == [[2, "$/put", [1, 1]], [2, "$/end", [1]]]
        stream.cancel()

    def test_an_item_that_the_peer_does_not_take(self, make: Make) -> None:
        connection, peer = make()
        connection.peer_max_message = 1000
        stream = connection.stream("total", items=True)
        assert stream.sink is not None
        with pytest.raises(ValueError, match=r"^the peer takes messages of at most 1000 bytes, got one of"):
            stream.sink.send(bytes(1000))
        stream.sink.send(bytes(900))
        peer.heard()
        peer.send([2, "$/grant", [1, 9]])
        assert peer.heard() == [[2, "$/put", [1, bytes(900)]]]
        stream.cancel()

    def test_an_item_of_which_that_turns_out_later(self, make: Make) -> None:
        connection, peer = make()
        stream = connection.stream("total", items=True)
        assert stream.sink is not None
        stream.sink.send(bytes(1000))
        connection.peer_max_message = 1000  # as if it had been sent before there was a connection
        peer.heard()
        peer.send([2, "$/grant", [1, 9]])
        assert peer.heard() == [[2, "$/cancelRequest", [1]]]
        assert isinstance(stream.result.exception(), ValueError)
        assert not connection.closed

    def test_an_iterator_that_raises_cancels(self, make: Make) -> None:
        def fails() -> Iterator[int]:
            yield 1
            raise ZeroDivisionError("on purpose")

        connection, peer = make()
        stream = connection.stream("total", items=fails())
        peer.heard()
        peer.send([2, "$/grant", [1, 9]])
        assert peer.heard() == [[2, "$/put", [1, 1]], [2, "$/cancelRequest", [1]]]
        with pytest.raises(ZeroDivisionError):
            stream.result.result()

    @pytest.mark.parametrize("how", ["answered", "cancelled", "lost"])
    def test_an_end_in_the_middle_closes_the_iterator(self, make: Make, how: str) -> None:
        ended: list[str] = []

        def endless() -> Iterator[int]:
            try:
                while True:
                    yield 1
            finally:
                ended.append("closed")

        connection, peer = make()
        stream = connection.stream("total", items=endless())
        peer.send([2, "$/grant", [1, 3]])
        assert ended == []
        if how == "answered":
            peer.send([1, 1, None, "enough"], [2, "$/grant", [1, 5]])
            assert stream.result.result() == "enough"
        elif how == "cancelled":
            stream.cancel()
        else:
            peer.close()
            assert isinstance(stream.result.exception(), CallLost)
        assert ended == ["closed"]
        assert stream.sink is not None
        assert stream.sink.gone

    @pytest.mark.parametrize("number", NONSENSE)
    def test_no_such_grant(self, make: Make, log: list[str], number: Any) -> None:
        connection, peer = make()
        stream = connection.stream("total", items=[1, 2])
        peer.send([2, "$/grant", [1, number]])
        assert connection.closed
        assert "expected a credit of 1 to" in log[-1]
        peer.settle()
        stream.result.exception()

    def test_a_grant_to_nobody(self, make: Make) -> None:
        connection, peer = make()
        stream = connection.stream("tail")
        peer.send([2, "$/grant", [1, 5]], [2, "$/grant", [77, -5]])
        assert (connection.session.stray, connection.closed) == (0, False)
        stream.cancel()

    def test_big_items_wait_for_a_peer_that_reads(self, make: Make) -> None:
        taken: list[int] = []

        def big() -> Iterator[bytes]:
            while True:
                taken.append(1)
                yield bytes(10_000)

        connection, peer = make(high=100_000, low=10_000)
        stream = connection.stream("total", items=big())
        peer.send([2, "$/grant", [1, MAX_CREDIT]])
        for _ in range(50):
            peer.settle()
        assert connection.bev.output.length < 400_000
        before = len(taken)
        for _ in range(100):
            peer.read()
            peer.settle()
        assert len(taken) > before
        peer.close()
        assert stream.result.exception() is not None


class TestBothEnds:
    """Two connections of evkit's."""

    @pytest.fixture
    def ends(self, base: EventBase, service: Service) -> Iterator[tuple[Connection, Connection]]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        one, other = connection_to(base, ours, service), connection_to(base, theirs)
        one.features = other.features = ALL
        yield one, other
        one.close()
        other.close()

    def test_from_who_is_called(self, ends: tuple[Connection, Connection], service: Service) -> None:
        service.register(iter_of, "count")
        stream = ends[1].stream("count", 10_000)
        assert list(stream) == list(range(10_000))

    def test_from_who_calls(self, ends: tuple[Connection, Connection], service: Service) -> None:
        @service.method
        def total(call: Call) -> None:
            seen: list[int] = []
            call.defer()
            call.items.set_callbacks(
                item=lambda stream, item: seen.append(item), end=lambda stream: call.reply(sum(seen))
            )

        stream = ends[1].stream("total", items=range(10_000))
        assert stream.result.result() == sum(range(10_000))

    def test_both_ways_with_big_items(self, ends: tuple[Connection, Connection], service: Service) -> None:
        @service.method
        def echo(call: Call) -> None:
            call.defer()
            items = call.items

            def go_on() -> None:
                items.set_callbacks(item=on_item, end=lambda stream: call.reply("over"))

            def on_item(stream: Any, item: bytes) -> None:
                if not call.send(item):
                    stream.set_callbacks()

            go_on()
            call.stream.output.on_ready = go_on

        piece = bytes(65536)
        stream = ends[1].stream("echo", items=(piece for _ in range(300)))
        assert sum(map(len, stream)) == 300 * 65536
        assert stream.result.result() == "over"

    def test_many_at_once(self, ends: tuple[Connection, Connection], service: Service) -> None:
        service.register(iter_of, "count")
        streams = [ends[1].stream("count", 300, window=size) for size in range(1, 60)]
        assert [list(stream) for stream in streams] == [list(range(300))] * 59
