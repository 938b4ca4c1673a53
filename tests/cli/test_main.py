"""The command ``evkit`` itself: its statuses, its one-line errors, and what it imports."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from evkit import __version__, cli
from evkit.cli import main
from patience import PATIENCE
from running import run_evkit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file.txt").write_text("x")
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "app.py").write_text("def handler(request):\n    pass\n")
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        ([], 2, "evkit: error: the following arguments are required: COMMAND"),
        (["bogus"], 2, "evkit: error: argument COMMAND: invalid choice: 'bogus'"),
        (["--bogus", "info"], 2, "error: unrecognized arguments: --bogus"),
        (["info", "--bogus"], 2, "evkit info: error: unrecognized arguments: --bogus"),
        (["serve", "--bogus"], 2, "evkit serve: error: unrecognized arguments: --bogus"),
        (["serve", "--limit-bod", "1"], 2, "evkit serve: error: unrecognized arguments: --limit-bod"),
        (["serve", ".", "."], 2, "evkit serve: error: unrecognized arguments: ."),
        (["serve", "--engine", "x"], 2, "argument --engine: invalid choice: 'x'"),
        (["serve", "--backend", "x"], 2, "argument --backend: invalid choice: 'x'"),
        (["serve", "--bind"], 2, "argument --bind: expected one argument"),
        (["serve", "--bind", "8080"], 2, "argument --bind: expected host:port"),
        (["serve", "--bind", "a:99999"], 2, "argument --bind: expected a port from 0 to 65535"),
        (["serve", "--limit-body", "1X"], 2, "argument --limit-body: expected a number from 1 such as 8192"),
        (["serve", "--limit-head", "none"], 2, "argument --limit-head: expected a number from 1"),
        (["serve", "--timeout-body", "0"], 2, "argument --timeout-body: expected more than 0 seconds"),
        (["serve", "--timeout-grace", "-1"], 2, "argument --timeout-grace: expected a number of seconds"),
        (["serve", "--bind", "systemd:"], 2, "argument --bind: expected the name of a socket after systemd:"),
        (
            ["serve", "--bind", "fd://x"],
            2,
            "argument --bind: expected the number of a descriptor, as in fd://3",
        ),
        (["serve", "--max-requests-jitter", "5"], 2, "--max-requests-jitter needs --max-requests"),
        (["serve", "--unix-mode", "660"], 2, "--unix-mode needs --bind unix:PATH"),
        (["serve", "--unix-mode", "660", "--bind", "systemd"], 2, "--unix-mode needs --bind unix:PATH"),
        (
            ["serve", "--precompressed", "app:handler"],
            2,
            "--precompressed is for a folder, and app:handler is a",
        ),
        (
            ["serve", "--cache-control", "no-cache", "app:handler"],
            2,
            "--cache-control is for a folder, and app:",
        ),
        (
            ["serve", "--cache-control", "a\r\nB: c"],
            2,
            "argument --cache-control: expected directives such as",
        ),
        (["serve", "--no-listing", "app:handler"], 2, "--no-listing is for a folder, and app:handler is a"),
        (["serve", "--proxy-fields", "forwarded"], 2, "--proxy-fields needs --trust-proxy ADDRESS"),
        (["serve", "--workers", "2", "--proxy-protocol"], 2, "--proxy-protocol needs --trust-proxy ADDRESS"),
        (["serve", "--workers", "2", "--trust-proxy", "nobody"], 2, "--trust-proxy: "),
        (["serve", "--workers", "2", "--tls-key", "a.pem"], 2, "the options of TLS need --tls-cert FILE"),
        (["serve", "--access-log", "app:handler"], 2, "--access-log has taken 'app:handler' for its file"),
        (["serve", "--access-log", "."], 2, "--access-log has taken '.' for its file"),
        (
            ["serve", "--access-log", "no/where", "."],
            1,
            "the access log 'no/where' can't be opened: No such file",
        ),
        (
            ["serve", "nowhere"],
            1,
            "evkit serve: error: expected a folder or MODULE:ATTRIBUTE, but there is no",
        ),
        (["serve", "file.txt"], 1, "but 'file.txt' is a file"),
        (["serve", "nowhere:x"], 1, "there is no module 'nowhere'"),
        (["serve", "broken:x"], 1, "importing broken failed: ZeroDivisionError: division by zero"),
        (["serve", "app:handle"], 1, "has no attribute 'handle'; did you mean handler?"),
        (["serve", ".", "--bind", "192.0.2.1:0"], 1, "'192.0.2.1' is no address of this machine"),
        (["serve", ".", "--bind", "unix:no/where"], 1, "there is no folder for the socket 'no/where'"),
    ],
)
def test_errors_take_one_line(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    argv: list[str],
    status: int,
    said: str,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert main(argv) == status
    monkeypatch.delitem(sys.modules, "app", raising=False)
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
    assert {path.name for path in folder.iterdir()} == {"file.txt", "broken.py", "app.py"}


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["serve", "--limit-body", "x"], 2, "evkit serve: error: argument --limit-body"),
        (["serve", "broken:x"], 1, "evkit serve: error: importing broken failed"),
    ],
)
def test_the_process_ends_as_main_says(folder: Path, argv: list[str], status: int, said: str) -> None:
    done = run_evkit(argv, cwd=folder)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("argv", [["info"], ["serve"]])
def test_ctrl_c_while_a_command_is_imported_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "import_module", interrupted)
    assert main(argv) == 130
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_at_the_very_end_is_no_traceback() -> None:
    """Python runs what was registered with ``atexit`` after all else of the program."""
    code = (
        "import atexit, signal, sys; from evkit.cli import main; "
        "atexit.register(signal.raise_signal, signal.SIGINT); sys.argv = ['evkit', '--version']; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
    assert done.stdout.startswith("evkit ")


def test_a_port_in_use_is_told_with_another(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_evkit(["serve", "--bind", f"127.0.0.1:{port}"], cwd=folder)
    assert done.returncode == 1
    assert done.stderr.startswith(f"evkit serve: error: 127.0.0.1:{port} is in use; ")
    assert done.stderr.count("\n") == 1


def test_the_traceback_on_demand(folder: Path) -> None:
    done = run_evkit(["serve", "broken:x", "--traceback"], cwd=folder)
    assert done.returncode == 1
    assert 'broken.py", line 1' in done.stderr
    assert done.stderr.splitlines()[-1].startswith("evkit serve: error: importing broken failed")


@pytest.mark.parametrize("argv", [["--help"], ["serve", "--help"], ["info", "--help"], ["--version"]])
def test_help_is_no_failure(argv: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    out, err = capfd.readouterr()
    assert out.startswith(f"evkit {__version__}\n" if argv == ["--version"] else "usage: evkit ")
    assert err == ""


@pytest.mark.parametrize("argv", [["info"], ["--help"]])
def test_a_reader_that_has_gone_is_no_traceback(argv: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "evkit", *argv],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"},
        timeout=PATIENCE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "evkit", "info"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "evkit info: error: standard output can't be written to: No space left on device\n"


def test_what_a_command_does_not_need_is_not_imported() -> None:
    code = "import sys; from evkit.cli import main; main(['--version']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    modules = set(done.stdout.split())
    assert "evkit.cli" in modules
    assert not modules & {"evkit.http", "evkit.cli.serve", "evkit.cli.info", "h11", "argcomplete"}


def complete(line: str) -> set[str]:
    """Ask for completions as a shell does: they come on descriptor 8."""
    code = "import os, sys; os.dup2(1, 8); os.dup2(1, 9); from evkit.cli import main; sys.exit(main([]))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return {word.strip() for word in done.stdout.split("\n") if word.strip()}


def test_the_shell_is_told_commands_and_options() -> None:
    pytest.importorskip("argcomplete", reason="argcomplete is not installed")
    assert {"serve", "info"} <= complete("evkit ")
    assert complete("evkit serve --engine ") == {"native", "h11"}
    assert "--timeout-grace" in complete("evkit serve --timeout-g")
