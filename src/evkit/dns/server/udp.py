"""`UdpChannel`: queries in datagrams, and their replies.

The doer: it hands what comes to the `Service`, and replies to where it came from.
"""

import socket
from typing import Literal

from evkit.core.datagram import DatagramEndpoint
from evkit.core.net import Address
from evkit.dns.server.request import ServerRequest
from evkit.dns.server.service import Service


class UdpChannel:
    """A datagram socket on which queries come in.

    Args:
        service: Has them answered.
        sock: A bound datagram socket, which the channel owns from now on.

    Attributes:
        endpoint: The endpoint over it.

    Raises:
        ValueError: The socket is of another kind, or connected. It is still the caller's then.

    Source: ``evdns_add_server_port_with_base``.
    """

    __slots__ = ("_service", "endpoint")

    transport: Literal["udp"] = "udp"

    def __init__(self, service: Service, sock: socket.socket) -> None:
        if _is_connected(sock):
            raise ValueError(f"expected a socket that anybody may send to, got a connected one: {sock!r}")
        self._service = service
        self.endpoint = DatagramEndpoint(service.base, sock, self._on_receive)

    def _on_receive(self, endpoint: DatagramEndpoint, data: bytes, address: Address | None) -> None:  # noqa: ARG002 - a callback
        if not address or (
            isinstance(address, tuple) and not address[1]
        ):  # no name, or port 0: a forged sender
            self._service.statistics.ignored += 1
            return
        outcome = self._service.receive(data, address, self)
        if isinstance(outcome, bytes) and outcome:
            self._send(outcome, address)

    def _send(self, reply: bytes, address: Address) -> bool:
        if self.endpoint.closed:
            return False
        sent = self.endpoint.send(reply, address)
        if sent:
            self._service.statistics.replies += 1
        else:
            self._service.statistics.unsent += 1
        return sent

    def finish(self, request: ServerRequest, reply: bytes | None) -> bool:
        """See `Channel.finish`."""
        sent = reply is not None and self._send(reply, request.address)
        self._service.finished(request)
        return sent


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
