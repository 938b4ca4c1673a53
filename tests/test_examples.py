"""Each example runs as its docstring says, does what it says, and ends at Ctrl-C without a complaint."""

import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from certificates import Certificates
from evkit import EventBase
from evkit.core.net import format_address
from patience import PATIENCE
from running import Program, port_in
from websocket_aids import BINARY, KEY, TEXT, Frame, close_frame, frame, frames

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str) -> Program:
    return Program(EXAMPLES / name, *arguments)


def stop(program: Program, *clients: http.client.HTTPConnection) -> None:
    """Stop it when ``clients`` have gone: it would wait for those that hold their connections open."""
    for client in clients:
        client.close()
    program.signal(signal.SIGINT)
    assert program.wait() == 0


@pytest.fixture
def hello() -> Iterator[tuple[Program, http.client.HTTPConnection]]:
    with run("hello.py", "0") as program:
        client = http.client.HTTPConnection("127.0.0.1", port_in(program.out.next()), timeout=PATIENCE)
        yield program, client
        client.close()


@pytest.fixture
def upload() -> Iterator[tuple[Program, http.client.HTTPConnection]]:
    with run("upload.py", "0") as program:
        client = http.client.HTTPConnection("127.0.0.1", port_in(program.out.next()), timeout=PATIENCE)
        yield program, client
        client.close()


def test_every_example_is_run_here() -> None:
    tested = {
        "hello.py",
        "upload.py",
        "echo_server.py",
        "timers_signals.py",
        "tcp_proxy.py",
        "tls_echo.py",
        "udp_echo.py",
        "threads.py",
        "status_page.py",
        "server_sent_events.py",
        "upload_progress.py",
        "websocket_chat.py",
        "crawler.py",  # by test_examples_client.py, as the next
        "reverse_proxy.py",
        "name_server.py",  # by test_examples_dns.py
        "evrpc.py",  # by test_examples_evrpc.py
        "rpc_server.py",  # by test_examples_rpc_basic.py, as the next
        "rpc_client.py",
        "rpc_hooks.py",  # by test_examples_rpc.py, as the next
        "rpc_streams.py",
    }
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested
    for name in tested:
        assert f"python examples/{name}" in (EXAMPLES / name).read_text().split('"""')[1]


def test_hello(hello: tuple[Program, http.client.HTTPConnection]) -> None:
    program, client = hello
    client.request("GET", "/")
    reply = client.getresponse()
    assert (reply.status, reply.read(), reply.getheader("Content-Type")) == (
        200,
        b"Hello, world!\n",
        "text/plain",
    )
    client.request("GET", "/other")
    reply = client.getresponse()
    assert reply.status == 404
    reply.read()
    stop(program, client)


def test_upload_counts(upload: tuple[Program, http.client.HTTPConnection]) -> None:
    program, client = upload
    size = 3_000_000  # more than the default limit of a body, which streaming does without
    client.request("PUT", "/big", body=bytes(size))
    assert client.getresponse().read() == b"3000000 bytes\n"
    client.request(
        "POST", "/", body=iter([b"ab", b"cde"]), headers={"Transfer-Encoding": "chunked"}, encode_chunked=True
    )
    assert client.getresponse().read() == b"5 bytes\n"
    client.request("GET", "/")
    reply = client.getresponse()
    assert (reply.status, reply.getheader("Allow")) == (405, "PUT, POST")
    reply.read()
    stop(program, client)


def test_upload_hears_of_a_client_that_goes(upload: tuple[Program, http.client.HTTPConnection]) -> None:
    program, client = upload
    with socket.create_connection(("127.0.0.1", client.port), PATIENCE) as sock:
        sock.sendall(b"PUT /half HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
    assert program.out.next().startswith("/half: gone after ")
    stop(program)


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_upload_takes_what_curl_sends(
    upload: tuple[Program, http.client.HTTPConnection], tmp_path: Path
) -> None:
    program, client = upload
    path = tmp_path / "data"
    path.write_bytes(bytes(2_000_000))  # curl waits for 100 Continue with so much
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "-T", str(path), f"http://127.0.0.1:{client.port}/"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == "2000000 bytes\n"
    stop(program)


def test_echo_server() -> None:
    with run("echo_server.py", "0") as program:
        port = port_in(program.out.next())
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
            sock.sendall(b"hello")
            sock.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: sock.recv(65536), b"")) == b"hello"
        stop(program)


def test_echo_server_makes_a_client_wait_that_does_not_read() -> None:
    data = bytes(range(256)) * 4096
    with run("echo_server.py", "0") as program:
        port = port_in(program.out.next())
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
            sent, held_back = 0, False
            sock.setblocking(False)
            while (
                not held_back and sent < 64 << 20
            ):  # sends until nothing moves any more: all buffers are full
                sent, held_back = send_until_full(sock, data, sent)
            assert held_back
            sock.settimeout(PATIENCE)
            sock.shutdown(socket.SHUT_WR)
            received = 0
            while piece := sock.recv(1 << 20):
                start = received % 256
                assert piece[:256] == (bytes(range(256)) * 2)[start : start + len(piece[:256])]
                received += len(piece)
            assert received == sent
        stop(program)


def send_until_full(sock: socket.socket, data: bytes, sent: int) -> tuple[int, bool]:
    """Send once; return what was sent in all, and whether the other side has stopped reading."""
    try:
        return sent + sock.send(data[sent % 256 :]), False
    except BlockingIOError:
        sock.settimeout(0.5)  # the server is quicker than this, if it reads at all
        try:
            return sent + sock.send(data[sent % 256 :]), False
        except TimeoutError:
            return sent, True
        finally:
            sock.setblocking(False)


def test_timers_end_by_themselves() -> None:
    with run("timers_signals.py", "0.001") as program:
        assert program.out.next().endswith("ticks every 0.001 s")
        lines = program.out.rest()
        assert lines == [f"tick {number}" for number in range(1, 11)] + ["bye after 10 ticks"]
        assert program.wait() == 0


def test_signals_are_heard() -> None:
    with run("timers_signals.py", "1000") as program:
        assert "ticks every 1000 s" in program.out.next()
        program.signal(signal.SIGUSR1)
        assert program.out.next() == "0 ticks so far"
        program.signal(signal.SIGTERM)
        assert program.out.rest() == ["stopped by SIGTERM", "bye after 0 ticks"]
        assert program.wait() == 0


class TestProxy:
    def test_passes_on_both_ways_and_ends(self) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            run("tcp_proxy.py", "0", format_address(server.getsockname())) as program,
        ):
            server.settimeout(PATIENCE)
            port = port_in(program.out.next())
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
                client.sendall(b"question")
                client.shutdown(socket.SHUT_WR)
                accepted, _ = server.accept()
                with accepted:
                    accepted.settimeout(PATIENCE)
                    assert b"".join(iter(lambda: accepted.recv(65536), b"")) == b"question"
                    accepted.sendall(bytes(1_000_000))
                answer = b"".join(iter(lambda: client.recv(65536), b""))
                host, own_port = client.getsockname()
            assert answer == bytes(1_000_000)
            assert program.out.next() == f"{host}:{own_port}: 8 bytes out, 1000000 back"
            stop(program)

    def test_server_that_is_not_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            gone = format_address(server.getsockname())
        with run("tcp_proxy.py", "0", gone) as program:
            port = port_in(program.out.next())
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
                assert client.recv(1) == b""
            assert program.out.next().endswith("Connection refused")
            stop(program)


def test_tls_echo(certificates: Certificates) -> None:
    with run("tls_echo.py", certificates.path("server"), "0") as program:
        address = "127.0.0.1", port_in(program.out.next())
        with socket.create_connection(address, PATIENCE) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert program.out.next() == "connect: the TLS handshake failed: http request"
        data = bytes(range(256)) * 1000
        with (
            socket.create_connection(address, PATIENCE) as sock,
            certificates.client().wrap_socket(sock, server_hostname="localhost") as client,
        ):
            assert program.out.next() == f"connected by {client.version()}"
            client.sendall(data)
            back = b""
            while len(back) < len(data):
                back += client.recv(65536)
            assert back == data
            client.unwrap()  # which waits for the other close_notify
        stop(program)


def test_udp_echo() -> None:
    with run("udp_echo.py", "0") as program, socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", port_in(program.out.next())))
        for data in (b"hello", b"", bytes(9000)):
            client.send(data)
            assert client.recv(65536) == data
        stop(program)


def test_threads() -> None:
    with run("threads.py", "0") as program:
        port = port_in(program.out.next())
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE) as client,
            client.makefile("rb") as lines,
        ):
            client.sendall(b"10\n0\r\nten\n100000\n")
            assert [lines.readline().strip() for _ in range(4)] == [
                b"17",  # 2 + 3 + 5 + 7
                b"0",
                b"expected a number up to 100000",
                b"454396537",
            ]
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        stop(program)


@contextmanager
def client_of(program: Program) -> Iterator[http.client.HTTPConnection]:
    client = http.client.HTTPConnection("127.0.0.1", port_in(program.out.next()), timeout=PATIENCE)
    try:
        yield client
    finally:
        client.close()


def ask(
    client: http.client.HTTPConnection, target: str, method: str = "GET", body: bytes | None = None
) -> tuple[int, bytes]:
    client.request(method, target, body)
    reply = client.getresponse()
    return reply.status, reply.read()


def primes_up_to(number: int) -> int:
    products = {a * b for a in range(2, number + 1) for b in range(2, number // a + 1)}
    return max(number - 1, 0) - len(products)


def test_status_page() -> None:
    with run("status_page.py", "0") as program, client_of(program) as client:
        status = {"checked": 0}
        while status["checked"] < 400:
            status = json.loads(ask(client, "/status.json")[1])
            assert status["connections"] == 1
            assert status["primes"] == primes_up_to(status["checked"])
        number, page = ask(client, "/")
        assert number == 200
        assert b'<meta http-equiv="refresh" content="1">' in page
        shown = re.search(r"<h1>([\d,]+) primes</h1>\n<p>among the first ([\d,]+) numbers", page.decode())
        assert shown is not None
        primes, checked = (int(text.replace(",", "")) for text in shown.groups())
        assert checked >= status["checked"]
        assert primes == primes_up_to(checked)
        assert ask(client, "/", "POST")[0] == 405
        client.close()  # the program waits for those who stay
        program.signal(signal.SIGINT)
        assert re.fullmatch(r"\d+ primes among \d+ numbers", program.out.next())
        assert program.wait() == 0


class TestServerSentEvents:
    def test_all_clients_hear_of_each_other(self) -> None:
        with run("server_sent_events.py", "0", "0.01") as program, client_of(program) as client:
            assert b'new EventSource("/events")' in ask(client, "/")[1]
            first = self.listen(client)
            assert first.getheader("Content-Type") == "text/event-stream"
            assert [first.readline(), first.readline()] == [b"retry: 1000\n", b"\n"]
            assert re.fullmatch(rb"data: \d\d:\d\d:\d\d 1\n", first.readline())
            other = http.client.HTTPConnection("127.0.0.1", client.port, timeout=PATIENCE)
            second = self.listen(other)
            for reply in (first, second):
                self.read_until(reply, b" 2\n")
            second.close()
            other.close()
            self.read_until(first, b" 1\n")
            program.signal(signal.SIGINT)
            assert first.read().endswith(b"\n")  # an end that is missing would raise
            client.close()
            assert program.wait() == 0

    def test_client_that_does_not_read_misses_events(self) -> None:
        with EventBase() as base:
            feed = load("server_sent_events.py").Feed(base, 1000)
            request = Listener()
            feed.join(request)
            feed.on_timer(feed.timer, 0)
            assert request.chunks == ["retry: 1000\n\n"]
            request.take()
            feed.on_timer(feed.timer, 0)
            feed.on_timer(feed.timer, 0)
            assert len(request.chunks) == 2
            request.take()
            request.on_close(request)
            feed.on_timer(feed.timer, 0)
            assert len(request.chunks) == 2
            assert not feed.clients

    def listen(self, client: http.client.HTTPConnection) -> http.client.HTTPResponse:
        client.request("GET", "/events")
        return client.getresponse()

    def read_until(self, reply: http.client.HTTPResponse, end: bytes) -> None:
        while not (line := reply.readline()).endswith(end):
            assert line


class Listener:
    """A request whose client reads when it is told to."""

    def __init__(self) -> None:
        self.chunks: list[str] = []
        self.take: Callable[[], object] = lambda: None
        self.on_close: Callable[[object], object] = lambda request: None

    def send_reply_start(self, status: int, headers: object) -> None:
        assert status == 200

    def send_reply_chunk(self, text: str, drained: Callable[[], object]) -> None:
        self.chunks.append(text)
        self.take = drained


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name.removesuffix(".py"), EXAMPLES / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


UPLOADING = f"""
import sys
sys.path.insert(0, {str(EXAMPLES)!r})
import upload_progress
%s
upload_progress.main()
"""
SMALL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
SLOW_DISK = """
work = upload_progress.Upload.work
def wait_and_work(*arguments):
    open(sys.argv[1] + "/../gate").close()
    work(*arguments)
upload_progress.Upload.work = wait_and_work
"""
CHOOSES = r'''upload_progress.PAGE += """<script>
onload = () => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(3000000)], "a & \\u00fc.bin"));
  file.files = transfer.files;
  file.dispatchEvent(new Event("change"));
};
</script>"""'''


def open_gate(gate: Path) -> None:
    """Let go on who waits for somebody to write to the pipe, and keep nobody else waiting."""
    opened = gate.with_name("opened")
    opened.touch()
    with gate.open("wb"):
        opened.replace(gate)  # at once: there is always a gate


class TestUploadProgress:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "uploads"
        folder.mkdir()
        return folder

    def test_saves(self, folder: Path) -> None:
        data = bytes(range(256)) * 10_000
        with run("upload_progress.py", str(folder), "0") as program, client_of(program) as client:
            assert b'id="progress"' in ask(client, "/")[1]
            assert ask(client, "/files/a%20b.bin", "PUT", data) == (201, b"a b.bin: 2560000 bytes saved\n")
            assert (folder / "a b.bin").read_bytes() == data
            assert ask(client, "/files/empty", "PUT", b"") == (201, b"empty: 0 bytes saved\n")
            assert ask(client, "/files/..%2f..%2fup", "PUT", b"x") == (201, b"_.._up: 1 bytes saved\n")
            assert ask(client, "/files/empty")[0] == 405
            assert ask(client, "/files/empty", "PUT", b"other") == (409, b"409 Conflict: File exists\n")
            assert sorted(path.name for path in folder.iterdir()) == ["_.._up", "a b.bin", "empty"]
            assert not (folder / "empty").read_bytes()
            stop(program, client)

    def test_leaves_no_half_of_a_file(self, folder: Path) -> None:
        with run("upload_progress.py", str(folder), "0") as program, client_of(program) as client:
            with socket.create_connection(("127.0.0.1", client.port), PATIENCE) as sock:
                sock.sendall(b"PUT /files/half HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
            assert program.out.next() == "half: given up after 5 bytes"
            assert not list(folder.iterdir())
            stop(program)

    def test_tells_of_a_disk_that_is_full(self, folder: Path) -> None:
        with self.run(SMALL_DISK, folder) as program, client_of(program) as client:
            status, page = ask(client, "/files/big", "PUT", bytes(1_000_000))
            assert (status, page) == (507, b"507 Insufficient Storage: File too large\n")
            assert program.out.next().startswith("big: given up after ")
            assert not list(folder.iterdir())
            assert ask(client, "/files/small", "PUT", bytes(99_999))[0] == 201
            stop(program, client)

    def test_goes_at_the_pace_of_the_disk_and_keeps_nobody_else_waiting(self, folder: Path) -> None:
        gate = folder.parent / "gate"
        os.mkfifo(gate)
        size = 64 << 20
        head = f"PUT /files/big HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode()
        with self.run(SLOW_DISK, folder) as program, client_of(program) as client:
            with socket.create_connection(("127.0.0.1", client.port), PATIENCE) as sock:
                sock.sendall(head)
                sent, held_back = 0, False
                sock.setblocking(False)
                while not held_back and sent < size - (1 << 20):
                    sent, held_back = send_until_full(sock, bytes(1 << 20), sent)
                assert held_back
                assert ask(client, "/")[0] == 200
                open_gate(gate)
                sock.settimeout(PATIENCE)
                sock.sendall(bytes(size - sent))
                assert sock.recv(65536).startswith(b"HTTP/1.1 201 Created\r\n")
            assert (folder / "big").stat().st_size == size
            stop(program, client)

    @pytest.mark.peer
    @pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
    def test_page_in_a_browser(self, folder: Path, tmp_path: Path) -> None:
        with self.run(CHOOSES, folder) as program:
            done = subprocess.run(
                [
                    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
                    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
                    *("--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"),
                    *("--virtual-time-budget=20000", "--dump-dom"),
                    f"http://127.0.0.1:{port_in(program.out.next())}/",
                ],
                capture_output=True,
                timeout=60,
                check=True,
            )
            assert "a &amp; ü.bin: 3000000 bytes saved" in done.stdout.decode()
            assert b'value="3000000" max="3000000"' in done.stdout
            assert (folder / "a & ü.bin").read_bytes() == bytes(3_000_000)
            stop(program)

    def run(self, change: str, folder: Path) -> Program:
        return Program("-c", UPLOADING % change, str(folder), "0")


SAYS = f'''
import sys
sys.path.insert(0, {str(EXAMPLES)!r})
import websocket_chat
websocket_chat.PAGE += """<script>
socket.onopen = () => {{ line.value = "a & ü"; form.requestSubmit(); }};
</script>
"""
websocket_chat.main()
'''


class TestChat:
    def test_all_hear_what_one_says_and_who_comes_and_goes(self) -> None:
        with run("websocket_chat.py", "0") as program, client_of(program) as client:
            assert (
                b'new WebSocket(location.href.replace(/^http/, "ws") + "chat", "chat")' in ask(client, "/")[1]
            )
            assert ask(client, "/chat")[0] == 426
            with self.join(client.port) as first, self.join(client.port) as second:
                assert self.read(first, 2) == [b"guest 1 comes in", b"guest 2 comes in"]
                assert self.read(second, 1) == [b"guest 2 comes in"]
                first.sendall(frame(TEXT, "grüße".encode()))
                assert self.read(first, 1) == self.read(second, 1) == ["guest 1: grüße".encode()]
                first.sendall(frame(BINARY, b"x") + close_frame(1003))
                assert self.read(first, 1) == [b"\x03\xebexpected text"]
                assert program.out.next() == "guest 1 left: 1003"
                assert self.read(second, 1) == [b"guest 1 leaves"]
                program.signal(signal.SIGINT)
                assert self.read(second, 1) == [b"\x03\xe9The chat is over."]
                second.sendall(close_frame(1001))
                assert program.out.next() == "guest 2 left: 1001"
            assert program.wait() == 0

    def join(self, port: int) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        sock.sendall(
            b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: %b\r\nSec-WebSocket-Version: 13\r\n\r\n" % KEY.encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        return sock

    def read(self, sock: socket.socket, count: int) -> list[bytes]:
        found: list[Frame] = []
        while len(found) < count:
            head = sock.recv(2, socket.MSG_WAITALL)
            found += frames(head + sock.recv(head[1], socket.MSG_WAITALL))
        return [each.payload for each in found]

    @pytest.mark.peer
    @pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
    def test_page_in_a_browser(self, tmp_path: Path) -> None:
        with Program("-c", SAYS, "0") as program:
            done = subprocess.run(
                [
                    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
                    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
                    *("--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"),
                    *("--virtual-time-budget=5000", "--dump-dom"),
                    f"http://127.0.0.1:{port_in(program.out.next())}/",
                ],
                capture_output=True,
                timeout=60,
                check=True,
            )
            assert "<li>guest 1: a &amp; ü</li><li>guest 1 comes in</li>" in done.stdout.decode()
            assert program.out.next() == "guest 1 left: 1001"
            stop(program)
