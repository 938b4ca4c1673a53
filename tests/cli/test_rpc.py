"""The command ``evkit rpc`` itself: its commands, and what it imports."""

import subprocess
import sys

import pytest

from evkit.cli import main
from patience import PATIENCE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "evkit rpc: error: the following arguments are required: COMMAND (see evkit rpc --help)"),
        (["bogus"], "evkit rpc: error: argument COMMAND: invalid choice: 'bogus'"),
        (["--bogus", "methods", "a:1"], "error: unrecognized arguments: --bogus"),
        (["methods"], "evkit rpc methods: error: the following arguments are required: ADDRESS"),
        (["methods", "a:1", "b:2"], "evkit rpc methods: error: unrecognized arguments: b:2"),
        (["serve", "app", "--bogus"], "evkit rpc serve: error: unrecognized arguments: --bogus"),
    ],
)
def test_wrong_usage(words: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["rpc", *words]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["serve", "call", "methods"])
def test_each_command_has_help(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["rpc", "--help"]) == 0
    assert f"\n    {command} " in capfd.readouterr().out
    assert main(["rpc", command, "--help"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith(f"usage: evkit rpc {command} [OPTION ...] ")
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80


def test_who_calls_does_not_wait_for_what_serves() -> None:
    code = "import sys; from evkit.cli import main; main(['rpc', 'call', '127.0.0.1:1', 'add']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    modules = set(done.stdout.split())
    assert "evkit.cli.rpc_call" in modules
    assert not modules & {"evkit.http", "evkit.dns", "evkit.cli.rpc_serve", "evkit.cli.rpc_load", "ssl"}
