"""kqueue over a model of the system's side: what is told in which call, and what is made of the results."""

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from every_backend import kqueue_over
from evkit.core.backends import IO_BITS
from evkit.core.backends.kqueue import KqueueBackend
from evkit.core.base import EventBase
from evkit.core.event import Event
from evkit.core.flags import EV_CLOSED, EV_ET, EV_READ, EV_WRITE
from evkit.core.log import set_log_callback
from kqueue_model import Kevent, KqueueModel

READ, WRITE = KqueueModel.KQ_FILTER_READ, KqueueModel.KQ_FILTER_WRITE
ADD, DELETE, CLEAR = KqueueModel.KQ_EV_ADD, KqueueModel.KQ_EV_DELETE, KqueueModel.KQ_EV_CLEAR
ERROR, EOF = KqueueModel.KQ_EV_ERROR, KqueueModel.KQ_EV_EOF
FD = 10**6  # no descriptor: for what is answered by a script

Pair = tuple[socket.socket, socket.socket]
Spelt = list[tuple[int, int, int]]


@pytest.fixture
def model() -> KqueueModel:
    return KqueueModel()


@pytest.fixture
def backend(model: KqueueModel) -> Iterator[KqueueBackend]:
    backend = kqueue_over(model)
    yield backend
    backend.close()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []
    set_log_callback(lambda _severity, message: found.append(message))
    yield found
    set_log_callback(None)


def told(model: KqueueModel) -> list[Spelt]:
    """Return the changes that each call made, and forget the calls."""
    calls = model.opened[0].calls
    spelt = [[(change.ident, change.filter, change.flags) for change in changes] for changes, _, _ in calls]
    calls.clear()
    return spelt


class TestChanges:
    def test_are_handed_over_with_the_wait(
        self, backend: KqueueBackend, model: KqueueModel, pair: Pair
    ) -> None:
        one, two = pair[0].fileno(), pair[1].fileno()
        backend.change(one, 0, EV_READ)
        backend.change(two, 0, EV_READ | EV_WRITE)
        assert told(model) == []
        assert backend.wait(0.0) == [(two, EV_WRITE)]
        assert told(model) == [[(one, READ, ADD), (two, READ, ADD), (two, WRITE, ADD)]]
        backend.wait(0.0)
        assert told(model) == [[]]

    @pytest.mark.parametrize(
        ("old", "new", "changes"),
        [
            (0, EV_READ, [(READ, ADD)]),
            (0, EV_WRITE, [(WRITE, ADD)]),
            (0, EV_READ | EV_CLOSED, [(READ, ADD)]),
            (0, EV_READ | EV_ET, [(READ, ADD | CLEAR)]),
            (0, EV_WRITE | EV_ET, [(WRITE, ADD | CLEAR)]),
            # Closing alone has no filter: the one for reading, which would tell of data for ever, tells once.
            (0, EV_CLOSED, [(READ, ADD | CLEAR)]),
            (0, EV_CLOSED | EV_WRITE, [(READ, ADD | CLEAR), (WRITE, ADD)]),
            # What stays wanted is told again: the number may be another file's by now.
            (EV_READ, EV_READ | EV_WRITE, [(READ, ADD), (WRITE, ADD)]),
            (EV_READ | EV_WRITE, EV_WRITE, [(READ, DELETE), (WRITE, ADD)]),
            (EV_READ | EV_WRITE, 0, [(READ, DELETE), (WRITE, DELETE)]),
            # How a filter triggers is fixed when it is added.
            (EV_READ | EV_CLOSED, EV_CLOSED, [(READ, DELETE), (READ, ADD | CLEAR)]),
            (EV_CLOSED, EV_READ | EV_CLOSED, [(READ, DELETE), (READ, ADD)]),
            (EV_CLOSED, EV_READ | EV_ET, [(READ, ADD | CLEAR)]),
        ],
    )
    def test_spelling(
        self,
        backend: KqueueBackend,
        model: KqueueModel,
        pair: Pair,
        old: int,
        new: int,
        changes: list[tuple[int, int]],
    ) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, old)
        backend.wait(0.0)
        told(model)
        backend.change(fd, old, new)
        backend.wait(0.0)
        assert told(model) == [[(fd, *change) for change in changes]]

    def test_trigger_changes_with_a_deletion_in_between(
        self, backend: KqueueBackend, model: KqueueModel, pair: Pair
    ) -> None:
        """Without its own deletion the filter would stay as it was."""
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_READ | EV_ET)
        backend.wait(0.0)
        told(model)
        backend.change(fd, EV_READ | EV_ET, 0)
        backend.change(fd, 0, EV_READ)
        backend.wait(0.0)
        assert told(model) == [[(fd, READ, DELETE), (fd, READ, ADD)]]

    def test_there_is_room_for_the_refusal_of_each(
        self, backend: KqueueBackend, model: KqueueModel, lines: list[str]
    ) -> None:
        """Too little, and the system leaves changes out."""
        for number in range(1000):
            backend.change(FD + number, 0, EV_READ | EV_WRITE)
        assert len(backend.wait(0.0)) == 1000
        changes, room, _ = model.opened[0].calls[0]
        assert len(changes) == 2000
        assert room >= 2000


class TestResults:
    def test_both_filters_of_a_descriptor_are_one(self, backend: KqueueBackend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_READ | EV_WRITE)
        pair[1].send(b"x")
        assert backend.wait(0.0) == [(fd, EV_READ | EV_WRITE)]

    def test_end_of_file_is_reading_and_closing(self, backend: KqueueBackend, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_READ | EV_CLOSED)
        pair[1].shutdown(socket.SHUT_WR)
        assert backend.wait(0.0) == [(fd, EV_READ | EV_CLOSED)]
        backend.change(fd, EV_READ | EV_CLOSED, EV_READ)
        assert backend.wait(0.0) == [(fd, EV_READ)]

    def test_closing_alone_is_asked_for_again_once_it_was_told(
        self, backend: KqueueBackend, model: KqueueModel, pair: Pair
    ) -> None:
        """Its filter is edge-triggered; the event is not."""
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_CLOSED)
        pair[1].close()
        for _ in range(3):
            assert backend.wait(None) == [(fd, EV_CLOSED)]
        assert told(model) == [[(fd, READ, ADD | CLEAR)]] * 3

    def test_asking_again_forgets_nothing_of_the_descriptor(
        self, backend: KqueueBackend, model: KqueueModel, pair: Pair
    ) -> None:
        """The other filter goes with it, and is deleted in the end."""
        fd = pair[0].fileno()
        wanted = EV_CLOSED | EV_WRITE
        backend.change(fd, 0, wanted)
        pair[1].close()
        assert backend.wait(0.0) == backend.wait(0.0) == [(fd, wanted)]
        told(model)
        backend.change(fd, wanted, 0)
        assert backend.wait(0.0) == []
        assert told(model) == [[(fd, READ, DELETE), (fd, WRITE, DELETE)]]

    def test_an_edge_of_closing_is_not(self, backend: KqueueBackend, model: KqueueModel, pair: Pair) -> None:
        fd = pair[0].fileno()
        backend.change(fd, 0, EV_CLOSED | EV_ET)
        pair[1].close()
        assert [backend.wait(0.0), backend.wait(0.0)] == [[(fd, EV_CLOSED)], []]
        assert told(model) == [[(fd, READ, ADD | CLEAR)], []]

    def test_more_than_one_call_has_room_for(self, backend: KqueueBackend, model: KqueueModel) -> None:
        """The rest is left to the next wait."""
        results = [[Kevent(FD, READ, 0, udata=EV_READ)], [Kevent(FD + 1, READ, 0, udata=EV_READ)]]
        scripted(model, results)
        assert [backend.wait(0.0), backend.wait(0.0)] == [[(FD, EV_READ)], [(FD + 1, EV_READ)]]


def scripted(model: KqueueModel, results: list[list[Kevent]]) -> None:
    """Let the queue answer from a script."""
    queue = model.opened[0]

    def control(changes: object, room: int, timeout: float | None = None, /) -> list[Kevent]:
        queue.calls.append((list(changes or ()), room, timeout))  # type: ignore[call-overload]  # an iterable
        return results.pop(0)

    queue.control = control  # type: ignore[method-assign]  # the model itself has no such errors


class TestErrors:
    @pytest.mark.parametrize("number", [errno.ENOENT, errno.EBADF, errno.EINVAL, errno.EPERM, errno.EPIPE])
    def test_of_a_deletion_are_nothing_to_tell(
        self, backend: KqueueBackend, model: KqueueModel, lines: list[str], number: int
    ) -> None:
        """The system has not waited then, so it is asked again, for as long."""
        scripted(model, [[Kevent(FD, READ, ERROR, data=number)], [Kevent(FD + 1, READ, 0, udata=EV_READ)]])
        backend.change(FD, EV_READ, 0)
        assert backend.wait(1.5) == [(FD + 1, EV_READ)]
        assert [timeout for _, _, timeout in model.opened[0].calls] == [1.5, 1.5]
        assert lines == []

    @pytest.mark.parametrize("number", [errno.EPIPE, errno.EPERM, errno.EBADF, errno.ENOMEM])
    def test_of_an_addition_wake_whoever_waits(
        self, backend: KqueueBackend, model: KqueueModel, lines: list[str], number: int
    ) -> None:
        """Beside what is ready, and with no wait; the addition is tried again, but told of once."""
        refusal = [Kevent(FD, WRITE, ERROR, data=number, udata=EV_WRITE)]
        other = [Kevent(FD + 1, READ, 0, udata=EV_READ)]
        scripted(model, [refusal, other] * 2)
        backend.change(FD, 0, EV_WRITE)
        for _ in range(2):
            assert backend.wait(None) == [(FD, IO_BITS), (FD + 1, EV_READ)]
            assert [timeout for _, _, timeout in model.opened[0].calls] == [None, 0.0]
            assert told(model) == [[(FD, WRITE, ADD)], []]
        assert len(lines) == 1
        assert os.strerror(number) in lines[0]

    def test_closed_descriptor_is_reported_until_forgotten(
        self, backend: KqueueBackend, lines: list[str]
    ) -> None:
        left, right = socket.socketpair()
        fd = left.fileno()
        left.close()
        right.close()
        backend.change(fd, 0, EV_READ)
        assert backend.wait(None) == backend.wait(None) == [(fd, IO_BITS)]
        backend.change(fd, EV_READ, 0)
        assert backend.wait(0.0) == []

    def test_writer_of_a_broken_pipe_learns_it_from_writing(
        self, model: KqueueModel, lines: list[str]
    ) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        seen: list[int] = []

        def write(event: Event, _what: int) -> None:
            with pytest.raises(BrokenPipeError):
                os.write(event.fd, b"x")
            seen.append(event.fd)

        with EventBase(backend=kqueue_over(model)) as base:
            base.event(writer, EV_WRITE, write).add()
            assert base.dispatch() is False
        os.close(writer)
        assert seen == [writer]
