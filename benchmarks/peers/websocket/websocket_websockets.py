"""The WebSocket echo server over websockets, with its accelerator in C; ``--loop uvloop`` is for another loop."""

import argparse
import asyncio

import websockets.speedups  # noqa: F401 - it is what the figures are about
from websockets.asyncio.server import ServerConnection, serve


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def run(port: int) -> None:
    async with serve(echo, "127.0.0.1", port, compression=None):
        await asyncio.get_running_loop().create_future()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("port", type=int)
    args = parser.parse_args()
    if args.loop == "uvloop":
        import uvloop

        uvloop.run(run(args.port))
    else:
        asyncio.run(run(args.port))


if __name__ == "__main__":
    main()
