"""`LogFile`: lines for a file, written by a thread of its own, so that no disk and no reader of a pipe stops the loop.

`Backlog` decides what waits and what is lost; `LogFile` is the thread and the descriptor. Knows nothing of what the
lines say.

What can't be written waits, up to a bound; more is dropped and counted. That is told once, and told again when it is
over.
"""

import os
import select
import signal
import stat
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from evkit.core.clock import Clock, SystemClock
from evkit.core.log import LOG_WARN, log

MAX_BACKLOG: Final = 1 << 20
"""Bytes of lines that wait to be written: some 10,000."""
INTERVAL: Final = 0.05
"""Seconds between two writes. A system call and two changes of the thread cost more than a request."""
RETRY: Final = 1.0
"""Seconds until what has failed is tried again."""
CALM: Final = 10.0
"""Seconds without a loss until a trouble is told to be over: what comes and goes would fill the terminal."""
CLOSE_WAIT: Final = 2.0
"""Seconds that `LogFile.close` waits for the last lines to be written."""
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class Backlog:
    """Lines that wait to be written, up to a bound, and how many were lost.

    Args:
        limit: Bytes.
        clock: Tells when a trouble is over.

    Attributes:
        lost: Lines that were dropped.
    """

    __slots__ = (
        "_chunks",
        "_clock",
        "_ended",
        "_limit",
        "_size",
        "_taken",
        "_torn",
        "_troubled_at",
        "_unsaid",
        "lost",
    )

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._chunks: list[bytes] = []
        self._taken = b""  # what is being written
        self._size = 0  # of that, too
        self._ended = False
        self._torn = False  # the first line was written in part
        self._troubled_at: float | None = None  # when something last went wrong
        self._unsaid = 0  # lines that this has cost
        self.lost = 0

    def __len__(self) -> int:
        return self._size

    def add(self, data: bytes) -> str | None:
        """Let lines wait, or drop them; return what there is to tell."""
        if self._size + len(data) <= self._limit:
            self._chunks.append(data)
            self._size += len(data)
            return None
        self.drop(data)
        return self._trouble("the access log is written too slowly; lines are dropped until it keeps up")

    def drop(self, data: bytes) -> None:
        """Lose lines."""
        count = data.count(b"\n")
        self.lost += count
        self._unsaid += count

    def take(self) -> bytes:
        """Return all that waits, to be written now; `written` comes next."""
        self._taken = self._join()
        return self._taken

    def written(self, count: int, error: OSError | None) -> str | None:
        """Hear that the first ``count`` bytes of what was taken were written; return what there is to tell."""
        data, self._taken = self._taken, b""
        if self._ended:
            return None
        self._size -= count
        if count:
            self._torn = data[count - 1] != 0x0A
        if count < len(data):
            self._chunks.insert(0, data[count:])
        if error is None:
            return self._recover()
        why = error.strerror or str(error)
        return self._trouble(
            f"writing the access log failed: {why}; up to {self._limit} bytes of lines wait until it works again"
        )

    def begin_file(self) -> None:
        """What is written from now on goes to a new file, which does not begin in the middle of a line."""
        if self._torn:
            data = self._join()
            rest = data.partition(b"\n")[2]
            self._chunks.append(rest)
            self._size += len(rest) - len(data)
            self.drop(b"\n")
            self._torn = False

    def end(self) -> str | None:
        """Drop what still waits, or is being written for too long; return what there is to tell."""
        self._ended = True
        self.drop(self._taken)
        self.drop(self._join())
        self._size = 0
        return f"the access log ends; {_lines(self._unsaid)} lost" if self._unsaid else None

    def _join(self) -> bytes:
        data = b"".join(self._chunks)
        self._chunks.clear()
        return data

    def _trouble(self, text: str) -> str | None:
        known = self._troubled_at is not None
        self._troubled_at = self._clock.monotonic()
        return None if known else text

    def _recover(self) -> str | None:
        if self._troubled_at is None or self._clock.monotonic() - self._troubled_at < CALM:
            return None
        self._troubled_at = None
        count, self._unsaid = self._unsaid, 0
        return f"the access log is written again; {_lines(count)} lost"


def _lines(count: int) -> str:
    return "1 line was" if count == 1 else f"{count} lines were"


class LogFile:
    """A file that lines are appended to; a context manager that closes it.

    The thread begins with the first line. A process that forks makes its log files after that.

    Args:
        path: The file, which is made where there is none; or a descriptor that is this object's from now on.
        tell: Gets a line about what goes wrong, and when that is over; from another thread, as a rule. ``None``: it
            goes to evkit's log.
        limit: Bytes of lines that wait to be written, at most.

    Raises:
        OSError: The file can't be opened.
    """

    __slots__ = ("_backlog", "_changed", "_ending", "_fd", "_idle", "_path", "_reopening", "_tell", "_thread")

    def __init__(
        self,
        path: str | os.PathLike[str] | int,
        *,
        tell: Callable[[str], object] | None = None,
        limit: int = MAX_BACKLOG,
        clock: Clock | None = None,
    ) -> None:
        self._path = path
        self._fd = path if isinstance(path, int) else os.open(path, _FLAGS, 0o644)
        self._tell = tell or _to_log
        self._backlog = Backlog(limit, clock or SystemClock())
        self._changed = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._idle = False  # the thread has nothing to do, and waits to be told
        self._reopening = False
        self._ending = False

    def __repr__(self) -> str:
        state = "closed" if self._ending else f"waiting={len(self._backlog)}"
        return f"<LogFile {self._path!r} {state} lost={self.lost}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def lost(self) -> int:
        """Lines that were dropped so far."""
        return self._backlog.lost

    def write(self, data: bytes) -> None:
        """Have whole lines written soon. Never waits for the file, and never fails: what is too much is dropped."""
        with self._changed:
            if self._ending:
                self._backlog.drop(data)
                return
            text = self._backlog.add(data)
            self._wake()
        if text is not None:
            self._say(text)

    def reopen(self) -> None:
        """Open the file anew, when what was written so far has gone to the old one: for a log that is rotated.

        Where that fails, it is told and the old file goes on. It means nothing for a descriptor.
        """
        with self._changed:
            if not self._ending and not isinstance(self._path, int):
                self._reopening = True
                self._wake()
                self._changed.notify()

    def close(self, wait: float = CLOSE_WAIT) -> None:
        """Write what waits, and close the file.

        Args:
            wait: Seconds that this may take at most; what still waits then is lost.
        """
        with self._changed:
            if self._ending:
                return
            self._ending = True
            self._changed.notify()
            thread = self._thread
        if thread is None:
            self._release(self._fd)
        else:
            thread.join(wait)
        with self._changed:
            text = self._backlog.end()
        if text is not None:
            self._say(text)

    def _wake(self) -> None:
        """Have the thread look, now or when its pause is over."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="evkit access log", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # there is no room for it; the next line tries again
            self._thread = thread
        elif self._idle:
            self._idle = False
            self._changed.notify()

    # In the thread, which owns the descriptor

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the loop's, and wake it
        while True:
            data, reopening, ending = self._await_work()
            count, error = write_lines(self._fd, data)
            with self._changed:
                text = self._backlog.written(count, error)
            if text is not None:
                self._say(text)
            if ending:
                break
            if reopening:
                self._open_again()
            self._pause(INTERVAL if error is None else RETRY)
        self._release(self._fd)

    def _await_work(self) -> tuple[bytes, bool, bool]:
        with self._changed:
            while not (self._backlog or self._reopening or self._ending):
                self._idle = True
                self._changed.wait()
            self._idle = False
            reopening, self._reopening = self._reopening, False
            return self._backlog.take(), reopening, self._ending

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._reopening or self._ending, seconds)

    def _open_again(self) -> None:
        assert not isinstance(self._path, int)
        try:
            fd = os.open(self._path, _FLAGS, 0o644)
        except OSError as error:
            self._say(
                f"the access log {self._path!r} can't be reopened: {error.strerror}; the old one goes on"
            )
            return
        old, self._fd = self._fd, fd
        with self._changed:
            self._backlog.begin_file()
        self._release(old)

    def _release(self, fd: int) -> None:
        try:
            os.close(fd)
        except OSError as error:  # a network's file system tells now what it could not write
            self._say(f"closing the access log failed: {error.strerror}")

    def _say(self, text: str) -> None:
        try:
            self._tell(text)
        except Exception as exception:
            log(LOG_WARN, f"{text}; and telling so failed with {exception!r}")


def _to_log(text: str) -> None:
    log(LOG_WARN, text)


def write_lines(fd: int, data: bytes) -> tuple[int, OSError | None]:
    """Write whole lines to a descriptor.

    A file takes them in one call. A pipe takes them in pieces of whole lines that it does not tear: others may write to
    it, too.

    Returns:
        How many bytes were written, and what has stopped it. A descriptor that does not block and takes no more is no
        error.

    Source: POSIX ``write``, on PIPE_BUF.
    """
    count = 0
    try:
        most = len(data) if stat.S_ISREG(os.fstat(fd).st_mode) else select.PIPE_BUF
        view = memoryview(data)
        while count < len(data):
            count += os.write(fd, view[count : _end_of_piece(data, count, most)])
    except BlockingIOError:
        return count, None
    except OSError as error:
        return count, error
    return count, None


def _end_of_piece(data: bytes, start: int, most: int) -> int:
    """Return where a piece of at most ``most`` bytes ends: behind a line, unless one alone is longer."""
    if len(data) - start <= most:
        return len(data)
    return data.rfind(b"\n", start, start + most) + 1 or start + most
