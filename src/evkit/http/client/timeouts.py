"""How long a client waits, by what it waits for, and how it says that it has waited in vain."""

from dataclasses import dataclass, fields
from typing import Final

from evkit.core.timers import check_seconds
from evkit.errors import During
from evkit.http.errors import Phase, RequestTimeout
from evkit.http.kinds import NUMBER_OR_NONE, Kinds, check_options


@dataclass(frozen=True, slots=True)
class ClientTimeouts:
    """How long each part of a request may take, in seconds; ``None``: for ever.

    What takes longer fails with a `RequestTimeout` that names the part.

    Attributes:
        pool: For a free connection, where as many are in use as may be.
        connect: For a connection, from the look-up of the name on; and once more for a proxy's word that its tunnel is
            there. A resolver may have limits of its own below this one.
        tls: For a TLS handshake.
        expect: For the server to say that a body is welcome, where the request has ``Expect: 100-continue``; then it is
            sent all the same (RFC 9110 §10.1.1).
        write: Without the server taking a byte of the request.
        head: From the end of the request to the end of the response's head, however it trickles.
        body: Without a byte of the response's body.
        total: For all of it, from the call to the result: redirects, retries and the pauses between them. A response
            whose body is received piece by piece is the result as soon as its head is there; somebody has to begin to
            receive it within this time, too.

    Raises:
        ValueError: One is negative or infinite.
        TypeError: One is no number.
    """

    pool: float | None = 30.0
    connect: float | None = 10.0
    tls: float | None = 10.0
    expect: float | None = 1.0
    write: float | None = 30.0
    head: float | None = 60.0
    body: float | None = 30.0
    total: float | None = 300.0

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in _OPTIONS}
        check_options(_OPTIONS, given)
        for seconds in given.values():
            if seconds is not None:
                check_seconds(seconds)


_OPTIONS: Final[Kinds] = {field.name: NUMBER_OR_NONE for field in fields(ClientTimeouts)}
_TOLD: Final[dict[Phase, tuple[During, str]]] = {
    "pool": ("connect", "no connection was free within"),
    "write": ("write", "the server took nothing of the request for"),
    "head": ("read", "the head of the response did not come within"),
    "body": ("read", "nothing of the response's body came for"),
}


def late(phase: Phase, limit: float | None) -> RequestTimeout:
    """Return the error for a phase that tells no more than this.

    Args:
        phase: What was waited for.
        limit: Seconds that it could take.
    """
    during, told = _TOLD[phase]
    seconds = "too long" if limit is None else f"{limit:g} s"
    return RequestTimeout(f"{told} {seconds}", during=during, phase=phase)
