"""A worker in this very process, and the orders that it gets."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from evkit.cli import worker
from evkit.cli.errors import Failure
from evkit.cli.worker import Counted, Duty, Post
from evkit.core import EventBase
from evkit.core.net import bound_socket
from evkit.http import Request, Server
from http_handlers import echo
from http_server_aids import get
from patience import PATIENCE

SIGNALS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Give the handlers of before back."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


class Work:
    """A worker, and the other end of its channel.

    Attributes:
        duty: The worker's.
        server: The worker's.
        channel: The other end.
        port: Where it listens.
    """

    def __init__(self, base: EventBase, grace: float | None = 10) -> None:
        self.base = base
        self.server = Server(base)
        self.server.set_gencb(echo)
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(PATIENCE)
        self.post = Post([bound_socket(("127.0.0.1", 0))], theirs)
        self.duty = Duty(self.server, self.post, grace)
        self.port = self.server.listeners[0].port

    def run(self, *acts: Callable[[], object]) -> int:
        """Run with all of ``acts`` in the loop; return the exit status."""
        for act in acts:
            self.base.call_soon(act)
        return self.duty.run()

    def once_leaving(self, act: Callable[[], object]) -> None:
        """Call ``act`` when the server listens no more."""
        if self.server.listeners:
            self.base.call_soon(self.once_leaving, act)
        else:
            act()

    def heard(self) -> bytes:
        self.channel.setblocking(False)
        return self.channel.recv(100)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)


@pytest.fixture
def work(base: EventBase) -> Iterator[Work]:
    work = Work(base)
    with work.post, work.channel:
        yield work
        work.server.close()


def test_it_listens_and_says_that_it_is_ready(work: Work) -> None:
    work.base.call_soon(work.base.stop)
    work.connect().close()
    assert work.duty.run() == 0
    assert work.heard() == worker.READY
    assert "connections=" in repr(work.duty)
    assert "fd=" in repr(work.post)


def test_a_socket_that_others_have_keeps_its_file_and_its_clients(base: EventBase, tmp_path: Path) -> None:
    """Nobody tries whether somebody listens: that would be a client of the others'."""
    path = tmp_path / "s"
    server = Server(base)
    ours, theirs = socket.socketpair()
    with bound_socket(str(path)) as shared, ours, Post([shared.dup()], theirs) as post:
        base.call_soon(base.stop)
        assert Duty(server, post, 10).run() == 0
        server.close()
        assert path.exists()
        with pytest.raises(BlockingIOError):
            shared.accept()


def test_a_port_on_which_somebody_else_has_come_to_listen_is_one_line(base: EventBase) -> None:
    """Both may be bound, as long as neither listens."""
    ours, theirs = socket.socketpair()
    with bound_socket(("127.0.0.1", 0)) as taken, ours:
        name = taken.getsockname()
        with Post([bound_socket(name)], theirs) as post:
            taken.listen()
            with pytest.raises(Failure, match=f"can't listen on 127.0.0.1:{name[1]}: Address already in use"):
                Duty(Server(base), post, 10)


def test_the_end_of_its_supervisor_is_its_end(work: Work, capfd: pytest.CaptureFixture[str]) -> None:
    assert work.run(work.channel.close) == 0
    assert work.server.listeners == []
    said = capfd.readouterr().err
    assert said == f"evkit: worker {os.getpid()} stops, as nobody supervises it any more\n"


def test_a_supervisor_that_was_dead_before_is_no_error(work: Work) -> None:
    work.channel.close()
    assert work.run() == 0


def test_a_supervisor_that_has_not_read_is_no_error(work: Work) -> None:
    """Its end is a reset then."""
    assert work.run(work.duty.weary, work.channel.close) == 0


def test_who_is_connected_may_ask_once_more_when_it_is_to_drain(work: Work) -> None:
    with work.connect() as client:
        work.server.on_complete = lambda request: client.shutdown(socket.SHUT_WR)
        work.base.call_soon(work.channel.send, worker.DRAIN)
        work.once_leaving(lambda: client.sendall(get()))
        assert work.run() == 0
        assert b"\r\nConnection: close\r\n" in client.recv(65536)


@pytest.mark.parametrize(
    ("grace", "shown"), [(10, "drain=5"), (4, "drain=2"), (60, "drain=5"), (None, "drain=5"), (0, "drain=0")]
)
def test_who_has_nothing_to_ask_for_is_waited_for_half_of_the_grace(
    base: EventBase, grace: float | None, shown: str
) -> None:
    work = Work(base, grace)
    with work.post, work.channel:
        assert repr(work.duty).endswith(f" {shown}>")
        work.server.close()


def test_who_has_nothing_to_ask_for_is_not_waited_for_longer(base: EventBase) -> None:
    work = Work(base, grace=0.02)
    with work.post, work.channel, work.connect():
        assert work.run(lambda: work.channel.send(worker.DRAIN)) == 0


@pytest.mark.parametrize("times", [1, 3])
def test_sigterm_stops_gracefully_however_often_it_comes(work: Work, times: int) -> None:
    requests: list[Request] = []

    def stop(request: Request) -> None:
        requests.append(request)
        for _ in range(times):
            signal.raise_signal(signal.SIGTERM)
        work.once_leaving(answer)

    def answer() -> None:
        requests[0].send_reply(200, b"all of it")
        client.shutdown(socket.SHUT_WR)

    work.server.set_gencb(stop)
    with work.connect() as client:
        client.sendall(get())
        assert work.run() == 0
        assert client.recv(65536).endswith(b"all of it")
    assert work.heard() == worker.READY + worker.LEAVING * times


def test_sigquit_stops_at_once(work: Work) -> None:
    after: list[str] = []

    def quit_now() -> None:
        signal.raise_signal(signal.SIGQUIT)
        after.append("reached")

    assert work.run(quit_now) == 128 + signal.SIGQUIT
    assert after == []


def test_what_comes_from_the_terminal_is_the_supervisors_business(work: Work) -> None:
    worker.begin()
    after: list[str] = []

    def ignore() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGHUP)
        after.append("reached")

    assert work.run(ignore, work.base.stop) == 0
    assert after == ["reached"]


def test_programs_that_a_handler_starts_do_not_ignore_signals() -> None:
    worker.begin()
    assert callable(signal.getsignal(signal.SIGINT))
    assert callable(signal.getsignal(signal.SIGHUP))


def test_a_module_that_is_new_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python remembers what a folder has, and looks again only when the time of its last change is another one."""
    monkeypatch.syspath_prepend(tmp_path)
    assert find_spec("evkit_new_module") is None
    before = tmp_path.stat().st_mtime_ns
    (tmp_path / "evkit_new_module.py").touch()
    os.utime(tmp_path, ns=(before, before))
    assert find_spec("evkit_new_module") is None
    worker.begin()
    assert find_spec("evkit_new_module") is not None


def test_who_is_cut_short_before_it_is_at_work_leaves_no_core_dump() -> None:
    worker.begin()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGQUIT)


def test_signals_that_were_held_back_come() -> None:
    worker.begin()
    signal.pthread_sigmask(signal.SIG_BLOCK, worker.BLOCKED)
    worker.begin()
    assert not worker.BLOCKED & signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_signal_after_the_end_changes_nothing(work: Work) -> None:
    """Python gives up its handlers before a process has ended, and SIGTERM would kill what is left of it."""
    work.run(work.base.stop)
    assert {signal.getsignal(number) for number in SIGNALS} == {signal.SIG_IGN}


def test_a_signal_after_the_last_one_changes_nothing(work: Work) -> None:
    """It would be a traceback: the loop may be closed by then."""

    def cut() -> None:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGQUIT)
        for number in SIGNALS:
            signal.raise_signal(number)
        work.base.stop()

    assert work.run(cut) == 0
    assert work.heard() == worker.READY


def test_signals_that_come_together_are_no_complaint(work: Work, capfd: pytest.CaptureFixture[str]) -> None:
    def stop_and_cut() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, worker.BLOCKED)
        for number in (signal.SIGTERM, signal.SIGQUIT):
            os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, worker.BLOCKED)

    assert work.run(stop_and_cut) == 128 + signal.SIGQUIT
    assert capfd.readouterr().err == ""


def test_a_handler_that_is_counted() -> None:
    calls: list[object] = []
    counted = Counted(calls.append, 2, lambda: calls.append("enough"))
    request = Request.__new__(Request)
    for _ in range(4):
        counted(request)
    assert calls == [request, "enough", request, request, request]


def test_what_it_was_given_is_closed(open_descriptors: None) -> None:
    ours, theirs = socket.socketpair()
    with ours, Post([bound_socket(("127.0.0.1", 0))], theirs) as post:
        pass
    assert theirs.fileno() == -1
    assert post.sockets[0].fileno() == -1
