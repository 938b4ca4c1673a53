"""`Service`: the methods that peers may call, by name.

A decider. Servers and clients share one or have each their own; it knows neither, and calls nothing.
"""

import inspect
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from evkit.rpc.limits import Limits
from evkit.rpc.service.method import Method
from evkit.rpc.service.threads import DEFAULT_MAX_WAITING, Threads

if TYPE_CHECKING:
    from concurrent.futures import Executor

F = TypeVar("F", bound=Callable[..., Any])

_OWN: Final = "$/"
"""What the names of the protocol's own methods begin with, as in LSP."""


_FUNCTIONS: Final = (FunctionType, staticmethod, classmethod)


class Service:
    """Methods by name. They may be added and removed at any time, by the loop's thread.

    Args:
        max_method: Bytes that a name may have: as `Limits.max_method`, since a longer one could not be called.
        max_waiting: Calls that may wait for a thread of one pool, ``>= 1``; ``None``: any number.

    Attributes:
        max_method: As given.
        max_waiting: As given.
        methods: What connections look up; change it by the functions below.

    Raises:
        ValueError: ``max_waiting`` is no such number.
    """

    __slots__ = ("_threads", "max_method", "max_waiting", "methods")

    def __init__(
        self, *, max_method: int = Limits().max_method, max_waiting: int | None = DEFAULT_MAX_WAITING
    ) -> None:
        self.max_method = max_method
        self.max_waiting = max_waiting
        self._threads = Threads(max_waiting=max_waiting)
        self.methods: dict[str, Method] = {}

    def __repr__(self) -> str:
        return f"<Service {len(self.methods)} methods>"

    def register(
        self,
        function: F,
        name: str | None = None,
        *,
        in_threads: bool = False,
        pool: "Executor | None" = None,
    ) -> F:
        """Let peers call a function.

        Args:
            function: See `Method`.
            name: How they call it; ``None``: by its own name.
            in_threads: Whether it may block, and so runs in a thread of a pool: see `Threads.run`.
            pool: Of which pool, which says ``in_threads`` too; ``None``: the one that all such methods of this service
                share.

        Returns:
            ``function``.

        Raises:
            TypeError: It can't be called, is ``async``, or has an annotation that says nothing of a value from the
                wire; or the name is no ``str``.
            ValueError: There is one of this name, or no peer could call it by such a name.

        Source: ``EVRPC_REGISTER``.
        """
        if name is None:
            name = _name_of(function)
        self._check_name(name)
        self.methods[name] = Method(function, name, self._threads_for(pool, in_threads=in_threads))
        return function

    @overload
    def method(self, name: F, /) -> F: ...

    @overload
    def method(
        self, name: str | None = None, /, *, in_threads: bool = False, pool: "Executor | None" = None
    ) -> Callable[[F], F]: ...

    def method(self, name: Any = None, /, *, in_threads: bool = False, pool: "Executor | None" = None) -> Any:
        """Decorate a function that peers may call: ``@service.method`` or ``@service.method("name")``.

        Args:
            name: How they call it; ``None``: by its own name.
            in_threads: As for `register`.
            pool: As for `register`.

        Raises:
            TypeError, ValueError: As of `register`.
        """
        if callable(name):
            return self.register(name, in_threads=in_threads, pool=pool)
        return lambda function: self.register(function, name, in_threads=in_threads, pool=pool)

    def register_object(self, thing: object, prefix: str = "", names: Iterable[str] | None = None) -> None:
        """Let peers call methods of an object; all of them, or none where one can't be registered.

        Args:
            thing: Of any class, but no class itself; or, with ``names``, a module.
            prefix: What their names begin with: ``"math."``.
            names: Which; ``None``: those that its ``__rpc_methods__`` lists, or else all functions of its class whose
                name begins with no underscore. Properties and attributes of the object itself are none.

        Raises:
            AttributeError: It has no such method.
            TypeError, ValueError: As of `register`; it is a class, or has nothing that could be called.
        """
        if isinstance(thing, type):
            raise TypeError(f"expected an object, got the class {thing.__name__}: make one of it first")
        if isinstance(names, str):
            raise TypeError(f"expected names as a list, got {names!r}")
        if names is None:
            names = getattr(thing, "__rpc_methods__", None) or _public_names(type(thing))
        methods: dict[str, Method] = {}
        for word in names:
            name = prefix + word
            self._check_name(name)
            if name in methods:
                raise ValueError(f"the method {name!r} is listed twice")
            methods[name] = Method(getattr(thing, word), name)
        if not methods:
            raise ValueError(f"{thing!r} has no public methods")
        self.methods.update(methods)

    def unregister(self, name: str) -> None:
        """Let nobody call it any more; calls that are being served go on.

        Raises:
            KeyError: There is no such method.

        Source: ``evrpc_unregister_rpc``, which returns -1 then.
        """
        del self.methods[name]

    def describe(self) -> dict[str, dict[str, object]]:
        """Return what peers get to know of each method, by name, in order: signature, docstring, whether it streams."""
        return {
            name: {"signature": method.signature, "doc": method.doc, "stream": method.streams}
            for name, method in sorted(self.methods.items())
        }

    def _threads_for(self, pool: "Executor | None", *, in_threads: bool) -> Threads | None:
        if pool is not None:
            return Threads(pool, max_waiting=self.max_waiting)
        return self._threads if in_threads else None

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"expected the name of a method as str, got {name!r}")
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise ValueError(f"{name!r} is no text, and so no name of a method") from None
        if not 0 < size <= self.max_method:
            raise ValueError(f"the name of a method has 1 to {self.max_method} bytes, got {size}: {name!r}")
        if name.startswith(_OWN):
            raise ValueError(f"names that begin with {_OWN!r} are the protocol's own, got {name!r}")
        if name in self.methods:
            raise ValueError(f"there is a method {name!r} already; unregister it first")


def _name_of(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        if not callable(function):
            raise TypeError(f"a method must be callable, got {function!r}")
        raise ValueError(f"{function!r} has no name of its own; give it one")
    return name


def _public_names(kind: type) -> list[str]:
    return [
        name
        for name in dir(kind)
        if not name.startswith("_") and _is_function(inspect.getattr_static(kind, name))
    ]


def _is_function(static: object) -> bool:
    """Return whether a class has it as a function, be it in ``lru_cache`` or its like."""
    return isinstance(static, _FUNCTIONS) or isinstance(
        inspect.getattr_static(static, "__wrapped__", None), FunctionType
    )
