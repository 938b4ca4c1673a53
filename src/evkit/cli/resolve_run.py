"""Many questions, of which only so many are in flight at a time.

Pulls questions from a source and hands on what came of each. Knows nothing of where they come from or go to.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from evkit import EventBase, Future
from evkit.cli.resolve_questions import Question
from evkit.cli.resolve_results import Outcome, Result
from evkit.dns.answer import Answer
from evkit.errors import ResolveError


class Asker(Protocol):
    """Who knows the answers: an `evkit.dns.Resolver`, told how to ask."""

    def __call__(self, question: Question, kind: str) -> Future[Answer]:
        """Ask for one type of a question.

        Raises:
            ValueError: It can't be asked.
        """


class Source(Protocol):
    """Where questions come from.

    Attributes:
        ended: Whether there will be no more.
    """

    @property
    def ended(self) -> bool: ...  # noqa: D102 - see above

    def take(self) -> Question | None:
        """Return the next one; ``None``: it has ended, or `Run.go_on` has to be called when there is more."""


class _Flight:
    """A question in flight: its outcomes so far, and how many are to come."""

    __slots__ = ("left", "number", "outcomes", "question")

    def __init__(self, number: int, question: Question) -> None:
        self.number = number
        self.question = question
        self.left = len(question.types)
        self.outcomes: dict[int, Outcome] = {}

    def result(self) -> Result:
        return Result(self.question, tuple(self.outcomes[index] for index in range(len(self.outcomes))))


class Run:
    """Asks one question after the other, until the source has ended and all is answered.

    Args:
        base: The loop.
        ask: Asks.
        source: Has the questions.
        on_result: Called with what came of each; what it raises ends the run.
        concurrency: Questions in flight at most, ``>= 1``.
        in_order: Whether results are handed on in the order of the questions: those that have to wait for others are
            kept meanwhile, however many they are.
    """

    __slots__ = (
        "_ask",
        "_base",
        "_concurrency",
        "_done",
        "_flying",
        "_in_order",
        "_kept",
        "_next",
        "_number",
        "_on_result",
        "_source",
    )

    def __init__(
        self,
        base: EventBase,
        ask: Asker,
        source: Source,
        on_result: Callable[[Result], object],
        *,
        concurrency: int,
        in_order: bool = False,
    ) -> None:
        self._base = base
        self._ask = ask
        self._source = source
        self._on_result = on_result
        self._concurrency = concurrency
        self._in_order = in_order
        self._kept: dict[int, Result] = {}
        self._next = 0  # the number whose result is handed on next
        self._number = 0
        self._flying = 0
        self._done: Future[None] = Future(base)

    def __repr__(self) -> str:
        return f"<Run asked={self._number} in_flight={self._flying}>"

    def wait(self) -> None:
        """Run the loop until all is answered.

        Raises:
            Exception: What escaped from any callback of the loop meanwhile.
        """
        self._base.exception_handler = self._on_escaped
        self.go_on()
        self._done.result()

    def _on_escaped(self, exception: BaseException, source: object) -> None:  # noqa: ARG002 - a callback
        if not self._done.done():  # the first is told; others may come of it
            self._done.set_exception(exception)

    def go_on(self) -> None:
        """Ask what may be asked now."""
        while self._flying < self._concurrency:
            question = self._source.take()
            if question is None:
                break
            self._start(question)
        if not self._flying and self._source.ended:
            self._done.set_result(None)

    def _start(self, question: Question) -> None:
        flight = _Flight(self._number, question)
        self._number += 1
        self._flying += 1
        for index, kind in enumerate(question.types):
            self._ask(question, kind).add_done_callback(partial(self._on_outcome, flight, index))

    def _on_outcome(self, flight: _Flight, index: int, future: Future[Answer]) -> None:
        try:
            flight.outcomes[index] = future.result()
        except ResolveError as error:
            # Its traceback would keep this frame, and with it the future.
            flight.outcomes[index] = error.with_traceback(None)
        flight.left -= 1
        if flight.left or self._done.done():
            return
        self._flying -= 1
        self._hand_on(flight)
        self.go_on()

    def _hand_on(self, flight: _Flight) -> None:
        if not self._in_order:
            self._on_result(flight.result())
            return
        self._kept[flight.number] = flight.result()
        while self._next in self._kept:
            self._on_result(self._kept.pop(self._next))
            self._next += 1
