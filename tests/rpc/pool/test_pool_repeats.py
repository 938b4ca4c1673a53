"""What a pool repeats, and what it sends twice."""

import pytest

from evkit.rpc import OUTPUT, PAUSE, Backoff, CallLost, CallTimeout, HookContext, RetryBudget
from evkit.rpc.errors import OVERLOADED
from rpc_pool_aids import AT_ONCE, World

# What is repeated


def test_a_call_that_may_have_been_served_is_not_repeated(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool()
    call = world.call(pool)
    ((site, _),) = world.kept()
    site.drop()
    error = world.outcome(call)
    assert isinstance(error, CallLost)
    assert error.sent
    assert [len(one.kept) for one in world.sites if one is not site] == [0]


def test_one_that_may_be_served_twice_goes_to_another_server(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(retry_pause=AT_ONCE)
    call = world.call(pool, idempotent=True)
    ((site, _),) = world.kept()
    site.drop()
    (other,) = [one for one in world.sites if one is not site]
    world.run(lambda: other.kept)
    other.kept[0].reply("here")
    assert world.outcome(call) == "here"


def test_it_is_repeated_after_a_pause_and_within_its_time(world: World) -> None:
    world.site()
    pool = world.pool(retry_pause=Backoff(5.0, jitter=0.0), timeout=7.0)
    call = world.call(pool, idempotent=True)
    ((site, _),) = world.kept()
    site.drop()
    world.settle()
    assert pool.waiting == 1
    world.advance(4.9)
    assert len(site.kept) == 1
    world.advance(0.2)
    world.kept(2)
    world.advance(2.0)
    assert isinstance(call.error, CallTimeout)
    assert call.error.timeout == 7.0


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_it_is_repeated_so_often_and_no_more(world: World, retries: int) -> None:
    site = world.site()
    pool = world.pool(retries=retries, retry_pause=AT_ONCE, failures=100)
    call = world.call(pool, idempotent=True)
    for number in range(retries + 1):
        world.kept(number + 1)
        assert call.error is None
        site.drop()
        world.settle()
        world.advance(1.0)  # the client waits a little before it comes back
    assert isinstance(call.error, CallLost)
    assert len(site.kept) == retries + 1


def test_it_is_repeated_twice_unless_the_pool_says_otherwise(world: World) -> None:
    site = world.site()
    pool = world.pool(retry_pause=AT_ONCE, failures=100, hello=True)
    assert world.outcome(world.call(pool, "refuse", idempotent=True)).code == OVERLOADED
    assert site.refused == 3


def test_the_time_may_be_over_before_the_pause(world: World) -> None:
    world.site()
    pool = world.pool(retry_pause=Backoff(5.0, jitter=0.0), timeout=3.0)
    call = world.call(pool, idempotent=True)
    ((site, _),) = world.kept()
    site.drop()
    world.settle()
    world.advance(3.1)
    assert isinstance(call.error, CallTimeout)
    assert isinstance(call.error.__cause__, CallLost)


def test_calls_fill_the_budget(world: World) -> None:
    site = world.site()
    pool = world.pool(budget=RetryBudget(ratio=1, per_second=0), retry_pause=AT_ONCE)
    call = world.call(pool, idempotent=True)
    world.kept()
    site.drop()
    world.settle()
    world.advance(1.0)
    world.kept(2)
    site.kept[1].reply("again")
    assert world.outcome(call) == "again"


def test_pools_may_share_a_budget(world: World) -> None:
    world.site()
    budget = RetryBudget(ratio=0, per_second=0.1)  # one, of ten seconds
    pools = [world.pool(budget=budget, retry_pause=AT_ONCE, retries=1, hello=True) for _ in range(2)]
    errors = [world.outcome(world.call(pool, "refuse", idempotent=True)) for pool in pools]
    assert [error.code for error in errors] == [OVERLOADED, OVERLOADED]
    assert world.sites[0].refused == 3


def test_without_budget_nothing_is_repeated(world: World) -> None:
    world.site()
    pool = world.pool(budget=RetryBudget(ratio=0, per_second=0), retry_pause=AT_ONCE)
    call = world.call(pool, idempotent=True)
    ((site, _),) = world.kept()
    site.drop()
    assert isinstance(world.outcome(call), CallLost)


@pytest.mark.parametrize(("idempotent", "asked"), [(False, 1), (True, 2)])
def test_a_call_that_an_overloaded_server_refuses_goes_to_another(
    world: World, idempotent: bool, asked: int
) -> None:
    world.site()
    world.site()
    pool = world.pool(retry_pause=AT_ONCE, retries=1, hello=True)
    error = world.outcome(world.call(pool, "refuse", idempotent=idempotent))
    assert (error.code, error.message) == (OVERLOADED, "busy")
    assert sum(site.refused for site in world.sites) == asked
    assert max(site.refused for site in world.sites) == 1


# Copies


def test_a_slow_call_is_copied_and_the_loser_given_up(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(hedge_after=0.5, hello=True)
    call = world.call(pool, idempotent=True)
    ((slow, _),) = world.kept()
    world.advance(0.4)
    assert sum(len(site.kept) for site in world.sites) == 1
    world.advance(0.2)
    (quick,) = [site for site in world.sites if site is not slow]
    world.run(lambda: quick.kept)
    quick.kept[0].reply("quick")
    assert world.outcome(call) == "quick"
    world.run(lambda: slow.gave_up)
    assert (slow.gave_up, quick.gave_up) == (["keep"], [])


def test_a_copy_that_fails_leaves_the_first_alone(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool()
    call = world.call(pool, idempotent=True, hedge_after=0.5)
    ((slow, kept),) = world.kept()
    world.advance(0.6)
    (other,) = [site for site in world.sites if site is not slow]
    world.run(lambda: other.kept)
    other.drop()
    world.settle()
    assert call.error is None
    kept.reply("late, but here")
    assert world.outcome(call) == "late, but here"


def test_a_copy_has_no_time_of_its_own(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(timeout=10.0)
    call = world.call(pool, idempotent=True, hedge_after=0.5)
    ((first, _),) = world.kept()
    world.advance(0.6)
    world.kept(2)
    first.drop()
    world.advance(9.3)
    assert call.error is None
    world.advance(0.2)
    assert isinstance(call.error, CallTimeout)
    assert call.error.timeout == 10.0


def test_there_is_no_copy_where_there_is_no_other_server(world: World) -> None:
    site = world.site()
    pool = world.pool(hedge_after=0.5)
    call = world.call(pool, idempotent=True)
    world.kept()
    world.advance(2.0)
    assert len(site.kept) == 1
    site.kept[0].reply(1)
    assert world.outcome(call) == 1


def test_copies_are_for_calls_that_may_be_served_twice(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(hedge_after=0.5)
    world.call(pool)
    world.kept()
    world.advance(2.0)
    assert sum(len(site.kept) for site in world.sites) == 1
    with pytest.raises(ValueError, match="idempotent=True"):
        world.call(pool, hedge_after=0.5)


def test_copies_take_from_the_budget(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(hedge_after=0.5, budget=RetryBudget(ratio=0, per_second=0))
    world.call(pool, idempotent=True)
    world.kept()
    world.advance(2.0)
    assert sum(len(site.kept) for site in world.sites) == 1


def test_a_copy_waits_until_another_server_can_be_had(world: World) -> None:
    one = world.site()
    pool = world.pool(hedge_after=0.5, hello=True)
    call = world.call(pool, idempotent=True)
    world.kept()
    world.advance(0.6)
    two = world.site()
    pool.add_connection(two.where)
    world.run(lambda: pool.clients[1].connection)
    assert two.kept == []
    world.advance(0.6)
    world.run(lambda: two.kept)
    two.kept[0].reply("copied")
    assert world.outcome(call) == "copied"
    assert len(one.kept) == 1


def test_a_copy_waits_until_there_is_budget_for_it(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(hedge_after=0.5, budget=RetryBudget(ratio=0.5, per_second=0))
    world.call(pool, idempotent=True)
    world.kept()
    world.advance(0.6)
    assert len(world.kept()) == 1
    world.outcome(world.call(pool, "where"))
    world.advance(0.6)
    assert len(world.kept(2)) == 2


def test_a_copy_goes_to_no_other_connection_of_the_same_server(world: World) -> None:
    site = world.site()
    pool = world.pool(size=3, hedge_after=0.5)
    world.call(pool, idempotent=True)
    world.kept()
    world.advance(2.0)
    assert len(site.kept) == 1


def test_a_call_that_is_repeated_may_be_copied_too(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(hedge_after=0.5, retry_pause=AT_ONCE)
    call = world.call(pool, idempotent=True)
    ((first, _),) = world.kept()
    first.drop()
    world.settle()
    world.advance(0.2)  # it is back
    world.kept(2)
    world.advance(0.6)
    world.kept(3)
    first.kept[1].reply("copied")
    assert world.outcome(call) == "copied"


def test_a_call_that_waits_is_not_copied_past_the_others(world: World) -> None:
    site = world.site()
    pool = world.pool(hedge_after=0.5, max_in_flight=1, connected=False, retry_pause=AT_ONCE)
    held: list[HookContext] = []
    pool.add_hook(OUTPUT, lambda context: held.append(context) or PAUSE if context.method == "keep" else None)
    world.run(lambda: pool.clients[0].connection)
    world.call(pool, idempotent=True)
    world.run(lambda: held)
    site.drop()
    site.listener.close()
    world.settle()
    assert pool.waiting == 1
    world.advance(0.6)
    assert (pool.waiting, len(held)) == (1, 1)
