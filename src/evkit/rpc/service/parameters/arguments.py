"""The parameters of one call against the signature of its method: as many as it takes, each of its type.

A decider, and on the road of every call: where the types of the values say that nothing is wrong, it looks no further.
It knows nothing of what the parameters are for.
"""

from collections.abc import Callable
from typing import Any, Final

from evkit.rpc.errors import InvalidParams
from evkit.rpc.service.parameters.checker import Checker, Mismatch, shown
from evkit.rpc.service.parameters.signature import Signature

Check = Callable[[list[Any]], list[Any]]
"""``check(params)`` returns what the function is called with; it raises `InvalidParams`."""

_TOLD: Final = 200
"""Characters of a signature that an error tells; the rest of the line is for what is wrong."""
_ONE: Final = 1
_TWO: Final = 2


def check_of(signature: Signature) -> Check | None:
    """Return what checks the parameters of a method; ``None``: there is nothing to check."""
    free = signature.rest is not None and signature.rest.exact is None
    if not signature.known or (free and not signature.positional and not signature.takes_map):
        return None
    arguments = Arguments(signature)
    if signature.takes_map:
        return arguments.with_map
    kinds = [field.checker.exact for field in signature.positional]
    if all(known is None for known in kinds):
        return arguments.counted
    if None not in kinds:
        if len(kinds) == _ONE:
            return arguments.one
        if len(kinds) == _TWO:
            return arguments.two
    return arguments.some


class Arguments:
    """Checks the parameters of the calls of a method.

    Args:
        signature: What it takes.
    """

    __slots__ = ("_first", "_kinds", "_least", "_most", "_second", "_signature", "_text")

    def __init__(self, signature: Signature) -> None:
        fields = signature.positional
        self._signature = signature
        self._text = signature.text if len(signature.text) <= _TOLD else f"{signature.name}(...)"
        self._least = sum(field.required for field in fields)
        self._most = len(fields)
        self._kinds = [field.checker.exact for field in fields]
        self._first, self._second = ([kinds or frozenset() for kinds in self._kinds] + [frozenset()] * 2)[:2]

    def counted(self, params: list[Any]) -> list[Any]:
        """Count parameters that may be anything."""
        return params if self._least <= len(params) <= self._most else self._checked(params)

    def one(self, params: list[Any]) -> list[Any]:
        """Check the only parameter."""
        if len(params) == _ONE and type(params[0]) in self._first:
            return params
        return self._checked(params)

    def two(self, params: list[Any]) -> list[Any]:
        """Check two parameters."""
        if len(params) != _TWO:
            return self.some(params)  # the other has a default, it may be
        if type(params[0]) in self._first and type(params[1]) in self._second:
            return params
        return self._checked(params)

    def some(self, params: list[Any]) -> list[Any]:
        """Check any number of parameters."""
        if not self._least <= len(params) <= self._most:
            return self._checked(params)
        for value, kinds in zip(params, self._kinds, strict=False):
            if kinds is not None and type(value) not in kinds:
                return self._checked(params)
        return params

    def with_map(self, params: list[Any]) -> list[Any]:
        """Check parameters of which the last may be a map of those that are given by name; return one always."""
        named: dict[Any, Any] = {}
        if len(params) > self._least and type(params[-1]) is dict:
            *params, named = params
        return [*self._checked(params), self._checked_map(named)]

    def _checked(self, params: list[Any]) -> list[Any]:
        signature = self._signature
        if len(params) < self._least or (signature.rest is None and len(params) > self._most):
            raise InvalidParams(f"{self._text} takes {self._numbers()}, got {len(params)}")
        fields = signature.positional
        checked = [
            self._one_checked(field.name, field.checker, value)
            for field, value in zip(fields, params, strict=False)
        ]
        if signature.rest is not None:
            for index, value in enumerate(params[self._most :], self._most + 1):
                checked.append(self._one_checked(str(index), signature.rest, value))
        return checked

    def _one_checked(self, name: str, checker: Checker, value: object) -> object:
        try:
            return checker.check(value)
        except Mismatch as mismatch:
            where = f'parameter "{name}"{mismatch.place}'
            raise InvalidParams(f"{self._text}: {where}: {mismatch.reason}") from mismatch.__cause__

    def _numbers(self) -> str:
        least, most = self._least, self._most
        if self._signature.rest is not None:
            return f"at least {_count(least)}"
        return _count(most) if least == most else f"{least} to {_count(most)}"

    def _checked_map(self, named: dict[Any, Any]) -> dict[str, Any]:
        signature = self._signature
        for name, field in signature.keywords.items():
            if field.required and name not in named:
                raise InvalidParams(
                    f'{self._text}: parameter "{name}" is missing: it is given in a map, after the others'
                )
        return {name: self._one_checked(name, self._named(name), value) for name, value in named.items()}

    def _named(self, name: object) -> Checker:
        signature = self._signature
        field = signature.keywords.get(name) if isinstance(name, str) else None
        if field is not None:
            return field.checker
        if signature.other_keywords is None or name in signature.taken or not isinstance(name, str):
            raise InvalidParams(f"{self._text}: no parameter has the name {shown(name)}")
        return signature.other_keywords


def _count(number: int) -> str:
    return f"{number or 'no'} parameter{'' if number == 1 else 's'}"
