"""The access log: one line per reply, in Common Log Format with the milliseconds that it took at the end.

    192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 2326 0.184

`line` decides what a line looks like; `AccessLog` gathers lines and writes them when the loop has nothing better to
do. Knows the server by its hooks alone.

Source: Apache's mod_log_config, "Common Log Format".
"""

import os
import re
import time
from collections.abc import Callable
from typing import Final

from evkit import EventBase, Watcher
from evkit.cli.terminal import say
from evkit.http import BadRequest, Request, Server

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNSAFE: Final = re.compile(rb"[^ !#-\[\]-~]")
"""All but visible ASCII and the space; of that, ``"`` and the backslash. nginx escapes the same."""
_FLUSH_AT: Final = 65536
"""Characters to gather, at most, however busy the loop is."""


def escape(text: str) -> str:
    """Make ``text`` safe between quotes: no line of the log can be forged by what a client sends."""
    raw = text.encode("utf-8", "surrogateescape")
    return _UNSAFE.sub(lambda match: b"\\x%02X" % match[0][0], raw).decode("ascii")


def stamp(seconds: float) -> str:
    """Write a time, in seconds since the epoch, as ``10/Oct/2000:13:55:36 -0700``, in this machine's zone.

    ``strftime`` would write the month in the language that a served module may have chosen.
    """
    local = time.localtime(seconds)
    minutes = abs(local.tm_gmtoff) // 60
    sign = "-" if local.tm_gmtoff < 0 else "+"
    return (
        f"{local.tm_mday:02}/{_MONTHS[local.tm_mon - 1]}/{local.tm_year}:"
        f"{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02} {sign}{minutes // 60:02}{minutes % 60:02}"
    )


def host_of(peer: str) -> str:
    """Return a client's address without its port: ``"192.0.2.1"``, ``"::1"``, ``"unix:"``."""
    if peer.startswith("unix:"):
        return "unix:"  # a path may follow, which the client has chosen
    return peer.rpartition(":")[0].strip("[]") or "-"


def line(peer: str, when: str, request: str, status: int, size: int, took: float | None) -> str:
    """Write one line, without its end.

    Args:
        peer: The client's address with its port.
        when: See `stamp`.
        request: Method, target and version as sent; empty if it never became a request.
        status: Of the reply.
        size: Bytes of its body.
        took: Seconds from the reading of the head to the end of the reply; ``None``: it never became a request.
    """
    duration = "-" if took is None else f"{took * 1000:.3f}"
    return f'{host_of(peer)} - - [{when}] "{escape(request) or "-"}" {status} {size or "-"} {duration}'


class AccessLog:
    """Writes a line for each reply of a server.

    Args:
        base: The server's event base.
        write: Gets lines, with their ends. What it fails with is told once; those lines are lost.

    Source: the hook ``on_complete`` of `Server`, in place of evhttp's ``evhttp_set_on_complete_cb`` per request.
    """

    __slots__ = (
        "_base",
        "_failed",
        "_lines",
        "_size",
        "_stamp",
        "_stamp_second",
        "_watcher",
        "_write",
    )

    def __init__(self, base: EventBase, write: Callable[[bytes], object]) -> None:
        self._base = base
        self._write = write
        self._failed = False
        self._lines: list[str] = []
        self._size = 0
        self._stamp = ""
        self._stamp_second = -1
        self._watcher: Watcher = base.prepare(self._on_prepare)

    def __repr__(self) -> str:
        return f"<AccessLog lines={len(self._lines)}>"

    def watch(self, server: Server) -> None:
        """Log what ``server`` answers from now on."""
        server.on_complete = self._complete
        server.on_refused = self._refused

    def flush(self) -> None:
        """Write what has been gathered."""
        if not self._lines:
            return
        lines, self._lines, self._size = self._lines, [], 0
        lines.append("")
        try:
            self._write("\n".join(lines).encode("ascii"))
        except OSError as error:
            if not self._failed:
                say(
                    f"evkit serve: writing the access log failed: {error.strerror}; lines are lost until it works again"
                )
            self._failed = True
        else:
            self._failed = False

    def close(self) -> None:
        """Write what has been gathered, and log nothing more."""
        self._watcher.close()
        self.flush()

    def _complete(self, request: Request) -> None:
        took = self._base.clock.monotonic() - request.started_at
        what = f"{request.method} {request.target} HTTP/1.{request.version[1]}"
        self._add(request.peer, what, request.status, request.reply_size, took)

    def _refused(self, peer: str, error: BadRequest) -> None:
        self._add(peer, "", error.status, 0, None)

    def _add(self, peer: str, request: str, status: int, size: int, took: float | None) -> None:
        second = int(self._base.gettimeofday_cached())
        if second != self._stamp_second:
            self._stamp_second, self._stamp = second, stamp(second)
        text = line(peer, self._stamp, request, status, size, took)
        self._lines.append(text)
        self._size += len(text)
        if self._size >= _FLUSH_AT:
            self.flush()

    def _on_prepare(self, watcher: Watcher, timeout: float | None) -> None:  # noqa: ARG002 - a callback
        if timeout != 0:
            self.flush()


def file_writer(fd: int) -> Callable[[bytes], None]:
    """Return a function that writes all of what it gets to a descriptor. It raises ``OSError``."""

    def write(data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]

    return write
