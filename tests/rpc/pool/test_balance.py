"""Who gets the next call."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.rpc.pool.balance import Balancer

rolls = st.floats(0, 1, exclude_max=True)


@dataclass(eq=False)
class One:
    name: str
    weight: float = 1.0
    priority: int = 0
    load: int = 0


def test_nobody_is_picked_out_of_nobody() -> None:
    assert Balancer[One]([]).pick(0.5, 0.5) is None
    assert len(Balancer[One]([])) == 0


def test_one_alone_gets_all() -> None:
    one = One("a", load=1000)
    assert Balancer([one]).pick(0.9, 0.9) is one


@pytest.mark.parametrize(
    ("first", "second", "drawn"),
    [
        (0.0, 0.0, "ab"),
        (0.0, 0.99, "ac"),
        (0.34, 0.0, "ba"),
        (0.34, 0.5, "bc"),
        (0.99, 0.0, "ca"),
        (0.99, 0.99, "cb"),
    ],
)
def test_the_less_busy_of_two_different_ones_gets_it(first: float, second: float, drawn: str) -> None:
    members = {name: One(name) for name in "abc"}
    balancer = Balancer(list(members.values()))
    assert balancer.pick(first, second) is members[drawn[0]]  # as busy as the other
    members[drawn[0]].load = 1
    assert balancer.pick(first, second) is members[drawn[1]]


def test_only_the_best_priority_gets_calls() -> None:
    best = [One("a", priority=10, load=50), One("b", priority=10, load=50)]
    balancer = Balancer([One("c", priority=20), *best, One("d", priority=30)])
    assert len(balancer) == 2
    assert {balancer.pick(n / 10, m / 10) for n in range(10) for m in range(10)} == set(best)


def test_idle_servers_get_calls_by_their_weights() -> None:
    balancer = Balancer([One("a", 60), One("b", 30), One("c", 10)])
    picked = [balancer.pick(n / 1000, 0.5) for n in range(1000)]
    assert Counter(one.name for one in picked if one) == {"a": 600, "b": 300, "c": 100}


def test_a_load_weighs_less_on_the_stronger() -> None:
    strong, weak = One("a", 3, load=5), One("b", 1, load=2)
    assert Balancer([strong, weak]).pick(0.0, 0.0) is strong  # 5/3 is less than 2
    strong.load = 7
    assert Balancer([strong, weak]).pick(0.0, 0.0) is weak


@given(
    weights=st.lists(st.floats(0.001, 65535), min_size=1, max_size=20),
    loads=st.lists(st.integers(0, 100), min_size=20, max_size=20),
    first=rolls,
    second=rolls,
)
def test_somebody_of_the_group_is_always_picked(
    weights: list[float], loads: list[int], first: float, second: float
) -> None:
    members = [One("x", weight, 0, load) for weight, load in zip(weights, loads, strict=False)]
    picked = Balancer(members).pick(first, second)
    assert picked in members


@given(weights=st.lists(st.integers(1, 9), min_size=2, max_size=6), first=rolls, second=rolls)
def test_the_second_is_another_than_the_first(weights: list[int], first: float, second: float) -> None:
    members = [One(str(n), weight) for n, weight in enumerate(weights)]
    balancer = Balancer(members)
    one = balancer.pick(first, second)
    assert one is not None
    one.load = 10**6
    assert balancer.pick(first, second) is not one
