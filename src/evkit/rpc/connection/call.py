"""`Call`: a request that is being served, for handlers that want to know more of it, or to answer later.

It decides that there is one answer, and from which thread it comes. How an answer is sent is its connection's business.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from evkit.core.event import check_callback
from evkit.core.future import Future
from evkit.errors import LocalProtocolError

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.event import Event
    from evkit.rpc.connection.connection import Connection
    from evkit.rpc.service.method import Method
    from evkit.rpc.streams.stream import Stream


class Answerer(Protocol):
    """What a call is answered through: its connection."""

    @property
    def base(self) -> "EventBase":
        """The event base."""

    def answer(self, call: "Call", result: object) -> object:
        """Send a result, and forget the call."""

    def answer_error(self, call: "Call", error: BaseException) -> object:
        """Send an error, and forget the call."""


class Call:
    """A request in the hands of a handler.

    A handler whose first parameter is annotated with this class gets it. What it returns is the answer, and what it
    raises an error, unless it has answered itself, or called `defer`: then `reply` or `fail` is to follow, from any
    callback or thread. A notification may be served the same way; its answer goes nowhere.

    Args:
        connection: Where it came in.
        method: What is called.
        number: The request's msgid; ``None``: a notification.

    Attributes:
        connection: As given; its ``state`` is the program's own.
        method: As given.
        number: As given.
        metadata: What the caller has sent beside the parameters, such as ``"traceparent"``.
        deadline: When the caller stops waiting, on the base's clock; ``None``: it has not said.
        deferred: Whether the answer is to follow.
        answered: Whether there is one, or none is wanted any more.
        cancelled: Whether the caller has given it up, or has gone.

    Source: ``struct evrpc_req_generic``; ``EVRPC_REQUEST_DONE``.
    """

    __slots__ = (
        "_on_cancel",
        "_timer",
        "answered",
        "cancelled",
        "connection",
        "context",
        "deadline",
        "deferred",
        "metadata",
        "method",
        "number",
        "stream",
    )

    def __init__(self, connection: "Connection", method: "Method", number: int | None) -> None:
        self.connection = connection
        self.method = method
        self.number = number
        self.metadata: dict[str, Any] = {}
        self.deadline: float | None = None
        self.deferred = False
        self.answered = False
        self.cancelled = False
        self.context: Any = None  # of its hooks
        self.stream: Any = None  # of its items
        self._on_cancel: Callable[[Call], object] | None = None
        self._timer: Event | None = None

    def __repr__(self) -> str:
        state = (
            "cancelled"
            if self.cancelled
            else "answered"
            if self.answered
            else "deferred"
            if self.deferred
            else "served"
        )
        return f"<Call {self.method.name} #{self.number} {state} of {self.connection.peer}>"

    def defer(self) -> None:
        """Answer later: what the handler returns now means nothing."""
        self.deferred = True

    def reply(self, result: object = None) -> None:
        """Answer. Any thread may; once the caller has given it up, nothing happens.

        Args:
            result: What MessagePack can carry. If it can't, the caller gets an error, and the base's exception handler
                the reason.

        Raises:
            LocalProtocolError: There is an answer already. From another thread the base's exception handler hears it.

        Source: ``evrpc_request_done``.
        """
        self._settle(self.connection.answer, result)

    def fail(self, error: BaseException) -> None:
        """Answer with an error: a `MethodError` as it is, of others the class and the text.

        Any thread may, as with `reply`, which raises the same.
        """
        self._settle(self.connection.answer_error, error)

    def follow(self, future: Future[Any]) -> None:
        """Answer with what a future brings; a caller who gives the call up cancels it."""
        self.defer()
        self.on_cancel = lambda call: future.cancel()  # noqa: ARG005 - a callback
        future.add_done_callback(self._on_future)

    # Items

    def send(self, item: Any) -> bool:
        """Send an item ahead of the answer, to a caller who takes them one by one; others get all as the answer.

        In another thread it returns when the next one may be sent.

        Args:
            item: What MessagePack can carry.

        Returns:
            Whether to send more now. If not, `on_ready` is called when it is time to go on; up to 1,000 items wait
            meanwhile.

        Raises:
            LocalProtocolError: The call is answered.
            Overloaded: Too many items wait already, or a caller who takes them all at once can't have more.
            TypeError, ValueError, OverflowError: The item can't be sent.
        """
        from evkit.rpc.streams.serving import send_item  # for those who use it

        return send_item(self, item)

    @property
    def on_ready(self) -> "Callable[[], object] | None":
        """``on_ready()`` when `send` may go on. In the base's thread only: another one waits in `send`."""
        return self.connection.extensions.streams.of(self).output.on_ready

    @on_ready.setter
    def on_ready(self, callback: "Callable[[], object] | None") -> None:
        if callback is not None:
            check_callback(callback)
        self.connection.extensions.streams.of(self).output.on_ready = callback

    @property
    def items(self) -> "Stream[Any]":
        """The items that the caller sends, which it may from now on; none, if it has said nothing of any."""
        from evkit.rpc.streams.serving import items_of  # as above

        return items_of(self)

    @property
    def on_cancel(self) -> "Callable[[Call], object] | None":
        """``on_cancel(call)`` when the caller gives the call up, is too late, or goes."""
        return self._on_cancel

    @on_cancel.setter
    def on_cancel(self, callback: "Callable[[Call], object] | None") -> None:
        self._on_cancel = None if callback is None else check_callback(callback)

    # For its connection

    def limit(self, seconds: float) -> None:
        """Give it until the caller stops waiting."""
        base = self.connection.base
        self.deadline = base.now() + seconds
        self._timer = base.timer(self._on_late)
        self._timer.add(seconds)

    def end(self) -> None:
        """Hear that it is over."""
        self.answered = True
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.free()
        self._on_cancel = None
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.leave()

    def give_up(self) -> None:
        """Hear that the caller does not want the answer any more."""
        on_cancel = self._on_cancel
        self.cancelled = True
        self.end()
        if on_cancel is not None:
            try:
                on_cancel(self)
            except Exception as exception:
                self.connection.base.escaped(exception, on_cancel)

    def _on_late(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        self.connection.answer_late(self)

    def _settle(self, answer: "Callable[[Call, Any], object]", what: object) -> None:
        base = self.connection.base
        if base.in_thread():
            self._settle_here(answer, what)
        else:
            base.call_soon_threadsafe(partial(self._settle_here, answer, what))

    def _settle_here(self, answer: "Callable[[Call, Any], object]", what: object) -> None:
        if self.cancelled:
            return
        if self.answered:
            raise LocalProtocolError(f"a request takes one answer, and no other after it: {self!r}")
        if self.stream is None:
            answer(self, what)
        else:
            self.stream.settle(answer, what)

    def _on_future(self, future: Future[Any]) -> None:
        if self.answered:
            return
        if future.cancelled():
            self.fail(RuntimeError("what the answer depends on was cancelled"))
            return
        error = future.exception()
        if error is None:
            self.reply(future.result())
        else:
            self.fail(error)
