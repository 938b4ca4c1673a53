"""`Crew`: the members of a pool: who is there, how they fare, and who gets a call.

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
from evkit.rpc.backoff import Backoff
from evkit.rpc.balance import Roster
from evkit.rpc.client import Client
from evkit.rpc.discovery import Endpoint, Source
from evkit.rpc.errors import RemoteCallError, RPCError
from evkit.rpc.finder import LEAST_PAUSE, Finder
from evkit.rpc.health import Health
from evkit.rpc.member import Member, Pinned
from evkit.rpc.repeating import blames_server
from evkit.rpc.target import Target

if TYPE_CHECKING:
    from evkit.core.base import EventBase


class CrewRules(NamedTuple):
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


class Crew:
    """The members of one pool.

    Args:
        base: The event base.
        sources: Where the servers are.
        resolver: Finds them.
        make: ``make(target, resolver)`` makes a client.
        rules: What holds for all.
        on_free: Called when a call that waits may find somebody; to find out is cheap, as it may come for nothing.

    Raises:
        TypeError: See `Finder`.
    """

    __slots__ = (
        "_base",
        "_closed",
        "_finder",
        "_lost_by",
        "_make",
        "_members",
        "_on_free",
        "_resolver",
        "_roster",
        "_rules",
        "_wake",
    )

    def __init__(
        self,
        base: "EventBase",
        sources: Iterable[Source],
        resolver: Resolver,
        make: Callable[[Target, Resolver], Client],
        rules: CrewRules,
        on_free: Callable[[], object],
    ) -> None:
        self._base = base
        self._resolver = resolver
        self._make = make
        self._rules = rules
        self._on_free = on_free
        self._members: list[Member] = []
        self._roster: Roster[Member] | None = None  # ``None``: it is to be made anew
        self._lost_by: BaseException | None = None
        self._closed = False
        self._wake = base.timer(self._on_wake)
        self._finder = Finder(base, sources, resolver, self._on_found, self._is_away)

    def __repr__(self) -> str:
        return f"<Crew up={sum(member.up for member in self._members)} of {len(self._members)}>"

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
        """Why nobody can be reached, as far as that is known."""
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
        """Give a connection no more calls, and close it when it has none; return whether it was there."""
        for member in self._members:
            if member.client is client and not member.leaving:
                self._leave(member)
                return True
        return False

    # Who gets a call

    def pick(self, avoid: Collection[Member]) -> Member | None:
        """Return who gets a call now; ``None``: nobody can.

        Args:
            avoid: Those who do not.
        """
        if avoid or self._rules.max_in_flight is not None:
            roster = self._narrowed(avoid)
        else:
            roster = self._roster or self._make_roster()
        return roster.pick(random(), random())  # noqa: S311 - no secret

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
            self._close_if_idle(member)
        else:
            self._on_free()

    def _blame(self, member: Member, probe: bool) -> None:
        if member.health.failed(self._base.now(), random(), probe=probe):  # noqa: S311 - no secret
            self._changed()
            self._plan_wake()

    def _changed(self) -> None:
        """Hear that others can get calls than before."""
        self._roster = None

    def _ready(self) -> list[Member]:
        now = self._base.now()
        return [member for member in self._members if member.up and member.health.fit(now)]

    def _make_roster(self) -> Roster[Member]:
        """Make a roster, to be kept while all are well: those that are not become fit, and unfit, by themselves."""
        roster = Roster(self._ready())
        if not any(member.health.until for member in self._members):
            self._roster = roster
        return roster

    def _narrowed(self, avoid: Collection[Member]) -> Roster[Member]:
        """Make a roster of those that are not to be avoided and have room for a call."""
        others = [member for member in self._ready() if member not in avoid]
        most = self._rules.max_in_flight
        if most is not None:
            best = min((member.priority for member in others), default=0)
            others = [member for member in others if member.load < most and member.priority == best]
        return Roster(others)

    def _plan_wake(self) -> None:
        """Be back when somebody who was left out is to be tried again; those whose time has come wait for a call."""
        now = self._base.now()
        times = [member.health.wakes_at for member in self._members]
        when = min((time for time in times if time > now), default=NEVER)
        if when != NEVER and not self._closed:
            self._wake.add(max(LEAST_PAUSE, when - now))

    def _on_wake(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._on_free()
        self._plan_wake()

    # Who is there

    def on_up(self, member: Member) -> None:  # noqa: ARG002 - the contract's
        """See `Keeper.on_up`."""
        self._changed()
        self._on_free()

    def on_down(self, member: Member, error: EvkitError | None) -> None:
        """See `Keeper.on_down`."""
        self._changed()
        if member.leaving or self._closed:
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
        return not self._members or not all(member.up or member.leaving for member in self._members)

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
        self._close_if_idle(member)

    def _close_if_idle(self, member: Member) -> None:
        if not member.load and member in self._members:
            self._members.remove(member)
            member.close()
