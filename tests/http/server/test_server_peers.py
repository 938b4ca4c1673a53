"""The server with clients that others wrote: curl, http.client, wrk and Chromium."""

import http.client
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from evkit.http.server.request import Request
from evkit.http.server.server import Server
from evkit.http.static import StaticFiles
from http_server_aids import both_engines, served

pytestmark = pytest.mark.peer
MIB = 1 << 20


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def run(*command: str, stdin: bytes = b"", timeout: float = 60.0) -> tuple[bytes, str]:
    """Run a program that must succeed; return what it wrote."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout, done.stderr.decode("utf-8", "replace")


def curl(*arguments: str, stdin: bytes = b"") -> tuple[bytes, str]:
    return run("curl", "-sS", "-v", "--max-time", "30", *arguments, stdin=stdin)


def application(server: Server) -> None:
    """A little of everything."""

    def hello(request: Request) -> None:
        request.send_reply(200, b"hello", [("Content-Type", "text/plain")])

    def echo(request: Request) -> None:
        request.send_reply(200, request.body, [("X-Trailers", str(request.trailers))])

    def pieces(request: Request) -> None:
        request.send_reply_start(200)
        more(request, 100)

    def more(request: Request, left: int) -> None:
        if left:
            request.send_reply_chunk(bytes(10_000), lambda: more(request, left - 1))
        else:
            request.send_reply_end()

    def count(request: Request) -> None:
        sizes: list[int] = []
        request.receive(
            lambda _request, data: sizes.append(len(data)),
            lambda request: request.send_reply(200, str(sum(sizes))),
        )

    def late(request: Request) -> None:
        server.base.timer(lambda _event, _what: request.send_reply(200, b"late")).add(0.01)

    server.set_cb("/", hello)
    server.set_cb("/echo", echo)
    server.set_cb("/pieces", pieces)
    server.set_cb("/count", count, stream=True)
    server.set_cb("/late", late)
    server.set_cb("/large", lambda request: request.send_reply(200, bytes(5 * MIB)))
    server.set_cb("/fails", lambda request: request.send_error(503, "for now"))


# curl


@needs("curl")
@both_engines
def test_curl_gets(engine: str) -> None:
    with served(application, engine) as site:
        for target, size in (("/", 5), ("/pieces", 1_000_000), ("/large", 5 * MIB), ("/late", 4)):
            out, _ = curl(site.url + target)
            assert len(out) == size
        assert site.log == [("GET", target, 200) for target in ("/", "/pieces", "/large", "/late")]


@needs("curl")
@both_engines
def test_curl_posts(engine: str) -> None:
    with served(application, engine) as site:
        out, _ = curl("--data-binary", "a=b&c", f"{site.url}/echo")
        assert out == b"a=b&c"


@needs("curl")
@both_engines
@pytest.mark.parametrize("http_version", ["--http1.1", "--http1.0"])
def test_curl_uploads_a_file(engine: str, http_version: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(5 * MIB))
    with served(application, engine) as site:
        out, _ = curl(http_version, "-T", str(tmp_path / "file"), f"{site.url}/count")
        assert out == b"%d" % (5 * MIB)


@needs("curl")
@both_engines
def test_curl_uploads_in_chunks(engine: str) -> None:
    with served(application, engine) as site:
        out, told = curl("-T", "-", f"{site.url}/count", stdin=bytes(300_000))
        assert out == b"300000"
        assert "Transfer-Encoding: chunked" in told


@needs("curl")
def test_curl_asks_for_the_head() -> None:
    with served(application) as site:
        out, _ = curl("--head", f"{site.url}/large", f"{site.url}/pieces")
        lengths = re.findall(rb"Content-Length: (\d+)", out)
        assert lengths == [b"%d" % (5 * MIB)]
        assert out.count(b"HTTP/1.1 200 OK") == 2
        # Of the second one curl has seen all, and left, before the handler has ended it.
        assert site.log[0] == ("HEAD", "/large", 200)


@needs("curl")
def test_curl_speaks_http_1_0() -> None:
    with served(application) as site:
        out, told = curl("--http1.0", f"{site.url}/", f"{site.url}/pieces")
        assert len(out) == 5 + 1_000_000
        assert "chunked" not in told
        assert "Connection: close" in told


@needs("curl")
def test_curl_finds_the_connection_open_for_the_next_request() -> None:
    with served(application) as site:
        _, told = curl(*[f"{site.url}{target}" for target in ("/", "/pieces", "/fails", "/late", "/")])
        assert len(re.findall(r"Connected to|Established connection", told)) == 1
        assert len(re.findall(r"Re-using existing", told)) == 4
        assert [status for _, _, status in site.log] == [200, 200, 503, 200, 200]


@needs("curl")
@both_engines
@pytest.mark.parametrize("target", ["/count", "/echo"])
def test_curl_waits_to_be_invited(engine: str, target: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    with served(application, engine) as site:
        # If nobody invited it, curl would wait for longer than it may run.
        out, told = curl(
            "--expect100-timeout",
            "100",
            "-H",
            "Expect: 100-continue",
            "-T",
            str(tmp_path / "file"),
            site.url + target,
        )
        assert out in (b"100000", b"x" * 100_000)
        assert "HTTP/1.1 100 Continue" in told


@needs("curl")
@both_engines
def test_curl_is_refused_before_it_sends(engine: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(5 * MIB))
    with served(application, engine) as site:
        out, told = curl("-H", "Expect: 100-continue", "-T", str(tmp_path / "file"), f"{site.url}/echo")
        assert out.startswith(b"413 ")
        assert "100 Continue" not in told


@needs("curl")
@both_engines
def test_curl_reads_the_413_of_what_it_sends_unasked(engine: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(5 * MIB))
    with served(application, engine) as site:
        out, _ = curl("-H", "Expect:", "-T", str(tmp_path / "file"), f"{site.url}/echo")
        assert out.startswith(b"413 ")
        assert site.log == [("PUT", "/echo", 413)]


# http.client


@both_engines
def test_http_client_on_one_connection(engine: str) -> None:
    with served(application, engine) as site:
        connection = http.client.HTTPConnection(*site.address, timeout=30)
        try:
            for method, target, body, expected in (
                ("GET", "/", None, b"hello"),
                ("POST", "/echo", b"abc", b"abc"),
                ("HEAD", "/", None, b""),
                ("POST", "/count", iter([b"ab", b"cde"]), b"5"),
                ("GET", "/pieces", None, bytes(1_000_000)),
                ("GET", "/late", None, b"late"),
                ("DELETE", "/nowhere", None, b"404 Not Found\n"),
            ):
                connection.request(method, target, body, encode_chunked=method == "POST")
                reply = connection.getresponse()
                assert reply.read() == expected
                assert not reply.will_close
        finally:
            connection.close()
        assert len(site.log) == 7


def test_http_client_from_many_threads() -> None:
    with served(application) as site:
        failures: list[object] = []

        def ask() -> None:
            connection = http.client.HTTPConnection(*site.address, timeout=30)
            try:
                for _ in range(20):
                    connection.request("GET", "/late")
                    failures.extend([body] if (body := connection.getresponse().read()) != b"late" else [])
            except OSError as error:
                failures.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(site.log) == 160


# wrk


@needs("wrk")
@both_engines
def test_wrk_sees_no_error(engine: str) -> None:
    with served(application, engine) as site:
        out, _ = run("wrk", "-t1", "-c20", "-d1s", f"{site.url}/")
        found = re.search(rb"(\d+) requests in", out)
        assert found is not None
        assert int(found[1]) > 0
        assert b"Socket errors" not in out
        assert b"Non-2xx" not in out
        assert int(found[1]) <= len(site.log)


# Chromium

PAGE = """<!doctype html>
<title>page</title>
<link rel="stylesheet" href="style.css">
<img id="image" src="dot.svg">
<p id="told">nothing</p>
<script>
addEventListener("load", () => {
  const color = getComputedStyle(document.getElementById("told")).color;
  const image = document.getElementById("image");
  document.getElementById("told").textContent = "color " + color + " width " + image.naturalWidth;
});
</script>
"""
CSS = "#told { color: rgb(1, 2, 3) }"
IMAGE = '<svg xmlns="http://www.w3.org/2000/svg" width="17" height="17"/>'


@needs("chromium")
@both_engines
def test_chromium_loads_a_page_with_what_belongs_to_it(engine: str, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    for name, text in (("index.html", PAGE), ("style.css", CSS), ("dot.svg", IMAGE)):
        (folder / name).write_text(text)
    set_up: Callable[[Server], object] = lambda server: server.set_gencb(StaticFiles(folder))  # noqa: E731
    with served(set_up, engine) as site:
        out, _ = run(
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            f"{site.url}/",
        )
        for target in ("/", "/style.css", "/dot.svg"):
            assert ("GET", target, 200) in site.log
        assert b"color rgb(1, 2, 3) width 17" in out
