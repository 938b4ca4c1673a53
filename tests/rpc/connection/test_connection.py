"""`evkit.rpc.connection.connection`: calls, and both halves together, against a peer that the test plays."""

from typing import Any

import pytest

from evkit.core import Future
from evkit.rpc import (
    Call,
    CallLost,
    CallTimeout,
    ClientClosed,
    Overloaded,
    RemoteCallError,
    Service,
)
from evkit.rpc.connection.pending import Pending
from evkit.rpc.errors import DEADLINE_EXCEEDED, RPCProtocolError
from evkit.testing import ManualClock
from rpc_aids import Deferring, Make, Peer

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


def test_who_asks_much_goes_on_reading(make: Make) -> None:
    """Else the two would wait for each other: each output is full, and nobody reads."""
    connection, peer = make(high=100_000, low=1000)
    futures = [connection.call("a", bytes(1000), timeout=None) for _ in range(600)]
    peer.settle()
    assert connection.bev.output.length > 100_000
    peer.send(*[[1, number + 1, None, number] for number in range(600)])
    assert [future.result() for future in futures] == list(range(600))


# The end


def test_stop_serves_what_has_come_and_closes(make: Make, service: Service) -> None:
    handler = Deferring(service)
    connection, peer = make()
    peer.send([0, 1, "wait", []])
    connection.stop()
    peer.settle()
    assert not connection.closed
    handler.calls[0].reply("done")
    assert peer.heard() == [[1, 1, None, "done"]]
    assert peer.at_end()
    assert not connection.closed
    peer.close()
    assert connection.closed


def test_a_request_that_comes_after_a_stop_is_refused(make: Make, service: Service) -> None:
    handler = Deferring(service)
    connection, peer = make()
    peer.send([0, 1, "wait", []])
    connection.stop()
    peer.settle()
    peer.send([0, 2, "wait", []], [2, "wait", []], [0, 3, "$/ping", []])
    (refused, pong) = peer.heard()
    assert refused[:2] == [1, 2]
    assert "was not served" in refused[2]
    assert pong == [1, 3, None, None]
    assert len(handler.calls) == 1
    assert connection.session.stray == 0
    handler.calls[0].reply("done")
    assert peer.heard() == [[1, 1, None, "done"]]


def test_what_waits_at_a_stop_is_served(make: Make, service: Service) -> None:
    handler = Deferring(service)
    connection, peer = make(max_in_flight=1)
    peer.send([0, 1, "wait", []], [0, 2, "wait", []])
    connection.stop()
    for number in (0, 1):
        peer.settle()
        handler.calls[number].reply(number)
    assert peer.heard() == [[1, 1, None, 0], [1, 2, None, 1]]
    assert peer.at_end()


def test_calls_go_on_while_a_stop_waits_and_fail_at_its_end(make: Make, service: Service) -> None:
    handler = Deferring(service)
    connection, peer = make()
    peer.send([0, 1, "wait", []])
    connection.stop()
    peer.settle()
    assert connection.ended
    answered, lost = connection.call("ask"), connection.call("ask")
    peer.heard()
    peer.send([1, 1, None, "yes"])
    assert answered.result() == "yes"
    handler.calls[0].reply("done")
    peer.settle()
    assert isinstance(lost.exception(), CallLost)
    with pytest.raises(CallLost):
        connection.call("ask")


def test_a_message_in_the_middle_at_a_stop_is_no_fault(make: Make, log: list[str]) -> None:
    connection, peer = make()
    peer.send(raw=b"\x94\x00")
    connection.stop()
    peer.settle()
    peer.close()
    assert connection.closed
    assert connection.error is None
    assert log == []


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


def test_a_call_is_late_by_the_time_out_that_it_was_made_with(make: Make, clock: ManualClock) -> None:
    connection, peer = make()
    late: list[float] = []
    passed = 0.0
    for seconds in (10.0, 1.0, 20.0, 5.0):
        connection.timeout = seconds
        connection.call("slow").add_done_callback(lambda _, seconds=seconds: late.append(seconds))
    for until in (0.9, 1.1, 4.9, 5.1, 9.9, 10.1, 19.9, 20.1):
        clock.advance(until - passed)
        passed = until
        peer.settle()
        assert late == [seconds for seconds in (1.0, 5.0, 10.0, 20.0) if seconds < until]


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


# What else


def test_whoever_makes_only_so_many_is_told_when_one_is_over(make: Make) -> None:
    connection, peer = make()
    told: list[int] = []
    connection.on_free = lambda: told.append(1)
    first, second = connection.call("a"), connection.call("b")
    peer.settle()
    assert told == []
    peer.send([1, 1, None, 0])
    assert (len(told), first.result()) == (1, 0)
    second.cancel()
    assert len(told) == 2


@pytest.mark.parametrize(
    ("features", "timeout", "kind"),
    [(["meta"], 5.0, CallTimeout), ([], 5.0, RemoteCallError), (["meta"], None, RemoteCallError)],
)
def test_a_peer_that_says_first_that_it_is_too_late(
    make: Make, features: list[str], timeout: float | None, kind: type[Exception]
) -> None:
    connection, peer = make()
    connection.features = frozenset(features)
    pending = connection.call("a", timeout=timeout)
    peer.send([1, 1, {"code": DEADLINE_EXCEEDED, "message": "too late"}, None])
    error = pending.exception()
    assert type(error) is kind
    assert not isinstance(error, CallTimeout) or error.timeout == 5.0


def test_another_error_of_such_a_peer_is_its_own(make: Make) -> None:
    connection, peer = make()
    connection.features = frozenset(["meta"])
    pending = connection.call("a")
    peer.send([1, 1, {"code": 5, "message": "no"}, None])
    assert type(pending.exception()) is RemoteCallError


def test_the_peer_is_told_of_a_cancel_if_it_understands(make: Make) -> None:
    connection, peer = make()
    connection.features = frozenset(["cancel"])
    connection.call("a").cancel()
    assert peer.heard() == [[0, 1, "a", []], [2, "$/cancelRequest", [1]]]


def test_no_notification_goes_where_nothing_is_read(make: Make) -> None:
    connection, peer = make(high=10_000, low=1000)
    connection.send(bytes(2_000_000))
    peer.settle()
    with pytest.raises(Overloaded, match="does not read"):
        connection.notify("a")


def test_a_connection_has_room_for_the_programs_own(make: Make) -> None:
    connection, _ = make()
    assert connection.state is None
    connection.state = "mine"


def test_why_a_notification_can_not_be_sent(make: Make) -> None:
    connection, peer = make()
    peer.send(raw=b"\x94\x00")
    peer.shut()
    with pytest.raises(CallLost) as lost:
        connection.notify("a")
    assert isinstance(lost.value.__cause__, RPCProtocolError)


def test_a_call_of_its_own_time_is_not_looked_at_with_the_others(make: Make, clock: ManualClock) -> None:
    connection, peer = make(timeout=10.0)
    longer = connection.call("a", timeout=20.0)
    usual = connection.call("b")
    clock.advance(10.1)
    peer.settle()
    assert (longer.done(), usual.done()) == (False, True)
    clock.advance(10.1)
    peer.settle()
    assert str(longer.exception()) == "a: no answer in 20 s"


@pytest.mark.parametrize("timeout", [7.0, None])
def test_a_call_has_the_connections_time_or_none(make: Make, timeout: float | None) -> None:
    connection, peer = make(timeout=timeout)
    connection.features = frozenset(["errors"])
    pending = connection.call("a")
    peer.send([1, 1, {"code": DEADLINE_EXCEEDED, "message": "too late"}, None])
    error = pending.exception()
    if timeout is None:
        assert type(error) is RemoteCallError
    else:
        assert isinstance(error, CallTimeout)
        assert error.timeout == 7.0


def test_a_call_that_is_answered_leaves_no_timer(make: Make, clock: ManualClock) -> None:
    connection, peer = make()
    pending = connection.start_call("a", [], lambda pending: None, timeout=5.0)
    assert pending.timer is not None
    peer.send([1, 1, None, 3])
    assert pending.timer is None
    clock.advance(6.0)
    peer.settle()
    assert (pending.value, pending.error) == (3, None)


def test_a_callback_of_a_late_call_may_cancel_another_that_is_late(make: Make, clock: ManualClock) -> None:
    connection, peer = make()
    told: list[str] = []

    def late(pending: Pending) -> None:
        told.append(pending.method)
        second.cancel()

    connection.start_call("a", [], late)
    second = connection.start_call("b", [], late)
    clock.advance(10.1)
    peer.settle()
    assert told == ["a"]
    assert not connection.busy


def test_a_notification_that_is_lost_was_not_sent(make: Make) -> None:
    connection, peer = make()
    peer.close()
    with pytest.raises(CallLost) as lost:
        connection.notify("a")
    assert not lost.value.sent
