"""Hooks: every message is compressed, and every call is asked for a password.

python examples/rpc_hooks.py serve PASSWORD [PORT]
python examples/rpc_hooks.py call PASSWORD PORT TEXT
"""

import hmac
import signal
import sys
import zlib

from evkit import EventBase
from evkit.rpc import (
    CONTINUE,
    INPUT,
    OUTPUT,
    REQUEST,
    TERMINATE,
    Client,
    FrameContext,
    HookContext,
    MethodError,
    RPCError,
    Server,
)

WORTH_IT = 200
"""Bytes from which on a message is compressed."""
MOST = 4 << 20
"""Bytes that a compressed message may become: it is easy to send gigabytes in a few kilobytes."""
BIN_32 = 0xC6
"""What compressed messages are sent as: MessagePack's longest kind of binary data, which no message is."""


def compress(frame: FrameContext) -> None:
    """Send a long message as binary data."""
    if len(frame.data) >= WORTH_IT:
        packed = zlib.compress(frame.data)
        frame.data = bytes([BIN_32]) + len(packed).to_bytes(4, "big") + packed


def decompress(frame: FrameContext) -> int:
    """Make a message of binary data. What is raised here ends the connection, as TERMINATE does."""
    if frame.data[0] != BIN_32:
        return CONTINUE
    unpacking = zlib.decompressobj()
    frame.data = unpacking.decompress(frame.data[5:], MOST)
    return CONTINUE if unpacking.eof else TERMINATE


def add_compression(peer: Client | Server) -> None:
    """Compress and decompress; both sides have to."""
    peer.add_hook(OUTPUT, compress, frames=True)
    peer.add_hook(INPUT, decompress, frames=True)


class Password:
    """Shows a password with each request that goes, and asks for it with each that comes."""

    def __init__(self, password: str) -> None:
        self.password = password

    def show(self, context: HookContext) -> None:
        """Put it beside the parameters."""
        if context.type == REQUEST:
            context.metadata["password"] = self.password

    def ask(self, context: HookContext) -> int:
        """Answer with an error where it is missing or wrong. A hook that has to ask elsewhere returns PAUSE."""
        shown = str(context.metadata.get("password"))
        if hmac.compare_digest(shown.encode(errors="replace"), self.password.encode()):
            return CONTINUE
        context.error = MethodError("wrong password")
        return TERMINATE


def serve(password: str, port: int) -> None:
    """Serve until Ctrl-C."""
    with EventBase() as base:
        server = Server(base)
        add_compression(server)
        server.add_hook(INPUT, Password(password).ask)
        server.register(lambda text: text * 1000, "thousandfold")
        print(f"{server.bind('127.0.0.1', port).address} (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: server.stop(stopped=base.loopexit)).add()
        base.dispatch()


def call(password: str, port: int, text: str) -> None:
    """Make a call."""
    with (
        EventBase() as base,
        Client(base, ("127.0.0.1", port), hello=True) as client,
    ):  # the hello is for metadata
        add_compression(client)
        client.add_hook(OUTPUT, Password(password).show)
        try:
            print(f"{len(client.call('thousandfold', text).result())} characters")
        except RPCError as error:
            sys.exit(str(error))


def main() -> None:
    """Do what the command line says."""
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 7000)
    else:
        call(sys.argv[2], int(sys.argv[3]), sys.argv[4])


if __name__ == "__main__":
    main()
