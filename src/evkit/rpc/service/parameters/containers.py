"""Checkers of arrays and maps, which hold values that have checkers of their own.

What needs no change is handed on and not copied. Knows nothing of annotations.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from evkit.rpc.service.parameters.checker import Checker, Mismatch, shown, unexpected

_NOTHING: Final[frozenset[type]] = frozenset()
_LIST: Final[frozenset[type]] = frozenset({list})
_DICT: Final[frozenset[type]] = frozenset({dict})


def _pass(checker: Checker, values: Iterable[object]) -> bool:
    """Whether all pass as they are, as far as their types tell."""
    return checker.exact is None or checker.exact.issuperset(map(type, values))


def _check_at(checker: Checker, value: object, place: str) -> object:
    try:
        return checker.check(value)
    except Mismatch as mismatch:
        mismatch.within(place)
        raise


def _check_items(item: Checker, values: list[object]) -> list[object]:
    return [_check_at(item, value, f"[{index}]") for index, value in enumerate(values)]


class Array:
    """Takes arrays of any length as lists."""

    __slots__ = ("_item", "accepts", "exact", "text")

    def __init__(self, text: str, item: Checker) -> None:
        self._item = item
        self.text = text
        self.accepts = _LIST
        self.exact: frozenset[type] | None = _LIST if item.exact is None else _NOTHING

    def check(self, value: object) -> object:
        """See `Checker.check`."""
        if type(value) is not list:
            raise unexpected(self.text, value)
        return value if _pass(self._item, value) else _check_items(self._item, value)


class ArrayAs:
    """Takes arrays of any length as something else: a tuple, a set.

    Args:
        text: See `Checker`.
        item: Takes what they hold.
        make: Makes it of a list.
    """

    __slots__ = ("_array", "_make", "accepts", "exact", "text")

    def __init__(self, text: str, item: Checker, make: Callable[[list[object]], object]) -> None:
        self._array = Array(text, item)
        self._make = make
        self.text = text
        self.accepts = _LIST
        self.exact: frozenset[type] | None = _NOTHING

    def check(self, value: object) -> object:
        """See `Checker.check`."""
        items = self._array.check(value)
        assert isinstance(items, list)
        try:
            return self._make(items)
        except TypeError:  # of sets
            raise Mismatch(f"expected {self.text}, got an item that can't be in one") from None


class FixedArray:
    """Takes arrays of as many values as there are checkers, as tuples."""

    __slots__ = ("_items", "accepts", "exact", "text")

    def __init__(self, text: str, items: Sequence[Checker]) -> None:
        self._items = items
        self.text = text
        self.accepts = _LIST
        self.exact: frozenset[type] | None = _NOTHING

    def check(self, value: object) -> object:
        """See `Checker.check`."""
        if type(value) is not list or len(value) != len(self._items):
            raise unexpected(self.text, value)
        return tuple(
            _check_at(item, part, f"[{index}]")
            for index, (item, part) in enumerate(zip(self._items, value, strict=True))
        )


class Map:
    """Takes maps as dicts."""

    __slots__ = ("_key", "_value", "accepts", "exact", "text")

    def __init__(self, text: str, key: Checker, value: Checker) -> None:
        self._key = key
        self._value = value
        self.text = text
        self.accepts = _DICT
        self.exact: frozenset[type] | None = _DICT if key.exact is None and value.exact is None else _NOTHING

    def check(self, value: object) -> object:
        """See `Checker.check`."""
        if type(value) is not dict:
            raise unexpected(self.text, value)
        if _pass(self._key, value) and _pass(self._value, value.values()):
            return value
        return {
            _check_at(self._key, key, f", key {shown(key)}"): _check_at(self._value, item, f"[{shown(key)}]")
            for key, item in value.items()
        }
