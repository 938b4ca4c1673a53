"""Which handler a request gets: by its path, or the general one.

A decider: it knows targets and handlers, and nothing of connections.
"""

from collections.abc import Callable

from evkit.http.message import Request

Handler = Callable[[Request], object]


class Route:
    """A handler and how it wants its requests.

    Attributes:
        handler: Called with each request.
        stream: Whether it is called with the head already, to receive the body piece by piece.
        max_body: Bytes that a body may have; ``None``: any.

    Raises:
        TypeError: The handler can't be called.
        ValueError: ``max_body`` is no size.
    """

    __slots__ = ("handler", "max_body", "stream")

    def __init__(self, handler: Handler, *, stream: bool = False, max_body: int | None = None) -> None:
        if not callable(handler):
            raise TypeError(f"a handler must be callable, got {handler!r}")
        if max_body is not None and (type(max_body) is not int or max_body < 0):
            raise ValueError(f"max_body must be a number of bytes >= 0 or None, got {max_body!r}")
        self.handler = handler
        self.stream = stream
        self.max_body = max_body


def not_found(request: Request) -> None:
    """Answer 404."""
    request.send_error(404)


class Routes:
    """Handlers by path.

    Attributes:
        plain: Routes by target, for paths without ``%`` and ``?``: such a target needs no taking apart.
        general: For requests that no path was set for.
    """

    __slots__ = ("_by_path", "general", "plain")

    def __init__(self, general: Route) -> None:
        self.plain: dict[str, Route] = {}
        self.general = general
        self._by_path: dict[str, Route] = {}

    def __len__(self) -> int:
        return len(self._by_path)

    def add(self, path: str, route: Route) -> None:
        """Give ``path``, percent-decoded, to ``route``.

        Raises:
            ValueError: The path has a route already, or is none.
        """
        if not path.startswith("/"):
            raise ValueError(f"a path begins with /, got {path!r}")
        if path in self._by_path:
            raise ValueError(f"{path!r} has a handler already; del_cb() it first")
        self._by_path[path] = route
        if "%" not in path and "?" not in path:
            self.plain[path] = route

    def remove(self, path: str) -> None:
        """Forget the route of ``path``.

        Raises:
            KeyError: It has none.
        """
        del self._by_path[path]
        self.plain.pop(path, None)

    def find(self, request: Request) -> Route:
        """Return the route of a request whose target is not in `plain`."""
        return self._by_path.get(request.path, self.general)
