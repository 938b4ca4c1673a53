"""Requests by evkit's client, each made by the callback of the one before."""

from collections.abc import Iterator

from work import WARM_UP, Stopwatch, check, make_parser, urls

from evkit import EventBase, Future
from evkit.http import Client, Response


class Crawl:
    """So many requests, with a number of them in flight."""

    def __init__(self, base: EventBase, client: Client, urls: Iterator[str], count: int) -> None:
        self._base = base
        self._client = client
        self._urls = urls
        self._left = count
        self._count = count
        self.returned = 0

    def run(self, in_flight: int) -> int:
        """Ask for all; return how often there was an answer."""
        for _ in range(min(in_flight, self._left)):
            self._ask()
        self._base.dispatch()
        return self.returned

    def _ask(self) -> None:
        self._left -= 1
        self._client.get(next(self._urls)).add_done_callback(self._on_response)

    def _on_response(self, future: Future[Response]) -> None:
        response = future.result()
        check(response.status, response.body)
        self.returned += 1
        if self._left:
            self._ask()
        elif self.returned == self._count:
            self._base.loopbreak()


def main() -> None:
    args = make_parser().parse_args()
    targets = urls(args)
    watch, done = Stopwatch(), 0
    with EventBase() as base, Client(base) as client:
        Crawl(base, client, targets, WARM_UP).run(args.c)
        for _ in range(args.r):
            crawl = Crawl(base, client, targets, args.n)
            watch.start()
            done = crawl.run(args.c)
            watch.stop("requests")
    watch.report(done)


if __name__ == "__main__":
    main()
