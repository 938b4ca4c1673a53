"""From the kernel's signals to events: one wake-up descriptor a process, from which every base with signals reads.

Python lets a process have one wake-up descriptor (``signal.set_wakeup_fd``), and only its main thread may set it. So
there is one `SignalHub`; the base that reads a number first hands it to all that asked for it. What was there before
(handlers and wake-up descriptor) comes back when the last event for it is deleted. `SignalMap` is the part of one base.

Handlers that the program has set by itself count, too: Python runs them between two lines of its main thread, and a
signal that comes right before the loop begins to wait would be heard when the wait is over, if ever. So every signal
wakes the loop that runs in the main thread.

The wake-up descriptor is a pipe, which on Linux has room for 65,536 signals that nobody has read yet; libevent's pair
of sockets has room for some 300. What comes while it is full is lost, as there.
"""

import _signal  # type: ignore[import-not-found]  # typeshed has no stub; see `_handler`
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from evkit.core.event import Event
from evkit.core.evthread import Waker
from evkit.core.flags import EV_SIGNAL
from evkit.core.log import LOG_WARN, log
from evkit.core.tally import Tally
from evkit.errors import LoopError

if TYPE_CHECKING:
    from evkit.core.registry import Registry

# The functions behind those of the module signal, which make an enum of each number and handler: that costs ten times
# as much, and would be most of a short `EventBase.loop`.
_handler: Final[Callable[[int], object]] = _signal.getsignal
_set_handler: Final[Callable[[int, object], object]] = _signal.signal
_SIGINT: Final = int(signal.SIGINT)
_STORM: Final = 65536
"""Signals to read at once: all that a pipe holds."""

Delivery = Callable[[int, int], None]
"""``deliver(signum, count)``; may be called from a thread that is not the loop's own."""

_PreviousHandler = Callable[[int, FrameType | None], Any] | int | None


def _ignore(signum: int, frame: FrameType | None) -> None:
    """Stand in as the handler: the C part of Python has written the number to the wake-up descriptor already."""


class SignalHub:
    """The process's signals, and who wants them.

    Source: ``evsig_add_`` and its kin, where only the base that asked last gets any signal at all.
    """

    def __init__(self) -> None:
        self._pipe: tuple[int, int] | None = None  # where to read and to write
        self._attending: Waker | None = None
        self._fd = -1  # the wake-up descriptor while it is ours
        self._forked = False  # and the child has not set it again
        self._previous_fd = -1
        self._previous: dict[int, _PreviousHandler] = {}
        self._wanted: dict[int, list[Delivery]] = {}

    def open(self) -> int:
        """Return the descriptor that becomes readable when a signal has come; see `read`.

        Raises:
            LoopError: Not called from the main thread.
        """
        if self._pipe is None:
            _require_main_thread()
            self._pipe = _open_pipe()
            self._take_wakeup_fd(self._pipe[1])
        return self._pipe[0]

    def attend(self, waker: Waker | None) -> Waker | None:
        """Let every signal wake the loop of the main thread, by ``waker``; only that thread may call this.

        A wake-up descriptor that somebody else has set stays: its owner must not lose a signal for our sake.

        Returns:
            Whom they woke before: to be given back when the loop is left.
        """
        before, self._attending = self._attending, waker
        if self._pipe is None:
            self._wake_attending()
        return before

    def renew(self) -> None:
        """In a child process: have what the parent does not, under the numbers of before.

        Else the child's signals would come to the parent, and some of the parent's to the child.
        """
        if self._pipe is not None:
            for new, mine in zip(_open_pipe(), self._pipe, strict=True):
                os.dup2(new, mine, inheritable=False)
                os.close(new)
        if self._attending is not None:
            self._attending.renew()
        self._forked = True

    def rearm(self) -> None:
        """In a child process: set the wake-up descriptor again, which asyncio may have taken away at the fork.

        Its hook runs after `renew` where a program has imported it later.

        Source: ``asyncio.events.on_fork``, of Python 3.12 and newer.
        """
        if self._forked and self._fd != -1 and _in_main_thread():
            signal.set_wakeup_fd(self._fd, warn_on_full_buffer=False)

    def settle(self) -> None:
        """Hear that a loop begins in the main thread: all hooks of a fork have run by now."""
        if self._forked:
            self.rearm()
            self._forked = False

    def add(self, signum: int, deliver: Delivery) -> None:
        """Hand deliveries of ``signum`` to ``deliver`` from now on.

        Raises:
            LoopError: Not called from the main thread.
            OSError: The signal can't be caught, as SIGKILL.
            ValueError: There is no such signal.
        """
        if signum not in self._wanted:
            _require_main_thread()
            self._previous[signum] = signal.signal(signum, _ignore)
            signal.siginterrupt(signum, False)
        self._wanted.setdefault(signum, []).append(deliver)

    def remove(self, signum: int, deliver: Delivery) -> None:
        """Undo one `add`; with the last for a signal its previous handler comes back."""
        users = self._wanted[signum]
        users.remove(deliver)
        if users:
            return
        del self._wanted[signum]
        self._restore_handler(signum)
        if not self._wanted:
            self._restore_fd()

    def read(self) -> None:
        """Hand on what has come."""
        if self._pipe is None:
            return
        try:
            numbers = os.read(self._pipe[0], _STORM)
        except BlockingIOError:
            return  # another base was quicker
        for signum, count in Counter(numbers).items():
            for deliver in tuple(self._wanted.get(signum, ())):
                deliver(signum, count)
        if self._attending is not None and not _in_main_thread():
            self._attending.wake()  # for the handlers of signals that no event is for

    def _restore_handler(self, signum: int) -> None:
        previous = self._previous.pop(signum)
        if not _in_main_thread():
            log(
                LOG_WARN,
                f"the handler of signal {signum} can be restored by the main thread only; it stays as it is",
            )
            return
        if signal.getsignal(signum) is not _ignore:
            return  # somebody has put in another meanwhile
        # None: the handler was set by C code, which Python can't put back.
        signal.signal(signum, signal.SIG_DFL if previous is None else previous)

    def _restore_fd(self) -> None:
        if self._pipe is None or not _in_main_thread():
            return
        self._give_wakeup_fd_back()
        for end in self._pipe:
            os.close(end)
        self._pipe = None
        self._wake_attending()

    def _wake_attending(self) -> None:
        """Have the system wake the loop of the main thread directly, now that no event reads what it says."""
        self._give_wakeup_fd_back()
        if self._attending is not None:
            self._take_wakeup_fd(self._attending.signal_fd)
            if self._previous_fd != -1:
                self._give_wakeup_fd_back()

    def _take_wakeup_fd(self, fd: int) -> None:
        before = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        if self._fd == -1:
            self._previous_fd = before
        self._fd = fd

    def _give_wakeup_fd_back(self) -> None:
        if self._fd == -1:
            return
        current = signal.set_wakeup_fd(self._previous_fd)
        if current != self._fd:
            signal.set_wakeup_fd(current)  # somebody has put in another meanwhile
        self._fd = -1


def _open_pipe() -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def _in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _require_main_thread() -> None:
    if not _in_main_thread():
        raise LoopError(
            "signals can be caught from the main thread only (a rule of Python's); add the event for the signal there"
        )


HUB: Final = SignalHub()
"""The process's own."""

os.register_at_fork(after_in_child=HUB.renew)


class SignalMap:
    """Signal numbers to the events of one base, newest first.

    Attributes:
        tally: Counts the events in the map.
    """

    __slots__ = ("_base", "_readable", "_signals", "tally")

    def __init__(self, base: "Registry", tally: Tally) -> None:
        self._base = base
        self._signals: dict[int, list[Event]] = {}
        self._readable: Event | None = None
        self.tally = tally

    def add(self, event: Event) -> None:
        """Wait for the signal of ``event``.

        Raises:
            LoopError: Not called from the main thread.
            OSError: The signal can't be caught.
            ValueError: There is no such signal.

        Source: ``evmap_signal_add_``.
        """
        signum = event.fd
        if signum not in self._signals:
            HUB.add(signum, self._deliver)
            try:
                if self._readable is None:
                    self._readable = self._base.add_internal(HUB.open(), self._on_readable)
            except BaseException:
                HUB.remove(signum, self._deliver)
                raise
            self._signals[signum] = []
        self._signals[signum].insert(0, event)
        self.tally.added += 1

    def remove(self, event: Event) -> None:
        """Wait for it no longer. Source: ``evmap_signal_del_``."""
        signum = event.fd
        events = self._signals[signum]
        events.remove(event)
        self.tally.note_most()
        self.tally.added -= 1
        if events:
            return
        del self._signals[signum]
        if not self._signals and self._readable is not None:
            self._readable.delete()
            self._readable = None
        HUB.remove(signum, self._deliver)

    def events(self) -> Iterator[Event]:
        """Walk through the events, by signal. Source: ``evmap_signal_foreach_event_``."""
        for _, events in sorted(self._signals.items()):
            yield from events

    def close(self) -> None:
        """Delete all events, so that the handlers of before come back."""
        for events in tuple(self._signals.values()):
            for event in tuple(events):
                event.delete()

    def _on_readable(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        HUB.read()

    def _deliver(self, signum: int, count: int) -> None:
        """Hear of a signal, in whichever thread has read it."""
        if self._base.in_thread():
            self.activate(signum, count)
        else:
            self._base.call_soon_threadsafe(self.activate, signum, count)

    def activate(self, signum: int, count: int) -> None:
        """Activate all events of a signal. Source: ``evmap_signal_active_``."""
        for event in self._signals.get(signum, ()):
            event.activate(EV_SIGNAL, count)


class InterruptShield:
    """What signals mean for the loop while it runs in the main thread; in others it does nothing.

    Every signal wakes the loop (`SignalHub.attend`). And a Ctrl-C does not cut it at any line: the KeyboardInterrupt
    comes when the callback has returned, where Python's own handler is in place. A second Ctrl-C raises at once, for a
    callback that does not return; asyncio does the same.

    Args:
        interrupt: Called by the first Ctrl-C; makes the loop end.
        waker: Wakes the loop; ``None`` for one that never waits.
    """

    __slots__ = ("_attended", "_attends", "_came", "_installed", "_interrupt")

    def __init__(self, interrupt: Callable[[], object], waker: Waker | None) -> None:
        self._interrupt = interrupt
        self._came = False
        self._attended: Waker | None = None
        in_main_thread = _in_main_thread()
        self._installed = in_main_thread and _handler(_SIGINT) is signal.default_int_handler
        self._attends = in_main_thread and waker is not None
        if self._installed:
            _set_handler(_SIGINT, self._on_interrupt)
        if in_main_thread:
            HUB.settle()
        if self._attends:
            self._attended = HUB.attend(waker)

    def _on_interrupt(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler
        if self._came:
            raise KeyboardInterrupt
        self._came = True
        self._interrupt()

    def close(self) -> None:
        """Put back what was there, and raise what has come.

        Raises:
            KeyboardInterrupt: There was a Ctrl-C.
        """
        if self._attends:
            HUB.attend(self._attended)
        if self._installed and _handler(_SIGINT) == self._on_interrupt:
            _set_handler(_SIGINT, signal.default_int_handler)
        if self._came:
            raise KeyboardInterrupt
