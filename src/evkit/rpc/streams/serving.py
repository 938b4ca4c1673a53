"""`ServedStream`: a request that is answered by items, or that brings items of its own.

The callee's end of a stream: it decides where a handler's items go, with a caller that knows streams and with one that
does not, and that the answer comes after them.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from evkit.core.future import Future
from evkit.errors import LocalProtocolError, RemoteProtocolError
from evkit.rpc.errors import MethodError, Overloaded
from evkit.rpc.streams.credit import Credit, Window
from evkit.rpc.streams.sink import Feeder, Sink
from evkit.rpc.streams.stream import Stream

if TYPE_CHECKING:
    from evkit.rpc.connection.call import Call
    from evkit.rpc.streams.messages import StreamMessages

Answer = Callable[["Call", Any], object]

_STARVED: Final = "the caller has ended its side, and let too few items be sent"


def send_item(call: "Call", item: Any) -> bool:
    """Send an item of an answer; see `Call.send`."""
    base = call.connection.base
    if base.in_thread():
        return _served(call).output.send(item)
    future: Future[bool] = Future(base)
    base.call_soon_threadsafe(_send_for, future, call, item)
    return future.result()


def _send_for(future: Future[bool], call: "Call", item: Any) -> None:
    """Send for another thread, which waits until it may send the next."""
    try:
        output = _served(call).output
        output.send(item)
    except Exception as exception:
        future.set_exception(exception)
    else:
        output.wait(future)


def items_of(call: "Call") -> Stream[Any]:
    """Return the items that a caller sends; see `Call.items`."""
    base = call.connection.base
    if base.in_thread():
        return _served(call).input
    future: Future[Stream[Any]] = Future(base)
    base.call_soon_threadsafe(lambda: future.set_result(_served(call).input))
    return future.result()


def _served(call: "Call") -> "ServedStream":
    served: ServedStream = call.connection.extensions.streams.of(call)
    return served


class Collector:
    """Stands in for a `Sink` where the caller knows no streams: it gets all items at once, as the result.

    Attributes:
        items: So far.
        used: Whether there are items, if only none so far.
        ready: Always true, as that of a sink that nothing stops.

    Args:
        pack: ``pack(item)`` encodes one; for its size.
        most: Bytes of all items together.
    """

    __slots__ = ("_left", "_pack", "items", "on_ready", "ready", "used")

    def __init__(self, pack: Callable[[Any], bytes], most: int) -> None:
        self._pack = pack
        self._left = most
        self.items: list[Any] = []
        self.used = False
        self.ready = True
        self.on_ready: Callable[[], object] | None = None

    def send(self, item: Any) -> bool:
        """Keep an item.

        Raises:
            Overloaded: All together would be too much for one message.
            TypeError, ValueError, OverflowError: The item can't be encoded.
        """
        self.used = True
        self._left -= len(self._pack(item))
        if self._left < 0:
            raise Overloaded("the items are too much for one message, and the caller knows no streams")
        self.items.append(item)
        return True

    def wait(self, future: Future[bool]) -> None:
        """See `Sink.wait`."""
        future.set_result(True)

    def granted(self, number: object) -> None:
        """See `Sink.granted`; nobody asked for items."""

    def flow(self) -> None:
        """See `Sink.flow`."""

    def leave(self) -> None:
        """See `Sink.leave`."""
        self.items = []
        self.on_ready = None


class ServedStream:
    """The items of one call, both ways.

    Args:
        call: What is being served.
        messages: What its connection says of streams.

    Attributes:
        output: Where the handler's items go.

    Raises:
        RemoteProtocolError: The caller grants what is no credit.
    """

    __slots__ = ("_answer", "_call", "_feeder", "_input", "_items_end", "_messages", "output")

    def __init__(self, call: "Call", messages: "StreamMessages") -> None:
        self._call = call
        self._messages = messages
        self._answer: Callable[[], object] | None = None
        self._feeder: Feeder | None = None
        self._input: Stream[Any] | None = None
        self._items_end = call.metadata.get("items") is not True or call.number is None  # none are to come
        self.output: Sink[Any] | Collector = self._make_output(call.metadata.get("credit"))

    def _make_output(self, credit: object) -> Sink[Any] | Collector:
        messages, number = self._messages, self._call.number
        if credit is None or number is None:
            return Collector(messages.pack, messages.max_message)
        write = partial(messages.send_item, "$/next", number)
        return Sink(Credit(credit), messages.pack_item, write, messages.room, self._finish)

    # Out

    def feed(self, items: Iterator[Any]) -> None:
        """Send what a generator yields; what it returns is the answer, and what it raises an error."""
        if isinstance(self.output, Collector):
            self.output.used = True
        self._feeder = Feeder(self._call.connection.base, self.output, items, self._on_fed)
        self._feeder.run()

    def _on_fed(self, value: Any, exception: BaseException | None) -> None:
        call = self._call
        if exception is None:
            call.reply(value)
            return
        if not isinstance(exception, MethodError):
            call.connection.base.escaped(exception, call.method.function)
        call.fail(exception)

    def settle(self, answer: Answer, what: Any) -> None:
        """Answer after the items that wait.

        Raises:
            LocalProtocolError: There is an answer already, which waits.
        """
        output = self.output
        if isinstance(output, Collector):
            collected = output.used and answer == self._call.connection.answer
            answer(self._call, output.items if collected else what)
        elif output.ended:
            raise LocalProtocolError(f"a request takes one answer, and no other after it: {self._call!r}")
        else:
            self._answer = partial(answer, self._call, what)
            output.end()

    def _finish(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer()

    # In

    @property
    def input(self) -> Stream[Any]:
        """The caller's items; it may send them from now on."""
        if self._input is None:
            call = self._call
            result: Future[None] = Future(call.connection.base)
            window = Window()
            self._input = Stream(call.connection.base, result, self._grant, window)
            if self._items_end or call.answered:
                result.set_result(None)
            else:
                self._grant(window.size)
        return self._input

    def _grant(self, number: int) -> None:
        if self._call.number is not None:
            self._messages.tell("$/grant", self._call.number, number)

    def arrived(self, item: Any) -> None:
        """Take an item of the caller's.

        Raises:
            RemoteProtocolError: It had no credit for it.
        """
        if self._input is None:
            raise RemoteProtocolError("an item without credit: nobody has asked for any yet")
        result = self._input.result
        if not result.done():
            self._input.arrived(item)
        elif not result.cancelled():  # else the caller can't know yet that nobody wants them
            raise RemoteProtocolError("an item after the end")

    def ended(self) -> None:
        """Hear that the caller has sent all."""
        self._items_end = True
        if self._input is not None and not self._input.result.done():
            self._input.result.set_result(None)

    # The end

    def peer_ended(self) -> None:
        """Hear that the caller says nothing any more: neither credit nor items come."""
        if not self._items_end and self._input is not None:
            self._input.result.cancel()
        self._items_end = True
        if isinstance(self.output, Sink):
            self.output.dry_up(self._starve)

    def _starve(self) -> None:
        """Give it up, from the loop: this may be inside a `Call.send`."""
        connection, number = self._call.connection, self._call.number
        if number is not None:
            connection.base.call_soon(connection.cancel_served, number, _STARVED)

    def leave(self) -> None:
        """Hear that the call is over."""
        self._answer = None
        self.output.leave()
        if self._feeder is not None:
            self._feeder.close()
        if self._input is not None:
            self._input.result.cancel()
