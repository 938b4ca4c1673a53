"""``evkit serve`` where there is nothing to serve: in a folder that was deleted, or of a name that is empty."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from evkit.cli.errors import Failure
from evkit.cli.target import find_folder, find_handler
from patience import PATIENCE
from running import run_evkit

GONE = "the current folder does not exist any more; change to another one"
EMPTY = "evkit serve: error: expected a folder or MODULE:ATTRIBUTE, but the name is empty"


@pytest.fixture
def deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder that was deleted."""
    folder = tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()


@pytest.mark.usefixtures("deleted")
def test_the_current_folder_is_gone() -> None:
    with pytest.raises(Failure) as failure:
        find_folder(os.curdir)
    assert str(failure.value) == GONE


@pytest.mark.usefixtures("deleted")
def test_a_module_is_looked_for_in_a_folder_that_is_gone() -> None:
    with pytest.raises(Failure) as failure:
        find_handler("cli_nowhere_app:handler")
    assert str(failure.value) == GONE


@pytest.mark.parametrize("target", [[], ["."], ["cli_nowhere_app:handler"]])
def test_the_program_says_so_in_one_line(tmp_path: Path, target: list[str]) -> None:
    serve = shlex.join(
        [sys.executable, "-X", "dev", "-m", "evkit", "serve", "--bind", "127.0.0.1:0", *target]
    )
    command = f"mkdir deleted && cd deleted && rmdir ../deleted && exec {serve}"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode not in (0, None)
    assert done.stderr.splitlines() == [f"evkit serve: error: {GONE}"]


def test_an_empty_name_is_not_the_current_folder(tmp_path: Path) -> None:
    done = run_evkit(["serve", "--bind", "127.0.0.1:0", ""], cwd=tmp_path)
    assert done.returncode not in (0, None)
    assert done.stderr.splitlines() == [EMPTY]
