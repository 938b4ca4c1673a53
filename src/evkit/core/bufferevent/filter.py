"""`FilterBufferEvent`: what a connection reads and writes goes through two functions of the user.

It decides nothing but how those are called; when they are called is `LayeredBufferEvent`'s business.
"""

from collections.abc import Callable

from evkit.core.buffer import Buffer
from evkit.core.bufferevent.common import BufferEvent
from evkit.core.bufferevent.layered import LayeredBufferEvent
from evkit.core.flags import BEV_ERROR, BEV_NEED_MORE, BEV_OK
from evkit.errors import During, TransportError

Filter = Callable[[Buffer, Buffer, int, int], int]
"""``filter(source, sink, limit, mode)``: take from ``source`` and add to ``sink``.

``limit`` is the room in the sink, in bytes. A filter that stops there leaves the rest in ``source``, or keeps it: it is
called again when there is room, with an empty source if need be. Without a limit it is huge.

``mode`` is ``BEV_NORMAL``, ``BEV_FLUSH`` (give out what you keep) or ``BEV_FINISHED`` (likewise; this is the end of the
stream). In the last two ``source`` may be empty.

The answer is ``BEV_OK``, ``BEV_NEED_MORE`` (nothing to be done before more comes) or ``BEV_ERROR``.
"""


class FilterBufferEvent(LayeredBufferEvent):
    """A connection whose bytes are changed on their way to and from another connection.

    The filters hear ``BEV_FINISHED`` at the end of the input, and of the output when `shutdown_write`,
    `close_when_drained` or ``flush(EV_WRITE, BEV_FINISHED)`` ends it. A ``BEV_ERROR`` disables the direction and
    becomes ``BEV_EVENT_ERROR``, with `error` to tell which filter it was.

    Args:
        underlying: See `LayeredBufferEvent`.
        input_filter: From the connection below to the input; ``None`` changes nothing.
        output_filter: From the output to the connection below; ``None`` changes nothing.
        close_underlying: See `LayeredBufferEvent`.
        defer_callbacks: As for `SocketBufferEvent`.

    An exception in a filter goes to the base's exception handler and closes the connection.

    Source: ``bufferevent_filter_new``, where no filter ever hears of the end and errors are lost.
    """

    __slots__ = ("_input_filter", "_output_filter")

    def __init__(
        self,
        underlying: BufferEvent,
        input_filter: Filter | None = None,
        output_filter: Filter | None = None,
        *,
        close_underlying: bool = True,
        defer_callbacks: bool = False,
    ) -> None:
        self._input_filter = input_filter or _pass
        self._output_filter = output_filter or _pass
        super().__init__(underlying, close_underlying=close_underlying, defer_callbacks=defer_callbacks)

    def _decode(self, limit: int, mode: int) -> int:
        """See `LayeredBufferEvent._decode`."""
        self.input.unfreeze(back=True)
        try:
            result = self._input_filter(self._underlying.input, self.input, limit, mode)
        finally:
            self.input.freeze(back=True)
        return self._check(result, "read")

    def _encode(self, limit: int, mode: int) -> int:
        """See `LayeredBufferEvent._encode`."""
        self.output.unfreeze(front=True)
        try:
            result = self._output_filter(self.output, self._underlying.output, limit, mode)
        finally:
            self.output.freeze(front=True)
        return self._check(result, "write")

    def _check(self, result: int, during: During) -> int:
        if result == BEV_ERROR:
            which = "input" if during == "read" else "output"
            self.error = TransportError(f"the {which} filter failed", during=during)
        elif result not in (BEV_OK, BEV_NEED_MORE):
            raise ValueError(f"a filter must return BEV_OK, BEV_NEED_MORE or BEV_ERROR, got {result!r}")
        return result


def _pass(source: Buffer, sink: Buffer, limit: int, mode: int) -> int:  # noqa: ARG001 - a filter
    """Change nothing."""
    source.remove_buffer(sink, limit)
    return BEV_OK
