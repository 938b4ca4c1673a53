"""The file that stands for a unix socket: made with the wished mode, replaced when its server has died, removed.

It decides whether a file is abandoned, and takes care that two servers which start at once never remove each other's.
Knows nothing of addresses of other kinds, nor of who listens.
"""

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EADDRINUSE


def bind_unix(sock: socket.socket, path: str | bytes, mode: int | None = None) -> None:
    """Bind ``sock`` to ``path``, and let a stream socket listen: from then on nobody takes its file for abandoned.

    The file of a socket on which nobody listens any more is replaced; any other file is left alone.

    Args:
        sock: A stream or datagram socket.
        path: The file; what begins with a NUL is an abstract name, without one.
        mode: Permissions of the file, as for ``chmod``: who may write may connect. They hold before anybody can.
            ``None``: what the process's umask leaves.

    Raises:
        OSError: The path is in use, or is not allowed.
        ValueError: ``mode`` is none, or there is no file to give it to.
    """
    if mode is not None and (_is_abstract(path) or not 0 <= mode <= 0o777):
        raise ValueError(f"mode needs a path and 0 <= mode <= 0o777, got {mode:#o} for {path!r}")
    with _locked_folder(path) as alone:
        try:
            _bind(sock, path, mode)
        except OSError as error:
            if error.errno != EADDRINUSE or not is_abandoned(path):
                raise
            if not alone:  # or the one that was just bound, and does not listen yet, would be taken for dead
                raise OSError(EADDRINUSE, f"{error.strerror}: another process is replacing it") from None
            os.unlink(path)
            _bind(sock, path, mode)


def _bind(sock: socket.socket, path: str | bytes, mode: int | None) -> None:
    sock.bind(path)
    if mode is not None:
        os.chmod(path, mode)
    if sock.type != socket.SOCK_DGRAM:
        sock.listen(socket.SOMAXCONN)  # who shares the socket with others does not call this once more


def _is_abstract(path: str | bytes) -> bool:
    return os.fsencode(path).startswith(b"\0")


@contextmanager
def _locked_folder(path: str | bytes) -> Iterator[bool]:
    """Tell whether nobody else makes or removes a socket there, and keep others from it, where that can be had.

    The lock goes with the descriptor, whatever happens. Nobody waits for it: all who may read the folder can have it.
    """
    folder = None if _is_abstract(path) else _open_folder(path)
    try:
        yield folder is None or _lock(folder)
    finally:
        if folder is not None:
            os.close(folder)


def _open_folder(path: str | bytes) -> int | None:
    try:
        return os.open(os.path.dirname(os.fsencode(path)) or b".", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None  # it may be written, but not read; or what is wrong with it is for ``bind`` to say


def _lock(folder: int) -> bool:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True


def is_abandoned(path: str | bytes) -> bool:
    """Return whether ``path`` is a unix socket that refuses connections: its server died without removing it.

    A datagram socket that is alive doesn't refuse: it answers that it is of another kind.
    """
    try:
        if _is_abstract(path) or not stat.S_ISSOCK(os.stat(path).st_mode):
            return False  # an abstract name, or somebody's file
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def remove_if_abandoned(path: str | bytes) -> None:
    """Remove the file of a socket that is closed, unless somebody else listens on it or has put another there."""
    if not path:
        return
    with suppress(OSError), _locked_folder(path) as alone:
        if alone and is_abandoned(path):
            os.unlink(path)
