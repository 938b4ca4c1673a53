"""A chat: whoever opens the page sees what all write, and who comes and goes.

    python examples/websocket_chat.py [PORT]
    chromium http://127.0.0.1:8080/

The page and the WebSocket share a port. A client that does not keep up is dropped and costs no more memory than
`WebSocketOptions.max_buffered` allows; one that has gone without a word is found by pings.
"""

import signal
import sys

from evkit import Event, EventBase
from evkit.http import Request, Server
from evkit.http.websocket import WebSocket, WebSocketGroup, WebSocketOptions, upgrade

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Chat</title>
<form id="form"><input id="line" autofocus autocomplete="off" placeholder="Say something"> <button>Send</button></form>
<ul id="said"></ul>
<script>
const socket = new WebSocket(location.href.replace(/^http/, "ws") + "chat", "chat");
const tell = text => { said.prepend(Object.assign(document.createElement("li"), {textContent: text})); };
socket.onmessage = event => tell(event.data);
socket.onclose = event => tell(event.reason || "The connection was lost.");
form.onsubmit = event => {
  event.preventDefault();
  if (line.value) socket.send(line.value);
  line.value = "";
};
</script>
"""
OPTIONS = WebSocketOptions(max_message=4096, max_buffered=1 << 20)


class Chat:
    """All who take part."""

    def __init__(self) -> None:
        self.guests = WebSocketGroup()
        self.names: dict[WebSocket, str] = {}
        self.count = 0

    def join(self, request: Request) -> None:
        """Let somebody in, or refuse: a handler."""
        ws = upgrade(
            request,
            self.on_message,
            on_close=self.on_close,
            subprotocols=["chat"],
            options=OPTIONS,
            group=self.guests,
        )
        if ws is not None:
            self.count += 1
            self.names[ws] = f"guest {self.count}"
            self.guests.broadcast(f"{self.names[ws]} comes in")

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        """Tell all what one has said."""
        if isinstance(data, str):
            self.guests.broadcast(f"{self.names[ws]}: {data}")
        else:
            ws.close(1003, "expected text")

    def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
        """Tell the others that one has gone."""
        name = self.names.pop(ws)
        print(f"{name} left: {code} {reason}".rstrip(), flush=True)
        if not self.guests.closing:
            self.guests.broadcast(f"{name} leaves")


def send_page(request: Request) -> None:
    """Answer with the page."""
    request.send_reply(200, PAGE, [("Content-Type", "text/html; charset=utf-8")])


def main() -> None:
    """Serve until Ctrl-C."""
    with EventBase() as base:
        chat = Chat()
        server = Server(base)
        server.set_cb("/", send_page)
        server.set_cb("/chat", chat.join)
        listener = server.bind("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
        print(f"http://{listener.address}/ (Ctrl-C stops)", flush=True)

        def on_interrupt(_event: Event, _what: int) -> None:
            server.stop()
            chat.guests.close(1001, "The chat is over.", closed=base.loopexit)

        base.signal(signal.SIGINT, on_interrupt).add()
        base.dispatch()
        server.close()


if __name__ == "__main__":
    main()
