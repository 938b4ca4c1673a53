"""Greet whoever asks.

python examples/hello.py [PORT]
curl http://127.0.0.1:8080/
"""

import signal
import sys

from evkit import EventBase
from evkit.http import Request, Server

base = EventBase()
server = Server(base)


@server.route("/")
def hello(request: Request) -> None:
    """Answer a request."""
    request.send_reply(200, b"Hello, world!\n", [("Content-Type", "text/plain")])


listener = server.bind("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
print(f"http://{listener.address}/ (Ctrl-C stops)", flush=True)
base.signal(signal.SIGINT, lambda *_: server.stop(stopped=base.loopexit)).add()
base.dispatch()
base.close()
