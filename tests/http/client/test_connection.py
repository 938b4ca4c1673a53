"""`evkit.http.client.connection`: requests and responses over one connection, however the server behaves."""

from collections.abc import Iterator
from typing import Any

import pytest

from evkit.core import (
    BEV_EVENT_ERROR,
    BEV_EVENT_WRITING,
    EV_READ,
    EV_WRITE,
    Buffer,
    BufferEvent,
    EventBase,
    PairBufferEvent,
)
from evkit.errors import ConnectionLost, LocalProtocolError, TransportError
from evkit.http.client.body_stream import BodyStream
from evkit.http.client.connection import ClientConnection
from evkit.http.client.retries import Progress, Retries
from evkit.http.client.timeouts import ClientTimeouts
from evkit.http.client.upload import ROOM, Upload, as_upload
from evkit.http.errors import BadResponse
from evkit.http.headers import Headers
from evkit.http.parser import ResponseHead, make_response_engine
from http_client_aids import CONTINUE, SMALL, Wire, World, in_chunks, reply, until_close

LARGE = bytes(6 << 20)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"


@pytest.fixture(name="world")
def make_world(manual_base: EventBase) -> Iterator[World]:
    """A client on each backend."""
    with World(manual_base) as world:
        yield world


@pytest.fixture(name="one")
def make_one() -> Iterator[World]:
    """A client on the usual backend, for what does not depend on it."""
    with World() as world:
        yield world


# Responses, in pieces

RESPONSES = {
    "length": (reply(b"hello"), b"hello", True),
    "empty": (reply(b""), b"", True),
    "chunks": (in_chunks(b"hel", b"lo", trailers=b"X-Sum: 5\r\n"), b"hello", True),
    "close": (reply(b"hello", "Connection: close"), b"hello", False),
    "interim": (CONTINUE + b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + reply(b"hello"), b"hello", True),
    "204": (b"HTTP/1.1 204 R\r\n\r\n", b"", True),
    "304": (b"HTTP/1.1 304 R\r\nContent-Length: 5\r\n\r\n", b"", True),
    "old": (b"HTTP/1.0 200 R\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "old, kept": (
        b"HTTP/1.0 200 R\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        b"hello",
        True,
    ),
}
each_response = pytest.mark.parametrize(("raw", "body", "kept"), RESPONSES.values(), ids=list(RESPONSES))


@each_response
def test_responses(world: World, raw: bytes, body: bytes, kept: bool) -> None:
    place = world.place()
    for _ in range(2):
        future = world.get(place.url)
        wire = place.accept() if not kept or not world.wires else world.wires[-1]
        assert wire.head().startswith(b"GET / HTTP/1.1\r\n")
        wire.send(raw)
        assert world.result(future).body == body
        assert wire.closed() != kept


@each_response
def test_byte_by_byte(one: World, raw: bytes, body: bytes, kept: bool) -> None:
    place = one.place()
    future = one.get(place.url)
    wire = place.accept()
    wire.head()
    for byte in raw[:-1]:
        wire.send(bytes([byte]))
        assert not future.done()
    wire.send(raw[-1:])
    assert one.result(future).body == body
    assert wire.closed() != kept


@each_response
def test_cut_in_two_everywhere(one: World, raw: bytes, body: bytes, kept: bool) -> None:
    place = one.place()
    for cut in range(1, len(raw)):
        future = one.get(place.url)
        wire = one.wires[-1] if kept and one.wires else place.accept()
        wire.head()
        wire.send(raw[:cut])
        assert not future.done()
        wire.send(raw[cut:])
        assert one.result(future).body == body


@pytest.mark.parametrize("end", ["close", "reset"])
@each_response
def test_an_end_everywhere(one: World, raw: bytes, body: bytes, kept: bool, end: str) -> None:
    """A response that is cut short is never taken for one; the request fails once, and nothing is left."""
    place = one.place()
    for cut in range(len(raw)):
        future = one.get(place.url)
        wire = place.accept()
        wire.head()
        wire.send(raw[:cut])
        wire.close() if end == "close" else wire.reset()
        error = one.error(future)
        assert isinstance(
            error, ConnectionLost if cut == 0 or end == "reset" else ConnectionLost | BadResponse
        )
        assert error.__notes__ == [f"GET {place.url}/"]
        assert one.pool == "0 connections, 0 free, 0 waiting"


def test_a_body_that_ends_with_its_connection(world: World) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.head()
    wire.send(until_close(b"hel"))
    wire.send(b"lo")
    assert not future.done()
    wire.close()
    assert world.result(future).body == b"hello"
    assert world.pool == "0 connections, 0 free, 0 waiting"


def test_a_body_that_ends_with_a_reset_is_cut_short(world: World) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.head()
    wire.send(until_close(b"hello"))
    wire.reset()
    assert isinstance(world.error(future), ConnectionLost)


def test_trailers(one: World) -> None:
    place = one.place()
    future = one.get(place.url)
    wire = place.accept()
    wire.head()
    wire.send(in_chunks(b"a", trailers=b"X-Sum: 5\r\n"))
    assert one.result(future).trailers == [("X-Sum", "5")]
    second = one.get(place.url)
    wire.answer()
    assert not one.result(second).trailers  # they are those of one response


@pytest.mark.parametrize("fields", [("Content-Length: 5",), ("Transfer-Encoding: chunked",)])
def test_the_answer_to_head_has_no_body(one: World, fields: tuple[str, ...]) -> None:
    place = one.place()
    wire: Wire | None = None
    for _ in range(2):
        future = one.ask("HEAD", place.url)
        wire = wire or place.accept()
        assert wire.head().startswith(b"HEAD / ")
        wire.send("\r\n".join(["HTTP/1.1 200 R", *fields, "", ""]).encode())
        assert one.result(future).body == b""
    assert one.pool == "1 connections, 1 free, 0 waiting"


def test_a_body_behind_the_answer_to_head_is_not_the_next_answer(one: World) -> None:
    place = one.place()
    future = one.ask("HEAD", place.url)
    wire = place.accept()
    wire.head()
    wire.send(reply(b"HTTP/1.1 200 R\r\n\r\n"))
    assert one.result(future).status == 200
    assert wire.closed()


# Interim responses


def test_interim_responses_are_heard(one: World) -> None:
    heard: list[tuple[int, str | None]] = []

    def on_interim(status: int, headers: Headers) -> None:
        heard.append((status, headers.get("Link")))

    place = one.place()
    future = one.get(place.url, on_interim=on_interim)
    wire = place.accept()
    wire.head()
    wire.send(b"HTTP/1.1 103 R\r\nLink: <a>\r\n\r\nHTTP/1.1 102 R\r\n\r\n" + CONTINUE)
    assert heard == [(103, "<a>"), (102, None)]
    wire.send(reply())
    assert one.result(future).status == 200


def test_endless_interim_responses(one: World) -> None:
    place = one.place()
    future = one.get(place.url)
    wire = place.accept()
    wire.head()
    wire.send(CONTINUE * 20)
    assert not future.done()
    wire.send(CONTINUE)
    assert isinstance(one.error(future), BadResponse)
    assert wire.closed()


def test_interim_responses_are_counted_for_each_request(one: World) -> None:
    place = one.place()
    wire: Wire | None = None
    for _ in range(3):
        future = one.get(place.url)
        wire = wire or place.accept()
        wire.head()
        wire.send(CONTINUE * 15 + reply())
        assert one.result(future).status == 200


@pytest.mark.parametrize("does", ["raises", "cancels", "closes"])
def test_what_an_interim_callback_may_do(one: World, does: str) -> None:
    def on_interim(status: int, headers: Headers) -> None:
        if does == "raises":
            raise ZeroDivisionError
        if does == "cancels":
            future.cancel()
        else:
            one.client.close()

    place = one.place()
    future = one.get(place.url, on_interim=on_interim)
    wire = place.accept()
    wire.head()
    wire.send(b"HTTP/1.1 103 R\r\n\r\n" * 3 + reply())
    assert wire.closed()
    if does == "cancels":
        assert future.cancelled()
    else:
        assert isinstance(one.error(future), ZeroDivisionError if does == "raises" else LocalProtocolError)


# Uploads


@pytest.mark.parametrize("body", [LARGE, [LARGE[: 1 << 20]] * 6], ids=["whole", "pieces"])
def test_a_large_body_for_a_slow_server(world: World, body: Any) -> None:
    place = world.place(receive_buffer=SMALL)
    future = world.ask("POST", place.url, body, headers=[("Content-Length", str(len(LARGE)))])
    wire = place.accept()
    wire.head()
    assert wire.body(len(LARGE)) == LARGE
    assert not future.done()
    wire.send(reply(b"done"))
    assert world.result(future).body == b"done"
    assert world.pool == "1 connections, 1 free, 0 waiting"


def test_no_more_of_a_body_is_asked_for_than_the_server_takes(world: World) -> None:
    asked = 0

    def pieces() -> Iterator[bytes]:
        nonlocal asked
        for _ in range(1000):
            asked += 1
            yield bytes(65536)

    place = world.place(receive_buffer=SMALL)
    future = world.ask("POST", place.url, pieces())
    wire = place.accept()
    world.settle()
    before = asked
    assert before < 200  # of 1000: what the system's buffers take
    wire.head()
    wire.body(2 << 20)
    assert before < asked < 400
    future.cancel()


@pytest.mark.parametrize("kind", ["whole", "pieces"])
@pytest.mark.parametrize("keep", [True, False])
def test_an_answer_before_the_end_of_the_body(world: World, kind: str, keep: bool) -> None:
    """It counts; but nobody knows any more what is a request on this connection."""
    closed: list[bool] = []

    def pieces() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(65536)
        finally:
            closed.append(True)

    place = world.place(receive_buffer=SMALL)
    future = world.ask("POST", place.url, LARGE if kind == "whole" else pieces())
    wire = place.accept()
    wire.head()
    wire.send(reply(b"too large", *([] if keep else ["Connection: close"]), status=413))
    assert world.result(future).body == b"too large"
    assert wire.drained_and_closed()
    assert world.pool == "0 connections, 0 free, 0 waiting"
    assert closed == ([] if kind == "whole" else [True])


def test_an_answer_before_a_reset_in_the_middle_of_the_body(world: World) -> None:
    """A server that has said no need not read the rest; what it said is heard."""
    place = world.place(receive_buffer=SMALL)
    future = world.ask("POST", place.url, LARGE)
    wire = place.accept()
    wire.head()
    wire.socket.send(reply(b"too large", "Connection: close", status=413))
    world.settle()
    wire.close()  # with bytes unread, so that the system resets
    assert world.result(future).status == 413


def test_a_reset_in_the_middle_of_the_body(world: World) -> None:
    place = world.place(receive_buffer=SMALL)
    future = world.ask("POST", place.url, LARGE)
    wire = place.accept()
    wire.head()
    wire.reset()
    assert isinstance(world.error(future), ConnectionLost)
    assert world.pool == "0 connections, 0 free, 0 waiting"


def test_the_server_shuts_its_side_in_the_middle_of_the_body(world: World) -> None:
    place = world.place(receive_buffer=SMALL)
    future = world.ask("POST", place.url, LARGE)
    wire = place.accept()
    wire.head()
    wire.socket.shutdown(1)
    assert isinstance(world.error(future), ConnectionLost)
    assert wire.drained_and_closed()


@pytest.mark.parametrize("retries", [Retries(), Retries(5, backoff=0.0)])
def test_what_a_body_raises_is_the_request_s_end(one: World, retries: Retries) -> None:
    """Also an ``OSError`` of a file: the network has not failed, and nothing is tried again."""
    asked: list[int] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            asked.append(1)
            yield b"abc"
            raise OSError("the disk is broken")

    with World(retries=retries) as world:
        place = world.place()
        future = world.ask("PUT", place.url, Body())
        error = world.error(future)
        assert str(error) == "the disk is broken"
        world.wait(5.0)
        assert asked == [1]
        assert world.pool == "0 connections, 0 free, 0 waiting"


@pytest.mark.parametrize("does", ["cancels", "closes"])
def test_a_body_that_ends_its_own_request(one: World, does: str) -> None:
    asked = 0

    def pieces() -> Iterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            assert asked < 10, "asked for ever"
            if asked == 3:
                future.cancel() if does == "cancels" else one.client.close()
            yield b"abc"

    place = one.place()
    future = one.ask("PUT", place.url, pieces())
    wire = place.accept()
    one.settle()
    assert asked == 3
    assert wire.closed()
    if does == "cancels":
        assert future.cancelled()
    else:
        assert isinstance(one.error(future), LocalProtocolError)


# Expect: 100-continue


def expecting(world: World, body: Any = b"hello") -> tuple[Any, Wire]:
    place = world.place()
    future = world.ask("POST", place.url, body, expect=True)
    wire = place.accept()
    assert b"Expect: 100-continue\r\n" in wire.head()
    assert wire.silent()
    return future, wire


def test_continue(world: World) -> None:
    future, wire = expecting(world)
    wire.send(CONTINUE)
    assert wire.body(5) == b"hello"
    wire.send(reply(b"thanks"))
    assert world.result(future).body == b"thanks"
    assert world.pool == "1 connections, 1 free, 0 waiting"


def test_other_interim_responses_are_no_word(world: World) -> None:
    future, wire = expecting(world)
    wire.send(b"HTTP/1.1 103 R\r\n\r\n")
    assert wire.silent()
    wire.send(CONTINUE + CONTINUE)
    assert wire.body(5) == b"hello"
    wire.send(reply())
    world.result(future)


@pytest.mark.parametrize("status", [200, 401, 413, 417])
def test_an_answer_instead(world: World, status: int) -> None:
    """The body is not sent; and the connection ends, as the server may wait for it."""
    future, wire = expecting(world)
    wire.send(reply(b"no", status=status))
    assert world.result(future).status == status
    world.wait(2.0)
    assert wire.take() == b""
    assert world.pool == "0 connections, 0 free, 0 waiting"


def test_an_answer_that_takes_its_time_instead(world: World) -> None:
    """As soon as it has begun the body is not welcome, and the time for the server's word does not run on."""
    future, wire = expecting(world)
    wire.send(reply(b"hello")[:-1])
    world.wait(2.0)
    assert wire.silent()
    wire.send(b"o")
    assert world.result(future).body == b"hello"
    assert wire.closed()


def test_a_server_that_does_not_know_it(world: World) -> None:
    future, wire = expecting(world)
    world.wait(1.1)
    assert wire.body(5) == b"hello"
    wire.send(CONTINUE)  # too late, and nothing more is sent
    assert wire.silent()
    wire.send(reply())
    assert world.result(future).status == 200


@pytest.mark.parametrize("end", ["close", "reset", "cancel", "client"])
def test_an_end_while_it_waits(world: World, end: str) -> None:
    asked: list[int] = []

    def pieces() -> Iterator[bytes]:
        asked.append(1)
        yield b"hello"

    future, wire = expecting(world, pieces())
    match end:
        case "close":
            wire.close()
        case "reset":
            wire.reset()
        case "cancel":
            future.cancel()
        case _:
            world.client.close()
    world.wait(5.0)
    assert future.done()
    assert asked == []
    if end in ("close", "reset"):
        assert isinstance(future.exception(0), ConnectionLost)


def test_an_answer_that_trickles_while_it_waits(world: World) -> None:
    """The wait is for a word; half a word is none."""
    future, wire = expecting(world)
    wire.send(b"HTTP/1.1 4")
    world.wait(1.1)
    assert wire.body(5) == b"hello"
    wire.send(b"01 R\r\nContent-Length: 0\r\n\r\n")
    assert world.result(future).status == 401


# Another protocol


def upgraded(world: World, opened: Any = lambda response, bev: (response, bev)) -> tuple[Any, Wire]:
    place = world.place()
    fields = [("Connection", "Upgrade"), ("Upgrade", "other")]
    future = world.watched(world.client.upgrade(place.url, fields, opened))
    wire = place.accept()
    head = wire.head()
    assert b"Connection: Upgrade\r\n" in head
    assert b"Upgrade: other\r\n" in head
    return future, wire


def test_an_upgrade(world: World) -> None:
    future, wire = upgraded(world)
    wire.send(SWITCH + b"early words")
    response, bev = world.result(future)
    assert response.status == 101
    assert response.headers.get("Upgrade") == "other"
    assert bev.read() == b"early words"
    assert bev.callbacks == (None, None, None)
    assert (bev.read_timeout, bev.write_timeout, bev.on_close) == (None, None, None)
    assert world.pool == "0 connections, 0 free, 0 waiting"
    bev.write(b"hello")
    assert wire.body(5) == b"hello"
    world.client.close()  # it is not the client's any more
    assert not bev.closed
    bev.close()


def test_an_upgrade_after_a_while() -> None:
    """It was time to look whether the server is silent for too long, and it was not."""
    with World(timeouts=ClientTimeouts(head=60.0, body=30.0)) as world:
        future, wire = upgraded(world)
        world.wait(45.0)
        wire.send(SWITCH)
        _, bev = world.result(future)
        assert bev.error is None
        bev.close()


@pytest.mark.parametrize("status", [200, 400, 426])
def test_an_upgrade_that_is_refused(world: World, status: int) -> None:
    future, wire = upgraded(world)
    wire.send(reply(b"no", status=status))
    response = world.result(future)
    assert (response.status, response.body) == (status, b"no")
    assert world.pool == "1 connections, 1 free, 0 waiting"


def test_an_upgrade_leads_nowhere_else(one: World) -> None:
    future, wire = upgraded(one)
    wire.send(reply(b"", "Location: /elsewhere", status=302))
    assert one.result(future).status == 302


def test_what_opening_raises(world: World) -> None:
    def opened(response: object, bev: BufferEvent) -> None:
        raise ZeroDivisionError

    future, wire = upgraded(world, opened)
    wire.send(SWITCH)
    assert isinstance(world.error(future), ZeroDivisionError)
    assert wire.closed()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("raw", [SWITCH, b"HTTP/1.1 101 R\r\n\r\n"])
def test_a_switch_that_nobody_has_asked_for(one: World, stream: bool, raw: bytes) -> None:
    place = one.place()
    future = one.get(place.url, stream=stream)
    wire = place.accept()
    wire.head()
    wire.send(raw)
    assert isinstance(one.error(future), BadResponse)
    assert wire.closed()


@pytest.mark.parametrize("end", ["close", "cancel"])
def test_an_end_before_the_switch(one: World, end: str) -> None:
    future, wire = upgraded(one, lambda response, bev: pytest.fail("opened"))
    wire.send(SWITCH[:-1])
    wire.close() if end == "close" else future.cancel()
    one.settle()
    assert future.done()


# Reuse


def test_a_paused_end_does_not_stop_the_next(world: World) -> None:
    """Who has got the last piece may have paused: the connection reads on for the next request."""
    place = world.place()
    future = world.get(place.url, stream=True)
    wire = place.accept()
    wire.answer(b"hello")
    response = world.result(future)
    heard: list[object] = []

    def on_data(_response: object, data: bytes) -> None:
        heard.append(data)
        response.pause()

    response.receive(on_data, lambda _response, error: heard.append(error))
    world.settle()
    assert heard == [b"hello"]
    assert world.pool == "1 connections, 1 free, 0 waiting"
    second = world.get(place.url)
    wire.answer(b"second")
    assert world.result(second).body == b"second"
    response.resume()
    assert heard == [b"hello", None]


def test_what_on_end_raises_hurts_nobody_else(world: World) -> None:
    """The connection has another request by then."""
    place = world.place()
    with World(world.base, max_per_host=1) as other:
        place = other.place()
        stream = other.get(place.url, stream=True)
        wire = place.accept()
        second = other.get(place.url)

        def on_end(response: object, error: object) -> None:
            raise ZeroDivisionError

        wire.answer(b"hello")
        other.result(stream).receive(lambda _response, _data: None, on_end)
        wire.answer(b"second")
        assert other.result(second).body == b"second"
        assert [type(error) for error in other.take_escaped()] == [ZeroDivisionError]


@pytest.mark.parametrize("progress", ["whole", "generator"])
def test_what_was_sent_in_part_is_not_sent_again(progress: str) -> None:
    """A POST whose first bytes have gone out may have been done."""
    with World(retries=Retries(5, backoff=0.0)) as world:
        place = world.place(receive_buffer=SMALL)
        future = world.ask("POST", place.url, LARGE if progress == "whole" else iter([LARGE]))
        wire = place.accept()
        world.settle()
        wire.reset()
        assert isinstance(world.error(future), TransportError)
        assert not place.waiting()


def test_a_generator_of_which_something_was_taken_is_not_sent_again() -> None:
    """Although not one byte went out: the rest would be taken for the whole."""
    with World(retries=Retries(5, backoff=0.0)) as world:
        place = world.place()

        def pieces() -> Iterator[bytes]:
            wire = place.try_accept()
            assert wire is not None
            wire.abort()  # before anything is sent
            yield b"first"
            yield b"second"

        future = world.ask("PUT", place.url, pieces())
        world.until(lambda: world.wires, "a connection")
        assert isinstance(world.error(future), TransportError)
        assert not place.waiting()


def test_a_connection_that_nobody_comes_for_is_closed_in_time() -> None:
    """Its request was answered on another one while it was made."""
    with World(idle=5.0, max_per_host=2) as world:
        place = world.place()
        first = world.get(place.named("a.test"))
        wire = place.accept()
        world.names.slow = True
        second = world.get(place.named("a.test"))
        wire.answer()
        wire.answer()
        world.result(first)
        world.result(second)
        (found,) = world.names.pending
        found.set_result([("127.0.0.1", place.port)])
        unused = place.accept()
        assert world.pool == "2 connections, 2 free, 0 waiting"
        world.wait(4.9)
        assert unused.silent()
        world.wait(0.2)
        assert unused.closed()


# How far a request had come


class Asking:
    """An `Asker` with a request for ``/``."""

    def __init__(self, upload: Upload | None = None) -> None:
        self.method = "PUT"
        self.head = b"PUT / HTTP/1.1\r\n\r\n"
        self.upload = upload
        self.waits = self.switches = self.whole = self.paused = False
        self.sink = Buffer()
        self.heard: list[object] = []
        if upload is not None:
            upload.begin()

    def on_interim(self, head: ResponseHead) -> None:
        self.heard.append(head.status)

    def on_head(self, head: ResponseHead) -> None:
        self.heard.append(head.status)

    def on_body(self) -> None:
        self.heard.append(self.sink.remove())

    def on_end(self, trailers: list[tuple[str, str]], body: bytes | None) -> None:
        self.heard.append("end")

    def on_switched(self, bev: BufferEvent) -> None:
        self.heard.append(bev)

    def on_failed(self, error: Exception, progress: Progress) -> None:
        self.heard.append(progress)


class Keeping:
    """An `Owner`."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def released(self, connection: ClientConnection) -> None:
        self.heard.append("released")

    def lost(self, connection: ClientConnection) -> None:
        self.heard.append("lost")


@pytest.fixture(name="pair")
def make_pair(one: World) -> Iterator[tuple[ClientConnection, PairBufferEvent]]:
    """A connection whose output stays where it is until ``connection.bev`` is enabled for writing."""
    bev, other = PairBufferEvent.pair(one.base)
    bev.disable(EV_WRITE)
    other.enable(EV_READ)
    yield ClientConnection(Keeping(), bev, make_response_engine("native"), ClientTimeouts(), None), other
    bev.close()
    other.close()


def generated() -> Iterator[bytes]:
    yield b"hello"


@pytest.mark.parametrize(
    ("body", "goes_out", "progress"),
    [
        (None, False, Progress.NOTHING_SENT),
        (None, True, Progress.UNANSWERED),
        (b"hello", False, Progress.NOTHING_SENT),
        (b"hello", True, Progress.UNANSWERED),
        ([b"a" * ROOM] * 3, False, Progress.NOTHING_SENT),
        ([b"a" * ROOM] * 3, True, Progress.UNANSWERED),
        (generated, False, Progress.UNANSWERED),  # it can't be asked for twice
    ],
)
def test_how_far_a_request_had_come(
    one: World, pair: tuple[ClientConnection, PairBufferEvent], body: Any, goes_out: bool, progress: Progress
) -> None:
    connection, other = pair
    given = body() if callable(body) else body
    asking = Asking(None if given is None else as_upload(given))
    connection.ask(asking)
    if goes_out:
        connection.bev.enable(EV_WRITE)
    one.settle()
    assert asking.heard == []
    other.close()
    one.settle()
    assert asking.heard == [progress]
    assert connection.bev.closed


def test_nothing_more_is_sent_after_a_failure(
    one: World, pair: tuple[ClientConnection, PairBufferEvent]
) -> None:
    """The server may have answered before it closed; so the connection is read on, and not written to."""
    connection, other = pair
    body = BodyStream()
    asking = Asking(as_upload(body))
    connection.ask(asking)
    before = len(connection.bev.output)
    on_event = connection.bev.callbacks[2]
    assert on_event is not None
    on_event(connection.bev, BEV_EVENT_ERROR | BEV_EVENT_WRITING)
    body.send(b"more")
    assert len(connection.bev.output) == before
    assert asking.heard == []
    other.write(reply(b"no", status=413))
    one.settle()
    assert asking.heard == [413, b"no", "end"]
    assert connection.bev.closed  # it can't be used again
