"""Send every datagram back to where it came from.

python examples/udp_echo.py [PORT]
nc -u 127.0.0.1 7777
"""

import signal
import sys

from evkit import DatagramEndpoint, EventBase, TransportError
from evkit.core.net import Address, format_address


def on_receive(endpoint: DatagramEndpoint, data: bytes, address: Address) -> None:
    """Echo. Where nobody takes the answers, the queue fills, and what doesn't fit is lost, as datagrams may be."""
    endpoint.send(data, address)


def on_error(_endpoint: DatagramEndpoint, error: TransportError, address: Address | None) -> None:
    """Tell of an answer that could not be sent, or of what went wrong otherwise; the next one is not concerned."""
    place = "" if address is None else f"{format_address(address)}: "
    print(f"{place}{error}", flush=True)


def main() -> None:
    """Serve until Ctrl-C."""
    with EventBase() as base:
        endpoint = DatagramEndpoint.bind(base, ("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 7777))
        endpoint.set_callbacks(receive=on_receive, error=on_error)
        print(f"{endpoint.address} (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: base.loopexit()).add()
        base.dispatch()
        endpoint.close()


if __name__ == "__main__":
    main()
