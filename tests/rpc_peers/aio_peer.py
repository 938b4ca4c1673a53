"""A peer on aio-msgpack-rpc: ``listen`` says its port and serves; ``connect PORT`` calls, and says what it got."""

import asyncio
import sys
from typing import Any

from aio_msgpack_rpc import Client, Server

CALLS = 500
"""How many are in flight together."""


class Methods:
    """What is served: plain functions, and coroutines that answer out of turn."""

    def __init__(self) -> None:
        self._notes: list[Any] = []

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def echo(self, value: Any) -> Any:
        return value

    def fail(self, text: str) -> None:
        raise ValueError(text)

    def note(self, value: Any) -> None:
        self._notes.append(value)

    def notes(self) -> list[Any]:
        return self._notes

    async def late(self, turns: int) -> int:
        """Answer after so many turns of the loop."""
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns


async def listen() -> None:
    server = await asyncio.start_server(Server(Methods()), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def connect(port: str) -> None:
    client = Client(*await asyncio.open_connection("127.0.0.1", int(port)), response_timeout=10)
    print("sum", await client.call("add", 2, 3))
    print("echo", ascii(await client.call("echo", {"list": [1, None, True], "Ω": -1.5, "bytes": b"\0\xff"})))
    for method, *arguments in (("fail", "bad luck"), ("absent",)):
        try:
            print("no error:", await client.call(method, *arguments))
        except Exception as exc:
            print("error", exc)
    await client.notify("note", "a note")
    squares = await asyncio.gather(*(client.call("square", number) for number in range(CALLS)))
    print("right", sum(square == number**2 for number, square in enumerate(squares)))
    client.close()


if __name__ == "__main__":
    asyncio.run(listen() if sys.argv[1] == "listen" else connect(sys.argv[2]))
