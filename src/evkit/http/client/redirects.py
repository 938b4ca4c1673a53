"""Redirects: what a client asks next when a response points elsewhere, and what it must not take along.

A decider over values: it sends nothing, and knows nothing of connections, of cookie jars, or of bodies, except whether
one can be sent once more.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import quote as percent_encode

from evkit.http.client.origin import Origin, parse_url
from evkit.http.errors import RedirectError, quote
from evkit.http.headers import Headers
from evkit.http.kinds import COUNT, FLAG, Kinds, check_options, set_of
from evkit.http.uri import Uri

Pair = tuple[str, str]

MAX_REDIRECTS: Final = 10
"""curl takes 50, browsers 20; nobody who is honest needs more than a few."""
_VISITS: Final = 2
"""Requests for one resource on one way: a site may set a cookie and send the client to where it came from, once."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SECRETS: Final = frozenset({"authorization", "cookie", "cookie2", "proxy-authorization"})
_OF_ONE_ORIGIN: Final = frozenset({"host", "origin", "referer"})
_OF_CONTENT: Final = frozenset(
    {
        "digest",
        "expect",
        "last-modified",
        "repr-digest",
        "trailer",
        "transfer-encoding",
        "want-content-digest",
    }
)
_OPTIONS: Final[Kinds] = {"limit": COUNT, "downgrade": FLAG}
_OUTSIDE: Final = re.compile(r"[^\x21-\x7e]++")


class Step:
    """One request on the way to the answer. It does not change.

    Attributes:
        method: As it is sent.
        url: Absolute, of http or https. What stands before an ``@`` in it is not sent. It may be given as text that is
            known to be in order; then it is taken apart when somebody asks for it, as most never do.
        fields: The caller's, and what the client adds for the first origin only, credentials for example; not what it
            adds anew to each request (framing, cookies from a jar, credentials for a proxy).
        body: Whether the request has one.
    """

    __slots__ = ("_url", "body", "fields", "method")

    def __init__(self, method: str, url: Uri | str, fields: Sequence[Pair] = (), body: bool = False) -> None:
        self.method = method
        self._url = url
        self.fields = fields
        self.body = body

    @property
    def url(self) -> Uri:
        """See above."""
        url = self._url
        if isinstance(url, str):
            url = self._url = parse_url(url)
        return url

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Step):
            return NotImplemented
        mine, theirs = ((step.method, step.url, list(step.fields), step.body) for step in (self, other))
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]  # nobody looks one up

    def __repr__(self) -> str:
        url = replace(self.url, userinfo=None)
        return f"<Step {self.method} {url} fields={[name for name, _ in self.fields]} body={self.body}>"


class Redirects:
    """Rules for following redirects, for any number of requests.

    Args:
        limit: Most redirects of one request, ``>= 0``; 0 refuses the first.
        downgrade: Follow from https to http, where anybody on the way can read along.
        secrets: Names of fields that only the first origin may see, beside ``Authorization``, ``Cookie`` and
            ``Proxy-Authorization``: ``("X-Api-Key",)``.

    Raises:
        ValueError: ``limit`` is negative.
        TypeError: Something is of a wrong type: ``secrets`` is one ``str``, for one.

    Source: RFC 9110 §15.4; the Fetch standard, "HTTP-redirect fetch", for which methods become GET. libevent follows
    none.
    """

    __slots__ = ("_secrets", "downgrade", "limit")

    def __init__(
        self, *, limit: int = MAX_REDIRECTS, downgrade: bool = False, secrets: Iterable[str] = ()
    ) -> None:
        check_options(_OPTIONS, locals())
        if limit < 0:
            raise ValueError(f"expected a limit of 0 or more redirects, got {limit}")
        self.limit = limit
        self.downgrade = downgrade
        self._secrets = _SECRETS | {name.lower() for name in set_of("secrets", secrets, str)}

    def __repr__(self) -> str:
        return f"<Redirects limit={self.limit} downgrade={self.downgrade}>"

    def allowed(self, fields: Sequence[Pair], before: Origin, after: Origin) -> list[Pair]:
        """Return the fields that may go on to ``after``, of those that went to ``before``.

        To another scheme, host or port goes no secret, and nothing that names the place before.
        """
        if before == after:
            return list(fields)
        return [pair for pair in fields if pair[0].lower() not in self._secrets | _OF_ONE_ORIGIN]


class Trail:
    """The redirects of one request.

    Args:
        rules: What is followed.
        first: The request as it was asked for.

    Attributes:
        step: The request that is under way.
        followed: Redirects so far.
    """

    __slots__ = ("_rules", "_visits", "followed", "step")

    def __init__(self, rules: Redirects, first: Step) -> None:
        self._rules = rules
        self._visits = {_place(first): 1}
        self.step = first
        self.followed = 0

    def __repr__(self) -> str:
        return f"<Trail {self.followed} of {self._rules.limit} at {quote(str(self.step.url))}>"

    def follow(self, status: int, headers: Headers, *, repeatable: bool = True) -> Step | None:
        """Decide what comes after the response to `step`.

        Args:
            status: Of the response.
            headers: Of the response.
            repeatable: Whether the request's body, if it has one, can be sent again.

        Returns:
            The next request, which is `step` from now on; ``None`` where the response is the answer.

        Raises:
            RedirectError: It is a redirect that can't or mustn't be followed. The trail stays where it is.
        """
        locations = headers.get_all("Location")
        if status not in _REDIRECTS or not locations:
            return None
        try:
            step = self._next(status, locations, repeatable)
        except ValueError as error:
            url = str(replace(self.step.url, userinfo=None))
            raise RedirectError(str(error), status=status, url=url, location=locations[0]) from None
        self.step = step
        self.followed += 1
        return step

    def _next(self, status: int, locations: list[str], repeatable: bool) -> Step:
        """Return the step; a ``ValueError`` says why there is none."""
        before = self.step
        url = _target(before.url, locations)
        here, there = Origin.of(before.url), Origin.of(url)
        if here.secure and not there.secure and not self._rules.downgrade:
            raise ValueError("a redirect from https to http is not followed")
        method = _method_after(status, before.method)
        body = before.body and method == before.method
        if body and not repeatable:
            raise ValueError("the redirect asks for the body again, which can't be sent twice")
        fields = self._rules.allowed(before.fields, here, there)
        if method != before.method:
            fields = [pair for pair in fields if not _is_of_content(pair[0].lower())]
        step = Step(method, url, fields, body)
        self._count(step)
        return step

    def _count(self, step: Step) -> None:
        if self.followed >= self._rules.limit:
            raise ValueError(f"more than {self._rules.limit} redirects")
        place = _place(step)
        visits = self._visits.get(place, 0)
        if visits >= _VISITS:
            raise ValueError("the redirects go round in a loop")
        self._visits[place] = visits + 1


def _place(step: Step) -> tuple[str, Uri]:
    return step.method, replace(step.url, fragment=None)


def _target(base: Uri, locations: list[str]) -> Uri:
    """Return where a response points, without a user; the fragment is the base's where it names none.

    Source: RFC 9110 §10.2.2, RFC 3986 §5. Characters that a URI can't have are percent-encoded, as browsers do, for
    many a server writes names of files as they are.
    """
    if len(set(locations)) > 1:
        raise ValueError("expected one Location, got several")
    location = Uri.parse(_OUTSIDE.sub(_percent_encoded, locations[0].strip(" \t")), strict=False)
    url = base.resolve(location)
    fragment = base.fragment if url.fragment is None else url.fragment
    return replace(url, userinfo=None, fragment=fragment)


def _percent_encoded(match: re.Match[str]) -> str:
    return percent_encode(match[0].encode("latin-1", "surrogateescape"))


def _method_after(status: int, method: str) -> str:
    """Source: RFC 9110 §15.4.2 to §15.4.9; the Fetch standard: of 301 and 302 only POST becomes GET."""
    if status == 303:
        return method if method in ("GET", "HEAD") else "GET"
    return "GET" if method == "POST" and status in (301, 302) else method


def _is_of_content(name: str) -> bool:
    """Source: RFC 9110 §15.4, "content-specific header fields"."""
    return name.startswith("content-") or name in _OF_CONTENT
