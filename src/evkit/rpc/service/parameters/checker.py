"""What a checker is, and what it says of a value that it does not take.

A value is what a decoder makes of a message: its type is one of the wire's own, and never a subclass of one. Knows
nothing of annotations.
"""

from typing import Final, Protocol

_SHOWN: Final = 40
"""Characters of a value that a message shows; a value may have millions."""


class Checker(Protocol):
    """Takes values of one annotation.

    Attributes:
        text: What it takes, as a reader of an error or a signature wants to see it: ``list[int]``.
        accepts: Types of values that it may take; of any other type it takes none.
        exact: Types of which it takes every value as it is; ``None``: it takes every value of every type so.
    """

    text: str
    accepts: frozenset[type]
    exact: frozenset[type] | None

    def check(self, value: object) -> object:
        """Return the value, or what a function that is annotated so gets for it.

        Raises:
            Mismatch: It is not taken.
        """


class Mismatch(Exception):  # noqa: N818 - it never leaves evkit.rpc: a method tells of it with an error of its own
    """A value is not what an annotation says.

    Attributes:
        reason: What is wrong: ``expected int, got str 'x'``.
        place: Where in the parameter, outermost first: ``[2].name``; empty: the parameter itself.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place

    def within(self, place: str) -> None:
        """Say where the value stands in the one that holds it."""
        self.place = place + self.place


def unexpected(text: str, value: object) -> Mismatch:
    """Say that ``text`` was expected, and what came."""
    return Mismatch(f"expected {text}, got {shown(value)}")


def shown(value: object) -> str:
    """Describe a value in a few words, whatever its size: ``str 'x'``, ``list of 3``, ``None``."""
    if value is None:
        return "None"
    kind = type(value).__name__
    if isinstance(value, list | dict):
        return f"{kind} of {len(value)}"
    if isinstance(value, str | bytes):
        return f"{kind} {value[:_SHOWN]!r}{'…' if len(value) > _SHOWN else ''}"
    if isinstance(value, bool | int | float):
        return f"{kind} {value!r}"
    return kind
