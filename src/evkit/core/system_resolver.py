"""`SystemResolver`: the system's own look-up of host names, which blocks, in threads beside the loop.

The threads do nothing but call ``getaddrinfo``; everything else is done in the base's thread, to which each result
comes home by `EventBase.call_soon_threadsafe`. They are daemons and nobody waits for them, since a look-up may hang
for minutes and can't be stopped: neither the loop nor the end of the process may depend on it.
"""

import socket
import threading
from collections import deque
from collections.abc import Callable
from errno import EAGAIN, ECANCELED
from typing import TYPE_CHECKING

from evkit.core.future import Future
from evkit.core.net import Address, check_lookup
from evkit.errors import LoopError

if TYPE_CHECKING:
    from evkit.core.base import EventBase

Answer = list[Address] | Exception
"""What a look-up came to. A value, as it walks from one thread to another."""


def look_up(host: str, port: int, family: int, flags: int = 0) -> Answer:
    """Ask the system, and wait for its answer. An exception is returned and not raised.

    Args:
        host: A name or an address. What can't be written as a name in the DNS does not exist.
        port: 0 to 65535.
        family: As for ``socket.getaddrinfo``.
        flags: As for ``socket.getaddrinfo``.
    """
    try:
        # As bytes: Python would load its IDNA tables for plain ASCII, too.
        name = host.encode("ascii" if host.isascii() else "idna")
        found = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:
        return socket.gaierror(socket.EAI_NONAME, f"{host!r} is no host name: {error}")
    except socket.gaierror as error:
        return socket.gaierror(error.errno, f"{error.strerror}: {host!r}")
    except Exception as error:
        return error.with_traceback(None)  # which would keep the frames of this thread
    addresses: dict[Address, None] = {}
    for _, _, _, _, address in found:
        addresses[address] = None  # type: ignore[index]  # typeshed allows for a Python built without IPv6
    return list(addresses)


class SystemResolver:
    """A `Resolver` that asks the system: hosts file, DNS and whatever else it is set up with.

    The loop goes on while a look-up is under way, and does not end before it. A child process makes a resolver of its
    own: threads don't survive a fork.

    Args:
        base: The event base that results come home to.
        threads: How many look-ups may be under way at once, ``>= 1``; more wait until one of them ends. One that hangs
            keeps its thread, also when it was cancelled.

    Attributes:
        closed: Whether `close` was called.

    Raises:
        ValueError: ``threads`` is less than 1.

    Source: libevent's ``evutil_getaddrinfo``, which blocks the loop.
    """

    __slots__ = ("_base", "_lookups", "_threads", "closed")

    def __init__(self, base: "EventBase", threads: int = 4) -> None:
        if threads < 1:
            raise ValueError(f"expected 1 thread or more, got {threads!r}")
        self._base = base
        self._threads = _Threads(threads)
        self._lookups: dict[Future[list[Address]], _Lookup] = {}
        self.closed = False

    def __repr__(self) -> str:
        return f"<SystemResolver {'closed' if self.closed else 'open'} pending={len(self._lookups)}>"

    def getaddrinfo(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> "Future[list[Address]]":
        """See `Resolver.getaddrinfo`. It fails with an ``OSError``, ``socket.gaierror`` for the most part.

        Raises:
            ValueError: See `check_lookup`.
            LoopError: The resolver or its base is closed.
        """
        check_lookup(host, port, family)
        if self.closed or self._base.closed:
            raise LoopError(f"getaddrinfo() on a closed {'resolver' if self.closed else 'event base'}")
        future: Future[list[Address]] = Future(self._base, self._give_up)
        if host.isascii() and isinstance(numeric := look_up(host, port, family, socket.AI_NUMERICHOST), list):
            future.set_result(numeric)
        else:
            self._begin(_Lookup(self._base, future, self._on_answer, host, port, family))
        return future

    def close(self) -> None:
        """Give up what is being looked up: it fails with ``ECANCELED``. Harmless when done before."""
        self.closed = True
        for future, lookup in tuple(self._lookups.items()):
            self._give_up(future)
            if not self._base.closed:
                future.set_exception(OSError(ECANCELED, f"the resolver was closed: {lookup.host!r}"))

    def _begin(self, lookup: "_Lookup") -> None:
        self._lookups[lookup.future] = lookup
        self._base.add_virtual()
        try:
            self._threads.submit(lookup)
        except OSError as error:
            self._on_answer(lookup.future, error)

    def _on_answer(self, future: "Future[list[Address]]", answer: Answer) -> None:
        if self._lookups.pop(future, None) is None:
            return  # it was given up
        self._base.del_virtual()
        if isinstance(answer, list):
            future.set_result(answer)
        else:
            future.set_exception(answer)

    def _give_up(self, future: "Future[list[Address]]") -> None:
        self._threads.withdraw(self._lookups.pop(future))
        self._base.del_virtual()


class _Lookup:
    """One look-up: asked for in the base's thread, answered in another."""

    __slots__ = ("_base", "_family", "_on_answer", "_port", "future", "host")

    def __init__(
        self,
        base: "EventBase",
        future: "Future[list[Address]]",
        on_answer: "Callable[[Future[list[Address]], Answer], None]",
        host: str,
        port: int,
        family: int,
    ) -> None:
        self._base = base
        self._on_answer = on_answer
        self._port = port
        self._family = family
        self.future = future
        self.host = host

    def run(self) -> None:
        """Look it up, which blocks, and send the answer home."""
        answer = look_up(self.host, self._port, self._family)
        try:
            self._base.call_soon_threadsafe(self._on_answer, self.future, answer)
        except LoopError:
            pass  # the base was closed meanwhile, and nobody is left to hear of it


class _Threads:
    """Daemon threads that answer what is queued. Each lives while there is something to look up, so none is idle."""

    __slots__ = ("_limit", "_lock", "_queue", "_running")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._queue: deque[_Lookup] = deque()
        self._running = 0

    def submit(self, lookup: _Lookup) -> None:
        """Answer it soon.

        Raises:
            OSError: There is no thread, and the system gives none.
        """
        with self._lock:
            self._queue.append(lookup)
            if self._running >= self._limit:
                return
            self._running += 1
        try:
            threading.Thread(target=self._work, name="evkit getaddrinfo", daemon=True).start()
        except RuntimeError as error:
            self._do_without(error)

    def _do_without(self, error: RuntimeError) -> None:
        """Leave the work to the threads that there are."""
        with self._lock:
            self._running -= 1
            if self._running or not self._queue:
                return
            self._queue.clear()  # no thread was left to keep anything in it, but for what was just submitted
        raise OSError(EAGAIN, f"no thread for a look-up: {error}") from error

    def withdraw(self, lookup: _Lookup) -> None:
        """Don't begin with it, if a thread has not begun already."""
        with self._lock:
            try:
                self._queue.remove(lookup)
            except ValueError:
                pass

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._running -= 1
                    return
                lookup = self._queue.popleft()
            lookup.run()
