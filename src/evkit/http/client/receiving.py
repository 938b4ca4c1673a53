"""`Receiving`: the half of a `Call` that takes what comes: bodies, whole or in pieces, coded or not, and in which time.

What to ask for, what follows from an answer, and how it all ends, is filled in by the call. Most responses come at
once: for these nothing is made.
"""

from evkit.core import Buffer
from evkit.http.client.connection import ClientConnection
from evkit.http.client.decoding import Decoder, decoder_for
from evkit.http.client.incoming import Incoming
from evkit.http.client.response import Response
from evkit.http.client.terms import Terms, Wishes
from evkit.http.errors import ContentTooLarge
from evkit.http.parser import ResponseHead


class Receiving:
    """What a call receives; the `Tap` of its `Incoming`.

    Args:
        terms: The client's.
        wishes: The call's own.

    Attributes: See `Asker`.
    """

    __slots__ = (
        "_connection",
        "_decoder",
        "_incoming",
        "_sink",
        "_terms",
        "_wishes",
        "paused",
        "whole",
    )

    def __init__(self, terms: Terms, wishes: Wishes) -> None:
        self._terms = terms
        self._wishes = wishes
        self._connection: ClientConnection | None = None
        self._incoming: Incoming | None = None
        self._decoder: Decoder | None = None
        self._sink: Buffer | None = None
        self.whole = False
        self.paused = False

    @property
    def sink(self) -> Buffer:
        """See `Asker.sink`; most responses need none."""
        if self._sink is None:
            self._sink = Buffer()
        return self._sink

    def _begin_body(self, response: Response, head: ResponseHead) -> bool:
        """Decide how the body is taken; return whether that is in pieces, by who gets the response now.

        Raises:
            ContentError: It can't be.
        """
        terms, stream = self._terms, self._wishes.stream
        limit = None if stream else terms.max_body
        self._decoder = (
            decoder_for(head.headers, max_size=limit) if terms.decodes and head.body_length else None
        )
        if limit is not None and head.body_length > limit and self._decoder is None:
            raise ContentTooLarge(f"expected a body of at most {limit} bytes, got {head.body_length}")
        if not stream:
            self.whole = True
            return False
        response.comes_from(self._incoming_for(response))  # the clock goes on until that is asked for
        if head.body_length:
            self.hold()
        return True

    def _incoming_for(self, response: Response) -> Incoming:
        if self._incoming is None:
            terms = self._terms
            self._incoming = Incoming(response, self, self.sink, self._decoder, terms.base, terms.max_body)
        return self._incoming

    def _take_body(self, response: Response) -> None:
        """Take what has come in the sink.

        Raises:
            ContentError: It can't be decoded, or is too long.
        """
        self._incoming_for(response).came()
        limit = self._terms.max_body
        if limit is not None and self.sink.length > limit and not self._wishes.stream:
            raise ContentTooLarge(f"expected a body of at most {limit} bytes")

    def _whole_body(self, response: Response, body: bytes | None) -> bytes:
        """Return the content of a response that is complete.

        Args:
            response: It.
            body: Its body, if it has come at once; ``None``: piece by piece.

        Raises:
            ContentError: It can't be decoded.
        """
        if body is None:
            return self._incoming_for(response).whole()
        decoder = self._decoder
        if decoder is None:
            return body
        pieces = list(decoder.decode(body))
        decoder.finish()
        return b"".join(pieces)

    def _delivers(self) -> bool:
        """Return whether the future has its response already, whose body is received piece by piece."""
        return self._incoming is not None and self._wishes.stream

    # Time

    def on_total(self) -> None:
        """See `Timed.on_total`."""
        raise NotImplementedError

    def _stop_clock(self) -> None:
        limit = self._wishes.limit
        if limit is not None:
            limit.end(self)

    # See Tap

    def go_on(self) -> None:
        """See `Tap.go_on`."""
        self._stop_clock()
        self.paused = False
        if self._connection is not None:
            self._connection.resume()

    def hold(self) -> None:
        """See `Tap.hold`."""
        self.paused = True
        if self._connection is not None:
            self._connection.pause()

    def drop(self) -> None:
        """See `Tap.drop`."""
        raise NotImplementedError
