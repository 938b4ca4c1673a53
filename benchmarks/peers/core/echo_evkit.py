"""The echo server over evkit's bufferevents; see echo_libevent.c.

SIGTERM ends it in order, so that a profiler can write its file: ``python -m cProfile -o FILE echo_evkit.py PORT``.
"""

import signal
import socket
import sys

from evkit import EV_READ, BufferEvent, EventBase, Listener, SocketBufferEvent


def on_read(bev: BufferEvent) -> None:
    bev.output.add_buffer(bev.input)


def on_event(bev: BufferEvent, _what: int) -> None:
    bev.close()


def on_accept(listener: Listener, sock: socket.socket, _address: object) -> None:
    bev = SocketBufferEvent(listener.base, sock)
    bev.set_callbacks(read=on_read, event=on_event)
    bev.enable(EV_READ)


def main() -> None:
    with EventBase() as base:
        listener = Listener.bind(base, on_accept, ("127.0.0.1", int(sys.argv[1])))
        base.signal(signal.SIGTERM, lambda *_: base.loopbreak()).add()
        base.dispatch()
        listener.close()


if __name__ == "__main__":
    main()
