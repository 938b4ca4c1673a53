"""The fd map: the backend hears of 0 ↔ 1 only, refuses leave no trace, and closed descriptors do no harm."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from every_backend import CHANGELIST, EVERY_BACKEND, FEATURES, MODEL
from evkit.core.base import EventBase
from evkit.core.event import INTERNAL, Event
from evkit.core.evmap import FdMap, Slot
from evkit.core.flags import (
    COUNT_ADDED,
    EV_CLOSED,
    EV_ET,
    EV_PERSIST,
    EV_READ,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
    FEATURE_EARLY_CLOSE,
    FEATURE_ET,
    FEATURE_FDS,
)
from evkit.core.tally import Tally
from evkit.testing import Change, FakeBackend, FakeBase, ManualClock

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
FD = 10**6  # no real descriptor: for the fake backend
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=EVERY_BACKEND)
def method(request: pytest.FixtureRequest) -> str:
    """The name of each way of waiting, more of them than a configuration can choose here."""
    name: str = request.param
    return name


@pytest.fixture
def base(method: str) -> Iterator[EventBase]:
    """An event base on each of them; what escapes from a callback fails the test."""
    escaped: list[BaseException] = []
    with EventBase(backend=EVERY_BACKEND[method]()) as base:
        base.exception_handler = lambda exception, _source: escaped.append(exception)
        yield base
    assert escaped == []


def having(features: int) -> pytest.MarkDecorator:
    """Run a test on the backends that have these features."""
    return pytest.mark.parametrize("method", [name for name, bits in FEATURES.items() if bits & features])


def lacking(features: int) -> pytest.MarkDecorator:
    """Run a test on the backends that have none of these features."""
    return pytest.mark.parametrize("method", [name for name, bits in FEATURES.items() if not bits & features])


def note(log: list[int]) -> Callable[[Event, int], None]:
    return lambda _event, what: log.append(what)


def ignore(_event: Event, _what: int) -> None:
    pass


class TestCounting:
    def test_backend_hears_only_of_the_first_and_the_last(self, fakes: FakeBase) -> None:
        one, two, three = (
            fakes.base.event(FD, bits, ignore) for bits in (EV_READ, EV_READ, EV_READ | EV_WRITE)
        )
        for event in (one, two, three):
            event.add()
        one.delete()
        three.delete()
        two.delete()
        assert fakes.backend.changes == [
            Change(FD, 0, EV_READ),
            Change(FD, EV_READ, EV_READ | EV_WRITE),
            Change(FD, EV_READ | EV_WRITE, EV_READ),
            Change(FD, EV_READ, 0),
        ]

    def test_mask_tells_of_edge_triggering_and_closing(self, fakes: FakeBase) -> None:
        event = fakes.base.event(FD, EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, ignore)
        event.add()
        event.delete()
        mask = EV_READ | EV_CLOSED | EV_ET
        assert fakes.backend.changes == [Change(FD, 0, mask), Change(FD, mask, 0)]

    def test_internal_events_are_not_counted(self, fakes: FakeBase) -> None:
        fd_map = FdMap(fakes.backend, Tally())
        event = fakes.base.event(FD, EV_READ, ignore)
        event.flags |= INTERNAL
        fd_map.add(event)
        assert fd_map.tally.added == 0
        fd_map.remove(event)
        assert fd_map.tally.added == 0

    def test_what_is_empty_goes(self, fakes: FakeBase) -> None:
        fd_map = FdMap(fakes.backend, Tally())
        one, two = (fakes.base.event(FD, EV_READ, ignore) for _ in range(2))
        fd_map.add(one)
        fd_map.add(two)
        fd_map.remove(one)
        fd_map.remove(two)
        assert fd_map.alone == {}
        assert fd_map.shared == {}
        assert fd_map.events_of(FD) == []

    def test_events_stand_newest_first(self, fakes: FakeBase) -> None:
        fd_map = FdMap(fakes.backend, Tally())
        events = [fakes.base.event(FD, EV_READ, ignore) for _ in range(3)]
        for event in events:
            fd_map.add(event)
        assert fd_map.events_of(FD) == events[::-1]

    def test_an_event_that_is_left_alone_is_found_in_one_step_again(self, fakes: FakeBase) -> None:
        fd_map = FdMap(fakes.backend, Tally())
        reader = fakes.base.event(FD, EV_READ, ignore)
        writer = fakes.base.event(FD, EV_WRITE, ignore)
        fd_map.add(reader)
        assert fd_map.alone == {FD: reader}
        fd_map.add(writer)
        assert (fd_map.alone, list(fd_map.shared)) == ({}, [FD])
        fd_map.remove(writer)
        assert (fd_map.alone, fd_map.shared) == ({FD: reader}, {})

    def test_edge_triggered_events_are_never_alone(self, fakes: FakeBase) -> None:
        fd_map = FdMap(fakes.backend, Tally())
        one, two = (fakes.base.event(FD, EV_READ | EV_ET, ignore) for _ in range(2))
        fd_map.add(one)
        fd_map.add(two)
        fd_map.remove(one)
        assert (fd_map.alone, list(fd_map.shared)) == ({}, [FD])
        fd_map.remove(two)
        assert (fd_map.alone, fd_map.shared) == ({}, {})

    def test_a_refused_second_event_leaves_the_first_alone(self, fakes: FakeBase) -> None:
        fd_map = FdMap(fakes.backend, Tally())
        reader = fakes.base.event(FD, EV_READ, ignore)
        fd_map.add(reader)
        fakes.backend.refuse(FD, OSError(1, "refused"))
        with pytest.raises(OSError, match="refused"):
            fd_map.add(fakes.base.event(FD, EV_WRITE, ignore))
        with pytest.raises(ValueError, match="can't be mixed"):
            fd_map.add(fakes.base.event(FD, EV_READ | EV_ET, ignore))
        assert (fd_map.alone, fd_map.shared) == ({FD: reader}, {})
        assert fakes.backend.wanted[FD] == EV_READ

    def test_slot_counts_each_bit(self, fakes: FakeBase) -> None:
        both, closing = (
            fakes.base.event(FD, bits, ignore) for bits in (EV_READ | EV_WRITE, EV_READ | EV_CLOSED)
        )
        slot = Slot(both)
        assert slot.join(both) == EV_READ | EV_WRITE
        assert slot.join(closing) == EV_READ | EV_WRITE | EV_CLOSED
        assert slot.leave(both) == EV_READ | EV_CLOSED
        assert slot.leave(closing) == 0

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 11), st.booleans()), max_size=60),
        st.sets(st.sampled_from([FD, FD + 1, FD + 2])),
    )
    def test_any_sequence_leaves_the_backend_with_the_union(
        self, steps: list[tuple[int, bool]], refused: set[int]
    ) -> None:
        """Twelve events on three descriptors, some of which the backend refuses."""
        backend = FakeBackend(ManualClock())
        for fd in refused:
            backend.refuse(fd, OSError(1, "refused"))
        kinds = (EV_READ, EV_WRITE, EV_READ | EV_WRITE, EV_CLOSED)
        with EventBase(backend=backend) as base:
            events = [base.event(FD + number % 3, kinds[number % 4], ignore) for number in range(12)]
            added: set[Event] = set()
            for number, add in steps:
                _step(events[number], add, refused, added)
                for fd in (FD, FD + 1, FD + 2):
                    union = 0
                    for event in added:
                        union |= event.events if event.fd == fd else 0
                    assert backend.wanted.get(fd, 0) == union
                assert base.num_events(COUNT_ADDED) == len(added)


def _step(event: Event, add: bool, refused: set[int], added: set[Event]) -> None:
    if not add:
        event.delete()
        added.discard(event)
    elif event.fd in refused:
        with pytest.raises(OSError, match="refused"):
            event.add()
    else:
        event.add()
        added.add(event)


class TestRefusals:
    @having(FEATURE_ET)
    def test_edge_and_level_do_not_mix(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []
        edge = base.event(pair[0], EV_WRITE | EV_ET, note(log))
        level = base.event(pair[0], EV_WRITE, note(log))
        for first, second, what in ((edge, level, EV_WRITE | EV_ET), (level, edge, EV_WRITE)):
            first.add()
            with pytest.raises(ValueError, match="can't be mixed on one descriptor"):
                second.add(60)
            assert not second.pending()
            assert base.num_events(COUNT_ADDED) == 1
            assert base.dispatch() is False  # what was there works as before
            assert log == [what]
            log.clear()

    def test_message_tells_what_is_there(self, fakes: FakeBase) -> None:
        fakes.base.event(FD, EV_READ | EV_ET, ignore).add()
        with pytest.raises(ValueError, match=rf"^descriptor {FD} has events with READ\|ET: "):
            fakes.base.event(FD, EV_READ, ignore).add()

    def test_refused_first_event_leaves_nothing(self, fakes: FakeBase) -> None:
        fakes.backend.refuse(FD, OSError("no"))
        event = fakes.base.event(FD, EV_READ, ignore)
        with pytest.raises(OSError, match="no"):
            event.add()
        assert fakes.base.num_events(COUNT_ADDED) == 0
        assert fakes.base.loop(EVLOOP_NONBLOCK) is False

    def test_refused_second_event_leaves_the_first(self, fakes: FakeBase) -> None:
        log: list[int] = []
        fakes.base.event(FD, EV_READ, note(log)).add()
        fakes.backend.refuse(FD, OSError("no"))
        with pytest.raises(OSError, match="no"):
            fakes.base.event(FD, EV_WRITE, note(log)).add(5)
        fakes.backend.refuse(FD, None)
        fakes.backend.ready(FD, EV_READ | EV_WRITE)
        assert fakes.base.dispatch() is False
        assert log == [EV_READ]
        assert FD not in fakes.backend.wanted

    def test_regular_file(self, base: EventBase, tmp_path: Path) -> None:
        """Taken, or refused at once, or, where the system hears late, taken for ready."""
        log: list[int] = []
        path = tmp_path / "file"
        path.write_bytes(b"content")
        with open(path, "rb") as file:
            event = base.event(file, EV_READ, note(log))
            if base.features & FEATURE_FDS or base.method == CHANGELIST:
                event.add()
                assert base.dispatch() is False
                assert log == [EV_READ]
            else:
                with pytest.raises(PermissionError):
                    event.add(60)
                assert not event.pending()
                assert base.dispatch() is False

    @lacking(FEATURE_ET)
    def test_edge_is_level_where_the_backend_has_no_edge(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []
        base.event(pair[0], EV_WRITE | EV_ET | EV_PERSIST, note(log)).add()
        base.event(pair[0], EV_READ, ignore).add()
        base.loop(ONE_PASS)
        base.loop(ONE_PASS)
        assert log == [EV_WRITE, EV_WRITE]


class TestClosing:
    @having(FEATURE_EARLY_CLOSE)
    def test_peers_close_is_heard_without_reading(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []
        pair[1].send(b"unread")
        event = base.event(pair[0], EV_CLOSED, note(log))
        event.add()
        base.loop(ONE_PASS)
        assert log == []
        pair[1].close()
        assert base.dispatch() is False
        assert log == [EV_CLOSED]

    @having(FEATURE_EARLY_CLOSE)
    def test_peers_reset_is_heard_by_who_waits_for_closing_only(self, base: EventBase, pair: Pair) -> None:
        """The kernel reports an error here, again and again until somebody hears it."""
        log: list[int] = []
        pair[0].send(b"never read")
        base.event(pair[0], EV_CLOSED, note(log)).add()
        pair[1].close()
        base.loop(ONE_PASS)
        assert log == [EV_CLOSED]

    @having(FEATURE_EARLY_CLOSE)
    def test_pipe_without_writer_is_heard_by_who_waits_for_closing_only(self, base: EventBase) -> None:
        log: list[int] = []
        reader, writer = os.pipe()
        try:
            base.event(reader, EV_CLOSED, note(log)).add()
            os.close(writer)
            base.loop(ONE_PASS)
            assert log == [EV_CLOSED]
        finally:
            os.close(reader)

    @having(FEATURE_EARLY_CLOSE)
    def test_one_half_is_heard_by_reader_and_watcher(self, base: EventBase, pair: Pair) -> None:
        """Each hears its part; an event for both hears both at once."""
        log: list[tuple[str, int]] = []

        def noting(name: str) -> Callable[[Event, int], None]:
            return lambda _event, what: log.append((name, what))

        for name, bits in (("reads", EV_READ), ("watches", EV_CLOSED), ("does both", EV_READ | EV_CLOSED)):
            base.event(pair[0], bits, noting(name)).add()
        pair[1].shutdown(socket.SHUT_WR)
        assert base.dispatch() is False
        assert sorted(log) == [("does both", EV_READ | EV_CLOSED), ("reads", EV_READ), ("watches", EV_CLOSED)]

    @having(FEATURE_EARLY_CLOSE)
    def test_watcher_is_called_until_it_is_deleted(self, base: EventBase, pair: Pair) -> None:
        """Level-triggered, as everything without `EV_ET`; the writer beside it goes on."""
        log: list[int] = []
        watcher = base.event(pair[0], EV_CLOSED | EV_PERSIST, note(log))
        watcher.add()
        pair[1].shutdown(socket.SHUT_WR)
        for _ in range(3):
            base.loop(ONE_PASS)
        assert log == [EV_CLOSED] * 3
        watcher.delete()
        base.event(pair[0], EV_WRITE, note(log)).add()
        assert base.dispatch() is False
        assert log == [EV_CLOSED] * 3 + [EV_WRITE]

    def test_peers_close_wakes_a_reader(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []
        base.event(pair[0], EV_READ, note(log)).add()
        pair[1].close()
        base.dispatch()
        assert log == [EV_READ]


class TestEdge:
    def test_result_tells_of_it_where_the_backend_has_it(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []
        base.event(pair[0], EV_WRITE | EV_ET, note(log)).add()
        base.dispatch()
        assert log == [EV_WRITE | (EV_ET if base.features & FEATURE_ET else 0)]

    @having(FEATURE_ET)
    def test_is_reported_once(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []
        base.event(pair[0], EV_READ | EV_ET | EV_PERSIST, note(log)).add()
        pair[1].send(b"1")
        base.loop(ONE_PASS)
        base.loop(ONE_PASS)
        assert log == [EV_READ | EV_ET]
        pair[1].send(b"2")
        base.loop(ONE_PASS)
        assert log == [EV_READ | EV_ET] * 2

    @having(FEATURE_ET)
    def test_reader_that_reads_all_misses_nothing(self, base: EventBase, pair: Pair) -> None:
        """The use that edges are for: read until it would block, then wait."""
        received: list[bytes] = []

        def read(event: Event, what: int) -> None:
            assert what == EV_READ | EV_ET
            try:
                while data := pair[0].recv(2):
                    received.append(data)
                event.delete()
            except BlockingIOError:
                pass

        base.event(pair[0], EV_READ | EV_ET | EV_PERSIST, read).add()
        for data in (b"one", b"two", b"three"):
            pair[1].send(data)
            base.loop(ONE_PASS)
        assert b"".join(received) == b"onetwothree"
        pair[1].close()
        assert base.dispatch() is False

    @having(FEATURE_ET)
    def test_event_added_again_hears_what_is_there(self, base: EventBase, pair: Pair) -> None:
        """A one-shot event has to be added again after each call; the edge before that is not lost."""
        log: list[int] = []
        event = base.event(pair[0], EV_READ | EV_ET, note(log))
        pair[1].send(b"x")
        for _ in range(3):
            event.add()
            assert base.dispatch() is False
        assert log == [EV_READ | EV_ET] * 3


class TestClosedDescriptors:
    """Somebody closes a descriptor while events wait for it: their fault, which must cost no more than those events."""

    def test_delete_goes_on_and_counts_agree(self, base: EventBase) -> None:
        left, right = socket.socketpair()
        reader = base.event(left, EV_READ, ignore)
        writer = base.event(left, EV_WRITE, ignore)
        reader.add(60)
        writer.add(60)
        left.close()
        right.close()
        writer.delete()
        reader.delete()
        assert base.num_events(COUNT_ADDED) == 0
        assert base.dispatch() is False

    def test_reused_number_can_be_waited_for_at_once(self, base: EventBase, pair: Pair) -> None:
        """The old event was never deleted: the kernel has forgotten it, the map has not."""
        log: list[str] = []
        left, right = socket.socketpair()
        number = left.fileno()
        old = base.event(number, EV_READ | EV_PERSIST, lambda _event, _what: log.append("old"))
        old.add()
        left.close()
        os.dup2(pair[0].fileno(), number)
        try:
            new = base.event(number, EV_WRITE, lambda _event, _what: log.append("new"))
            new.add()
            base.loop(ONE_PASS)
            assert log == ["new"]
            old.delete()
            assert base.num_events(COUNT_ADDED) == 0
        finally:
            os.close(number)
            right.close()

    def test_reused_number_after_a_clean_delete(self, base: EventBase, pair: Pair) -> None:
        log: list[str] = []
        left, right = socket.socketpair()
        number = left.fileno()
        old = base.event(number, EV_READ, lambda _event, _what: log.append("old"))
        old.add()
        left.close()
        old.delete()
        os.dup2(pair[0].fileno(), number)
        try:
            base.event(number, EV_WRITE, lambda _event, _what: log.append("new")).add()
            assert base.dispatch() is False
            assert log == ["new"]
        finally:
            os.close(number)
            right.close()

    def test_number_known_to_the_kernel_but_not_to_the_map(self, base: EventBase, pair: Pair) -> None:
        """A duplicate keeps the kernel's registration alive after close; adding the number again must still work."""
        log: list[int] = []
        number = pair[0].fileno()
        event = base.event(number, EV_READ, ignore)
        event.add()
        copy = os.dup(number)
        saved = os.dup(number)
        os.close(number)
        event.delete()
        os.dup2(saved, number)
        try:
            base.event(number, EV_WRITE, note(log)).add()
            assert base.dispatch() is False
            assert log == [EV_WRITE]
        finally:
            os.close(copy)
            os.close(saved)

    @pytest.mark.parametrize(
        "method", [name for name in ("poll", "select", CHANGELIST, MODEL) if name in EVERY_BACKEND]
    )
    def test_wait_for_one_wakes_its_event(self, base: EventBase) -> None:
        """Closed after it was added, before the loop was entered. epoll has forgotten it by then."""
        log: list[int] = []
        left, right = socket.socketpair()
        base.event(left, EV_READ, note(log)).add()
        left.close()
        right.close()
        assert base.dispatch() is False
        assert log == [EV_READ]

    @pytest.mark.parametrize("method", [name for name in ("epoll",) if name in EVERY_BACKEND])
    def test_add_of_one_is_refused_by_epoll(self, base: EventBase) -> None:
        left, right = socket.socketpair()
        event = base.event(left, EV_READ, ignore)
        left.close()
        right.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            event.add(5)
        assert not event.pending()
        assert base.num_events(COUNT_ADDED) == 0


def test_close_of_the_peer_is_told_to_none_where_the_backend_does_not_know_it(
    base: EventBase, pair: Pair
) -> None:
    """As in libevent: such an event waits in vain, beside others that hear."""
    log: list[int] = []
    watcher = base.event(pair[0], EV_CLOSED | EV_PERSIST, note(log))
    watcher.add()
    reader = base.event(pair[0], EV_READ, note(log))
    reader.add()
    pair[1].close()
    base.loop(ONE_PASS)
    knows = base.features & FEATURE_EARLY_CLOSE
    assert sorted(log) == ([EV_READ, EV_CLOSED] if knows else [EV_READ])
    watcher.delete()
