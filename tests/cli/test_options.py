"""The options of ``evkit serve``: the library's defaults, and what each option changes."""

from argparse import Namespace

import pytest

from evkit.cli.crew import Crew
from evkit.cli.options import add_options, config, crew, grace, limits, timeouts
from evkit.cli.parser import Parser
from evkit.core import EventBase, supported_methods
from evkit.http import Limits, Server, Timeouts


def parse(*argv: str) -> Namespace:
    parser = Parser(prog="evkit serve")
    add_options(parser)
    return parser.parse_args(argv)


def test_the_defaults_are_the_librarys() -> None:
    arguments = parse()
    assert limits(arguments) == Limits()
    assert timeouts(arguments) == Timeouts()
    with EventBase() as base:
        server = Server(base)
    assert arguments.limit_body == server.max_body
    assert arguments.limit_connections == server.max_connections
    assert arguments.target is None
    assert arguments.bind is None
    assert arguments.access_log is None


def test_limits() -> None:
    arguments = parse(
        "--limit-target=1K",
        "--limit-head=2K",
        "--limit-fields=3",
        "--limit-body=none",
        "--limit-connections=5",
    )
    expected = Limits(max_target=1024, max_head=2048, max_fields=3)
    assert limits(arguments) == expected
    assert (arguments.limit_body, arguments.limit_connections) == (None, 5)


def test_timeouts() -> None:
    arguments = parse(
        "--timeout-first-byte=1",
        "--timeout-header=2",
        "--timeout-body=3.5",
        "--timeout-write=none",
        "--timeout-keep-alive=0",
        "--timeout-grace=6",
    )
    assert timeouts(arguments) == Timeouts(first_byte=1, header=2, body=3.5, write=None, keep_alive=0)
    assert grace(arguments) == 6


def test_grace_without_end() -> None:
    assert grace(parse("--timeout-grace=none")) is None


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
        "exit status is 0",
    ):
        assert words in text
    for group in ("what to serve, and where", "workers", "limits", "time-outs", "log"):
        assert f"\n{group}" in text
