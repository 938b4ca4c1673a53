"""What the timers wait for in every Python loop; the same as in timers_libevent.c.

The deadlines come in no order, and a timer moves later by more than the whole range of them.
"""

import argparse
import time

STEP = 5e-6
"""Seconds between two deadlines."""
STRIDE = 7919
"""A prime, so that the deadlines come in no order."""


SLACK = 0.02
"""Seconds more than needed: libevent reads a clock that ticks every 4 ms, uvloop counts whole milliseconds."""


def first_delays(count: int) -> list[float]:
    """Give the delay that each of ``count`` timers is added with, in seconds."""
    return [number * STRIDE % count * STEP for number in range(count)]


def later_delays(count: int) -> list[float]:
    """Give the delay that each is moved to."""
    spread = count * STEP
    return [delay + spread for delay in first_delays(count)]


def wait_until_due(count: int) -> None:
    """Sleep until the last timer is due."""
    time.sleep(2 * count * STEP + SLACK)


class Counter:
    """Counts the timers that fire.

    Attributes:
        fired: How many did.
    """

    __slots__ = ("fired",)

    def __init__(self) -> None:
        self.fired = 0

    def on_timeout(self, _event: object, _what: int) -> None:
        """Be called by a loop."""
        self.fired += 1


def make_parser() -> argparse.ArgumentParser:
    """Describe the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=100_000, help="timers")
    parser.add_argument("-r", type=int, default=5, help="runs")
    parser.add_argument("--loop", default="asyncio", choices=("asyncio", "uvloop"))
    return parser
