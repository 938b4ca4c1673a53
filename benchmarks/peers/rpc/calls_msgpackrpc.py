"""Echo over msgpack-rpc-python, on an old Tornado: a future for each call, and a window of those in flight."""

import argparse
from collections import deque

import msgpackrpc
from call_work import Payload, run
from tornado.tcpserver import TCPServer


class Methods:
    """What is served."""

    def echo(self, value: object) -> object:
        """Give it back."""
        return value


def _encoding(payload: Payload) -> str | None:
    """Have text come as text: it knows one type for both."""
    return "utf-8" if isinstance(payload, str) else None


def serve(port: int, payload: Payload) -> None:
    listen = TCPServer.listen
    # It would listen on all addresses, whatever it is told.
    TCPServer.listen = lambda self, port: listen(self, port, "127.0.0.1")
    server = msgpackrpc.Server(Methods(), unpack_encoding=_encoding(payload))
    server.listen(msgpackrpc.Address("127.0.0.1", port))
    server.start()


class Calls:
    """Its client, which times calls out, too."""

    def __init__(self, port: int, payload: Payload, _args: argparse.Namespace) -> None:
        self._payload = payload
        address = msgpackrpc.Address("127.0.0.1", port)
        self._client = msgpackrpc.Client(address, timeout=10, unpack_encoding=_encoding(payload))

    def run(self, count: int, in_flight: int) -> int:
        """Make the calls; return how many came back right."""
        call, payload, right = self._client.call_async, self._payload, 0
        window = deque(call("echo", payload) for _ in range(min(count, in_flight)))
        for _ in range(count - len(window)):
            right += window.popleft().get() == payload
            window.append(call("echo", payload))
        total: int = right + sum(future.get() == payload for future in window)
        return total

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


if __name__ == "__main__":
    run(serve, Calls)
