"""The way of one call through a pool, whose servers and queue a test plays."""

from collections.abc import Callable, Collection
from typing import Any

import pytest

from evkit.core import COUNT_ADDED, EventBase
from evkit.rpc import (
    Backoff,
    CallLost,
    CallTimeout,
    ClientClosed,
    HookAborted,
    Overloaded,
    Pending,
    RemoteCallError,
    RPCError,
)
from evkit.rpc.connection.pending import DEFAULT, FuturePending, Notice
from evkit.rpc.errors import OVERLOADED
from evkit.rpc.pool.attempt import Attempt
from evkit.rpc.pool.call import PooledCall
from evkit.rpc.pool.health import Health
from evkit.rpc.pool.hedging import LEAST_LOOK
from evkit.testing import FakeBase
from rpc_pool_aids import answer

LOST = CallLost("add", sent=True)
UNSENT = CallLost("add", sent=False)
FULL = Overloaded("full")
BUSY = RemoteCallError("add", None, "busy", code=OVERLOADED)


class FakeMember:
    """A member that keeps what it gets."""

    def __init__(self, name: str, place: str | None = None) -> None:
        self.name = name
        self.place = place or name
        self.up = True
        self.load = 0
        self.health = Health(1, Backoff())
        self.has: list[Pending] = []
        self.sent: list[Any] = []
        self.gave_up: list[Pending] = []
        self.refuses: Exception | None = None
        self.on_begin: Callable[[], object] = lambda: None

    def __repr__(self) -> str:
        return self.name

    def begin(self, pending: Pending, params: list[Any]) -> None:
        self.on_begin()
        if self.refuses is not None:
            raise self.refuses
        pending.owner = self
        self.has.append(pending)
        self.sent.append(list(params))

    def notify(self, method: str, params: list[Any]) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.sent.append((method, params))

    def abandon(self, pending: Pending) -> None:
        self.has.remove(pending)
        self.gave_up.append(pending)

    def late(self, pending: Pending, seconds: float) -> None:
        raise AssertionError("a time-out of the connection's own")

    def answer(self, value: Any = None, error: RPCError | None = None) -> None:
        """End the oldest of what it has."""
        answer(self.has.pop(0), value, error)


class FakeDispatcher:
    """Gives a call to the first who is up."""

    def __init__(self, base: EventBase, *members: FakeMember) -> None:
        self.base = base
        self.members = list(members)
        self.closed = False
        self.why: BaseException | None = None
        self.waiting: list[PooledCall] = []
        self.resting: list[PooledCall] = []
        self.pauses: list[float] = []  # for repeats, one each
        self.copies = 100
        self.looks = 0  # for copies
        self.ends: list[tuple[FakeMember, RPCError | None, bool]] = []
        self.drops: list[tuple[FakeMember, bool]] = []
        self.handed: list[tuple[Pending, FakeMember]] = []
        self.on_ended: Callable[[], object] = lambda: None

    def pick(self, avoid: Collection[FakeMember]) -> FakeMember | None:
        return next((one for one in self.members if one.up and one not in avoid), None)

    def wait(self, call: PooledCall) -> None:
        self.waiting.append(call)

    def rest(self, call: PooledCall) -> None:
        self.resting.append(call)

    def forget(self, call: PooledCall) -> None:
        for places in (self.waiting, self.resting):
            if call in places:
                places.remove(call)

    def pause(self, repeats: int) -> float | None:
        return self.pauses[repeats] if repeats < len(self.pauses) else None

    def may_copy(self) -> bool:
        self.looks += 1
        self.copies -= 1
        return self.copies >= 0

    def unusable(self, member: FakeMember) -> None:
        member.up = False

    def ended(self, member: FakeMember, error: RPCError | None, *, probe: bool) -> None:
        member.load -= 1
        self.ends.append((member, error, probe))
        self.on_ended()

    def dropped(self, member: FakeMember, *, probe: bool) -> None:
        member.load -= 1
        self.drops.append((member, probe))

    def handed_over(self, pending: FuturePending, member: FakeMember) -> None:
        self.handed.append((pending, member))


class Play:
    """A call, and all that is round it."""

    def __init__(self, fakes: FakeBase, *members: FakeMember) -> None:
        self.fakes = fakes
        self.members = members
        self.pool = FakeDispatcher(fakes.base, *members)
        self.told: list[Pending] = []
        self.params: list[Any] = [2, 3]

    def call(
        self, seconds: float | None = 10.0, pending: Pending | None = None, **options: Any
    ) -> PooledCall:
        pending = pending or Pending("add", self.told.append)
        return PooledCall(self.pool, pending, self.params, seconds, **options)  # type: ignore[arg-type]  # a fake

    def begun(self, seconds: float | None = 10.0, **options: Any) -> PooledCall:
        call = self.call(seconds, **options)
        call.begin(self.members[0], DEFAULT)  # type: ignore[arg-type]  # a fake
        return call

    def flush(self) -> None:
        """Let those go that wait."""
        for call in tuple(self.pool.waiting):
            member = self.pool.pick(())
            assert member is not None
            self.pool.waiting.remove(call)
            call.go_to(member)  # type: ignore[arg-type]  # a fake

    def run(self, seconds: float = 0.0) -> None:
        self.fakes.run(seconds)

    @property
    def error(self) -> RPCError | None:
        """How the call has ended."""
        (pending,) = self.told
        assert pending.owner is None
        self.check_clean()
        return pending.error

    @property
    def value(self) -> Any:
        assert self.error is None
        return self.told[0].value

    def check_clean(self) -> None:
        """See that nothing is left of a call that is over."""
        assert [member.load for member in self.members] == [0] * len(self.members)
        assert [member.has for member in self.members] == [[]] * len(self.members)
        assert (self.pool.waiting, self.pool.resting) == ([], [])
        assert self.fakes.base.num_events(COUNT_ADDED) == 0


def one_member(fakes: FakeBase) -> Play:
    return Play(fakes, FakeMember("a"))


def two_members(fakes: FakeBase) -> Play:
    return Play(fakes, FakeMember("a"), FakeMember("b"))


# One attempt


def test_a_call_goes_to_a_member_and_its_answer_back(fakes: FakeBase) -> None:
    play = one_member(fakes)
    call = play.call()
    call.begin(play.members[0], 7.5)  # type: ignore[arg-type]  # a fake
    (member,) = play.members
    (attempt,) = member.has
    assert (member.load, member.sent, play.told) == (1, [[2, 3]], [])
    assert (attempt.method, attempt.timeout) == ("add", 7.5)
    member.answer(5)
    assert play.value == 5
    assert play.told == [call.pending]
    assert play.pool.ends == [(member, None, False)]


def test_what_goes_beside_it_goes_with_each_attempt(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.begun(pending=Pending("add", play.told.append, metadata={"tenant": 7}))
    assert play.members[0].has[0].metadata == {"tenant": 7}


def test_an_error_of_the_peer_is_an_answer(fakes: FakeBase) -> None:
    play = two_members(fakes)
    error = RemoteCallError("add", None, "wrong", code=-32602)
    play.begun(idempotent=True)
    play.members[0].answer(error=error)
    assert play.error is error
    assert play.members[1].sent == []


def test_a_time_out_that_was_all_of_it_is_told_as_it_is(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.begun(10.0)
    error = CallTimeout("add", 10.0)
    play.members[0].answer(error=error)
    assert play.error is error


def test_a_time_out_of_the_last_attempt_is_told_as_one_of_the_call(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.begun(10.0)
    play.members[0].answer(error=CallTimeout("add", 4.0))
    error = play.error
    assert isinstance(error, CallTimeout)
    assert error.timeout == 10.0


def test_a_time_out_of_a_call_without_one_is_the_servers(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.begun(None)
    error = CallTimeout("add", 4.0)
    play.members[0].answer(error=error)
    assert play.error is error


def test_an_attempt_tries_a_server_that_was_left_out(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.members[0].health.failed(fakes.base.now(), 0.0, probe=False)
    play.begun()
    assert isinstance(play.members[0].has[0], Attempt)
    assert play.members[0].has[0].probe
    play.members[0].answer(5)
    assert play.pool.ends == [(play.members[0], None, True)]


def test_after_the_end_of_the_pool_nothing_is_an_answer(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.begun(idempotent=True)
    play.pool.closed = True
    play.members[0].answer(error=UNSENT)
    assert isinstance(play.error, ClientClosed)
    assert play.members[1].sent == []


def test_it_shows_its_state(fakes: FakeBase) -> None:
    play = one_member(fakes)
    call = play.begun()
    assert repr(call) == "<PooledCall of <Pending add #0 pending> attempts=1 repeats=0>"


# Refused


def test_one_that_takes_nothing_is_passed_over_and_told_of(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.members[0].refuses = UNSENT
    play.begun(10.0)
    assert not play.members[0].up
    assert [member.load for member in play.members] == [0, 1]
    assert play.members[1].has[0].timeout == 10.0
    play.members[1].answer(5)
    assert play.value == 5
    assert play.pool.drops == [(play.members[0], False)]


def test_one_that_is_full_is_passed_over_and_stays(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.members[0].refuses = FULL
    play.begun()
    assert play.members[0].up
    assert len(play.members[1].has) == 1


def test_where_all_are_full_a_call_is_refused(fakes: FakeBase) -> None:
    play = two_members(fakes)
    for member in play.members:
        member.refuses = FULL
    call = play.call()
    with pytest.raises(Overloaded, match="full"):
        call.begin(play.members[0], DEFAULT)  # type: ignore[arg-type]  # a fake
    assert (play.told, call.pending.owner) == ([], None)
    play.check_clean()


def test_one_that_is_full_is_asked_again_rather_than_that_a_call_waits_for_nobody(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.members[0].refuses = FULL
    play.members[1].refuses = UNSENT
    with pytest.raises(Overloaded):
        play.begun()
    play.check_clean()


def test_where_nobody_takes_it_it_waits(fakes: FakeBase) -> None:
    play = two_members(fakes)
    for member in play.members:
        member.refuses = UNSENT
    call = play.begun()
    assert play.pool.waiting == [call]
    assert play.told == []
    play.members[1].refuses = None
    play.members[1].up = True
    play.flush()
    play.members[1].answer(5)
    assert play.value == 5


def test_what_can_not_be_sent_is_an_error_at_once(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.members[0].refuses = TypeError("no MessagePack")
    call = play.call()
    with pytest.raises(TypeError):
        call.begin(play.members[0], DEFAULT)  # type: ignore[arg-type]  # a fake
    assert (play.told, call.pending.owner) == ([], None)
    play.check_clean()


@pytest.mark.parametrize("error", [HookAborted("no"), BUSY])
def test_what_is_no_refusal_to_send_it_ends_it(fakes: FakeBase, error: RPCError) -> None:
    play = two_members(fakes)
    play.members[0].refuses = error
    with pytest.raises(type(error)):
        play.begun()
    assert play.members[1].sent == []
    play.check_clean()


def test_a_pool_that_is_closed_by_what_refuses_it_is_the_reason(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.members[0].refuses = UNSENT

    def close() -> None:
        play.pool.closed = True

    play.members[0].on_begin = close
    with pytest.raises(ClientClosed, match="the pool was closed") as caught:
        play.begun()
    assert caught.value.__cause__ is UNSENT
    play.check_clean()


def test_a_hook_may_cancel_it_before_it_is_sent(fakes: FakeBase) -> None:
    play = one_member(fakes)
    call = play.call()
    call.wait()
    play.members[0].on_begin = call.pending.cancel
    play.flush()
    assert [attempt.method for attempt in play.members[0].gave_up] == ["add"]
    assert play.told == []
    play.check_clean()


def test_a_hook_may_cancel_it_and_have_it_refused(fakes: FakeBase) -> None:
    play = two_members(fakes)
    call = play.call()
    call.wait()
    play.members[0].on_begin = call.pending.cancel
    play.members[0].refuses = UNSENT
    play.flush()
    assert play.told == []
    assert play.members[1].sent == []
    play.check_clean()


# Waiting


def test_a_call_that_waits_may_be_late(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.pool.why = OSError("nobody there")
    play.call(3.0).wait()
    play.run(2.9)
    assert play.told == []
    play.run(0.2)
    error = play.error
    assert isinstance(error, CallTimeout)
    assert (error.method, error.timeout) == ("add", 3.0)
    assert error.__cause__ is play.pool.why


def test_one_without_a_limit_waits_on(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.call(None).wait()
    play.run(1e6)
    assert play.told == []
    play.flush()
    assert play.members[0].has[0].timeout is None


def test_the_time_goes_on_with_each_attempt(fakes: FakeBase) -> None:
    play = one_member(fakes)
    call = play.call(10.0)
    call.wait()
    play.run(4.0)
    play.flush()
    assert play.members[0].has[0].timeout == pytest.approx(6.0)
    play.members[0].up = False
    play.members[0].answer(error=UNSENT)
    play.run(5.9)
    assert play.pool.waiting == [call]
    play.run(0.2)
    error = play.error
    assert isinstance(error, CallTimeout)
    assert error.__cause__ is UNSENT


def test_whoever_has_it_when_it_is_late_is_told(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.pool.why = OSError("somebody else")
    play.call(10.0).wait()
    play.run(4.0)
    play.flush()
    play.run(6.1)
    member = play.members[0]
    assert len(member.gave_up) == 1
    error = play.error
    assert isinstance(error, CallTimeout)
    assert error.__cause__ is None  # somebody had it, and did not answer
    assert play.pool.ends == [(member, error, False)]
    assert play.pool.drops == []


# Lost


def test_what_was_not_sent_goes_elsewhere(fakes: FakeBase) -> None:
    play = two_members(fakes)
    call = play.begun()
    play.members[0].answer(error=UNSENT)
    assert len(play.members[1].has) == 1
    assert call.repeats == 0
    play.members[1].answer(5)
    assert play.value == 5


def test_it_goes_back_where_there_is_nobody_else(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.begun()
    play.members[0].answer(error=UNSENT)
    assert len(play.members[0].has) == 1


def test_it_waits_where_there_is_nobody(fakes: FakeBase) -> None:
    play = one_member(fakes)
    call = play.begun()
    play.members[0].up = False
    play.members[0].answer(error=UNSENT)
    assert play.pool.waiting == [call]


def test_after_a_wait_no_member_is_to_be_avoided(fakes: FakeBase) -> None:
    play = two_members(fakes)
    call = play.begun()
    play.members[0].up = play.members[1].up = False
    play.members[0].answer(error=UNSENT)
    assert play.pool.waiting == [call]
    play.members[0].up = play.members[1].up = True
    play.pool.waiting.remove(call)
    call.go_to(play.members[1])  # type: ignore[arg-type]  # a fake
    play.members[1].answer(error=UNSENT)
    assert len(play.members[0].has) == 1


def test_one_that_is_full_only_later_ends_it_where_there_is_nobody_else(fakes: FakeBase) -> None:
    """As a hook that holds it back for a while may bring about: back to the same server it would go for ever."""
    play = one_member(fakes)
    play.begun()
    play.members[0].answer(error=FULL)
    assert play.error is FULL


def test_what_may_have_been_served_is_lost(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.pool.pauses = [1.0]
    play.begun()
    play.members[0].answer(error=LOST)
    assert play.error is LOST
    assert play.members[1].sent == []


@pytest.mark.parametrize("error", [LOST, BUSY])
def test_what_may_be_served_twice_is_repeated_after_a_pause(fakes: FakeBase, error: RPCError) -> None:
    play = two_members(fakes)
    play.pool.pauses = [1.0]
    call = play.begun(idempotent=True)
    play.members[0].answer(error=error)
    assert play.pool.resting == [call]
    play.run(0.9)
    assert play.members[1].sent == []
    play.run(0.2)
    assert (play.pool.resting, call.repeats) == ([], 1)
    assert play.members[1].has[0].timeout == pytest.approx(9.0, abs=0.2)
    play.members[1].answer(5)
    assert play.value == 5


def test_it_is_repeated_while_the_pool_says_so(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.pool.pauses = [0.0, 1.0]
    call = play.begun(idempotent=True)
    for _ in range(2):
        play.members[0].answer(error=LOST)
        play.run(1.1)
    last = CallLost("add", sent=True)
    play.members[0].answer(error=last)
    assert play.error is last
    assert (call.repeats, len(play.members[0].sent)) == (2, 3)


def test_it_waits_after_the_pause_where_there_is_nobody(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.pool.pauses = [1.0]
    call = play.begun(idempotent=True)
    play.members[0].up = False
    play.members[0].answer(error=LOST)
    play.run(1.1)
    assert (play.pool.resting, play.pool.waiting) == ([], [call])


def test_it_may_be_late_in_the_pause(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.pool.pauses = [20.0]
    play.begun(3.0, idempotent=True)
    play.members[0].answer(error=LOST)
    play.run(3.1)
    error = play.error
    assert isinstance(error, CallTimeout)
    assert (error.timeout, error.__cause__) == (3.0, LOST)


@pytest.mark.parametrize(("first", "sent"), [(UNSENT, False), (LOST, True)])
def test_parameters_that_were_changed_end_it(fakes: FakeBase, first: RPCError, sent: bool) -> None:
    play = two_members(fakes)
    play.pool.pauses = [0.0]
    spoilt = TypeError("no MessagePack")
    play.begun(idempotent=True)
    play.members[1].refuses = spoilt
    play.members[0].answer(error=first)
    play.run(0.1)
    error = play.error
    assert isinstance(error, CallLost)
    assert (error.sent, error.__cause__) == (sent, spoilt)


def test_who_refuses_it_later_ends_it(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.begun()
    play.members[1].refuses = HookAborted("no")
    play.members[0].answer(error=UNSENT)
    assert play.error is play.members[1].refuses


# Cancelled


def test_a_call_that_is_cancelled_is_taken_back(fakes: FakeBase) -> None:
    play = one_member(fakes)
    call = play.begun()
    (attempt,) = play.members[0].has
    call.pending.cancel()
    assert play.members[0].gave_up == [attempt]
    assert (play.pool.drops, play.pool.ends) == ([(play.members[0], False)], [])
    play.run(20.0)
    assert play.told == []
    play.check_clean()


@pytest.mark.parametrize("where", ["queue", "pause"])
def test_so_is_one_that_nobody_has(fakes: FakeBase, where: str) -> None:
    play = one_member(fakes)
    play.pool.pauses = [5.0]
    if where == "queue":
        call = play.call()
        call.wait()
    else:
        call = play.begun(idempotent=True)
        play.members[0].answer(error=LOST)
    call.pending.cancel()
    play.run(20.0)
    assert play.told == []
    play.check_clean()


def test_one_that_is_cancelled_by_its_own_end_is_not_told_of(fakes: FakeBase) -> None:
    """What a member has ended may end its connection, and who hears of that may cancel this call."""
    play = one_member(fakes)
    call = play.begun()
    play.pool.on_ended = call.pending.cancel
    play.members[0].answer(5)
    assert play.told == []
    play.check_clean()


def test_who_is_told_may_cancel_it_in_vain(fakes: FakeBase) -> None:
    play = one_member(fakes)
    told: list[Any] = []

    def done(pending: Pending) -> None:
        told.append(pending.value)
        pending.cancel()

    play.begun(pending=Pending("add", done))
    play.members[0].answer(5)
    assert told == [5]
    play.check_clean()


# Copies


def copied(play: Play, **options: Any) -> PooledCall:
    """Return a call that two members have."""
    call = play.begun(idempotent=True, hedge_after=0.5, **options)
    play.run(0.6)
    assert [len(member.has) for member in play.members[:2]] == [1, 1]
    return call


def test_a_slow_call_is_copied(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.begun(idempotent=True, hedge_after=0.5)
    play.run(0.4)
    assert play.members[1].sent == []
    play.run(0.2)
    assert play.members[1].sent == [[2, 3]]
    assert play.members[1].has[0].timeout == pytest.approx(9.5, abs=0.15)


@pytest.mark.parametrize("winner", [0, 1])
def test_the_first_answer_counts_and_the_other_is_given_up(fakes: FakeBase, winner: int) -> None:
    play = two_members(fakes)
    copied(play)
    play.members[winner].answer(winner)
    assert play.value == winner
    loser = play.members[1 - winner]
    assert len(loser.gave_up) == 1
    assert play.pool.drops == [(loser, False)]


def test_a_quick_call_is_not_copied(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.begun(idempotent=True, hedge_after=0.5)
    play.members[0].answer(5)
    play.run(1.0)
    assert play.value == 5
    assert play.members[1].sent == []


def test_there_is_one_copy_and_no_more(fakes: FakeBase) -> None:
    play = Play(fakes, *map(FakeMember, "abc"))
    copied(play)
    play.run(5.0)
    assert play.members[2].sent == []


def test_there_is_none_that_would_come_too_late(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.begun(0.5, idempotent=True, hedge_after=0.5)
    play.run(0.6)
    assert play.members[1].sent == []


def test_a_call_without_a_limit_may_be_copied(fakes: FakeBase) -> None:
    play = two_members(fakes)
    copied(play, seconds=None)
    assert play.members[1].has[0].timeout is None


def test_a_copy_goes_to_another_server_and_not_by_another_connection(fakes: FakeBase) -> None:
    play = Play(fakes, FakeMember("a", "server"), FakeMember("b", "server"))
    play.begun(idempotent=True, hedge_after=0.5)
    play.run(2.0)
    assert play.members[1].sent == []
    assert play.pool.looks == 0  # which would have cost budget


def test_a_copy_goes_where_the_call_was_before_rather_than_nowhere(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.begun(idempotent=True, hedge_after=0.5)
    play.members[0].answer(error=UNSENT)
    assert [len(member.has) for member in play.members] == [0, 1]
    play.run(0.6)
    assert [len(member.has) for member in play.members] == [1, 1]


def test_it_is_tried_again_until_somebody_can_get_a_copy(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.members[1].up = False
    play.begun(idempotent=True, hedge_after=0.5)
    play.run(0.9)
    play.members[1].up = True
    assert play.members[1].sent == []
    play.run(0.2)
    assert len(play.members[1].sent) == 1
    assert play.pool.looks == 1


def test_it_is_tried_again_until_there_is_budget(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.pool.copies = 0
    play.begun(idempotent=True, hedge_after=0.5)
    play.run(0.9)
    assert play.pool.looks == 1
    play.pool.copies = 1
    play.run(0.2)
    assert len(play.members[1].sent) == 1


def test_it_is_not_tried_all_the_time(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.pool.copies = 0
    play.begun(idempotent=True, hedge_after=0.0)
    play.run(10 * LEAST_LOOK)
    assert 5 <= play.pool.looks <= 11


def test_it_is_tried_while_there_is_time(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.pool.copies = 0
    play.begun(2.2, idempotent=True, hedge_after=0.5)
    play.run(20.0)
    assert play.pool.looks == 4
    assert fakes.base.num_events(COUNT_ADDED) == 0


@pytest.mark.parametrize(("error", "up"), [(UNSENT, False), (FULL, True)])
def test_a_copy_that_is_refused_is_tried_again(fakes: FakeBase, error: RPCError, up: bool) -> None:
    play = two_members(fakes)
    play.members[1].refuses = error
    play.begun(idempotent=True, hedge_after=0.5)
    play.run(0.6)
    assert play.members[1].up is up
    assert (play.told, play.members[1].load) == ([], 0)
    play.members[1].refuses = None
    play.members[1].up = True
    play.run(0.5)
    assert len(play.members[1].has) == 1


def test_a_copy_that_can_not_be_made_leaves_the_call_alone(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.members[1].refuses = TypeError("no MessagePack")
    play.begun(idempotent=True, hedge_after=0.5)
    play.run(5.0)
    assert play.pool.looks == 1
    play.members[0].answer(5)
    assert play.value == 5


@pytest.mark.parametrize("refused", [False, True])
def test_a_hook_may_cancel_the_call_while_it_is_copied(fakes: FakeBase, refused: bool) -> None:
    play = two_members(fakes)
    call = play.begun(idempotent=True, hedge_after=0.5)
    play.members[1].on_begin = call.pending.cancel
    play.members[1].refuses = UNSENT if refused else None
    play.run(5.0)
    assert play.told == []
    assert play.members[1].up
    play.check_clean()


@pytest.mark.parametrize("loser", [0, 1])
def test_a_copy_that_is_lost_leaves_the_other(fakes: FakeBase, loser: int) -> None:
    play = two_members(fakes)
    copied(play)
    play.members[loser].answer(error=LOST)
    assert play.told == []
    play.members[1 - loser].answer(5)
    assert play.value == 5


def test_another_copy_takes_the_place_of_one_that_was_lost(fakes: FakeBase) -> None:
    play = Play(fakes, *map(FakeMember, "abc"))
    copied(play)
    play.members[1].answer(error=LOST)
    play.run(0.4)
    assert play.members[2].sent == []
    play.run(0.2)
    assert len(play.members[2].has) == 1


def test_when_all_copies_are_lost_the_call_is(fakes: FakeBase) -> None:
    play = two_members(fakes)
    copied(play)
    play.members[1].answer(error=LOST)
    last = CallLost("add", sent=True)
    play.members[0].answer(error=last)
    assert play.error is last


def test_a_call_that_is_repeated_is_copied_anew(fakes: FakeBase) -> None:
    play = Play(fakes, *map(FakeMember, "abc"))
    play.pool.pauses = [0.1]
    play.begun(idempotent=True, hedge_after=0.5)
    play.members[0].answer(error=LOST)
    play.run(0.2)
    assert len(play.members[1].has) == 1
    play.run(0.6)
    assert len(play.members[2].has) == 1


def test_a_call_that_waits_is_not_copied(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.begun(idempotent=True, hedge_after=0.5)
    play.members[0].up = False
    play.members[0].answer(error=UNSENT)
    play.members[0].up = True
    play.run(2.0)
    assert play.members[0].has == []


def test_all_who_have_a_late_call_are_told(fakes: FakeBase) -> None:
    play = two_members(fakes)
    call = play.call(2.0, idempotent=True, hedge_after=0.5)
    call.wait()
    play.run(0.5)
    play.flush()
    play.run(0.6)
    assert [len(member.has) for member in play.members] == [1, 1]
    play.run(1.0)
    error = play.error
    assert isinstance(error, CallTimeout)
    assert sorted(member.name for member, told, _ in play.pool.ends if told is error) == ["a", "b"]


def test_cancelling_takes_all_copies_back(fakes: FakeBase) -> None:
    play = two_members(fakes)
    call = copied(play)
    call.pending.cancel()
    assert [len(member.gave_up) for member in play.members] == [1, 1]
    play.check_clean()


def test_a_copy_that_is_given_up_may_have_a_hook_that_cancels_the_call(fakes: FakeBase) -> None:
    play = Play(fakes, *map(FakeMember, "abc"))
    call = copied(play)
    members = play.members

    class Cancelling:
        def abandon(self, pending: Pending) -> None:
            members[0].has.clear()
            call.pending.cancel()
            call.abandon(call.pending)

    members[0].has[0].owner = Cancelling()
    members[1].answer(5)
    assert play.value == 5


# Whole


def test_a_stream_is_handed_over(fakes: FakeBase) -> None:
    play = one_member(fakes)
    pending = FuturePending(fakes.base, "add", None, None)
    play.begun(None, pending=pending, whole=True)
    assert play.members[0].has == [pending]
    assert play.pool.handed == [(pending, play.members[0])]
    assert play.members[0].load == 1


def test_a_stream_goes_elsewhere_when_it_is_refused(fakes: FakeBase) -> None:
    play = two_members(fakes)
    play.members[0].refuses = UNSENT
    pending = FuturePending(fakes.base, "add", None, None)
    play.begun(None, pending=pending, whole=True)
    assert play.members[1].has == [pending]
    assert [member.load for member in play.members] == [0, 1]
    assert play.pool.drops == [(play.members[0], False)]


def test_a_stream_that_waits_keeps_its_time(fakes: FakeBase) -> None:
    play = one_member(fakes)
    pending = FuturePending(fakes.base, "add", 3.0, None)
    call = play.call(3.0, pending=pending, whole=True)
    call.wait()
    play.run(1.0)
    play.flush()
    assert pending.owner is play.members[0]
    assert pending.deadline == pytest.approx(fakes.base.now() + 2.0, abs=0.15)


def test_a_notification_is_over_when_it_is_sent(fakes: FakeBase) -> None:
    play = one_member(fakes)
    notice = Notice("tell")
    call = play.call(3.0, pending=notice, whole=True)
    call.wait()
    play.flush()
    assert play.members[0].sent == [("tell", [2, 3])]
    assert notice.owner is None
    play.check_clean()


def test_a_notification_that_is_refused_waits(fakes: FakeBase) -> None:
    play = one_member(fakes)
    play.members[0].refuses = UNSENT
    notice = Notice("tell")
    call = play.begun(3.0, pending=notice, whole=True)
    assert play.pool.waiting == [call]
    assert notice.owner is call
