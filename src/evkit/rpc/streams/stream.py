"""`Stream`: the receiving end of items that a peer sends one by one.

It decides who gets an item (a loop, a task, another thread, a callback), what the end looks like, and when the peer may
send more. It knows nothing of connections and messages: `arrived` brings items, a future the end.
"""

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from evkit.core.event import check_callback
from evkit.core.future import Future
from evkit.errors import LoopError
from evkit.rpc.streams.credit import Window
from evkit.rpc.streams.sink import Sink

if TYPE_CHECKING:
    from evkit.core.base import EventBase

T = TypeVar("T")

_OVER: Final = object()
"""What another thread gets in place of an item, when there is none any more."""
_INSIDE: Final = (
    "the next item of {!r} was asked for inside the loop that is to bring it: use set_callbacks(), or loop over it by "
    "async for in a task, or in another thread"
)


class Stream(Generic[T]):
    """Items that come one by one, and never more than there is room for.

    ::

        for line in client.stream("tail", "log"):     # runs the base while it waits; another thread just waits
        async for line in client.stream("tail", "log"):
        client.stream("tail", "log").set_callbacks(item=on_line, end=on_end)

    A loop over it ends when the peer has sent all, and raises what `result` would, if it ended otherwise: a
    `RemoteCallError`, `CallLost`, ``asyncio.CancelledError``. Who leaves a loop early, cancels: ``with stream:`` does
    that.

    Attributes:
        result: The future of the end: of the answer to the call, which comes after all items; of ``None``, where a
            caller sends the items.
        sink: What items of one's own are sent by; ``None``: there are none.

    Args:
        base: The loop that brings the items.
        result: As above; to cancel it stops the work.
        grant: ``grant(number)`` lets the peer send so many more.
        window: How many items wait at most.
    """

    __slots__ = (
        "_base",
        "_draining",
        "_end",
        "_grant",
        "_item",
        "_items",
        "_waiters",
        "_window",
        "result",
        "sink",
    )

    def __init__(
        self, base: "EventBase", result: Future[Any], grant: Callable[[int], object], window: Window
    ) -> None:
        self._base = base
        self._grant = grant
        self._window = window
        self._items: deque[T] = deque()
        self._waiters: list[Future[None]] = []
        self._item: Callable[[Stream[T], T], object] | None = None
        self._end: Callable[[Stream[T]], object] | None = None
        self._draining = False
        self.sink: Sink[Any] | None = None
        self.result = result
        result.add_done_callback(self._on_done)

    def __repr__(self) -> str:
        state = "ended" if self.result.done() else "open"
        return f"<Stream {state} waiting={len(self._items)} window={self._window.size}>"

    def __len__(self) -> int:
        """How many items have come and were not taken."""
        return len(self._items)

    def __bool__(self) -> bool:
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._base.in_thread():
            self.cancel()
        else:
            self._base.call_soon_threadsafe(self.cancel)

    def cancel(self) -> bool:
        """Want no more: what waits is dropped, and the peer is told to stop. Harmless after the end.

        Returns:
            Whether there was anything to stop.
        """
        self._items.clear()
        return self.result.cancel()

    # For callbacks

    def set_callbacks(
        self,
        item: "Callable[[Stream[T], T], object] | None" = None,
        end: "Callable[[Stream[T]], object] | None" = None,
    ) -> None:
        """Have items brought; without ``item`` they wait, and once there is no more room, so does the peer.

        Args:
            item: ``item(stream, value)``, once for each in order. What escapes from it goes to the base's
                exception handler and cancels the stream.
            end: ``end(stream)``, once, after the last item: `result` is done then.

        What waits already is brought soon, from the loop, and not from inside this call.

        Raises:
            TypeError: One can't be called.
        """
        for callback in (item, end):
            if callback is not None:
                check_callback(callback)
        self._item = item
        self._end = end
        if self._items or self.result.done():
            self._base.call_soon(self._drain)

    # For loops

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            if not self._base.in_thread():
                return self._next_elsewhere()
            while not self._items:
                if self.result.done():
                    raise StopIteration(self.result.result())
                self._wait_here()
            return self._take()
        finally:
            del self  # the traceback holds this frame, which must not hold the exception

    def _wait_here(self) -> None:
        """Run the loop until it is worth while to look again."""
        if self._base.looping:
            raise LoopError(_INSIDE.format(self))
        waiter = self._wait()
        try:
            waiter.result()
        finally:
            self._leave(waiter)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            while not self._items:
                if self.result.done():
                    self.result.result()  # raises what went wrong
                    raise StopAsyncIteration
                waiter = self._wait()
                try:
                    await waiter
                finally:
                    self._leave(waiter)
            return self._take()
        finally:
            del self  # as above

    def _next_elsewhere(self) -> T:
        future: Future[Any] = Future(self._base)
        self._base.call_soon_threadsafe(self._hand, future)
        try:
            item = self._wait_elsewhere(future)
            if item is _OVER:
                raise StopIteration(self.result.result())
            value: T = item
            return value
        finally:
            del self  # as above

    def _wait_elsewhere(self, future: Future[Any]) -> Any:
        try:
            return future.result()
        except BaseException:  # Ctrl-C
            self._base.call_soon_threadsafe(future.cancel)
            raise

    def _hand(self, future: Future[Any]) -> None:
        """Give a thread that waits the next item, when there is one."""
        if future.done():
            return
        if self._items:
            future.set_result(self._take())
        elif self.result.done():
            future.set_result(_OVER)
        else:
            self._wait().add_done_callback(lambda _: self._hand(future))

    def _wait(self) -> Future[None]:
        waiter: Future[None] = Future(self._base)
        self._waiters.append(waiter)
        return waiter

    def _leave(self, waiter: Future[None]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    # What comes

    def arrived(self, item: T) -> None:
        """Take an item of the peer's.

        Raises:
            RemoteProtocolError: The peer had no credit for it.
        """
        self._window.arrived()
        self._items.append(item)
        if self._item is None:
            self._wake()
        else:
            self._drain()

    def collected(self, items: list[T]) -> None:
        """Take all items at once, from a peer that knows no streams; they are there already, whatever the window."""
        self._window = Window(max(len(items), 1))
        for item in items:
            self.arrived(item)

    def _on_done(self, result: Future[Any]) -> None:
        self._grant = _nobody  # whoever has the stream is not held by it any more
        if result.cancelled():
            self._items.clear()
        self._wake()
        self._drain()

    def _wake(self) -> None:
        """Let all who wait look again; those who find nothing wait anew."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set_result(None)

    def _take(self) -> T:
        item = self._items.popleft()
        credit = self._window.consumed()
        if not self.result.done():
            if credit:
                self._grant(credit)
        elif not self._items:
            self._base.call_soon(self._drain)  # a loop took the last one, and somebody else hears of the end
        return item

    def _drain(self) -> None:
        """Bring the callbacks what waits for them."""
        if self._draining:
            return  # a callback has made something happen that brings items; the loop below will bring them
        self._draining = True
        try:
            while self._items and self._item is not None:
                callback = self._item
                callback(self, self._take())
            if self._end is not None and self.result.done() and not self._items:
                end, self._end = self._end, None
                end(self)
        except Exception as exception:
            self._base.escaped(exception, self)
            self.cancel()
        finally:
            self._draining = False


def _nobody(number: int) -> None:
    """Stand in for whoever let the peer send more."""
