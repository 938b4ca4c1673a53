"""From an annotation to its checker.

What is not known is refused when a function is registered, and never when it is called. Knows nothing of functions or
messages.
"""

import dataclasses
import enum
import types
import typing
from collections import abc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING
from datetime import datetime
from inspect import Parameter
from typing import Any, Final

from evkit.rpc.protocol.codec import Ext
from evkit.rpc.service.parameters.checker import Checker
from evkit.rpc.service.parameters.containers import Array, ArrayAs, FixedArray, Map
from evkit.rpc.service.parameters.records import Record
from evkit.rpc.service.parameters.scalars import Anything, Choice, Either, Exactly, Flags, Float

_WIRE: Final = (types.NoneType, bool, int, str, bytes, datetime, Ext)
"""Types that a decoder gives as they are; ``float`` is one that takes others."""
_CHOSEN: Final = (types.NoneType, bool, int, str, bytes)
"""Types of the values that may be listed one by one."""
_ANYTHING: Final = Anything("object")
_PLAIN: Final[dict[object, Checker]] = {
    **{kind: Exactly(kind) for kind in _WIRE},
    None: Exactly(types.NoneType),
    float: Float(),
    Any: Anything("Any"),
    object: _ANYTHING,
    Parameter.empty: Anything(""),
    tuple[()]: FixedArray("tuple[()]", ()),
}
_LISTS: Final = (list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection)
_CONVERTED: Final[dict[object, Callable[[list[object]], object]]] = {
    set: set,
    abc.MutableSet: set,
    frozenset: frozenset,
    abc.Set: frozenset,
    tuple: tuple,
}
_MAPS: Final = (dict, abc.Mapping, abc.MutableMapping)
_THROUGH: Final = (typing.Annotated, typing.Required, typing.NotRequired)
_ALIAS: Final = getattr(typing, "TypeAliasType", ())
"""What a ``type`` statement of Python 3.12 makes."""


def checker_of(annotation: object) -> Checker:
    """Return the checker of an annotation in which all names are resolved.

    ======================================  ===================================================================
    annotation                              takes
    ======================================  ===================================================================
    none, ``Any``, ``object``               everything
    ``int``                                 integers; no ``bool``
    ``float``                               floats, and integers as floats
    ``bool``, ``str``, ``bytes``, ``None``  these and no other
    ``datetime``, `Ext`                     these and no other
    ``list[T]``, ``Sequence[T]``            arrays; so ``Iterable`` and ``Collection``
    ``tuple[A, B]``, ``tuple[T, ...]``      arrays, as tuples
    ``set[T]``, ``frozenset[T]``            arrays, as sets
    ``dict[K, V]``, ``Mapping[K, V]``       maps
    ``A | B``, ``Optional[A]``              what one of them takes, the first that does
    ``Literal[...]``                        these values
    an ``Enum``                             the values of its members, as members
    a dataclass                             a map of its fields, as one of it; unknown keys are refused
    a ``TypedDict``                         a map of its keys; unknown keys are refused
    ``NewType``, ``Annotated``, ``type X``  what is behind them
    ======================================  ===================================================================

    Raises:
        TypeError: No checker is known for it, or for a part of it; the message says what it is.
    """
    return _Making().of(annotation)


def _name_of(kind: object) -> str:
    return getattr(kind, "__name__", None) or str(kind)


def _plain(annotation: object) -> Checker | None:
    try:
        return _PLAIN.get(annotation)
    except TypeError:  # what Annotated brings need not be hashable
        return None


def _text(kind: object, parts: Iterable[Checker]) -> str:
    return f"{_name_of(kind)}[{', '.join(part.text for part in parts)}]"


class _Making:
    """Makes the checkers of one annotation; classes that hold others of their kind are met more than once."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: dict[object, Record] = {}

    def of(self, annotation: object) -> Checker:
        plain = _plain(annotation)
        if plain is not None:
            return plain
        arguments = typing.get_args(annotation)
        kind = typing.get_origin(annotation) or annotation
        if kind in (typing.Union, types.UnionType):
            return self._either(arguments)
        if kind is typing.Literal:
            return _literal(arguments)
        if kind in _THROUGH:
            return self.of(arguments[0])
        if isinstance(kind, typing.NewType):
            return self.of(kind.__supertype__)
        if isinstance(kind, _ALIAS):
            return self.of(kind.__value__)
        return self._of_container(kind, arguments) or self._of_class(kind)

    def _either(self, kinds: Iterable[object]) -> Checker:
        members = [self.of(kind) for kind in kinds]
        whatever = [member for member in members if isinstance(member, Anything)]
        return whatever[0] if whatever else Either(members)

    def _of_container(self, kind: object, arguments: Sequence[object]) -> Checker | None:
        if not isinstance(kind, type):
            return None
        if kind in _MAPS:
            return self._map(arguments)
        if kind is tuple and arguments:
            return self._tuple(arguments)
        if kind is not tuple and kind not in _LISTS and kind not in _CONVERTED:
            return None
        items = [self.of(argument) for argument in arguments]
        item = items[0] if items else _ANYTHING
        if kind in _LISTS:
            return Array(_text(list, items) if items else "list", item)
        make = _CONVERTED[kind]
        return ArrayAs(_text(make, items) if items else _name_of(make), item, make)

    def _map(self, arguments: Sequence[object]) -> Checker:
        key, value = (self.of(argument) for argument in arguments or (object, object))
        return Map(_text(dict, (key, value)) if arguments else "dict", key, value)

    def _tuple(self, arguments: Sequence[object]) -> Checker:
        if arguments[-1] is Ellipsis:
            item = self.of(arguments[0])
            return ArrayAs(f"tuple[{item.text}, ...]", item, tuple)
        items = [self.of(argument) for argument in arguments]
        return FixedArray(_text(tuple, items), items)

    def _of_class(self, kind: object) -> Checker:
        if isinstance(kind, type):
            if issubclass(kind, enum.Flag):
                return Flags(kind)
            if issubclass(kind, enum.Enum):
                return _members(kind)
            if dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
                return self._records.get(kind) or self._record(kind)
        raise TypeError(f"{_name_of(kind)} is no annotation that parameters of a method may have")

    def _record(self, kind: type) -> Record:
        fields = _fields(kind)
        make = _same if typing.is_typeddict(kind) else lambda found: kind(**found)
        record = self._records[kind] = Record(kind.__name__, make)
        for name, (annotation, required) in fields.items():
            record.fields[name] = self.of(annotation)
            if required:
                record.required.append(name)
        return record


def _same(found: dict[str, object]) -> object:
    return found


def _fields(kind: type) -> dict[str, tuple[object, bool]]:
    """Return annotations of the fields by name, and whether they must be there."""
    hints = typing.get_type_hints(kind, include_extras=True)
    if not dataclasses.is_dataclass(kind):
        required = vars(kind)["__required_keys__"]
        return {name: (hint, _is_required(hint, name in required)) for name, hint in hints.items()}
    return {
        field.name: (hints[field.name], field.default is MISSING and field.default_factory is MISSING)
        for field in dataclasses.fields(kind)
        if field.init
    }


def _is_required(hint: object, otherwise: bool) -> bool:
    """Whether a key of a ``TypedDict`` must be there; Python does not look into annotations that are strings."""
    origin = typing.get_origin(hint)
    return otherwise if origin not in (typing.Required, typing.NotRequired) else origin is typing.Required


def _literal(values: Sequence[object]) -> Choice:
    text = f"Literal[{', '.join(map(repr, values))}]"
    _check_chosen(text, values)
    return Choice(text, [(value, value) for value in values], text)


def _members(kind: type[enum.Enum]) -> Choice:
    members = kind.__members__.values()
    values = [member.value for member in members]
    _check_chosen(kind.__name__, values)
    told = f"{kind.__name__}, one of {', '.join(map(repr, values))}"
    return Choice(kind.__name__, list(zip(values, members, strict=True)), told)


def _check_chosen(text: str, values: Iterable[object]) -> None:
    for value in values:
        if type(value) not in _CHOSEN:
            raise TypeError(f"{text} has {value!r}, which no peer can send")
