"""`ConnectRace`: connects to whichever of several addresses answers first.

The doer for `evkit.core.happy_eyeballs`, which decides what is tried when: here sockets are made, waited for and
closed. It looks no names up, and what becomes of the connection is its owner's business.
"""

import os
import socket
from collections.abc import Callable, Iterable
from errno import EINVAL, ETIMEDOUT
from typing import TYPE_CHECKING

from evkit.core.event import Deferred, Event, check_callback
from evkit.core.flags import EV_WRITE
from evkit.core.happy_eyeballs import CONNECTION_ATTEMPT_DELAY, HappyEyeballs, Outcome, Step
from evkit.core.net import CONNECT_GOES_ON, Address, begin_connecting, bind_local, family_of, stream_socket
from evkit.errors import LoopError

if TYPE_CHECKING:
    from evkit.core.base import EventBase

ConnectErrors = list[tuple[Address, OSError]]
"""What each address failed with, in the order in which they failed."""
RaceCallback = Callable[["ConnectRace", socket.socket | None, ConnectErrors], object]
"""``callback(race, sock, errors)``; ``sock`` is ``None`` when every address failed, or the time was up."""


def _system_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


class ConnectRace:
    """Connects to the first of several addresses that answers.

    Args:
        base: The event base to run on.
        addresses: Numeric addresses, or paths of unix sockets, in the order in which the resolver gave them; families
            take turns, and each address is tried once. Those after the first 64 are not tried.
        callback: ``callback(race, sock, errors)`` is called once, from the loop. It owns ``sock``, a connected
            non-blocking stream socket, from the call on.
        timeout: Seconds ``>= 0`` for all of it; ``None``: as long as the system tries.
        delay: Seconds to wait for an address before the next one is tried beside it, 0.1 to 2.
        local: The address to connect from; ``None``: the system chooses. Addresses of another family fail.

    Attributes:
        base: The event base.
        errors: What has failed until now. An address whose attempt was given up for another that won is not among
            them; one that was given up since the time was up is, with a ``TimeoutError``.
        outcome: How it stands.

    Raises:
        ValueError: There is no address, one is a host name or none, or a time is out of range.
        TypeError: ``callback`` can't be called.

    Source: RFC 8305; libevent connects to the first address only.
    """

    __slots__ = (
        "_attempts",
        "_callback",
        "_local",
        "_plan",
        "_report",
        "_started",
        "_timer",
        "_winner",
        "base",
        "errors",
    )

    def __init__(
        self,
        base: "EventBase",
        addresses: Iterable[Address],
        callback: RaceCallback,
        *,
        timeout: float | None = None,
        delay: float = CONNECTION_ATTEMPT_DELAY,
        local: Address | None = None,
    ) -> None:
        if timeout is not None:
            base.check_timeout(timeout)
        self.base = base
        self.errors: ConnectErrors = []
        self._callback: RaceCallback | None = check_callback(callback)
        self._local = local
        self._plan = HappyEyeballs(addresses, timeout=timeout, delay=delay)
        self._started = False
        self._attempts: dict[int, _Attempt] = {}
        self._timer = base.timer(self._on_timer)
        self._winner: socket.socket | None = None
        self._report: Deferred | None = None

    def __repr__(self) -> str:
        state = "new"
        if self._callback is None:
            state = "over"
        elif self._started:
            state = self.outcome.value
        return (
            f"<ConnectRace {state} addresses={len(self._plan.addresses)} under_way={len(self._attempts)} "
            f"errors={len(self.errors)}>"
        )

    @property
    def outcome(self) -> Outcome:
        """How it stands; a race that was cancelled stays as it was."""
        return self._plan.outcome

    def start(self) -> None:
        """Begin to connect. The callback is never called from in here.

        Raises:
            ValueError: It was started or cancelled before.
            LoopError: The base is closed.
        """
        if self._started or self._callback is None:
            raise ValueError(f"start() on a race that was started or cancelled before: {self!r}")
        if self.base.closed:
            raise LoopError("start() of a race on a closed event base")
        self._started = True
        self._follow(self._plan.begin(self.base.now()))

    def cancel(self) -> None:
        """Stop: the callback is not called any more, and nothing is left open. Harmless when it is over."""
        self._callback = None
        self._timer.free()
        for attempt in self._attempts.values():
            attempt.close()
        self._attempts.clear()
        if self._winner is not None:
            self._winner.close()
            self._winner = None
        if self._report is not None:
            self._report.cancel()
            self._report = None

    # What the decider asks for

    def _follow(self, step: Step) -> None:
        try:
            while step.start is not None:
                at_once = self._begin(step.start)
                if at_once is None:
                    break
                step = at_once
        except BaseException:  # Ctrl-C, mostly: nobody would ever go on
            self.cancel()
            raise
        if step.outcome is not Outcome.RACING:
            self._end(step)
        elif step.wake_at is None:
            self._timer.delete()
        else:
            self._timer.add(max(0.0, step.wake_at - self.base.now()))

    def _begin(self, index: int) -> Step | None:
        """Begin an attempt; return what follows if its end is known at once."""
        try:
            sock, connected = _begin_connecting(self._plan.addresses[index], self._local)
        except OSError as error:
            return self._failed(index, error)
        if connected:
            return self._succeeded(index, sock)
        attempt = _Attempt(self, index, sock)
        try:
            attempt.wait()
        except OSError as error:  # the backend takes no more
            attempt.close()
            return self._failed(index, error)
        except BaseException:
            attempt.close()
            raise
        self._attempts[index] = attempt
        return None

    def _end(self, step: Step) -> None:
        for index in step.abandon:
            self._attempts.pop(index).close()
            if step.outcome is Outcome.TIMED_OUT:
                self.errors.append((self._plan.addresses[index], _system_error(ETIMEDOUT)))
        self._timer.free()
        self._report = self.base.call_soon(self._call_back)

    def _call_back(self) -> None:
        callback, sock = self._callback, self._winner
        assert callback is not None  # else this was cancelled, too
        self._callback = self._winner = self._report = None
        callback(self, sock, self.errors)

    # What it is told

    def _failed(self, index: int, error: OSError) -> Step:
        # A traceback would refer to this race, which would keep itself that way.
        self.errors.append((self._plan.addresses[index], error.with_traceback(None)))
        return self._plan.failed(index, self.base.now())

    def _succeeded(self, index: int, sock: socket.socket) -> Step:
        self._winner = sock
        return self._plan.succeeded(index)

    def _on_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._follow(self._plan.tick(self.base.now()))

    def on_decided(self, attempt: "_Attempt") -> None:
        """Take note of how an attempt ended; it is called by the attempt."""
        del self._attempts[attempt.index]
        code = attempt.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            attempt.close()
            self._follow(self._failed(attempt.index, _system_error(code)))
        else:
            self._follow(self._succeeded(attempt.index, attempt.socket))


def _begin_connecting(address: Address, local: Address | None) -> tuple[socket.socket, bool]:
    """Return a socket that is connecting to ``address``, and whether it is connected already.

    Raises:
        OSError: Whatever is wrong, the address included: one that is bad must not keep others from being tried.
    """
    sock = stream_socket(family_of(address))
    try:
        if local is not None:
            bind_local(sock, local)
        code = begin_connecting(sock, address)
        if code not in CONNECT_GOES_ON:
            raise _system_error(code)
    except ValueError as error:  # a flow label that is too large, a path that can't be encoded
        sock.close()
        raise OSError(EINVAL, f"{os.strerror(EINVAL)}: {error}") from None
    except BaseException:
        sock.close()
        raise
    return sock, not code


class _Attempt:
    """A socket that is connecting.

    Attributes:
        index: The number of the attempt.
        socket: Its socket.
    """

    __slots__ = ("_event", "_race", "index", "socket")

    def __init__(self, race: ConnectRace, index: int, sock: socket.socket) -> None:
        self._race = race
        self.index = index
        self.socket = sock
        self._event = race.base.event_type(race.base, sock.fileno(), EV_WRITE, self._on_writable)

    def wait(self) -> None:
        """Wait for the end of it.

        Raises:
            OSError: The backend refuses the descriptor.
        """
        self._event.add()

    def close(self) -> None:
        """Give it up."""
        self._event.free()
        self.socket.close()

    def _on_writable(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        event.free()
        self._race.on_decided(self)
