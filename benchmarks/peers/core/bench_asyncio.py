"""bench over asyncio's ``add_reader``, or uvloop's; see bench_libevent.c."""

import asyncio
import importlib

from pairs import Chain, Pair, kick_off, make_parser, open_pairs
from stopwatch import Stopwatch


def run_pass(loop: asyncio.AbstractEventLoop) -> None:
    """Poll once, without waiting."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def run_once(loop: asyncio.AbstractEventLoop, chain: Chain, watch: Stopwatch) -> None:
    """Run until every byte has arrived.

    The check stays in the loop's queue, so that it polls without waiting and calls the check once a pass: what
    ``EVLOOP_NONBLOCK`` is to the others.
    """

    def check() -> None:
        if chain.received == chain.sent:
            loop.stop()
        else:
            loop.call_soon(check)

    watch.start()
    loop.call_soon(check)
    loop.run_forever()
    watch.stop("dispatch")


def add_all(loop: asyncio.AbstractEventLoop, pairs: list[Pair]) -> None:
    for pair in pairs:
        loop.remove_reader(pair.fd)
        loop.add_reader(pair.fd, pair.on_readable, None, 0)


def main() -> None:
    args = make_parser().parse_args()
    chain, watch = Chain(), Stopwatch()
    loop: asyncio.AbstractEventLoop = importlib.import_module(args.loop).new_event_loop()
    with open_pairs(chain, args.n) as pairs:
        for _ in range(args.r):
            add_all(loop, pairs)
            run_pass(loop)
            kick_off(chain, pairs, args.a, args.w)
            run_once(loop, chain, watch)
        for pair in pairs:
            loop.remove_reader(pair.fd)
    loop.close()
    watch.report(chain.received)


if __name__ == "__main__":
    main()
