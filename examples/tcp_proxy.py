"""Pass connections on to another server, and never hold more than a bounded part of what they send.

python examples/tcp_proxy.py PORT ADDRESS:PORT
python examples/tcp_proxy.py 7777 127.0.0.1:80
"""

import signal
import socket
import sys
from functools import partial

from evkit import EventBase, Listener, Pipe, SocketBufferEvent, pipe
from evkit.core.net import Address, format_address, parse_sockaddr_port

PATIENCE = 60
"""Seconds in which either side must take something, and the server be reached."""


def on_accept(target: Address, listener: Listener, sock: socket.socket, address: object) -> None:
    """Begin with a client; what it sends while the server is being reached waits."""
    server = SocketBufferEvent(listener.base)
    server.connect(target)
    client = SocketBufferEvent(listener.base, sock)
    for bev in (client, server):
        bev.set_timeouts(write=PATIENCE)
    pipe(client, server).on_close = partial(on_close, address)


def on_close(address: object, joined: Pipe) -> None:
    """Tell what has passed."""
    end = "" if joined.error is None else f", {joined.error}"
    print(f"{format_address(address)}: {joined.a_to_b} bytes out, {joined.b_to_a} back{end}", flush=True)


def main() -> None:
    """Serve until Ctrl-C."""
    target = parse_sockaddr_port(sys.argv[2])
    with EventBase() as base:
        listener = Listener.bind(base, partial(on_accept, target), ("127.0.0.1", int(sys.argv[1])))
        print(f"{listener.address} to {format_address(target)} (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: base.loopexit()).add()
        base.dispatch()
        listener.close()


if __name__ == "__main__":
    main()
