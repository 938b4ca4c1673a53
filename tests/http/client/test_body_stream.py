"""A body that comes when it comes: when its pieces go, when there is room for more, and when nobody wants them."""

import socket
import time

import pytest

from evkit.core import EVLOOP_NONBLOCK, EVLOOP_ONCE, Buffer, EventBase
from evkit.errors import ConnectionLost, LocalProtocolError
from evkit.http.client.body_stream import BodyStream
from evkit.http.client.client import Client
from evkit.http.client.request_fields import CHUNKED
from evkit.http.client.upload import StreamUpload, as_upload
from evkit.http.server.request import Request
from evkit.http.server.server import Server


class Sending:
    """A stream on its way into a buffer."""

    def __init__(self, length: int | None = None) -> None:
        self.stream = BodyStream(length)
        self.upload = StreamUpload(self.stream)
        self.upload.begin()
        self.output = Buffer()
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1
        self.write()

    def write(self) -> bool:
        return self.upload.write(self.output, self.wake)

    def sent(self) -> bytes:
        """Take what is in the buffer, as a socket that has room does."""
        return self.output.remove()


def test_pieces_go_as_they_come() -> None:
    sending = Sending()
    assert not sending.write()
    sending.stream.send(b"ab")
    sending.stream.send("ü")
    assert (sending.sent(), sending.woken) == (
        b"2\r\nab\r\n",
        1,
    )  # one call is enough: the next comes when this is sent
    assert not sending.write()
    assert sending.sent() == b"2\r\n\xc3\xbc\r\n"
    assert not sending.write()
    sending.stream.end()
    assert (sending.sent(), sending.woken) == (b"0\r\n\r\n", 2)


def test_what_comes_before_the_connection_waits_for_it() -> None:
    sending = Sending()
    sending.stream.send(b"a")
    sending.stream.send(b"b")
    sending.stream.end()
    assert sending.write()
    assert sending.sent() == b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"


def test_a_length_is_kept_to() -> None:
    sending = Sending(3)
    assert sending.upload.length == 3
    sending.stream.send(b"abc")
    sending.stream.end()
    assert sending.write()
    assert sending.sent() == b"abc"
    short = Sending(3)
    short.stream.send(b"ab")
    short.stream.end()
    with pytest.raises(LocalProtocolError, match="ended 1 bytes before its Content-Length of 3"):
        short.write()
    long = Sending(3)
    long.stream.send(b"abcd")
    with pytest.raises(LocalProtocolError, match="longer than its Content-Length of 3"):
        long.write()
    with pytest.raises(ValueError, match="expected a length of 0 or more bytes, got -1"):
        BodyStream(-1)


def test_drained_is_told_when_all_is_on_its_way() -> None:
    sending, told = Sending(), []
    sending.write()
    sending.stream.send(b"a", drained=lambda: told.append("a"))
    sending.stream.send(b"b", drained=lambda: told.append("b"))
    assert told == []
    sending.sent()
    sending.write()
    assert told == []  # b has yet to go
    sending.sent()
    sending.write()
    assert told == ["b"]
    sending.write()
    assert told == ["b"]


def test_drained_is_not_told_while_something_has_yet_to_go() -> None:
    sending, told = Sending(), []
    sending.write()
    sending.stream.send(b"a", drained=lambda: told.append("a"))
    assert not sending.write()
    assert told == []
    sending.sent()
    assert not sending.write()
    assert told == ["a"]


def test_who_is_told_may_send_more() -> None:
    sending, left = Sending(), [b"c", b"b"]

    def more() -> None:
        if left:
            sending.stream.send(left.pop(), drained=more)
        else:
            sending.stream.end()

    sending.stream.send(b"a", drained=more)
    sent = b""
    while not sending.write():
        sent += sending.sent()
    assert sent + sending.sent() == b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"


def test_an_empty_piece_is_no_end() -> None:
    sending, left = Sending(), [b"x", b"", b""]

    def more() -> None:
        if left:
            sending.stream.send(left.pop(), drained=more)

    sending.write()
    sending.stream.send(b"", drained=more)
    assert sending.sent() == b"1\r\nx\r\n"
    assert not sending.write()
    sending.stream.send(b"")
    assert sending.sent() == b""
    sending.stream.end()
    assert sending.sent() == b"0\r\n\r\n"


def test_after_its_end_and_after_it_is_gone() -> None:
    sending, told = Sending(), []
    sending.stream.send(b"a", drained=lambda: told.append("a"))
    sending.upload.close()
    assert sending.stream.gone
    sending.stream.send(b"b", drained=lambda: told.append("b"))  # dropped, without an error
    assert (repr(sending.stream), told) == ("<BodyStream gone waiting=0 bytes>", [])
    sending.stream.end()
    with pytest.raises(LocalProtocolError, match="the body has ended"):
        sending.stream.send(b"c")


def test_one_that_has_ended_before_anybody_took_it_is_gone() -> None:
    sending = Sending()
    sending.stream.end()
    sending.upload.close()
    assert sending.stream.gone


def test_nobody_is_woken_when_it_is_gone() -> None:
    sending, told = Sending(), []
    sending.write()
    sending.stream.send(b"a", drained=lambda: told.append("a"))
    sending.sent()
    sending.upload.close()
    assert not sending.write()  # by whoever has not heard of it yet
    sending.stream.end()
    assert (sending.woken, sending.sent(), told) == (1, b"", [])


def test_one_that_was_sent_is_not_gone() -> None:
    sending = Sending()
    sending.stream.end()
    sending.write()
    sending.upload.close()
    assert not sending.stream.gone


def test_what_it_can_be_made_of_and_how_it_shows() -> None:
    stream = BodyStream()
    with pytest.raises(TypeError, match="expected a piece of a body as bytes or str, got int"):
        stream.send(1)  # type: ignore[arg-type]  # on purpose
    upload = as_upload(stream)
    assert (upload.length, upload.repeatable) == (CHUNKED, False)
    stream.send(b"abc")
    assert repr(stream) == "<BodyStream open waiting=3 bytes>"
    stream.end()
    assert repr(stream) == "<BodyStream ended waiting=3 bytes>"
    with pytest.raises(LocalProtocolError):
        as_upload(BodyStream(4), 5)


# On real sockets


def test_a_server_that_takes_its_time_holds_up_who_sends(base: EventBase) -> None:
    requests: list[Request] = []
    size = 0

    def on_data(request: Request, data: bytes) -> None:
        nonlocal size
        size += len(data)

    def take(request: Request) -> None:
        requests.append(request)
        request.receive(on_data, lambda request: request.send_reply(200, f"{size}"))
        request.pause()

    server = Server(base)
    server.set_gencb(take, stream=True)
    url = f"http://{server.bind('127.0.0.1', 0).address}/"
    body, piece, sent = BodyStream(), bytes(65536), 0

    def more() -> None:
        nonlocal sent
        if sent == 500:
            body.end()
            return
        sent += 1
        body.send(piece, drained=more)

    with Client(base) as client:
        future = client.put(url, body)
        more()
        for _ in range(200):
            base.loop(EVLOOP_ONCE | EVLOOP_NONBLOCK)
        assert 1 < sent < 400  # the system's buffers are full
        requests[0].resume()
        assert future.result(20).body == b"%d" % (500 * len(piece))
        assert not body.gone
    server.close()


def test_a_server_that_answers_at_once_lets_it_go(base: EventBase) -> None:
    server = Server(base)
    server.set_gencb(lambda request: request.send_reply(413, ""), stream=True)
    url = f"http://{server.bind('127.0.0.1', 0).address}/"
    with Client(base) as client:
        body = BodyStream()
        body.send(b"x")
        assert client.put(url, body).result(20).status == 413
        assert body.gone
        cancelled = BodyStream()
        future = client.put(url, cancelled)
        future.cancel()
        assert cancelled.gone
    server.close()


def test_a_connection_that_is_lost_lets_it_go(base: EventBase) -> None:
    server = Server(base)
    server.set_gencb(Request.abort, stream=True)
    url = f"http://{server.bind('127.0.0.1', 0).address}/"
    with Client(base) as client:
        body = BodyStream()
        with pytest.raises(ConnectionLost):
            client.put(url, body).result(20)
        assert body.gone
    server.close()


def test_it_waits_for_the_servers_word(base: EventBase) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Client(base) as client:
        body = BodyStream()
        future = client.put(f"http://127.0.0.1:{server.getsockname()[1]}/", body, expect=True)
        base.loop(EVLOOP_ONCE | EVLOOP_NONBLOCK)
        server.settimeout(20)
        accepted, _ = server.accept()
        with accepted:
            accepted.setblocking(False)
            assert receive(base, accepted, 1).endswith(b"\r\n\r\n")
            body.send(b"when you like")
            for _ in range(10):
                base.loop(EVLOOP_ONCE | EVLOOP_NONBLOCK)
            with pytest.raises(BlockingIOError):
                accepted.recv(1)
            accepted.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert receive(base, accepted, 18) == b"d\r\nwhen you like\r\n"
            body.end()
            assert receive(base, accepted, 5) == b"0\r\n\r\n"
            accepted.send(b"HTTP/1.1 204 Done\r\n\r\n")
            assert future.result(20).status == 204


def receive(base: EventBase, sock: socket.socket, size: int) -> bytes:
    """Turn the loop until ``size`` bytes have come, or more."""
    data, guard = b"", time.monotonic() + 20
    while len(data) < size:
        assert time.monotonic() < guard, data
        base.loop(EVLOOP_ONCE | EVLOOP_NONBLOCK)
        try:
            data += sock.recv(65536)
        except BlockingIOError:
            pass
    return data


def test_it_is_the_body_of_one_request() -> None:
    body = BodyStream()
    as_upload(body)
    with pytest.raises(LocalProtocolError, match="one request"):
        as_upload(body)
