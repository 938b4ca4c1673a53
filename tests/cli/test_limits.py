"""Limits and time-outs as options: the library's defaults, and what each option changes."""

from argparse import Namespace
from inspect import signature

from evkit.cli.limits import add_options, grace, message_limits, timeouts
from evkit.cli.parser import Parser
from evkit.core import EventBase
from evkit.http import Limits, Server, Timeouts


def parse(*argv: str) -> Namespace:
    parser = Parser(prog="evkit serve")
    add_options(parser)
    return parser.parse_args(argv)


def test_the_defaults_are_the_librarys() -> None:
    arguments = parse()
    assert message_limits(arguments) == Limits()
    assert timeouts(arguments) == Timeouts()
    with EventBase() as base:
        server = Server(base)
    assert arguments.limit_body == server.max_body
    assert arguments.limit_connections == server.max_connections


def test_there_is_an_option_for_each_limit_and_each_time_out() -> None:
    named = set(vars(parse()))
    limits_and_times = {f"timeout_{name}" for name in signature(Timeouts).parameters} | {
        f"limit_{name.removeprefix('max_')}"
        for owner in (Limits, Server)
        for name in signature(owner).parameters
        if name.startswith("max_")
    }
    assert limits_and_times <= named


def test_limits() -> None:
    arguments = parse(
        "--limit-target=1K",
        "--limit-head=2K",
        "--limit-fields=3",
        "--limit-trailers=4",
        "--limit-chunk-extensions=6",
        "--limit-body=none",
        "--limit-connections=5",
    )
    expected = Limits(max_target=1024, max_head=2048, max_fields=3, max_trailers=4, max_chunk_extensions=6)
    assert message_limits(arguments) == expected
    assert (arguments.limit_body, arguments.limit_connections) == (None, 5)


def test_timeouts() -> None:
    arguments = parse(
        "--timeout-first-byte=1",
        "--timeout-header=2",
        "--timeout-body=3.5",
        "--timeout-write=none",
        "--timeout-write-rate=100",
        "--timeout-keep-alive=0",
        "--timeout-grace=6",
    )
    assert timeouts(arguments) == Timeouts(
        first_byte=1, header=2, body=3.5, write=None, write_rate=100, keep_alive=0
    )
    assert grace(arguments) == 6


def test_grace_without_end() -> None:
    assert grace(parse("--timeout-grace=none")) is None
