"""Events that check how they are used, and events that tell what happens to them: for finding a fault, not for speed.

They are other classes, chosen when a base is made, so that a program that wants none of this pays nothing. What they
refuse would else go wrong later and elsewhere. Knows nothing of the loop but whose thread it runs in.
"""

import os
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakValueDictionary

from evkit.core.event import DIRECT, INSERTED, Deferred, Event, EventCallback, FinalizeCallback, SignalEvent
from evkit.core.flags import EV_CLOSED, EV_READ, EV_WRITE
from evkit.core.log import LOG_DEBUG, LOG_WARN, log
from evkit.core.setup import SETUP
from evkit.core.timers import CommonTimeout
from evkit.errors import LoopError

if TYPE_CHECKING:
    from evkit.core.registry import Registry

DBG_NONE: Final = 0
DBG_ALL: Final = 0xFFFFFFFF

_IO: Final = EV_READ | EV_WRITE | EV_CLOSED


class EntryTypes(NamedTuple):
    """The classes of what a base makes."""

    event: type[Event]
    signal: type[SignalEvent]
    deferred: type[Deferred]


class _Modes:
    """What is switched on."""

    __slots__ = ("checks", "traces")

    def __init__(self) -> None:
        self.checks = False
        self.traces = False


MODES: Final = _Modes()
"""The process's own."""

_WATCHED: Final[WeakValueDictionary[int, "Registry"]] = WeakValueDictionary()
"""By identity. Not a set: Python code walks through a weak one, and other threads make bases meanwhile."""


def enable_debug_mode() -> None:
    """Let all events check how they are used. Call it before the first event base is made.

    They refuse a blocking descriptor when they are made (``ValueError``). They raise `LoopError` when they are added
    after their descriptor was closed, activated after their base was, or used from another thread than the one that
    runs the loop. And they warn in the log when a descriptor is closed before they are deleted, and when two bases wait
    for the same.

    Raises:
        LoopError: A base or a `LockedBuffer` was made already, or the mode is on already.

    Source: ``event_enable_debug_mode``, where what is refused ends the process.
    """
    SETUP.require_unused("enable_debug_mode()")
    if MODES.checks:
        raise LoopError("enable_debug_mode() was called before; once is enough")
    MODES.checks = True


def enable_debug_logging(which: int = DBG_ALL) -> None:
    """Let all events log what happens to them, as ``LOG_DEBUG``. Call it before the first event base is made.

    Args:
        which: ``DBG_ALL`` or ``DBG_NONE``. As in libevent there is nothing in between.

    Raises:
        LoopError: A base or a `LockedBuffer` was made already.

    Source: ``event_enable_debug_logging``.
    """
    SETUP.require_unused("enable_debug_logging()")
    MODES.traces = which != DBG_NONE


def debugging() -> bool:
    """Return whether bases that are made now want the classes of this module."""
    return MODES.checks or MODES.traces


def watch(base: "Registry") -> None:
    """Compare the descriptors that ``base``, which is being made, waits for with those of the others."""
    _WATCHED[id(base)] = base


def entry_types(base: "Registry") -> EntryTypes:
    """Return the classes that are asked for, for ``base``, which is being made."""
    if debugging():
        watch(base)
        return EntryTypes(DebugEvent, DebugSignalEvent, DebugDeferred)
    return EntryTypes(Event, SignalEvent, Deferred)


def trace(call: str, entry: object) -> None:
    """Log a call, if that is wanted."""
    if MODES.traces:
        log(LOG_DEBUG, f"{call}: {entry!r}")


def _check_thread(base: "Registry", call: str) -> None:
    """Refuse what another thread does to a loop that runs.

    Raises:
        LoopError: It is another thread.
    """
    if MODES.checks and base.looping and not base.threadsafe and not base.in_thread():
        raise LoopError(
            f"{call} was called from another thread than that of the loop: use call_soon_threadsafe()"
        )


class Checked(Event):
    """What both kinds of events check and tell."""

    __slots__ = ()

    def add(self, timeout: float | CommonTimeout | None = None) -> None:
        """See `Event.add`."""
        _check_thread(self.base, "Event.add()")
        super().add(timeout)
        trace("event_add", self)

    def delete(self) -> None:
        """See `Event.delete`."""
        _check_thread(self.base, "Event.delete()")
        super().delete()
        trace("event_del", self)

    def activate(self, what: int, ncalls: int = 1) -> None:
        """See `Event.activate`; refused on a closed base, where nothing would come of it."""
        _check_thread(self.base, "Event.activate()")
        if MODES.checks and self.base.closed:
            raise self.dead("activate()")
        super().activate(what, ncalls)
        trace("event_active", self)

    def finalize(self, callback: FinalizeCallback) -> None:
        """See `Event.finalize`."""
        _check_thread(self.base, "Event.finalize()")
        super().finalize(callback)
        trace("event_finalize", self)

    def run(self) -> None:
        """See `QueueEntry.run`."""
        trace("event_process_active", self)
        super().run()


class DebugSignalEvent(Checked, SignalEvent):
    """A `SignalEvent` that checks and tells."""

    __slots__ = ()


class DebugEvent(Checked):
    """An `Event` that checks and tells."""

    __slots__ = ("_file",)

    def __init__(self, base: "Registry", fd: int, events: int, callback: EventCallback) -> None:
        super().__init__(base, fd, events, callback)
        self.flags &= ~DIRECT  # `run` has something to tell
        self._file = _file_behind(fd) if self._has_descriptor() else None
        if self._file is not None and os.get_blocking(fd):
            raise ValueError(
                f"descriptor {fd} blocks, and so would the loop: call setblocking(False) on the socket, or "
                "os.set_blocking(fd, False)"
            )

    def _has_descriptor(self) -> bool:
        return MODES.checks and bool(self.events & _IO)

    def add(self, timeout: float | CommonTimeout | None = None) -> None:
        """See `Event.add`.

        Raises:
            LoopError: The descriptor was closed since the event was made.
        """
        if self._has_descriptor() and not self.internal:
            self._check_file()
            self._check_bases()
        super().add(timeout)

    def delete(self) -> None:
        """See `Event.delete`."""
        self.check_open()
        super().delete()

    def check_open(self) -> None:
        """Warn if the descriptor was closed while it is waited for."""
        if self.flags & INSERTED and self._was_closed():
            log(LOG_WARN, f"descriptor {self.fd} was closed before its event was deleted: {self!r}")

    def _was_closed(self) -> bool:
        return self._has_descriptor() and not self.internal and _file_behind(self.fd) != self._file

    def _check_file(self) -> None:
        if self._file is None or self._was_closed():
            raise LoopError(f"descriptor {self.fd} was closed, or is another's by now: {self!r}")

    def _check_bases(self) -> None:
        for reference in _WATCHED.valuerefs():
            other = reference()
            if other is not None and other is not self.base and _waits(other, self.fd):
                log(LOG_WARN, f"two event bases wait for descriptor {self.fd}: {self.base!r} and {other!r}")


class DebugDeferred(Deferred):
    """A `Deferred` that checks and tells."""

    __slots__ = ()

    def schedule(self) -> bool:
        """See `Deferred.schedule`."""
        _check_thread(self.base, "Deferred.schedule()")
        trace("event_deferred_cb_schedule", self)
        return super().schedule()

    def cancel(self) -> None:
        """See `Deferred.cancel`."""
        _check_thread(self.base, "Deferred.cancel()")
        super().cancel()


def _waits(base: "Registry", fd: int) -> bool:
    try:
        return base.waits_for(fd)
    except AttributeError:
        return False  # another thread is still making it


def _file_behind(fd: int) -> tuple[int, int] | None:
    """Return what tells one open file from another; ``None``: the descriptor is closed."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino
