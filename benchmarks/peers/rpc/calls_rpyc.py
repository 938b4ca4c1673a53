"""Echo over rpyc, with a thread for the connection: a window of those in flight.

It is told not to delay small packets, which it does otherwise, and then takes 40 ms for 64 KiB; nor to compress.
"""

import argparse
import socket
from collections import deque

import rpyc
from call_work import Payload, run
from rpyc.utils.server import ThreadedServer


class Methods(rpyc.Service):  # type: ignore[misc]  # it has no types
    """What is served."""

    def on_connect(self, conn: rpyc.Connection) -> None:
        """Have this end do as the other."""
        conn._channel.compress = False
        conn._channel.stream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exposed_echo(self, value: object) -> object:
        """Give it back."""
        return value


def serve(port: int, _payload: Payload) -> None:
    ThreadedServer(Methods, hostname="127.0.0.1", port=port, backlog=1024).start()


class Calls:
    """Its client, which times calls out after 30 s."""

    def __init__(self, port: int, payload: Payload, _args: argparse.Namespace) -> None:
        self._payload = payload
        stream = rpyc.SocketStream.connect("127.0.0.1", port, nodelay=True)
        self._connection = rpyc.connect_stream(stream)
        self._connection._channel.compress = False
        self._echo = self._connection.root.echo

    def run(self, count: int, in_flight: int) -> int:
        """Make the calls; return how many came back right."""
        payload, right = self._payload, 0
        if in_flight == 1:
            return sum(self._echo(payload) == payload for _ in range(count))
        call = rpyc.async_(self._echo)
        window = deque(call(payload) for _ in range(min(count, in_flight)))
        for _ in range(count - len(window)):
            right += window.popleft().value == payload
            window.append(call(payload))
        total: int = right + sum(result.value == payload for result in window)
        return total

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


if __name__ == "__main__":
    run(serve, Calls)
