"""`HookedConnection`: what hooks do to requests, responses and notifications, both ways, with a peer that is played."""

import gc
import socket
import threading
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from evkit.core import EventBase, Future
from evkit.errors import LocalProtocolError
from evkit.rpc import (
    Call,
    CallLost,
    CallTimeout,
    ClientClosed,
    HookAborted,
    MethodError,
    RemoteCallError,
    RPCError,
    Service,
)
from evkit.rpc.errors import ABORTED_BY_HOOK
from evkit.rpc.hooks.context import HookContext
from evkit.rpc.hooks.hooks import CONTINUE, INPUT, OUTPUT, PAUSE, TERMINATE, Hooks
from evkit.rpc.protocol.messages import NOTIFICATION, REQUEST, RESPONSE
from evkit.testing import ManualClock
from rpc_aids import Make, Peer

ALL = frozenset({"meta", "cancel", "stream"})
STRUCTURED = frozenset({"errors"})


class Pauses:
    """A hook that pauses what it is called with, and keeps it."""

    def __init__(self, type_: int | None = None) -> None:
        self.contexts: list[HookContext] = []
        self.type = type_

    def __call__(self, context: HookContext) -> int:
        if self.type is not None and context.type != self.type:
            return CONTINUE
        self.contexts.append(context)
        return PAUSE


def stops(context: HookContext) -> int:
    return TERMINATE


def refuses(type_: int) -> Callable[[HookContext], int]:
    return lambda context: TERMINATE if context.type == type_ else CONTINUE


class TestOrder:
    def test_all_that_passes(self, make: Make, hooks: Hooks, service: Service) -> None:
        seen: list[tuple[int, int, str, Any, Any, Any]] = []

        def note(context: HookContext) -> None:
            assert context.connection is connection
            seen.append(
                (
                    context.direction,
                    context.type,
                    context.method,
                    context.params,
                    context.error,
                    context.result,
                )
            )

        hooks.add(INPUT, note)
        hooks.add(OUTPUT, note)
        service.register(lambda: None, "log")
        connection, peer = make()
        peer.send([0, 7, "add", [1, 2]], [2, "log", []])
        future = connection.call("theirs", 5)
        connection.notify("tell", 6)
        assert peer.heard() == [[1, 7, None, 3], [0, 1, "theirs", [5]], [2, "tell", [6]]]
        peer.send([1, 1, "no", None])
        assert isinstance(future.exception(), RemoteCallError)
        assert seen == [
            (INPUT, REQUEST, "add", [1, 2], None, None),
            (OUTPUT, RESPONSE, "add", [1, 2], None, 3),
            (INPUT, NOTIFICATION, "log", [], None, None),
            (OUTPUT, REQUEST, "theirs", [5], None, None),
            (OUTPUT, NOTIFICATION, "tell", [6], None, None),
            (INPUT, RESPONSE, "theirs", [5], "no", None),
        ]

    def test_one_after_the_other(self, make: Make, hooks: Hooks) -> None:
        def append(what: str) -> Callable[[HookContext], None]:
            def hook(context: HookContext) -> None:
                if context.type == REQUEST:
                    context.params = [context.params[0] + what, ""]
                else:
                    context.result += what.upper()

            return hook

        for what, kind in product("abc", (INPUT, OUTPUT)):
            hooks.add(kind, append(what))
        _, peer = make()
        peer.send([0, 7, "add", ["", ""]])
        assert peer.heard() == [[1, 7, None, "abcABC"]]

    def test_the_protocols_own_messages_pass_none(self, make: Make, hooks: Hooks) -> None:
        hooks.add(INPUT, stops)
        hooks.add(OUTPUT, stops)
        connection, peer = make(features=ALL)
        peer.send([0, 7, "$/ping", []], [2, "$/meta", [8, {}]], [2, "$/cancelRequest", [9]])
        assert peer.heard() == [[1, 7, None, None]]
        ping = connection.call("$/ping")
        peer.send([1, 1, None, None])
        assert ping.result() is None


class TestRewriting:
    def test_a_request_that_comes(self, make: Make, hooks: Hooks) -> None:
        def hook(context: HookContext) -> None:
            context.method = "add"
            context.params = [1, *context.params]

        hooks.add(INPUT, hook)
        _, peer = make()
        peer.send([0, 7, "sum", [2]])
        assert peer.heard() == [[1, 7, None, 3]]

    def test_into_a_method_that_is_not_there(self, make: Make, hooks: Hooks) -> None:
        hooks.add(INPUT, lambda context: setattr(context, "method", "gone"))
        _, peer = make()
        peer.send([0, 7, "add", [1, 2]])
        ((_, number, error, _),) = peer.heard()
        assert (number, "no method 'gone'" in error) == (7, True)

    @pytest.mark.parametrize("params", [None, (1, 2), "12", {"a": 1}])
    def test_into_parameters_that_are_none(self, make: Make, hooks: Hooks, params: Any) -> None:
        hooks.add(INPUT, lambda context: setattr(context, "params", params))
        _, peer = make()
        peer.send([0, 7, "add", [1, 2]])
        ((_, number, error, _),) = peer.heard()
        assert (number, "expected an array of parameters" in error) == (7, True)

    def test_a_response_that_goes(self, make: Make, hooks: Hooks) -> None:
        def hook(context: HookContext) -> None:
            context.result = {"result": context.result}

        hooks.add(OUTPUT, hook)
        _, peer = make()
        peer.send([0, 7, "add", [1, 2]])
        assert peer.heard() == [[1, 7, None, {"result": 3}]]

    def test_into_a_response_that_can_not_be_sent(
        self, make: Make, hooks: Hooks, manual_base: EventBase
    ) -> None:
        manual_base.exception_handler = lambda *_: None
        hooks.add(OUTPUT, lambda context: setattr(context, "result", object()))
        connection, peer = make()
        peer.send([0, 7, "add", [1, 2]])
        ((_, number, error, _),) = peer.heard()
        assert (number, "can't be sent" in error, connection.session.serving) == (7, True, {})

    def test_a_request_that_goes(self, make: Make, hooks: Hooks) -> None:
        def hook(context: HookContext) -> None:
            context.method = "other"
            context.params = [*context.params, "more"]
            context.metadata["token"] = "secret"

        hooks.add(OUTPUT, hook)
        connection, peer = make(features=ALL)
        future = connection.call("one", 1, timeout=None, metadata={"trace": "x"})
        assert peer.heard() == [
            [2, "$/meta", [1, {"trace": "x", "token": "secret"}]],
            [0, 1, "other", [1, "more"]],
        ]
        peer.send([1, 1, "no", None])
        assert str(future.exception()) == "other: no"

    def test_into_a_request_that_can_not_be_sent(self, make: Make, hooks: Hooks) -> None:
        hooks.add(OUTPUT, lambda context: setattr(context, "params", [object()]))
        connection, peer = make()
        with pytest.raises(TypeError):
            connection.call("one")
        assert (peer.heard(), connection.session.calls) == ([], {})

    def test_into_a_request_that_can_not_be_sent_later(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(OUTPUT, pauses)
        connection, _peer = make()
        future = connection.call("one")
        pauses.contexts[0].params = [object()]
        pauses.contexts[0].resume(CONTINUE)
        error = future.exception()
        assert isinstance(error, RPCError)
        assert isinstance(error.__cause__, TypeError)

    def test_a_response_that_comes(self, make: Make, hooks: Hooks) -> None:
        def hook(context: HookContext) -> None:
            if context.type == RESPONSE:
                context.error, context.result = None, [context.error]

        hooks.add(INPUT, hook)
        connection, peer = make()
        future = connection.call("one")
        peer.send([1, 1, "no", None])
        assert future.result() == ["no"]

    def test_notifications(self, make: Make, hooks: Hooks, service: Service) -> None:
        seen: list[int] = []
        service.register(seen.append, "log")
        for kind in (INPUT, OUTPUT):
            hooks.add(kind, lambda context: setattr(context, "params", [context.params[0] * 2]))
        connection, peer = make()
        peer.send([2, "log", [4]])
        connection.notify("tell", 5)
        assert (seen, peer.heard()) == ([8], [[2, "tell", [10]]])


class TestMetadata:
    def test_of_the_caller(self, make: Make, hooks: Hooks, service: Service) -> None:
        seen: list[Any] = []
        hooks.add(INPUT, lambda context: seen.append(context.metadata.get("token")))
        hooks.add(OUTPUT, lambda context: seen.append(context.metadata.get("token")))

        @service.method
        def who(call: Call) -> Any:
            return call.metadata

        _, peer = make(features=ALL)
        peer.send([2, "$/meta", [7, {"token": "t"}]], [0, 7, "who", []])
        assert (peer.heard(), seen) == ([[1, 7, None, {"token": "t"}]], ["t", "t"])

    def test_between_hooks_of_a_call(self, make: Make, hooks: Hooks) -> None:
        seen: list[Any] = []

        def first(context: HookContext) -> None:
            if context.type == REQUEST:
                context.add_meta("began", context.params)

        def then(context: HookContext) -> None:
            if context.type == RESPONSE:
                seen.append((context.method, context.find_meta("began"), context.find_meta("other", 5)))

        for kind in (INPUT, OUTPUT):
            hooks.add(kind, first)
            hooks.add(kind, then)
        connection, peer = make()
        future = connection.call("one", 1)
        connection.call("two", 2).cancel()
        peer.send([0, 7, "add", [3, 4]], [1, 1, None, None])
        assert future.result() is None
        assert seen == [("add", [3, 4], 5), ("one", [1], 5)]


class TestTerminate:
    def test_a_request_that_comes(self, make: Make, hooks: Hooks, service: Service) -> None:
        served: list[int] = []
        service.register(lambda: served.append(1), "serve")
        hooks.add(INPUT, stops)
        hooks.add(INPUT, lambda context: served.append(2))
        _, peer = make(features=STRUCTURED)
        peer.send([0, 7, "serve", []])
        ((_, number, error, result),) = peer.heard()
        assert (number, error["code"], result, served) == (7, ABORTED_BY_HOOK, None, [])

    @pytest.mark.parametrize(
        ("error", "told"), [(MethodError("who are you?"), "who are you?"), ([1, "no"], [1, "no"])]
    )
    def test_with_an_error_of_its_own(self, make: Make, hooks: Hooks, error: Any, told: Any) -> None:
        def hook(context: HookContext) -> int:
            context.error = error
            return TERMINATE

        hooks.add(INPUT, hook)
        _, peer = make()
        peer.send([0, 7, "add", [1, 2]])
        assert peer.heard() == [[1, 7, told, None]]

    def test_a_hook_that_raises(self, make: Make, hooks: Hooks, manual_base: EventBase) -> None:
        escaped: list[BaseException] = []
        manual_base.exception_handler = lambda exception, _source: escaped.append(exception)
        hooks.add(INPUT, lambda context: 1 // 0)
        _, peer = make(features=STRUCTURED)
        peer.send([0, 7, "add", [1, 2]], [0, 8, "add", [1, 2]])
        assert [message[2]["code"] for message in peer.heard()] == [ABORTED_BY_HOOK] * 2
        assert [type(exception) for exception in escaped] == [ZeroDivisionError] * 2

    def test_a_response_that_goes(self, make: Make, hooks: Hooks) -> None:
        hooks.add(OUTPUT, stops)
        connection, peer = make(features=STRUCTURED)
        peer.send([0, 7, "add", [1, 2]], [0, 8, "nowhere", []])
        assert [(message[1], message[2]["code"]) for message in peer.heard()] == [
            (7, ABORTED_BY_HOOK),
            (8, ABORTED_BY_HOOK),
        ]
        assert connection.session.serving == {}

    def test_a_request_that_goes(self, make: Make, hooks: Hooks) -> None:
        hooks.add(OUTPUT, stops)
        connection, peer = make()
        future = connection.call("one")
        assert not future.done()  # it comes from the loop
        assert isinstance(future.exception(), HookAborted)
        assert peer.heard() == []
        connection.call("two").cancel()

    def test_a_response_that_comes(self, make: Make, hooks: Hooks) -> None:
        hooks.add(INPUT, stops)
        connection, peer = make()
        future = connection.call("one")
        peer.send([1, 1, None, 5])
        assert isinstance(future.exception(), HookAborted)

    def test_notifications(self, make: Make, hooks: Hooks, service: Service) -> None:
        seen: list[int] = []
        service.register(seen.append, "log")
        hooks.add(INPUT, stops)
        hooks.add(OUTPUT, stops)
        connection, peer = make(max_stray=0)
        peer.send([2, "log", [4]])
        with pytest.raises(HookAborted):
            connection.notify("tell", 5)
        assert (seen, peer.heard(), connection.closed) == ([], [], False)


class TestPause:
    def test_a_request_that_comes(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses)
        hooks.add(INPUT, lambda context: setattr(context, "params", [context.params[0], 10]))
        connection, peer = make()
        peer.send([0, 7, "add", [1, 2]], [0, 8, "add", [2, 2]])
        assert (peer.heard(), sorted(connection.session.serving)) == ([], [7, 8])
        pauses.contexts[1].resume(CONTINUE)  # in any order; with the next hook
        assert peer.heard() == [[1, 8, None, 12]]
        pauses.contexts[0].resume(TERMINATE)
        ((_, number, error, _),) = peer.heard()
        assert (number, error is None, connection.session.serving) == (7, False, {})

    def test_twice_in_a_row(self, make: Make, hooks: Hooks) -> None:
        first, second = Pauses(), Pauses()
        hooks.add(INPUT, first)
        hooks.add(INPUT, second)
        _, peer = make()
        peer.send([0, 7, "add", [1, 2]])
        first.contexts[0].resume(CONTINUE)
        assert (len(second.contexts), peer.heard()) == (1, [])
        second.contexts[0].resume(CONTINUE)
        assert peer.heard() == [[1, 7, None, 3]]

    def test_before_it_returns(self, make: Make, hooks: Hooks) -> None:
        def hook(context: HookContext) -> int:
            context.resume(CONTINUE)
            return PAUSE

        for kind in (INPUT, OUTPUT):
            hooks.add(kind, hook)
        connection, peer = make()
        future = connection.call("one")
        peer.send([0, 7, "add", [1, 2]], [1, 1, None, 4])
        assert peer.heard() == [[0, 1, "one", []], [1, 7, None, 3]]
        assert (future.result(), connection.session.serving) == (4, {})

    def test_a_second_resume(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses)
        _, peer = make()
        peer.send([0, 7, "add", [1, 2]])
        pauses.contexts[0].resume(CONTINUE)
        with pytest.raises(LocalProtocolError):
            pauses.contexts[0].resume(CONTINUE)
        with pytest.raises(ValueError, match="expected CONTINUE or TERMINATE"):
            pauses.contexts[0].resume(PAUSE)
        assert peer.heard() == [[1, 7, None, 3]]

    def test_from_another_thread(self, make: Make, hooks: Hooks, manual_base: EventBase) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses)
        _, peer = make()
        peer.send([0, 7, "add", [1, 2]])
        thread = threading.Thread(target=pauses.contexts[0].resume, args=(CONTINUE,))
        thread.start()
        thread.join()
        assert peer.heard() == [[1, 7, None, 3]]

    def test_a_response_that_goes(self, make: Make, hooks: Hooks, service: Service) -> None:
        pauses = Pauses()
        hooks.add(OUTPUT, pauses)
        calls: list[Call] = []

        @service.method
        def later(call: Call) -> None:
            call.defer()
            calls.append(call)

        connection, peer = make()
        peer.send([0, 7, "add", [1, 2]], [0, 8, "later", []])
        calls[0].reply("now")
        with pytest.raises(LocalProtocolError):
            calls[0].reply("twice")
        assert (peer.heard(), sorted(connection.session.serving)) == ([], [7, 8])
        for context in pauses.contexts:
            context.resume(CONTINUE)
        assert peer.heard() == [[1, 7, None, 3], [1, 8, None, "now"]]
        assert connection.session.serving == {}

    def test_a_request_that_goes(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(OUTPUT, pauses)
        connection, peer = make()
        futures = [connection.call("one", number) for number in range(3)]
        assert peer.heard() == []
        pauses.contexts[2].resume(CONTINUE)
        pauses.contexts[0].resume(TERMINATE)
        assert peer.heard() == [[0, 1, "one", [2]]]
        peer.send([1, 1, None, "two"])
        assert (futures[2].result(), type(futures[0].exception())) == ("two", HookAborted)
        futures[1].cancel()
        pauses.contexts[1].resume(CONTINUE)  # nobody waits for it any more
        assert peer.heard() == []

    def test_a_response_that_comes(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses)
        connection, peer = make(features=ALL)
        futures = [connection.call("one", timeout=None) for _ in range(3)]
        peer.heard()
        peer.send(*[[1, number, None, number] for number in (1, 2, 3)])
        assert [future.done() for future in futures] == [False] * 3
        pauses.contexts[1].resume(CONTINUE)
        pauses.contexts[2].resume(TERMINATE)
        futures[0].cancel()
        pauses.contexts[0].resume(CONTINUE)
        assert (futures[1].result(), type(futures[2].exception())) == (2, HookAborted)
        assert peer.heard() == []  # it is answered: there is nothing to cancel

    def test_notifications(self, make: Make, hooks: Hooks, service: Service, log: list[str]) -> None:
        seen: list[int] = []
        service.register(seen.append, "log")
        pauses, sends = Pauses(), Pauses()
        hooks.add(INPUT, pauses)
        hooks.add(OUTPUT, sends)
        connection, peer = make()
        peer.send([2, "log", [1]], [2, "log", [2]])
        connection.notify("a")
        connection.notify("b")
        assert (seen, peer.heard()) == ([], [])
        pauses.contexts[1].resume(CONTINUE)
        pauses.contexts[0].resume(TERMINATE)
        sends.contexts[1].resume(CONTINUE)
        sends.contexts[0].resume(TERMINATE)
        assert (seen, peer.heard()) == ([2], [[2, "b", []]])
        assert "stopped the notification 'a'" in log[-1]

    def test_one_that_nobody_knows_is_one_too_many(self, make: Make, hooks: Hooks, log: list[str]) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses)
        connection, peer = make(max_stray=0)
        peer.send([2, "unknown", []])
        pauses.contexts[0].resume(CONTINUE)
        assert (connection.closed, peer.at_end()) == (True, True)


class TestTimeAndEnds:
    def test_the_deadline_covers_a_paused_request(self, make: Make, hooks: Hooks, clock: ManualClock) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses)
        connection, peer = make(features=ALL)
        peer.send([2, "$/meta", [7, {"deadline_ms": 1000}]], [0, 7, "add", [1, 2]])
        clock.advance(2)
        ((_, number, error, _),) = peer.heard()
        assert (number, "deadline" in error, connection.session.serving) == (7, True, {})
        pauses.contexts[0].resume(CONTINUE)
        assert peer.heard() == []

    def test_and_a_paused_response(self, make: Make, hooks: Hooks, clock: ManualClock) -> None:
        pauses = Pauses()
        hooks.add(OUTPUT, pauses)
        connection, peer = make(features=ALL)
        peer.send([2, "$/meta", [7, {"deadline_ms": 1000}]], [0, 7, "add", [1, 2]])
        clock.advance(2)
        ((_, number, error, _),) = peer.heard()
        assert (number, "deadline" in error, connection.session.serving) == (7, True, {})
        pauses.contexts[0].resume(CONTINUE)
        assert peer.heard() == []

    @pytest.mark.parametrize("kind", [INPUT, OUTPUT])
    def test_a_cancel_while_it_is_paused(self, make: Make, hooks: Hooks, kind: int) -> None:
        pauses = Pauses()
        hooks.add(kind, pauses)
        connection, peer = make(features=ALL)
        peer.send([0, 7, "add", [1, 2]], [2, "$/cancelRequest", [7]])
        ((_, number, error, _),) = peer.heard()
        assert (number, "cancelled" in error, connection.session.serving) == (7, True, {})
        pauses.contexts[0].resume(CONTINUE)
        assert peer.heard() == []

    @pytest.mark.parametrize("timeout", [10.0, 3.0])
    @pytest.mark.parametrize("kind", [INPUT, OUTPUT])
    def test_the_time_of_a_call(
        self, make: Make, hooks: Hooks, clock: ManualClock, kind: int, timeout: float
    ) -> None:
        pauses = Pauses()
        hooks.add(kind, pauses)
        connection, peer = make()
        future = connection.call("one") if timeout == 10.0 else connection.call("one", timeout=timeout)
        clock.advance(timeout - 1)
        peer.send([1, 1, None, None]) if kind == INPUT else peer.settle()
        assert not future.done()
        clock.advance(1.5)
        peer.settle()
        assert isinstance(future.exception(), CallTimeout)
        pauses.contexts[0].resume(CONTINUE)
        peer.heard()
        assert connection.session.calls == {}

    @pytest.mark.parametrize("how", ["lost", "closed"])
    def test_the_connection_ends_while_all_is_paused(
        self, make: Make, hooks: Hooks, service: Service, how: str
    ) -> None:
        inputs, outputs = Pauses(), Pauses()
        hooks.add(INPUT, inputs)
        connection, peer = make()
        answered = connection.call("one")
        peer.send([1, 1, None, 5], [0, 7, "add", [1, 2]], [2, "log", []])
        hooks.add(OUTPUT, outputs)
        unsent = connection.call("two")
        connection.notify("three")
        assert (len(inputs.contexts), len(outputs.contexts)) == (3, 2)
        if how == "lost":
            connection.lose(None)
        else:
            connection.close()
        peer.settle()
        errors = [answered.exception(), unsent.exception()]
        if how == "lost":
            assert [isinstance(error, CallLost) and error.sent for error in errors] == [True, False]
        else:
            assert [isinstance(error, RPCError) for error in errors] == [True, True]
        for context in inputs.contexts + outputs.contexts:
            context.resume(CONTINUE)
        peer.settle()

    def test_an_answer_that_has_come_outlives_the_peer(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses)
        connection, peer = make()
        future = connection.call("one")
        peer.heard()
        peer.send([1, 1, None, 5])
        peer.shut()
        assert (connection.closed, future.done()) == (False, False)
        pauses.contexts[0].resume(CONTINUE)
        assert future.result() == 5
        peer.settle()
        assert connection.closed

    def test_a_request_that_has_come_is_answered_after_the_end(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses)
        connection, peer = make()
        peer.send([0, 7, "add", [1, 2]])
        peer.shut()
        assert not connection.closed
        pauses.contexts[0].resume(CONTINUE)
        assert peer.heard() == [[1, 7, None, 3]]
        assert connection.closed

    @pytest.mark.parametrize("kind", [INPUT, OUTPUT])
    def test_a_hook_that_closes_the_connection(self, make: Make, hooks: Hooks, kind: int) -> None:
        hooks.add(kind, lambda context: context.connection.close())
        connection, peer = make()
        peer.send([0, 7, "add", [1, 2]], [0, 8, "add", [1, 2]])
        assert (connection.closed, peer.at_end()) == (True, True)

    def test_a_hook_that_closes_it_under_a_call(self, make: Make, hooks: Hooks) -> None:
        hooks.add(OUTPUT, lambda context: context.connection.close())
        connection, _peer = make()
        with pytest.raises(RPCError):
            connection.call("one")

    def test_a_deferred_answer_after_a_pause(
        self, make: Make, hooks: Hooks, service: Service, manual_base: EventBase
    ) -> None:
        futures: list[Future[int]] = []

        @service.method
        def later() -> Future[int]:
            futures.append(Future(manual_base))
            return futures[-1]

        pauses = Pauses()
        hooks.add(INPUT, pauses)
        connection, peer = make()
        peer.send([0, 7, "later", []])
        pauses.contexts[0].resume(CONTINUE)
        assert sorted(connection.session.serving) == [7]
        futures[0].set_result(9)
        assert peer.heard() == [[1, 7, None, 9]]

    def test_a_number_in_use_while_it_is_paused(self, make: Make, hooks: Hooks, log: list[str]) -> None:
        hooks.add(INPUT, Pauses())
        connection, peer = make()
        peer.send([0, 7, "add", [1, 2]], [0, 7, "add", [1, 2]])
        assert connection.closed
        assert "msgid 7 was used again" in log[-1]


class TestHowMany:
    @pytest.mark.parametrize("most", [0, 2])
    def test_too_many_paused_stop_the_reading(self, make: Make, hooks: Hooks, most: int) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses)
        _, peer = make(max_paused=most)
        peer.send(*[[0, number, "add", [number, 0]] for number in range(9)])
        assert len(pauses.contexts) == most + 1
        heard: list[Any] = []
        for at in range(9):
            pauses.contexts[at].resume(CONTINUE)
            heard += peer.heard()
        assert [message[3] for message in heard] == list(range(9))

    def test_a_paused_request_that_was_the_last_place_gives_it_back(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses)
        connection, peer = make(max_in_flight=1)
        peer.send(*[[0, number, "add", [number, 0]] for number in range(3)])
        heard: list[Any] = []
        for at in range(3):
            assert len(pauses.contexts) == at + 1
            pauses.contexts[at].resume(CONTINUE)
            heard += peer.heard()
        assert [message[3] for message in heard] == [0, 1, 2]
        assert not connection.session.held

    def test_notifications_and_answers_count(self, make: Make, hooks: Hooks, service: Service) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses)
        connection, peer = make(max_paused=1)
        futures = [connection.call("one") for _ in range(2)]
        service.register(lambda: None, "log")
        peer.send([2, "log", []], [1, 1, None, 1], [1, 2, None, 2])
        assert len(pauses.contexts) == 2
        pauses.contexts[0].resume(TERMINATE)
        peer.settle()
        assert len(pauses.contexts) == 3
        for context in pauses.contexts[1:]:
            context.resume(CONTINUE)
        assert [future.result() for future in futures] == [1, 2]

    def test_a_cancel_makes_room(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(INPUT, pauses)
        connection, peer = make(max_paused=0)
        future = connection.call("one", timeout=None)
        peer.heard()
        peer.send([1, 1, None, 1], [0, 7, "add", [1, 2]])
        assert len(pauses.contexts) == 1
        future.cancel()
        peer.settle()
        assert len(pauses.contexts) == 2
        pauses.contexts[1].resume(CONTINUE)
        assert peer.heard() == [[1, 7, None, 3]]
        assert not connection.session.held


class TestStreams:
    def test_the_request_and_its_answer_pass(self, make: Make, hooks: Hooks, service: Service) -> None:
        seen: list[Any] = []
        hooks.add(INPUT, lambda context: seen.append((context.type, context.method)))
        hooks.add(OUTPUT, lambda context: seen.append((context.type, context.result)))

        @service.method
        def two() -> Iterator[int]:
            yield 1
            yield 2
            return "over"

        _, peer = make(features=ALL)
        peer.send([2, "$/meta", [7, {"credit": 5}]], [0, 7, "two", []])
        assert peer.heard() == [[2, "$/next", [7, 1]], [2, "$/next", [7, 2]], [1, 7, None, "over"]]
        assert seen == [(REQUEST, "two"), (RESPONSE, "over")]

    def test_of_a_paused_call(self, make: Make, hooks: Hooks) -> None:
        pauses = Pauses()
        hooks.add(OUTPUT, pauses)
        connection, peer = make(features=ALL)
        stream = connection.stream("tail")
        pauses.contexts[0].resume(CONTINUE)
        assert peer.heard() == [[2, "$/meta", [1, {"credit": 100}]], [0, 1, "tail", []]]
        peer.send([2, "$/next", [1, "a"]], [1, 1, None, None])
        assert list(stream) == ["a"]


def test_nothing_is_left_to_the_collector(
    base: EventBase, hooks: Hooks, build: Callable[..., Any], service: Service
) -> None:
    """Neither of a call, nor of a connection that ends with some of them paused."""

    def contexts() -> int:
        return sum(type(what) is HookContext for what in gc.get_objects())

    for kind in (INPUT, OUTPUT):
        hooks.add(kind, lambda context: PAUSE if context.method == "wait" else CONTINUE)
    gc.collect()
    gc.disable()
    try:
        ours, theirs = socket.socketpair()
        connection, peer = build(base, ours, service), Peer(base, theirs)
        future = connection.call("one")
        connection.notify("two")
        peer.send([0, 1, "add", [1, 2]], [2, "add", [1, 2]], [1, 1, None, 5])
        assert (future.result(), contexts()) == (5, 0)
        late = connection.call("wait")
        connection.notify("wait")
        peer.send([0, 2, "wait", []], [2, "wait", []])
        assert contexts() == 2  # the hooks have let go of the notifications
        connection.close()
        peer.close()
        assert isinstance(late.exception(), ClientClosed)
        del connection, future, late
        assert contexts() == 0
    finally:
        gc.enable()
