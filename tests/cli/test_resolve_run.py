"""Many questions, with only so many in flight: who asks when, in which order results come, and how it ends."""

from collections.abc import Sequence

import pytest

from evkit import EventBase, Future
from evkit.cli.resolve_questions import Question
from evkit.cli.resolve_results import Result
from evkit.cli.resolve_run import Run
from evkit.cli.resolve_sources import Words
from evkit.core.flags import EVLOOP_NONBLOCK
from evkit.dns.answer import Answer
from evkit.errors import NameNotFound


class Names:
    """Answers when it is told to."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self.pending: dict[tuple[str, str], Future[Answer]] = {}
        self.most = 0
        self.at_once = False

    def __call__(self, question: Question, kind: str) -> Future[Answer]:
        future: Future[Answer] = Future(self.base)
        self.pending[question.name, kind] = future
        self.most = max(self.most, len(self.pending))
        if self.at_once:
            self.answer(question.name, kind)
        return future

    def answer(self, name: str, kind: str = "A") -> None:
        future = self.pending.pop((name, kind))
        if name.startswith("no"):
            future.set_exception(NameNotFound(name, kind))
        else:
            future.set_result(Answer(name, kind))


class Slow:
    """A source that has nothing at times, and its end when it is told so."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.ended = False

    def take(self) -> Question | None:
        return self.questions.pop(0) if self.questions else None


def ask_for(*names: str, types: tuple[str, ...] = ("A",)) -> list[Question]:
    return [Question(name, types) for name in names]


class Case:
    """A run whose results are noted; `play` answers in the order given, one in each pass of the loop."""

    def __init__(self, base: EventBase, questions: Sequence[Question], **options: bool | int) -> None:
        self.base = base
        self.names = Names(base)
        self.results: list[Result] = []
        self.source = Words(questions)
        concurrency = int(options.pop("concurrency", 10))
        self.run = Run(
            base,
            self.names,
            self.source,
            self.results.append,
            concurrency=concurrency,
            in_order=bool(options.get("in_order")),
        )

    def play(self, *order: str) -> None:
        left = list(order)

        def answer() -> None:
            self.names.answer(left.pop(0))
            if left:
                self.base.call_soon(answer)

        self.base.call_soon(answer)
        self.run.wait()

    @property
    def told(self) -> list[str]:
        return [result.question.name for result in self.results]


def test_results_come_as_they_come(base: EventBase) -> None:
    case = Case(base, ask_for("a", "b", "c"))
    case.play("b", "c", "a")
    assert case.told == ["b", "c", "a"]
    assert [result.outcomes[0].name for result in case.results] == ["b", "c", "a"]


def test_or_in_the_order_of_the_questions(base: EventBase) -> None:
    case = Case(base, ask_for("a", "b", "c", "d"), in_order=True)
    seen: list[list[str]] = []
    base.call_soon(lambda: seen.append(case.told))
    case.play("b", "a", "d", "c")
    assert case.told == ["a", "b", "c", "d"]


def test_no_more_are_in_flight_than_may_be(base: EventBase) -> None:
    case = Case(base, ask_for("a", "b", "c", "d", "e"), concurrency=2)
    case.play("a", "b", "c", "d", "e")
    assert case.names.most == 2
    assert case.told == ["a", "b", "c", "d", "e"]


def test_a_question_is_done_when_all_its_types_are(base: EventBase) -> None:
    case = Case(base, ask_for("a", types=("A", "MX")))
    base.call_soon(lambda: case.names.answer("a", "MX"))
    case.play("a")
    (result,) = case.results
    assert [outcome.type for outcome in result.outcomes] == ["A", "MX"]  # whichever came first


def test_a_failure_is_a_result(base: EventBase) -> None:
    case = Case(base, ask_for("no", "yes"))
    case.play("no", "yes")
    assert [result.resolved for result in case.results] == [False, True]
    assert isinstance(case.results[0].outcomes[0], NameNotFound)
    assert case.results[0].outcomes[0].__traceback__ is None  # which would keep the run


def test_a_thousand_that_are_known_already(base: EventBase) -> None:
    case = Case(base, ask_for(*[f"n{number}" for number in range(1000)]), concurrency=3)
    case.names.at_once = True
    case.run.wait()
    assert len(case.results) == 1000
    assert repr(case.run) == "<Run asked=1000 in_flight=0>"


def test_there_is_nothing_to_ask(base: EventBase) -> None:
    case = Case(base, [])
    case.run.wait()
    assert case.results == []


def test_a_source_may_have_to_be_waited_for(base: EventBase) -> None:
    names, source, results = Names(base), Slow(), []
    names.at_once = True
    run = Run(base, names, source, results.append, concurrency=2)

    def come() -> None:
        source.questions += ask_for("a", "b", "c")
        run.go_on()
        base.call_soon(end)

    def end() -> None:
        source.ended = True
        run.go_on()

    base.call_soon(come)
    run.wait()
    assert [result.question.name for result in results] == ["a", "b", "c"]


def test_what_a_callback_raises_ends_the_run(base: EventBase) -> None:
    told: list[str] = []

    def refuse(result: Result) -> None:
        told.append(result.question.name)
        raise BrokenPipeError

    names = Names(base)
    names.at_once = True
    run = Run(base, names, Words(ask_for("a", "b", "c")), refuse, concurrency=2)
    with pytest.raises(BrokenPipeError):
        run.wait()
    base.loop(EVLOOP_NONBLOCK)
    assert told == ["a"]  # nothing is told of "b", and "c" is not asked for
    assert repr(run) == "<Run asked=2 in_flight=1>"


def test_what_the_resolver_raises_ends_it_too(base: EventBase, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Names):
        def __call__(self, question: Question, kind: str) -> Future[Answer]:
            future: Future[Answer] = Future(self.base)
            future.set_exception(OSError(f"no memory for {question.name}"))
            return future

    run = Run(base, Broken(base), Words(ask_for("a", "b")), lambda result: None, concurrency=2)
    with pytest.raises(OSError, match="no memory for a"):
        run.wait()
    base.loop(EVLOOP_NONBLOCK)
    assert caplog.records == []  # the others are not told
