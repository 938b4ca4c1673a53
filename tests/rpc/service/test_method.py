"""`Method`: what is read of a function, and which parameters it takes."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from evkit.rpc.connection.call import Call
from evkit.rpc.errors import INVALID_PARAMS, InvalidParams
from evkit.rpc.service.method import Method
from evkit.rpc.service.threads import Threads

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass
class Point:
    x: int
    y: int = 0


def nothing() -> None: ...
def one(a: str) -> str: ...  # type: ignore[empty-body]  # only its parameters matter, as below
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def three(a: int, b: float, c: str) -> None: ...
def free(*items): ...  # type: ignore[no-untyped-def]  # what is tested, as below
def numbers(first: str, *rest: int) -> None: ...
def untyped(a, b=None): ...  # type: ignore[no-untyped-def]
def half_typed(a, b: int): ...  # type: ignore[no-untyped-def]
def chosen(point: Point) -> Point: ...  # type: ignore[empty-body]
def placed(size: int, point: Point) -> None: ...
def some_more(a: int, *rest): ...  # type: ignore[no-untyped-def]
def called(call: Call, a: int = 0) -> None: ...
def find(name: str, size: int = 1, *, limit: int, deep: float = 0.0) -> Any:
    return name, size, limit, deep


def open_to_all(*names: str, **options: int) -> Any:
    return names, options


def counted(call: Call, *, count: int = 2) -> Iterator[int]:
    yield from range(count)


class Adder:
    """Adds."""

    def __init__(self, start: int = 0) -> None:
        self.start = start

    def __call__(self, number: int) -> int:
        return self.start + number

    def method(self, number: int) -> int:
        return self.start + number


class Box:
    def __init__(self, point: Point) -> None:
        self.point = point

    def __call__(self, point: Point) -> None: ...


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def called_with(function: Callable[..., Any], params: list[Any], *ahead: object) -> Any:
    """Return what comes of a call, as a connection makes it."""
    method = Method(function, "f")
    checked = params if method.check is None else method.check(params)
    return method.function(*ahead, *checked)


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (nothing, "f() -> None"),
        (add, "f(a: int, b: int = 1) -> int"),
        (free, "f(*items)"),
        (numbers, "f(first: str, *rest: int) -> None"),
        (untyped, "f(a, b=None)"),
        (chosen, "f(point: Point) -> Point"),
        (called, "f(a: int = 0) -> None"),
        (find, "f(name: str, size: int = 1, *, limit: int, deep: float = 0.0) -> Any"),
        (open_to_all, "f(*names: str, **options: int) -> Any"),
        (counted, "f(*, count: int = 2) -> Iterator[int]"),
        (Adder(), "f(number: int) -> int"),
        (Adder().method, "f(number: int) -> int"),
        (functools.partial(add, 1), "f(b: int = 1) -> int"),
        (decorated(add), "f(a: int, b: int = 1) -> int"),
        (Adder, "f(start: int = 0) -> None"),
        (functools.partial(placed, 1), "f(point: Point) -> None"),
        (Box, "f(point: Point) -> None"),
        (Box(Point(1)), "f(point: Point) -> None"),
        (decorated(placed), "f(size: int, point: Point) -> None"),
        (Point, "f(x: int, y: int = 0) -> None"),
        (max, "f(...)"),
        (len, "f(obj)"),
        (lambda a="x" * 40, b=(1, 2): None, "f(a=..., b=...)"),
    ],
)
def test_signature_for_people(function: Callable[..., Any], signature: str) -> None:
    method = Method(function, "f")
    assert method.signature == signature
    assert repr(method) == f"<Method {signature}>"


def test_what_it_is() -> None:
    method = Method(add, "sum")
    assert (method.name, method.function, method.doc) == ("sum", add, "Add two numbers.")
    assert [method.wants_call, method.streams, method.keywords, method.in_threads] == [False] * 4
    assert method.plain
    assert Method(nothing, "f").doc == ""


@pytest.mark.parametrize(
    ("function", "wants_call", "streams"),
    [(add, False, False), (called, True, False), (counted, True, True), (Adder(), False, False)],
)
def test_what_is_not_plain(function: Callable[..., Any], wants_call: bool, streams: bool) -> None:
    method = Method(function, "f")
    assert (method.wants_call, method.streams, method.plain) == (
        wants_call,
        streams,
        not (wants_call or streams),
    )


def test_what_runs_in_threads_is_not_plain() -> None:
    method = Method(add, "f", Threads())
    assert method.in_threads
    assert not method.plain


@pytest.mark.parametrize(
    ("function", "params"),
    [
        (nothing, []),
        (one, ["a"]),
        (add, [1]),
        (add, [1, 2]),
        (three, [1, 2.0, "a"]),
        (free, []),
        (free, [1, None, []]),
        (numbers, ["a"]),
        (numbers, ["a", 1, 2, 3]),
        (some_more, [1, "a", None]),
        (untyped, [[]]),
        (untyped, [1, {}]),
        (half_typed, [None, 1]),
        (called, []),
        (called, [1]),
        (max, [1, 2]),
        (Adder(), [1]),
    ],
)
def test_parameters_that_are_taken_as_they_are(function: Callable[..., Any], params: list[Any]) -> None:
    check = Method(function, "f").check
    assert check is None or check(params) == params


@pytest.mark.parametrize("function", [free, max])
def test_what_takes_everything_is_not_checked(function: Callable[..., Any]) -> None:
    assert Method(function, "f").check is None


@pytest.mark.parametrize(
    ("function", "params", "expected"),
    [
        (three, [1, 2, "a"], [1, 2.0, "a"]),
        (chosen, [{"x": 1}], [Point(1)]),
    ],
)
def test_parameters_that_are_converted(
    function: Callable[..., Any], params: list[Any], expected: list[Any]
) -> None:
    before = list(params)
    check = Method(function, "f").check
    assert check is not None
    assert check(params) == expected
    assert all(map(isinstance, check(params), map(type, expected)))
    assert params == before


@pytest.mark.parametrize(
    ("function", "params", "text"),
    [
        (nothing, [1], "f() takes no parameters, got 1"),
        (one, [], "f(a: str) takes 1 parameter, got 0"),
        (one, ["a", "b"], "f(a: str) takes 1 parameter, got 2"),
        (one, [1], 'f(a: str): parameter "a": expected str, got int 1'),
        (add, [], "f(a: int, b: int = 1) takes 1 to 2 parameters, got 0"),
        (add, [1, 2, 3], "f(a: int, b: int = 1) takes 1 to 2 parameters, got 3"),
        (add, [1, True], 'f(a: int, b: int = 1): parameter "b": expected int, got bool True'),
        (add, ["x", 1], "f(a: int, b: int = 1): parameter \"a\": expected int, got str 'x'"),
        (three, [1, 2.0], "f(a: int, b: float, c: str) takes 3 parameters, got 2"),
        (three, [1, 2.0, b""], "f(a: int, b: float, c: str): parameter \"c\": expected str, got bytes b''"),
        (numbers, [], "f(first: str, *rest: int) takes at least 1 parameter, got 0"),
        (numbers, ["a", 1, "b"], "f(first: str, *rest: int): parameter \"3\": expected int, got str 'b'"),
        (untyped, [], "f(a, b=None) takes 1 to 2 parameters, got 0"),
        (half_typed, [1, None], 'f(a, b: int): parameter "b": expected int, got None'),
        (some_more, ["a"], "f(a: int, *rest): parameter \"a\": expected int, got str 'a'"),
        (some_more, [], "f(a: int, *rest) takes at least 1 parameter, got 0"),
        (chosen, [{"x": "a"}], "f(point: Point): parameter \"point\".x: expected int, got str 'a'"),
        (called, [None], 'f(a: int = 0): parameter "a": expected int, got None'),
    ],
)
def test_parameters_that_are_refused(function: Callable[..., Any], params: list[Any], text: str) -> None:
    check = Method(function, "f").check
    assert check is not None
    with pytest.raises(InvalidParams) as caught:
        check(params)
    assert caught.value.message == text
    assert caught.value.code == INVALID_PARAMS


def test_a_long_signature_leaves_room_for_what_is_wrong() -> None:
    def many(**options: int) -> None: ...

    names = ", ".join(f"parameter_{number}: int" for number in range(20))
    made: dict[str, Any] = {}
    exec(f"def many({names}): ...", made)
    method = Method(made["many"], "many")
    assert method.check is not None
    with pytest.raises(InvalidParams) as caught:
        method.check([])
    assert caught.value.message == "many(...) takes 20 parameters, got 0"
    assert method.signature == f"many({names})"


LIMIT = {"limit": 3}


@pytest.mark.parametrize(
    ("function", "params", "result"),
    [
        (find, ["a", LIMIT], ("a", 1, 3, 0.0)),
        (find, ["a", 2, LIMIT], ("a", 2, 3, 0.0)),
        (find, ["a", 2, {"limit": 3, "deep": 1}], ("a", 2, 3, 1.0)),
        (open_to_all, [], ((), {})),
        (open_to_all, ["a", "b"], (("a", "b"), {})),
        (open_to_all, ["a", {"x": 1, "names": 2}], (("a",), {"x": 1, "names": 2})),
    ],
)
def test_parameters_by_name(function: Callable[..., Any], params: list[Any], result: Any) -> None:
    before = repr(params)
    assert called_with(function, params) == result
    assert repr(params) == before
    assert Method(function, "f").keywords


FIND = "f(name: str, size: int = 1, *, limit: int, deep: float = 0.0)"


@pytest.mark.parametrize(
    ("function", "params", "text"),
    [
        (find, ["a"], f'{FIND}: parameter "limit" is missing: it is given in a map, after the others'),
        (find, ["a", {}], f'{FIND}: parameter "limit" is missing: it is given in a map, after the others'),
        (find, [LIMIT], f'{FIND}: parameter "name": expected str, got dict of 1'),
        (find, ["a", {"limit": "b"}], f"{FIND}: parameter \"limit\": expected int, got str 'b'"),
        (find, ["a", {"limit": 1, "more": 2}], f"{FIND}: no parameter has the name str 'more'"),
        (find, ["a", {"limit": 1, 2: 2}], f"{FIND}: no parameter has the name int 2"),
        (find, ["a", {"limit": 1, "size": 2}], f"{FIND}: no parameter has the name str 'size'"),
        (find, ["a", 1, 2, LIMIT], f"{FIND} takes 1 to 2 parameters, got 3"),
        (open_to_all, [{1: 1}], "f(*names: str, **options: int): no parameter has the name int 1"),
        (
            open_to_all,
            [{"a": "b"}],
            "f(*names: str, **options: int): parameter \"a\": expected int, got str 'b'",
        ),
    ],
)
def test_parameters_by_name_that_are_refused(
    function: Callable[..., Any], params: list[Any], text: str
) -> None:
    with pytest.raises(InvalidParams) as caught:
        called_with(function, params)
    assert caught.value.message == text


def test_the_call_comes_first_and_can_not_be_given_by_name() -> None:
    def show(call: Call, a: int = 0, **options: int) -> Any:
        return call, a, options

    call = object()
    assert called_with(show, [5, {"b": 1}], call) == (call, 5, {"b": 1})
    for name in ("call", "a"):
        with pytest.raises(InvalidParams, match=f"no parameter has the name str '{name}'"):
            called_with(show, [5, {name: 1}], call)


def test_a_name_that_is_free() -> None:
    def show(a: int, /, **options: int) -> Any:
        return a, options

    assert called_with(show, [5, {"a": 1}]) == (5, {"a": 1})


class TestInvoke:
    def test_with_and_without_the_call(self) -> None:
        call = cast(Call, SimpleNamespace())

        def show(call: Call, a: float) -> Any:
            return call, a

        assert Method(show, "f").invoke(call, [2.0]) == (call, 2.0)
        assert Method(add, "f").invoke(call, [2, 3]) == 5
        assert Method(max, "f").invoke(call, [2, 3]) == 3
        assert Method(find, "f").invoke(call, ["a", LIMIT]) == ("a", 1, 3, 0.0)
        assert list(Method(counted, "f").invoke(call, [{"count": 3}])) == [0, 1, 2]

    def test_it_checks_first(self) -> None:
        with pytest.raises(InvalidParams):
            Method(called, "f").invoke(cast(Call, SimpleNamespace()), ["a"])


# What is no method


async def coroutine() -> None: ...


async def agenerator() -> AsyncIterator[int]:
    yield 1


class AsyncCallable:
    async def __call__(self) -> None: ...

    async def method(self) -> None: ...


@pytest.mark.parametrize(
    "function",
    [coroutine, agenerator, AsyncCallable(), AsyncCallable().method, functools.partial(coroutine)],
)
def test_coroutines_are_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="f: a method is a plain function that is called, not async def"):
        Method(function, "f")


@pytest.mark.parametrize("thing", [None, 5, "add", [add]])
def test_what_can_not_be_called(thing: Any) -> None:
    with pytest.raises(TypeError, match="a method must be callable, got"):
        Method(thing, "f")


def test_a_generator_in_threads() -> None:
    with pytest.raises(TypeError, match="f: a generator runs in the loop's thread"):
        Method(counted, "f", Threads())


def unresolved(a: int, b: Decimal) -> None: ...  # which is imported for type checkers only
def unknown(a: int, *rest: complex) -> None: ...
def late_call(a: int, call: Call) -> None: ...
def broken(a: 1 / 0) -> None: ...  # type: ignore[valid-type]  # what is tested


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (unresolved, "f: parameter \"b\": NameError: name 'Decimal' is not defined"),
        (unknown, 'f: parameter "rest": complex is no annotation that parameters of a method may have'),
        (late_call, 'f: parameter "call": Call is no annotation that parameters of a method may have'),
        (broken, 'f: parameter "a": ZeroDivisionError: division by zero'),
    ],
)
def test_an_annotation_that_can_not_be_read(function: Callable[..., Any], text: str) -> None:
    with pytest.raises(TypeError) as caught:
        Method(function, "f")
    assert str(caught.value) == text
