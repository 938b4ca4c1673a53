"""Checkers of values that hold no others, and of one kind or another.

Knows nothing of annotations.
"""

import enum
from collections.abc import Iterable, Sequence
from types import NoneType
from typing import Final

from evkit.rpc.service.parameters.checker import Checker, Mismatch, unexpected

_NOTHING: Final[frozenset[type]] = frozenset()


class Anything:
    """Takes every value."""

    __slots__ = ("accepts", "exact", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.accepts = _NOTHING
        self.exact: frozenset[type] | None = None

    def check(self, value: object) -> object:
        """See `Checker.check`."""
        return value


class Exactly:
    """Takes the values of one type; so an ``int`` is no ``bool``, which Python takes for one."""

    __slots__ = ("accepts", "exact", "text")

    def __init__(self, kind: type) -> None:
        self.text = "None" if kind is NoneType else kind.__name__
        self.accepts: frozenset[type] = frozenset({kind})
        self.exact: frozenset[type] | None = self.accepts

    def check(self, value: object) -> object:
        """See `Checker.check`."""
        if type(value) in self.accepts:
            return value
        raise unexpected(self.text, value)


class Float:
    """Takes floats, and integers as floats: packers of many languages send 1.0 as 1."""

    __slots__ = ("accepts", "exact", "text")

    def __init__(self) -> None:
        self.text = "float"
        self.accepts: frozenset[type] = frozenset({float, int})
        self.exact: frozenset[type] | None = frozenset({float})

    def check(self, value: object) -> object:
        """See `Checker.check`."""
        if type(value) is float:
            return value
        if type(value) is int:
            return float(value)  # which 64 bits do not overflow
        raise unexpected(self.text, value)


class Choice:
    """Takes a few values, each for what it stands for; 1 is neither ``True`` nor 1.0 here.

    Args:
        text: See `Checker`.
        choices: Values of the wire, and what the function gets for them.
        told: What is said to be expected; it names the values.
    """

    __slots__ = ("_choices", "_told", "accepts", "exact", "text")

    def __init__(self, text: str, choices: Iterable[tuple[object, object]], told: str) -> None:
        self._choices = {(type(value), value): meaning for value, meaning in choices}
        self._told = told
        self.text = text
        self.accepts: frozenset[type] = frozenset(kind for kind, _ in self._choices)
        self.exact: frozenset[type] | None = _NOTHING

    def check(self, value: object) -> object:
        """See `Checker.check`."""
        try:
            return self._choices[type(value), value]
        except (KeyError, TypeError):  # an array can't be looked up
            raise unexpected(self._told, value) from None


class Flags:
    """Takes the integers that an ``enum.Flag`` takes."""

    __slots__ = ("_kind", "accepts", "exact", "text")

    def __init__(self, kind: type[enum.Flag]) -> None:
        self._kind = kind
        self.text = kind.__name__
        self.accepts: frozenset[type] = frozenset({int})
        self.exact: frozenset[type] | None = _NOTHING

    def check(self, value: object) -> object:
        """See `Checker.check`."""
        if type(value) is not int:
            raise unexpected(self.text, value)
        try:
            return self._kind(value)
        except ValueError:
            raise unexpected(self.text, value) from None


class Either:
    """Takes what one of several checkers takes; where more than one does, the first.

    Only an integer is rather an integer than a float, in whatever order they are given.
    """

    __slots__ = ("_by_type", "accepts", "exact", "text")

    def __init__(self, members: Sequence[Checker]) -> None:
        ordered = sorted(members, key=lambda member: isinstance(member, Float))
        self._by_type: dict[type, list[Checker]] = {}
        exact: set[type] = set()
        for member in ordered:
            exact |= (member.exact or _NOTHING) - self._by_type.keys()
            for kind in member.accepts:
                self._by_type.setdefault(kind, []).append(member)
        self.text = " | ".join(member.text for member in members)
        self.accepts: frozenset[type] = frozenset(self._by_type)
        self.exact: frozenset[type] | None = frozenset(exact)

    def check(self, value: object) -> object:
        """See `Checker.check`."""
        members = self._by_type.get(type(value), [])
        if len(members) == 1:
            return members[0].check(value)  # and its error says more
        for member in members:
            try:
                return member.check(value)
            except Mismatch:
                continue
        raise unexpected(self.text, value)
