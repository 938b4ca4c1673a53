"""Drives a reader of responses through a stream of bytes, as a connection would, and tells what it made of it."""

from collections.abc import Iterable
from typing import NamedTuple

from evkit.core.buffer import Buffer
from evkit.http.errors import BadResponse
from evkit.http.parser import (
    CHUNKED,
    RESPONSE_LIMITS,
    Limits,
    ResponseEngine,
    ResponseHead,
    make_response_engine,
)
from http_response_corpus import Case, Seen


class Outcome(NamedTuple):
    """What came out of a stream of bytes."""

    seen: tuple[Seen, ...]
    refused: bool = False
    waits: bool = False  # whether a response is due or unfinished
    left: bytes = b""  # what is behind the last response that is due


class Feed:
    """One connection's engine and buffers; stops at a refusal, at a response that closes, and when all is answered."""

    def __init__(self, engine: ResponseEngine, methods: Iterable[str]) -> None:
        self.engine = engine
        self.seen: list[Seen] = []
        self.error: BadResponse | None = None
        self._due = list(methods)
        self._source = Buffer()
        self._sink = Buffer()
        self._head: ResponseHead | None = None

    def feed(self, data: bytes) -> None:
        if data:
            self._source.add(data)
        self._guarded(end=False)

    def end(self) -> None:
        self._guarded(end=True)

    def _guarded(self, end: bool) -> None:
        if self.error is not None:
            return
        try:
            if end:
                self.engine.end()
            while self._due and self._advance():
                pass
        except BadResponse as refusal:
            self.error = refusal

    def _advance(self) -> bool:
        if self._head is None:
            self._head = self.engine.read_head(self._source, self._due[0])
            return self._head is not None
        if not self.engine.read_body(self._source, self._sink):
            return False
        self._finish(self._head)
        return True

    def _finish(self, head: ResponseHead) -> None:
        trailers = tuple(self.engine.trailers) if head.body_length == CHUNKED else ()
        body = self._sink.remove()
        self.seen.append(Seen(head.status, head.reason, body, head.minor, head.keep_alive, trailers))
        self._head = None
        if head.status >= 200 or head.status == 101:
            self._due.pop(0)
            if not head.keep_alive:
                self._due.clear()

    def outcome(self) -> Outcome:
        refused = self.error is not None
        waits = not refused and bool(self._due)
        left = b"" if refused or waits else bytes(self._source)
        return Outcome(tuple(self.seen), refused, waits, left)


def run(
    name: str,
    pieces: Iterable[bytes],
    methods: Iterable[str] = ("GET",),
    *,
    ends: bool = False,
    limits: Limits = RESPONSE_LIMITS,
    max_body: int | None = None,
) -> Outcome:
    """Feed the pieces to a new engine and say what came of them."""
    return feed(name, pieces, methods, ends=ends, limits=limits, max_body=max_body).outcome()


def feed(
    name: str,
    pieces: Iterable[bytes],
    methods: Iterable[str] = ("GET",),
    *,
    ends: bool = False,
    limits: Limits = RESPONSE_LIMITS,
    max_body: int | None = None,
) -> Feed:
    """Feed the pieces to a new engine."""
    engine = make_response_engine(name, limits)
    engine.max_body = max_body
    stream = Feed(engine, methods)
    for piece in pieces:
        stream.feed(piece)
    if ends:
        stream.end()
    return stream


def expected(case: Case) -> Outcome:
    """What a case says must come of it."""
    return Outcome(case.seen, case.refused, case.waits, case.left)
