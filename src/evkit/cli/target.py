"""What is served: finds what ``MODULE:ATTRIBUTE`` names, or says why it can't.

For ``evkit serve`` a word is a folder if there is one of that name, else ``MODULE:ATTRIBUTE`` if it has a colon. Knows
nothing of servers; how a folder is served is `evkit.http.StaticFiles`' business.
"""

import inspect
import os
import sys
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from evkit.cli.errors import Failure
from evkit.cli.terminal import one_line

_EXPECTED: Final = "expected a folder or MODULE:ATTRIBUTE"
_EXPECTED_HANDLER: Final = f"{_EXPECTED} such as app:handler"


def is_folder(word: str) -> bool:
    """Return whether ``word`` means a folder, there or not, rather than ``MODULE:ATTRIBUTE``."""
    return os.path.isdir(word) or ":" not in word or os.sep in word


def find_folder(word: str) -> str:
    """Return the absolute path of a folder.

    Raises:
        Failure: There is none, or it may not be read.
    """
    if not word:
        raise Failure(f"{_EXPECTED}, but the name is empty")
    if not os.path.exists(word):
        hint = f"; for a callable of a module write {word}:ATTRIBUTE" if word.isidentifier() else ""
        raise Failure(f"{_EXPECTED}, but there is no folder {word!r}{hint}")
    if not os.path.isdir(word):
        hint = f"; for a callable in it write {word[:-3]}:ATTRIBUTE" if word.endswith(".py") else ""
        raise Failure(f"{_EXPECTED}, but {word!r} is a file{hint}")
    if not os.access(word, os.R_OK | os.X_OK):
        raise Failure(f"no permission to read the folder {word!r}")
    return os.path.normpath(os.path.join(_here(), word))


def _here() -> str:
    """Return the current folder.

    Raises:
        Failure: It was deleted.
    """
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise Failure("the current folder does not exist any more; change to another one") from error


def find_handler(word: str, *, show_traceback: bool = False) -> Callable[..., object]:
    """Import what ``MODULE:ATTRIBUTE`` names; the current folder is looked in first.

    Args:
        word: Either part may have dots.
        show_traceback: Print the traceback of a module that fails to import.

    Raises:
        Failure: There is no such module or attribute, it fails to import, or it can't be called with a request.
    """
    if ":" not in word:
        raise Failure(f"{_EXPECTED_HANDLER}, got {word!r}")
    handler = find_object(word, _EXPECTED_HANDLER, show_traceback=show_traceback)
    _check_callable(word, handler)
    return handler  # type: ignore[no-any-return]  # it is callable, and more can't be known


def find_object(word: str, expected: str, *, show_traceback: bool = False) -> Any:
    """Import what ``MODULE`` or ``MODULE:ATTRIBUTE`` names; the current folder is looked in first.

    Args:
        word: Either part may have dots.
        expected: What is said to be expected where ``word`` is neither.
        show_traceback: Print the traceback of a module that fails to import.

    Raises:
        Failure: There is no such module or attribute, or it fails to import.
    """
    module_name, colon, attribute = word.partition(":")
    if module_name.endswith(".py") and os.path.isfile(module_name):
        raise Failure(f"expected a module and not a file: write {module_name[:-3]}{colon}{attribute}")
    if not _is_dotted_name(module_name) or (colon and not _is_dotted_name(attribute)):
        raise Failure(f"{expected}, got {word!r}")
    module = _import(module_name, show_traceback=show_traceback)
    return _walk(module, attribute) if colon else module


def _is_dotted_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _import(name: str, *, show_traceback: bool) -> ModuleType:
    here = _here()
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise Failure(
                f"there is no module {error.name!r} in {here} nor among those that are installed"
            ) from error
        if show_traceback:
            traceback.print_exception(error)
        hint = "" if show_traceback else "; --traceback shows where"
        raise Failure(f"importing {name} failed: {_describe(error)}{hint}") from error


def _describe(error: BaseException) -> str:
    text = one_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _walk(module: ModuleType, attribute: str) -> Any:
    found: Any = module
    name = module.__name__
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise Failure(_no_attribute(module, name, found, part)) from None
        name = f"{name}.{part}"
    return found


def _no_attribute(module: ModuleType, name: str, found: object, part: str) -> str:
    # The file tells who expected their own http.py, and got the standard library's.
    where = f" ({module.__file__})" if getattr(module, "__file__", None) else ""
    close = get_close_matches(part, [entry for entry in dir(found) if not entry.startswith("_")])
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"{name}{where} has no attribute {part!r}{hint}"


def _check_callable(word: str, handler: object) -> None:
    """Refuse what would answer every request with 500."""
    expected = "expected a callable that takes a request"
    if not callable(handler):
        raise Failure(f"{expected}, but {word} is of the type {type(handler).__name__}")
    if inspect.iscoroutinefunction(handler):
        raise Failure(f"{expected}, but {word} is an async function, which a plain call does not run")
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return  # a callable written in C may have none to show
    try:
        signature.bind(None)
    except TypeError:
        raise Failure(f"{expected} as its one argument, but {word} takes {signature}") from None
