"""The options of ``evkit serve``: their defaults, what each changes, and how they are explained."""

from argparse import Namespace

import pytest

from evkit.cli.crew import Crew
from evkit.cli.options import add_options, config, crew
from evkit.cli.parser import Parser
from evkit.core import EventBase, supported_methods


def parse(*argv: str) -> Namespace:
    parser = Parser(prog="evkit serve")
    add_options(parser)
    return parser.parse_args(argv)


def test_defaults() -> None:
    arguments = parse()
    assert arguments.target is None
    assert arguments.bind is None
    assert arguments.access_log is None


@pytest.mark.parametrize("name", supported_methods())
def test_a_backend_that_is_named_beats_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in supported_methods():
        monkeypatch.setenv(f"EVENT_NO{other.upper()}", "1")
    with EventBase(config(parse("--backend", name))) as base:
        assert base.method == name


def test_without_a_name_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = supported_methods()[:2]
    monkeypatch.setenv(f"EVENT_NO{first.upper()}", "1")
    with EventBase(config(parse())) as base:
        assert base.method == second


def test_binds_add_up() -> None:
    arguments = parse("--bind", ":1", "x:y", "--bind", "unix:/s")
    assert (arguments.bind, arguments.target) == ([("", 1), "/s"], "x:y")


@pytest.mark.parametrize(("argv", "path"), [(["--access-log"], "-"), (["--access-log=a"], "a"), ([], None)])
def test_the_access_log_may_leave_out_its_file(argv: list[str], path: str | None) -> None:
    assert parse(*argv).access_log == path


def test_workers() -> None:
    assert crew(parse()) is None
    assert crew(parse("--workers=1")) is None
    assert crew(parse("--workers=3")) == Crew(3)
    arguments = parse("--max-requests=50", "--max-requests-jitter=7", "--max-worker-age=60")
    assert crew(arguments) == Crew(1, max_requests=50, jitter=7, max_age=60)


def test_help_tells_every_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as end:
        parse("--help")
    assert end.value.code == 0
    text = capsys.readouterr().out
    for words in (
        "(default: 127.0.0.1:8080)",
        "(default: 8K)",
        "(default: 1M)",
        "(default: 75)",
        "(default: 16384)",
        "--timeout-body-rate BYTES",
        "evkit serve app:handler",
        "--bind systemd",
        "exit status is 0",
    ):
        assert words in text
    for group in ("what to serve, and where", "workers", "limits", "time-outs", "log"):
        assert f"\n{group}" in text


def test_help_fits_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        parse("--help")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) < 80
    assert lines[0] == "usage: evkit serve [OPTION ...] [DIRECTORY | MODULE:ATTRIBUTE]"
