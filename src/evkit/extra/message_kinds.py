"""What the payload of a message's field may be, besides another message.

A kind makes the payload of a value, and a value of the payload, which it reads where it lies in the whole message. It
knows nothing of tags, lengths, or of how often a field may be there.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from evkit.extra.errors import TagError
from evkit.extra.tag_integers import int_bytes, read_last_int
from evkit.extra.tagging import read_text, text_bytes


class Source:
    """A message that is read.

    Attributes:
        data: All of it.
        max_fields: Most fields that it may have, those of nested messages among them; ``None``: no limit.
    """

    __slots__ = ("_seen", "data", "max_fields")

    def __init__(self, data: bytes, max_fields: int | None) -> None:
        self.data = data
        self.max_fields = max_fields
        self._seen = 0

    def count(self, at: int) -> None:
        """Count a field."""
        self._seen += 1
        if self.max_fields is not None and self._seen > self.max_fields:
            raise TagError(f"expected at most {self.max_fields} fields, got more", at)


class Kind(Protocol):
    """What the payload of a field is."""

    def encode(self, value: Any, depth: int) -> bytes:
        """Return the payload. ``depth`` messages are around it.

        Raises:
            TypeError: The value is of another type.
            ValueError: It is out of range, or an incomplete message.
        """

    def decode(self, source: Source, start: int, end: int, depth: int) -> object:
        """Return what the payload stands for.

        Raises:
            TagError: It is another kind's.
        """

    def is_complete(self, value: Any, depth: int) -> bool:
        """Return whether the value has all it needs."""


@dataclass(frozen=True, slots=True)
class Number:
    """An integer without a sign: ``int`` and ``int64`` of the language.

    Attributes:
        bits: 32 or 64.
    """

    bits: int = 32

    def encode(self, value: Any, depth: int) -> bytes:  # noqa: ARG002 - for messages
        """See `Kind.encode`."""
        return int_bytes(value, self.bits)

    def decode(self, source: Source, start: int, end: int, depth: int) -> int:  # noqa: ARG002 - as above
        """See `Kind.decode`. What there is after the integer is dropped, as libevent does."""
        return read_last_int(source.data, start, end, self.bits)[0]

    def is_complete(self, value: Any, depth: int) -> bool:  # noqa: ARG002 - as above
        """See `Kind.is_complete`."""
        return True


@dataclass(frozen=True, slots=True)
class Text:
    """Text in UTF-8."""

    def encode(self, value: Any, depth: int) -> bytes:  # noqa: ARG002 - for messages
        """See `Kind.encode`."""
        return text_bytes(value)

    def decode(self, source: Source, start: int, end: int, depth: int) -> str:  # noqa: ARG002 - as above
        """See `Kind.decode`."""
        return read_text(source.data, start, end)

    def is_complete(self, value: Any, depth: int) -> bool:  # noqa: ARG002 - as above
        """See `Kind.is_complete`."""
        return True


@dataclass(frozen=True, slots=True)
class Data:
    """Any bytes.

    Attributes:
        size: How many they must be; ``None``: any number.
    """

    size: int | None = None

    def encode(self, value: Any, depth: int) -> bytes:  # noqa: ARG002 - for messages
        """See `Kind.encode`."""
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"expected bytes, bytearray or memoryview, got {type(value).__name__}")
        data = bytes(value)
        if self.size not in (None, len(data)):
            raise ValueError(f"expected {self.size} bytes, got {len(data)}")
        return data

    def decode(self, source: Source, start: int, end: int, depth: int) -> bytes:  # noqa: ARG002 - as above
        """See `Kind.decode`."""
        if self.size not in (None, end - start):
            raise TagError(f"expected {self.size} bytes, got {end - start}", start)
        return source.data[start:end]

    def is_complete(self, value: Any, depth: int) -> bool:  # noqa: ARG002 - as above
        """See `Kind.is_complete`."""
        return True
