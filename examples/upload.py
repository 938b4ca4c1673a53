"""Take uploads of any size, piece by piece, and tell how many bytes came.

    python examples/upload.py [PORT]
    curl -T FILE http://127.0.0.1:8080/

The body never is in memory as a whole: ``stream=True`` has the handler called with the head alone, and each piece of
the body goes to `Upload.on_data` as it comes.
"""

import signal
import sys

from evkit import EventBase
from evkit.http import Request, Server


class Upload:
    """One upload under way."""

    __slots__ = ("size",)

    def __init__(self, request: Request) -> None:
        self.size = 0
        request.on_close = self.on_close
        request.receive(self.on_data, self.on_end)

    def on_data(self, _request: Request, data: bytes) -> None:
        """Take a piece."""
        self.size += len(data)

    def on_end(self, request: Request) -> None:
        """Answer: that was all."""
        request.send_reply(200, f"{self.size} bytes\n", [("Content-Type", "text/plain")])

    def on_close(self, request: Request) -> None:
        """Hear that the client has gone before the end."""
        print(f"{request.target}: gone after {self.size} bytes", flush=True)


def take(request: Request) -> None:
    """Begin an upload, or say how to."""
    if request.method in ("PUT", "POST"):
        Upload(request)
    else:
        request.send_reply(405, b"try: curl -T FILE\n", [("Allow", "PUT, POST")])


def main() -> None:
    """Serve until Ctrl-C."""
    with EventBase() as base:
        server = Server(base)
        server.set_gencb(take, stream=True)
        listener = server.bind("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
        print(f"http://{listener.address}/ (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: server.stop(stopped=base.loopexit)).add()
        base.dispatch()


if __name__ == "__main__":
    main()
