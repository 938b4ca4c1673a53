"""The access log of ``evkit serve``: where it goes, what its lines look like, and that it can be rotated.

Lines are made by `evkit.http.log.access_log` and written by `evkit.http.log.file`; here options become these two.
"""

import os
import signal
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from evkit import Event, EventBase
from evkit.cli.errors import USAGE, Failure
from evkit.cli.terminal import say
from evkit.http.log.access_log import AccessLog
from evkit.http.log.file import LogFile
from evkit.http.log.format import LogFormat

STDOUT: Final = "-"
"""The name of standard output."""
DEFAULT_FORMAT: Final = "timed"
_STDOUT_FD: Final = 1


def log_format(text: str) -> LogFormat:
    """Read a format, or the name of one.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        return LogFormat(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def check(arguments: Namespace) -> None:
    """Refuse options that would not do what they seem to.

    ``--access-log app:handler`` would log to a file of that name, and show the current folder.

    Raises:
        Failure: These are such.
    """
    taken: str | None = arguments.access_log
    if taken is None:
        if arguments.access_log_format is not None:
            raise Failure("--access-log-format needs --access-log", status=USAGE)
        return
    if arguments.target is not None:
        return
    if os.path.isdir(taken) or (":" in taken and os.sep not in taken):
        raise Failure(
            f"--access-log has taken {taken!r} for its file; "
            f"write --access-log=- {taken}, or name what to serve before the option",
            status=USAGE,
        )


@contextmanager
def opened(base: EventBase, arguments: Namespace, *, rotates: bool) -> Iterator[AccessLog | None]:
    """Open the log that the options ask for; ``None``: they ask for none.

    Args:
        base: The server's.
        arguments: See `evkit.cli.options`.
        rotates: Whether SIGHUP has a file opened anew.

    Raises:
        Failure: It can't be opened.
    """
    path: str | None = arguments.access_log
    if path is None:
        yield None
        return
    with ExitStack() as stack:
        file = stack.enter_context(_open(path))
        log = AccessLog(base, file.write, arguments.access_log_format or DEFAULT_FORMAT)
        stack.enter_context(log)
        if rotates and path != STDOUT:
            stack.callback(_reopen_at_hup(base, log, file).free)
        yield log


def _reopen_at_hup(base: EventBase, log: AccessLog, file: LogFile) -> Event:
    def reopen(event: Event, what: int) -> None:  # noqa: ARG001 - a callback
        log.flush()  # what has happened before the signal belongs to the old file
        file.reopen()

    event = base.signal(signal.SIGHUP, reopen)
    event.add()
    return event


def _open(path: str) -> LogFile:
    if path == STDOUT:
        if sys.stdout is None:  # closed from the start: its number is the loop's by now
            raise Failure("standard output is closed; name a file for the access log")
        return LogFile(os.dup(_STDOUT_FD), tell=_tell)
    try:
        return LogFile(path, tell=_tell)
    except OSError as error:
        raise Failure(f"the access log {path!r} can't be opened: {error.strerror}") from error


def _tell(text: str) -> None:
    say(f"evkit serve: {text}")
