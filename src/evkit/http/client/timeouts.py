"""How long a client waits, by what it waits for."""

from dataclasses import dataclass, fields

from evkit.core.timers import check_seconds


@dataclass(frozen=True, slots=True)
class ClientTimeouts:
    """How long each part of a request may take, in seconds; ``None``: for ever.

    What takes longer fails with a `RequestTimeout` that names the part.

    Attributes:
        pool: For a free connection, where as many are in use as may be.
        connect: From the first address that is tried to a connection, and for a proxy's word that its tunnel is there.
            How long a name may take to look up is the resolver's matter.
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
        ValueError: One is negative or not a number.
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
        for field in fields(self):
            seconds = getattr(self, field.name)
            if seconds is not None:
                check_seconds(seconds)
