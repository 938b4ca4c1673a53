"""Replies out of iterators: as fast as the client reads, closed when it goes, cut off when they fail."""

from collections.abc import Iterator

import pytest

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.server.door import Body
from evkit.http.server.request import Request
from evkit.testing import ManualClock
from http_handlers import MIB, Later
from http_server_aids import Site, both_engines, get, request


class Source:
    """A generator that is watched."""

    def __init__(self, pieces: list[Body] | None = None, *, size: int = 0) -> None:
        self.pieces = pieces or []
        self.left = size
        self.given = 0
        self.closed = False

    def __iter__(self) -> Iterator[Body]:
        try:
            yield from self.pieces
            while self.left:
                self.left -= 1
                self.given += 1
                yield bytes(8192)
        finally:
            self.closed = True


def answer(site: Site, source: Source, *headers: tuple[str, str]) -> None:
    site.server.set_gencb(lambda asked: asked.send_stream(200, iter(source), headers))


@both_engines
def test_pieces_of_each_kind(engine: str) -> None:
    with Site(engine) as site:
        answer(site, source := Source([b"a", "\u00e4", b"", bytearray(b"b"), Buffer(b"c")]))
        client = site.client()
        reply = client.ask(get())
        assert (reply.status, reply.body) == (200, "a\u00e4bc".encode())
        assert source.closed
        answer(site, Source())
        assert client.ask(get()).body == b""
        assert site.completed == [("/", 200)] * 2


def test_client_that_does_not_read_holds_it_up() -> None:
    source = Source(size=64 * MIB // 8192)
    with Site() as site:
        answer(site, source)
        client = site.client(receive_buffer=65536)
        client.send(get())
        site.settle()
        assert source.given * 8192 < 16 * MIB
        given = source.given
        site.settle()
        assert source.given == given
        assert len(client.reply().body) == 64 * MIB


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_client_that_goes_closes_it(leave: str) -> None:
    source = Source(size=10**9)
    with Site() as site:
        answer(site, source)
        client = site.client(receive_buffer=65536)
        client.send(get())
        getattr(client, leave)()
        site.connected(0)
        assert source.closed


def test_server_that_stops_closes_it() -> None:
    source = Source(size=10**9)
    with Site() as site:
        answer(site, source)
        site.client(receive_buffer=65536).send(get())
        site.server.close()
        assert source.closed


def test_failure_cuts_the_reply_off() -> None:
    def fail() -> Iterator[bytes]:
        yield b"abc"
        raise RuntimeError("no more")

    with Site() as site:
        site.server.set_gencb(lambda asked: asked.send_stream(200, fail()))
        client = site.client()
        client.send(get())
        assert b"0\r\n\r\n" not in client.rest()
        assert [str(exception) for exception in site.take_escaped()] == ["no more"]


@pytest.mark.parametrize("wrong", [[None], [b"a", 5]])
def test_what_is_no_piece_cuts_it_off(wrong: list[Body]) -> None:
    with Site() as site:
        answer(site, source := Source(wrong))
        client = site.client()
        client.send(get())
        assert not client.rest().endswith(b"0\r\n\r\n")
        assert [type(exception) for exception in site.take_escaped()] == [TypeError]
        assert source.closed


def test_failure_of_closing_is_told() -> None:
    def stubborn() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(8192)
        finally:
            raise RuntimeError("I stay")

    with Site() as site:
        site.server.set_gencb(lambda asked: asked.send_stream(200, stubborn()))
        site.client(receive_buffer=65536).send(get())
        site.server.close()
        assert [str(exception) for exception in site.take_escaped()] == ["I stay"]


def test_it_may_close_the_connection_itself() -> None:
    def leave(asked: Request) -> Iterator[bytes]:
        yield b"a"
        asked.abort()
        yield b"b"
        raise AssertionError("asked once more")

    with Site() as site:
        site.server.set_gencb(lambda asked: asked.send_stream(200, leave(asked)))
        client = site.client()
        client.send(get())
        assert b"b" not in client.rest().partition(b"\r\n\r\n")[2]


def test_length_that_is_told_is_held() -> None:
    with Site() as site:
        answer(site, Source([b"ab", b"c"]), ("Content-Length", "3"))
        client = site.client()
        assert client.ask(get()).body == b"abc"
        assert client.ask(request("HEAD", "/"), "HEAD").get("content-length") == "3"
        answer(site, Source([b"ab"]), ("Content-Length", "3"))
        client.send(get())
        assert len(client.rest().partition(b"\r\n\r\n")[2]) < 3
        assert [type(exception) for exception in site.take_escaped()] == [LocalProtocolError]


def test_head_asks_for_nothing() -> None:
    source = Source(size=10**9)
    with Site() as site:
        answer(site, source)
        client = site.client()
        assert client.ask(request("HEAD", "/"), "HEAD").body == b""
        assert source.given == 0
        assert client.ask(request("HEAD", "/"), "HEAD").status == 200


def test_what_is_no_iterator_is_500() -> None:
    with Site() as site:
        site.server.set_gencb(lambda asked: asked.send_stream(200, None))
        assert site.client().ask(get()).status == 500
        assert [type(exception) for exception in site.take_escaped()] == [TypeError]


def test_reply_to_head_that_goes_on_ends_with_its_client() -> None:
    """Nothing of it is sent, so nothing else tells that the client has gone."""
    clock = ManualClock()
    later = Later()
    with Site(clock=clock) as site:
        site.server.set_gencb(later)
        client = site.client()
        client.send(request("HEAD", "/"))
        later.requests[0].send_reply_start(200)
        client.finish()
        clock.advance(29)
        site.settle()
        assert not later.requests[0].gone
        clock.advance(2)
        site.settle()
        assert later.closed == later.requests


class Closable:
    """An iterator that is no generator: nobody closes it but who was told to."""

    def __init__(self, pieces: list[Body], error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.closed = 0

    def __iter__(self) -> Iterator[Body]:
        return self

    def __next__(self) -> Body:
        if self.pieces:
            return self.pieces.pop(0)
        raise self.error or StopIteration

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("pieces", [[], [b"a", b"b"]])
def test_what_can_be_closed_is_closed_at_the_end(method: str, pieces: list[Body]) -> None:
    source = Closable(pieces)
    with Site() as site:
        site.server.set_gencb(lambda asked: asked.send_stream(200, source))
        assert site.client().ask(request(method, "/"), method).status == 200
        assert source.closed == 1


@pytest.mark.parametrize("wrong", [Closable([b"a"], RuntimeError("disk")), Closable([b"a", 5])])  # type: ignore[list-item]
def test_what_can_be_closed_is_closed_after_a_failure(wrong: Closable) -> None:
    with Site() as site:
        site.server.set_gencb(lambda asked: asked.send_stream(200, wrong))
        client = site.client()
        client.send(get())
        assert not client.rest().endswith(b"0\r\n\r\n")
        assert len(site.take_escaped()) == 1
        assert wrong.closed == 1


def test_what_can_be_closed_is_closed_where_no_client_is_left() -> None:
    later, source = Later(), Closable([b"a"])
    with Site() as site:
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        client.reset()
        site.connected(0)
        later.requests[0].send_stream(200, source)
        assert source.closed == 1
        assert source.pieces == [b"a"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_failure_of_closing_at_the_end_cuts_the_reply_off_and_is_told_once(method: str) -> None:
    class Stubborn(Closable):
        def close(self) -> None:
            super().close()
            raise RuntimeError("I stay")

    source = Stubborn([])
    with Site() as site:
        site.server.set_gencb(lambda asked: asked.send_stream(200, source))
        client = site.client()
        client.send(request(method, "/"))
        site.connected(0)
        assert b"0\r\n\r\n" not in client.rest()
        assert [str(exception) for exception in site.take_escaped()] == ["I stay"]
        assert source.closed == 1


def test_what_can_be_closed_is_closed_where_somebody_else_ends_the_reply() -> None:
    source = Source(size=10**9)
    asked: list[Request] = []

    def handler(request: Request) -> None:
        asked.append(request)
        request.send_stream(200, iter(source))

    with Site() as site:
        site.server.set_gencb(handler)
        client = site.client(receive_buffer=65536)
        client.send(get())
        given = source.given
        asked[0].send_reply_end()
        assert source.closed
        assert len(client.reply().body) == given * 8192


def test_generator_that_is_closed_finds_its_client_gone() -> None:
    found: list[tuple[bool, bool]] = []

    def endless(asked: Request) -> Iterator[bytes]:
        try:
            while True:
                yield bytes(8192)
        finally:
            found.append((asked.gone, asked.aborted))
            asked.send_reply_chunk(b"that is dropped")
            asked.send_reply_end()

    with Site() as site:
        site.server.set_gencb(lambda asked: asked.send_stream(200, endless(asked)))
        client = site.client(receive_buffer=65536)
        client.send(get())
        client.reset()
        site.connected(0)
        assert found == [(True, True)]
