"""What the RPC side of evkit reports on its own account.

    RPCError
    ├── RemoteCallError           .code, .message, .data, .raw, .method: the peer answered with an error
    ├── CallTimeout               .method, .timeout: no answer in time (also a TimeoutError)
    ├── CallLost                  .method, .sent: the connection ended first (also a ConnectionError)
    ├── ClientClosed              this program closed the client, the pool or the connection
    ├── Overloaded                a queue or a number of calls has reached its limit
    ├── HookAborted               a hook ended the call
    └── MethodError               .code, .message, .data: what a handler raises to answer with an error of its own
        └── InvalidParams         the parameters are not what the method takes
    RemoteProtocolError
    └── RPCProtocolError          .reason, .offset: what came is no message, or passes a limit

The codes are those of JSON-RPC 2.0 §5.1 and of LSP where they have one, else of JSON-RPC's range for servers. The tree
above it is in `evkit.errors`. This module knows nothing of how an error looks on the wire.
"""

from typing import Final

from evkit.errors import EvkitError, RemoteProtocolError

INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
OVERLOADED: Final = -32001
DEADLINE_EXCEEDED: Final = -32002
ABORTED_BY_HOOK: Final = -32003
CANCELLED: Final = -32800
"""The caller has cancelled the call; the number is LSP's ``RequestCancelled``."""

# As much of a peer's text as a line of a log bears.
_LINE: Final = 1024


def escaped(text: str, most: int = _LINE) -> str:
    """Return a text as one line: no control characters, no lone surrogates, cut.

    Args:
        text: From a peer or from an exception.
        most: How many characters the line may have, ``>= 1``; the last of a cut one is an ellipsis.

    Source: CWE-117, "Improper Output Neutralization for Logs".
    """
    line = text[: most + 1]
    if not line.isprintable():
        line = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
    return line if len(line) <= most else line[: most - 1] + "…"


class RPCError(EvkitError):
    """A call has failed; the root of this package's errors, but for the peer's faults of protocol."""


class RemoteCallError(RPCError):
    """The peer answered a call with an error; its text is good for a line of a log.

    Attributes:
        method: What was called.
        raw: The error as it came: peers agree on no shape.
        message: In words, as far as a shape is known; it may have any characters, and any length.
        code: A number, or a name as of a class; ``None`` where there is none.
        data: What came with it.
    """

    def __init__(
        self,
        method: str,
        raw: object,
        message: str,
        *,
        code: int | str | None = None,
        data: object = None,
    ) -> None:
        super().__init__(method, raw, message)
        self.method = method
        self.raw = raw
        self.message = message
        self.code = code
        self.data = data

    def __str__(self) -> str:
        code = "" if self.code is None else f" [{self.code}]"
        return escaped(f"{self.method}:{code} {self.message}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.method, self.raw, self.message), self.__dict__


class CallTimeout(RPCError, TimeoutError):  # noqa: N818 - a time-out by its name, as TransportTimeout
    """No answer came in time. The call may have been served all the same.

    Attributes:
        method: What was called.
        timeout: How long it had, in seconds.
    """

    def __init__(self, method: str, timeout: float) -> None:
        super().__init__(method)  # not more, which an OSError would take for its errno
        self.method = method
        self.timeout = timeout

    def __str__(self) -> str:
        return escaped(f"{self.method}: no answer in {self.timeout:g} s")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.method, self.timeout), self.__dict__


class CallLost(RPCError, ConnectionError):  # noqa: N818 - as ConnectionLost
    """The connection ended before the answer came; why it did is the ``__cause__``, if that is known.

    Attributes:
        method: What was called.
        sent: Whether the call may have reached the peer. If not, it can be repeated without harm.
    """

    def __init__(self, method: str, *, sent: bool) -> None:
        super().__init__(method)
        self.method = method
        self.sent = sent

    def __str__(self) -> str:
        reach = "it may have been served" if self.sent else "it was not sent"
        return escaped(f"{self.method}: the connection ended before the answer; {reach}")

    def __reduce__(self) -> tuple[object, ...]:
        return _call_lost, (self.method, self.sent), self.__dict__


def _call_lost(method: str, sent: bool) -> CallLost:
    return CallLost(method, sent=sent)


class ClientClosed(RPCError):  # noqa: N818 - what has happened, as ConnectionLost
    """This program has closed what the call would go through, or was waiting in."""


class Overloaded(RPCError):  # noqa: N818 - as above
    """A limit of this program is reached: calls in flight, or calls that wait to be sent."""


class HookAborted(RPCError):  # noqa: N818 - as above
    """A hook ended the call.

    Source: ``EVRPC_STATUS_ERR_HOOKABORTED``.
    """


class MethodError(RPCError):
    """What a handler raises to answer with an error of its own: the caller gets the message as it is.

    Attributes:
        message: For the caller, in words.
        code: A number for the caller to act upon; those from -32768 to -32000 are JSON-RPC's. ``None``: none.
        data: Whatever else is to be told; it is sent where the caller understands structured errors, as is the code.
        raw: What to send in place of all that, for callers that expect a shape of their own, as Neovim's clients
            ``[type, message]``; ``None``: nothing.

    A subclass may have a ``code`` of its own in the class, and an ``__init__`` that does not call this one.
    """

    message: str = ""
    code: int | str | None = None
    data: object = None
    raw: object = None

    def __init__(
        self, message: str, code: int | str | None = None, data: object = None, *, raw: object = None
    ) -> None:
        super().__init__(message, code, data)
        self.message = message
        self.code = self.code if code is None else code
        self.data = data
        self.raw = raw

    def __str__(self) -> str:
        return self.message if "message" in vars(self) else super().__str__()


class InvalidParams(MethodError):  # noqa: N818 - JSON-RPC's name for it
    """The parameters are not what the method takes; its code is -32602."""

    def __init__(self, message: str, data: object = None) -> None:
        super().__init__(message, INVALID_PARAMS, data)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.data), self.__dict__


class RPCProtocolError(RemoteProtocolError):
    """What the peer sent is no MessagePack, no message, or passes a limit; the connection ends.

    Attributes:
        reason: What was expected, and what came.
        offset: Bytes from the beginning of the connection, as near to the fault as is known.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return f"{escaped(self.reason)} (at byte {self.offset})"
