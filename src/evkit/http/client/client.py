"""`Client`: requests, and futures of their responses.

It puts what a program says of a request (`wording`) together with what it says of all, which is made here: fields,
credentials, and the rules that all calls share. It sends nothing itself.
"""

import socket
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, Unpack

from evkit.core import EventBase, Future, SocketBufferEvent
from evkit.core.net import Resolver
from evkit.core.timers import check_seconds
from evkit.errors import LocalProtocolError
from evkit.http.client.call import Call
from evkit.http.client.cookies import CookieJar
from evkit.http.client.credentials import Credentials
from evkit.http.client.deadlines import Deadline, Deadlines
from evkit.http.client.destinations import Destinations
from evkit.http.client.dialing import Dialling
from evkit.http.client.options import (
    CLIENT_OPTIONS,
    REQUEST_OPTIONS,
    UPGRADE_OPTIONS,
    budget_for,
    fields_for,
    rules_for,
)
from evkit.http.client.pool import DEFAULT_IDLE, DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_PER_HOST, Pool
from evkit.http.client.proxy_choice import ProxyRules
from evkit.http.client.redirects import Redirects, Step
from evkit.http.client.request_fields import declared_length
from evkit.http.client.response import Response
from evkit.http.client.retries import Retries, RetryBudget
from evkit.http.client.terms import Opened, Terms, Wishes
from evkit.http.client.timeouts import ClientTimeouts
from evkit.http.client.upload import RequestBody, Upload, as_upload
from evkit.http.client.wording import (
    DEFAULT,
    Default,
    Query,
    content_of,
    names_of,
    parse_target,
)
from evkit.http.fields import Fields, as_pairs
from evkit.http.headers import Headers
from evkit.http.kinds import check_options
from evkit.http.parser import RESPONSE_LIMITS, Limits, make_response_engine
from evkit.http.uri import Uri

if TYPE_CHECKING:
    import ssl

DEFAULT_MAX_BODY: Final = 64 * 1024 * 1024
"""Bytes of a body that is received whole. Larger ones are for ``stream=True``."""


class RequestOptions(TypedDict, total=False):
    """The keyword arguments of `Client.request`."""

    headers: Fields
    query: Query | None
    json: object
    form: Query | None
    auth: Credentials | None
    stream: bool
    follow: bool
    expect: bool
    timeout: float | None
    on_interim: Callable[[int, Headers], object] | None


class Client:
    """An HTTP/1.1 client, with connections that it keeps.

        with EventBase() as base, Client(base) as client:
            response = client.get("http://example.org/").result()
            print(response.status, len(response.body))

    Each method that asks for something returns a `Future`: give it a callback, wait for its ``result()``, which runs
    the base, or ``await`` it. Cancelling it stops the request.

    Args:
        base: The event base.
        headers: Fields of every request that does not bring its own of that name. ``User-Agent: evkit`` and
            ``Accept: */*`` stand where they are missing here.
        timeouts: How long a request may wait for what.
        redirects: Which redirects are followed.
        retries: Which failures are tried again, and after which pauses.
        budget: How many retries there may be in all; ``None``: any number.
        proxies: ``None``: none. A URL: this one for all. Or rules: `ProxyRules.from_environment` reads the variables
            that other programs heed.
        cookies: Where cookies are kept between requests; ``None``: nowhere.
        auth: Credentials for every request: `Basic`, `Bearer`, or your own. For one server, give them with a request.
            A redirect to elsewhere does not take them along.
        tls: What to trust and to show; ``None``: the system's certificates. Names are always checked, unless the
            context says else.
        resolver: Finds addresses; ``None``: that of the base.
        family: ``AF_INET`` or ``AF_INET6`` for addresses of one family only.
        local: The address to connect from, ``("192.0.2.7", 0)``; only addresses of its family are tried then.
        unix: The path of a unix socket to connect to, whatever the host of a URL is.
        max_connections: Most connections at a time.
        max_per_host: Most to one server.
        idle: Seconds to keep a connection without a request; ``None``: until its server closes it.
        max_body: Bytes of a body that is received whole, decoded; more is a `ContentTooLarge`. ``None``: no limit.
        limits: Of the heads of responses, their chunks and trailers.
        decode: Ask for compressed bodies, and undo what their ``Content-Encoding`` says.
        engine: What reads responses: see `evkit.http.engines`.
        make_bufferevent: ``make_bufferevent(base)`` makes the bufferevent of a connection: one with a rate limit, for
            example. It is not connected.

    Raises:
        ValueError: A limit, an address or a proxy's URL is wrong, ``tls`` is for servers, or there is no such engine.
        TypeError: Something is of a wrong type.
        LocalProtocolError: A field can't be sent, or not with every request.

    Source: ``evhttp_connection_base_bufferevent_new`` and ``evhttp_make_request``; libevent has no pool, follows no
    redirects and decodes nothing.
    """

    __slots__ = ("_auth", "_base", "_closed", "_headers", "_plain", "_terms", "_total")

    def __init__(
        self,
        base: EventBase,
        *,
        headers: Fields = (),
        timeouts: ClientTimeouts | None = None,
        redirects: Redirects | None = None,
        retries: Retries | None = None,
        budget: RetryBudget | Default | None = DEFAULT,
        proxies: ProxyRules | str | None = None,
        cookies: CookieJar | None = None,
        auth: Credentials | None = None,
        tls: "ssl.SSLContext | None" = None,
        resolver: Resolver | None = None,
        family: int = socket.AF_UNSPEC,
        local: tuple[str, int] | None = None,
        unix: str | None = None,
        max_connections: int = DEFAULT_MAX_CONNECTIONS,
        max_per_host: int = DEFAULT_MAX_PER_HOST,
        idle: float | None = DEFAULT_IDLE,
        max_body: int | None = DEFAULT_MAX_BODY,
        limits: Limits = RESPONSE_LIMITS,
        decode: bool = True,
        engine: str = "native",
        make_bufferevent: Callable[[EventBase], SocketBufferEvent] = SocketBufferEvent,
    ) -> None:
        check_options(CLIENT_OPTIONS, locals())
        if max_body is not None and max_body < 0:
            raise ValueError(f"expected max_body as 0 or more bytes, got {max_body}")
        if idle is not None:
            check_seconds(idle)
        self._base = base
        # They travel with each request, as its own do: a redirect to elsewhere takes the secret ones off.
        self._headers = tuple(as_pairs(headers))
        fields = fields_for(self._headers, decode=decode)
        self._auth = auth
        self._closed = False
        timeouts = timeouts or ClientTimeouts()
        make_engine = partial(make_response_engine, engine, limits)
        make_engine()  # a wrong name is an error now and not with the first request
        how = Dialling(timeouts, make_engine, resolver, family, local, unix, tls, make_bufferevent)
        self._terms = Terms(
            base,
            Pool(base, how, max_connections=max_connections, max_per_host=max_per_host, idle=idle),
            fields,
            redirects or Redirects(),
            retries or Retries(),
            budget_for(budget),
            Destinations(rules_for(proxies)),
            cookies,
            max_body,
            decode,
        )
        self._total = None if timeouts.total is None else Deadlines(base, timeouts.total)
        self._plain = Wishes(limit=self._total)  # of all calls which have none of their own

    def __repr__(self) -> str:
        return f"<Client {'closed' if self._closed else repr(self._terms.pool)}>"

    @property
    def base(self) -> EventBase:
        """The event base. Source: ``evhttp_connection_get_base``."""
        return self._base

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; what is under way fails with a `LocalProtocolError`. Harmless when it is closed."""
        self._closed = True
        self._terms.pool.close()
        if self._total is not None:
            self._total.close()

    # Asking

    def get(self, url: str | Uri, **options: Unpack[RequestOptions]) -> Future[Response]:
        """Ask for a resource; see `request`."""
        return self.request("GET", url, **options) if options else self._ask("GET", url)

    def head(self, url: str | Uri, **options: Unpack[RequestOptions]) -> Future[Response]:
        """Ask for what a ``GET`` would answer, without the body; see `request`."""
        return self.request("HEAD", url, **options) if options else self._ask("HEAD", url)

    def options(self, url: str | Uri, **options: Unpack[RequestOptions]) -> Future[Response]:
        """Ask what can be asked; see `request`."""
        return self.request("OPTIONS", url, **options) if options else self._ask("OPTIONS", url)

    def delete(self, url: str | Uri, **options: Unpack[RequestOptions]) -> Future[Response]:
        """Ask for a resource to go; see `request`."""
        return self.request("DELETE", url, **options) if options else self._ask("DELETE", url)

    def post(
        self, url: str | Uri, body: RequestBody | None = None, **options: Unpack[RequestOptions]
    ) -> Future[Response]:
        """Send something to a resource; see `request`."""
        return self.request("POST", url, body, **options)

    def put(
        self, url: str | Uri, body: RequestBody | None = None, **options: Unpack[RequestOptions]
    ) -> Future[Response]:
        """Send what a resource is to be; see `request`."""
        return self.request("PUT", url, body, **options)

    def patch(
        self, url: str | Uri, body: RequestBody | None = None, **options: Unpack[RequestOptions]
    ) -> Future[Response]:
        """Send how a resource is to change; see `request`."""
        return self.request("PATCH", url, body, **options)

    def request(
        self,
        method: str,
        url: str | Uri,
        body: RequestBody | None = None,
        *,
        headers: Fields = (),
        query: Query | None = None,
        json: object = DEFAULT,
        form: Query | None = None,
        auth: Credentials | None = None,
        stream: bool = False,
        follow: bool = True,
        expect: bool = False,
        timeout: float | Default | None = DEFAULT,
        on_interim: Callable[[int, Headers], object] | None = None,
    ) -> Future[Response]:
        """Send a request.

        Args:
            method: As it is sent: ``"GET"``.
            url: ``http://host/path`` or https; a user and a password in it become ``Authorization``.
            body: Bytes; text, sent as UTF-8; a file that is open for reading bytes; or an iterable of pieces, which go
                out in chunks unless ``headers`` tell a ``Content-Length``.
            headers: Pairs of ``str``.
            query: Pairs to append to the URL's query; lists stand for several values of a name.
            json: The body, as JSON.
            form: The body, as a form in one line (``application/x-www-form-urlencoded``).
            auth: Credentials, in place of the client's.
            stream: Have the future done with the head, and receive the body piece by piece: see `Response.receive`.
            follow: Follow redirects.
            expect: Send the body when the server says that it is welcome (``Expect: 100-continue``).
            timeout: Seconds for all of it, in place of `ClientTimeouts.total`.
            on_interim: ``on_interim(status, headers)`` hears of interim responses, such as 103.

        Returns:
            A future of the `Response`, whatever its status. It fails with a `ConnectError`, `ConnectionLost`,
            `TLSError`, `RequestTimeout`, `BadResponse`, `RedirectError`, `ContentError` or `LocalProtocolError`, and
            with what the body's iterator or the resolver raises.

        Raises:
            ValueError: The URL can't be asked for.
            TypeError: Something is of a wrong type.
            LocalProtocolError: The request can't be sent as one, the client is closed, or there are two bodies.
        """
        check_options(REQUEST_OPTIONS, locals())
        pairs, body = content_of(as_pairs(headers), body, json, form)
        if expect:
            pairs = [*pairs, ("Expect", "100-continue")]
        wishes = Wishes(stream=stream, follow=follow, waits=expect, on_interim=on_interim)
        upload = None if body is None else as_upload(body, declared_length(pairs))
        return self._call(method, parse_target(url, query), pairs, upload, auth, timeout, wishes)

    def upgrade(
        self,
        url: str | Uri,
        headers: Fields | Callable[[], Fields],
        opened: Opened,
        *,
        auth: Credentials | None = None,
        timeout: float | Default | None = DEFAULT,
    ) -> Future[Any]:
        """Ask for another protocol on the connection, by ``GET`` and ``Upgrade``.

        Args:
            url: As for `request`.
            headers: Pairs of ``str``: ``Connection``, ``Upgrade``, and what the protocol needs; or a function that
                returns them, called before each attempt, where no two attempts may send the same.
            opened: ``opened(response, bev)`` is called after 101 and gets the connection, without callbacks; what has
                come already is in its input. What it returns is the future's result; what it raises closes the
                connection.
            auth: As for `request`.
            timeout: As for `request`.

        Returns:
            A future of what ``opened`` returns; of the `Response` where the server answers something else than 101.

        Raises:
            ValueError: As `request`.
            LocalProtocolError: As `request`.

        Source: RFC 9110 §7.8.
        """
        check_options(UPGRADE_OPTIONS, locals())
        anew = headers if callable(headers) else None
        pairs = () if callable(headers) else as_pairs(headers)
        wishes = Wishes(follow=False, opened=opened, anew=anew)
        return self._call("GET", parse_target(url, None), pairs, None, auth, timeout, wishes)

    def _ask(self, method: str, url: str | Uri) -> Future[Response]:
        """Do what `request` does, for requests that say nothing but what they are for."""
        found = self._terms.destinations.find(url) if type(url) is str else None
        if found is None or self._closed:
            return self.request(method, url)
        pairs = self._headers
        if self._auth is not None and "authorization" not in names_of(pairs):
            pairs = (*pairs, ("Authorization", self._auth.authorization))
        return Call(self._terms, Step(method, url, pairs), None, self._plain, *found).start()

    def _call(
        self,
        method: str,
        target: tuple[Uri, Credentials | None],
        pairs: Sequence[tuple[str, str]],
        upload: Upload | None,
        auth: Credentials | None,
        timeout: float | Default | None,
        wishes: Wishes,
    ) -> Future[Response]:
        if self._closed:
            raise LocalProtocolError("the client is closed")
        uri, told = target
        names = names_of(pairs) if pairs else frozenset[str]()
        if self._headers:
            pairs = [*(pair for pair in self._headers if pair[0].lower() not in names), *pairs]
        if auth is None and "authorization" not in names:
            auth = told or self._auth
        if auth is not None:
            pairs = [*pairs, ("Authorization", auth.authorization)]
        if timeout is DEFAULT:
            wishes.limit = self._total
        elif timeout is not None:
            wishes.limit = Deadline(self._base, check_seconds(timeout))
        destination = self._terms.destinations.of(uri, tunnel=wishes.opened is not None)
        step = Step(method, uri, tuple(pairs), upload is not None)
        return Call(self._terms, step, upload, wishes, destination, uri.target).start()
