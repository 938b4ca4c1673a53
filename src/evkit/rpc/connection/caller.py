"""`Caller`: the ways to call, which a connection, a client and a pool have in common.

It decides how a call is asked for, and knows nothing of how it gets to the peer: that is `Caller.begin`'s business.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from evkit.core.event import check_callback
from evkit.core.future import Future
from evkit.core.timers import check_seconds
from evkit.rpc.connection.pending import DEFAULT, Default, Done, FuturePending, Pending, Timeout
from evkit.rpc.streams.credit import DEFAULT_WINDOW

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.rpc.streams.stream import Stream


class Caller:
    """What one can call through."""

    __slots__ = ()

    @property
    def base(self) -> "EventBase":
        """The event base."""
        raise NotImplementedError

    def begin(self, pending: Pending, params: list[Any]) -> None:
        """Send a call off, or keep it until it can be.

        Raises:
            TypeError, ValueError, OverflowError: Something among the parameters can't be sent.
            RPCError: Nothing can be called here any more, or not now.
        """
        raise NotImplementedError

    def notify(self, method: str, *params: Any) -> None:
        """Tell the peer something, to which there is no answer.

        Args:
            method: The name of the method.
            params: What MessagePack can carry.

        Raises:
            TypeError, ValueError, OverflowError: Something among the parameters can't be sent.
            RPCError: Nothing can be sent here any more, or not now.
        """
        raise NotImplementedError

    def call(
        self,
        method: str,
        *params: Any,
        timeout: Timeout = DEFAULT,
        metadata: dict[str, Any] | None = None,
    ) -> Future[Any]:
        """Call a method of the peer.

        Args:
            method: The name of the method.
            params: What MessagePack can carry: ``None``, numbers, text, bytes, lists, tuples, dicts, `Ext` and aware
                ``datetime``.
            timeout: Seconds until the future fails with `CallTimeout`, whatever is the matter; ``None``: no limit.
                Left out: what the client has for all calls.
            metadata: What goes beside the parameters, for peers that have agreed to metadata; others don't get it. The
                names ``"deadline_ms"``, ``"credit"`` and ``"items"`` are the protocol's own.

        Returns:
            A future of what the method returns. It fails with `RemoteCallError` if the peer says so, and with another
            `RPCError` if there is no answer. Cancelling it gives the call up, and tells a peer that understands.

        Raises:
            TypeError, ValueError, OverflowError: Something can't be sent, or a name in ``metadata`` is not for callers.
            RPCError: Nothing can be called here any more, or not now.

        Source: ``EVRPC_MAKE_REQUEST``, and the callback of its context by the future.
        """
        pending = FuturePending(self.base, method, checked(timeout), metadata)
        self.begin(pending, list(params))
        return pending.future

    def start_call(
        self,
        method: str,
        params: Iterable[Any],
        done: Done,
        *,
        timeout: Timeout = DEFAULT,
        metadata: dict[str, Any] | None = None,
    ) -> Pending:
        """Call a method, and be called back: the way that costs least.

        Args:
            method: The name of the method.
            params: As the parameters of `call`.
            done: ``done(pending)``, once, from the loop: its ``error`` is ``None``, or tells why it has no ``value``.
            timeout: As for `call`.
            metadata: As for `call`.

        Returns:
            The call, to `Pending.cancel` it.

        Raises: As `call`.

        Source: ``evrpc_send_request_generic``.
        """
        if timeout is not DEFAULT:
            checked(timeout)
        pending = Pending(method, check_callback(done), timeout, metadata)
        self.begin(pending, params if type(params) is list else list(params))
        return pending

    def stream(
        self,
        method: str,
        *params: Any,
        items: Iterable[Any] | bool | None = None,
        timeout: Timeout = None,
        metadata: dict[str, Any] | None = None,
        window: int = DEFAULT_WINDOW,
    ) -> "Stream[Any]":
        """Call a method whose answer comes as items, or which takes items, or both.

        The peer has to know streams, which a hello tells. From another it gets all items at once, and sends it none.

        Args:
            method: The name of the method.
            params: As for `call`.
            items: What to send beside the parameters, while there is room for it; ``True``: the program sends them, by
                ``stream.sink``.
            timeout: Seconds until the call is over, with all its items; ``None``: no limit.
            metadata: As for `call`.
            window: How many items may wait here to be taken; the peer sends no more than that.

        Returns:
            The items of the answer.

        Raises:
            TypeError, ValueError, OverflowError: Something can't be sent, or ``window`` is none.
            RPCError: As `call`.
        """
        from evkit.rpc.streams.calling import StreamPending  # for those who use it

        pending = StreamPending(self.base, method, checked(timeout), metadata, window, items)
        self.begin(pending, list(params))
        return pending.stream

    @property
    def proxy(self) -> "Proxy":
        """The methods of the peer as attributes: ``proxy.add(2, 3)`` is ``call("add", 2, 3)``."""
        return Proxy(self)


class Proxy:
    """The methods of a peer, as attributes; ``proxy.math.add`` is the method ``math.add``.

    Args:
        caller: Who calls.
        prefix: What stands before the names.
    """

    __slots__ = ("_caller", "_prefix")

    def __init__(self, caller: Caller, prefix: str = "") -> None:
        self._caller = caller
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"<Proxy {self._prefix or '*'} of {self._caller!r}>"

    def __getattr__(self, name: str) -> "Proxy":
        if name.startswith("__"):  # what Python itself asks for
            raise AttributeError(name)
        return Proxy(self._caller, f"{self._prefix}.{name}" if self._prefix else name)

    def __call__(self, *params: Any, timeout: Timeout = DEFAULT) -> Future[Any]:
        """Call the method; see `Caller.call`."""
        return self._caller.call(self._prefix, *params, timeout=timeout)


def checked(timeout: Timeout) -> Timeout:
    """Refuse what is no time-out.

    Raises:
        ValueError: It is negative, infinite, or no number.
    """
    if timeout is not None and not isinstance(timeout, Default):
        check_seconds(timeout)
    return timeout
