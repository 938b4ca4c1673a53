"""`Serving`: the connection's half that is called.

The doer between a request and its method: it calls the handler and sends the one response that there is to be, at
once or later. Which parameters a method takes is decided by `Method`, how many requests may be served by the limits. It
knows nothing of what is called from here.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from evkit.core.bufferevent.common import BufferEvent
from evkit.core.future import Future
from evkit.rpc.connection.call import Call
from evkit.rpc.connection.link import HELD_LOAD, HELD_SERVING, Link
from evkit.rpc.connection.load import Load
from evkit.rpc.errors import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    OVERLOADED,
    MethodError,
    escaped,
)
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.error_shapes import describe
from evkit.rpc.protocol.messages import RESPONSE
from evkit.rpc.service.method import Method
from evkit.rpc.service.service import Service

if TYPE_CHECKING:
    from evkit.rpc.connection.extensions import Extensions

CONTROL: Final = "$/"
"""What the names of the extensions' messages begin with; no method's does."""
STRUCTURED: Final = "errors"
"""The feature that an error is a map with a code, a message and data."""
_NO_METHODS: Final[dict[str, Method]] = {}
"""What can be called on a connection that ends."""
_NAME: Final = 100
"""Characters of an unknown method's name that are told."""


class Serving(Link):
    """A link that serves requests.

    Args:
        bev: See `Link`.
        coders: Likewise.
        peer: Likewise.
        service: What can be called here.
        load: How much is being served, of all connections.
        debug: Whether callers get tracebacks.

    Attributes:
        service: As given.
        metadata_ahead: What was said of requests that are to follow, by their numbers.
        features: The extensions that were agreed on with the peer, by their names.
        peer_max_message: Bytes of a message that the peer takes, if it has said so.
    """

    __slots__ = (
        "_debug",
        "_extensions",
        "_load",
        "_methods",
        "_pack",
        "features",
        "metadata_ahead",
        "peer_max_message",
        "service",
    )

    def __init__(
        self, bev: BufferEvent, coders: Coders, peer: str, service: Service, load: Load, *, debug: bool
    ) -> None:
        super().__init__(bev, coders, peer)
        self.service = service
        self._extensions: Extensions | None = None
        self.features: frozenset[str] = frozenset()
        self.peer_max_message: int | None = None
        self._methods = service.methods
        self._pack = coders.pack
        self._load = load
        self._debug = debug
        self.metadata_ahead: dict[int, dict[str, Any]] = {}  # of requests that are about to come

    @property
    def extensions(self) -> "Extensions":
        """What lies beyond the protocol; made when it is first asked for."""
        if self._extensions is None:
            from evkit.rpc.connection.extensions import Extensions

            self._extensions = Extensions(self)  # type: ignore[arg-type]  # a Connection it is
        return self._extensions

    def drained(self) -> None:
        """See `Link.drained`."""
        if self._extensions is not None:
            self._extensions.drained()

    def peer_ended(self) -> None:
        """See `Link.peer_ended`."""
        if self._extensions is not None:
            self._extensions.peer_ended()

    # What comes in; see `Receiver`

    def _on_read(self, bev: BufferEvent) -> None:
        if self._load.full:
            self._wait_for_load()
        self.session.receive(bev.input.remove())  # as in `Link`, without another call
        self._deliver()

    def on_request(self, number: int, name: str, params: list[Any]) -> None:
        """Serve a request."""
        method = self._methods.get(name)
        if method is None:
            self._on_unknown(number, name, params)
            return
        if not method.plain or self.metadata_ahead:
            self._serve(Call(self, method, number), params)  # type: ignore[arg-type]  # a Connection it is
            return
        try:
            check = method.check
            result = method.function(*params) if check is None else method.function(*check(params))
        except KeyboardInterrupt:
            raise
        except BaseException as exception:  # sys.exit() in a handler is no end for the others
            self.send_error(number, self._told(method, exception))
            return
        try:
            data = self._pack((RESPONSE, number, None, result))
            if self.features:
                self.check_fits(data)
        except Exception as exception:
            self._answer_odd(method, number, result, exception)
        else:
            self._out.append(data)

    def on_notification(self, name: str, params: list[Any]) -> None:
        """Serve a notification, which has no answer."""
        method = self._methods.get(name)
        if method is not None:
            self._serve(Call(self, method, None), params)  # type: ignore[arg-type]  # as above
        elif (
            not (name.startswith(CONTROL) and self.extensions.on_notification(name, params))
            and not self.refusing
        ):
            self.session.count_stray()

    def on_bad_request(self, number: int, method: str | None, code: int, reason: str) -> None:  # noqa: ARG002 - the contract's
        """Answer what is no request."""
        self.metadata_ahead.pop(number, None)
        self.send_error(number, MethodError(reason, code))

    def _on_unknown(self, number: int, name: str, params: list[Any]) -> None:
        self.metadata_ahead.pop(number, None)
        if name.startswith(CONTROL) and self.extensions.on_request(number, name, params):
            return
        self.send_error(number, self.unknown(name))

    @property
    def refusing(self) -> bool:
        """Whether it serves nothing more than it does already."""
        return self._methods is _NO_METHODS

    def unknown(self, name: str) -> MethodError:
        """Return what to say of a method that is not here."""
        if self.refusing:
            return MethodError("the connection is about to be closed; the call was not served", OVERLOADED)
        if len(name.encode(errors="replace")) > self.limits.max_method:
            why = f"expected a method's name of at most {self.limits.max_method} bytes"
            return MethodError(why, INVALID_REQUEST)
        return MethodError(f"no method {escaped(name, _NAME)!r}", METHOD_NOT_FOUND)

    # Serving with a Call

    def _serve(self, call: Call, params: list[Any]) -> None:
        """Serve what is not plain: by a handler that wants the call, answers later, or is not to answer."""
        method, number = call.method, call.number
        if number is not None and self.metadata_ahead:
            self.extensions.prepare(call, self.metadata_ahead.pop(number, None))
            if self.session.error is not None:  # it has granted what is no credit
                call.end()
                return
        try:
            result = method.invoke(call, params)
        except KeyboardInterrupt:
            raise
        except BaseException as exception:
            self._told(method, exception)
            if not call.answered:
                self.answer_error(call, exception)
            return
        if call.answered:
            return
        if isinstance(result, Future | Generator):
            self._follow(call, result)
        elif call.stream is not None and not call.deferred:  # it has sent items, which come before the answer
            call.defer()
            call.reply(result)
        if not call.deferred:
            self.answer(call, result)
        elif not call.answered:
            self._keep(call)

    def _follow(self, call: Call, result: "Future[Any] | Generator[Any, None, Any]") -> None:
        """Answer with what is still to come."""
        if isinstance(result, Future):
            call.follow(result)
        else:
            call.defer()
            self.extensions.stream_out(call, result)

    def _answer_odd(self, method: Method, number: int, result: object, exception: Exception) -> None:
        """Answer where the result can't be sent as it is: it may be one that is to come."""
        if isinstance(result, Future | Generator):
            call = Call(self, method, number)  # type: ignore[arg-type]  # as above
            self._follow(call, result)
            if not call.answered:
                self._keep(call)
        else:
            self._unsendable(method, number, exception)

    def _unsendable(self, method: Method, number: int, exception: Exception) -> None:
        self.base.escaped(exception, method.function)
        why = f"the result of {method.name} can't be sent: {escaped(str(exception))}"
        self.send_error(number, MethodError(why, INTERNAL_ERROR))

    def _keep(self, call: Call) -> None:
        """Wait for the answer, which is still to come."""
        if call.number is None or self.closed:
            return
        serving = self.session.serving
        serving[call.number] = call
        self._load.enter()
        if len(serving) >= self.limits.max_in_flight:
            self.hold(HELD_SERVING)
        if self._load.full:
            self._wait_for_load()

    def _wait_for_load(self) -> None:
        self.hold(HELD_LOAD)
        self._load.wait(self._on_room)

    def _on_room(self) -> None:
        self.base.call_soon(self._use_room)

    def _use_room(self) -> None:
        """Go on, unless another was faster; let the next one have what is left."""
        if not self.closed:
            if self._load.full:
                self._wait_for_load()
                return
            self._unhold(HELD_LOAD)
        self._load.pass_on()

    def _unhold_soon(self, reason: int) -> None:
        """Go on from the loop: who answers is somewhere in the middle of something."""
        if self.session.held & reason:
            self.base.call_soon(self._unhold, reason)

    def _unhold(self, reason: int) -> None:
        if reason == HELD_SERVING and len(self.session.serving) >= self.limits.max_in_flight:
            return  # others have taken the place meanwhile
        try:
            self.unhold(reason)
        except Exception as exception:
            self.bev.escaped(exception)

    # Answers; see `Answerer`

    def answer(self, call: Call, result: object) -> None:
        """Send a result, and forget the call."""
        self._release(call)
        if call.number is None:
            return
        try:
            data = self._pack((RESPONSE, call.number, None, result))
            self.check_fits(data)
        except Exception as exception:
            self._unsendable(call.method, call.number, exception)
        else:
            self.send(data)

    def answer_error(self, call: Call, error: BaseException) -> None:
        """Send an error, and forget the call."""
        self._release(call)
        if call.number is not None:
            self.send_error(call.number, error)

    def answer_late(self, call: Call) -> None:
        """Tell a caller who waits no more that it was too late."""
        if not call.answered:
            call.give_up()
            self.answer_error(call, MethodError("the deadline of the call has passed", DEADLINE_EXCEEDED))

    def cancel_served(self, number: int, why: str = "the caller has cancelled the call") -> None:
        """Stop serving what its caller has given up; it is answered all the same."""
        call = self.session.serving.get(number)
        if call is not None:
            call.give_up()
            self.answer_error(call, MethodError(why, CANCELLED))

    def check_fits(self, data: bytes, more: int = 0) -> None:
        """Check that the peer takes a message: one that is too large would end the connection for all.

        Args:
            data: The message, or the greatest part of it.
            more: Bytes of the rest.

        Raises:
            ValueError: It does not.
        """
        most, size = self.peer_max_message, len(data) + more
        if most is not None and size > most:
            raise ValueError(f"{self.peer} takes messages of at most {most} bytes, got one of {size}")

    def send_error(self, number: int, error: BaseException) -> None:
        """Answer a request with an error."""
        raw = describe(error, structured=STRUCTURED in self.features, debug=self._debug)
        try:
            data = self._pack((RESPONSE, number, raw, None))
        except Exception:  # of what a MethodError brings
            data = self._pack((RESPONSE, number, escaped(str(error)), None))
        self.send(data)

    def _release(self, call: Call) -> None:
        call.end()
        serving = self.session.serving
        if call.number is not None and serving.get(call.number) is call:
            del serving[call.number]
            self._load.leave()
            if len(serving) < self.limits.max_in_flight:
                self._unhold_soon(HELD_SERVING)
            if self._ending and not serving and not self.session.waiting:
                self.base.call_soon(self._finish_served)

    def _finish_if_done(self) -> None:
        """Finish; or else read on, for streams and answers, and refuse requests that come too late."""
        self._methods = _NO_METHODS
        super()._finish_if_done()

    def _finish_served(self) -> None:
        if not self.closed:
            self._finish_if_done()

    def _told(self, method: Method, exception: BaseException) -> BaseException:
        """Tell the program of what was no answer of its own making."""
        if not isinstance(exception, MethodError):
            self.base.escaped(exception, method.function)
        return exception

    # The end

    def gone(self) -> None:
        """Give up what is being served."""
        self._load.forget(self._on_room)
        serving, self.session.serving = self.session.serving, {}
        for call in serving.values():
            self._load.leave()
            call.give_up()
        extensions, self._extensions = self._extensions, None
        if extensions is not None:
            extensions.leave()
