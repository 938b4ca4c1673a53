"""What a request goes by: the terms that all calls of a client share, and the wishes that one has of its own."""

from collections.abc import Callable
from dataclasses import dataclass

from evkit.core import BufferEvent, EventBase
from evkit.http.client.cookies import CookieJar
from evkit.http.client.deadlines import Limit
from evkit.http.client.destinations import Destinations
from evkit.http.client.pool import Pool
from evkit.http.client.redirects import Redirects
from evkit.http.client.request_fields import RequestFields
from evkit.http.client.response import Response
from evkit.http.client.retries import Retries, RetryBudget
from evkit.http.fields import Fields
from evkit.http.headers import Headers

Opened = Callable[[Response, BufferEvent], object]
"""``opened(response, bev)`` makes the result of a connection that has become something else."""


@dataclass(slots=True)
class Terms:
    """What all calls of a client have in common.

    Attributes:
        base: The event base.
        pool: Connections.
        fields: Of every request.
        redirects: Which are followed.
        retries: Which failures are tried again.
        budget: How many retries there may be in all.
        destinations: Where requests go.
        cookies: What servers want to be told again; ``None``: nobody keeps them.
        max_body: Bytes of a body that is received whole, decoded.
        decodes: Whether bodies are decoded.
    """

    base: EventBase
    pool: Pool
    fields: RequestFields
    redirects: Redirects
    retries: Retries
    budget: RetryBudget | None
    destinations: Destinations
    cookies: CookieJar | None
    max_body: int | None
    decodes: bool


@dataclass(slots=True)
class Wishes:
    """What one call has of its own.

    Attributes:
        stream: The result is there with the head, and the body is received piece by piece.
        follow: Follow redirects.
        waits: The body waits for the server's word.
        limit: Of time; ``None``: it may take any.
        on_interim: ``on_interim(status, headers)`` hears of interim responses, 103 for example.
        opened: See `Opened`; the request asks for another protocol.
        anew: Returns fields for one attempt, in place of those of the same names: what no two may have in common.
    """

    stream: bool = False
    follow: bool = True
    waits: bool = False
    limit: Limit | None = None
    on_interim: Callable[[int, Headers], object] | None = None
    opened: Opened | None = None
    anew: Callable[[], Fields] | None = None
