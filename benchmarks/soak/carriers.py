"""What carries the bytes of a soak's connections: sockets, pairs, filters, TLS, and a pipe in the middle.

`Carriers` decides what a connection is made of. It knows nothing of who uses it.
"""

import socket
import ssl
from collections.abc import Callable
from typing import Final

from evkit.core import (
    BEV_ERROR,
    BEV_NEED_MORE,
    BEV_NORMAL,
    BEV_OK,
    EV_READ,
    EV_WRITE,
    Buffer,
    BufferEvent,
    FilterBufferEvent,
    PairBufferEvent,
    Pipe,
    SocketBufferEvent,
    TLSBufferEvent,
    pipe,
)
from soak.world import PlannedError, World, check

Ends = tuple[BufferEvent, BufferEvent]
_SWAP: Final = bytes(255 - number for number in range(256))


class Carriers:
    """Makes the two ends of connections.

    Args:
        world: Where they live.

    Attributes:
        disturbed: Ends of a pipe in whose middle something has happened: bytes may stay away.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._given_back: list[BufferEvent] = []  # below filters that don't close them, and from pipes
        self._pipes: dict[Pipe, Ends] = {}
        self.disturbed: list[BufferEvent] = []
        self._tls = _contexts()

    def sockets(self) -> tuple[SocketBufferEvent, SocketBufferEvent]:
        """Make two ends over sockets."""
        one, other = socket.socketpair()
        defer = self.world.random.random() < 0.3
        base = self.world.base
        return SocketBufferEvent(base, one, defer_callbacks=defer), SocketBufferEvent(base, other)

    def _below(self) -> Ends:
        if self.world.random.random() < 0.5:
            return self.sockets()
        return PairBufferEvent.pair(self.world.base)

    def pair(self) -> Ends:
        """Make two ends in memory."""
        return PairBufferEvent.pair(self.world.base, eof_on_close=self.world.random.random() < 0.8)

    def filters(self) -> Ends:
        """Make two ends, each over another, that swap all bytes."""
        below = self._below()
        closes = self.world.random.random() < 0.8
        if not closes:
            self._given_back += below
        defer = self.world.random.random() < 0.3
        one, other = (
            FilterBufferEvent(bev, self._filter, self._filter, close_underlying=closes, defer_callbacks=defer)
            for bev in below
        )
        return one, other

    def _filter(self, source: Buffer, sink: Buffer, limit: int, mode: int) -> int:
        chance = 1.0 if self.world.muted else self.world.random.random()
        if chance < 0.002:
            return BEV_ERROR
        if chance < 0.004:
            raise PlannedError("a filter fails")
        if chance < 0.01 and mode == BEV_NORMAL:
            return BEV_NEED_MORE
        data = source.remove(limit)
        sink.add(data.translate(_SWAP))
        return BEV_OK

    def tls(self) -> Ends:
        """Make two ends that are encrypted."""
        below = self._below()
        client, server = self._tls
        one = TLSBufferEvent(below[0], client, defer_callbacks=self.world.random.random() < 0.3)
        return one, TLSBufferEvent(below[1], server, server_side=True)

    def piped(self) -> Ends:
        """Join two connections in the middle: what goes in at one end comes out at the other."""
        first, second = self._below(), self.sockets()
        joint = pipe(first[1], second[0], high=self.world.random.choice((100, 100_000)))
        joint.on_close = self._on_pipe_closed
        self._pipes[joint] = first[0], second[1]
        return first[0], second[1]

    def _on_pipe_closed(self, joint: Pipe) -> None:
        check(joint in self._pipes and joint.closed, "closed twice, or not at all:", joint)
        del self._pipes[joint]
        self.world.react()

    def use_pipe(self) -> None:
        """Do something to a pipe, or to one of the two connections that it has joined; mostly it lives on."""
        if not self._pipes:
            return
        joint = self.world.random.choice(list(self._pipes))
        self.world.note(joint)
        self.disturbed += self._pipes[joint]
        chance = self.world.random.random()
        if chance < 0.1:
            joint.close()
        elif chance < 0.2:
            joint.detach()
            del self._pipes[joint]
            self._given_back += joint.a, joint.b
        else:
            self._disturb(self.world.random.choice((joint.a, joint.b)))

    def _disturb(self, bev: BufferEvent) -> None:
        """Do what any program may do to a connection whose callbacks it does not have."""
        direction = self.world.random.choice((EV_READ, EV_WRITE))
        acts: tuple[Callable[[], object], ...] = (
            lambda: bev.disable(direction),
            lambda: bev.enable(EV_READ | EV_WRITE),
            lambda: bev.enable(EV_READ | EV_WRITE),
            lambda: bev.flush(direction),
            lambda: bev.set_timeouts(5.0, 5.0),
            lambda: bev.set_priority(self.world.random.randrange(3)),
            bev.shutdown_write,
            bev.close,
        )
        self.world.random.choice(acts)()

    def let_go(self) -> None:
        """Close what no connection closes; a pipe whose ends have gone must close by itself."""
        for bev in self._given_back:
            bev.close()
        for joint in self._pipes:
            for bev in (joint.a, joint.b):
                if not bev.closed:
                    bev.enable(EV_READ | EV_WRITE)  # which a program has disabled
        self._given_back.clear()
        self.disturbed.clear()

    def verify_gone(self) -> None:
        """See that all pipes have ended."""
        check(not self._pipes, "not closed though both its peers are:", list(self._pipes))


def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make contexts for a client and a server without certificates: nobody has to prove anything here."""
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    for context in (client, server):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")
    return client, server
