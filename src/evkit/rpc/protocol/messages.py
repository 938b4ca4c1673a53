"""What a message is, as its first element says. Source: the MessagePack-RPC specification, "type"."""

from typing import Final

REQUEST: Final = 0
RESPONSE: Final = 1
NOTIFICATION: Final = 2
