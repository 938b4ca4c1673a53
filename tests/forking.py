"""Run a function in a real child process, and bring back what it returned."""

import os
import signal
import traceback
from collections.abc import Callable

from running import Lines


def in_child(act: Callable[[], str], *, meanwhile: Callable[[], object] | None = None) -> str:
    """Fork; return what ``act()`` returned in the child, or the traceback of what it raised.

    A child that says nothing for long is killed, and fails the test.

    Args:
        act: Runs in the child, which ends after it and cleans nothing up.
        meanwhile: Runs in the parent while the child does.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            answer = act()
        except BaseException:
            answer = traceback.format_exc()
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    try:
        if meanwhile is not None:
            meanwhile()
        with open(reader, "rb", buffering=0) as pipe:
            return "\n".join(Lines(pipe).rest())
    finally:
        os.kill(
            pid, signal.SIGKILL
        )  # which the end of its pipe has shown to be gone, unless something failed
        os.waitpid(pid, 0)
