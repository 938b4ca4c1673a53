"""MessagePack-RPC: a server and a client library, for evkit's peers and for all others that speak it."""

from evkit.rpc.client.backoff import Backoff
from evkit.rpc.client.client import Client
from evkit.rpc.connection.call import Call
from evkit.rpc.connection.connection import Connection
from evkit.rpc.connection.pending import DEFAULT, Pending
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
from evkit.rpc.hooks.context import FrameContext, HookContext
from evkit.rpc.hooks.hooks import CONTINUE, INPUT, OUTPUT, PAUSE, TERMINATE, Hook, Hooks
from evkit.rpc.limits import Limits
from evkit.rpc.pool.budget import RetryBudget
from evkit.rpc.pool.pool import Pool
from evkit.rpc.protocol.codec import Ext
from evkit.rpc.protocol.messages import NOTIFICATION, REQUEST, RESPONSE
from evkit.rpc.server import Server
from evkit.rpc.service.service import Service
from evkit.rpc.streams.sink import Sink
from evkit.rpc.streams.stream import Stream

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
