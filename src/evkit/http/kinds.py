"""What an option of a program may be: tables of kinds, and the one check, when it is given and not when it is used.

A decider over types. What an option means, and whether a number is in range, is the business of who takes it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

T = TypeVar("T")


class Kind:
    """What an option may be.

    Args:
        told: How an error says it: ``"a number of seconds"``.
        types: What it may be an instance of. A ``bool`` is a number to Python, and none here.
        fits: Whether a value will do where its type does not tell.

    Attributes:
        told: See above.
        types: Likewise.
    """

    __slots__ = ("_fits", "told", "types")

    def __init__(self, told: str, *types: type, fits: Callable[[object], bool] | None = None) -> None:
        self.told = told
        self.types = types
        self._fits = fits

    def __repr__(self) -> str:
        return f"<Kind {self.told}>"

    def admits(self, value: object) -> bool:
        """Return whether an option may be this."""
        if type(value) in self.types:
            return True
        if self._fits is not None:
            return self._fits(value)
        return isinstance(value, self.types) and not isinstance(value, bool)


Kinds = Mapping[str, Kind]
"""Options by name; what is in no table is checked by who takes it."""


def having(attribute: str, told: str, *types: type) -> Kind:
    """Return the kind of what has an attribute, which is not asked for: it may be a property that does something."""
    return Kind(told, *types, fits=lambda value: attribute in dir(value))


_NONE: Final = type(None)
FLAG: Final = Kind("True or False", bool)
TEXT: Final = Kind("a str", str)
COUNT: Final = Kind("an int", int)
COUNT_OR_NONE: Final = Kind("an int, or None", int, _NONE)
NUMBER: Final = Kind("a number", int, float)
NUMBER_OR_NONE: Final = Kind("a number, or None", int, float, _NONE)
FUNCTION: Final = Kind("a function", fits=callable)
FUNCTION_OR_NONE: Final = Kind("a function, or None", _NONE, fits=callable)


def check_options(kinds: Kinds, given: Mapping[str, object]) -> None:
    """Refuse options of a wrong type.

    Args:
        kinds: What they may be.
        given: All of these, by name, and perhaps others: the ``locals()`` of a function that has just begun.

    Raises:
        TypeError: One is something else. The value is not shown, since it may be a secret.
    """
    for name, kind in kinds.items():
        value = given[name]
        if type(value) not in kind.types and not kind.admits(value):  # the first alone is quick
            raise TypeError(f"expected {name} as {kind.told}, got {type(value).__name__}")


def set_of(name: str, items: Iterable[T], kind: type[T]) -> frozenset[T]:
    """Return several things of one type, each once.

    Args:
        name: Of the option.
        items: They.
        kind: What each must be.

    Raises:
        TypeError: They are something else: one ``str``, which would be taken for its letters, or a single number.
    """
    found = None if isinstance(items, str | bytes) or not hasattr(items, "__iter__") else frozenset(items)
    if found is None or not all(isinstance(item, kind) for item in found):
        raise TypeError(
            f"expected {name} as several {kind.__name__}, in a list for example, got {items!r:.60}"
        )
    return found
