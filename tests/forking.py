"""Run a function in a real child process, and bring back what it returned."""

import os
import traceback
from collections.abc import Callable


def in_child(act: Callable[[], str], *, meanwhile: Callable[[], object] | None = None) -> str:
    """Fork; return what ``act()`` returned in the child, or the traceback of what it raised.

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
        with open(reader, "rb") as pipe:
            return pipe.read().decode()
    finally:
        os.waitpid(pid, 0)
