"""Classes of messages, declared by their fields: what event_rpcgen.py generates for C.

    class Kill(Message):
        weapon: str = field(0x10121)
        action: str = field(2)
        how_often: int | None = optional(3)

A class of messages is a dataclass, and type checkers know it as one. What its fields are is read off their annotations:
``int`` (without a sign, of 32 bits, or 64), ``str``, ``bytes`` (any number, or a fixed one), another class of messages;
``| None`` of these for an optional one, and a ``list`` of these for an array.

Decided here: which declarations are good. How messages become bytes is `Layout`'s business. Nothing is known of what
carries them.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields
from dataclasses import field as dataclass_field
from typing import (
    Any,
    ClassVar,
    Final,
    Self,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from evkit.core.buffer import Buffer
from evkit.core.buffer.segments import Readable
from evkit.extra.message_kinds import Data, Kind, Number, Source, Text
from evkit.extra.message_layout import Field, Layout, Times
from evkit.extra.tag_integers import as_number
from evkit.extra.tagging import DEFAULT_MAX_PAYLOAD, look, marshal, whole_field

DEFAULT_MAX_FIELDS: Final = 100_000
"""Fields of a message that is read, those of nested ones among them."""
_KEY: Final = "evkit.extra.tagged_message"


@dataclass(frozen=True, slots=True)
class Declared:
    """What `field`, `optional` and `array` say; see `field`."""

    tag: int
    times: Times
    bits: int | None
    size: int | None

    def __post_init__(self) -> None:
        as_number(self.tag, 32)
        if self.bits not in (None, 32, 64):
            raise ValueError(f"expected 32 or 64 bits, got {self.bits}")
        if self.size is not None and self.size < 0:
            raise ValueError(f"expected a size of 0 or more bytes, got {self.size}")


def field(tag: int, *, bits: int | None = None, size: int | None = None) -> Any:
    """Declare a field that each message has.

    Args:
        tag: ``0 <= tag < 2**32``, another one for each field of the class.
        bits: Of an ``int``: 32, or 64 for what the language calls ``int64``.
        size: Of ``bytes``: how many they must be; ``None`` for any number.

    Raises:
        ValueError: One of them is out of range.
    """
    return dataclass_field(metadata={_KEY: Declared(tag, Times.ONE, bits, size)})


def optional(tag: int, *, bits: int | None = None, size: int | None = None) -> Any:
    """Declare a field that may be missing: it is ``None`` then. See `field`."""
    return dataclass_field(default=None, metadata={_KEY: Declared(tag, Times.OPTIONAL, bits, size)})


def array(tag: int, *, bits: int | None = None, size: int | None = None) -> Any:
    """Declare a field that may be there any number of times: a list. See `field`.

    The language has no arrays of bytes; a peer in C can't have them.
    """
    return dataclass_field(default_factory=list, metadata={_KEY: Declared(tag, Times.ARRAY, bits, size)})


# ``optional`` and ``array`` are left out on purpose: type checkers take a call of theirs for a default, which it is.
@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
class Message:
    """The base of all classes of messages: subclass it, with `field`, `optional` and `array`.

    Its subclasses take their values by keyword, compare by value, and may name one another, themselves included, before
    they are there. Values are checked when a message is written.

    Args:
        names: Classes that annotations in quotes may name, besides what their module has.

    Raises:
        TypeError: A field is declared in a way that cannot be; for one that names a class that is not there yet, when
            the class is used first.
        ValueError: Two fields have the same tag.
    """

    __slots__ = ()

    _laid_out: ClassVar[Layout | None] = None
    _names: ClassVar[Mapping[str, type]] = {}

    def __init_subclass__(cls, *, names: Mapping[str, type] | None = None, **others: Any) -> None:
        super().__init_subclass__(**others)
        dataclass(kw_only=True)(cls)
        cls._laid_out = None
        if names is not None:
            cls._names = names
        _check_declarations(cls)
        try:
            cls.layout()
        except NameError:
            pass  # of a class that is yet to come, mostly: see layout()

    @classmethod
    def layout(cls) -> Layout:
        """Return the fields of this class.

        Raises:
            NameError: An annotation names a class that is not there.
            TypeError: One is none of a field.
        """
        if cls._laid_out is None:
            hints = get_type_hints(cls, localns=dict(cls._names))
            cls._laid_out = Layout(
                cls.__name__, [_field(cls, one, hints[one.name]) for one in _declared(cls)]
            )
        return cls._laid_out

    @classmethod
    def new(cls) -> Self:
        """Make a message to be filled in, with ``None`` where something must be set; `complete` tells whether it is.

        Source: ``NAME_new`` of the code that event_rpcgen.py generates.
        """
        must = (one.name for one in cls.layout().fields if one.times is Times.ONE)
        return cls(**dict.fromkeys(must))

    def complete(self) -> bool:
        """Return whether all is set that must be, in nested messages too.

        Source: ``NAME_complete`` of the code that event_rpcgen.py generates.
        """
        return self.layout().is_complete(self)

    def marshal(self) -> bytes:
        """Return the message as bytes.

        Raises:
            TypeError: A value is of another type than its field.
            ValueError: One is not set, or out of range (as text with a NUL, at which it would end for a peer in C);
                messages are nested more than 64 deep.

        Source: ``NAME_marshal`` of the code that event_rpcgen.py generates.
        """
        return self.layout().encode(self)

    @classmethod
    def unmarshal(cls, data: Readable | Buffer, *, max_fields: int | None = DEFAULT_MAX_FIELDS) -> Self:
        """Make a message of all of ``data``.

        Args:
            data: Bytes; or a buffer, which is empty then.
            max_fields: Most fields that it may have, those of nested messages among them; ``None``: no limit.

        Raises:
            TagError: It breaks the rules (an unknown tag, a second one, a missing one, a value that is none), has too
                many fields, or is nested more than 64 deep. A buffer keeps what it has.

        Source: ``NAME_unmarshal`` of the code that event_rpcgen.py generates, which has drained part of the buffer.
        """
        if not isinstance(data, Buffer):
            return cls._of(bytes(memoryview(data)), 0, max_fields)
        with data.lock:
            message = cls._of(bytes(data), 0, max_fields)
            data.clear()
            return message

    def marshal_field(self, buffer: Buffer, tag: int) -> None:
        """Add the message as one field, so that the other side can tell where it ends.

        Raises:
            TypeError: As `marshal`.
            ValueError: As `marshal`; or ``tag`` is out of range.

        Source: ``evtag_marshal_NAME`` of the code that event_rpcgen.py generates.
        """
        marshal(buffer, tag, self.marshal())

    @classmethod
    def unmarshal_field(
        cls,
        buffer: Buffer,
        need_tag: int,
        *,
        max_payload: int | None = DEFAULT_MAX_PAYLOAD,
        max_fields: int | None = DEFAULT_MAX_FIELDS,
    ) -> Self:
        """Take a field that is such a message off the front.

        Args:
            buffer: What it is taken from.
            need_tag: The tag that it must have.
            max_payload: Most bytes that the message may have; ``None``: no limit.
            max_fields: As `unmarshal` has it.

        Raises:
            TagIncomplete: The field is not all there.
            TagError: Its tag is another, or as `unmarshal`. Nothing was taken.

        Source: ``evtag_unmarshal_NAME`` of the code that event_rpcgen.py generates.
        """
        with buffer.lock:
            _, start, size = whole_field(buffer, need_tag, max_payload)
            message = cls._of(look(buffer, start + size), start, max_fields)
            buffer.drain(start + size)
            return message

    @classmethod
    def _of(cls, data: bytes, start: int, max_fields: int | None) -> Self:
        return cls(**cls.layout().decode(Source(data, max_fields), start, len(data)))


@dataclass(frozen=True, slots=True)
class Nested:
    """A message within a message.

    Attributes:
        of: Its class.
    """

    of: type[Message]

    def encode(self, value: Any, depth: int) -> bytes:
        """See `Kind.encode`. One of a subclass is written without what that adds, which the reader would refuse."""
        if not isinstance(value, self.of):
            raise TypeError(f"expected {self.of.__name__}, got {type(value).__name__}")
        return self.of.layout().encode(value, depth + 1)

    def decode(self, source: Source, start: int, end: int, depth: int) -> Message:
        """See `Kind.decode`."""
        return self.of(**self.of.layout().decode(source, start, end, depth + 1))

    def is_complete(self, value: Any, depth: int) -> bool:
        """See `Kind.is_complete`."""
        return self.of.layout().is_complete(value, depth + 1)


def _declared(cls: type[Message]) -> Any:
    return fields(cls)  # type: ignore[arg-type]  # a dataclass, since __init_subclass__


def _check_declarations(cls: type[Message]) -> None:
    """Check what does not need the annotations."""
    names: dict[int, str] = {}
    for one in _declared(cls):
        declared = one.metadata.get(_KEY)
        if declared is None:
            raise TypeError(f"{cls.__name__}.{one.name}: expected field(), optional() or array()")
        if hasattr(Message, one.name):
            raise TypeError(f"{cls.__name__}.{one.name}: all messages have something of this name")
        other = names.setdefault(declared.tag, one.name)
        if other != one.name:
            raise ValueError(f"{cls.__name__}.{one.name}: tag {declared.tag} is {other}'s")


def _field(cls: type[Message], one: Any, annotation: Any) -> Field:
    declared: Declared = one.metadata[_KEY]
    try:
        kind = _kind(_inner(annotation, declared.times), declared)
    except TypeError as exc:
        raise TypeError(f"{cls.__name__}.{one.name}: {exc}") from None
    return Field(one.name, declared.tag, declared.times, kind)


def _inner(annotation: Any, times: Times) -> Any:
    """Return what is optional, or in the list."""
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [one for one in arguments if one is not types.NoneType]
        if times is Times.OPTIONAL and len(rest) == 1 < len(arguments):
            return rest[0]
    elif get_origin(annotation) is list:
        if times is Times.ARRAY:
            return arguments[0]
    elif times is Times.ONE:
        return annotation
    wanted = {Times.ONE: "a plain type", Times.OPTIONAL: "a type and None", Times.ARRAY: "a list"}[times]
    raise TypeError(f"expected {wanted} for {times.value}(), got {annotation}")


def _kind(annotation: Any, declared: Declared) -> Kind:
    kind: Kind | None = None
    if annotation is int and declared.size is None:
        kind = Number(declared.bits or 32)
    elif annotation is bytes and declared.bits is None:
        kind = Data(declared.size)
    elif declared.bits is None and declared.size is None:
        if annotation is str:
            kind = Text()
        elif isinstance(annotation, type) and issubclass(annotation, Message) and annotation is not Message:
            kind = Nested(annotation)
    if kind is None:
        limits = "bits= is for int, and size= for bytes; "
        raise TypeError(f"{limits}expected int, str, bytes or a class of messages, got {annotation}")
    return kind
