"""Drives an engine through a stream of bytes, as a connection would, and tells what it made of it."""

from collections.abc import Iterable
from typing import NamedTuple

from evkit.core.buffer import Buffer
from evkit.http.errors import BadRequest
from evkit.http.parser import CHUNKED, Engine, Limits, RequestHead, make_engine
from http_corpus import Seen


class Outcome(NamedTuple):
    """What came out of a stream of bytes."""

    seen: tuple[Seen, ...]
    status: int | None  # of the refusal
    waits: bool  # whether an unfinished message is left


class Feed:
    """One connection's engine and buffers; stops at a refusal, and after a request that closes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.seen: list[Seen] = []
        self.heads: list[RequestHead] = []
        self.status: int | None = None
        self._source = Buffer()
        self._sink = Buffer()
        self._head: RequestHead | None = None
        self._ended = False

    def feed(self, data: bytes) -> None:
        if data:
            self._source.add(data)
        try:
            while not self._ended and self._advance():
                pass
        except BadRequest as refusal:
            self.status = refusal.status
            self._ended = True

    def _advance(self) -> bool:
        if self._head is None:
            self._head = self.engine.read_head(self._source)
            return self._head is not None
        if not self.engine.read_body(self._source, self._sink):
            return False
        self._finish(self._head)
        return True

    def _finish(self, head: RequestHead) -> None:
        trailers = tuple(self.engine.trailers) if head.body_length == CHUNKED else ()
        body = self._sink.remove()
        self.heads.append(head)
        self.seen.append(
            Seen(head.method, head.target, body, head.host, head.keep_alive, head.expect_continue, trailers)
        )
        self._head = None
        self._ended = not head.keep_alive

    def outcome(self) -> Outcome:
        waits = not self._ended and (self._head is not None or len(self._source) > 0)
        return Outcome(tuple(self.seen), self.status, waits)


def run(
    name: str, pieces: Iterable[bytes], limits: Limits | None = None, max_body: int | None = None
) -> Outcome:
    """Feed the pieces to a new engine and say what came of them."""
    engine = make_engine(name, limits or Limits())
    engine.max_body = max_body
    feed = Feed(engine)
    for piece in pieces:
        feed.feed(piece)
    return feed.outcome()
