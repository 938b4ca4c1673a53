"""`Target`: where a peer is, read from text.

A decider. It looks nothing up.
"""

from typing import Final, NamedTuple

from evkit.core.net import Address, check_lookup, family_of, parse_sockaddr_port

_UNIX: Final = "unix:"
_TLS: Final = "tls://"
_TCP: Final = "tcp://"
_EXPECTED: Final = "host:port, tcp://host:port, tls://host:port, unix:/path or (host, port)"


class Target(NamedTuple):
    """Where a peer is.

    Attributes:
        host: A name or an address; empty for a unix socket.
        port: 0 for a unix socket.
        path: Of a unix socket; ``None``: there is none.
        secure: Whether TLS is spoken there.
    """

    host: str
    port: int
    path: str | None = None
    secure: bool = False

    def __str__(self) -> str:
        if self.path is not None:
            return _UNIX + self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_TLS if self.secure else ''}{host}:{self.port}"

    @property
    def address(self) -> Address | None:
        """What to connect to without a look-up; ``None``: the host is a name."""
        if self.path is not None:
            return "\0" + self.path[1:] if self.path.startswith("@") else self.path
        try:
            family_of((self.host, self.port))
        except ValueError:
            return None
        return (self.host, self.port)


def parse_target(where: "str | tuple[str, int] | Target") -> Target:
    """Read where a peer is.

    Args:
        where: As text, with ``unix:@name`` for an abstract unix socket, or as host and port.

    Raises:
        ValueError: It is none of these.
        TypeError: It is no text, nor a host and a port.
    """
    if isinstance(where, Target):
        return where
    if isinstance(where, tuple) and len(where) == 2:
        target = Target(*where)
    elif not isinstance(where, str):
        raise TypeError(f"expected {_EXPECTED}, got {where!r}")
    elif where.startswith(_UNIX):
        return _unix(where)
    else:
        target = _inet(where)
    check_lookup(target.host, target.port, 0)
    if not target.port:
        raise ValueError(f"expected a port from 1 to 65535, got 0 in {where!r}")
    return target


def _unix(text: str) -> Target:
    path = text.removeprefix(_UNIX)
    if not path.strip("@") or "\0" in path:
        raise ValueError(f"expected the path of a unix socket after {_UNIX!r}, got {text!r}")
    return Target("", 0, path)


def _inet(text: str) -> Target:
    secure = text.startswith(_TLS)
    try:
        host, port = parse_sockaddr_port(text.removeprefix(_TLS if secure else _TCP))
    except ValueError as error:
        raise ValueError(f"expected {_EXPECTED}, got {text!r}: {error}") from None
    return Target(host, port, None, secure)
