"""Which locks there are, in which order they may be chosen, and what those that check refuse."""

import threading
from collections.abc import Callable

import pytest

from evkit.core.base import EventBase
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
    Lock,
    PlainCondition,
    enable_lock_debugging,
    set_condition_callbacks,
    set_id_callback,
    set_lock_callbacks,
)
from evkit.core.threads import use_threads
from evkit.errors import LoopError
from locking import nothing_chosen  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("nothing_chosen")


class CountingLock:
    """A lock of a program's own, which is nobody's ``threading.RLock``."""

    made = 0

    def __init__(self, recursive: bool) -> None:
        self.lock = threading.RLock() if recursive else threading.Lock()
        self.taken = 0
        CountingLock.made += 1

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
            lambda: set_condition_callbacks(PlainCondition),
            lambda: set_id_callback(int),
        ],
    )
    def test_too_late(self, call: Callable[[], None]) -> None:
        with EventBase(), pytest.raises(LoopError, match=r"comes too late.*before the first EventBase"):
            call()

    def test_the_same_again_is_fine_and_another_is_refused(self) -> None:
        choices: list[tuple[Callable[..., None], object, object]] = [
            (set_lock_callbacks, CountingLock, lambda _recursive: threading.Lock()),
            (set_condition_callbacks, PlainCondition, threading.Condition),
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

    def test_conditions_without_their_locks_are_refused(self) -> None:
        set_condition_callbacks(PlainCondition)
        with pytest.raises(LoopError, match=r"without set_lock_callbacks\(\)"):
            use_threads()

    def test_locks_and_conditions_and_thread_numbers_of_the_program_are_used(self) -> None:
        made: list[Lock] = []

        def make_condition(lock: Lock) -> PlainCondition:
            made.append(lock)
            return PlainCondition(lock)

        CountingLock.made = 0
        asked: list[int] = []
        set_lock_callbacks(CountingLock)
        set_condition_callbacks(make_condition)
        set_id_callback(lambda: asked.append(1) or 7)
        use_threads()
        with EventBase() as base:
            assert isinstance(base, LockedEventBase)
            assert made == [base.lock]
            taken: list[int] = []
            base.timer(lambda _event, _what: taken.append(base.lock.taken)).add(0)
            base.prepare(lambda _watcher, _timeout: taken.append(base.lock.taken))
            base.dispatch()
            assert base.lock.taken == 0
        assert CountingLock.made == 1
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
            thread.join()
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
        thread.join()
        assert log == ["first", "other"]


@pytest.mark.parametrize("checks", [False, True])
@pytest.mark.parametrize("factory", [None, CountingLock])
def test_condition_waits_with_the_lock_given_up(checks: bool, factory: Callable[[bool], Lock] | None) -> None:
    LOCKING.checks, LOCKING.make_lock = checks, factory
    lock = LOCKING.lock(RANK_BASE)
    condition = LOCKING.condition(lock)
    log: list[str] = []

    def wait() -> None:
        with lock:
            log.append("waits")
            while "told" not in log:
                condition.wait()
            log.append("goes on")

    thread = threading.Thread(target=wait)
    thread.start()
    told = False
    while not told:  # until the thread waits
        with lock:
            if log:
                log.append("told")
                condition.notify_all()
                told = True
    thread.join()
    assert log == ["waits", "told", "goes on"]


def test_lock_taken_twice_is_given_up_whole_by_a_wait() -> None:
    LOCKING.checks = True
    lock = LOCKING.lock(RANK_BASE)
    condition = LOCKING.condition(lock)
    waits = threading.Event()

    def tell() -> None:
        waits.wait()
        with lock:
            condition.notify_all()

    thread = threading.Thread(target=tell)
    thread.start()
    with lock, lock:
        waits.set()
        condition.wait()
        assert isinstance(lock, CheckedLock)
        assert lock.held()
    thread.join()
    assert not lock.held()
