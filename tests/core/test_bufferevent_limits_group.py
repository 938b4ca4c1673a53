"""Connections that share one rate limit, on real sockets: what all of them use, and that each gets its part."""

import gc
import itertools
import socket
import weakref
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.base import EventBase
from evkit.core.bufferevent import SocketBufferEvent
from evkit.core.bufferevent.gate import SUSPEND_GROUP
from evkit.core.bufferevent.rate_group import DEFAULT_MIN_SHARE, RateLimitGroup
from evkit.core.event import Event
from evkit.core.flags import (
    BEV_EVENT_EOF,
    BEV_EVENT_READING,
    EV_READ,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.core.rate_limit import RateLimit
from evkit.testing import ManualClock, base_with_fakes

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK


def first(count: int) -> int:
    """Pick without chance."""
    assert count > 0
    return 0


class Watched(SocketBufferEvent):
    """One whose end can be noticed."""

    __slots__ = ("__weakref__",)


class Broken(SocketBufferEvent):
    """One that can fail when it is let go."""

    __slots__ = ("broken",)

    def __init__(self, base: EventBase) -> None:
        super().__init__(base)
        self.broken = False

    def resume(self, events: int, reason: int) -> None:
        if self.broken:
            raise RuntimeError("no resume")
        super().resume(events, reason)


class Scene:
    """Some connections that read, their peers, and the time."""

    def __init__(self, base: EventBase, clock: ManualClock, count: int) -> None:
        self.base = base
        self.clock = clock
        self.peers: list[socket.socket] = []
        self.bevs: list[SocketBufferEvent] = []
        for _ in range(count):
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            self.peers.append(theirs)
            self.bevs.append(Watched(base, ours))
            self.bevs[-1].enable(EV_READ)

    def group(
        self, limit: RateLimit, min_share: int = DEFAULT_MIN_SHARE, pick: Callable[[int], int] = first
    ) -> RateLimitGroup:
        """Make a group of all of them."""
        group = RateLimitGroup(self.base, limit, min_share, pick=pick)
        for bev in self.bevs:
            group.add(bev)
        return group

    def run(self, after: float = 0.0) -> None:
        self.clock.advance(after)
        self.base.loop(EVLOOP_NONBLOCK)

    def feed(self, size: int) -> None:
        for peer in self.peers:
            peer.send(bytes(size))

    def write(self, size: int) -> None:
        for bev in self.bevs:
            bev.write(bytes(size))

    def read(self, after: float = 0.0) -> list[int]:
        """Return how many bytes each has read."""
        self.run(after)
        return [len(bev.read()) for bev in self.bevs]

    def arrived(self, after: float = 0.0) -> list[int]:
        """Return how many bytes each peer has got."""
        self.run(after)
        return [taken(peer) for peer in self.peers]

    def waited_for(self) -> list[int]:
        """Return whose sockets the loop waits for."""
        fds = [event.fd for event in self.base.events() if not event.internal]
        return [
            index
            for index, bev in enumerate(self.bevs)
            if bev.socket is not None and bev.socket.fileno() in fds
        ]

    def timers(self) -> list[Event]:
        return [event for event in self.base.events() if event.fd == -1]

    def close(self) -> None:
        for bev in self.bevs:
            bev.close()
        for peer in self.peers:
            peer.close()


def taken(sock: socket.socket) -> int:
    size = 0
    try:
        while piece := sock.recv(1 << 20):
            size += len(piece)
    except BlockingIOError:
        pass
    return size


@pytest.fixture
def scene(manual_base: EventBase, clock: ManualClock) -> Iterator[Scene]:
    scene = Scene(manual_base, clock, 3)
    yield scene
    scene.close()


class TestSharing:
    def test_all_of_them_read_no_more_than_the_rate(self, scene: Scene) -> None:
        scene.group(RateLimit(300, 300))
        scene.feed(1000)
        assert [sum(scene.read(0.5)) for _ in range(4)] == [300, 300, 0, 300]

    def test_all_of_them_write_no_more_than_the_rate(self, scene: Scene) -> None:
        scene.group(RateLimit(write_rate=300, write_burst=300))
        scene.write(1000)
        assert [sum(scene.arrived(0.5)) for _ in range(4)] == [300, 300, 0, 300]

    def test_each_of_them_gets_some_of_it(self, scene: Scene) -> None:
        scene.group(RateLimit(3000, 3000, 3000, 3000))
        scene.feed(5000)
        scene.write(5000)
        assert min(scene.read()) >= 640
        assert min(scene.arrived()) >= 640

    def test_one_may_use_it_all_while_the_others_are_silent(self, scene: Scene) -> None:
        scene.group(RateLimit(300, 300, 300, 300))
        scene.peers[1].send(bytes(1000))
        scene.bevs[2].write(bytes(1000))
        assert [(scene.read(1), scene.arrived()) for _ in range(2)] == [([0, 300, 0], [0, 0, 300])] * 2

    def test_a_small_limit_overshoots_by_nothing(self, scene: Scene) -> None:
        group = scene.group(RateLimit(10, 10), min_share=64)
        assert [bev.max_to_read for bev in scene.bevs] == [10, 10, 10]
        scene.feed(100)
        assert [sum(scene.read(1)) for _ in range(3)] == [10, 10, 10]
        assert group.read_limit == 0

    def test_the_own_limit_holds_as_well(self, scene: Scene) -> None:
        scene.group(RateLimit(3000, 3000))
        scene.bevs[0].set_rate_limit(RateLimit(5, 5))
        scene.feed(100)
        assert scene.bevs[0].max_to_read == 5
        assert scene.read() == [5, 100, 100]
        assert scene.read(1) == [5, 0, 0]

    def test_the_share_is_a_part_but_not_less_than_min_share(self, scene: Scene) -> None:
        group = scene.group(RateLimit(3000, 3000, 90, 90), min_share=50)
        assert [bev.max_to_read for bev in scene.bevs] == [1000] * 3
        assert [bev.max_to_write for bev in scene.bevs] == [50] * 3
        group.min_share = 1
        assert [bev.max_to_write for bev in scene.bevs] == [30] * 3

    def test_a_tick_lets_as_many_go_as_there_are_shares(self, scene: Scene) -> None:
        scene.group(RateLimit(10, 10), min_share=10)
        scene.feed(1000)
        scene.read()
        rounds = [tuple(scene.read(1)) for _ in range(3)]
        assert sorted(rounds) == [(0, 0, 10), (0, 10, 0), (10, 0, 0)]

    def test_chance_says_who_begins(self, manual_base: EventBase, clock: ManualClock) -> None:
        firsts = []
        picks = [0, 1, 2]
        for _ in range(3):
            scene = Scene(manual_base, clock, 3)
            group = scene.group(
                RateLimit(write_rate=30, write_burst=30), min_share=10, pick=lambda _count: picks.pop(0)
            )
            scene.write(1000)
            assert scene.arrived() == [10, 10, 10]
            group.decrement_write(20)
            firsts.append(scene.arrived(1))
            scene.close()
        assert firsts == [[10, 0, 0], [0, 10, 0], [0, 0, 10]]

    def test_the_end_of_a_stream_waits_and_is_not_made_up(self, scene: Scene) -> None:
        heard: list[int] = []
        scene.group(RateLimit(10, 10))
        scene.feed(10)
        scene.read()
        for bev in scene.bevs:
            bev.set_callbacks(event=lambda _bev, what: heard.append(what))
            bev.resume(EV_READ, SUSPEND_GROUP)  # as anybody may, in error
        scene.run()
        assert heard == []
        scene.run(1)
        scene.run(1)
        for peer in scene.peers:
            peer.shutdown(socket.SHUT_WR)
        scene.run(1)
        assert heard == [BEV_EVENT_READING | BEV_EVENT_EOF] * 3


class TestNobodyStarves:
    """More connections than shares, on each backend, in its own order."""

    @pytest.mark.parametrize("idle", [0, 4])
    def test_readers(self, manual_base: EventBase, clock: ManualClock, idle: int) -> None:
        scene = Scene(manual_base, clock, 7)
        scene.group(RateLimit(20, 20), min_share=10)
        for peer in scene.peers[idle:]:
            peer.send(bytes(2000))
        rounds = [scene.read(1) for _ in range(14)]
        assert [sum(sizes) for sizes in rounds] == [20] * 14
        totals = [sum(sizes) for sizes in zip(*rounds, strict=True)][idle:]
        assert max(totals) - min(totals) <= 20
        scene.close()

    @pytest.mark.parametrize("idle", [0, 4])
    def test_writers(self, manual_base: EventBase, clock: ManualClock, idle: int) -> None:
        scene = Scene(manual_base, clock, 7)
        scene.group(RateLimit(write_rate=20, write_burst=20), min_share=10)
        for bev in scene.bevs[idle:]:
            bev.write(bytes(2000))
        rounds = [scene.arrived(1) for _ in range(14)]
        assert [sum(sizes) for sizes in rounds] == [20] * 14
        totals = [sum(sizes) for sizes in zip(*rounds, strict=True)][idle:]
        assert max(totals) - min(totals) <= 20
        scene.close()

    def test_one_that_wakes_up_is_served_in_a_tick_or_two(
        self, manual_base: EventBase, clock: ManualClock
    ) -> None:
        scene = Scene(manual_base, clock, 5)
        scene.group(RateLimit(10, 10), min_share=10)
        for peer in scene.peers[:4]:
            peer.send(bytes(2000))
        for _ in range(20):
            scene.read(1)
        scene.peers[4].send(bytes(2000))
        assert sum(scene.read(1)[4] for _ in range(2)) >= 10
        scene.close()


class TestMembers:
    def test_they_come_and_go(self, scene: Scene) -> None:
        group = RateLimitGroup(scene.base, RateLimit(10, 10))
        one = scene.bevs[0]
        assert (len(group), one in group, one.rate_limit_group) == (0, False, None)
        group.add(one)
        group.add(one)
        assert (len(group), one in group, one.rate_limit_group) == (1, True, group)
        group.remove(one)
        assert (len(group), one in group, one.rate_limit_group) == (0, False, None)

    def test_one_that_leaves_is_free_at_once(self, scene: Scene) -> None:
        group = scene.group(RateLimit(10, 10, 10, 10))
        scene.feed(100)
        scene.write(100)
        assert [sum(scene.read()), sum(scene.arrived())] == [10, 10]
        group.remove(scene.bevs[1])
        assert [scene.read()[1], scene.arrived()[1]] >= [90, 90]
        assert [sum(scene.read(1)), sum(scene.arrived())] == [10, 10]

    def test_one_that_comes_to_an_empty_bucket_waits(self, scene: Scene) -> None:
        group = RateLimitGroup(scene.base, RateLimit(10, 10, 10, 10))
        group.add(scene.bevs[0])
        scene.feed(100)
        scene.write(100)
        scene.bevs[1].disable(EV_READ | EV_WRITE)
        scene.bevs[2].disable(EV_READ | EV_WRITE)
        assert (scene.read(), scene.arrived()) == ([10, 0, 0], [10, 0, 0])
        group.add(scene.bevs[1])
        scene.bevs[1].enable(EV_READ | EV_WRITE)
        assert (scene.read(), scene.arrived()) == ([0, 0, 0], [0, 0, 0])
        assert [sum(scene.read(1)), sum(scene.arrived())] == [10, 10]
        assert sum(scene.read(1)[1] for _ in range(2)) == 10

    def test_one_that_must_wait_is_not_waited_for_at_its_socket(self, scene: Scene) -> None:
        group = RateLimitGroup(scene.base, RateLimit(30, 30), 20, pick=first)
        group.decrement_read(30)
        for bev in scene.bevs:
            group.add(bev)
        assert scene.waited_for() == []
        scene.clock.advance(1)
        assert [bev.max_to_read for bev in scene.bevs] == [0, 0, 0]  # their turn is to come
        scene.base.loop(ONE_PASS)
        assert scene.waited_for() == [0]
        group.charge(scene.bevs[0], EV_READ, 5)  # as when it has read
        assert scene.waited_for() == []

    def test_to_be_added_again_costs_no_turn(self, scene: Scene) -> None:
        group = scene.group(RateLimit(10, 10), min_share=10)
        scene.peers[0].send(bytes(100))
        assert scene.read() == [10, 0, 0]
        scene.feed(100)
        group.add(scene.bevs[1])  # the first in turn
        assert scene.read(1) == [0, 10, 0]

    def test_it_leaves_the_group_of_before(self, scene: Scene) -> None:
        former = scene.group(RateLimit(10, 10))
        scene.feed(100)
        scene.read()
        group = RateLimitGroup(scene.base, RateLimit(50, 50))
        group.add(scene.bevs[0])
        assert [len(former), len(group)] == [2, 1]
        assert scene.read() == [50, 0, 0]
        assert (former.totals, group.totals) == ((10, 0), (50, 0))

    def test_a_group_without_members_needs_no_timer(self, scene: Scene) -> None:
        group = scene.group(RateLimit(10, 10))
        scene.feed(100)
        scene.read()
        assert len(scene.timers()) == 1
        for bev in scene.bevs:
            group.remove(bev)
        assert scene.timers() == []
        assert scene.read() != [0, 0, 0]

    @pytest.mark.parametrize("index", [0, 1, 2])
    def test_closing_one_leaves_the_others_their_limit(self, scene: Scene, index: int) -> None:
        group = scene.group(RateLimit(10, 10))
        scene.feed(100)
        assert sum(scene.read()) == 10
        scene.bevs[index].close()
        assert (len(group), scene.bevs[index] in group) == (2, False)
        rounds = [scene.read(1) for _ in range(4)]
        assert [sum(sizes) for sizes in rounds] == [10] * 4
        others = [sum(sizes) for sizes in zip(*rounds, strict=True)]
        del others[index]
        assert min(others) >= 10

    def test_closing_all_from_a_callback(self, scene: Scene) -> None:
        def close_all(_bev: object) -> None:
            for bev in scene.bevs:
                bev.close()

        group = scene.group(RateLimit(10, 10))
        scene.bevs[1].set_callbacks(read=close_all)
        scene.peers[1].send(bytes(100))
        scene.run()
        assert (len(group), scene.timers(), group.totals) == (0, [], (10, 0))

    def test_a_closed_member_is_freed_without_the_collector(self, scene: Scene) -> None:
        scene.group(RateLimit(10, 10))
        scene.feed(100)
        scene.run()
        gone = weakref.ref(scene.bevs[0])
        gc.disable()
        try:
            scene.bevs.pop(0).close()
            assert gone() is None
        finally:
            gc.enable()

    def test_only_members_can_be_removed(self, scene: Scene) -> None:
        with pytest.raises(ValueError, match="not in this group"):
            RateLimitGroup(scene.base, RateLimit(10)).remove(scene.bevs[0])

    def test_a_closed_connection_is_no_member(self, scene: Scene) -> None:
        scene.bevs[0].close()
        with pytest.raises(ValueError, match="open and runs on the base of its group"):
            RateLimitGroup(scene.base, RateLimit(10)).add(scene.bevs[0])

    def test_nor_one_of_another_base(self, scene: Scene) -> None:
        with (
            base_with_fakes().base as other,
            pytest.raises(ValueError, match="runs on the base of its group"),
        ):
            RateLimitGroup(other, RateLimit(10)).add(scene.bevs[0])

    def test_one_that_cannot_go_on_keeps_nobody_waiting(self, scene: Scene) -> None:
        caught: list[BaseException] = []
        scene.base.exception_handler = lambda exception, _source: caught.append(exception)
        group = RateLimitGroup(scene.base, RateLimit(30, 30), 10, pick=first)
        bad = Broken(scene.base)
        group.add(bad)
        for bev in scene.bevs:
            group.add(bev)
        scene.feed(100)
        assert sum(scene.read()) == 30
        bad.broken = True
        assert [sum(scene.read(1)) for _ in range(3)] == [30, 30, 30]
        assert [str(exception) for exception in caught] == ["no resume"] * 3
        bad.broken = False
        bad.close()

    def test_one_that_cannot_go_on_leaves_all_the_same(self, scene: Scene) -> None:
        group = RateLimitGroup(scene.base, RateLimit(30, 30, 30, 30), 10, pick=first)
        bad = Broken(scene.base)
        group.add(bad)
        group.decrement_read(30)
        group.decrement_write(30)
        bad.broken = True
        with pytest.raises(RuntimeError, match="no resume"):
            group.remove(bad)
        assert bad not in group
        assert bad.rate_limit_group is None
        scene.run(1)  # nobody is let go, or it would fail
        bad.close()


class TestLevels:
    def test_levels_and_totals_follow_what_flows(self, scene: Scene) -> None:
        group = scene.group(RateLimit(100, 200, 300, 300))
        assert (group.read_limit, group.write_limit, group.totals) == (100, 300, (0, 0))
        scene.feed(10)
        scene.write(20)
        scene.run()
        assert (group.read_limit, group.write_limit, group.totals) == (70, 240, (30, 60))
        scene.clock.advance(1)
        assert (group.read_limit, group.write_limit, group.totals) == (170, 300, (30, 60))
        group.reset_totals()
        assert group.totals == (0, 0)

    def test_totals_are_counted_without_a_limit_too(self, scene: Scene) -> None:
        group = scene.group(RateLimit())
        scene.feed(10)
        scene.write(20)
        scene.run()
        assert (group.read_limit, group.write_limit, group.totals) == (None, None, (30, 60))
        assert [bev.max_to_write for bev in scene.bevs] == [None] * 3

    def test_a_charge_from_outside_holds_all_back(self, scene: Scene) -> None:
        group = scene.group(RateLimit(10, 10, 10, 10))
        group.decrement_read(25)
        group.decrement_write(15)
        scene.feed(100)
        scene.write(100)
        assert (group.read_limit, group.write_limit) == (-15, -5)
        assert (sum(scene.read()), sum(scene.arrived())) == (0, 0)
        # A share is 10 here: they wait until the level is as high as that.
        flows = [(sum(scene.read(1)), sum(scene.arrived())) for _ in range(4)]
        assert flows == [(0, 0), (0, 10), (10, 10), (10, 10)]
        assert group.totals == (20, 30)

    def test_what_is_given_back_lets_go_at_once(self, scene: Scene) -> None:
        group = scene.group(RateLimit(10, 30))
        scene.feed(100)
        scene.read()
        group.decrement_read(-1000)
        assert group.read_limit == 30
        assert sum(scene.read()) == 30

    def test_a_charge_comes_after_what_has_come_in(self, scene: Scene) -> None:
        group = scene.group(RateLimit(10, 10))
        scene.clock.advance(1)
        group.decrement_read(4)
        assert group.read_limit == 6

    def test_there_is_nothing_to_charge_without_a_limit(self, scene: Scene) -> None:
        group = scene.group(RateLimit(read_rate=10))
        with pytest.raises(ValueError, match="no write limit to decrement"):
            group.decrement_write(1)
        group.set_limit(RateLimit(write_rate=10))
        with pytest.raises(ValueError, match="no read limit to decrement"):
            group.decrement_read(1)

    def test_its_state_is_in_its_repr(self, scene: Scene) -> None:
        assert repr(scene.group(RateLimit(10))) == (
            "<RateLimitGroup members=3 read_limit=10 write_limit=None>"
        )


class TestChanges:
    def test_another_limit_goes_on_with_what_is_left(self, scene: Scene) -> None:
        group = scene.group(RateLimit(100, 1000))
        scene.run(20)
        assert group.read_limit == 1000
        group.set_limit(RateLimit(50, 400))
        assert (group.limit, group.read_limit) == (RateLimit(50, 400), 400)
        scene.feed(1000)
        assert [sum(scene.read()), sum(scene.read(1))] == [400, 50]

    def test_no_limit_lets_go_at_once(self, scene: Scene) -> None:
        group = scene.group(RateLimit(10, 10))
        scene.feed(100)
        assert sum(scene.read()) == 10
        group.set_limit(RateLimit())
        assert sum(scene.read()) == 290
        assert scene.timers() == []

    def test_a_limit_may_come_later(self, scene: Scene) -> None:
        group = scene.group(RateLimit())
        group.set_limit(RateLimit(10, 10))
        scene.feed(100)
        assert [sum(scene.read()), sum(scene.read()), sum(scene.read(1))] == [10, 0, 10]

    def test_a_shorter_tick_comes_sooner(self, scene: Scene) -> None:
        group = scene.group(RateLimit(10, 10, tick=100))
        scene.feed(100)
        assert sum(scene.read()) == 10
        group.set_limit(RateLimit(10, 10, tick=0.5))
        assert sum(scene.read(0.5)) == 10

    @pytest.mark.parametrize("size", [0, -1])
    def test_a_share_is_a_byte_at_least(self, scene: Scene, size: int) -> None:
        with pytest.raises(ValueError, match="min_share must be >= 1"):
            RateLimitGroup(scene.base, RateLimit(10), size)
        group = RateLimitGroup(scene.base, RateLimit(10))
        with pytest.raises(ValueError, match="min_share must be >= 1"):
            group.min_share = size
        assert group.min_share == DEFAULT_MIN_SHARE


class TestTimers:
    def test_none_while_nobody_is_held_back(self, scene: Scene) -> None:
        scene.group(RateLimit(100, 100, 100, 100))
        scene.feed(33)
        scene.write(33)
        assert (scene.read(), scene.arrived(), scene.timers()) == ([33] * 3, [33] * 3, [])

    def test_none_when_all_have_been_let_go(self, scene: Scene) -> None:
        scene.group(RateLimit(30, 30, 30, 30), min_share=10)
        scene.feed(10)
        scene.write(10)
        scene.run(0.25)
        assert [event.deadline for event in scene.timers()] == [1001.0, 1001.0]
        scene.run(0.75)
        assert scene.timers() == []

    def test_they_do_not_wake_the_loop_in_between(self) -> None:
        fakes = base_with_fakes()
        with fakes.base as base:
            bev = SocketBufferEvent(base)
            group = RateLimitGroup(base, RateLimit(10, 10))
            group.add(bev)
            group.decrement_read(1000)
            base.dispatch()
            assert fakes.backend.timeouts == [100.0]
            assert group.read_limit == 10
            bev.close()


class TestAnySchedule:
    @given(
        st.integers(1, 60),
        st.integers(0, 100),
        st.integers(1, 80),
        st.integers(1, 4),
        st.lists(
            st.tuples(
                st.floats(0, 3),
                st.lists(st.tuples(st.integers(0, 3), st.integers(0, 90), st.integers(0, 90)), max_size=4),
            ),
            min_size=1,
            max_size=8,
        ),
    )
    def test_no_window_passes_more_and_nothing_is_left(
        self,
        rate: int,
        extra: int,
        min_share: int,
        count: int,
        steps: list[tuple[float, list[tuple[int, int, int]]]],
    ) -> None:
        clock = ManualClock()
        burst = rate + extra
        passed: list[tuple[int, int, int]] = []
        with EventBase(clock=clock) as base:
            scene = Scene(base, clock, count)
            group = scene.group(RateLimit(rate, burst, rate, burst), min_share)
            to_read = to_write = 0
            for pause, works in steps:
                for which, read, written in works:
                    scene.peers[which % count].send(bytes(read)) if read else 0
                    scene.bevs[which % count].write(bytes(written))
                    to_read += read
                    to_write += written
                sizes = sum(scene.read(pause)), sum(scene.arrived())
                passed.append((round(clock.monotonic() * 1e6) // 1_000_000, *sizes))
                assert 0 <= (group.read_limit or 0) <= burst
                assert 0 <= (group.write_limit or 0) <= burst
            for begin, end in itertools.combinations_with_replacement(range(len(passed)), 2):
                most = burst + rate * (passed[end][0] - passed[begin][0])
                assert sum(step[1] for step in passed[begin : end + 1]) <= most
                assert sum(step[2] for step in passed[begin : end + 1]) <= most
            done_read, done_written = sum(step[1] for step in passed), sum(step[2] for step in passed)
            # What is less than a share may be left over by a tick.
            least = rate - min(rate, min_share) + 1
            for _ in range(-(-max(to_read - done_read, to_write - done_written) // least)):
                done_read += sum(scene.read(1.000001))
                done_written += sum(scene.arrived())
            assert (done_read, done_written) == group.totals == (to_read, to_write)
            scene.close()
            assert len(group) == 0


def test_a_share_is_64_bytes_at_least_unless_told_otherwise(manual_base: EventBase) -> None:
    """As in libevent."""
    limit = RateLimit(read_rate=1000)
    assert RateLimitGroup(manual_base, limit).min_share == 64
    assert RateLimitGroup(manual_base, limit, min_share=7).min_share == 7
