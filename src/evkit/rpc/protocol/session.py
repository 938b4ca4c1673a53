"""`Session`: one connection's end of MessagePack-RPC, which is the same for who calls and for who is called.

A decider: it turns bytes into requests, responses and notifications that keep the rules, and tells those that don't
apart: what must end the connection, what gets an error response, and what is dropped and counted. It numbers requests
and finds the calls that responses are for. It knows nothing of sockets, clocks, methods and futures.

Source: the MessagePack-RPC specification; for what that leaves open, the comments say who does what.
"""

from reprlib import repr as short_repr
from types import NoneType
from typing import Any, Final, Generic, Protocol, TypeVar

from evkit.core.buffer.segments import Readable
from evkit.rpc.errors import INVALID_PARAMS, INVALID_REQUEST
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.intake import Intake
from evkit.rpc.protocol.messages import NOTIFICATION, REQUEST, RESPONSE
from evkit.rpc.protocol.scan import depth_exceeds

MAX_ID: Final = 2**32 - 1
TURN: Final = 256
"""Messages in a row: a peer that sends thousands at once must not keep the others waiting."""
MAX_FORGOTTEN: Final = 10_000
"""Calls that were given up and whose responses may still come; they are no strays."""
_SIZES: Final = {REQUEST: 4, RESPONSE: 4, NOTIFICATION: 3}
"""Elements of a message by its type."""
_REQUEST_SIZE: Final = 4
_CONTAINERS: Final = frozenset({list, dict})
_KINDS: Final[dict[type, str]] = {
    NoneType: "nil",
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    str: "a string",
    bytes: "binary data",
    list: "an array",
    dict: "a map",
}

Call = TypeVar("Call")
Params = list[Any]


class Receiver(Protocol[Call]):  # type: ignore[misc]  # Call is only handed back, never made
    """What a session hands its messages to."""

    def on_request(self, id: int, method: str, params: Params) -> object:  # noqa: A002 - the field's term
        """Serve a request, now or later, by exactly one response."""

    def on_response(self, call: Call, error: object, result: object) -> object:
        """Hear the answer to a call. ``error`` is ``None`` for a good one."""

    def on_notification(self, method: str, params: Params) -> object:
        """Hear a notification."""

    def on_bad_request(self, id: int, method: str | None, code: int, reason: str) -> object:  # noqa: A002 - as above
        """Answer a request that can't be served by an error."""


class Session(Intake, Generic[Call]):
    """The protocol's state.

    Args:
        coders: What encodes and decodes, and the limits.

    Attributes:
        limits: As the coders have them.
        calls: What was called and not answered, by its number, oldest first. What a call is, is its owner's business.
        last_id: The number of the last request.
        serving: Requests of the peer that are still to be answered, by their numbers.
        held: Reasons, as bits, not to deliver anything for now. Whoever sets one asks `deliver` again without it.
        stray: Responses that nobody waits for, and notifications that nobody knows; in all.
        stray_lately: The same since its owner has set this to 0, which is for who has a clock.
    """

    __slots__ = (
        "_before",
        "_ends",
        "_forgotten",
        "_messages",
        "_position",
        "calls",
        "held",
        "last_id",
        "limits",
        "pack",
        "serving",
        "stray",
        "stray_lately",
    )

    def __init__(self, coders: Coders) -> None:
        super().__init__(coders)
        self.pack = coders.pack
        self.limits = coders.limits
        self._messages: list[Any] = []
        self._ends: list[int] = []
        self._position = 0  # of the next to deliver
        self._before = 0  # where the first of them begins
        self.last_id = 0
        self._forgotten: dict[int, None] = {}
        self.calls: dict[int, Call] = {}
        self.serving: dict[int, Any] = {}
        self.held = 0
        self.stray = 0
        self.stray_lately = 0

    def __repr__(self) -> str:
        state = f"failed {self.error}" if self.error else "partial" if self.partial else "idle"
        return f"<Session {state} calls={len(self.calls)} serving={len(self.serving)} stray={self.stray}>"

    # What is called

    def request(self, method: str, params: Params, call: Call) -> bytes:
        """Encode a request and enter the call.

        Raises:
            TypeError, ValueError, OverflowError: Something can't be encoded. Nothing was entered.
        """
        number = self.last_id
        while True:
            number = number + 1 if number < MAX_ID else 1
            if number not in self.calls and number not in self._forgotten:
                break
        data = self.pack((REQUEST, number, method, params))
        self.last_id = number
        self.calls[number] = call
        return data

    def forget(self, number: int) -> None:
        """Give a call up. Its response may still come, and is no stray then."""
        if self.calls.pop(number, None) is not None:
            forgotten = self._forgotten
            forgotten[number] = None
            if len(forgotten) > MAX_FORGOTTEN:
                del forgotten[next(iter(forgotten))]

    def was_forgotten(self, number: int) -> bool:
        """Return whether it is the number of a call that was given up, and whose answer may still come."""
        return number in self._forgotten

    # What has come

    def receive(self, data: Readable) -> None:
        """Decode what has come; `deliver` hands it out."""
        self.take(data, self._messages, self._ends)

    @property
    def waiting(self) -> int:
        """Messages that are decoded and not delivered."""
        return len(self._messages) - self._position

    def deliver(self, receiver: Receiver[Call], most: int = TURN) -> bool:
        """Hand out what is decoded, in order, up to the first reason to hold it back.

        A receiver may do anything but call this again.

        Args:
            receiver: Gets it.
            most: Messages, at most.

        Returns:
            Whether there are more that could be handed out.
        """
        messages, calls, serving = self._messages, self.calls, self.serving
        first = self._position
        last = min(len(messages), first + most)
        for position in range(first, last):
            if self.held:
                break
            message = messages[position]
            self._position = position + 1
            # What is usual is here, at the cost of one look at each thing; `_unusual` has all the rules.
            if type(message) is list and len(message) == _REQUEST_SIZE:
                kind, number, subject, content = message
                if type(kind) is int and type(number) is int:
                    if kind == RESPONSE:
                        if subject is None and number in calls and type(content) not in _CONTAINERS:
                            receiver.on_response(calls.pop(number), None, content)
                            continue
                    elif (
                        kind == REQUEST
                        and type(subject) is str
                        and type(content) is list
                        and 0 <= number <= MAX_ID
                        and number not in serving
                        and _CONTAINERS.isdisjoint(map(type, content))
                    ):
                        receiver.on_request(number, subject, content)
                        continue
            self._unusual(receiver, message)
            if len(messages) < last:
                break  # it was rejected, and what followed with it
        if self._position:
            self._before = self._ends[self._position - 1]
        if self._position == len(messages):
            messages.clear()
            self._ends.clear()
            self._position = 0
            return False
        return self._have_more()

    def _have_more(self) -> bool:
        """Let go of what was delivered; return whether more could be."""
        if self.held:
            return False
        del self._messages[: self._position], self._ends[: self._position]
        self._position = 0
        return True

    def _unusual(self, receiver: Receiver[Call], message: object) -> None:
        """Tell what a message is, by all the rules, and hand it out."""
        if type(message) is not list:
            self.reject(f"expected an array for a message, got {_kind_of(message)}")
            return
        if depth_exceeds(message, self.limits.max_depth):
            self.reject(f"a message is nested deeper than {self.limits.max_depth} levels")
            return
        kind = message[0] if message else None
        if type(kind) is not int or kind not in _SIZES:
            self.reject(f"expected a message of type 0, 1 or 2, got {short_repr(kind)}")
        elif len(message) != _SIZES[kind]:
            self.reject(f"expected {_SIZES[kind]} elements of a message of type {kind}, got {len(message)}")
        elif kind == NOTIFICATION:
            self._notify(receiver, *message[1:])
        elif type(message[1]) is not int or not 0 <= message[1] <= MAX_ID:
            self.reject(f"expected a msgid that is a 32-bit unsigned integer, got {short_repr(message[1])}")
        elif kind == RESPONSE:
            self._respond(receiver, *message[1:])
        else:
            self._request(receiver, *message[1:])

    def reject(self, reason: str) -> None:
        """End it all: the peer does not speak the protocol."""
        position = self._position - 1
        self.fail(reason, self._ends[position - 1] if position > 0 else self._before)
        del self._messages[self._position :], self._ends[self._position :]

    def _respond(self, receiver: Receiver[Call], number: int, error: object, result: object) -> None:
        call = self.calls.pop(number, None)
        if call is not None:
            receiver.on_response(call, error, result)
        elif number in self._forgotten:
            del self._forgotten[number]
        else:
            self.count_stray()

    def _request(self, receiver: Receiver[Call], number: int, method: object, params: object) -> None:
        name = _as_name(method)
        if number in self.serving:
            self.reject(f"msgid {number} was used again before its request was answered")
        elif name is None:
            reason = f"expected a method's name as text, got {_kind_of(method)}"
            receiver.on_bad_request(number, None, INVALID_REQUEST, reason)
        elif type(params) is not list:
            reason = f"expected an array of parameters, got {_kind_of(params)}"
            receiver.on_bad_request(number, name, INVALID_PARAMS, reason)
        else:
            receiver.on_request(number, name, params)

    def _notify(self, receiver: Receiver[Call], method: object, params: object) -> None:
        name = _as_name(method)
        if name is None or type(params) is not list:
            self.count_stray()
        else:
            receiver.on_notification(name, params)

    def count_stray(self) -> None:
        """Count a response that nobody waits for, or a notification that nobody knows; too many end it all."""
        self.stray += 1
        self.stray_lately += 1
        if self.stray_lately > self.limits.max_stray:
            self.reject(
                f"more than {self.limits.max_stray} responses and notifications that nobody waits for"
            )


def _as_name(method: object) -> str | None:
    """Return a method's name; pynvim sends it as binary."""
    if type(method) is str:
        return method
    try:
        return method.decode() if type(method) is bytes else None
    except UnicodeDecodeError:
        return None


def _kind_of(value: object) -> str:
    """Name what came in MessagePack's own words."""
    return _KINDS.get(type(value), "something else")
