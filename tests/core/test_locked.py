"""Bases that lock, with real threads: who waits for whom, who wakes whom, and what can never happen.

The tests are ordered by conditions, never by time. All locks check how they are used.
"""

import io
import random
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest

from evkit.core.backends.contract import MaskTable
from evkit.core.base import EventBase
from evkit.core.buffer.locked import LockedBuffer
from evkit.core.config import EventConfig
from evkit.core.debug import MODES
from evkit.core.event import Event
from evkit.core.flags import (
    BASE_EPOLL_USE_CHANGELIST,
    BASE_NOLOCK,
    COUNT_ACTIVE,
    COUNT_ADDED,
    EV_FINALIZE,
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_TIMEOUT,
    EV_WRITE,
    EVLOOP_NO_EXIT_ON_EMPTY,
)
from evkit.core.locked import LockedEventBase
from evkit.core.locked_backend import LockedBackend
from evkit.core.locked_event import LockedDebugEvent, LockedDebugSignalEvent
from evkit.core.locked_queues import Guard
from evkit.core.locks import LOCKING, RANK_BASE, Condition
from evkit.core.log import set_log_callback
from forking import in_child
from locking import lock_everything
from patience import PATIENCE

Call = Callable[[Event], object]
Pair = tuple[socket.socket, socket.socket]
MakeConfig = Callable[..., EventConfig]


def ignore(_event: Event, _what: int) -> None:
    pass


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    lock_everything(monkeypatch)


@pytest.fixture
def restless() -> Iterator[None]:
    """Let threads take turns far more often than they would.

    Not as often as the interpreter can: on a machine that is busy with something else, too, each turn is waited for.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


class Running:
    """A loop in a thread of its own."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self.left = threading.Event()
        self._polls = threading.Semaphore(0)
        base.prepare(lambda _watcher, _timeout: self._polls.release())
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.wait_for_poll()

    def _run(self) -> None:
        self.base.loop(EVLOOP_NO_EXIT_ON_EMPTY)
        self.left.set()

    def wait_for_poll(self) -> None:
        assert self._polls.acquire(timeout=PATIENCE)

    def stop(self) -> None:
        self.base.stop()
        assert self.left.wait(PATIENCE)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


@pytest.fixture
def running(base: EventBase) -> Iterator[Running]:
    with Running(base) as running:
        yield running


def in_thread(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


class Gate:
    """A callback that says when it has begun, and returns when it may."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_return = threading.Event()
        self.returned = 0

    def __call__(self, _event: Event, _what: int) -> None:
        self.begun.set()
        assert self.may_return.wait(PATIENCE)
        self.returned += 1


class TestWaking:
    """The loop waits without end; what another thread does must reach it."""

    def test_activate(self, running: Running) -> None:
        called = threading.Event()
        running.base.user(lambda _event, _what: called.set()).trigger()
        assert called.wait(PATIENCE)

    def test_first_timer(self, running: Running) -> None:
        called = threading.Event()
        running.base.timer(lambda _event, _what: called.set()).add(0)
        assert called.wait(PATIENCE)

    def test_deadline_before_the_others(self, running: Running) -> None:
        called = threading.Event()
        far = running.base.timer(ignore)
        far.add(3600)
        running.wait_for_poll()
        running.base.timer(lambda _event, _what: called.set()).add(0)
        assert called.wait(PATIENCE)
        far.delete()

    def test_descriptor(self, running: Running, pair: Pair) -> None:
        called = threading.Event()
        running.base.event(pair[0], EV_WRITE, lambda _event, _what: called.set()).add()
        assert called.wait(PATIENCE)

    def test_call_soon(self, running: Running) -> None:
        called = threading.Event()
        running.base.call_soon(called.set)
        assert called.wait(PATIENCE)

    def test_loopbreak_and_loopexit(self, base: EventBase) -> None:
        for leave in (base.loopbreak, base.loopexit, lambda: base.loopexit(0.0001)):
            with Running(base) as running:
                leave()
                assert running.left.wait(PATIENCE)
            base.loop(EVLOOP_NO_EXIT_ON_EMPTY)  # takes the stop away

    def test_finalizer(self, running: Running) -> None:
        called = threading.Event()
        running.base.timer(ignore).finalize(lambda _event: called.set())
        assert called.wait(PATIENCE)

    def test_last_event_that_is_deleted_lets_the_loop_end(self, base: EventBase, pair: Pair) -> None:
        for event in (base.timer(ignore), base.event(pair[0], EV_READ, ignore)):
            waits = threading.Event()
            watcher = base.prepare(lambda _watcher, _timeout, waits=waits: waits.set())
            event.add(3600)
            thread = in_thread(base.dispatch)
            assert waits.wait(PATIENCE)
            event.delete()
            thread.join(PATIENCE)
            assert not thread.is_alive()
            watcher.close()

    def test_last_timer_that_is_taken_away_too(self, base: EventBase) -> None:
        waits = threading.Event()
        base.prepare(lambda _watcher, _timeout: waits.set())
        event = base.timer(ignore)
        event.add(3600)
        thread = in_thread(base.dispatch)
        assert waits.wait(PATIENCE)
        event.remove_timer()
        thread.join(PATIENCE)
        assert not thread.is_alive()

    def test_last_virtual_event_too(self, base: EventBase) -> None:
        waits = threading.Event()
        base.prepare(lambda _watcher, _timeout: waits.set())
        base.add_virtual()
        thread = in_thread(base.dispatch)
        assert waits.wait(PATIENCE)
        base.del_virtual()
        thread.join(PATIENCE)
        assert not thread.is_alive()

    def test_what_the_loop_need_not_know_does_not_wake_it(self, running: Running) -> None:
        base = running.base
        base.timer(ignore).add(3600)
        running.wait_for_poll()
        later = [base.timer(ignore) for _ in range(100)]
        for event in later:
            event.add(7200)
        for event in later:
            event.remove_timer()
            event.delete()
        assert not running._polls.acquire(blocking=False)

    def test_from_inside_it_writes_nothing(self, base: EventBase, monkeypatch: pytest.MonkeyPatch) -> None:
        woken: list[int] = []
        monkeypatch.setattr(type(base._waker), "wake", lambda _self: woken.append(1))
        base.call_soon(lambda: base.timer(ignore).add(0))
        base.dispatch()
        assert woken == []


class TestDelete:
    @pytest.mark.parametrize("call", ["delete", "delete_block", "free"])
    def test_waits_for_the_callback(self, running: Running, call: str) -> None:
        gate = Gate()
        event = running.base.event(-1, EV_PERSIST, gate)
        event.activate(EV_TIMEOUT)
        assert gate.begun.wait(PATIENCE)
        seen: list[int] = []
        deleting = threading.Event()

        def delete() -> None:
            deleting.set()
            getattr(event, call)()
            seen.append(gate.returned)

        thread = in_thread(delete)
        assert deleting.wait(PATIENCE)
        gate.may_return.set()
        thread.join(PATIENCE)
        assert seen == [1]

    def test_waits_for_that_callback_only(self, running: Running) -> None:
        gate = Gate()
        running.base.user(gate).trigger()
        other = running.base.timer(ignore)
        other.add(3600)
        assert gate.begun.wait(PATIENCE)
        other.delete_block()
        assert gate.returned == 0
        gate.may_return.set()

    @pytest.mark.parametrize(
        ("flags", "call"), [(EV_PERSIST, "delete_noblock"), (EV_PERSIST | EV_FINALIZE, "delete")]
    )
    def test_that_does_not_wait(self, running: Running, flags: int, call: str) -> None:
        gate = Gate()
        event = running.base.event(-1, flags, gate)
        event.trigger()
        assert gate.begun.wait(PATIENCE)
        getattr(event, call)()
        assert gate.returned == 0
        gate.may_return.set()

    def test_block_waits_for_one_that_has_finalize(self, running: Running) -> None:
        gate = Gate()
        event = running.base.event(-1, EV_PERSIST | EV_FINALIZE, gate)
        event.trigger()
        assert gate.begun.wait(PATIENCE)
        thread = in_thread(event.delete_block)
        gate.may_return.set()
        thread.join(PATIENCE)
        assert gate.returned == 1

    @pytest.mark.parametrize("call", ["delete", "delete_block", "delete_noblock", "free"])
    def test_in_its_own_callback_never_waits(self, base: EventBase, call: str) -> None:
        log: list[str] = []

        def callback(event: Event, _what: int) -> None:
            getattr(event, call)()
            log.append("deleted")

        base.event(-1, EV_PERSIST, callback).trigger()
        base.dispatch()
        assert log == ["deleted"]

    def test_callback_that_adds_itself_again_is_deleted_all_the_same(self, running: Running) -> None:
        gate = Gate()

        def callback(event: Event, what: int) -> None:
            gate(event, what)
            event.add(3600)

        event = running.base.timer(callback)
        event.activate(EV_TIMEOUT)
        assert gate.begun.wait(PATIENCE)
        thread = in_thread(event.delete)
        gate.may_return.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert not event.pending()

    def test_finalizer_runs_after_the_callback_and_nobody_waits(self, running: Running) -> None:
        gate = Gate()
        event = running.base.user(gate)
        event.trigger()
        assert gate.begun.wait(PATIENCE)
        returned: list[int] = []
        called = threading.Event()

        def finalize(_event: Event) -> None:
            returned.append(gate.returned)
            called.set()

        event.finalize(finalize)
        assert returned == []
        gate.may_return.set()
        assert called.wait(PATIENCE)
        assert returned == [1]

    def test_on_a_base_without_locks_all_three_are_the_same(self, config: MakeConfig) -> None:
        with EventBase(config(flags=BASE_NOLOCK)) as base:
            for call in ("delete", "delete_block", "delete_noblock"):
                event = base.timer(ignore)
                event.add(5)
                event.activate(EV_TIMEOUT)
                getattr(event, call)()
                assert base.num_events(COUNT_ADDED | COUNT_ACTIVE) == 0


class PlainLock:
    """A lock of a program's own, which knows nothing but how to be taken and given up."""

    def __init__(self, recursive: bool) -> None:
        self.inner = threading.RLock() if recursive else threading.Lock()
        self.acquire, self.release = self.inner.acquire, self.inner.release

    def __enter__(self) -> object:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


class TestLocksOfTheProgram:
    """Whoever waits for a callback gives the lock up, however often the thread has taken it."""

    @pytest.mark.parametrize("checks", [False, True])
    @pytest.mark.parametrize("conditions", [None, lambda lock: threading.Condition(lock.inner)])
    @pytest.mark.parametrize("how", ["forget", "foreach_event", "lock"])
    def test_delete_that_waits_deep_inside(
        self,
        monkeypatch: pytest.MonkeyPatch,
        config: MakeConfig,
        pair: Pair,
        *,
        checks: bool,
        conditions: Any,
        how: str,
    ) -> None:
        for name, value in (("checks", checks), ("make_lock", PlainLock), ("make_condition", conditions)):
            monkeypatch.setattr(LOCKING, name, value)
        gate = Gate()
        with EventBase(config()) as base:
            assert isinstance(base, LockedEventBase)
            with Running(base):
                event = base.event(pair[0], EV_WRITE | EV_PERSIST, gate)
                event.add()
                assert gate.begun.wait(PATIENCE)
                seen: list[int] = []

                def delete() -> None:
                    if how == "forget":
                        base.forget(pair[0].fileno())
                    elif how == "foreach_event":
                        base.foreach_event(lambda event: None if event.internal else event.delete())
                    else:
                        with base.lock, base.lock:
                            event.delete_block()
                    seen.append(gate.returned)

                thread = threading.Thread(target=delete, daemon=True)
                thread.start()
                gate.may_return.set()
                thread.join(PATIENCE)
                assert seen == [gate.returned]
                assert not event.pending()


class TestSignalEvents:
    @pytest.mark.parametrize("act", [lambda event: event.add(3600), lambda event: event.activate(EV_SIGNAL)])
    def test_adding_and_activating_wait_for_the_callback(self, running: Running, act: Call) -> None:
        gate = Gate()
        event = running.base.signal(10, gate)
        event.add()
        event.activate(EV_SIGNAL)
        assert gate.begun.wait(PATIENCE)
        seen: list[int] = []

        def work() -> None:
            act(event)
            seen.append(gate.returned)

        thread = in_thread(work)
        gate.may_return.set()
        thread.join(PATIENCE)
        assert seen == [1] or seen == [2]  # a second call may have been quick
        event.delete()


class InterruptedLock:
    """A lock of a program's own that a signal handler's exception keeps from being taken, once."""

    interrupting = False
    taken = 0

    def __init__(self, recursive: bool) -> None:
        assert recursive
        self.lock = threading.RLock()

    @classmethod
    def interrupt_next(cls) -> None:
        cls.interrupting = True

    def acquire(self) -> bool:
        if InterruptedLock.interrupting:
            InterruptedLock.interrupting = False
            raise KeyboardInterrupt
        InterruptedLock.taken += 1
        return self.lock.acquire()

    def release(self) -> None:
        self.lock.release()
        InterruptedLock.taken -= 1

    def __enter__(self) -> object:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


class TestLock:
    def test_nobody_holds_it_while_a_callback_runs(self, running: Running) -> None:
        """Else the two would wait for each other."""
        gate = Gate()
        running.base.call_soon(gate, None, 0)
        assert gate.begun.wait(PATIENCE)
        running.base.timer(ignore).add(3600)
        assert running.base.num_events(COUNT_ADDED) == 1
        gate.may_return.set()
        running.base.foreach_event(lambda event: None if event.internal else event.delete())

    def test_nobody_holds_it_while_the_table_of_events_is_written(self, base: EventBase) -> None:
        """A callback's ``repr`` may be that of a buffer, which takes a lock that must not be taken after it."""

        class Callback:
            def __call__(self, _event: Event, _what: int) -> None:
                pass

            def __repr__(self) -> str:
                return f"<{buffer!r}>"

        buffer = LockedBuffer(b"abc")
        timer = base.timer(Callback())
        timer.add(5)
        file = io.StringIO()
        base.dump_events(file)
        assert f"  <{buffer!r}> [fd -1]" in file.getvalue()
        timer.delete()

    def test_repr_waits_for_nobody(self, base: EventBase) -> None:
        """Who looks may be looking for a deadlock, or report the failure of a test."""
        assert isinstance(base, LockedEventBase)
        seen: list[str] = []
        with base.lock:
            base.timer(ignore).add(5)
            in_thread(lambda: seen.append(repr(base))).join(PATIENCE)
        assert seen == [f"<EventBase {base.method} idle added=1 active=0>"]

    def test_repr_while_the_queues_change(self, base: EventBase, monkeypatch: pytest.MonkeyPatch) -> None:
        def change() -> int:
            raise RuntimeError("deque mutated during iteration")

        monkeypatch.setattr(type(base.queues), "count", lambda _queues: change())
        assert repr(base) == f"<EventBase {base.method} idle added=0 active=?>"

    def test_is_taken_back_though_a_signal_cuts_that_short(
        self, monkeypatch: pytest.MonkeyPatch, config: MakeConfig
    ) -> None:
        """A second Ctrl-C while the loop's thread waits for the lock, after a callback."""
        monkeypatch.setattr(LOCKING, "checks", False)
        monkeypatch.setattr(LOCKING, "make_lock", InterruptedLock)
        with EventBase(config()) as base:
            assert isinstance(base, LockedEventBase)
            base.call_soon(InterruptedLock.interrupt_next)
            with pytest.raises(KeyboardInterrupt):
                base.dispatch()
            assert InterruptedLock.taken == 0
            assert base.dispatch() is False

    def test_is_free_after_a_callback_that_fails(self, base: EventBase) -> None:
        escaped: list[BaseException] = []
        base.exception_handler = lambda exception, _source: escaped.append(exception)
        base.call_soon(lambda: 1 / 0)
        base.user(lambda _event, _what: 1 / 0).trigger()
        base.timer(ignore).finalize(lambda _event: 1 / 0)
        base.dispatch()
        assert len(escaped) == 3
        assert isinstance(base, LockedEventBase)
        assert not base.lock.held()

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_is_free_after_the_loop_was_left_by_force(
        self, base: EventBase, kind: type[BaseException]
    ) -> None:
        def leave() -> None:
            raise kind

        base.call_soon(leave)
        with pytest.raises(kind):
            base.dispatch()
        assert isinstance(base, LockedEventBase)
        assert not base.lock.held()
        assert base.dispatch() is False


class Worker:
    """A thread's own events, and a mark on each for "deleted": a call that finds the mark is a fault."""

    def __init__(self, base: EventBase, number: int, faults: list[str]) -> None:
        self.base = base
        self.faults = faults
        self.random = random.Random(number)
        self.calls = 0
        self.deleted = [False] * 8
        self.events = [self.make(index) for index in range(8)]

    def make(self, index: int) -> Event:
        def callback(event: Event, what: int) -> None:
            if self.deleted[index]:
                self.faults.append(f"called after delete: {event!r}")
            self.calls += 1
            if what & EV_TIMEOUT and not index % 4:
                event.add(0)  # goes on for ever, until it is deleted

        return self.base.event(-1, EV_PERSIST if index % 2 else 0, callback)

    def delete(self, index: int) -> None:
        event = self.events[index]
        event.delete()
        self.deleted[index] = True
        if event.pending():
            self.faults.append(f"pending after delete: {event!r}")

    def work(self) -> None:
        steps = 0
        while steps < 300 or self.calls < 50:
            steps += 1
            index = self.random.randrange(8)
            act = self.random.choice(
                (
                    lambda index: self.events[index].add(self.random.choice((0, 0.0005, 3600))),
                    lambda index: self.events[index].activate(EV_TIMEOUT),
                    self.delete,
                    lambda _index: self.base.num_events(COUNT_ADDED | COUNT_ACTIVE),
                )
            )
            self.deleted[index] = False
            act(index)
        for index in range(8):
            self.delete(index)


def test_any_thread_may_do_anything_and_nothing_is_called_after_its_deletion(
    restless: None, running: Running
) -> None:
    """Four threads add, activate and delete events of their own, while the loop calls them."""
    base = running.base
    faults: list[str] = []
    workers = [Worker(base, number, faults) for number in range(4)]
    threads = [in_thread(worker.work) for worker in workers]
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert base.num_events(COUNT_ADDED | COUNT_ACTIVE) == 0
    assert faults == []


def test_every_activation_from_four_threads_is_heard(restless: None, running: Running) -> None:
    count = 0
    done = threading.Event()

    def called() -> None:
        nonlocal count
        count += 1
        if count == 4 * 500:
            done.set()

    threads = [in_thread(lambda: [running.base.call_soon(called) for _ in range(500)]) for _ in range(4)]
    assert done.wait(PATIENCE)
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("flags", [0, BASE_EPOLL_USE_CHANGELIST])
def test_descriptors_come_and_go_from_four_threads(restless: None, config: MakeConfig, flags: int) -> None:
    """On a backend that gathers changes, too, none is lost."""
    with EventBase(config(flags=flags)) as base, Running(base):
        hammer_descriptors(base)


def hammer_descriptors(base: EventBase) -> None:
    failed: list[str] = []

    def work() -> None:
        left, right = socket.socketpair()
        left.setblocking(False)
        with left, right:
            for _ in range(50):
                called = threading.Event()
                event = base.event(
                    left, EV_WRITE | EV_PERSIST, lambda _event, _what, called=called: called.set()
                )
                event.add()
                if not called.wait(PATIENCE):
                    failed.append("not called")
                event.delete()

    threads = [in_thread(work) for _ in range(4)]
    for thread in threads:
        thread.join(PATIENCE)
    assert failed == []
    assert base.num_events(COUNT_ADDED) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_child_process_has_a_lock_of_its_own(config: MakeConfig) -> None:
    """The thread that held the parent's at the fork is not there to give it up."""
    with EventBase(config(reinit_after_fork=True)) as base:
        assert isinstance(base, LockedEventBase)
        held, may_release = threading.Event(), threading.Event()

        def hold() -> None:
            with base.lock:
                held.set()
                assert may_release.wait(PATIENCE)

        thread = in_thread(hold)
        assert held.wait(PATIENCE)
        log: list[str] = []

        def child() -> str:
            base.call_soon(log.append, "called")
            base.dispatch()
            return str(log)

        answer = in_child(child)
        may_release.set()
        thread.join()
        assert answer == "['called']"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_child_process_may_run_the_loop_that_another_thread_ran(config: MakeConfig) -> None:
    with EventBase(config(reinit_after_fork=True)) as base, Running(base):
        log: list[str] = []

        def child() -> str:
            base.call_soon(log.append, "called")
            base.dispatch()
            return str(log)

        assert in_child(child) == "['called']"


def test_debug_mode_and_locks_go_together(config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODES, "checks", True)
    with EventBase(config()) as base:
        assert base.event_type is LockedDebugEvent
        assert type(base.signal(10, ignore)) is LockedDebugSignalEvent
        with Running(base):
            called = threading.Event()
            event = base.timer(lambda _event, _what: called.set(), persist=True)
            event.add(0)  # from another thread, which is no fault here
            assert called.wait(PATIENCE)
            event.delete()
        left, right = socket.socketpair()
        with left, right, pytest.raises(ValueError, match="blocks"):
            base.event(left, EV_READ, ignore)


@pytest.mark.parametrize("call", ["delete", "delete_block", "delete_noblock", "finalize"])
def test_debug_mode_sees_every_way_to_delete(
    config: MakeConfig, monkeypatch: pytest.MonkeyPatch, pair: Pair, call: str
) -> None:
    monkeypatch.setattr(MODES, "checks", True)
    lines: list[str] = []
    with EventBase(config()) as base:
        event = base.event(pair[0], EV_READ, ignore)
        event.add()
        pair[0].close()
        set_log_callback(lambda _severity, message: lines.append(message))
        try:
            getattr(event, call)(*([lambda _event: None] if call == "finalize" else []))
        finally:
            set_log_callback(None)
        assert not event.pending()
    (line,) = lines
    assert "was closed before its event was deleted" in line


def test_nobody_holds_the_lock_while_somebody_elses_code_runs(base: EventBase) -> None:
    assert isinstance(base, LockedEventBase)
    lock = base.lock
    held: dict[str, bool] = {}

    def note(what: str) -> bool:
        held[what] = lock.held()
        return True

    class Outbox:
        def flush_output(self) -> None:
            note("flush")

    def callback(_event: Event, _what: int) -> None:
        note("event")
        base.queues.outbox.append(Outbox())
        raise ValueError

    base.exception_handler = lambda _exception, _source: note("handler")
    base.prepare(lambda _watcher, _timeout: note("prepare"))
    base.check(lambda _watcher, _timeout: note("check"))
    base.timer(ignore).finalize(lambda _event: note("finalizer"))
    base.call_soon(note, "call")
    base.user(callback).trigger()
    signal_event = base.signal(10, lambda _event, _what: note("signal"))
    signal_event.activate(EV_SIGNAL)
    base.dispatch()
    assert set(held) == {"event", "flush", "handler", "prepare", "check", "finalizer", "call", "signal"}
    assert not any(held.values())


class Gathering:
    """A backend that must not be told of changes while it waits."""

    name = "gathering"
    features = 0

    def __init__(self) -> None:
        self.masks = MaskTable(lambda native: native)
        self.told: list[tuple[int, int, int]] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def change(self, fd: int, old: int, new: int) -> None:
        self.told.append((fd, old, new))

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        before = list(self.told)
        self.meanwhile()
        assert self.told == before
        return []

    def close(self) -> None:
        pass


def test_backend_that_gathers_hears_after_its_wait_what_came_meanwhile() -> None:
    lock = LOCKING.lock(RANK_BASE)
    gathering = Gathering()
    backend = LockedBackend(gathering, Guard(lock, LOCKING.condition(lock)))

    def change() -> None:
        with lock:
            backend.change(3, 0, EV_READ)
            backend.change(3, EV_READ, 0)

    gathering.meanwhile = change
    with lock:
        backend.change(4, 0, EV_WRITE)
        backend.wait(0.0)
    assert gathering.told == [(4, 0, EV_WRITE), (3, 0, EV_READ), (3, EV_READ, 0)]


@pytest.mark.parametrize(
    "call",
    [
        lambda base, sock: base.once(sock, EV_READ, ignore, -1),
        lambda base, sock: base.event(sock, EV_READ, ignore).add(-1),
        lambda base, _sock: base.timer(ignore).set_priority(9),
        lambda base, _sock: base.priority_init(0),
        lambda base, _sock: base.init_common_timeout(-1),
        lambda base, _sock: base.del_virtual(),
    ],
    ids=["once", "add", "set_priority", "priority_init", "init_common_timeout", "del_virtual"],
)
def test_lock_is_free_after_a_call_that_fails(
    base: EventBase, pair: Pair, call: Callable[[EventBase, socket.socket], object]
) -> None:
    """libevent's ``event_base_once`` keeps it then."""
    with pytest.raises(ValueError, match=r"\w"):
        call(base, pair[0])
    assert isinstance(base, LockedEventBase)
    assert not base.lock.held()
    assert base.num_events(COUNT_ADDED) == 0


class Counted:
    """A condition that tells of each wait."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self.begun = threading.Semaphore(0)

    def wait(self) -> None:
        self.begun.release()  # the lock is held until the wait has begun
        self._condition.wait()

    def notify_all(self) -> None:
        self._condition.notify_all()


def test_waiting_for_a_callback_survives_being_woken_for_nothing(running: Running) -> None:
    """Conditions may do that. A deletion in libevent returns then, although the callback still runs."""
    base = running.base
    assert isinstance(base, LockedEventBase)
    base._guard.finished = counted = Counted(base._guard.finished)
    gate = Gate()
    event = base.user(gate)
    event.trigger()
    assert gate.begun.wait(PATIENCE)
    returned: list[int] = []

    def delete() -> None:
        event.delete()
        returned.append(gate.returned)

    deleting = in_thread(delete)
    assert counted.begun.acquire(timeout=PATIENCE)
    with base.lock:
        counted.notify_all()
    assert counted.begun.acquire(timeout=PATIENCE)  # it waits anew
    gate.may_return.set()
    deleting.join()
    assert returned == [1]
