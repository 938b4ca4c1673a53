"""`Extensions`: what evkit's peers understand beyond the protocol, in messages whose names begin with ``$/``.

The doer of the hello and of what was agreed on by it: metadata, cancelling, structured errors, streams. Without a
hello nothing is sent of all this, so that peers which know none of it never meet it; ``$/ping`` and ``$/methods`` are
requests as any other. It knows nothing of sockets.
"""

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from evkit.rpc.connection.call import Call
from evkit.rpc.connection.pending import Pending
from evkit.rpc.protocol.messages import NOTIFICATION, RESPONSE

if TYPE_CHECKING:
    from evkit.rpc.connection.connection import Connection
    from evkit.rpc.streams.messages import StreamMessages

HELLO: Final = "$/hello"
VERSION: Final = 1
META: Final = "meta"
CANCEL: Final = "cancel"
STREAM: Final = "stream"
PING: Final = "ping"
ERRORS: Final = "errors"
FEATURES: Final = (META, CANCEL, STREAM, PING, ERRORS)
"""What evkit knows."""
_HELLO_PARAMS: Final = 1
_META_PARAMS: Final = 2
_MOST_MILLISECONDS: Final = 2**53
_LEAST_MESSAGE: Final = 1024
"""Bytes of a message that any peer takes: an error's text is to fit."""
_AHEAD: Final = 64
"""Requests whose metadata may have come before they have: one, by the rules."""


class Extensions:
    """What lies beyond the protocol, on one connection.

    Args:
        connection: The connection.

    Attributes:
        notifications: What to call for a notification, by its name, with the parameters.
        requests: Likewise for a request; the answer is what it returns.
    """

    __slots__ = ("_connection", "_streams", "notifications", "requests")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._streams: StreamMessages | None = None
        self.requests: dict[str, Callable[[list[Any]], object]] = {
            HELLO: self._on_hello,
            "$/ping": lambda params: None,  # noqa: ARG005 - the table's contract
            "$/methods": lambda params: connection.service.describe(),  # noqa: ARG005 - as above
        }
        self.notifications: dict[str, Callable[[list[Any]], object]] = {
            "$/meta": self._on_metadata,
            "$/cancelRequest": self._on_cancel,
        }

    @property
    def streams(self) -> "StreamMessages":
        """The messages of streams; made when they are first needed."""
        if self._streams is None:
            from evkit.rpc.streams.messages import StreamMessages

            self._streams = StreamMessages(self._connection)
            self.notifications.update(self._streams.handlers)
        return self._streams

    def drained(self) -> None:
        """Hear that the peer has taken what it was sent."""
        if self._streams is not None:
            self._streams.flow()

    def peer_ended(self) -> None:
        """Hear that the peer says nothing any more."""
        if self._streams is not None:
            self._streams.peer_ended()

    def leave(self) -> None:
        """Hear that the connection has gone: what knows itself by its tables would be left to the collector."""
        self.requests.clear()
        self.notifications.clear()
        if self._streams is not None:
            self._streams.handlers.clear()

    # What comes in

    def on_request(self, number: int, name: str, params: list[Any]) -> bool:
        """Serve a request, if it is one of these; return whether it is."""
        serve = self.requests.get(name)
        if serve is None:
            return False
        self._connection.send(self._connection.session.pack((RESPONSE, number, None, serve(params))))
        return True

    def on_notification(self, name: str, params: list[Any]) -> bool:
        """Serve a notification, if it is one of these; return whether it is."""
        serve = self.notifications.get(name)
        if serve is None:
            return False
        serve(params)
        return True

    def _on_hello(self, params: list[Any]) -> dict[str, object]:
        offer = params[0] if len(params) == _HELLO_PARAMS else None
        self.agree(offer)
        features = [name for name in FEATURES if name in self._connection.features]
        return {"v": VERSION, "features": features, "max_message": self._connection.limits.max_message}

    def agree(self, offer: object) -> None:
        """Use what both sides know.

        Args:
            offer: What the peer has said of itself; what is of a wrong type in it is nothing.
        """
        if not isinstance(offer, dict):
            return
        names, most = offer.get("features"), offer.get("max_message")
        if isinstance(names, list):
            known = [name for name in names if isinstance(name, str)]
            self._connection.features = frozenset(FEATURES).intersection(known)
        if type(most) is int:
            self._connection.peer_max_message = max(most, _LEAST_MESSAGE)

    def _on_metadata(self, params: list[Any]) -> None:
        """Keep what goes with the request that is to follow."""
        number, metadata = params if len(params) == _META_PARAMS else (None, None)
        ahead = self._connection.metadata_ahead
        if type(number) is int and isinstance(metadata, dict) and len(ahead) < _AHEAD:
            ahead[number] = metadata
        else:
            self._connection.session.count_stray()

    def _on_cancel(self, params: list[Any]) -> None:
        if params and type(params[0]) is int:
            self._connection.cancel_served(params[0])

    def prepare(self, call: Call, metadata: dict[str, Any] | None) -> None:
        """Tell a call what came ahead of it."""
        if metadata is None:
            return
        call.metadata = metadata
        milliseconds: Any = metadata.get("deadline_ms")
        if type(milliseconds) in (int, float) and 0 <= milliseconds < _MOST_MILLISECONDS:
            call.limit(milliseconds / 1000)
        if "credit" in metadata or "items" in metadata:
            self.streams.prepare(call)

    def stream_out(self, call: Call, items: Generator[Any, None, Any]) -> None:
        """Answer with what a generator yields, one by one where the caller has asked for a stream, else as an array."""
        self.streams.of(call).feed(items)

    # What goes out

    def hello(self) -> dict[str, object]:
        """Return what to say of this side."""
        return {
            "v": VERSION,
            "features": list(FEATURES),
            "max_message": self._connection.limits.max_message,
        }

    def preface(self, pending: Pending) -> None:
        """Send what goes ahead of a call."""
        if META not in self._connection.features:
            return
        metadata = dict(pending.metadata or ())
        if pending.deadline:
            left = pending.deadline - self._connection.base.now()
            metadata["deadline_ms"] = max(0, round(left * 1000))
        if metadata:
            self._notify("$/meta", [pending.number, metadata])
        if "credit" in metadata and STREAM in self._connection.features:
            self.streams.begin(pending)

    def cancel(self, number: int) -> None:
        """Tell the peer that a call was given up."""
        if CANCEL in self._connection.features:
            self._notify("$/cancelRequest", [number])

    def _notify(self, name: str, params: list[Any]) -> None:
        self._connection.send(self._connection.session.pack((NOTIFICATION, name, params)))
