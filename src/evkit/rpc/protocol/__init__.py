"""MessagePack-RPC without input and output: bytes in, checked messages out, and the two id spaces.

For who brings a transport of its own: a `Session` for each connection, with the `Coders` that those of one server or
client share, and a `Receiver` that hears what has come.
"""

from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.session import Receiver, Session

__all__ = ["Coders", "Receiver", "Session"]
