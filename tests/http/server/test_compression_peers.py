"""Compressed replies and precompressed files as curl takes them."""

import gzip
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from evkit.http.server.compression import compressed
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from evkit.http.static import StaticFiles
from http_server_aids import Served, served
from patience import PATIENCE

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

HTML = [("Content-Type", "text/html")]
SHORT = b"All work and no play makes Jack a dull boy.\n" * 100
LONG = b"".join(b"%d bottles of beer on the wall\n" % number for number in range(50_000))
STYLE = b"body { color: red }\n" * 50


class Pieces:
    """A reply in pieces, each sent when the one before was taken."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.left = list(range(100))
        request.send_reply_start(200, HTML)
        self.more()

    def more(self) -> None:
        if self.left:
            self.request.send_reply_chunk(b"%d " % self.left.pop(0) * 500, self.more)
        else:
            self.request.send_reply_end()


PIECES = b"".join(b"%d " % number * 500 for number in range(100))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Served]:
    """A server with all three kinds of replies, and a folder."""
    (tmp_path / "style.css").write_bytes(STYLE)
    (tmp_path / "style.css.gz").write_bytes(gzip.compress(STYLE))

    def set_up(server: Server) -> None:
        for path, body in {"/short": SHORT, "/long": LONG}.items():
            server.set_cb(path, compressed(lambda request, body=body: request.send_reply(200, body, HTML)))
        server.set_cb("/pieces", compressed(Pieces))
        server.set_gencb(StaticFiles(tmp_path, precompressed=True))

    with served(set_up) as site:
        yield site


def curl(site: Served, path: str, *options: str) -> bytes:
    command = ["curl", "-sS", "--max-time", str(PATIENCE), *options, site.url + path]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


BODIES = [("/short", SHORT), ("/long", LONG), ("/pieces", PIECES), ("/style.css", STYLE)]


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
@pytest.mark.parametrize(("path", "body"), BODIES)
def test_curl_gets_the_body_whether_compressed_or_not(
    site: Served, path: str, body: bytes, version: str
) -> None:
    assert curl(site, path, version) == body
    assert curl(site, path, version, "--compressed") == body


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_what_travels_is_gzip_and_shorter(site: Served, path: str, body: bytes) -> None:
    raw = curl(site, path, "-H", "Accept-Encoding: gzip")
    assert gzip.decompress(raw) == body
    assert len(raw) < len(body) / 2


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_asking_for_the_head_first(site: Served, path: str, body: bytes) -> None:
    answer = curl(site, path, "--compressed", "-I", site.url + path, "--next", "-sS", "--compressed")
    assert b"\r\nContent-Encoding: gzip\r\n" in answer
    assert answer.partition(b"\r\n\r\n")[2] == body


def test_a_tag_is_known_again(site: Served, tmp_path: Path) -> None:
    tag = str(tmp_path / "tag")
    options = ["--compressed", "--etag-save", tag, "--etag-compare", tag, "-o", str(tmp_path / "out")]
    found = [curl(site, "/style.css", *options, "-w", "%{http_code}") for _ in range(2)]
    assert found == [b"200", b"304"]
