"""Which locks there are, in which order they may be chosen, and what those that check refuse."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar

import pytest

from evkit.core.base import EventBase
from evkit.core.buffer import Buffer
from evkit.core.buffer.locked import LockedBuffer
from evkit.core.config import EventConfig
from evkit.core.event import Event
from evkit.core.flags import BASE_NOLOCK
from evkit.core.locked import LockedEventBase
from evkit.core.locks import (
    LOCKING,
    RANK_BASE,
    RANK_GROUP,
    RANK_OBJECT,
    CheckedLock,
    ConditionFactory,
    Lock,
    LockFactory,
    enable_lock_debugging,
    set_condition_callbacks,
    set_id_callback,
    set_lock_callbacks,
)
from evkit.core.log import LOG_WARN, log, set_log_callback
from evkit.core.memory import MEMORY, set_mem_functions
from evkit.core.setup import Setup
from evkit.core.threads import use_threads
from evkit.errors import LoopError
from locking import nothing_chosen  # noqa: F401 - a fixture
from patience import PATIENCE

pytestmark = pytest.mark.usefixtures("nothing_chosen")


class CountingLock:
    """A lock of a program's own, which is nobody's ``threading.RLock``."""

    made: ClassVar[list["CountingLock"]] = []

    def __init__(self, recursive: bool) -> None:
        self.lock = threading.RLock() if recursive else threading.Lock()
        self.taken = 0
        CountingLock.made.append(self)

    def acquire(self) -> bool:
        self.lock.acquire()
        self.taken += 1
        return True

    def release(self) -> None:
        self.taken -= 1
        self.lock.release()

    def __enter__(self) -> object:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


class CountingCondition:
    """A condition of the program's own, for its locks only."""

    def __init__(self, lock: Lock) -> None:
        assert isinstance(lock, CountingLock)
        self.lock = lock
        self.condition = threading.Condition(lock.lock)

    def wait(self) -> None:
        assert self.lock.taken == 1
        self.lock.taken = 0
        self.condition.wait(PATIENCE)
        assert self.lock.taken == 0
        self.lock.taken = 1

    def notify_all(self) -> None:
        assert self.lock.taken == 1
        self.condition.notify_all()


class TestChoosing:
    def test_without_it_bases_do_not_lock(self) -> None:
        with EventBase() as base:
            assert type(base) is EventBase
            assert not base.threadsafe

    def test_with_it_they_do_unless_told_not_to(self) -> None:
        use_threads()
        use_threads()
        with EventBase() as base, EventBase(EventConfig(flags=BASE_NOLOCK)) as unlocked:
            assert type(base) is LockedEventBase
            assert base.threadsafe
            assert type(unlocked) is EventBase
            assert type(unlocked.timer(lambda _event, _what: None)) is Event
            use_threads()  # it is done already

    @pytest.mark.parametrize(
        "call",
        [
            use_threads,
            enable_lock_debugging,
            lambda: set_lock_callbacks(CountingLock),
            lambda: set_condition_callbacks(CountingCondition),
            lambda: set_id_callback(int),
        ],
    )
    def test_too_late(self, call: Callable[[], None]) -> None:
        with EventBase(), pytest.raises(LoopError, match=r"comes too late.*before the first EventBase"):
            call()

    def test_not_too_late_for_who_has_only_filled_a_buffer(self) -> None:
        """A plain one locks nothing."""
        buffer = Buffer()
        buffer.reserve(5)
        buffer.commit(5)
        enable_lock_debugging()
        use_threads()
        with EventBase() as base:
            assert type(base) is LockedEventBase

    def test_too_late_after_a_buffer_that_locks(self) -> None:
        LockedBuffer()
        for late in (enable_lock_debugging, lambda: set_lock_callbacks(CountingLock)):
            with pytest.raises(LoopError, match="before the first LockedBuffer is made"):
                late()

    def test_the_same_again_is_fine_and_another_is_refused(self) -> None:
        choices: list[tuple[Callable[..., None], object, object]] = [
            (set_lock_callbacks, CountingLock, lambda _recursive: threading.Lock()),
            (set_condition_callbacks, CountingCondition, threading.Condition),
            (set_id_callback, threading.get_native_id, int),
        ]
        for choose, one, other in choices:
            choose(one)
            choose(one)
            with pytest.raises(LoopError, match="can't replace what was set before"):
                choose(other)
        with EventBase():
            for choose, one, _ in choices:
                choose(one)

    def test_conditions_without_their_locks_are_refused_by_use_threads(self) -> None:
        set_condition_callbacks(CountingCondition)
        with pytest.raises(LoopError, match=r"without set_lock_callbacks\(\)"):
            use_threads()
        set_lock_callbacks(CountingLock)
        use_threads()

    def test_conditions_without_their_locks_are_refused_after_use_threads(self) -> None:
        use_threads()
        with pytest.raises(LoopError, match=r"without set_lock_callbacks\(\)"):
            set_condition_callbacks(CountingCondition)
        set_lock_callbacks(CountingLock)
        set_condition_callbacks(CountingCondition)

    @pytest.mark.parametrize("choose", [set_lock_callbacks, set_condition_callbacks, set_id_callback])
    def test_what_can_not_be_called_is_refused_at_once(self, choose: Callable[[Any], None]) -> None:
        with pytest.raises(TypeError, match=rf"{choose.__name__}\(\) takes a function, got 3"):
            choose(3)

    def test_log_then_memory_then_threads_before_the_first_base_and_none_but_the_log_after_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The order in which programs that use libevent choose; that of the three does not matter."""
        monkeypatch.setattr(MEMORY, "functions", None)
        monkeypatch.setattr(MEMORY, "setup", Setup())
        lines: list[str] = []

        def choose_memory() -> None:
            set_mem_functions(bytearray, lambda memory, _size: memory, lambda _memory: None)

        try:
            set_log_callback(lambda _severity, message: lines.append(message))
            choose_memory()
            set_lock_callbacks(CountingLock)
            set_condition_callbacks(CountingCondition)
            use_threads()
            with EventBase() as base:
                assert type(base) is LockedEventBase
                for late in (choose_memory, lambda: set_lock_callbacks(threading.Lock)):
                    with pytest.raises(LoopError, match="comes too late"):
                        late()
                set_log_callback(lambda _severity, message: lines.append(message.upper()))
                log(LOG_WARN, "late")
        finally:
            set_log_callback(None)
        assert lines == ["LATE"]

    @pytest.mark.parametrize("checks", [False, True])
    def test_locks_and_conditions_and_thread_numbers_of_the_program_are_used(self, *, checks: bool) -> None:
        CountingLock.made.clear()
        asked: list[int] = []
        set_lock_callbacks(CountingLock)
        set_condition_callbacks(CountingCondition)
        set_id_callback(lambda: asked.append(1) or 7)
        if checks:
            enable_lock_debugging()
        use_threads()
        with EventBase() as base:
            (lock,) = CountingLock.made
            taken: list[int] = []
            base.timer(lambda _event, _what: taken.append(lock.taken)).add(0)
            base.prepare(lambda _watcher, _timeout: taken.append(lock.taken))
            base.dispatch()
            assert lock.taken == 0
        assert taken == [0, 0]  # nobody holds it while somebody else's code runs
        assert asked

    def test_wrong_use_is_noticed_where_it_was_asked_for(self) -> None:
        enable_lock_debugging()
        enable_lock_debugging()
        use_threads()
        with EventBase() as base:
            assert isinstance(base, LockedEventBase)
            assert isinstance(base.lock, CheckedLock)
            assert base.lock.rank == RANK_BASE


class TestCheckedLock:
    def make(self, rank: int = RANK_OBJECT, *, recursive: bool = True) -> CheckedLock:
        LOCKING.checks = True
        lock = LOCKING.lock(rank, recursive=recursive)
        assert isinstance(lock, CheckedLock)
        return lock

    def test_recursion(self) -> None:
        lock = self.make()
        with lock, lock:
            assert lock.held()
        assert not lock.held()

    def test_recursion_of_one_that_is_not(self) -> None:
        lock = self.make(recursive=False)
        with lock:
            with pytest.raises(LoopError, match="twice by one thread"):
                lock.acquire()
            assert lock.held()
        assert not lock.held()

    def test_release_by_who_does_not_hold_it(self) -> None:
        lock = self.make()
        raised: list[LoopError] = []

        def release() -> None:
            try:
                lock.release()
            except LoopError as error:
                raised.append(error)

        with lock:
            thread = threading.Thread(target=release)
            thread.start()
            thread.join(PATIENCE)
        assert "does not hold it" in str(raised[0])
        with pytest.raises(LoopError, match="does not hold it"):
            lock.release()

    def test_order(self) -> None:
        ranks = (RANK_OBJECT, RANK_GROUP, RANK_BASE)
        locks = [self.make(rank) for rank in ranks]
        with locks[0], locks[1], locks[2], locks[0]:  # the last one is held already
            pass
        for first in (1, 2):
            with locks[first], pytest.raises(LoopError, match="wrong order"):
                locks[first - 1].acquire()
        assert not any(lock.held() for lock in locks)

    def test_keeps_others_out(self) -> None:
        lock = self.make()
        log: list[str] = []

        def work() -> None:
            with lock:
                log.append("other")

        with lock:
            thread = threading.Thread(target=work)
            thread.start()
            log.append("first")
        thread.join(PATIENCE)
        assert log == ["first", "other"]


def test_lock_of_the_program_is_given_up_by_who_holds_it_only() -> None:
    LOCKING.make_lock = CountingLock
    lock = LOCKING.lock(RANK_OBJECT)
    with lock, lock:
        assert CountingLock.made[-1].taken == 1
        raised: list[RuntimeError] = []

        def release() -> None:
            try:
                lock.release()
            except RuntimeError as error:
                raised.append(error)

        thread = threading.Thread(target=release)
        thread.start()
        thread.join(PATIENCE)
        assert "does not hold it" in str(raised[0])
        assert CountingLock.made[-1].taken == 1
    assert CountingLock.made[-1].taken == 0


def in_daemon(act: Callable[[], object]) -> threading.Thread:
    """Run in a thread that keeps nobody from ending if it waits for ever."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


KINDS = [(None, None), (CountingLock, None), (CountingLock, CountingCondition)]


@pytest.mark.parametrize("checks", [False, True])
@pytest.mark.parametrize(("make_lock", "make_condition"), KINDS)
@pytest.mark.parametrize("depth", [1, 3])
def test_condition_waits_with_the_lock_given_up_however_often_it_was_taken(
    *, checks: bool, make_lock: LockFactory | None, make_condition: ConditionFactory | None, depth: int
) -> None:
    LOCKING.checks, LOCKING.make_lock, LOCKING.make_condition = checks, make_lock, make_condition
    lock = LOCKING.lock(RANK_BASE)
    condition = LOCKING.condition(lock)
    holds = threading.Event()
    log: list[str] = []

    def wait() -> None:
        with ExitStack() as stack:
            for _ in range(depth):
                stack.enter_context(lock)
            holds.set()
            while not log:
                condition.wait()
            log.append("goes on")
            assert not isinstance(lock, CheckedLock) or lock.held()
            threads.append(in_daemon(note_other))
            log.append("still has it")

    def note_other() -> None:
        with lock:
            log.append("other")

    threads = [in_daemon(wait)]
    assert holds.wait(PATIENCE)

    def tell() -> None:
        with lock:  # so the other one waits by now
            log.append("told")
            condition.notify_all()

    threads.append(in_daemon(tell))
    for thread in threads:  # the last one is added meanwhile
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert log == ["told", "goes on", "still has it", "other"]
