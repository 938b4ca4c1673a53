"""Tell all who listen what time it is: server-sent events, on one timer for all clients.

    python examples/server_sent_events.py [PORT [SECONDS BETWEEN EVENTS]]
    chromium http://127.0.0.1:8080/
    curl -N http://127.0.0.1:8080/events

A client that goes is forgotten. One that does not read misses events until it has taken the last one, and so costs no
memory.
"""

import signal
import sys
import time

from evkit import Event, EventBase
from evkit.http import Request, Server

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Server-sent events</title>
<p>It is <b id="time">not known yet</b>, and <b id="clients">nobody</b> listens.
<script>
const source = new EventSource("/events");  // connects again by itself
source.onmessage = event => {
  [time.textContent, clients.textContent] = event.data.split(" ");
};
</script>
"""


class Feed:
    """All who listen."""

    __slots__ = ("clients", "ready", "timer")

    def __init__(self, base: EventBase, interval: float) -> None:
        self.clients: set[Request] = set()
        self.ready: set[Request] = set()  # those of them that have taken all so far
        self.timer = base.timer(self.on_timer, persist=True)
        self.timer.add(interval)

    def join(self, request: Request) -> None:
        """Begin a reply that has no end."""
        headers = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]
        request.send_reply_start(200, headers)
        request.on_close = self.leave
        self.clients.add(request)
        self.send(request, "retry: 1000\n\n")

    def leave(self, request: Request) -> None:
        """Forget a client that has gone."""
        self.clients.discard(request)
        self.ready.discard(request)

    def send(self, request: Request, text: str) -> None:
        """Send a client something; it gets no more before it has taken this."""
        self.ready.discard(request)
        request.send_reply_chunk(text, drained=lambda: self.ready.add(request))

    def on_timer(self, _event: Event, _what: int) -> None:
        """Tell all that are ready."""
        event = f"data: {time.strftime('%H:%M:%S')} {len(self.clients)}\n\n"
        for request in tuple(self.ready):
            self.send(request, event)

    def close(self) -> None:
        """End all replies: a server that stops waits for them."""
        self.timer.free()
        for request in tuple(self.clients):
            request.send_reply_end()


def send_page(request: Request) -> None:
    """Answer with the page that listens."""
    request.send_reply(200, PAGE, [("Content-Type", "text/html; charset=utf-8")])


def main() -> None:
    """Serve until Ctrl-C."""
    with EventBase() as base:
        feed = Feed(base, float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
        server = Server(base)
        server.set_cb("/", send_page)
        server.set_cb("/events", feed.join, methods=("GET",))
        listener = server.bind("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
        print(f"http://{listener.address}/ (Ctrl-C stops)", flush=True)

        def on_interrupt(_event: Event, _what: int) -> None:
            server.stop(stopped=base.loopexit)
            feed.close()

        base.signal(signal.SIGINT, on_interrupt).add()
        base.dispatch()


if __name__ == "__main__":
    main()
