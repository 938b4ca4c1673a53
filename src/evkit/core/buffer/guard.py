"""What a user may do to a buffer: which of its ends are frozen, and how long it may become.

`Guard` decides it, and says so before anything has changed. It does not bind transports, which know what they do. It
knows nothing of what the user wants to add or take.
"""

from typing import Final

from evkit.core.buffer.chain import as_size
from evkit.core.buffer.flow import Flow
from evkit.errors import FrozenBufferError

FRONT: Final = 1
BACK: Final = 2
# Set while a reserved window is good; whatever changes the back clears it. It shares the mask with the freeze, as does
# the bit that says that there is a limit, so that add() needs one test for all.
RESERVED: Final = 4
LIMITED: Final = 8
BACK_GUARD: Final = BACK | RESERVED | LIMITED


class Guard(Flow):
    """A flow with ends that can be frozen, and with a greatest length."""

    __slots__ = ("_frozen", "_max_length")

    def __init__(self) -> None:
        super().__init__()
        self._frozen = 0
        self._max_length = 0

    def freeze(self, *, front: bool = False, back: bool = False) -> None:
        """Let nothing be taken from the front, or added to the back, until it is unfrozen.

        A frozen front stops draining, removing, copying out, prepending, writing, and moving to another
        buffer. A frozen back stops adding, reserving, committing, reading, and moving from another buffer. A
        call that has nothing to do succeeds all the same.

        Raises:
            ValueError: Neither end is named.

        Source: ``evbuffer_freeze``.
        """
        if not (front or back):
            raise ValueError("freeze() needs front=True, back=True or both")
        self._frozen |= FRONT * front | BACK * back

    def unfreeze(self, *, front: bool = False, back: bool = False) -> None:
        """Undo `freeze`. Source: ``evbuffer_unfreeze``."""
        self._frozen &= ~(FRONT * front | BACK * back)

    @property
    def max_length(self) -> int | None:
        """Most bytes that the buffer may have, ``>= 0``; ``None``, the default: no limit.

        What would make it longer raises ``BufferError``, and nothing has changed. `Buffer.read` reads no more than
        there is room for. A buffer that is too long already keeps what it has. A buffered connection's reading and
        writing is not bound by it: see its watermarks.

        libevent has no such limit.
        """
        return self._max_length if self._frozen & LIMITED else None

    @max_length.setter
    def max_length(self, size: int | None) -> None:
        self._limit(size)

    def _limit(self, size: int | None) -> None:
        if size is None:
            self._frozen &= ~LIMITED
        else:
            self._max_length = as_size(size)
            self._frozen |= LIMITED

    def expand(self, size: int) -> None:
        """Make sure that ``size`` more bytes may be added.

        That is all: what is added is handed on rather than copied, so there is no memory to get ready. It does not
        mind the freeze.

        Raises:
            ValueError: ``size`` is negative.
            BufferError: they would be more than `max_length`.

        Source: ``evbuffer_expand``.
        """
        self._make_room(as_size(size))

    def _make_room(self, size: int) -> None:
        if self._frozen & LIMITED and self.length + size > self._max_length:
            raise BufferError(
                f"{size} more bytes would make {self.length + size}, more than max_length ({self._max_length})"
            )

    def _change_front(self) -> None:
        if self._frozen & FRONT:
            raise FrozenBufferError("the front of the buffer is frozen: its owner alone takes from it")

    def _change_back(self, size: int) -> None:
        """Let ``size`` bytes be added."""
        if self._frozen & BACK:
            raise FrozenBufferError("the back of the buffer is frozen: its owner alone adds to it")
        self._make_room(size)
        self._frozen &= ~RESERVED
