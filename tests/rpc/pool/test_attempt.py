"""What a member has in its hands of a call."""

from types import SimpleNamespace
from typing import Any

import pytest

from evkit.rpc import Backoff, Pending
from evkit.rpc.pool.attempt import Attempt
from evkit.rpc.pool.health import Health
from rpc_pool_aids import answer


def attempt_at(pending: Pending, health: Health, heard: list[Attempt]) -> Attempt:
    call: Any = SimpleNamespace(pending=pending, on_attempt=heard.append)
    member: Any = SimpleNamespace(health=health)
    return Attempt(call, member, 7.5)


def test_it_asks_for_what_the_call_asks_for() -> None:
    pending = Pending("add", print, 10.0, {"tenant": 7})
    attempt = attempt_at(pending, Health(1, Backoff()), [])
    assert (attempt.method, attempt.metadata, attempt.timeout) == ("add", {"tenant": 7}, 7.5)


@pytest.mark.parametrize("sick", [False, True])
def test_it_tries_a_server_that_was_left_out(sick: bool) -> None:
    health = Health(1, Backoff())
    if sick:
        health.failed(1000.0, 0.0, probe=False)
    assert attempt_at(Pending("add", print), health, []).probe is sick


def test_its_end_is_told_to_the_call_and_to_nobody_else() -> None:
    told: list[Pending] = []
    heard: list[Attempt] = []
    attempt = attempt_at(Pending("add", told.append), Health(1, Backoff()), heard)
    answer(attempt, 5)
    assert (heard, told, attempt.value) == ([attempt], [], 5)
