"""`TLSBufferEvent` against the ``openssl`` program, as its server and as its client."""

import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from below import Ear, turn, until
from certificates import Certificates
from evkit.core.base import EventBase
from evkit.core.bufferevent import BufferEvent
from evkit.core.bufferevent.tls import TLSBufferEvent
from evkit.core.flags import EV_READ
from evkit.core.listener import Listener

pytestmark = pytest.mark.peer
Run = Callable[..., "subprocess.Popen[bytes]"]
VERSIONS = {"-tls1_2": "TLSv1.2", "-tls1_3": "TLSv1.3"}


@pytest.fixture
def run() -> Iterator[Run]:
    """Start the program; it is killed and its pipes are closed in the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, output: IO[bytes] | int = subprocess.PIPE) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            ["openssl", *arguments], stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


class Server:
    """Accepts one connection after the other and notes what each hears."""

    def __init__(self, base: EventBase, context: ssl.SSLContext) -> None:
        self.context = context
        self.connections: list[TLSBufferEvent] = []
        self.ears: list[Ear] = []
        self.listener = Listener.bind(base, self.accept, ("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.port}"

    def accept(self, listener: Listener, sock: object, _address: object) -> None:
        bev = TLSBufferEvent.over_socket(listener.base, sock, self.context, server_side=True)  # type: ignore[arg-type]  # it is one
        self.connections.append(bev)
        self.ears.append(Ear(bev))
        bev.enable(EV_READ)

    @property
    def data(self) -> bytes:
        return b"".join(ear.data for ear in self.ears)

    @property
    def heard(self) -> list[str]:
        return [what for ear in self.ears for what in ear.heard if what.startswith(("ERROR", "READING"))]

    def close(self) -> None:
        self.listener.close()
        for bev in self.connections:
            bev.close()


@pytest.fixture
def server(base: EventBase, certificates: Certificates) -> Iterator[Server]:
    server = Server(base, certificates.server())
    yield server
    server.close()


def feed(process: "subprocess.Popen[bytes]", data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


def read_until(process: "subprocess.Popen[bytes]", what: bytes) -> bytes:
    """Return what it says, up to the line that has ``what``."""
    assert process.stdout is not None
    said = b""
    while what not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    return said


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_of_ours_is_theirs(
    base: EventBase, server: Server, certificates: Certificates, run: Run, tmp_path: Path, version: str
) -> None:
    question, answer = b"question\n" * 2000, b"answer\n" * 20_000
    with open(tmp_path / "output", "wb") as output:
        client = run(
            "s_client", "-connect", server.address, "-servername", "localhost", "-verify_hostname", "localhost",
            "-CAfile", certificates.path("ca"), "-verify_return_error", "-quiet", version, output=output,
        )  # fmt: skip
        feed(client, question)
        until(base, lambda: len(server.data) == len(question))
        [bev] = server.connections
        assert bev.ssl_object.version() == VERSIONS[version]
        bev.write(answer)
        bev.shutdown()
        until(base, lambda: bev.closed)
        client.wait(timeout=10)
    assert server.data == question
    assert (tmp_path / "output").read_bytes().endswith(answer)


def test_what_is_agreed_with_a_client(
    base: EventBase, server: Server, certificates: Certificates, run: Run
) -> None:
    names: list[str | None] = []
    server.context.sni_callback = lambda _object, name, _context: names.append(name)
    server.context.set_alpn_protocols(["http/1.1"])
    server.context.verify_mode = ssl.CERT_REQUIRED
    server.context.load_verify_locations(certificates.path("ca"))
    client = run(
        "s_client", "-connect", server.address, "-servername", "localhost", "-alpn", "h2,http/1.1",
        "-cert", certificates.path("client"), "-quiet",
    )  # fmt: skip
    feed(client, b"hello")
    until(base, lambda: server.data == b"hello")
    agreed = server.connections[0].ssl_object
    assert names == ["localhost"]
    assert agreed.selected_alpn_protocol() == "http/1.1"
    shown = agreed.getpeercert()
    assert shown is not None
    assert (("commonName", "a client"),) in shown["subject"]


def test_a_client_without_a_certificate(
    base: EventBase, server: Server, certificates: Certificates, run: Run
) -> None:
    server.context.verify_mode = ssl.CERT_REQUIRED
    server.context.load_verify_locations(certificates.path("ca"))
    run("s_client", "-connect", server.address, "-quiet")
    until(base, lambda: server.heard)
    assert server.heard == ["ERROR connect: the TLS handshake failed: peer did not return a certificate"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_ends(base: EventBase, server: Server, run: Run, version: str) -> None:
    client = run("s_client", "-connect", server.address, version)
    feed(client, b"this and no more\n")
    until(base, lambda: server.data == b"this and no more\n")
    feed(client, b"Q\n")
    until(base, lambda: server.heard)
    assert server.heard == ["READING|EOF"]


@pytest.mark.parametrize("command", [b"k\n", b"K\n"], ids=["its own", "both"])
def test_a_client_that_changes_its_keys(base: EventBase, server: Server, run: Run, command: bytes) -> None:
    client = run("s_client", "-connect", server.address, "-tls1_3")
    feed(client, b"before\n")
    until(base, lambda: server.data == b"before\n")
    feed(client, command)
    said = read_until(client, b"KEYUPDATE")
    feed(client, b"after\n")
    until(base, lambda: server.data == b"before\nafter\n")
    server.connections[0].write(b"and an answer\n")
    turn(base)
    assert b"and an answer\n" not in said
    assert read_until(client, b"and an answer")


def test_a_client_that_asks_for_a_renegotiation(base: EventBase, server: Server, run: Run) -> None:
    """It is refused, as anybody could keep a server busy with it; the client takes that for the end."""
    client = run("s_client", "-connect", server.address, "-tls1_2")
    feed(client, b"before\n")
    until(base, lambda: server.data == b"before\n")
    feed(client, b"R\n")
    until(base, lambda: server.heard)
    assert read_until(client, b"no renegotiation")
    assert server.data == b"before\n"


def test_a_client_that_does_not_trust_us(base: EventBase, server: Server, run: Run) -> None:
    run("s_client", "-connect", server.address, "-verify_return_error", "-no-CAfile", "-no-CApath", "-tls1_2")
    until(base, lambda: server.heard)
    assert server.heard == ["ERROR connect: the TLS handshake failed: tlsv1 alert unknown ca"]


def test_a_client_that_is_killed(base: EventBase, server: Server, run: Run) -> None:
    client = run("s_client", "-connect", server.address, "-quiet")
    feed(client, b"part one")
    until(base, lambda: server.data == b"part one")
    client.kill()
    until(base, lambda: server.heard)
    # Its kernel sends a reset if it had not read everything, else an end without close_notify. Neither passes for one.
    assert server.heard[0].startswith("READING|ERROR read: ")


class Theirs:
    """A server of theirs."""

    def __init__(self, run: Run, certificates: Certificates, *options: str) -> None:
        certificate = certificates.path("server")
        self.process = run(
            "s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-naccept", "1", *options
        )
        assert self.process.stdout is not None
        line = b""
        while not line.startswith(b"ACCEPT"):
            line = self.process.stdout.readline()
            assert line, "it has ended"
        self.address = ("127.0.0.1", int(line.rpartition(b":")[2]))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_of_theirs(base: EventBase, certificates: Certificates, run: Run, version: str) -> None:
    theirs = Theirs(run, certificates, "-rev", "-Verify", "1", "-CAfile", certificates.path("ca"), version)
    context = certificates.client("client")
    bev = TLSBufferEvent.over_socket(base, context=context, server_hostname="localhost")
    ear = Ear(bev)
    bev.enable(EV_READ)
    bev.write(b"abc\ndef\n")
    bev.connect(theirs.address)
    until(base, lambda: ear.data == b"cba\nfed\n")
    assert bev.ssl_object.version() == VERSIONS[version]
    assert ear.heard[0] == "CONNECTED"
    closed: list[BufferEvent] = []
    bev.on_close = closed.append
    bev.shutdown()
    until(base, lambda: closed)
    assert theirs.process.wait(timeout=10) == 0


@pytest.mark.parametrize("command", [b"k\n", b"K\n"], ids=["its own", "both"])
def test_a_server_that_changes_its_keys(
    base: EventBase, certificates: Certificates, run: Run, command: bytes
) -> None:
    theirs = Theirs(run, certificates, "-tls1_3")
    bev = TLSBufferEvent.over_socket(base, context=certificates.client(), server_hostname="localhost")
    ear = Ear(bev)
    bev.enable(EV_READ)
    bev.connect(theirs.address)
    until(base, lambda: ear.heard == ["CONNECTED"])
    feed(theirs.process, b"before\n")
    until(base, lambda: ear.data == b"before\n")
    come: list[int] = []
    assert bev.underlying is not None
    bev.underlying.input.add_callback(lambda _buffer, info: come.append(info.added))
    feed(theirs.process, command)
    until(base, lambda: come)
    assert ear.data == b"before\n"
    feed(theirs.process, b"by the new ones\n")
    until(base, lambda: ear.data == b"before\nby the new ones\n")
    bev.write(b"and an answer\n")
    bev.close_when_drained()
    until(base, lambda: bev.closed)
    assert theirs.process.stdout is not None
    assert b"and an answer\n" in theirs.process.stdout.read()


@pytest.mark.parametrize("dirty", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_leaves_without_a_word(
    base: EventBase, certificates: Certificates, run: Run, version: str, *, dirty: bool
) -> None:
    theirs = Theirs(run, certificates, version)
    bev = TLSBufferEvent.over_socket(base, context=certificates.client(), server_hostname="localhost")
    ear = Ear(bev)
    bev.enable(EV_READ)
    bev.connect(theirs.address)
    until(base, lambda: ear.heard == ["CONNECTED"])
    bev.allow_dirty_shutdown = dirty
    feed(theirs.process, b"q\n")
    until(base, lambda: len(ear.heard) == 2)
    story = "READING|ERROR read: the stream ended without the peer's close_notify"
    assert ear.heard[1] == ("READING|EOF" if dirty else story)
    bev.close()


def test_a_server_that_shows_the_wrong_name(base: EventBase, certificates: Certificates, run: Run) -> None:
    theirs = Theirs(run, certificates, "-rev")
    bev = TLSBufferEvent.over_socket(base, context=certificates.client(), server_hostname="example.org")
    ear = Ear(bev)
    bev.connect(theirs.address)
    until(base, lambda: ear.heard)
    assert "Hostname mismatch" in ear.heard[0]
    bev.close()


def test_a_server_that_renegotiates(
    base: EventBase, certificates: Certificates, run: Run, tmp_path: Path
) -> None:
    """With TLS 1.2 both sides may have to read before they can write, and the other way round."""
    theirs = Theirs(run, certificates, "-tls1_2")
    bev = TLSBufferEvent.over_socket(base, context=certificates.client(), server_hostname="localhost")
    ear = Ear(bev)
    bev.enable(EV_READ)
    bev.connect(theirs.address)
    until(base, lambda: ear.heard == ["CONNECTED"])
    first = bev.ssl_object.get_channel_binding("tls-unique")
    feed(theirs.process, b"r\n")
    bev.write(b"x" * 3000 + b"\n")
    until(base, lambda: bev.ssl_object.get_channel_binding("tls-unique") != first)
    feed(theirs.process, b"still here\n")
    until(base, lambda: ear.data.endswith(b"still here\n"))
    bev.write(b"and so am I\n")
    bev.close_when_drained()
    until(base, lambda: bev.closed)
    assert theirs.process.stdout is not None
    output = theirs.process.stdout.read()
    assert b"x" * 3000 + b"\n" in output
    assert b"and so am I\n" in output
    assert theirs.process.wait(timeout=10) == 0
