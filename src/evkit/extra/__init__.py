"""What libevent calls event_extra and is neither HTTP, DNS nor RPC: tagged data.

`evkit.extra.tagging` has the functions on single fields; this package has the classes of messages made of them.
"""

from evkit.extra.errors import TagError, TagIncomplete
from evkit.extra.rpc_language import RPCLanguageError, parse_rpc
from evkit.extra.tagged_message import Message, array, field, optional

__all__ = [
    "Message",
    "RPCLanguageError",
    "TagError",
    "TagIncomplete",
    "array",
    "field",
    "optional",
    "parse_rpc",
]
