# PYTHON_ARGCOMPLETE_OK - argcomplete's global completion looks for these words
"""The command line: which commands there are, and what becomes of their errors.

A command is a module of this package with ``configure(parser)`` and ``run(arguments)``. It is imported when it is
named, so that ``evkit --help`` and ``evkit info`` need not wait for what only ``evkit serve`` uses. Knows nothing of
what the commands do.
"""

import os
import sys
from argparse import Namespace, _SubParsersAction
from collections.abc import Sequence
from importlib import import_module
from signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal
from typing import Final

from evkit import __version__
from evkit.cli.errors import FAILED, Failure
from evkit.cli.parser import Parser
from evkit.cli.terminal import flush_output, say

__all__ = ["main"]

_COMMANDS: Final = {
    "serve": "serve a folder, or a callable of a Python module, over HTTP",
    "get": "ask for a URL, and write down what comes",
    "resolve": "look names up in the DNS",
    "rpc": "serve functions, and call them, by MessagePack-RPC",
    "info": "show version, backends, engines and features",
}
_COMPLETING: Final = "_ARGCOMPLETE"
"""Set by the shell when it asks for completions (argcomplete's protocol)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments without the program's name; ``None``: the process's own, which is at its end then: Ctrl-C
            kills it from here on, as Python would write a traceback.

    Returns:
        The exit status: 0 for success, 1 for a failure, 2 for wrong usage, and 128 plus the signal's number for what
        a signal has cut off (130 for Ctrl-C).
    """
    try:
        status = _main(sys.argv[1:] if argv is None else list(argv), to_the_end=argv is None)
    except KeyboardInterrupt:  # which may come while a command is still being imported
        status = 128 + SIGINT
    return status if flush_output() else FAILED


def _main(argv: list[str], *, to_the_end: bool) -> int:
    try:
        return _obey(argv)
    except BrokenPipeError:  # by print; who read it has had enough
        return FAILED
    finally:
        if to_the_end and getsignal(SIGINT) is default_int_handler:
            signal(SIGINT, SIG_DFL)


def _obey(argv: list[str]) -> int:
    parser = _make_parser(argv)
    try:
        arguments = _parse(parser, argv)
    except SystemExit as end:  # argparse's way to say that --help or an error was printed
        return end.code if isinstance(end.code, int) else 0
    try:
        status: int = arguments.run(arguments)
    except Failure as failure:
        say(f"{arguments.parser.prog}: error: {failure}")
        return failure.status
    return status


def _make_parser(argv: list[str]) -> Parser:
    parser = Parser(
        prog="evkit",
        description="libevent's design in Python: an event loop, with HTTP, DNS and RPC on top of it.",
        epilog="evkit COMMAND --help tells the options of one.",
    )
    parser.add_argument("--version", action="version", version=f"evkit {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    completing = _COMPLETING in os.environ
    for name, summary in _COMMANDS.items():
        _add_command(commands, name, summary, fill=completing or name in argv)
    if completing:
        _complete(parser)
    return parser


def _add_command(commands: "_SubParsersAction[Parser]", name: str, summary: str, *, fill: bool) -> None:
    parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    if fill:
        module = import_module(f"evkit.cli.{name}")
        module.configure(parser)
        parser.set_defaults(parser=parser, run=module.run)


def _complete(parser: Parser) -> None:
    try:
        import argcomplete
    except ImportError:
        return  # it comes with the extra "cli"; without it there are no completions, and no complaint
    argcomplete.autocomplete(parser)


def _parse(parser: Parser, argv: list[str]) -> Namespace:
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return arguments
