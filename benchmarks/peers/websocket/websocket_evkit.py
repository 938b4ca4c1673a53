"""The WebSocket echo server over evkit; SIGTERM ends it in order, so that a profiler can write its file."""

import signal
import sys

from evkit import EventBase
from evkit.http import Request, Server
from evkit.http.websocket import WebSocket, upgrade


def on_message(ws: WebSocket, data: str | bytes) -> None:
    ws.send(data)


def on_request(request: Request) -> None:
    upgrade(request, on_message)


def main() -> None:
    with EventBase() as base:
        server = Server(base)
        server.set_cb("/", on_request)
        server.bind("127.0.0.1", int(sys.argv[1]))
        base.signal(signal.SIGTERM, lambda *_: base.loopbreak()).add()
        base.dispatch()
        server.close()


if __name__ == "__main__":
    main()
