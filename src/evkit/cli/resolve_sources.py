"""Where ``evkit resolve`` has its questions from: the words of its command line, or the lines of a file.

Knows nothing of what becomes of them.
"""

from collections import deque
from collections.abc import Callable, Iterable

from evkit.cli.resolve_lines import LONGEST, Line, LineReader
from evkit.cli.resolve_questions import Question, Wish, read_line


class Words:
    """Questions that are there from the start.

    Args:
        questions: In their order.
    """

    __slots__ = ("_questions",)

    def __init__(self, questions: Iterable[Question]) -> None:
        self._questions = deque(questions)

    def __repr__(self) -> str:
        return f"<Words left={len(self._questions)}>"

    @property
    def ended(self) -> bool:
        """Whether all were taken."""
        return not self._questions

    def take(self) -> Question | None:
        """Return the next one; ``None``: it has `ended`."""
        return self._questions.popleft() if self._questions else None


class File:
    """Questions that stand in lines.

    Args:
        reader: Has the lines.
        wish: What is asked where a line does not say.
        on_line: Called with each line that is read, before it is looked at.
        on_bad: Called with a line that can't be used, and with what is wrong with it; the others are none the worse.
    """

    __slots__ = ("_on_bad", "_on_line", "_reader", "_wish")

    def __init__(
        self,
        reader: LineReader,
        wish: Wish,
        on_line: Callable[[Line], object],
        on_bad: Callable[[Line, str], object],
    ) -> None:
        self._reader = reader
        self._wish = wish
        self._on_line = on_line
        self._on_bad = on_bad

    def __repr__(self) -> str:
        return f"<File {self._reader!r}>"

    @property
    def ended(self) -> bool:
        """Whether all lines were read."""
        return self._reader.ended

    def take(self) -> Question | None:
        """Return the next one; ``None``: it has `ended`, or the reader will tell when to ask again."""
        while (line := self._reader.take()) is not None:
            self._on_line(line)
            question = self._question(line)
            if question is not None:
                return question
        return None

    def _question(self, line: Line) -> Question | None:
        if line.text is None:
            self._on_bad(line, f"expected UTF-8, and {LONGEST:,} bytes at most")
            return None
        try:
            return read_line(line.text, self._wish)
        except ValueError as error:
            self._on_bad(line, str(error))
            return None
