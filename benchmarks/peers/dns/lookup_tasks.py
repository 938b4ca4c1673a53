"""Look-ups by a resolver of asyncio: each task makes one after the other, and there are as many tasks as in flight.

It must never know which resolver asks.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable

from lookup_work import WARM_UP, Names, Stopwatch, check, make_parser

Resolve = Callable[[str], Awaitable[object]]
"""Look a name up, and give its one address; whatever else where it has others."""


async def _one_after_the_other(resolve: Resolve, names: Names, number: int) -> int:
    for _ in range(number):
        name, address = names.next()
        check(name, await resolve(name), address)
    return number


async def _look_up(resolve: Resolve, names: Names, number: int, in_flight: int) -> int:
    shares = [number // in_flight + (index < number % in_flight) for index in range(in_flight)]
    return sum(await asyncio.gather(*(_one_after_the_other(resolve, names, share) for share in shares)))


async def _take_times(make_resolve: Callable[[int], Resolve], args: argparse.Namespace) -> None:
    resolve = make_resolve(args.port)
    names = Names()
    await _look_up(resolve, names, WARM_UP, args.c)
    watch, done = Stopwatch(), 0
    for _ in range(args.r):
        watch.start()
        done = await _look_up(resolve, names, args.n, args.c)
        watch.stop("lookups")
    watch.report(done)


def run(make_resolve: Callable[[int], Resolve]) -> None:
    """Measure a resolver on the loop that the command line names.

    Args:
        make_resolve: Given the server's port, and called where the loop runs.
    """
    args = make_parser().parse_args()
    factory = None
    if args.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_take_times(make_resolve, args))
