"""`Pending`: a call that was made and is not answered.

It decides who hears of its end, once. How it is sent and when it is late is the business of its owner.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from evkit.core.future import Future
from evkit.core.log import LOG_WARN, log
from evkit.rpc.errors import RPCError

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.event import Event

Done = Callable[["Pending"], object]
"""``done(pending)``: its ``value`` is what the peer has returned, unless there is an ``error``."""


class Default:
    """The type of `DEFAULT`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "DEFAULT"


DEFAULT: Final = Default()
"""The time-out that the client has for all calls."""
Timeout = float | Default | None
_RESERVED: Final = frozenset({"deadline_ms", "credit", "items"})
"""Names in metadata by which connections speak to each other."""


class Owner(Protocol):
    """Who has a call in its hands: a connection, or whoever waits for one."""

    def abandon(self, pending: "Pending") -> object:
        """Forget the call, and tell the peer if it can be told."""

    def late(self, pending: "Pending", seconds: float) -> object:
        """End the call, which has taken ``seconds``."""


class Pending:
    """One call.

    Args:
        method: The name of the method.
        done: Called once, when it is over, unless it was cancelled before.
        timeout: Seconds; see `DEFAULT`.
        metadata: What goes beside it, for peers that know such a thing.

    Raises:
        ValueError: A name in the metadata is the protocol's own.

    Attributes:
        method: As given.
        done: As given.
        timeout: As given.
        metadata: As given.
        error: Why there is no value.
        value: What the peer has returned.
        owner: Who has it; ``None``: it is over, or not begun.
        number: Its msgid, on the connection that has it.
        deadline: When it is late, on the base's clock.
        timer: Of a call that is to be over earlier or later than all others.
    """

    __slots__ = (
        "deadline",
        "done",
        "error",
        "metadata",
        "method",
        "number",
        "owner",
        "timeout",
        "timer",
        "value",
    )

    def __init__(
        self, method: str, done: Done, timeout: Timeout = DEFAULT, metadata: dict[str, Any] | None = None
    ) -> None:
        if metadata is not None and not _RESERVED.isdisjoint(metadata):
            names = ", ".join(sorted(_RESERVED.intersection(metadata)))
            raise ValueError(
                f"expected other names in metadata than {names}, which the protocol has for itself"
            )
        self.method = method
        self.done = done
        self.timeout = timeout
        self.metadata = metadata
        self.error: RPCError | None = None
        self.value: Any = None
        self.owner: Owner | None = None
        self.number = 0
        self.deadline = 0.0
        self.timer: Event | None = None

    def __repr__(self) -> str:
        state = f"failed {self.error!r}" if self.error else "pending" if self.owner else "over"
        return f"<{type(self).__name__} {self.method} #{self.number} {state}>"

    def cancel(self) -> None:
        """Wait for it no more; ``done`` is not called. Harmless when it is over."""
        owner = self.detach()
        if owner is not None:
            owner.abandon(self)

    def detach(self) -> Owner | None:
        """Take it out of its owner's hands, who forgets it; return who that was."""
        owner, self.owner = self.owner, None
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.free()
        return owner

    def limit(self, base: "EventBase", seconds: float) -> None:
        """Have it be late at a time of its own, whoever has it then."""

        def on_late(event: "Event", what: int) -> None:  # noqa: ARG001 - a callback
            if self.owner is not None:
                self.owner.late(self, seconds)

        self.deadline = base.now() + seconds
        self.timer = base.timer(on_late)
        self.timer.add(seconds)

    def fail(self, base: "EventBase", error: RPCError) -> None:
        """End it with an error. For its owner, who has forgotten it."""
        self.detach()
        self.error = error
        tell(base, self)


class FuturePending(Pending):
    """One call, and the future of its value.

    Attributes:
        future: Cancelling it cancels the call.
    """

    __slots__ = ("future",)

    def __init__(
        self, base: "EventBase", method: str, timeout: Timeout, metadata: dict[str, Any] | None
    ) -> None:
        super().__init__(method, _settle, timeout, metadata)
        self.future: Future[Any] = Future(base, self._on_cancel)

    def _on_cancel(self, future: Future[Any]) -> None:  # noqa: ARG002 - a callback
        self.cancel()


class Notice(Pending):
    """A notification that waits to be sent, and is told to nobody but the log if it never is."""

    __slots__ = ()

    def __init__(self, method: str) -> None:
        super().__init__(method, _drop)


def _drop(pending: Pending) -> None:
    log(LOG_WARN, f"rpc: a notification was not sent: {pending.error}")


def _settle(pending: Pending) -> None:
    assert isinstance(pending, FuturePending)
    if pending.error is None:
        pending.future.set_result(pending.value)
    else:
        pending.future.set_exception(pending.error)


def tell(base: "EventBase", pending: Pending) -> None:
    """Call back; what escapes must not keep others from hearing."""
    try:
        pending.done(pending)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as exception:
        base.escaped(exception, pending.done)
