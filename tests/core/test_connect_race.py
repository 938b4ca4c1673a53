"""Races on real sockets: who wins, what the losers are said to have failed with, and that nothing is left open."""

import errno
import gc
import os
import resource
import select
import socket
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evkit.core import connect_race as module
from evkit.core.base import EventBase
from evkit.core.config import EventConfig
from evkit.core.connect_race import ConnectErrors, ConnectRace
from evkit.core.flags import COUNT_ACTIVE, COUNT_ADDED, EV_WRITE, EVLOOP_NONBLOCK, EVLOOP_ONCE
from evkit.core.happy_eyeballs import Outcome
from evkit.core.net import Address, stream_socket
from evkit.errors import LoopError
from evkit.testing import FakeBackend, FakeBase, ManualClock

needs_ipv6 = pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")


@pytest.fixture
def cleanup(open_descriptors: None) -> Iterator[ExitStack]:
    """Closes the test's own sockets; what is open then was left behind by the race."""
    with ExitStack() as stack:
        yield stack


def serving(stack: ExitStack) -> socket.socket:
    """A listening socket: whoever connects to it succeeds."""
    return stack.enter_context(socket.create_server(("127.0.0.1", 0)))


def refusing(stack: ExitStack) -> Address:
    """The address of a socket that does not listen, and that nobody else can take meanwhile."""
    sock = stack.enter_context(socket.socket())
    sock.bind(("127.0.0.1", 0))
    address: tuple[str, int] = sock.getsockname()
    return address


def silent(stack: ExitStack) -> Address:
    """The address of a socket that takes no more connections, and says nothing to those who come."""
    server = stack.enter_context(socket.socket())
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    address: tuple[str, int] = server.getsockname()
    stack.enter_context(socket.create_connection(address))
    for _ in range(4):  # how many fit in is the system's choice
        stack.enter_context(stream_socket(socket.AF_INET)).connect_ex(address)
    probe = stack.enter_context(stream_socket(socket.AF_INET))
    probe.connect_ex(address)
    assert not select.select([], [probe], [], 0)[1]
    return address


def address_of(server: socket.socket) -> Address:
    address: Address = server.getsockname()
    return address


def waited_for(backend: FakeBackend) -> set[int]:
    """The descriptors of a race: what its base waits for on its own account was not recorded."""
    return {change.fd for change in backend.changes} & backend.wanted.keys()


class _Signalled(socket.socket):
    """A signal comes while it connects."""

    def __init__(self, family: int) -> None:
        super().__init__(family)
        self.setblocking(False)

    def connect_ex(self, address: Any) -> int:
        assert super().connect_ex(address) == errno.EINPROGRESS
        return errno.EINTR


class _Interrupted(socket.socket):
    """Ctrl-C comes while it connects."""

    def connect_ex(self, address: Any) -> int:
        raise KeyboardInterrupt


class Goal:
    """A callback that keeps what it is told, and owns the sockets."""

    def __init__(self, stack: ExitStack, act: Callable[[ConnectRace], object] | None = None) -> None:
        self.calls: list[tuple[socket.socket | None, ConnectErrors]] = []
        self.act = act
        self.stack = stack

    def __call__(self, race: ConnectRace, sock: socket.socket | None, errors: ConnectErrors) -> None:
        assert errors is race.errors
        if sock is not None:
            self.stack.enter_context(sock)
        self.calls.append((sock, errors))
        if self.act is not None:
            self.act(race)

    @property
    def sock(self) -> socket.socket:
        """The connection, of a race that was won."""
        ((sock, _),) = self.calls
        assert sock is not None
        return sock

    @property
    def errors(self) -> list[tuple[Address, int | None]]:
        """What failed, in a race that was lost."""
        ((sock, errors),) = self.calls
        assert sock is None
        return numbers(errors)


def numbers(errors: ConnectErrors) -> list[tuple[Address, int | None]]:
    return [(address, error.errno) for address, error in errors]


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let the process have no further descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class TestWinning:
    def test_one_address_that_works(self, base: EventBase, cleanup: ExitStack) -> None:
        server = serving(cleanup)
        goal = Goal(cleanup)
        race = ConnectRace(base, [address_of(server)], goal, timeout=30)
        race.start()
        assert goal.calls == []
        assert base.dispatch() is False  # nothing keeps the loop: no timer, no event
        peer, address = server.accept()
        with peer:
            assert goal.sock.getsockname() == address
            goal.sock.send(b"hi")
            assert peer.recv(9) == b"hi"
        assert goal.sock.gettimeout() == 0.0
        assert goal.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert race.errors == []
        assert race.outcome is Outcome.WON

    def test_a_refusal_costs_no_time(
        self, manual_base: EventBase, clock: ManualClock, cleanup: ExitStack
    ) -> None:
        server = serving(cleanup)
        bad, worse = refusing(cleanup), refusing(cleanup)
        goal = Goal(cleanup)
        race = ConnectRace(manual_base, [bad, worse, address_of(server)], goal)
        race.start()
        manual_base.dispatch()  # the clock stands still
        assert goal.sock.getpeername() == address_of(server)
        assert numbers(race.errors) == [(bad, errno.ECONNREFUSED), (worse, errno.ECONNREFUSED)]
        assert all(type(error) is ConnectionRefusedError for _, error in race.errors)

    def test_silence_is_passed_by_after_the_delay(
        self, manual_base: EventBase, clock: ManualClock, cleanup: ExitStack
    ) -> None:
        server = serving(cleanup)
        goal = Goal(cleanup)
        race = ConnectRace(manual_base, [silent(cleanup), address_of(server)], goal, timeout=30)
        race.start()
        clock.advance(0.249)
        manual_base.loop(EVLOOP_NONBLOCK)
        assert "under_way=1" in repr(race)
        clock.advance(0.001)
        assert manual_base.dispatch() is False
        assert goal.sock.getpeername() == address_of(server)
        assert race.errors == []  # the silent one was abandoned, which is no fault of its

    def test_refused_and_silent_and_working(
        self, manual_base: EventBase, clock: ManualClock, cleanup: ExitStack
    ) -> None:
        server = serving(cleanup)
        bad = refusing(cleanup)
        goal = Goal(cleanup)
        race = ConnectRace(manual_base, [bad, silent(cleanup), address_of(server)], goal)
        race.start()
        while not race.errors:
            manual_base.loop(EVLOOP_ONCE)
        clock.advance(0.25)
        manual_base.dispatch()
        assert goal.sock.getpeername() == address_of(server)
        assert numbers(race.errors) == [(bad, errno.ECONNREFUSED)]

    def test_signal_that_interrupts_connect_does_not_stop_it(
        self, base: EventBase, cleanup: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "stream_socket", _Signalled)
        server = serving(cleanup)
        goal = Goal(cleanup)
        ConnectRace(base, [address_of(server)], goal).start()
        base.dispatch()
        assert goal.sock.getpeername() == address_of(server)

    def test_no_timer_runs_when_there_is_nothing_more_to_try(
        self, manual_base: EventBase, clock: ManualClock, cleanup: ExitStack
    ) -> None:
        race = ConnectRace(manual_base, [refusing(cleanup), silent(cleanup)], Goal(cleanup))
        race.start()
        assert manual_base.num_events(COUNT_ADDED) == 2
        while not race.errors:
            manual_base.loop(EVLOOP_ONCE)
        assert manual_base.num_events(COUNT_ADDED) == 1
        race.cancel()

    @needs_ipv6
    def test_families_take_turns(self, fakes: FakeBase, cleanup: ExitStack) -> None:
        goal = Goal(cleanup)
        six = cleanup.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        first, second = serving(cleanup), serving(cleanup)
        race = ConnectRace(
            fakes.base, [address_of(first), address_of(second), address_of(six)], goal, timeout=10
        )
        race.start()
        fakes.base.dispatch()
        assert [address for address, _ in goal.errors] == [
            address_of(first),
            address_of(six),
            address_of(second),
        ]
        assert race.outcome is Outcome.TIMED_OUT

    def test_unix_socket(self, base: EventBase, cleanup: ExitStack, tmp_path: Path) -> None:
        server = cleanup.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(tmp_path / "s"))
        server.listen()
        for path in (str(tmp_path / "s"), os.fsencode(tmp_path / "s")):
            goal = Goal(cleanup)
            race = ConnectRace(base, [path], goal)
            race.start()
            assert goal.calls == []  # though it was connected at once
            base.dispatch()
            assert goal.sock.getpeername() == str(tmp_path / "s")

    def test_same_address_twice_is_tried_once(self, base: EventBase, cleanup: ExitStack) -> None:
        bad = refusing(cleanup)
        goal = Goal(cleanup)
        ConnectRace(base, [bad, bad, bad], goal).start()
        base.dispatch()
        assert goal.errors == [(bad, errno.ECONNREFUSED)]

    @needs_ipv6
    def test_same_address_in_two_spellings(self, base: EventBase, cleanup: ExitStack) -> None:
        sock = cleanup.enter_context(socket.socket(socket.AF_INET6))
        sock.bind(("::1", 0))
        port = sock.getsockname()[1]
        goal = Goal(cleanup)
        ConnectRace(base, [("::1", port), ("::1", port, 0, 0)], goal).start()
        base.dispatch()
        assert goal.errors == [
            (("::1", port), errno.ECONNREFUSED),
            (("::1", port, 0, 0), errno.ECONNREFUSED),
        ]


class TestSchedule:
    """On a backend that finds a descriptor ready when it is told so, and a clock that moves by itself."""

    @pytest.fixture
    def starts(self, monkeypatch: pytest.MonkeyPatch, fakes: FakeBase) -> list[float]:
        """When each socket was made, in seconds since now."""
        times: list[float] = []
        begun_at = fakes.clock.monotonic()

        def note(family: int) -> socket.socket:
            times.append(round(fakes.clock.monotonic() - begun_at, 6))
            return stream_socket(family)

        monkeypatch.setattr(module, "stream_socket", note)
        return times

    @staticmethod
    def addresses(cleanup: ExitStack, count: int) -> list[Address]:
        return [address_of(serving(cleanup)) for _ in range(count)]

    def test_attempts_are_a_delay_apart_until_the_time_is_up(
        self, fakes: FakeBase, starts: list[float], cleanup: ExitStack
    ) -> None:
        goal = Goal(cleanup)
        addresses = self.addresses(cleanup, 4)
        begun_at = fakes.clock.monotonic()
        race = ConnectRace(fakes.base, addresses, goal, timeout=0.6)
        race.start()
        fakes.base.dispatch()
        assert starts == [0, 0.25, 0.5]
        assert fakes.clock.monotonic() - begun_at == pytest.approx(0.6)
        assert goal.errors == [(address, errno.ETIMEDOUT) for address in addresses[:3]]
        assert all(type(error) is TimeoutError for _, error in race.errors)
        assert race.outcome is Outcome.TIMED_OUT
        assert waited_for(fakes.backend) == set()

    def test_another_delay(self, fakes: FakeBase, starts: list[float], cleanup: ExitStack) -> None:
        race = ConnectRace(fakes.base, self.addresses(cleanup, 3), Goal(cleanup), timeout=10, delay=2.0)
        race.start()
        fakes.base.dispatch()
        assert starts == [0, 2, 4]

    def test_the_first_may_win_though_the_second_has_begun(
        self, fakes: FakeBase, starts: list[float], cleanup: ExitStack
    ) -> None:
        goal = Goal(cleanup)
        addresses = self.addresses(cleanup, 3)
        race = ConnectRace(fakes.base, addresses, goal)
        race.start()
        (first,) = waited_for(fakes.backend)
        fakes.backend.ready(first, EV_WRITE, after=0.3)
        fakes.base.dispatch()
        assert starts == [0, 0.25]
        assert goal.sock.fileno() == first

    def test_two_that_answer_in_one_pass(
        self, fakes: FakeBase, starts: list[float], cleanup: ExitStack
    ) -> None:
        goal = Goal(cleanup)
        ConnectRace(fakes.base, self.addresses(cleanup, 2), goal).start()
        fakes.clock.advance(0.25)
        fakes.base.loop(EVLOOP_NONBLOCK)
        first, second = sorted(waited_for(fakes.backend))
        fakes.backend.ready(second, EV_WRITE)
        fakes.backend.ready(first, EV_WRITE)
        fakes.base.dispatch()
        assert goal.sock.fileno() == second
        assert goal.calls[0][1] == []

    def test_answer_in_the_pass_in_which_the_time_is_up(self, fakes: FakeBase, cleanup: ExitStack) -> None:
        goal = Goal(cleanup)
        ConnectRace(fakes.base, self.addresses(cleanup, 1), goal, timeout=1).start()
        (fd,) = waited_for(fakes.backend)
        fakes.backend.ready(fd, EV_WRITE, after=1)
        fakes.base.dispatch()
        assert goal.sock.fileno() == fd

    def test_time_out_of_zero_takes_what_connects_at_once(
        self, fakes: FakeBase, cleanup: ExitStack, tmp_path: Path
    ) -> None:
        server = cleanup.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(tmp_path / "s"))
        server.listen()
        won, lost = Goal(cleanup), Goal(cleanup)
        ConnectRace(fakes.base, [str(tmp_path / "s")], won, timeout=0).start()
        ConnectRace(fakes.base, self.addresses(cleanup, 2), lost, timeout=0).start()
        fakes.base.dispatch()
        assert won.sock.getpeername() == str(tmp_path / "s")
        assert [number for _, number in lost.errors] == [errno.ETIMEDOUT]


class TestFailing:
    def test_all_refuse(self, base: EventBase, cleanup: ExitStack) -> None:
        addresses = [refusing(cleanup) for _ in range(3)]
        goal = Goal(cleanup)
        race = ConnectRace(base, addresses, goal, timeout=30)
        race.start()
        assert base.dispatch() is False
        assert goal.errors == [(address, errno.ECONNREFUSED) for address in addresses]
        assert race.outcome is Outcome.FAILED

    def test_paths_that_fail_at_once(self, base: EventBase, cleanup: ExitStack, tmp_path: Path) -> None:
        dead, missing = str(tmp_path / "dead"), str(tmp_path / "missing")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(dead)
        goal = Goal(cleanup)
        ConnectRace(base, [dead, missing, "/" + "x" * 200], goal).start()
        assert goal.calls == []
        base.dispatch()
        *known, (too_long, number) = goal.errors
        assert known == [(dead, errno.ECONNREFUSED), (missing, errno.ENOENT)]
        assert len(str(too_long)) == 201
        assert number is None  # Python's own, which says "AF_UNIX path too long"

    def test_unix_socket_whose_queue_is_full(
        self, base: EventBase, cleanup: ExitStack, tmp_path: Path
    ) -> None:
        path = str(tmp_path / "s")
        server = cleanup.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(path)
        server.listen(0)
        for _ in range(8):
            if cleanup.enter_context(stream_socket(socket.AF_UNIX)).connect_ex(path):
                break
        else:
            pytest.skip("this system's queue has no end")
        other = serving(cleanup)
        goal = Goal(cleanup)
        race = ConnectRace(base, [path, address_of(other)], goal)
        race.start()
        base.dispatch()
        assert goal.sock.getpeername() == address_of(other)
        assert [address for address, _ in race.errors] == [path]

    def test_family_that_the_machine_lacks(
        self, base: EventBase, cleanup: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lacking(family: int) -> socket.socket:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            return stream_socket(family)

        monkeypatch.setattr(module, "stream_socket", lacking)
        server = serving(cleanup)
        goal = Goal(cleanup)
        race = ConnectRace(base, [("2001:db8::1", 80, 0, 0), address_of(server)], goal)
        race.start()
        base.dispatch()
        assert goal.sock.getpeername() == address_of(server)
        assert numbers(race.errors) == [(("2001:db8::1", 80, 0, 0), errno.EAFNOSUPPORT)]

    def test_no_descriptor_is_left(self, base: EventBase, cleanup: ExitStack) -> None:
        addresses = [address_of(serving(cleanup)) for _ in range(2)]
        goal = Goal(cleanup)
        race = ConnectRace(base, addresses, goal)
        with no_descriptors():
            race.start()
            base.dispatch()
        assert goal.errors == [(address, errno.EMFILE) for address in addresses]

    @needs_ipv6
    @pytest.mark.parametrize(
        "address",
        [("::1", 80, 1 << 40, 0), ("127.0.0.1", 80, 0, 0), "\0" + "x" * 200, "\ud800"],
        ids=["flow label", "scope of IPv4", "abstract name", "surrogate"],
    )
    def test_bad_address_keeps_no_other_from_being_tried(
        self, base: EventBase, cleanup: ExitStack, address: Address
    ) -> None:
        server = serving(cleanup)
        goal = Goal(cleanup)
        race = ConnectRace(base, [address, address_of(server)], goal)
        race.start()
        base.dispatch()
        assert goal.sock.getpeername() == address_of(server)
        ((failed, error),) = race.errors
        assert failed == address
        assert isinstance(error, OSError)

    def test_backend_that_refuses_the_descriptor(self, fakes: FakeBase, cleanup: ExitStack) -> None:
        addresses = [address_of(serving(cleanup)) for _ in range(2)]
        free = os.dup(0)
        os.close(free)
        fakes.backend.refuse(free, OSError(errno.ENOSPC, "no watch is left"))
        goal = Goal(cleanup)
        ConnectRace(fakes.base, addresses, goal).start()
        fakes.base.dispatch()
        assert goal.errors == [(address, errno.ENOSPC) for address in addresses]


class TestCancelling:
    def test_before_the_start(self, base: EventBase, cleanup: ExitStack) -> None:
        goal = Goal(cleanup)
        race = ConnectRace(base, [address_of(serving(cleanup))], goal)
        race.cancel()
        with pytest.raises(ValueError, match="started or cancelled before"):
            race.start()
        assert base.dispatch() is False
        assert goal.calls == []

    def test_while_two_are_under_way(
        self, manual_base: EventBase, clock: ManualClock, cleanup: ExitStack
    ) -> None:
        goal = Goal(cleanup)
        race = ConnectRace(manual_base, [silent(cleanup), silent(cleanup)], goal, timeout=30)
        race.start()
        clock.advance(0.25)
        manual_base.loop(EVLOOP_NONBLOCK)
        assert "under_way=2" in repr(race)
        race.cancel()
        race.cancel()
        assert manual_base.num_events(COUNT_ADDED | COUNT_ACTIVE) == 0
        assert manual_base.dispatch() is False
        assert goal.calls == []

    def test_between_the_end_and_the_callback(
        self, base: EventBase, cleanup: ExitStack, tmp_path: Path
    ) -> None:
        server = cleanup.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(tmp_path / "s"))
        server.listen()
        goal = Goal(cleanup)
        race = ConnectRace(base, [str(tmp_path / "s")], goal)
        race.start()
        assert race.outcome is Outcome.WON
        race.cancel()
        base.dispatch()
        assert goal.calls == []
        peer, _ = server.accept()
        with peer:
            assert peer.recv(1) == b""  # the connection that nobody will hear of is closed

    def test_in_the_callback_and_after_it_is_harmless(self, base: EventBase, cleanup: ExitStack) -> None:
        goal = Goal(cleanup, ConnectRace.cancel)
        race = ConnectRace(base, [address_of(serving(cleanup))], goal)
        race.start()
        base.dispatch()
        race.cancel()
        assert goal.sock.fileno() >= 0  # it is the callback's

    def test_in_a_callback_of_another_race_of_the_same_pass(
        self, base: EventBase, cleanup: ExitStack, tmp_path: Path
    ) -> None:
        server = cleanup.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(tmp_path / "s"))
        server.listen()
        second_goal = Goal(cleanup)
        second = ConnectRace(base, [str(tmp_path / "s")], second_goal)
        first_goal = Goal(cleanup, lambda _race: second.cancel())
        ConnectRace(base, [str(tmp_path / "s")], first_goal).start()
        second.start()
        base.dispatch()
        assert len(first_goal.calls) == 1
        assert second_goal.calls == []

    def test_when_the_base_is_closed(self, cleanup: ExitStack, tmp_path: Path) -> None:
        server = cleanup.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(str(tmp_path / "s"))
        server.listen()
        base = EventBase()
        goal = Goal(cleanup)
        races = [
            ConnectRace(base, [silent(cleanup)], goal, timeout=30),
            ConnectRace(base, [str(tmp_path / "s")], goal),
        ]
        for race in races:
            race.start()
        base.close()
        for race in races:
            race.cancel()
        assert goal.calls == []


class TestMisuse:
    def test_started_twice(self, base: EventBase, cleanup: ExitStack) -> None:
        goal = Goal(cleanup)
        race = ConnectRace(base, [refusing(cleanup)], goal)
        race.start()
        with pytest.raises(ValueError, match="started or cancelled before"):
            race.start()
        base.dispatch()
        with pytest.raises(ValueError, match="started or cancelled before"):
            race.start()
        assert len(goal.calls) == 1

    def test_closed_base(self, cleanup: ExitStack) -> None:
        base = EventBase()
        race = ConnectRace(base, [refusing(cleanup)], Goal(cleanup))
        base.close()
        with pytest.raises(LoopError, match="closed"):
            race.start()

    def test_host_name(self, base: EventBase) -> None:
        with pytest.raises(ValueError, match="look the name up first"):
            ConnectRace(base, [("localhost", 80)], print)

    def test_no_address(self, base: EventBase) -> None:
        with pytest.raises(ValueError, match="expected an address"):
            ConnectRace(base, [], print)

    @pytest.mark.parametrize("timeout", [-1.0, float("nan"), float("inf")])
    def test_bad_time_out(self, base: EventBase, timeout: float) -> None:
        with pytest.raises(ValueError, match="time-out"):
            ConnectRace(base, [("127.0.0.1", 1)], print, timeout=timeout)

    def test_callback_that_cannot_be_called(self, base: EventBase) -> None:
        with pytest.raises(TypeError, match="callable"):
            ConnectRace(base, [("127.0.0.1", 1)], None)  # type: ignore[arg-type]  # the test's point


class TestInterrupt:
    def test_in_start_leaves_nothing(
        self, base: EventBase, cleanup: ExitStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bad = str(Path("/nowhere/at/all"))

        def make(family: int) -> socket.socket:
            return stream_socket(family) if family == socket.AF_UNIX else _Interrupted(family)

        monkeypatch.setattr(module, "stream_socket", make)
        goal = Goal(cleanup)
        race = ConnectRace(base, [bad, ("127.0.0.1", 1)], goal, timeout=30)
        with pytest.raises(KeyboardInterrupt):
            race.start()
        assert base.dispatch() is False
        assert goal.calls == []
        assert "over" in repr(race)


class TestLife:
    def test_repr_shows_the_state(self, base: EventBase, cleanup: ExitStack) -> None:
        race = ConnectRace(base, [refusing(cleanup), refusing(cleanup)], Goal(cleanup))
        assert repr(race) == "<ConnectRace new addresses=2 under_way=0 errors=0>"
        race.start()
        assert repr(race) == "<ConnectRace racing addresses=2 under_way=1 errors=0>"
        base.dispatch()
        assert repr(race) == "<ConnectRace over addresses=2 under_way=0 errors=2>"

    def test_lets_go_of_its_callback_without_a_collector(
        self, manual_base: EventBase, clock: ManualClock, cleanup: ExitStack
    ) -> None:
        goal = Goal(cleanup)
        alive = weakref.ref(goal)
        race = ConnectRace(manual_base, [silent(cleanup), refusing(cleanup)], goal, timeout=1)
        race.start()
        clock.advance(0.25)
        while not race.errors:
            manual_base.loop(EVLOOP_ONCE)
        clock.advance(1)
        manual_base.dispatch()
        assert len(goal.calls) == 1
        del race, goal
        assert alive() is None

    def test_is_let_go_without_a_collector(self, base: EventBase, cleanup: ExitStack) -> None:
        goal = Goal(cleanup)
        gc.collect()
        gc.disable()
        try:
            ConnectRace(base, ["/nowhere", refusing(cleanup), address_of(serving(cleanup))], goal).start()
            base.dispatch()
            assert [number for _, number in numbers(goal.calls[0][1])] == [errno.ENOENT, errno.ECONNREFUSED]
            assert not any(isinstance(thing, ConnectRace) for thing in gc.get_objects())
        finally:
            gc.enable()

    def test_exception_of_the_callback_goes_to_the_handler(self, base: EventBase, cleanup: ExitStack) -> None:
        escaped: list[BaseException] = []
        base.exception_handler = lambda exception, _source: escaped.append(exception)

        def fail(race: ConnectRace) -> None:
            raise KeyError("mine")

        ConnectRace(base, [refusing(cleanup)], Goal(cleanup, fail)).start()
        base.dispatch()
        assert [repr(exception) for exception in escaped] == ["KeyError('mine')"]

    def test_a_race_from_the_callback_of_one(self, base: EventBase, cleanup: ExitStack) -> None:
        server = serving(cleanup)
        again = Goal(cleanup)
        goal = Goal(cleanup, lambda _race: ConnectRace(base, [address_of(server)], again).start())
        ConnectRace(base, [refusing(cleanup)], goal).start()
        base.dispatch()
        assert again.sock.getpeername() == address_of(server)


class HastyClock(ManualClock):
    """Moves on whenever somebody looks at it."""

    def monotonic(self) -> float:
        self.advance(0.001)
        return super().monotonic()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(["works", "refuses", "silent", "missing path"]), min_size=1, max_size=5),
    timeout=st.floats(0, 2),
    passes=st.none() | st.integers(0, 20),
)
def test_whatever_happens_nothing_is_left(
    open_descriptors: None, kinds: list[str], timeout: float, passes: int | None
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with ExitStack() as stack, EventBase(EventConfig(), clock=HastyClock()) as base:
        servers = [serving(stack) for kind in kinds if kind == "works"]
        working = {address_of(server) for server in servers}
        failing = [
            refusing(stack) if kind == "refuses" else silent(stack) if kind == "silent" else f"/nowhere/{n}"
            for n, kind in enumerate(kinds)
            if kind != "works"
        ]
        order = iter([*failing]), iter(sorted(working, key=str))
        addresses = [next(order[kind == "works"]) for kind in kinds]
        goal = Goal(stack)
        race = ConnectRace(base, addresses, goal, timeout=timeout, delay=0.1)
        race.start()
        for _ in range(passes if passes is not None else 100_000):
            if not base.loop(EVLOOP_NONBLOCK | EVLOOP_ONCE):
                break
        if passes is not None:
            race.cancel()
        assert base.num_events(COUNT_ADDED | COUNT_ACTIVE) == 0
        assert len(goal.calls) <= 1
        if passes is None:
            ((sock, errors),) = goal.calls
            tried = [address for address, _ in errors]
            assert len(set(tried)) == len(tried)
            assert set(tried) <= set(addresses)
            assert (sock is not None) is (race.outcome is Outcome.WON)
            assert sock is None or sock.getpeername() in working
            assert sock is not None or errors
        for _, error in race.errors:
            assert isinstance(error, OSError)
    assert len(os.listdir("/proc/self/fd")) == before
