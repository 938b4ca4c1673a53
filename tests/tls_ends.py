"""A client and a server of `TLSBufferEvent`, joined in memory: by a pair, or by the test, which carries the bytes."""

import socket
import ssl
from collections.abc import Iterator

import pytest

from below import Below, Ear, turn
from certificates import Certificates
from evkit.core.base import EventBase
from evkit.core.bufferevent import BufferEvent
from evkit.core.bufferevent.pair import PairBufferEvent
from evkit.core.bufferevent.tls import TLSBufferEvent
from evkit.core.flags import (
    EV_READ,
    EV_WRITE,
)
from evkit.testing import FakeBase

BOTH = EV_READ | EV_WRITE
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
Pair = tuple[socket.socket, socket.socket]


class Ends:
    """A client and a server, and what they hear."""

    def __init__(self, client: TLSBufferEvent, server: TLSBufferEvent) -> None:
        self.base = client.base
        self.client, self.server = client, server
        self.client_ear, self.server_ear = Ear(client), Ear(server)

    def shake(self) -> "Ends":
        """Have both ends connected and reading."""
        turn(self.base)
        assert self.client_ear.take() == self.server_ear.take() == ["CONNECTED"]
        self.client.enable(EV_READ)
        self.server.enable(EV_READ)
        turn(self.base)
        return self

    def close(self) -> None:
        self.client.close()
        self.server.close()
        turn(self.base)


def over(
    client_below: BufferEvent,
    server_below: BufferEvent,
    certificates: Certificates,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    *,
    close_underlying: bool = True,
    context: ssl.SSLContext | None = None,
) -> Ends:
    for_client, for_server = certificates.both(version)
    client = TLSBufferEvent(
        client_below, for_client, server_hostname="localhost", close_underlying=close_underlying
    )
    return Ends(client, TLSBufferEvent(server_below, context or for_server, server_side=True))


@pytest.fixture(params=VERSIONS, ids=str, name="version")
def make_version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    chosen: ssl.TLSVersion = request.param
    return chosen


@pytest.fixture(name="ends")
def make_ends(fakes: FakeBase, certificates: Certificates, version: ssl.TLSVersion) -> Iterator[Ends]:
    """A client and a server over a pair: no time passes, and no system call is made."""
    ends = over(*PairBufferEvent.pair(fakes.base), certificates, version)
    yield ends
    ends.close()


@pytest.fixture(name="wired")
def make_wired(fakes: FakeBase, certificates: Certificates, version: ssl.TLSVersion) -> Iterator["Wire"]:
    wire = Wire(fakes.base, certificates, version)
    yield wire
    wire.ends.close()


class Wire:
    """A client and a server, and between them the test, which carries the bytes."""

    def __init__(
        self,
        base: EventBase,
        certificates: Certificates,
        version: ssl.TLSVersion,
        *,
        close_underlying: bool = True,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.base = base
        self.client, self.server = Below(base), Below(base)
        self.ends = over(
            self.client,
            self.server,
            certificates,
            version,
            close_underlying=close_underlying,
            context=context,
        )

    def carry(self, size: int | None = None, *, rounds: int = 8) -> None:
        """Carry what is there both ways, in pieces of ``size``, until there is no more."""
        for _ in range(rounds):
            turn(self.base)
            for source, target in ((self.client, self.server), (self.server, self.client)):
                while source.sent and target.reads():
                    piece = source.sent[:size]
                    source.sent = source.sent[len(piece) :]
                    target.arrive(piece)

    def shake(self) -> Ends:
        self.carry()
        self.ends.shake()
        self.carry()  # tickets of TLS 1.3
        return self.ends
