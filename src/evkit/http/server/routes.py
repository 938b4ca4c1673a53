"""Which handler a request gets: by its path, by the beginning of it, or the general one.

A decider: it knows targets, methods and handlers, and nothing of connections or hosts.
"""

import re
from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from typing import Final

from evkit.http.parser.grammar import MAX_METHOD, TCHAR
from evkit.http.server.request import Request

Handler = Callable[[Request], object]

_METHOD: Final = re.compile(rb"%b{1,%d}+" % (TCHAR, MAX_METHOD))


def check_handler(handler: Handler) -> None:
    """Refuse what would never answer.

    Raises:
        TypeError: It can't be called, or is a coroutine function, which calling does not run.
    """
    if not callable(handler):
        raise TypeError(f"a handler must be callable, got {handler!r}")
    if iscoroutinefunction(handler):
        raise TypeError(f"a handler is a plain function that is called, not async def: {handler!r}")


class Route:
    """A handler and how it wants its requests.

    Attributes:
        handler: Called with each request.
        stream: Whether it is called with the head already, to receive the body piece by piece.
        max_body: Bytes that a body may have; ``None``: any.
        methods: Those that it answers, ``HEAD`` where it has ``GET``; ``None``: any.

    Raises:
        TypeError: The handler can't be called, or ``methods`` are none.
        ValueError: ``max_body`` is no size, or one of ``methods`` no token, or there is none of them.
    """

    __slots__ = ("handler", "max_body", "methods", "stream")

    def __init__(
        self,
        handler: Handler,
        *,
        stream: bool = False,
        max_body: int | None = None,
        methods: Iterable[str] | None = None,
    ) -> None:
        check_handler(handler)
        if max_body is not None and (type(max_body) is not int or max_body < 0):
            raise ValueError(f"max_body must be a number of bytes >= 0 or None, got {max_body!r}")
        self.handler = handler
        self.stream = stream
        self.max_body = max_body
        self.methods = None if methods is None else as_methods(methods)

    def for_method(self, method: str) -> "Route":
        """Return this route, or one that answers 405 where it does not take ``method``."""
        if self.methods is None or method in self.methods:
            return self
        return refusing(NotAllowed(self.methods), None if self.stream else self.max_body)


def refusing(handler: Handler, max_body: int | None) -> Route:
    """Make a route whose handler has no use for a body.

    Args:
        handler: Answers.
        max_body: Bytes to read of one, for the connection to go on after it. ``None``: it may be of any length, so none
            is gathered; the answer comes before it, and ends the connection.
    """
    return Route(handler, stream=max_body is None, max_body=max_body)


def as_methods(methods: Iterable[str]) -> frozenset[str]:
    """Return methods as a set, with ``HEAD`` where there is ``GET``.

    Raises:
        TypeError: It is one ``str``, where several were meant, or one of them is something else.
        ValueError: One is no token, or there is none.
    """
    if isinstance(methods, str):
        raise TypeError(f"expected several methods, as ({methods!r},), got {methods!r}")
    found = set(methods)
    if not found:
        raise ValueError("expected at least one method; None stands for any")
    for method in found:
        if not isinstance(method, str):
            raise TypeError(f'expected methods as ("GET", "POST"), got {method!r} among them')
        if not _METHOD.fullmatch(method.encode("utf-8")):
            raise ValueError(f"a method is a token of at most {MAX_METHOD} characters, got {method!r}")
    return frozenset(found | {"HEAD"} if "GET" in found else found)


def not_found(request: Request) -> None:
    """Answer 404."""
    request.send_error(404)


class NotAllowed:
    """A handler that answers 405 and says what is allowed. Source: RFC 9110 §15.5.6."""

    __slots__ = ("_allow",)

    def __init__(self, methods: frozenset[str]) -> None:
        self._allow = ", ".join(sorted(methods))

    def __call__(self, request: Request) -> None:
        """Answer."""
        request.send_error(405, f"allowed: {self._allow}", [("Allow", self._allow)])


class Routes:
    """Handlers by path.

    Attributes:
        plain: Routes by target, for requests that need no closer look: their path is set without ``%``, for any method.
        general: For requests that no path was set for.
    """

    __slots__ = ("_by_path", "_by_prefix", "general", "plain")

    def __init__(self, general: Route) -> None:
        self.plain: dict[str, Route] = {}
        self.general = general
        self._by_path: dict[str, Route] = {}
        self._by_prefix: dict[str, Route] = {}

    def __len__(self) -> int:
        return len(self._by_path) + len(self._by_prefix)

    def add(self, path: str, route: Route, *, prefix: bool = False) -> None:
        """Give ``path``, percent-decoded, to ``route``.

        Args:
            path: A path.
            route: Its route.
            prefix: Give it all paths that begin with ``path``, too, which ends in ``/``.

        Raises:
            TypeError: The path is no ``str``.
            ValueError: It has a route already, or is none. One with a ``?`` is none: what follows is a query, which
                chooses no handler. (A path with ``%3F`` in it gets that of a prefix, or the general one.)
        """
        if not isinstance(path, str):
            raise TypeError(f"expected a path, got {path!r}")
        if not path.startswith("/"):
            raise ValueError(f"a path begins with /, got {path!r}")
        if "?" in path:
            raise ValueError(f"a path has no query, which the handler finds in request.query; got {path!r}")
        if prefix and not path.endswith("/"):
            raise ValueError(f"the beginning of paths ends with /, got {path!r}")
        table = self._by_prefix if prefix else self._by_path
        if path in table:
            raise ValueError(f"{path!r} has a handler already; del_cb() it first")
        table[path] = route
        if not prefix and route.methods is None and "%" not in path:
            self.plain[path] = route

    def remove(self, path: str, *, prefix: bool = False) -> None:
        """Forget the route of ``path``.

        Raises:
            KeyError: It has none.
        """
        if prefix:
            del self._by_prefix[path]
        else:
            del self._by_path[path]
            self.plain.pop(path, None)

    def find(self, request: Request) -> Route:
        """Return the route of a request whose target is not in `plain`."""
        path = request.path
        route = self._by_path.get(path)
        if route is None:
            route = self._longest_prefix(path) if self._by_prefix else self.general
        return route.for_method(request.method)

    def _longest_prefix(self, path: str) -> Route:
        end = len(path)
        while (end := path.rfind("/", 0, end)) >= 0:
            route = self._by_prefix.get(path[: end + 1])
            if route is not None:
                return route
        return self.general
