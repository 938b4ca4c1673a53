"""The tree of exceptions is the one that is drawn, and plain ``except`` clauses work."""

import inspect
import re

import pytest

from evkit import errors
from evkit.errors import (
    ConnectError,
    ConnectionLost,
    EvkitError,
    TLSError,
    TransportError,
    TransportTimeout,
)


def drawn(docstring: str) -> dict[str, str]:
    """Read the picture: each name's parent is the last one that stands less deep."""
    tree: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in docstring.splitlines():
        found = re.match(r"^([ │├└─]+)([A-Z]\w*)(?: {2}|$)", line)
        if found is None:
            continue
        depth, name = len(found[1]), found[2]
        while above and above[-1][0] >= depth:
            above.pop()
        tree[name] = above[-1][1] if above else ""
        above.append((depth, name))
    return tree


def real(root: type[Exception]) -> dict[str, str]:
    """Walk the classes of the module itself; those of other packages may have joined the tree."""
    classes = [thing for thing in vars(errors).values() if inspect.isclass(thing) and issubclass(thing, root)]
    parents = {cls.__name__: [base for base in cls.__bases__ if base in classes] for cls in classes}
    return {name: bases[0].__name__ if bases else "" for name, bases in parents.items()}


def test_docstring_draws_the_tree() -> None:
    assert drawn(errors.__doc__ or "") == real(EvkitError)


def test_reading_of_the_picture() -> None:
    picture = "Words.\n\n    A\n    ├── B       some words\n    │   └── C\n    └── D\n\nMore words."
    assert drawn(picture) == {"A": "", "B": "A", "C": "B", "D": "A"}


def test_everything_in_the_module_is_in_the_tree() -> None:
    public = {name for name, thing in vars(errors).items() if inspect.isclass(thing)}
    assert public == set(real(EvkitError))


def test_words_of_the_picture_tell_of_builtin_parents() -> None:
    lines = [line for line in (errors.__doc__ or "").splitlines() if "also a " in line]
    told = {re.findall(r"[A-Z]\w+", line)[0]: re.findall(r"also a (\w+)", line)[0] for line in lines}
    assert told == {"ConnectionLost": "ConnectionError", "TransportTimeout": "TimeoutError"}
    for name, builtin in told.items():
        assert builtin in {base.__name__ for base in getattr(errors, name).__bases__}


@pytest.mark.parametrize("kind", [ConnectionLost, TransportTimeout, TLSError, TransportError])
def test_transport_errors_tell_what_was_going_on(kind: type[TransportError]) -> None:
    error = kind("gone", during="read")
    assert (str(error), error.during) == ("gone", "read")


def test_connecting_is_what_a_connect_error_is_about() -> None:
    assert ConnectError("refused").during == "connect"
    assert str(ConnectError("refused")) == "refused"


def test_plain_except_clauses_work() -> None:
    with pytest.raises(TimeoutError):
        raise TransportTimeout("nothing came", during="read")
    with pytest.raises(ConnectionError):
        raise ConnectionLost("reset", during="write")
