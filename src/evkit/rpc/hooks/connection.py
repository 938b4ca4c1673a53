"""`HookedConnection`: a connection whose messages and frames pass hooks.

Here is the half that calls: requests that go, answers that come, and those who wait for them when hooks end it all. A
connection without hooks is another class, and knows nothing of all this.
"""

from functools import partial
from typing import Any

from evkit.core.log import LOG_WARN, log
from evkit.rpc.connection.pending import DEFAULT, Pending
from evkit.rpc.connection.serving import CONTROL
from evkit.rpc.errors import HookAborted, RPCError
from evkit.rpc.hooks.context import HookContext
from evkit.rpc.hooks.hooks import CONTINUE, INPUT, OUTPUT, PAUSE, TERMINATE, Hooks
from evkit.rpc.hooks.serving import ABORTED, HookedServing
from evkit.rpc.protocol.messages import NOTIFICATION, REQUEST, RESPONSE


class HookedConnection(HookedServing):
    """A connection with hooks.

    Messages of the protocol's own, whose names begin with ``$/``, and items of streams pass the hooks of frames only.

    Args:
        hooks: Shared by all connections of their owner.
        arguments: As for a `Connection`.
    """

    __slots__ = ("_contexts", "_held")

    def __init__(self, hooks: Hooks, *arguments: Any, **options: Any) -> None:
        self._contexts: dict[Pending, HookContext] = {}  # of calls that are not over
        self._held: dict[Pending, HookContext] = {}  # those of them that a hook has paused or ended
        super().__init__(hooks, *arguments, **options)

    # Notifications that go

    def notify(self, method: str, *params: Any) -> None:
        """See `Caller.notify`. It raises `HookAborted`, if a hook stops it at once."""
        context = self._context(OUTPUT, NOTIFICATION, method, list(params))
        verdict = self._start(self._hooks.output, context, self._on_notice_resumed)
        if verdict == TERMINATE:
            raise HookAborted("a hook stopped the notification")
        if verdict == CONTINUE:
            super().notify(context.method, *context.params)

    def _on_notice_resumed(self, context: HookContext, verdict: int) -> None:
        if verdict == TERMINATE:
            log(LOG_WARN, f"rpc: a hook stopped the notification {context.method!r}")
            return
        try:
            super().notify(context.method, *context.params)
        except RPCError as error:
            log(LOG_WARN, f"rpc: a notification was not sent: {error}")

    # Requests that go

    @property
    def in_flight(self) -> int:
        """See `Connection.in_flight`: those that hooks keep back are about to be sent."""
        return super().in_flight + sum(context.direction == OUTPUT for context in self._held.values())

    def begin(self, pending: Pending, params: list[Any]) -> None:
        """See `Caller.begin`."""
        if pending.method.startswith(CONTROL) or self.closed or self._ended:
            super().begin(pending, params)
            return
        context = self._context(OUTPUT, REQUEST, pending.method, params)
        context.metadata = dict(pending.metadata or ())
        verdict = self._start(self._hooks.output, context, partial(self._on_call_resumed, pending))
        if verdict == CONTINUE:
            self._send_call(pending, context)
            return
        self._hold_call(pending, context)
        if verdict == TERMINATE:
            self.base.call_soon(self._on_call_resumed, pending, context, verdict)

    def _send_call(self, pending: Pending, context: HookContext) -> None:
        pending.method = context.method
        pending.metadata = context.metadata or None
        super().begin(pending, context.params)
        self._contexts[pending] = context

    def _hold_call(self, pending: Pending, context: HookContext) -> None:
        """Keep a call that is not sent yet, within its time."""
        self._held[pending] = context
        pending.owner = self
        timeout = self.timeout if pending.timeout is DEFAULT else pending.timeout
        if pending.timer is None and isinstance(timeout, (int, float)):
            pending.limit(self.base, timeout)

    def _on_call_resumed(self, pending: Pending, context: HookContext, verdict: int) -> None:
        if self._held.pop(pending, None) is None:
            return  # it was cancelled, or was too late
        pending.owner = None
        if verdict == TERMINATE:
            self._fail_held_back(pending, HookAborted(ABORTED))
            return
        try:
            self._send_call(pending, context)
        except RPCError as error:
            self._fail_held_back(pending, error)
        except Exception as exception:
            spoilt = RPCError(f"{pending.method}: what hooks made of the call can't be sent: {exception}")
            spoilt.__cause__ = exception
            self._fail_held_back(pending, spoilt)

    def _fail_held_back(self, pending: Pending, error: RPCError) -> None:
        pending.fail(self.base, error)
        self._tell_free()

    # Responses that come

    def on_response(self, pending: Pending, error: object, result: object) -> None:
        """See `Connection.on_response`."""
        context = self._contexts.pop(pending, None)
        if context is None:
            super().on_response(pending, error, result)
            return
        context.direction = INPUT
        context.type = RESPONSE
        context.error = error
        context.result = result
        self._held[pending] = context
        verdict = self._start(self._hooks.input, context, partial(self._on_answer_resumed, pending))
        if verdict != PAUSE:
            self._judge_answer(pending, context, verdict)
        elif pending in self._held:
            self._count_paused()
            if pending.timer is None and pending.deadline:
                pending.limit(self.base, max(0.0, pending.deadline - self.base.now()))

    def _on_answer_resumed(self, pending: Pending, context: HookContext, verdict: int) -> None:
        self._count_resumed()
        self._judge_answer(pending, context, verdict)

    def _judge_answer(self, pending: Pending, context: HookContext, verdict: int) -> None:
        if self._held.pop(pending, None) is None:
            return  # it was cancelled by a hook
        if verdict == TERMINATE:
            pending.fail(self.base, HookAborted(ABORTED))
            self._tell_free()
        else:
            super().on_response(pending, context.error, context.result)

    def _tell_free(self) -> None:
        if self.on_free is not None:
            self.on_free()

    def abandon(self, pending: Pending) -> None:
        """See `Owner.abandon`."""
        self._contexts.pop(pending, None)
        context = self._held.pop(pending, None)
        if context is None:
            super().abandon(pending)
        else:
            self._drop(context)
            self._tell_free()

    # The end

    def fail_calls(self) -> None:
        """See `Link.fail_calls`. An answer that has come, and is paused, is still good."""
        self._fail_held(answered=False)
        super().fail_calls()

    def gone(self) -> None:
        """See `Connection.gone`."""
        self._fail_held(answered=True)
        self._contexts.clear()
        super().gone()

    def _fail_held(self, *, answered: bool) -> None:
        for pending, context in tuple(self._held.items()):
            if (context.direction == INPUT) is answered and self._held.pop(pending, None) is not None:
                context.abandon()
                pending.fail(self.base, self._lost(pending, sent=answered))
