"""The echo server over an asyncio or uvloop ``Protocol``; see echo_libevent.c."""

import argparse
import asyncio
import importlib
from typing import cast


class Echo(asyncio.Protocol):
    """Writes what it is given."""

    __slots__ = ("_write",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what to answer with."""
        # uvloop's transport is none by inheritance.
        self._write = cast(asyncio.WriteTransport, transport).write

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self._write(data)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--loop", default="asyncio", choices=("asyncio", "uvloop"))
    args = parser.parse_args()
    loop: asyncio.AbstractEventLoop = importlib.import_module(args.loop).new_event_loop()
    loop.run_until_complete(loop.create_server(Echo, "127.0.0.1", args.port, backlog=1024))
    loop.run_forever()


if __name__ == "__main__":
    main()
