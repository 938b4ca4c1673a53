"""The opening handshake: what a client asks, what a server answers, and what either checks of the other.

Deciders over fields: `judge` for the server's side, `ClientHandshake` for the client's. They send nothing, and know
neither sockets nor requests.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from evkit.errors import LocalProtocolError
from evkit.http.fields import Fields, as_pairs
from evkit.http.headers import Headers
from evkit.http.websocket.deflate import NAME as DEFLATE
from evkit.http.websocket.deflate import Agreed, Deflate
from evkit.http.websocket.errors import HandshakeError
from evkit.http.websocket.extensions import Extension, parse_extensions

VERSION: Final = "13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==")
"""16 bytes in base64."""
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_OWN: Final = frozenset({"connection", "upgrade"})
_MAX_PROTOCOLS: Final = 64
"""Subprotocols that a client may name; each is looked at."""

Pairs = list[tuple[str, str]]


class Agreement(NamedTuple):
    """What the two ends agreed upon.

    Attributes:
        subprotocol: The name that the server chose among the client's; ``None``: none.
        deflate: How messages are compressed; ``None``: they are not.
    """

    subprotocol: str | None = None
    deflate: Agreed | None = None


class Acceptance(NamedTuple):
    """A server's yes: the fields of its 101, and what they mean."""

    fields: Pairs
    agreement: Agreement


class Refusal(NamedTuple):
    """A server's no."""

    status: int
    message: str
    fields: Pairs = []  # noqa: RUF012 - never changed


def accept_value(key: str) -> str:
    """Return what proves that the key of a request was understood.

    Source: RFC 6455 §4.2.2.
    """
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def judge(
    method: str,
    minor: int,
    headers: Headers,
    *,
    subprotocols: Sequence[str] = (),
    deflate: Deflate | None = None,
) -> Acceptance | Refusal:
    """Decide on a request that wants to become a WebSocket.

    Args:
        method: The request's.
        minor: The version's second number.
        headers: The request's.
        subprotocols: Those that the server speaks, the best first.
        deflate: The compression that it is willing to use.

    Source: RFC 6455 §4.2.1, §4.2.2.
    """
    refusal = _check_upgrade(method, minor, headers) or _check_key(headers)
    if refusal is not None:
        return refusal
    try:
        offered = _names(headers)
        extensions = parse_extensions(", ".join(headers.get_all("sec-websocket-extensions")))
    except ValueError as error:
        return Refusal(400, str(error))
    fields = [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept_value(headers["sec-websocket-key"]))]
    chosen = next((name for name in subprotocols if name in offered), None)
    if chosen is not None:
        fields.append(("Sec-WebSocket-Protocol", chosen))
    agreed = None if deflate is None else deflate.agree(extensions)
    if agreed is None:
        return Acceptance(fields, Agreement(chosen))
    fields.append(("Sec-WebSocket-Extensions", str(agreed[0])))
    return Acceptance(fields, Agreement(chosen, agreed[1]))


def _check_upgrade(method: str, minor: int, headers: Headers) -> Refusal | None:
    if method != "GET":
        return Refusal(405, "a WebSocket is asked for by GET", [("Allow", "GET")])
    if not minor:
        return Refusal(400, "a WebSocket needs HTTP/1.1")
    if "websocket" not in _tokens(headers, "upgrade") or "upgrade" not in _tokens(headers, "connection"):
        wanted = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", VERSION)]
        return Refusal(426, "expected an upgrade to websocket", wanted)
    if headers.get_all("sec-websocket-version") != [VERSION]:
        wanted = [("Sec-WebSocket-Version", VERSION), ("Upgrade", "websocket"), ("Connection", "Upgrade")]
        return Refusal(426, f"expected version {VERSION} of WebSocket", wanted)
    return None


def _check_key(headers: Headers) -> Refusal | None:
    keys = headers.get_all("sec-websocket-key")
    if len(keys) == 1 and _KEY.fullmatch(keys[0]):
        return None
    return Refusal(400, "expected one Sec-WebSocket-Key of 16 bytes in base64")


def _tokens(headers: Headers, name: str) -> list[str]:
    """Return the elements of a list of tokens in lower case."""
    return [token.strip(" \t").lower() for token in ",".join(headers.get_all(name)).split(",")]


def _names(headers: Headers) -> list[str]:
    """Return the subprotocols that a client names.

    Raises:
        ValueError: They are no list of different tokens.
    """
    fields = headers.get_all("sec-websocket-protocol")
    if not fields:
        return []
    names = [name.strip(" \t") for name in ",".join(fields).split(",")]
    if len(names) > _MAX_PROTOCOLS or len(set(names)) < len(names) or not all(map(_TOKEN.fullmatch, names)):
        raise ValueError("expected different tokens in Sec-WebSocket-Protocol")
    return names


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of subprotocols.

    Raises:
        ValueError: One is no token, or stands there twice.
        TypeError: They are no ``str``; or are one, which would be taken for names of a letter each.
    """
    if isinstance(names, str):
        raise TypeError(f"expected names of subprotocols, got the str {names!r}")
    given = tuple(names)
    if not all(isinstance(name, str) for name in given):
        raise TypeError(f"expected names of subprotocols as str, got {given!r:.60}")
    if len(set(given)) < len(given) or not all(map(_TOKEN.fullmatch, given)):
        raise ValueError(f"expected different tokens as names of subprotocols, got {given!r}")
    return given


def check_fields(fields: Fields) -> Sequence[tuple[str, str]]:
    """Return the fields that a program has for a request or a reply beside those of the handshake.

    Raises:
        LocalProtocolError: One is the handshake's, which would be there twice.
    """
    pairs = as_pairs(fields)
    for name, _ in pairs:
        told = str(name).lower()  # what is none is told by whoever encodes it
        if told in _OWN or told.startswith("sec-websocket-"):
            raise LocalProtocolError(f"expected fields that are not the handshake's own, got {name!r}")
    return pairs


class ClientHandshake:
    """A client's side of one opening handshake.

    Args:
        subprotocols: Names to offer, the best first.
        deflate: The compression to offer; ``None``: none.

    Attributes:
        key: A fresh one.
        fields: What the request needs beside ``Host``: a GET by HTTP/1.1.

    Raises:
        ValueError: A name is no token, or stands there twice.

    Source: RFC 6455 §4.1; libevent has no client.
    """

    __slots__ = ("_deflate", "_subprotocols", "fields", "key")

    def __init__(self, subprotocols: Iterable[str] = (), *, deflate: Deflate | None = None) -> None:
        self._subprotocols = check_names(subprotocols)
        self._deflate = deflate
        self.key = base64.b64encode(os.urandom(16)).decode()
        self.fields: Pairs = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", self.key),
            ("Sec-WebSocket-Version", VERSION),
        ]
        if self._subprotocols:
            self.fields.append(("Sec-WebSocket-Protocol", ", ".join(self._subprotocols)))
        if deflate is not None:
            self.fields.append(("Sec-WebSocket-Extensions", str(deflate.offer())))

    def check(self, status: int, headers: Headers) -> Agreement:
        """Read the server's reply.

        Args:
            status: Of the reply.
            headers: Of the reply.

        Raises:
            HandshakeError: It is no agreement to what was asked.

        Source: RFC 6455 §4.1, the list below "Once the client's opening handshake has been sent".
        """
        if status != 101:
            raise refused(status)
        for name, wanted in (("upgrade", "websocket"), ("connection", "upgrade")):
            if wanted not in _tokens(headers, name):
                raise HandshakeError(status, f"expected {name}: {wanted}, got {headers.get(name)!r:.60}")
        proofs = headers.get_all("sec-websocket-accept")
        if proofs != [accept_value(self.key)]:
            raise HandshakeError(status, f"expected the one proof of the key, got {proofs!r:.60}")
        return Agreement(self._check_subprotocol(headers), self._check_extensions(headers))

    def _check_subprotocol(self, headers: Headers) -> str | None:
        chosen = headers.get_all("sec-websocket-protocol")
        if not chosen:
            return None
        if len(chosen) > 1 or chosen[0] not in self._subprotocols:
            raise HandshakeError(101, f"expected one of {self._subprotocols!r}, got {chosen!r:.60}")
        return chosen[0]

    def _check_extensions(self, headers: Headers) -> Agreed | None:
        text = ", ".join(headers.get_all("sec-websocket-extensions"))
        try:
            chosen = parse_extensions(text)
            if not chosen:
                return None
            return self._only(chosen)
        except ValueError as error:
            raise HandshakeError(101, str(error)) from None

    def _only(self, chosen: list[Extension]) -> Agreed:
        if self._deflate is None or len(chosen) > 1 or chosen[0].name != DEFLATE:
            raise ValueError(f"expected no extension that was not offered, got {str(chosen[0])!r:.60}")
        return self._deflate.check_answer(chosen[0])


def refused(status: int) -> HandshakeError:
    """Make the error for a reply other than 101."""
    return HandshakeError(status, f"expected 101 to a request for a WebSocket, got {status}")
