"""Tick, and stop at a signal or after a while.

    python examples/timers_signals.py [SECONDS BETWEEN TICKS]

Ctrl-C stops it at once, ``kill -USR1`` makes it say how many ticks there were, and after ten it stops by itself.
"""

import os
import signal
import sys

from evkit import Event, EventBase

LAST = 10


class Ticker:
    """Counts on an event base."""

    __slots__ = ("base", "count", "timer")

    def __init__(self, base: EventBase, interval: float) -> None:
        self.base = base
        self.count = 0
        self.timer = base.timer(self.on_tick, persist=True)
        self.timer.add(interval)

    def on_tick(self, _event: Event, _what: int) -> None:
        """Count one."""
        self.count += 1
        print(f"tick {self.count}", flush=True)
        if self.count == LAST:
            self.base.loopexit()

    def on_usr1(self, _event: Event, _what: int) -> None:
        """Tell the count."""
        print(f"{self.count} ticks so far", flush=True)

    def on_stop(self, event: Event, _what: int) -> None:
        """Leave the loop."""
        print(f"stopped by {signal.Signals(event.fd).name}", flush=True)
        self.base.loopexit()


def main() -> None:
    """Tick until something stops us."""
    interval = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    with EventBase() as base:
        ticker = Ticker(base, interval)
        base.signal(signal.SIGUSR1, ticker.on_usr1).add()
        for number in (signal.SIGINT, signal.SIGTERM):
            base.signal(number, ticker.on_stop).add()
        print(f"process {os.getpid()} ticks every {interval:g} s", flush=True)
        base.dispatch()
        print(f"bye after {ticker.count} ticks", flush=True)


if __name__ == "__main__":
    main()
