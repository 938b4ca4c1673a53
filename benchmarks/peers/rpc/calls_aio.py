"""Echo over aio-msgpack-rpc, on asyncio: as many tasks as calls in flight, each makes one call after the other."""

import argparse
import asyncio

from aio_msgpack_rpc import Client, Server
from call_work import Payload, run


class Methods:
    """What is served."""

    def echo(self, value: object) -> object:
        """Give it back."""
        return value


async def _serve(port: int) -> None:
    server = await asyncio.start_server(Server(Methods()), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


def serve(port: int, _payload: Payload) -> None:
    asyncio.run(_serve(port))


class Calls:
    """Its client, which times calls out, too."""

    def __init__(self, port: int, payload: Payload, _args: argparse.Namespace) -> None:
        self._payload = payload
        self._runner = asyncio.Runner()
        self._client = self._runner.run(self._connect(port))

    async def _connect(self, port: int) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        return Client(reader, writer, response_timeout=10)

    def run(self, count: int, in_flight: int) -> int:
        """Make the calls; return how many came back right."""
        return self._runner.run(self._call_all(count, in_flight))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
        self._runner.close()

    async def _call_all(self, count: int, in_flight: int) -> int:
        if in_flight == 1:
            return await self._one_after_the_other(count)
        shares = [count // in_flight + (index < count % in_flight) for index in range(in_flight)]
        return sum(await asyncio.gather(*map(self._one_after_the_other, shares)))

    async def _one_after_the_other(self, count: int) -> int:
        right = 0
        for _ in range(count):
            right += await self._client.call("echo", self._payload) == self._payload
        return right


if __name__ == "__main__":
    run(serve, Calls)
