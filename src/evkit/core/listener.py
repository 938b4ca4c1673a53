"""`Listener`: accepts connections and hands each to a callback.

When descriptors run out it pauses, says so once, and comes back by itself: a listening socket that stays readable
must not keep the loop busy. Knows nothing of what is done with a connection.
"""

import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from evkit.core.event import check_callback
from evkit.core.flags import EV_PERSIST, EV_READ
from evkit.core.log import LOG_WARN, log
from evkit.core.net import Address, bound_socket, close_bound_socket, format_address

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.event import Event

DEFAULT_BACKLOG: Final = 1024
"""libevent says 128; a busy server loses connections with that while one pass of the loop takes its time."""
_GIVEN_UP: Final = frozenset(
    getattr(errno, name, -1)  # not every system has all of them
    for name in (
        "ECONNABORTED",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "ENETUNREACH",
        "ENONET",
        "ENOPROTOOPT",
        "EPROTO",
        "ETIMEDOUT",
    )
)
"""Errors of a connection that was lost while it waited: accept(2) hands them on, and the next may be well."""
_MOST_WAITING: Final = 2**31 - 1
"""A C int; the system has a limit of its own far below."""
_PAUSE: Final = 0.1
"""Seconds before an exhausted listener tries again."""
_ACCEPTS_PER_EVENT: Final = 128
"""A flood of connections must not keep those that are there from being served."""

AcceptCallback = Callable[["Listener", socket.socket, object], object]
"""``callback(listener, sock, address)``."""
AcceptErrorCallback = Callable[["Listener", OSError], object]


class Listener:
    """A listening socket on an event base.

    Args:
        base: The event base to run on.
        callback: ``callback(listener, sock, address)`` gets each connection and owns its socket. If it raises, the
            socket is closed. ``None``: nothing is accepted before `set_callback`.
        sock: A bound stream socket. The listener owns it from now on, and closes it in the end.
        backlog: How many connections may wait to be accepted, ``>= 1``; the system has a limit of its own.
            ``None``: the socket listens already, as one of `inherited_sockets`.
        leave_blocking: Leave accepted sockets blocking (``LEV_OPT_LEAVE_SOCKETS_BLOCKING``).
        close_on_free: Close the socket with the listener (``LEV_OPT_CLOSE_ON_FREE``), and remove the file of a unix
            socket, unless ``backlog`` is ``None``.
        disabled: Accept nothing before `enable` (``LEV_OPT_DISABLED``).

    Attributes:
        socket: The listening socket.
        error_callback: ``error(listener, exception)`` hears of what ``accept`` failed with; ``None``: a log line.
        address: What it listens on, as ``127.0.0.1:8080`` or ``unix:/path``.
        port: The port of that; 0 for a unix socket.
        enabled: Whether it is to accept connections.
        closed: Whether `close` was called.

    Raises:
        ValueError: The socket is of a kind that accepts nothing, it does not listen although ``backlog`` is ``None``,
            or ``backlog`` is out of range.
        TypeError: ``callback`` can't be called.
        OSError: The system does not let the socket listen, or the backend refuses it.
        LoopError: The base is closed.

    Whatever is raised, the socket is still the caller's then.

    Source: ``evconnlistener_new``, where a backlog of 0 stands for ``None`` and one below for a default.
    Descriptors are close-on-exec always, as everywhere in Python.
    """

    __slots__ = (
        "_callback",
        "_close_on_free",
        "_event",
        "_leave_blocking",
        "_owns_file",
        "_paused",
        "_reported",
        "_retry",
        "address",
        "base",
        "closed",
        "enabled",
        "error_callback",
        "port",
        "socket",
    )

    def __init__(
        self,
        base: "EventBase",
        callback: AcceptCallback | None,
        sock: socket.socket,
        *,
        backlog: int | None = DEFAULT_BACKLOG,
        leave_blocking: bool = False,
        close_on_free: bool = True,
        disabled: bool = False,
    ) -> None:
        _check(sock, backlog)
        self.base = base
        self.socket = sock
        self.error_callback: AcceptErrorCallback | None = None
        self.enabled = False
        self._callback = _checked(callback)
        self._leave_blocking = leave_blocking
        self._close_on_free = close_on_free
        # The file of a socket that others hold, too, is theirs; to try whether they do would activate their service.
        self._owns_file = backlog is not None
        self._paused = False  # until the retry timer fires
        self._reported = False  # what is wrong was said, and is not over
        self.closed = False
        if backlog is not None:
            sock.listen(backlog)
        sock.setblocking(False)
        name = sock.getsockname()
        self.address = format_address(name)
        self.port: int = name[1] if isinstance(name, tuple) else 0
        self._event = base.event(sock, EV_READ | EV_PERSIST, self._on_readable)
        self._retry = base.timer(self._on_retry)
        if not disabled:
            self.enable()

    @classmethod
    def bind(
        cls,
        base: "EventBase",
        callback: AcceptCallback | None,
        address: Address,
        *,
        reuseable: bool = True,
        reuseable_port: bool = False,
        ipv6_only: bool = False,
        deferred_accept: bool = False,
        keepalive: float | None = None,
        mode: int | None = None,
        backlog: int = DEFAULT_BACKLOG,
        leave_blocking: bool = False,
        close_on_free: bool = True,
        disabled: bool = False,
    ) -> "Listener":
        """Make a listening socket on ``address``.

        Args:
            base: The event base to run on.
            callback: As in the constructor.
            address: ``(ip, port)``, port 0 for any free one, or the path of a unix socket. ``("::", port)`` takes IPv4,
                too, from addresses such as ``::ffff:192.0.2.1``.
            reuseable: Bind although connections of an earlier run linger (``LEV_OPT_REUSEABLE``).
            reuseable_port: Share the port with other processes (``LEV_OPT_REUSEABLE_PORT``).
            ipv6_only: Take no IPv4 on ``::`` (``LEV_OPT_BIND_IPV6ONLY``; else ``LEV_OPT_BIND_IPV4_AND_IPV6``).
            deferred_accept: Accept a connection when its first bytes are there (``LEV_OPT_DEFERRED_ACCEPT``).
            keepalive: Seconds of silence after which the system asks a peer whether it is there, ``>= 1``;
                ``None``: the system's default, which is never. libevent sets 300.
            mode: Permissions of the file of a unix socket, such as 0o660: who may write may connect.
            backlog: As in the constructor, but never ``None``.
            leave_blocking: As in the constructor.
            close_on_free: As in the constructor.
            disabled: As in the constructor.

        Raises:
            OSError: The address is in use, not here, or not allowed; or the backend refuses the socket.
            ValueError: The host is a name, or an option makes no sense or does not go together with the address.
            TypeError: ``callback`` can't be called.
            LoopError: The base is closed.

        Source: ``evconnlistener_new_bind``.
        """
        sock = bound_socket(
            address,
            reuseable=reuseable,
            reuseable_port=reuseable_port,
            ipv6_only=ipv6_only,
            deferred_accept=deferred_accept,
            keepalive=keepalive,
            mode=mode,
        )
        try:
            return cls(
                base,
                callback,
                sock,
                backlog=backlog,
                leave_blocking=leave_blocking,
                close_on_free=close_on_free,
                disabled=disabled,
            )
        except BaseException:
            close_bound_socket(sock)
            raise

    def __repr__(self) -> str:
        state = (
            "closed"
            if self.closed
            else "paused"
            if self._paused
            else "enabled"
            if self.enabled
            else "disabled"
        )
        return f"<Listener {self.address} {state}>"

    def set_callback(self, callback: AcceptCallback | None) -> None:
        """Replace the callback; ``None`` stops accepting until there is one.

        Raises:
            TypeError: ``callback`` can't be called.

        Source: ``evconnlistener_set_cb``.
        """
        self._callback = _checked(callback)
        self._apply()

    def enable(self) -> None:
        """Accept connections. Source: ``evconnlistener_enable``."""
        self.enabled = True
        self._apply()

    def disable(self) -> None:
        """Accept none; the system queues them up to the backlog. Source: ``evconnlistener_disable``."""
        self.enabled = False
        self._apply()

    def accept_waiting(self) -> None:
        """Accept what waits now, and not with the next pass of the loop: after `close` it would be lost.

        As many as in one pass, and none where the listener is disabled or closed. libevent has no such function.
        """
        self._on_readable(self._event, EV_READ)

    def close(self) -> None:
        """Listen no more. Connections that wait to be accepted are reset, unless others have the socket, too.

        The file of a unix socket is removed, unless the socket was given listening.

        Source: ``evconnlistener_free``.
        """
        if self.closed:
            return
        self.closed = True
        self._event.free()
        self._retry.free()
        if self._close_on_free and self._owns_file:
            close_bound_socket(self.socket)
        elif self._close_on_free:
            self.socket.close()

    def _apply(self) -> None:
        if self.enabled and self._callback is not None and not self._paused and not self.closed:
            self._event.add()
        else:
            self._event.delete()

    def _on_readable(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        for _ in range(_ACCEPTS_PER_EVENT):
            if not self._event.pending():
                return  # the callback has disabled or closed us
            try:
                sock, address = self.socket.accept()
            except (BlockingIOError, InterruptedError):
                self._reported = False
                return
            except OSError as error:
                if error.errno in _GIVEN_UP:
                    continue
                self._accept_failed(error)
                return
            sock.setblocking(self._leave_blocking)
            self._hand_over(sock, address)

    def _hand_over(self, sock: socket.socket, address: object) -> None:
        try:
            self._callback(self, sock, address)  # type: ignore[misc]  # without one the event is not added
        except Exception as exception:
            self.base.forget(sock.fileno())  # the callback may have begun to wait for it
            sock.close()
            self.base.escaped(exception, self)

    def _accept_failed(self, error: OSError) -> None:
        """Pause, since trying again at once would fail again, and say so, the first time."""
        self._paused = True
        self._apply()
        self._retry.add(_PAUSE)
        if self.error_callback is not None:
            try:
                self.error_callback(self, error)
            except Exception as exception:
                self.base.escaped(exception, self)
        elif not self._reported:
            log(LOG_WARN, f"{self.address}: accept failed: {error}; trying again every {_PAUSE:g} s")
        self._reported = True

    def _on_retry(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        self._paused = False
        self._apply()


def _checked(callback: AcceptCallback | None) -> AcceptCallback | None:
    return None if callback is None else check_callback(callback)


def _check(sock: socket.socket, backlog: int | None) -> None:
    if sock.type not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        raise ValueError(f"a listener needs a socket that accepts connections, got {sock!r}")
    if backlog is not None and not 1 <= backlog <= _MOST_WAITING:
        raise ValueError(
            f"backlog must be >= 1 and <= {_MOST_WAITING}, or None for a socket that listens already, got {backlog!r}"
        )
    if backlog is None and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ValueError(f"backlog=None is for a socket that listens already, got {sock!r}")
