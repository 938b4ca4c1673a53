"""`Method`: a function that peers may call, and what a connection has to know of it.

A decider. What the function takes is read once, here, from its annotations; it knows nothing of connections.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from evkit.rpc.connection.call import Call
from evkit.rpc.service.parameters.arguments import check_of
from evkit.rpc.service.parameters.signature import Signature
from evkit.rpc.service.threads import Threads

Function = Callable[..., Any]


class Method:
    """A function under a name.

    Parameters come by position, and are checked against the function's annotations: see
    `evkit.rpc.service.parameters.annotations.checker_of`. A function with keyword-only parameters takes these from a
    map which comes last: where more parameters have come than it needs by position, and the last is a map, that is it.

    Args:
        function: A plain function, a method, or whatever else can be called. A generator function answers with a
            stream of items.
        name: How it is called from outside.
        threads: Where it runs, as it may block; ``None``: in the loop's own thread. What it returns is the answer then,
            too; `Call.defer` means nothing there, since it may wait.

    Attributes:
        name: As given.
        function: What to call with the checked parameters, by position, after the `Call` if it wants one.
        wants_call: Whether its first parameter is annotated with `Call`; that one does not come from the wire.
        streams: Whether it is a generator function.
        check: ``check(params)`` returns what to call it with, or raises `InvalidParams`; ``None``: there is nothing to
            check.
        keywords: Whether parameters may come by name.
        in_threads: Whether it runs in another thread.
        plain: Whether ``function`` with the checked parameters is all there is to it: it wants no call, runs in the
            loop's thread, and answers with one result.
        signature: For people: ``add(a: int, b: int) -> int``.
        doc: The function's docstring, or nothing.

    Raises:
        TypeError: It can't be called, is ``async``, is a generator function with ``threads``, or has an annotation
            that says nothing of a value from the wire.
    """

    __slots__ = (
        "_threads",
        "check",
        "doc",
        "function",
        "in_threads",
        "keywords",
        "name",
        "plain",
        "signature",
        "streams",
        "wants_call",
    )

    def __init__(self, function: Function, name: str, threads: Threads | None = None) -> None:
        _check_function(function, name)
        signature = Signature(function, name, Call)
        self.name = name
        self.wants_call = signature.wants_first
        self.streams = inspect.isgeneratorfunction(_code_of(function))
        if self.streams and threads is not None:
            raise TypeError(f"{name}: a generator runs in the loop's thread, and in no other")
        self.check = check_of(signature)
        self.keywords = signature.takes_map
        self.function = partial(_call_with_map, function) if self.keywords else function
        self.in_threads = threads is not None
        self._threads = threads
        self.plain = not (self.wants_call or self.streams or self.in_threads)
        self.signature = f"{signature.text} -> {signature.returns}" if signature.returns else signature.text
        self.doc = inspect.getdoc(function) or ""

    def __repr__(self) -> str:
        return f"<Method {self.signature}>"

    def invoke(self, call: Call, params: list[Any]) -> Any:
        """Call the function, whatever it wants besides the parameters; in a thread, if it runs in one.

        Args:
            call: What is being served.
            params: As they came.

        Returns:
            What the function does. If it runs in a thread, the call is deferred, and this means nothing.

        Raises:
            InvalidParams: They are not what it takes.
            MethodError: Too many calls wait for a thread, or there is none any more.

        It lets through what the function raises.
        """
        if self.check is not None:
            params = self.check(params)
        arguments = [call, *params] if self.wants_call else params
        if self._threads is None:
            return self.function(*arguments)
        return self._threads.run(call, self.function, arguments)


def _check_function(function: Function, name: str) -> None:
    if not callable(function):
        raise TypeError(f"a method must be callable, got {function!r}")
    code = _code_of(function)
    if inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code):
        raise TypeError(
            f"{name}: a method is a plain function that is called, not async def; to answer later return a Future, "
            "or take a Call and defer() it"
        )


def _code_of(function: Function) -> Any:
    """Return what runs when it is called, for objects with a ``__call__``."""
    while isinstance(function, partial):
        function = function.func
    return function if inspect.isroutine(function) or isinstance(function, type) else type(function).__call__


def _call_with_map(function: Function, *params: Any) -> Any:
    return function(*params[:-1], **params[-1])
