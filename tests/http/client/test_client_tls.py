"""The client over TLS: whom it trusts, whom it refuses by name, how sessions end, and proxies inside and outside."""

import gc
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from certificates import Certificates
from evkit.core import EV_READ, EventBase, Listener, SocketBufferEvent, TLSBufferEvent, pipe
from evkit.core.bufferevent import BufferEvent
from evkit.errors import ConnectionLost, TLSError
from evkit.http import Basic, Client, ProxyRules, Redirects
from evkit.http.client.proxy_choice import Proxy
from evkit.http.errors import BadResponse, RedirectError
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from http_client_aids import Names, in_chunks, reply, until_close

CONNECT = b"CONNECT "


class Secure:
    """A server over TLS, whatever name it is asked by, and clients for it, on one base."""

    def __init__(self, base: EventBase, certificates: Certificates, name: str = "server") -> None:
        self.base = base
        self.certificates = certificates
        self.server = Server(base)
        self.server.set_gencb(self.answer)
        self.context = certificates.server(name)
        address = self.server.bind("127.0.0.1", 0, tls=self.context).address
        self.port = int(address.rpartition(":")[2])
        self.requests: list[str] = []
        self.clients: list[Client] = []

    def answer(self, request: Request) -> None:
        self.requests.append(f"{request.headers.get('Host')} {request.target}")
        request.send_reply(200, request.body or b"hello")

    def client(self, context: ssl.SSLContext | None = None, **options: Any) -> Client:
        options.setdefault("resolver", Names(self.base))
        client = Client(self.base, tls=context or self.certificates.client(), **options)
        self.clients.append(client)
        return client

    def url(self, host: str = "localhost") -> str:
        return f"https://{host}:{self.port}/"

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.server.close()


@pytest.fixture(name="secure")
def make_secure(base: EventBase, certificates: Certificates) -> Iterator[Secure]:
    """A good server, on each backend."""
    secure = Secure(base, certificates)
    yield secure
    secure.close()


@pytest.fixture(name="one")
def make_one(certificates: Certificates) -> Iterator[Secure]:
    """A good server, on the usual backend."""
    with EventBase() as base:
        secure = Secure(base, certificates)
        yield secure
        secure.close()


# Trust


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "localhost."])
def test_a_certificate_that_is_good(secure: Secure, host: str) -> None:
    client = secure.client()
    for _ in range(2):
        response = client.post(secure.url(host), b"x" * 100_000).result(20)
        assert response.body == b"x" * 100_000
    assert repr(client) == "<Client <Pool 1 connections, 1 free, 0 waiting>>"


@pytest.mark.parametrize(
    ("certificate", "host", "why"),
    [
        ("server", "elsewhere.test", "Hostname mismatch, certificate is not valid for 'elsewhere.test'"),
        ("server", "127.0.0.2", "IP address mismatch, certificate is not valid for '127.0.0.2'"),
        ("expired", "localhost", "certificate has expired"),
        ("self-signed", "localhost", "self-signed certificate"),
    ],
)
def test_certificates_that_are_bad(
    base: EventBase, certificates: Certificates, certificate: str, host: str, why: str
) -> None:
    """Each is refused by name; nothing of the request goes out."""
    secure = Secure(base, certificates, certificate)
    client = secure.client()
    with pytest.raises(TLSError) as caught:
        client.get(secure.url(host)).result(20)
    assert why in str(caught.value)
    assert caught.value.during == "connect"
    assert caught.value.__notes__ == [f"GET {secure.url(host)}"]
    assert secure.requests == []
    assert repr(client) == "<Client <Pool 0 connections, 0 free, 0 waiting>>"
    secure.close()


def test_an_authority_that_nobody_knows(one: Secure) -> None:
    """As by default, where the system's authorities are asked."""
    for client in (one.client(ssl.create_default_context()), Client(one.base, resolver=Names(one.base))):
        with pytest.raises(TLSError, match="unable to get local issuer certificate"):
            client.get(one.url()).result(20)
        client.close()
    assert one.requests == []


def test_who_does_not_want_to_check(one: Secure) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    assert one.client(context).get(one.url("elsewhere.test")).result(20).status == 200


def test_a_context_for_servers(one: Secure) -> None:
    with pytest.raises(ValueError, match="PROTOCOL_TLS_SERVER"):
        one.client(one.certificates.server())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("shown", ["client", None])
def test_client_certificates(one: Secure, version: ssl.TLSVersion, shown: str | None) -> None:
    one.context.verify_mode = ssl.CERT_REQUIRED
    one.context.load_verify_locations(one.certificates.path("ca"))
    context = one.certificates.client(shown)
    context.maximum_version = version
    client = one.client(context)
    if shown is not None:
        assert client.get(one.url()).result(20).status == 200
        return
    with pytest.raises((TLSError, ConnectionLost)) as caught:
        client.get(one.url()).result(20)
    assert "certificate required" in str(caught.value) or "handshake failure" in str(caught.value)
    assert one.requests == []


def test_no_common_version(one: Secure) -> None:
    one.context.minimum_version = ssl.TLSVersion.TLSv1_3
    context = one.certificates.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(TLSError):
        one.client(context).get(one.url()).result(20)


def test_no_tls_at_all(one: Secure) -> None:
    """A server that speaks plainly."""
    plain = Server(one.base)
    plain.set_gencb(one.answer)
    port = int(plain.bind("127.0.0.1", 0).address.rpartition(":")[2])
    client = one.client()
    with pytest.raises((TLSError, ConnectionLost)):
        client.get(f"https://localhost:{port}/").result(20)
    with pytest.raises((BadResponse, ConnectionLost)):
        client.get(f"http://localhost:{one.port}/").result(20)
    plain.close()


def test_names_that_share_an_address_do_not_share_a_connection(one: Secure) -> None:
    """A certificate was checked for one of them only."""
    client = one.client()
    assert client.get(one.url("localhost")).result(20).status == 200
    with pytest.raises(TLSError, match="Hostname mismatch"):
        client.get(one.url("elsewhere.test")).result(20)
    assert client.get(one.url("localhost")).result(20).status == 200


def contexts() -> int:
    gc.collect()
    return sum(isinstance(thing, ssl.SSLContext) for thing in gc.get_objects())


def test_one_context_for_all_connections(one: Secure) -> None:
    """The system's certificates are loaded once: they take 25 ms and most of a MiB each time."""
    before = contexts()
    clients = [Client(one.base, resolver=Names(one.base), max_per_host=20) for _ in range(2)]
    futures = [client.get(one.url()) for client in clients for _ in range(10)]
    for future in futures:
        with pytest.raises(TLSError):
            future.result(20)
    assert contexts() <= before + 1
    for client in clients:
        client.close()


# Redirects


def test_no_redirect_to_plain_text(one: Secure) -> None:
    """Unless it is wished for; and then without what is secret."""
    plain = Server(one.base)
    told: list[str | None] = []

    def tell(request: Request) -> None:
        told.append(request.headers.get("Cookie"))
        request.send_reply(200, b"plain")

    plain.set_gencb(tell)
    location = f"http://{plain.bind('127.0.0.1', 0).address}/"
    one.server.set_gencb(lambda request: request.send_reply(302, b"", [("Location", location)]))
    with pytest.raises(RedirectError, match="from https to http"):
        one.client().get(one.url()).result(20)
    client = one.client(redirects=Redirects(downgrade=True))
    assert client.get(one.url(), headers=[("Cookie", "a=b")]).result(20).body == b"plain"
    assert told == [None]
    plain.close()


# The end of a session


class Half:
    """A server over TLS that answers in its own way: by ``answer(bev)``, once a head has come."""

    def __init__(self, base: EventBase, context: ssl.SSLContext, answer: Callable[[Any], object]) -> None:
        self.listener = Listener.bind(base, self.on_accept, ("127.0.0.1", 0))
        self.port = int(self.listener.address.rpartition(":")[2])
        self._context = context
        self._answer = answer
        self.bevs: list[TLSBufferEvent] = []

    def on_accept(self, listener: Listener, sock: socket.socket, address: object) -> None:
        bev = TLSBufferEvent(SocketBufferEvent(listener.base, sock), self._context, server_side=True)
        bev.set_callbacks(read=self.on_read, event=lambda bev, what: None)
        bev.enable(EV_READ)
        self.bevs.append(bev)

    def on_read(self, bev: BufferEvent) -> None:
        if b"\r\n\r\n" in bytes(bev.input):
            bev.input.clear()
            self._answer(bev)

    def close(self) -> None:
        for bev in self.bevs:
            bev.close()
        self.listener.close()


def asked(one: Secure, answer: Callable[[Any], object], **options: Any) -> Any:
    """Get something from a server that answers in its own way."""
    half = Half(one.base, one.context, answer)
    try:
        return one.client(**options).get(f"https://localhost:{half.port}/").result(20)
    finally:
        half.close()


def and_shut(raw: bytes, bev: TLSBufferEvent) -> None:
    bev.write(raw)
    bev.shutdown()


def and_vanish(raw: bytes, bev: TLSBufferEvent) -> None:
    """End the stream below, without a word of TLS."""
    bev.write(raw)
    bev.flush_output()
    below = bev.underlying
    assert below is not None
    below.set_callbacks()
    below.shutdown_write()


def test_a_body_until_the_session_ends(one: Secure) -> None:
    assert asked(one, partial(and_shut, until_close(b"hello"))).body == b"hello"


@pytest.mark.parametrize(
    "raw", [until_close(b"hello"), reply(b"hello")[:-1], in_chunks(b"hello")[:-1], b"HTTP/1.1 200 R\r\n", b""]
)
def test_a_session_that_is_cut_off_cuts_the_body(one: Secure, raw: bytes) -> None:
    """Without the server's goodbye anybody on the way may have ended it. Source: RFC 9112 §9.8."""
    with pytest.raises((TLSError, ConnectionLost, BadResponse)):
        asked(one, partial(and_vanish, raw))


@pytest.mark.parametrize("raw", [reply(b"hello"), in_chunks(b"hello")])
def test_what_is_complete_needs_no_goodbye(one: Secure, raw: bytes) -> None:
    assert asked(one, partial(and_vanish, raw)).body == b"hello"


def test_a_stream_over_tls_is_paused_and_resumed(one: Secure) -> None:
    content = bytes(range(256)) * 8000
    one.server.set_gencb(lambda request: request.send_reply(200, content))
    response = one.client().get(one.url(), stream=True).result(20)
    got: list[bytes] = []
    ends: list[Exception | None] = []

    def on_data(response: Any, data: bytes) -> None:
        got.append(data)
        response.pause()
        one.base.call_soon(response.resume)

    response.receive(on_data, lambda _response, error: ends.append(error))
    while not ends:
        one.base.loop(0x01)  # EVLOOP_ONCE
    assert ends == [None]
    assert b"".join(got) == content


def test_a_stream_over_tls_that_ends_while_paused(one: Secure) -> None:
    half = Half(one.base, one.context, partial(and_shut, until_close(b"hello")))
    response = one.client().get(f"https://localhost:{half.port}/", stream=True).result(20)
    one.base.loop(0x01 | 0x02)
    assert response.read().result(20) == b"hello"
    half.close()


# Proxies


class Tunnels:
    """A proxy that makes tunnels, over TLS or not, to wherever the port is on this machine.

    Attributes:
        asked: The heads of requests.
    """

    def __init__(self, base: EventBase, context: ssl.SSLContext | None = None) -> None:
        self.listener = Listener.bind(base, self.on_accept, ("127.0.0.1", 0))
        self.port = int(self.listener.address.rpartition(":")[2])
        self._context = context
        self.asked: list[bytes] = []
        self.bevs: list[BufferEvent] = []

    def on_accept(self, listener: Listener, sock: socket.socket, address: object) -> None:
        bev: BufferEvent = SocketBufferEvent(listener.base, sock)
        if self._context is not None:
            bev = TLSBufferEvent(bev, self._context, server_side=True)
        bev.set_callbacks(read=self.on_read)
        bev.enable(EV_READ)
        self.bevs.append(bev)

    def on_read(self, bev: BufferEvent) -> None:
        head, end, rest = bytes(bev.input).partition(b"\r\n\r\n")
        if not end:
            return
        assert head.startswith(CONNECT)
        assert not rest, "the client does not wait for the proxy"
        bev.input.clear()
        self.asked.append(head)
        server = SocketBufferEvent(bev.base)
        server.connect(("127.0.0.1", int(head.split(b" ")[1].rpartition(b":")[2])))
        bev.write(b"HTTP/1.1 200 Yes\r\n\r\n")
        self.bevs.append(server)
        pipe(bev, server)

    def close(self) -> None:
        for bev in self.bevs:
            bev.close()
        self.listener.close()


@pytest.mark.parametrize("secure_proxy", [False, True])
def test_a_tunnel(secure: Secure, secure_proxy: bool) -> None:
    """TLS with the origin inside; the proxy's own TLS outside, if it has any, checked for the proxy's name."""
    tunnels = Tunnels(secure.base, secure.certificates.server() if secure_proxy else None)
    scheme = "https" if secure_proxy else "http"
    proxy = Proxy.at(f"{scheme}://user:secret@localhost:{tunnels.port}")
    client = secure.client(proxies=ProxyRules(proxy, proxy), auth=Basic("a", "b"))
    body = bytes(range(256)) * 2000
    for _ in range(2):
        assert client.post(secure.url("127.0.0.1"), body).result(20).body == body
    (head,) = tunnels.asked  # one tunnel for both
    assert head.startswith(f"CONNECT 127.0.0.1:{secure.port} HTTP/1.1".encode())
    assert b"\r\nProxy-Authorization: Basic dXNlcjpzZWNyZXQ=" in head
    assert b"\r\nAuthorization" not in head
    client.close()
    tunnels.close()


@pytest.mark.parametrize("secure_proxy", [False, True])
def test_the_origin_s_certificate_is_checked_behind_a_proxy(one: Secure, secure_proxy: bool) -> None:
    tunnels = Tunnels(one.base, one.certificates.server() if secure_proxy else None)
    client = one.client(proxies=f"{'https' if secure_proxy else 'http'}://localhost:{tunnels.port}")
    with pytest.raises(TLSError, match=r"not valid for 'elsewhere\.test'"):
        client.get(one.url("elsewhere.test")).result(20)
    client.close()
    tunnels.close()


@pytest.mark.parametrize("certificate", ["expired", "self-signed"])
def test_the_proxy_s_certificate_is_checked(one: Secure, certificate: str) -> None:
    """Before it hears where the client wants to go."""
    tunnels = Tunnels(one.base, one.certificates.server(certificate))
    client = one.client(proxies=f"https://localhost:{tunnels.port}")
    with pytest.raises(TLSError, match=r"expired|self-signed"):
        client.get(one.url()).result(20)
    assert tunnels.asked == []
    tunnels.close()


def test_a_bypassed_proxy(one: Secure) -> None:
    tunnels = Tunnels(one.base)
    proxy = Proxy.at(f"http://localhost:{tunnels.port}")
    client = one.client(proxies=ProxyRules(proxy, proxy, bypass="localhost"))
    assert client.get(one.url()).result(20).status == 200
    assert tunnels.asked == []
    tunnels.close()


# Ends in every phase


@pytest.mark.parametrize("end", ["cancel", "close"])
@pytest.mark.parametrize("turns", range(12))
def test_an_end_at_any_moment(one: Secure, end: str, turns: int) -> None:
    """After so many turns of the loop, wherever the handshakes are: one end, and nothing left."""
    tunnels = Tunnels(one.base, one.certificates.server())
    client = one.client(proxies=f"https://localhost:{tunnels.port}")
    future = client.get(one.url())
    for _ in range(turns):
        one.base.loop(0x01 | 0x02)
    future.cancel() if end == "cancel" else client.close()
    for _ in range(5):
        one.base.loop(0x01 | 0x02)
    assert future.done()
    if not future.cancelled():
        future.exception()
    pool = repr(client)
    assert pool.startswith(
        ("<Client closed", "<Client <Pool 0 connections", "<Client <Pool 1 connections, 1 free")
    )
    client.close()
    tunnels.close()
