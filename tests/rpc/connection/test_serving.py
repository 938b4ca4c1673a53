"""`evkit.rpc.connection.serving`: the half of a connection that is called, without the half that calls."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from evkit.core import EventBase, Future, SocketBufferEvent
from evkit.errors import LocalProtocolError
from evkit.rpc import Call, Limits, MethodError, Service
from evkit.rpc.connection.load import Load
from evkit.rpc.connection.serving import Serving
from evkit.rpc.errors import RPCProtocolError
from evkit.rpc.protocol.coders import Coders
from evkit.testing import ManualClock
from rpc_aids import Deferring, Make


def serving_of(
    base: EventBase,
    sock: socket.socket,
    service: Service,
    *,
    load: Load | None = None,
    debug: bool = False,
    **limits: Any,
) -> Serving:
    coders = Coders(Limits(**limits))
    return Serving(SocketBufferEvent(base, sock), coders, "the peer", service, load or Load(), debug=debug)


@pytest.fixture
def build() -> Callable[..., Serving]:
    return serving_of


def test_a_request_gets_its_response(make: Make, service: Service) -> None:
    service.register(lambda a, b: a + b, "add")
    _, peer = make()
    peer.send([0, 1, "add", [1, 2]])
    assert peer.heard() == [[1, 1, None, 3]]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ([0, 1, "nix", []], "no method 'nix'"),
        ([0, 1, "a\nb", []], "no method 'a\\\\nb'"),
        ([0, 1, "x" * 300, []], "expected a method's name of at most 256 bytes"),
        ([0, 1, "$/nix", []], "no method '$/nix'"),
        ([0, 1, "add", ["x", 1]], "add(a: int, b: int): parameter \"a\": expected int, got str 'x'"),
        ([0, 1, "add", [1]], "add(a: int, b: int) takes 2 parameters, got 1"),
        ([0, 1, "add", 5], "expected an array of parameters, got an integer"),
        ([0, 1, 5, []], "expected a method's name as text, got an integer"),
    ],
)
def test_what_can_not_be_served_gets_an_error(
    make: Make, service: Service, request_: object, error: str
) -> None:
    @service.method
    def add(a: int, b: int) -> int:
        return a + b

    connection, peer = make()
    peer.send(request_, [0, 2, "add", [1, 2]])
    assert peer.heard() == [[1, 1, error, None], [1, 2, None, 3]]
    assert not connection.closed


@pytest.mark.parametrize(
    "exception",
    [ValueError("no\nluck"), SystemExit(3), RecursionError("deep"), GeneratorExit(), MemoryError()],
)
def test_whatever_a_handler_raises_is_an_error_and_nothing_ends(
    make: Make, service: Service, escaped: list[BaseException], exception: BaseException
) -> None:
    def boom() -> None:
        raise exception

    service.register(boom)
    service.register(lambda: 1, "fine")
    _, peer = make()
    peer.send([0, 1, "boom", []], [0, 2, "fine", []])
    first, second = peer.heard()
    assert first[:2] == [1, 1]
    assert first[2].startswith(type(exception).__name__)
    assert "\n" not in first[2]
    assert second == [1, 2, None, 1]
    assert escaped == [exception]


def test_endless_recursion_in_a_handler_is_an_error(
    make: Make, service: Service, escaped: list[BaseException]
) -> None:
    def again() -> Any:
        return again()

    service.register(again)
    _, peer = make()
    peer.send([0, 1, "again", []])
    ((_, number, error, _),) = peer.heard()
    assert (number, error[:14]) == (1, "RecursionError")
    assert len(escaped) == 1


def test_ctrl_c_in_a_handler_leaves_the_loop(make: Make, service: Service) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    service.register(interrupt)
    _, peer = make()
    with pytest.raises(KeyboardInterrupt):
        peer.send([0, 1, "interrupt", []])


def test_what_came_with_it_is_served_after_ctrl_c(make: Make, service: Service) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    service.register(interrupted)
    service.register(lambda x: x, "echo")
    _, peer = make()
    with pytest.raises(KeyboardInterrupt):
        peer.send([0, 1, "interrupted", []], [0, 2, "echo", [5]])
    assert peer.heard() == [[1, 2, None, 5]]


def test_a_handlers_own_error_is_no_accident(
    make: Make, service: Service, escaped: list[BaseException]
) -> None:
    def refuse(raw: bool) -> None:
        raise MethodError("not today", 42, raw=[0, "not today"] if raw else None)

    service.register(refuse)
    _, peer = make()
    peer.send([0, 1, "refuse", [False]], [0, 2, "refuse", [True]])
    assert peer.heard() == [[1, 1, "not today", None], [1, 2, [0, "not today"], None]]
    assert escaped == []


@pytest.mark.parametrize("result", [object(), 2**64, {1: {2: object()}}, "\ud800"])
def test_a_result_that_can_not_be_sent_is_an_error(
    make: Make, service: Service, escaped: list[BaseException], result: object
) -> None:
    service.register(lambda: result, "odd")
    _, peer = make()
    peer.send([0, 1, "odd", []])
    ((_, number, error, value),) = peer.heard()
    assert (number, value) == (1, None)
    assert error.startswith("the result of odd can't be sent: ")
    assert len(escaped) == 1


def test_an_error_whose_data_can_not_be_sent_is_an_error_all_the_same(make: Make, service: Service) -> None:
    def boom() -> None:
        raise MethodError("no", raw=object())

    service.register(boom)
    _, peer = make()
    peer.send([0, 1, "boom", []])
    assert peer.heard() == [[1, 1, "no", None]]


def test_a_traceback_goes_out_with_debug_alone(
    make: Make, service: Service, escaped: list[BaseException]
) -> None:
    def boom() -> None:
        raise ValueError("no")

    service.register(boom)
    for debug in (False, True):
        _, peer = make(debug=debug)
        peer.send([0, 1, "boom", []])
        assert ("Traceback" in peer.heard()[0][2]) is debug
    assert len(escaped) == 2


def test_a_notification_has_no_answer_whatever_becomes_of_it(
    make: Make, service: Service, escaped: list[BaseException]
) -> None:
    heard: list[object] = []

    def note(call: Call, what: object) -> None:
        heard.append(what)
        call.reply("nobody gets this")

    def boom() -> None:
        raise ValueError

    service.register(note)
    service.register(boom)
    connection, peer = make()
    peer.send([2, "note", ["a"]], [2, "boom", []], [2, "note", []], [2, "nix", []], [2, "note", ["b"]])
    assert peer.heard() == []
    assert heard == ["a", "b"]
    assert connection.session.stray == 1
    assert [type(exception) for exception in escaped] == [ValueError]


def test_answers_come_later_and_in_any_order(make: Make, service: Service) -> None:
    handler = Deferring(service)
    connection, peer = make()
    peer.send(*[[0, number, "wait", []] for number in (1, 2, 3)])
    assert peer.heard() == []
    assert sorted(connection.session.serving) == [1, 2, 3]
    handler.calls[2].reply("third")
    handler.calls[0].fail(MethodError("first"))
    assert peer.heard() == [[1, 3, None, "third"], [1, 1, "first", None]]
    assert sorted(connection.session.serving) == [2]
    assert connection.busy


def test_there_is_one_answer(make: Make, service: Service) -> None:
    handler = Deferring(service)
    _, peer = make()
    peer.send([0, 1, "wait", []])
    handler.calls[0].reply()
    for again in (handler.calls[0].reply, lambda: handler.calls[0].fail(ValueError())):
        with pytest.raises(LocalProtocolError, match="one answer"):
            again()
    assert peer.heard() == [[1, 1, None, None]]


def test_a_handler_may_answer_before_it_returns(make: Make, service: Service) -> None:
    def early(call: Call) -> str:
        call.reply("early")
        return "ignored"

    def failing(call: Call) -> None:
        call.reply("early")
        raise MethodError("ignored")

    service.register(early)
    service.register(failing)
    connection, peer = make()
    peer.send([0, 1, "early", []], [0, 2, "failing", []])
    assert peer.heard() == [[1, 1, None, "early"], [1, 2, None, "early"]]
    assert not connection.session.serving


def test_another_thread_may_answer(make: Make, service: Service, manual_base: EventBase) -> None:
    import threading

    handler = Deferring(service)
    connection, peer = make()
    peer.send([0, 1, "wait", []])
    thread = threading.Thread(target=handler.calls[0].reply, args=("from a thread",))
    thread.start()
    thread.join()
    assert connection.session.serving
    assert peer.heard() == [[1, 1, None, "from a thread"]]


@pytest.mark.parametrize("wants_call", [False, True])
def test_a_future_is_an_answer_to_come(
    make: Make, service: Service, manual_base: EventBase, wants_call: bool
) -> None:
    futures: list[Future[Any]] = []

    def later() -> Future[Any]:
        futures.append(Future(manual_base))
        return futures[-1]

    def later_with_call(call: Call) -> Future[Any]:
        assert call.method.name == "later"
        return later()

    service.register(later_with_call if wants_call else later, "later")
    connection, peer = make()
    peer.send([0, 1, "later", []], [0, 2, "later", []], [0, 3, "later", []])
    assert sorted(connection.session.serving) == [1, 2, 3]
    futures[1].set_exception(MethodError("no luck"))
    futures[0].set_result(5)
    futures[2].cancel()
    error = "RuntimeError: what the answer depends on was cancelled"
    assert peer.heard() == [[1, 2, "no luck", None], [1, 1, None, 5], [1, 3, error, None]]
    assert not connection.session.serving


def test_a_caller_who_goes_cancels_what_is_served(
    make: Make, service: Service, manual_base: EventBase
) -> None:
    future: Future[Any] = Future(manual_base)
    handler = Deferring(service)
    service.register(lambda: future, "later")
    connection, peer = make()
    cancelled: list[Call] = []
    peer.send([0, 1, "later", []], [0, 2, "wait", []])
    handler.calls[0].on_cancel = cancelled.append
    connection.lose(None)
    peer.settle()
    assert connection.closed
    assert future.cancelled()
    assert cancelled == handler.calls
    assert handler.calls[0].cancelled
    handler.calls[0].reply("too late, and harmless")


def test_an_id_in_use_ends_the_connection(make: Make, service: Service, log: list[str]) -> None:
    Deferring(service)
    connection, peer = make()
    peer.send([0, 1, "wait", []], [0, 1, "wait", []])
    assert peer.at_end()
    assert isinstance(connection.error, RPCProtocolError)
    assert "msgid 1" in log[0]


def test_reading_stops_where_as_much_is_served_as_may_be(make: Make, service: Service) -> None:
    handler = Deferring(service)
    connection, peer = make(max_in_flight=3)
    peer.send(*[[0, number, "wait", []] for number in range(10)])
    assert len(handler.calls) == 3
    assert connection.bev.read_suspended
    for answered in range(10):
        handler.calls[answered].reply(answered)
        peer.settle()
        assert len(handler.calls) == min(10, 4 + answered)
    assert peer.heard() == [[1, number, None, number] for number in range(10)]
    assert not connection.bev.read_suspended


def test_all_connections_together_have_a_limit(make: Make, service: Service) -> None:
    handler = Deferring(service)
    load = Load(3)
    (_, first), (_, second) = make(load=load), make(load=load)
    first.send(*[[0, number, "wait", []] for number in range(5)])
    second.send([0, 9, "wait", []])
    assert len(handler.calls) == 3
    assert load.full
    for call in tuple(handler.calls):
        call.reply()
    first.settle()
    for call in handler.calls[3:]:
        call.reply()
    first.settle()
    for call in handler.calls:
        if not call.answered:
            call.reply()
    assert len(first.heard()) == 5
    assert second.heard() == [[1, 9, None, None]]
    assert load.count == 0


def test_who_goes_makes_room_for_others(make: Make, service: Service) -> None:
    handler = Deferring(service)
    load = Load(1)
    (one, first), (_, second) = make(load=load), make(load=load)
    first.send([0, 1, "wait", []])
    second.send([0, 2, "wait", []])
    assert len(handler.calls) == 1
    one.lose(None)
    second.settle()
    assert len(handler.calls) == 2
    handler.calls[1].reply("at last")
    assert second.heard() == [[1, 2, None, "at last"]]


def test_a_peer_that_does_not_read_is_not_served(make: Make, service: Service) -> None:
    served: list[int] = []

    def big() -> bytes:
        served.append(1)
        return bytes(100_000)

    service.register(big)
    connection, peer = make(high=200_000, low=50_000)
    for number in range(50):
        peer._sock.send(bytes.fromhex("9400") + bytes([number]) + b"\xa3big\x90")
        peer.settle()
    assert connection.bev.output.length < 500_000
    assert len(served) < 20
    assert len(peer.heard()) == 50
    assert not connection.bev.read_suspended


def test_close_inside_a_handler_ends_it_at_once(make: Make, service: Service) -> None:
    served: list[int] = []

    def kill(call: Call) -> None:
        served.append(1)
        call.connection.close()

    service.register(kill)
    connection, peer = make()
    peer.send([0, 1, "kill", []], [0, 2, "kill", []])
    assert served == [1]
    assert connection.closed
    assert peer.at_end()


def test_metadata_that_breaks_the_rules_calls_no_handler(
    make: Make, service: Service, log: list[str]
) -> None:
    called: list[int] = []
    service.register(lambda: called.append(1), "note")
    connection, peer = make()
    peer.send([2, "$/meta", [1, {"credit": -1}]], [0, 1, "note", []])
    assert connection.closed
    assert called == []
    assert len(log) == 1


def test_a_half_closed_peer_gets_all_its_answers(make: Make, service: Service) -> None:
    handler = Deferring(service)
    service.register(lambda: 1, "one")
    connection, peer = make()
    peer.send([0, 1, "wait", []], [0, 2, "one", []])
    peer.shut()
    assert not connection.closed
    handler.calls[0].reply("last")
    assert peer.heard() == [[1, 2, None, 1], [1, 1, None, "last"]]
    assert connection.closed
    assert connection.error is None


# The messages of extensions, as far as they are this half's


def test_what_is_an_extensions_is_answered_once(make: Make) -> None:
    serving, peer = make()
    peer.send([0, 1, "$/ping", []], [0, 2, "$/methods", []], [2, "$/meta", [3, {}]])
    assert peer.heard() == [[1, 1, None, None], [1, 2, None, {}]]
    assert serving.session.stray == 0


def test_metadata_is_for_the_next_request_of_that_number(make: Make, service: Service) -> None:
    handler = Deferring(service)
    serving, peer = make()
    peer.send([2, "$/meta", [1, {"a": 1}]], [2, "$/meta", [2, {"b": 2}]])
    peer.send([0, 2, "wait", []], [0, 3, "wait", []], [0, 1, "nix", []], [0, 1, "wait", []])
    assert [(call.number, call.metadata) for call in handler.calls] == [(2, {"b": 2}), (3, {}), (1, {})]
    assert serving.metadata_ahead == {}


def test_metadata_of_what_is_no_request_is_dropped(make: Make) -> None:
    serving, peer = make()
    peer.send([2, "$/meta", [1, {"a": 1}]], [0, 1, 5, []])
    assert serving.metadata_ahead == {}


def test_a_caller_may_cancel_once_and_for_what_is_served(make: Make, service: Service) -> None:
    handler = Deferring(service)
    serving, peer = make()
    peer.send([0, 1, "wait", []])
    told: list[Call] = []
    handler.calls[0].on_cancel = told.append
    peer.send([2, "$/cancelRequest", [9]], [2, "$/cancelRequest", [1]], [2, "$/cancelRequest", [1]])
    assert peer.heard() == [[1, 1, "the caller has cancelled the call", None]]
    assert told == handler.calls
    assert not serving.session.serving


def test_a_call_that_is_late_is_answered_once(make: Make, service: Service, clock: ManualClock) -> None:
    handler = Deferring(service)
    serving, peer = make()
    peer.send([2, "$/meta", [1, {"deadline_ms": 500}]], [0, 1, "wait", []])
    clock.advance(0.6)
    assert peer.heard() == [[1, 1, "the deadline of the call has passed", None]]
    serving.answer_late(handler.calls[0])
    assert peer.heard() == []


def test_items_come_before_the_answer_and_are_it(make: Make, service: Service) -> None:
    @service.method
    def some(call: Call) -> str:
        call.send(1)
        call.send(2)
        return "over"

    _, peer = make()
    peer.send([0, 1, "some", []], [2, "$/meta", [2, {"credit": 5}]], [0, 2, "some", []])
    assert peer.heard() == [
        [1, 1, None, [1, 2]],
        [2, "$/next", [2, 1]],
        [2, "$/next", [2, 2]],
        [1, 2, None, "over"],
    ]


def test_a_generator_is_items(make: Make, service: Service) -> None:
    service.register(lambda: (number for number in range(3)), "three")
    serving, peer = make()
    peer.send([0, 1, "three", []])
    assert peer.heard() == [[1, 1, None, [0, 1, 2]]]
    assert serving.session.serving == {}


# What else


@pytest.mark.parametrize("size", [256, 257])
def test_a_methods_name_has_so_many_bytes(make: Make, size: int) -> None:
    _, peer = make()
    peer.send([0, 1, "\u00e9" * (size // 2) + "x" * (size % 2), []])
    ((_, _, error, _),) = peer.heard()
    assert error.startswith("no method" if size == 256 else "expected a method's name of at most 256 bytes")


def test_ctrl_c_in_a_handler_that_wants_its_call(make: Make, service: Service) -> None:
    def interrupt(call: Call) -> None:
        raise KeyboardInterrupt

    service.register(interrupt)
    _, peer = make()
    with pytest.raises(KeyboardInterrupt):
        peer.send([0, 1, "interrupt", []])


def test_an_error_after_an_answer_is_told_here_alone(
    make: Make, service: Service, escaped: list[BaseException]
) -> None:
    def failing(call: Call) -> None:
        call.reply("early")
        raise ValueError("later")

    service.register(failing)
    _, peer = make()
    peer.send([0, 1, "failing", []])
    assert peer.heard() == [[1, 1, None, "early"]]
    assert [str(one) for one in escaped] == ["later"]


def test_a_notification_takes_no_place(make: Make, service: Service) -> None:
    handler = Deferring(service)
    load = Load(1)
    serving, peer = make(load=load, max_in_flight=1)
    peer.send([2, "wait", []], [2, "wait", []], [0, 1, "wait", []])
    assert len(handler.calls) == 3
    assert list(serving.session.serving) == [1]
    assert load.count == 1
    handler.calls[0].reply("nobody hears it")
    handler.calls[2].reply(5)
    assert peer.heard() == [[1, 1, None, 5]]
    assert load.count == 0


def test_a_handler_that_closes_takes_no_place(make: Make, service: Service) -> None:
    def leave(call: Call) -> None:
        call.defer()
        call.connection.close()

    service.register(leave)
    load = Load(1)
    _, peer = make(load=load)
    peer.send([0, 1, "leave", []])
    assert load.count == 0


def test_a_connection_that_needs_no_extensions_has_none(make: Make, service: Service) -> None:
    service.register(lambda x: x, "echo")
    serving, peer = make()
    peer.send([0, 1, "echo", [1]], [0, 2, "nix", []], [2, "nix", []])
    assert serving._extensions is None
    assert serving.service is service


def test_who_has_gone_leaves_the_room_to_the_next(make: Make, service: Service) -> None:
    handler = Deferring(service)
    load = Load(1)
    (_, first), (second, gone), (_, third) = make(load=load), make(load=load), make(load=load)
    first.send([0, 1, "wait", []])
    gone.send([0, 2, "wait", []])
    third.send([0, 3, "wait", []])
    assert len(handler.calls) == 1
    handler.calls[0].reply(1)
    second.close()  # whose turn it is
    third.settle()
    assert [call.number for call in handler.calls] == [1, 3]
    handler.calls[1].reply(3)
    assert third.heard() == [[1, 3, None, 3]]


def test_room_that_another_has_taken_is_waited_for_again(make: Make, service: Service) -> None:
    handler = Deferring(service)
    load = Load(1)
    (_, first), (_, second) = make(load=load), make(load=load)
    first.send([0, 1, "wait", []])
    second.send([0, 2, "wait", []])
    handler.calls[0].reply(1)
    load.enter()  # before the second has its turn
    second.settle()
    assert len(handler.calls) == 1
    load.leave()
    second.settle()
    handler.calls[1].reply(2)
    assert second.heard() == [[1, 2, None, 2]]


def test_what_comes_when_it_ends_is_refused(make: Make, service: Service) -> None:
    handler = Deferring(service)
    serving, peer = make()
    peer.send([0, 1, "wait", []], [0, 2, "wait", []])
    serving.end_soon()
    assert serving.refusing
    peer.send([0, 3, "wait", []], [2, "wait", []])
    ((_, number, error, _),) = peer.heard()
    assert number == 3
    assert "was not served" in error
    handler.calls[0].reply(1)
    peer.settle()
    assert not peer.at_end()
    handler.calls[1].reply(2)
    peer.settle()
    assert peer.at_end()
    assert serving.session.stray == 0
