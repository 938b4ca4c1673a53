"""Memory that a user fills before it is added to a buffer.

`Windows` decides what becomes of it: the interpreter's memory is copied, that of the program's own functions is the
segment itself. It knows nothing of buffers.
"""

from collections.abc import Iterable

from evkit.core.buffer.chain import as_positive
from evkit.core.buffer.segments import Reference, Segment
from evkit.core.memory import MEMORY, Allocation


class Windows:
    """One or more pieces of memory, given to the user to fill.

    Args:
        sizes: Bytes of each, ``>= 1``.

    Raises:
        ValueError: a size is not positive, or there is none.

    Attributes:
        views: What the user writes to.
    """

    __slots__ = ("_allocations", "_governed", "_sizes", "views")

    def __init__(self, sizes: Iterable[int]) -> None:
        self.views: list[memoryview] = []
        self._governed = MEMORY.functions is not None
        self._sizes = [as_positive(size) for size in sizes]
        if not self._sizes:
            raise ValueError("expected the size of one or more windows")
        self._allocations = [Allocation(size) for size in self._sizes]
        self.views = [memory.view(size) for memory, size in zip(self._allocations, self._sizes, strict=True)]

    def __del__(self) -> None:
        self.close()

    def check(self, filled: tuple[int, ...]) -> None:
        """Refuse more than there is.

        Raises:
            ValueError: a size is more than was reserved.
        """
        if len(filled) > len(self._sizes):
            raise ValueError(f"cannot commit {len(filled)} windows, {len(self._sizes)} were reserved")
        for size, reserved in zip(filled, self._sizes, strict=False):
            if size > reserved:
                raise ValueError(f"cannot commit {size} bytes, {reserved} were reserved")

    def take(self, filled: tuple[int, ...]) -> list[Segment]:
        """Give what was filled, as segments, and the memory back. There is at least one byte."""
        if not self._governed:
            pieces = zip(self._allocations, filled, strict=False)
            return [b"".join([memory.view(size) for memory, size in pieces])]
        self.close()
        taken: list[Segment] = []
        for memory, size, reserved in zip(self._allocations, filled, self._sizes, strict=False):
            if size:
                if size < reserved:
                    memory.shrink(size)
                taken.append(Reference(memory.view(size), memory))
        return taken

    def close(self) -> None:
        """Take the views of a program's own memory from the user: it is about to be freed, or is a buffer's now.

        What he made of them, such as slices, stays good, and is his own risk.
        """
        if self._governed:
            for view in self.views:
                try:
                    view.release()
                except BufferError:
                    pass
