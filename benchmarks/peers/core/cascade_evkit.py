"""bench_cascade over evkit; see cascade_libevent.c."""

from pairs import Chain, Pair, kick_off, make_parser, open_pairs
from stopwatch import Stopwatch

from evkit import EV_READ, EventBase

TIMEOUT = 60.0


def cascade(base: EventBase, chain: Chain, pairs: list[Pair]) -> None:
    for pair in pairs:
        base.event(pair.fd, EV_READ, pair.on_readable).add(TIMEOUT)
    kick_off(chain, pairs, 1, len(pairs) - 1)
    base.dispatch()


def main() -> None:
    args = make_parser().parse_args()
    chain, watch = Chain(), Stopwatch()
    with EventBase() as base:
        for _ in range(args.r):
            with open_pairs(chain, args.n) as pairs:
                watch.start()
                cascade(base, chain, pairs)
                watch.stop("cascade")
    watch.report(chain.received)


if __name__ == "__main__":
    main()
