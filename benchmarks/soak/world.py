"""`World`: one event base, whose life is a random sequence of operations, and the rules of that life.

It decides which operation comes next, which exceptions are documented and which are faults, what a callback does, and
when a loop has run long enough. Time is a clock that only operations move, and the loop never waits. What the
operations do is the casts' business: the world knows neither buffers nor connections.
"""

import errno
import linecache
from collections import Counter, deque
from collections.abc import Callable, Sequence
from random import Random
from types import TracebackType
from typing import Final, NamedTuple, Protocol

from evkit.core import EVLOOP_NONBLOCK, EVLOOP_ONCE, EventBase, Watcher
from evkit.errors import EvkitError
from evkit.testing import ManualClock
from soak.backend import RecordingBackend

_KEPT: Final = 50
"""Operations to tell of when the soak fails."""
_MOST_POLLS: Final = 6
"""Polls after which a loop is left: what is always ready would keep it for ever."""
_DEEPEST: Final = 3
"""Operations in callbacks in operations; more only takes time."""
_SYSTEM: Final = frozenset(
    {
        errno.EAGAIN,
        errno.EBADF,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EEXIST,
        errno.EINPROGRESS,
        errno.EMSGSIZE,
        errno.ENOTCONN,
        errno.EPERM,
        errno.EPIPE,
    }
)
"""What the system may answer to what the operations ask for."""


class PlannedError(Exception):
    """What callbacks raise on purpose; it may come out wherever a callback's exception may."""


class FaultError(Exception):
    """Something is not as the model has it."""


def check(truth: object, *words: object) -> None:
    """Raise `FaultError` with ``words`` if it is not the truth."""
    if not truth:
        raise FaultError(" ".join(map(str, words)))


class Operation(NamedTuple):
    """One thing that may happen.

    Attributes:
        weight: How often it is drawn, beside the others.
        name: For the report.
        run: Does it.
    """

    weight: int
    name: str
    run: Callable[[], object]


class Cast(Protocol):
    """Things of one kind, and what may happen to them."""

    def operations(self) -> Sequence[Operation]:
        """Return what may happen; asked once."""

    def verify(self) -> None:
        """Compare all of them with their models; raises `FaultError`."""

    def rehearse(self) -> None:
        """See that what should still work does; callbacks do nothing of their own meanwhile."""

    def let_go(self) -> None:
        """Close and forget all of them."""

    def verify_gone(self) -> None:
        """See, when the loop has run once more, that nothing is left to happen."""


def is_documented(exception: Exception) -> bool:
    """Return whether ``exception`` may come out of evkit.

    It was raised by a ``raise`` of evkit's own, or it is an answer of the system that is to be expected. The
    ``ValueError`` of a ``list.remove`` is a fault, and so is everything of another class.
    """
    if isinstance(exception, PlannedError):
        return True
    if isinstance(exception, OSError) and not isinstance(exception, EvkitError):
        return exception.errno in _SYSTEM or _is_raised_by_evkit(exception.__traceback__)
    documented = (EvkitError, ValueError, BufferError)
    return isinstance(exception, documented) and _is_raised_by_evkit(exception.__traceback__)


def _is_raised_by_evkit(traceback: TracebackType | None) -> bool:
    if traceback is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    line = linecache.getline(code.co_filename, traceback.tb_lineno)
    return "evkit" in code.co_filename and line.lstrip().startswith("raise ")


class World:
    """One base with all that lives on it.

    Args:
        method: The backend's name.
        seed: What the sequence follows from.

    Attributes:
        random: Where all chances come from.
        base: The event base.
        clock: Its time.
        backend: What stands between it and the system.
        performed: Operations so far, those in callbacks included.
        called: Callbacks so far.
        outcomes: Names of documented exceptions, and how often they came.
        log: The operations before this moment.
        muted: Callbacks do nothing of their own.
        virtual: Calls of ``add_virtual`` that are not undone.
        faults: What went wrong where nobody could be told.
    """

    def __init__(self, method: str, seed: int) -> None:
        self.random = Random(f"{seed} {method}")
        self.clock = ManualClock()
        self.backend = RecordingBackend.of(method)
        self.base = EventBase(clock=self.clock, backend=self.backend)
        self.base.exception_handler = self._escaped
        self.performed = 0
        self.called = 0
        self.outcomes: Counter[str] = Counter()
        self.log: deque[str] = deque(maxlen=_KEPT)
        self.muted = False
        self.virtual = 0
        self.faults: list[BaseException] = []
        self._depth = 0
        self._polls = 0
        self._casts: list[Cast] = []
        self._operations: list[Operation] = []
        self._weights: list[int] = []
        self.base.prepare(self._on_poll)

    def enter(self, *casts: Cast) -> None:
        """Let them live here; those first that are always ready, or for long, and leave those after them no turn."""
        for cast in casts:
            self._casts.append(cast)
            self._operations += cast.operations()
        total = 0
        for operation in self._operations:
            total += operation.weight
            self._weights.append(total)

    # What happens

    def live(self, operations: int, check_every: int) -> None:
        """Perform so many operations.

        Args:
            operations: How many, those in callbacks included.
            check_every: Operations between two looks at everything.

        Raises:
            Exception: A fault.
        """
        end = self.performed + operations
        look_at = self.performed + check_every
        while self.performed < end:
            self._perform()
            self.raise_fault()
            if self.performed >= look_at:
                self.verify()
                look_at = self.performed + check_every

    def _perform(self) -> None:
        operation = self.random.choices(self._operations, cum_weights=self._weights)[0]
        self.performed += 1
        self.log.append(f"{self.performed:>8} {'  ' * self._depth}{operation.name}")
        self._depth += 1
        try:
            operation.run()
        except Exception as exception:
            if not is_documented(exception):
                raise
            self.outcomes[type(exception).__name__] += 1
        finally:
            self._depth -= 1

    def note(self, *words: object) -> None:
        """Say more of the operation that runs now."""
        self.log[-1] += " " + " ".join(map(str, words))

    def react(self) -> None:
        """Do what a callback does: mostly nothing, now and then anything, an exception included."""
        self.called += 1
        chance = self.random.random()
        if self.muted or self._depth > _DEEPEST or chance < 0.6:
            return
        if chance < 0.61:
            raise PlannedError("a callback fails")
        for _ in range(self.random.randint(1, 3)):
            self._perform()

    def run(self, flags: int = EVLOOP_ONCE | EVLOOP_NONBLOCK) -> None:
        """Run the loop, without waiting and not for long."""
        self._polls = 0
        self.base.loop(flags | EVLOOP_NONBLOCK)

    def _on_poll(self, watcher: Watcher, timeout: float | None) -> None:  # noqa: ARG002 - a callback
        self._polls += 1
        if self._polls > _MOST_POLLS:
            self.base.loopbreak()

    def _escaped(self, exception: BaseException, source: object) -> None:
        name = type(exception).__name__
        if isinstance(exception, Exception) and is_documented(exception):
            self.outcomes[f"{name} from {type(source).__name__}"] += 1
        else:
            self.faults.append(exception)

    def raise_fault(self) -> None:
        """Raise the first thing that went wrong where nobody could be told.

        Raises:
            BaseException: That.
        """
        if self.faults:
            raise self.faults[0]

    # What must hold

    def verify(self) -> None:
        """Compare everything with its model."""
        self.backend.verify(self.base)
        for cast in self._casts:
            cast.verify()

    def let_go(self) -> None:
        """Close and forget everything but the base, and see that it is gone."""
        self.muted = True
        for cast in self._casts:
            cast.rehearse()
            cast.let_go()
        self.settle()
        for cast in self._casts:
            cast.verify_gone()
        self.raise_fault()
        self.base.timers.heap.first_deadline()  # drops what is dead in the heap, and keeps events alive
        self.muted = False

    def settle(self) -> None:
        """Run the loop until nothing happens any more, for a number of passes that must do."""
        for _ in range(30):
            self.run()
