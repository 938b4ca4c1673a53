"""The server before tools that were made to break, to load, to hide and to judge servers.

slowhttptest attacks it, h2load loads it, nginx and haproxy stand before it, and httplint reads its replies.
"""

import gzip
import http.client
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from certificates import Certificates
from evkit.http.proxies.forwarded import Proxies
from evkit.http.server.patience import Timeouts
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from evkit.http.static import StaticFiles
from http_server_aids import Served, both_engines, served
from patience import PATIENCE

pytestmark = pytest.mark.peer

MIB = 1 << 20
CLIENT = "127.0.0.2"
"""Where clients of a proxy come from: not from where the proxy comes."""
SHORT = Timeouts(first_byte=1, header=1, body=1, write=1, keep_alive=1, linger=1)


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def run(*command: str) -> str:
    """Run a program that must succeed; return what it wrote."""
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return without_colours(done.stdout)


def without_colours(output: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", output.decode("utf-8", "replace"))


def ask(port: int, target: str = "/", headers: dict[str, str] | None = None) -> bytes:
    """Get something by a connection of its own; it must succeed."""
    with talk(port) as connection:
        connection.request("GET", target, headers=headers or {})
        reply = connection.getresponse()
        assert reply.status == 200
        return reply.read()


@contextmanager
def talk(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(CLIENT, 0))
    try:
        yield connection
    finally:
        connection.close()


# slowhttptest: whatever its many clients do slowly, others are served, and those that owe something are let go


def serve_text(server: Server) -> None:
    server.set_cb("/", lambda request: request.send_reply(200, b"hello"))
    server.set_cb("/large", lambda request: request.send_reply(200, bytes(50_000)))
    server.set_cb("/post", lambda request: request.send_reply(200, request.body))


def attacked(site: Served, target: str, *options: str) -> str:
    """Let slowhttptest attack while other clients ask; return what it says of that."""
    command = (
        "slowhttptest",
        "-c",
        "100",
        "-r",
        "200",
        "-i",
        "1",
        "-p",
        "20",
        *options,
        "-u",
        site.url + target,
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as attacker:
        asked = 0
        while attacker.poll() is None:
            assert ask(site.address[1]) == b"hello"
            asked += 1
        assert attacker.stdout is not None
        told = without_colours(attacker.stdout.read())
    assert attacker.returncode == 0
    assert asked > 0
    assert set(re.findall(r"service available:\s*(\w+)", told)) == {"YES"}
    return told


@needs("slowhttptest")
@pytest.mark.parametrize(
    ("mode", "target"), [("-H", "/"), ("-B", "/post"), ("-R", "/large")], ids=["heads", "bodies", "ranges"]
)
def test_slow_and_greedy_clients_keep_nobody_from_service_and_are_let_go(mode: str, target: str) -> None:
    with served(serve_text, timeouts=SHORT) as site:
        assert "No open connections left" in attacked(site, target, mode, "-l", "30")


@needs("slowhttptest")
def test_slow_readers_keep_nobody_from_service() -> None:
    with served(serve_text, timeouts=SHORT) as site:
        # The system holds what they don't read, and they read until the attack ends.
        assert "Hit test time limit" in attacked(site, "/large", "-X", "-k", "3", "-z", "9", "-l", "3")


# h2load


@needs("h2load")
@both_engines
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_h2load_sees_no_error(engine: str, secure: bool, certificates: Certificates) -> None:
    tls = certificates.server() if secure else None
    with served(serve_text, engine, tls=tls) as site:
        for target in ("/", "/large"):
            out = run("h2load", "--h1", "-n", "400", "-c", "10", site.url + target)
            assert "400 done, 400 succeeded, 0 failed, 0 errored, 0 timeout" in out
            assert "400 2xx, 0 3xx, 0 4xx, 0 5xx" in out
        assert len(site.log) == 800


# Proxies


def tell(request: Request) -> None:
    """Say who is asking, as far as we know."""
    told = [request.peer.rpartition(":")[0], request.client.rpartition(":")[0] or request.client, request.url]
    request.send_reply(200, " ".join(told))


class Site:
    """A server behind a proxy.

    Attributes:
        connections: Where its requests came from.
        by_header: The port where each connection begins with a PROXY header.
        secure: Likewise; then TLS begins.
    """

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self.connections: set[str] = set()
        self.by_header = 0
        self.secure = 0

    def __call__(self, server: Server) -> None:
        server.on_request = lambda request: self.connections.add(request.peer)
        server.set_cb("/", tell)
        server.set_cb("/echo", lambda request: request.send_reply(200, request.body))
        server.set_cb(
            "/pieces", lambda request: request.send_stream(200, (bytes(10_000) for _ in range(100)))
        )
        self.by_header = server.bind("127.0.0.1", 0, proxy_protocol=True).port
        self.secure = server.bind("127.0.0.1", 0, proxy_protocol=True, tls=self._tls).port


@contextmanager
def behind(tls: ssl.SSLContext | None = None) -> Iterator[tuple[Site, Served]]:
    site = Site(tls)
    with served(site, proxies=Proxies(["127.0.0.1"])) as there:
        yield site, there


def free_port() -> int:
    """Return a port that nobody has, and that the system gives to no client meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def daemon(pid_file: Path, *command: str) -> Iterator[None]:
    """Run a program that goes into the background when it listens."""
    run(*command)
    pid = int(pid_file.read_text())
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)


NGINX = """
{modules}
pid {folder}/pid;
error_log {folder}/error;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    upstream site {{ server 127.0.0.1:{plain}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://site;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto https;
        }}
    }}
}}
stream {{
    server {{
        listen 127.0.0.1:{stream};
        proxy_pass 127.0.0.1:{by_header};
        proxy_protocol on;
    }}
}}
"""
STREAM_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[tuple[Site, Served, int, int]]:
    """A site behind nginx; the ports where that speaks HTTP to it, and where it says who comes and hands bytes on."""
    port, stream = free_port(), free_port()
    with behind() as (site, there):
        places = {"plain": there.address[1], "by_header": site.by_header, "port": port, "stream": stream}
        modules = f"load_module {STREAM_MODULE};"
        config = tmp_path / "config"
        config.write_text(NGINX.format(folder=tmp_path, modules=modules, **places))
        with daemon(tmp_path / "pid", "nginx", "-c", str(config), "-e", str(tmp_path / "error")):
            yield site, there, port, stream


needs_nginx = pytest.mark.skipif(
    shutil.which("nginx") is None or not STREAM_MODULE.exists(),
    reason="nginx or its stream module is not installed",
)


@needs_nginx
def test_nginx_keeps_its_connection_and_says_for_whom_it_asks(nginx: tuple[Site, Served, int, int]) -> None:
    site, _, port, _ = nginx
    with talk(port) as connection:
        for _ in range(50):
            connection.request("GET", "/", headers={"Host": "name"})
            assert connection.getresponse().read() == f"127.0.0.1 {CLIENT} https://name/".encode()
    assert len(site.connections) == 1


@needs_nginx
def test_a_client_of_nginx_lies_in_vain(nginx: tuple[Site, Served, int, int]) -> None:
    told = ask(
        nginx[2], headers={"Host": "name", "X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"}
    )
    assert told == f"127.0.0.1 {CLIENT} https://name/".encode()


@needs_nginx
def test_nginx_hands_bodies_and_errors_on(nginx: tuple[Site, Served, int, int]) -> None:
    _, _, port, _ = nginx
    pieces = [bytes([number]) * 5000 for number in range(100)]
    with talk(port) as connection:
        connection.request(
            "POST", "/echo", iter(pieces), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )
        assert connection.getresponse().read() == b"".join(pieces)
        connection.request("GET", "/pieces")
        assert connection.getresponse().read() == bytes(1_000_000)
        connection.request("HEAD", "/pieces")
        assert connection.getresponse().read() == b""
        connection.request("POST", "/echo", bytes(2 * MIB))
        reply = connection.getresponse()
        assert (reply.status, reply.read()[:4]) == (413, b"413 ")
    assert ask(port, "/pieces") == bytes(1_000_000)


@needs_nginx
def test_nginx_says_in_a_proxy_header_who_comes(nginx: tuple[Site, Served, int, int]) -> None:
    assert ask(nginx[3], headers={"Host": "name"}) == f"{CLIENT} {CLIENT} http://name/".encode()


HAPROXY = """
global
    pidfile {folder}/pid
defaults
    timeout connect 20s
    timeout client 20s
    timeout server 20s
    mode http
    option forwardfor
    option httpchk GET /
listen fields
    bind 127.0.0.1:{fields}
    http-request set-header X-Forwarded-Proto https
    server site 127.0.0.1:{plain} check
listen v1
    bind 127.0.0.1:{v1}
    server site 127.0.0.1:{by_header} send-proxy check check-send-proxy
listen v2
    bind 127.0.0.1:{v2}
    server site 127.0.0.1:{by_header} send-proxy-v2 proxy-v2-options crc32c,unique-id check check-send-proxy
listen secure
    bind 127.0.0.1:{v2_secure}
    server site 127.0.0.1:{secure} send-proxy-v2 ssl verify required ca-file {ca} sni str(localhost)
listen bytes
    mode tcp
    bind 127.0.0.1:{v2_bytes}
    server site 127.0.0.1:{by_header} send-proxy-v2
"""


@pytest.fixture
def haproxy(tmp_path: Path, certificates: Certificates) -> Iterator[tuple[Site, dict[str, int]]]:
    """A site behind haproxy, and the ports of that, by the way it says who comes."""
    ports = {name: free_port() for name in ("fields", "v1", "v2", "v2_secure", "v2_bytes")}
    with behind(certificates.server()) as (site, there):
        places = {"plain": there.address[1], "by_header": site.by_header, "secure": site.secure, **ports}
        config = tmp_path / "config"
        config.write_text(HAPROXY.format(folder=tmp_path, ca=certificates.path("ca"), **places))
        with daemon(tmp_path / "pid", "haproxy", "-D", "-f", str(config)):
            yield site, ports


@needs("haproxy")
def test_haproxy_says_for_whom_it_asks_in_each_of_its_ways(haproxy: tuple[Site, dict[str, int]]) -> None:
    _, ports = haproxy
    expected = {
        "fields": f"127.0.0.1 {CLIENT} https://name/",
        "v1": f"{CLIENT} {CLIENT} http://name/",
        "v2": f"{CLIENT} {CLIENT} http://name/",
        "v2_secure": f"{CLIENT} {CLIENT} https://name/",
        "v2_bytes": f"{CLIENT} {CLIENT} http://name/",
    }
    told = {name: ask(port, headers={"Host": "name"}).decode() for name, port in ports.items()}
    assert told == expected


@needs("haproxy")
@pytest.mark.parametrize("way", ["fields", "v1", "v2", "v2_secure", "v2_bytes"])
def test_haproxy_hands_bodies_on(haproxy: tuple[Site, dict[str, int]], way: str) -> None:
    body = bytes(range(256)) * 2000
    with talk(haproxy[1][way]) as connection:
        for _ in range(3):
            connection.request("POST", "/echo", body)
            assert connection.getresponse().read() == body
            connection.request("GET", "/pieces")
            assert connection.getresponse().read() == bytes(1_000_000)


# httplint: what the editor of the RFCs has to say of replies


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("All work and no play makes Jack a dull boy.\n" * 100)
    (tmp_path / "style.css").write_text("p { color: red }\n" * 50)
    (tmp_path / "style.css.gz").write_bytes(gzip.compress((tmp_path / "style.css").read_bytes()))

    def set_up(server: Server) -> None:
        server.set_cb("/fails", lambda request: request.send_error(503, "for now"))
        server.set_cb("/post", lambda request: request.send_reply(204), methods=("POST",))
        server.set_gencb(StaticFiles(tmp_path, precompressed=True, cache_control="max-age=60"))

    with served(set_up) as site:
        yield site


REPLIES = [
    ("GET", "/text.txt", {}, 200),
    ("HEAD", "/text.txt", {}, 200),
    ("GET", "/style.css", {"Accept-Encoding": "gzip"}, 200),
    ("GET", "/style.css", {}, 200),
    ("GET", "/folder/", {}, 200),
    ("GET", "/text.txt", {"Range": "bytes=1-5"}, 206),
    ("GET", "/text.txt", {"Range": "bytes=1-5, 100-200"}, 206),
    ("GET", "/folder", {}, 301),
    ("GET", "/text.txt", {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
    ("GET", "/nowhere", {}, 404),
    ("GET", "/post", {}, 405),
    ("POST", "/text.txt", {}, 405),
    ("GET", "/text.txt", {"If-Match": '"another"'}, 412),
    ("POST", "/post", {"Content-Length": "9999999"}, 413),
    ("GET", "/" + "x" * 9000, {}, 414),
    ("GET", "/text.txt", {"Range": "bytes=99999-"}, 416),
    ("GET", "/text.txt", {"Expect": "miracles"}, 417),
    ("GET", "/text.txt", {"X": "y" * 40_000}, 431),
    ("GET", "/text.txt", {"Transfer-Encoding": "gzip, chunked"}, 501),
    ("GET", "/fails", {}, 503),
]
EXPLAINED = {
    # A listing is of now, and a redirection of a folder as good as that: no age is promised.
    (200, "FRESHNESS_HEURISTIC"),
    (301, "FRESHNESS_HEURISTIC"),
    # RFC 9110 §15.3.7.2: the parts have Content-Range, and the whole must not.
    (206, "PARTIAL_WITHOUT_RANGE"),
    (414, "STATUS_URI_TOO_LONG"),  # as it was
}


@pytest.mark.parametrize(
    ("method", "target", "fields", "status"),
    REPLIES,
    ids=[f"{method} {target[:12]} {status}" for method, target, _, status in REPLIES],
)
def test_httplint_finds_no_fault(
    files: Served, method: str, target: str, fields: dict[str, str], status: int
) -> None:
    httplint = pytest.importorskip("httplint", reason="httplint is not installed")
    asked = {"Host": "localhost", **fields}
    with talk(files.address[1]) as connection:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in asked.items():
            connection.putheader(name, value)
        connection.endheaders()
        reply = connection.getresponse()
        body = reply.read()
    assert reply.status == status
    request = httplint.HttpRequestLinter()
    request.process_request_topline(method.encode(), f"http://localhost{target}".encode(), b"HTTP/1.1")
    request.process_headers([(name.encode(), value.encode()) for name, value in asked.items()])
    linter = httplint.HttpResponseLinter(
        start_time=time.time(), _related=request, no_content=method == "HEAD"
    )
    linter.process_response_topline(b"HTTP/1.1", b"%d" % status, reply.reason.encode())
    linter.process_headers([(name.encode(), value.encode()) for name, value in reply.getheaders()])
    linter.feed_content(body)
    linter.finish_content(complete=True)
    serious = (httplint.levels.BAD, httplint.levels.WARN)
    notes = {(status, type(note).__name__): str(note) for note in linter.notes if note.level in serious}
    assert {key: note for key, note in notes.items() if key not in EXPLAINED} == {}
