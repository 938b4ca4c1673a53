"""Signals end a server: the first one gracefully, the second one at once; then all is as before."""

import signal
from collections.abc import Iterator

import pytest

from evkit.cli.stopping import Stopper
from evkit.core import EventBase
from evkit.http import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with EventBase() as base:
        server = Server(base)
        server.bind("127.0.0.1", 0)
        yield server
        server.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_gracefully(server: Server, number: int, capfd: pytest.CaptureFixture[str]) -> None:
    with Stopper(server, 2.5) as stopper:
        assert repr(stopper) == "<Stopper running grace=2.5>"
        server.base.call_soon(signal.raise_signal, number)
        assert stopper.run() == 0
        assert repr(stopper) == "<Stopper stopping grace=2.5>"
    assert server.listeners == []
    assert (
        capfd.readouterr().err == "evkit: stopping; replies under way have 2.5 s (once more stops at once)\n"
    )


def test_a_signal_before_the_loop_counts(server: Server) -> None:
    with Stopper(server, 1) as stopper:
        signal.raise_signal(signal.SIGTERM)
        assert stopper.run() == 0


@pytest.mark.parametrize(("second", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_two_signals_stop_at_once(server: Server, second: int, status: int) -> None:
    after: list[str] = []

    def twice() -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(second)
        after.append("reached")

    with Stopper(server, 1) as stopper:
        server.base.call_soon(twice)
        assert stopper.run() == status
    assert after == []


def test_the_handlers_of_before_come_back(server: Server) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    with Stopper(server, 1):
        assert all(signal.getsignal(number) not in before for number in numbers)
    assert [signal.getsignal(number) for number in numbers] == before
