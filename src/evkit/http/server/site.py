"""`Site`: handlers by path, and by host where one server answers for several.

A decider: a request in, its route out. It knows nothing of connections, of listening, or of how a handler answers.
"""

from collections.abc import Callable, Iterable, Iterator
from types import EllipsisType
from typing import Final

from evkit.http.server.request import Request
from evkit.http.server.routes import Handler, Route, Routes, not_found, refusing

_CHOSEN: Final = 256
"""Names to remember the site of. Bounded, as clients make them up."""


class Site:
    """What answers for some host names. A `Server` is one, and so is each of its virtual hosts.

    Args:
        max_body: Bytes that a request's body may have where its route says nothing else; ``None``: any.

    Attributes:
        routes: Its handlers, by path.
        max_body: As given.
        virtual_hosts: The sites within it, by pattern.
        aliases: Names that it answers to, whatever the patterns say.

    Source: ``struct evhttp``, which is a server and a virtual host alike.
    """

    def __init__(self, max_body: int | None) -> None:
        self.max_body = max_body
        self.routes = Routes(refusing(not_found, max_body))
        self.virtual_hosts: dict[str, Site] = {}
        self.aliases: set[str] = set()
        self._chosen: dict[str, Site] = {}
        self._outer: Site | None = None

    # Handlers

    def set_cb(
        self,
        path: str,
        handler: Handler,
        *,
        prefix: bool = False,
        methods: Iterable[str] | None = None,
        stream: bool = False,
        max_body: "int | EllipsisType | None" = ...,
    ) -> None:
        """Call ``handler(request)`` for requests whose path, percent-decoded, is ``path``.

        Args:
            path: Begins with ``/``.
            handler: Answers by ``request.send_reply`` and its kin, now or later.
            prefix: Call it for all paths that begin with ``path``, which ends with ``/``, too. A handler of the very
                path goes before it, and a longer beginning before a shorter one.
            methods: Those that it answers, as ``("GET", "POST")``; others get 405. ``GET`` brings ``HEAD`` with it.
                ``None``: any method, also one that nobody has heard of.
            stream: Call it as soon as the head is there, for it to ``request.receive`` the body.
            max_body: Bytes that a body may have; ``None``: any. Left out: the site's limit, or any with ``stream``.

        Raises:
            ValueError: The path has a handler already, or is none, as one with a query; or a limit or a method is none.
            TypeError: The handler can't be called or is ``async``, or an argument is of another type.

        Source: ``evhttp_set_cb``; ``evhttp_set_ext_method_cmp`` is not needed.
        """
        self.routes.add(path, self._make_route(handler, stream, max_body, methods), prefix=prefix)

    def del_cb(self, path: str, *, prefix: bool = False) -> None:
        """Forget the handler of ``path``. Source: ``evhttp_del_cb``.

        Raises:
            KeyError: It has none.
        """
        self.routes.remove(path, prefix=prefix)

    def set_gencb(
        self,
        handler: Handler | None,
        *,
        methods: Iterable[str] | None = None,
        stream: bool = False,
        max_body: "int | EllipsisType | None" = ...,
    ) -> None:
        """Call ``handler(request)`` for requests that no path was set for; ``None``: 404, whatever else is given.

        The arguments are those of `set_cb`. Source: ``evhttp_set_gencb``.
        """
        if handler is None:
            self.routes.general = refusing(not_found, self.max_body)
        else:
            self.routes.general = self._make_route(handler, stream, max_body, methods)

    def route(
        self,
        path: str,
        *,
        prefix: bool = False,
        methods: Iterable[str] | None = None,
        stream: bool = False,
        max_body: "int | EllipsisType | None" = ...,
    ) -> Callable[[Handler], Handler]:
        """Make a decorator that does `set_cb`.

        Raises:
            TypeError: It was used without a path.
        """
        if not isinstance(path, str):
            raise TypeError(f'expected a path, as @server.route("/hello"), got {path!r}')

        def register(handler: Handler) -> Handler:
            self.set_cb(path, handler, prefix=prefix, methods=methods, stream=stream, max_body=max_body)
            return handler

        return register

    def _make_route(
        self,
        handler: Handler,
        stream: bool,
        max_body: "int | EllipsisType | None",
        methods: Iterable[str] | None,
    ) -> Route:
        if isinstance(max_body, EllipsisType):
            max_body = None if stream else self.max_body
        return Route(handler, stream=stream, max_body=max_body, methods=methods)

    # Hosts

    def add_virtual_host(self, pattern: str) -> "Site":
        """Let a site of its own answer requests for some hosts.

        It inherits no handlers. Names that are no site's aliases are compared with the patterns, in the order in which
        those were added, and then with those within the site that is found.

        Args:
            pattern: A host name, in which ``*`` stands for anything: ``"*.example.org"``. Ports don't count, nor does
                case.

        Raises:
            ValueError: There is such a pattern already, or it is empty.

        Source: ``evhttp_add_virtual_host``, to which a server is handed.
        """
        pattern = _plain(pattern)
        if not pattern:
            raise ValueError("expected a host name or a pattern, got none")
        if pattern in self.virtual_hosts:
            raise ValueError(f"there is a virtual host for {pattern!r} already")
        site = self.virtual_hosts[pattern] = Site(self.max_body)
        site._outer = self
        self._changed()
        return site

    def remove_virtual_host(self, pattern: str) -> None:
        """Undo `add_virtual_host`. Source: ``evhttp_remove_virtual_host``.

        Raises:
            KeyError: There is no such pattern.
        """
        self.virtual_hosts.pop(_plain(pattern))._outer = None
        self._changed()

    def add_alias(self, name: str) -> None:
        """Answer to a host name, whatever pattern it matches. Source: ``evhttp_add_server_alias``.

        Raises:
            ValueError: The site has it already.
        """
        name = _plain(name)
        if name in self.aliases:
            raise ValueError(f"{name!r} is an alias already")
        self.aliases.add(name)
        self._changed()

    def remove_alias(self, name: str) -> None:
        """Undo `add_alias`. Source: ``evhttp_remove_server_alias``.

        Raises:
            KeyError: The site has no such alias.
        """
        self.aliases.remove(_plain(name))
        self._changed()

    def _changed(self) -> None:
        """Forget what was chosen, here and wherever this is a host."""
        self._chosen.clear()
        if self._outer is not None:
            self._outer._changed()

    # Choosing

    def find(self, request: Request) -> Route:
        """Return the route of a request."""
        site = self.for_host(request.host) if self.virtual_hosts else self
        return site.routes.find(request)

    def for_host(self, host: str | None) -> "Site":
        """Return the site for a host: this one where no other is.

        Args:
            host: A name or an address, with or without a port; ``None``: the client has not said.
        """
        if host is None:
            return self
        site = self._chosen.get(host)
        if site is None:
            if len(self._chosen) >= _CHOSEN:
                self._chosen.clear()
            site = self._chosen[host] = self._choose(_plain(_without_port(host)))
        return site

    def _choose(self, name: str) -> "Site":
        for site in self._all():
            if name in site.aliases:
                return site
        site = self
        while (inner := site._matching(name)) is not None:
            site = inner
        return site

    def _all(self) -> "Iterator[Site]":
        yield self
        for site in self.virtual_hosts.values():
            yield from site._all()

    def _matching(self, name: str) -> "Site | None":
        for pattern, site in self.virtual_hosts.items():
            if _matches(pattern, name):
                return site
        return None


def _plain(name: str) -> str:
    """Return a host name as it compares: in lower case, and without the dot that may end it."""
    return name.lower().removesuffix(".")


def _without_port(host: str) -> str:
    name, colon, _ = host.rpartition(":")
    return name if colon and not host.endswith("]") else host


def _matches(pattern: str, name: str) -> bool:
    """Return whether a name fits a pattern, in time that is linear but for the number of stars."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    last = rest.pop()
    if not (name.startswith(first) and name.endswith(last) and len(name) >= len(first) + len(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in rest:
        at = name.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True
