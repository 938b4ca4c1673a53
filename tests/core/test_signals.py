"""Signals: every delivery is a call, several bases hear, and what was there before comes back."""

import ctypes
import os
import queue
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from evkit.core.base import EventBase
from evkit.core.config import EventConfig
from evkit.core.event import Event
from evkit.core.flags import (
    COUNT_ACTIVE,
    COUNT_ADDED,
    EV_PERSIST,
    EV_SIGNAL,
    EV_TIMEOUT,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.core.log import LOG_WARN, set_log_callback
from evkit.core.signals import HUB
from evkit.core.watch import Watcher
from evkit.errors import LoopError
from locking import plain_and_locked  # noqa: F401 - a fixture that is used by itself

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
SIGNUM = signal.SIGUSR1
MakeConfig = Callable[..., EventConfig]


def note(log: list[int]) -> Callable[[Event, int], None]:
    return lambda _event, what: log.append(what)


def wakeup_fd() -> int:
    fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
    return fd


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """What a test leaves behind, the next one must not find."""
    handler, fd = signal.getsignal(SIGNUM), wakeup_fd()
    yield
    assert signal.getsignal(SIGNUM) is handler
    assert wakeup_fd() == fd


class TestDelivery:
    def test_each_one_is_a_call(self, base: EventBase) -> None:
        log: list[int] = []
        event = base.signal(SIGNUM, note(log))
        event.add()
        for _ in range(5):
            signal.raise_signal(SIGNUM)
        base.loop(EVLOOP_NONBLOCK)
        assert log == [EV_SIGNAL] * 5
        signal.raise_signal(SIGNUM)
        base.loop(EVLOOP_NONBLOCK)
        assert log == [EV_SIGNAL] * 6

    def test_wakes_a_loop_that_waits(self, base: EventBase) -> None:
        log: list[int] = []

        def stop(_event: Event, what: int) -> None:
            log.append(what)
            base.loopexit()

        def on_prepare(watcher: Watcher, timeout: float | None) -> None:
            assert timeout is None
            watcher.close()
            threading.Thread(target=os.kill, args=(os.getpid(), SIGNUM)).start()

        base.signal(SIGNUM, stop).add()
        base.prepare(on_prepare)
        assert base.dispatch() is True
        assert log == [EV_SIGNAL]

    def test_every_event_hears_the_newest_first(self, base: EventBase) -> None:
        log: list[str] = []
        for name in ("old", "new"):
            base.signal(SIGNUM, lambda _event, _what, name=name: log.append(name)).add()  # type: ignore[misc]
        signal.raise_signal(SIGNUM)
        base.loop(EVLOOP_NONBLOCK)
        assert log == ["new", "old"]

    def test_different_signals_keep_apart(self, base: EventBase) -> None:
        log: list[int] = []
        for signum in (SIGNUM, signal.SIGUSR2):
            base.signal(signum, lambda event, _what: log.append(event.fd)).add()
        signal.raise_signal(signal.SIGUSR2)
        base.loop(EVLOOP_NONBLOCK)
        assert log == [signal.SIGUSR2]

    def test_plain_event_is_for_one_time(self, base: EventBase) -> None:
        log: list[int] = []
        base.event(SIGNUM, EV_SIGNAL, note(log)).add()
        signal.raise_signal(SIGNUM)
        assert base.dispatch() is False
        assert log == [EV_SIGNAL]

    def test_keeps_the_loop_alive_and_counts(self, base: EventBase) -> None:
        event = base.signal(SIGNUM, note([]))
        event.add()
        assert base.num_events(COUNT_ADDED) == 1
        assert base.loop(EVLOOP_NONBLOCK) is True
        event.delete()
        assert base.num_events(COUNT_ADDED) == 0
        assert base.loop(EVLOOP_NONBLOCK) is False

    def test_counts_while_the_event_is_still_queued(self, base: EventBase) -> None:
        """Both deliveries are read while the event itself starves: two calls."""
        log: list[str] = []
        event = base.signal(SIGNUM, lambda _event, _what: log.append("signal"))
        event.add()  # the event that reads the signals is of the most urgent queue, which is the only one as yet
        base.priority_init(2)
        event.set_priority(1)

        def urgent() -> None:
            log.append("urgent")
            if log.count("urgent") <= 2:
                signal.raise_signal(SIGNUM)
                busy.schedule()
                base.loopcontinue()

        busy = base.deferred(urgent, 0)
        busy.schedule()
        base.loop(EVLOOP_NONBLOCK)
        assert log == ["urgent"] * 3 + ["signal"] * 2

    def test_with_a_timeout(self, base: EventBase) -> None:
        log: list[int] = []
        base.event(SIGNUM, EV_SIGNAL, note(log)).add(0)
        assert base.dispatch() is False
        assert log == [EV_TIMEOUT]


class TestSeries:
    """Several calls for several deliveries; activation by hand with ``ncalls`` is the same."""

    def test_put_off_by_loopbreak(self, base: EventBase) -> None:
        log: list[str] = []

        def stop(_event: Event, _what: int) -> None:
            log.append("call")
            base.loopbreak()

        base.signal(SIGNUM, stop).activate(EV_SIGNAL, 3)
        for calls in range(1, 4):  # what is left of the series comes in the next loop
            assert base.dispatch() is True
            assert log == ["call"] * calls
        assert base.dispatch() is False

    def test_ended_by_delete(self, base: EventBase) -> None:
        log: list[str] = []

        def stop(event: Event, _what: int) -> None:
            log.append("call")
            if len(log) == 2:
                event.delete()

        event = base.signal(SIGNUM, stop)
        event.add()
        event.activate(EV_SIGNAL, 5)
        assert base.dispatch() is False
        assert log == ["call"] * 2

    def test_not_ended_by_an_exception(self, base: EventBase) -> None:
        escaped: list[object] = []
        base.exception_handler = lambda _exception, source: escaped.append(source)

        def fail(_event: Event, _what: int) -> None:
            raise RuntimeError

        event = base.signal(SIGNUM, fail)
        event.activate(EV_SIGNAL, 3)
        base.dispatch()
        assert escaped == [event] * 3

    def test_activation_of_itself_waits_its_turn(self, base: EventBase) -> None:
        log: list[str] = []

        def again(event: Event, what: int) -> None:
            log.append("signal")
            if len(log) == 1:
                event.activate(what)

        base.signal(SIGNUM, again).activate(EV_SIGNAL, 2)
        base.call_soon(log.append, "other")
        base.dispatch()
        assert log == ["signal", "signal", "other", "signal"]

    def test_joins_the_calls_that_wait_already(self, base: EventBase) -> None:
        log: list[int] = []
        event = base.signal(SIGNUM, note(log))
        event.activate(EV_SIGNAL, 1)
        event.activate(EV_SIGNAL, 2)
        base.dispatch()
        assert log == [EV_SIGNAL] * 3

    def test_deleted_and_activated_anew_forgets_the_calls_of_before(self, base: EventBase) -> None:
        log: list[int] = []
        event = base.signal(SIGNUM, note(log))
        event.activate(EV_SIGNAL, 5)
        event.delete()
        event.activate(EV_SIGNAL, 2)
        base.dispatch()
        assert log == [EV_SIGNAL] * 2


class TestSeveralBases:
    def test_both_hear(self, base: EventBase, config: MakeConfig) -> None:
        log: list[str] = []
        with EventBase(config()) as other:
            base.signal(SIGNUM, lambda _event, _what: log.append("base")).add()
            other.signal(SIGNUM, lambda _event, _what: log.append("other")).add()
            signal.raise_signal(SIGNUM)
            signal.raise_signal(SIGNUM)
            base.loop(EVLOOP_NONBLOCK)
            assert log == ["base"] * 2
            other.loop(EVLOOP_NONBLOCK)
            assert log == ["base"] * 2 + ["other"] * 2

    def test_the_slower_one_hears_from_the_quicker(self, base: EventBase, config: MakeConfig) -> None:
        """The inner loop reads what the outer one has been told to read: nothing is left there, and nothing lost."""
        log: list[str] = []
        with EventBase(config()) as inner:
            base.signal(SIGNUM, lambda _event, _what: log.append("outer")).add()
            inner.signal(SIGNUM, lambda _event, _what: log.append("inner")).add()
            signal.raise_signal(SIGNUM)
            base.call_soon(inner.loop, EVLOOP_NONBLOCK)
            base.loop(EVLOOP_NONBLOCK)
        assert log == ["inner", "outer"]

    def test_closing_one_leaves_the_other_its_signals(self, base: EventBase, config: MakeConfig) -> None:
        log: list[int] = []
        base.signal(SIGNUM, note(log)).add()
        with EventBase(config()) as other:
            other.signal(SIGNUM, note([])).add()
        signal.raise_signal(SIGNUM)
        base.loop(EVLOOP_NONBLOCK)
        assert log == [EV_SIGNAL]

    def test_loop_in_another_thread_hears_what_the_main_thread_has_read(
        self, base: EventBase, config: MakeConfig
    ) -> None:
        heard: list[int] = []

        def stop(_event: Event, _what: int) -> None:
            heard.append(threading.get_ident())
            other.loopexit()

        with EventBase(config()) as other:
            other.signal(SIGNUM, stop).add()
            base.signal(SIGNUM, note([])).add()
            running = threading.Event()
            other.call_soon(running.set)
            thread = threading.Thread(target=other.dispatch)
            thread.start()
            assert running.wait(30)
            signal.raise_signal(SIGNUM)
            base.loop(EVLOOP_NONBLOCK)
            thread.join()
            assert heard == [thread.ident]


class Elsewhere:
    """Has a signal caught in another thread, again when its handler has run: no system call of this one ends by it."""

    def __init__(self) -> None:
        self.heard = 0
        # Not a semaphore: a handler that comes while this thread releases one would wait for its own thread.
        self._go: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._go.put(True)
        self._over = False
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while self._go.get() and not self._over:
            signal.pthread_kill(threading.get_ident(), SIGNUM)

    def on_signal(self, _signum: int, _frame: object) -> None:
        self.heard += 1
        self._go.put(True)

    def __enter__(self) -> "Elsewhere":
        self._previous = signal.signal(SIGNUM, self.on_signal)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._go.put(False)
        self._thread.join()
        signal.signal(SIGNUM, self._previous)


class TestHandlersOfTheProgram:
    """A signal that comes right before the loop begins to wait; Python's handler is to run in the main thread."""

    ROUNDS = 100

    @pytest.fixture(params=[False, True], ids=["no events", "events of another base"])
    def other_reads(self, request: pytest.FixtureRequest) -> Iterator[bool]:
        """Whether another thread's loop is the one that reads which signals came."""
        if not request.param:
            yield False
            return
        with EventBase() as other:
            event = other.signal(signal.SIGUSR2, note([]))
            event.add()
            thread = threading.Thread(target=other.dispatch)
            thread.start()
            yield True
            other.call_soon_threadsafe(other.loopbreak)
            thread.join()
            event.delete()

    def test_runs_while_the_loop_waits(self, base: EventBase, other_reads: bool) -> None:
        with Elsewhere() as elsewhere:

            def enough(_watcher: Watcher, _timeout: float | None) -> None:
                if elsewhere.heard >= self.ROUNDS:
                    base.loopbreak()

            base.prepare(enough)
            base.loopexit(10)  # only a failing test waits for it
            base.dispatch()
            assert elsewhere.heard >= self.ROUNDS

    def test_wakeup_descriptor_is_ours_while_the_loop_runs(self, base: EventBase) -> None:
        seen: list[int] = []
        base.once(-1, 0, lambda _event, _what: seen.append(wakeup_fd()))
        base.dispatch()
        assert seen[0] != -1
        assert wakeup_fd() == -1

    def test_wakeup_descriptor_of_the_program_stays(self, base: EventBase) -> None:
        left, right = socket.socketpair()
        right.setblocking(False)
        seen: list[int] = []
        signal.set_wakeup_fd(right.fileno())
        try:
            base.once(-1, 0, lambda _event, _what: seen.append(wakeup_fd()))
            base.dispatch()
            assert seen == [wakeup_fd()] == [right.fileno()]
        finally:
            signal.set_wakeup_fd(-1)
            left.close()
            right.close()

    def test_wakeup_descriptor_set_in_a_callback_stays(self, base: EventBase) -> None:
        left, right = socket.socketpair()
        right.setblocking(False)
        base.once(-1, 0, lambda _event, _what: signal.set_wakeup_fd(right.fileno()))
        base.dispatch()
        try:
            assert wakeup_fd() == right.fileno()
        finally:
            signal.set_wakeup_fd(-1)
            left.close()
            right.close()

    def test_last_event_deleted_inside_the_loop(self, base: EventBase) -> None:
        """The loop goes on to be woken, by its own descriptor."""
        seen: list[int] = []
        event = base.signal(signal.SIGUSR2, note([]))

        def look(_event: Event, _what: int) -> None:
            event.add()
            seen.append(wakeup_fd())
            event.delete()
            seen.append(wakeup_fd())

        base.once(-1, 0, look)
        base.dispatch()
        assert -1 not in seen
        assert seen[0] != seen[1]
        assert wakeup_fd() == -1

    def test_loop_inside_a_loop(self, base: EventBase, config: MakeConfig) -> None:
        seen: list[int] = []
        with EventBase(config()) as inner:
            inner.once(-1, 0, lambda _event, _what: seen.append(wakeup_fd()))

            def run(_event: Event, _what: int) -> None:
                seen.append(wakeup_fd())
                inner.dispatch()
                seen.append(wakeup_fd())

            base.once(-1, 0, run)
            base.dispatch()
        assert seen[0] == seen[2]
        assert -1 not in seen
        assert seen[1] != seen[0]


class TestWhatWasBefore:
    def test_handler_and_wakeup_descriptor_come_back(self, base: EventBase) -> None:
        called: list[int] = []
        handler = lambda signum, _frame: called.append(signum)  # noqa: E731 - compared by identity
        previous = signal.signal(SIGNUM, handler)
        left, right = socket.socketpair()
        right.setblocking(False)
        previous_fd = signal.set_wakeup_fd(right.fileno())
        try:
            event = base.signal(SIGNUM, note([]))
            event.add()
            assert signal.getsignal(SIGNUM) is not handler
            assert wakeup_fd() != right.fileno()
            event.delete()
            assert signal.getsignal(SIGNUM) is handler
            assert wakeup_fd() == right.fileno()
            signal.raise_signal(SIGNUM)
            assert called == [SIGNUM]
        finally:
            signal.set_wakeup_fd(previous_fd)
            signal.signal(SIGNUM, previous)
            left.close()
            right.close()

    def test_come_back_when_the_base_is_closed(self, config: MakeConfig) -> None:
        handler, fd = signal.getsignal(SIGNUM), wakeup_fd()
        with EventBase(config()) as base:
            base.signal(SIGNUM, note([])).add()
            base.signal(signal.SIGUSR2, note([])).add()
        assert signal.getsignal(SIGNUM) is handler
        assert wakeup_fd() == fd

    def test_stay_away_while_one_event_is_left(self, base: EventBase) -> None:
        log: list[int] = []
        one, two = base.signal(SIGNUM, note(log)), base.signal(SIGNUM, note(log))
        one.add()
        two.add()
        one.delete()
        signal.raise_signal(SIGNUM)
        base.loop(EVLOOP_NONBLOCK)
        assert log == [EV_SIGNAL]
        two.delete()

    def test_event_can_be_added_again(self, base: EventBase) -> None:
        log: list[int] = []
        event = base.signal(SIGNUM, note(log))
        for _ in range(3):
            event.add()
            signal.raise_signal(SIGNUM)
            base.loop(EVLOOP_NONBLOCK)
            event.delete()
        assert log == [EV_SIGNAL] * 3

    def test_no_descriptor_is_left(self, open_descriptors: None, config: MakeConfig) -> None:
        with EventBase(config()) as base:
            event = base.signal(SIGNUM, note([]))
            for _ in range(3):
                event.add()
                event.delete()
            base.signal(signal.SIGUSR2, note([])).add()


class TestRefusals:
    def test_other_thread(self, base: EventBase) -> None:
        errors: list[BaseException] = []

        def add() -> None:
            try:
                base.signal(SIGNUM, note([])).add()
            except LoopError as error:
                errors.append(error)

        thread = threading.Thread(target=add)
        thread.start()
        thread.join()
        assert "main thread only" in str(errors[0])
        assert base.num_events(COUNT_ADDED) == 0

    @pytest.mark.parametrize("signum", [signal.SIGKILL, 0, 9999])
    def test_signal_that_can_not_be_caught(
        self, open_descriptors: None, config: MakeConfig, signum: int
    ) -> None:
        fd = wakeup_fd()
        with EventBase(config()) as base:
            event = base.event(signum, EV_SIGNAL | EV_PERSIST, note([]))
            with pytest.raises((OSError, ValueError)):
                event.add(5)
            assert not event.pending()
            assert base.num_events(COUNT_ADDED) == 0
            assert wakeup_fd() == fd

    def test_no_descriptor_for_the_wakeup(self, base: EventBase, monkeypatch: pytest.MonkeyPatch) -> None:
        """The signal is not half taken then: the next attempt succeeds, and hears."""

        def fail() -> tuple[int, int]:
            raise OSError(24, "Too many open files")

        log: list[int] = []
        handler = signal.getsignal(SIGNUM)
        event = base.signal(SIGNUM, note(log))
        with monkeypatch.context() as patch:
            patch.setattr(os, "pipe", fail)
            with pytest.raises(OSError, match="Too many"):
                event.add()
        assert signal.getsignal(SIGNUM) is handler
        event.add()
        signal.raise_signal(SIGNUM)
        base.loop(EVLOOP_NONBLOCK)
        assert log == [EV_SIGNAL]

    def test_delete_in_another_thread_leaves_the_handler_and_says_so(self, base: EventBase) -> None:
        previous = signal.getsignal(SIGNUM)
        lines: list[tuple[int, str]] = []
        event = base.signal(SIGNUM, note([]))
        event.add()
        set_log_callback(lambda severity, message: lines.append((severity, message)))
        try:
            thread = threading.Thread(target=event.delete)
            thread.start()
            thread.join()
        finally:
            set_log_callback(None)
        ((severity, message),) = lines
        assert severity == LOG_WARN
        assert "main thread only" in message
        # The main thread puts things right: any event of a signal that comes and goes gives the descriptor back.
        other = base.signal(signal.SIGUSR2, note([]))
        other.add()
        other.delete()
        signal.signal(SIGNUM, previous)

    def test_reading_when_nobody_wants_signals_is_harmless(self) -> None:
        HUB.read()
        assert wakeup_fd() == -1


class TestStorm:
    def test_of_ten_thousand_loses_none(self, base: EventBase) -> None:
        calls = 0
        deepest = 0

        def count(_event: Event, _what: int) -> None:
            nonlocal calls, deepest
            calls += 1
            deepest = max(deepest, base.num_events(COUNT_ACTIVE))

        event = base.signal(SIGNUM, count)
        event.add()
        for _ in range(10_000):
            signal.raise_signal(SIGNUM)
        base.loop(EVLOOP_NONBLOCK)
        assert calls == 10_000
        assert deepest <= 1  # they are a number, not a queue
        event.delete()

    def test_of_one_signal_hides_no_other(self, base: EventBase) -> None:
        log: list[str] = []
        events = [
            base.event(SIGNUM, EV_SIGNAL, lambda _event, _what: log.append("storm")),
            base.signal(signal.SIGUSR2, lambda _event, _what: log.append("other")),
        ]
        for event in events:
            event.add()
        for _ in range(10_000):
            signal.raise_signal(SIGNUM)
        signal.raise_signal(signal.SIGUSR2)
        base.loop(EVLOOP_NONBLOCK)
        assert log.count("other") == 1
        assert log.count("storm") == 10_000
        events[1].delete()

    def test_heard_by_a_base_in_another_thread(self, base: EventBase, config: MakeConfig) -> None:
        """It reads nothing itself here: all that it is told takes one call of its loop."""
        calls = 0

        def count(_event: Event, _what: int) -> None:
            nonlocal calls
            calls += 1

        with EventBase(config()) as other:
            events = [base.signal(SIGNUM, note([])), other.signal(SIGNUM, count)]
            for event in events:
                event.add()
            thread = threading.Thread(target=lambda: other.loop(ONE_PASS))
            thread.start()
            thread.join()  # the loop of `other` ran in that thread last
            for _ in range(10_000):
                signal.raise_signal(SIGNUM)
            base.loop(EVLOOP_NONBLOCK)
            other.loop(EVLOOP_NONBLOCK)
            assert calls == 10_000
            for event in events:
                event.delete()


def test_calls_of_c_code_go_on_after_a_signal(base: EventBase) -> None:
    """Python's own calls begin again by themselves; those of a library do by ``SA_RESTART``."""
    event = base.signal(signal.SIGALRM, note([]))
    event.add()
    came = HUB.open()
    reader, writer = os.pipe()

    def end_after_several() -> None:
        for _ in range(5):
            select.select([came], [], [])
            os.read(came, 1)
        os.write(writer, b"x")

    thread = threading.Thread(target=end_after_several)
    thread.start()
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        assert ctypes.CDLL(None).read(reader, ctypes.create_string_buffer(1), 1) == 1
    finally:
        thread.join()
        signal.setitimer(signal.ITIMER_REAL, 0)
        event.delete()
        os.close(reader)
        os.close(writer)
