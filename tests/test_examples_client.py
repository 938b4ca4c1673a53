"""Each example of the HTTP client runs as its docstring says, and ends at Ctrl-C without a complaint."""

import gzip
import http.client
import json
import re
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evkit.http import Request, Server
from http_server_aids import Served, served
from patience import PATIENCE
from running import Program, port_in

EXAMPLES = Path(__file__).parents[1] / "examples"
MOST = 64 << 20
"""Bytes that no system's buffers hold: who takes more keeps them in memory."""


def stop(program: Program) -> None:
    program.signal(signal.SIGINT)
    assert program.wait() == 0


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def proxy_to(url: str) -> Iterator[tuple[Program, http.client.HTTPConnection]]:
    with Program(EXAMPLES / "reverse_proxy.py", "0", url) as program:
        client = http.client.HTTPConnection("127.0.0.1", port_in(program.out.next()), timeout=PATIENCE)
        yield program, client
        client.close()
        stop(program)


def echo(request: Request) -> None:
    told = [request.method, request.target, dict(request.headers), request.body.decode()]
    request.send_reply(201, json.dumps(told), [("X-Kept", "1"), ("X-Hop", "2"), ("Connection", "x-hop")])


def cut_off(request: Request) -> None:
    request.send_reply_start(200, [("Content-Length", "100")])
    request.send_reply_chunk("half", drained=request.abort)


def behind(server: Server) -> None:
    server.set_gencb(echo)
    server.set_cb("/cut", cut_off)
    server.set_cb("/moved", lambda request: request.send_reply(302, "", [("Location", "/")]))
    server.set_cb(
        "/gzip", lambda request: request.send_reply(200, gzip.compress(b"x"), [("Content-Encoding", "gzip")])
    )
    server.set_cb("/refuse", lambda request: request.send_reply(413, "no"), stream=True)
    server.set_cb("/pieces", lambda request: request.send_stream(200, ("a piece\n" for _ in range(1000))))


@pytest.fixture(scope="module")
def site() -> Iterator[Served]:
    with served(behind) as found:
        yield found


class TestReverseProxy:
    def test_requests_and_responses_pass(self, site: Served) -> None:
        with proxy_to(site.url) as (_, client):
            reply = self.ask(client, "GET", "/a?b", headers={"X-A": "1", "Connection": "x-b", "X-B": "2"})
            method, target, fields, _ = json.loads(reply.read())
            assert (reply.status, method, target) == (201, "GET", "/a?b")
            assert (reply.getheader("X-Kept"), reply.getheader("X-Hop")) == ("1", None)
            assert fields["Host"] == site.url.removeprefix("http://")
            assert (fields["X-A"], fields["X-Forwarded-For"]) == ("1", "127.0.0.1")
            assert "X-B" not in fields
            reply = self.ask(client, "HEAD", "/")
            assert (reply.status, reply.read()) == (201, b"")
            assert int(reply.getheader("Content-Length", "")) > 100
            reply = self.ask(client, "GET", "/moved")
            assert (reply.status, reply.getheader("Location"), reply.read()) == (302, "/", b"")
            reply = self.ask(client, "GET", "/gzip")
            assert (reply.getheader("Content-Encoding"), gzip.decompress(reply.read())) == ("gzip", b"x")
            assert self.ask(client, "GET", "/pieces").read() == b"a piece\n" * 1000

    def test_bodies_pass(self, site: Served) -> None:
        with proxy_to(site.url) as (_, client):
            for body in (b"hello", b"", b"x" * 200_000):
                told = json.loads(self.ask(client, "POST", "/", body=body).read())
                assert (told[0], told[2]["Content-Length"], told[3]) == (
                    "POST",
                    str(len(body)),
                    body.decode(),
                )
            reply = self.ask(
                client,
                "PUT",
                "/",
                body=iter([b"ab", b"cde"]),
                headers={"Transfer-Encoding": "chunked"},
                encode_chunked=True,
            )
            told = json.loads(reply.read())
            assert (told[0], told[2]["Transfer-Encoding"], told[3]) == ("PUT", "chunked", "abcde")

    def ask(
        self, client: http.client.HTTPConnection, method: str, target: str, **options: Any
    ) -> http.client.HTTPResponse:
        client.request(method, target, **options)
        return client.getresponse()

    def test_a_server_that_refuses_a_body_is_heard(self, site: Served) -> None:
        with (
            proxy_to(site.url) as (_, client),
            socket.create_connection(("127.0.0.1", client.port), PATIENCE) as sock,
        ):
            sock.sendall(b"PUT /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx")
            assert sock.recv(65536).startswith(b"HTTP/1.1 413 ")

    def test_what_is_not_passed_on(self, site: Served) -> None:
        with proxy_to(site.url) as (_, client):
            assert (
                self.ask(client, "OPTIONS", "*").read()
                == b"501 Not Implemented: OPTIONS * is not passed on\n"
            )
            reply = self.ask(client, "GET", "/robots.txt")
            assert (reply.status, reply.read()) == (200, b"User-agent: *\nDisallow: /\n")

    def test_what_is_changed_on_the_way(self, site: Served) -> None:
        with proxy_to(site.url) as (program, client):
            reply = self.ask(client, "GET", "/a?b")
            assert reply.getheader("X-Served-By") == "reverse_proxy.py"
            assert json.loads(reply.read())[2]["X-Request-Start"].startswith("t=")
            assert re.fullmatch(r"127\.0\.0\.1:\d+ GET /a: 201", program.out.next())

    def test_a_server_that_is_not_there(self) -> None:
        with proxy_to(f"http://127.0.0.1:{closed_port()}") as (program, client):
            reply = self.ask(client, "GET", "/")
            assert reply.status == 502
            assert b"Connection refused" not in reply.read()
            assert "Connection refused" in program.err.next()

    def test_websockets_pass(self) -> None:
        def shout(request: Request) -> None:
            bev = request.take_over(101, [("Upgrade", "shouting")])
            bev.set_callbacks(
                read=lambda bev: bev.write(bev.input.remove().upper()), event=lambda bev, what: bev.close()
            )

        with (
            served(lambda server: server.set_gencb(shout)) as shouting,
            proxy_to(shouting.url) as (_, client),
            socket.create_connection(("127.0.0.1", client.port), PATIENCE) as sock,
        ):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shouting\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 101 ")
            sock.sendall(b"hello")
            assert sock.recv(65536) == b"HELLO"

    def test_a_reply_that_is_cut_off_stays_so(self, site: Served) -> None:
        with proxy_to(site.url) as (_, client):
            with pytest.raises(http.client.IncompleteRead) as cut:
                self.ask(client, "GET", "/cut").read()
            assert cut.value.partial == b"half"

    def test_a_client_that_goes_ends_the_request(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(PATIENCE)
            with (
                proxy_to(f"http://127.0.0.1:{server.getsockname()[1]}") as (_, client),
                socket.create_connection(("127.0.0.1", client.port), PATIENCE) as sock,
            ):
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                accepted, _ = server.accept()
                with accepted:
                    accepted.settimeout(PATIENCE)
                    assert accepted.recv(65536).startswith(b"GET / HTTP/1.1\r\n")
                    accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                    assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.close()  # by a reset: whoever only ends its side may still be reading
                    assert self.ends(accepted)

    def ends(self, sock: socket.socket) -> bool:
        try:
            while sock.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    def test_who_sends_waits_for_who_reads(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(PATIENCE)
            with (
                proxy_to(f"http://127.0.0.1:{server.getsockname()[1]}") as (_, client),
                socket.create_connection(("127.0.0.1", client.port), PATIENCE) as sock,
            ):
                sock.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % MOST)
                accepted, _ = server.accept()
                with accepted:
                    accepted.settimeout(PATIENCE)
                    sent = fill(sock)
                    assert sent < MOST
                    assert receive(accepted, sent) == bytes(sent)
                    accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MOST)
                    back = fill(accepted)
                    assert back < MOST
                    assert receive(sock, back) == bytes(back)


def fill(sock: socket.socket) -> int:
    """Send zeros until nothing moves any more; return how many."""
    sent = 0
    sock.settimeout(0.5)  # whoever reads at all is quicker than this
    try:
        while sent < MOST:
            sent += sock.send(bytes(65536))
    except TimeoutError:
        pass
    sock.settimeout(PATIENCE)
    return sent


def receive(sock: socket.socket, size: int) -> bytes:
    """Read ``size`` bytes behind a head."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    pieces = [data.partition(b"\r\n\r\n")[2]]
    left = size - len(pieces[0])
    while left > 0:
        pieces.append(sock.recv(min(left, 1 << 20)))
        left -= len(pieces[-1])
    return b"".join(pieces)


PAGES = {
    "/": '<a href="a.html">a</a> <a href="/b/#part">b</a> <img src=missing.png> <a href="mailto:x@y">m</a>'
    '<a href="https://elsewhere.invalid/">away</a> <a href="http://[">wrong</a> <a>no link</a>',
    "/a.html": '<a href="/">back</a> <a href="b/?x=1">again</a> <a href="a b">a space</a>',
    "/b/": '<link href="../style.css"><a href="gone.html">',
    "/style.css": "no page: <a href='/never'>",
}


class Pages:
    """A site; ``most`` tells how many asked at the same time."""

    def __init__(self) -> None:
        self.under_way: list[Request] = []
        self.most = 0

    def __call__(self, request: Request) -> None:
        self.under_way.append(request)
        self.most = max(self.most, len(self.under_way))
        request.connection.base.timer(lambda event, what: self.reply()).add(0.01)

    def reply(self) -> None:
        request = self.under_way.pop(0)
        page = PAGES.get(request.path)
        kind = "text/css" if request.path.endswith(".css") else "text/html; charset=utf-8"
        request.send_reply(404 if page is None else 200, page or "", [("Content-Type", kind)])


class TestCrawler:
    def test_all_pages_are_read_and_broken_links_told(self) -> None:
        with (
            served(lambda server: server.set_gencb(Pages())) as site,
            Program(EXAMPLES / "crawler.py", f"{site.url}/") as program,
        ):
            lines = program.out.rest()
            assert program.wait() == 0
        url = re.escape(site.url)
        told = "\n".join(sorted(lines))
        assert re.search(rf"{url}/missing\.png \(from {url}/\): 404 Not Found", told)
        assert re.search(rf"{url}/b/gone\.html \(from {url}/b/(\?x=1)?\): 404 Not Found", told)
        assert re.search(rf"^a b \(from {url}/a\.html\): ", told, re.MULTILINE)
        assert re.search(rf"^http://\[ \(from {url}/\): ", told, re.MULTILINE)
        assert lines[-1] == "8 links"
        assert len(lines) == 5
        asked = sorted(target for _, target, _ in site.log)
        assert asked == ["/", "/a.html", "/b/", "/b/?x=1", "/b/gone.html", "/missing.png", "/style.css"]

    def test_a_page_that_cannot_be_read(self) -> None:
        def odd(request: Request) -> None:
            request.send_reply(200, "<a href=/a><![x[<a href=/b>", [("Content-Type", "text/html")])

        with (
            served(lambda server: server.set_gencb(odd)) as site,
            Program(EXAMPLES / "crawler.py", f"{site.url}/") as program,
        ):
            lines = program.out.rest()
            assert program.wait() == 0
            assert program.err.rest() == []
        assert ("GET", "/a", 200) in site.log
        assert lines[-1].endswith(" links")

    def test_no_more_at_once_than_asked_for(self) -> None:
        for at_once in (1, 2):
            pages = Pages()
            with (
                served(lambda server, pages=pages: server.set_gencb(pages)) as site,
                Program(EXAMPLES / "crawler.py", f"{site.url}/", str(at_once)) as program,
            ):
                assert program.out.rest()[-1] == "8 links"
                assert program.wait() == 0
            assert pages.most == at_once

    def test_a_site_that_is_not_there(self) -> None:
        with Program(EXAMPLES / "crawler.py", f"http://127.0.0.1:{closed_port()}/") as program:
            lines = program.out.rest()
            assert program.wait() == 0
        assert "(from the command line)" in lines[0]
        assert "Connection refused" in lines[0]
        assert lines[1:] == ["1 links"]

    def test_what_is_no_url(self) -> None:
        with Program(EXAMPLES / "crawler.py", "elsewhere") as program:
            lines = program.out.rest()
            assert program.wait() == 0
        assert lines[0].startswith("elsewhere (from the command line): expected a URL as ")
        assert lines[1:] == ["1 links"]

    def test_ctrl_c_ends_it(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(PATIENCE)
            with Program(EXAMPLES / "crawler.py", f"http://127.0.0.1:{server.getsockname()[1]}/") as program:
                accepted, _ = server.accept()
                with accepted:
                    accepted.recv(65536)
                    stop(program)
                assert program.out.rest() == []
