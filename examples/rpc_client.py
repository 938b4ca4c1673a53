"""Call the functions of rpc_server.py: with futures, with a callback, and the other way round.

python examples/rpc_client.py [PORT]
"""

import sys

from evkit import EventBase
from evkit.rpc import Client, Pending, RemoteCallError, RPCError, Service

here = Service()


@here.method
def ordered(what: str, left: int) -> None:
    """Hear from the server that somebody has ordered something."""
    print(f"news: {left} x {what} left")


def on_reminded(call: Pending) -> None:
    """Hear what `remind` has answered."""
    print(call.error or call.value)


def make_calls(client: Client) -> None:
    """Call in three ways."""
    print(client.proxy.add(2, 3).result())
    client.start_call("remind", [0.1, "time is up"], on_reminded)  # answered last
    sums = [client.call("add", number, number) for number in range(5)]  # all under way at once
    print([future.result() for future in sums])
    print(client.call("order", "tea", 2).result(), "left")
    try:
        client.call("order", "tea", 100).result()
    except RemoteCallError as error:
        print(f"{error.message} ({error.code})")
    client.call("remind", 0.2, "").result(timeout=5)


def main() -> None:
    """Call a server; with ``reconnect=None`` calls fail at once where there is none."""
    where = ("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 7000)
    with EventBase() as base, Client(base, where, service=here, hello=True, reconnect=None) as client:
        try:
            make_calls(client)
        except RPCError as error:
            sys.exit(f"{error}: {client.error}")


if __name__ == "__main__":
    main()
