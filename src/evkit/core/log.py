"""Where evkit's own words go: one callback for log lines and one for faults that evkit cannot survive.

Nothing here knows what is logged, or by whom. The default hands each line to Python's ``logging`` under the name
``evkit``, imported only when there is something to say.
"""

import os
from collections.abc import Callable
from types import TracebackType
from typing import Final, NoReturn

from evkit.errors import LoopError

LOG_DEBUG: Final = 0
LOG_MSG: Final = 1
LOG_WARN: Final = 2
LOG_ERR: Final = 3

LogCallback = Callable[[int, str], None]
FatalCallback = Callable[[str], None]


def _to_logging(severity: int, message: str) -> None:
    try:
        import logging  # 10 ms that a program which never logs does not pay
    except (ImportError, OSError):
        # No descriptor is left to read it with: evkit may be about to say just that.
        os.write(2, f"evkit: {message}\n".encode("utf-8", "backslashreplace"))
        return
    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
    logging.getLogger("evkit").log(levels[severity], "%s", message)


_log: LogCallback = _to_logging
_fatal: FatalCallback | None = None


def set_log_callback(callback: LogCallback | None) -> None:
    """Send evkit's log lines to ``callback(severity, message)``; ``None`` restores the default.

    It may be set at any time.

    Args:
        callback: Gets ``LOG_DEBUG`` … ``LOG_ERR`` and one message, which may span lines. It must not call evkit.

    Raises:
        TypeError: It can't be called.

    Source: ``event_set_log_callback``.
    """
    global _log  # noqa: PLW0603 - one log per process, as libevent's
    _check(callback)
    _log = callback or _to_logging


def set_fatal_callback(callback: FatalCallback | None) -> None:
    """Call ``callback(message)`` before `LoopError` is raised for a fault inside evkit; ``None``: no call.

    Raises:
        TypeError: It can't be called.

    Source: ``event_set_fatal_callback``, where the default ends the process; here the error is an exception.
    """
    global _fatal  # noqa: PLW0603 - as above
    _check(callback)
    _fatal = callback


def _check(callback: object) -> None:
    if callback is not None and not callable(callback):
        raise TypeError(f"a callback must be callable, got {callback!r}")


def log(severity: int, message: str) -> None:
    """Say one thing. A log callback that fails must not take down whoever had something to say."""
    try:
        _log(severity, message)
    except Exception as exception:
        if _log is not _to_logging:
            _to_logging(LOG_ERR, f"the log callback failed with {exception!r}")
            _to_logging(severity, message)


def exception_lines(exception: BaseException, where: TracebackType | None = None) -> str:
    """Return ``exception`` and its traceback as the interpreter prints them.

    Args:
        where: The traceback to take in place of the exception's own, which every raise makes longer.
    """
    try:
        import traceback  # some ms that a program in which nothing fails does not pay
    except (ImportError, OSError):  # the interpreter ends, or no descriptor is left to read it with
        return repr(exception)
    return "".join(traceback.format_exception(type(exception), exception, where or exception.__traceback__))


def log_exception(exception: BaseException, source: object) -> None:
    """Log ``exception`` with its traceback: the default exception handler of a base."""
    log(LOG_ERR, f"exception in the callback of {_name(source)}\n{exception_lines(exception)}")


def _name(source: object) -> str:
    """Return the ``repr`` of something that may be half made: what can't tell its own name must not end the loop."""
    try:
        return repr(source)
    except Exception:
        return object.__repr__(source)


def fatal(message: str, cause: BaseException | None = None) -> NoReturn:
    """Report a fault after which the event base cannot go on.

    Raises:
        LoopError: Always, unless the fatal callback raises something of its own.
    """
    log(LOG_ERR, message)
    if _fatal is not None:
        _fatal(message)
    raise LoopError(message) from cause
