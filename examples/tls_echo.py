"""Send every client back what it sends, encrypted; `echo_server.py` over TLS.

    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout server.pem -out server.pem
    python examples/tls_echo.py server.pem [PORT]
    openssl s_client -connect 127.0.0.1:7777 -CAfile server.pem -verify_hostname localhost -verify_return_error -quiet

A client is connected when its handshake is done; one that takes too long for it, or speaks no TLS, is told of here.
"""

import signal
import socket
import ssl
import sys
from functools import partial

from evkit import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    EV_READ,
    EV_WRITE,
    BufferEvent,
    EventBase,
    Listener,
    TLSBufferEvent,
)

HIGH = 65536
LOW = 16384
PATIENCE = 10
"""Seconds for a handshake."""


def on_accept(context: ssl.SSLContext, listener: Listener, sock: socket.socket, _address: object) -> None:
    """Begin with a client; the handshake begins by itself."""
    bev = TLSBufferEvent.over_socket(
        listener.base, sock, context, server_side=True, handshake_timeout=PATIENCE
    )
    bev.set_callbacks(read=on_read, write=on_drained, event=on_event)
    bev.set_watermark(EV_READ, high=HIGH)
    bev.set_watermark(EV_WRITE, low=LOW)
    bev.enable(EV_READ)


def on_read(bev: BufferEvent) -> None:
    """Echo, and read no more while the client does not take it."""
    bev.output.add_buffer(bev.input)
    if len(bev.output) >= HIGH:
        bev.disable(EV_READ)


def on_drained(bev: BufferEvent) -> None:
    """Read on: the client has taken most of what it sent."""
    bev.enable(EV_READ)


def on_event(bev: BufferEvent, what: int) -> None:
    """Tell how it goes. The peer's close_notify is its end; an end without it is an error: somebody may have cut it."""
    if what & BEV_EVENT_CONNECTED:
        assert isinstance(bev, TLSBufferEvent)
        print(f"connected by {bev.ssl_object.version()}", flush=True)
    elif what & BEV_EVENT_EOF:
        bev.close_when_drained()  # with a close_notify of its own
    else:
        print(bev.error, flush=True)
        bev.close()


def main() -> None:
    """Serve until Ctrl-C."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[1])  # the certificate, and its key
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 7777
    with EventBase() as base:
        listener = Listener.bind(base, partial(on_accept, context), ("127.0.0.1", port))
        print(f"{listener.address} (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: base.loopexit()).add()
        base.dispatch()
        listener.close()


if __name__ == "__main__":
    main()
