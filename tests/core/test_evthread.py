"""The waker: one write for many calls, and no interleaving after which it stays silent."""

import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from evkit.core.evthread import Waker
from evkit.core.log import LOG_WARN, set_log_callback


@pytest.fixture
def waker() -> Iterator[Waker]:
    waker = Waker()
    yield waker
    waker.close()


def readable(waker: Waker) -> bool:
    return bool(select.select([waker.fd], [], [], 0)[0])


def fill(end: socket.socket) -> None:
    try:
        while True:
            end.send(b"x" * 65536)
    except BlockingIOError:
        pass


def test_readable_from_wake_to_clear(waker: Waker) -> None:
    assert not readable(waker)
    waker.wake()
    assert readable(waker)
    waker.clear()
    assert not readable(waker)
    waker.wake()
    assert readable(waker)


def test_clear_without_wake_is_harmless(waker: Waker) -> None:
    waker.clear()
    assert not readable(waker)


def waiting(waker: Waker) -> int:
    """Return how many writes nobody has read."""
    return len(waker._reader.recv(4096, socket.MSG_PEEK))


def test_many_wakes_are_one_write(waker: Waker) -> None:
    for _ in range(1000):
        waker.wake()
    assert waiting(waker) == 1
    waker.clear()
    waker.wake()
    assert waiting(waker) == 1


class Interrupted(socket.socket):
    """A socket whose reads another thread gets in between."""

    def __init__(self, end: socket.socket, before: Callable[[], object], after: Callable[[], object]) -> None:
        super().__init__(fileno=end.detach())
        self.setblocking(False)
        self.before, self.after = before, after

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        self.before()
        data = super().recv(size, flags)
        self.after()
        return data


def nothing() -> None:
    """Stand in for the other thread, which does nothing at this point."""


@pytest.mark.parametrize("before_read", [True, False])
def test_wake_in_the_middle_of_clear_loses_no_later_one(waker: Waker, before_read: bool) -> None:
    """Another thread wakes right before or after the read of `clear`: the next wake must make it readable again."""
    waker._reader = Interrupted(
        waker._reader,
        before=waker.wake if before_read else nothing,
        after=nothing if before_read else waker.wake,
    )
    waker.wake()
    waker.clear()
    waker.wake()
    assert readable(waker)


def test_clear_that_is_cut_short_loses_no_later_one(waker: Waker) -> None:
    """A second Ctrl-C comes at any line, also right after the read of `clear`."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    waker._reader = Interrupted(waker._reader, before=nothing, after=interrupt)
    waker.wake()
    with pytest.raises(KeyboardInterrupt):
        waker.clear()
    waker.wake()
    assert readable(waker)


def test_its_state_is_in_its_repr() -> None:
    waker = Waker()
    number = waker.fd
    assert repr(waker) == f"<Waker fd={number} quiet>"
    waker.wake()
    assert repr(waker) == f"<Waker fd={number} woken>"
    waker.clear()
    assert repr(waker) == f"<Waker fd={number} quiet>"
    waker.close()
    assert repr(waker) == f"<Waker fd={number} closed>"


def test_a_signal_makes_it_readable(waker: Waker) -> None:
    before = signal.signal(signal.SIGUSR1, lambda _signum, _frame: None)
    signal.set_wakeup_fd(waker.signal_fd)
    try:
        signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR1, before)
    assert readable(waker)
    waker.clear()
    assert not readable(waker)


def test_full_descriptor_is_good_enough(waker: Waker) -> None:
    fill(waker._writer)
    waker.wake()
    assert readable(waker)


def test_failure_is_logged(waker: Waker) -> None:
    lines: list[tuple[int, str]] = []
    set_log_callback(lambda severity, message: lines.append((severity, message)))
    try:
        waker._writer.close()
        waker.wake()
    finally:
        set_log_callback(None)
    assert lines == [(LOG_WARN, "the event base could not be woken: [Errno 9] Bad file descriptor")]


def test_wake_after_close_does_nothing(waker: Waker) -> None:
    other = Waker()
    number = other.fd
    other.close()
    other.wake()
    assert number >= 0
    assert not readable(waker)


def test_any_thread_may_wake(waker: Waker) -> None:
    threads = [threading.Thread(target=waker.wake) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert readable(waker)
    waker.clear()
    assert not readable(waker)


def test_no_descriptor_is_left(open_descriptors: None) -> None:
    for _ in range(3):
        waker = Waker()
        waker.wake()
        waker.close()
