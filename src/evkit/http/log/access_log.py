"""`AccessLog`: a line for each request of a server, gathered and written when the loop has nothing better to do.

What a line says is decided by `evkit.http.log.format`; where lines go, by a function that takes them, such as
`evkit.http.log.file.LogFile.write`. Knows the server by its hooks alone.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from evkit.core import EventBase, Watcher
from evkit.http.errors import BadRequest
from evkit.http.log.format import LogFormat, Moment, Refused
from evkit.http.server.request import Request
from evkit.http.server.server import Server

_FLUSH_AT: Final = 65536
"""Characters to gather, at most, however busy the loop is."""


class AccessLog:
    """Writes a line for each request of a server; a context manager that ends the log.

        with LogFile("access.log") as file, AccessLog(base, file.write, "combined") as log:
            log.watch(server)
            base.dispatch()

    A program that has hooks of its own calls `complete` and `refused` from them, in place of `watch`.

    Args:
        base: The server's event base.
        write: Gets whole lines as ASCII or UTF-8, once in a pass of the loop. What it raises goes to the base's
            exception handler the first time, and again after it has worked; those lines are lost.
        log_format: What a line looks like; see `LogFormat`.

    Attributes:
        lost: Lines that ``write`` has failed to write.

    Raises:
        ValueError: There is no such format.

    Source: the hooks of `Server`, in place of evhttp's ``evhttp_request_set_on_complete_cb`` of each request.
    """

    __slots__ = ("_base", "_failed", "_line", "_lines", "_moment", "_size", "_watcher", "_write", "lost")

    def __init__(
        self, base: EventBase, write: Callable[[bytes], object], log_format: LogFormat | str = "common"
    ) -> None:
        self._line = (LogFormat(log_format) if isinstance(log_format, str) else log_format).line
        self._base = base
        self._write = write
        self._failed = False
        self._lines: list[str] = []
        self._size = 0  # characters of them
        self._moment = Moment(base.clock)
        self._watcher: Watcher | None = base.prepare(self._on_prepare)
        self.lost = 0

    def __repr__(self) -> str:
        state = "closed" if self._watcher is None else f"waiting={len(self._lines)}"
        return f"<AccessLog {state} lost={self.lost}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def watch(self, server: Server) -> None:
        """Log all requests of ``server`` from now on: take its hooks ``on_complete`` and ``on_refused``."""
        server.on_complete = self.complete
        server.on_refused = self.refused

    def complete(self, request: Request) -> None:
        """Log a request that is over: for `Server.on_complete`."""
        self._moment.tick()
        line = self._line(request, self._moment)
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _FLUSH_AT:
            self.flush()

    def refused(self, peer: str, error: BadRequest) -> None:
        """Log what was refused before it became a request: for `Server.on_refused`."""
        self.complete(Refused(peer, error))

    def flush(self) -> None:
        """Write what has been gathered."""
        if not self._lines:
            return
        lines, self._lines, self._size = self._lines, [], 0
        if self._watcher is None:
            return
        lines.append("")
        try:
            self._write("\n".join(lines).encode())
        except Exception as exception:
            self.lost += len(lines) - 1
            if not self._failed:
                self._failed = True
                self._base.escaped(exception, self)
        else:
            self._failed = False

    def close(self) -> None:
        """Write what has been gathered, and log nothing more."""
        self.flush()
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def _on_prepare(self, watcher: Watcher, timeout: float | None) -> None:  # noqa: ARG002 - a callback
        if timeout != 0:
            self.flush()
