"""``evkit resolve``: look names up in the DNS.

Puts together what is asked (`evkit.cli.resolve_questions`, `evkit.cli.resolve_sources`), the asking
(`evkit.cli.resolve_options`, `evkit.cli.resolve_run`), and how the answers look (`evkit.cli.resolve_results`).
"""

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from typing import Final

from evkit import EventBase, Future
from evkit.cli.bases import make_base
from evkit.cli.errors import FAILED, USAGE, Failure
from evkit.cli.parser import Parser
from evkit.cli.progress import STDERR, ProgressLine
from evkit.cli.resolve_lines import Line, LineReader
from evkit.cli.resolve_options import add_options, resolver
from evkit.cli.resolve_progress import Tally
from evkit.cli.resolve_questions import Question, Wish, make_question, sort_words
from evkit.cli.resolve_results import (
    Result,
    complaints,
    data,
    objects,
    printable,
    table,
    traces,
    wants_colour,
)
from evkit.cli.resolve_run import Run
from evkit.cli.resolve_sources import File, Words
from evkit.cli.terminal import one_line, say, show
from evkit.core.log import LOG_WARN, LogCallback, set_log_callback
from evkit.dns import Answer, Resolver
from evkit.dns.names import reverse_name, to_text

SILENT: Final = 3
"""The exit status where no server has answered."""

_STDIN: Final = "-"
_STDOUT: Final = 1


def configure(parser: Parser) -> None:
    """Tell ``parser`` the options of this command."""
    add_options(parser)


def run(arguments: Namespace) -> int:
    """Look all up; return the exit status.

    Raises:
        Failure: A word is neither name nor type, a server is none, or something can't be read or written.
        BrokenPipeError: Nobody reads standard output any more.
    """
    names, wish = sort_words(arguments.words, reverse=arguments.reverse)
    questions = _questions(names, wish)
    if bool(questions) == (arguments.file is not None):
        expected = "a name (one that looks like a type has a dot at its end), or --file"
        came = "both" if questions else "neither"
        raise Failure(f"expected {expected}, got {came}", status=USAGE)
    with make_base() as base, resolver(base, arguments, wish) as made:
        errand = _Errand(base, made, arguments)
        with _logged(errand.on_log):
            if questions:
                return errand.ask_words(questions)
            with _opened(arguments.file) as fd:
                return errand.ask_file(fd, wish)


def _questions(names: Sequence[str], wish: Wish) -> list[Question]:
    try:
        return [make_question(name, wish) for name in names]
    except ValueError as error:
        raise Failure(one_line(error), status=USAGE) from error


@contextmanager
def _logged(on_log: LogCallback) -> Iterator[None]:
    set_log_callback(on_log)
    try:
        yield
    finally:
        set_log_callback(None)


@contextmanager
def _opened(name: str) -> Iterator[int]:
    if name == _STDIN:
        if sys.stdin is None:
            raise Failure("standard input is closed")
        yield sys.stdin.fileno()
        return
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Failure(f"{_shown_name(name)} can't be read: {error.strerror}") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _shown_name(name: str) -> str:
    return printable(name) or "''"


class _Errand:
    """All questions of one command, and what is told of them.

    Args:
        base: The loop.
        resolver: Knows the answers.
        arguments: Of the command line.
    """

    __slots__ = (
        "_arguments",
        "_base",
        "_colour",
        "_colour_of_errors",
        "_line",
        "_resolver",
        "_run",
        "_tally",
    )

    def __init__(self, base: EventBase, resolver: Resolver, arguments: Namespace) -> None:
        self._base = base
        self._resolver = resolver
        self._arguments = arguments
        self._tally = Tally(base.now())
        self._colour = wants_colour(_STDOUT, os.environ)
        self._colour_of_errors = wants_colour(STDERR, os.environ)
        self._line: ProgressLine | None = None
        self._run: Run | None = None

    def ask_words(self, questions: Sequence[Question]) -> int:
        """Ask for what stands on the command line."""
        self._make_run(Words(questions), in_order=True).wait()
        return self._status()

    def ask_file(self, fd: int, wish: Wish) -> int:
        """Ask for what stands in a file."""
        reader = LineReader(self._base, fd, _shown_name(self._arguments.file), self._on_more)
        self._tally.size = reader.size
        with closing(reader), self._shown(fd):
            self._make_run(File(reader, wish, self._on_line, self._on_bad), in_order=False).wait()
            if self._line is not None:
                self._line.hide()  # what it would say in the end is said below, even if nobody watches
        if self._line is not None or self._status():
            say(self._tally.summary(self._base.now()))
        return self._status()

    def _make_run(self, source: Words | File, *, in_order: bool) -> Run:
        self._run = Run(
            self._base,
            self._ask,
            source,
            self._on_result,
            concurrency=self._arguments.concurrency,
            in_order=in_order,
        )
        return self._run

    def _shown(self, fd: int) -> "ProgressLine | nullcontext[None]":
        if not os.isatty(STDERR) or os.isatty(fd):  # it would be drawn over the names that somebody types
            return nullcontext()
        self._line = ProgressLine(self._base, self._tally)
        return self._line

    def _status(self) -> int:
        tally = self._tally
        if not (tally.failed or tally.bad):
            return 0
        return SILENT if tally.done and not tally.heard else FAILED

    def _ask(self, question: Question, kind: str) -> Future[Answer]:
        arguments = self._arguments
        name = to_text(reverse_name(question.name)) if question.reverse else question.name
        return self._resolver.resolve(name, kind, search=arguments.search, tcp=arguments.tcp)

    def on_log(self, severity: int, message: str) -> None:
        """Tell what the resolver or the loop warns of, as all else is told."""
        if severity >= LOG_WARN:
            self._tell([], [printable(message)])

    def _on_more(self) -> None:
        if self._run is not None:
            self._run.go_on()

    def _on_line(self, line: Line) -> None:
        self._tally.passed = line.end

    def _on_bad(self, line: Line, why: str) -> None:
        self._tally.bad += 1
        self._tell([], [printable(f"{self._arguments.file}:{line.number}: {why}")])

    def _on_result(self, result: Result) -> None:
        self._tally.add(result)
        trace = self._arguments.trace_attempts
        if self._arguments.json:
            self._tell(objects(result, trace=trace), [])
            return
        told = data(result) if self._arguments.short else table(result, colour=self._colour)
        beside = traces(result) if trace else []
        self._tell(told, beside + complaints(result, trace=trace, colour=self._colour_of_errors))

    def _tell(self, lines: Sequence[str], complaints: Sequence[str]) -> None:
        """Write to standard output, and to standard error; both may be where the progress is drawn."""
        if self._line is not None:
            self._line.hide()
        if lines:
            show("\n".join(lines))
        for complaint in complaints:
            say(f"{self._arguments.parser.prog}: {complaint}")
        if self._line is not None:
            self._line.unhide()
