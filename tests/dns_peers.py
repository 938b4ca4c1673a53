"""Real name servers on this machine: nsd, Knot DNS, BIND (over TLS, too), unbound, dnsmasq, and two that lie.

Each is a fixture that is started once a session, on a free port of 127.0.0.1, and stopped in its end. They serve what
`dns_zone` has: nsd, Knot and BIND with authority; unbound as a resolver that asks nsd, dnsmasq as a router that passes
on to nsd. PolarDNS and ldns-testns misbehave: in the ways that the one knows, and in those that a test writes down for
the other. They need no root and no internet, and a test that asks for one that is not installed is skipped.
"""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from certificates import Certificates
from dns_recipes import BIND, DNSMASQ, KNOT, NSD, ROUTER, UNBOUND, Recipe
from dns_zone import ZONE, ZONES, zone_text
from patience import PATIENCE

HOST: Final = "127.0.0.1"
_TICK: Final = 0.02
_STARTS: Final = 3
"""Tries to start a server: somebody else may take its port meanwhile."""
_SBIN: Final = ("/usr/sbin", "/usr/local/sbin")
"""Where Debian has servers; not in everybody's path."""


@dataclass(frozen=True)
class NameServer:
    """A server that answers.

    Attributes:
        name: Of the program.
        port: On `HOST`, for UDP and TCP.
        tls_port: For DNS over TLS, where it has it.
        certificates: The authority that has signed its certificate, which is for ``localhost`` and `HOST`.
        folder: With its files.
        log: What it says.
    """

    name: str
    port: int
    folder: Path
    tls_port: int = 0
    certificates: Certificates | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def over_tcp(self) -> str:
        return f"tcp://{HOST}:{self.port}"

    @property
    def over_tls(self) -> str:
        return f"tls://{HOST}:{self.tls_port}#localhost"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")


class StartError(Exception):
    """A server has ended, or does not answer."""


_TLS: Final = 'tls own {{ cert-file "{certificate}"; key-file "{key}"; }};'
_LISTEN_TLS: Final = "  listen-on port {tls_port} tls own {{ 127.0.0.1; }};"


@pytest.fixture(scope="session", name="nsd")
def make_nsd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    """The quickest of those with authority."""
    with _served(NSD, tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session", name="knot")
def make_knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    """Another one with authority, which knows DNS cookies."""
    with _served(KNOT, tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session", name="bind")
def make_bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    """BIND, which speaks TLS where there is an ``openssl`` to make its certificate, and knows DNS cookies."""
    certificates = None
    if shutil.which("openssl") is not None:
        certificates = Certificates(tmp_path_factory.mktemp("bind-certificates"))
    with _served(BIND, tmp_path_factory, certificates=certificates) as server:
        yield server


@pytest.fixture(scope="session", name="unbound")
def make_unbound(tmp_path_factory: pytest.TempPathFactory, nsd: NameServer) -> Iterator[NameServer]:
    """A resolver with a cache, which asks nsd; it even takes it for a root, so that other names fail."""
    with _served(UNBOUND, tmp_path_factory, upstream=nsd.port) as server:
        yield server


@pytest.fixture(scope="session", name="dnsmasq")
def make_dnsmasq(tmp_path_factory: pytest.TempPathFactory, nsd: NameServer) -> Iterator[NameServer]:
    """What many a router has: it passes on to nsd, knows `ROUTER`, and refuses all other names."""
    with _served(DNSMASQ, tmp_path_factory, upstream=nsd.port) as server:
        yield server


@pytest.fixture(scope="session", name="polardns")
def make_polardns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    """A server that misbehaves as the name that it is asked for says, below ``polar.test``.

    Such as ``tc.polar.test``, ``badcompressloop1.polar.test``, ``always.newid.polar.test``: see its documentation.
    """
    with _started("polardns", tmp_path_factory, _write_polardns, name="ns1.polar.test") as server:
        yield server


StartTestns = Callable[[str], NameServer]
"""Starts ldns-testns with the entries of a script, to which it adds `_UP`; it runs until the session ends."""


@pytest.fixture(scope="session", name="start_testns")
def make_testns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartTestns]:
    """A server whose replies a test writes down, be they as wrong as they may.

    It has no other address to bind to than all of them. It serves one question after the other, and each connection
    has one.

    Source: ldns-testns(1).
    """
    program = _program("ldns-testns", "ldnsutils")
    with ExitStack() as stack:

        def start(script: str) -> NameServer:
            def write(folder: Path, port: int, tls_port: int) -> Sequence[str]:
                (folder / "script").write_text(_UP + script)
                return [program, "-p", str(port), "-v", str(folder / "script")]

            server = _started("ldns-testns", tmp_path_factory, write, name="up.test")
            return stack.enter_context(server)

        yield start


_UP: Final = """\
ENTRY_BEGIN
MATCH qname
REPLY QR AA NOERROR
ADJUST copy_id
SECTION QUESTION
up.test. IN A
ENTRY_END
"""


@pytest.fixture(params=["nsd", "knot", "bind", "unbound", "dnsmasq"])
def name_server(request: pytest.FixtureRequest) -> NameServer:
    """Each of them in turn, but the one that lies."""
    server: NameServer = request.getfixturevalue(request.param)
    return server


# How they are started, and stopped

Write = Callable[[Path, int, int], Sequence[str]]
"""Writes the files of a server into a folder, given its two ports, and returns its command line."""


@contextmanager
def _served(
    recipe: Recipe,
    folders: pytest.TempPathFactory,
    *,
    upstream: int = 0,
    certificates: Certificates | None = None,
) -> Iterator[NameServer]:
    program = _program(recipe.program, recipe.package)

    def write(folder: Path, port: int, tls_port: int) -> Sequence[str]:
        values = {
            "folder": str(folder),
            "port": str(port),
            "upstream": f"{HOST}@{upstream}",
            "upstream_hash": f"{HOST}#{upstream}",
            **_tls_lines(certificates, tls_port),
        }
        _write_files(recipe, folder, values)
        return [program, *recipe.arguments.format(folder=folder).split()]

    with _started(recipe.program, folders, write, certificates=certificates) as server:
        yield server


def _program(name: str, package: str) -> str:
    program = shutil.which(name) or shutil.which(name, path=os.pathsep.join(_SBIN))
    if program is None:
        pytest.skip(f"needs {name} (Debian package {package})")
    return program


def _tls_lines(certificates: Certificates | None, port: int) -> Mapping[str, str]:
    if certificates is None:
        return {"tls": "", "listen_tls": ""}
    key = certificates.folder / "server.key"
    return {
        "tls": _TLS.format(certificate=certificates.path("server"), key=key),
        "listen_tls": _LISTEN_TLS.format(tls_port=port),
    }


def _write_files(recipe: Recipe, folder: Path, values: Mapping[str, str]) -> None:
    (folder / "db").mkdir()
    (folder / "hosts").write_text(f"{ROUTER[1]} {ROUTER[0]}\n")
    for zone in ZONES:
        (folder / f"{zone}.zone").write_text(zone_text(zone))
    zones = "".join(recipe.each.format(zone=zone, **values) for zone in ZONES)
    (folder / "conf").write_text(recipe.configuration.format(zones=zones, **values))


def _write_polardns(folder: Path, port: int, tls_port: int) -> Sequence[str]:
    """Copy it: it has its configuration beside its modules, and takes no arguments."""
    spec = find_spec("polardns")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs polardns (python -m pip install polardns)")
    shutil.copytree(spec.submodule_search_locations[0], folder / "polardns")
    file = folder / "polardns" / "polardns.toml"
    text = file.read_text().replace("'0.0.0.0:53'", f"'{HOST}:{port}'")
    file.write_text(text.replace("yourdomain.com", "polar.test"))
    return [sys.executable, str(folder / "polardns" / "core.py")]


@contextmanager
def _started(
    program: str,
    folders: pytest.TempPathFactory,
    write: Write,
    *,
    certificates: Certificates | None = None,
    name: str = ZONE,
) -> Iterator[NameServer]:
    """Run a server for the length of the block; it answers for ``name`` when the block begins."""
    for attempt in range(_STARTS):
        folder = folders.mktemp(program)
        port, tls_port = free_port(), free_port()
        command = write(folder, port, tls_port)
        try:
            with _running(command, folder) as process:
                wait_until_it_answers(process, port, name)
                yield NameServer(program, port, folder, tls_port if certificates else 0, certificates)
                return
        except StartError as error:
            if attempt == _STARTS - 1:
                words = (folder / "log").read_text(errors="replace")
                pytest.fail(f"{program} does not start: {error}\n{words[-2000:]}")


@contextmanager
def _running(command: Sequence[str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [*_with_us(), *command],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # one process group for _stop
        )
    try:
        yield process
    finally:
        _stop(process)


def _with_us() -> Sequence[str]:
    """Let it end with the tests, however they end."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def free_port() -> int:
    """Find a port that nobody has at the moment, neither for UDP nor for TCP."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            stream.bind((HOST, 0))
            port: int = stream.getsockname()[1]
            try:
                datagrams.bind((HOST, port))
            except OSError:
                continue
            return port


def wait_until_it_answers(process: "subprocess.Popen[bytes]", port: int, name: str) -> None:
    """Ask a server for ``name`` until it answers without an error, by UDP and by TCP.

    Raises:
        StartError: It has ended, or `PATIENCE` has.
    """
    deadline = time.monotonic() + PATIENCE
    query = _query(name)
    while not (_answers(port, query) and _answers_by_tcp(port, query)):
        try:
            process.wait(_TICK)
        except subprocess.TimeoutExpired:
            if time.monotonic() > deadline:
                raise StartError(f"no answer within {PATIENCE:.0f} s") from None
        else:
            raise StartError(f"it has ended with {process.returncode}")


def _query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


def _answers(port: int, query: bytes) -> bool:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(_TICK * 10)
        sock.connect((HOST, port))
        try:
            sock.send(query)
            return _is_good(sock.recv(65535))
        except OSError:
            return False


def _answers_by_tcp(port: int, query: bytes) -> bool:
    try:
        with socket.create_connection((HOST, port), 1.0) as sock:
            sock.sendall(struct.pack(">H", len(query)) + query)
            return _is_good(sock.recv(65535)[2:])
    except OSError:
        return False


def _is_good(reply: bytes) -> bool:
    return len(reply) > 3 and reply[3] & 15 == 0
