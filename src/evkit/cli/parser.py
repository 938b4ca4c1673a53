"""How the command line reads its arguments: argparse, with errors of one line."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any, NoReturn

from evkit.cli.errors import USAGE


class Parser(ArgumentParser):
    """An argument parser whose errors take one line, and which takes no abbreviated options.

    An abbreviation that works today would be ambiguous after the next option.
    """

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", RawDescriptionHelpFormatter)
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, and where to read what is right, and end with status 2."""
        self.exit(USAGE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")
