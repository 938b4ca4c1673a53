"""Echo over grpcio, with threads: no protobuf, but msgpack for the one argument and the result."""

import argparse
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
import msgpack  # type: ignore[import-untyped]  # it has no types
from call_work import Payload, run

_METHOD: Final = "/bench.Echo/echo"
_THREADS: Final = 8
_OPTIONS: Final = (("grpc.so_reuseport", 0),)


def _echo(value: object, _context: grpc.ServicerContext) -> object:
    return value


def serve(port: int, _payload: Payload) -> None:
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=_OPTIONS)
    handler = grpc.unary_unary_rpc_method_handler(_echo, msgpack.unpackb, msgpack.packb)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"echo": handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


class Calls:
    """Its client, with the time-out that it has not unless it is told so."""

    def __init__(self, port: int, payload: Payload, _args: argparse.Namespace) -> None:
        self._payload = payload
        self._channel = channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        grpc.channel_ready_future(channel).result(10)
        self._echo = channel.unary_unary(_METHOD, msgpack.packb, msgpack.unpackb)

    def run(self, count: int, in_flight: int) -> int:
        """Make the calls; return how many came back right."""
        if in_flight == 1:
            return sum(self._echo(self._payload, timeout=10) == self._payload for _ in range(count))
        room = threading.Semaphore(in_flight)
        right = []

        def on_answer(future: Any) -> None:
            right.append(future.result() == self._payload)
            room.release()

        for _ in range(count):
            room.acquire()
            self._echo.future(self._payload, timeout=10).add_done_callback(on_answer)
        for _ in range(in_flight):
            room.acquire()
        return sum(right)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


if __name__ == "__main__":
    run(serve, Calls)
