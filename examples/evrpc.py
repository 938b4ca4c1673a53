"""Talk to programs that use libevent's evrpc: serve a call, or make one.

    python examples/evrpc.py serve [PORT]
    python examples/evrpc.py call PORT TEXT NUMBER

A call of evrpc is a POST to `/.rpc.NAME`, whose body is a message of tagged data, as is that of the answer. (libevent's
client sends no Host field unless it is told to, by a hook on its pool; evkit's server insists on one.)
"""

import signal
import sys

from evkit import EventBase, Future
from evkit.extra import Message, TagError, field
from evkit.http import Client, Request, Response, Server

TYPE = [("Content-Type", "application/octet-stream")]


class Echo(Message):
    """What is asked, and what is answered: `struct Echo { string text = 1; int number = 2; }`."""

    text: str = field(1)
    number: int = field(2)


def on_echo(request: Request) -> None:
    """Answer a call; as evrpc, with 503 if it is none."""
    try:
        asked = Echo.unmarshal(request.body)
    except TagError as error:
        request.send_reply(503, f"{error}\n")
    else:
        answer = Echo(text=f"hello {asked.text}", number=(asked.number + 1) % 2**32)
        request.send_reply(200, answer.marshal(), TYPE)


def call(client: Client, url: str, message: Echo) -> Future[Response]:
    """Make a call; what is answered is the body of the response."""
    return client.post(url + "/.rpc.Echo", body=message.marshal(), headers=TYPE)


def serve(port: int) -> None:
    """Serve until Ctrl-C."""
    with EventBase() as base:
        server = Server(base)
        server.set_cb("/.rpc.Echo", on_echo, methods=["POST"])
        print(f"http://{server.bind('127.0.0.1', port).address} (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: server.stop(stopped=base.loopexit)).add()
        base.dispatch()


def main() -> None:
    """Do what the command line says."""
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]) if len(sys.argv) > 2 else 8080)
    else:
        port, text, number = sys.argv[2:]
        with EventBase() as base, Client(base) as client:
            response = call(client, f"http://127.0.0.1:{port}", Echo(text=text, number=int(number))).result()
            response.raise_for_status()
            answer = Echo.unmarshal(response.body)
            print(answer.text, answer.number)


if __name__ == "__main__":
    main()
