"""`evkit.rpc.connection`, with its halves `link` and `serving`: against a peer that the test plays."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from evkit.core import EventBase, Future
from evkit.core.log import set_log_callback
from evkit.errors import LocalProtocolError, TransportTimeout
from evkit.rpc import (
    Call,
    CallLost,
    CallTimeout,
    ClientClosed,
    MethodError,
    Overloaded,
    RemoteCallError,
    Service,
)
from evkit.rpc.connection import Connection
from evkit.rpc.errors import RPCProtocolError
from evkit.rpc.load import Load
from evkit.rpc.pending import Pending
from evkit.testing import ManualClock
from rpc_aids import Peer, connection_to

Make = Callable[..., tuple[Connection, Peer]]


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def make(manual_base: EventBase, service: Service, open_descriptors: None) -> Iterator[Make]:
    """Make a connection and the peer at its other end; see `connection_to`."""
    made: list[tuple[Connection, Peer]] = []

    def connect(**how: Any) -> tuple[Connection, Peer]:
        ours, theirs = socket.socketpair()
        made.append((connection_to(manual_base, ours, service, **how), Peer(manual_base, theirs)))
        return made[-1]

    yield connect
    for connection, peer in made:
        peer.close()
        connection.close()
        assert connection.session.serving == {}
        assert connection.session.calls == {}
    assert [event for event in manual_base.events() if not event.internal] == []


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    set_log_callback(lambda _severity, line: lines.append(line))
    yield lines
    set_log_callback(None)


@pytest.fixture
def escaped(manual_base: EventBase) -> list[BaseException]:
    """What escapes from callbacks, which is not to fail the test."""
    found: list[BaseException] = []
    manual_base.exception_handler = lambda exception, _source: found.append(exception)
    return found


# Being called


def test_a_request_gets_its_response(make: Make, service: Service) -> None:
    service.register(lambda a, b: a + b, "add")
    _, peer = make()
    peer.send([0, 1, "add", [1, 2]])
    assert peer.heard() == [[1, 1, None, 3]]


def test_pipelined_requests_are_answered_in_one_send(make: Make, service: Service) -> None:
    service.register(lambda x: x, "echo")
    _, peer = make()
    peer.send(*[[0, number, "echo", [number]] for number in range(50)])
    whole = peer.read()
    assert len(whole) == 50 * 5
    assert whole.startswith(bytes.fromhex("940100c000"))
    assert peer.read() == b""


def test_a_request_that_comes_byte_by_byte(make: Make, service: Service) -> None:
    service.register(lambda x: x, "echo")
    _, peer = make()
    for byte in bytes.fromhex("940001a46563686f9107"):
        assert peer.heard() == []
        peer.send(raw=bytes([byte]))
    assert peer.heard() == [[1, 1, None, 7]]


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


# Answering later


class Deferring:
    """A handler that answers later, when the test says so."""

    def __init__(self, service: Service) -> None:
        self.calls: list[Call] = []
        service.register(self.wait, "wait")

    def wait(self, call: Call, *_: object) -> None:
        call.defer()
        self.calls.append(call)


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


# How much is served


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


def test_thousands_of_requests_at_once_give_way_to_others(
    make: Make, service: Service, manual_base: EventBase
) -> None:
    order: list[str] = []
    service.register(order.append, "note")
    (_, busy), (_, other) = make(), make()
    busy._sock.send(bytes.fromhex("9302a46e6f746591a162") * 1000)
    other._sock.send(bytes.fromhex("9302a46e6f746591a16f"))
    busy.settle()
    assert order.count("b") == 1000
    assert order.index("o") < 600


# Bad input


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\xc1", "0xc1"),
        (b"GET / HTTP/1.1\r\n\r\n", "expected an array"),
        (b"\x16\x03\x01", "expected an array"),
        (bytes.fromhex("9400cf0000000100000000a16190"), "32-bit"),
    ],
)
def test_what_is_not_messagepack_rpc_ends_that_connection_alone(
    make: Make, service: Service, log: list[str], raw: bytes, reason: str
) -> None:
    service.register(lambda: 1, "one")
    (bad, peer), (good, other) = make(), make()
    future = bad.call("something")
    peer.send([0, 1, "one", []], raw=raw + bytes.fromhex("940002a36f6e6590"))
    with pytest.raises(CallLost) as lost:
        future.result()
    assert isinstance(lost.value.__cause__, RPCProtocolError)
    assert reason in log[0]
    assert "the peer" in log[0]
    assert bad.closed
    assert not good.closed
    other.send([0, 1, "one", []])
    assert other.heard() == [[1, 1, None, 1]]


def test_what_came_before_the_fault_is_served(make: Make, service: Service, log: list[str]) -> None:
    notes: list[object] = []
    service.register(notes.append, "note")
    _, peer = make()
    peer.send([2, "note", ["before"]], raw=b"\xc1")
    assert notes == ["before"]
    assert len(log) == 1


def test_a_message_that_does_not_end_ends_the_connection(
    make: Make, clock: ManualClock, service: Service
) -> None:
    service.register(lambda x: x, "echo")
    connection, peer = make(message_timeout=5.0)
    peer.send([0, 1, "echo", [1]], raw=b"\x94\x00")
    for byte in (b"\x02", b"\xa4"):  # it goes on, and yet is the same message
        clock.advance(2.0)
        peer.send(raw=byte)
    assert not connection.closed
    clock.advance(1.1)
    peer.settle()
    assert connection.closed
    assert isinstance(connection.error, TransportTimeout)


def test_the_time_for_a_message_begins_with_it(make: Make, clock: ManualClock, service: Service) -> None:
    service.register(lambda x: x, "echo")
    connection, peer = make(message_timeout=5.0)
    for _ in range(6):
        peer.send(raw=bytes.fromhex("940001a4"))
        clock.advance(3.0)
        peer.send(raw=bytes.fromhex("6563686f9107"))
    assert not connection.closed
    assert len(peer.heard()) == 6
    clock.advance(100.0)
    peer.settle()
    assert not connection.closed


def test_who_asks_much_goes_on_reading(make: Make) -> None:
    """Else the two would wait for each other: each output is full, and nobody reads."""
    connection, peer = make(high=100_000, low=1000)
    futures = [connection.call("a", bytes(1000), timeout=None) for _ in range(600)]
    peer.settle()
    assert connection.bev.output.length > 100_000
    peer.send(*[[1, number + 1, None, number] for number in range(600)])
    assert [future.result() for future in futures] == list(range(600))


# The end


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


def test_an_end_inside_a_message_is_an_error(make: Make, log: list[str]) -> None:
    connection, peer = make()
    peer.send(raw=b"\x94\x00")
    peer.shut()
    assert connection.closed
    assert "inside a message" in log[0]


def test_stop_serves_what_has_come_and_closes(make: Make, service: Service) -> None:
    handler = Deferring(service)
    connection, peer = make()
    peer.send([0, 1, "wait", []])
    connection.stop()
    peer.settle()
    assert not connection.closed
    peer._sock.send(bytes.fromhex("940002a4") + b"wait\x90")
    peer.settle()
    assert len(handler.calls) == 1
    handler.calls[0].reply("done")
    assert peer.heard() == [[1, 1, None, "done"]]
    assert peer.at_end()
    assert not connection.closed
    peer.close()
    assert connection.closed


def test_a_peer_that_does_not_close_is_waited_for_a_while(make: Make, clock: ManualClock) -> None:
    connection, peer = make()
    connection.stop()
    assert peer.at_end()
    clock.advance(1.9)
    peer.settle()
    assert not connection.closed
    clock.advance(0.2)
    peer.settle()
    assert connection.closed


def test_stop_inside_a_handler_still_sends_its_answer(make: Make, service: Service) -> None:
    def bye(call: Call) -> str:
        call.connection.stop()
        return "bye"

    service.register(bye)
    connection, peer = make()
    peer.send([0, 1, "bye", []])
    assert peer.heard() == [[1, 1, None, "bye"]]
    assert peer.at_end()
    peer.close()
    assert connection.closed


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


def test_on_close_is_told_once(make: Make) -> None:
    told: list[Connection] = []
    connection, _ = make()
    connection.on_close = told.append
    connection.close()
    connection.close()
    assert told == [connection]


# Calling


def test_a_call_and_its_value(make: Make) -> None:
    connection, peer = make()
    future = connection.call("add", 1, 2)
    assert peer.heard() == [[0, 1, "add", [1, 2]]]
    peer.send([1, 1, None, 3])
    assert future.result() == 3


def test_a_proxy_calls_by_attribute(make: Make) -> None:
    connection, peer = make()
    future = connection.proxy.math.add(1, 2)
    assert peer.heard() == [[0, 1, "math.add", [1, 2]]]
    peer.send([1, 1, None, 3])
    assert future.result() == 3


def test_a_call_with_a_callback(make: Make) -> None:
    connection, peer = make()
    told: list[Pending] = []
    pending = connection.start_call("add", (1, 2), told.append)
    peer.heard()
    peer.send([1, 1, None, 3])
    assert told == [pending]
    assert (pending.error, pending.value, pending.owner) == (None, 3, None)


def test_calls_of_one_callback_go_out_together(make: Make, service: Service) -> None:
    def fan_out(call: Call) -> int:
        for number in range(20):
            call.connection.notify("n", number)
            call.connection.call("c", number, timeout=None).cancel()
        return 1

    service.register(fan_out)
    _, peer = make()
    peer.send([0, 1, "fan_out", []])
    peer._unpacker.feed(peer.read())
    assert peer.read() == b""
    messages = list(peer._unpacker)
    assert len(messages) == 41
    assert messages[-1] == [1, 1, None, 1]


def test_an_error_of_the_peer(make: Make) -> None:
    connection, peer = make()
    future = connection.call("a")
    peer.send([1, 1, [0, "no luck"], None])
    with pytest.raises(RemoteCallError) as error:
        future.result()
    assert (error.value.code, error.value.message, error.value.method) == (0, "no luck", "a")


def test_a_call_both_ways_at_once(make: Make, service: Service) -> None:
    answers: list[object] = []

    def ask_back(call: Call, question: str) -> Future[Any]:
        return call.connection.call("answer", question)

    service.register(ask_back)
    connection, peer = make()
    peer.send([0, 1, "ask_back", ["why"]])
    assert peer.heard() == [[0, 1, "answer", ["why"]]]
    peer.send([1, 1, None, "because"])
    assert peer.heard() == [[1, 1, None, "because"]]
    assert answers == []
    assert not connection.busy


def test_a_call_that_is_late(make: Make, clock: ManualClock) -> None:
    connection, peer = make(timeout=10.0)
    first = connection.call("a")
    clock.advance(4.0)
    second = connection.call("b")
    third = connection.call("c", timeout=1.0)
    never = connection.call("d", timeout=None)
    peer.settle()
    clock.advance(1.0)
    peer.settle()
    assert isinstance(third.exception(), CallTimeout)
    clock.advance(5.0)
    peer.settle()
    assert str(first.exception()) == "a: no answer in 10 s"
    assert not second.done()
    clock.advance(4.1)
    peer.settle()
    assert isinstance(second.exception(), CallTimeout)
    clock.advance(1000.0)
    peer.settle()
    assert not never.done()
    peer.send([1, 1, None, "late"], [1, 2, None, "late"], [1, 3, None, "late"], [1, 4, None, "in time"])
    assert never.result() == "in time"
    assert connection.session.stray == 0


def test_cancelling_gives_up_that_call_alone(make: Make) -> None:
    connection, peer = make()
    one, two = connection.call("a"), connection.call("b")
    peer.settle()
    one.cancel()
    assert list(connection.session.calls) == [2]
    peer.send([1, 1, None, "late"], [1, 2, None, "here"])
    assert two.result() == "here"
    assert connection.session.stray == 0


def test_calls_fail_when_the_connection_ends(make: Make) -> None:
    connection, peer = make()
    future = connection.call("a")
    peer.heard()
    peer.close()
    with pytest.raises(CallLost) as lost:
        future.result()
    assert lost.value.sent
    with pytest.raises(CallLost) as later:
        connection.call("b")
    assert not later.value.sent
    with pytest.raises(CallLost):
        connection.notify("c")


def test_calls_fail_by_name_when_this_side_closes(make: Make) -> None:
    connection, _ = make()
    future = connection.call("a")
    connection.close()
    assert isinstance(future.exception(), ClientClosed)
    with pytest.raises(ClientClosed):
        connection.call("b")


def test_what_can_not_be_sent_is_said_at_once(make: Make) -> None:
    connection, peer = make()
    with pytest.raises(TypeError, match="object"):
        connection.call("a", object())
    with pytest.raises(ValueError, match="-1"):
        connection.call("a", timeout=-1.0)
    with pytest.raises(TypeError):
        connection.notify("a", {1, 2})
    assert peer.heard() == []
    assert not connection.session.calls


def test_a_callback_that_fails_harms_no_other(make: Make, escaped: list[BaseException]) -> None:
    connection, peer = make()
    error = ValueError("mine")

    def fail(pending: Pending) -> None:
        raise error

    told: list[Pending] = []
    connection.start_call("a", [], fail)
    connection.start_call("b", [], told.append)
    peer.heard()
    peer.send([1, 1, None, 0], [1, 2, None, 0])
    assert len(told) == 1
    assert escaped == [error]
    assert not connection.closed


def test_a_peer_that_reads_nothing_is_not_called_without_end(make: Make) -> None:
    connection, peer = make(high=10_000, low=1000)

    def flood() -> None:
        for _ in range(1000):
            connection.start_call("a", [bytes(10_000)], lambda pending: None, timeout=None)
            peer.settle()

    with pytest.raises(Overloaded, match="does not read"):
        flood()


def test_a_connection_tells_its_state(make: Make) -> None:
    connection, peer = make()
    assert repr(connection) == "<Connection open to the peer <Session idle calls=0 serving=0 stray=0>>"
    peer.close()
    assert repr(connection).startswith("<Connection closed to the peer")


# Metadata


def test_metadata_that_can_not_be_sent_leaves_no_call(make: Make) -> None:
    connection, peer = make()
    peer.send([0, 1, "$/hello", [{"v": 1, "features": ["meta"]}]])
    peer.heard()
    with pytest.raises(TypeError, match="object"):
        connection.call("a", metadata={"x": object()})
    assert not connection.session.calls
    assert peer.heard() == []


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


# A peer that is slow to take what it is sent


def read_all(peer: Peer) -> int:
    """Return how many bytes come until nothing does."""
    total = 0
    while data := peer.read():
        total += len(data)
        peer.settle()
    return total


@pytest.mark.parametrize("half", [False, True])
def test_who_is_still_reading_gets_all_after_a_stop(
    make: Make, service: Service, clock: ManualClock, half: bool
) -> None:
    handler = Deferring(service)
    connection, peer = make()
    peer.send([0, 1, "wait", []])
    connection.stop()
    peer.settle()
    handler.calls[0].reply(bytes(3_000_000))
    peer.settle()
    if half:
        peer.shut()
    clock.advance(2.1)
    peer.settle()
    assert not connection.closed
    assert read_all(peer) > 3_000_000
    clock.advance(2.1)
    peer.settle()
    assert connection.closed


def test_a_message_is_not_late_while_this_side_does_not_read(
    make: Make, service: Service, clock: ManualClock
) -> None:
    handler = Deferring(service)
    connection, peer = make(message_timeout=5.0, high=1000, low=100)
    peer.send([0, 1, "wait", []], raw=b"\x94\x00")
    handler.calls[0].reply(bytes(3_000_000))
    for _ in range(3):
        peer.settle()
        clock.advance(3.0)
        assert peer.read(500_000)
    peer.settle()
    assert not connection.closed
    read_all(peer)
    clock.advance(5.1)
    peer.settle()
    assert connection.closed
