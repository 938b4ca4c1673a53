"""The contract that every backend keeps, and what poll and select can and can't."""

import os
import resource
import select
import socket
import stat
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from every_backend import CHANGELIST, EVERY_BACKEND, FEATURES
from evkit.core.backends import _ORDER, BACKENDS, IO_BITS, Backend, KqueueBackend, PollBackend, SelectBackend
from evkit.core.backends.contract import MaskTable
from evkit.core.backends.epoll import EpollBackend
from evkit.core.flags import (
    EV_CLOSED,
    EV_ET,
    EV_READ,
    EV_WRITE,
    FEATURE_EARLY_CLOSE,
    FEATURE_ET,
    FEATURE_FDS,
    FEATURE_O1,
)
from evkit.core.loop import LONGEST_POLL

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=EVERY_BACKEND)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each backend, on its own."""
    made = EVERY_BACKEND[request.param]()
    yield made
    made.close()


def having(features: int) -> pytest.MarkDecorator:
    """Run a test on the backends that have these features."""
    names = [name for name, bits in FEATURES.items() if bits & features]
    return pytest.mark.parametrize("backend", names, indirect=True)


def ready(backend: Backend, timeout: float | None = 0.0) -> dict[int, int]:
    return {fd: backend.masks[native] for fd, native in backend.wait(timeout)}


class TestContract:
    def test_nothing_wanted_nothing_ready(self, backend: Backend) -> None:
        assert backend.wait(0.0) == []

    def test_reports_what_is_wanted_and_ready(self, backend: Backend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_READ)
        assert ready(backend) == {}
        pair[1].send(b"x")
        assert ready(backend) == {fd: EV_READ}
        backend.change(fd, EV_READ, EV_READ | EV_WRITE)
        assert ready(backend) == {fd: EV_READ | EV_WRITE}
        backend.change(fd, EV_READ | EV_WRITE, EV_WRITE)
        assert ready(backend) == {fd: EV_WRITE}
        backend.change(fd, EV_WRITE, 0)
        assert ready(backend) == {}

    def test_reports_again_until_it_is_read(self, backend: Backend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_READ)
        pair[1].send(b"x")
        assert ready(backend) == ready(backend) == {fd: EV_READ}
        pair[0].recv(1)
        assert ready(backend) == {}

    def test_reports_several_descriptors(self, backend: Backend, pair: Pair) -> None:
        for end in pair:
            backend.change(end.fileno(), 0, EV_WRITE)
        assert ready(backend) == {end.fileno(): EV_WRITE for end in pair}

    def test_waits_until_something_is_ready(self, backend: Backend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_WRITE)
        assert ready(backend, None) == ready(backend, 3600.0) == {fd: EV_WRITE}

    def test_takes_any_length_of_wait(self, backend: Backend, pair: Pair) -> None:
        backend.change(pair[0].fileno(), 0, EV_WRITE)
        assert ready(backend, LONGEST_POLL) == {pair[0].fileno(): EV_WRITE}

    @pytest.mark.parametrize("timeout", [0.0001, 0.0015])
    def test_never_ends_early_where_nothing_is_ready(self, backend: Backend, timeout: float) -> None:
        """A bound from below, which no slow machine breaks: a timer that fires early would poll twice."""
        start = time.monotonic()
        assert backend.wait(timeout) == []
        assert time.monotonic() - start >= timeout

    def test_never_ends_early_for_want_of_a_change(self, backend: Backend) -> None:
        """Forgetting what the system has forgotten already is nothing to wake up for."""
        left, right = socket.socketpair()
        backend.change(left.fileno(), 0, EV_READ)
        backend.wait(0.0)
        backend.change(left.fileno(), EV_READ, 0)
        left.close()
        right.close()
        start = time.monotonic()
        assert backend.wait(0.0015) == []
        assert time.monotonic() - start >= 0.0015

    def test_end_of_file_wakes_a_reader(self, backend: Backend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_READ)
        pair[1].close()
        assert ready(backend)[fd] & EV_READ

    @pytest.mark.parametrize("first", ["wait", "close"])
    def test_broken_pipe_wakes_a_writer(self, backend: Backend, first: str) -> None:
        """At every wait, be it broken before or after the system was told."""
        reader, writer = os.pipe()
        try:
            backend.change(writer, 0, EV_WRITE)
            if first == "wait":
                assert ready(backend) == {writer: EV_WRITE}
            os.close(reader)
            assert ready(backend)[writer] & EV_WRITE
            assert ready(backend)[writer] & EV_WRITE
            backend.change(writer, EV_WRITE, 0)
            assert ready(backend) == {}
        finally:
            os.close(writer)

    def test_reset_wakes_whoever_waits(self, backend: Backend, tcp: Pair) -> None:
        """An error must reach reader and writer, or the kernel reports it for ever."""
        fd = tcp[0].fileno()
        for wanted in (EV_READ, EV_WRITE):
            backend.change(fd, 0, wanted)
            if wanted == EV_READ:
                reset(tcp[1])
            assert ready(backend, 30.0)[fd] & wanted
            backend.change(fd, wanted, 0)

    def test_forgetting_one_after_close_is_harmless(self, backend: Backend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_READ)
        backend.wait(0.0)
        backend.close()
        backend.change(
            fd, EV_READ, 0
        )  # what does not raise goes on: an event is deleted after its base was closed
        pair[1].send(b"x")
        assert pair[0].recv(9) == b"x"

    def test_close_twice(self, backend: Backend) -> None:
        backend.close()
        with socket.socket() as newcomer:  # has the number that the backend had, if that had one
            backend.close()
            assert stat.S_ISSOCK(os.fstat(newcomer.fileno()).st_mode)

    def test_masks_are_translated_once(self) -> None:
        asked: list[int] = []

        def translate(native: int) -> int:
            asked.append(native)
            return native * 2

        table = MaskTable(translate)
        assert [table[3], table[3], table[5]] == [6, 6, 10]
        assert asked == [3, 5]


@pytest.fixture
def tcp() -> Iterator[Pair]:
    """A connection over loopback, whose second end may be reset."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    near.setblocking(False)
    with near, far:
        yield near, far


def reset(end: socket.socket) -> None:
    """Close it so that the other end gets an error, and no orderly end."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


# Peers in four states, and what of a socket is ready then, whoever asks.
IDLE, TALKING, HALF_CLOSED, GONE = range(4)
READY = {
    IDLE: EV_WRITE,
    TALKING: EV_READ | EV_WRITE,
    HALF_CLOSED: EV_READ | EV_WRITE | EV_CLOSED,
    GONE: EV_READ | EV_WRITE | EV_CLOSED,
}
WAIT = "wait"
STEPS = st.lists(
    st.one_of(st.just(WAIT), st.tuples(st.sampled_from(sorted(READY)), st.integers(0, 7))), max_size=40
)


@pytest.mark.parametrize("name", EVERY_BACKEND)
@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_any_changes_leave_what_is_wanted(name: str, steps: list[str | tuple[int, int]]) -> None:
    """Whatever is changed between two waits, a wait reports what is wanted then and ready, and forgets nothing."""
    backend = EVERY_BACKEND[name]()
    pairs = [socket.socketpair() for _ in READY]
    wanted = dict.fromkeys(READY, 0)
    try:
        pairs[TALKING][1].send(b"x")
        pairs[HALF_CLOSED][1].shutdown(socket.SHUT_WR)
        pairs[GONE][1].close()
        for step in [*steps, WAIT]:
            if isinstance(step, str):
                found = ready(backend)
                for state in READY:
                    bits = found.get(pairs[state][0].fileno(), 0)
                    # What is forgotten is not reported at all; else errors may be, to whoever waits for whatever.
                    assert (bits & wanted[state] if wanted[state] else bits) == wanted[state] & READY[state]
            else:
                state, number = step
                new = mask(number, backend.features)
                backend.change(pairs[state][0].fileno(), wanted[state], new)
                wanted[state] = new
    finally:
        backend.close()
        for pair in pairs:
            for end in pair:
                end.close()


def mask(number: int, features: int) -> int:
    """Return one of the eight masks, without what the backend can't."""
    wanted = (EV_READ if number & 1 else 0) | (EV_WRITE if number & 2 else 0)
    return wanted | (EV_CLOSED if number & 4 and features & FEATURE_EARLY_CLOSE else 0)


class TestEdge:
    @having(FEATURE_ET)
    def test_is_reported_once(self, backend: Backend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_READ | EV_ET)
        assert ready(backend) == {}
        for _ in range(2):
            pair[1].send(b"x")
            assert ready(backend) == {fd: EV_READ}
            assert ready(backend) == {}

    @having(FEATURE_ET)
    def test_comes_again_when_all_was_read(self, backend: Backend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_READ | EV_ET)
        for _ in range(2):
            pair[1].send(b"x")
            assert ready(backend) == {fd: EV_READ}
            assert pair[0].recv(2) == b"x"
        assert ready(backend) == {}

    @having(FEATURE_ET)
    def test_of_writing(self, backend: Backend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_WRITE | EV_ET)
        assert ready(backend) == {fd: EV_WRITE}
        assert ready(backend) == {}
        fill(pair[0])
        assert ready(backend) == {}
        drain(pair[1])
        assert ready(backend) == {fd: EV_WRITE}
        assert ready(backend) == {}

    @having(FEATURE_ET)
    @pytest.mark.parametrize("commit", [False, True])
    def test_gives_way_to_level_and_back(self, backend: Backend, pair: Pair, *, commit: bool) -> None:
        """One event is deleted and another added: with a wait between the two, or without."""
        fd = pair[0].fileno()
        pair[1].send(b"x")
        edge, level = EV_READ | EV_ET, EV_READ
        old = 0
        for new, waits in ((edge, [{fd: EV_READ}, {}]), (level, [{fd: EV_READ}] * 2)) * 2:
            backend.change(fd, old, 0)
            if commit:
                assert ready(backend) == {}
            backend.change(fd, 0, new)
            assert [ready(backend), ready(backend)] == waits
            old = new

    @having(FEATURE_ET)
    def test_of_closing(self, backend: Backend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_CLOSED | EV_ET)
        pair[1].send(b"x")
        assert ready(backend).get(fd, 0) & EV_CLOSED == 0
        pair[1].shutdown(socket.SHUT_WR)
        assert ready(backend)[fd] & EV_CLOSED
        assert ready(backend) == {}


def fill(end: socket.socket) -> None:
    try:
        while True:
            end.send(bytes(65536))
    except BlockingIOError:
        pass


def drain(end: socket.socket) -> None:
    try:
        while end.recv(65536):
            pass
    except BlockingIOError:
        pass


@having(FEATURE_EARLY_CLOSE)
class TestClosing:
    """`EV_CLOSED`: the peer's last byte is sent, whether all bytes are read or not."""

    @pytest.mark.parametrize("wanted", [EV_CLOSED, EV_READ | EV_CLOSED])
    @pytest.mark.parametrize("unread", [b"", b"unread"])
    def test_of_one_half(self, backend: Backend, tcp: Pair, wanted: int, unread: bytes) -> None:
        fd = tcp[0].fileno()
        backend.change(fd, 0, wanted)
        tcp[1].sendall(unread)
        if unread and wanted & EV_READ:
            assert ready(backend, 30.0) == {fd: EV_READ}
        assert ready(backend).get(fd, 0) & EV_CLOSED == 0
        tcp[1].shutdown(socket.SHUT_WR)
        found = until_closed(backend, fd)
        assert found & wanted == wanted
        assert ready(backend)[fd] & wanted == wanted  # and again, until it is forgotten

    def test_does_not_wake_for_data_for_ever(self, backend: Backend, pair: Pair) -> None:
        """Data that nobody reads, as only closing is waited for, must not keep a loop busy."""
        backend.change(pair[0].fileno(), 0, EV_CLOSED)
        pair[1].send(b"unread")
        backend.wait(0.0)
        start = time.monotonic()
        assert backend.wait(0.0015) == []
        assert time.monotonic() - start >= 0.0015

    def test_survives_the_reader(self, backend: Backend, pair: Pair) -> None:
        """Who waits for both, then for closing alone, then for both again, misses nothing."""
        fd = pair[0].fileno()
        both = EV_READ | EV_CLOSED
        pair[1].send(b"x")
        backend.change(fd, 0, both)
        assert ready(backend) == {fd: EV_READ}
        backend.change(fd, both, EV_CLOSED)
        assert ready(backend) == {}
        backend.change(fd, EV_CLOSED, both)
        assert ready(backend) == ready(backend) == {fd: EV_READ}
        pair[1].close()
        assert ready(backend)[fd] & both == both
        backend.change(fd, both, EV_CLOSED)
        assert ready(backend)[fd] & EV_CLOSED

    def test_reset_is_heard(self, backend: Backend, tcp: Pair) -> None:
        fd = tcp[0].fileno()
        backend.change(fd, 0, EV_CLOSED)
        reset(tcp[1])
        assert ready(backend, 30.0)[fd] & EV_CLOSED


def until_closed(backend: Backend, fd: int) -> int:
    """Wait until closing is reported, which may take the loopback a moment longer than data that is there already."""
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        found = ready(backend, 30.0).get(fd, 0)
        if found & EV_CLOSED:
            return found
    raise AssertionError("closing was never reported")


class TestClosedDescriptors:
    """Closed, and perhaps opened anew for something else, while a backend knows it."""

    @pytest.mark.parametrize("told", [False, True])
    def test_forgetting_one_is_harmless(self, backend: Backend, *, told: bool) -> None:
        left, right = socket.socketpair()
        fd = left.fileno()
        backend.change(fd, 0, EV_READ | EV_WRITE)
        if told:
            assert ready(backend) == {fd: EV_WRITE}
        left.close()
        right.close()
        backend.change(fd, EV_READ | EV_WRITE, 0)
        assert ready(backend) == {}

    @pytest.mark.parametrize("forget", [False, True])
    def test_reused_one_is_waited_for_anew(self, backend: Backend, pair: Pair, *, forget: bool) -> None:
        """With its old event deleted, before or after it was closed, or with a new one beside the old."""
        left, right = socket.socketpair()
        fd = left.fileno()
        backend.change(fd, 0, EV_READ)
        assert ready(backend) == {}
        left.close()
        right.close()
        os.dup2(pair[0].fileno(), fd)
        try:
            if forget:
                backend.change(fd, EV_READ, 0)
                backend.change(fd, 0, EV_READ | EV_WRITE)
            else:
                backend.change(fd, EV_READ, EV_READ | EV_WRITE)
            assert ready(backend) == {fd: EV_WRITE}
            pair[1].send(b"x")
            assert ready(backend) == {fd: EV_READ | EV_WRITE}
        finally:
            os.close(fd)

    def test_reused_one_that_nobody_waits_for_is_left_alone(self, backend: Backend, pair: Pair) -> None:
        left, right = socket.socketpair()
        fd = left.fileno()
        backend.change(fd, 0, EV_WRITE)
        assert ready(backend) == {fd: EV_WRITE}
        backend.change(fd, EV_WRITE, 0)
        left.close()
        right.close()
        os.dup2(pair[0].fileno(), fd)
        try:
            assert ready(backend) == {}
        finally:
            os.close(fd)


class TestRegularFiles:
    def test_are_taken_refused_or_reported_at_every_wait(self, backend: Backend, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"content")
        with open(path, "rb") as file:
            fd = file.fileno()
            if backend.features & FEATURE_FDS:
                backend.change(fd, 0, EV_READ)
                assert ready(backend) == ready(backend) == {fd: EV_READ}
            elif backend.name == CHANGELIST:
                backend.change(fd, 0, EV_READ)
                assert ready(backend) == ready(backend, None) == {fd: IO_BITS}
            else:
                with pytest.raises(PermissionError):
                    backend.change(fd, 0, EV_READ)


@pytest.mark.parametrize(
    ("make", "name", "features"),
    [
        (KqueueBackend, "kqueue", FEATURE_ET | FEATURE_O1 | FEATURE_FDS | FEATURE_EARLY_CLOSE),
        (EpollBackend, "epoll", FEATURE_ET | FEATURE_O1 | FEATURE_EARLY_CLOSE),
        (PollBackend, "poll", FEATURE_FDS | FEATURE_EARLY_CLOSE),
        (SelectBackend, "select", FEATURE_FDS),
    ],
)
def test_names_and_features_are_libevents(
    make: type[KqueueBackend | EpollBackend | PollBackend | SelectBackend], name: str, features: int
) -> None:
    """But for kqueue's early close, which libevent lacks."""
    assert (make.name, make.features) == (name, features)


def test_libevents_order_of_preference() -> None:
    """No system has them all, so what there is can't tell of the order of all."""
    order = [backend.name for backend in _ORDER]
    assert order == ["kqueue", "epoll", "poll", "select"]
    assert [backend.name for backend in BACKENDS] == [name for name in order if hasattr(select, name)]


class TestPoll:
    @pytest.mark.parametrize(
        ("native", "what"),
        [
            (select.POLLIN, EV_READ),
            (select.POLLOUT, EV_WRITE),
            (select.POLLIN | select.POLLRDHUP, EV_READ | EV_CLOSED),
            (select.POLLERR, EV_READ | EV_WRITE | EV_CLOSED),
            (select.POLLHUP, EV_READ | EV_WRITE | EV_CLOSED),
            (select.POLLNVAL, EV_READ | EV_WRITE | EV_CLOSED),
        ],
    )
    def test_translation(self, native: int, what: int) -> None:
        assert PollBackend().masks[native] == what

    def test_closed_descriptor_is_reported(self) -> None:
        left, right = socket.socketpair()
        fd = left.fileno()
        backend = PollBackend()
        backend.change(fd, 0, EV_READ)
        left.close()
        right.close()
        assert ready(backend)[fd] & EV_READ


class TestSelect:
    def test_descriptor_beyond_its_limit_is_refused(self) -> None:
        backend = SelectBackend()
        with pytest.raises(OSError, match="below 1024, got 1024"):
            backend.change(1024, 0, EV_READ)
        assert backend.wait(0.0) == []
        backend.change(1024, EV_READ, 0)

    def test_last_descriptor_that_it_takes(self, pair: Pair) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < 1024:
            pytest.skip(f"this process may open {soft} descriptors only")
        os.dup2(pair[0].fileno(), 1023)
        try:
            backend = SelectBackend()
            backend.change(1023, 0, EV_WRITE)
            assert ready(backend) == {1023: EV_WRITE}
        finally:
            os.close(1023)
