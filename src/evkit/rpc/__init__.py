"""MessagePack-RPC: a server and a client library, for evkit's peers and for all others that speak it."""

from evkit.rpc.backoff import Backoff
from evkit.rpc.budget import RetryBudget
from evkit.rpc.call import Call
from evkit.rpc.client import Client
from evkit.rpc.codec import Ext
from evkit.rpc.connection import Connection
from evkit.rpc.errors import (
    CallLost,
    CallTimeout,
    ClientClosed,
    HookAborted,
    InvalidParams,
    MethodError,
    Overloaded,
    RemoteCallError,
    RPCError,
    RPCProtocolError,
)
from evkit.rpc.hook_context import FrameContext, HookContext
from evkit.rpc.hooks import CONTINUE, INPUT, OUTPUT, PAUSE, TERMINATE, Hook, Hooks
from evkit.rpc.limits import Limits
from evkit.rpc.pending import DEFAULT, Pending
from evkit.rpc.pool import Pool
from evkit.rpc.protocol.messages import NOTIFICATION, REQUEST, RESPONSE
from evkit.rpc.server import Server
from evkit.rpc.service import Service
from evkit.rpc.sink import Sink
from evkit.rpc.stream import Stream

__all__ = [
    "CONTINUE",
    "DEFAULT",
    "INPUT",
    "NOTIFICATION",
    "OUTPUT",
    "PAUSE",
    "REQUEST",
    "RESPONSE",
    "TERMINATE",
    "Backoff",
    "Call",
    "CallLost",
    "CallTimeout",
    "Client",
    "ClientClosed",
    "Connection",
    "Ext",
    "FrameContext",
    "Hook",
    "HookAborted",
    "HookContext",
    "Hooks",
    "InvalidParams",
    "Limits",
    "MethodError",
    "Overloaded",
    "Pending",
    "Pool",
    "RPCError",
    "RPCProtocolError",
    "RemoteCallError",
    "RetryBudget",
    "Server",
    "Service",
    "Sink",
    "Stream",
]
