"""`StreamMessages`: the messages that streams are made of, on one connection.

It decides which stream a message is for, and what becomes of those for none. The two id spaces are separate, and an id
does not say whose it is: so items have one name on the way from who was called, and another on the way from who calls.

    from the caller                    from who is called
    ``$/meta`` [id, {credit, items}]
    ``$/credit`` [id, n]               ``$/next`` [id, item]
    ``$/put`` [id, item]               ``$/grant`` [id, n]
    ``$/end`` [id]
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from evkit.errors import RemoteProtocolError
from evkit.rpc.connection.pending import Pending
from evkit.rpc.protocol.messages import NOTIFICATION
from evkit.rpc.streams.calling import StreamPending
from evkit.rpc.streams.serving import ServedStream

if TYPE_CHECKING:
    from evkit.rpc.connection.call import Call
    from evkit.rpc.connection.connection import Connection

_FLUSH: Final = 65536
"""Bytes of items after which it is looked whether the peer takes them."""
_PAIR: Final = 2
_ARRAY_OF_3: Final = b"\x93"
_ARRAY_OF_2: Final = b"\x92"
_AROUND: Final = 15
"""Bytes of a message around an item, at most."""


class StreamMessages:
    """What a connection says and hears of streams.

    Args:
        connection: The connection.

    Attributes:
        calls: Calls of this side that have a stream, by their numbers.
        handlers: What to call for a notification, by its name, with the parameters.
        pack: Encodes an item.
        max_message: Bytes of what may be sent in one message to a peer that knows no streams.
    """

    __slots__ = ("_connection", "_fresh", "_full", "calls", "handlers", "max_message", "pack")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._fresh = 0  # bytes of items since it was last looked whether the peer takes them
        self._full = False  # the peer does not take them
        self.calls: dict[int, StreamPending] = {}
        self.pack: Callable[[Any], bytes] = connection.session.pack
        self.max_message = connection.limits.max_message
        self.handlers: dict[str, Callable[[list[Any]], object]] = {
            "$/next": self._on_next,
            "$/credit": self._on_credit,
            "$/put": self._on_put,
            "$/grant": self._on_grant,
            "$/end": self._on_end,
        }

    # What comes in

    def _on_next(self, params: list[Any]) -> None:
        if not self._is_pair(params):
            return
        number, item = params
        pending = self.calls.get(number)
        if pending is not None:
            self._obey(pending.stream.arrived, item)
        elif not self._connection.session.was_forgotten(number):
            self._connection.session.count_stray()

    def _on_credit(self, params: list[Any]) -> None:
        if self._is_pair(params):
            served = self._served(params[0])
            if served is not None:
                self._obey(served.output.granted, params[1])

    def _on_put(self, params: list[Any]) -> None:
        if self._is_pair(params):
            served = self._served(params[0])
            if served is not None:
                self._obey(served.arrived, params[1])

    def _on_grant(self, params: list[Any]) -> None:
        if self._is_pair(params):
            pending = self.calls.get(params[0])
            if pending is not None and pending.stream.sink is not None:
                self._obey(pending.stream.sink.granted, params[1])

    def _on_end(self, params: list[Any]) -> None:
        served = self._served(params[0]) if params and type(params[0]) is int else None
        if served is not None:
            served.ended()

    def _served(self, number: int) -> ServedStream | None:
        """Find what a caller speaks of. It may be over here, which the caller can't know of in time: no stray."""
        call = self._connection.session.serving.get(number)
        served: ServedStream | None = None if call is None else call.stream
        return served

    def _is_pair(self, params: list[Any]) -> bool:
        """Return whether it is an id and something; count what is not."""
        if len(params) == _PAIR and type(params[0]) is int:
            return True
        self._connection.session.count_stray()
        return False

    def _obey(self, what: Callable[[Any], object], value: Any) -> None:
        """Do what the peer asks for; end the connection, if it asks for more than it may."""
        try:
            what(value)
        except RemoteProtocolError as error:
            self._connection.session.reject(str(error))

    # What is called

    def begin(self, pending: Pending) -> None:
        """Enter a call that is about to be sent, if it has a stream."""
        if isinstance(pending, StreamPending):
            pending.begun(self)

    # What is served

    def prepare(self, call: "Call") -> None:
        """Make the stream of a request whose caller has said that it has one."""

        def make(_: object) -> None:
            call.stream = ServedStream(call, self)

        self._obey(make, None)

    def of(self, call: "Call") -> ServedStream:
        """Return the stream of a request; it is made, if its caller has said nothing of one, or if the call is over."""
        served: ServedStream = call.stream or ServedStream(call, self)
        if call.answered:
            served.leave()
        else:
            call.stream = served
        return served

    # What goes out

    def tell(self, name: str, *params: Any) -> None:
        """Send a notification."""
        if not self._connection.closed:
            self._connection.send(self.pack((NOTIFICATION, name, params)))

    def pack_item(self, item: Any) -> bytes:
        """Encode an item.

        Raises:
            TypeError, ValueError, OverflowError: It can't be encoded, or the peer does not take so large a message.
        """
        data = self.pack(item)
        self.check_item(data)
        return data

    def check_item(self, data: bytes) -> None:
        """Check that the peer takes an item that is encoded.

        Raises:
            ValueError: It does not.
        """
        self._connection.check_fits(data, _AROUND)

    def send_item(self, name: str, number: int, data: bytes) -> None:
        """Send an item that is encoded already."""
        connection = self._connection
        if connection.closed:
            return
        pack = self.pack
        head = b"".join((_ARRAY_OF_3, pack(NOTIFICATION), pack(name), _ARRAY_OF_2, pack(number)))
        connection.send(head + data)
        self._fresh += len(data)
        if self._fresh >= _FLUSH:
            self._look_for_room()

    def _look_for_room(self) -> None:
        connection = self._connection
        self._fresh = 0
        connection.flush_output()
        if connection.bev.output.length > connection.limits.high and not self._full:
            self._full = True
            connection.await_drained()

    def room(self) -> bool:
        """Return whether the peer takes what it is sent."""
        return not self._full

    def peer_ended(self) -> None:
        """Hear that the peer says nothing any more."""
        for call in tuple(self._connection.session.serving.values()):
            if call.stream is not None:
                call.stream.peer_ended()

    def flow(self) -> None:
        """Go on: the peer has taken what it was sent."""
        self._full = False
        for pending in tuple(self.calls.values()):
            if pending.stream.sink is not None:
                pending.stream.sink.flow()
        for call in tuple(self._connection.session.serving.values()):
            if call.stream is not None:
                call.stream.output.flow()
