"""`Pool`: which connection a request goes out on, and how many there may be.

A request takes a free connection to where it goes; or a new one, if there may be one more; or it waits in line. What is
free is kept for a while, the one used last being the first to be taken again, so that the others grow old.
"""

from collections import deque
from functools import partial
from typing import Final, Protocol

from evkit.core import BufferEvent, Event, EventBase
from evkit.errors import ConnectError, LocalProtocolError
from evkit.http.client.connection import Asker, ClientConnection
from evkit.http.client.dialing import Dial, Dialling
from evkit.http.client.proxy_choice import Route
from evkit.http.client.retries import Progress
from evkit.http.errors import RequestTimeout

DEFAULT_MAX_CONNECTIONS: Final = 256
DEFAULT_MAX_PER_HOST: Final = 64
DEFAULT_IDLE: Final = 55.0
"""Seconds to keep a connection without a request: less than the 60 s after which most servers close it themselves."""


class Customer(Asker, Protocol):
    """Who waits for a connection."""

    def on_connection(self, connection: ClientConnection) -> None:
        """Use this one: call its `ClientConnection.ask`."""


class _Place:
    """All that goes one way.

    Attributes:
        route: Which way.
        free: Connections without a request, the one used last at the end.
        waiting: In line for one.
        dials: Connections in the making.
        count: All of its connections, those in the making among them.
    """

    __slots__ = ("count", "dials", "free", "route", "waiting")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.free: list[ClientConnection] = []
        self.waiting: deque[Customer] = deque()
        self.dials: set[Dial] = set()
        self.count = 0


class Pool:
    """The connections of a client; their `Owner`.

    Args:
        base: The event base.
        how: How new ones are made.
        max_connections: Most at a time, those in the making among them.
        max_per_host: Most to one place.
        idle: Seconds to keep a free one; ``None``: until its server closes it.

    Raises:
        ValueError: A limit is less than 1.
    """

    __slots__ = (
        "_base",
        "_count",
        "_how",
        "_idle",
        "_max",
        "_max_per_host",
        "_place_of",
        "_places",
        "_timers",
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
        self._count = 0
        self._places: dict[Route, _Place] = {}
        self._place_of: dict[ClientConnection, _Place] = {}
        self._timers: dict[Customer, Event] = {}  # of those who wait

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
        if place is None:
            place = self._places[route] = _Place(route)
        while place.free and not fresh:
            connection = place.free.pop()
            if connection.usable:
                customer.on_connection(connection)
                return
            connection.close()
        place.waiting.append(customer)
        if not self._grow(place):
            self._let_wait(customer)

    def leave(self, route: Route, customer: Customer) -> None:
        """Don't wait any longer."""
        place = self._places.get(route)
        if place is not None and customer in place.waiting:
            place.waiting.remove(customer)
            self._stop_timer(customer)
            while len(place.dials) > len(place.waiting):
                self._drop_dial(place)
            self._forget_if_empty(place)

    def close(self) -> None:
        """Close all connections; who waits or has a request hears that the client was closed."""
        for place in list(self._places.values()):
            for dial in tuple(place.dials):
                dial.cancel()
            self._count -= len(place.dials)
            place.count -= len(place.dials)
            place.dials.clear()
            self._fail_all(place, LocalProtocolError("the client was closed"))
            self._forget_if_empty(place)
        for connection in tuple(self._place_of):
            connection.close()

    # Growing

    def _grow(self, place: _Place) -> bool:
        """Begin one more connection for who waits, if there may be one; return whether one is on its way to each."""
        if len(place.dials) >= len(place.waiting):
            return True
        if place.count >= self._max_per_host or not self._has_room():
            return False
        dial = Dial(self._base, place.route, self._how, self._on_dialled)
        place.dials.add(dial)
        place.count += 1
        self._count += 1
        try:
            dial.start()
        except Exception as error:
            self._dial_over(place, dial)
            self._fail_first(place, error)
        return True

    def _has_room(self) -> bool:
        """Return whether there may be one more; a free one elsewhere gives way."""
        if self._count < self._max:
            return True
        for place in self._places.values():
            if place.free:
                place.free.pop(0).close()
                return self._count < self._max
        return False

    def _on_dialled(self, dial: Dial, bev: BufferEvent | None, error: Exception | None) -> None:
        place = self._places[dial.route]
        self._dial_over(place, dial)
        if bev is None:
            self._fail_first(place, error or ConnectError("there is no connection"))
            return
        connection = ClientConnection(self, bev, self._how.make_engine(), self._how.timeouts, self._idle)
        place.count += 1
        self._count += 1
        self._place_of[connection] = place
        self.released(connection)

    def _dial_over(self, place: _Place, dial: Dial) -> None:
        place.dials.discard(dial)
        place.count -= 1
        self._count -= 1

    def _drop_dial(self, place: _Place) -> None:
        dial = next(iter(place.dials))
        dial.cancel()
        self._dial_over(place, dial)

    # Those in line

    def _let_wait(self, customer: Customer) -> None:
        limit = self._how.timeouts.pool
        if limit is not None:
            timer = self._base.timer(partial(self._waited_in_vain, customer))
            self._timers[customer] = timer
            timer.add(limit)

    def _waited_in_vain(self, customer: Customer, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._stop_timer(customer)
        for place in self._places.values():
            if customer in place.waiting:
                place.waiting.remove(customer)
        limit = self._how.timeouts.pool
        error = RequestTimeout(f"no connection was free within {limit:g} s", during="connect", phase="pool")
        customer.on_failed(error, Progress.NOTHING_SENT)

    def _stop_timer(self, customer: Customer) -> None:
        timer = self._timers.pop(customer, None)
        if timer is not None:
            timer.free()

    def _first(self, place: _Place) -> Customer | None:
        if not place.waiting:
            return None
        customer = place.waiting.popleft()
        self._stop_timer(customer)
        return customer

    def _fail_first(self, place: _Place, error: Exception) -> None:
        customer = self._first(place)
        self._forget_if_empty(place)
        if customer is not None:
            customer.on_failed(error, Progress.NOTHING_SENT)
        self._serve_others()

    def _fail_all(self, place: _Place, error: Exception) -> None:
        while (customer := self._first(place)) is not None:
            customer.on_failed(error, Progress.BROKEN)

    def _serve_others(self) -> None:
        """There is room for one more connection: begin one for somebody who waits for it."""
        for place in list(self._places.values()):
            if len(place.dials) < len(place.waiting) and self._grow(place):
                return

    # See Owner

    def released(self, connection: ClientConnection) -> None:
        """See `Owner.released`."""
        place = self._place_of[connection]
        customer = self._first(place)
        if customer is None:
            place.free.append(connection)
        else:
            customer.on_connection(connection)

    def lost(self, connection: ClientConnection) -> None:
        """See `Owner.lost`."""
        place = self._place_of.pop(connection, None)
        if place is None:
            return
        place.count -= 1
        self._count -= 1
        if connection in place.free:
            place.free.remove(connection)
        self._forget_if_empty(place)
        self._serve_others()

    def _forget_if_empty(self, place: _Place) -> None:
        if not (place.count or place.waiting or place.dials):
            self._places.pop(place.route, None)
