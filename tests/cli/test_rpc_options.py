"""The options of ``evkit rpc``: what they make, and which are refused."""

import pytest

from evkit.cli.errors import USAGE, Failure
from evkit.cli.parser import Parser
from evkit.cli.rpc_options import (
    add_call_options,
    add_methods_options,
    add_serve_options,
    answer_limits,
    limits,
)
from evkit.rpc import Limits


def serving(*words: str) -> Limits:
    parser = Parser(prog="evkit rpc serve")
    add_serve_options(parser)
    return limits(parser.parse_args([*words, "app"]))


def calling(*words: str) -> Parser:
    parser = Parser(prog="evkit rpc call")
    add_call_options(parser)
    return parser


def test_the_defaults_are_the_library_s() -> None:
    assert serving() == Limits()
    parser = Parser()
    add_methods_options(parser)
    arguments = parser.parse_args(["a:1"])
    assert answer_limits(arguments) == Limits()
    assert arguments.timeout == 10.0


def test_each_limit_by_its_name() -> None:
    given = {
        "message": "8M",
        "depth": 9,
        "elements": 10,
        "map": 11,
        "in-flight": 12,
        "method": 13,
        "int-map": 14,
    }
    words = [f"--limit-{name}={number}" for name, number in given.items()]
    words.append("--timeout-message=none")
    assert serving(*words) == Limits(
        max_message=8 << 20,
        max_depth=9,
        max_elements=10,
        max_map=11,
        max_in_flight=12,
        max_method=13,
        max_int_map=14,
        message_timeout=None,
    )


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--limit-depth=1", "--limit-depth must be from 2 to "),
        ("--limit-message=2G", "--limit-message must be from 1 to "),
    ],
)
def test_a_limit_out_of_range_is_told_of_its_option(option: str, said: str) -> None:
    with pytest.raises(Failure) as failure:
        serving(option)
    assert str(failure.value).startswith(said)
    assert failure.value.status == USAGE


def test_an_answer_may_not_be_too_long() -> None:
    parser = calling()
    with pytest.raises(Failure, match="--limit-message must be from 1 to ") as failure:
        answer_limits(parser.parse_args(["a:1", "add", "--limit-message", "2G"]))
    assert failure.value.status == USAGE


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a:1 add 2 3 --json", ["2", "3"]),
        ("a:1 add --json 2 3", ["2", "3"]),
        ("--json a:1 add", []),
        ("a:1 --json add -2 -3.5", ["-2", "-3.5"]),
        ("--json a:1 add -- --loud -x", ["--loud", "-x"]),
        ("a:1 add 1 --json -- -x", ["1", "-x"]),
    ],
)
def test_options_may_stand_anywhere(line: str, words: list[str]) -> None:
    arguments = calling().parse_args(line.split())
    assert (arguments.address, arguments.method, arguments.words) == ("a:1", "add", words)
    assert arguments.json
