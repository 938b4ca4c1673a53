"""When a worker is started, told to go, or killed: the rules of ``evkit serve --workers``.

A decider. It hears what has happened and what time it is, and answers what is to be done; it knows processes by their
numbers alone, and touches none. `evkit.cli.workers` does what it says.

There are as many slots as workers are wanted. A slot has at most one worker that serves and one that is to replace it,
and any number that are on their way out. Whoever is to be replaced goes on serving until the other one is ready.
"""

import signal
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

FIRST_DELAY: Final = 0.1
"""Seconds before a worker is started again that ended at once."""
LONGEST_DELAY: Final = 10.0
"""Seconds. Each failure in a row doubles the delay; a mended program should not have to wait for much longer."""
STEADY: Final = 10.0
"""Seconds of service after which the end of a worker is an accident, and the next one is started without delay."""
MARGIN: Final = 5.0
"""Seconds beyond the grace that a worker may take to end; then it hangs."""
LAST_WORDS: Final = 2.0
"""Seconds that a worker has to write its log when it is to end at once."""
_NEVER: Final = float("inf")
_DOUBLINGS: Final = 20
"""Enough for any delay, and no number of failures makes too large a number."""


class Do(IntEnum):
    """What is to be done; the orders to go are sorted by their urgency."""

    SAY = 0
    START = 1
    DRAIN = 2
    """Serve the clients that are there, and then go."""
    STOP = 3
    """Finish the replies that are under way, and then go."""
    CUT = 4
    """Go at once."""
    KILL = 5


class Action(NamedTuple):
    """One thing to be done.

    Attributes:
        do: What.
        number: The slot that a worker is to be started for, or the process that an order is for.
        text: What to say.
    """

    do: Do
    number: int = 0
    text: str = ""


class Worker:
    """A process at work.

    Attributes:
        pid: Its number.
        slot: What it works for.
        ready_at: Since when it serves; ``None``: not yet.
        outdated: It is older than the last reload.
        weary: It has served as many requests as it may.
        order: How it was told to go; ``None``: it was not.
        deadline: When it is killed; infinity: never.
    """

    __slots__ = ("deadline", "order", "outdated", "pid", "ready_at", "slot", "weary")

    def __init__(self, pid: int, slot: "_Slot") -> None:
        self.pid = pid
        self.slot = slot
        self.ready_at: float | None = None
        self.outdated = False
        self.weary = False
        self.order: Do | None = None
        self.deadline = _NEVER

    def __repr__(self) -> str:
        state = "starting" if self.ready_at is None else "ready"
        return f"<Worker {self.pid} {state if self.order is None else self.order.name}>"


class _Slot:
    """A place for a worker: who serves there, who is to, and when the next one may be started."""

    __slots__ = ("coming", "due", "failures", "serving")

    def __init__(self) -> None:
        self.serving: Worker | None = None
        self.coming: Worker | None = None
        self.failures = 0  # in a row
        self.due = -_NEVER

    def leave(self, worker: Worker) -> None:
        """Hear that ``worker`` does not work here any more."""
        if self.serving is worker:
            self.serving = None
        if self.coming is worker:
            self.coming = None

    def postpone(self, now: float) -> float:
        """Count a failure; return the seconds to wait."""
        delay = min(FIRST_DELAY * 2.0 ** min(self.failures, _DOUBLINGS), LONGEST_DELAY)
        self.failures += 1
        self.due = now + delay
        return delay

    def begin_again(self, now: float) -> None:
        """Forget the failures."""
        self.failures, self.due = 0, now


class Supervision:
    """The rules.

    Args:
        count: Workers to have.
        grace: Seconds that replies under way may take when a worker is to go; ``None``: as long as they do.
        max_age: Seconds after which a worker is replaced; ``None``: never.

    Attributes:
        workers: All that live, by their numbers.
        up: Whether a worker has ever been ready: what is served is no nonsense.
        status: The exit status, once all is over; ``None`` before.

    Times are those of one monotonic clock, handed in.
    """

    __slots__ = (
        "_actions",
        "_complete",
        "_end_status",
        "_grace",
        "_max_age",
        "_reloading",
        "_slots",
        "status",
        "up",
        "workers",
    )

    def __init__(self, count: int, *, grace: float | None, max_age: float | None = None) -> None:
        self.workers: dict[int, Worker] = {}
        self.up = False
        self.status: int | None = None
        self._slots = [_Slot() for _ in range(count)]
        self._grace = _NEVER if grace is None else grace
        self._max_age = _NEVER if max_age is None else max_age
        self._complete = False  # it was said that all workers are ready, and is true
        self._reloading = False
        self._end_status: int | None = None  # once the end has begun
        self._actions: list[Action] = []

    def __repr__(self) -> str:
        state = "running" if self._end_status is None else "ending" if self.status is None else "over"
        return f"<Supervision {state} workers={list(self.workers.values())}>"

    # What has happened

    def started(self, slot: int, pid: int) -> None:
        """A worker was started, as asked for."""
        place = self._slots[slot]
        self.workers[pid] = place.coming = Worker(pid, place)

    def not_started(self, slot: int, reason: str, now: float) -> None:
        """The system does not let a worker be started."""
        self._failed(self._slots[slot], f"a worker can't be started ({reason})", 1, now)
        self._see_whether_over()

    def ready(self, pid: int, now: float) -> None:
        """A worker has begun to serve: whom it replaces may go."""
        worker = self.workers[pid]
        if worker.order is not None:
            return
        self.up = True
        worker.ready_at = now
        slot = worker.slot
        if slot.serving is not None:
            self._say(f"worker {pid} takes over from {slot.serving.pid}")
            self._leave(slot.serving, Do.DRAIN, now)
        slot.serving, slot.coming = worker, None
        self._see_whether_complete()

    def weary(self, pid: int) -> None:
        """A worker has served as many requests as it may. It goes on until another one is ready."""
        self.workers[pid].weary = True

    def leaving(self, pid: int, now: float) -> None:
        """A worker goes because somebody else has told it to stop."""
        worker = self.workers[pid]
        if worker.order is None:
            self._complete = False
            self._say(f"worker {pid} was told to stop; another one is started")
            worker.slot.leave(worker)
            worker.slot.begin_again(now)
            worker.order = Do.STOP
            worker.deadline = now + self._grace + MARGIN

    def exited(self, pid: int, code: int, now: float) -> None:
        """A worker is no more.

        Args:
            pid: Its number.
            code: Its exit status, or minus the signal's number, as of ``os.waitstatus_to_exitcode``.
            now: The time.
        """
        worker = self.workers.pop(pid)
        worker.slot.leave(worker)
        how = f"worker {pid} {_how(code)}"
        if worker.order is not None:
            self._left(worker, how, code)
        elif worker.ready_at is None:
            self._failed(worker.slot, f"{how} before it was ready", code, now)
        else:
            self._broke_off(worker.slot, how, now - worker.ready_at, now)
        self._see_whether_over()

    def reload(self, now: float) -> None:
        """Replace all workers, one after the other. Those which are not ready yet begin again."""
        if self._end_status is not None:
            return
        self._say("reloading: each worker goes on until its successor is ready")
        self._reloading = True
        self._complete = False
        for slot in self._slots:
            slot.begin_again(now)
            if slot.coming is not None:
                self._leave(slot.coming, Do.STOP, now)
                slot.coming = None
            if slot.serving is not None:
                slot.serving.outdated = True

    def stop(self, signum: int, now: float) -> None:
        """A signal asks for the end: gracefully the first time, at once the second."""
        if self._end_status is None:
            time = "all the time they need" if self._grace == _NEVER else f"{self._grace:g} s"
            self._say(f"stopping; replies under way have {time} (once more stops at once)")
            self._end(0, Do.STOP, now)
        else:
            self._end(128 + signum, Do.CUT, now)
        self._see_whether_over()

    # What is to be done

    def decide(self, now: float) -> list[Action]:
        """Return what is to be done now, and forget it. Ask again once it is done."""
        for worker in self.workers.values():
            if now >= worker.deadline:
                self._say(f"worker {worker.pid} does not stop; it is killed")
                self._leave(worker, Do.KILL, now)
        replacing = False
        for slot in self._slots_due(now):
            if slot.serving is None or not replacing:
                self._actions.append(Action(Do.START, self._slots.index(slot)))
            replacing = replacing or slot.serving is not None
        actions, self._actions = self._actions, []
        return actions

    def wait(self, now: float) -> float | None:
        """Return the seconds until `decide` has something to say even if nothing happens; ``None``: no limit."""
        times = [worker.deadline for worker in self.workers.values()]
        times += [self._due(slot) for slot in self._open_slots()]
        soonest = min(times, default=_NEVER)
        return None if soonest == _NEVER else max(0.0, soonest - now)

    def _slots_due(self, now: float) -> list[_Slot]:
        return [slot for slot in self._open_slots() if now >= self._due(slot)]

    def _open_slots(self) -> Iterator[_Slot]:
        """Yield those for which a worker may be started.

        Before one has come up that is only the first: a mistake is told once, and not by each worker. Workers are
        replaced one at a time, so that there are never many more than were asked for.
        """
        if self._end_status is not None:
            return
        replacing = any(slot.serving and slot.coming for slot in self._slots)
        for slot in self._slots if self.up else self._slots[:1]:
            if slot.coming is None and not (replacing and slot.serving):
                yield slot

    def _due(self, slot: _Slot) -> float:
        """Return when the next worker is to be started for ``slot``."""
        serving = slot.serving
        if serving is None or serving.outdated or serving.weary:
            return slot.due
        assert serving.ready_at is not None
        return max(slot.due, serving.ready_at + self._max_age)

    # Consequences

    def _failed(self, slot: _Slot, how: str, code: int, now: float) -> None:
        """Go on without a worker that did not come up, as far as that is possible."""
        if not self.up:
            self._say(f"no worker came up: {how}")
            self._end(max(code, 1), Do.STOP, now)
        elif self._reloading and slot.serving is not None:
            self._say(f"reload given up, the old workers go on: {how}")
            self._reloading = False
            for other in self._slots:
                if other.serving is not None:
                    other.serving.outdated = False
        else:
            self._complete = False
            self._say(f"{how}; the next try is in {slot.postpone(now):g} s")

    def _broke_off(self, slot: _Slot, how: str, served: float, now: float) -> None:
        self._complete = False
        if served >= STEADY:
            slot.begin_again(now)
            self._say(f"{how}; another one is started")
        else:
            self._say(f"{how}; another one is started in {slot.postpone(now):g} s")

    def _left(self, worker: Worker, how: str, code: int) -> None:
        """Tell of replies that were lost, where nobody has asked for that."""
        if code and worker.ready_at is not None and worker.order in (Do.DRAIN, Do.STOP):
            self._say(f"{how} before it had finished its replies")

    def _leave(self, worker: Worker, order: Do, now: float) -> None:
        worker.order = order
        times = {Do.CUT: LAST_WORDS, Do.KILL: _NEVER}
        worker.deadline = now + times.get(order, self._grace + MARGIN)
        self._actions.append(Action(order, worker.pid))

    def _end(self, status: int, order: Do, now: float) -> None:
        self._end_status = status
        for worker in self.workers.values():
            if worker.order is None or worker.order < order:
                self._leave(worker, order, now)

    def _see_whether_over(self) -> None:
        if not self.workers:
            self.status = self._end_status

    def _see_whether_complete(self) -> None:
        if self._complete or any(slot.serving is None or slot.serving.outdated for slot in self._slots):
            return
        self._complete = True
        self._reloading = False
        count = len(self._slots)
        self._say("the worker is ready" if count == 1 else f"all {count} workers are ready")

    def _say(self, text: str) -> None:
        self._actions.append(Action(Do.SAY, text=f"evkit: {text}"))


def _how(code: int) -> str:
    """Say how a process has ended."""
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"was killed by signal {-code}"
