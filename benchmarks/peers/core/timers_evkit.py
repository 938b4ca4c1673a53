"""Timers over evkit; see timers_libevent.c."""

from delays import Counter, first_delays, later_delays, make_parser, wait_until_due
from stopwatch import Stopwatch

from evkit import Event, EventBase


def move(events: list[Event], delays: list[float]) -> None:
    for event, delay in zip(events, delays, strict=True):
        event.add(delay)


def add(base: EventBase, counter: Counter, delays: list[float]) -> list[Event]:
    events = [base.timer(counter.on_timeout) for _ in delays]
    move(events, delays)
    return events


def run_once(base: EventBase, counter: Counter, watch: Stopwatch, count: int) -> None:
    first, later = first_delays(count), later_delays(count)
    counter.fired = 0
    watch.start()
    events = add(base, counter, first)
    watch.stop("add")
    watch.start()
    move(events, later)
    watch.stop("move")
    wait_until_due(count)
    watch.start()
    base.dispatch()
    watch.stop("fire")


def main() -> None:
    args = make_parser().parse_args()
    counter, watch = Counter(), Stopwatch()
    with EventBase() as base:
        for _ in range(args.r):
            run_once(base, counter, watch, args.n)
    watch.report(counter.fired)


if __name__ == "__main__":
    main()
