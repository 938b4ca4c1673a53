"""`Sending`: the body of one request on its way into a connection's output: when it is welcome, and as there is room.

It knows nothing of responses, of what a connection is used for, or of what bodies are made of.
"""

from typing import Protocol

from evkit.core import BufferEvent, Event
from evkit.http.client.upload import Upload


class Sender(Protocol):
    """Who sends a request."""

    def sent(self) -> None:
        """All of it is on its way."""

    def unsendable(self, error: Exception) -> None:
        """Its body has failed, which is the program's own fault."""


class Sending:
    """The body of one request. Most requests have none.

    Args:
        bev: The connection; the request's head is in its output, and all of that is still there.
        upload: The body, which has begun.
        sender: Hears of the end, unless `stop` was called before.

    Attributes:
        complete: Whether all of it is in the output, or has left that.
    """

    __slots__ = ("_bev", "_sender", "_timer", "_unsent", "_upload", "complete")

    def __init__(self, bev: BufferEvent, upload: Upload, sender: Sender) -> None:
        self._bev = bev
        self._sender = sender
        self._upload: Upload | None = upload  # while there is more of it
        self._timer: Event | None = None  # while it waits for the server's word
        self._unsent = bev.output.length  # bytes of the request that were due so far; 0: some have gone out
        self.complete = False

    def __repr__(self) -> str:
        waits = " waits" if self._timer is not None else ""
        return f"<Sending {'complete' if self.complete else 'open'}{waits}>"

    @property
    def untouched(self) -> bool:
        """Whether nothing of the request has gone out, head and body, so that it can be sent elsewhere."""
        return 0 < self._unsent <= self._bev.output.length

    def await_word(self, limit: float | None) -> None:
        """Send nothing before `welcome`, or for so many seconds; ``None``: for ever."""
        self._timer = self._bev.base.timer(self._on_no_word)
        self._timer.add(limit)

    def _on_no_word(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self.welcome()

    def welcome(self) -> None:
        """Send it, if that was what it waits for."""
        if self._timer is not None:
            self._stop_waiting()
            self.go_on()

    def answered(self) -> None:
        """The response has begun: a body that still waits for the server's word is not welcome."""
        if self._timer is not None:
            self.stop()

    def _stop_waiting(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.free()

    def go_on(self) -> None:
        """Send of it what there is room for."""
        upload, output = self._upload, self._bev.output
        if upload is None:
            return
        untouched = self.untouched
        try:
            complete = upload.write(output, self.go_on)
        except Exception as error:
            self.stop()
            self._sender.unsendable(error)
            return
        if self._upload is None:
            return  # it was stopped meanwhile
        # What can't be asked for twice is as good as sent.
        self._unsent = output.length if untouched and upload.repeatable else 0
        if complete:
            self._upload = None
            self.complete = True
            if not output.length:
                self._sender.sent()

    def on_drained(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        """Go on: the output is empty. It is the connection's write callback."""
        if self.complete:
            self._sender.sent()
        elif self._timer is None:
            self.go_on()

    def stop(self) -> None:
        """Send nothing more of it. What is in the output goes out."""
        self._stop_waiting()
        self._upload = None
