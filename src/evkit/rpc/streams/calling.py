"""`StreamPending`: a call whose answer comes as items, or that sends items of its own.

The caller's end of a stream: it decides what the call says of itself, and when its items begin and end. Who gets the
items is `Stream`'s business, when they may go `Sink`'s.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from evkit.core.future import Future
from evkit.rpc.connection.pending import FuturePending, Pending, Timeout
from evkit.rpc.errors import RPCError
from evkit.rpc.protocol.codec import make_packer
from evkit.rpc.streams.credit import Credit, Window
from evkit.rpc.streams.sink import Feeder, Sink
from evkit.rpc.streams.stream import Stream

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.rpc.streams.messages import StreamMessages


class StreamPending(FuturePending):
    """One call with items.

    Args:
        base: The event base.
        method: The name of the method.
        timeout: Seconds until the call is over, items and all; see `DEFAULT`.
        metadata: What goes beside it.
        window: How many items may wait here to be taken.
        items: What to send: an iterable, or ``True`` for what the program sends by ``stream.sink``; ``None``: nothing.

    Attributes:
        stream: The items that come.
    """

    __slots__ = ("_base", "_encode", "_feeder", "_messages", "stream")

    def __init__(
        self,
        base: "EventBase",
        method: str,
        timeout: Timeout,
        metadata: dict[str, Any] | None,
        window: int,
        items: Iterable[Any] | bool | None,
    ) -> None:
        slots = Window(window)
        said = {"credit": window} if items is None else {"credit": window, "items": True}
        super().__init__(base, method, timeout, metadata)
        self.metadata = {**(metadata or {}), **said}
        self.done = _on_over
        self._base = base
        self._messages: StreamMessages | None = None
        self._feeder: Feeder | None = None
        self.stream: Stream[Any] = Stream(base, self.future, self._grant, slots)
        if items is not None:
            self._send_items(items)

    def _send_items(self, items: Iterable[Any] | bool) -> None:
        self._encode = make_packer()
        sink: Sink[Any] = Sink(Credit(), self._pack, self._put, self._room, self._end)
        self.stream.sink = sink
        if not isinstance(items, bool):
            self._feeder = Feeder(self._base, sink, iter(items), self._on_fed)

    # On the connection

    def begun(self, messages: "StreamMessages") -> None:
        """Hear that it is about to be sent, to a peer that knows streams."""
        self._messages = messages
        messages.calls[self.number] = self

    def _grant(self, number: int) -> None:
        if self._messages is not None:
            self._messages.tell("$/credit", self.number, number)

    def _pack(self, item: Any) -> bytes:
        return self._encode(item) if self._messages is None else self._messages.pack_item(item)

    def _put(self, data: bytes) -> None:
        if self._messages is None:
            return
        try:
            self._messages.check_item(data)  # it may have been sent before it was known what the peer takes
        except ValueError as error:
            self._on_fed(None, error)
        else:
            self._messages.send_item("$/put", self.number, data)

    def _room(self) -> bool:
        return self._messages is not None and self._messages.room()

    def _end(self) -> None:
        if self._messages is not None:
            self._messages.tell("$/end", self.number)

    def _on_fed(self, value: Any, exception: BaseException | None) -> None:  # noqa: ARG002 - of a generator, and for nobody
        sink = self.stream.sink
        if exception is None and sink is not None:
            sink.end()
        elif exception is not None:
            self.cancel()
            self._leave()
            if not self.future.done():
                self.future.set_exception(exception)

    # The end

    def _on_cancel(self, future: Future[Any]) -> None:
        super()._on_cancel(future)
        self._leave()

    def settle(self) -> None:
        """Hear that the call is over."""
        messages = self._messages
        self._leave()
        if self.error is not None:
            self.future.set_exception(self.error)
        elif messages is not None:
            self.future.set_result(self.value)
        else:
            self._settle_without_streams()

    def _settle_without_streams(self) -> None:
        """Take what a peer has answered that knows no streams: all items in one array."""
        if self.stream.sink is not None:
            self.future.set_exception(
                RPCError(f"{self.method}: the peer knows no streams, and has got no items")
            )
        elif isinstance(self.value, list):
            self.stream.collected(self.value)
            self.future.set_result(None)
        else:
            self.future.set_result(self.value)

    def _leave(self) -> None:
        messages, self._messages = self._messages, None
        if messages is not None:
            messages.calls.pop(self.number, None)
        if self._feeder is not None:
            self._feeder.close()
        if self.stream.sink is not None:
            self.stream.sink.leave()


def _on_over(pending: Pending) -> None:
    assert isinstance(pending, StreamPending)
    pending.settle()
