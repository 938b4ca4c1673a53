"""What is wrong with tagged data.

Two classes, since a caller does two different things: wait for more bytes, or give the peer up. This module knows
nothing of how tags are read.
"""

from evkit.errors import RemoteProtocolError


class TagError(RemoteProtocolError):
    """Tagged data are not what was expected, or go beyond a limit. Nothing was consumed.

    Attributes:
        reason: What was expected, and what came.
        offset: Where, in bytes from the front of the buffer or of the message.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.reason} (at byte {self.offset})"


class TagIncomplete(TagError):  # noqa: N818 - nothing is wrong, as yet
    """What is there is good so far, and ends too soon: once more has come, the same call may succeed."""
