"""Handlers that stream both ways: when the end of the body is told, and when the end of the connection."""

from collections.abc import Callable

import pytest

from evkit.http.server.patience import Timeouts
from evkit.http.server.request import Request
from evkit.testing import ManualClock
from http_handlers import only
from http_server_aids import Site, both_engines, chunked, request


class Recorder:
    """A streaming handler that notes all it hears in one list, and does what it is told with the data."""

    def __init__(self, on_data: Callable[[Request, bytes], object] = lambda _request, _data: None) -> None:
        self.heard: list[object] = []
        self.requests: list[Request] = []
        self.act = on_data

    def __call__(self, request: Request) -> None:
        self.requests.append(request)
        request.on_close = lambda _request: self.heard.append("closed")
        request.receive(self.on_data, lambda _request: self.heard.append("end"))

    def on_data(self, request: Request, data: bytes) -> None:
        self.heard.append(data)
        self.act(request, data)


def echo_in_pieces(request: Request) -> None:
    request.send_reply_start(200)
    request.receive(
        lambda request, data: request.send_reply_chunk(data), lambda request: request.send_reply_end()
    )


@both_engines
@pytest.mark.parametrize("sent", [request("POST", "/", body=b"hello"), chunked("POST", "/", b"he", b"llo")])
def test_a_reply_may_begin_before_the_body_is_received(engine: str, sent: bytes) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo_in_pieces, stream=True)
        reply = site.client().ask(sent)
        assert (reply.status, reply.body) == (200, b"hello")


def test_a_reply_that_has_begun_is_not_followed_by_100_continue() -> None:
    with Site() as site:
        site.server.set_gencb(echo_in_pieces, stream=True)
        client = site.client()
        client.send(request("POST", "/", "Expect: 100-continue", "Content-Length: 5"))
        client.send(b"hello")
        reply = client.reply()
        assert (reply.status, reply.body, reply.interim) == (200, b"hello", ())


@both_engines
@pytest.mark.parametrize("sent", [request("POST", "/", body=b"hello"), chunked("POST", "/", b"hello")])
def test_nothing_is_told_after_the_end_of_the_connection(engine: str, sent: bytes) -> None:
    with Site(engine) as site:
        recorder = Recorder(lambda _request, _data: only(site).close())
        site.server.set_gencb(recorder, stream=True)
        client = site.client()
        client.send(sent)
        site.connected(0)
        assert recorder.heard == [b"hello", "closed"]
        client.close()


@both_engines
@pytest.mark.parametrize(
    ("body", "status"), [(b"2\r\nhi\r\nzz\r\n", 400), (b"2\r\nhi\r\n64\r\n", 413), (b"2\r\nhi\r\n", 408)]
)
def test_a_handler_whose_request_goes_wrong_on_the_way_hears_of_it_once(
    engine: str, body: bytes, status: int
) -> None:
    clock = ManualClock()
    with Site(engine, clock=clock, timeouts=Timeouts(body=30.0)) as site:
        recorder = Recorder()
        site.server.set_gencb(recorder, stream=True, max_body=10)
        client = site.client()
        client.send(request("POST", "/up", "Transfer-Encoding: chunked"))
        client.send(body)
        site.settle()
        clock.advance(31.0)
        site.settle()
        assert client.reply().status == status
        ends = [heard for heard in recorder.heard if isinstance(heard, str)]
        assert ends == ["closed"]
        assert site.completed == [("/up", status)]
        recorder.requests[0].send_reply(200, b"too late")
        assert client.rest() == b""
        assert site.completed == [("/up", status)]
        assert [heard for heard in recorder.heard if isinstance(heard, str)] == ends
