"""What ends a command before its work is done.

    Exception
    └── Failure                   told in one line; .status: the exit status

Not part of `EvkitError`'s tree: nobody but `evkit.cli` raises or catches it.
"""

from typing import Final

FAILED: Final = 1
USAGE: Final = 2
"""The exit status for wrong usage: argparse's own, and that of the shell's built-ins."""


class Failure(Exception):  # noqa: N818 - read as "evkit serve failed:"
    """The command can't do what was asked. The message says what was expected, what came, and what to do.

    Attributes:
        status: The exit status: `FAILED`, or `USAGE` where the command line itself is to blame.
    """

    def __init__(self, message: str, *, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status
