"""Words for whoever sits at the terminal."""

import os
import sys
from typing import Final

from evkit.cli.errors import Failure

_STDERR: Final = 2


def say(text: str) -> None:
    """Write a line to standard error at once; if nobody is there to read it, go on.

    It goes past ``sys.stderr``, so that a signal handler may say something while a ``print`` is under way.
    """
    if sys.stderr is None:
        return  # it was closed from the start, and its number may be a client's by now
    try:
        os.write(_STDERR, f"{text}\n".encode(errors="backslashreplace"))
    except OSError:
        pass


def show(text: str) -> None:
    """Write a line to standard output.

    Raises:
        BrokenPipeError: Its reader has gone.
        Failure: It can't be written to.
    """
    try:
        try:
            print(text, flush=True)
        except UnicodeEncodeError as error:  # before anything was written
            print(text.encode(error.encoding, "backslashreplace").decode(error.encoding), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failure(f"standard output can't be written to: {error.strerror}") from error


def flush_output() -> bool:
    """Send what was printed on its way, or lose it: Python would fail with a traceback at its exit.

    Returns:
        Whether it was sent.
    """
    if sys.stdout is None:  # closed from the start: nothing was printed
        return True
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        return False
    return True


def one_line(value: object) -> str:
    """Return the text of ``value`` without line breaks and control characters."""
    text = " ".join(str(value).split())
    return text if text.isprintable() else repr(text)[1:-1]
