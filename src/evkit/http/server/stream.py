"""A reply whose body comes out of an iterator, as fast as its client takes it.

Decides when the next piece is asked for. How pieces are sent is the request's business.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from evkit.http.server.door import Body, ReplyDoor
    from evkit.http.server.request import Request

_BATCH: Final = 65536
"""Bytes to gather before the client is waited for."""


class Stream:
    """One such body.

    Args:
        request: What is answered; its reply has begun.
        door: Where it goes.
        pieces: Gives the pieces. One that has a ``close()`` is closed when the reply ends, whichever way, and once.
    """

    __slots__ = ("_asking", "_door", "_pieces", "_request")

    def __init__(self, request: "Request", door: "ReplyDoor", pieces: "Iterable[Body]") -> None:
        self._request = request
        self._door = door
        self._pieces: Iterator[Body] = iter(pieces)
        self._asking = False  # the iterator runs, further up

    def go_on(self) -> None:
        """Send what is there, until it is enough for now."""
        request, size = self._request, 0
        try:
            while size < _BATCH:
                piece = self._ask()
                if request.connection is None:
                    self.close()
                    return
                size += len(piece)
                request.send_reply_chunk(piece, self.go_on if size >= _BATCH else None)
        except StopIteration:
            self.end()
        except Exception as exception:
            self._fail(exception)
            self.close()

    def _ask(self) -> "Body":
        self._asking = True
        try:
            return next(self._pieces)
        finally:
            self._asking = False

    def end(self) -> None:
        """Ask for no more, and end the reply."""
        self.close()
        try:
            self._request.send_reply_end()
        except Exception as exception:
            self._fail(exception)

    def _fail(self, exception: Exception) -> None:
        if self._request.connection is None:  # nobody is left who would be told
            self._door.base.escaped(exception, self._request)
        else:
            self._door.fail(self._request, exception)

    def close(self) -> None:
        """Ask for no more. An iterator that has closed the connection itself is closed when it has given its piece."""
        if self._asking:
            return
        pieces, self._pieces = self._pieces, iter(())
        try:
            close_pieces(pieces)
        except Exception as exception:
            self._fail(exception)


def close_pieces(pieces: "Iterator[Body]") -> None:
    """Close an iterator that can be closed, as generators and files can."""
    close = getattr(pieces, "close", None)
    if close is not None:
        close()
