"""bench over evkit; see bench_libevent.c. Where its time goes: ``python -m cProfile bench_evkit.py``."""

from pairs import Chain, Pair, kick_off, make_parser, open_pairs
from stopwatch import Stopwatch

from evkit import EV_PERSIST, EV_READ, EVLOOP_NONBLOCK, EVLOOP_ONCE, Event, EventBase


def add_all(base: EventBase, pairs: list[Pair]) -> list[Event]:
    events = [base.event(pair.fd, EV_READ | EV_PERSIST, pair.on_readable) for pair in pairs]
    for event in events:
        event.add()
    return events


def run_once(base: EventBase, chain: Chain, watch: Stopwatch) -> None:
    watch.start()
    while True:
        base.loop(EVLOOP_ONCE | EVLOOP_NONBLOCK)
        if chain.received == chain.sent:
            break
    watch.stop("dispatch")


def main() -> None:
    args = make_parser().parse_args()
    chain, watch = Chain(), Stopwatch()
    with EventBase() as base, open_pairs(chain, args.n) as pairs:
        for _ in range(args.r):
            events = add_all(base, pairs)
            base.loop(EVLOOP_ONCE | EVLOOP_NONBLOCK)
            kick_off(chain, pairs, args.a, args.w)
            run_once(base, chain, watch)
            for event in events:
                event.delete()
    watch.report(chain.received)


if __name__ == "__main__":
    main()
