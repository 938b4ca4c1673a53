"""Debug mode finds faults and changes nothing else; without it nobody has the classes that do."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from evkit.core.base import EventBase
from evkit.core.bufferevent import SocketBufferEvent
from evkit.core.clock import SystemClock
from evkit.core.debug import (
    DBG_ALL,
    DBG_NONE,
    MODES,
    DebugEvent,
    DebugSignalEvent,
    enable_debug_logging,
    enable_debug_mode,
)
from evkit.core.event import Deferred, Event, SignalEvent
from evkit.core.flags import EV_PERSIST, EV_READ, EV_TIMEOUT, EV_WRITE, EVLOOP_NONBLOCK
from evkit.core.log import LOG_DEBUG, LOG_WARN, set_log_callback
from evkit.core.setup import SETUP
from evkit.errors import LoopError

Pair = tuple[socket.socket, socket.socket]
Lines = list[tuple[int, str]]


def ignore(_event: Event, _what: int) -> None:
    pass


@pytest.fixture
def unused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process, as if nothing had been made yet."""
    monkeypatch.setattr(SETUP, "first_use", None)
    monkeypatch.setattr(MODES, "checks", False)
    monkeypatch.setattr(MODES, "traces", False)


@pytest.fixture
def debug_base(unused: None) -> Iterator[EventBase]:
    enable_debug_mode()
    with EventBase() as base:
        yield base


@pytest.fixture
def lines() -> Iterator[Lines]:
    log: Lines = []
    set_log_callback(lambda severity, message: log.append((severity, message)))
    yield log
    set_log_callback(None)


def in_thread(act: Callable[[], object]) -> list[BaseException]:
    """Return what ``act`` raised in a thread of its own."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except LoopError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised


class TestOrder:
    def test_without_it_the_classes_are_the_plain_ones(self, base: EventBase) -> None:
        assert type(base.timer(ignore)) is Event
        assert type(base.signal(signal.SIGUSR1, ignore)) is SignalEvent
        assert type(base.call_soon(int)) is Deferred
        base.dispatch()

    def test_with_it_they_check(self, debug_base: EventBase) -> None:
        assert type(debug_base.timer(ignore)) is DebugEvent
        assert type(debug_base.signal(signal.SIGUSR1, ignore)) is DebugSignalEvent

    @pytest.mark.parametrize("call", [enable_debug_mode, enable_debug_logging])
    def test_too_late(self, base: EventBase, call: Callable[[], None]) -> None:
        with pytest.raises(LoopError, match=r"comes too late: call it before the first \w+ is made"):
            call()

    def test_twice(self, unused: None) -> None:
        enable_debug_mode()
        with pytest.raises(LoopError, match="called before"):
            enable_debug_mode()


class TestDescriptors:
    def test_blocking_one_is_refused(self, debug_base: EventBase) -> None:
        left, right = socket.socketpair()
        with left, right:
            with pytest.raises(ValueError, match=f"descriptor {left.fileno()} blocks"):
                debug_base.event(left, EV_READ, ignore)
            debug_base.event(left, 0, ignore)  # nothing is waited for

    def test_closed_one_is_refused(self, debug_base: EventBase, pair: Pair) -> None:
        event = debug_base.event(pair[0], EV_READ, ignore)
        fd = pair[0].fileno()
        pair[0].close()
        with pytest.raises(LoopError, match=f"descriptor {fd} was closed"):
            event.add()
        assert not event.pending()

    def test_one_that_was_closed_before_the_event_was_made(self, debug_base: EventBase, pair: Pair) -> None:
        fd = pair[0].fileno()
        pair[0].close()
        with pytest.raises(LoopError, match="was closed"):
            debug_base.event(fd, EV_READ, ignore).add()

    def test_number_that_came_back_is_refused(self, debug_base: EventBase, pair: Pair) -> None:
        event = debug_base.event(pair[0], EV_READ, ignore)
        os.dup2(pair[1].fileno(), pair[0].fileno())
        with pytest.raises(LoopError, match="another's by now"):
            event.add()

    def test_closed_before_its_event_was_deleted(
        self, debug_base: EventBase, pair: Pair, lines: Lines
    ) -> None:
        event = debug_base.event(pair[0], EV_READ, ignore)
        event.add()
        fd = pair[0].fileno()
        pair[0].close()
        event.delete()
        ((severity, message),) = lines
        assert severity == LOG_WARN
        assert f"descriptor {fd} was closed before its event was deleted" in message
        assert not event.pending()

    def test_two_bases(self, debug_base: EventBase, pair: Pair, lines: Lines) -> None:
        with EventBase() as other:
            debug_base.event(pair[0], EV_READ, ignore).add()
            second = other.event(pair[0], EV_READ, ignore)
            second.add()
            second.delete()
        ((severity, message),) = lines
        assert severity == LOG_WARN
        assert f"two event bases wait for descriptor {pair[0].fileno()}" in message

    def test_second_base_that_is_only_half_made(self, debug_base: EventBase, pair: Pair) -> None:
        """Another thread makes it, while this one adds an event."""
        added: list[Event] = []

        class Meanwhile(SystemClock):
            @property
            def monotonic(self) -> Callable[[], float]:  # type: ignore[override]  # asked for while it is made
                event = debug_base.event(pair[0], EV_READ, ignore)
                event.add()
                added.append(event)
                return super().monotonic

        with EventBase(clock=Meanwhile()):
            assert added
            assert all(event.pending() for event in added)

    def test_two_events_of_one_base_are_no_fault(
        self, debug_base: EventBase, pair: Pair, lines: Lines
    ) -> None:
        for what in (EV_READ, EV_WRITE):
            debug_base.event(pair[0], what, ignore).add()
        assert lines == []

    def test_of_the_second_base_that_is_closed_is_no_fault(
        self, debug_base: EventBase, pair: Pair, lines: Lines
    ) -> None:
        with EventBase() as other:
            other.event(pair[0], EV_READ, ignore).add()
        debug_base.event(pair[0], EV_READ, ignore).add()
        assert lines == []

    def test_evkits_own_connections_pass(self, debug_base: EventBase, lines: Lines) -> None:
        left, right = socket.socketpair()
        log: list[bytes] = []
        with (
            closing(SocketBufferEvent(debug_base, left)) as near,
            closing(SocketBufferEvent(debug_base, right)) as far,
        ):
            far.set_callbacks(read=lambda bev: log.append(bev.input.remove(100)))
            far.enable(EV_READ)
            near.write(b"hello")
            debug_base.loop(EVLOOP_NONBLOCK)
        assert log == [b"hello"]
        assert lines == []

    def test_after_reinit(self, debug_base: EventBase, pair: Pair, lines: Lines) -> None:
        log: list[int] = []
        debug_base.event(pair[0], EV_WRITE, lambda _event, what: log.append(what)).add()
        debug_base.reinit()
        debug_base.dispatch()
        assert log == [EV_WRITE]
        assert lines == []


class TestThreads:
    @pytest.mark.parametrize("call", ["add", "delete", "activate", "finalize", "call_soon", "cancel"])
    def test_other_thread_while_the_loop_runs(self, debug_base: EventBase, call: str) -> None:
        event = debug_base.timer(ignore)
        deferred = debug_base.deferred(int)
        calls: dict[str, Callable[[], object]] = {
            "add": lambda: event.add(1),
            "delete": event.delete,
            "activate": lambda: event.activate(EV_TIMEOUT),
            "finalize": lambda: event.finalize(lambda _event: None),
            "call_soon": lambda: debug_base.call_soon(int),
            "cancel": deferred.cancel,
        }
        raised: list[BaseException] = []
        debug_base.call_soon(lambda: raised.extend(in_thread(calls[call])))
        debug_base.dispatch()
        assert "from another thread than that of the loop" in str(raised[0])
        assert not event.pending()

    def test_other_thread_while_no_loop_runs(self, debug_base: EventBase) -> None:
        event = debug_base.timer(ignore)
        assert in_thread(lambda: event.add(0)) == []
        assert debug_base.dispatch() is False

    def test_call_soon_threadsafe_is_for_that(self, debug_base: EventBase) -> None:
        log: list[str] = []
        debug_base.call_soon(lambda: in_thread(lambda: debug_base.call_soon_threadsafe(log.append, "called")))
        debug_base.dispatch()
        assert log == ["called"]


class TestClosedBase:
    def test_add_and_activate_are_refused(self, unused: None) -> None:
        enable_debug_mode()
        with EventBase() as base:
            event = base.timer(ignore, persist=True)
        for call in (lambda: event.add(1), lambda: event.activate(EV_TIMEOUT)):
            with pytest.raises(LoopError, match="closed event base"):
                call()
        event.delete()


class TestLogging:
    @pytest.mark.parametrize("timeout", [5, None])
    def test_tells_what_happens(self, unused: None, lines: Lines, pair: Pair, timeout: float | None) -> None:
        enable_debug_logging()
        with EventBase() as base:
            lines.clear()
            event = base.event(pair[0], EV_READ | EV_PERSIST, lambda event, _what: event.delete())
            event.add(timeout)
            event.activate(EV_READ)
            base.dispatch()
            base.call_soon(int)
            event.finalize(lambda _event: None)
            base.dispatch()
        assert {severity for severity, _ in lines} == {LOG_DEBUG}
        said = [message.partition(":")[0] for _, message in lines]
        assert [word for word in said if word != "event_del"] == [
            "event_add",
            "event_active",
            "event_process_active",
            "event_deferred_cb_schedule",
            "event_finalize",
        ]
        assert f"event_add: <Event fd={pair[0].fileno()} READ|PERSIST added" in lines[0][1]

    def test_checks_nothing_by_itself(self, unused: None, lines: Lines) -> None:
        enable_debug_logging(DBG_ALL)
        left, right = socket.socketpair()
        with EventBase() as base, left, right:
            base.event(left, EV_READ, ignore).add()

    def test_none_switches_off(self, unused: None) -> None:
        enable_debug_logging(DBG_ALL)
        enable_debug_logging(DBG_NONE)
        with EventBase() as base:
            assert type(base.timer(ignore)) is Event

    def test_debug_mode_alone_logs_nothing(self, debug_base: EventBase, lines: Lines) -> None:
        debug_base.timer(ignore).add(0)
        debug_base.dispatch()
        assert lines == []
