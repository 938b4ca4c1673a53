"""Connections that are taken over: what goes out, what is handed on, and that the server lets go of them."""

import http.client

import pytest

from evkit.core import EV_READ, BufferEvent
from evkit.errors import LocalProtocolError
from evkit.http.server.request import Request
from http_handlers import Later, echo
from http_server_aids import Site, both_engines, get, request, served

UPGRADE = ("Connection: keep-alive, Upgrade", "Upgrade: echo")


class EchoProtocol:
    """What a connection that was taken over speaks: every byte comes back."""

    def __init__(self) -> None:
        self.taken: list[BufferEvent] = []
        self.escaped: list[Exception] = []

    def __call__(self, asked: Request) -> None:
        connect = asked.method == "CONNECT"
        bev = asked.take_over(200) if connect else asked.take_over(101, [("Upgrade", "echo")])
        self.taken.append(bev)
        bev.set_callbacks(read=self.on_read, event=lambda bev, _what: bev.close())
        if bev.input:
            self.on_read(bev)

    def on_read(self, bev: BufferEvent) -> None:
        bev.output.add_buffer(bev.input)


@both_engines
class TestUpgrade:
    def test_bytes_go_both_ways(self, engine: str) -> None:
        protocol = EchoProtocol()
        with Site(engine) as site:
            site.server.set_cb("/", protocol)
            client = site.client()
            client.send(get("/", *UPGRADE) + b"early")
            assert site.completed == [("/", 101)]
            site.connected(0)
            client.send(b" and late")
            client.finish()
            head, _, rest = client.rest().partition(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
            assert sorted(lines[1:]) == [b"Connection: upgrade", b"Upgrade: echo"]
            assert rest == b"early and late"

    def test_connect(self, engine: str) -> None:
        protocol = EchoProtocol()
        with Site(engine) as site:
            site.server.set_gencb(protocol)
            client = site.client()
            client.send(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\nhello")
            client.finish()
            head, _, rest = client.rest().partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"length" not in head.lower()
            assert b"chunked" not in head.lower()
            assert rest == b"hello"

    def test_behind_pipelined_requests(self, engine: str) -> None:
        protocol = EchoProtocol()
        with Site(engine) as site:
            site.server.set_cb("/", echo)
            site.server.set_cb("/taken", protocol)
            client = site.client()
            client.send(get() + get("/taken", *UPGRADE) + get())
            assert client.reply().body == b"GET / "
            client.finish()
            assert client.rest().partition(b"\r\n\r\n")[2] == get()

    def test_later_than_the_handler(self, engine: str) -> None:
        later = Later()
        with Site(engine) as site:
            site.server.set_gencb(later)
            client = site.client()
            client.send(get("/", *UPGRADE))
            site.settle()
            bev = later.requests[0].take_over(101, {"Upgrade": "echo"})
            assert later.requests[0].gone
            bev.set_callbacks(
                read=lambda bev: bev.output.add_buffer(bev.input), event=lambda bev, _: bev.close()
            )
            client.send(b"x")
            client.finish()
            assert client.rest().endswith(b"\r\n\r\nx")

    def test_with_a_body(self, engine: str) -> None:
        protocol = EchoProtocol()
        with Site(engine) as site:
            site.server.set_gencb(protocol)
            client = site.client()
            client.send(request("POST", "/", *UPGRADE, body=b"body") + b"x")
            client.finish()
            assert client.rest().partition(b"\r\n\r\n")[2] == b"x"

    @pytest.mark.parametrize("asked", ["ECHO", "h2c, echo/2", "h2c\r\nUpgrade: echo"])
    def test_a_protocol_by_any_spelling(self, engine: str, asked: str) -> None:
        protocol = EchoProtocol()
        with Site(engine) as site:
            site.server.set_gencb(protocol)
            client = site.client()
            client.send(get("/", "Connection: upgrade", f"Upgrade: {asked}") + b"hello")
            client.finish()
            assert client.rest().endswith(b"\r\n\r\nhello")


class TestWhatIsLetGo:
    def test_reading_is_left_to_its_new_owner(self) -> None:
        """Even where the connection was waiting for its turn when the last reply before was taken."""
        taken: list[BufferEvent] = []

        def take(asked: Request) -> None:
            taken.append(asked.take_over(101, [("Upgrade", "echo")]))
            taken[0].disable(EV_READ)

        def in_pieces(asked: Request) -> None:
            asked.send_reply_start(200)
            asked.send_reply_chunk(b"a", drained=lambda: None)
            asked.send_reply_end()

        with Site() as site:
            site.server.set_gencb(in_pieces)
            site.server.set_cb("/taken", take)
            client = site.client()
            client.send(get() * 32 + get("/taken", *UPGRADE))
            site.until(lambda: taken, "the take-over")
            site.settle()
            assert not taken[0].enabled & EV_READ
            taken[0].close()

    def test_it_has_no_time_outs_and_does_not_count(self) -> None:
        protocol = EchoProtocol()
        with Site(max_connections=1) as site:
            site.server.set_gencb(protocol)
            client = site.client()
            client.send(get("/", *UPGRADE))
            bev = protocol.taken[0]
            assert (bev.read_timeout, bev.write_timeout) == (None, None)
            assert not bev.closed
            second = site.client()
            second.send(get("/", *UPGRADE))
            assert len(protocol.taken) == 2
            stopped: list[bool] = []
            site.server.stop(stopped=lambda: stopped.append(True))
            assert stopped == [True]
            assert not bev.closed
            for one in protocol.taken:
                one.close()

    def test_over_tls_and_threads_a_real_client(self) -> None:
        with served(lambda server: server.set_gencb(EchoProtocol())) as site:
            client = http.client.HTTPConnection(*site.address, timeout=20)
            client.request("GET", "/", headers={"Connection": "Upgrade", "Upgrade": "echo"})
            assert client.getresponse().status == 101
            sock = client.sock
            assert sock is not None
            sock.sendall(b"hello")
            assert sock.recv(100) == b"hello"
            client.close()


class TestRefusals:
    @pytest.mark.parametrize(
        ("sent", "status", "fields", "message"),
        [
            (get(), 101, {"Upgrade": "echo"}, "expected 101 to a request for an upgrade"),
            (get("/", *UPGRADE, version="1.0"), 101, {"Upgrade": "echo"}, "expected 101"),
            (get("/", *UPGRADE), 101, {}, "needs an Upgrade field"),
            (get("/", "Connection: upgrade"), 101, {"Upgrade": "echo"}, "has not asked for echo"),
            (get("/", "Connection: upgrade", "Upgrade: h2c"), 101, {"Upgrade": "Echo"}, "not asked for echo"),
            (get("/", *UPGRADE), 200, {"Upgrade": "echo"}, "got 200 to GET"),
            (
                get("/", *UPGRADE),
                101,
                {"Upgrade": "echo", "Content-Length": "0"},
                "content-length can't stand",
            ),
            (get("/", *UPGRADE), 101, {"Upgrade": "a\r\nb: c"}, "without control characters"),
            (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 101, {"Upgrade": "a"}, "got 101 to CONNECT"),
        ],
    )
    def test_nothing_is_sent(self, sent: bytes, status: int, fields: dict[str, str], message: str) -> None:
        later = Later()
        with Site() as site:
            site.server.set_gencb(later)
            client = site.client()
            client.send(sent)
            with pytest.raises(LocalProtocolError, match=message):
                later.requests[0].take_over(status, fields)
            assert client.silent()
            later.requests[0].send_reply(403)
            assert client.reply(later.requests[0].method).status == 403

    def test_not_before_the_body_is_read(self) -> None:
        later = Later()
        with Site() as site:
            site.server.set_gencb(later, stream=True)
            client = site.client()
            client.send(request("POST", "/", *UPGRADE, body=b"body"))
            with pytest.raises(LocalProtocolError, match="after the body"):
                later.requests[0].take_over(101, {"Upgrade": "echo"})
            later.requests[0].send_reply(403)
            assert client.reply().status == 403

    def test_not_twice_and_not_without_a_client(self) -> None:
        protocol, later = EchoProtocol(), Later()
        with Site() as site:
            site.server.set_cb("/taken", protocol)
            site.server.set_gencb(later)
            client, leaving = site.client(), site.client()
            client.send(get("/", *UPGRADE))
            asked = later.requests[0]
            bev = asked.take_over(101, {"Upgrade": "echo"})
            for call in (asked.take_over, lambda: asked.send_reply(200)):
                with pytest.raises(LocalProtocolError):
                    call()
            bev.close()
            leaving.send(get("/", *UPGRADE))
            leaving.reset()
            site.connected(0)
            with pytest.raises(LocalProtocolError, match="whose client has gone"):
                later.requests[1].take_over(101, {"Upgrade": "echo"})


class TestAbort:
    @both_engines
    def test_closes_at_once(self, engine: str) -> None:
        later = Later()
        with Site(engine) as site:
            site.server.set_gencb(later)
            client = site.client()
            client.send(get() + get())
            asked = later.requests[0]
            asked.abort()
            assert asked.gone
            assert asked.aborted
            assert later.closed == [asked]
            asked.abort()
            asked.send_reply(200)
            assert len(later.requests) == 1
            site.connected(0)

    def test_in_the_middle_of_a_reply(self) -> None:
        def handler(asked: Request) -> None:
            asked.send_reply_start(200, {"Content-Length": "10"})
            asked.send_reply_chunk(b"abc")
            site.base.call_soon(asked.abort)

        with Site() as site:
            site.server.set_gencb(handler)
            client = site.client()
            client.send(get())
            assert client.rest().endswith(b"abc")
            assert site.completed == [("/", 200)]
