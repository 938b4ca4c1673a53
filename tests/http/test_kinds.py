"""`evkit.http.kinds`: what an option may be, and that an error says so without showing it."""

from typing import Any

import pytest

from evkit.http.kinds import (
    COUNT,
    COUNT_OR_NONE,
    FLAG,
    FUNCTION,
    FUNCTION_OR_NONE,
    NUMBER,
    NUMBER_OR_NONE,
    TEXT,
    Kind,
    check_options,
    having,
    set_of,
)


class Number(int):
    """A number all the same."""


class Costly:
    @property
    def found(self) -> int:
        raise AssertionError("nobody may ask for it")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (FLAG, [True, False], [1, 0, None, "yes"]),
        (TEXT, ["", "a"], [b"a", None, 5]),
        (COUNT, [0, -1, Number(5)], [True, 1.0, "5", None]),
        (COUNT_OR_NONE, [5, None], [False, 1.0]),
        (NUMBER, [1, 0.5, Number(5)], [True, "1", None]),
        (NUMBER_OR_NONE, [None, 1], [True, "1"]),
        (FUNCTION, [print, dict, lambda: None], [None, 5, "print"]),
        (FUNCTION_OR_NONE, [print, None], [5, "print"]),
        (having("found", "x"), [Costly()], [object(), None]),
        (having("found", "x", type(None)), [Costly(), None], [5]),
        (Kind("x", dict), [{}, type("D", (dict,), {})()], [[]]),
    ],
)
def test_what_an_option_may_be(kind: Kind, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not kind.admits(value)] == []
    assert [value for value in bad if kind.admits(value)] == []


def test_an_error_tells_the_option_and_no_value() -> None:
    kinds = {"size": COUNT, "name": TEXT}
    check_options(kinds, {"size": 5, "name": "", "self": object()})
    with pytest.raises(TypeError, match=r"^expected name as a str, got bytes$"):
        check_options(kinds, {"size": 5, "name": b"secret"})


def test_several() -> None:
    assert set_of("names", (name for name in ("a", "b", "a")), str) == {"a", "b"}


@pytest.mark.parametrize("items", ["GET", b"GET", 503, None, [503, "a"], [None]])
def test_what_are_not_several(items: Any) -> None:
    with pytest.raises(TypeError, match=r"^expected statuses as several int, in a list for example, got "):
        set_of("statuses", items, int)
