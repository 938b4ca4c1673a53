"""`Members`: the members of a pool: who is there, how they fare, and who gets a call.

It decides with whom there is to be a connection, by what the `Finder` says, and who of those that have one may get a
call, by their `Health`. It knows nothing of calls but that a member has them, and how they ended.
"""

from collections.abc import Callable, Collection, Iterable
from random import random
from typing import TYPE_CHECKING, NamedTuple

from evkit.core.event import Event
from evkit.core.net import Resolver
from evkit.core.timers import NEVER
from evkit.errors import EvkitError
from evkit.rpc.client.backoff import Backoff
from evkit.rpc.client.client import Client
from evkit.rpc.client.target import Target
from evkit.rpc.errors import RemoteCallError, RPCError
from evkit.rpc.pool.balance import Balancer
from evkit.rpc.pool.discovery import Endpoint, Source
from evkit.rpc.pool.finder import LEAST_PAUSE, Finder
from evkit.rpc.pool.health import Health
from evkit.rpc.pool.member import Member, Pinned
from evkit.rpc.pool.numbers import check_number
from evkit.rpc.pool.repeating import blames_server

if TYPE_CHECKING:
    from evkit.core.base import EventBase


class MemberRules(NamedTuple):
    """What holds for all members.

    Attributes:
        size: Connections to each server.
        failures: In a row, after which one is left out for a while.
        pause: For how long.
        max_in_flight: Calls that one may have; ``None``: any number.
    """

    size: int
    failures: int
    pause: Backoff
    max_in_flight: int | None


class Members:
    """The members of one pool.

    Args:
        base: The event base.
        sources: Where the servers are.
        resolver: Finds them.
        make: ``make(target, resolver)`` makes a client.
        rules: What holds for all.

    Attributes:
        on_free: ``on_free()`` when a call that waits may find somebody; to find out is cheap, as it may come for
            nothing.

    Raises:
        ValueError: One of the rules is out of range.
        TypeError: See `Finder`.
    """

    __slots__ = (
        "_balancer",
        "_base",
        "_closed",
        "_finder",
        "_lost_by",
        "_make",
        "_members",
        "_resolver",
        "_rules",
        "_wake",
        "on_free",
    )

    def __init__(
        self,
        base: "EventBase",
        sources: Iterable[Source],
        resolver: Resolver,
        make: Callable[[Target, Resolver], Client],
        rules: MemberRules,
    ) -> None:
        check_number("size", rules.size, 1)
        check_number("failures", rules.failures, 1)
        if rules.max_in_flight is not None:
            check_number("max_in_flight", rules.max_in_flight, 1)
        self._base = base
        self._resolver = resolver
        self._make = make
        self._rules = rules
        self.on_free: Callable[[], object] = _nobody_waits
        self._members: list[Member] = []
        self._balancer: Balancer[Member] | None = None  # ``None``: it is to be made anew
        self._lost_by: BaseException | None = None
        self._closed = False
        self._wake = base.timer(self._on_wake)
        self._finder = Finder(base, sources, resolver, self._on_found, self._is_away)

    def __repr__(self) -> str:
        return f"<Members up={sum(member.up for member in self._members)} of {len(self._members)}>"

    def start(self) -> None:
        """Connect to those whose addresses are known, and look the others up."""
        self._on_found()
        self._finder.look()

    def close(self) -> None:
        """Close all; calls that they have fail with `ClientClosed`."""
        self._closed = True
        self._finder.close()
        self._wake.free()
        members, self._members = self._members, []
        for member in members:
            member.close()

    @property
    def clients(self) -> list[Client]:
        """Who keeps the connections, those that are being ended left out."""
        return [member.client for member in self._members if not member.leaving]

    @property
    def why(self) -> BaseException | None:
        """Why nobody can be reached, as far as that is known; ``None``: somebody can."""
        if any(member.up for member in self._members):
            return None
        return self._finder.error or self._lost_by

    def add(self, target: Target, endpoint: Endpoint | None = None) -> Client:
        """Add one connection.

        Args:
            target: Where to.
            endpoint: What the finder says of it; ``None``: it is no affair of the finder.
        """
        address = None if endpoint is None else endpoint.address
        client = self._make(target, self._resolver if address is None else Pinned(self._base, address))
        health = Health(self._rules.failures, self._rules.pause)
        self._members.append(Member(client, endpoint, health, self))
        client.connect()
        return client

    def remove(self, client: Client) -> bool:
        """Give a connection no more calls, and end it when it has none; return whether it was there."""
        for member in self._members:
            if member.client is client and not member.leaving:
                self._leave(member)
                return True
        return False

    # Who gets a call

    def pick(self, avoid: Collection[Member]) -> Member | None:
        """Return who gets a call now; ``None``: nobody can.

        Args:
            avoid: Those who do not; nor do others at their servers, as long as there are more servers.
        """
        if avoid or self._rules.max_in_flight is not None:
            balancer = self._narrowed(avoid)
        else:
            balancer = self._balancer or self._make_balancer()
        return balancer.pick(random(), random())  # noqa: S311 - no secret

    def unusable(self, member: Member) -> None:
        """Hear that a member takes nothing, though it has a connection."""
        member.up = False
        self._changed()

    def ended(self, member: Member, error: RPCError | None, *, probe: bool) -> None:
        """Hear how a member has ended a call.

        Args:
            member: Who had it.
            error: ``None``: it has answered.
            probe: What its health has said when it got the call.
        """
        if blames_server(error):
            self._blame(member, probe)
        elif error is None or isinstance(error, RemoteCallError):
            member.health.succeeded()
        elif probe:
            member.health.gave_up()
        self._free(member)

    def dropped(self, member: Member, *, probe: bool) -> None:
        """Hear that a call was taken away from a member. For the arguments see `ended`."""
        if probe:
            member.health.gave_up()
        self._free(member)

    def _free(self, member: Member) -> None:
        """Use what a call that is over has left."""
        member.load -= 1
        if member.leaving:
            self._end_if_idle(member)
        else:
            self.on_free()

    def _blame(self, member: Member, probe: bool) -> None:
        if member.health.failed(self._base.now(), random(), probe=probe):  # noqa: S311 - no secret
            self._changed()
            self._plan_wake()

    def _changed(self) -> None:
        """Hear that others can get calls than before."""
        self._balancer = None
        self.on_free()

    def _ready(self) -> list[Member]:
        now = self._base.now()
        return [member for member in self._members if member.up and member.health.fit(now)]

    def _make_balancer(self) -> Balancer[Member]:
        """Make a balancer, to be kept while all who are up are well: the sick become fit, and unfit, by themselves."""
        balancer = Balancer(self._ready())
        if not any(member.up and member.health.until for member in self._members):
            self._balancer = balancer
        return balancer

    def _narrowed(self, avoid: Collection[Member]) -> Balancer[Member]:
        """Make a balancer of those that are not to be avoided and have room for a call."""
        others = [member for member in self._ready() if member not in avoid]
        places = {member.place for member in avoid}
        others = [member for member in others if member.place not in places] or others
        most = self._rules.max_in_flight
        if most is not None:
            best = min((member.priority for member in others), default=0)
            others = [member for member in others if member.load < most and member.priority == best]
        return Balancer(others)

    def _plan_wake(self) -> None:
        """Be back when somebody who was left out is to be tried again; those whose time has come wait for a call."""
        now = self._base.now()
        times = [member.health.wakes_at for member in self._members]
        when = min((time for time in times if time > now), default=NEVER)
        if when != NEVER and not self._closed:
            self._wake.add(max(LEAST_PAUSE, when - now))

    def _on_wake(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self.on_free()
        self._plan_wake()

    # Who is there

    def on_up(self, member: Member) -> None:  # noqa: ARG002 - the contract's
        """See `Keeper.on_up`."""
        self._changed()

    def on_down(self, member: Member, error: EvkitError | None) -> None:
        """See `Keeper.on_down`."""
        self._changed()
        if self._closed:
            return
        if member.leaving:
            self._forget(member)
            return
        self._lost_by = error
        if error is not None:
            self._blame(member, False)
        self._finder.lost()

    def on_failed(self, member: Member, error: Exception | None) -> None:
        """See `Keeper.on_failed`."""
        if not member.leaving:
            self._lost_by = error  # the finder looks again as long as anybody is away

    def _is_away(self) -> bool:
        wanted = [member.up for member in self._members if not member.leaving]
        return not wanted or not all(wanted)

    def _on_found(self) -> None:
        """Make connections to servers that are new, and end those to servers that are not there any more."""
        endpoints = {endpoint.place: endpoint for endpoint in self._finder.endpoints}
        missing = dict.fromkeys(endpoints, self._rules.size)
        for member in tuple(self._members):
            if member.endpoint is None or member.leaving:
                continue
            place = member.endpoint.place
            if place in endpoints:
                member.settle(endpoints[place])
                missing[place] -= 1
            else:
                self._leave(member)
        for place, number in missing.items():
            for _ in range(number):
                self.add(endpoints[place].target, endpoints[place])
        self._changed()

    def _leave(self, member: Member) -> None:
        member.leave()
        self._changed()
        self._end_if_idle(member)

    def _end_if_idle(self, member: Member) -> None:
        if not member.load and not member.finish():
            self._forget(member)

    def _forget(self, member: Member) -> None:
        """Close one that is leaving: its client would connect again. Harmless when that is done."""
        if member in self._members:
            self._members.remove(member)
            member.close()


def _nobody_waits() -> None:
    """Stand in for who has calls that wait."""
