"""The client before servers that lie, break off, never end, or do it all at random: each request ends once, by name."""

import gzip
import itertools
import random
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from evkit.core import Future
from evkit.errors import ConnectionLost, EvkitError, LocalProtocolError, TransportError
from evkit.http import CookieJar, Retries
from evkit.http.client.response import Response
from evkit.http.errors import BadResponse, ContentError, ContentTooLarge, RedirectError, RequestTimeout
from http_client_aids import CONTINUE, SMALL, TIMEOUTS, Wire, World, in_chunks, reply
from http_response_corpus import CASES, Case

FIRST = [case for case in CASES if case.methods[0] in ("GET", "HEAD")]


@pytest.fixture(name="world")
def make_world() -> Iterator[World]:
    with World() as world:
        yield world


def answered(world: World, raw: bytes, method: str = "GET", **options: Any) -> Future[Response]:
    """Answer a request, whatever becomes of the connection."""
    place = world.place()
    future = world.ask(method, place.url, **options)
    wire = place.accept()
    wire.head()
    try:
        wire.send(raw)
    except ConnectionError:
        pass  # the client has seen enough
    world.settle()
    return future


# The corpus of the parsers, over the wire


def test_the_corpus() -> None:
    """What a parser refuses the request fails with; what it understands is the response; the rest waits."""
    for case in FIRST:
        with World(decode=False, max_body=None) as world:
            future = answered(world, case.raw, case.methods[0], follow=False)
            if case.ends:
                world.wires[-1].close()
            judge(world, case, future)


def judge(world: World, case: Case, future: Future[Response]) -> None:
    seen = [seen for seen in case.seen if seen.status >= 200 or seen.status == 101]
    if seen and seen[0].status != 101:
        assert future.done(), case.name
        response = future.result(0)
        assert (response.status, response.body) == (seen[0].status, seen[0].body), case.name
    elif seen or case.refused:
        assert isinstance(world.error(future), BadResponse), case.name
        assert world.wires[-1].closed(), case.name
    elif case.ends:
        assert isinstance(world.error(future), ConnectionLost | BadResponse), case.name
    else:
        assert not future.done(), case.name
        future.cancel()


def test_the_corpus_is_large() -> None:
    assert len(FIRST) > 100
    assert sum(case.refused for case in FIRST) > 50


@pytest.mark.parametrize("engine", ["native", "h11"])
def test_an_answer_is_never_taken_for_the_next(engine: str) -> None:
    """Whatever a server sends behind or instead of a response, the next request gets its own answer."""
    for case in FIRST:
        with World(engine=engine, decode=False) as world:
            place = world.place()
            first = world.ask(case.methods[0], place.url, follow=False, timeout=1.0)
            wire = place.accept()
            wire.head()
            try:
                wire.send(case.raw + b"HTTP/1.1 200 Evil\r\nContent-Length: 4\r\n\r\nevil")
            except ConnectionError:
                pass
            world.wait(1.1)
            assert first.done(), case.name
            second = world.get(place.url)
            if place.waiting():
                wire = place.accept()
            wire.answer(b"good")
            assert world.result(second).body == b"good", case.name


# Things without an end


def flood(wire: Wire, data: bytes, most: int) -> int:
    """Send ``data`` again and again until the client hangs up; return how much it took."""
    sent = 0
    while sent < most:
        try:
            wire.send(data)
        except (ConnectionError, OSError):
            break
        sent += len(data)
    return sent


@pytest.mark.parametrize(
    ("before", "endless", "most"),
    [
        (b"", b"x" * 1000, 200_000),
        (b"HTTP/1.1 200 ", b"x" * 1000, 200_000),
        (b"HTTP/1.1 200 R\r\n", b"X-Name: value\r\n" * 10, 200_000),
        (b"HTTP/1.1 200 R\r\nX: ", b"y" * 1000, 200_000),
        (b"HTTP/1.1 200 R\r\nTransfer-Encoding: chunked\r\n\r\n", b"0" * 1000, 200_000),
        (b"HTTP/1.1 200 R\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 1000, 200_000),
        (b"HTTP/1.1 200 R\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Name: value\r\n" * 10, 200_000),
        (b"", CONTINUE * 10, 200_000),
        (b"", b"HTTP/1.1 103 R\r\nX-Name: value\r\n\r\n" * 10, 200_000),
    ],
)
def test_what_never_ends_is_cut(world: World, before: bytes, endless: bytes, most: int) -> None:
    future = answered(world, before)
    assert flood(world.wires[-1], endless, 10 << 20) < most + (1 << 20)  # the system's buffers hold the rest
    assert isinstance(world.error(future), BadResponse)


@pytest.mark.parametrize(
    "before",
    [b"HTTP/1.1 200 R\r\n\r\n", b"HTTP/1.1 200 R\r\nTransfer-Encoding: chunked\r\n\r\n"],
)
def test_a_body_that_never_ends_is_cut(before: bytes) -> None:
    with World(max_body=100_000) as world:
        future = answered(world, before)
        piece = b"1000\r\n" + bytes(0x1000) + b"\r\n" if b"chunked" in before else bytes(0x1000)
        assert flood(world.wires[-1], piece, 32 << 20) < 16 << 20
        assert isinstance(world.error(future), ContentTooLarge)


@pytest.mark.parametrize("length", [b"99999999999999999999", b"9999999999999999999"])
def test_lengths_beyond_all_reason(world: World, length: bytes) -> None:
    future = answered(world, b"HTTP/1.1 200 R\r\nContent-Length: " + length + b"\r\n\r\nabc")
    assert isinstance(world.error(future), BadResponse | ContentTooLarge)
    assert world.wires[-1].closed()


def test_redirects_without_an_end(world: World) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    for number in itertools.count():
        if future.done():
            break
        wire.answer(b"", f"Location: /{number}", status=302)
    assert number == 11
    error = world.error(future)
    assert isinstance(error, RedirectError)
    assert "more than 10 redirects" in str(error)


def test_cookies_without_an_end() -> None:
    """A jar is bounded, and what a client sends of it is a request that a server takes."""
    jar = CookieJar()
    with World(cookies=jar) as world:
        place = world.place()
        for turn in range(3):
            future = world.get(place.named("a.test"))
            wire = world.wires[-1] if world.wires else place.accept()
            assert len(wire.head()) < 1 << 18
            wire.send(reply(b"", *[f"Set-Cookie: n{turn}x{number}=v" for number in range(90)]))
            world.result(future)


# Bombs


@cache
def bomb(size: int, coding: str) -> bytes:
    last, _, before = coding.partition(", ")
    data = bomb(size, before) if before else bytes(size)
    return gzip.compress(data, 9) if last == "gzip" else zlib.compress(data, 9)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, gzip", "gzip, gzip, gzip"])
@pytest.mark.parametrize("chunked", [True, False])
def test_bombs(coding: str, chunked: bool) -> None:
    """No more is unpacked than is allowed."""
    data = bomb(100 << 20, coding)
    with World(max_body=1 << 20) as world:
        field = f"Content-Encoding: {coding}"
        future = answered(world, in_chunks(data, fields=(field,)) if chunked else reply(data, field))
        assert isinstance(world.error(future), ContentTooLarge)


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", b"no gzip"),
        ("gzip", gzip.compress(b"abc")[:-1]),
        ("gzip", gzip.compress(b"abc") + b"x"),
        ("deflate", b"\xff\xff\xff"),
        ("magic", b"abc"),
        ("gzip, gzip, gzip, gzip", bomb(1000, "gzip, gzip, gzip, gzip")),
        ("gzip", gzip.compress(b"") * 1000),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_content_that_is_bad(world: World, coding: str, data: bytes, stream: bool) -> None:
    future = answered(world, reply(data, f"Content-Encoding: {coding}"), stream=stream)
    error = future.exception(0)
    if error is None:
        error = world.error(world.watched(future.result(0).read()))
    assert isinstance(error, ContentError)
    assert stream or error.__notes__


# At random, against a model


class Chaos:
    """Many requests over few connections to a server that does anything; each must end exactly once.

    The server answers, trickles, closes, resets, redirects and stalls; the program cancels, pauses, closes, reads.
    """

    def __init__(self, world: World, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = world
        self.places = [world.place(backlog=1000), world.place(backlog=1000)]
        self.wires: list[tuple[Wire, bytearray, list[str]]] = []
        self.futures: list[tuple[int, Future[Response]]] = []
        self.ended: Counter[int] = Counter()
        self.streams: Counter[int] = Counter()
        self.paused: list[Response] = []

    def ask(self, number: int) -> None:
        place = self.dice.choice(self.places)
        method = self.dice.choice(["GET", "GET", "HEAD", "POST", "PUT"])
        body = b"x" * self.dice.choice([0, 10, 100_000]) if method in ("POST", "PUT") else None
        stream = self.dice.random() < 0.3
        expect = bool(body) and self.dice.random() < 0.2
        future = self.world.ask(method, f"{place.url}/{number}", body, stream=stream, expect=expect)
        self.futures.append((number, future))
        future.add_done_callback(lambda future: self.on_done(number, future))

    def on_done(self, number: int, future: Future[Response]) -> None:
        self.ended[number] += 1
        if future.cancelled() or future.exception() is not None:
            return
        response = future.result()
        if response.status != 503 and response.body:
            assert response.body.startswith(f"/{number} ".encode()), (number, response)
        if self.is_streamed(response):
            self.receive(number, response)

    def is_streamed(self, response: Response) -> bool:
        try:
            response.resume()
        except LocalProtocolError:
            return False
        return True

    def receive(self, number: int, response: Response) -> None:
        got = bytearray()

        def on_data(response: Response, data: bytes) -> None:
            got.extend(data)
            act = self.dice.random()
            if act < 0.2:
                response.pause()
                self.paused.append(response)
            elif act < 0.25:
                self.streams[number] += 1  # nothing is told after it
                response.close()
            elif act < 0.3:
                raise ZeroDivisionError

        def on_end(response: Response, error: Exception | None) -> None:
            self.streams[number] += 1
            if error is None and got and response.status != 503:
                assert got.startswith(f"/{number} ".encode())

        if self.dice.random() < 0.1:
            self.streams[number] += 1
            response.close()
        else:
            response.receive(on_data, on_end)

    def serve(self) -> None:
        """Do something at the server's side."""
        for place in self.places:
            wire = place.try_accept()
            if wire is not None:
                self.wires.append((wire, bytearray(), []))
        for entry in list(self.wires):
            wire, came, _ = entry
            try:
                data = wire.take()
            except OSError:
                data = b""
            if data == b"":
                wire.socket.close()
                self.wires.remove(entry)
            elif data:
                came += data
        for entry in list(self.wires):
            if b"\r\n\r\n" in entry[1]:
                self.answer(entry)

    def answer(self, entry: tuple[Wire, bytearray, list[str]]) -> None:
        came = entry[1]
        head, _, rest = bytes(came).partition(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].split(b" ")
        length = next(
            (int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")), 0
        )
        act = self.dice.random()
        if len(rest) < length and act > 0.1:
            if b"Expect" in head and act > 0.5:
                self.send(entry, CONTINUE)
            return  # the rest of the body is to come
        del came[: len(head) + 4 + length]
        body = target + b" " + b"y" * self.dice.choice([0, 10, 70_000])
        fields = ["Connection: close"] if self.dice.random() < 0.1 else []
        raw = reply(b"", *fields, status=204) if method == b"HEAD" else reply(body, *fields)
        if act < 0.55:
            self.send(entry, raw)
        elif act < 0.6:
            self.send(entry, in_chunks(body) if method != b"HEAD" else raw)
        elif act < 0.65:
            self.send(entry, raw + b"more than was asked for")
        elif act < 0.7:
            self.send(entry, b"HTTP/1.1 103 R\r\n\r\n" + raw)
        elif act < 0.78:
            self.send(entry, raw[: self.dice.randrange(len(raw))], end=self.dice.choice(["close", "reset"]))
        elif act < 0.84:
            self.send(entry, raw, end=self.dice.choice(["close", "reset"]))
        elif act < 0.88:
            self.send(entry, b"garbage\r\n\r\n")
        elif act < 0.92:
            self.send(entry, reply(b"busy", status=503))
        elif act < 0.95:
            self.send(entry, reply(b"moved", f"Location: {target.decode()}", status=302))
        # else: nothing at all, for ever

    def send(self, entry: tuple[Wire, bytearray, list[str]], raw: bytes, end: str = "") -> None:
        wire = entry[0]
        try:
            for piece in (raw[:7], raw[7:]):
                view = memoryview(piece)
                for _ in range(50):
                    if not view:
                        break
                    try:
                        view = view[wire.socket.send(view) :]
                    except BlockingIOError:
                        self.world.turn()
                self.world.turn()
        except OSError:
            end = "close"
        if end:
            wire.abort() if end == "reset" else wire.socket.close()
            self.wires.remove(entry)

    def act(self) -> None:
        """Do something at the program's side."""
        act = self.dice.random()
        if act < 0.05 and self.futures:
            self.dice.choice(self.futures)[1].cancel()
        elif act < 0.2 and self.paused:
            self.paused.pop(self.dice.randrange(len(self.paused))).resume()
        elif act < 0.22:
            assert hasattr(self.world.clock, "advance")
            self.world.clock.advance(3.0)


@pytest.mark.parametrize("seed", range(6))
def test_in_any_order_each_request_ends_once(seed: int) -> None:
    """A thousand requests over three connections, in chaos: none is lost, none is told twice, none gets another's."""
    with World(
        max_connections=3,
        max_per_host=2,
        retries=Retries(3, statuses=[503], backoff=0.1),
        timeouts=replace(TIMEOUTS, pool=500.0),
    ) as world:
        chaos = Chaos(world, seed)
        number = 0
        for _ in range(100_000):
            while number < 1000 and len(chaos.futures) - len(chaos.ended) < 20:
                chaos.ask(number)
                number += 1
            if len(chaos.ended) == 1000 and not chaos.paused:
                break
            world.turn()
            chaos.serve()
            chaos.act()
            if chaos.dice.random() < 0.02:
                world.clock.advance(2.0)  # type: ignore[attr-defined]  # it is one moved by hand
        for _ in range(100):
            while chaos.paused:
                chaos.paused.pop().resume()
            world.wait(100.0)
            chaos.serve()
        assert set(chaos.ended) == set(range(1000))
        assert set(chaos.ended.values()) == {1}
        assert all(count == 1 for count in chaos.streams.values())
        outcomes = Counter(
            "cancelled" if future.cancelled() else type(future.exception(0)).__name__
            for _, future in chaos.futures
        )
        assert outcomes["NoneType"] > 500  # most are answered
        assert len(outcomes) > 4  # and the others end in many ways
        for _, future in chaos.futures:
            if not future.cancelled() and (error := future.exception(0)) is not None:
                assert isinstance(error, EvkitError), error
        world.client.close()
        for wire, _, _ in chaos.wires:
            wire.socket.close()
        assert repr(world.client._terms.pool) == "<Pool 0 connections, 0 free, 0 waiting>"


def test_what_each_end_is_called(world: World) -> None:
    """The named error of each, and nothing else."""
    found: dict[str, type[BaseException]] = {}
    place = world.place(receive_buffer=SMALL)

    def ask(name: str, play: Any, **options: Any) -> None:
        future = world.ask(options.pop("method", "GET"), place.url, options.pop("body", None), **options)
        play(future)
        found[name] = type(world.error(future))

    ask("closed at once", lambda future: place.accept().close())
    ask("reset at once", lambda future: place.accept().reset())
    ask("silent", lambda future: world.wait(TIMEOUTS.head or 0))
    ask("no reader", lambda future: world.wait(31.0), method="POST", body=bytes(6 << 20))
    assert found == {
        "closed at once": ConnectionLost,
        "reset at once": ConnectionLost,
        "silent": RequestTimeout,
        "no reader": RequestTimeout,
    }
    assert all(issubclass(kind, TransportError) for kind in found.values())
