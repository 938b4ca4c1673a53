"""Requests by a client of asyncio: each task makes one after the other, and there are as many tasks as in flight.

It must never know which client asks.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from work import WARM_UP, Stopwatch

Get = Callable[[], Awaitable[None]]
"""One request, whose answer was looked at."""


async def _one_after_the_other(get: Get, count: int) -> int:
    for _ in range(count):
        await get()
    return count


async def _crawl(get: Get, count: int, in_flight: int) -> int:
    shares = [count // in_flight + (number < count % in_flight) for number in range(in_flight)]
    return sum(await asyncio.gather(*(_one_after_the_other(get, share) for share in shares)))


async def take_times(get: Get, args: argparse.Namespace) -> None:
    """Warm up, measure, and print the times."""
    await _crawl(get, WARM_UP, args.c)
    watch, done = Stopwatch(), 0
    for _ in range(args.r):
        watch.start()
        done = await _crawl(get, args.n, args.c)
        watch.stop("requests")
    watch.report(done)


def run(main: Callable[[argparse.Namespace], Awaitable[None]], args: argparse.Namespace) -> None:
    """Run a program on the loop that it was told."""
    factory = None
    if args.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_as_coroutine(main, args))


async def _as_coroutine(
    main: Callable[[argparse.Namespace], Awaitable[None]], args: argparse.Namespace
) -> None:
    await main(args)
