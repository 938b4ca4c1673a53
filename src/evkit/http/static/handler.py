"""`StaticFiles`: answers requests with the files of a folder.

The doer: it opens what a path names, asks the deciders beside it what to say, and sends it. No descriptor is kept
between two requests.
"""

import errno
import os
import stat
import time
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

from evkit.http.content_coding import acceptable
from evkit.http.server.request import Request
from evkit.http.static import listing as page
from evkit.http.static.conditions import MENTIONED, collect
from evkit.http.static.content_types import ContentTypes
from evkit.http.static.files import Content, Files
from evkit.http.static.folder import Folder
from evkit.http.static.names import split_path
from evkit.http.static.representation import NOSNIFF, Representations
from evkit.http.static.sending import TEXT, answer_asked

_ALLOW: Final = ("Allow", "GET, HEAD, OPTIONS")
_LISTING: Final = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    NOSNIFF,
]

_ENDS: Final = {"br": b".br", "zstd": b".zst", "gzip": b".gz"}
_CODED: Final = tuple(_ENDS)
"""The codings that may stand beside a file, as a rule the shortest first."""

_STATUS: Final = {
    errno.EACCES: 403,
    errno.EPERM: 403,
    errno.ENOENT: 404,
    errno.ENOTDIR: 404,
    errno.ELOOP: 404,
    errno.ENAMETOOLONG: 404,
    errno.EINVAL: 404,  # a name that this file system can't have
    errno.EILSEQ: 404,  # likewise
    errno.ENXIO: 404,  # a socket, or a device without a driver
    errno.ENODEV: 404,
    errno.EMFILE: 503,
    errno.ENFILE: 503,
    errno.ENOMEM: 503,
    errno.EBUSY: 503,  # the file is being changed: see sending
}
"""What a failure of the file system means to the client; what is not here is a fault, logged and answered 500."""


class StaticFiles:
    """A handler that serves the files of a folder.

        server.set_gencb(StaticFiles("public"))

    GET and HEAD, conditional and range requests are understood. Nothing outside the folder is ever sent: symbolic links
    are followed as long as they stay inside, whatever happens to the folder meanwhile. Names that begin with a dot are
    not served, but ``/.well-known/`` is. Reading is not asynchronous: the folder should be on a disk, not across a
    network. Files of up to 64 KiB that have not changed for three seconds stay in memory for one, 8 MiB of them at
    most; whether they have changed since is looked at for each request.

    Args:
        root: The folder. It is looked up by its path for every request, so it may be replaced while the server runs.
        index: Names to serve for a folder, the first that is there.
        listing: Whether to list a folder that has no such file; else 404.
        cache_control: The ``Cache-Control`` field of every file; None: none, so that clients guess by the file's age.
        types: Content types by the end of the name in lower case, ``{".ext": "type/subtype"}``, beside those known.
        prefix: The path below which the folder appears, as in ``"/static"``; whatever is not below it is 404.
        hidden: Serve and list names that begin with a dot.
        precompressed: Where ``style.css`` is asked for, send a file ``style.css.br``, ``.zst`` or ``.gz`` beside it
            that is not older, if the client accepts that coding. What is in it is up to who put it there.

    Raises:
        OSError: ``root`` is not there, or no folder, or may not be read.
        TypeError: ``index`` is one ``str``, where several were meant.
        ValueError: ``prefix`` is no path, ``index`` has one, or ``types`` has something else than ends of names.

    Source: RFC 9110 §8.8, §13, §14; libevent leaves files to its users (``sample/http-server.c``).
    """

    __slots__ = (
        "_files",
        "_folder",
        "_hidden",
        "_index",
        "_listing",
        "_precompressed",
        "_prefix",
        "_representations",
        "_types",
    )

    def __init__(
        self,
        root: str | bytes | os.PathLike[str],
        *,
        index: Iterable[str] = ("index.html",),
        listing: bool = True,
        cache_control: str | None = None,
        types: Mapping[str, str] | None = None,
        prefix: str = "",
        hidden: bool = False,
        precompressed: bool = False,
    ) -> None:
        self._folder = Folder(root)
        self._files = Files(self._folder)
        if isinstance(index, str):
            raise TypeError(f"expected several names, as ({index!r},), got {index!r}")
        self._index = [_plain_name(name) for name in index]
        self._listing = listing
        self._hidden = hidden
        self._types = ContentTypes(types)
        self._representations = Representations(cache_control, varies=precompressed)
        self._precompressed = precompressed
        self._prefix = _prefix_names(prefix)

    def __repr__(self) -> str:
        return f"<StaticFiles {self._folder!r}>"

    def __call__(self, request: Request) -> None:
        """Answer a request."""
        if request.method not in ("GET", "HEAD"):
            _answer_method(request)
            return
        found = split_path(request.raw_path, hidden=self._hidden)
        depth = len(self._prefix)
        if found is None or found[0][:depth] != self._prefix:
            request.send_error(404)
            return
        names, is_folder = found[0][depth:], found[1]
        try:
            if is_folder:
                self._answer_folder(request, names, time.time())
            else:
                self._answer(request, names, time.time())
        except OSError as error:
            status = _STATUS.get(error.errno or 0)
            if status is None or request.status:
                raise
            request.send_error(status)

    # Which file

    def _answer(self, request: Request, names: list[bytes], now: float) -> None:
        """Answer for a path without a slash at its end."""
        content = self._files.open(names, now)
        try:
            mode = content.info.st_mode
            if stat.S_ISREG(mode):
                self._send_file(request, names, content, now)
            elif stat.S_ISDIR(mode):
                _redirect(request, (names or self._prefix)[-1])
            else:
                request.send_error(404)
        finally:
            content.close()

    def _answer_folder(self, request: Request, names: list[bytes], now: float) -> None:
        """Answer for a path that ends in a slash."""
        for name in self._index:
            if self._answer_index(request, [*names, name], now):
                return
        fd = self._folder.open(names)
        try:
            if self._listing and stat.S_ISDIR(os.fstat(fd).st_mode):
                self._send_listing(request, names, fd)
            else:
                request.send_error(404)
        finally:
            os.close(fd)

    def _answer_index(self, request: Request, names: list[bytes], now: float) -> bool:
        """Answer with an index file, if it is there."""
        try:
            content = self._files.open(names, now)
        except FileNotFoundError:
            return False
        try:
            if not stat.S_ISREG(content.info.st_mode):
                return False
            self._send_file(request, names, content, now)
        finally:
            content.close()
        return True

    # What of it

    def _send_file(self, request: Request, names: list[bytes], content: Content, now: float) -> None:
        found = self._find_coded(request, names, content.info, now) if self._precompressed else None
        if found is None:
            self._send(request, names[-1], content, "", now)
            return
        coded, coding = found
        try:
            self._send(request, names[-1], coded, coding, now)
        finally:
            coded.close()

    def _find_coded(
        self, request: Request, names: list[bytes], info: os.stat_result, now: float
    ) -> tuple[Content, str] | None:
        """Open the file that the client likes best of those that have the same content as the one at ``names``."""
        *folder, name = names
        for coding in acceptable(request.headers.get_all("accept-encoding"), _CODED):
            found = self._files.find([*folder, name + _ENDS[coding]], now)
            if found is None:
                continue
            if stat.S_ISREG(found.info.st_mode) and found.info.st_mtime_ns >= info.st_mtime_ns:
                return found, coding
            found.close()
        return None

    def _send(self, request: Request, name: bytes, content: Content, coding: str, now: float) -> None:
        file = content.told.get(coding)
        if file is None:
            file = self._representations.get(content.info, self._types.of(name), now, coding=coding)
            content.told[coding] = file
        headers = request.headers
        if not headers.mention(MENTIONED) or not answer_asked(request, file, content, collect(headers), now):
            request.send_reply(200, content.take((0, file.size)), file.fields)

    def _send_listing(self, request: Request, names: list[bytes], fd: int) -> None:
        def stat_link(name: bytes) -> os.stat_result | None:
            return self._stat(names, name)

        entries, more = page.read_entries(fd, stat_link, hidden=self._hidden)
        path = b"/".join([b"", *self._prefix, *names, b""])
        body = page.render(os.fsdecode(path), entries, parent=bool(names), more=more)
        request.send_reply(200, body, _LISTING)

    def _stat(self, names: list[bytes], name: bytes) -> os.stat_result | None:
        """Look at what a link leads to."""
        try:
            fd = self._folder.open([*names, name])
        except OSError:
            return None
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)


def _plain_name(name: str) -> bytes:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"expected the name of a file without a path, got {name!r}")
    return os.fsencode(name)


def _prefix_names(prefix: str) -> list[bytes]:
    if not prefix.strip("/"):
        return []
    found = split_path(quote(prefix.rstrip("/")), hidden=True)
    if found is None:
        raise ValueError(f'expected a prefix like "/static", got {prefix!r}')
    return found[0]


def _answer_method(request: Request) -> None:
    if request.method == "OPTIONS":
        request.send_reply(204, b"", [_ALLOW])
    else:
        request.send_reply(405, "405 Method Not Allowed\n", [_ALLOW, TEXT])


def _redirect(request: Request, name: bytes) -> None:
    """Send a client to the same path with a slash.

    The reference is relative and begins with the name: no path can make another host of it, and it holds behind a
    proxy that puts the server below a path of its own.
    """
    query = f"?{request.query}" if request.query else ""
    request.send_reply(
        301, "301 Moved Permanently\n", [("Location", f"{quote(name, safe='')}/{query}"), TEXT]
    )
