"""Where locks and conditions come from, and locks that check how they are used.

Whoever makes an object that threads share asks here, once, when it makes it. The interpreter's own locks will do; a
program may bring others. Knows nothing of what is locked.
"""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol

from evkit.core.setup import SETUP
from evkit.errors import LoopError

RANK_OBJECT: Final = 0
RANK_GROUP: Final = 1
RANK_BASE: Final = 2
"""The order in which one thread may take locks of several kinds: connections, their group, the event base at last."""


class Lock(Protocol):
    """What a lock can do, as ``threading.RLock``."""

    def acquire(self) -> bool:
        """Wait for the lock and take it."""

    def release(self) -> None:
        """Give it up."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> object: ...


class Condition(Protocol):
    """What a condition can do, as ``threading.Condition``. Its lock is held at every call."""

    def wait(self) -> object:
        """Give the lock up until somebody notifies, and take it again. May return for no reason."""

    def notify_all(self) -> object:
        """Let all that wait go on."""


LockFactory = Callable[[bool], Lock]
"""``make_lock(recursive)``: whether one thread may take the lock several times."""

ConditionFactory = Callable[[Lock], Condition]
"""``make_condition(lock)``."""


def _make_lock(recursive: bool) -> Lock:
    return threading.RLock() if recursive else threading.Lock()


def _make_condition(lock: Lock) -> Condition:
    if hasattr(lock, "_release_save"):  # it can be given up however often it was taken
        return threading.Condition(lock)  # type: ignore[arg-type]  # it asks for nothing else
    return PlainCondition(lock)


class PlainCondition:
    """A condition of any lock, which must have been taken once only."""

    __slots__ = ("_lock", "_waiting")

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._waiting: list[threading.Event] = []

    def wait(self) -> None:
        """See `Condition.wait`."""
        event = threading.Event()
        self._waiting.append(event)
        self._lock.release()
        try:
            event.wait()
        finally:
            self._lock.acquire()

    def notify_all(self) -> None:
        """See `Condition.notify_all`."""
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.set()


class Locking:
    """What was chosen for the process.

    Attributes:
        base_type: The class of event bases that lock; ``None``: nobody locks.
        make_lock: Where locks come from; ``None``: not said yet.
        make_condition: Where conditions come from; ``None``: not said.
        identify: Tells threads apart.
        checks: Whether locks check how they are used.
    """

    __slots__ = ("base_type", "checks", "identify", "make_condition", "make_lock")

    def __init__(self) -> None:
        self.base_type: type | None = None
        self.make_lock: LockFactory | None = None
        self.make_condition: ConditionFactory | None = None
        self.identify: Callable[[], int] = threading.get_ident
        self.checks = False

    def lock(self, rank: int, *, recursive: bool = True) -> Lock:
        """Make a lock.

        Args:
            rank: ``RANK_…``: with checks, a thread that holds a lock of a higher rank may not take this one.
            recursive: Whether one thread may take it several times.
        """
        lock = (self.make_lock or _make_lock)(recursive)
        return CheckedLock(lock, rank, recursive=recursive) if self.checks else lock

    def condition(self, lock: Lock) -> Condition:
        """Make a condition of a lock that came from `lock`."""
        return (self.make_condition or _make_condition)(lock)


LOCKING: Final = Locking()
"""The process's own."""


class _Held(threading.local):
    """The locks that this thread holds, the latest last; one that it took twice stands there twice."""

    def __init__(self) -> None:
        self.locks: list[CheckedLock] = []


_HELD: Final = _Held()


class CheckedLock:
    """A lock that raises where it is used wrongly, instead of waiting for ever or letting two threads in.

    Source: ``evthread_enable_lock_debugging``; the order of ranks is evkit's addition.
    """

    __slots__ = ("_lock", "_rank", "_recursive")

    def __init__(self, lock: Lock, rank: int, *, recursive: bool) -> None:
        self._lock = lock
        self._rank = rank
        self._recursive = recursive

    @property
    def rank(self) -> int:
        """Its place in the order, ``RANK_…``."""
        return self._rank

    def held(self) -> bool:
        """Return whether this thread holds it."""
        return self in _HELD.locks

    def acquire(self) -> bool:
        """See `Lock.acquire`.

        Raises:
            LoopError: This thread has it already and it is not recursive, or has one that must be taken after it.
        """
        if self.held():
            if not self._recursive:
                raise LoopError("a lock that is not recursive was taken twice by one thread")
        elif any(lock.rank > self._rank for lock in _HELD.locks):
            raise LoopError("locks were taken in the wrong order: that of the event base comes last")
        self._lock.acquire()
        _HELD.locks.append(self)
        return True

    def release(self) -> None:
        """See `Lock.release`.

        Raises:
            LoopError: This thread does not hold it.
        """
        if not self.held():
            raise LoopError("a lock was released by a thread that does not hold it")
        locks = _HELD.locks
        del locks[len(locks) - 1 - locks[::-1].index(self)]
        self._lock.release()

    # What ``threading.Condition`` asks of a lock that may be taken several times.

    def _is_owned(self) -> bool:
        return self.held()

    def _release_save(self) -> int:
        depth = _HELD.locks.count(self)
        for _ in range(depth):
            self.release()
        return depth

    def _acquire_restore(self, depth: int) -> None:
        for _ in range(depth):
            self.acquire()

    def __enter__(self) -> object:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> None:
        self.release()


def set_lock_callbacks(make_lock: LockFactory) -> None:
    """Take locks from ``make_lock(recursive)``. Call it before `use_threads`, and before the first event base.

    Raises:
        LoopError: Too late, or another was set before. The same again is fine.

    Source: ``evthread_set_lock_callbacks``.
    """
    if make_lock != LOCKING.make_lock:
        _check_change("set_lock_callbacks()", LOCKING.make_lock)
        LOCKING.make_lock = make_lock


def set_condition_callbacks(make_condition: ConditionFactory) -> None:
    """Take conditions from ``make_condition(lock)``; else they are ``threading.Condition``, which takes any lock.

    Raises:
        LoopError: As for `set_lock_callbacks`.

    Source: ``evthread_set_condition_callbacks``.
    """
    if make_condition != LOCKING.make_condition:
        _check_change("set_condition_callbacks()", LOCKING.make_condition)
        LOCKING.make_condition = make_condition


def set_id_callback(identify: Callable[[], int]) -> None:
    """Tell threads apart by ``identify()``; else it is ``threading.get_ident``.

    Raises:
        LoopError: As for `set_lock_callbacks`.

    Source: ``evthread_set_id_callback``.
    """
    if identify != LOCKING.identify:
        _check_change(
            "set_id_callback()", None if LOCKING.identify is threading.get_ident else LOCKING.identify
        )
        LOCKING.identify = identify


def enable_lock_debugging() -> None:
    """Let locks check how they are used. Call it before the first event base.

    Raises:
        LoopError: Too late.

    Source: ``evthread_enable_lock_debugging``.
    """
    if not LOCKING.checks:
        SETUP.require_unused("enable_lock_debugging()")
        LOCKING.checks = True


def _check_change(call: str, before: object) -> None:
    SETUP.require_unused(call)
    if before is not None:
        raise LoopError(f"{call} can't replace what was set before: {before!r}")
