"""`open_client`: both ends evkit's own, over TCP and TLS, and the replies that a client refuses."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from certificates import Certificates
from evkit import EventBase, PairBufferEvent, SocketBufferEvent
from evkit.core.bufferevent.common import BufferEvent
from evkit.core.bufferevent.tls import TLSBufferEvent
from evkit.http import Headers, Request
from evkit.http.websocket import (
    ClientHandshake,
    Deflate,
    HandshakeError,
    WebSocket,
    WebSocketOptions,
    open_client,
    upgrade,
)
from evkit.testing import MemoryPair
from http_server_aids import Site
from websocket_aids import Log, accept_for

OPTIONS = WebSocketOptions(deflate=Deflate())


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.mark.parametrize("settings", [{"on_message": "x"}, {"on_close": 5}, {"options": None}])
def test_arguments_of_another_type(settings: dict[str, Any]) -> None:
    with MemoryPair() as pair:
        (name,) = settings
        with pytest.raises(TypeError, match=f"expected {name} as"):
            open_client(pair.near, ClientHandshake(), 101, Headers([]), **settings)
        assert not pair.near.closed


def dialled(site: Site, bev: BufferEvent, options: WebSocketOptions = OPTIONS) -> WebSocket:
    """Open a WebSocket to the site: the request, the reply, and what is made of them."""
    handshake = ClientHandshake(["chat"], deflate=options.deflate)
    lines = ["GET / HTTP/1.1", "Host: a", *(f"{name}: {value}" for name, value in handshake.fields), "", ""]
    bev.enable(2)
    bev.write("\r\n".join(lines).encode())
    site.until(lambda: b"\r\n\r\n" in bytes(bev.input), "a reply")
    head, _, _ = bytes(bev.input).partition(b"\r\n\r\n")
    bev.input.drain(len(head) + 4)
    first, _, fields = head.partition(b"\r\n")
    return open_client(
        bev, handshake, int(first.split()[1]), Headers.from_raw(fields + b"\r\n"), options=options
    )


def on_request(request: Request) -> None:
    ws = upgrade(request, lambda ws, data: ws.send(data), subprotocols=["chat"], options=OPTIONS)
    assert ws is not None
    ws.send("welcome")


def talk(site: Site, bev: BufferEvent, size: int = 300_000) -> None:
    ws = dialled(site, bev)
    log = Log()
    log.attach(ws)
    assert ws.subprotocol == "chat"
    assert ws.request is None
    big = "".join(chr(0x100 + at % 500) for at in range(size))
    for message in ("x", big, b"\0" * 1000):
        ws.send(message)
    site.until(lambda: len(log.messages) == 4, "the answers")
    assert log.messages == ["welcome", "x", big, b"\0" * 1000]
    ws.close(1000, "done")
    site.until(lambda: log.ends, "the end")
    assert log.ends == [(1000, "")]
    assert ws.error is None
    site.until(lambda: ws.bev.closed, "the end of the connection below")


def test_over_tcp(site: Site) -> None:
    site.server.set_gencb(on_request)
    talk(site, SocketBufferEvent(site.base, socket.create_connection(site.address)))


def test_over_tls(site: Site, certificates: Certificates) -> None:
    site.server.set_gencb(on_request)
    host, _, port = site.server.bind("127.0.0.1", 0, tls=certificates.server()).address.rpartition(":")
    below = SocketBufferEvent(site.base, socket.create_connection((host, int(port))))
    talk(site, TLSBufferEvent(below, certificates.client(), server_hostname="localhost"))


def test_a_reply_that_is_no_agreement_leaves_the_connection_alone() -> None:
    with EventBase() as base:
        bev, other = PairBufferEvent.pair(base)
        handshake = ClientHandshake()
        with pytest.raises(HandshakeError, match="expected 101"):
            open_client(bev, handshake, 403, Headers())
        assert bev.callbacks == (None, None, None)
        assert not bev.closed
        bev.close()
        other.close()


def test_the_callbacks_are_there_before_anything_comes() -> None:
    with EventBase() as base:
        bev, other = PairBufferEvent.pair(base)
        bev.enable(2)
        other.write(b"\x81\x01x\x88\x00")
        base.loop(2)
        handshake, log = ClientHandshake(), Log()
        fields = [("Upgrade", "websocket"), ("Connection", "upgrade")]
        reply = Headers([*fields, ("Sec-WebSocket-Accept", accept_for(handshake.key))])
        ws = open_client(bev, handshake, 101, reply, log.on_message, on_close=log.on_close)
        assert log.messages == []
        base.loop(2)
        assert (log.messages, log.ends) == (["x"], [(1005, "")])
        other.close()
        base.loop(2)
        assert ws.bev.closed
