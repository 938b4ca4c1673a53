"""The order of the measurement: a fresh server for each, rounds that alternate over the servers.

It decides what is inside a timed section: CPU time is read before wrk starts and after it has ended. It must
never know how a server is started, or how figures are printed.
"""

import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from common.machine import Cores
from common.proc import Memory, cpu_spent, sample_cpu, sample_memory
from common.rounds import alternate
from common.server import HOST, RunningServer, ServerError

from httpbench.load import CASES, Case, Figures, LoadError, run_wrk
from httpbench.peers import Peer, Site
from httpbench.server import WrongAnswer, check, serving

IDLE_CONNECTIONS: Final = 64
_WARM_UP_SECONDS: Final = 1
_IDLE_REPLY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        peers: In the order of a round.
        cases: The kinds of request.
        connections: Numbers of connections, each ``>= 1``.
        rounds: How often each is measured, ``>= 1``.
        seconds: Length of each run of wrk, ``>= 1``.
        idle: Connections to hold for the idle measurement; 0 for none.
    """

    peers: Sequence[Peer]
    cases: Sequence[Case]
    connections: Sequence[int]
    rounds: int
    seconds: int
    idle: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of wrk: what it saw, and what that cost the server.

    Attributes:
        cpu_seconds: CPU time of all the server's threads, user and kernel, while wrk ran.
        memory: The server's, right after.
    """

    figures: Figures
    cpu_seconds: float
    memory: Memory

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU time a request: the figure to steer by."""
        return self.cpu_seconds * 1e6 / self.figures.requests

    @property
    def load(self) -> float:
        """Share of its processor that the server used; well below 1, something else was the limit."""
        return self.cpu_seconds / self.figures.seconds


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement and its place; ``result`` is None where ``error`` tells why there is none."""

    case: str
    connections: int
    server: str
    round: int
    result: Measurement | None
    error: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class IdleRow:
    """What it costs to hold idle connections.

    Attributes:
        held: Idle connections, each of which had done one request.
        bytes_each: Growth of resident memory, divided by ``held``.
        alone: The minimal request over 64 busy connections and no idle one.
        beside: The same with the idle ones held.
        lost: Idle connections that the server had closed by the end.
    """

    server: str
    held: int
    bytes_each: float
    alone: Measurement | None
    beside: Measurement | None
    lost: int = 0
    error: str = ""


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _measure(server: RunningServer, case: Case, connections: int, seconds: int, cores: Cores) -> Measurement:
    before = sample_cpu(server.pid)
    figures = run_wrk(case, port=server.port, connections=connections, seconds=seconds, core=cores.client)
    return Measurement(figures, cpu_spent(before, sample_cpu(server.pid)), sample_memory(server.pid))


def _warm_up(server: RunningServer, case: Case, connections: int, cores: Cores) -> None:
    run_wrk(case, port=server.port, connections=connections, seconds=_WARM_UP_SECONDS, core=cores.client)


def _row(peer: Peer, case: Case, connections: int, number: int, plan: Plan, site: Site, cores: Cores) -> Row:
    try:
        with serving(peer, site, cores.server, tls=case.tls) as server:
            headers = tuple(check(case, server.port))
            _warm_up(server, case, connections, cores)
            result = _measure(server, case, connections, plan.seconds, cores)
    except (ServerError, WrongAnswer, LoadError) as exc:
        return Row(case.name, connections, peer.name, number, None, error=f"{type(exc).__name__}: {exc}")
    return Row(case.name, connections, peer.name, number, result, headers=headers)


def peers_for(case: Case, peers: Sequence[Peer]) -> Sequence[Peer]:
    """Take the servers that can do ``case``."""
    return [peer for peer in peers if peer.tls is not None or not case.tls]


def measure_rows(plan: Plan, site: Site, cores: Cores) -> Iterator[Row]:
    """Measure every case, number of connections and server, round by round.

    Yields:
        A row as soon as it is there; one that failed carries the reason and does not stop the others.
    """
    for case in plan.cases:
        for connections in plan.connections:
            for number in range(1, plan.rounds + 1):
                for peer in alternate(peers_for(case, plan.peers), number):
                    row = _row(peer, case, connections, number, plan, site, cores)
                    told = f"{row.result.cpu_us:.2f} us/request" if row.result else row.error
                    _say(f"{case.name} c={connections} round {number}/{plan.rounds} {peer.name}: {told}")
                    yield row


def _open_idle(port: int, count: int) -> list[socket.socket]:
    """Open connections one after the other; each does one request and then keeps still."""
    request = f"GET / HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode()
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.create_connection((HOST, port), timeout=_IDLE_REPLY_SECONDS)
            held.append(sock)
            sock.sendall(request)
            if not sock.recv(4096).startswith(b"HTTP/1.1 200"):
                raise WrongAnswer("an idle connection's first request was refused")
    except (OSError, WrongAnswer) as exc:
        _close_all(held)
        raise WrongAnswer(f"connection {len(held)} of {count}: {exc}") from exc
    return held


def _close_all(held: Sequence[socket.socket]) -> None:
    for sock in held:
        sock.close()


def _count_closed(held: Sequence[socket.socket]) -> int:
    """Count the connections whose peer has closed; from the others there is nothing to read."""
    closed = 0
    for sock in held:
        sock.setblocking(False)
        try:
            closed += not sock.recv(1)
        except BlockingIOError:
            pass
        except OSError:
            closed += 1
    return closed


def _idle_row(peer: Peer, plan: Plan, site: Site, cores: Cores) -> IdleRow:
    case = CASES[0]
    try:
        with serving(peer, site, cores.server) as server:
            check(case, server.port)
            _warm_up(server, case, IDLE_CONNECTIONS, cores)
            alone = _measure(server, case, IDLE_CONNECTIONS, plan.seconds, cores)
            held = _open_idle(server.port, plan.idle)
            try:
                grown = sample_memory(server.pid).rss - alone.memory.rss
                beside = _measure(server, case, IDLE_CONNECTIONS, plan.seconds, cores)
                lost = _count_closed(held)
            finally:
                _close_all(held)
    except (ServerError, WrongAnswer, LoadError) as exc:
        return IdleRow(peer.name, plan.idle, 0.0, None, None, error=f"{type(exc).__name__}: {exc}")
    return IdleRow(peer.name, plan.idle, grown / plan.idle, alone, beside, lost)


def measure_idle(plan: Plan, site: Site, cores: Cores) -> Iterator[IdleRow]:
    """Measure what idle connections cost the servers that hold them; none if ``plan.idle`` is 0."""
    for peer in plan.peers:
        if plan.idle and peer.holds_idle:
            row = _idle_row(peer, plan, site, cores)
            _say(
                f"{plan.idle} idle connections {peer.name}: {row.error or f'{row.bytes_each:.0f} bytes each'}"
            )
            yield row
