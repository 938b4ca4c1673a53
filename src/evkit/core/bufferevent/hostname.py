"""From a host name to a connected socket, for one buffered connection: a look-up, then a race of its addresses.

Puts a `Resolver` and a `ConnectRace` one after the other, and makes one error of all that failed. What becomes of the
socket is the connection's business.
"""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from evkit.core.connect_race import ConnectErrors, ConnectRace
from evkit.core.happy_eyeballs import Outcome
from evkit.core.net import Address, Resolver, family_of, format_address
from evkit.errors import ConnectError, TransportError, TransportTimeout

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.future import Future

Done = Callable[[socket.socket | None, TransportError | None], object]
"""``done(sock, error)``: one of the two is there."""


class HostConnect:
    """One attempt to connect to a host by its name.

    Args:
        base: The event base.
        resolver: Finds the addresses.
        host: The name, or a numeric address.
        port: The port.
        family: ``AF_INET`` or ``AF_INET6`` for one family only, ``AF_UNSPEC`` for both.
        timeout: Seconds for the connecting; ``None``: as long as the system tries. How long a look-up may take is the
            resolver's matter.
        done: Called once, from the loop, unless `cancel` was called before.
        local: The address to connect from; ``None``: the system chooses.

    Raises:
        ValueError: What is asked for can't be looked up, or ``local`` is no IP address.

    Source: ``bufferevent_socket_connect_hostname``, which tries the first address only; RFC 8305.
    """

    __slots__ = ("_base", "_done", "_local", "_lookup", "_race", "_timeout", "_where")

    def __init__(
        self,
        base: "EventBase",
        resolver: Resolver,
        host: str,
        port: int,
        family: int,
        timeout: float | None,
        done: Done,
        local: Address | None = None,
    ) -> None:
        if local is not None:
            family = _family_from(local, family)
        self._local = local
        self._base = base
        self._where = format_address((host, port))
        self._timeout = timeout
        self._done = done
        self._race: ConnectRace | None = None
        self._lookup: Future[list[Address]] | None = resolver.getaddrinfo(host, port, family)
        self._lookup.add_done_callback(self._on_addresses)

    def __repr__(self) -> str:
        return f"<HostConnect {self._where} {self._race or self._lookup!r}>"

    def cancel(self) -> None:
        """Give up, without a word: nothing of it is left."""
        lookup, self._lookup = self._lookup, None
        if lookup is not None:
            lookup.cancel()
        if self._race is not None:
            self._race.cancel()

    def _on_addresses(self, future: "Future[list[Address]]") -> None:
        if self._lookup is None:
            return  # cancelled
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or error is not None:
            self._done(None, _not_found(self._where, error))
            return
        try:
            self._race = ConnectRace(
                self._base, future.result(), self._on_race, timeout=self._timeout, local=self._local
            )
        except (TypeError, ValueError) as wrong:  # a resolver that gives what are no addresses
            self._done(None, _not_found(self._where, wrong))
            return
        self._race.start()

    def _on_race(self, race: ConnectRace, sock: socket.socket | None, errors: ConnectErrors) -> None:
        if sock is not None:
            self._done(sock, None)
        elif race.outcome is Outcome.TIMED_OUT:
            self._done(None, _too_late(self._where, self._timeout, errors))
        else:
            self._done(None, _all_failed(self._where, errors))


def _family_from(local: Address, family: int) -> int:
    """Return the family of a local address, which has to be that which is asked for, if one is."""
    found = family_of(local)
    if found == socket.AF_UNIX or family not in (socket.AF_UNSPEC, found):
        raise ValueError(f"expected an IP address to connect from, of the family asked for, got {local!r}")
    return found


def _not_found(where: str, error: BaseException | None) -> ConnectError:
    why = "the look-up was cancelled" if error is None else str(error) or type(error).__name__
    failure = ConnectError(f"{where}: {why}")
    failure.__cause__ = None if error is None else error.with_traceback(None)
    return failure


def _all_failed(where: str, errors: ConnectErrors) -> ConnectError:
    """Make one error of what each address failed with; the first one's number stands for all."""
    return ConnectError(f"{where}: no address answered ({_each(errors)})", errno=errors[0][1].errno)


def _too_late(where: str, timeout: float | None, errors: ConnectErrors) -> TransportTimeout:
    assert timeout is not None  # else it is never too late
    return TransportTimeout(f"{where}: timed out after {timeout:g} s ({_each(errors)})", during="connect")


def _each(errors: ConnectErrors) -> str:
    return "; ".join(f"{format_address(address)}: {error.strerror}" for address, error in errors)
