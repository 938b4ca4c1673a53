"""A reply whose body comes in pieces: what its client was told, and so is still owed.

Whether a piece may be sent now, and who waits for it to be taken, is decided elsewhere.
"""

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.server.reply import UNKNOWN_LENGTH, Framing, chunk_head


class PiecewiseReply:
    """A reply whose body comes in pieces.

    Attributes:
        framing: What the client was told.

    Args:
        framing: As `evkit.http.server.reply.frame` decided.
        output: Where it goes; the head goes there now.
    """

    __slots__ = ("_output", "framing")

    def __init__(self, framing: Framing, output: Buffer) -> None:
        self.framing = framing
        self._output = output
        output.add(framing.head)

    def send(self, data: bytes | Buffer) -> None:
        """Send a piece.

        Raises:
            LocalProtocolError: It passes the Content-Length that the client was told. Nothing of it was sent.
        """
        framing, size = self.framing, len(data)
        if framing.left != UNKNOWN_LENGTH:
            if size > framing.left:
                raise LocalProtocolError(
                    f"a piece of {size} bytes passes the Content-Length: {framing.left} are left"
                )
            framing.left -= size
        if framing.silent and isinstance(data, Buffer):
            data.clear()
        if framing.silent or not size:
            return
        if framing.chunked:
            self._output.add(chunk_head(size))
            add_body(self._output, data)
            self._output.add(b"\r\n")
        else:
            add_body(self._output, data)

    def end(self, last: bytes) -> None:
        """Send what stands at the end.

        Args:
            last: Of chunks.

        Raises:
            LocalProtocolError: Less was sent than the client was told.
        """
        framing = self.framing
        if framing.chunked:
            self._output.add(last)
        elif framing.left > 0 and not framing.silent:
            raise LocalProtocolError(
                f"the reply ended {framing.left} bytes before its Content-Length; connection closed"
            )


def add_body(output: Buffer, body: bytes | Buffer) -> None:
    """Append a body, or a piece of one; a `Buffer` is emptied."""
    if isinstance(body, Buffer):
        output.add_buffer(body)
    else:
        output.add(body)
