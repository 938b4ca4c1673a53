"""Send every client back what it sends, and never hold more than a bounded part of it.

    python examples/echo_server.py [PORT]
    nc 127.0.0.1 7777

A client that sends but does not read fills the output. At `HIGH` bytes nothing more is read from it, so that TCP makes
it wait; when no more than `LOW` are left, the write callback lets it go on.
"""

import signal
import socket
import sys

from evkit import BEV_EVENT_EOF, EV_READ, EV_WRITE, BufferEvent, EventBase, Listener, SocketBufferEvent

HIGH = 65536
LOW = 16384


def on_accept(listener: Listener, sock: socket.socket, _address: object) -> None:
    """Begin with a client."""
    bev = SocketBufferEvent(listener.base, sock)
    bev.set_callbacks(read=on_read, write=on_drained, event=on_event)
    bev.set_watermark(EV_READ, high=HIGH)
    bev.set_watermark(EV_WRITE, low=LOW)
    bev.enable(EV_READ)


def on_read(bev: BufferEvent) -> None:
    """Echo; the bytes are handed on and not copied."""
    bev.output.add_buffer(bev.input)
    if len(bev.output) >= HIGH:
        bev.disable(EV_READ)


def on_drained(bev: BufferEvent) -> None:
    """Read on: the client has taken most of what it sent."""
    bev.enable(EV_READ)


def on_event(bev: BufferEvent, what: int) -> None:
    """End with a client: after the last byte if it has said all, else at once."""
    if what & BEV_EVENT_EOF:
        bev.close_when_drained()
    else:
        bev.close()


def main() -> None:
    """Serve until Ctrl-C."""
    with EventBase() as base:
        listener = Listener.bind(
            base, on_accept, ("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 7777)
        )
        print(f"{listener.address} (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: base.loopexit()).add()
        base.dispatch()
        listener.close()


if __name__ == "__main__":
    main()
