"""The client with servers and proxies that others wrote: nginx, Go, python's http.server; tinyproxy and squid."""

import os
import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from certificates import Certificates
from evkit.core import EventBase
from evkit.errors import ConnectError, TLSError
from evkit.http import Client
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from http_server_aids import served
from patience import PATIENCE
from running import Lines, Program

pytestmark = pytest.mark.peer
DATA = random.Random(1).randbytes(300_000)
TEXT = b"some text that can be packed well\n" * 5000


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@contextmanager
def running(ready: str, *command: str | Path, **environment: str) -> Iterator[str]:
    """Run a program until it is no longer needed; return the line by which it says that it is ready."""
    process = subprocess.Popen(
        [*map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | environment,
    )
    try:
        assert process.stdout is not None
        lines = Lines(process.stdout)
        line = lines.next()
        while ready not in line:
            line = lines.next()
        yield line
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


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


@pytest.fixture(name="root")
def make_root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(0o755)
    (root / "data.bin").write_bytes(DATA)
    (root / "text.txt").write_bytes(TEXT)
    (root / "empty").touch()
    (root / "folder").mkdir()
    return root


@pytest.fixture(name="client")
def make_client() -> Iterator[Client]:
    with EventBase() as base, Client(base, max_per_host=4) as client:
        yield client


# python's http.server


@pytest.fixture(name="python", params=["HTTP/1.0", "HTTP/1.1"])
def make_python(root: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    options = ("--bind", "127.0.0.1", "--protocol", request.param, "--directory", root)
    with Program("-u", "-m", "http.server", "0", *options) as program:
        match = re.search(r"port ([0-9]+)", program.out.next())
        assert match is not None
        yield f"http://127.0.0.1:{match[1]}"


def test_python(python: str, client: Client) -> None:
    futures = [client.get(f"{python}/data.bin") for _ in range(8)]
    assert all(future.result(PATIENCE).body == DATA for future in futures)
    assert client.get(f"{python}/empty").result(PATIENCE).body == b""
    assert client.head(f"{python}/data.bin").result(PATIENCE).headers["Content-Length"] == str(len(DATA))
    assert client.get(f"{python}/none").result(PATIENCE).status == 404
    assert client.put(f"{python}/data.bin", b"abc").result(PATIENCE).status == 501
    listing = client.get(f"{python}/folder").result(PATIENCE)
    assert (listing.status, len(listing.history), listing.url) == (200, 1, f"{python}/folder/")


# nginx

NGINX = """
daemon off;
pid {folder}/pid;
error_log stderr notice;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_types *;
    keepalive_requests 10;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{secure} ssl;
        listen unix:{folder}/socket;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        root {root};
        client_max_body_size 1k;
        location /moved {{ return 301 /data.bin; }}
        location /busy {{ return 503; }}
        location /nothing {{ return 204; }}
        location /hang {{ return 444; }}
    }}
}}
"""


class Nginx:
    def __init__(self, folder: Path, port: int, secure: int) -> None:
        self.plain = f"http://127.0.0.1:{port}"
        self.secure = f"https://localhost:{secure}"
        self.socket = str(folder / "socket")


@pytest.fixture(name="nginx")
def make_nginx(root: Path, tmp_path: Path, certificates: Certificates) -> Iterator[Nginx]:
    port, secure = free_port(), free_port()
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith("pytest") or folder == tmp_path:
            folder.chmod(0o755)  # its workers are somebody else
    config = tmp_path / "config"
    config.write_text(
        NGINX.format(
            folder=tmp_path, root=root, port=port, secure=secure, certificate=certificates.path("server")
        )
    )
    with running("start worker process", "nginx", "-c", config, "-e", "stderr"):
        yield Nginx(tmp_path, port, secure)


@needs("nginx")
def test_nginx(nginx: Nginx, client: Client) -> None:
    """A hundred requests over connections that the server closes after ten each."""
    futures = [client.get(f"{nginx.plain}/{name}") for name in ("data.bin", "text.txt") for _ in range(50)]
    found = [future.result(PATIENCE) for future in futures]
    assert [response.body for response in found] == [DATA] * 50 + [TEXT] * 50
    assert found[-1].headers["Content-Encoding"] == "gzip"
    assert client.get(f"{nginx.plain}/nothing").result(PATIENCE).status == 204
    part = client.get(f"{nginx.plain}/data.bin", headers={"Range": "bytes=10-19"}).result(PATIENCE)
    assert (part.status, part.body) == (206, DATA[10:20])
    moved = client.get(f"{nginx.plain}/moved").result(PATIENCE)
    assert (moved.body, len(moved.history)) == (DATA, 1)
    assert client.get(f"{nginx.plain}/busy").result(PATIENCE).status == 503
    again = {"If-None-Match": found[0].headers["ETag"]}
    assert client.get(f"{nginx.plain}/data.bin", headers=again).result(PATIENCE).status == 304
    assert client.head(f"{nginx.plain}/text.txt").result(PATIENCE).body == b""


@needs("nginx")
def test_nginx_refuses_an_upload(nginx: Nginx, client: Client) -> None:
    """It answers before the end of the body, and then closes: the answer is heard."""
    for body in (bytes(10 << 20), (bytes(100_000) for _ in range(100))):
        assert client.put(f"{nginx.plain}/new", body).result(PATIENCE).status in (405, 413)
    waiting = client.put(f"{nginx.plain}/new", bytes(10 << 20), expect=True)
    assert waiting.result(PATIENCE).status == 413


@needs("nginx")
def test_nginx_hangs_up(nginx: Nginx, client: Client) -> None:
    with pytest.raises(ConnectionError, match="before its response"):
        client.get(f"{nginx.plain}/hang").result(PATIENCE)


@needs("nginx")
def test_nginx_streams(nginx: Nginx, client: Client, tmp_path: Path) -> None:
    for name, expected in (("data.bin", DATA), ("text.txt", TEXT)):
        response = client.get(f"{nginx.plain}/{name}", stream=True).result(PATIENCE)
        with open(tmp_path / "saved", "wb") as file:
            assert response.save(file).result(PATIENCE) == len(expected)
        assert (tmp_path / "saved").read_bytes() == expected


@needs("nginx")
def test_nginx_over_tls_and_over_a_unix_socket(nginx: Nginx, certificates: Certificates) -> None:
    with EventBase() as base:
        with Client(base, tls=certificates.client()) as client:
            futures = [client.get(f"{nginx.secure}/data.bin") for _ in range(25)]
            assert all(future.result(PATIENCE).body == DATA for future in futures)
        with Client(base) as client, pytest.raises(TLSError, match="certificate"):
            client.get(f"{nginx.secure}/").result(PATIENCE)
        with Client(base, unix=nginx.socket) as client:
            assert client.get("http://whatever.test/data.bin").result(PATIENCE).body == DATA


# Go

GO = """
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
)

func main() {
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		body, _ := io.ReadAll(r.Body) // who answers meanwhile loses some of it
		w.Write(body)
	})
	http.HandleFunc("/pieces", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		for i := 0; i < 100; i++ {
			fmt.Fprintf(w, "%d,", i)
			w.(http.Flusher).Flush()
		}
		w.Header().Set("X-Sum", "100")
	})
	http.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(103)
		w.WriteHeader(200)
		io.WriteString(w, "late")
	})
	http.HandleFunc("/refuse", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no", 403)
	})
	http.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/echo", 307)
	})
	http.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half of it")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("on http://%s\\n", listener.Addr())
	http.Serve(listener, nil)
}
"""


@pytest.fixture(name="go_server", scope="module")
def make_go_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it, once."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(GO)
    # With cgo, as it is by default: so Debian has compiled Go's own packages.
    environment = os.environ | {"GO111MODULE": "off", "GOCACHE": str(folder / "cache")}
    subprocess.run(
        ["go", "build", "-o", "server", "main.go"], cwd=folder, env=environment, check=True, timeout=300
    )
    return folder / "server"


@pytest.fixture(name="go")
def make_go(go_server: Path) -> Iterator[str]:
    with running("http://", go_server) as line:
        yield line.removeprefix("on ")


def test_go(go: str, client: Client) -> None:
    for body, length in ((DATA, str(len(DATA))), ([DATA[:100_000], DATA[100_000:]], "-1"), (b"", "0")):
        response = client.post(f"{go}/echo", body).result(PATIENCE)
        assert response.headers["X-Length"] == length
        assert response.body == (b"" if length == "0" else DATA)
    response = client.get(f"{go}/pieces").result(PATIENCE)
    assert response.body == b"".join(b"%d," % number for number in range(100))
    assert response.trailers == [("X-Sum", "100")]
    moved = client.post(f"{go}/moved", DATA).result(PATIENCE)
    assert (moved.body, moved.method, len(moved.history)) == (DATA, "POST", 1)


def test_go_says_something_beforehand(go: str, client: Client) -> None:
    heard: list[tuple[int, str | None]] = []
    future = client.get(
        f"{go}/early", on_interim=lambda status, headers: heard.append((status, headers.get("Link")))
    )
    assert future.result(PATIENCE).body == b"late"
    assert heard == [(103, "</style.css>")]


def test_go_and_100_continue(go: str, client: Client) -> None:
    """It asks for the body when its handler reads, and says no when that does not."""
    assert client.post(f"{go}/echo", DATA, expect=True).result(PATIENCE).body == DATA
    assert client.post(f"{go}/refuse", DATA, expect=True).result(PATIENCE).status == 403
    assert client.post(f"{go}/echo", b"again", expect=True).result(PATIENCE).body == b"again"


def test_go_breaks_off(go: str, client: Client) -> None:
    with pytest.raises(Exception, match="within the chunks") as caught:
        client.get(f"{go}/abort").result(PATIENCE)
    assert type(caught.value).__name__ == "BadResponse"


# Proxies

TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 20
Allow 127.0.0.1
ConnectPort {secure}
{more}
"""
SQUID = """
http_port 127.0.0.1:{port}
acl untunnelled port {refused}
acl CONNECT method CONNECT
http_access deny CONNECT untunnelled
http_access allow localhost
http_access deny all
cache deny all
access_log none
cache_log /dev/null
cache_store_log none
pid_filename none
netdb_filename none
pinger_enable off
coredump_dir /
shutdown_lifetime 0 seconds
visible_hostname proxy.test
"""


@contextmanager
def running_proxy(ready: str, port: int, *command: str) -> Iterator[str]:
    """Run a proxy; return its URL."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with running(ready, *command):
        await_listening(port)
        yield f"http://127.0.0.1:{port}"


REFUSED = 444
"""The port to which squid makes no tunnel."""


@pytest.fixture(name="squid", scope="module")
def make_squid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start it once for all: it takes two seconds to end."""
    port = free_port()
    config = tmp_path_factory.mktemp("squid") / "config"
    config.write_text(SQUID.format(port=port, refused=REFUSED))
    # With a name of its own: what it shares between processes must not be that of another.
    command = ("squid", "-n", f"evkit{port}", "-N", "-d", "1", "-f", str(config))
    with running_proxy("Accepting HTTP Socket connections", port, *command) as url:
        yield url


class Proxies:
    """Finds proxies, and starts them."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self.request = request
        self.folder = folder

    @contextmanager
    def start(self, name: str, secure: int, more: str = "") -> Iterator[str]:
        """Run a proxy that makes tunnels to one port, and to `REFUSED` in no case; return its URL."""
        if name == "squid":
            yield self.request.getfixturevalue("squid")
            return
        port = free_port()
        config = self.folder / "proxy"
        config.write_text(TINYPROXY.format(port=port, secure=secure, more=more))
        with running_proxy("Accepting connections", port, "tinyproxy", "-d", "-c", str(config)) as url:
            yield url


def await_listening(port: int) -> None:
    """Return when a port takes connections: squid says so shortly before it is true."""
    guard = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            assert time.monotonic() < guard, "nobody listens"
        else:
            return


def echo(request: Request) -> None:
    request.send_reply(200, request.body or b"hello", [("X-Via", request.headers.get("Via") or "")])


def serve(server: Server) -> None:
    server.set_gencb(echo)


@pytest.fixture(name="proxies")
def make_proxies(request: pytest.FixtureRequest, tmp_path: Path) -> Proxies:
    return Proxies(request, tmp_path)


each_proxy = pytest.mark.parametrize("proxy", ["tinyproxy", "squid"])


@each_proxy
def test_a_proxy_hands_plain_requests_on(proxy: str, proxies: Proxies) -> None:
    """Tinyproxy closes each connection without having said so: what may be repeated is repeated."""
    with (
        served(serve) as there,
        proxies.start(proxy, 443) as at,
        EventBase() as base,
        Client(base, proxies=at) as client,
    ):
        assert client.post(f"{there.url}/", DATA).result(PATIENCE).body == DATA
        for _ in range(3):
            response = client.put(f"{there.url}/", DATA).result(PATIENCE)
            assert response.body == DATA
            assert proxy in response.headers["X-Via"].lower()
        futures = [client.get(f"{there.url}/{number}") for number in range(20)]
        assert all(future.result(PATIENCE).body == b"hello" for future in futures)
        assert client.head(f"{there.url}/").result(PATIENCE).status == 200


@each_proxy
def test_a_proxy_makes_tunnels(proxy: str, proxies: Proxies, certificates: Certificates) -> None:
    with served(serve, tls=certificates.server()) as there, EventBase() as base:
        port = there.address[1]
        with proxies.start(proxy, port) as at:
            with Client(base, proxies=at, tls=certificates.client()) as client:
                for _ in range(3):
                    response = client.post(f"https://localhost:{port}/", DATA).result(PATIENCE)
                    assert (response.body, response.headers["X-Via"]) == (DATA, "")
                assert repr(client) == "<Client <Pool 1 connections, 1 free, 0 waiting>>"
            with Client(base, proxies=at) as client, pytest.raises(TLSError, match="certificate"):
                client.get(f"https://localhost:{port}/").result(PATIENCE)


@each_proxy
def test_a_proxy_refuses_a_tunnel(proxy: str, proxies: Proxies) -> None:
    with (
        proxies.start(proxy, 443) as at,
        EventBase() as base,
        Client(base, proxies=at) as client,
        pytest.raises(ConnectError, match=rf"gives no tunnel to https://127\.0\.0\.1:{REFUSED}: 403"),
    ):
        client.get(f"https://127.0.0.1:{REFUSED}/").result(PATIENCE)


@each_proxy
def test_a_proxy_does_not_reach_a_server(proxy: str, proxies: Proxies) -> None:
    port = free_port()
    with proxies.start(proxy, port) as at, EventBase() as base, Client(base, proxies=at) as client:
        assert client.get(f"http://127.0.0.1:{port}/").result(PATIENCE).status in (500, 503)
        with pytest.raises(ConnectError, match="gives no tunnel"):
            client.get(f"https://127.0.0.1:{port}/").result(PATIENCE)


def test_a_proxy_wants_a_password(proxies: Proxies) -> None:
    with (
        served(serve) as there,
        proxies.start("tinyproxy", 443, "BasicAuth user secret") as at,
        EventBase() as base,
    ):
        with Client(base, proxies=at) as client:
            assert client.get(there.url).result(PATIENCE).status == 407
            with pytest.raises(ConnectError, match="407"):
                client.get("https://127.0.0.1/").result(PATIENCE)
        with Client(base, proxies=at.replace("//", "//user:secret@")) as client:
            assert client.get(there.url).result(PATIENCE).body == b"hello"
