"""The tree of exceptions is the one that is drawn, and plain ``except`` clauses work."""

import copy
import inspect
import pickle
import re
from errno import ECONNREFUSED, ECONNRESET

import pytest

from evkit import errors
from evkit.errors import (
    ConnectError,
    ConnectionLost,
    During,
    EvkitError,
    NameNotFound,
    NoData,
    ResolveCancelled,
    ResolveError,
    ResolveTimeout,
    ServerFailure,
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
    public = {name for name, thing in vars(errors).items() if inspect.isclass(thing) and name != "Any"}
    assert public == set(real(EvkitError))


def test_words_of_the_picture_tell_of_builtin_parents() -> None:
    lines = [line for line in (errors.__doc__ or "").splitlines() if "also a" in line]
    told = {re.findall(r"[A-Z]\w+", line)[0]: re.findall(r"also an? (\w+)", line)[0] for line in lines}
    assert told == {
        "TransportError": "OSError",
        "ConnectionLost": "ConnectionError",
        "TransportTimeout": "TimeoutError",
        "ResolveTimeout": "TimeoutError",
    }
    for name, builtin in told.items():
        assert builtin in {base.__name__ for base in getattr(errors, name).__bases__}


KINDS = [TransportError, ConnectError, ConnectionLost, TransportTimeout, TLSError]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("during", ["connect", "read", "write"])
class TestTransportErrors:
    def test_tell_what_was_going_on_and_what_happened(
        self, kind: type[TransportError], during: During
    ) -> None:
        error = kind("Connection reset by peer", during=during, errno=ECONNRESET)
        assert (error.during, error.errno, error.strerror) == (during, 104, "Connection reset by peer")
        assert str(error) == f"{during}: [Errno 104] Connection reset by peer"
        assert repr(error) == f"{kind.__name__}('Connection reset by peer', during='{during}', errno=104)"

    def test_need_no_number(self, kind: type[TransportError], during: During) -> None:
        error = kind("timed out after 30 s", during=during)
        assert error.errno is None
        assert str(error) == f"{during}: timed out after 30 s"

    def test_are_system_errors_and_evkit_s(self, kind: type[TransportError], during: During) -> None:
        for expected in (kind, TransportError, EvkitError, OSError):
            with pytest.raises(expected):
                raise kind("gone", during=during)

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    @pytest.mark.parametrize("number", [None, ECONNRESET])
    def test_survive_pickling(
        self, kind: type[TransportError], during: During, protocol: int, number: int | None
    ) -> None:
        error = kind("gone", during=during, errno=number)
        error.add_note("a note")
        for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
            assert type(again) is kind
            assert (again.during, again.errno, again.strerror) == (during, number, "gone")
            assert str(again) == str(error)
            assert again.__notes__ == ["a note"]

    def test_of_what_the_system_said(self, kind: type[TransportError], during: During) -> None:
        said = OSError(ECONNREFUSED, "Connection refused")
        error = kind.of(said, during=during)
        assert type(error) is kind
        assert str(error) == f"{during}: [Errno 111] Connection refused"
        assert error.__cause__ is said


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (OSError("in words alone"), "read: in words alone"),
        (OSError(), "read: OSError"),
        (TimeoutError("timed out"), "read: timed out"),
        (
            FileNotFoundError(2, "No such file or directory", "/name"),
            "read: [Errno 2] No such file or directory",
        ),
    ],
)
def test_what_the_system_said_is_always_in_the_text(said: OSError, words: str) -> None:
    assert str(TransportError.of(said, during="read")) == words


def test_what_the_system_said_keeps_nothing_else_alive() -> None:
    def fail() -> None:
        try:
            raise ValueError("of another matter")
        except ValueError:
            raise OSError(ECONNRESET, "gone") from None

    with pytest.raises(OSError, match="gone") as caught:
        fail()
    error = TransportError.of(caught.value, during="read")
    assert error.__cause__ is caught.value
    assert (error.__traceback__, error.__cause__.__traceback__) == (None, None)
    assert (error.__context__, error.__cause__.__context__) == (None, None)


def test_connecting_is_what_a_connect_error_is_about() -> None:
    assert ConnectError("refused").during == "connect"
    assert str(ConnectError("refused")) == "connect: refused"


@pytest.mark.parametrize(
    ("builtin", "which"),
    [(TimeoutError, {TransportTimeout}), (ConnectionError, {ConnectionLost}), (OSError, set(KINDS))],
)
def test_plain_except_clauses_work(builtin: type[OSError], which: set[type[TransportError]]) -> None:
    assert {kind for kind in KINDS if isinstance(kind("gone", during="read"), builtin)} == which


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        (NameNotFound, 3, "no such name"),
        (NoData, 70, "no record of this type"),
        (ServerFailure, 66, "could not be resolved"),
        (ResolveTimeout, 67, "no answer in time"),
        (ResolveCancelled, 68, "the resolver was closed"),
    ],
)
class TestResolveErrors:
    def test_tell_what_was_asked_and_what_came(
        self, kind: type[ResolveError], code: int, reason: str
    ) -> None:
        error = kind("example.org", "MX")
        assert (error.name, error.type, error.code, error.reason) == ("example.org", "MX", code, reason)
        assert (error.attempts, error.answer) == ((), None)
        assert str(error) == f"example.org MX: {reason}"

    def test_tell_what_was_tried(self, kind: type[ResolveError], code: int, reason: str) -> None:
        error = kind("a", "A", "it went wrong", code=2, attempts=("first: refused", "second: timed out"))
        assert str(error) == "a A: it went wrong (first: refused; second: timed out)"
        assert error.code == 2

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_survive_pickling(self, kind: type[ResolveError], code: int, reason: str, protocol: int) -> None:
        error = kind("a", "A", "why", code=5, attempts=("one",), answer="none")
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is kind
        assert (again.name, again.type, again.reason) == ("a", "A", "why")
        assert (again.code, again.attempts, again.answer) == (5, ("one",), "none")

    def test_a_time_out_has_no_number_of_the_system(
        self, kind: type[ResolveError], code: int, reason: str
    ) -> None:
        assert getattr(kind("a", "A"), "errno", None) is None
