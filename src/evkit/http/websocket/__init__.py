"""WebSocket (RFC 6455) and its compression (RFC 7692), for both ends.

request ──► upgrade ──► websocket ◄── client ◄── connect
                     life, group
deciders: handshake (extensions, origins), reader (message), writer, deflate, frames (codes, masking), options
doers:    upgrade, client and connect (open), websocket (reads, sends, calls back), life (pings, closes), group
"""

from evkit.http.websocket.client import open_client
from evkit.http.websocket.connect import connect
from evkit.http.websocket.deflate import Deflate
from evkit.http.websocket.errors import HandshakeError, WebSocketError
from evkit.http.websocket.group import WebSocketGroup
from evkit.http.websocket.handshake import ClientHandshake
from evkit.http.websocket.options import WebSocketOptions
from evkit.http.websocket.upgrade import upgrade
from evkit.http.websocket.websocket import WebSocket

__all__ = [
    "ClientHandshake",
    "Deflate",
    "HandshakeError",
    "WebSocket",
    "WebSocketError",
    "WebSocketGroup",
    "WebSocketOptions",
    "connect",
    "open_client",
    "upgrade",
]
