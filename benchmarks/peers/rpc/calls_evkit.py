"""Echo over evkit: each call is made by the callback of the one before, or by that of its future.

The server ends in order at SIGTERM, so that a profiler can write its file.
"""

import argparse
import signal
from typing import Any

from call_work import Payload, run

from evkit import EventBase, Future
from evkit.rpc import Client, Pending, Server


def serve(port: int, _payload: Payload) -> None:
    with EventBase() as base:
        server = Server(base)

        @server.method
        def echo(value: Any) -> Any:
            return value

        server.bind("127.0.0.1", port)
        base.signal(signal.SIGTERM, lambda *_: base.loopbreak()).add()
        base.dispatch()
        server.close()


class Calls:
    """So many calls, with its client's own time-out."""

    def __init__(self, port: int, payload: Payload, args: argparse.Namespace) -> None:
        self._base = EventBase()
        self._base.exception_handler = _fail
        self._client = Client(self._base, f"127.0.0.1:{port}")
        self._payload = payload
        self._futures = args.futures
        self._call = self._ask_future if args.futures else self._ask
        self._left = self._waiting = self._right = 0

    def run(self, count: int, in_flight: int) -> int:
        """Make the calls; return how many came back right."""
        if self._futures and in_flight == 1:
            return self._wait_for_each(count)
        self._left = self._waiting = count
        self._right = 0
        for _ in range(min(count, in_flight)):
            self._call()
        self._base.dispatch()
        return self._right

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
        self._base.close()

    def _wait_for_each(self, count: int) -> int:
        call, payload = self._client.call, self._payload
        return sum(call("echo", payload).result() == payload for _ in range(count))

    def _ask(self) -> None:
        self._left -= 1
        self._client.start_call("echo", [self._payload], self._on_answer)

    def _on_answer(self, pending: Pending) -> None:
        self._take(pending.error is None and pending.value == self._payload)

    def _ask_future(self) -> None:
        self._left -= 1
        self._client.call("echo", self._payload).add_done_callback(self._on_future)

    def _on_future(self, future: Future[Any]) -> None:
        self._take(future.result() == self._payload)

    def _take(self, right: bool) -> None:
        self._right += right
        self._waiting -= 1
        if self._left:
            self._call()
        elif not self._waiting:
            self._base.loopbreak()


def _fail(exception: BaseException, source: object) -> None:  # noqa: ARG001 - a callback
    raise SystemExit(repr(exception))


if __name__ == "__main__":
    run(serve, Calls)
