"""The servers that are compared: how each is made ready, which version it is, and by what command it runs.

It must never know how a server is measured. All serve the same two things; benchmarks/README.md
tells what each does in its own way.
"""

import getpass
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from common.programs import C_ADVICE, PeerMissing, commit, compile_c, distributions, run

from httpbench.load import BASELINE, FILE_BODY, FILE_NAME

_PEERS: Final = Path(__file__).parents[1] / "peers"
# Debian keeps nginx here, which is not on the PATH of everyone but root.
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Site:
    """Where things are: what was built, and the folder that the servers serve.

    Attributes:
        build: Programs, run-time files and logs.
        www: Holds the one file of the file case.
    """

    build: Path
    www: Path

    @property
    def file(self) -> Path:
        """The file of the file case."""
        return self.www / FILE_NAME

    @property
    def certificate(self) -> Path:
        """What is shown over TLS."""
        return self.build / "localhost.pem"

    @property
    def key(self) -> Path:
        """The key of the certificate."""
        return self.build / "localhost.key"


def make_site(build: Path) -> Site:
    """Make the folders and the file that is served; one that is there stays, since evkit keeps no file that is new."""
    site = Site(build, build / "www")
    site.www.mkdir(parents=True, exist_ok=True)
    if not site.file.exists() or site.file.read_bytes() != FILE_BODY:
        site.file.write_bytes(FILE_BODY)
    return site


@dataclass(frozen=True, slots=True)
class Peer:
    """One server.

    Attributes:
        name: What ``--only`` takes.
        prepare: Builds what it needs and returns its version; raises `PeerMissing`.
        command: Site and port → its command line.
        holds_idle: Whether the idle connections are measured with it.
        tls: As ``command``, for a server that speaks TLS instead; ``None``: it is not compared there.
    """

    name: str
    prepare: Callable[[Site], str]
    command: Callable[[Site, int], list[str]]
    holds_idle: bool = False
    tls: Callable[[Site, int], list[str]] | None = None


def environment(site: Site) -> dict[str, str]:
    """Make the environment that every server gets: today's, and where the file is."""
    return os.environ | {"BENCH_FILE": str(site.file)}


def _prepare_evkit(_: Site) -> str:
    try:
        found = importlib.util.find_spec("evkit.http.server.server")
    except ImportError:
        found = None
    if found is None:
        raise PeerMissing("evkit.http.server.server cannot be imported; python -m pip install -e .")
    return distributions("evkit", "h11") + commit()


def _evkit(engine: str) -> Callable[[Site, int], list[str]]:
    def command(site: Site, port: int) -> list[str]:
        return [sys.executable, str(_PEERS / "evkit_server.py"), str(port), str(site.www), "--engine", engine]

    return command


def _evkit_tls(site: Site, port: int) -> list[str]:
    return [*_evkit("native")(site, port), "--tls", str(site.certificate), str(site.key)]


def _prepare_evhttp(site: Site) -> str:
    program = compile_c(_PEERS / "evhttp_server.c", site.build)
    return "libevent " + run([program, "--version"], C_ADVICE)


def _evhttp(site: Site, port: int) -> list[str]:
    return [str(site.build / "evhttp_server"), str(port), str(site.file)]


def _nginx_program() -> str | None:
    return shutil.which("nginx", path=os.environ.get("PATH", "") + os.pathsep + _SBIN)


def _prepare_nginx(site: Site) -> str:
    advice = "apt-get install nginx-light"
    program = _nginx_program()
    if program is None:
        raise PeerMissing(f"nginx is not installed; {advice}")
    (site.build / "nginx").mkdir(exist_ok=True)
    return run([program, "-v"], advice).rpartition("/")[2]


def nginx_config(template: str, site: Site, port: int, *, tls: bool = False) -> str:
    """Fill in the words between @ signs.

    The user is the one who runs the benchmark, so that started by root nginx still may read the file.
    """
    certificate = f"ssl_certificate {site.certificate}; ssl_certificate_key {site.key};"
    words = {
        "USER": getpass.getuser(),
        "RUN": site.build / "nginx",
        "WWW": site.www,
        "PORT": port,
        "TLS": " ssl" if tls else "",
        "CERTIFICATE": certificate if tls else "",
    }
    for word, value in words.items():
        template = template.replace(f"@{word}@", str(value))
    return template


def _nginx(site: Site, port: int, *, tls: bool = False) -> list[str]:
    folder = site.build / "nginx"
    config = folder / "nginx.conf"
    config.write_text(nginx_config((_PEERS / "nginx.conf").read_text(), site, port, tls=tls))
    return [_nginx_program() or "nginx", "-e", "stderr", "-p", str(folder), "-c", str(config)]


def _uvicorn(loop: str, parser: str) -> Callable[[Site, int], list[str]]:
    def command(_: Site, port: int) -> list[str]:
        quiet = ["--log-level", "warning", "--no-access-log", "--lifespan", "off"]
        choice = ["--loop", loop, "--http", parser, "--app-dir", str(_PEERS), "--port", str(port)]
        return [sys.executable, "-m", "uvicorn", *choice, *quiet, "asgi_app:app"]

    return command


def _granian(_: Site, port: int) -> list[str]:
    choice = ["--interface", "asgi", "--loop", "uvloop", "--http", "1", "--no-ws", "--workers", "1"]
    place = ["--working-dir", str(_PEERS), "--port", str(port)]
    return [sys.executable, "-m", "granian", *choice, *place, "--log-level", "warning", "asgi_app:app"]


def _prepare_go(site: Site) -> str:
    advice = "apt-get install golang-go"
    version = run(["go", "version"], advice)
    run(["go", "build", "-o", str(site.build / "go_server"), str(_PEERS / "go_server.go")], advice)
    return version.split()[2]


def _go(site: Site, port: int) -> list[str]:
    return [str(site.build / "go_server"), str(port), str(site.www)]


PEERS: Final = (
    Peer(BASELINE, _prepare_evhttp, _evhttp, holds_idle=True),
    Peer("evkit-native", _prepare_evkit, _evkit("native"), holds_idle=True, tls=_evkit_tls),
    Peer("evkit-h11", _prepare_evkit, _evkit("h11"), holds_idle=True),
    Peer("nginx", _prepare_nginx, _nginx, tls=partial(_nginx, tls=True)),
    Peer("go", _prepare_go, _go),
    Peer("granian", lambda _: distributions("granian", "uvloop"), _granian),
    Peer(
        "uvicorn-uvloop",
        lambda _: distributions("uvicorn", "uvloop", "httptools"),
        _uvicorn("uvloop", "httptools"),
    ),
    Peer("uvicorn-h11", lambda _: distributions("uvicorn", "h11"), _uvicorn("asyncio", "h11")),
)
