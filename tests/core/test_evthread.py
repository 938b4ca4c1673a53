"""The waker: one write for many calls, and no interleaving after which it stays silent."""

import os
import select
import socket
import threading
from collections.abc import Iterator

import pytest

from evkit.core.evthread import Waker
from evkit.core.log import LOG_WARN, set_log_callback


@pytest.fixture(params=["eventfd", "pair"])
def waker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waker]:
    """A waker of each make."""
    if request.param == "pair":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif not hasattr(os, "eventfd"):
        pytest.skip("this system has no eventfd")
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


def test_many_wakes_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "eventfd_write"):
        pytest.skip("counts the writes to an eventfd")
    writes: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "eventfd_write", lambda fd, value: writes.append((fd, value)))
    waker = Waker()
    for _ in range(1000):
        waker.wake()
    assert writes == [(waker.fd, 1)]
    waker.clear()
    waker.wake()
    assert writes == [(waker.fd, 1)] * 2
    waker.close()


@pytest.mark.parametrize("before_read", [True, False])
def test_wake_in_the_middle_of_clear_loses_no_later_one(
    monkeypatch: pytest.MonkeyPatch, before_read: bool
) -> None:
    """Another thread wakes right before or after the read of `clear`: the next wake must make it readable again."""
    if not hasattr(os, "eventfd_read"):
        pytest.skip("interrupts the read of an eventfd")
    waker = Waker()
    read = os.eventfd_read

    def interrupted(fd: int) -> int:
        if before_read:
            waker.wake()
        value = read(fd)
        if not before_read:
            waker.wake()
        return value

    waker.wake()
    with monkeypatch.context() as patch:
        patch.setattr(os, "eventfd_read", interrupted)
        waker.clear()
    waker.wake()
    assert readable(waker)
    waker.close()


def test_full_descriptor_is_good_enough(waker: Waker) -> None:
    if waker._pair is None:
        os.eventfd_write(waker.fd, 2**64 - 2)
    else:
        fill(waker._pair[1])
    waker.wake()
    assert readable(waker)


def test_failure_is_logged(waker: Waker, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[int, str]] = []
    set_log_callback(lambda severity, message: lines.append((severity, message)))
    try:
        if waker._pair is None:

            def fail(fd: int, value: int) -> None:
                raise OSError(9, "Bad file descriptor")

            monkeypatch.setattr(os, "eventfd_write", fail)
        else:
            waker._pair[1].close()
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
