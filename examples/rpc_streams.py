"""Streams, in all three directions: numbers that come, lines that go, and both at once.

python examples/rpc_streams.py serve [PORT]
python examples/rpc_streams.py count PORT NUMBER
python examples/rpc_streams.py total PORT NUMBER...
python examples/rpc_streams.py shout PORT < FILE
"""

import signal
import sys
from collections.abc import Iterator

from evkit import EventBase
from evkit.rpc import Call, Client, Server, Stream


def count(number: int) -> Iterator[int]:
    """Send numbers: a generator is asked for no more than the caller takes, and closed when it takes no more."""
    yield from range(1, number + 1)


def total(call: Call) -> None:
    """Add up the numbers that the caller sends."""
    numbers: list[float] = []
    call.defer()
    call.items.set_callbacks(
        item=lambda _stream, number: numbers.append(number),
        end=lambda _stream: call.reply(sum(numbers)),
    )


def shout(call: Call) -> None:
    """Send back each line in capitals, and read no more lines than the caller reads of those."""
    lines: Stream[str] = call.items

    def on_line(stream: Stream[str], line: str) -> None:
        if not call.send(line.upper()):
            stream.set_callbacks()  # they wait, until there is room again

    def go_on() -> None:
        lines.set_callbacks(item=on_line, end=lambda _stream: call.reply())

    call.defer()
    call.on_ready = go_on
    go_on()


def serve(port: int) -> None:
    """Serve until Ctrl-C."""
    with EventBase() as base:
        server = Server(base)
        for method in (count, total, shout):
            server.register(method)
        print(f"{server.bind('127.0.0.1', port).address} (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: server.stop(stopped=base.loopexit)).add()
        base.dispatch()


def show(items: Stream[object]) -> None:
    """Print what comes, as it comes, and the answer after it."""
    for item in items:
        print(item, flush=True)
    answer = items.result.result()
    if answer is not None:
        print(answer)


def main() -> None:
    """Do what the command line says."""
    command, *arguments = sys.argv[1:]
    if command == "serve":
        serve(int(arguments[0]) if arguments else 7000)
        return
    with EventBase() as base, Client(base, f"127.0.0.1:{arguments[0]}", hello=True) as client:
        if command == "count":
            show(client.stream("count", int(arguments[1])))
        elif command == "total":
            show(client.stream("total", items=map(float, arguments[1:])))
        else:
            show(client.stream("shout", items=(line.rstrip("\n") for line in sys.stdin)))


if __name__ == "__main__":
    main()
