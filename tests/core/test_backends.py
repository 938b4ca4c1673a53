"""The contract that every backend keeps, and what each of them can and can't."""

import os
import resource
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evkit.core.backends import BACKENDS, Backend, EpollBackend, PollBackend, SelectBackend
from evkit.core.backends.contract import MaskTable
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


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Each backend, on its own."""
    made: Backend = request.param()
    yield made
    made.close()


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

    def test_end_of_file_wakes_a_reader(self, backend: Backend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_READ)
        pair[1].close()
        assert ready(backend)[fd] & EV_READ

    def test_broken_pipe_wakes_a_writer(self, backend: Backend) -> None:
        reader, writer = os.pipe()
        try:
            backend.change(writer, 0, EV_WRITE)
            os.close(reader)
            assert ready(backend)[writer] & EV_WRITE
        finally:
            os.close(writer)

    def test_forgetting_a_closed_descriptor_is_harmless(self, backend: Backend) -> None:
        left, right = socket.socketpair()
        fd = left.fileno()
        backend.change(fd, 0, EV_READ | EV_WRITE)
        left.close()
        right.close()
        backend.change(fd, EV_READ | EV_WRITE, 0)
        assert ready(backend) == {}

    def test_forgetting_one_after_close_is_harmless(self, backend: Backend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_READ)
        backend.close()
        backend.change(fd, EV_READ, 0)

    def test_close_twice(self, backend: Backend) -> None:
        backend.close()
        backend.close()
        assert backend.name in {"epoll", "poll", "select"}

    def test_masks_are_translated_once(self) -> None:
        asked: list[int] = []

        def translate(native: int) -> int:
            asked.append(native)
            return native * 2

        table = MaskTable(translate)
        assert [table[3], table[3], table[5]] == [6, 6, 10]
        assert asked == [3, 5]


@pytest.mark.parametrize(
    ("make", "name", "features"),
    [
        (EpollBackend, "epoll", FEATURE_ET | FEATURE_O1 | FEATURE_EARLY_CLOSE),
        (PollBackend, "poll", FEATURE_FDS | FEATURE_EARLY_CLOSE),
        (SelectBackend, "select", FEATURE_FDS),
    ],
)
def test_names_and_features_are_libevents(make: Callable[[], Backend], name: str, features: int) -> None:
    backend = make()
    assert (backend.name, backend.features) == (name, features)
    backend.close()


def test_libevents_order_of_preference() -> None:
    assert [backend.name for backend in BACKENDS] == [
        name for name in ("epoll", "poll", "select") if hasattr(select, name)
    ]


class TestRegularFiles:
    def test_are_taken_where_the_features_say_so(self, backend: Backend, tmp_path: Path) -> None:
        with open(tmp_path / "file", "wb+") as file:
            if backend.features & FEATURE_FDS:
                backend.change(file.fileno(), 0, EV_READ)
                assert ready(backend) == {file.fileno(): EV_READ}
            else:
                with pytest.raises(PermissionError):
                    backend.change(file.fileno(), 0, EV_READ)


class TestEpoll:
    @pytest.fixture
    def epoll(self) -> Iterator[EpollBackend]:
        backend = EpollBackend()
        yield backend
        backend.close()

    def test_edge_is_reported_once(self, epoll: EpollBackend, pair: Pair) -> None:
        fd = pair[0].fileno()
        epoll.change(fd, 0, EV_READ | EV_ET)
        pair[1].send(b"x")
        assert ready(epoll) == {fd: EV_READ}
        assert ready(epoll) == {}
        pair[1].send(b"x")
        assert ready(epoll) == {fd: EV_READ}

    def test_modify_of_one_that_the_kernel_forgot(self, epoll: EpollBackend, pair: Pair) -> None:
        """Closed and reused: the books say it is known (ENOENT)."""
        fd = pair[0].fileno()
        epoll.change(fd, EV_READ, EV_READ | EV_WRITE)
        assert ready(epoll) == {fd: EV_WRITE}

    def test_register_of_one_that_the_kernel_still_knows(self, epoll: EpollBackend, pair: Pair) -> None:
        """Closed, but a duplicate lives: the books say it is not known (EEXIST)."""
        fd = pair[0].fileno()
        epoll.change(fd, 0, EV_READ)
        epoll.change(fd, 0, EV_WRITE)
        assert ready(epoll) == {fd: EV_WRITE}

    @pytest.mark.parametrize("old", [0, EV_READ])
    def test_closed_descriptor_is_refused(self, epoll: EpollBackend, old: int) -> None:
        left, right = socket.socketpair()
        fd = left.fileno()
        left.close()
        right.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            epoll.change(fd, old, EV_WRITE)

    @pytest.mark.parametrize(
        ("native", "what"),
        [
            (select.EPOLLIN, EV_READ),
            (select.EPOLLOUT, EV_WRITE),
            (select.EPOLLIN | select.EPOLLRDHUP, EV_READ | EV_CLOSED),
            (select.EPOLLHUP | select.EPOLLRDHUP | select.EPOLLIN, EV_READ | EV_CLOSED),
            # Whoever waits, for whatever, must hear of these, or the kernel reports them for ever.
            (select.EPOLLERR, EV_READ | EV_WRITE | EV_CLOSED),
            (select.EPOLLHUP, EV_READ | EV_WRITE | EV_CLOSED),
            (select.EPOLLERR | select.EPOLLHUP | select.EPOLLRDHUP, EV_READ | EV_WRITE | EV_CLOSED),
        ],
    )
    def test_translation(self, epoll: EpollBackend, native: int, what: int) -> None:
        assert epoll.masks[native] == what


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
