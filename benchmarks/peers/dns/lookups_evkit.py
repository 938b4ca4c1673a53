"""Look-ups by evkit's resolver, each made by the callback of the one before."""

from lookup_work import WARM_UP, Names, Stopwatch, check, make_parser

from evkit import EventBase, Future
from evkit.dns import Answer, Resolver


class LookUps:
    """So many look-ups, with a number of them in flight."""

    def __init__(self, base: EventBase, resolver: Resolver, names: Names, count: int) -> None:
        self._base = base
        self._resolver = resolver
        self._names = names
        self._left = count
        self._count = count
        self._expected: dict[str, str] = {}
        self.returned = 0

    def run(self, in_flight: int) -> int:
        """Look all up; return how often there was an answer."""
        for _ in range(min(in_flight, self._left)):
            self._ask()
        self._base.dispatch()
        return self.returned

    def _ask(self) -> None:
        self._left -= 1
        name, address = self._names.next()
        self._expected[name] = address
        self._resolver.resolve(name, "A").add_done_callback(self._on_answer)

    def _on_answer(self, future: Future[Answer]) -> None:
        answer = future.result()
        (got,) = answer.addresses
        check(answer.name, got, self._expected.pop(answer.name))
        self.returned += 1
        if self._left:
            self._ask()
        elif self.returned == self._count:
            self._base.loopbreak()


def _fail(exception: BaseException, source: object) -> None:  # noqa: ARG001 - a callback
    raise SystemExit(repr(exception))


def main() -> None:
    args = make_parser().parse_args()
    names = Names()
    watch, done = Stopwatch(), 0
    base = EventBase()
    base.exception_handler = _fail
    resolver = Resolver(base, [f"127.0.0.1:{args.port}"])
    LookUps(base, resolver, names, WARM_UP).run(args.c)
    for _ in range(args.r):
        look_ups = LookUps(base, resolver, names, args.n)
        watch.start()
        done = look_ups.run(args.c)
        watch.stop("lookups")
    resolver.close()
    base.close()
    watch.report(done)


if __name__ == "__main__":
    main()
