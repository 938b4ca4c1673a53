"""bench_cascade over asyncio's ``add_reader``, or uvloop's; see cascade_libevent.c.

There are no one-shot readers with a time-out, so the reader takes itself away and cancels a timer.
"""

import asyncio
import importlib

from pairs import Chain, Pair, kick_off, make_parser, open_pairs
from stopwatch import Stopwatch

TIMEOUT = 60.0


class OneShot:
    """Calls a pair once, when it is readable, or ends the benchmark after the time-out."""

    __slots__ = ("_loop", "_pair", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, pair: Pair) -> None:
        self._loop = loop
        self._pair = pair
        loop.add_reader(pair.fd, self._fire)
        self._timer = loop.call_later(TIMEOUT, self._expire)

    def _fire(self) -> None:
        self._loop.remove_reader(self._pair.fd)
        self._timer.cancel()
        self._pair.on_readable(None, 0)

    def _expire(self) -> None:
        raise TimeoutError(f"no byte within {TIMEOUT:.0f} s")


class LastShot(OneShot):
    """Stops the loop when it has fired; libevent's loop ends by itself."""

    __slots__ = ()

    def _fire(self) -> None:
        super()._fire()
        self._loop.stop()


def cascade(loop: asyncio.AbstractEventLoop, chain: Chain, pairs: list[Pair]) -> None:
    for pair in pairs[:-1]:
        OneShot(loop, pair)
    LastShot(loop, pairs[-1])
    kick_off(chain, pairs, 1, len(pairs) - 1)
    loop.run_forever()


def main() -> None:
    args = make_parser().parse_args()
    chain, watch = Chain(), Stopwatch()
    loop: asyncio.AbstractEventLoop = importlib.import_module(args.loop).new_event_loop()
    for _ in range(args.r):
        with open_pairs(chain, args.n) as pairs:
            watch.start()
            cascade(loop, chain, pairs)
            watch.stop("cascade")
    loop.close()
    watch.report(chain.received)


if __name__ == "__main__":
    main()
