"""`Pool`: calls spread over several connections to several servers, which are found by their names.

It puts the parts together: a `Crew` has the connections and says who gets a call, a `Course` sees each call through.
What it decides itself is what waits, and what may be repeated. It knows nothing of bytes.
"""

from collections.abc import Collection, Iterable
from random import random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from evkit.core.base import EventBase
from evkit.core.event import check_callback
from evkit.core.future import Future
from evkit.core.net import Resolver
from evkit.core.system_resolver import SystemResolver
from evkit.core.timers import check_seconds
from evkit.rpc.backoff import Backoff
from evkit.rpc.budget import RetryBudget
from evkit.rpc.caller import Caller, checked
from evkit.rpc.client import DEFAULT_KEEPALIVE, DEFAULT_MAX_QUEUE, DEFAULT_TIMEOUT, Client
from evkit.rpc.codec import make_packer
from evkit.rpc.course import POOL_CLOSED, Attempt, Course
from evkit.rpc.crew import Crew, CrewRules
from evkit.rpc.discovery import parse_source
from evkit.rpc.errors import ClientClosed, Overloaded
from evkit.rpc.hook_owner import HookOwner
from evkit.rpc.hooks import Hooks
from evkit.rpc.limits import Limits
from evkit.rpc.member import Member
from evkit.rpc.pending import DEFAULT, Default, Done, FuturePending, Notice, Pending, Timeout
from evkit.rpc.service import Service
from evkit.rpc.target import Target, parse_target

if TYPE_CHECKING:
    import ssl

DEFAULT_RETRIES: Final = 2
DEFAULT_FAILURES: Final = 5
"""As many as Finagle's failure accrual takes."""
MAX_RETRIES: Final = 4
"""Five attempts in all, as in gRPC."""
RECONNECT: Final = Backoff()
_RETRY_PAUSE: Final = Backoff(0.05, 2.0, 1.0)

Where = str | tuple[str, int] | Target


class Pool(HookOwner, Caller):
    """Connections to several servers, any of which can serve a call.

        with EventBase() as base, Pool(base, ["127.0.0.1:7000", "127.0.0.1:7001"]) as pool:
            print(pool.call("add", 2, 3).result())

    A call goes to the less busy of two servers that are drawn. While none can be reached it waits, within its time. A
    call that was not sent goes elsewhere if its connection is lost; one that was is repeated only if it is
    ``idempotent``, and only as far as the budget allows.

    Args:
        base: The event base.
        targets: Where the servers are: whatever a `Client` takes (each address of a name is a server of its own), or
            names of SRV records, as ``"_rpc._tcp.example.org"``, with ``tls://`` before them where TLS is spoken. Names
            are looked up again when a connection is lost, and when their time is over.
        size: Connections to each server, ``>= 1``.
        resolver: Looks them up; for SRV records a `RecordResolver`, as `evkit.dns.Resolver` is. ``None``: that of the
            base.
        timeout: Seconds that a call may take in all: waiting, hooks, repeats and the servers; ``None``: no limit.
        retries: How often an idempotent call may be repeated, 0 to 4.
        retry_pause: How long to wait before that.
        budget: Keeps repeats and copies few; pools may share one. ``None``: one of its own.
        hedge_after: Seconds without an answer after which an idempotent call is copied to another server: well above
            what most calls take, as the time in which 95 of 100 are answered. ``None``: never, unless a call asks.
        failures: Calls in a row that a server leaves without an answer in time, or refuses for now, or connections that
            it loses, before it is left out for a while.
        max_in_flight: Calls that a connection is given before it has answered others; ``None``: any number. With 1 it
            is libevent's pool.
        max_queue: Calls that may wait for a server; one more is `Overloaded`. ``None``: any number.
        reconnect: How long to wait after attempts to connect that failed, and how long a server is left out.
        service: What the servers can call here; ``None``: nothing.
        limits: As for a `Client`.
        connect_timeout: As for a `Client`.
        keepalive: As for a `Client`.
        hello: As for a `Client`.
        tls: As for a `Client`; its certificate is to be for the name in the target, or in the SRV record.
        unicode_errors: As for a `Client`.
        debug: As for a `Client`.
        hooks: Those of somebody else; ``None``: its own. A pool connects as soon as the loop runs, so add hooks before
            that.

    Attributes:
        timeout: As given; see `set_timeout`.
        budget: As given.
        closed: Whether it was closed.
        hooks: See `add_hook`.

    Raises:
        ValueError: Something is out of range, or a target is nowhere.
        TypeError: Something is of a wrong type, or there are SRV records to look up and ``resolver`` can't.

    Source: ``evrpc_pool_new``, which gives a connection one call at a time, and does not find out where servers are.
    """

    __slots__ = (
        "_base",
        "_client_timeout",
        "_crew",
        "_flush_soon",
        "_hedge_after",
        "_max_queue",
        "_options",
        "_pack",
        "_queue",
        "_resting",
        "_retries",
        "_retry_pause",
        "budget",
        "closed",
        "hooks",
        "timeout",
    )

    def __init__(
        self,
        base: EventBase,
        targets: Iterable[Where] = (),
        *,
        size: int = 1,
        resolver: Resolver | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        retries: int = DEFAULT_RETRIES,
        retry_pause: Backoff = _RETRY_PAUSE,
        budget: RetryBudget | None = None,
        hedge_after: float | None = None,
        failures: int = DEFAULT_FAILURES,
        max_in_flight: int | None = None,
        max_queue: int | None = DEFAULT_MAX_QUEUE,
        reconnect: Backoff = RECONNECT,
        service: Service | None = None,
        limits: Limits | None = None,
        connect_timeout: float | None = DEFAULT_TIMEOUT,
        keepalive: float | None = DEFAULT_KEEPALIVE,
        hello: bool = False,
        tls: "ssl.SSLContext | None" = None,
        unicode_errors: str = "strict",
        debug: bool = False,
        hooks: Hooks | None = None,
    ) -> None:
        if isinstance(targets, str | bytes):
            raise TypeError(f"expected a list of targets, got {targets!r}: write [{targets!r}]")
        _check_number("size", size, 1)
        _check_number("retries", retries, 0, MAX_RETRIES)
        _check_number("failures", failures, 1)
        _check_number("max_in_flight", max_in_flight, 1)
        _check_number("max_queue", max_queue, 0)
        for seconds in (timeout, hedge_after):
            if seconds is not None:
                check_seconds(seconds)
        self._base = base
        self._retries = retries
        self._retry_pause = retry_pause
        self._hedge_after = hedge_after
        self._max_queue = max_queue
        self.hooks = hooks = Hooks() if hooks is None else hooks
        self._options: dict[str, Any] = {
            "timeout": timeout,
            "service": service,
            "limits": limits,
            "connect_timeout": connect_timeout,
            "reconnect": reconnect,
            "keepalive": keepalive,
            "hello": hello,
            "tls": tls,
            "unicode_errors": unicode_errors,
            "debug": debug,
            "hooks": hooks,
        }
        self._client_timeout = timeout
        self._pack = make_packer()
        self._queue: dict[Course, None] = {}  # calls that nobody can get, the oldest first
        self._resting: set[Course] = set()  # calls that pause by themselves
        self.timeout = timeout
        self.budget = budget or RetryBudget()
        self.closed = False
        self._flush_soon = base.deferred(self._flush)
        self._crew = Crew(
            base,
            [parse_source(where) for where in targets],
            resolver or base.resolver or SystemResolver(base),
            self._make_client,
            CrewRules(size, failures, reconnect, max_in_flight),
            self._on_free,
        )
        self._crew.start()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Pool {state} {self._crew!r} waiting={self.waiting}>"

    @property
    def base(self) -> EventBase:
        """The event base."""
        return self._base

    @property
    def clients(self) -> list[Client]:
        """Who keeps the connections, those that are being ended left out."""
        return self._crew.clients

    @property
    def waiting(self) -> int:
        """How many calls wait: for a server that can be reached, or before they are repeated."""
        return len(self._queue) + len(self._resting)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close; all calls that are not answered fail with `ClientClosed`. Harmless when it is closed.

        Source: ``evrpc_pool_free``, which tells nobody whose call was waiting.
        """
        if self.closed:
            return
        self.closed = True
        self._flush_soon.cancel()
        self._crew.close()
        for course in (*self._queue, *self._resting):
            if course.pending.owner is course:  # else what an earlier one has called did away with it
                course.finish(ClientClosed(POOL_CLOSED))

    # Connections of the program's own

    def add_connection(self, where: Where) -> Client:
        """Add one connection to a server that the targets don't name.

        Args:
            where: As for a `Client`.

        Returns:
            Who keeps it, for `remove_connection`.

        Raises:
            ValueError: ``where`` is nowhere.
            TypeError: It is of a wrong type.
            ClientClosed: The pool is closed.

        Source: ``evrpc_pool_add_connection``.
        """
        self._check_open()
        return self._crew.add(parse_target(where))

    def remove_connection(self, client: Client) -> bool:
        """Give a connection no more calls, and close it when it has answered those that it has.

        Args:
            client: One of `clients`. Where it leads to a server that a target names, it comes back when that is looked
                up again.

        Returns:
            Whether it was one of them.

        Source: ``evrpc_pool_remove_connection``.
        """
        return self._crew.remove(client)

    def set_timeout(self, seconds: float | None) -> None:
        """Set how long calls to come may take, in seconds; ``None``: no limit.

        Raises:
            ValueError: It is negative, infinite, or no number.

        Source: ``evrpc_pool_set_timeout``, which leaves out the time in the pool's queue.
        """
        self.timeout = seconds if seconds is None else check_seconds(seconds)

    # Calling

    def call(
        self,
        method: str,
        *params: Any,
        timeout: Timeout = DEFAULT,
        metadata: dict[str, Any] | None = None,
        idempotent: bool = False,
        hedge_after: Timeout = DEFAULT,
    ) -> Future[Any]:
        """Call a method of one of the servers.

        Args:
            method: See `Caller.call`.
            params: See `Caller.call`.
            timeout: See `Caller.call`; it is for all of it, whatever is tried meanwhile.
            metadata: See `Caller.call`.
            idempotent: Whether it does no harm if it is served twice: it is repeated then when its connection is lost,
                or a server of evkit's is overloaded.
            hedge_after: Seconds without an answer after which it is copied to another server; the first answer counts,
                and the other server is told, if it understands. ``None``: never. Left out: as the pool has it, if it is
                ``idempotent``.

        Returns:
            As `Caller.call`.

        Raises:
            TypeError, ValueError, OverflowError: Something can't be sent; or ``hedge_after`` is for a call that is not
                idempotent, or no time.
            RPCError: The pool is closed, or too many calls wait.
        """
        checked(hedge_after)
        pending = FuturePending(self._base, method, checked(timeout), metadata)
        self._begin(pending, list(params), idempotent, hedge_after)
        return pending.future

    def start_call(
        self,
        method: str,
        params: Iterable[Any],
        done: Done,
        *,
        timeout: Timeout = DEFAULT,
        metadata: dict[str, Any] | None = None,
        idempotent: bool = False,
        hedge_after: Timeout = DEFAULT,
    ) -> Pending:
        """Call a method of one of the servers, and be called back; see `Caller.start_call` and `call`.

        Args:
            method: See `Caller.start_call`.
            params: See `Caller.start_call`; a list must not be changed before the call is over.
            done: See `Caller.start_call`.
            timeout: See `call`.
            metadata: See `call`.
            idempotent: See `call`.
            hedge_after: See `call`.

        Returns:
            As `Caller.start_call`.

        Raises: As `call`.

        Source: ``evrpc_send_request_generic``.
        """
        checked(hedge_after)
        pending = Pending(method, check_callback(done), checked(timeout), metadata)
        self._begin(pending, params if type(params) is list else list(params), idempotent, hedge_after)
        return pending

    def begin(self, pending: Pending, params: list[Any]) -> None:
        """See `Caller.begin`."""
        self._begin_whole(pending, params)

    def notify(self, method: str, *params: Any) -> None:
        """Tell one of the servers something; see `Caller.notify`. Without any it waits, as long as a call would."""
        self._begin_whole(Notice(method), list(params))

    def _begin(self, pending: Pending, params: list[Any], idempotent: bool, hedge_after: Timeout) -> None:
        self._check_open()
        if isinstance(hedge_after, Default):
            hedge_after = self._hedge_after if idempotent else None
        elif hedge_after is not None and not idempotent:
            raise ValueError(
                "expected idempotent=True with hedge_after: a call and its copy may both be served"
            )
        self.budget.called(self._base.now())
        seconds = self._seconds_for(pending)
        self._start(
            Course(self, pending, params, seconds, idempotent=idempotent, hedge_after=hedge_after), params
        )

    def _begin_whole(self, pending: Pending, params: list[Any]) -> None:
        self._check_open()
        self._start(Course(self, pending, params, self._seconds_for(pending), whole=True), params)

    def _seconds_for(self, pending: Pending) -> float | None:
        timeout = pending.timeout
        return self.timeout if isinstance(timeout, Default) else timeout

    def _start(self, course: Course, params: list[Any]) -> None:
        member = None if self._queue else self._crew.pick(())
        if member is None:
            self._check_waiting(course.pending, params)
            course.wait()
            return
        # The client's own time-out costs no timer, where it is the same.
        seconds = self._seconds_for(course.pending)
        course.begin(member, DEFAULT if seconds == self._client_timeout else seconds)

    def _check_waiting(self, pending: Pending, params: list[Any]) -> None:
        """Say now, and not some time later, what is wrong with a call that has to wait."""
        self._pack((pending.method, params))
        if self._max_queue is not None and len(self._queue) >= self._max_queue:
            raise Overloaded(f"{self._max_queue} calls wait for a server, as many as may")

    def _check_open(self) -> None:
        if self.closed:
            raise ClientClosed(POOL_CLOSED)

    def _make_client(self, target: Target, resolver: Resolver) -> Client:
        return Client(self._base, target, resolver=resolver, **self._options)

    # For the courses

    @property
    def why(self) -> BaseException | None:
        """Why no server can be reached, as far as that is known."""
        return self._crew.why

    def pick(self, avoid: Collection[Member]) -> Member | None:
        """See `Road.pick`."""
        return self._crew.pick(avoid)

    def wait(self, course: Course) -> None:
        """See `Road.wait`."""
        self._queue[course] = None

    def rest(self, course: Course) -> None:
        """See `Road.rest`."""
        self._resting.add(course)

    def forget(self, course: Course) -> None:
        """See `Road.forget`."""
        self._queue.pop(course, None)
        self._resting.discard(course)

    def pause(self, course: Course) -> float | None:
        """See `Road.pause`."""
        if course.repeats >= self._retries or not self.budget.withdraw(self._base.now()):
            return None
        return self._retry_pause.delay(course.repeats + 1, random())  # noqa: S311 - no secret

    def may_copy(self) -> bool:
        """See `Road.may_copy`."""
        return self.budget.withdraw(self._base.now())

    def unusable(self, member: Member) -> None:
        """See `Road.unusable`."""
        self._crew.unusable(member)

    def ended(self, attempt: Attempt) -> None:
        """See `Road.ended`."""
        self._crew.ended(attempt.member, attempt.error, probe=attempt.probe)

    def handed_over(self, pending: Pending, member: Member) -> None:
        """See `Road.handed_over`."""
        if isinstance(pending, FuturePending):
            member.load += 1
            pending.future.add_done_callback(lambda _: self._crew.dropped(member, probe=False))

    def dropped(self, attempt: Attempt) -> None:
        """See `Road.dropped`."""
        self._crew.dropped(attempt.member, probe=attempt.probe)

    # Calls that wait

    def _on_free(self) -> None:
        if self._queue and not self.closed:
            self._flush_soon.schedule()

    def _flush(self) -> None:
        """Let calls go that wait, the oldest first, while there is somebody to get them."""
        for course in tuple(self._queue):
            if self.closed or self._crew.pick(()) is None:
                return
            if course in self._queue:  # and was not ended by what another one has called
                del self._queue[course]
                course.go()


def _check_number(name: str, number: int | None, least: int, most: int | None = None) -> None:
    if number is None:
        return
    if type(number) is not int or number < least or (most is not None and number > most):
        raise ValueError(f"expected {name} as a number {_range(least, most)}, got {number!r}")


def _range(least: int, most: int | None) -> str:
    return f">= {least}" if most is None else f"from {least} to {most}"
