"""`Incoming`: the body of a response on its way to the program, decoded, whole or piece by piece.

It decides when a piece is delivered and when the end is told. It knows nothing of connections: its `Tap` is opened and
shut.
"""

import errno
import io
from collections.abc import Callable
from typing import BinaryIO, Final, Protocol, TypeVar

from evkit.core import Buffer, EventBase, Future
from evkit.errors import LocalProtocolError
from evkit.http.client.decoding import Decoder
from evkit.http.client.frames import without_frames
from evkit.http.client.response import OnData, OnEnd, Response
from evkit.http.errors import ContentError, ContentTooLarge

T = TypeVar("T")

_PIECE: Final = 262144
"""Most bytes of one piece."""


class Tap(Protocol):
    """Where bytes come from."""

    def go_on(self) -> None:
        """Let them come."""

    def hold(self) -> None:
        """Let them wait."""

    def drop(self) -> None:
        """Let no more come, ever; nothing is called any more."""


class Incoming:
    """The body of one response; the `Source` of a `Response`.

    Args:
        response: Whose body it is.
        tap: Where it comes from.
        sink: Where it comes in.
        decoder: Undoes its codings.
        base: The event base.
        limit: Bytes that `read` collects at most.
    """

    __slots__ = (
        "_base",
        "_decoder",
        "_delivering",
        "_ended",
        "_error",
        "_limit",
        "_on_data",
        "_on_end",
        "_paused",
        "_pieces",
        "_response",
        "_sink",
        "_taken",
        "_tap",
    )

    def __init__(
        self,
        response: Response,
        tap: Tap,
        sink: Buffer,
        decoder: Decoder | None,
        base: EventBase,
        limit: int | None,
    ) -> None:
        # These two, and the callbacks, are let go of in the end, for who is behind them refers to this.
        self._response: Response | None = response
        self._tap: Tap | None = tap
        self._sink = sink
        self._decoder = decoder
        self._base = base
        self._limit = limit
        self._pieces: list[bytes] = []  # of a body that is received whole, and decoded
        self._on_data: OnData | None = None
        self._on_end: OnEnd | None = None
        self._taken = False  # somebody receives it, or did, or wants none of it
        self._paused = False
        self._delivering = False
        self._ended = False
        self._error: Exception | None = None

    # What comes

    def came(self) -> None:
        """There is something in the sink.

        Raises:
            ContentError: It can't be decoded, or becomes too long.
        """
        if self._on_data is not None:
            self._deliver()
        elif self._decoder is not None:
            self._pieces.extend(self._decoder.decode(self._sink.remove()))

    def whole(self) -> bytes:
        """Return all of it.

        Raises:
            ContentError: It is cut short.
        """
        self._tap = self._response = None
        if self._decoder is None:
            return self._sink.remove()
        self._decoder.finish()
        return b"".join(self._pieces)

    def ended(self, error: Exception | None) -> None:
        """Nothing more comes: that was all, or ``error`` is why."""
        self._ended = True
        self._error = error
        self._tap = None
        if self._on_end is not None and not self._delivering:
            self._deliver()

    # What the program asks for: see Source

    def receive(self, on_data: OnData, on_end: OnEnd) -> None:
        """See `Response.receive`."""
        if self._taken:
            raise LocalProtocolError("the body was received already, or closed")
        self._taken = True
        self._on_data, self._on_end = on_data, on_end
        self._base.call_soon(self._begin)

    def _begin(self) -> None:
        if self._on_data is None or self._paused:
            return
        self._deliver()
        if self._tap is not None and not self._paused:
            self._tap.go_on()

    def pause(self) -> None:
        """See `Response.pause`."""
        self._paused = True
        if not self._delivering:  # else the piece that is being delivered is seen first
            self._hold()

    def _hold(self) -> None:
        if self._tap is not None:
            self._tap.hold()

    def resume(self) -> None:
        """See `Response.resume`."""
        if self._paused:
            self._paused = False
            if not self._delivering:
                self._begin()

    def close(self) -> None:
        """See `Response.close`."""
        self._taken = self._ended = True
        self._on_data = self._on_end = self._response = None
        self._sink.clear()
        self._drop()

    def _drop(self) -> None:
        tap, self._tap = self._tap, None
        if tap is not None:
            tap.drop()

    def read(self) -> Future[bytes]:
        """See `Response.read`."""
        pieces: list[bytes] = []
        size = 0

        def collect(_response: Response, data: bytes) -> None:
            nonlocal size
            size += len(data)
            if self._limit is not None and size > self._limit:
                raise ContentTooLarge(f"expected a body of at most {self._limit} bytes")
            pieces.append(data)

        return self._as_future(collect, lambda: b"".join(pieces))

    def save(self, file: BinaryIO) -> Future[int]:
        """See `Response.save`."""
        written = 0

        def write(_response: Response, data: bytes) -> None:
            nonlocal written
            _write_all(file, data)
            written += len(data)

        return self._as_future(write, lambda: written)

    def _as_future(self, on_data: OnData, result: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future(self._base, lambda _future: self.close())

        def end(_response: Response, error: Exception | None) -> None:
            if error is None:
                future.set_result(result())
            else:
                future.set_exception(error)

        self.receive(on_data, end)
        return future

    # Delivery

    def _deliver(self) -> None:
        """Hand on what there is, until the program pauses; then tell the end, if it has come."""
        self._delivering = True
        try:
            self._hand_on()
        finally:
            self._delivering = False
        if self._paused:
            self._hold()
        elif self._ended:
            self._tell_end()

    def _hand_on(self) -> None:
        try:
            while not self._paused and self._on_data is not None and self._response is not None:
                piece = self._next_piece()
                if not piece:
                    break
                self._on_data(self._response, piece)
        except Exception as error:
            self._sink.clear()
            self._decoder = None
            self._paused = False  # there is nothing left to wait for
            self._error = self._error or error
            self._ended = True
            self._drop()

    def _next_piece(self) -> bytes:
        if self._decoder is None:
            return self._sink.remove(_PIECE) if self._sink.length else b""
        piece = self._decoder.read()
        if not piece and self._sink.length:
            self._decoder.feed(self._sink.remove())
            piece = self._decoder.read()
        return piece

    def _tell_end(self) -> None:
        """Tell it. What goes wrong there is no fault of the connection, which has another request by now."""
        on_end, response = self._on_end, self._response
        self._on_end = self._on_data = self._response = None
        if on_end is None or response is None:
            return
        try:
            on_end(response, self._outcome())
        except Exception as error:
            self._base.escaped(error, on_end)

    def _outcome(self) -> Exception | None:
        """Return how it ends, and don't keep it: a traceback's frames refer to this."""
        error, self._error = self._error, None
        if error is None and self._decoder is not None:
            try:
                self._decoder.finish()
            except ContentError as cut:
                error = cut
        return error and without_frames(error)


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Write ``data``, in several calls where a file without a buffer takes less at once."""
    view = memoryview(data)
    while view:
        taken: int | None = file.write(view)
        if taken is None and isinstance(file, io.RawIOBase):
            raise BlockingIOError(errno.EAGAIN, "the file takes nothing for now")
        view = view[len(view) if taken is None else taken :]
