"""`Service`: the names that methods have, and the ways to give them one."""

import functools
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from evkit.rpc.errors import InvalidParams
from evkit.rpc.service.service import Service


def add(a: int, b: int) -> int:
    """Add two numbers.

    They may be of any size.
    """
    return a + b


def count(most: int) -> Iterator[int]:
    yield from range(most)


class Calculator:
    unit = "m"

    def __init__(self) -> None:
        self.hook = add
        self.total = 0

    def add(self, number: int) -> int:
        self.total += number
        return self.total

    @staticmethod
    def double(number: int) -> int:
        return 2 * number

    @classmethod
    def name(cls) -> str:
        return cls.__name__

    @property
    def costly(self) -> int:
        raise AssertionError("nobody asked for it")

    class Inner:
        pass

    def _hidden(self) -> None: ...


class Child(Calculator):
    def more(self) -> int:
        return 7


class Listing(Calculator):
    __rpc_methods__ = ("double", "_hidden")


class TestRegister:
    def test_by_its_own_name_and_by_another(self) -> None:
        service = Service()
        assert service.register(add) is add
        assert service.register(add, "math.add") is add
        assert list(service.methods) == ["add", "math.add"]
        assert service.methods["math.add"].name == "math.add"
        assert repr(service) == "<Service 2 methods>"

    def test_decorators(self) -> None:
        service = Service()

        @service.method
        def first() -> int:
            return 1

        @service.method("other")
        def second() -> int:
            return 2

        @service.method()
        def third() -> int:
            return 3

        @service.method(in_threads=True)
        def fourth() -> int:
            return 4

        @service.method("fifth!", in_threads=True)
        def fifth() -> int:
            return 5

        assert list(service.methods) == ["first", "other", "third", "fourth", "fifth!"]
        assert [method.in_threads for method in service.methods.values()] == [False] * 3 + [True] * 2
        assert [first(), second(), third(), fourth(), fifth()] == [1, 2, 3, 4, 5]

    def test_a_pool_says_that_it_runs_in_threads(self) -> None:
        with ThreadPoolExecutor(1) as pool:
            service = Service()
            service.register(add, pool=pool)
        assert service.methods["add"].in_threads

    def test_two_of_one_name(self) -> None:
        service = Service()
        service.register(add)
        before = service.methods["add"]
        with pytest.raises(ValueError, match="there is a method 'add' already"):
            service.register(math.floor, "add")
        assert service.methods == {"add": before}

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("", "1 to 256 bytes, got 0"),
            ("a" * 257, "1 to 256 bytes, got 257"),
            ("ä" * 129, "1 to 256 bytes, got 258"),
            ("$/ping", "the protocol's own"),
            ("\ud800", "is no text"),
        ],
    )
    def test_a_name_that_no_peer_could_call(self, name: str, told: str) -> None:
        service = Service()
        with pytest.raises(ValueError, match=told):
            service.register(add, name)
        with pytest.raises(ValueError, match=told):
            service.method(name)(add)
        assert service.methods == {}

    @pytest.mark.parametrize("name", ["a" * 256, "ä" * 128, "$", "$x/y", "a b\n", "<lambda>"])
    def test_a_name_that_one_could(self, name: str) -> None:
        service = Service()
        service.register(add, name)
        assert list(service.methods) == [name]

    def test_a_limit_of_its_own(self) -> None:
        service = Service(max_method=3)
        service.register(add)
        with pytest.raises(ValueError, match="1 to 3 bytes, got 4"):
            service.register(add, "four")

    @pytest.mark.parametrize("name", [5, b"add"])
    def test_a_name_that_is_no_text(self, name: Any) -> None:
        with pytest.raises(TypeError, match="expected the name of a method as str"):
            Service().register(add, name)

    @pytest.mark.parametrize("function", [lambda: 1, functools.partial(add, 1), Calculator().Inner])
    def test_what_has_no_name_needs_one(self, function: Any) -> None:
        service = Service()
        if isinstance(function, type):
            service.register(function)  # a class has one
            assert list(service.methods) == ["Inner"]
            return
        with pytest.raises(ValueError, match="has no name of its own; give it one"):
            service.register(function)
        service.register(function, "f")
        assert list(service.methods) == ["f"]

    def test_what_is_no_method_is_not_registered(self) -> None:
        async def later() -> None: ...

        service = Service()
        with pytest.raises(TypeError, match="not async def"):
            service.register(later)
        with pytest.raises(TypeError, match="a method must be callable, got 5"):
            service.register(5)  # type: ignore[type-var]  # what is tested
        assert service.methods == {}

    @pytest.mark.parametrize("number", [0, -1, 1.5, True, "1"])
    def test_no_number_of_waiting_calls(self, number: Any) -> None:
        with pytest.raises(ValueError, match="expected max_waiting as a number >= 1 or None"):
            Service(max_waiting=number)


class TestRegisterObject:
    def test_public_methods_of_its_class(self) -> None:
        service, thing = Service(), Calculator()
        service.register_object(thing, "calc.")
        assert list(service.methods) == ["calc.add", "calc.double", "calc.name"]
        for _ in range(2):
            service.methods["calc.add"].function(5)
        assert thing.total == 10
        assert service.methods["calc.double"].function(4) == 8
        assert service.methods["calc.name"].function() == "Calculator"
        check = service.methods["calc.add"].check
        assert check is not None
        with pytest.raises(
            InvalidParams, match=r'calc\.add\(number: int\): parameter "number": expected int'
        ):
            check(["a"])

    def test_inherited_ones_too(self) -> None:
        service = Service()
        service.register_object(Child())
        assert list(service.methods) == ["add", "double", "more", "name"]

    def test_those_that_are_listed(self) -> None:
        service = Service()
        service.register_object(Listing())
        assert list(service.methods) == ["double", "_hidden"]
        service.register_object(Listing(), "other.", ["add"])
        assert list(service.methods) == ["double", "_hidden", "other.add"]

    def test_of_a_module(self) -> None:
        service = Service()
        service.register_object(math, names=["gcd", "floor"])
        assert service.methods["gcd"].function(12, 8) == 4

    def test_all_or_none(self) -> None:
        service = Service()
        service.register(add, "more")
        with pytest.raises(ValueError, match="there is a method 'more' already"):
            service.register_object(Child())
        assert list(service.methods) == ["more"]

    def test_one_twice(self) -> None:
        service = Service()
        with pytest.raises(ValueError, match="the method 'add' is listed twice"):
            service.register_object(Child(), names=["add", "add"])
        assert service.methods == {}

    @pytest.mark.parametrize("thing", [object(), math])
    def test_nothing_that_could_be_called(self, thing: object) -> None:
        with pytest.raises(ValueError, match="has no public methods"):
            Service().register_object(thing)

    def test_a_class(self) -> None:
        with pytest.raises(TypeError, match="the class Calculator: make one of it first"):
            Service().register_object(Calculator)

    def test_names_that_are_one(self) -> None:
        with pytest.raises(TypeError, match="expected names as a list, got 'add'"):
            Service().register_object(Calculator(), names="add")

    def test_a_method_that_it_has_not(self) -> None:
        service = Service()
        with pytest.raises(AttributeError, match="subtract"):
            service.register_object(Calculator(), names=["add", "subtract"])
        assert service.methods == {}


def test_unregister() -> None:
    service = Service()
    service.register(add)
    service.unregister("add")
    assert service.methods == {}
    with pytest.raises(KeyError, match="add"):
        service.unregister("add")
    service.register(add)


def test_what_peers_get_to_know() -> None:
    service = Service()
    service.register(count)
    service.register(add)
    described = service.describe()
    assert list(described) == ["add", "count"]
    assert described == {
        "add": {
            "signature": "add(a: int, b: int) -> int",
            "doc": "Add two numbers.\n\nThey may be of any size.",
            "stream": False,
        },
        "count": {
            "signature": "count(most: int) -> collections.abc.Iterator[int]",
            "doc": "",
            "stream": True,
        },
    }


def test_a_cached_method_is_a_method_as_any() -> None:
    class Thing:
        calls = 0

        @functools.lru_cache  # noqa: B019 - the point of it
        def cached(self, a: int) -> int:
            type(self).calls += 1
            return a + 1

        @functools.cached_property
        def value(self) -> int:
            return 1

    service = Service()
    service.register_object(Thing())
    assert list(service.methods) == ["cached"]
    assert [service.methods["cached"].function(1) for _ in range(2)] == [2, 2]
    assert Thing.calls == 1
