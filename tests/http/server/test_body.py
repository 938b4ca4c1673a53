"""`BodyReader`: a body as it is received, whole and piece by piece, and how much of it a route takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core import Buffer
from evkit.http.errors import BadRequest
from evkit.http.parser import CHUNKED, Limits, make_engine
from evkit.http.server.body import BodyReader
from evkit.http.server.request import BodyReceiver, Request
from evkit.http.server.routes import Route
from http_handlers import Door
from http_server_aids import both_engines, chunked, request

# Not st.binary(): Hypothesis compares its bytes with ints when both are drawn, which `python -bb` forbids.
PIECE = st.lists(st.integers(0, 255), min_size=1, max_size=9).map(bytes)


def buffer(data: bytes) -> Buffer:
    made = Buffer()
    made.add(data)
    return made


class Upload:
    """A request whose head was read, the reader of its body, and what its handler was told."""

    def __init__(
        self, engine: str, sent: bytes, *, stream: bool = False, max_body: int | None = None
    ) -> None:
        self.told: list[object] = []
        self.source = buffer(sent)
        parser = make_engine(engine, Limits(), Request)
        head = parser.read_head(self.source)
        assert isinstance(head, Request)
        self.request = head
        head.connection = Door()
        self.reader = BodyReader(parser, head, Route(self.handle, stream=stream, max_body=max_body))

    def handle(self, request: Request) -> None:
        self.told.append(request.body)

    def receive(self) -> None:
        self.request.receiver = BodyReceiver(self.on_data, self.on_end)

    def on_data(self, request: Request, data: bytes) -> None:
        self.told.append(data)

    def on_end(self, request: Request) -> None:
        self.told.append(("end", list(request.trailers)))

    def come(self, more: bytes = b"") -> bool:
        """Let more of the body come, read it and deliver it."""
        self.source.add(more)
        complete = self.reader.read(self.source)
        self.reader.deliver(complete=complete)
        return complete


# Bodies received


@both_engines
def test_a_handler_of_whole_bodies_is_called_once_at_the_end(engine: str) -> None:
    upload = Upload(engine, request("POST", "/", "Content-Length: 6") + b"ab")
    assert upload.reader.wanted
    assert (upload.come(), upload.come(b"cd"), upload.told) == (False, False, [])
    assert upload.come(b"ef" + b"GET /next")
    assert upload.told == [b"abcdef"]
    assert upload.source.remove() == b"GET /next"


@both_engines
def test_a_streaming_handler_gets_each_piece_and_the_end(engine: str) -> None:
    upload = Upload(engine, request("POST", "/", "Content-Length: 6") + b"ab", stream=True)
    upload.receive()
    assert (upload.come(), upload.come(b"cd"), upload.come(b"ef")) == (False, False, True)
    assert upload.told == [b"ab", b"cd", b"ef", ("end", [])]


def test_a_streaming_handler_wants_nothing_before_it_receives() -> None:
    upload = Upload("native", request("POST", "/", "Content-Length: 6"), stream=True)
    assert not upload.reader.wanted
    upload.receive()
    assert upload.reader.wanted


@both_engines
def test_nothing_new_is_not_delivered(engine: str) -> None:
    upload = Upload(engine, chunked("POST", "/")[:-5] + b"2\r\n", stream=True)
    upload.receive()
    assert not upload.come()
    assert upload.told == []


def test_a_handler_that_has_answered_is_not_told_of_the_end() -> None:
    upload = Upload("native", request("POST", "/", body=b"ab"), stream=True)
    upload.receive()
    upload.request.connection = None
    assert upload.come()
    assert upload.told == [b"ab"]


def test_a_handler_that_has_begun_to_answer_is_told_of_the_end() -> None:
    upload = Upload("native", request("POST", "/", body=b"ab"), stream=True)
    upload.receive()
    upload.request.status = 200
    assert upload.come()
    assert upload.told == [b"ab", ("end", [])]


@both_engines
@pytest.mark.parametrize("stream", [False, True])
def test_trailers_are_there_with_the_end(engine: str, stream: bool) -> None:
    upload = Upload(engine, chunked("POST", "/", b"ab", trailers=b"T: v\r\n"), stream=stream)
    if stream:
        upload.receive()
    assert upload.come()
    assert upload.request.trailers == [("T", "v")]
    assert upload.told == ([b"ab", ("end", [("T", "v")])] if stream else [b"ab"])


@both_engines
@given(pieces=st.lists(PIECE, max_size=5), data=st.data())
def test_any_cut_of_a_chunked_body_gives_the_same_body(
    engine: str, pieces: list[bytes], data: st.DataObject
) -> None:
    sent = chunked("POST", "/", *pieces)
    head = sent.index(b"\r\n\r\n") + 4
    whole, streamed = Upload(engine, sent[:head]), Upload(engine, sent[:head], stream=True)
    streamed.receive()
    at = head
    while at < len(sent):
        end = data.draw(st.integers(at + 1, len(sent)))
        assert whole.come(sent[at:end]) == streamed.come(sent[at:end]) == (end == len(sent))
        at = end
    assert whole.told == [b"".join(pieces)]
    assert streamed.told.pop() == ("end", [])
    assert all(isinstance(piece, bytes) and piece for piece in streamed.told)
    assert b"".join(piece for piece in streamed.told if isinstance(piece, bytes)) == b"".join(pieces)


# Limits


@pytest.mark.parametrize(("length", "limit"), [(10, 10), (10, None), (1, 1)])
def test_a_length_within_the_routes_limit(length: int, limit: int | None) -> None:
    upload = Upload("native", request("POST", "/", body=b"x" * length), max_body=limit)
    assert upload.come()
    assert upload.told == [b"x" * length]


@pytest.mark.parametrize(("length", "limit"), [(11, 10), (1, 0)])
def test_a_length_beyond_the_routes_limit_is_413(length: int, limit: int) -> None:
    with pytest.raises(BadRequest, match=f"at most {limit} bytes.*{length}") as caught:
        Upload("native", request("POST", "/", f"Content-Length: {length}"), max_body=limit)
    assert caught.value.status == 413


@both_engines
def test_chunks_beyond_the_routes_limit_are_413(engine: str) -> None:
    within = Upload(engine, chunked("POST", "/", b"abc", b"de"), max_body=5)  # their length is not known yet
    assert within.come()
    beyond = Upload(engine, chunked("POST", "/", b"abc", b"de"), max_body=4)
    with pytest.raises(BadRequest) as caught:
        beyond.come()
    assert (caught.value.status, beyond.told) == (413, [])


@both_engines
def test_the_limit_is_that_of_each_route(engine: str) -> None:
    """A connection keeps its engine from one request to the next."""
    parser = make_engine(engine, Limits(), Request)
    source = buffer(chunked("POST", "/", b"abcdef") * 2)
    bodies: list[bytes] = []
    for limit in (None, 6):
        head = parser.read_head(source)
        assert isinstance(head, Request)
        assert head.body_length == CHUNKED
        reader = BodyReader(parser, head, Route(lambda request: bodies.append(request.body), max_body=limit))
        assert parser.max_body == limit
        assert reader.read(source)
        reader.deliver(complete=True)
    assert bodies == [b"abcdef"] * 2
