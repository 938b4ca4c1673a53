"""What came of a question, and how it looks: for a reader, as data alone, as JSON.

A decider: it makes text and writes none. What comes from the network may hold anything; here it becomes printable.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from evkit.cli.resolve_questions import Question
from evkit.dns.answer import Answer, Attempt, Record
from evkit.errors import NameNotFound, NoData, ResolveError

Outcome = Answer | ResolveError

_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_GAP: Final = "  "
_RESET: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_RED: Final = "\x1b[31m"
_GREEN: Final = "\x1b[32m"
_CYAN: Final = "\x1b[36m"


class Result(NamedTuple):
    """What came of a question.

    Attributes:
        question: The question.
        outcomes: For each of its types an answer, or why there is none.
    """

    question: Question
    outcomes: tuple[Outcome, ...]

    @property
    def answers(self) -> list[Answer]:
        """The answers there are."""
        return [outcome for outcome in self.outcomes if not isinstance(outcome, ResolveError)]

    @property
    def failures(self) -> list[ResolveError]:
        """Why there are no others; without those that matter to nobody, as `Question.any_type` tells."""
        failures = [outcome for outcome in self.outcomes if isinstance(outcome, ResolveError)]
        if self.question.any_type and len(failures) < len(self.outcomes):
            return [failure for failure in failures if not isinstance(failure, NameNotFound | NoData)]
        return failures

    @property
    def resolved(self) -> bool:
        """Whether there is all that was wanted."""
        wanted = 1 if self.question.any_type else len(self.outcomes)
        return len(self.answers) >= wanted

    @property
    def heard(self) -> bool:
        """Whether any server said anything, or none was needed."""
        return any(_is_heard(outcome) for outcome in self.outcomes)


def _is_heard(outcome: Outcome) -> bool:
    if not isinstance(outcome, ResolveError | NameNotFound | NoData):
        return True
    # Names such as those below "invalid." are known to be nobody's.
    known = isinstance(outcome, NameNotFound | NoData)
    return known or any(attempt.outcome.isupper() for attempt in outcome.attempts)


# For a reader


def wants_colour(fd: int, environment: Mapping[str, str]) -> bool:
    """Return whether what is written to ``fd`` may be in colour: it is a terminal, and its user wants it.

    Source: https://no-color.org.
    """
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb" and os.isatty(fd)


def table(result: Result, *, colour: bool) -> list[str]:
    """Return a line for each record, in columns: name, time to live, type, data; aliases first.

    Names have a dot at their end, as in zone files, since those in the data have.
    """
    rows = list(dict.fromkeys(_row(record) for answer in result.answers for record in _records(answer)))
    if not rows:
        return []
    name, ttl, kind = (max(len(row[column]) for row in rows) for column in range(3))
    dim, tint, reset = (_DIM, _CYAN, _RESET) if colour else ("", "", "")
    return [
        f"{row[0]:{name}}{_GAP}{dim}{row[1]:>{ttl}}{reset}{_GAP}{tint}{row[2]:{kind}}{reset}{_GAP}{row[3]}"
        for row in rows
    ]


def _records(answer: Answer) -> Iterable[Record]:
    return (*answer.aliases, *answer.records)


def _row(record: Record) -> tuple[str, str, str, str]:
    name = f"{record.name.removesuffix('.')}."
    return printable(name), show_ttl(record.ttl), record.type, printable(record.text)


def data(result: Result) -> list[str]:
    """Return the data of each record, a line each."""
    return [printable(record.text) for answer in result.answers for record in answer.records]


def complaints(result: Result, *, trace: bool, colour: bool) -> list[str]:
    """Return why there is no answer, a line for each reason.

    Args:
        result: What came.
        trace: Whether to tell what was tried even where the answer is plain.
        colour: Whether to colour it.
    """
    types: dict[tuple[str, str], list[str]] = {}
    for failure in result.failures:
        plain = isinstance(failure, NameNotFound | NoData) and not trace
        trail = "" if plain or not failure.attempts else f" ({_trail(failure.attempts)})"
        subject = "" if isinstance(failure, NameNotFound) else failure.type
        types.setdefault((failure.reason, trail), []).append(subject)
    red, reset = (_RED, _RESET) if colour else ("", "")
    return [
        f"{printable(' '.join([result.question.name, *dict.fromkeys(filter(None, kinds))]))}: "
        f"{red}{printable(reason)}{reset}{printable(trail)}"
        for (reason, trail), kinds in types.items()
    ]


def traces(result: Result) -> list[str]:
    """Return what was tried for each answer, a line each."""
    return [
        printable(f"{answer.name} {answer.type}: {_trail(answer.attempts) or _source(answer)}")
        for answer in result.answers
    ]


def _trail(attempts: Sequence[Attempt]) -> str:
    return "; ".join(str(attempt) for attempt in attempts)


def _source(answer: Answer) -> str:
    if not answer.cached:
        return "no server was asked"
    return "from the cache, and old" if answer.stale else "from the cache"


def show_ttl(seconds: int) -> str:
    """Write a time to live for a reader, in whole units and nothing left out: ``"5m"``, ``"1h30s"``, ``"0s"``."""
    told = ""
    for unit, length in _UNITS:
        number, seconds = divmod(seconds, length)
        if number:
            told += f"{number}{unit}"
    return told or "0s"


def printable(text: str) -> str:
    r"""Return ``text`` with ``\DDD`` for each byte of what can't be seen, as in names and zone files.

    That takes away all that a terminal would obey, and what changes the order or look of other characters.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    return "".join(f"\\{byte:03}" for byte in character.encode(errors="surrogatepass"))


# As JSON


def objects(result: Result, *, trace: bool) -> list[str]:
    """Return an object of JSON for each type, a line each.

    Args:
        result: What came.
        trace: Whether to tell what was tried for an answer; for a failure it is always told.
    """
    return [json.dumps(_facts(outcome, trace=trace)) for outcome in result.outcomes]


def _facts(outcome: Outcome, *, trace: bool) -> dict[str, Any]:
    if isinstance(outcome, ResolveError):
        return {
            "name": outcome.name,
            "type": outcome.type,
            "error": type(outcome).__name__,
            "code": outcome.code,
            "reason": outcome.reason,
            "attempts": [attempt._asdict() for attempt in outcome.attempts],
        }
    facts = outcome.as_dict()
    if not trace:
        facts.pop("attempts", None)
    return facts
