"""What ``evkit rpc serve`` lets others call, of a module, an object or a service."""

import math
from types import ModuleType

import pytest

from evkit.cli.errors import FAILED, Failure
from evkit.cli.rpc_target import register
from evkit.rpc import Service

APP = """
from math import floor

PI = 3

def add(a: int, b: int) -> int:
    "Add."
    return a + b

def count(n):
    yield from range(n)

def _private():
    raise AssertionError

class Calculator:
    rate = 5

    def double(self, number):
        return 2 * number

    @staticmethod
    def one():
        return 1

    def _hidden(self):
        raise AssertionError

calculator = Calculator()
twice = calculator.double
"""


def module(text: str = APP) -> ModuleType:
    made = ModuleType("app")
    exec(compile(text, "app.py", "exec"), vars(made))
    return made


def names(found: object, word: str = "app") -> list[str]:
    service = Service()
    register(service, found, word)
    return sorted(service.methods)


def test_the_own_public_functions_of_a_module() -> None:
    assert names(module()) == ["add", "count"]


def test_functions_that_are_wrapped_or_written_in_c() -> None:
    wrapped = """
from functools import lru_cache, partial

@lru_cache
def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)

class Answer:
    def __call__(self):
        return 42

class Anything(Answer):
    def __getattr__(self, name):
        return lambda: name

answer, anything = Answer(), Anything()
half = partial(pow, 0.5)
"""
    app = module(APP + wrapped)
    assert names(app) == ["add", "count", "fib"]
    assert names(vars(app)["fib"], "app:fib") == ["fib"]
    assert {"floor", "gcd"} < set(names(math, "math"))


def test_what_a_module_lists_though_it_is_none_of_its_own() -> None:
    listed = "__all__ = ['floor', 'twice', '_private', 'Calculator', 'PI']"
    assert names(module(f"{APP}\n{listed}")) == ["_private", "floor", "twice"]


def test_the_public_methods_of_an_object() -> None:
    assert names(vars(module())["calculator"], "app:calculator") == ["double", "one"]


def test_what_an_object_lists() -> None:
    app = module(f"{APP}\nCalculator.__rpc_methods__ = ['_hidden']")
    assert names(vars(app)["calculator"], "app:calculator") == ["_hidden"]


@pytest.mark.parametrize(("word", "name"), [("app:add", "add"), ("app:calculator.double", "double")])
def test_a_single_function_by_the_name_that_was_asked_for(word: str, name: str) -> None:
    app = vars(module())
    found = app["add"] if word == "app:add" else app["calculator"].double
    assert names(found, word) == [name]


def test_what_is_registered_with_a_service() -> None:
    theirs = Service()
    theirs.method("math.floor")(math.floor)
    ours = Service()
    register(ours, theirs, "app:service")
    assert ours.methods == theirs.methods
    assert list(ours.methods) == ["math.floor"]


@pytest.mark.parametrize(
    ("text", "attribute", "said"),
    [
        ("", None, "it has no function of its own whose name begins with no underscore"),
        ("from math import floor", None, "it has no function of its own"),
        ("__all__ = ['gone']", None, "has no attribute 'gone'"),
        ("async def later(): pass", None, "later: a method is a plain function"),
        (APP, "Calculator", "expected an object, got the class Calculator: make one of it first"),
        (APP, "PI", "3 has no public methods"),
        ("from evkit.rpc import Service\nservice = Service()", "service", "nothing is registered there"),
        ("def f(a: 5): pass", None, "f"),
    ],
)
def test_what_can_not_be_served(text: str, attribute: str | None, said: str) -> None:
    app = module(text)
    found = app if attribute is None else vars(app)[attribute]
    with pytest.raises(Failure) as failure:
        register(Service(), found, "app:x")
    assert str(failure.value).startswith("app:x can't be served: ")
    assert said in str(failure.value)
    assert "\n" not in str(failure.value)
    assert failure.value.status == FAILED
