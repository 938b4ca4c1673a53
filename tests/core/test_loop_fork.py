"""`EventBase.reinit`, with real child processes: the child waits for what the parent did, and takes nothing from it."""

import os
import signal
import socket
import threading
from collections.abc import Callable

import pytest

from evkit.core.base import EventBase
from evkit.core.config import EventConfig
from evkit.core.event import Event
from evkit.core.flags import (
    COUNT_ADDED,
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_TIMEOUT,
    EV_WRITE,
    EVLOOP_NO_EXIT_ON_EMPTY,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.core.log import LOG_ERR, set_log_callback
from evkit.errors import LoopError
from evkit.testing import FakeBase
from forking import in_child
from locking import plain_and_locked  # noqa: F401 - a fixture that is used by itself

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
Pair = tuple[socket.socket, socket.socket]
MakeConfig = Callable[..., EventConfig]


def note(log: list[int]) -> Callable[[Event, int], None]:
    return lambda _event, what: log.append(what)


class TestReinit:
    def test_child_hears_what_the_parent_waited_for(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []
        base.event(pair[0], EV_READ | EV_PERSIST, note(log)).add()
        base.event(pair[0], EV_WRITE, note(log)).add()
        base.timer(note(log)).add(0)

        def child() -> str:
            base.reinit()
            pair[1].send(b"x")
            base.loop(ONE_PASS)
            return str(sorted(log))

        assert in_child(child) == str([EV_TIMEOUT, EV_READ, EV_WRITE])

    def test_child_that_deletes_leaves_the_parent_its_events(self, base: EventBase, pair: Pair) -> None:
        """With epoll both would have one set, were it not made anew."""
        log: list[int] = []
        event = base.event(pair[0], EV_READ | EV_PERSIST, note(log))
        event.add()

        def child() -> str:
            base.reinit()
            event.delete()
            base.close()
            return "deleted"

        assert in_child(child) == "deleted"
        pair[1].send(b"x")
        base.loop(ONE_PASS)
        assert log == [EV_READ]

    def test_each_is_woken_by_its_own(self, base: EventBase) -> None:
        log: list[str] = []

        def child() -> str:
            base.reinit()
            base.call_soon_threadsafe(log.append, "child")
            base.dispatch()
            return str(log)

        assert in_child(child) == "['child']"
        assert base.loop(ONE_PASS) is False
        base.call_soon_threadsafe(log.append, "parent")
        base.dispatch()
        assert log == ["parent"]

    def test_what_was_asked_for_before_the_fork_is_done_in_both(self, base: EventBase) -> None:
        log: list[str] = []
        base.call_soon_threadsafe(log.append, "asked")

        def child() -> str:
            base.reinit()
            base.dispatch()
            return str(log)

        assert in_child(child) == "['asked']"
        base.dispatch()
        assert log == ["asked"]

    def test_inside_a_callback_the_loop_goes_on_in_both(self, base: EventBase, pair: Pair) -> None:
        log: list[str] = []
        base.event(pair[0], EV_READ, lambda _event, _what: log.append("read")).add()
        answers: list[str] = []

        def child() -> str:
            base.reinit()
            pair[1].send(b"x")  # comes to the parent, too: it is one socket
            return "sent"

        base.call_soon(lambda: answers.append(in_child(child)))
        base.dispatch()
        assert answers == ["sent"]
        assert log == ["read"]

    @pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
    def test_of_a_base_whose_loop_ran_in_another_thread(self, base: EventBase) -> None:
        """That thread is not in the child."""
        running = threading.Event()
        base.call_soon(running.set)
        thread = threading.Thread(target=base.loop, args=(EVLOOP_NO_EXIT_ON_EMPTY,))
        thread.start()

        def child() -> str:
            base.reinit()
            log: list[str] = []
            base.call_soon(log.append, "runs")
            base.loop(ONE_PASS)
            base.close()
            return str(log)

        try:
            assert running.wait(10)
            assert in_child(child) == "['runs']"
        finally:
            base.stop()
            thread.join()

    def test_keeps_counts_and_method(self, base: EventBase, pair: Pair) -> None:
        base.event(pair[0], EV_READ, note([])).add(5)
        before = (base.num_events(COUNT_ADDED), base.method, base.features)
        base.reinit()
        assert (base.num_events(COUNT_ADDED), base.method, base.features) == before

    def test_several_times_and_without_a_fork(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []
        base.event(pair[0], EV_WRITE, note(log)).add()
        base.reinit()
        base.reinit()
        assert base.dispatch() is False
        assert log == [EV_WRITE]

    def test_no_descriptor_is_left(self, open_descriptors: None, config: MakeConfig) -> None:
        with EventBase(config()) as base:
            base.reinit()

    def test_closed_base_is_refused(self, config: MakeConfig) -> None:
        with EventBase(config()) as base:
            pass
        with pytest.raises(LoopError, match="closed event base"):
            base.reinit()

    def test_base_that_was_handed_its_backend_is_refused(self, fakes: FakeBase) -> None:
        with pytest.raises(LoopError, match="handed its backend"):
            fakes.base.reinit()
        assert not fakes.backend.closed

    def test_closed_descriptor_is_told_and_the_others_are_heard(self) -> None:
        log: list[int] = []
        left, right = socket.socketpair()
        with EventBase(EventConfig(avoid=["poll", "select"])) as base, left, right:
            if base.method != "epoll":
                pytest.skip("the other backends learn it when they wait")
            gone = os.dup(left.fileno())
            event = base.event(gone, EV_WRITE, note([]))
            event.add()
            base.event(right, EV_WRITE, note(log)).add()
            with open(__file__, "rb") as file:
                os.dup2(file.fileno(), gone)  # the number is a regular file's now
            with pytest.raises(OSError, match="not permitted"):
                base.reinit()
            base.loop(EVLOOP_NONBLOCK)
            assert log == [EV_WRITE]
            event.delete()
            os.close(gone)


class TestSignals:
    def test_of_the_child_come_to_the_child(self, base: EventBase) -> None:
        log: list[int] = []
        event = base.signal(signal.SIGUSR1, note(log))
        event.add()

        def child() -> str:
            base.reinit()
            signal.raise_signal(signal.SIGUSR1)
            base.loop(ONE_PASS)
            return str(log)

        assert in_child(child) == str([EV_SIGNAL])
        base.loop(ONE_PASS)
        assert log == []
        signal.raise_signal(signal.SIGUSR1)
        base.loop(ONE_PASS)
        assert log == [EV_SIGNAL]
        event.delete()

    def test_come_to_a_child_that_uses_asyncio(self, base: EventBase) -> None:
        """Its own hook takes the wake-up descriptor away in the child."""
        log: list[int] = []
        event = base.signal(signal.SIGUSR1, note(log))
        event.add()

        def child() -> str:
            signal.set_wakeup_fd(-1)  # as asyncio does, whichever hook comes first
            base.reinit()
            signal.raise_signal(signal.SIGUSR1)
            base.loop(ONE_PASS)
            return str(log)

        assert in_child(child) == str([EV_SIGNAL])
        event.delete()

    def test_come_to_a_child_that_uses_asyncio_and_is_made_anew_by_itself(self, base: EventBase) -> None:
        """The hook of the base may run before that of asyncio."""
        log: list[int] = []
        event = base.signal(signal.SIGUSR1, note(log))
        event.add()

        def child() -> str:
            base.reinit()
            signal.set_wakeup_fd(-1)
            base.loop(ONE_PASS)
            signal.raise_signal(signal.SIGUSR1)
            base.loop(ONE_PASS)
            return str(log)

        assert in_child(child) == str([EV_SIGNAL])
        event.delete()

    def test_of_a_child_that_makes_nothing_anew_do_not_hit_the_parent(self, base: EventBase) -> None:
        log: list[int] = []
        event = base.signal(signal.SIGUSR1, note(log))
        event.add()

        def child() -> str:
            signal.raise_signal(signal.SIGUSR1)
            return "raised"

        assert in_child(child) == "raised"
        base.loop(ONE_PASS)
        assert log == []
        event.delete()

    def test_of_two_bases_come_to_both(self, base: EventBase, config: MakeConfig) -> None:
        log: list[int] = []
        with EventBase(config()) as other:
            events = [each.signal(signal.SIGUSR1, note(log)) for each in (base, other)]
            for event in events:
                event.add()

            def child() -> str:
                base.reinit()
                other.reinit()
                signal.raise_signal(signal.SIGUSR1)
                other.loop(ONE_PASS)
                base.loop(ONE_PASS)
                return str(log)

            assert in_child(child) == str([EV_SIGNAL] * 2)
            for event in events:
                event.delete()

    def test_wake_the_loop_of_the_child_where_no_event_is_for_them(self, base: EventBase) -> None:
        """The wake-up descriptor is the loop's own then; a handler of the program stops the loop."""
        answers: list[str] = []

        def child() -> str:
            base.reinit()
            signal.signal(signal.SIGUSR2, lambda _signum, _frame: base.stop())
            return fork_again()

        def fork_again() -> str:
            base.prepare(lambda _watcher, _timeout: signal.raise_signal(signal.SIGUSR2))
            return str(base.loop(EVLOOP_NO_EXIT_ON_EMPTY))

        answers.append(in_child(child))
        assert answers == ["True"]

    def test_of_a_child_inside_the_loop_do_not_wake_the_parent(self, base: EventBase) -> None:
        """While the loop runs and no event is for a signal, the wake-up descriptor is the loop's own."""
        answers: list[object] = []

        def child() -> str:
            signal.signal(signal.SIGUSR2, lambda _signum, _frame: None)
            signal.raise_signal(signal.SIGUSR2)
            return "raised"

        def fork() -> None:
            answers.append(in_child(child))
            with pytest.raises(BlockingIOError):
                base._waker._reader.recv(1, socket.MSG_PEEK)

        base.call_soon(fork)
        base.dispatch()
        assert answers == ["raised"]


class TestByItself:
    def test_when_asked_for(self, config: MakeConfig, pair: Pair) -> None:
        log: list[int] = []
        with EventBase(config(reinit_after_fork=True)) as base:
            event = base.event(pair[0], EV_READ, note(log))
            event.add()

            def child() -> str:
                event.delete()
                return "deleted"

            assert in_child(child) == "deleted"
            pair[1].send(b"x")
            base.loop(ONE_PASS)
            assert log == [EV_READ]

    def test_not_for_a_base_that_is_closed(self, config: MakeConfig) -> None:
        with EventBase(config(reinit_after_fork=True)):
            pass
        assert in_child(lambda: "quiet") == "quiet"

    def test_failure_is_logged(self, config: MakeConfig, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise OSError(24, "Too many open files")

        lines: list[tuple[int, str]] = []
        set_log_callback(lambda severity, message: lines.append((severity, message)))
        try:
            with EventBase(config(reinit_after_fork=True)) as base:
                monkeypatch.setattr(base, "reinit", fail)
                answer = in_child(lambda: str(lines))
        finally:
            set_log_callback(None)
        assert f"({LOG_ERR}, " in answer
        assert "could not be made anew after a fork: [Errno 24]" in answer
        assert lines == []
