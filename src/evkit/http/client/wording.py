"""What a program says of a request, in the form that `Call` has use for: its URL, fields, credentials and content.

A decider over values; what is of a wrong type is told here. It knows nothing of clients, whose own fields and
credentials are laid under these, or of connections.
"""

import json as jsonlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from functools import lru_cache
from typing import Final
from urllib.parse import urlencode

from evkit.errors import LocalProtocolError
from evkit.http.client.credentials import Credentials, from_userinfo
from evkit.http.client.origin import parse_url
from evkit.http.client.upload import RequestBody
from evkit.http.fields import check_pair
from evkit.http.uri import Uri

Query = Mapping[str, object] | Iterable[tuple[str, object]]


class Default(Enum):
    """Stands where ``None`` has a meaning of its own, and nothing was said."""

    DEFAULT = "default"


DEFAULT: Final = Default.DEFAULT


def parse_target(url: str | Uri, query: Query | None) -> tuple[Uri, Credentials | None]:
    """Return a URL with its query completed, and apart from it the user and the password that are in it.

    Raises:
        TypeError: It is no URL, or the query no pairs.
        ValueError: It can't be asked for.
    """
    if not isinstance(url, str | Uri):
        raise TypeError(f"expected a URL as str or Uri, got {type(url).__name__}")
    if isinstance(url, Uri) and url.unix_socket is not None:
        raise ValueError("a URL has no unix socket for a client: give it to the client as unix=…")
    text = str(url)
    # What is known of URLs outlives requests and clients, so none with a user, and his password perhaps, is among them.
    uri, credentials = _parsed(text) if "@" in text else _known(text)
    more = "" if query is None else _encoded_pairs(query)
    if more:
        uri = replace(uri, query=f"{uri.query}&{more}" if uri.query else more)
    return uri, credentials


def _parsed(url: str) -> tuple[Uri, Credentials | None]:
    """Take a URL apart; return it without user and password, and these."""
    try:
        uri = parse_url(url)
    except ValueError:
        if "@" not in url:
            raise
        # What is wrong is not shown, for a password may be a part of it.
        told = "expected a URL as http://user:password@host/path, percent-encoded where it needs to be"
        raise ValueError(f"{told}; this one has an @, and is not shown") from None
    plain = (
        uri if uri.userinfo is None and uri.fragment is None else replace(uri, userinfo=None, fragment=None)
    )
    return plain, from_userinfo(uri)


_known: Final = lru_cache(256)(_parsed)


def names_of(pairs: Iterable[tuple[str, str]]) -> set[str]:
    """Return the names in lower case.

    Raises:
        TypeError: One is in no pair of ``str``.
    """
    names = set()
    for pair in pairs:
        check_pair(pair)
        names.add(str(pair[0]).lower())
    return names


def content_of(
    pairs: Sequence[tuple[str, str]], body: RequestBody | None, json: object, form: Query | None
) -> tuple[Sequence[tuple[str, str]], RequestBody | None]:
    """Return fields and body, of the one that was given."""
    if (body is not None) + (json is not DEFAULT) + (form is not None) > 1:
        raise LocalProtocolError("expected one of body, json and form")
    if json is not DEFAULT:
        return _typed(pairs, "application/json"), jsonlib.dumps(json)
    if form is not None:
        return _typed(pairs, "application/x-www-form-urlencoded"), _encoded_pairs(form)
    return pairs, body


def _encoded_pairs(pairs: Query) -> str:
    """Return pairs as a query has them."""
    return urlencode(list(pairs.items() if isinstance(pairs, Mapping) else pairs), doseq=True)


def _typed(pairs: Sequence[tuple[str, str]], content_type: str) -> Sequence[tuple[str, str]]:
    if "content-type" in names_of(pairs):
        return pairs
    return [*pairs, ("Content-Type", content_type)]
