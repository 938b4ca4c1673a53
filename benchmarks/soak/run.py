"""`Soak`: the whole run, in tenths, after each of which everything but the bases is let go and counted.

It decides how the operations are shared among the backends, when there is a look at what is left, and what the verdict
is. The collector sleeps all the while, but for the end of a tenth: what it finds there a program that runs without it
would lose, so that only what is meant to be left to it may be there.
"""

import gc
import importlib
import pkgutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import evkit.core
from evkit.core import set_log_callback
from soak.buffers import Buffers
from soak.connections import Connections
from soak.descriptors import SIGNALS, Descriptors
from soak.events import Events
from soak.leaks import LEFT_BY_DESIGN, Held, unexpected
from soak.services import Services
from soak.world import World

_TENTHS: Final = 10
_WARM: Final = 1
"""The tenth after which memory must not grow: caches are full by then."""


class SoakError(Exception):
    """The soak has found something; its text tells what, and how to see it again."""


class Life:
    """A world, with all that lives in it."""

    def __init__(self, method: str, seed: int) -> None:
        self.method = method
        self.world = world = World(method, seed)
        self._descriptors = Descriptors(world)
        self._buffers = Buffers(world)
        self._connections = Connections(world)
        self._services = Services(world)
        world.enter(
            Events(world, self._descriptors),
            self._descriptors,
            self._connections,
            self._services,
            self._buffers,
        )

    def end(self) -> None:
        """Close the base and what the casts have from the system."""
        self.world.muted = True
        for cast in (self._services, self._connections, self._buffers, self._descriptors):
            cast.close()
        self.world.base.close()


class Soak:
    """One run.

    Args:
        methods: Backends, by name.
        operations: How many, all together.
        seed: What all chances follow from.
        check_every: Operations between two looks at everything.
        tell: Gets each line of the report.
    """

    def __init__(
        self,
        methods: Sequence[str],
        operations: int,
        seed: int,
        check_every: int,
        tell: Callable[[str], object],
    ) -> None:
        self._methods = methods
        self._operations = operations
        self._seed = seed
        self._check_every = check_every
        self._tell = tell
        self._collected: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._performed = 0
        self._called = 0

    def run(self) -> None:
        """Run it.

        Raises:
            SoakError: A fault, a leak, or memory that grows.
        """
        _import_all()
        with _own_process():
            before = _after_collection()
            self._live_and_end()
            self._refuse("at the end", _after_collection().leaks(before))
        self._report()

    def _live_and_end(self) -> None:
        lives = [Life(method, self._seed) for method in self._methods]
        try:
            self._live(lives)
        finally:
            for life in lives:
                life.end()
        for life in lives:
            self._outcomes += life.world.outcomes
            self._performed += life.world.performed
            self._called += life.world.called

    def _live(self, lives: Sequence[Life]) -> None:
        born = _after_collection()
        warm = born
        for tenth in range(_TENTHS):
            for life in lives:
                self._live_a_tenth(life)
            garbage = Held().more_objects(born)
            now = _after_collection()
            self._refuse(f"after tenth {tenth + 1}", now.leaks(born))
            self._note_garbage(garbage)
            self._tell(
                f"{tenth + 1}0 %: {now.blocks:,} pieces of memory, {now.resident / 1e6:.1f} MB resident"
            )
            if tenth == _WARM:
                warm = now
        self._refuse("since the second tenth", _after_collection().growth(warm))

    def _live_a_tenth(self, life: Life) -> None:
        try:
            life.world.live(self._operations // _TENTHS // len(self._methods), self._check_every)
            life.world.let_go()
        except Exception as exception:
            before = "\n".join(life.world.log)
            words = f"{life.method}, seed {self._seed}, the last operations:\n{before}"
            raise SoakError(words) from exception

    def _note_garbage(self, garbage: dict[str, int]) -> None:
        self._collected.update(garbage)
        if wrong := unexpected(garbage):
            raise SoakError(f"seed {self._seed}: left to the collector: {wrong}")

    def _refuse(self, when: str, found: list[str]) -> None:
        if found:
            raise SoakError(f"seed {self._seed}, {when}: " + "; ".join(found))

    def _report(self) -> None:
        self._tell(
            f"{self._performed:,} operations, {self._called:,} callbacks on {', '.join(self._methods)}"
        )
        self._tell("documented exceptions: " + _in_words(self._outcomes))
        for name, number in sorted(self._collected.items()):
            self._tell(f"left to the collector: {number:,} {name}: {LEFT_BY_DESIGN[name]}")


def _in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))


def _after_collection() -> Held:
    for _ in range(3):  # finalizers may free more
        gc.collect()
    return Held()


def _import_all() -> None:
    """Import all of the core, so that its modules' own objects are there before anything is counted."""
    for module in pkgutil.walk_packages(evkit.core.__path__, "evkit.core."):
        importlib.import_module(module.name)


@contextmanager
def _own_process() -> Iterator[None]:
    """Stop the collector, catch the signals that are sent, keep the log quiet, and let no finalizer fail unheard.

    Raises:
        SoakError: One has failed.
    """
    unraisable: list[str] = []

    def note(failure: Any) -> None:
        unraisable.append(f"{failure.exc_value!r} in {failure.object!r}")

    hook, sys.unraisablehook = sys.unraisablehook, note
    handlers = [signal.signal(number, _on_signal) for number in SIGNALS]
    collects = gc.isenabled()
    gc.disable()
    set_log_callback(_drop)
    try:
        yield
    finally:
        set_log_callback(None)
        if collects:
            gc.enable()
        for number, handler in zip(SIGNALS, handlers, strict=True):
            signal.signal(number, handler)
        sys.unraisablehook = hook
    if unraisable:
        raise SoakError(f"finalizers failed: {unraisable[:5]}")


def _on_signal(number: int, frame: object) -> None:
    """Be there when no event waits for the signal, whose default would end the process."""


def _drop(severity: int, message: str) -> None:
    """Tell nobody: exceptions that nobody has asked for are what futures are made for here."""
