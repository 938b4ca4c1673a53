"""`Sink`: the sending end of items that go to a peer one by one, as fast as it takes them.

It decides when an item goes, when it waits, and when no more may wait. It knows nothing of connections: it is told how
an item is encoded, where bytes go, and whether there is room for them.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from evkit.core.future import Future
from evkit.errors import LocalProtocolError
from evkit.rpc.errors import Overloaded
from evkit.rpc.streams.credit import Credit

if TYPE_CHECKING:
    from evkit.core.base import EventBase

T = TypeVar("T")

MAX_WAITING: Final = 1000
"""Items that wait for credit at most; who sends regardless of what `Sink.send` returns has an error from there on."""
_TURN: Final = 100
"""Items that an iterator is asked for in a row: an endless one must not keep the loop."""


class Sink(Generic[T]):
    """What items are sent by.

    Attributes:
        on_ready: Called as ``on_ready()`` when `ready` may have become true: the time to send more.
        ended: Whether `end` was called.
        gone: Whether nobody takes any more: the peer has cancelled, or the connection has ended. What is sent is
            dropped.

    Args:
        credit: What the peer takes at once.
        pack: ``pack(item)`` encodes one.
        write: ``write(data)`` sends it.
        room: ``room()`` tells whether what was written before has left so far that more may be written.
        finish: ``finish()`` tells the peer, or whoever does, that this was all.
    """

    __slots__ = (
        "_credit",
        "_finish",
        "_pack",
        "_room",
        "_starved",
        "_waiters",
        "_waiting",
        "_write",
        "ended",
        "gone",
        "on_ready",
    )

    def __init__(
        self,
        credit: Credit,
        pack: Callable[[T], bytes],
        write: Callable[[bytes], object],
        room: Callable[[], bool],
        finish: Callable[[], object],
    ) -> None:
        self._credit = credit
        self._pack = pack
        self._write = write
        self._room = room
        self._finish = finish
        self._waiting: deque[bytes] = deque()
        self._waiters: list[Future[bool]] = []
        self._starved: Callable[[], object] | None = None
        self.on_ready: Callable[[], object] | None = None
        self.ended = False
        self.gone = False

    def __repr__(self) -> str:
        state = "gone" if self.gone else "ended" if self.ended else "open"
        return f"<Sink {state} credit={self._credit.available} waiting={len(self._waiting)}>"

    @property
    def ready(self) -> bool:
        """Whether to send more now: no item waits for credit. One is asked for before there is any for it, so that the
        end is seen with the last item, and not with the next credit.
        """
        return not self.ended and not self._waiting and self._room()

    def send(self, item: T) -> bool:
        """Send an item, after those that wait.

        Returns:
            Whether to send more now. If not, go on when ``on_ready`` is called; up to 1,000 items wait meanwhile.

        Raises:
            LocalProtocolError: `end` was called.
            Overloaded: Too many wait already.
            TypeError, ValueError, OverflowError: The item can't be encoded.
        """
        if self.gone:
            return False
        if self.ended:
            raise LocalProtocolError(f"no item can be sent after the end: {self!r}")
        data = self._pack(item)
        if self._waiting or not self._room() or not self._credit.take():
            if len(self._waiting) >= MAX_WAITING:
                raise Overloaded(f"{MAX_WAITING} items wait for the peer to take them, as many as may")
            self._waiting.append(data)
            self._look_whether_starved()
        else:
            self._write(data)
        return self.ready

    def end(self) -> None:
        """That was all; the peer hears it after the items that wait.

        Raises:
            LocalProtocolError: It was ended before.
        """
        if self.gone:
            return
        if self.ended:
            raise LocalProtocolError(f"it has ended already: {self!r}")
        self.ended = True
        if not self._waiting:
            self._finish()

    def wait(self, future: Future[bool]) -> None:
        """Have ``future`` done when more may be sent: with ``True``; with ``False``, if nobody takes any more."""
        if self.gone or self.ready:
            future.set_result(not self.gone)
        else:
            self._waiters.append(future)

    # For the connection

    def granted(self, number: object) -> None:
        """Take credit from the peer.

        Raises:
            RemoteProtocolError: As `Credit.grant`.
        """
        self._credit.grant(number)
        self.flow()

    def flow(self) -> None:
        """Go on: there is credit, or room."""
        waiting = self._waiting
        while waiting and self._room() and self._credit.take():
            self._write(waiting.popleft())
            if self.ended and not waiting:
                self._finish()
                return
        if self.ready:
            self._let_go_on()

    def dry_up(self, starved: Callable[[], object]) -> None:
        """Hear that no more credit comes; have ``starved()`` called when an item waits for some."""
        self._starved = starved
        self._look_whether_starved()

    def _look_whether_starved(self) -> None:
        if self._starved is not None and self._waiting and self._credit.available == 0:
            starved, self._starved = self._starved, None
            starved()

    def _let_go_on(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set_result(not self.gone)
        if self.on_ready is not None:
            self.on_ready()

    def leave(self) -> None:
        """Nobody takes any more."""
        self.gone = self.ended = True
        self._waiting.clear()
        self.on_ready = self._starved = None
        self._pack = self._write = self._finish = self._room = (
            _nothing  # whoever has the sink is not held by it any more
        )
        self._let_go_on()


class Outlet(Protocol):
    """What a `Feeder` sends by: a `Sink`, or what stands in for one."""

    on_ready: Callable[[], object] | None

    @property
    def ready(self) -> bool:
        """Whether to send more now."""

    def send(self, item: Any) -> bool:
        """Send an item."""


class Feeder:
    """Sends what an iterator yields, as fast as it is taken.

    Args:
        base: The loop; an iterator that yields a lot has a turn again after the others.
        sink: Where the items go.
        items: What is sent; it is closed, if it can be, when nobody takes any more.
        done: ``done(value, None)`` hears what a generator has returned, once all is sent; ``done(None, exception)``
            what it has raised, or what was wrong with an item.
    """

    __slots__ = ("_base", "_closed", "_done", "_items", "_running", "_sink")

    def __init__(
        self,
        base: "EventBase",
        sink: Outlet,
        items: Iterator[Any],
        done: Callable[[Any, BaseException | None], object],
    ) -> None:
        self._base = base
        self._sink = sink
        self._items = items
        self._done = done
        self._running = False
        self._closed = False
        sink.on_ready = self.run

    def run(self) -> None:
        """Send as many as may go now, but no more than a hundred before others have their turn."""
        if self._running or self._closed:
            return
        self._running = True
        try:
            for _ in range(_TURN):
                if not self._may_go():
                    return
                self._sink.send(next(self._items))
            self._base.call_soon(self.run)
        except StopIteration as stop:
            self._finish(stop.value, None)
        except KeyboardInterrupt:
            self._closed = True
            raise
        except BaseException as exception:  # SystemExit, too: an iterator must not end the program
            self._finish(None, exception)
        finally:
            self._running = False
            self._tidy_up()

    def close(self) -> None:
        """Send nothing more; a generator gets a chance to tidy up."""
        self._closed = True
        self._done = _nothing  # as above
        self._tidy_up()

    def _may_go(self) -> bool:
        return self._sink.ready and not self._closed

    def _finish(self, value: Any, exception: BaseException | None) -> None:
        if not self._closed:
            self._closed = True
            self._done(value, exception)

    def _tidy_up(self) -> None:
        """Close the iterator, if it is over: not while it runs, which it may do when it is told to end."""
        close = getattr(self._items, "close", None)
        if self._running or not self._closed or close is None:
            return
        try:
            close()
        except Exception as exception:
            self._base.escaped(exception, self._items)


def _nothing(*_: object) -> Any:
    """Stand in for those who are not there any more."""
