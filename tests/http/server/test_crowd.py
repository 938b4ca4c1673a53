"""`Crowd`: who counts as one, and when one more is too many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.server.crowd import Crowd


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("192.0.2.1:1000", "192.0.2.1:1001", True),
        ("192.0.2.1:1000", "192.0.2.2:1000", False),
        ("[2001:db8::1]:1", "[2001:db8::2]:1", True),
        ("[2001:db8:0:0:ffff::]:1", "[2001:db8::]:1", True),
        ("[2001:db8:0:1::1]:1", "[2001:db8::1]:1", False),
        ("[fe80::1%eth0]:1", "[fe80::2%eth0]:1", True),
        ("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", False),
        ("[::ffff:192.0.2.1]:1", "192.0.2.1:2", True),
    ],
)
def test_who_counts_as_one(one: str, other: str, together: bool) -> None:
    crowd = Crowd(1)
    assert crowd.enter(one)
    assert crowd.enter(other) is not together
    crowd.leave(one)
    assert crowd.enter(one if not together else other)


def test_unix_sockets_have_no_limit() -> None:
    crowd = Crowd(1)
    assert [crowd.enter("unix:") for _ in range(3)] == [True] * 3
    for _ in range(3):
        crowd.leave("unix:")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=40), st.integers(1, 3))
def test_as_a_model_counts(steps: list[tuple[bool, int]], most: int) -> None:
    crowd = Crowd(most)
    model = [0] * 4
    for comes, host in steps:
        peer = f"192.0.2.{host}:{len(steps)}"
        if comes:
            assert crowd.enter(peer) is (model[host] < most)
            model[host] += model[host] < most
        elif model[host]:
            crowd.leave(peer)
            model[host] -= 1
    for host, present in enumerate(model):
        for _ in range(present):
            crowd.leave(f"192.0.2.{host}:1")
    assert not crowd._present, "nobody is remembered who has left"
