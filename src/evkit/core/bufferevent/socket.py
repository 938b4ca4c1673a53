"""`SocketBufferEvent`: a buffered connection over a stream socket.

The doer: it calls ``recv`` and ``send``, and translates what the system says into callbacks. Which callback is due when
is decided in `evkit.core.bufferevent.common`, and where the socket comes from in `evkit.core.bufferevent.connecting`.
"""

import socket
from typing import TYPE_CHECKING, Final

from evkit.core.buffer import Buffer
from evkit.core.buffer.flow import MAX_TURN
from evkit.core.bufferevent.common import time_out
from evkit.core.bufferevent.connecting import ConnectingBufferEvent
from evkit.core.bufferevent.gate import HELD_CLOSED, HELD_CONNECTING, HELD_WAITING
from evkit.core.event import INSERTED, Event
from evkit.core.flags import (
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_WRITING,
    EV_READ,
    EV_TIMEOUT,
    EV_WRITE,
)

if TYPE_CHECKING:
    from evkit.core.base import EventBase

DEFAULT_MAX_SINGLE_READ: Final = 65536
"""Bytes asked for in one ``recv``. libevent's 16384 would cost four calls where one will do."""
_MORE_SENDS: Final = 3
"""Calls after the first in one flush: a head, a file and a little more go out at once; a long stream gives way."""


class SocketBufferEvent(ConnectingBufferEvent):
    """A buffered connection over a socket.

    Args:
        base: The event base to run on.
        sock: A connected stream socket; ``None``: `connect` will make one. It is made non-blocking and is owned by the
            connection from now on.
        defer_callbacks: Run callbacks later, from the loop, never from inside a call (``BEV_OPT_DEFER_CALLBACKS``).

    Attributes:
        socket: The socket, or ``None`` before `connect`.

    Source: ``bufferevent_socket_new``.
    """

    __slots__ = ()

    def __init__(
        self, base: "EventBase", sock: socket.socket | None = None, *, defer_callbacks: bool = False
    ) -> None:
        super().__init__(base, sock, DEFAULT_MAX_SINGLE_READ, defer_callbacks=defer_callbacks)

    # Reading

    def _on_readable(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        if what == EV_TIMEOUT:
            self._timed_out(EV_READ)
            return
        source = self.input
        size = self._max_single_read
        if self._read_high:
            size = min(size, self._read_high - len(source))
        recv = self._recv  # a call of an attribute that is no method of the class is slow
        try:
            data = recv(size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._failed(EV_READ, BEV_EVENT_READING | BEV_EVENT_ERROR, error)
            return
        if not data:
            self._failed(EV_READ, BEV_EVENT_READING | BEV_EVENT_EOF, None)
            return
        try:
            source.feed(data)
            callback = self._read_callback
            if callback is not None and source.length >= self._read_low:
                callback(self)
        except Exception as exception:
            self.escaped(exception)

    # Writing

    def flush_output(self) -> None:
        """See `BufferEvent.flush_output`.

        What the write callback adds is not sent at once but in the next pass, since it might never end: others want
        to send, too. (``_flush_queued`` is set while this runs, so that nothing queues the connection again.)
        """
        if self._write_held:
            self._flush_queued = False
            return
        self._flush_queued = True
        output = self.output
        send = self._send  # see _on_readable
        try:
            try:
                sent = send(self.socket)  # type: ignore[arg-type]  # nothing holds writing, so there is one
                if output.length:
                    self._send_rest(output, sent)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                sent = 0
                self._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, error)
            except Exception as exception:  # of a callback on the output buffer
                sent = 0
                self.escaped(exception)
            if sent and self._write_callback is not None and output.length <= self._write_low:
                self._call(self._write_callback)
        finally:  # KeyboardInterrupt must not leave it waiting for nothing
            self._flush_queued = False
            if output.length:
                self._wait_writable()
            elif self._ends:
                self._end()

    def _on_writable(self, event: Event, what: int) -> None:
        if what == EV_TIMEOUT:
            self._write_timed_out()
        elif self._write_held & HELD_CONNECTING:
            self._finish_connecting()
        else:
            self._write_held &= ~HELD_WAITING
            self.flush_output()
            if not self._write_held & HELD_WAITING:
                event.delete()

    def _write_timed_out(self) -> None:
        if self._write_held & HELD_CONNECTING:
            self._not_connected(time_out("connect", self.write_timeout))
        else:
            self._timed_out(EV_WRITE)

    def _send_rest(self, output: Buffer, sent: int) -> None:
        """Go on where one call could not take everything, as a head and a file, while the system takes it.

        A connection with much to send gives way as soon as it has sent its turn's worth, in however many calls.
        """
        if self._limits is not None:
            return  # what may go at once has gone
        left = MAX_TURN - sent
        for _ in range(_MORE_SENDS):
            if not (sent and output.length and left > 0):
                return
            try:
                sent = output.send_to(self.socket, left)  # type: ignore[arg-type]  # as above
            except (BlockingIOError, InterruptedError):
                return
            left -= sent

    def _wait_writable(self) -> None:
        if self._write_event is not None and not self._write_held & ~HELD_WAITING:
            self._write_held |= HELD_WAITING
            try:
                self._write_event.add(self.write_timeout)
            except OSError as error:  # the backend takes no more
                self._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, error)

    # The contract of BufferEvent

    def _start(self, events: int) -> None:
        """See `BufferEvent._start`."""
        if self._write_held & (HELD_CONNECTING | HELD_CLOSED) or self._read_event is None:
            return
        if events & EV_READ:
            self._read_event.add(self.read_timeout)
        if events & EV_WRITE and self.output and not self._flush_queued:
            # Not sent from in here: a write callback that enables writing would call itself.
            self._flush_queued = True
            self.base.queues.outbox.append(self)

    def _stop(self, events: int) -> None:
        """See `BufferEvent._stop`."""
        if events & EV_READ and self._read_event is not None:
            self._read_event.delete()
        if events & EV_WRITE and not self._write_held & HELD_CONNECTING:
            self._stop_waiting()

    def _adjust_timeouts(self) -> None:
        """See `BufferEvent._adjust_timeouts`."""
        for event, timeout in (
            (self._read_event, self.read_timeout),
            (self._write_event, self.write_timeout),
        ):
            if event is not None and event.flags & INSERTED:
                if timeout is None:
                    event.remove_timer()
                else:
                    event.add(timeout)
