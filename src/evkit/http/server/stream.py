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
        pieces: Gives the pieces. A generator is closed when the reply ends, whichever way.
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
                self._asking = True
                piece = next(self._pieces)
                self._asking = False
                if request.connection is None:
                    self.close()
                    return
                size += len(piece)
                request.send_reply_chunk(piece, self.go_on if size >= _BATCH else None)
        except StopIteration:
            self._end()
        except Exception as exception:
            self._fail(exception)
        finally:
            self._asking = False

    def _end(self) -> None:
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
        close = getattr(self._pieces, "close", None)
        if close is None or self._asking:
            return
        try:
            close()
        except Exception as exception:
            self._fail(exception)
