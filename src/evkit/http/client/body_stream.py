"""`BodyStream`: the body of a request whose pieces come when they come.

It keeps what nobody has taken yet, and knows nothing of framing or of connections.
"""

from collections.abc import Callable
from typing import Final

from evkit.errors import LocalProtocolError
from evkit.http.client.pieces import Piece, as_bytes
from evkit.http.kinds import COUNT_OR_NONE, FUNCTION_OR_NONE, Kinds, check_options

_OPTIONS: Final[Kinds] = {"length": COUNT_OR_NONE}
_SEND: Final[Kinds] = {"drained": FUNCTION_OR_NONE}


class BodyStream:
    """A request's body that comes when it comes, as what another connection receives.

        body = BodyStream()
        client.put(url, body)
        body.send(data, drained=go_on)   # as often as you like, from the loop's thread
        body.end()

    It can be sent once: no redirect and no retry takes it along.

    Args:
        length: Bytes that it will have, sent as ``Content-Length``; ``None``: it goes out in chunks.

    Raises:
        ValueError: ``length`` is negative.
        TypeError: ``length`` is no number.

    Attributes:
        ended: Whether `end` was called.
        gone: Whether nobody takes any more of it: the request has failed, or was answered before its end.
    """

    __slots__ = ("_claimed", "_drained", "_more", "_pieces", "_whole", "ended", "gone", "length")

    def __init__(self, length: int | None = None) -> None:
        check_options(_OPTIONS, locals())
        if length is not None and length < 0:
            raise ValueError(f"expected a length of 0 or more bytes, got {length}")
        self.length = length
        self.ended = False
        self.gone = False
        self._claimed = False
        self._pieces: list[bytes] = []
        self._whole = False  # it was taken to its end
        self._drained: Callable[[], object] | None = None
        self._more: Callable[[], object] | None = None

    def __repr__(self) -> str:
        state = "gone" if self.gone else "ended" if self.ended else "open"
        return f"<BodyStream {state} waiting={sum(map(len, self._pieces))} bytes>"

    def send(self, data: Piece, drained: Callable[[], object] | None = None) -> None:
        """Send a piece, after those that wait already. It is kept until there is a connection, and room.

        Args:
            data: Bytes, or text as UTF-8. What nobody takes any more is dropped.
            drained: Called once, when all is on its way, if the body is not `gone`: the time to send more. It takes the
                place of the one of an earlier piece.

        Raises:
            LocalProtocolError: The body has ended.
            TypeError: ``data`` is neither, or ``drained`` can't be called.
        """
        check_options(_SEND, locals())
        if self.ended:
            raise LocalProtocolError("the body has ended")
        if not self.gone:
            piece = as_bytes(data)
            if piece:
                self._pieces.append(piece)
            self._drained = drained
            self._wake()

    def end(self) -> None:
        """That was all. Harmless when it has ended."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        more, self._more = self._more, None
        if more is not None:
            more()

    # For its upload

    def claim(self) -> None:
        """Belong to one request.

        Raises:
            LocalProtocolError: It belongs to another.
        """
        if self._claimed:
            raise LocalProtocolError("a BodyStream is the body of one request: make another")
        self._claimed = True

    def take(self, more: Callable[[], object]) -> list[bytes]:
        """Return what waits, or have ``more`` called when there is something, or the end."""
        pieces, self._pieces = self._pieces, []
        self._whole = self.ended
        if not (pieces or self.ended or self.gone):
            self._more = more
        return pieces

    def tell_drained(self) -> bool:
        """All that was taken is on its way; return whether anybody was told, who may have sent more."""
        if self._pieces or self._drained is None:
            return False
        drained, self._drained = self._drained, None
        drained()
        return True

    def leave(self) -> None:
        """Nobody takes any more."""
        self.gone = not self._whole
        self._pieces.clear()
        self._more = self._drained = None
