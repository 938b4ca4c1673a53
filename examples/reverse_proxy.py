"""Pass requests on to another server, and its responses back: both as they come, and no faster than they are taken.

    python examples/reverse_proxy.py PORT URL
    python examples/reverse_proxy.py 8080 http://127.0.0.1:8000

No body is ever in memory as a whole. What is to be checked or changed on the way has its place here.
"""

import signal
import sys
from functools import partial

from evkit import EventBase, EvkitError, Future, LocalProtocolError
from evkit.http import BodyStream, Client, Headers, Request, Response, Server

NOT_PASSED_ON = {
    "connection",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
"""Fields for the next in line alone (RFC 9110 §7.6.1), as are those that ``Connection`` names."""


class Exchange:
    """One request and its response."""

    def __init__(self, client: Client, target: str, request: Request) -> None:
        self.request = request
        self.response: Response | None = None
        self.body = body_of(request)
        fields = [*passed_on(request.headers), ("X-Forwarded-For", request.client.rpartition(":")[0])]
        self.future = client.request(
            request.method, target + request.target, self.body, headers=fields, stream=True, follow=False
        )
        self.future.add_done_callback(self.on_response)
        request.on_close = self.on_gone
        request.receive(self.on_data, self.on_end)

    def on_data(self, request: Request, data: bytes) -> None:
        """Pass a piece of the body on, and take no more until it is on its way."""
        if self.body is not None:
            request.pause()
            self.body.send(data, drained=request.resume)

    def on_end(self, _request: Request) -> None:
        """Tell that this was all."""
        if self.body is not None:
            self.body.end()

    def on_response(self, future: Future[Response]) -> None:
        """Begin the reply."""
        if future.cancelled():
            return
        try:
            self.response = response = future.result()
        except EvkitError as error:
            self.request.send_error(502, str(error))
            return
        self.request.send_reply_start(response.status, passed_on(response.headers))
        response.receive(self.on_piece, self.on_done)

    def on_piece(self, response: Response, data: bytes) -> None:
        """Pass a piece of the response back, and take no more until it is on its way."""
        response.pause()
        self.request.send_reply_chunk(data, drained=response.resume)

    def on_done(self, _response: Response, error: Exception | None) -> None:
        """End the reply as the response has ended."""
        if error is None:
            self.request.send_reply_end()
        else:
            self.request.abort()

    def on_gone(self, _request: Request) -> None:
        """Ask for nothing that nobody waits for any more."""
        self.future.cancel()
        if self.response is not None:
            self.response.close()


def pass_on(client: Client, target: str, request: Request) -> None:
    """Begin with a request, or refuse what can't be asked for elsewhere, as ``OPTIONS *``."""
    try:
        Exchange(client, target, request)
    except (ValueError, LocalProtocolError) as error:
        request.send_error(400, str(error))


def body_of(request: Request) -> BodyStream | None:
    """Return what the request's body goes into; ``None``: it has none."""
    length = request.headers.get("Content-Length")
    if length is None and "Transfer-Encoding" not in request.headers:
        return None
    return BodyStream(None if length is None else int(length))


def passed_on(headers: Headers) -> list[tuple[str, str]]:
    """Return the fields that are for whoever is at the end of the line."""
    named = {name.strip().lower() for value in headers.get_all("Connection") for name in value.split(",")}
    return [(name, value) for name, value in headers if name.lower() not in NOT_PASSED_ON | named]


def main() -> None:
    """Serve until Ctrl-C."""
    with EventBase() as base, Client(base, decode=False) as client:
        server = Server(base)
        server.set_gencb(partial(pass_on, client, sys.argv[2].rstrip("/")), stream=True)
        listener = server.bind("127.0.0.1", int(sys.argv[1]))
        print(f"http://{listener.address}/ to {sys.argv[2]} (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: server.stop(stopped=base.loopexit)).add()
        base.dispatch()


if __name__ == "__main__":
    main()
