"""`TcpDoor`: which TCP connections are let in, and who goes when there is no room.

Knows nothing of what is said on a connection.
"""

import socket
from collections.abc import Callable
from typing import cast

from evkit.core import Listener, SocketBufferEvent
from evkit.core.net import Address
from evkit.dns.server.limits import Crowd, client_of
from evkit.dns.server.service import Service
from evkit.dns.server.tcp import TcpChannel


class TcpDoor:
    """The TCP connections of a port.

    Args:
        service: Has queries answered.
        emptied: Called when the last one is gone.
    """

    __slots__ = ("_channels", "_crowd", "_emptied", "_service", "listeners")

    def __init__(self, service: Service, emptied: Callable[[], object]) -> None:
        self.listeners: list[Listener] = []
        self._service = service
        self._emptied = emptied
        self._channels: dict[TcpChannel, None] = {}  # who has asked least lately first
        self._crowd = Crowd(service.limits.max_tcp_connections_per_client)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._channels)

    def add(self, listener: Listener) -> None:
        """Accept the connections of a listener, which the door owns from now on."""
        listener.set_callback(self._on_accept)
        self.listeners.append(listener)

    def _on_accept(self, listener: Listener, sock: socket.socket, address: object) -> None:  # noqa: ARG002 - a callback
        peer = cast(Address, address)
        if not self._has_room(peer):
            self._service.statistics.tcp_turned_away += 1
            sock.close()
            return
        bev = SocketBufferEvent(self._service.base, sock)
        self._channels[TcpChannel(self._service, bev, peer, self._on_used, self._on_left)] = None
        self._crowd.enter(client_of(peer))
        self._service.statistics.tcp_connections += 1

    def _has_room(self, address: Address) -> bool:
        if not self._crowd.has_room(client_of(address)):
            return False
        if len(self._channels) < self._service.limits.max_tcp_connections:
            return True
        for channel in self._channels:
            if channel.idle:
                self._service.statistics.tcp_turned_away += 1
                channel.close()
                return True
        return False

    def _on_used(self, channel: TcpChannel) -> None:
        del self._channels[channel]
        self._channels[channel] = None

    def _on_left(self, channel: TcpChannel) -> None:
        del self._channels[channel]
        self._crowd.leave(client_of(channel.address))
        if not self._channels:
            self._emptied()

    def stop(self) -> None:
        """Let nobody in, and everybody go who has what is due to him."""
        self._close_listeners()
        for channel in tuple(self._channels):
            channel.end()

    def close(self) -> None:
        """Close all connections now."""
        self._close_listeners()
        for channel in tuple(self._channels):
            channel.close()

    def _close_listeners(self) -> None:
        for listener in self.listeners:
            listener.close()
