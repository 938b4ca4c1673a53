"""What a hook is called with: one call as it passes, or one frame.

It decides what a hook may look at, change and keep. It knows nothing of when hooks run.
"""

from typing import Any, Final

from evkit.rpc.hooks.hooks import INPUT, Chain, check_verdict

_TYPES: Final = ("request", "response", "notification")


class Context:
    """What both kinds have.

    Attributes:
        connection: The connection that it passes.
        direction: `INPUT` or `OUTPUT`.
        chain: The hooks that it passes; for who runs them.
    """

    __slots__ = ("chain", "connection", "direction")

    def __init__(self, connection: Any, direction: int) -> None:
        self.connection = connection
        self.direction = direction
        self.chain: Chain[Any] | None = None

    @property
    def paused(self) -> bool:
        """Whether a hook has paused it, and nobody has resumed it."""
        return self.chain is not None and self.chain.paused

    def resume(self, verdict: int) -> None:
        """Go on after a hook has returned `PAUSE`: with the next hook, or not at all. Any thread may call it.

        What has ended meanwhile, by its deadline, by a cancel or with its connection, stays so: nothing happens.

        Args:
            verdict: `CONTINUE` or `TERMINATE`.

        Raises:
            ValueError: ``verdict`` is neither.
            LocalProtocolError: No hook has paused, or it was resumed already. From another thread the base's exception
                handler gets to hear of it.

        Source: ``evrpc_resume_request``.
        """
        check_verdict(verdict)
        assert self.chain is not None  # only hooks get to see a context
        base = self.connection.base
        if base.in_thread():
            self.chain.resume(self, verdict)
        else:
            base.call_soon_threadsafe(self.chain.resume, self, verdict)

    def abandon(self) -> None:
        """Call no more hooks: what they are called about is over. For who runs them."""
        if self.chain is not None:
            self.chain.abandon()


class HookContext(Context):
    """One call, or one notification, as hooks see it.

    Whoever answers a request meets its hooks with the same context for the response, as does whoever made the request:
    so `add_meta` hands things from one to the other. What a hook changes of a message is what the next hook, and at
    last the peer or the handler, gets to see.

    Attributes:
        type: `REQUEST`, `RESPONSE` or `NOTIFICATION`.
        method: The name of the method.
        params: The arguments, a list.
        error: Of a response: what went wrong, as it is on the wire; ``None``: nothing did. A hook that stops a request
            that has come may set it before: the peer gets it as the answer.
        result: Of a response: the result.
        metadata: Of the request: what its caller says beside it, such as ``"traceparent"``; sent to peers that have
            said that they know metadata.
    """

    __slots__ = ("_meta", "error", "metadata", "method", "params", "result", "type")

    def __init__(
        self,
        connection: Any,
        direction: int,
        type: int,  # noqa: A002 - the specification's term
        method: str,
        params: Any,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(connection, direction)
        self.type = type
        self.method = method
        self.params = params
        self.error: Any = None
        self.result: Any = None
        self.metadata: dict[str, Any] = {} if metadata is None else metadata
        self._meta: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<HookContext {_direction(self)} {_TYPES[self.type]} {self.method!r}>"

    def add_meta(self, key: str, value: Any) -> None:
        """Keep something for the hooks that come later in this call. Source: ``evrpc_hook_add_meta``."""
        if self._meta is None:
            self._meta = {}
        self._meta[key] = value

    def find_meta(self, key: str, default: Any = None) -> Any:
        """Return what was kept, or ``default``. Source: ``evrpc_hook_find_meta``, for bytes alone."""
        return default if self._meta is None else self._meta.get(key, default)


class FrameContext(Context):
    """One frame, which is the bytes of one MessagePack object.

    Attributes:
        data: The bytes. On the way out they may become whatever is one MessagePack object that the peer's hooks make
            the message of; on the way in they have to be one message after the last hook.
    """

    __slots__ = ("data",)

    def __init__(self, connection: Any, direction: int, data: bytes) -> None:
        super().__init__(connection, direction)
        self.data = data

    def __repr__(self) -> str:
        return f"<FrameContext {_direction(self)} {len(self.data)} bytes>"


def _direction(context: Context) -> str:
    return "INPUT" if context.direction == INPUT else "OUTPUT"
