"""Replies from other threads: a door through which any thread may answer, and handlers that run in a pool of threads.

What a thread asks for is done by the loop, in order; so a connection is touched by its own thread alone. Knows nothing
of how a reply is sent.
"""

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from evkit.core import Buffer, BufferEvent
from evkit.core.thread_pool import BoundedPool
from evkit.errors import LocalProtocolError, LoopError
from evkit.http.fields import Fields
from evkit.http.server.door import Body, DoorBefore, ReplyDoor
from evkit.http.server.exchange import MAX_OUTPUT
from evkit.http.server.request import Request
from evkit.http.server.routes import Handler, check_handler

if TYPE_CHECKING:
    from concurrent.futures import Executor

DEFAULT_MAX_WAITING: Final = 1000
"""Requests; gunicorn's ``worker_connections``. With bodies of the default limit they may take 1,000 MiB."""
_FULL: Final = "too many requests are waiting; try again later"
_SHUT: Final = "this server is stopping"
_LOOK: Final = 1.0
"""Seconds after which a thread that waits for a slow client looks whether that is still there."""


def allow_threads(request: Request) -> None:
    """From now on let any thread answer a request, one thread at a time.

    All calls of `Request` that answer may be used but `Request.take_over`. They return before the loop has done what
    they ask for; an error that only the loop can find, as a field that is none, goes to the base's exception handler,
    and the client gets 500. A thread that sends pieces faster than the client takes them waits in
    `Request.send_reply_chunk`. ``drained`` and `Request.on_close` are called by the loop.

    Call it in the loop's thread, before the request is handed on.
    """
    door = request.connection
    if door is not None and not isinstance(door, ThreadDoor):
        request.connection = ThreadDoor(door, request)


def in_threads(
    handler: Handler, pool: "Executor | None" = None, *, max_waiting: int | None = DEFAULT_MAX_WAITING
) -> Handler:
    """Return a handler that calls ``handler`` in a thread of a pool, for work that would keep the loop from others.

    The handler answers as any other does: see `allow_threads`. It gets the whole body: ``stream=True`` is not for it.

    Args:
        handler: May block.
        pool: Where it runs; ``None``: a ``ThreadPoolExecutor`` of its own, made at the first request.
        max_waiting: Requests that may wait for a thread, ``>= 1``; one more gets 503. Each keeps its body. ``None``:
            any number.

    Raises:
        TypeError: The handler can't be called, or is ``async``.
        ValueError: ``max_waiting`` is no such number.

    Close the server before the program ends: Python waits for its threads, and they may wait for clients.

    What it lets escape is treated as of other handlers; so is ``sys.exit``, which ends nothing but the handler. Where
    the pool is shut down, requests that still wait get 503, as do those that come later.
    """
    check_handler(handler)
    return _InThreads(handler, BoundedPool(pool, max_waiting, "evkit-http"))


class _InThreads:
    __slots__ = ("_handler", "_pool")

    def __init__(self, handler: Handler, pool: BoundedPool) -> None:
        self._handler = handler
        self._pool = pool

    def __call__(self, request: Request) -> None:
        if not self._pool.enter():
            request.send_error(503, _FULL)
            return
        allow_threads(request)
        refuse = partial(request.send_error, 503, _SHUT)
        if not self._pool.submit(partial(self._run, request), refuse):
            refuse()

    def _run(self, request: Request) -> None:
        door = request.connection
        if not isinstance(door, ThreadDoor):
            return  # the client did not wait: whoever sends and leaves would keep the pool busy
        try:
            self._handler(request)
        except Exception as exception:
            door.fail(request, exception)
        except SystemExit as exception:  # the pool would keep it, and the client wait
            error = RuntimeError("a handler in a thread called sys.exit()")
            error.__cause__ = exception
            door.fail(request, error)


class ThreadDoor(DoorBefore):
    """A `ReplyDoor` that hands all it is asked for to the loop.

    Args:
        door: The one behind it.
        request: Whose it is.
    """

    __slots__ = ("_posted", "_request")

    def __init__(self, door: ReplyDoor, request: Request) -> None:
        super().__init__(door)
        self._request = request
        self._posted = 0  # bytes of pieces since the client was waited for

    def reply(self, status: int, body: bytes | Buffer, fields: Fields) -> None:
        """See `ReplyDoor.reply`."""
        self._request.status = status  # a second reply is an error at once
        self._post(self._door.reply, status, body, fields)

    def start_reply(self, status: int, fields: Fields) -> None:
        """See `ReplyDoor.start_reply`."""
        self._request.status = status
        self._post(self._door.start_reply, status, fields)

    def send_piece(self, data: bytes | Buffer, drained: Callable[[], object] | None) -> None:
        """See `ReplyDoor.send_piece`; waits where much is on its way, but never in the loop's own thread."""
        self._posted += len(data)
        if self._posted <= MAX_OUTPUT or self.base.in_thread():
            self._post(self._door.send_piece, data, drained)
            return
        self._posted = 0
        room = threading.Event()
        self._post(self._door.send_piece, data, room.set)
        while not (room.wait(_LOOK) or self._request.gone):
            if self.base.closed:
                raise LoopError("the event base was closed, and the server was not")
        if drained is not None:
            self.base.call_soon_threadsafe(drained)

    def end_reply(self, trailers: Fields) -> None:
        """See `ReplyDoor.end_reply`."""
        self._post(self._door.end_reply, trailers)

    def stream(self, pieces: Iterable[Body]) -> None:
        """See `ReplyDoor.stream`; the iterator runs in the thread that calls this."""
        if self._request.method != "HEAD":  # else nobody is to see what it gives
            for piece in pieces:
                if self._request.gone:
                    break
                self._request.send_reply_chunk(piece)
        self._request.send_reply_end()

    def inform(self, status: int, fields: Fields) -> None:
        """See `ReplyDoor.inform`."""
        self._post(self._door.inform, status, fields)

    def take_over(self, status: int, fields: Fields) -> BufferEvent:  # noqa: ARG002 - a ReplyDoor
        """See `ReplyDoor.take_over`."""
        raise LocalProtocolError("take_over() gives a connection to the loop's thread, and to no other")

    def invite_body(self) -> None:
        """See `ReplyDoor.invite_body`."""
        self._post(self._door.invite_body)

    def pause_body(self) -> None:
        """See `ReplyDoor.pause_body`."""
        self._post(self._door.pause_body)

    def resume_body(self) -> None:
        """See `ReplyDoor.resume_body`."""
        self._post(self._door.resume_body)

    def abort(self) -> None:
        """See `ReplyDoor.abort`."""
        self._post(self._door.abort)

    def fail(self, request: Request, exception: Exception) -> None:
        """See `ReplyDoor.fail`."""
        self._post(self._door.fail, request, exception)

    def _post(self, act: Callable[..., object], *arguments: object) -> None:
        self.base.call_soon_threadsafe(self._do, act, arguments)

    def _do(self, act: Callable[..., object], arguments: tuple[object, ...]) -> None:
        request = self._request
        if request.gone:
            return  # the client has gone, or has its reply
        try:
            act(*arguments)
        except Exception as exception:
            if not request.gone:
                if act == self._door.reply or act == self._door.start_reply:
                    request.status = 0  # it was none after all
                self._door.fail(request, exception)
