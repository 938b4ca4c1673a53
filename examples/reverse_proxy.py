"""Pass requests on to another server, and its responses back: both as they come, and no faster than they are taken.

    python examples/reverse_proxy.py PORT URL
    python examples/reverse_proxy.py 8080 http://127.0.0.1:8000

No body is ever in memory as a whole. WebSockets pass, too. What fails is told on standard error.
"""

import signal
import sys
import time

from evkit import EventBase
from evkit.http import Request, Response, ReverseProxy, Server


def check(request: Request, fields: list[tuple[str, str]]) -> None:
    """Answer what the server is not to be asked; tell it more than the client does."""
    if request.path == "/robots.txt":
        request.send_reply(200, "User-agent: *\nDisallow: /\n", [("Content-Type", "text/plain")])
    fields.append(("X-Request-Start", f"t={time.time():.3f}"))


def mark(request: Request, response: Response, fields: list[tuple[str, str]]) -> None:
    """Tell of what comes back, and change it."""
    print(f"{request.client} {request.method} {request.raw_path}: {response.status}", flush=True)
    fields.append(("X-Served-By", "reverse_proxy.py"))


def main() -> None:
    """Serve until Ctrl-C."""
    with EventBase() as base, ReverseProxy(base, sys.argv[2]) as proxy:
        proxy.on_request, proxy.on_response = check, mark
        server = Server(base)
        server.set_gencb(proxy, stream=True)
        listener = server.bind("127.0.0.1", int(sys.argv[1]))
        print(f"http://{listener.address}/ to {sys.argv[2]} (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: server.stop(stopped=base.loopexit)).add()
        base.dispatch()


if __name__ == "__main__":
    main()
