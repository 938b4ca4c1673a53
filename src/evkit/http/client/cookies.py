"""Cookies: which of them a client keeps, and which it sends where.

A decider: the time is passed in, and what outlives the program is text that somebody else writes to a file. What a
``Set-Cookie`` field says is read in `evkit.http.client.set_cookie`. It is no part of it to know the Public Suffix List,
which changes weekly; see `CookieJar`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from evkit.http.client.cookie import Cookie, below, domains_of, folder_of, is_address, within
from evkit.http.client.cookie_file import read_cookies, write_cookies
from evkit.http.client.origin import Origin, normal_host
from evkit.http.client.set_cookie import SetCookie, parse_set_cookie
from evkit.http.kinds import COUNT, FUNCTION, Kinds, check_options
from evkit.http.uri import Uri

_MAX_IN_RESPONSE: Final = 50
"""``Set-Cookie`` fields to look at in one response, as curl does; the others are ignored."""
_MAX_FIELD: Final = 8190
"""Bytes of ``Cookie``. Apache refuses a longer field; a site could lock its users out of its neighbours otherwise."""
_OPTIONS: Final[Kinds] = {"is_public": FUNCTION, "max_cookies": COUNT, "max_per_domain": COUNT}
_PUBLIC: Final = re.compile(
    r"[^.]++|(?:ac|co|com|ed|edu|go|gob|gov|gv|id|lg|ltd|me|mil|ne|net|nom|or|org|plc|sch)\.[a-z]{2}"
)
"""A top-level domain, or what stands below the two letters of most countries and belongs to nobody in particular."""


def is_public(domain: str) -> bool:
    """Return whether a domain is likely to belong to nobody in particular: ``com``, ``co.uk``.

    A rule of thumb; browsers use the Public Suffix List (publicsuffix.org).
    """
    return _PUBLIC.fullmatch(domain) is not None


class _Kept:
    """A cookie in the jar, with its place in the order of coming and in that of use."""

    __slots__ = ("came", "cookie", "used")

    def __init__(self, cookie: Cookie, came: int) -> None:
        self.cookie = cookie
        self.came = came
        self.used = came


class CookieJar:
    """The cookies of all the servers that a client talks to.

    It keeps to RFC 6265, and to what browsers added since: a page without TLS sets no ``Secure`` cookie and hides none,
    and ``__Host-`` and ``__Secure-`` before a name are believed. ``SameSite`` means nothing, for there are no sites.

        text = jar.dumps(time.time())          # to a file, in the form of curl, wget and browsers' extensions
        jar.loads(text, time.time())           # and back

    Args:
        is_public: Whether a domain belongs to nobody in particular, so that no cookie may be for all of it. Give one
            that knows the Public Suffix List where a program goes to any site.
        max_cookies: Most in all, ``>= 1``; the ones that were not sent for the longest time go first.
        max_per_domain: Most of one domain, ``>= 1``.

    Raises:
        ValueError: A limit is out of range.
        TypeError: It is no number, or ``is_public`` can't be called.

    Source: RFC 6265 §5.3, §5.4; RFC 6265bis §5.7. The standard library's ``http.cookiejar`` reads the clock by itself,
    lets http set ``Secure`` cookies, knows no prefixes, and has no limits.
    """

    __slots__ = ("_clock", "_domains", "_is_public", "max_cookies", "max_per_domain")

    def __init__(
        self,
        *,
        is_public: Callable[[str], bool] = is_public,
        max_cookies: int = 3000,
        max_per_domain: int = 150,
    ) -> None:
        check_options(_OPTIONS, locals())
        if max_cookies < 1 or max_per_domain < 1:
            raise ValueError(f"expected limits of 1 or more, got {max_cookies} and {max_per_domain}")
        self._is_public = is_public
        self._domains: dict[str, dict[tuple[str, str], _Kept]] = {}  # then by path and name
        self._clock = 0  # of what came and was used
        self.max_cookies = max_cookies
        self.max_per_domain = max_per_domain

    def __repr__(self) -> str:
        return f"<CookieJar {len(self)} cookies of {len(self._domains)} domains>"

    def __len__(self) -> int:
        return sum(map(len, self._domains.values()))

    def __iter__(self) -> Iterator[Cookie]:
        """Yield all, expired ones that have yet to be thrown away among them."""
        return iter([kept.cookie for domain in self._domains.values() for kept in domain.values()])

    def field(self, url: Uri, now: float) -> str | None:
        """Return the value of ``Cookie`` for a request; ``None`` if there is no cookie for it.

        Args:
            url: Of the request.
            now: Seconds since 1970.

        Raises:
            ValueError: The URL has no origin.

        Source: RFC 6265 §5.4: those with longer paths come first, then those that came first.
        """
        if not self._domains:
            return None
        origin, path = Origin.of(url), url.path or "/"
        found = [
            kept
            for domain in domains_of(origin.host)
            for kept in self._domains.get(domain, {}).values()
            if _may_see(kept.cookie, origin, path, now)
        ]
        found.sort(key=_by_path)
        self._clock += 1
        return _joined(found, self._clock)

    def added(self, fields: Sequence[tuple[str, str]], url: Uri, now: float) -> Sequence[tuple[str, str]]:
        """Return the fields of a request with its cookies; as they are if the program has brought its own ``Cookie``.

        Args:
            fields: Of the request.
            url: As for `field`.
            now: As for `field`.
        """
        cookie = self.field(url, now)
        if cookie is None or any(name.lower() == "cookie" for name, _ in fields):
            return fields
        return [*fields, ("Cookie", cookie)]

    def store(self, url: Uri, values: Iterable[str], now: float) -> None:
        """Keep the cookies of a response, or forget those that it lets expire. What must not be kept is ignored.

        Args:
            url: Of the request.
            values: Of the response's ``Set-Cookie`` fields.
            now: Seconds since 1970.

        Raises:
            ValueError: The URL has no origin.

        Source: RFC 6265 §5.3.
        """
        origin = Origin.of(url)
        for value in islice(values, _MAX_IN_RESPONSE):
            said = parse_set_cookie(value, now)
            cookie = said and self._admitted(said, origin, url.path)
            if cookie:
                self._keep(cookie, now)

    def add(self, cookie: Cookie, now: float) -> None:
        """Keep a cookie of the program's own, in place of one of the same name, domain and path."""
        self._keep(cookie, now)

    def clear(self, domain: str | None = None) -> None:
        """Forget all cookies, or those of one domain."""
        if domain is None:
            self._domains.clear()
        else:
            self._domains.pop(normal_host(domain), None)

    def dumps(self, now: float, *, session: bool = False) -> str:
        """Return the cookies as a file in Netscape's form. Whoever can read it can be the user.

        Args:
            now: Seconds since 1970; what has expired is left out.
            session: With those that end with the program.
        """
        return write_cookies(
            cookie for cookie in self if (session if cookie.expires is None else cookie.expires > now)
        )

    def loads(self, text: str, now: float) -> None:
        """Keep the cookies of a file in Netscape's form.

        Args:
            text: Of the file.
            now: Seconds since 1970; what has expired is left out.

        Raises:
            ValueError: A line is none of a cookie; the message has its number. Nothing has been kept then.
        """
        for cookie in read_cookies(text):
            self._keep(cookie, now)

    def _admitted(self, said: SetCookie, origin: Origin, path: str) -> Cookie | None:
        """Return the cookie that a server of that origin may have kept; ``None``: it may not."""
        domain = said.domain
        if domain is not None and (
            not within(origin.host, domain) or (domain != origin.host and self._is_for_one(domain))
        ):
            return None
        cookie = Cookie(
            said.name,
            said.value,
            domain or origin.host,
            said.path or folder_of(path),
            said.expires,
            said.secure,
            said.http_only,
            host_only=domain is None or self._is_for_one(domain),
        )
        if not origin.secure and (cookie.secure or self._hides(cookie)):
            return None
        return cookie if _keeps_promise(cookie, said) else None

    def _is_for_one(self, domain: str) -> bool:
        """Return whether a cookie for a domain may only be for the host of that name."""
        return is_address(domain) or self._is_public(domain.removesuffix("."))

    def _hides(self, cookie: Cookie) -> bool:
        """Return whether a cookie would be sent in place of a secure one. Source: RFC 6265bis §5.7, step 16."""
        for domain, cookies in self._domains.items():
            if within(domain, cookie.domain) or within(cookie.domain, domain):
                for kept in cookies.values():
                    other = kept.cookie
                    if other.secure and other.name == cookie.name and below(cookie.path, other.path):
                        return True
        return False

    def _keep(self, cookie: Cookie, now: float) -> None:
        key = (cookie.path, cookie.name)
        cookies = self._domains.setdefault(cookie.domain, {})
        if cookie.expires is not None and cookie.expires <= now:
            cookies.pop(key, None)
            if not cookies:
                del self._domains[cookie.domain]
            return
        self._clock += 1
        kept = cookies.get(key)
        if kept is None:
            cookies[key] = _Kept(cookie, self._clock)
            self._make_room(cookies, now)
        else:
            kept.cookie, kept.used = cookie, self._clock

    def _make_room(self, cookies: dict[tuple[str, str], _Kept], now: float) -> None:
        """Throw away what is too much, in the domain of a new cookie or in all: what has expired first."""
        if len(cookies) > self.max_per_domain:
            self._throw_away([*cookies.values()], 1, now)
        if len(self) > self.max_cookies:
            everything = [kept for domain in self._domains.values() for kept in domain.values()]
            # A tenth at once, since it takes a look at all of them.
            self._throw_away(everything, 1 + self.max_cookies // 10, now)

    def _throw_away(self, among: list[_Kept], count: int, now: float) -> None:
        among.sort(key=lambda kept: (not _has_expired(kept.cookie, now), kept.used))
        for kept in among[:count]:
            cookie = kept.cookie
            cookies = self._domains[cookie.domain]
            del cookies[cookie.path, cookie.name]
            if not cookies:
                del self._domains[cookie.domain]


def _has_expired(cookie: Cookie, now: float) -> bool:
    return cookie.expires is not None and cookie.expires <= now


def _keeps_promise(cookie: Cookie, said: SetCookie) -> bool:
    """Return whether a cookie is what its name says. Source: RFC 6265bis §4.1.3."""
    name = cookie.name.lower()
    if name.startswith("__host-"):
        return cookie.secure and said.domain is None and said.path == "/"
    return cookie.secure or not name.startswith("__secure-")


def _may_see(cookie: Cookie, origin: Origin, path: str, now: float) -> bool:
    if (cookie.secure and not origin.secure) or (cookie.host_only and cookie.domain != origin.host):
        return False
    return below(path, cookie.path) and not _has_expired(cookie, now)


def _by_path(kept: _Kept) -> tuple[int, int]:
    return -len(kept.cookie.path), kept.came


def _joined(found: list[_Kept], clock: int) -> str | None:
    """Return as many cookies as fit into one field, which count as used; ``None`` for none."""
    pairs: list[str] = []
    size = 0
    for kept in found:
        pair = f"{kept.cookie.name}={kept.cookie.value}"
        size += len(pair) + 2
        if size > _MAX_FIELD:
            break
        pairs.append(pair)
        kept.used = clock
    return "; ".join(pairs) or None
