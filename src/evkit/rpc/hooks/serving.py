"""`HookedServing`: the half of a connection with hooks that is called.

The doer of what `Chain` decides: it stops requests and notifications where they come in, and answers where they go out,
and lets them go on when their hooks say so. It knows nothing of what is called from here.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from evkit.core.bufferevent.common import BufferEvent
from evkit.rpc.connection.call import Call
from evkit.rpc.connection.connection import Connection
from evkit.rpc.connection.link import HELD_PAUSED, HELD_SERVING
from evkit.rpc.connection.serving import CONTROL, STRUCTURED
from evkit.rpc.errors import HookAborted, InvalidParams, MethodError
from evkit.rpc.hooks.context import HookContext
from evkit.rpc.hooks.frames import FrameLayer
from evkit.rpc.hooks.hooks import CONTINUE, INPUT, OUTPUT, PAUSE, TERMINATE, Chain, Hook, Hooks
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.error_shapes import describe
from evkit.rpc.protocol.messages import NOTIFICATION, REQUEST, RESPONSE
from evkit.rpc.service.method import Method

ABORTED: Final = "a hook ended the call"


def _nothing() -> None:
    """Stand in for a method that is not looked up yet."""


_UNKNOWN: Final = Method(_nothing, "?")


class HookedServing(Connection):
    """A connection with hooks for what it serves, and for frames, if there are any at its beginning.

    Args:
        hooks: Shared by all connections of their owner.
        bev: As for a `Connection`.
        coders: Likewise.
        arguments: Likewise.
    """

    __slots__ = ("_frames", "_hooks", "_paused")

    def __init__(
        self, hooks: Hooks, bev: BufferEvent, coders: Coders, *arguments: Any, **options: Any
    ) -> None:
        self._hooks = hooks
        self._paused = 0  # what has come and is paused
        self._frames: FrameLayer | None = None
        if hooks.input_frames or hooks.output_frames:
            self._frames = FrameLayer(self, hooks, coders.limits)
            bev = self._frames.over(bev)
        super().__init__(bev, coders, *arguments, **options)

    # Running hooks

    def _start(
        self,
        hooks: tuple[Hook, ...],
        context: HookContext,
        done: Callable[[HookContext, int], object],
    ) -> int:
        context.chain = Chain(hooks, done, self.base.escaped)
        return context.chain.start(context)

    def _context(self, direction: int, type: int, method: str, params: Any) -> HookContext:  # noqa: A002 - the term
        return HookContext(self, direction, type, method, params)

    def _count_paused(self) -> None:
        """Read nothing more, if too much is paused."""
        self._paused += 1
        if self._paused > self.limits.max_paused:
            self.hold(HELD_PAUSED)

    def _count_resumed(self) -> None:
        self._paused -= 1
        if self._paused <= self.limits.max_paused:
            self._unhold_soon(HELD_PAUSED)
        if self._ending and not self._paused:
            self.base.call_soon(self._finish_served)

    # Requests that come

    def on_request(self, number: int, name: str, params: list[Any]) -> None:
        """See `Serving.on_request`."""
        if name.startswith(CONTROL) or self.refusing:
            super().on_request(number, name, params)
            return
        call = Call(self, _UNKNOWN, number)
        self.extensions.prepare(call, self.metadata_ahead.pop(number, None))
        if self.session.error is not None:  # it has granted what is no credit
            call.end()
            return
        call.context = context = self._context(INPUT, REQUEST, name, params)
        context.metadata = call.metadata
        verdict = self._start(self._hooks.input, context, partial(self._on_request_resumed, call))
        if verdict != PAUSE:
            self._judge_request(call, verdict)
        elif context.paused:
            self._keep(call)
            self._count_paused()

    def _on_request_resumed(self, call: Call, context: HookContext, verdict: int) -> None:  # noqa: ARG002 - a callback
        self._count_resumed()
        self._unkeep(call)
        self._judge_request(call, verdict)

    def _judge_request(self, call: Call, verdict: int) -> None:
        context: HookContext = call.context
        if self.closed:
            return
        if verdict == TERMINATE:
            self.answer_error(call, _reason(context.error))
            return
        method = self.service.methods.get(context.method)
        if method is None:
            self.answer_error(call, self.unknown(context.method))
        elif type(context.params) is not list:
            self.answer_error(call, InvalidParams("expected an array of parameters"))
        else:
            call.method = method
            self._serve(call, context.params)

    # Responses that go

    def answer(self, call: Call, result: object) -> None:
        """See `Serving.answer`."""
        if call.context is None or call.cancelled:
            super().answer(call, result)
        else:
            self._respond(call, None, result)

    def answer_error(self, call: Call, error: BaseException) -> None:
        """See `Serving.answer_error`."""
        if call.context is None or call.cancelled:
            self._let_go(call)
            super().answer_error(call, error)
        else:
            raw = describe(error, structured=STRUCTURED in self.features, debug=self._debug)
            self._respond(call, raw, None)

    def answer_late(self, call: Call) -> None:
        """See `Serving.answer_late`. Its time goes on while hooks have the answer."""
        context = call.context
        if context is not None and context.paused:
            call.answered = False
        super().answer_late(call)

    def _respond(self, call: Call, error: object, result: object) -> None:
        context: HookContext = call.context
        call.answered = True  # it takes no other answer
        context.direction = OUTPUT
        context.type = RESPONSE
        context.error = error
        context.result = result
        verdict = self._start(self._hooks.output, context, partial(self._on_response_resumed, call))
        if verdict != PAUSE:
            self._send_response(call, verdict)
        elif context.paused and call.number not in self.session.serving:
            self._keep(call)

    def _on_response_resumed(self, call: Call, context: HookContext, verdict: int) -> None:  # noqa: ARG002 - a callback
        self._send_response(call, verdict)

    def _send_response(self, call: Call, verdict: int) -> None:
        context: HookContext = call.context
        self._release(call)
        if call.number is None or self.closed:
            return
        if verdict == TERMINATE:
            self.send_error(call.number, HookAborted(ABORTED))
            return
        try:
            data = self._pack((RESPONSE, call.number, context.error, context.result))
            self.check_fits(data)
        except Exception as exception:
            self._unsendable(call.method, call.number, exception)
        else:
            self.send(data)

    def _let_go(self, call: Call) -> None:
        """Stop the hooks of a call that is over."""
        context: HookContext | None = call.context
        if context is not None:
            self._drop(context)

    def _unkeep(self, call: Call) -> None:
        if call.number is not None and self.session.serving.pop(call.number, None) is not None:
            self._load.leave()
            self._unhold_soon(HELD_SERVING)

    # Notifications that come

    def on_notification(self, name: str, params: list[Any]) -> None:
        """See `Serving.on_notification`."""
        if name.startswith(CONTROL):
            super().on_notification(name, params)
            return
        context = self._context(INPUT, NOTIFICATION, name, params)
        verdict = self._start(self._hooks.input, context, self._on_notification_resumed)
        if verdict == CONTINUE:
            super().on_notification(context.method, context.params)
        elif verdict == PAUSE and context.paused:
            self._count_paused()

    def _on_notification_resumed(self, context: HookContext, verdict: int) -> None:
        self._count_resumed()
        if verdict == CONTINUE and not self.closed:
            super().on_notification(context.method, context.params)
            if self.session.error is not None:  # one too many that nobody knows
                self.refuse(self.session.error)

    def _drop(self, context: HookContext) -> None:
        """Stop the hooks of what is over."""
        if context.direction == INPUT and context.paused:
            self._count_resumed()
        context.abandon()

    # The end

    def _finish_if_done(self) -> None:
        if not (self._paused or (self._frames is not None and self._frames.busy)):
            super()._finish_if_done()

    def gone(self) -> None:
        """See `Connection.gone`."""
        if self._frames is not None:
            self._frames.close()
        for call in self.session.serving.values():
            self._let_go(call)
        super().gone()


def _reason(error: object) -> BaseException:
    """Return what a request is answered with that a hook has ended."""
    if error is None:
        return HookAborted(ABORTED)
    return error if isinstance(error, BaseException) else MethodError(ABORTED, raw=error)
