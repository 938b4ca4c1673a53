"""`evkit.http.client.incoming`: when pieces are delivered, when the end is told, and what may be done in between."""

import asyncio
import gzip
import io
import os
import weakref
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core import Buffer, EventBase, Future
from evkit.core.config import EventConfig
from evkit.core.flags import BASE_IGNORE_ENV, EVLOOP_NONBLOCK
from evkit.errors import ConnectionLost, LocalProtocolError
from evkit.http.client.decoding import Decoder
from evkit.http.client.incoming import Incoming
from evkit.http.client.origin import parse_url
from evkit.http.client.redirects import Step
from evkit.http.client.response import Response
from evkit.http.errors import ContentError, ContentTooLarge
from evkit.http.parser import ResponseHead

RESET = ConnectionLost("reset", during="read")


class FakeTap:
    """A server that has sent some pieces, which come as long as the tap is open."""

    def __init__(
        self, base: EventBase, pieces: list[bytes], end: Exception | None, decoder: Decoder | None
    ) -> None:
        head = ResponseHead(200, "R", 1, len(pieces), True, b"")
        self.response = Response(head, Step("GET", parse_url("http://a/")), ())
        self.sink = Buffer()
        self.incoming = Incoming(self.response, self, self.sink, decoder, base, 1000)
        self.response.comes_from(self.incoming)
        self.log: list[str] = []
        self.open = False
        self._pieces = pieces
        self._end = end

    def go_on(self) -> None:
        self.log.append("go on")
        self.open = True
        while self.open and self._pieces:
            self.sink.add(self._pieces.pop(0))
            self.incoming.came()
            if not self._pieces and "drop" not in self.log:  # the last piece comes together with the end
                self.incoming.ended(self._end)

    def hold(self) -> None:
        self.log.append("hold")
        self.open = False

    def drop(self) -> None:
        self.log.append("drop")
        self.open = False


class Ear:
    """Hears of a body: pieces, then the end."""

    def __init__(
        self, base: EventBase, *pieces: bytes, end: Exception | None = None, coded: bool = False
    ) -> None:
        decoder = Decoder(["gzip"]) if coded else None
        self.base = base
        self.tap = FakeTap(base, list(pieces), end, decoder)
        self.response = self.tap.response
        self.heard: list[object] = []
        self.then: Callable[[bytes], object] = lambda data: None

    def listen(self) -> None:
        self.response.receive(self.on_data, self.on_end)

    def on_data(self, response: Response, data: bytes) -> None:
        assert response is self.response
        self.heard.append(data)
        self.then(data)

    def on_end(self, response: Response, error: Exception | None) -> None:
        assert response is self.response
        self.heard.append(error)

    def turn(self) -> list[object]:
        self.base.loop(EVLOOP_NONBLOCK)
        return self.heard


@pytest.fixture(name="base")
def make_base() -> Iterator[EventBase]:
    escaped: list[Exception] = []
    with EventBase(EventConfig(flags=BASE_IGNORE_ENV)) as base:
        base.exception_handler = lambda exception, _source: escaped.append(exception)
        yield base
    if escaped:
        raise escaped[0]


def test_nothing_comes_before_somebody_asks(base: EventBase) -> None:
    ear = Ear(base, b"a", b"b")
    assert ear.turn() == []
    assert ear.tap.log == []
    ear.listen()
    assert ear.heard == []  # never from inside the call
    assert ear.turn() == [b"a", b"b", None]


def test_the_end_with_an_error(base: EventBase) -> None:
    ear = Ear(base, b"a", end=RESET)
    ear.listen()
    assert ear.turn() == [b"a", RESET]


def test_an_end_that_was_there_first(base: EventBase) -> None:
    ear = Ear(base)
    ear.tap.sink.add(b"abc")
    ear.tap.incoming.ended(None)
    ear.listen()
    assert ear.turn() == [b"abc", None]
    assert ear.tap.log == []


def test_large_pieces_are_cut(base: EventBase) -> None:
    ear = Ear(base, bytes(600_000))
    ear.listen()
    ear.turn()
    sizes = [len(piece) for piece in ear.heard if isinstance(piece, bytes)]
    assert sum(sizes) == 600_000
    assert max(sizes) <= 262_144


# Pauses


def test_pause_and_resume_from_outside(base: EventBase) -> None:
    ear = Ear(base, b"a", b"b", b"c")
    ear.then = lambda data: ear.response.pause()
    ear.listen()
    assert ear.turn() == [b"a"]
    ear.response.resume()
    assert ear.heard == [b"a", b"b"]
    ear.response.resume()
    assert ear.heard == [b"a", b"b", b"c"]
    assert ear.turn() == [b"a", b"b", b"c"]  # the end waits, too
    ear.response.resume()
    assert ear.heard == [b"a", b"b", b"c", None]


def test_pause_and_resume_from_inside(base: EventBase) -> None:
    ear = Ear(base, b"a", b"b", b"c")

    def then(data: bytes) -> None:
        ear.response.pause()
        ear.response.resume()

    ear.then = then
    ear.listen()
    assert ear.turn() == [b"a", b"b", b"c", None]


def test_pause_twice_and_resume_once(base: EventBase) -> None:
    ear = Ear(base, b"a")
    ear.response.pause()
    ear.response.pause()
    ear.listen()
    assert ear.turn() == []
    ear.response.resume()
    assert ear.turn() == [b"a", None]


def test_resume_without_a_pause_is_harmless(base: EventBase) -> None:
    ear = Ear(base, b"a")
    ear.response.resume()
    assert ear.turn() == []
    ear.listen()
    ear.response.resume()
    assert ear.turn() == [b"a", None]


def test_pause_before_anybody_receives_and_resume(base: EventBase) -> None:
    ear = Ear(base, b"a")
    ear.response.pause()
    ear.response.resume()
    assert ear.turn() == []
    ear.listen()
    assert ear.turn() == [b"a", None]


def test_pause_after_the_end_is_harmless(base: EventBase) -> None:
    ear = Ear(base, b"a")
    ear.listen()
    ear.turn()
    log = list(ear.tap.log)
    ear.response.pause()
    ear.response.resume()
    ear.response.close()
    assert ear.turn() == [b"a", None]
    assert ear.tap.log == log


def test_a_pause_in_the_middle_of_what_is_decoded(base: EventBase) -> None:
    """What was decoded is not delivered, what was not is not decoded, and nothing is lost."""
    content = os.urandom(1000) * 300
    ear = Ear(base, gzip.compress(content), coded=True)
    ear.then = lambda data: ear.response.pause()
    ear.listen()
    ear.turn()
    while ear.heard[-1] is not None:
        before = len(ear.heard)
        ear.response.resume()
        assert len(ear.heard) == before + 1
    assert b"".join(piece for piece in ear.heard if isinstance(piece, bytes)) == content


# Closing


@pytest.mark.parametrize("coded", [False, True])
def test_close_from_inside(base: EventBase, coded: bool) -> None:
    first = gzip.compress(bytes(100_000)) if coded else b"a"
    ear = Ear(base, first, b"b", coded=coded)
    ear.then = lambda data: ear.response.close()
    ear.listen()
    assert len(ear.turn()) == 1
    assert ear.tap.log == ["go on", "drop"]


def test_close_before_it_begins(base: EventBase) -> None:
    ear = Ear(base, b"a")
    ear.listen()
    ear.response.close()
    assert ear.turn() == []
    assert ear.tap.log == ["drop"]
    ear.response.close()
    assert ear.tap.log == ["drop"]


@pytest.mark.parametrize(
    "ask", [Response.read, lambda r: r.save(io.BytesIO()), lambda r: r.receive(print, print)]
)
def test_a_body_is_received_once(base: EventBase, ask: Callable[[Response], object]) -> None:
    ear = Ear(base, b"a")
    ear.listen()
    with pytest.raises(LocalProtocolError, match="already"):
        ask(ear.response)
    ear.turn()
    with pytest.raises(LocalProtocolError, match="already"):
        ask(ear.response)
    closed = Ear(base, b"a")
    closed.response.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        ask(closed.response)


# Failing callbacks


@pytest.mark.parametrize("pause", [False, True])
def test_what_on_data_raises_is_the_end(base: EventBase, pause: bool) -> None:
    ear = Ear(base, b"a", b"b")

    def then(data: bytes) -> None:
        if pause:
            ear.response.pause()
        raise ZeroDivisionError

    ear.then = then
    ear.listen()
    ear.turn()
    assert ear.heard[0] == b"a"
    assert isinstance(ear.heard[1], ZeroDivisionError)
    assert len(ear.heard) == 2
    assert ear.tap.log == ["go on", "drop"]


def test_what_on_data_raises_after_the_end_has_come(base: EventBase) -> None:
    ear = Ear(base)
    ear.tap.sink.add(b"abc")
    ear.tap.incoming.ended(None)

    def then(data: bytes) -> None:
        raise ZeroDivisionError

    ear.then = then
    ear.listen()
    ear.turn()
    assert isinstance(ear.heard[1], ZeroDivisionError)
    assert len(ear.heard) == 2


def test_the_first_error_is_told(base: EventBase) -> None:
    ear = Ear(base)
    ear.tap.sink.add(b"abc")
    ear.tap.incoming.ended(RESET)

    def then(data: bytes) -> None:
        raise ZeroDivisionError

    ear.then = then
    ear.listen()
    assert ear.turn() == [b"abc", RESET]


def test_what_on_end_raises_is_the_base_s(base: EventBase) -> None:
    """It must not reach the connection, which carries another request by then."""
    escaped: list[Exception] = []
    base.exception_handler = lambda exception, _source: escaped.append(exception)
    ear = Ear(base, b"a")

    def on_end(response: Response, error: Exception | None) -> None:
        raise ZeroDivisionError

    ear.response.receive(ear.on_data, on_end)
    ear.turn()
    assert [type(exception) for exception in escaped] == [ZeroDivisionError]


# Decoding


def test_content_is_decoded(base: EventBase) -> None:
    coded = gzip.compress(b"hello" * 1000)
    ear = Ear(base, coded[:20], coded[20:21], coded[21:], coded=True)
    ear.listen()
    ear.turn()
    assert b"".join(piece for piece in ear.heard if isinstance(piece, bytes)) == b"hello" * 1000
    assert ear.heard[-1] is None


def test_content_that_is_malformed(base: EventBase) -> None:
    ear = Ear(base, b"no gzip at all", b"more", coded=True)
    ear.listen()
    ear.turn()
    assert [type(heard) for heard in ear.heard] == [ContentError]
    assert ear.tap.log == ["go on", "drop"]


def test_content_that_is_cut_short(base: EventBase) -> None:
    ear = Ear(base, gzip.compress(os.urandom(1000))[:-1], coded=True)
    ear.listen()
    ear.turn()
    assert isinstance(ear.heard[-1], ContentError)


def test_a_lost_connection_is_not_called_bad_content(base: EventBase) -> None:
    ear = Ear(base, gzip.compress(os.urandom(1000))[:-1], end=RESET, coded=True)
    ear.listen()
    ear.turn()
    assert ear.heard[-1] is RESET


def test_a_bomb(base: EventBase) -> None:
    bomb = gzip.compress(
        zlib.compress(bytes(200 << 20), 9)
    )  # a gzip of a zlib: only what is undone is counted
    inner = gzip.decompress(bomb)
    tap = FakeTap(base, [inner], None, Decoder(["deflate"], max_ratio=100))
    sizes: list[int] = []
    ends: list[Exception | None] = []
    tap.response.receive(
        lambda _response, data: sizes.append(len(data)), lambda _response, error: ends.append(error)
    )
    base.loop(EVLOOP_NONBLOCK)
    assert isinstance(ends[0], ContentTooLarge)
    assert sum(sizes) < 32 << 20
    assert max(sizes) <= 65536


# All of it, and to a file


def result(base: EventBase, future: Future[int] | Future[bytes]) -> object:
    base.loop(EVLOOP_NONBLOCK)
    return future.result(0)


@pytest.mark.parametrize("coded", [False, True])
def test_read(base: EventBase, coded: bool) -> None:
    content = b"abc" * 300
    whole = gzip.compress(content) if coded else content
    ear = Ear(base, *(whole[n : n + 1] for n in range(len(whole))), coded=coded)
    assert result(base, ear.response.read()) == content


def test_read_has_a_limit(base: EventBase) -> None:
    assert result(base, Ear(base, bytes(999), bytes(1)).response.read()) == bytes(1000)
    ear = Ear(base, bytes(1000), bytes(1), bytes(1))
    with pytest.raises(ContentTooLarge, match="1000"):
        result(base, ear.response.read())
    assert ear.tap.log[-1] == "drop"


def test_read_of_what_fails(base: EventBase) -> None:
    with pytest.raises(ConnectionLost, match="reset"):
        result(base, Ear(base, b"a", end=RESET).response.read())


def test_cancelling_stops_it(base: EventBase) -> None:
    ear = Ear(base, b"a", b"b")
    future = ear.response.read()
    future.cancel()
    with pytest.raises(asyncio.CancelledError):
        result(base, future)
    assert ear.tap.log == ["drop"]


def test_save(base: EventBase) -> None:
    file = io.BytesIO()
    assert result(base, Ear(base, b"abc", bytes(2000)).response.save(file)) == 2003
    assert file.getvalue() == b"abc" + bytes(2000)


def test_save_to_a_file_that_takes_less_at_once(base: EventBase) -> None:
    """As one without a buffer may do."""

    class Narrow(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: "memoryview") -> int:  # type: ignore[override]  # all that is called here
            self.data += bytes(data[:3])
            return len(data[:3])

    file = Narrow()
    assert result(base, Ear(base, b"0123456789").response.save(file)) == 10  # type: ignore[arg-type]  # it has write
    assert file.data == b"0123456789"


def test_save_to_a_file_that_would_block(base: EventBase) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(reading, "rb"), open(writing, "wb", buffering=0) as file, pytest.raises(BlockingIOError):
        result(base, Ear(base, bytes(10 << 20)).response.save(file))


def test_save_to_what_tells_no_size(base: EventBase) -> None:
    class Sink:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> None:
            self.data += data

    sink = Sink()
    assert result(base, Ear(base, b"abc").response.save(sink)) == 3  # type: ignore[arg-type]  # it has write
    assert sink.data == b"abc"


def test_save_to_a_full_disk(base: EventBase) -> None:
    with open("/dev/full", "wb", buffering=0) as file:
        ear = Ear(base, b"abc", b"def")
        with pytest.raises(OSError, match="No space left"):
            result(base, ear.response.save(file))
        assert ear.tap.log[-1] == "drop"


# Any order


@given(
    st.lists(st.binary(min_size=1, max_size=5), max_size=6),
    st.lists(st.sampled_from(["pause", "resume", "both", "nothing"]), max_size=12),
    st.booleans(),
    st.booleans(),
)
def test_in_any_order_nothing_is_lost_and_the_end_comes_once(
    pieces: list[bytes], steps: list[str], coded: bool, fails: bool
) -> None:
    with EventBase(EventConfig(flags=BASE_IGNORE_ENV)) as base:
        content = b"".join(pieces)
        raw = gzip.compress(content) if coded else content
        cut = [raw[n : n + 3] for n in range(0, len(raw), 3)]
        ear = Ear(base, *cut, end=RESET if fails else None, coded=coded)
        if not cut:
            ear.tap.incoming.ended(RESET if fails else None)
        todo = iter(steps)

        def act() -> None:
            step = next(todo, "nothing")
            if step in ("pause", "both"):
                ear.response.pause()
            if step in ("resume", "both"):
                ear.response.resume()

        ear.then = lambda data: act()
        ear.listen()
        for _ in range(len(steps) + 1):
            ear.turn()
            act()
        while not (ear.heard and not isinstance(ear.heard[-1], bytes)):
            ear.response.resume()
            ear.turn()
        assert ear.heard.pop() is (RESET if fails else None)
        assert b"".join(ear.heard) == content  # type: ignore[arg-type]  # only bytes are left


def test_what_is_over_refers_to_nothing(base: EventBase) -> None:
    """The response keeps neither its connection nor its callbacks."""
    ear = Ear(base, b"a")
    response, tap = ear.response, weakref.ref(ear.tap)
    ear.listen()
    ear.turn()
    del ear
    assert tap() is None
    assert response.status == 200
