"""The server of the RPC soak, a process of its own: it serves all that there is to serve, and tells what it holds.

It decides what methods there are, and what is counted. Run as ``python -m soak.rpc_server``, it prints its port, and
ends with its standard input.
"""

import gc
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from evkit.core import EV_PERSIST, EV_READ, Event, EventBase, set_log_callback
from evkit.rpc import Call, Limits, Server
from soak.leaks import Held

HOST: Final = "127.0.0.1"
MESSAGE_TIMEOUT: Final = 1.0
"""Seconds: short, so that a tenth need not wait long for what never comes."""
IDLE_TIMEOUT: Final = 30.0
_LATER: Final = 0.005
_SLOW: Final = 0.5
_PLANNED: Final = ZeroDivisionError


class Soaked:
    """A server with a method of every kind, and what it has to tell of itself."""

    def __init__(self, base: EventBase) -> None:
        self._base = base
        self._faults: Counter[str] = Counter()
        self._garbage: Counter[str] = Counter()
        self._lines = 0
        self._timers = 0
        base.exception_handler = self._escaped
        set_log_callback(self._count_line)
        self.server = Server(base, limits=Limits(message_timeout=MESSAGE_TIMEOUT), idle_timeout=IDLE_TIMEOUT)
        for method in (self.echo, self.boom, self.later, self.slow, self.count, self.total, self.state):
            self.server.register(method)
        self.port = self.server.bind(HOST, 0).port

    def _escaped(self, exception: BaseException, source: object) -> None:  # noqa: ARG002 - a callback
        if type(exception) is not _PLANNED:
            self._faults[f"{type(exception).__name__}: {exception}"[:200]] += 1

    def _count_line(self, severity: int, line: str) -> None:  # noqa: ARG002 - a callback
        self._lines += 1

    def echo(self, value: Any = None) -> Any:
        """Return what was sent."""
        return value

    def boom(self, value: Any = None) -> None:  # noqa: ARG002 - as sent
        """Fail."""
        raise _PLANNED("as planned")

    def later(self, call: Call, value: Any = None) -> None:
        """Answer a little later, unless nobody waits any more."""
        self._answer_after(_LATER, call, value)

    def slow(self, call: Call, value: Any = None) -> None:
        """Answer so late that many have gone by then."""
        self._answer_after(_SLOW, call, value)

    def _answer_after(self, seconds: float, call: Call, value: Any) -> None:
        call.defer()
        timer = self._base.timer(lambda _event, _what: self._answer(call, value))
        call.on_cancel = lambda _call: self._give_up(timer)
        timer.add(seconds)
        self._timers += 1

    def _answer(self, call: Call, value: Any) -> None:
        self._timers -= 1
        call.reply(value)

    def _give_up(self, timer: Event) -> None:
        self._timers -= 1
        timer.free()

    def count(self, number: int) -> Iterator[int]:
        """Yield so many items."""
        yield from range(number)

    def total(self, call: Call, value: Any = None) -> None:  # noqa: ARG002 - as sent
        """Answer with the number of items that have come."""
        call.defer()
        came: list[None] = []
        call.items.set_callbacks(
            item=lambda _stream, _item: came.append(None), end=lambda _stream: call.reply(len(came))
        )

    def state(self) -> dict[str, Any]:
        """Tell what is held, when all that waits for the collector is gone."""
        before = Held()
        gc.collect()
        gc.collect()
        held = Held()
        self._garbage.update(before.more_objects(held))
        return {
            "connections": len(self.server.connections),
            "in_flight": sum(len(one.session.serving) for one in self.server.connections),
            "objects": dict(held.objects),
            "descriptors": dict(held.descriptors),
            "blocks": held.blocks,
            "resident": held.resident,
            "garbage": dict(self._garbage),
            "timers": self._timers,
            "faults": dict(self._faults),
            "lines": self._lines,
        }


def main() -> None:
    """Serve until the standard input ends."""
    gc.disable()  # what it would find is told by `Soaked.state`
    with EventBase() as base:
        soaked = Soaked(base)
        base.event(sys.stdin.fileno(), EV_READ | EV_PERSIST, lambda *_: base.loopexit()).add()
        print(soaked.port, flush=True)
        base.dispatch()
        soaked.server.close()


if __name__ == "__main__":
    main()
