"""Checkers of maps with known keys: what a dataclass is made of, and typed dictionaries.

A key that is not known is refused: it is the misspelt name of one that is, more often than not. Knows nothing of
annotations.
"""

from collections.abc import Callable
from typing import Final

from evkit.rpc.service.parameters.checker import Checker, Mismatch, shown, unexpected

_NOTHING: Final[frozenset[type]] = frozenset()
_DICT: Final[frozenset[type]] = frozenset({dict})


class Record:
    """Takes maps that have the fields of a class.

    Args:
        text: See `Checker`.
        make: Makes what the function gets of the checked fields; its ``ValueError`` and ``TypeError`` say what is
            wrong with them.

    Attributes:
        fields: The checkers by key. They may be added later, so that a class may hold others of its kind.
        required: Keys that must be there.
    """

    __slots__ = ("_make", "accepts", "exact", "fields", "required", "text")

    def __init__(self, text: str, make: Callable[[dict[str, object]], object]) -> None:
        self._make = make
        self.text = text
        self.accepts = _DICT
        self.exact: frozenset[type] | None = _NOTHING
        self.fields: dict[str, Checker] = {}
        self.required: list[str] = []

    def check(self, value: object) -> object:
        """See `Checker.check`."""
        if type(value) is not dict:
            raise unexpected(self.text, value)
        for key in self.required:
            if key not in value:
                raise Mismatch(f"{self.text} needs a field {key!r}")
        found = {key: self._check_field(key, item) for key, item in value.items()}
        try:
            return self._make(found)
        except (TypeError, ValueError) as error:
            raise Mismatch(f"no {self.text}: {error}") from error

    def _check_field(self, key: str, value: object) -> object:
        checker = self.fields.get(key)
        if checker is None:
            raise Mismatch(f"{self.text} has no field {shown(key)}")
        try:
            return checker.check(value)
        except Mismatch as mismatch:
            mismatch.within(f".{key}")
            raise
