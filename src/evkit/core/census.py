"""Who there is: the events of a base in libevent's order, and a table of them for people.

A decider: it reads the maps, the timers and the queues, and changes nothing in them.
"""

from collections.abc import Iterator
from typing import Final, TextIO

from evkit.core.event import ACTIVE, INSERTED, Event
from evkit.core.evmap import FdMap
from evkit.core.flags import EV_CLOSED, EV_ET, EV_PERSIST, EV_READ, EV_SIGNAL, EV_TIMEOUT, EV_WRITE
from evkit.core.queues import ActiveQueues
from evkit.core.signals import SignalMap
from evkit.core.timers import NEVER, Timers

_WAITS: Final = (
    (EV_READ, "Read"),
    (EV_WRITE, "Write"),
    (EV_CLOSED, "EOF"),
    (EV_SIGNAL, "Signal"),
    (EV_PERSIST, "Persist"),
    (EV_ET, "ET"),
)
_HAPPENED: Final = (*_WAITS[:4], (EV_TIMEOUT, "Timeout"))


def all_events(fds: FdMap, signals: SignalMap, timers: Timers, queues: ActiveQueues) -> Iterator[Event]:
    """Walk through the events, each once: those in the maps, then the other timers, then what is active besides.

    Source: ``event_base_foreach_event_nolock_``.
    """
    yield from fds.events()
    yield from signals.events()
    for event in timers.events():
        if not event.flags & INSERTED:
            yield event
    for queue in queues.queues:
        for entry in queue:
            if isinstance(entry, Event) and entry.flags & ACTIVE and not _is_waiting(entry):
                yield entry


def dump(events: list[Event], clock_offset: float, file: TextIO) -> None:
    """Write what each of ``events`` waits for, and which are active.

    Args:
        events: In the order in which they are to stand there.
        clock_offset: What to add to a deadline, for a time since the epoch.
        file: Where to write.

    Source: ``event_base_dump_events``. In place of its address an event has its callback.
    """
    file.write("Inserted events:\n")
    for event in events:
        if _is_waiting(event):
            file.write(f"  {_waiting_line(event, clock_offset)}\n")
    file.write("Active events:\n")
    for event in events:
        if event.flags & ACTIVE:
            file.write(f"  {_active_line(event)}\n")


def _is_waiting(event: Event) -> bool:
    return bool(event.flags & INSERTED) or event.deadline != NEVER


def _waiting_line(event: Event, clock_offset: float) -> str:
    words = [_name(event), *_words(event.events, _WAITS)]
    if event.internal:
        words.append("Internal")
    if event.deadline != NEVER:
        words.append(f"Timeout={event.deadline + clock_offset:.6f}")
    return " ".join(words)


def _active_line(event: Event) -> str:
    words = [_name(event, f", priority={event.level}"), *_words(event.result, _HAPPENED), "active"]
    if event.internal:
        words.append("[Internal]")
    return " ".join(words)


def _name(event: Event, more: str = "") -> str:
    gloss = "sig" if event.events & EV_SIGNAL else "fd"
    return f"{event.callback!r} [{gloss} {event.fd}{more}]"


def _words(bits: int, names: tuple[tuple[int, str], ...]) -> list[str]:
    return [name for bit, name in names if bits & bit]
