"""``evkit rpc``: serve functions by MessagePack-RPC, and call those of others.

Knows which commands there are below it, and where they are: they are imported when one of them runs.
"""

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Final, NamedTuple

from evkit.cli import rpc_options
from evkit.cli.parser import Parser


class _Command(NamedTuple):
    """A command: what it does, its options, and the module and the function that do it."""

    summary: str
    add_options: Callable[[Parser], None]
    module: str
    function: str = "run"


_COMMANDS: Final = {
    "serve": _Command("serve the functions of a module", rpc_options.add_serve_options, "rpc_serve"),
    "call": _Command("call a method, once or very often", rpc_options.add_call_options, "rpc_call"),
    "methods": _Command(
        "list what can be called", rpc_options.add_methods_options, "rpc_call", "list_methods"
    ),
}


def configure(parser: Parser) -> None:
    """Tell ``parser`` the commands of this command."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="rpc_command", required=True)
    for name, command in _COMMANDS.items():
        summary = command.summary
        made = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        command.add_options(made)
        made.set_defaults(parser=made, obey=partial(_obey, command))


def run(arguments: Namespace) -> int:
    """Run the command that was named; return the exit status."""
    status: int = arguments.obey(arguments)
    return status


def _obey(command: _Command, arguments: Namespace) -> int:
    status: int = getattr(import_module(f"evkit.cli.{command.module}"), command.function)(arguments)
    return status
