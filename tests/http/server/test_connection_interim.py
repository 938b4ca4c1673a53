"""What goes out beside a reply: interim replies before it, trailers behind it; and the body that waits meanwhile."""

import pytest

from evkit.errors import LocalProtocolError
from evkit.http.server.patience import Timeouts
from evkit.http.server.request import Request
from evkit.testing import ManualClock
from http_handlers import MIB, Later, only
from http_server_aids import Site, both_engines, chunked, get, request

HINT = [("Link", "</style.css>; rel=preload")]


class TestInterim:
    @both_engines
    def test_goes_before_the_reply(self, engine: str) -> None:
        def handler(asked: Request) -> None:
            asked.send_informational(103, HINT)
            asked.send_informational(102, ())
            asked.send_reply(200, b"done")

        with Site(engine) as site:
            site.server.set_gencb(handler)
            client = site.client()
            for _ in range(2):
                reply = client.ask(get())
                assert (reply.status, reply.body, reply.interim) == (200, b"done", (103, 102))
            client.send(get())
            client.finish()
            sent = client.rest()
            assert b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\nHTTP/1.1 102 " in sent

    def test_http_1_0_knows_none(self) -> None:
        with Site() as site:
            later = Later()
            site.server.set_gencb(later)
            client = site.client()
            client.send(get(version="1.0"))
            later.requests[0].send_informational(103, HINT)
            later.requests[0].send_reply(200)
            assert client.reply().interim == ()

    @pytest.mark.parametrize("status", [99, 100, 101, 200])
    def test_other_statuses_are_refused(self, status: int) -> None:
        with Site() as site:
            later = Later()
            site.server.set_gencb(later)
            site.client().send(get())
            with pytest.raises(ValueError, match=f"102 to 199, got {status}"):
                later.requests[0].send_informational(status, HINT)

    @pytest.mark.parametrize(
        "fields",
        [[("Content-Length", "5")], [("Transfer-Encoding", "chunked")], [("A", "b\r\nC: d")], [("A b", "c")]],
    )
    def test_fields_that_are_none_or_would_frame(self, fields: list[tuple[str, str]]) -> None:
        with Site() as site:
            later = Later()
            site.server.set_gencb(later)
            client = site.client()
            client.send(get())
            with pytest.raises(LocalProtocolError):
                later.requests[0].send_informational(103, fields)
            later.requests[0].send_reply(200)
            assert client.reply().interim == ()

    def test_not_behind_the_reply_and_nowhere_to_a_client_that_has_gone(self) -> None:
        with Site() as site:
            later = Later()
            site.server.set_gencb(later)
            client = site.client()
            client.send(get())
            later.requests[0].send_reply_start(200)
            with pytest.raises(LocalProtocolError, match="comes before the reply, which was 200"):
                later.requests[0].send_informational(103, HINT)
            later.requests[0].send_reply_end()
            client.send(get())
            client.close()
            site.connected(0)
            later.requests[1].send_informational(103, HINT)


class TestTrailers:
    @both_engines
    def test_stand_behind_the_chunks(self, engine: str) -> None:
        def handler(asked: Request) -> None:
            asked.send_reply_start(200, [("Trailer", "Checksum")])
            asked.send_reply_chunk(b"abc")
            asked.send_reply_end([("Checksum", "1"), ("Server-Timing", "a")])

        with Site(engine) as site:
            site.server.set_gencb(handler)
            client = site.client()
            assert client.ask(get()).body == b"abc"
            client.send(get())
            client.finish()
            assert client.rest().endswith(b"3\r\nabc\r\n0\r\nChecksum: 1\r\nServer-Timing: a\r\n\r\n")

    def test_are_dropped_where_there_are_no_chunks(self) -> None:
        def handler(asked: Request) -> None:
            asked.send_reply_start(200, [("Content-Length", "1")] if asked.minor else ())
            asked.send_reply_chunk(b"a")
            asked.send_reply_end({"A": "b"})

        with Site() as site:
            site.server.set_gencb(handler)
            client = site.client()
            assert client.ask(get()).body == b"a"
            assert client.ask(request("HEAD", "/"), "HEAD").body == b""
            client.send(get(version="1.0"))
            assert client.rest().endswith(b"\r\n\r\na")

    @pytest.mark.parametrize(
        "wrong",
        [
            [("Content-Length", "1")],
            [("transfer-encoding", "chunked")],
            [("Connection", "close")],
            [("Host", "a")],
            [("Content-Type", "a/b")],
            [("Set-Cookie", "a=b")],
            [("A", "b\r\n\r\nHTTP/1.1 200 OK")],
            [("", "b")],
        ],
    )
    def test_what_can_not_stand_there_is_refused_and_the_reply_still_open(
        self, wrong: list[tuple[str, str]]
    ) -> None:
        with Site() as site:
            later = Later()
            site.server.set_gencb(later)
            client = site.client()
            client.send(get())
            asked = later.requests[0]
            asked.send_reply_start(200)
            with pytest.raises(LocalProtocolError):
                asked.send_reply_end(wrong)
            asked.send_reply_chunk(b"abc")
            asked.send_reply_end()
            assert client.reply().body == b"abc"


class Pausing:
    """A streaming handler that pauses after each piece."""

    def __init__(self) -> None:
        self.size = 0
        self.pieces = 0
        self.ended = False
        self.requests: list[Request] = []

    def __call__(self, asked: Request) -> None:
        self.requests.append(asked)
        asked.receive(self.on_data, self.on_end)

    def on_data(self, asked: Request, data: bytes) -> None:
        self.size += len(data)
        self.pieces += 1
        asked.pause()

    def on_end(self, asked: Request) -> None:
        self.ended = True
        asked.send_reply(200, str(self.size))


class TestPausing:
    @both_engines
    def test_client_is_held_up_and_nothing_is_lost(self, engine: str) -> None:
        handler = Pausing()
        with Site(engine) as site:
            site.server.set_gencb(handler, stream=True)
            client = site.client()
            client.send(request("POST", "/", f"Content-Length: {64 * MIB}"))
            took = client.fill(bytes(65536), 32 * MIB)
            assert took < 16 * MIB
            assert handler.pieces == 1
            assert len(only(site).bev.input) <= 65536 * 2
            handler.requests[0].resume()
            while took < 64 * MIB:
                took += client.fill(bytes(min(65536, 64 * MIB - took)), 1)
                handler.requests[0].resume()
            while not handler.ended:
                handler.requests[0].resume()
                site.turn()
            assert client.reply().body == str(64 * MIB).encode()

    @both_engines
    def test_in_a_chunked_body(self, engine: str) -> None:
        handler = Pausing()
        with Site(engine) as site:
            site.server.set_gencb(handler, stream=True)
            client = site.client()
            head, _, body = chunked("POST", "/", b"abc", b"def").partition(b"\r\n\r\n")
            client.send(head + b"\r\n\r\n" + body[:8])
            assert (handler.size, handler.ended) == (3, False)
            client.send(body[8:] + get("/next"))
            assert (handler.size, handler.ended) == (3, False)
            handler.requests[0].resume()
            assert client.reply().body == b"6"
            site.settle()
            assert len(handler.requests) == 2

    def test_has_no_time_out_until_it_ends(self) -> None:
        clock = ManualClock()
        handler = Pausing()
        with Site(clock=clock, timeouts=Timeouts(body=5, write=None)) as site:
            site.server.set_gencb(handler, stream=True)
            client = site.client()
            client.send(request("POST", "/", "Content-Length: 3") + b"a")
            clock.advance(100)
            assert client.silence()
            handler.requests[0].resume()
            clock.advance(4)
            assert client.silence()
            clock.advance(2)
            site.settle()
            assert client.reply().status == 408

    def test_asked_for_between_two_pieces(self) -> None:
        clock = ManualClock()
        pieces: list[bytes] = []
        requests: list[Request] = []

        def handler(asked: Request) -> None:
            requests.append(asked)
            asked.receive(lambda _asked, data: pieces.append(data), lambda asked: asked.send_reply(200))

        with Site(clock=clock, timeouts=Timeouts(body=5)) as site:
            site.server.set_gencb(handler, stream=True)
            client = site.client()
            client.send(request("POST", "/", "Content-Length: 2") + b"a")
            requests[0].pause()
            requests[0].pause()
            clock.advance(100)
            assert client.silence()
            client.send(b"b")
            assert pieces == [b"a"]
            requests[0].resume()
            requests[0].resume()
            assert pieces == [b"a", b"b"]
            assert client.reply().status == 200
            requests[0].pause()
            requests[0].resume()

    def test_100_is_said_once(self) -> None:
        handler = Pausing()
        with Site() as site:
            site.server.set_gencb(handler, stream=True)
            client = site.client()
            client.send(request("POST", "/", "Expect: 100-continue", "Content-Length: 2"))
            for byte in (b"a", b"b"):
                client.send(byte)
                handler.requests[0].resume()
            assert client.reply().interim == (100,)

    def test_client_that_leaves_is_noticed(self) -> None:
        handler = Pausing()
        with Site() as site:
            site.server.set_gencb(handler, stream=True)
            client = site.client()
            client.send(request("POST", "/", "Content-Length: 3") + b"a")
            client.reset()
            site.connected(0)
            assert handler.requests[0].gone
            handler.requests[0].resume()
            assert not handler.ended

    def test_only_where_the_body_is_received_in_pieces(self) -> None:
        with Site() as site:
            later = Later()
            site.server.set_gencb(later)
            site.client().send(get())
            for call in (Request.pause, Request.resume):
                with pytest.raises(LocalProtocolError, match="receive\\(\\) comes before"):
                    call(later.requests[0])
