"""epoll, told at once and told late: what it makes of errors, and of descriptors that are closed behind its back."""

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from evkit.core.base import EventBase
from evkit.core.event import Event
from evkit.core.flags import EV_CLOSED, EV_PERSIST, EV_READ, EV_WRITE, EVLOOP_NONBLOCK, EVLOOP_ONCE
from evkit.core.log import set_log_callback

if not hasattr(select, "epoll"):
    pytest.skip("this system has no epoll", allow_module_level=True)

from evkit.core.backends.epoll import EpollBackend
from evkit.core.backends.epoll_changelist import EpollChangelistBackend

Pair = tuple[socket.socket, socket.socket]
EPOLLS = (EpollBackend, EpollChangelistBackend)


@pytest.fixture
def epoll() -> Iterator[EpollBackend]:
    backend = EpollBackend()
    yield backend
    backend.close()


@pytest.fixture
def late() -> Iterator[EpollChangelistBackend]:
    backend = EpollChangelistBackend()
    yield backend
    backend.close()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []
    set_log_callback(lambda _severity, message: found.append(message))
    yield found
    set_log_callback(None)


@pytest.fixture
def closed() -> int:
    """The number of a descriptor that is closed."""
    left, right = socket.socketpair()
    with left, right:
        return left.fileno()


def ready(backend: EpollBackend | EpollChangelistBackend) -> dict[int, int]:
    return {fd: backend.masks[native] for fd, native in backend.wait(0.0)}


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
def test_translation(epoll: EpollBackend, native: int, what: int) -> None:
    assert epoll.masks[native] == what


class TestRetries:
    """The books and the kernel differ: a descriptor was closed, reused or duplicated behind their back."""

    def test_modify_of_one_that_the_kernel_forgot(self, epoll: EpollBackend, pair: Pair) -> None:
        """Closed and reused, and its old event is still there: ENOENT."""
        left, right = socket.socketpair()
        number = left.fileno()
        epoll.change(number, 0, EV_READ)
        left.close()
        right.close()
        os.dup2(pair[0].fileno(), number)
        try:
            epoll.change(number, EV_READ, EV_READ | EV_WRITE)
            assert ready(epoll) == {number: EV_WRITE}
        finally:
            os.close(number)

    def test_register_of_one_that_the_kernel_still_knows(self, epoll: EpollBackend, pair: Pair) -> None:
        """Closed, its events deleted too late, and back by way of a duplicate: EEXIST."""
        number = os.dup(pair[0].fileno())
        epoll.change(number, 0, EV_READ)
        os.close(number)
        epoll.change(number, EV_READ, 0)
        os.dup2(pair[0].fileno(), number)
        try:
            epoll.change(number, 0, EV_WRITE)
            assert ready(epoll) == {number: EV_WRITE}
            epoll.change(number, EV_WRITE, 0)
            assert ready(epoll) == {}
        finally:
            os.close(number)

    def test_forgetting_one_that_the_kernel_does_not_know(
        self, epoll: EpollBackend, pair: Pair, closed: int
    ) -> None:
        """EBADF for a closed one, ENOENT for another file by then."""
        epoll.change(closed, EV_READ, 0)
        epoll.change(pair[0].fileno(), EV_READ, 0)
        assert ready(epoll) == {}

    def test_forgetting_a_file_that_epoll_does_not_take(self, epoll: EpollBackend, tmp_path: Path) -> None:
        """EPERM: a number that was a socket's is a regular file's by then."""
        with open(tmp_path / "file", "wb") as file:
            epoll.change(file.fileno(), EV_READ, 0)
        assert ready(epoll) == {}

    @pytest.mark.parametrize("old", [0, EV_READ])
    def test_closed_descriptor_is_refused(self, epoll: EpollBackend, closed: int, old: int) -> None:
        with pytest.raises(OSError, match="Bad file descriptor"):
            epoll.change(closed, old, EV_WRITE)

    @pytest.mark.parametrize("old", [0, EV_READ])
    def test_regular_file_is_refused(self, epoll: EpollBackend, tmp_path: Path, old: int) -> None:
        with open(tmp_path / "file", "wb") as file, pytest.raises(PermissionError):
            epoll.change(file.fileno(), old, EV_WRITE)


class TestDuplicates:
    """What can't work, as the docstrings tell: these are rules of the kernel."""

    def test_two_numbers_of_one_file_are_two_registrations(self, epoll: EpollBackend, pair: Pair) -> None:
        copy = os.dup(pair[0].fileno())
        try:
            epoll.change(copy, 0, EV_WRITE)
            epoll.change(pair[0].fileno(), 0, EV_READ)
            pair[1].send(b"x")
            assert ready(epoll) == {copy: EV_WRITE, pair[0].fileno(): EV_READ}
            epoll.change(copy, EV_WRITE, 0)
        finally:
            os.close(copy)
        assert ready(epoll) == {pair[0].fileno(): EV_READ}

    def test_number_closed_too_early_is_reported_until_its_duplicate_is_closed(
        self, epoll: EpollBackend
    ) -> None:
        left, right = socket.socketpair()
        number, copy = left.fileno(), os.dup(left.fileno())
        epoll.change(number, 0, EV_WRITE)
        left.close()
        epoll.change(number, EV_WRITE, 0)
        assert ready(epoll) == {number: EV_WRITE}
        os.close(copy)
        assert ready(epoll) == {}
        right.close()

    @pytest.mark.parametrize("backend", EPOLLS)
    def test_number_closed_in_time_is_forgotten_if_the_kernel_was_told(
        self, backend: type[EpollBackend | EpollChangelistBackend]
    ) -> None:
        """The changelist tells it later: why it is unsafe with duplicates."""
        epoll = backend()
        left, right = socket.socketpair()
        number, copy = left.fileno(), os.dup(left.fileno())
        epoll.change(number, 0, EV_WRITE)
        assert ready(epoll) == {number: EV_WRITE}
        epoll.change(number, EV_WRITE, 0)
        left.close()
        assert ready(epoll) == ({} if backend is EpollBackend else {number: EV_WRITE})
        os.close(copy)
        assert ready(epoll) == {}
        right.close()
        epoll.close()


class TestChangelist:
    def test_kernel_hears_nothing_of_what_cancels_out(
        self, late: EpollChangelistBackend, closed: int, lines: list[str]
    ) -> None:
        """It would refuse this one."""
        late.change(closed, 0, EV_READ)
        late.change(closed, EV_READ, 0)
        assert ready(late) == {}
        assert lines == []

    def test_kernel_hears_of_one_that_was_forgotten_and_wanted_again(
        self, late: EpollChangelistBackend, pair: Pair
    ) -> None:
        """Closed and reused in between."""
        left, right = socket.socketpair()
        number = left.fileno()
        late.change(number, 0, EV_WRITE)
        assert ready(late) == {number: EV_WRITE}
        late.change(number, EV_WRITE, 0)
        left.close()
        right.close()
        os.dup2(pair[0].fileno(), number)
        try:
            late.change(number, 0, EV_WRITE)
            assert ready(late) == {number: EV_WRITE}
        finally:
            os.close(number)

    def test_refused_one_is_reported_at_every_wait_beside_the_others(
        self, late: EpollChangelistBackend, pair: Pair, closed: int, lines: list[str]
    ) -> None:
        fd = pair[0].fileno()
        late.change(closed, 0, EV_READ)
        late.change(fd, 0, EV_WRITE)
        everything = EV_READ | EV_WRITE | EV_CLOSED
        assert ready(late) == ready(late) == {closed: everything, fd: EV_WRITE}
        late.change(closed, EV_READ, 0)
        assert ready(late) == {fd: EV_WRITE}
        assert len(lines) == 1
        assert "Bad file descriptor" in lines[0]

    def test_refused_one_is_taken_once_the_kernel_takes_it(
        self, late: EpollChangelistBackend, pair: Pair, closed: int, lines: list[str]
    ) -> None:
        late.change(closed, 0, EV_READ)
        assert closed in ready(late)
        os.dup2(pair[0].fileno(), closed)
        try:
            assert ready(late) == {}
            pair[1].send(b"x")
            assert ready(late) == {closed: EV_READ}
        finally:
            os.close(closed)

    def test_event_of_a_refused_one_is_called(self, tmp_path: Path, lines: list[str]) -> None:
        """Until it is deleted, as on poll."""
        log: list[int] = []

        def read(event: Event, what: int) -> None:
            log.append(what)
            if not os.read(event.fd, 3):
                event.delete()

        path = tmp_path / "file"
        path.write_bytes(b"content")
        with open(path, "rb") as file, EventBase(backend=EpollChangelistBackend()) as base:
            base.event(file, EV_READ | EV_PERSIST, read).add(60)
            assert base.dispatch() is False
        assert log == [EV_READ] * 4
        assert len(lines) == 1

    def test_changes_of_callbacks_count_in_the_same_pass(self, pair: Pair) -> None:
        """A callback adds, deletes and adds again; the next poll knows."""
        log: list[str] = []
        with EventBase(backend=EpollChangelistBackend()) as base:
            reader = base.event(pair[0], EV_READ, lambda _event, _what: log.append("read"))

            def write(_event: Event, _what: int) -> None:
                reader.add()
                reader.delete()
                reader.add()
                pair[1].send(b"x")

            base.event(pair[1], EV_WRITE, write).add()
            base.loop(EVLOOP_ONCE | EVLOOP_NONBLOCK)
            assert base.dispatch() is False
        assert log == ["read"]
