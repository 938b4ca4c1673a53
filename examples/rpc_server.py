"""Serve functions to other programs.

python examples/rpc_server.py [PORT]
evkit rpc methods 127.0.0.1:7000
evkit rpc call 127.0.0.1:7000 add 2 3
"""

import signal
import sys

from evkit import EventBase
from evkit.rpc import Call, Connection, MethodError, Server

base = EventBase()
server = Server(base)
stock = {"tea": 3, "coffee": 1}


@server.method
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


@server.method
def order(what: str, number: int = 1) -> int:
    """Take something out of the stock; return what is left. All clients hear of it."""
    left = stock.get(what, 0) - number
    if left < 0:
        raise MethodError(f"there is no {what} left", code=404, data=stock)
    stock[what] = left
    for connection in server.connections:
        connection.notify("ordered", what, left)
    return left


@server.method
def remind(call: Call, seconds: float, text: str) -> None:
    """Answer later. Meanwhile others are served, and this client, too."""
    call.defer()
    timer = base.timer(lambda *_: call.reply(text))
    timer.add(seconds)
    call.on_cancel = lambda _: timer.free()


def on_connect(connection: Connection) -> None:
    """Say who is there."""
    print(f"{connection.peer} is there", flush=True)


server.on_connect = on_connect
server.on_disconnect = lambda connection: print(f"{connection.peer} is gone", flush=True)
listener = server.bind("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 7000)
print(f"{listener.address} (Ctrl-C stops)", flush=True)
base.signal(signal.SIGINT, lambda *_: server.stop(stopped=base.loopexit)).add()
base.dispatch()
base.close()
