"""`ServerConnection` over real sockets: what comes next on one connection, and what it costs the others."""

import gc
import logging
from collections.abc import Callable

import h11
import pytest

from evkit.core import Buffer, EventBase, SocketBufferEvent
from evkit.core.flags import EV_READ
from evkit.errors import LocalProtocolError
from evkit.http.connection import ServerConnection
from evkit.http.message import Request
from http_server_aids import Site, both_engines, chunked, get, request

MIB = 1 << 20


def echo(request: Request) -> None:
    request.send_reply(200, f"{request.method} {request.target} ".encode() + request.body)


class Later:
    """A handler that leaves its requests unanswered, for the test to answer."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.closed: list[Request] = []

    def __call__(self, request: Request) -> None:
        request.on_close = self.closed.append
        self.requests.append(request)


class Uploads:
    """A streaming handler that writes down what it is told, and answers at the end."""

    def __init__(self) -> None:
        self.told: list[object] = []  # without large pieces
        self.size = 0
        self.closed: list[Request] = []

    def __call__(self, request: Request) -> None:
        self.told.append("head")
        request.on_close = self.closed.append
        request.receive(self.on_data, self.on_end)

    def on_data(self, request: Request, data: bytes) -> None:
        assert data
        self.size += len(data)
        if len(data) > 1000:
            return
        if self.told[-1:] and isinstance(self.told[-1], bytes):
            self.told[-1] += data
        else:
            self.told.append(data)

    def on_end(self, request: Request) -> None:
        self.told.append(("end", request.trailers))
        request.send_reply(200, b"done")


def only(site: Site) -> ServerConnection:
    (connection,) = site.server.connections
    return connection


# One request after the other


@both_engines
def test_requests_on_one_connection(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        for number in range(3):
            assert client.ask(get(f"/{number}")).body == b"GET /%d " % number
        assert len(site.server.connections) == 1
        assert site.completed == [("/0", 200), ("/1", 200), ("/2", 200)]


@both_engines
def test_pipelined_requests_are_answered_in_order(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        client.send(
            get("/0")
            + request("POST", "/1", body=b"one")
            + chunked("PUT", "/2", b"tw", b"o")
            + b"\r\n"
            + get("/3", "Connection: close")
            + get("/4")
        )
        bodies = [client.reply().body for _ in range(4)]
        assert bodies == [b"GET /0 ", b"POST /1 one", b"PUT /2 two", b"GET /3 "]
        assert client.rest() == b""
        assert len(site.completed) == 4


@both_engines
def test_a_reply_that_comes_late_holds_the_next_one_back(engine: str) -> None:
    with Site(engine) as site:
        later = Later()
        site.server.set_gencb(echo)
        site.server.set_cb("/later", later)
        client = site.client()
        client.send(get("/0") + get("/later") + get("/2") + get("/later") + get("/4"))
        assert client.reply().body == b"GET /0 "
        assert client.silence()
        later.requests[0].send_reply(200, b"first")
        assert [client.reply().body for _ in range(2)] == [b"first", b"GET /2 "]
        assert client.silence()
        later.requests[1].send_reply(200, b"second")
        assert [client.reply().body for _ in range(2)] == [b"second", b"GET /4 "]
        assert len(later.requests) == 2


@pytest.mark.parametrize("count", [1, 3])
def test_a_reply_from_a_timer(base: EventBase, count: int) -> None:
    with Site(base=base) as site:

        def handler(request: Request) -> None:
            base.timer(lambda _event, _what: request.send_reply(200, request.target.encode())).add(0)

        site.server.set_gencb(handler)
        client = site.client()
        client.send(b"".join(get(f"/{number}") for number in range(count)))
        assert [client.reply().body for _ in range(count)] == [b"/%d" % number for number in range(count)]


def test_many_clients_on_every_backend(base: EventBase) -> None:
    with Site(base=base) as site:
        site.server.set_gencb(echo)
        clients = [site.client() for _ in range(30)]
        for turn in range(3):
            for number, client in enumerate(clients):
                client.send(get(f"/{turn}/{number}") * 2)
            for number, client in enumerate(clients):
                for _ in range(2):
                    assert client.reply().body == b"GET /%d/%d " % (turn, number)


@both_engines
def test_a_request_that_comes_byte_by_byte(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        for byte in request("POST", "/p", body=b"ab") + chunked("PUT", "/c", b"c", trailers=b"T: v\r\n"):
            client.send(bytes([byte]))
        assert client.reply().body == b"POST /p ab"
        assert client.reply().body == b"PUT /c c"


# Whether the connection stays


@pytest.mark.parametrize(
    ("version", "option", "stays", "says"),
    [
        ("1.1", None, True, None),
        ("1.1", "close", False, "close"),
        ("1.1", "x, Close", False, "close"),
        ("1.1", "keep-alive", True, None),
        ("1.0", None, False, "close"),
        ("1.0", "keep-alive", True, "keep-alive"),
        ("1.0", "keep-alive, close", False, "close"),
    ],
)
@both_engines
def test_whether_the_connection_stays(
    engine: str, version: str, option: str | None, stays: bool, says: str | None
) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        fields = [] if option is None else [f"Connection: {option}"]
        reply = client.ask(get("/", *fields, version=version))
        assert reply.get("connection") == says
        assert reply.get("content-length") == "6"
        if stays:
            assert client.ask(get("/", *fields, version=version)).body == b"GET / "
        else:
            assert client.rest() == b""


def test_a_handler_that_closes_by_its_field() -> None:
    with Site() as site:
        site.server.set_gencb(lambda request: request.send_reply(200, b"x", [("Connection", "close")]))
        client = site.client()
        assert client.ask(get() * 2).body == b"x"
        assert client.rest() == b""


def test_pieces_for_http_1_0_end_with_the_connection() -> None:
    with Site() as site:

        def handler(request: Request) -> None:
            request.send_reply_start(200)
            request.send_reply_chunk(b"ab")
            request.send_reply_chunk(b"c")
            request.send_reply_end()

        site.server.set_gencb(handler)
        client = site.client()
        client.send(get(version="1.0"))
        head, _, body = client.rest().partition(b"\r\n\r\n")
        assert body == b"abc"
        assert b"chunked" not in head


def test_connect_ends_the_connection_as_there_is_no_tunnel() -> None:
    with Site() as site:
        site.server.set_gencb(lambda request: request.send_reply(200))
        client = site.client()
        reply = client.ask(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n" + get(), "CONNECT")
        assert reply.get("content-length") is None
        assert client.rest() == b""
        assert len(site.completed) == 1


# Replies without a body


@both_engines
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304)])
@pytest.mark.parametrize("pieces", [False, True])
def test_a_reply_without_a_body_sends_none_and_the_next_one_follows(
    engine: str, method: str, status: int, pieces: bool
) -> None:
    with Site(engine) as site:

        def handler(request: Request) -> None:
            if pieces:
                request.send_reply_start(status)
                request.send_reply_chunk(b"never seen")
                request.send_reply_end()
            else:
                request.send_reply(status, b"never seen")

        site.server.set_gencb(handler)
        client = site.client()
        client.send(request(method, "/") * 2)
        for _ in range(2):
            reply = client.reply(method)
            assert (reply.status, reply.body) == (status, b"")
            if method == "HEAD" and not pieces:
                assert reply.get("content-length") == "10"
        assert client.silence()


# Replies in pieces


@both_engines
def test_a_reply_in_pieces(engine: str) -> None:
    with Site(engine) as site:

        def handler(request: Request) -> None:
            request.send_reply_start(200, [("A", "b")])
            request.send_reply_chunk(b"one ")
            request.send_reply_chunk(b"")
            buffer = Buffer()
            buffer.add(b"two ")
            request.send_reply_chunk(buffer)
            request.send_reply_chunk("three")
            request.send_reply_end()

        site.server.set_gencb(handler)
        client = site.client()
        for _ in range(2):
            reply = client.ask(get())
            assert reply.body == b"one two three"
            assert reply.get("a") == "b"
            assert reply.get("transfer-encoding") == "chunked"


def test_pieces_of_a_reply_that_leave_one_at_a_time() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        (asked,) = later.requests
        asked.send_reply_start(200, [("Content-Length", "4")])
        came = []
        for piece in (b"ab", b"cd"):
            site.settle()
            came.append(client.take())
            asked.send_reply_chunk(piece)
        assert site.completed == []
        asked.send_reply_end()
        site.settle()
        assert came[0] is not None
        assert b"Content-Length: 4\r\n" in came[0]
        assert (came[1], client.take()) == (b"ab", b"cd")
        assert site.completed == [("/", 200)]
        assert asked.reply_size == 4


def test_drained_is_called_once_when_the_pieces_are_on_their_way() -> None:
    with Site() as site:
        later, calls = Later(), []
        site.server.set_gencb(later)
        client = site.client(receive_buffer=4096)
        client.send(get())
        (asked,) = later.requests
        asked.send_reply_start(200)
        asked.send_reply_chunk(bytes(8 * MIB), lambda: calls.append(len(only(site).bev.output)))
        site.settle()
        assert calls == []
        site.until(lambda: client.take() is not None and calls, "the write to drain")
        assert calls == [0]
        asked.send_reply_chunk(b"", lambda: calls.append(1))
        site.settle()
        assert calls == [0, 1]
        asked.send_reply_end()


def test_a_reply_that_is_produced_as_it_drains_stays_small() -> None:
    with Site() as site:
        left, most = 200, 0

        def more(request: Request) -> None:
            nonlocal left, most
            most = max(most, len(only(site).bev.output))
            left -= 1
            if left:
                request.send_reply_chunk(bytes(65536), lambda: more(request))
            else:
                request.send_reply_end()

        def handler(request: Request) -> None:
            request.send_reply_start(200)
            more(request)

        site.server.set_gencb(handler)
        client = site.client()
        assert len(client.ask(get()).body) == 199 * 65536
        assert most <= 2 * 65536


def test_an_exception_in_drained_closes_the_connection() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        later.requests[0].send_reply_start(200)
        later.requests[0].send_reply_chunk(b"x", lambda: 1 // 0)
        site.settle()
        assert [type(error) for error in site.take_escaped()] == [ZeroDivisionError]
        with pytest.raises(h11.RemoteProtocolError):
            client.reply()
        assert not site.server.connections
        assert later.closed == later.requests


def test_drained_is_not_called_when_the_connection_has_ended() -> None:
    with Site() as site:
        later, calls = Later(), []
        site.server.set_gencb(later)
        client = site.client(receive_buffer=4096)
        client.send(get())
        later.requests[0].send_reply_start(200)
        site.settle()
        later.requests[0].send_reply_chunk(b"", lambda: calls.append("at once"))
        later.requests[0].send_reply_chunk(bytes(8 * MIB), lambda: calls.append("later"))
        site.server.close()
        site.settle()
        assert calls == []


def test_pieces_before_the_start_are_an_error() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get() * 2)
        later.requests[0].send_reply_start(200)
        later.requests[0].send_reply_end()
        client.reply()
        asked = later.requests[1]
        with pytest.raises(LocalProtocolError, match="send_reply_start"):
            asked.send_reply_chunk(b"x")
        with pytest.raises(LocalProtocolError, match="send_reply_start"):
            asked.send_reply_end()
        asked.send_reply(200, b"fine")
        assert client.reply().body == b"fine"


def test_more_than_the_content_length_is_an_error_and_nothing_of_it_is_sent() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        (asked,) = later.requests
        asked.send_reply_start(200, [("Content-Length", "3")])
        asked.send_reply_chunk(b"ab")
        with pytest.raises(LocalProtocolError, match="1 are left"):
            asked.send_reply_chunk(b"cd")
        asked.send_reply_chunk(b"c")
        asked.send_reply_end()
        assert client.reply().body == b"abc"


def test_an_end_before_the_content_length_closes() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        (asked,) = later.requests
        asked.send_reply_start(200, [("Content-Length", "3")])
        asked.send_reply_chunk(b"ab")
        with pytest.raises(LocalProtocolError, match="1 bytes before"):
            asked.send_reply_end()
        with pytest.raises((h11.RemoteProtocolError, ConnectionResetError)):
            client.reply()


@both_engines
def test_two_replies_to_one_request_send_one(engine: str) -> None:
    with Site(engine) as site:
        errors = []

        def handler(request: Request) -> None:
            request.send_reply(200, b"first")
            try:
                request.send_reply(500, b"second")
            except LocalProtocolError as error:
                errors.append(error)

        site.server.set_gencb(handler)
        client = site.client()
        assert client.ask(get()).body == b"first"
        assert client.silence()
        assert len(errors) == 1


# Fields that a handler gets wrong

BAD_FIELDS = [
    ("X", "a\r\nSet-Cookie: b"),
    ("X", "a\nb"),
    ("X", "a\rb"),
    ("X", "a\0b"),
    ("X", "€"),
    ("X\r\nY", "v"),
    ("X:Y", "v"),
    ("X: a", "v"),
    ("", "v"),
    ("Date", "a\r\nb"),
    ("Connection", "close\r\nX: y"),
    ("Content-Length", "5"),
    ("Content-Length", "x"),
    ("Transfer-Encoding", "chunked"),
]


@pytest.mark.parametrize(
    ("field", "pieces"),
    [
        (field, pieces)
        for field in BAD_FIELDS
        for pieces in (False, True)
        if not pieces or field != ("Content-Length", "5")  # right for a reply in pieces
    ],
)
def test_of_a_reply_with_a_bad_field_nothing_is_sent(field: tuple[str, str], pieces: bool) -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        (asked,) = later.requests
        send: Callable[..., None] = asked.send_reply_start if pieces else asked.send_reply
        with pytest.raises(LocalProtocolError):
            send(200, headers=[("A", "b"), field])
        assert not only(site).bev.output
        assert asked.status == 0
        asked.send_reply(200, b"after all")
        assert client.reply().body == b"after all"


@pytest.mark.parametrize("field", [("X", 1), (b"X", "v"), ("X", None)])
def test_a_field_that_is_no_text_is_a_500(field: tuple[str, str]) -> None:
    with Site() as site:
        site.server.set_gencb(lambda request: request.send_reply(200, b"", [field]))
        assert site.client().ask(get()).status == 500
        assert [type(error) for error in site.take_escaped()] == [TypeError]


def test_fields_may_come_from_a_generator() -> None:
    with Site() as site:
        pairs = [("A", "1"), ("Date", "today"), ("B", "2")]
        site.server.set_gencb(lambda request: request.send_reply(200, b"x", (pair for pair in pairs)))
        reply = site.client().ask(get())
        assert [reply.get("a"), reply.get("date"), reply.get("b")] == ["1", "today", "2"]


def test_every_reply_has_a_date() -> None:
    with Site() as site:
        site.server.set_gencb(echo)
        client = site.client()
        for sent in (get(), b"bad\r\n\r\n"):
            assert str(client.ask(sent).get("date")).endswith(" GMT")


# Handlers that fail


@both_engines
def test_a_handler_that_raises_is_a_500_and_the_connection_goes_on(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_cb("/bad", lambda request: 1 // 0)
        site.server.set_cb("/good", echo)
        other, client = site.client(), site.client()
        other.send(b"GET /good HTT")
        client.send(get("/good") + get("/bad") + get("/good"))
        assert [client.reply().status for _ in range(3)] == [200, 500, 200]
        assert [type(error) for error in site.take_escaped()] == [ZeroDivisionError]
        assert other.ask(b"P/1.1\r\nHost: a\r\n\r\n").status == 200
        assert site.completed == [("/good", 200), ("/bad", 500), ("/good", 200), ("/good", 200)]


def test_what_a_handler_raises_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with Site() as site, caplog.at_level(logging.ERROR, "evkit"):
        from evkit.core.base import log_exception

        site.base.exception_handler = log_exception
        site.server.set_gencb(lambda request: 1 // 0)
        assert b"ZeroDivisionError" not in site.client().ask(get()).body
        (record,) = caplog.records
        assert "ZeroDivisionError" in record.message
        assert "Traceback" in record.message
        assert "GET /" in record.message


def test_the_exception_handler_gets_the_request() -> None:
    with Site() as site:
        seen: list[tuple[Exception, object]] = []
        site.base.exception_handler = lambda error, source: seen.append((error, source))
        site.server.set_gencb(lambda request: 1 // 0)
        site.client().ask(get("/x"))
        ((error, source),) = seen
        assert isinstance(error, ZeroDivisionError)
        assert isinstance(source, Request)
        assert source.target == "/x"


def test_a_handler_that_raises_after_the_start_closes_the_connection() -> None:
    with Site() as site:

        def handler(request: Request) -> None:
            request.send_reply_start(200)
            request.send_reply_chunk(b"half")
            raise RuntimeError("broken")

        site.server.set_cb("/half", handler)
        site.server.set_cb("/", echo)
        other, client = site.client(), site.client()
        client.send(get("/half") + get())
        with pytest.raises((h11.RemoteProtocolError, ConnectionResetError)):
            client.reply()
        assert [str(error) for error in site.take_escaped()] == ["broken"]
        assert other.ask(get()).status == 200
        assert site.completed == [("/", 200)]


def test_a_handler_that_raises_after_its_reply_has_answered() -> None:
    with Site() as site:

        def handler(request: Request) -> None:
            request.send_reply(200, b"fine")
            raise RuntimeError("too late")

        site.server.set_gencb(handler)
        client = site.client()
        assert client.ask(get()).body == b"fine"
        assert client.ask(get()).body == b"fine"
        assert [str(error) for error in site.take_escaped()] == ["too late"] * 2


@pytest.mark.parametrize("where", ["head", "data", "end"])
@both_engines
def test_a_streaming_handler_that_raises_is_a_500(engine: str, where: str) -> None:
    with Site(engine) as site:

        def fail(*_: object) -> None:
            raise RuntimeError("broken")

        def handler(request: Request) -> None:
            if where == "head":
                fail()
            request.receive(fail if where == "data" else lambda *_: None, fail)

        site.server.set_gencb(handler, stream=True)
        client = site.client()
        reply = client.ask(request("POST", "/", body=b"abc"))
        assert reply.status == 500
        assert [str(error) for error in site.take_escaped()] == ["broken"]
        client.finish()
        assert client.rest() == b""


def test_an_on_close_that_raises_hurts_nobody_else() -> None:
    with Site() as site:

        def fail(request: Request) -> None:
            raise RuntimeError("broken")

        def handler(request: Request) -> None:
            request.on_close = fail

        site.server.set_gencb(handler)
        for _ in range(3):
            site.client().send(get())
        site.connected(3)
        site.server.close()
        assert not site.server.connections
        assert [str(error) for error in site.take_escaped()] == ["broken"] * 3


# Bodies


@both_engines
@pytest.mark.parametrize("size", [0, 1, 65536, 300_000])
def test_a_whole_body(engine: str, size: int) -> None:
    with Site(engine) as site:
        bodies = []

        def handler(request: Request) -> None:
            bodies.append(request.body)
            request.send_reply(200, str(len(request.body)))

        site.server.set_gencb(handler)
        client = site.client()
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert client.ask(request("POST", "/", body=body)).body == b"%d" % size
        pieces = [body[at : at + 5000] for at in range(0, size, 5000)]
        assert client.ask(chunked("POST", "/", *pieces)).body == b"%d" % size
        assert bodies == [body, body]


@both_engines
def test_trailers_are_apart_and_of_their_request_alone(engine: str) -> None:
    with Site(engine) as site:
        seen: list[tuple[list[tuple[str, str]], bool]] = []

        def handler(request: Request) -> None:
            seen.append((list(request.trailers), "T" in request.headers))
            request.send_reply(200)

        site.server.set_gencb(handler)
        client = site.client()
        client.ask(chunked("POST", "/", b"x", trailers=b"T: v\r\nT: w\r\n"))
        client.ask(request("POST", "/", body=b"x"))
        client.ask(get())
        client.ask(chunked("POST", "/", b"x"))
        assert seen == [([("T", "v"), ("T", "w")], False), ([], False), ([], False), ([], False)]


@both_engines
def test_a_streamed_body(engine: str) -> None:
    with Site(engine) as site:
        uploads = Uploads()
        site.server.set_cb("/up", uploads, stream=True)
        client = site.client()
        client.send(request("POST", "/up", "Content-Length: 6"))
        assert uploads.told == ["head"]
        client.send(b"abc")
        assert uploads.told == ["head", b"abc"]
        assert client.silence()
        client.send(b"def" + chunked("POST", "/up", b"gh", b"i", trailers=b"T: v\r\n"))
        assert [client.reply().body for _ in range(2)] == [b"done", b"done"]
        assert uploads.told == ["head", b"abcdef", ("end", []), "head", b"ghi", ("end", [("T", "v")])]
        assert uploads.closed == []


@both_engines
@pytest.mark.parametrize("sent", [get("/up"), request("POST", "/up", body=b""), chunked("POST", "/up")])
def test_a_streamed_body_of_nothing_ends(engine: str, sent: bytes) -> None:
    with Site(engine) as site:
        uploads = Uploads()
        site.server.set_cb("/up", uploads, stream=True)
        client = site.client()
        for _ in range(2):
            assert client.ask(sent).body == b"done"
        assert uploads.told == ["head", ("end", [])] * 2


@both_engines
def test_a_streaming_handler_may_answer_a_request_without_a_body_at_once(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo, stream=True)
        client = site.client()
        for _ in range(2):
            reply = client.ask(get())
            assert (reply.status, reply.get("connection")) == (200, None)


@both_engines
def test_a_large_streamed_body_is_never_held(engine: str) -> None:
    with Site(engine) as site:
        received = most = 0

        def on_data(request: Request, data: bytes) -> None:
            nonlocal received, most
            received += len(data)
            most = max(most, len(data), len(only(site).bev.input))

        site.server.set_gencb(
            lambda request: request.receive(on_data, lambda request: request.send_reply(200)), stream=True
        )
        client = site.client()
        client.send(request("POST", "/", body=bytes(5 * MIB)))
        assert client.reply().status == 200
        assert received == 5 * MIB
        assert most <= 2 * 65536


@both_engines
def test_receive_called_late_gets_everything(engine: str) -> None:
    with Site(engine) as site:
        later, uploads = Later(), Uploads()
        site.server.set_gencb(later, stream=True)
        client = site.client()
        client.send(request("POST", "/", body=b"abc") + chunked("POST", "/", b"def"))
        expected: list[list[object]] = [[b"abc", ("end", [])], [b"def", ("end", [])]]
        for told in expected:
            assert client.silence()
            uploads.told.clear()
            later.requests[-1].receive(uploads.on_data, uploads.on_end)
            assert client.reply().body == b"done"
            assert uploads.told == told


@both_engines
def test_a_body_that_nobody_receives_yet_waits_in_the_kernel(engine: str) -> None:
    with Site(engine) as site:
        later, uploads = Later(), Uploads()
        site.server.set_gencb(later, stream=True)
        client = site.client()
        body = bytes(32 * MIB)
        sent = client.fill(request("POST", "/", body=body), len(body))
        assert sent < len(body)
        assert len(only(site).bev.input) <= 65536
        later.requests[0].receive(uploads.on_data, uploads.on_end)
        client.send(request("POST", "/", body=body)[sent:])
        assert client.reply().body == b"done"
        assert uploads.size == len(body)


def test_receive_twice_is_an_error() -> None:
    with Site() as site:
        later, uploads = Later(), Uploads()
        site.server.set_gencb(later, stream=True)
        client = site.client()
        client.send(request("POST", "/", "Content-Length: 2"))
        later.requests[0].receive(uploads.on_data, uploads.on_end)
        with pytest.raises(LocalProtocolError, match="called before"):
            later.requests[0].receive(uploads.on_data, uploads.on_end)
        assert client.ask(b"ab").body == b"done"


def test_receive_in_a_handler_of_whole_bodies_is_an_error() -> None:
    with Site() as site:
        uploads = Uploads()
        site.server.set_gencb(uploads)
        assert site.client().ask(request("POST", "/", body=b"abc")).status == 500
        assert [type(error) for error in site.take_escaped()] == [LocalProtocolError]


@both_engines
@pytest.mark.parametrize("when", ["before receive", "in data"])
@pytest.mark.parametrize("at_once", [0, 3, 6])
def test_an_early_reply_ends_the_connection_after_the_client_has_read_it(
    engine: str, when: str, at_once: int
) -> None:
    with Site(engine) as site:
        calls = []

        def on_data(request: Request, data: bytes) -> None:
            calls.append(data)
            request.send_reply(403, b"no")

        def handler(request: Request) -> None:
            if when == "in data":
                request.receive(on_data, lambda request: calls.append(b"end"))
            else:
                request.send_reply(403, b"no")

        site.server.set_gencb(handler, stream=True)
        client = site.client()
        client.send(request("POST", "/", "Content-Length: 100") + b"abcdef"[:at_once])
        client.send(b"abcdef"[at_once:])
        client.send(bytes(20))
        reply = client.reply()
        assert (reply.status, reply.body, reply.get("connection")) == (403, b"no", "close")
        assert client.rest() == b""  # not ECONNRESET
        client.send(bytes(74) + get())
        assert len(calls) <= 1
        assert site.completed == [("/", 403)]


@both_engines
def test_an_early_reply_that_fills_the_pipe(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(lambda request: request.send_reply(403, bytes(8 * MIB)), stream=True)
        client = site.client(receive_buffer=4096)
        client.send(request("POST", "/", "Content-Length: 9000000"))
        client.fill(bytes(65536), 4 * MIB)
        assert len(only(site).bev.input) <= 2 * 65536
        assert len(client.reply().body) == 8 * MIB
        assert client.rest() == b""
        assert site.completed == [("/", 403)]


# Limits of bodies


@both_engines
@pytest.mark.parametrize("stream", [False, True])
def test_a_body_beyond_its_limit_is_413(engine: str, stream: bool) -> None:
    with Site(engine) as site:
        uploads = Uploads()
        site.server.set_cb("/", uploads if stream else echo, stream=stream, max_body=10)
        for sent in (request("POST", "/", "Content-Length: 11"), chunked("POST", "/", b"123456", b"78901")):
            client = site.client()
            reply = client.ask(sent)
            assert (reply.status, reply.get("connection")) == (413, "close")
            client.finish()
            assert client.rest() == b""
        for sent in (request("POST", "/", body=b"1234567890"), chunked("POST", "/", b"123456", b"7890")):
            assert site.client().ask(sent).status == 200
        assert not [told for told in uploads.told if isinstance(told, bytes) and len(told) > 10]


@both_engines
def test_the_servers_limit_and_that_of_a_route(engine: str) -> None:
    with Site(engine, max_body=2) as site:
        site.server.set_cb("/small", echo)
        site.server.set_cb("/large", echo, max_body=4)
        site.server.set_cb("/stream", Uploads(), stream=True)
        statuses = [
            site.client().ask(request("POST", target, body=b"123")).status
            for target in ("/small", "/large", "/stream", "/nowhere")
        ]
        assert statuses == [413, 200, 200, 413]


@both_engines
@pytest.mark.parametrize("coding", ["sized", "chunked"])
def test_a_client_that_sends_it_all_gets_to_read_the_413(engine: str, coding: str) -> None:
    with Site(engine) as site:
        site.server.set_cb("/", echo, max_body=MIB)
        client = site.client()
        body = bytes(5 * MIB)
        if coding == "sized":
            client.send(request("POST", "/", body=body))
        else:
            client.send(chunked("POST", "/", *[body[:65536]] * 80))
        assert client.reply().status == 413
        assert client.rest() == b""
        assert site.completed == [("/", 413)]
        client.close()
        site.connected(0)


def test_the_413_comes_before_the_body_is_sent() -> None:
    with Site() as site:
        client = site.client()
        assert client.ask(request("POST", "/", f"Content-Length: {5 * MIB}")).status == 413
        client.send(bytes(5 * MIB))  # a client that does not look
        assert client.rest() == b""


# Expect: 100-continue


@both_engines
def test_a_client_that_waits_is_invited_to_send_its_body(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        client.send(request("POST", "/", "Expect: 100-continue", "Content-Length: 3"))
        site.settle()
        assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.ask(b"abc").body == b"POST / abc"


@both_engines
def test_a_client_that_does_not_wait_is_not_invited(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        reply = client.ask(request("POST", "/", "Expect: 100-continue", body=b"abc"))
        assert (reply.body, reply.interim) == (b"POST / abc", ())


@both_engines
def test_a_streaming_handler_invites_by_receive(engine: str) -> None:
    with Site(engine) as site:
        later, uploads = Later(), Uploads()
        site.server.set_gencb(later, stream=True)
        client = site.client()
        client.send(request("POST", "/", "Expect: 100-continue", "Transfer-Encoding: chunked"))
        assert client.silence()
        assert later.requests[0].expect_continue
        later.requests[0].receive(uploads.on_data, uploads.on_end)
        site.settle()
        assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.ask(b"1\r\nx\r\n0\r\n\r\n").body == b"done"


@both_engines
def test_a_streaming_handler_refuses_without_inviting(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(lambda request: request.send_error(403), stream=True)
        client = site.client()
        reply = client.ask(request("POST", "/", "Expect: 100-continue", "Content-Length: 3"))
        assert (reply.status, reply.interim, reply.get("connection")) == (403, (), "close")
        assert client.rest() == b""


@both_engines
def test_a_body_that_is_too_long_is_refused_without_inviting(engine: str) -> None:
    with Site(engine) as site:
        client = site.client()
        reply = client.ask(request("POST", "/", "Expect: 100-continue", f"Content-Length: {2 * MIB}"))
        assert (reply.status, reply.interim) == (413, ())


@both_engines
def test_an_unknown_expectation_is_417(engine: str) -> None:
    with Site(engine) as site:
        client = site.client()
        assert client.ask(request("POST", "/", "Expect: x", "Content-Length: 3")).status == 417
        assert site.refused == [417]


# Clients that leave


@pytest.mark.parametrize("how", ["close", "reset", "finish"])
@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", request("POST", "/", "Content-Length: 3") + b"a", get()[:-2]]
)
@both_engines
def test_a_client_that_leaves_early_is_forgotten(engine: str, sent: bytes, how: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        client.send(sent)
        getattr(client, how)()
        site.connected(0)
        assert site.completed == []
        site.serves()


@both_engines
def test_a_streaming_handler_hears_that_the_client_left(engine: str) -> None:
    with Site(engine) as site:
        uploads = Uploads()
        site.server.set_gencb(uploads, stream=True)
        client = site.client()
        client.send(request("POST", "/", "Content-Length: 3") + b"a")
        client.close()
        site.connected(0)
        assert uploads.told == ["head", b"a"]
        assert [asked.gone for asked in uploads.closed] == [True]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_reply_after_the_client_has_left_is_dropped(how: str) -> None:
    with Site() as site:
        later = Later()
        site.server.set_cb("/", later)
        client = site.client()
        client.send(get())
        getattr(client, how)()
        site.settle()
        (asked,) = later.requests
        if how == "reset":
            assert asked.gone
        asked.send_reply(200, bytes(MIB))
        site.settle()
        site.connected(0)
        assert len(later.closed) == (1 if how == "reset" else 0)
        site.serves()


def test_on_close_is_called_once_and_not_after_a_reply() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        gone, served = site.client(), site.client()
        gone.send(get("/gone"))
        served.send(get("/served"))
        gone.reset()
        site.connected(1)
        later.requests[1].send_reply(200)
        served.reply()
        served.reset()
        site.connected(0)
        assert [asked.target for asked in later.closed] == ["/gone"]


def test_a_client_that_leaves_amid_a_reply_in_pieces() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client(receive_buffer=4096)
        client.send(get())
        (asked,) = later.requests
        asked.send_reply_start(200)
        asked.send_reply_chunk(bytes(8 * MIB))
        site.settle()
        client.reset()
        site.connected(0)
        assert later.closed == [asked]
        asked.send_reply_chunk(b"dropped")
        asked.send_reply_end()


def test_a_client_that_leaves_amid_a_whole_reply() -> None:
    with Site() as site:
        site.server.set_gencb(lambda request: request.send_reply(200, bytes(8 * MIB)))
        client = site.client(receive_buffer=4096)
        client.send(get())
        client.reset()
        site.connected(0)
        site.serves()


@both_engines
def test_a_half_closed_client_reads_its_reply(engine: str) -> None:
    with Site(engine) as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        client.finish()
        assert client.silence()
        later.requests[0].send_reply(200, bytes(MIB))
        reply = client.reply()
        assert (len(reply.body), reply.get("connection")) == (MIB, "close")
        assert client.rest() == b""
        assert later.closed == []


@both_engines
def test_a_half_closed_client_reads_a_long_reply_that_was_under_way(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(lambda request: request.send_reply(200, bytes(8 * MIB)))
        client = site.client(receive_buffer=4096)
        client.send(get())
        client.finish()
        assert len(client.reply().body) == 8 * MIB
        assert client.rest() == b""


@both_engines
def test_a_half_closed_client_reads_all_replies_to_what_it_pipelined(engine: str) -> None:
    with Site(engine) as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get("/0") + get("/1") + request("POST", "/2", body=b"x") + b"GET /half")
        client.finish()
        for number in range(3):
            site.settle()
            later.requests[number].send_reply(200, str(number))
        assert [client.reply().body for _ in range(3)] == [b"0", b"1", b"2"]
        assert client.rest() == b""


# Floods


def test_pipelined_requests_that_nobody_reads_stay_bounded(base: EventBase) -> None:
    with Site(base=base) as site:
        site.server.set_gencb(lambda request: request.send_reply(200, bytes(10_000)))
        flood = site.client(receive_buffer=4096)
        asked = get("/", "X: " + "y" * 4000)
        sent = flood.fill(asked, 64 * MIB)
        assert sent < 64 * MIB
        bev = only(site).bev
        assert len(bev.output) <= 2 * 262144
        assert len(bev.input) <= 2 * 65536
        answered = len(site.completed)
        site.serves()
        # Once it reads, it is served to the end.
        flood.send(asked[sent % len(asked) :] if sent % len(asked) else b"")
        total = -(-sent // len(asked))
        assert answered < total
        flood.finish()
        assert flood.rest().count(b"HTTP/1.1 200 OK\r\n") == total


def test_pipelined_requests_to_a_slow_handler_stay_bounded() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        flood = site.client()
        most = 0
        for _ in range(50):
            flood.fill(get(), 4 * MIB)
            later.requests[-1].send_reply(200)
            site.settle()
            most = max(most, len(only(site).bev.input))
        assert most <= 2 * 65536
        assert len(later.requests) == 51


def test_a_bad_request_behind_unread_replies_takes_no_more_memory() -> None:
    with Site() as site:
        site.server.set_gencb(lambda request: request.send_reply(200, bytes(4 * MIB)))
        flood = site.client(receive_buffer=4096)
        flood.send(get() + b"bad request\r\n\r\n")
        flood.fill(bytes(65536), 8 * MIB)
        assert len(only(site).bev.input) <= 2 * 65536
        assert [flood.reply().status for _ in range(2)] == [200, 400]
        assert flood.rest() == b""


def test_a_head_that_never_ends_is_refused_at_its_limit() -> None:
    with Site() as site:
        client = site.client()
        client.send(b"GET / HTTP/1.1\r\n")
        client.fill(b"X: " + b"y" * 1000 + b"\r\n", MIB)
        assert client.reply().status == 431


# Nothing is kept


def collected(site: Site, exchange: Callable[[Site], None], kinds: tuple[type, ...]) -> list[str]:
    """Run ``exchange`` with the collector off, and name the objects of ``kinds`` that are left after it."""
    gc.collect()
    before = {id(thing) for thing in gc.get_objects() if isinstance(thing, kinds)}
    gc.disable()
    try:
        exchange(site)
        site.connected(0)
        site.clients.clear()
        return [
            repr(thing) for thing in gc.get_objects() if isinstance(thing, kinds) and id(thing) not in before
        ]
    finally:
        gc.enable()


def _simple(site: Site) -> None:
    client = site.client()
    client.ask(get())
    client.close()


def _closed_by_server(site: Site) -> None:
    client = site.client()
    client.ask(get("/", "Connection: close"))
    site.connected(0)
    client.close()


def _dripped(site: Site) -> None:
    client = site.client()
    client.send(get()[:5])
    client.ask(get()[5:])
    client.close()


def _posted(site: Site) -> None:
    client = site.client()
    client.ask(chunked("POST", "/", b"abc"))
    client.close()


def _refused(site: Site) -> None:
    client = site.client()
    client.ask(b"bad\r\n\r\n")
    client.close()


def _reset(site: Site) -> None:
    client = site.client()
    client.send(get()[:5])
    client.reset()


def _unread(site: Site) -> None:
    client = site.client(receive_buffer=4096)
    client.send(get("/large"))
    client.reset()


def _failed(site: Site) -> None:
    client = site.client()
    client.ask(get("/fails"))
    client.close()


@pytest.mark.parametrize(
    "exchange", [_simple, _closed_by_server, _dripped, _posted, _refused, _reset, _unread, _failed]
)
@both_engines
def test_what_is_over_is_freed_without_the_collector(engine: str, exchange: Callable[[Site], None]) -> None:
    with Site(engine) as site:
        site.server.set_cb("/", echo)
        site.server.set_cb("/large", lambda request: request.send_reply(200, bytes(8 * MIB)))
        site.server.set_cb("/fails", lambda request: 1 // 0)
        site.base.exception_handler = lambda error, source: None
        kinds = (Request, ServerConnection, SocketBufferEvent, Buffer)
        assert collected(site, exchange, kinds) == []


# The server is closed from inside a handler


@both_engines
def test_a_handler_that_closes_the_server(engine: str) -> None:
    with Site(engine) as site:
        asked = []

        def handler(request: Request) -> None:
            asked.append(request)
            site.server.close()
            request.send_reply(200)

        site.server.set_gencb(handler)
        client = site.client()
        client.send(get() * 3)
        assert len(asked) == 1
        assert asked[0].gone
        with pytest.raises((h11.RemoteProtocolError, ConnectionResetError)):
            client.reply()


@both_engines
def test_a_streaming_handler_that_closes_the_server(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(lambda request: site.server.close(), stream=True)
        client = site.client()
        client.send(request("POST", "/", body=b"abc"))
        site.connected(0)


def test_repr_tells_the_state() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get("/x"))
        text = repr(only(site))
        assert "<Request GET /x unanswered>" in text
        assert only(site).peer in text
        host, port = client.socket.getsockname()
        assert f"{host}:{port}" == only(site).peer == later.requests[0].peer


def test_reading_is_on_while_a_handler_takes_its_time() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        assert only(site).bev.enabled & EV_READ
        later.requests[0].send_reply(200)
        client.reply()
