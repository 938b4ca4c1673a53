"""What ``evkit rpc serve`` lets others call: the functions of a module, the methods of an object, or a service.

A decider. It registers them, or says in one line why it can't. Knows nothing of servers.
"""

import inspect
from collections.abc import Callable
from types import MethodType, ModuleType
from typing import Final, TypeGuard

from evkit.cli.errors import Failure
from evkit.cli.terminal import one_line
from evkit.rpc import Service

EXPECTED: Final = "expected MODULE or MODULE:OBJECT, such as app or app:calculator"


def register(service: Service, found: object, word: str) -> None:
    """Register what others may call.

    Args:
        service: Where.
        found: A module, an object, a function, or a service.
        word: What it was named by, for errors.

    Raises:
        Failure: There is nothing to call, or something that can't be.
    """
    try:
        _register(service, found, word)
    except (AttributeError, TypeError, ValueError) as error:
        raise Failure(f"{word} can't be served: {one_line(error)}") from error


def _register(service: Service, found: object, word: str) -> None:
    if isinstance(found, ModuleType):
        names = _public_functions(found)
        if not names:
            raise ValueError("it has no function of its own whose name begins with no underscore")
        service.register_object(found, names=names)
    elif isinstance(found, Service):
        if not found.methods:
            raise ValueError("nothing is registered there")
        service.methods.update(found.methods)
    elif _is_routine(found):
        service.register(found, word.rpartition(".")[2].rpartition(":")[2])
    else:
        service.register_object(found)


def _public_functions(module: ModuleType) -> list[str]:
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return [name for name in listed if _is_function(getattr(module, name))]
    return [
        name for name, value in vars(module).items() if not name.startswith("_") and _is_own(value, module)
    ]


def _is_function(value: object) -> bool:
    """Return whether a name that a module shows is one to call; its classes are for who imports it."""
    return callable(value) and not isinstance(value, type)


def _is_own(value: object, module: ModuleType) -> bool:
    if isinstance(value, MethodType) or not _is_routine(value):
        return False
    return getattr(value, "__module__", None) == module.__name__


def _is_routine(value: object) -> TypeGuard[Callable[..., object]]:
    """Return whether it is a function, be it one in C, or in ``lru_cache`` and its like.

    It is looked at without asking it: an object that makes attributes up has a ``__wrapped__``, too.
    """
    return inspect.isroutine(value) or inspect.isroutine(inspect.getattr_static(value, "__wrapped__", None))
