"""Look-ups of names that evkit's resolver knows already: asked, and the answer taken out at once."""

from lookup_work import Names, Stopwatch, check, make_parser

from evkit import EventBase
from evkit.dns import Resolver

KNOWN = 1000


def main() -> None:
    args = make_parser().parse_args()
    names = Names()
    known = [names.next() for _ in range(KNOWN)]
    watch, done = Stopwatch(), 0
    with EventBase() as base:
        resolver = Resolver(base, [f"127.0.0.1:{args.port}"])
        for name, address in known:
            check(name, resolver.resolve(name, "A").result().addresses[0], address)
        asked = [known[number % KNOWN] for number in range(args.n)]
        for _ in range(args.r):
            watch.start()
            answers = [resolver.resolve(name, "A").result() for name, _ in asked]
            watch.stop("cached")
            done = len(answers)
            for (name, address), answer in zip(asked, answers, strict=True):
                check(name, answer.addresses[0] if answer.cached else "nothing cached", address)
        resolver.close()
    watch.report(done)


if __name__ == "__main__":
    main()
