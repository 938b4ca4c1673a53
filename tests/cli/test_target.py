"""What a word on the command line stands for, and what is said if it stands for nothing."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evkit.cli.errors import Failure
from evkit.cli.target import find_folder, find_handler, find_object, is_folder

APP = """
calls = []
table = {}

def handler(request):
    calls.append(request)

def wsgi(environ, start_response):
    raise AssertionError

async def later(request):
    raise AssertionError

class Site:
    def __call__(self, request):
        calls.append(request)

    def show(self, request):
        calls.append(request)

site = Site()
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, and modules that are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("cli_target"):
            del sys.modules[name]


def write(here: Path, name: str, text: str = APP) -> None:
    (here / name).write_text(text)


def test_a_folder_wins_over_a_module(here: Path) -> None:
    (here / "app:handler").mkdir()
    assert is_folder("app:handler")
    assert not is_folder("other:handler")
    assert is_folder("nowhere")
    assert is_folder("./no:where")


def test_a_folder_is_found_by_its_absolute_path(here: Path) -> None:
    (here / "a b").mkdir()
    assert find_folder("a b") == str(here / "a b")
    assert find_folder(".") == str(here)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nowhere", "there is no folder 'nowhere'; for a callable of a module write nowhere:ATTRIBUTE"),
        ("no/where", "there is no folder 'no/where'"),
        ("file.txt", "'file.txt' is a file"),
        ("file.py", "'file.py' is a file; for a callable in it write file:ATTRIBUTE"),
    ],
)
def test_what_is_no_folder(here: Path, word: str, said: str) -> None:
    write(here, "file.txt")
    write(here, "file.py")
    with pytest.raises(Failure) as failure:
        find_folder(word)
    assert str(failure.value) == f"expected a folder or MODULE:ATTRIBUTE, but {said}"


def test_a_folder_without_permission(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        os, "access", lambda path, mode: False
    )  # root, whom nothing is closed to, runs tests, too
    with pytest.raises(Failure, match=r"no permission to read the folder '\.'"):
        find_folder(".")


@pytest.mark.parametrize("attribute", ["handler", "site", "site.show"])
def test_callables_are_found(here: Path, attribute: str) -> None:
    write(here, "cli_target_app.py")
    handler = find_handler(f"cli_target_app:{attribute}")
    handler("a request")
    assert sys.modules["cli_target_app"].calls == ["a request"]


def test_modules_in_packages_are_found(here: Path) -> None:
    (here / "cli_target_pkg").mkdir()
    write(here, "cli_target_pkg/app.py")
    assert find_handler("cli_target_pkg.app:handler").__module__ == "cli_target_pkg.app"


def test_the_current_folder_comes_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    write(elsewhere, "cli_target_app.py", "handler = None")
    write(here, "cli_target_app.py")
    monkeypatch.syspath_prepend(str(elsewhere))
    assert callable(find_handler("cli_target_app:handler"))


def test_a_builtin_without_signature_is_taken() -> None:
    assert find_handler("builtins:int") is int


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("cli_target_none:x", "there is no module 'cli_target_none' in "),
        ("cli_target_none.sub:x", "there is no module 'cli_target_none' in "),
        ("cli_target_app.sub:x", "there is no module 'cli_target_app.sub' in "),
        (
            "cli_target_app:",
            "expected a folder or MODULE:ATTRIBUTE such as app:handler, got 'cli_target_app:'",
        ),
        ("cli_target_app", "such as app:handler, got 'cli_target_app'"),
        (":handler", "such as app:handler, got ':handler'"),
        ("a-b:handler", "such as app:handler, got 'a-b:handler'"),
        ("a:b:c", "such as app:handler, got 'a:b:c'"),
        ("cli_target_app.py:handler", "expected a module and not a file: write cli_target_app:handler"),
        ("cli_target_app:handlr", "has no attribute 'handlr'; did you mean handler?"),
        ("cli_target_app:site.shown", "has no attribute 'shown'; did you mean show?"),
        ("cli_target_app:zzz", "cli_target_app.py) has no attribute 'zzz'"),
        ("cli_target_app:table", "but cli_target_app:table is of the type dict"),
        ("cli_target_app:later", "but cli_target_app:later is an async function"),
        (
            "cli_target_app:wsgi",
            "as its one argument, but cli_target_app:wsgi takes (environ, start_response)",
        ),
        (
            "cli_target_bad:x",
            "importing cli_target_bad failed: ZeroDivisionError: division by zero; --traceback",
        ),
        ("cli_target_syntax:x", "importing cli_target_syntax failed: SyntaxError: "),
        (
            "cli_target_needs:x",
            "importing cli_target_needs failed: ModuleNotFoundError: No module named 'cli_t_gone'",
        ),
        ("cli_target_exit:x", "importing cli_target_exit failed: SystemExit: 3"),
        ("cli_target_lines:x", "importing cli_target_lines failed: ValueError: one two"),
    ],
)
def test_what_is_no_handler(here: Path, word: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    write(here, "cli_target_app.py")
    write(here, "cli_target_bad.py", "1 / 0")
    write(here, "cli_target_syntax.py", "def x(:")
    write(here, "cli_target_needs.py", "import cli_t_gone")
    write(here, "cli_target_exit.py", "raise SystemExit(3)")
    write(here, "cli_target_lines.py", "raise ValueError('one\\n two')")
    with pytest.raises(Failure) as failure:
        find_handler(word)
    assert said in str(failure.value)
    assert "\n" not in str(failure.value)
    assert failure.value.status == 1
    assert capfd.readouterr() == ("", "")


def test_the_traceback_is_shown_where_it_is_wanted(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(here, "cli_target_bad.py", "\n\n1 / 0")
    with pytest.raises(Failure) as failure:
        find_handler("cli_target_bad:x", show_traceback=True)
    assert "--traceback" not in str(failure.value)
    assert 'cli_target_bad.py", line 3' in capfd.readouterr().err


def test_ctrl_c_during_an_import_is_not_swallowed(here: Path) -> None:
    write(here, "cli_target_slow.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        find_handler("cli_target_slow:x")


def test_a_module_or_what_is_in_it(here: Path) -> None:
    write(here, "cli_target_app.py")
    module = find_object("cli_target_app", "expected a module")
    assert module is sys.modules["cli_target_app"]
    assert find_object("cli_target_app:table", "expected a module") is module.table


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("", "expected a module, got ''"),
        ("a-b", "expected a module, got 'a-b'"),
        ("cli_target_app:", "expected a module, got 'cli_target_app:'"),
        ("cli_target_app.py", "expected a module and not a file: write cli_target_app"),
    ],
)
def test_what_is_no_object(here: Path, word: str, said: str) -> None:
    write(here, "cli_target_app.py")
    with pytest.raises(Failure) as failure:
        find_object(word, "expected a module")
    assert str(failure.value) == said
