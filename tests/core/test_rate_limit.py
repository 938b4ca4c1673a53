"""The deciders of rate limits: buckets that are told the time, shares, and turns that starve nobody."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.rate_limit import RATE_LIMIT_MAX, RateLimit, TokenBucket, Turns, share_of

ticks = st.sampled_from([0.001, 0.003, 0.1, 0.7, 1.0, 1.1, 60.0])
starts = st.floats(0.001, 1e7)
rates = st.integers(1, 1000)
extras = st.integers(0, 2000)


def first(count: int) -> int:
    """Pick without chance."""
    assert count > 0
    return 0


class TestRateLimit:
    def test_nothing_is_limited_unless_asked_for(self) -> None:
        assert RateLimit() == RateLimit(None, None, None, None, 1.0)

    def test_it_never_changes(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            RateLimit(1).read_rate = 2  # type: ignore[misc]  # that is what is tested

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"read_rate": 0}, r"read_rate must be 1 to \d+ bytes a tick, or None, got 0"),
            ({"read_rate": -5}, "read_rate must be"),
            ({"read_rate": RATE_LIMIT_MAX + 1}, "read_rate must be"),
            ({"read_rate": 10, "read_burst": 9}, r"read_burst must be read_rate=10 to \d+ bytes, got 9"),
            ({"read_rate": 10, "read_burst": RATE_LIMIT_MAX + 1}, "read_burst must be"),
            ({"read_burst": 9}, "read_burst=9 limits nothing without a read_rate"),
            ({"write_rate": 0}, "write_rate must be"),
            ({"write_rate": 10, "write_burst": 9}, "write_burst must be write_rate=10"),
            ({"write_burst": 9}, "write_burst=9 limits nothing without a write_rate"),
            ({"tick": 0}, "tick is a number of seconds from 0.001 to 2147483.647, got 0"),
            ({"tick": 0.0009}, "tick is"),
            ({"tick": -1}, "tick is"),
            ({"tick": 2147483.648}, "tick is"),
            ({"tick": float("nan")}, "tick is"),
            ({"tick": float("inf")}, "tick is"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, values: dict[str, float], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            RateLimit(**values)  # type: ignore[arg-type]  # each value fits its name

    @pytest.mark.parametrize("name", ["read_rate", "read_burst", "write_rate", "write_burst"])
    @pytest.mark.parametrize("value", [1e6, "5"])
    def test_bytes_are_whole(self, name: str, value: object) -> None:
        with pytest.raises(TypeError, match=f"{name} is a whole number of bytes, or None, got"):
            RateLimit(**{"read_rate": 1, "write_rate": 1, name: value})  # type: ignore[arg-type]  # that is tested

    @pytest.mark.parametrize(
        "values",
        [
            (1, 1, 1, 1, 0.001),
            (RATE_LIMIT_MAX, RATE_LIMIT_MAX, RATE_LIMIT_MAX, RATE_LIMIT_MAX, 2147483.647),
            (5, None, None, None),
            (None, None, 5, 6),
        ],
    )
    def test_the_ends_of_the_ranges_are_in_them(self, values: tuple[int, ...]) -> None:
        assert dataclasses.astuple(RateLimit(*values))[: len(values)] == values


class TestTokenBucket:
    def test_it_begins_with_the_rate(self) -> None:
        assert TokenBucket(10, 30, 1.0, 1000.0).level == 10

    def test_each_tick_adds_the_rate_up_to_the_burst(self) -> None:
        bucket = TokenBucket(10, 35, 1.0, 1000.0)
        levels = []
        for now in (1000.999, 1001.0, 1001.0, 1001.5, 1002.0, 1003.0, 1004.0):
            bucket.refill(now)
            levels.append(bucket.level)
        assert levels == [10, 20, 20, 20, 30, 35, 35]

    def test_ticks_are_of_the_clock_and_not_of_the_bucket(self) -> None:
        bucket = TokenBucket(10, 30, 1.0, 1000.75)
        bucket.refill(1001.0)
        assert bucket.level == 20

    def test_several_ticks_at_once(self) -> None:
        bucket = TokenBucket(10, 1000, 0.25, 1000.0)
        bucket.refill(1002.0)
        assert bucket.level == 10 + 8 * 10

    def test_a_clock_that_stands_still_or_goes_back_adds_nothing(self) -> None:
        bucket = TokenBucket(10, 30, 1.0, 1000.0)
        for now in (1000.0, 990.0, 1000.0):
            bucket.refill(now)
            assert bucket.level == 10

    def test_without_a_burst_it_keeps_one_tick(self) -> None:
        bucket = TokenBucket(10, None, 1.0, 1000.0)
        bucket.refill(1005.0)
        assert bucket.level == bucket.burst == 10

    def test_what_is_given_back_stays_within_the_burst(self) -> None:
        bucket = TokenBucket(10, 30, 1.0, 1000.0)
        bucket.take(-15)
        assert bucket.level == 25
        bucket.take(-15)
        assert bucket.level == 30

    def test_a_debt_is_paid_before_anything_flows(self) -> None:
        bucket = TokenBucket(10, 30, 1.0, 1000.25)
        bucket.take(35)
        assert bucket.level == -25
        assert bucket.ready_in(1000.25) == 2.75  # -15, -5, 5
        bucket.refill(1003.0)
        assert bucket.level == 5

    def test_other_values_keep_the_level_as_far_as_it_fits(self) -> None:
        bucket = TokenBucket(10, 30, 1.0, 1000.0)
        bucket.refill(1002.0)
        bucket.renew(5, 20, 0.5, 1002.0)
        assert (bucket.level, bucket.rate, bucket.burst) == (20, 5, 20)
        bucket.take(20)
        bucket.refill(1002.5)
        assert bucket.level == 5
        bucket.renew(50, None, 2.0, 1002.5)
        assert bucket.level == 5

    def test_the_old_rate_holds_until_it_is_replaced(self) -> None:
        bucket = TokenBucket(10, 1000, 1.0, 1000.0)
        bucket.renew(500, 1000, 1.0, 1003.0)
        assert bucket.level == 10 + 3 * 10

    def test_ready_in_names_the_level_asked_for(self) -> None:
        bucket = TokenBucket(10, 40, 1.0, 1000.0)
        assert bucket.ready_in(1000.0) == 0
        assert bucket.ready_in(1000.0, 11) == 1.0
        assert bucket.ready_in(1000.0, 40) == 3.0

    def test_its_state_is_in_its_repr(self) -> None:
        assert repr(TokenBucket(10, 30, 1.0, 1.0)) == "<TokenBucket level=10 rate=10 burst=30>"

    @given(rates, extras, ticks, starts, st.integers(0, 5000), st.integers(1, 1000))
    def test_ready_in_is_neither_early_nor_late(
        self, rate: int, extra: int, tick: float, start: float, used: int, least: int
    ) -> None:
        least = min(least, rate + extra)
        bucket = TokenBucket(rate, rate + extra, tick, start)
        bucket.take(used)
        wait = bucket.ready_in(start, least)
        if wait > tick:
            bucket.refill(start + wait - tick - 2e-6)
            assert bucket.level < least
        bucket.refill(start + wait)
        late = bucket.ready_in(start + wait, least)
        assert late <= 2e-6  # what rounding may cost, in seconds
        bucket.refill(start + wait + 2e-6)
        assert bucket.level >= least

    @given(
        rates,
        extras,
        ticks,
        st.integers(0, 10**9),
        st.lists(st.tuples(st.floats(0, 4), st.integers(0, 3000)), min_size=1, max_size=30),
    )
    def test_no_window_of_time_lets_more_pass_than_burst_and_rate(
        self, rate: int, extra: int, tick: float, start: int, steps: list[tuple[float, int]]
    ) -> None:
        burst = rate + extra
        tick_micros = round(tick * 1e6)
        micros = start + 1
        bucket = TokenBucket(rate, burst, tick, micros / 1e6)
        passed: list[tuple[int, int]] = []  # the number of the tick, bytes
        for pause, wish in steps:
            micros += round(pause * tick_micros)
            bucket.refill(micros / 1e6)
            assert bucket.level <= burst
            used = min(wish, bucket.level)
            bucket.take(used)
            passed.append((micros // tick_micros, used))
        for begin, end in itertools.combinations_with_replacement(range(len(passed)), 2):
            total = sum(used for _, used in passed[begin : end + 1])
            assert total <= burst + rate * (passed[end][0] - passed[begin][0])


class TestShareOf:
    @pytest.mark.parametrize(
        ("level", "members", "min_share", "share"),
        [
            (1000, 4, 64, 250),
            (1000, 100, 64, 64),
            (50, 100, 64, 50),  # libevent would lend 14
            (0, 3, 64, 0),
            (-7, 3, 64, 0),
        ],
    )
    def test_examples(self, level: int, members: int, min_share: int, share: int) -> None:
        assert share_of(level, members, min_share) == share


class TestTurns:
    def test_nobody_waits_at_first(self) -> None:
        turns: Turns[str] = Turns(first)
        turns.add("a", held=False)
        turns.add("b", held=True)
        assert list(turns.waiting) == ["b"]
        assert list(turns.members) == ["a", "b"]

    def test_all_are_held_once(self) -> None:
        turns: Turns[str] = Turns(first)
        turns.add("a", held=False)
        turns.add("b", held=True)
        assert turns.hold_all() == ["a"]
        assert turns.hold_all() == []

    def test_a_random_one_of_those_served_begins(self) -> None:
        asked = []

        def second(count: int) -> int:
            asked.append(count)
            return 1

        turns: Turns[str] = Turns(second)
        for name in "abc":
            turns.add(name, held=False)
            assert not turns.serve(name)
        turns.hold_all()
        assert asked == [3]
        assert [turns.release(), turns.release(), turns.release()] == ["b", "c", "a"]

    def test_those_that_got_nothing_go_first(self) -> None:
        turns: Turns[str] = Turns(first)
        for name in "abc":
            turns.add(name, held=False)
        turns.serve("a")
        turns.serve("b")
        turns.hold_all()
        assert list(turns.waiting) == ["c", "a", "b"]

    def test_one_that_is_served_while_others_wait_goes_behind_them(self) -> None:
        turns: Turns[str] = Turns(first)
        for name in "abc":
            turns.add(name, held=True)
        assert turns.release() == "a"
        assert turns.serve("a")
        assert list(turns.waiting) == ["b", "c", "a"]

    def test_what_one_got_the_last_time_does_not_count(self) -> None:
        turns: Turns[str] = Turns(first)
        for name in "ab":
            turns.add(name, held=False)
            turns.serve(name)
        turns.hold_all()
        assert [turns.release(), turns.release()] == ["a", "b"]
        turns.serve("a")
        turns.hold_all()
        assert list(turns.waiting) == ["b", "a"]

    def test_those_let_go_keep_their_order_whoever_comes_first(self) -> None:
        turns: Turns[str] = Turns(first)
        for name in "abc":
            turns.add(name, held=True)
        assert [turns.release(), turns.release()] == ["a", "b"]
        turns.serve("b")
        turns.serve("a")
        turns.hold_all()
        assert list(turns.waiting) == ["c", "a", "b"]

    def test_one_that_has_left_is_forgotten(self) -> None:
        turns: Turns[str] = Turns(first)
        turns.add("a", held=True)
        turns.add("b", held=True)
        assert turns.remove("a")
        assert not turns.remove("a")
        assert not turns.serve("a")
        assert list(turns.waiting) == list(turns.members) == ["b"]

    @given(st.data())
    def test_nobody_starves_whatever_the_order_in_which_they_come(self, data: st.DataObject) -> None:
        """Play the ticks of a group: some members always want more, others by whim, in an order made by an enemy."""
        count = data.draw(st.integers(1, 6), "members")
        shares = data.draw(st.integers(1, 3), "shares in a tick")
        greedy = data.draw(st.sets(st.integers(0, count - 1), min_size=1), "always want more")
        turns: Turns[int] = Turns(lambda n: data.draw(st.integers(0, n - 1), "pick"))
        for member in range(count):
            turns.add(member, held=False)
        hungry = dict.fromkeys(greedy, 0)  # member: ticks since it was served
        for _ in range(4 * count):
            order = data.draw(st.permutations(range(count)), "order of the descriptors")
            whims = data.draw(st.sets(st.integers(0, count - 1)), "want some now")
            fed = play_a_tick(turns, shares, [one for one in order if one in greedy | whims])
            hungry = {one: 0 if one in fed else ticks + 1 for one, ticks in hungry.items()}
            assert max(hungry.values()) <= 2 * count


def play_a_tick(turns: Turns[int], level: int, comers: list[int]) -> set[int]:
    """Use up ``level`` shares, as a group does; return who got any. Somebody always wants more."""
    fed: set[int] = set()
    while level:
        for _ in range(min(level, len(turns.waiting))):
            turns.release()
        for member in comers:
            if level and member not in turns.waiting:
                level -= 1
                fed.add(member)
                turns.serve(member)
    turns.hold_all()
    return fed
