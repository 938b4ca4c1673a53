"""`evkit.http.client.tunnel`: a proxy's tunnel, and all that a proxy can say instead."""

from typing import Any

import pytest

from evkit.core import BufferEvent
from evkit.errors import ConnectError, ConnectionLost, EvkitError, LocalProtocolError, TLSError
from evkit.http.client.dialing import Dial, Dialling
from evkit.http.client.origin import Origin
from evkit.http.client.proxy_choice import Proxy, Route
from evkit.http.errors import BadResponse
from evkit.http.parser import make_response_engine
from http_client_aids import CONTINUE, TIMEOUTS, Proxied, World, phase_of, reply

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def tunnel(
    setting: Proxied, world: World, answer: bytes = ESTABLISHED, url: str = "http://origin.test/"
) -> Any:
    """Ask for an upgrade, which takes a tunnel though there is no TLS; return the future and the proxy's wire."""
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "other")]
    future = world.watched(world.client.upgrade(url, upgrade, lambda response, bev: bev))
    wire = setting.wire
    head = wire.head()
    assert head == b"CONNECT origin.test:80 HTTP/1.1\r\nHost: origin.test:80\r\n\r\n"
    wire.send(answer)
    return future, wire


@pytest.mark.parametrize(
    "answer", [ESTABLISHED, CONTINUE + ESTABLISHED, b"HTTP/1.0 299 Yes\r\nContent-Length: 9\r\n\r\n"]
)
def test_a_tunnel(answer: bytes) -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, answer)
        assert wire.head().startswith(b"GET / HTTP/1.1\r\nHost: origin.test\r\n")
        wire.send(b"HTTP/1.1 101 R\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\nhello")
        bev: BufferEvent = world.result(future)
        assert bev.read() == b"hello"
        bev.close()


class NoCredentials:
    @property
    def authorization(self) -> str:
        raise KeyError("token")


@pytest.mark.parametrize(
    ("options", "error"),
    [({"credentials": NoCredentials()}, KeyError), ({"fields": (("Host", "x"),)}, LocalProtocolError)],
)
def test_a_proxy_that_can_t_be_asked_for_a_tunnel(options: dict[str, Any], error: type[Exception]) -> None:
    with World() as world:
        place = world.place()
        proxy = Proxy(Origin("http", "127.0.0.1", place.port), **options)
        route = Route(proxy.origin, proxy, Origin("https", "a.test", 443))
        ends: list[Exception | None] = []
        how = Dialling(TIMEOUTS, lambda: make_response_engine("native"))
        Dial(world.base, route, how, lambda dial, bev, failure: ends.append(failure)).start()
        assert place.accept().closed()
        (failure,) = ends
        assert isinstance(failure, error)


def test_a_tunnel_whose_answer_comes_byte_by_byte() -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, b"")
        for byte in ESTABLISHED:
            assert wire.silent()
            wire.send(bytes([byte]))
        assert wire.head().startswith(b"GET / ")
        future.cancel()
        assert wire.closed()


@pytest.mark.parametrize("status", [300, 302, 400, 403, 407, 500, 502, 503])
def test_a_proxy_that_refuses(status: int) -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, reply(b"go away", status=status, reason="No\tWay"))
        error = world.error(future)
        assert isinstance(error, ConnectError)
        assert f"gives no tunnel to http://origin.test: {status}" in str(error)
        assert "\t" not in str(error)
        assert wire.closed()
        assert world.pool == "0 connections, 0 free, 0 waiting"


@pytest.mark.parametrize(
    ("fields", "credentials", "told"),
    [
        (
            ['Proxy-Authenticate: Basic realm="Office"'],
            "",
            """407 'R', it wants 'Basic realm="Office"', and got no credentials""",
        ),
        (
            ['Proxy-Authenticate: Basic realm="Office"', "Proxy-Authenticate: Negotiate"],
            "user:secret@",
            """407 'R', it wants 'Basic realm="Office"' or 'Negotiate', and refuses the credentials that it got""",
        ),
        ([], "", "407 'R', and got no credentials"),
        ([f"Proxy-Authenticate: {'x' * 999}"] * 60, "", "xx…, and got no credentials"),
    ],
)
def test_a_proxy_that_wants_credentials(fields: list[str], credentials: str, told: str) -> None:
    setting = Proxied(credentials=credentials)
    with setting as world:
        future = world.get("https://origin.test/")
        setting.wire.answer(b"who are you?", *fields, status=407)
        error = world.error(future)
        assert isinstance(error, ConnectError)
        assert str(error).endswith(told)
        assert "secret" not in str(error)
        assert len(str(error)) < 500


def test_the_reason_of_a_refusal_is_cut() -> None:
    setting = Proxied()
    with setting as world:
        future, _ = tunnel(setting, world, reply(status=502, reason="x" * 50_000))
        assert len(str(world.error(future))) < 300


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        CONTINUE * 30,
        b"HTTP/1.1 200 R\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    ],
)
def test_a_proxy_that_talks_nonsense(answer: bytes) -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, answer)
        assert isinstance(world.error(future), BadResponse)
        assert wire.closed()
        assert world.pool == "0 connections, 0 free, 0 waiting"


def test_junk_behind_the_head_that_makes_a_tunnel() -> None:
    """It would be taken for the origin's words."""
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, ESTABLISHED + b"HTTP/1.1 200 R\r\n")
        error = world.error(future)
        assert isinstance(error, BadResponse)
        assert "b'HTTP/1.1 200 R" in str(error)
        assert wire.closed()
        assert world.pool == "0 connections, 0 free, 0 waiting"


@pytest.mark.parametrize("cut", range(len(ESTABLISHED)))
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_proxy_that_leaves_in_the_middle(cut: int, end: str) -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, ESTABLISHED[:cut])
        wire.close() if end == "close" else wire.reset()
        error = world.error(future)
        assert isinstance(error, ConnectionLost | BadResponse)
        assert world.pool == "0 connections, 0 free, 0 waiting"


@pytest.mark.parametrize("came", [b"", ESTABLISHED[:-1]])
def test_a_proxy_that_is_silent(came: bytes) -> None:
    """Its word is a part of connecting."""
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, came)
        world.wait(TIMEOUTS.connect * 0.9)  # type: ignore[operator]  # there is one
        assert not future.done()
        world.wait(TIMEOUTS.connect * 0.2)  # type: ignore[operator]  # as above
        error = world.error(future)
        assert phase_of(error) == "connect"
        assert "the proxy" in str(error)
        assert "no tunnel to http://origin.test" in str(error)
        assert error.during == "connect"
        assert wire.closed()


def test_cancelled_while_the_tunnel_is_made() -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, ESTABLISHED[:-1])
        future.cancel()
        assert wire.closed()
        assert world.pool == "0 connections, 0 free, 0 waiting"


def test_the_client_is_closed_while_the_tunnel_is_made() -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, ESTABLISHED[:-1])
        world.client.close()
        assert isinstance(world.error(future), EvkitError)
        assert wire.closed()


def test_no_tls_behind_the_tunnel() -> None:
    setting = Proxied()
    with setting as world:
        future = world.get("https://origin.test/")
        wire = setting.wire
        assert wire.head().startswith(b"CONNECT origin.test:443 HTTP/1.1\r\n")
        wire.send(ESTABLISHED)
        wire.receive(lambda data: len(data) > 5, "a handshake")
        wire.send(b"HTTP/1.1 400 Speak plainly\r\n\r\n")
        assert isinstance(world.error(future), TLSError)
        assert wire.closed()


def test_silence_behind_the_tunnel() -> None:
    setting = Proxied()
    with setting as world:
        future = world.get("https://origin.test/")
        wire = setting.wire
        wire.head()
        wire.send(ESTABLISHED)
        world.wait(21.0)
        assert phase_of(world.error(future)) == "tls"
        assert wire.closed()


def test_a_proxy_over_tls_that_speaks_none() -> None:
    setting = Proxied("https")
    with setting as world:
        future = world.get("http://origin.test/")
        wire = setting.wire
        wire.send(b"HTTP/1.1 400 R\r\n\r\n")
        assert isinstance(world.error(future), TLSError)
        assert world.pool == "0 connections, 0 free, 0 waiting"
