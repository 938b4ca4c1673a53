"""`RPCSoak`: the whole run, in tenths, after each of which the attackers are gone and the server is counted.

It decides how attackers and good calls take turns, and what the verdict is. A good client calls all the while, by every
kind of method, and each answer is compared.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

from evkit.core import EventBase
from evkit.errors import EvkitError
from evkit.rpc import Client
from soak.leaks import MORE_MEMORY
from soak.rpc_attack import Attacker

_TENTHS: Final = 10
_WARM: Final = 1
"""The tenth after which memory must not grow: caches are full by then."""
_MORE_BLOCKS: Final = 4000
_DEAD_TIMERS: Final = Counter({"evkit.core.event.Event": 200})
"""By how many the objects may be off: timers that are freed stay in the heap, until it is swept or they are due."""
_AT_ONCE: Final = 30
"""Attackers at a time."""
_CALL_EVERY: Final = 20
"""Turns of attackers between two good calls."""
_CALL_TIMEOUT: Final = 20.0
_PATIENCE: Final = 30.0
"""Seconds for the server to let connections go; twenty times what it takes."""


class SoakError(Exception):
    """The soak has found something; its text tells what."""


class RPCSoak:
    """One run.

    Args:
        frames: How many are sent.
        seed: What all chances follow from. What the server has read of them when a connection ends is the system's.
        tell: Gets each line of the report.
    """

    def __init__(self, frames: int, seed: int, tell: Callable[[str], object]) -> None:
        self._frames = frames
        self._tell = tell
        self._chance = Random(seed)
        self._attackers: list[Attacker] = []
        self._counts: Counter[str] = Counter()
        self._sent = 0
        self._calls = 0
        self._turns = 0

    def run(self) -> None:
        """Run it.

        Raises:
            SoakError: An answer is missing or wrong, the server has failed, or holds more than it should.
        """
        with _server() as port, EventBase() as base, Client(base, ("127.0.0.1", port), hello=True) as client:
            self._port, self._client = port, client
            try:
                self._run()
            except EvkitError as error:
                raise SoakError(f"a good call failed after {self._sent:,} frames: {error!r}") from error
            finally:
                self._end_attackers()
        self._report()

    def _run(self) -> None:
        warm = self._settled()
        for tenth in range(_TENTHS):
            self._attack((tenth + 1) * self._frames // _TENTHS)
            now = self._settled()
            self._tell(f"{tenth + 1}0 %: {_in_words(now)}")
            if tenth <= _WARM:
                warm = now
            _compare(warm, now)
            self._counts["lines of the server's log"] = now["lines"]

    # What happens

    def _attack(self, until: int) -> None:
        while self._sent < until:
            while len(self._attackers) < _AT_ONCE:
                self._attackers.append(Attacker(self._port, self._chance))
                self._counts["connections"] += 1
            for attacker in self._attackers:
                before = attacker.sent
                attacker.turn()
                self._sent += attacker.sent - before
                self._turns += 1
                if self._turns % _CALL_EVERY == 0:
                    self._call()
            self._counts["ended by the server"] += sum(one.refused for one in self._attackers)
            self._attackers = [one for one in self._attackers if not one.over]

    def _end_attackers(self) -> None:
        for attacker in self._attackers:
            attacker.end()
        self._attackers.clear()

    def _call(self) -> None:
        """Call as a good client does, and compare the answer."""
        self._calls += 1
        number, client = self._calls, self._client
        kind = number % 4
        if kind == 0:
            wanted: Any = list(range(number % 70))
            found: Any = list(client.stream("count", number % 70, window=10, timeout=_CALL_TIMEOUT))
        elif kind == 1:
            wanted = number % 70
            stream = client.stream("total", items=range(wanted), timeout=_CALL_TIMEOUT)
            found = stream.result.result()
        else:
            wanted = ["it is", number]
            method = "echo" if kind == 2 else "later"
            found = client.call(method, wanted, timeout=_CALL_TIMEOUT).result()
        if found != wanted:
            raise SoakError(f"a good call got {found!r}, not {wanted!r}")

    # What must hold

    def _settled(self) -> dict[str, Any]:
        """Return what the server holds, once no attacker is left there."""
        self._end_attackers()
        deadline = time.monotonic() + _PATIENCE
        while True:
            self._call()
            state: dict[str, Any] = self._client.call("state", timeout=_CALL_TIMEOUT).result()
            if state["connections"] == 1 and not state["timers"]:
                return state
            if time.monotonic() > deadline:
                raise SoakError(f"the server holds connections whose peers are gone: {state}")
            time.sleep(0.05)

    def _report(self) -> None:
        self._tell(f"{self._sent:,} frames, {self._calls:,} good calls")
        for name, count in sorted(self._counts.items()):
            self._tell(f"{name}: {count:,}")


def _in_words(state: dict[str, Any]) -> str:
    return (
        f"{sum(state['objects'].values()):,} objects of evkit's, {state['blocks']:,} pieces of memory,"
        f" {state['resident'] / 1e6:.1f} MB resident"
    )


def _compare(warm: dict[str, Any], now: dict[str, Any]) -> None:
    found = []
    if now["faults"]:
        found.append(f"the server's own faults: {now['faults']}")
    if now["garbage"]:
        found.append(f"left to the collector: {now['garbage']}")
    if now["in_flight"]:
        found.append(f"{now['in_flight']} calls that nobody waits for")
    if more := Counter(now["objects"]) - Counter(warm["objects"]) - _DEAD_TIMERS:
        found.append(f"objects: {dict(more)}")
    if more := Counter(now["descriptors"]) - Counter(warm["descriptors"]):
        found.append(f"descriptors: {dict(more)}")
    if now["blocks"] > warm["blocks"] + _MORE_BLOCKS:
        found.append(f"pieces of memory: {warm['blocks']:,} became {now['blocks']:,}")
    if now["resident"] > warm["resident"] + MORE_MEMORY:
        found.append(f"resident memory: {warm['resident']:,} became {now['resident']:,} bytes")
    if found:
        raise SoakError("; ".join(found))


@contextmanager
def _server() -> Iterator[int]:
    """Run the server, and give its port.

    Raises:
        SoakError: It has ended by itself, or not as it should.
    """
    command = [sys.executable, "-m", "soak.rpc_server"]
    folder = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
            process.stdin.close()
            status = process.wait(_PATIENCE)
        except BaseException:
            process.kill()
            raise
    if status:
        raise SoakError(f"the server has ended with {status}")
