"""Credentials of a client, as the value of ``Authorization`` or ``Proxy-Authorization``.

Decides what may be sent as a user, a password or a token. It knows nothing of whom they are sent to, and shows none of
them in its ``repr``.
"""

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final, Protocol

from evkit.http.kinds import TEXT, Kinds, check_options
from evkit.http.uri import Uri, uri_decode

_BASIC: Final[Kinds] = {"user": TEXT, "password": TEXT}
_BEARER: Final[Kinds] = {"token": TEXT}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_TOKEN68: Final = re.compile(r"[A-Za-z0-9\-._~+/]++=*+")


class Credentials(Protocol):
    """What can prove who a client is in a field of its own."""

    @property
    def authorization(self) -> str:
        """The value of ``Authorization``."""


@dataclass(frozen=True, slots=True)
class Basic:
    """User and password; anybody who can read the connection can read them.

    Attributes:
        user: Without a colon.
        password: Any text; it is never shown.

    Raises:
        ValueError: One has a control character, or the user has a colon.
        TypeError: One is no ``str``.

    Source: RFC 7617 §2; both are sent as UTF-8 (§2.1).
    """

    user: str
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        check_options(_BASIC, {"user": self.user, "password": self.password})
        if ":" in self.user or _CONTROL.search(self.user):
            raise ValueError("a user of Basic has no colon and no control character")
        if _CONTROL.search(self.password):
            raise ValueError("a password of Basic has no control character")

    @property
    def authorization(self) -> str:
        """The value of ``Authorization``."""
        pair = f"{self.user}:{self.password}".encode("utf-8", "surrogateescape")
        return f"Basic {b64encode(pair).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token; whoever has it is let in.

    Attributes:
        token: It is never shown.

    Raises:
        ValueError: It holds something else than letters, digits and ``-._~+/``, with ``=`` at its end.
        TypeError: It is no ``str``.

    Source: RFC 6750 §2.1.
    """

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        check_options(_BEARER, {"token": self.token})
        if _TOKEN68.fullmatch(self.token) is None:
            raise ValueError("a bearer token has letters, digits and -._~+/ only, and = at its end")

    @property
    def authorization(self) -> str:
        """The value of ``Authorization``."""
        return f"Bearer {self.token}"


def from_userinfo(url: Uri) -> Basic | None:
    """Return the user and password that stand in a URL, ``None`` if there are none.

    Raises:
        ValueError: They can't be sent; see `Basic`.

    Source: RFC 3986 §3.2.1.
    """
    if not url.userinfo:
        return None
    user, _, password = url.userinfo.partition(":")
    return Basic(uri_decode(user), uri_decode(password))
