"""What is wrong with a message of the DNS.

What becomes of a look-up is told by the exceptions of `evkit.errors`. This module knows nothing of how messages
are read.
"""

from evkit.errors import RemoteProtocolError


class MessageError(RemoteProtocolError):
    """A message, or the data of a record in it, breaks the rules of the DNS or goes beyond a limit.

    Attributes:
        reason: What was expected, and what came.
        offset: Where in the message, in bytes from its beginning.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.reason} (at byte {self.offset})"
