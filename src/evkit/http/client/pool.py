"""`Pool`: which connection a request goes out on, and how many there may be.

A request takes a free connection to where it goes; or a new one, if there may be one more; or it waits in line. What is
free is kept for a while, the one used last being the first to be taken again, so that the others grow old. Where there
may be no more connections, a free one to somewhere else gives way, and one of many to one place to a place without any.
"""

from functools import partial
from itertools import islice
from typing import Final, Protocol

from evkit.core import BufferEvent, Event, EventBase
from evkit.errors import ConnectError, LocalProtocolError
from evkit.http.client.asker import Asker
from evkit.http.client.connection import ClientConnection
from evkit.http.client.dialing import Dial, Dialling
from evkit.http.client.proxy_choice import Route
from evkit.http.client.resting import Resting
from evkit.http.client.retries import Progress
from evkit.http.client.timeouts import late

DEFAULT_MAX_CONNECTIONS: Final = 256
DEFAULT_MAX_PER_HOST: Final = 64
DEFAULT_IDLE: Final = 55.0
"""Seconds to keep a connection without a request: less than the 60 s after which most servers close it themselves."""


class Customer(Asker, Protocol):
    """Who waits for a connection."""

    def on_connection(self, connection: ClientConnection) -> None:
        """Use this one: call its `ClientConnection.ask`."""

    def on_rested(self) -> None:
        """A pause of `Pool.resting` is over."""


class _Place:
    """All that goes one way.

    Attributes:
        route: Which.
        free: Connections without a request, the one used last at the end.
        waiting: In line for one; whether it must be new.
        dials: Connections in the making, the newest at the end. They are for the first who wait.
        count: All of its connections, those in the making among them.
    """

    __slots__ = ("count", "dials", "free", "route", "waiting")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.free: list[ClientConnection] = []
        self.waiting: dict[Customer, bool] = {}
        self.dials: dict[Dial, None] = {}
        self.count = 0

    @property
    def hungry(self) -> bool:
        """Whether somebody waits for whom no connection is in the making."""
        return len(self.waiting) > len(self.dials)


class Pool:
    """The connections of a client; their `Owner`.

    Args:
        base: The event base.
        how: How new ones are made.
        max_connections: Most at a time, those in the making among them.
        max_per_host: Most to one place.
        idle: Seconds to keep a free one; ``None``: until its server closes it.

    Attributes:
        resting: Who will want a connection again, after a pause, and hears like all others when the pool is closed.

    Raises:
        ValueError: A limit is less than 1.
    """

    __slots__ = (
        "_base",
        "_closed",
        "_count",
        "_how",
        "_hungry",
        "_idle",
        "_max",
        "_max_per_host",
        "_places",
        "_routes",
        "_serving",
        "_timers",
        "resting",
    )

    def __init__(
        self,
        base: EventBase,
        how: Dialling,
        *,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        max_per_host: int = DEFAULT_MAX_PER_HOST,
        idle: float | None = DEFAULT_IDLE,
    ) -> None:
        if max_connections < 1 or max_per_host < 1:
            raise ValueError(f"expected limits of 1 or more, got {max_connections} and {max_per_host}")
        self._base = base
        self._how = how
        self._max = max_connections
        self._max_per_host = max_per_host
        self._idle = idle
        self._closed = False
        self._count = 0
        self._places: dict[Route, _Place] = {}
        self._routes: dict[ClientConnection, Route] = {}  # the oldest first
        self._hungry: dict[Route, None] = {}  # the places that are, who began to be first
        self._serving = False
        self._timers: dict[Customer, Event] = {}  # of those who wait without a connection in the making
        self.resting: Resting[Customer] = Resting(base)

    def __repr__(self) -> str:
        waiting = sum(len(place.waiting) for place in self._places.values())
        free = sum(len(place.free) for place in self._places.values())
        return f"<Pool {self._count} connections, {free} free, {waiting} waiting>"

    def take(self, route: Route, customer: Customer, *, fresh: bool = False) -> None:
        """Give ``customer`` a connection, now or later.

        Args:
            route: Where to.
            customer: Hears by `Customer.on_connection`, or by `Asker.on_failed`; perhaps from inside this call.
            fresh: Not one that was used before.
        """
        place = self._places.get(route)
        while place is not None and place.free and not fresh:
            connection = place.free.pop()
            if connection.usable:
                customer.on_connection(connection)
                return
            connection.close()
            place = self._places.get(route)  # it was forgotten, if that was all
        if self._closed:
            customer.on_failed(_closed(), Progress.BROKEN)
        else:
            self._queue(place or _Place(route), customer, fresh=fresh)

    def leave(self, route: Route, customer: Customer) -> None:
        """Don't wait any longer."""
        place = self._places.get(route)
        if place is not None and customer in place.waiting:
            self._forget(place, customer)
            while len(place.dials) > len(place.waiting):
                dial = next(reversed(place.dials))
                dial.cancel()
                self._end_dial(place, dial)
            self._serve()

    def close(self) -> None:
        """Close all connections; who waits, rests or has a request hears that the client was closed."""
        self._closed = True
        for place in list(self._places.values()):
            for dial in list(place.dials):
                dial.cancel()
                self._end_dial(place, dial)
            while place.waiting:
                self._first(place).on_failed(_closed(), Progress.BROKEN)
        for connection in list(self._routes):
            connection.abort(_closed())
        while (customer := self.resting.take()) is not None:
            customer.on_failed(_closed(), Progress.BROKEN)

    # Those in line

    def _queue(self, place: _Place, customer: Customer, *, fresh: bool) -> None:
        self._places[place.route] = place
        place.waiting[customer] = fresh
        self._changed(place)
        self._serve()
        limit = self._how.timeouts.pool
        if limit is None or customer not in place.waiting or customer in self._timers:
            return
        if place.hungry:
            timer = self._base.timer(partial(self._waited_in_vain, place, customer))
            self._timers[customer] = timer
            timer.add(limit)

    def _waited_in_vain(
        self,
        place: _Place,
        customer: Customer,
        event: Event,  # noqa: ARG002 - a callback
        what: int,  # noqa: ARG002 - a callback
    ) -> None:
        self._forget(place, customer)
        customer.on_failed(late("pool", self._how.timeouts.pool), Progress.NOTHING_SENT)

    def _first(self, place: _Place) -> Customer:
        """Take the first out of the line, where there is one."""
        customer = next(iter(place.waiting))
        self._forget(place, customer)
        return customer

    def _forget(self, place: _Place, customer: Customer) -> None:
        del place.waiting[customer]
        self._stop_timer(customer)
        self._changed(place)

    def _stop_timer(self, customer: Customer) -> None:
        timer = self._timers.pop(customer, None)
        if timer is not None:
            timer.free()

    def _changed(self, place: _Place) -> None:
        """Note who waits for a connection that nobody makes; who waits for one in the making has connecting's time."""
        if place.hungry:
            self._hungry.setdefault(place.route)
        else:
            self._hungry.pop(place.route, None)
            if not (place.count or place.waiting):
                self._places.pop(place.route, None)
        if self._timers:
            for customer in islice(place.waiting, len(place.dials)):
                self._stop_timer(customer)

    def _fail_first(self, place: _Place, error: Exception) -> None:
        if place.waiting:
            self._first(place).on_failed(error, Progress.NOTHING_SENT)

    # Growing

    def _serve(self) -> None:
        """Begin connections for those who wait, as long as there may be more."""
        if self._serving:
            return  # whoever calls from inside is served by the loop below
        self._serving = True
        try:
            while self._hungry and (place := self._next_hungry()) is not None:
                self._dial(place)
        finally:
            self._serving = False

    def _next_hungry(self) -> _Place | None:
        """Return a place for which there may be one more: one without any, or else who waits longest."""
        found: _Place | None = None
        for route in self._hungry:
            place = self._places[route]
            if not place.count:
                found = place
                break
            if found is None and (place.count < self._max_per_host or place.free):
                found = place
        return found if found is not None and self._make_room(found) else None

    def _make_room(self, place: _Place) -> bool:
        """Return whether there may be one more to ``place``; one that is free gives way."""
        if place.count >= self._max_per_host:
            place.free[0].close()
        elif self._count >= self._max:
            self._give_up_oldest()
        return self._count < self._max and place.count < self._max_per_host

    def _give_up_oldest(self) -> None:
        """Close the oldest of the free connections, wherever it leads."""
        for connection, route in self._routes.items():
            if connection in self._places[route].free:
                connection.close()
                return

    def _dial(self, place: _Place) -> None:
        dial = Dial(self._base, place.route, self._how, self._on_dialled)
        place.dials[dial] = None
        place.count += 1
        self._count += 1
        self._changed(place)
        try:
            dial.start()
        except Exception as error:
            self._on_dialled(dial, None, error)

    def _on_dialled(self, dial: Dial, bev: BufferEvent | None, error: Exception | None) -> None:
        place = self._places[dial.route]
        if bev is None:
            self._end_dial(place, dial)
            self._fail_first(place, error or ConnectError("there is no connection"))
            self._serve()
            return
        connection = ClientConnection(self, bev, self._how.make_engine(), self._how.timeouts, self._idle)
        del place.dials[dial]  # it counts on, as what it has become
        self._routes[connection] = place.route
        if place.waiting:
            self._first(place).on_connection(connection)
        else:
            self._keep(place, connection)

    def _end_dial(self, place: _Place, dial: Dial) -> None:
        del place.dials[dial]
        self._count_off(place)

    def _count_off(self, place: _Place) -> None:
        place.count -= 1
        self._count -= 1
        self._changed(place)

    # See Owner

    def released(self, connection: ClientConnection) -> None:
        """See `Owner.released`."""
        place = self._places[self._routes[connection]]
        if not place.waiting:
            self._keep(place, connection)
        elif self._gives_way(place):
            connection.close()
        else:
            self._pass_on(place, connection)

    def _pass_on(self, place: _Place, connection: ClientConnection) -> None:
        for customer, fresh in place.waiting.items():
            if not fresh:
                self._forget(place, customer)
                customer.on_connection(connection)
                return
        self._keep(place, connection)

    def _keep(self, place: _Place, connection: ClientConnection) -> None:
        place.free.append(connection)
        if self._hungry:
            self._serve()

    def _gives_way(self, place: _Place) -> bool:
        """Return whether one of the many connections to ``place`` must end, for others who have none."""
        if place.count == 1 or self._count < self._max:
            return False
        return any(not self._places[route].count for route in self._hungry)

    def lost(self, connection: ClientConnection) -> None:
        """See `Owner.lost`."""
        route = self._routes.pop(connection, None)
        if route is None:
            return
        place = self._places[route]
        if connection in place.free:
            place.free.remove(connection)
        self._count_off(place)
        self._serve()


def _closed() -> LocalProtocolError:
    return LocalProtocolError("the client was closed")
