"""Each example runs as its docstring says, does what it says, and ends at Ctrl-C without a complaint."""

import http.client
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import Certificates, make_certificates  # noqa: F401 - a fixture
from evkit.core.net import format_address
from running import PATIENCE, Program, port_in

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str) -> Program:
    return Program(EXAMPLES / name, *arguments)


def stop(program: Program) -> None:
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
    stop(program)


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
    stop(program)


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
