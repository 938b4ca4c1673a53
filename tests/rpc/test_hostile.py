"""Hostile bytes against a server on a real socket: it stays up, closes what it must, and serves the others."""

import random
import socket
import struct
from collections.abc import Iterator

import msgpack
import pytest

from evkit.core import EVLOOP_NONBLOCK, EventBase
from evkit.core.log import set_log_callback
from evkit.rpc import Call, Server
from rpc_aids import HOST

FRAMES = 20_000
"""A million were sent by hand."""


def value(chance: random.Random, depth: int = 0) -> object:
    """Make anything that MessagePack can carry."""
    kind = chance.randrange(10 if depth < 3 else 7)
    if kind < 2:
        return chance.choice([0, 1, 2, -1, 127, 2**32 - 1, 2**32, 2**63, -(2**63)])
    if kind < 4:
        return chance.choice(
            ["", "echo", "wait", "boom", "nix", "$/hello", "$/meta", "$/cancelRequest", "$/credit"]
        )
    if kind < 7:
        return chance.choice([None, True, 1.5, b"\xff" * chance.randrange(40), msgpack.ExtType(5, b"x")])
    if kind < 9:
        return [value(chance, depth + 1) for _ in range(chance.randrange(5))]
    return {chance.randrange(99): value(chance, depth + 1) for _ in range(chance.randrange(4))}


def frame(chance: random.Random, number: int) -> bytes:
    """Make a message that is good, odd or broken."""
    kind = chance.randrange(20)
    if kind < 10:
        name = chance.choice(["echo", "boom", "nix", "$/hello", "$/methods", "$/ping", "wait"])
        return bytes(msgpack.packb([0, number, name, [value(chance)]]))
    if kind < 14:
        name = chance.choice(
            ["echo", "nix", "$/meta", "$/cancelRequest", "$/next", "$/credit", "$/put", "$/end"]
        )
        return bytes(msgpack.packb([2, name, [chance.randrange(50), value(chance)]]))
    if kind < 16:
        return bytes(msgpack.packb([1, chance.randrange(50), value(chance), value(chance)]))
    if kind < 19:
        return bytes(msgpack.packb([chance.choice([0, 1, 2, 3]), *[value(chance) for _ in range(3)]]))
    return chance.randbytes(chance.randrange(1, 60))


class Attack:
    """A server, and clients that come and go."""

    def __init__(self, base: EventBase, seed: int) -> None:
        self._base = base
        self._chance = random.Random(seed)
        self.server = Server(base)
        self.server.register(lambda x: x, "echo")
        self.server.register(lambda x: 1 // 0, "boom")
        self.server.register(self._wait, "wait")
        self.where = (HOST, self.server.bind(HOST, 0).port)
        self.sent = 0

    @staticmethod
    def _wait(call: Call, what: object) -> None:
        call.defer()

    def settle(self) -> None:
        for _ in range(3):
            self._base.loop(EVLOOP_NONBLOCK)

    def client(self, frames: int) -> None:
        """Send frames, cut anywhere, as long as the server listens; then go, in one way or another."""
        chance = self._chance
        data = b"".join(frame(chance, number) for number in range(frames))
        self.sent += frames
        with socket.create_connection(self.where) as sock:
            sock.setblocking(False)
            try:
                while data:
                    size = chance.choice([1, 7, 1000, 50_000])
                    data = data[sock.send(data[:size]) :]
                    self.settle()
                    if chance.random() < 0.5:
                        sock.recv(1 << 20)
            except BlockingIOError:
                pass
            except OSError:
                return
            if chance.random() < 0.3:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def alive(self) -> bool:
        """Return whether another is served."""
        with socket.create_connection(self.where) as sock:
            sock.setblocking(False)
            sock.send(msgpack.packb([0, 7, "echo", ["there"]]))
            for _ in range(100):
                self.settle()
                try:
                    return bool(sock.recv(100) == msgpack.packb([1, 7, None, "there"]))
                except BlockingIOError:
                    continue
        return False


@pytest.fixture
def quiet() -> Iterator[None]:
    set_log_callback(lambda _severity, _line: None)
    yield
    set_log_callback(None)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_server_outlives_random_frames(
    base: EventBase, quiet: None, open_descriptors: None, seed: int
) -> None:
    escaped: list[BaseException] = []
    base.exception_handler = lambda exception, _source: escaped.append(exception)
    attack = Attack(base, seed)
    while attack.sent < FRAMES // 2:
        attack.client(25)
    assert attack.alive()
    attack.settle()
    assert {type(exception) for exception in escaped} <= {ZeroDivisionError}
    attack.server.close()
    attack.settle()
    assert attack.server._load.count == 0
