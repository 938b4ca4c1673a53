"""A connection in memory to try code on that takes a `BufferEvent`: the test is the other end, and moves the time.

It decides how a test talks to that code: say something, let all run that follows, look at what came back. Nothing
waits, and there is no descriptor. It knows nothing of what is said.
"""

from types import TracebackType
from typing import Self

from evkit.core.bufferevent.common import BufferEvent
from evkit.core.bufferevent.pair import PairBufferEvent
from evkit.core.flags import BEV_EVENT_READING, EV_READ
from evkit.testing.backend import FakeBase, base_with_fakes


class MemoryPair:
    r"""Two connected ends: `near` is for the code under test, the test is the far one.

    ::

        with MemoryPair() as pair:
            serve(pair.near)
            assert pair.feed(b"PING\r\n") == b"PONG\r\n"
            pair.run(30)
            assert pair.near.closed

    As a context manager it closes both ends, and the event base if it has made that.

    Args:
        fakes: The base to run on, which stays open; ``None``: one of its own. That one keeps what escapes from a
            callback, and `feed`, `end`, `run` and `close` raise the first of it: a failed assertion fails the test.

    Attributes:
        near: The end for the code under test.
        fakes: The base, with its backend and its clock.
        ended: Whether the near end has ended its stream, by closing or by ``shutdown_write``.
    """

    __slots__ = ("_escaped", "_far", "_owns_base", "ended", "fakes", "near")

    def __init__(self, fakes: FakeBase | None = None) -> None:
        self._owns_base = fakes is None
        self._escaped: list[BaseException] = []
        self.fakes = fakes or base_with_fakes()
        if self._owns_base:
            self.fakes.base.exception_handler = self._on_escaped
        self.ended = False
        near, self._far = PairBufferEvent.pair(self.fakes.base)
        self.near: BufferEvent = near
        self._far.set_callbacks(event=self._on_event)
        self._far.enable(EV_READ)

    def __repr__(self) -> str:
        return f"<MemoryPair {'ended ' if self.ended else ''}near={self.near!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except Exception:
            if exception is None:  # else the test has failed already, and its own words come first
                raise

    def feed(self, *pieces: bytes) -> bytes:
        """Send to the near end, each piece in a turn of its own, and let all run that follows.

        What that end does not read waits; what is sent to one that is closed is lost, as on a socket.

        Args:
            pieces: Such as ``*chunks(data, 1)``, for code that must not care where its input is cut.

        Returns:
            What came back.
        """
        for piece in pieces:
            self._far.write(piece)
            self._turn(0.0)
        return self._far.read()

    def end(self) -> bytes:
        """End the stream to the near end, which may go on writing; return what came back."""
        self._far.shutdown_write()
        return self.run()

    def run(self, seconds: float = 0.0) -> bytes:
        """Run all that is due, and what falls due in the next ``seconds``, each at its time; see `FakeBase.run`.

        Returns:
            What came back.
        """
        self._turn(seconds)
        return self._far.read()

    def close(self) -> None:
        """Close both ends, and the base if it is the pair's own. Harmless when done before."""
        self.near.close()
        self._far.close()
        if self._owns_base:
            self.fakes.base.close()
        self._raise_escaped()

    def _turn(self, seconds: float) -> None:
        self.fakes.run(seconds)
        self._raise_escaped()

    def _raise_escaped(self) -> None:
        if self._escaped:
            raise self._escaped.pop(0)

    def _on_event(self, bev: BufferEvent, what: int) -> None:  # noqa: ARG002 - a callback
        if what & BEV_EVENT_READING:
            self.ended = True

    def _on_escaped(self, exception: BaseException, source: object) -> None:  # noqa: ARG002 - a callback
        self._escaped.append(exception)
