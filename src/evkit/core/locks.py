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
"""``make_condition(lock)``, of one that came from ``make_lock``. A thread that waits has taken it once."""


class ProgramLock:
    """A lock of the program's own, which a thread takes once, however often it asks for it.

    So it can be given up as a whole, which the contract of `Lock` has no words for, and who waits for a condition must.
    """

    __slots__ = ("_depth", "_lock", "_owner")

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._owner = 0
        self._depth = 0

    def acquire(self) -> bool:
        """See `Lock.acquire`."""
        thread = threading.get_ident()
        if self._owner != thread:
            self._lock.acquire()
            self._owner = thread
        self._depth += 1
        return True

    def release(self) -> None:
        """See `Lock.release`.

        Raises:
            RuntimeError: This thread does not hold it.
        """
        if self._owner != threading.get_ident():
            raise RuntimeError("a lock was released by a thread that does not hold it")
        self._depth -= 1
        if not self._depth:
            self._owner = 0
            self._lock.release()

    def condition(self, make_condition: ConditionFactory) -> "ProgramCondition":
        """Make a condition of it."""
        return ProgramCondition(self, make_condition(self._lock))

    # What ``threading.Condition`` asks of a lock that may be taken several times.

    def _is_owned(self) -> bool:
        return self._owner == threading.get_ident()

    def _release_save(self) -> int:
        depth = self.disown()
        self._lock.release()
        return depth

    def _acquire_restore(self, depth: int) -> None:
        self._lock.acquire()
        self.own(depth)

    def disown(self) -> int:
        """Forget who holds it, before that thread gives it up by itself; return how often it was taken."""
        depth, self._depth, self._owner = self._depth, 0, 0
        return depth

    def own(self, depth: int) -> None:
        """Undo `disown`, when the thread has it again."""
        self._depth, self._owner = depth, threading.get_ident()

    def __enter__(self) -> object:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> None:
        self.release()


class ProgramCondition:
    """A condition of the program's own, of a `ProgramLock`."""

    __slots__ = ("_condition", "_lock")

    def __init__(self, lock: ProgramLock, condition: Condition) -> None:
        self._lock = lock
        self._condition = condition

    def wait(self) -> None:
        """See `Condition.wait`."""
        depth = self._lock.disown()
        try:
            self._condition.wait()
        finally:
            self._lock.own(depth)

    def notify_all(self) -> None:
        """See `Condition.notify_all`."""
        self._condition.notify_all()


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
        lock: Lock
        if self.make_lock is not None:
            lock = ProgramLock(self.make_lock(recursive))
        else:
            lock = threading.RLock() if recursive else threading.Lock()
        return CheckedLock(lock, rank, recursive=recursive) if self.checks else lock

    def condition(self, lock: Lock) -> Condition:
        """Make a condition of a lock that came from `lock`, a recursive one."""
        if isinstance(lock, CheckedLock):
            lock = lock.unchecked  # while a thread waits it does nothing that could be checked
        if self.make_condition is not None and isinstance(lock, ProgramLock):
            return lock.condition(self.make_condition)
        return threading.Condition(lock)  # type: ignore[arg-type]  # it asks for what both kinds of locks have


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

    @property
    def unchecked(self) -> Lock:
        """What it takes."""
        return self._lock

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

    def __enter__(self) -> object:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> None:
        self.release()


def set_lock_callbacks(make_lock: LockFactory) -> None:
    """Take locks from ``make_lock(recursive)``. Call it before the first event base and the first `LockedBuffer`.

    Raises:
        LoopError: Too late, or another was set before. The same again is fine.
        TypeError: It can't be called.

    Source: ``evthread_set_lock_callbacks``.
    """
    if make_lock != LOCKING.make_lock:
        _check_change("set_lock_callbacks()", LOCKING.make_lock, make_lock)
        LOCKING.make_lock = make_lock


def set_condition_callbacks(make_condition: ConditionFactory) -> None:
    """Take conditions from ``make_condition(lock)``; else they are ``threading.Condition``, also for your own locks.

    Args:
        make_condition: Gets a lock that came from the function of `set_lock_callbacks`. A thread that waits for the
            condition has taken it once.

    Raises:
        LoopError: As for `set_lock_callbacks`; or `use_threads` was called, and there are no locks that they are for.
        TypeError: It can't be called.

    Source: ``evthread_set_condition_callbacks``.
    """
    if make_condition != LOCKING.make_condition:
        _check_change("set_condition_callbacks()", LOCKING.make_condition, make_condition)
        if LOCKING.base_type is not None:
            check_complete(LOCKING.make_lock, make_condition)
        LOCKING.make_condition = make_condition


def check_complete(make_lock: LockFactory | None, make_condition: ConditionFactory | None) -> None:
    """Refuse conditions without the locks that they are for.

    Raises:
        LoopError: There are no such locks.
    """
    if make_condition is not None and make_lock is None:
        raise LoopError(
            "set_condition_callbacks() was called without set_lock_callbacks(): it would get other locks"
        )


def set_id_callback(identify: Callable[[], int]) -> None:
    """Tell threads apart by ``identify()``; else it is ``threading.get_ident``.

    Raises:
        LoopError: As for `set_lock_callbacks`.
        TypeError: It can't be called.

    Source: ``evthread_set_id_callback``.
    """
    before = LOCKING.identify
    if identify != before:
        _check_change("set_id_callback()", None if before is threading.get_ident else before, identify)
        LOCKING.identify = identify


def enable_lock_debugging() -> None:
    """Let locks check how they are used. Call it before the first event base and the first `LockedBuffer`.

    What is wrong raises `LoopError` where it is done: a lock that is not recursive is taken twice, locks are taken in
    the wrong order (that of an event base comes last), a thread gives up what it does not hold.

    Raises:
        LoopError: Too late. To call it twice is fine.

    Source: ``evthread_enable_lock_debugging``.
    """
    if not LOCKING.checks:
        SETUP.require_unused("enable_lock_debugging()")
        LOCKING.checks = True


def _check_change(call: str, before: object, wanted: object) -> None:
    if not callable(wanted):
        raise TypeError(f"{call} takes a function, got {wanted!r}")
    SETUP.require_unused(call)
    if before is not None:
        raise LoopError(f"{call} can't replace what was set before: {before!r}")
