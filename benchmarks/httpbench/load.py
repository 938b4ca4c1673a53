"""What is asked of a server, and how wrk asks it and tells what it saw.

It decides the requests (`CASES`), wrk's command line and the meaning of its output. It must never know which
server answers, nor what that cost.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BASELINE: Final = "evhttp"
HELLO: Final = b"Hello, world!"
FILE_NAME: Final = "file.bin"
FILE_SIZE: Final = 64 * 1024
# Each byte value in turn: a reply that is cut, shifted or truncated cannot compare equal.
FILE_BODY: Final = bytes(range(256)) * (FILE_SIZE // 256)
PIPELINE_DEPTH: Final = 16
_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_MARK: Final = "figures "
_LATENCIES: Final = ("p50_us", "p90_us", "p99_us", "p999_us")
_ERRORS: Final = ("connect_errors", "read_errors", "write_errors", "timeouts", "status_errors")
# Beyond its --duration wrk connects, and waits for its threads: more than this is a hang.
_GRACE_SECONDS: Final = 20.0

_WEBKIT: Final = "AppleWebKit/537.36 (KHTML, like Gecko)"
# With the Host that wrk adds, the eight headers (about 380 bytes) of a Chromium that reloads a page.
_BROWSER: Final = (
    ("Connection", "keep-alive"),
    ("Cache-Control", "max-age=0"),
    ("User-Agent", f"Mozilla/5.0 (X11; Linux x86_64) {_WEBKIT} Chrome/141.0.0.0 Safari/537.36"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Accept-Language", "en-GB,en;q=0.9"),
    ("Cookie", "sid=3f2a9c0d"),
)


class LoadError(Exception):
    """Wrk did not run to its end, or what it measured does not count."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of work, the same for every server.

    Attributes:
        name: What ``--case`` takes.
        title: The heading of its tables.
        path: The request target.
        body: The bytes that every reply must have as its content.
        headers: Sent besides ``Host``.
        depth: Requests a write; above 1 they are pipelined.
        tls: Whether they go over TLS; the servers that can't are left out.
        baseline: The server that ratios are taken to.
        most_above: Microseconds of CPU time a request that evkit may cost more than the baseline; ``None``: no goal.
    """

    name: str
    title: str
    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    depth: int = 1
    tls: bool = False
    baseline: str = BASELINE
    most_above: float | None = None


CASES: Final = (
    Case("minimal", "minimal request", "/", HELLO),
    Case("browser", "browser's request (8 headers)", "/", HELLO, _BROWSER),
    Case("pipelined", f"{PIPELINE_DEPTH} requests pipelined", "/", HELLO, depth=PIPELINE_DEPTH),
    Case("file", f"{FILE_SIZE // 1024} KiB file", f"/{FILE_NAME}", FILE_BODY),
    Case("tls", "minimal request over TLS", "/", HELLO, tls=True, baseline="nginx", most_above=10.0),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What wrk counted in one run that had no error.

    Attributes:
        requests: Replies that came back whole.
        seconds: How long wrk was at it.
        received: Bytes of all replies, heads included.
        p50_us: Median latency in microseconds, corrected by wrk for the requests that a slow one held up; so
            the others. None when pipelined: wrk times a batch but corrects by the rate of single requests,
            which leaves nonsense, often zero.
    """

    requests: int
    seconds: float
    received: int
    p50_us: int | None
    p90_us: int | None
    p99_us: int | None
    p999_us: int | None

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def parse_output(text: str, depth: int) -> Figures:
    """Read the line of JSON that ``wrk.lua`` adds to wrk's output.

    Args:
        text: All that wrk wrote to its standard output.
        depth: Requests a write.

    Raises:
        LoadError: the line is missing, no reply came, or wrk met an error: it then measured something else.
    """
    lines = [line for line in text.splitlines() if line.startswith(_MARK)]
    if not lines:
        raise LoadError(f"wrk printed no figures: {text.strip()[-200:]!r}")
    raw: Mapping[str, int] = json.loads(lines[-1].removeprefix(_MARK))
    errors = [f"{raw[name]} {name.replace('_', ' ')}" for name in _ERRORS if raw[name]]
    if errors:
        raise LoadError("wrk met " + ", ".join(errors))
    if not raw["requests"] or not raw["duration_us"]:
        raise LoadError("wrk got no reply")
    latencies = {name: raw[name] if depth == 1 else None for name in _LATENCIES}
    return Figures(raw["requests"], raw["duration_us"] / 1e6, raw["bytes"], **latencies)


def wrk_command(case: Case, *, port: int, connections: int, seconds: int, core: int) -> list[str]:
    """Build the command that puts ``case`` to the server on ``port`` of the loopback address.

    Args:
        case: The request.
        port: The server's.
        connections: Kept open at once, ``>= 1``; all by one thread of wrk.
        seconds: How long, ``>= 1``; wrk takes whole seconds only.
        core: The processor that wrk is pinned to.
    """
    headers = [part for name, value in case.headers for part in ("-H", f"{name}: {value}")]
    load = ["-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "5s"]
    target = f"{'https' if case.tls else 'http'}://127.0.0.1:{port}{case.path}"
    return [
        "taskset",
        "-c",
        str(core),
        "wrk",
        *load,
        *headers,
        "-s",
        str(_SCRIPT),
        target,
        "--",
        str(case.depth),
    ]


def run_wrk(case: Case, *, port: int, connections: int, seconds: int, core: int) -> Figures:
    """Run wrk to its end; the arguments are those of `wrk_command`.

    Raises:
        LoadError: as `parse_output`, or wrk failed or hung.
    """
    command = wrk_command(case, port=port, connections=connections, seconds=seconds, core=core)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + _GRACE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise LoadError(f"wrk hung for {exc.timeout:.0f} s") from exc
    if done.returncode:
        raise LoadError(f"wrk failed: {(done.stderr or done.stdout).strip()[-200:]}")
    return parse_output(done.stdout, case.depth)
