"""`Asker`: who has a request for a connection, and what he hears of its response."""

from typing import Protocol

from evkit.core import Buffer, BufferEvent
from evkit.http.client.retries import Progress
from evkit.http.client.upload import Upload
from evkit.http.parser import ResponseHead


class Asker(Protocol):
    """Who has a request, and gets its response. Each call may cancel everything.

    Attributes:
        method: Of the request.
        head: Its head, with the empty line.
        upload: Its body, which has begun; ``None``: it has none.
        waits: Whether the body waits for the server's word.
        switches: Whether it asks for another protocol.
        whole: Whether it takes the body in one piece, if that has come with the head: set by `on_head`.
        sink: Gets the bytes of the response's body otherwise, without framing.
        paused: Whether it takes no more of them for now.
    """

    method: str
    head: bytes
    upload: Upload | None
    waits: bool
    switches: bool
    whole: bool
    paused: bool

    @property
    def sink(self) -> Buffer:
        """See above."""

    def on_interim(self, head: ResponseHead) -> None:
        """An interim response has come, other than 100 and 101."""

    def on_head(self, head: ResponseHead) -> None:
        """The response has begun.

        Raises:
            EvkitError: It is not wanted.
        """

    def on_body(self) -> None:
        """There is something in `sink`.

        Raises:
            EvkitError: It is not wanted.
        """

    def on_end(self, trailers: list[tuple[str, str]], body: bytes | None) -> None:
        """The response is complete, and the connection somebody else's.

        Args:
            trailers: Behind a body in chunks.
            body: All of it, if it came at once and that is how it is wanted.
        """

    def on_switched(self, bev: BufferEvent) -> None:
        """The connection is the asker's own from now on, and what is in its input no HTTP."""

    def on_failed(self, error: Exception, progress: Progress) -> None:
        """There will be no response, or no more of it."""
