"""The checkers of annotations: what they take, what they make of it, and what they say of the rest."""

import enum
import math
import typing
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    Sequence,
)
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import (
    Annotated,
    Any,
    Literal,
    NewType,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    TypeVar,
    Union,
)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.rpc.protocol.codec import Ext
from evkit.rpc.service.parameters import Mismatch, checker_of

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SAMPLES: list[Any] = [
    *(None, True, False, 0, 1, -5, 2**64 - 1, 0.0, 1.0, 1.5, "", "a", "red", b"", b"a"),
    *([], [1], ["a"], {}, {"a": 1}, {1: "a"}, NOW, Ext(5, b"x")),
]
"""One of each type that comes from the wire, and a few more."""


class Color(enum.Enum):
    RED = "red"
    BLUE = 7


class Level(enum.IntEnum):
    LOW = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Point:
    x: int
    y: float = 0.0
    tags: list[str] = field(default_factory=list)
    hidden: int = field(default=3, init=False)


@dataclass
class Node:
    name: str
    children: "list[Node]" = field(default_factory=list)
    best: "Node | None" = None


@dataclass
class Positive:
    number: int

    def __post_init__(self) -> None:
        if self.number <= 0:
            raise ValueError("number must be positive")


class Options(TypedDict, total=False):
    depth: Required[int]
    name: str


class Wanted(TypedDict):
    depth: int
    name: "NotRequired[str]"


UserId = NewType("UserId", int)
T = TypeVar("T")


def same(one: object, other: object) -> bool:
    """Whether two values are equal and of the same types, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        assert isinstance(other, list | tuple)
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        assert isinstance(other, dict)
        return same(list(one.items()), list(other.items()))
    return one == other


@pytest.mark.parametrize(
    ("annotation", "kinds"),
    [
        (int, {int}),
        (bool, {bool}),
        (str, {str}),
        (bytes, {bytes}),
        (None, {type(None)}),
        (datetime, {datetime}),
        (Ext, {Ext}),
        (list, {list}),
        (list[Any], {list}),
        (dict, {dict}),
        (Mapping[Any, Any], {dict}),
        (UserId, {int}),
        (Annotated[int, {"no": "hash"}], {int}),
        (int | None, {int, type(None)}),
        (Optional[str], {str, type(None)}),  # noqa: UP045 - what is tested
        (Union[int, str, bytes], {int, str, bytes}),  # noqa: UP007 - what is tested
        (list[object] | dict[object, object] | bool, {list, dict, bool}),
        (Any, {type(sample) for sample in SAMPLES}),
        (object, {type(sample) for sample in SAMPLES}),
        (int | Any, {type(sample) for sample in SAMPLES}),
    ],
    ids=repr,
)
def test_types_that_are_taken_as_they_are(annotation: Any, kinds: set[type]) -> None:
    checker = checker_of(annotation)
    for sample in SAMPLES:
        if type(sample) in kinds:
            assert checker.check(sample) is sample
            assert checker.exact is None or type(sample) in checker.exact
        else:
            with pytest.raises(Mismatch):
                checker.check(sample)
            assert checker.exact is not None
            assert type(sample) not in checker.exact


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (float, 1, 1.0),
        (float, 1.5, 1.5),
        (float, 2**64 - 1, float(2**64 - 1)),
        (int | float, 1, 1),
        (float | int, 1, 1),
        (float | None, 1, 1.0),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (list[list[float]], [[1], []], [[1.0], []]),
        (Sequence[int], [1], [1]),
        (MutableSequence[int], [1], [1]),
        (Iterable[int], [1], [1]),
        (Collection[int], [1], [1]),
        (tuple, [1, "a"], (1, "a")),
        (tuple[()], [], ()),
        (tuple[int, float], [1, 2], (1, 2.0)),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (tuple[int, ...], [], ()),
        (set, [1, 1], {1}),
        (set[float], [1, 2], {1.0, 2.0}),
        (frozenset[str], ["a"], frozenset("a")),
        (AbstractSet[str], ["a"], frozenset("a")),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (dict[Color, int], {"red": 1, 7: 2}, {Color.RED: 1, Color.BLUE: 2}),
        (MutableMapping[int, str], {1: "a"}, {1: "a"}),
        (Literal["a", 1, None, b"b", True], True, True),
        (Literal["a", 1, None, b"b", True], None, None),
        (Color, "red", Color.RED),
        (Color, 7, Color.BLUE),
        (Level, 1, Level.LOW),
        (Access, 3, Access.READ | Access.WRITE),
        (Color | str, "red", Color.RED),
        (Color | str, "green", "green"),
        (str | Color, "red", "red"),
        (list[int] | list[str], ["a"], ["a"]),
        (list[int] | None, None, None),
        (Point, {"x": 1}, Point(1)),
        (Point, {"x": 1, "y": 2, "tags": ["a"]}, Point(1, 2.0, ["a"])),
        (Point | None, None, None),
        (list[Point], [{"x": 1}], [Point(1)]),
        (Node, {"name": "a", "children": [{"name": "b"}], "best": None}, Node("a", [Node("b")])),
        (Positive, {"number": 1}, Positive(1)),
        (Options, {"depth": 1}, {"depth": 1}),
        (Options, {"depth": 1, "name": "a"}, {"depth": 1, "name": "a"}),
        (Wanted, {"depth": 1}, {"depth": 1}),
        (typing.List[float], [1], [1.0]),  # noqa: UP006 - what is tested
    ],
    ids=repr,
)
def test_what_is_made_of_a_value(annotation: Any, value: object, expected: object) -> None:
    checker = checker_of(annotation)
    assert same(checker.check(value), expected)
    if not same(value, expected):
        assert checker.exact is not None
        assert type(value) not in checker.exact


@pytest.mark.parametrize(
    ("annotation", "value", "place", "reason"),
    [
        (int, True, "", "expected int, got bool True"),
        (int, 1.0, "", "expected int, got float 1.0"),
        (int, None, "", "expected int, got None"),
        (int, "x" * 41, "", f"expected int, got str {'x' * 40!r}…"),
        (int, b"x", "", "expected int, got bytes b'x'"),
        (int, [1, 2], "", "expected int, got list of 2"),
        (int, {}, "", "expected int, got dict of 0"),
        (int, Ext(1, b""), "", "expected int, got Ext"),
        (float, False, "", "expected float, got bool False"),
        (bool, 1, "", "expected bool, got int 1"),
        (bytes, "x", "", "expected bytes, got str 'x'"),
        (int | str, 1.5, "", "expected int | str, got float 1.5"),
        (list[int] | str, [1, "a"], "[1]", "expected int, got str 'a'"),
        (list[int] | list[str], [None], "", "expected list[int] | list[str], got list of 1"),
        (list[int], {}, "", "expected list[int], got dict of 0"),
        (list[list[int]], [[1], [2, None]], "[1][1]", "expected int, got None"),
        (tuple[int, str], [1], "", "expected tuple[int, str], got list of 1"),
        (tuple[int, str], [1, 2], "[1]", "expected str, got int 2"),
        (tuple[()], [1], "", "expected tuple[()], got list of 1"),
        (set[str], [1], "[0]", "expected str, got int 1"),
        (set, [[]], "", "expected set, got an item that can't be in one"),
        (dict[str, int], {"a": "b"}, "[str 'a']", "expected int, got str 'b'"),
        (dict[str, int], {1: 1}, ", key int 1", "expected str, got int 1"),
        (Literal["a", 1], True, "", "expected Literal['a', 1], got bool True"),
        (Literal["a", 1], "b", "", "expected Literal['a', 1], got str 'b'"),
        (Literal["a"], ["a"], "", "expected Literal['a'], got list of 1"),
        (Color, "green", "", "expected Color, one of 'red', 7, got str 'green'"),
        (Color, {}, "", "expected Color, one of 'red', 7, got dict of 0"),
        (Level, 1.0, "", "expected Level, one of 1, got float 1.0"),
        (Access, 8, "", "expected Access, got int 8"),
        (Access, "1", "", "expected Access, got str '1'"),
        (Point, [], "", "expected Point, got list of 0"),
        (Point, {}, "", "Point needs a field 'x'"),
        (Point, {"x": 1, "z": 2}, "", "Point has no field str 'z'"),
        (Point, {"x": 1, 2: 2}, "", "Point has no field int 2"),
        (Point, {"x": 1, "hidden": 2}, "", "Point has no field str 'hidden'"),
        (Point, {"x": 1, "tags": [1]}, ".tags[0]", "expected str, got int 1"),
        (Node, {"name": "a", "children": [{"name": 1}]}, ".children[0].name", "expected str, got int 1"),
        (Positive, {"number": 0}, "", "no Positive: number must be positive"),
        (Options, {"name": "a"}, "", "Options needs a field 'depth'"),
        (Options, {"depth": "a"}, ".depth", "expected int, got str 'a'"),
        (Wanted, {"name": "a"}, "", "Wanted needs a field 'depth'"),
    ],
    ids=repr,
)
def test_what_is_wrong_and_where(annotation: Any, value: object, place: str, reason: str) -> None:
    checker = checker_of(annotation)
    with pytest.raises(Mismatch) as caught:
        checker.check(value)
    assert checker.exact is not None
    assert type(value) not in checker.exact
    assert (caught.value.place, caught.value.reason) == (place, reason)


def test_the_error_of_a_class_is_the_cause() -> None:
    with pytest.raises(Mismatch) as caught:
        checker_of(list[Positive]).check([{"number": 1}, {"number": 0}])
    assert caught.value.place == "[1]"
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    "annotation", [list[int], dict[str, int], list[int | None], dict[str, Any]], ids=repr
)
def test_what_needs_no_change_is_not_copied(annotation: Any) -> None:
    value: object = [1, 2] if typing.get_origin(annotation) is list else {"a": 1}
    assert checker_of(annotation).check(value) is value


class Odd(enum.Enum):
    POINT = (1, 2)


@dataclass
class Holder:
    what: complex


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (complex, "complex is no annotation"),
        (Iterator[int], "Iterator is no annotation"),
        (Callable[[int], int], "Callable is no annotation"),
        (list[dict[str, complex]], "complex is no annotation"),
        (int | complex, "complex is no annotation"),
        (T, "T is no annotation"),
        ([int], "is no annotation"),
        (5, "5 is no annotation"),
        (Holder, "complex is no annotation"),
        (Odd, r"Odd has \(1, 2\), which no peer can send"),
        (Literal[Color.RED], "which no peer can send"),
    ],
    ids=repr,
)
def test_an_annotation_that_says_nothing_of_the_wire(annotation: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        checker_of(annotation)


# A model: what an annotation says, asked of typing itself

SCALARS: list[Any] = [int, float, bool, str, bytes, type(None)]


def is_of(annotation: Any, value: object) -> bool:
    """Whether a value is what an annotation says, in the plain words of PEP 484, where an int is a float, too."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Union:
        return any(is_of(argument, value) for argument in arguments)
    if origin is list:
        return type(value) is list and all(is_of(arguments[0], item) for item in value)
    if origin is dict:
        return type(value) is dict and all(
            is_of(arguments[0], key) and is_of(arguments[1], item) for key, item in value.items()
        )
    return type(value) is annotation or (annotation is float and type(value) is int)


annotations = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.one_of(
        inner.map(lambda item: list[item]),  # type: ignore[valid-type]  # made at run time
        st.tuples(st.sampled_from([int, str]), inner).map(lambda pair: dict[pair]),  # type: ignore[valid-type, type-arg, misc]  # likewise
        st.tuples(inner, inner).map(lambda pair: Union[pair]),  # noqa: UP007 - it is made of a tuple
    ),
    max_leaves=4,
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from([0.0, 1.5]),
    st.text(max_size=1),
    st.just(b"x"),
)
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.integers(0, 3), st.text(max_size=1)), inner, max_size=3),
    ),
    max_leaves=5,
)


@given(annotations, values)
def test_what_passes_is_what_the_annotation_says(annotation: Any, value: object) -> None:
    checker = checker_of(annotation)
    try:
        checked = checker.check(value)
    except Mismatch:
        assert not is_of(annotation, value)
    else:
        assert is_of(annotation, value)
        assert is_of(annotation, checked)
        assert checked == value  # an integer may have become a float
        if checker.exact is None or type(value) in checker.exact:
            assert checked is value


@given(st.floats(allow_nan=True))
def test_every_float_is_one(value: float) -> None:
    checked = checker_of(float).check(value)
    assert isinstance(checked, float)
    assert checked == value or (math.isnan(checked) and math.isnan(value))
