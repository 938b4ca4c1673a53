"""What a function takes from the wire: its parameters with their checkers, and how that reads.

A decider. It knows functions and annotations, and nothing of calls.
"""

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import partial
from inspect import Parameter
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from evkit.rpc.service.parameters.annotations import checker_of
from evkit.rpc.service.parameters.checker import Checker

_POSITIONAL: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_SIGN: Final[dict[object, str]] = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}
_TOLD: Final = 30
"""Characters of a default value that a signature tells."""


class Field(NamedTuple):
    """A parameter that comes from the wire.

    Attributes:
        name: The function's own word.
        checker: Takes its values.
        required: Whether it must be given.
    """

    name: str
    checker: Checker
    required: bool


class Signature:
    """The parameters of a function.

    Args:
        function: Whatever can be called.
        name: How it is called from outside.
        first: The class of which a first parameter comes from this side, and not from the wire.

    Attributes:
        name: As given.
        text: ``add(a: int, b: int = 1)``.
        returns: What is annotated as returned, in words; empty: nothing is.
        wants_first: Whether its first parameter is annotated with ``first``.
        positional: What comes by position.
        rest: Takes what comes after these; ``None``: nothing may.
        keywords: What comes by name, in a map after the others.
        other_keywords: Takes what comes by other names; ``None``: nothing may.
        taken: Names of what comes by position; Python would take these for the same.
        known: Whether anything is known; of functions written in C it may be not.

    Raises:
        TypeError: An annotation can't be resolved or checked. The message names the parameter.
    """

    __slots__ = (
        "keywords",
        "known",
        "name",
        "other_keywords",
        "positional",
        "rest",
        "returns",
        "taken",
        "text",
        "wants_first",
    )

    def __init__(self, function: Callable[..., Any], name: str, first: type) -> None:
        self.name = name
        self.positional: list[Field] = []
        self.rest: Checker | None = None
        self.keywords: dict[str, Field] = {}
        self.other_keywords: Checker | None = None
        self.taken: set[str] = set()
        self.returns = ""
        self.wants_first = False
        signature = _signature_of(function)
        self.known = signature is not None
        self.text = f"{name}(...)"
        if signature is not None:
            parameters = self._read(name, signature, _namespace_of(function), first)
            self.text = f"{name}({', '.join(_told(parameters))})"
            self.returns = _returned(signature.return_annotation)

    @property
    def takes_map(self) -> bool:
        """Whether parameters may come by name."""
        return bool(self.keywords) or self.other_keywords is not None

    def _read(
        self, name: str, signature: inspect.Signature, namespace: Mapping[str, Any], first: type
    ) -> list[tuple[Parameter, Checker]]:
        read = []
        for index, parameter in enumerate(signature.parameters.values()):
            if parameter.kind is Parameter.POSITIONAL_OR_KEYWORD:
                self.taken.add(parameter.name)
            try:
                annotation = _resolved(parameter, namespace)
                if annotation is first and not index and parameter.kind in _POSITIONAL:
                    self.wants_first = True
                    continue
                checker = checker_of(annotation)
            except Exception as error:  # to resolve one is to evaluate it
                why = f"{type(error).__name__}: {error}" if not isinstance(error, TypeError) else error
                raise TypeError(f'{name}: parameter "{parameter.name}": {why}') from error
            self._add(parameter, checker)
            read.append((parameter, checker))
        return read

    def _add(self, parameter: Parameter, checker: Checker) -> None:
        field = Field(parameter.name, checker, parameter.default is Parameter.empty)
        if parameter.kind in _POSITIONAL:
            self.positional.append(field)
        elif parameter.kind is Parameter.VAR_POSITIONAL:
            self.rest = checker
        elif parameter.kind is Parameter.KEYWORD_ONLY:
            self.keywords[parameter.name] = field
        else:
            self.other_keywords = checker


def _signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except ValueError:  # of many functions that are written in C
        return None


def _namespace_of(function: Any) -> Mapping[str, Any]:
    """Return what the names in a function's annotations stand for."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    if isinstance(function, type):
        function = inspect.getattr_static(function, "__init__")
    elif not inspect.isroutine(function):
        function = type(function).__call__
    found: Mapping[str, Any] = getattr(inspect.unwrap(function), "__globals__", {})
    return found


def _resolved(parameter: Parameter, namespace: Mapping[str, Any]) -> object:
    if parameter.annotation is Parameter.empty:
        return Parameter.empty
    holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    return typing.get_type_hints(holder, dict(namespace), include_extras=True)[parameter.name]


def _told(parameters: list[tuple[Parameter, Checker]]) -> list[str]:
    told: list[str] = []
    for parameter, checker in parameters:
        if parameter.kind is Parameter.KEYWORD_ONLY and not any(one.startswith("*") for one in told):
            told.append("*")
        text = f"{_SIGN.get(parameter.kind, '')}{parameter.name}"
        if checker.text:
            text += f": {checker.text}"
        if parameter.default is not Parameter.empty:
            text += f"{' = ' if checker.text else '='}{_default(parameter.default)}"
        told.append(text)
    return told


def _default(value: object) -> str:
    text = repr(value) if value is None or type(value) in (bool, int, float, str, bytes) else ""
    return text if 0 < len(text) <= _TOLD else "..."  # the rest is nobody's business


def _returned(annotation: object) -> str:
    if annotation is Parameter.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
