"""MessagePack-RPC: a server and a client library, for evkit's peers and for all others that speak it."""

from evkit.rpc.backoff import Backoff
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
from evkit.rpc.limits import Limits
from evkit.rpc.pending import DEFAULT, Pending
from evkit.rpc.server import Server
from evkit.rpc.service import Service

__all__ = [
    "DEFAULT",
    "Backoff",
    "Call",
    "CallLost",
    "CallTimeout",
    "Client",
    "ClientClosed",
    "Connection",
    "Ext",
    "HookAborted",
    "InvalidParams",
    "Limits",
    "MethodError",
    "Overloaded",
    "Pending",
    "RPCError",
    "RPCProtocolError",
    "RemoteCallError",
    "Server",
    "Service",
]
