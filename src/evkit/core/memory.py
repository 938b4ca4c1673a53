"""Where the memory comes from that evkit allocates itself: windows to be filled, and files that are read at once.

`set_mem_functions` decides for the process, before first use. All other bytes that evkit handles are ``bytes`` objects:
what a socket or a file gave, copies of what could change, joined segments. Those are the interpreter's, and nobody can
replace their allocation from Python. Knows nothing of buffers.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from evkit.core.setup import SETUP, Setup

M = TypeVar("M")


class MemFunctions(NamedTuple):
    """The three functions that a program brought; what they call memory is theirs, hence ``Any``."""

    allocate: Callable[[int], Any]
    reallocate: Callable[[Any, int], Any]
    free: Callable[[Any], object]


class Memory:
    """What was chosen for the process.

    Attributes:
        functions: What to allocate with; ``None``: ``bytearray``.
        setup: Whether any was allocated yet. By itself, as it is too late then for other functions only.
    """

    __slots__ = ("functions", "setup")

    def __init__(self) -> None:
        self.functions: MemFunctions | None = None
        self.setup = Setup()


MEMORY: Final = Memory()
"""The process's own."""


class Allocation:
    """A piece of memory, which is freed once: when the last that needs it lets go of it.

    Args:
        size: Bytes wanted, ``>= 0``.

    Raises:
        MemoryError: the program's function gave ``None``.
        TypeError: it gave something that is no contiguous, writable memory.
        ValueError: it gave too little.
    """

    __slots__ = ("_functions", "_memory")

    def __init__(self, size: int) -> None:
        self._memory: Any = None
        self._functions = functions = MEMORY.functions
        MEMORY.setup.use("piece of memory")
        if functions is None:
            self._memory = bytearray(size)
            return
        self._memory = functions.allocate(size)
        if self._memory is None:
            raise MemoryError(f"allocate({size}) gave no memory")
        self.view(size).release()

    def view(self, size: int) -> memoryview:
        """Give a writable view of the first ``size`` bytes."""
        view = memoryview(self._memory)
        if view.readonly or not view.c_contiguous:
            raise TypeError("allocate() and reallocate() must give contiguous, writable memory")
        if view.nbytes < size:
            raise ValueError(f"expected {size} bytes of memory, got {view.nbytes}")
        return view.cast("B")[:size]

    def shrink(self, size: int) -> None:
        """Give back what is behind the first ``size`` bytes, of which no view may exist. An exception is the program's.

        Nothing is given back of memory that came from none of the program's functions.
        """
        smaller = None if self._functions is None else self._functions.reallocate(self._memory, size)
        if smaller is not None:  # as realloc: else the old is good still
            self._memory = smaller

    def __del__(self) -> None:
        memory, self._memory = self._memory, None
        if memory is not None and self._functions is not None:
            self._functions.free(memory)


def set_mem_functions(
    allocate: Callable[[int], M | None] | None,
    reallocate: Callable[[M, int], M | None] | None,
    free: Callable[[M], object] | None,
) -> None:
    """Have evkit take its memory from these three. Call it before anything else of evkit.

    They are asked for the memory of `Buffer.reserve`, which then is the segment that `Buffer.commit` adds, and for that
    of a `FileSegment` that is read at once. Other bytes are ``bytes`` objects, which only the interpreter can allocate.

    Args:
        allocate: ``allocate(size)`` gives writable memory of ``size`` bytes or more, such as a ``bytearray`` or an
            ``mmap``; ``None`` if there is none, for which whoever asked gets a ``MemoryError``.
        reallocate: ``reallocate(memory, size)`` gives memory of another size with the contents of the old, which it
            frees or gives back; ``None`` if it cannot, and then the old stays good. evkit only shrinks.
        free: ``free(memory)`` takes back what the other two gave, once each; from whichever thread lets go last. An
            exception in it goes to ``sys.unraisablehook``.

    Three times ``None`` is ``bytearray`` again.

    Raises:
        ValueError: Some are given and some are ``None``.
        TypeError: One cannot be called.
        LoopError: Too late: an event base, a `LockedBuffer` or memory exists already.

    Source: ``event_set_mem_functions``, which takes each by itself.
    """
    if allocate is None and reallocate is None and free is None:
        _require_unused()
        MEMORY.functions = None
        return
    if allocate is None or reallocate is None or free is None:
        raise ValueError("set_mem_functions() needs all three functions, or none")
    functions = MemFunctions(allocate, reallocate, free)
    for name, function in zip(("allocate", "reallocate", "free"), functions, strict=True):
        if not callable(function):
            raise TypeError(f"expected a function for {name}, got {type(function).__name__}")
    _require_unused()
    MEMORY.functions = functions


def _require_unused() -> None:
    for setup in (SETUP, MEMORY.setup):
        setup.require_unused("set_mem_functions()")
