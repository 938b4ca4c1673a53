"""``evkit rpc call --repeat``: the same call again and again, so many at a time.

What is told of it is decided by `evkit.cli.rpc_report`.
"""

import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from signal import SIGINT
from time import perf_counter_ns

from evkit import EventBase, Future
from evkit.cli.bases import make_base
from evkit.cli.errors import FAILED, USAGE, Failure
from evkit.cli.progress import STDERR, ProgressLine
from evkit.cli.rpc_line import SILENT, connected, reason
from evkit.cli.rpc_report import Report
from evkit.cli.rpc_values import as_json
from evkit.cli.terminal import one_line, say, show
from evkit.rpc import Connection, Overloaded, Pending, RPCError


def repeat(arguments: Namespace, params: list[object]) -> int:
    """Call so often as the options say, and tell what came of it; return the exit status.

    Raises:
        Failure: Nobody is there, or the parameters can't be sent.
        BrokenPipeError: Nobody reads standard output any more.
    """
    with make_base() as base, connected(base, arguments, hello=False) as connection:
        connection.timeout = arguments.timeout
        load = Load(connection, arguments.method, params, arguments.repeat, arguments.concurrency or 1)
        status = _run(load, base)
        _tell(load, arguments, base.now())
    return status


def _run(load: "Load", base: EventBase) -> int:
    with _drawn(load.report, base):
        try:
            load.start()
            load.wait()
        except KeyboardInterrupt:
            return 128 + SIGINT  # and what was done so far is told
        except (TypeError, ValueError, OverflowError) as error:
            raise Failure(f"the call can't be sent: {one_line(error)}", status=USAGE) from error
    return load.status


@contextmanager
def _drawn(report: Report, base: EventBase) -> Iterator[None]:
    if not os.isatty(STDERR):
        yield
        return
    with ProgressLine(base, report) as line:
        try:
            yield
        finally:
            line.hide()  # what it would say in the end is told anyway


def _tell(load: "Load", arguments: Namespace, now: float) -> None:
    report = load.report
    show(as_json(report.facts(now)) if arguments.json else "\n".join(report.lines(now)))
    if load.lost is not None:
        told = "; no more calls were made"
        say(f"{arguments.parser.prog}: error: {arguments.address}: {reason(load.lost, arguments)}{told}")


class Load:
    """Calls a method so often, and never has more than so many calls under way.

    Args:
        connection: Its ``timeout`` holds for each call.
        method: The name of the method.
        params: Its parameters.
        total: How often.
        concurrency: How many at a time, ``>= 1``.
        clock: Nanoseconds, on any clock.

    Attributes:
        report: What has come of them.
        lost: Why no more were made; ``None``: nothing was in the way.
    """

    __slots__ = (
        "_clock",
        "_concurrency",
        "_connection",
        "_done",
        "_flying",
        "_method",
        "_params",
        "_to_go",
        "lost",
        "report",
    )

    def __init__(
        self,
        connection: Connection,
        method: str,
        params: list[object],
        total: int,
        concurrency: int,
        clock: Callable[[], int] = perf_counter_ns,
    ) -> None:
        self._connection = connection
        self._method = method
        self._params = params
        self._to_go = total
        self._concurrency = concurrency
        self._clock = clock
        self._flying = 0
        self._done: Future[None] = Future(connection.base)
        self.report = Report(connection.base.now(), total)
        self.lost: RPCError | None = None

    def __repr__(self) -> str:
        return f"<Load to_go={self._to_go} in_flight={self._flying}>"

    @property
    def status(self) -> int:
        """The exit status."""
        if self.lost is not None:
            return SILENT
        if not self.report.failed:
            return 0
        return FAILED if self.report.latencies.count else SILENT

    def start(self) -> None:
        """Begin.

        Raises:
            TypeError, ValueError, OverflowError: The parameters can't be sent.
        """
        self._go_on()

    def wait(self) -> None:
        """Run the loop until all is answered, or the connection is lost."""
        self._done.result()

    def _go_on(self) -> None:
        """Begin what may be begun now."""
        while self._to_go and self._flying < self._concurrency and self.lost is None:
            if not self._begin():
                break
        if not self._flying and (self.lost is not None or not self._to_go):
            self._done.set_result(None)

    def _begin(self) -> bool:
        """Begin one; return whether that was possible."""
        try:
            self._connection.start_call(self._method, self._params, partial(self._on_done, self._clock()))
        except RPCError as error:
            if not isinstance(error, Overloaded) or not self._flying:
                self.lost = error
            return False  # until what is under way is answered
        self._to_go -= 1
        self._flying += 1
        return True

    def _on_done(self, began: int, pending: Pending) -> None:
        self._flying -= 1
        self.report.answered(self._clock() - began, pending.error)
        self._go_on()
