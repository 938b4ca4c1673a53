"""How the command line reads its arguments: argparse, with errors of one line."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any, NoReturn

from evkit.cli.errors import USAGE
from evkit.cli.terminal import one_line


class Parser(ArgumentParser):
    """An argument parser whose errors take one line, and which takes no abbreviated options.

    An abbreviation that works today would be ambiguous after the next option.

    Attributes:
        intermixed: Whether options may stand between arguments of which there may be any number. argparse takes the
            first run of these for all of them, unless it is told otherwise.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", RawDescriptionHelpFormatter)
        super().__init__(**options, allow_abbrev=False)
        self.intermixed = False

    # argparse's own has overloads for namespaces of other classes, which nobody gives it here.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Namespace | None = None
    ) -> tuple[Namespace, list[str]]:
        """Parse; also what ``add_subparsers`` calls for a command."""
        if not self.intermixed:
            return super().parse_known_args(args, namespace)
        self.intermixed = False  # since the other calls this
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.intermixed = True

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, and where to read what is right, and end with status 2."""
        self.exit(USAGE, f"{self.prog}: error: {one_line(message)} (see {self.prog} --help)\n")
