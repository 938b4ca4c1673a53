"""`Pool`: calls spread over several connections to several servers, which are found by their names.

It puts the parts together: `Members` has the connections and says who gets a call, a `PooledCall` sees each call
through, a `PoolDispatcher` brings them together. What it decides itself is how a call is asked for, and what all
clients have in common. It knows nothing of bytes.
"""

from collections.abc import Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from evkit.core.base import EventBase
from evkit.core.event import check_callback
from evkit.core.future import Future
from evkit.core.net import Resolver
from evkit.core.system_resolver import SystemResolver
from evkit.core.timers import check_seconds
from evkit.rpc.client.backoff import Backoff
from evkit.rpc.client.client import DEFAULT_KEEPALIVE, DEFAULT_MAX_QUEUE, Client
from evkit.rpc.client.target import Target, parse_target
from evkit.rpc.connection.caller import Caller, checked
from evkit.rpc.connection.pending import DEFAULT, Default, Done, FuturePending, Notice, Pending, Timeout
from evkit.rpc.errors import ClientClosed
from evkit.rpc.hooks.hooks import Hooks
from evkit.rpc.hooks.owner import HookOwner
from evkit.rpc.limits import DEFAULT_TIMEOUT, Limits
from evkit.rpc.pool.budget import RetryBudget
from evkit.rpc.pool.call import POOL_CLOSED, PooledCall
from evkit.rpc.pool.discovery import Source, parse_source
from evkit.rpc.pool.dispatcher import PoolDispatcher
from evkit.rpc.pool.members import MemberRules, Members
from evkit.rpc.pool.retries import RetryRule
from evkit.rpc.protocol.codec import make_packer
from evkit.rpc.service.service import Service

if TYPE_CHECKING:
    import ssl

DEFAULT_RETRIES: Final = 2
DEFAULT_FAILURES: Final = 5
"""As many as Finagle's failure accrual takes."""
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
        budget: As given.
        hooks: See `add_hook`.

    Raises:
        ValueError: Something is out of range, a target is nowhere, or ``tls`` would not be used there.
        TypeError: Something is of a wrong type, or there are SRV records to look up and ``resolver`` can't.

    Source: ``evrpc_pool_new``, which gives a connection one call at a time, and does not find out where servers are.
    """

    __slots__ = (
        "_client",
        "_dispatcher",
        "_hedge_after",
        "_members",
        "_pack",
        "_timeout",
        "budget",
        "hooks",
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
        sources = _read_targets(targets, tls)
        _check_times(timeout, hedge_after, connect_timeout, keepalive)
        self._timeout = timeout
        self._hedge_after = hedge_after
        self._pack = make_packer()
        self.hooks = Hooks() if hooks is None else hooks
        self.budget = RetryBudget() if budget is None else budget
        self._client = partial(
            Client,
            base,
            service=service,
            limits=limits,
            connect_timeout=connect_timeout,
            reconnect=reconnect,
            keepalive=keepalive,
            hello=hello,
            tls=tls,
            unicode_errors=unicode_errors,
            hooks=self.hooks,
            debug=debug,
        )
        resolver = resolver or base.resolver or SystemResolver(base)
        rules = MemberRules(size, failures, reconnect, max_in_flight)
        self._members = Members(base, sources, resolver, self._make_client, rules)
        repeats = RetryRule(retries, retry_pause, self.budget)
        self._dispatcher = PoolDispatcher(base, self._members, repeats, max_queue)
        self._members.start()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Pool {state} {self._members!r} waiting={self.waiting}>"

    @property
    def base(self) -> EventBase:
        """The event base."""
        return self._dispatcher.base

    @property
    def timeout(self) -> float | None:
        """Seconds that a call may take in all; ``None``: no limit. It may be changed, for calls to come.

        Streams that ask for `DEFAULT` and notifications that wait are among them.

        Source: ``evrpc_pool_set_timeout``, which leaves out the time in the pool's queue.
        """
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._timeout = seconds if seconds is None else check_seconds(seconds)
        for client in self.clients:
            client.timeout = seconds

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._dispatcher.closed

    @property
    def clients(self) -> list[Client]:
        """Who keeps the connections, those that are being ended left out; their callbacks are the pool's."""
        return self._members.clients

    @property
    def waiting(self) -> int:
        """How many calls wait: for a server that can be reached, or before they are repeated."""
        return len(self._dispatcher.waiting)

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
        self._dispatcher.close()

    # Connections of the program's own

    def add_connection(self, where: Where) -> Client:
        """Add one connection to a server that the targets don't name.

        Args:
            where: As for a `Client`.

        Returns:
            Who keeps it, for `remove_connection`.

        Raises:
            ValueError: ``where`` is nowhere, or the pool's ``tls`` would not be used there.
            TypeError: It is of a wrong type.
            ClientClosed: The pool is closed.

        Source: ``evrpc_pool_add_connection``.
        """
        if self.closed:
            raise ClientClosed(POOL_CLOSED)
        return self._members.add(parse_target(where))

    def remove_connection(self, client: Client) -> bool:
        """Give a connection no more calls, and end it when those that it has are answered, and all is sent.

        Args:
            client: One of `clients`. Where it leads to a server that a target names, it comes back when that is looked
                up again.

        Returns:
            Whether it was one of them.

        Source: ``evrpc_pool_remove_connection``.
        """
        return self._members.remove(client)

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
            RPCError: The pool is closed, too many calls wait, or no server takes what it is sent.
        """
        checked(hedge_after)
        pending = FuturePending(self.base, method, checked(timeout), metadata)
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
        if isinstance(hedge_after, Default):
            hedge_after = self._hedge_after if idempotent else None
        elif hedge_after is not None and not idempotent:
            raise ValueError(
                "expected idempotent=True with hedge_after: a call and its copy may both be served"
            )
        seconds = self._seconds_for(pending)
        call = PooledCall(
            self._dispatcher, pending, params, seconds, idempotent=idempotent, hedge_after=hedge_after
        )
        self._start(call, seconds, params)
        self.budget.called(self.base.now())

    def _begin_whole(self, pending: Pending, params: list[Any]) -> None:
        seconds = self._seconds_for(pending)
        self._start(PooledCall(self._dispatcher, pending, params, seconds, whole=True), seconds, params)

    def _seconds_for(self, pending: Pending) -> float | None:
        timeout = pending.timeout
        return self._timeout if isinstance(timeout, Default) else timeout

    def _start(self, call: PooledCall, seconds: float | None, params: list[Any]) -> None:
        if self.closed:
            raise ClientClosed(POOL_CLOSED)
        member = self._dispatcher.pick_first()
        if member is not None:
            # The client's own time-out costs no timer, where it is the same.
            call.begin(member, DEFAULT if seconds == self._timeout else seconds)
            return
        # What can't be sent is an error now, and not some time later.
        self._pack((call.pending.method, params, call.pending.metadata))
        self._dispatcher.waiting.check_room()
        call.wait()

    def _make_client(self, target: Target, resolver: Resolver) -> Client:
        return self._client(target, resolver=resolver, timeout=self._timeout)


def _read_targets(targets: Iterable[Where], tls: "ssl.SSLContext | None") -> list[Source]:
    if isinstance(targets, str | bytes):
        raise TypeError(f"expected a list of targets, got {targets!r}: write [{targets!r}]")
    sources = [parse_source(where) for where in targets]
    plain = [source for source in sources if not source.target.secure]
    if tls is not None and plain:  # the client would say so, too, but for a name only when that is found
        raise ValueError(f"tls is for targets that begin with tls://, got {plain[0]}")
    return sources


def _check_times(*times: float | None) -> None:
    for seconds in times:
        if seconds is not None:
            check_seconds(seconds)
