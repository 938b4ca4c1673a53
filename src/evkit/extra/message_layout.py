"""How the fields of a message become bytes, and values again.

A `Layout` has the fields of one class of messages; each has a kind, which says what its payload is. The rules are those
of the code that libevent's event_rpcgen.py generates: fields are written in the order of their declaration, and read in
any; an unknown tag, a second field of a tag that is no array's, and a field that is missing are refused.

How deep messages may be nested is bounded, and so is how many fields one may have, as 2 bytes of data make an object of
a hundred. How a class is declared is not known here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from evkit.extra.errors import TagError
from evkit.extra.message_kinds import Kind, Source
from evkit.extra.tag_integers import int_bytes, read_last_int, read_tag, tag_bytes

MAX_DEPTH: Final = 64
"""Messages within one another."""
_TOO_DEEP: Final = f"expected at most {MAX_DEPTH} messages within one another, got more"


class Times(Enum):
    """How often a field may be in a message: once, at most once, any number of times."""

    ONE = "field"
    OPTIONAL = "optional"
    ARRAY = "array"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a class of messages.

    Attributes:
        name: Of the attribute.
        tag: ``0 <= tag < 2**32``.
        times: How often it may be there.
        kind: What its payload is.
    """

    name: str
    tag: int
    times: Times
    kind: Kind

    def encode(self, value: object, depth: int) -> bytes:
        """Return the field, or the fields of an array; nothing for an optional one that is not set."""
        if self.times is Times.ARRAY:
            if not isinstance(value, list | tuple):
                raise TypeError(f"expected a list, got {type(value).__name__}")
            return b"".join([self._encode_one(item, depth) for item in value])
        if value is None:
            if self.times is Times.OPTIONAL:
                return b""
            raise ValueError("it is not set")
        return self._encode_one(value, depth)

    def _encode_one(self, value: object, depth: int) -> bytes:
        payload = self.kind.encode(value, depth)
        return tag_bytes(self.tag) + int_bytes(len(payload)) + payload

    def is_complete(self, value: object, depth: int) -> bool:
        """Return whether a message with that value has all it needs here."""
        if value is None:
            return self.times is not Times.ONE
        items = value if self.times is Times.ARRAY and isinstance(value, list | tuple) else (value,)
        return all(self.kind.is_complete(item, depth) for item in items)


class Layout:
    """The fields of a class of messages.

    Args:
        name: Of the class.
        fields: In the order in which they are written.
    """

    __slots__ = ("_by_tag", "fields", "name")

    def __init__(self, name: str, fields: Sequence[Field]) -> None:
        self.name = name
        self.fields = tuple(fields)
        self._by_tag: Mapping[int, Field] = {field.tag: field for field in fields}

    def encode(self, message: object, depth: int = 1) -> bytes:
        """Return all fields of a message.

        Raises:
            TypeError: A value is of another type than its field.
            ValueError: One is out of range or not set, or messages are nested too deep.
        """
        if depth > MAX_DEPTH:
            raise ValueError(_TOO_DEEP)
        return b"".join([self._encode_field(field, message, depth) for field in self.fields])

    def _encode_field(self, field: Field, message: object, depth: int) -> bytes:
        try:
            return field.encode(getattr(message, field.name, None), depth)
        except TypeError as exc:
            raise TypeError(f"{self.name}.{field.name}: {exc}") from None
        except ValueError as exc:
            raise ValueError(f"{self.name}.{field.name}: {exc}") from None

    def is_complete(self, message: object, depth: int = 1) -> bool:
        """Return whether all fields that must be are set, in nested messages too."""
        return depth <= MAX_DEPTH and all(
            field.is_complete(getattr(message, field.name, None), depth) for field in self.fields
        )

    def decode(self, source: Source, start: int, end: int, depth: int = 1) -> dict[str, Any]:
        """Return the values of the message that ``source.data[start:end]`` are, by name.

        Raises:
            TagError: It breaks the rules, or a limit.
        """
        if depth > MAX_DEPTH:
            raise TagError(_TOO_DEEP, start)
        values: dict[str, Any] = {}
        at = start
        while at < end:
            at = self._decode_field(source, at, end, depth, values)
        for field in self.fields:
            if field.times is Times.ONE and field.name not in values:
                raise TagError(f"{self.name}.{field.name}: expected tag {field.tag}, got none", end)
        return values

    def _decode_field(self, source: Source, at: int, end: int, depth: int, values: dict[str, Any]) -> int:
        source.count(at)
        field, start = self._field_at(source.data, at, end)
        try:
            size, start = read_last_int(source.data, start, end)
            stop = start + size
            if stop > end:
                raise TagError(f"expected a payload of {size} bytes, got {end - start} of them", start)
            if field.times is not Times.ARRAY and field.name in values:
                raise TagError(f"expected tag {field.tag} once, got it again", at)
            value = field.kind.decode(source, start, stop, depth)
        except TagError as exc:
            raise TagError(f"{self.name}.{field.name}: {exc.reason}", exc.offset) from None
        if field.times is Times.ARRAY:
            values.setdefault(field.name, []).append(value)
        else:
            values[field.name] = value
        return stop

    def _field_at(self, data: bytes, at: int, end: int) -> tuple[Field, int]:
        try:
            tag, start = read_tag(data, at, end)
        except TagError as exc:
            raise TagError(f"{self.name}: {exc.reason}", at) from None
        field = self._by_tag.get(tag)
        if field is None:
            raise TagError(f"{self.name}: expected a tag of one of its fields, got {tag}", at)
        return field, start
