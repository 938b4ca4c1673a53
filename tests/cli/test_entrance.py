"""``evkit serve`` over TLS and behind proxies: what the options make, and what is said of wrong ones."""

import http.client
import shutil
import signal
import socket
import ssl
import stat
import time
from pathlib import Path

import pytest

from certificates import Certificates
from patience import PATIENCE
from running import Program, port_in

APP = """
def tell(request):
    cert = request.ssl_object.getpeercert() if request.ssl_object else None
    name = cert["subject"][-1][0][1] if cert else "nobody"
    request.send_reply(200, f"{request.client} {request.url} {name}", [("Content-Type", "text/plain")])


def long(request):
    request.send_reply(200, "a line\\n" * 1000, [("Content-Type", "text/plain")])
"""
HEAD = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def serve(here: Path, *arguments: str | Path) -> Program:
    return Program("-m", "evkit", "serve", *arguments, cwd=here)


def end(program: Program) -> None:
    program.signal(signal.SIGTERM)
    assert program.wait() == 0


def ask(port: int, context: ssl.SSLContext) -> str:
    client = http.client.HTTPSConnection("localhost", port, context=context, timeout=PATIENCE)
    try:
        client.request("GET", "/x")
        return client.getresponse().read().decode()
    finally:
        client.close()


def cert_of(port: int, context: ssl.SSLContext, name: str) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
        context.wrap_socket(sock, server_hostname=name) as client,
    ):
        return client.getpeercert(binary_form=True) or b""


class TestHTTPS:
    @pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["alone", "workers"])
    def test_is_served(self, here: Path, certificates: Certificates, workers: tuple[str, ...]) -> None:
        cert = certificates.path("server")
        with serve(here, "--bind=127.0.0.1:0", f"--tls-cert={cert}", *workers, "app:tell") as program:
            line = program.err.next()
            assert " on https://127.0.0.1:" in line
            assert "https://localhost:" in ask(port_in(line), certificates.client())
            end(program)

    def test_certificates_by_name_and_of_clients(self, here: Path, certificates: Certificates) -> None:
        certificates.signed("other", "other.example", "DNS:other.example")
        options = [
            f"--tls-cert={certificates.path('server')}",
            f"--tls-cert={certificates.path('other')}",
            f"--tls-client-ca={certificates.path('ca')}",
            "--tls-require-client",
        ]
        with serve(here, "--bind=127.0.0.1:0", *options, "app:tell") as program:
            port = port_in(program.err.next())
            known = certificates.client("client")
            assert ask(port, known).endswith(" a client")
            assert cert_of(port, known, "other.example") != cert_of(port, known, "localhost")
            with pytest.raises((ssl.SSLError, ConnectionError)):
                ask(port, certificates.client())
            end(program)

    def test_hangup_reads_them_anew(self, here: Path, certificates: Certificates) -> None:
        certificates.signed("renewed", "localhost", "DNS:localhost,IP:127.0.0.1")
        file = here / "cert.pem"
        shutil.copy(certificates.path("server"), file)
        with serve(here, "--bind=127.0.0.1:0", "--tls-cert=cert.pem", "app:tell") as program:
            port = port_in(program.err.next())
            ours = certificates.client()
            first = cert_of(port, ours, "localhost")
            file.write_text("nothing")
            program.signal(signal.SIGHUP)
            assert "the certificates stay as they are: cert.pem" in program.err.next()
            assert cert_of(port, ours, "localhost") == first
            shutil.copy(certificates.path("renewed"), file)
            program.signal(signal.SIGHUP)
            guard = time.monotonic() + PATIENCE
            while cert_of(port, ours, "localhost") == first:
                assert time.monotonic() < guard
            end(program)


class TestProxies:
    def test_header_and_fields(self, here: Path) -> None:
        options = ["--trust-proxy=127.0.0.1", "--proxy-protocol"]
        with serve(here, "--bind=127.0.0.1:0", *options, "app:tell") as program:
            port = port_in(program.err.next())
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
                sock.sendall(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n" + HEAD)
                assert b"192.0.2.7:4711 http://a/x nobody" in sock.makefile("rb").read()
            end(program)

    @pytest.mark.parametrize(
        ("options", "fields"),
        [
            ([], b"X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.66\r\n"),
            (
                ["--proxy-fields=forwarded"],
                b"Forwarded: for=192.0.2.9;proto=https\r\nX-Forwarded-For: 192.0.2.66\r\n",
            ),
        ],
        ids=["x-forwarded", "forwarded"],
    )
    def test_forwarded(self, here: Path, options: list[str], fields: bytes) -> None:
        with serve(here, "--bind=127.0.0.1:0", "--trust-proxy=127.0.0.0/8", *options, "app:tell") as program:
            port = port_in(program.err.next())
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
                sock.sendall(HEAD[:-2] + fields + b"\r\n")
                assert b"192.0.2.9 https://a/x nobody" in sock.makefile("rb").read()
            end(program)


class TestOthers:
    def test_gzip(self, here: Path) -> None:
        with serve(here, "--bind=127.0.0.1:0", "--gzip", "app:long") as program:
            client = http.client.HTTPConnection("127.0.0.1", port_in(program.err.next()), timeout=PATIENCE)
            client.request("GET", "/", headers={"Accept-Encoding": "gzip"})
            reply = client.getresponse()
            assert reply.headers["Content-Encoding"] == "gzip"
            assert len(reply.read()) < 1000
            client.close()
            end(program)

    def test_precompressed(self, here: Path) -> None:
        (here / "a.txt").write_text("plain")
        (here / "a.txt.gz").write_bytes(b"packed")
        with serve(here, "--bind=127.0.0.1:0", "--precompressed") as program:
            client = http.client.HTTPConnection("127.0.0.1", port_in(program.err.next()), timeout=PATIENCE)
            client.request("GET", "/a.txt", headers={"Accept-Encoding": "gzip"})
            assert client.getresponse().read() == b"packed"
            client.close()
            end(program)

    def test_cache_control(self, here: Path) -> None:
        with serve(here, "--bind=127.0.0.1:0", "--cache-control=no-cache") as program:
            client = http.client.HTTPConnection("127.0.0.1", port_in(program.err.next()), timeout=PATIENCE)
            client.request("GET", "/app.py")
            reply = client.getresponse()
            assert reply.headers["Cache-Control"] == "no-cache"
            assert reply.read() == APP.encode()
            client.close()
            end(program)

    @pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["alone", "workers"])
    def test_mode_of_a_unix_socket(self, here: Path, workers: tuple[str, ...]) -> None:
        with serve(here, "--bind=unix:sock", "--unix-mode=600", *workers, "app:tell") as program:
            assert "unix:sock" in program.err.next()
            assert stat.S_IMODE((here / "sock").stat().st_mode) == 0o600
            end(program)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--tls-key=a.pem"], 2, "need --tls-cert FILE"),
        (["--tls-require-client"], 2, "need --tls-cert FILE"),
        (["--tls-cert=a.pem", "--tls-cert=b.pem", "--tls-key=a.key"], 2, "1 times and --tls-cert 2 times"),
        (["--tls-cert=nowhere.pem"], 1, "nowhere.pem"),
        (["--tls-cert=app.py"], 1, "app.py"),
        (["--proxy-protocol"], 2, "needs --trust-proxy ADDRESS"),
        (["--trust-proxy=nobody"], 2, "--trust-proxy: "),
        (["--unix-mode=rw"], 2, "permissions in octal, such as 660, got 'rw'"),
        (["--limit-requests=0"], 2, "--limit-requests"),
        (["--timeout-life=never"], 2, "--timeout-life"),
    ],
)
def test_wrong_options_are_one_line(here: Path, options: list[str], status: int, message: str) -> None:
    with serve(here, "--bind=127.0.0.1:0", *options, "app:tell") as program:
        said = program.err.rest()
        assert message in said[-1]
        assert "Traceback" not in "".join(said)
        assert program.wait() == status
