"""The members of a pool, over connections that the test plays."""

from typing import Any

import pytest

from evkit.core import COUNT_ADDED
from evkit.core.net import Resolver
from evkit.errors import ConnectionLost
from evkit.rpc import Backoff, CallLost, CallTimeout, ClientClosed, RemoteCallError
from evkit.rpc.client.target import Target
from evkit.rpc.errors import OVERLOADED
from evkit.rpc.pool.discovery import parse_source
from evkit.rpc.pool.member import Member, Pinned
from evkit.rpc.pool.members import MemberRules, Members
from evkit.testing import FakeBase
from rpc_pool_aids import FakeClient, FakeConnection, FakeResolver

LATE = CallTimeout("add", 1.0)
GONE = ConnectionLost("gone", during="read")
BUSY = RemoteCallError("add", None, "busy", code=OVERLOADED)
WRONG = RemoteCallError("add", None, "wrong")
PAUSE = Backoff(5.0, 2.0, 60.0, 0.0)
DRAWS = 60
"""Enough for two servers of which each has half to be drawn both, but once in 2**59."""


class Club:
    """Members whose clients have no wire."""

    def __init__(
        self,
        fakes: FakeBase,
        *targets: str,
        size: int = 1,
        failures: int = 2,
        max_in_flight: int | None = None,
    ) -> None:
        self.fakes = fakes
        self.base = fakes.base
        self.clients: list[FakeClient] = []
        self.resolvers: list[Resolver] = []
        self.resolver = FakeResolver(fakes.base)
        self.free = 0
        rules = MemberRules(size, failures, PAUSE, max_in_flight)
        self.members = Members(
            fakes.base,
            [parse_source(target) for target in targets],
            self.resolver,
            self._make,  # type: ignore[arg-type]  # a fake
            rules,
        )
        self.members.on_free = self._on_free
        self.members.start()
        self.run()

    def _make(self, target: Target, resolver: Resolver) -> FakeClient:
        self.clients.append(FakeClient(target))
        self.resolvers.append(resolver)
        return self.clients[-1]

    def _on_free(self) -> None:
        self.free += 1

    def run(self, seconds: float = 0.0) -> None:
        self.fakes.run(seconds)

    def up(self) -> list[FakeConnection]:
        """Have all come up that are not."""
        return [client.connection or client.come_up() for client in self.clients if not client.closed]

    def pick(self, *avoid: Member) -> Member:
        member = self.members.pick(avoid)
        assert member is not None
        return member

    def give(self) -> Member:
        """Let a member have a call."""
        member = self.pick()
        member.load += 1
        member.health.begin()
        return member

    def drawn(self, *avoid: Member) -> set[Member]:
        """Return who can get a call."""
        picked = {self.members.pick(avoid) for _ in range(DRAWS)}
        return {member for member in picked if member is not None}

    def places(self, *avoid: Member) -> set[str]:
        return {str(member.client.target) for member in self.drawn(*avoid)}

    def frees(self) -> int:
        """Return how often it was said since that somebody may be free."""
        free, self.free = self.free, 0
        return free


ONE = "192.0.2.1:7000"
TWO = "192.0.2.2:7000"


# Who is there


def test_it_connects_to_all_at_once(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, TWO, size=2)
    assert sorted(str(client.target) for client in club.clients) == [ONE, ONE, TWO, TWO]
    assert all(client.wanted for client in club.clients)
    assert club.members.clients == club.clients
    assert club.members.pick(()) is None
    assert repr(club.members) == "<Members up=0 of 4>"


def test_those_who_are_up_get_calls(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, TWO)
    club.clients[1].come_up()
    assert club.places() == {TWO}
    club.clients[0].come_up()
    assert club.places() == {ONE, TWO}
    club.clients[1].connection.lose()  # type: ignore[union-attr]  # it has one
    assert club.places() == {ONE}


def test_of_a_name_each_address_is_pinned(fakes: FakeBase) -> None:
    club = Club(fakes)
    club.resolver.hosts["rpc.test"] = [("192.0.2.1", 1), ("192.0.2.2", 1)]
    named = Members(
        fakes.base,
        [parse_source("rpc.test:1")],
        club.resolver,
        club._make,  # type: ignore[arg-type]  # a fake
        MemberRules(1, 1, PAUSE, None),
    )
    named.start()
    club.run()
    assert [str(client.target) for client in club.clients] == ["rpc.test:1", "rpc.test:1"]
    assert all(isinstance(resolver, Pinned) for resolver in club.resolvers)
    named.close()


def test_one_of_the_programs_own_asks_the_resolver_itself(fakes: FakeBase) -> None:
    club = Club(fakes)
    client: Any = club.members.add(Target("rpc.test", 1))
    assert client is club.clients[0]
    assert client.wanted
    assert club.resolvers == [club.resolver]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ((0, 1, None), "size as a number >= 1"),
        ((1, 0, None), "failures as a number >= 1"),
        ((1, 1, 0), "max_in_flight as a number >= 1"),
    ],
)
def test_rules_out_of_range_are_refused(
    fakes: FakeBase, rules: tuple[int, int, int | None], words: str
) -> None:
    size, failures, most = rules
    with pytest.raises(ValueError, match=words):
        Members(
            fakes.base,
            [],
            FakeResolver(fakes.base),
            lambda target, resolver: FakeClient(target),  # type: ignore[arg-type, return-value]  # a fake
            MemberRules(size, failures, PAUSE, most),
        )


def test_closing_closes_all(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, TWO, "rpc.test:1")
    club.clients[0].come_up()
    club.members.close()
    assert all(client.closed for client in club.clients)
    assert club.members.clients == []
    club.run(400.0)
    assert fakes.base.num_events(COUNT_ADDED) == 0


# Who gets a call


def test_who_is_to_be_avoided_gets_none(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, TWO)
    club.up()
    one = club.pick()
    other = club.pick(one)
    assert other is not one
    assert club.members.pick([one, other]) is None


def test_another_server_is_better_than_another_connection(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, TWO, size=3)
    club.up()
    one = club.pick()
    assert len(club.places(one)) == 1
    assert one.place not in {member.place for member in club.drawn(one)}


def test_another_connection_is_better_than_none(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, size=3)
    club.up()
    one = club.pick()
    assert len(club.drawn(one)) == 2
    assert one not in club.drawn(one)


def test_so_many_calls_and_no_more(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, TWO, max_in_flight=2)
    club.up()
    given = [club.give() for _ in range(4)]
    assert [given.count(member) for member in set(given)] == [2, 2]
    assert club.members.pick(()) is None
    club.members.ended(given[0], None, probe=False)
    assert club.members.pick(()) is given[0]


def test_the_next_is_the_less_busy(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, TWO)
    club.up()
    given = [club.give() for _ in range(6)]
    assert [given.count(member) for member in set(given)] == [3, 3]


# How they fare


def failed(club: Club, member: Member, error: Any = LATE, times: int = 2) -> None:
    for _ in range(times):
        member.load += 1
        club.members.ended(member, error, probe=member.health.begin())


@pytest.mark.parametrize("error", [LATE, BUSY])
def test_one_that_fails_is_left_out_and_tried_again(fakes: FakeBase, error: Exception) -> None:
    club = Club(fakes, ONE, TWO)
    club.up()
    one = club.pick()
    club.frees()
    failed(club, one, error)
    assert one not in club.drawn()
    assert club.frees() >= 1  # a spare server may be next
    club.run(4.9)
    assert one not in club.drawn()
    club.frees()
    club.run(0.2)
    assert club.frees() == 1
    assert one in club.drawn()


@pytest.mark.parametrize("error", [None, WRONG])
def test_an_answer_shows_that_it_is_well(fakes: FakeBase, error: Any) -> None:
    club = Club(fakes, ONE)
    club.up()
    one = club.pick()
    for _ in range(4):
        failed(club, one, LATE, 1)
        failed(club, one, error, 1)
    assert club.pick() is one


@pytest.mark.parametrize("error", [CallLost("add", sent=True), ClientClosed("over")])
def test_what_is_no_fault_of_its_own_does_not_count(fakes: FakeBase, error: Any) -> None:
    club = Club(fakes, ONE)
    club.up()
    one = club.pick()
    failed(club, one, LATE, 1)
    failed(club, one, error, 5)
    assert club.pick() is one
    failed(club, one, LATE, 1)
    assert club.members.pick(()) is None


def test_one_call_tries_it(fakes: FakeBase) -> None:
    club = Club(fakes, ONE)
    club.up()
    one = club.pick()
    failed(club, one)
    club.run(5.1)
    assert club.give() is one
    assert club.members.pick(()) is None
    club.members.ended(one, None, probe=True)
    assert club.pick() is one
    club.run(10.0)
    assert club.pick() is one


def test_a_try_that_fails_has_it_left_out_for_longer(fakes: FakeBase) -> None:
    club = Club(fakes, ONE)
    club.up()
    one = club.pick()
    failed(club, one)
    club.run(5.1)
    club.give()
    club.members.ended(one, LATE, probe=True)
    club.run(9.8)
    assert club.members.pick(()) is None
    club.run(0.3)
    assert club.pick() is one


@pytest.mark.parametrize("how", ["dropped", "lost"])
def test_a_try_that_shows_nothing_lets_another_try(fakes: FakeBase, how: str) -> None:
    club = Club(fakes, ONE)
    club.up()
    one = club.pick()
    failed(club, one)
    club.run(5.1)
    club.give()
    club.frees()
    if how == "dropped":
        club.members.dropped(one, probe=True)
    else:
        club.members.ended(one, CallLost("add", sent=True), probe=True)
    assert club.pick() is one
    assert club.frees() == 1


def test_a_call_that_was_no_try_ends_none(fakes: FakeBase) -> None:
    club = Club(fakes, ONE)
    club.up()
    old = club.give()
    failed(club, old)
    club.run(5.1)
    club.give()
    club.members.dropped(old, probe=False)
    assert club.members.pick(()) is None


def test_connections_that_break_count(fakes: FakeBase) -> None:
    club = Club(fakes, ONE)
    for _ in range(2):
        club.up()[0].lose(GONE)
    club.up()
    assert club.members.pick(()) is None
    club.run(5.1)
    assert club.members.pick(()) is not None


def test_connections_that_end_in_order_do_not(fakes: FakeBase) -> None:
    club = Club(fakes, ONE)
    for _ in range(5):
        club.up()[0].lose(None)
    club.up()
    assert club.members.pick(()) is not None


def test_the_next_to_be_tried_is_awaited_after_the_first(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, TWO)
    club.up()
    one = club.pick()
    two = club.pick(one)
    failed(club, one)
    club.run(2.0)
    failed(club, two)
    club.frees()
    club.run(3.1)
    assert club.frees() == 1
    assert club.drawn() == {one}
    club.run(2.0)
    assert club.frees() == 1
    assert club.drawn() == {one, two}


def test_a_server_that_is_well_again_is_kept_in_mind(fakes: FakeBase) -> None:
    """That one who is away was left out before, others get calls as ever."""
    club = Club(fakes, ONE, TWO)
    connections = club.up()
    for _ in range(2):
        connections[0].lose(GONE)
        connections = club.up()
    connections[0].lose(GONE)
    assert club.places() == {TWO}
    club.run(5.1)
    assert club.places() == {TWO}
    club.up()
    assert club.places() == {ONE, TWO}


# Unusable


def test_one_that_takes_nothing_gets_none_until_it_has_another_connection(fakes: FakeBase) -> None:
    club = Club(fakes, ONE)
    club.up()
    one = club.pick()
    club.frees()
    club.members.unusable(one)
    assert club.members.pick(()) is None
    assert club.frees() == 1
    club.clients[0].connection.lose()  # type: ignore[union-attr]  # it has one
    club.up()
    assert club.pick() is one


# Why


def test_why_nobody_is_there(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, TWO)
    assert club.members.why is None
    refused = OSError("refused")
    club.clients[0].on_failure(refused)
    assert club.members.why is refused
    club.up()
    assert club.members.why is None
    club.clients[0].connection.lose(GONE)  # type: ignore[union-attr]  # it has one
    assert club.members.why is None  # the other is there
    club.clients[1].connection.lose(GONE)  # type: ignore[union-attr]  # it has one
    assert club.members.why is GONE


def test_that_a_name_was_not_found_tells_more(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, "rpc.test:1")
    club.clients[0].on_failure(OSError("refused"))
    assert "no rpc.test" in str(club.members.why)


def test_what_becomes_of_one_that_leaves_tells_nothing(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, TWO)
    club.up()
    one = club.give()
    client: Any = one.client
    club.members.remove(client)
    client.on_failure(OSError("refused"))
    for connection in club.up():
        connection.lose(None)
    assert club.members.why is None


# Leaving


def test_one_that_has_nothing_to_do_is_ended(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, TWO)
    club.up()
    one = club.pick()
    client: Any = one.client
    assert club.members.remove(client)
    assert not club.members.remove(client)
    assert client not in club.members.clients
    assert client.connection.stopped
    assert not client.closed
    client.connection.lose()
    assert client.closed
    assert repr(club.members) == "<Members up=1 of 1>"


def test_one_without_a_connection_is_closed(fakes: FakeBase) -> None:
    club = Club(fakes, ONE)
    client: Any = club.clients[0]
    assert club.members.remove(client)
    assert client.closed
    assert repr(club.members) == "<Members up=0 of 0>"


def test_one_that_is_busy_is_ended_afterwards(fakes: FakeBase) -> None:
    club = Club(fakes, ONE)
    (connection,) = club.up()
    one = club.give()
    one.load += 1
    club.members.remove(club.clients[0])  # type: ignore[arg-type]  # a fake
    assert club.members.pick(()) is None
    club.members.ended(one, None, probe=False)
    assert not connection.stopped
    club.members.dropped(one, probe=False)
    assert connection.stopped


def test_one_that_is_lost_while_it_leaves_is_closed(fakes: FakeBase) -> None:
    club = Club(fakes, ONE)
    (connection,) = club.up()
    one = club.give()
    club.members.remove(club.clients[0])  # type: ignore[arg-type]  # a fake
    connection.lose(GONE)
    assert club.clients[0].closed
    assert one.health.fit(fakes.base.now())
    club.members.ended(one, CallLost("add", sent=True), probe=False)
    assert repr(club.members) == "<Members up=0 of 0>"


def test_one_whose_connection_is_gone_when_its_calls_fail_is_closed_once(fakes: FakeBase) -> None:
    """A connection fails its calls before its client hears of the end."""
    club = Club(fakes, ONE)
    (connection,) = club.up()
    one = club.give()
    club.members.remove(club.clients[0])  # type: ignore[arg-type]  # a fake
    connection.closed = True
    club.members.ended(one, CallLost("add", sent=True), probe=False)
    assert club.clients[0].closed
    assert repr(club.members) == "<Members up=0 of 0>"


def test_that_one_leaves_is_told_to_those_who_wait(fakes: FakeBase) -> None:
    club = Club(fakes, ONE, TWO)
    club.up()
    club.frees()
    club.members.remove(club.clients[0])  # type: ignore[arg-type]  # a fake
    assert club.frees() == 1


def test_one_that_leaves_is_no_client_that_is_not_there(fakes: FakeBase) -> None:
    club = Club(fakes, ONE)
    assert club.members.remove(FakeClient(club.clients[0].target)) is False  # type: ignore[arg-type]  # a fake
    assert len(club.members.clients) == 1


# Names


NAME = "rpc.test:1"
HERE = ("192.0.2.1", 1)
THERE = ("192.0.2.2", 1)


def named(fakes: FakeBase, *addresses: Any, **rules: Any) -> Club:
    """Return a club at a name that was found long ago."""
    club = Club(fakes, NAME, **rules)
    club.resolver.hosts["rpc.test"] = list(addresses)
    club.run(10.0)
    club.up()
    club.run(31.0)
    return club


def addresses(club: Club) -> list[Any]:
    return sorted(member.place[1] for member in club.drawn() if member.place[1] is not None)


def test_those_that_are_named_come_and_those_that_are_not_go(fakes: FakeBase) -> None:
    club = named(fakes, HERE)
    assert addresses(club) == [HERE]
    club.resolver.hosts["rpc.test"] = [THERE]
    club.run(31.0)
    club.up()
    assert addresses(club) == [THERE]
    assert club.clients[0].connection is not None
    assert club.clients[0].connection.stopped


def test_those_that_stay_keep_their_connections(fakes: FakeBase) -> None:
    club = named(fakes, HERE, size=2)
    club.resolver.hosts["rpc.test"] = [HERE, THERE]
    club.run(31.0)
    assert len(club.clients) == 4
    assert [client.closed for client in club.clients] == [False] * 4


def test_a_connection_that_was_taken_away_comes_back_with_the_next_look(fakes: FakeBase) -> None:
    club = named(fakes, HERE, size=2)
    club.members.remove(club.clients[0])  # type: ignore[arg-type]  # a fake
    club.run(31.0)
    assert len(club.clients) == 3


def test_one_that_left_and_is_named_again_gets_a_new_connection(fakes: FakeBase) -> None:
    club = named(fakes, HERE)
    old = club.give()
    club.resolver.hosts["rpc.test"] = [THERE]
    club.run(31.0)
    club.resolver.hosts["rpc.test"] = [HERE]
    club.run(31.0)
    club.up()
    assert addresses(club) == [HERE]
    assert old not in club.drawn()


def test_those_of_the_programs_own_stay_whatever_is_named(fakes: FakeBase) -> None:
    club = named(fakes, HERE)
    club.members.add(Target("192.0.2.9", 9))
    club.resolver.hosts["rpc.test"] = [THERE]
    club.run(31.0)
    club.up()
    assert "192.0.2.9:9" in club.places()


def test_while_one_is_away_the_name_is_looked_up_sooner(fakes: FakeBase) -> None:
    club = named(fakes, HERE)
    club.resolver.hosts["rpc.test"] = [THERE]
    club.clients[0].connection.lose(None)  # type: ignore[union-attr]  # it has one
    club.run(1.2)
    club.up()
    assert addresses(club) == [THERE]


def test_it_is_looked_up_sooner_as_long_as_one_is_away(fakes: FakeBase) -> None:
    club = named(fakes, HERE, THERE)
    club.clients[0].connection.lose(None)  # type: ignore[union-attr]  # it has one
    club.run(2.0)
    asked = len(club.resolver.asked)
    club.run(8.0)
    assert len(club.resolver.asked) >= asked + 2


def test_one_that_leaves_is_no_reason_to_look_sooner(fakes: FakeBase) -> None:
    club = named(fakes, HERE, THERE)
    club.resolver.hosts["rpc.test"] = [club.give().place[1]]
    club.pick().load += 1  # the less busy one, which is not named any more
    club.run(31.0)
    assert len(club.members.clients) == 1
    asked = len(club.resolver.asked)
    club.run(29.0)
    assert len(club.resolver.asked) <= asked + 1
    assert not any(client.closed for client in club.clients)


def test_nobody_is_a_reason_to_look_sooner(fakes: FakeBase) -> None:
    club = Club(fakes, NAME)
    club.resolver.hosts["rpc.test"] = []
    club.run(10.0)
    assert len(club.resolver.asked) >= 4  # after 0, 1, 3 and 7 s at the latest


def test_what_is_found_is_told_to_those_who_wait(fakes: FakeBase) -> None:
    club = named(fakes, HERE)
    club.frees()
    club.run(31.0)
    assert club.frees() >= 1
