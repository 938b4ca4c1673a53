"""What must be settled before evkit is used: locks, debug modes, memory functions. Here it is decided what is too late.

Those choices take effect where an object is made. One that comes late would hold for some of the objects and not for
others, which is worse than an error. Knows nothing of what is chosen, nor of the objects.
"""

from typing import Final

from evkit.errors import LoopError


class Setup:
    """Whether anything was made yet that a choice would have held for.

    Attributes:
        first_use: What was made first; ``None``: nothing yet.
    """

    __slots__ = ("first_use",)

    def __init__(self) -> None:
        self.first_use: str | None = None

    def use(self, what: str) -> None:
        """Note that the first object of a kind is made: from now on it is too late.

        Args:
            what: The name of its class.
        """
        if self.first_use is None:
            self.first_use = what

    def require_unused(self, call: str) -> None:
        """Let ``call`` go on if it comes in time.

        Raises:
            LoopError: Something was made already.
        """
        if self.first_use is not None:
            raise LoopError(f"{call} comes too late: call it before the first {self.first_use} is made")


SETUP: Final = Setup()
"""The process's own."""
