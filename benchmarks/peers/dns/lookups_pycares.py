"""Look-ups by pycares, each made by the callback of the one before, in the thread that c-ares has for them.

The main thread makes the first alone: two threads that ask at the same time may wait for each other for ever.
"""

import threading
from collections.abc import Callable

import pycares
from lookup_work import WARM_UP, Names, Stopwatch, check, make_parser


class LookUps:
    """So many look-ups, with a number of them in flight."""

    def __init__(self, channel: pycares.Channel, names: Names, count: int, in_flight: int) -> None:
        self._channel = channel
        self._names = names
        self._left = count
        self._count = count
        self._first = in_flight
        self._done = threading.Event()
        self._error: BaseException | None = None
        self.returned = 0

    def run(self) -> int:
        """Look all up; return how often there was an answer."""
        self._ask()
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self.returned

    def _ask(self) -> None:
        self._left -= 1
        name, address = self._names.next()
        self._channel.query(name, pycares.QUERY_TYPE_A, callback=self._make_callback(name, address))

    def _make_callback(
        self, name: str, address: str
    ) -> Callable[[pycares.DNSResult | None, int | None], None]:
        def on_answer(result: pycares.DNSResult | None, error: int | None) -> None:
            try:
                self._on_answer(name, address, result, error)
            except BaseException as exc:
                self._error = exc
                self._done.set()

        return on_answer

    def _on_answer(
        self, name: str, address: str, result: pycares.DNSResult | None, error: int | None
    ) -> None:
        check(name, _address(result) if error is None else pycares.errno.strerror(error), address)
        self.returned += 1
        asked, self._first = self._first, 1
        for _ in range(min(asked, self._left)):
            self._ask()
        if self.returned == self._count:
            self._done.set()


def _address(result: pycares.DNSResult | None) -> object:
    assert result is not None
    (record,) = result.answer
    assert isinstance(record.data, pycares.ARecordData)
    return record.data.addr


def main() -> None:
    args = make_parser().parse_args()
    names = Names()
    watch, done = Stopwatch(), 0
    channel = pycares.Channel(servers=[f"127.0.0.1:{args.port}"])
    LookUps(channel, names, WARM_UP, args.c).run()
    for _ in range(args.r):
        look_ups = LookUps(channel, names, args.n, args.c)
        watch.start()
        done = look_ups.run()
        watch.stop("lookups")
    channel.close()
    watch.report(done)


if __name__ == "__main__":
    main()
