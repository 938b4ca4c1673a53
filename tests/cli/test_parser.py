"""The parser of the command line: what it takes beyond argparse, and how it refuses."""

import pytest

from evkit.cli.parser import Parser


def make(*, intermixed: bool) -> Parser:
    parser = Parser(prog="tool")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("do")
    command.intermixed = intermixed
    command.add_argument("words", nargs="*")
    command.add_argument("-x", action="store_true")
    command.add_argument("-y", type=int)
    return parser


@pytest.mark.parametrize(
    "argv",
    [
        ["a", "b", "-x"],
        ["-x", "a", "b"],
        ["a", "-x", "b"],
        ["a", "-x", "b", "-y", "1"],
        ["-y", "1", "a", "-x", "b"],
    ],
)
def test_options_may_stand_anywhere_among_words(argv: list[str]) -> None:
    arguments, unknown = make(intermixed=True).parse_known_args(["do", *argv])
    assert (arguments.words, arguments.x, unknown) == (["a", "b"], True, [])
    again, _ = make(intermixed=True).parse_known_args(["do", *argv])
    assert again == arguments


def test_no_words_are_words() -> None:
    arguments, unknown = make(intermixed=True).parse_known_args(["do", "-x"])
    assert (arguments.words, arguments.x, unknown) == ([], True, [])


def test_what_is_unknown_is_told_apart() -> None:
    _, unknown = make(intermixed=True).parse_known_args(["do", "a", "--what", "b"])
    assert unknown[0] == "--what"


def test_or_they_may_not() -> None:
    arguments, unknown = make(intermixed=False).parse_known_args(["do", "a", "-x", "b"])
    assert (arguments.words, arguments.x, unknown) == (["a"], True, ["b"])


@pytest.mark.parametrize("intermixed", [False, True])
def test_errors_take_one_line(intermixed: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        make(intermixed=intermixed).parse_args(["do", "a", "-y", "b"])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "tool do: error: argument -y: invalid int value: 'b' (see tool do --help)\n"
    )
