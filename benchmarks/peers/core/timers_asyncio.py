"""Timers over asyncio's ``call_later``, or uvloop's; see timers_libevent.c.

A timer is moved by cancelling it and making another.
"""

import asyncio
import importlib

from delays import Counter, first_delays, later_delays, make_parser, wait_until_due
from stopwatch import Stopwatch


class LastOne(Counter):
    """Stops the loop when the last timer has fired; libevent's loop ends by itself."""

    __slots__ = ("_loop", "_timers")

    def __init__(self, loop: asyncio.AbstractEventLoop, timers: int) -> None:
        super().__init__()
        self._loop = loop
        self._timers = timers

    def on_timeout(self, _event: object, _what: int) -> None:
        """Count; see `Counter`."""
        self.fired += 1
        if self.fired == self._timers:
            self._loop.stop()


def add(loop: asyncio.AbstractEventLoop, counter: Counter, delays: list[float]) -> list[asyncio.TimerHandle]:
    return [loop.call_later(delay, counter.on_timeout, None, 0) for delay in delays]


def move(
    loop: asyncio.AbstractEventLoop,
    counter: Counter,
    handles: list[asyncio.TimerHandle],
    delays: list[float],
) -> None:
    for number, delay in enumerate(delays):
        handles[number].cancel()
        handles[number] = loop.call_later(delay, counter.on_timeout, None, 0)


def run_once(loop: asyncio.AbstractEventLoop, counter: Counter, watch: Stopwatch, count: int) -> None:
    first, later = first_delays(count), later_delays(count)
    counter.fired = 0
    watch.start()
    handles = add(loop, counter, first)
    watch.stop("add")
    watch.start()
    move(loop, counter, handles, later)
    watch.stop("move")
    wait_until_due(count)
    watch.start()
    loop.run_forever()
    watch.stop("fire")


def main() -> None:
    args = make_parser().parse_args()
    watch = Stopwatch()
    loop: asyncio.AbstractEventLoop = importlib.import_module(args.loop).new_event_loop()
    counter = LastOne(loop, args.n)
    for _ in range(args.r):
        run_once(loop, counter, watch, args.n)
    loop.close()
    watch.report(counter.fired)


if __name__ == "__main__":
    main()
