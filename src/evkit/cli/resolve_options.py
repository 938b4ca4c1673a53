"""The options of ``evkit resolve``, and the resolver that they make.

Knows nothing of what is asked, nor of what becomes of the answers.
"""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from evkit import EventBase
from evkit.cli.errors import USAGE, Failure
from evkit.cli.parser import Parser
from evkit.cli.resolve_questions import Wish
from evkit.cli.terminal import one_line
from evkit.cli.values import seconds, whole_number
from evkit.dns import Resolver, ResolverOptions

if TYPE_CHECKING:
    from argparse import _ArgumentGroup as _Group

_DEFAULTS: Final = ResolverOptions()
_CONCURRENCY: Final = 100
_MOST_IN_FLIGHT: Final = 10_000
_MOST_RETRIES: Final = 99
_MOST_QUERIES: Final = 65_000
"""What a resolver may have in flight at most."""

SYNOPSIS: Final = (
    "%(prog)s [OPTION ...] NAME ... [TYPE ...]\n       %(prog)s [OPTION ...] --file FILE [TYPE ...]"
)
EPILOG: Final = """\
examples:
  evkit resolve example.org                      its addresses
  evkit resolve example.org mx txt               its mail servers and texts
  evkit resolve --reverse 192.0.2.1              the names of an address
  evkit resolve --server tls://9.9.9.9#dns.quad9.net example.org
  evkit resolve --json --file names.txt mx > answers.json

A word that is the mnemonic of a record type, in any case, is a type: MX, txt,
TYPE65280. For a name that looks like one, put a dot behind it: "mx." is the
name mx. With no type, A and AAAA are asked for, and one of them is enough.

A server is an IP address, which may have a port (9.9.9.9:5353, [::1]:53),
tcp://ADDRESS, or tls://ADDRESS#NAME, where NAME is whose certificate it must
show. Without --server they are those of /etc/resolv.conf.

A line of a file has a name and, where they are others than those of the
command line, types. Empty lines and those that begin with # are left out. Lines
that can't be used are told and counted, and the others go on. Answers come as
they arrive, in no order (those to the names of the command line, in theirs).
However long the file is, 64 KiB of it are in memory, and --concurrency names.

Columns are name, time to live, type and data; aliases come first. --json
writes an object a line for each name and type: name, type, canonical_name,
ttl, records and so on, or error, code, reason and attempts. What is no
printable text is written as \\DDD, as in zone files. Colours are for
terminals, and not where NO_COLOR is set.

The exit status is 0 if all names are resolved; 1 if there is one that is not,
or a bad line; 3 if no server has answered at all; 2 for wrong usage; and 130
after Ctrl-C."""


def add_options(parser: Parser) -> None:
    """Tell ``parser`` the options, and what else ``--help`` says."""
    parser.intermixed = True  # "example.org --short mx"
    parser.usage = SYNOPSIS
    parser.epilog = EPILOG
    parser.add_argument("words", nargs="*", metavar="NAME | TYPE", help="what to look up: see below")
    _add_asking(parser.add_argument_group("asking"))
    _add_answers(parser.add_argument_group("the answers"))


def _add_asking(group: "_Group") -> None:
    group.add_argument(
        "-s",
        "--server",
        action="append",
        metavar="ADDRESS",
        help="whom to ask: see below; may be given more than once",
    )
    group.add_argument("-t", "--tcp", action="store_true", help="ask over TCP in place of UDP")
    group.add_argument("-x", "--reverse", action="store_true", help="the names of addresses")
    group.add_argument("--search", action="store_true", help="try the search list of /etc/resolv.conf")
    group.add_argument("-f", "--file", metavar="FILE", help="names in lines; - is standard input")
    group.add_argument(
        "-c",
        "--concurrency",
        type=_concurrency,
        default=_CONCURRENCY,
        metavar="NUMBER",
        help="names that are asked for at a time (default: %(default)s)",
    )
    group.add_argument(
        "-m",
        "--timeout",
        type=seconds,
        default=_DEFAULTS.total_timeout,
        metavar="SECONDS",
        help="for one name, all tries included (default: %(default)g)",
    )
    group.add_argument(
        "--retries",
        type=_retries,
        metavar="NUMBER",
        help=f"tries of each server after the first (default: {_DEFAULTS.attempts - 1}, or resolv.conf's)",
    )


def _add_answers(group: "_Group") -> None:
    how = group.add_mutually_exclusive_group()
    how.add_argument("--short", action="store_true", help="write the data alone, a line for each record")
    how.add_argument("--json", action="store_true", help="write an object of JSON a line: see below")
    group.add_argument(
        "--trace-attempts", action="store_true", help="tell which servers were tried, and what came of it"
    )


def _concurrency(text: str) -> int:
    return whole_number(text, 1, _MOST_IN_FLIGHT)


def _retries(text: str) -> int:
    return whole_number(text, 0, _MOST_RETRIES)


@contextmanager
def resolver(base: EventBase, arguments: Namespace, wish: Wish) -> Iterator[Resolver]:
    """Make the resolver, and close it in the end.

    Args:
        base: The loop.
        arguments: Of the command line.
        wish: What is asked of each name.

    Raises:
        Failure: A server is none, or an option out of its range.
    """
    try:
        made = Resolver(base, arguments.server, options=_options(arguments, wish))
    except ValueError as error:
        raise Failure(f"--server: {one_line(error)}", status=USAGE) from error
    if arguments.retries is not None:
        made.set_option("attempts", str(arguments.retries + 1))  # whatever resolv.conf says
    try:
        yield made
    finally:
        made.close(fail_requests=False)  # after Ctrl-C, for one, nobody waits any more


def _options(arguments: Namespace, wish: Wish) -> ResolverOptions:
    in_flight = arguments.concurrency * max(2, len(wish.types))
    in_flight = min(_MOST_QUERIES, max(_DEFAULTS.max_inflight, in_flight))
    try:
        return ResolverOptions(total_timeout=arguments.timeout, max_inflight=in_flight)
    except ValueError as error:
        raise Failure(f"--timeout: {one_line(error)}", status=USAGE) from error
