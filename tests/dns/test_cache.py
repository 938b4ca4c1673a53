"""What the cache keeps, and for how long: the rules of the RFCs by table, the bound by a model."""

from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evkit.dns.cache import MAX_BACKOFF, MAX_FAILURE_TTL, STALE_TTL, Cache, Entry
from evkit.dns.options import ResolverOptions

T0 = 1000.0
HOUR = 3600.0
DAY = 86_400.0


def holds_for(cache: Cache[str], now: float) -> float | None:
    """Return the seconds for which ``"k"`` stays fresh, found out by asking; ``None``: it is not there."""
    entry = cache.get("k", now)
    if entry is None:
        return None
    seconds = entry.expires_at - now
    assert cache.get("k", now + seconds - 0.001) is entry
    assert cache.get("k", now + seconds) is None
    return seconds


class TestAnswers:
    def test_what_was_put_is_there(self) -> None:
        cache = Cache[str]()
        cache.put("k", "v", 60, T0)
        entry = cache.get("k", T0 + 1)
        assert entry is not None
        assert (entry.value, entry.stored_at, entry.expires_at) == ("v", T0, T0 + 60)
        assert (entry.negative, entry.failures) == (False, 0)
        assert cache.get("other", T0) is None

    @pytest.mark.parametrize(
        ("ttl", "expected"),
        [
            (1, 1.0),
            (300, 300.0),
            (DAY, DAY),
            (DAY + 1, DAY),
            (2**31 - 1, DAY),
            (0, None),
            (-1, None),
        ],
    )
    def test_it_holds_for_its_ttl_within_the_limit(self, ttl: float, expected: float | None) -> None:
        cache = Cache[str](max_ttl=DAY)
        cache.put("k", "v", ttl, T0)
        assert holds_for(cache, T0) == expected

    def test_a_new_answer_takes_the_place_of_the_old_one(self) -> None:
        cache = Cache[str]()
        cache.put("k", "old", 60, T0)
        cache.put("k", "new", 5, T0 + 1)
        assert len(cache) == 1
        assert holds_for(cache, T0 + 1) == 5
        assert value(cache, T0 + 1) == "new"

    def test_one_with_a_ttl_of_0_does_so_too(self) -> None:
        cache = Cache[str](stale=DAY)
        cache.put("k", "old", 60, T0)
        cache.put("k", "new", 0, T0 + 1)
        assert cache.get("k", T0 + 1) is None
        assert cache.get_stale("k", T0 + 1) is None

    @pytest.mark.parametrize(("after", "left"), [(0, 60), (0.5, 59), (59.5, 0), (60, 0), (90, 0)])
    def test_the_ttl_that_is_left_is_told_in_whole_seconds(self, after: float, left: int) -> None:
        assert Entry("v", T0, T0 + 60).ttl(T0 + after) == left


def value(cache: Cache[str], now: float) -> str:
    entry = cache.get("k", now)
    assert entry is not None
    return entry.value


class TestNegative:
    """RFC 2308 §5: for the TTL that the SOA record says, no longer than the limit; not at all without one."""

    @pytest.mark.parametrize(
        ("ttl", "expected"), [(1, 1.0), (HOUR, HOUR), (3 * HOUR, 3 * HOUR), (DAY, 3 * HOUR), (0, None)]
    )
    def test_it_holds_for_its_ttl_within_the_limit(self, ttl: float, expected: float | None) -> None:
        cache = Cache[str](max_negative_ttl=3 * HOUR)
        cache.put_negative("k", "none", ttl, T0)
        assert holds_for(cache, T0) == expected

    def test_it_is_told_apart(self) -> None:
        cache = Cache[str]()
        cache.put_negative("k", "none", 60, T0)
        entry = cache.get("k", T0)
        assert entry is not None
        assert (entry.negative, entry.failures) == (True, 0)

    def test_it_takes_the_place_of_an_answer_for_good(self) -> None:
        cache = Cache[str](stale=DAY)
        cache.put("k", "v", 5, T0)
        cache.put_negative("k", "none", 5, T0 + 6)
        assert value(cache, T0 + 6) == "none"
        assert cache.get_stale("k", T0 + 12) is None  # and it never stands in itself


class TestFailures:
    """RFC 9520 §3.2: for a second at least and five minutes at most, longer with each failure."""

    def fail(self, cache: Cache[str], times: int) -> list[float | None]:
        now = T0
        held = []
        for _ in range(times):
            cache.put_failure("k", "no", now)
            seconds = holds_for(cache, now)
            held.append(seconds)
            now += seconds or 1.0
        return held

    @pytest.mark.parametrize(
        ("failure_ttl", "expected"),
        [
            (5.0, [5, 10, 20, 40, 60, 60]),
            (1.0, [1, 2, 4, 8, 16, 32, 60, 60]),
            (50.0, [50, 60]),
            (90.0, [90, 90]),
            (300.0, [300, 300]),
            (4000.0, [300, 300]),
            (0.0, [None, None]),
        ],
    )
    def test_each_failure_holds_twice_as_long_as_the_one_before(
        self, failure_ttl: float, expected: list[float | None]
    ) -> None:
        assert self.fail(Cache(failure_ttl=failure_ttl), len(expected)) == expected

    def test_it_tells_how_many_there_were(self) -> None:
        cache = Cache[str]()
        self.fail(cache, 3)
        cache.put_failure("k", "no", T0 + 40)
        entry = cache.get("k", T0 + 40)
        assert entry is not None
        assert (entry.failures, entry.negative, entry.value) == (4, False, "no")

    @pytest.mark.parametrize(("pause", "expected"), [(MAX_FAILURE_TTL, 10.0), (MAX_FAILURE_TTL + 1, 5.0)])
    def test_failures_of_long_ago_do_not_count(self, pause: float, expected: float) -> None:
        cache = Cache[str](failure_ttl=5.0)
        cache.put_failure("k", "no", T0)
        cache.put_failure("k", "no", T0 + 5 + pause)
        assert holds_for(cache, T0 + 5 + pause) == expected

    @pytest.mark.parametrize("what", ["answer", "negative"])
    def test_an_answer_of_any_kind_ends_the_row(self, what: str) -> None:
        cache = Cache[str](failure_ttl=5.0)
        self.fail(cache, 3)
        put = cache.put if what == "answer" else cache.put_negative
        put("k", what, 1, T0 + 35)
        assert value(cache, T0 + 35) == what
        cache.put_failure("k", "no", T0 + 36)
        assert holds_for(cache, T0 + 36) == 5.0

    def test_what_is_still_fresh_is_worth_more(self) -> None:
        cache = Cache[str]()
        cache.put("k", "v", 60, T0)
        cache.put_failure("k", "no", T0 + 59)
        assert value(cache, T0 + 59) == "v"

    def test_very_many_are_no_trouble(self) -> None:
        assert self.fail(Cache(failure_ttl=0.001), 3000)[-1] == MAX_BACKOFF


class TestStale:
    """RFC 8767 §5: an answer that has run out may stand in when a new one can't be had."""

    @pytest.mark.parametrize(
        ("stale", "after", "there"),
        [
            (DAY, 61, True),
            (DAY, 60 + DAY - 1, True),
            (DAY, 60 + DAY, False),
            (None, 61, False),
            (0.0, 60, False),
            (None, 59, True),  # what is fresh may stand in as well
        ],
    )
    def test_it_stands_in_for_so_long_after_it_has_run_out(
        self, stale: float | None, after: float, there: bool
    ) -> None:
        cache = Cache[str](stale=stale)
        cache.put("k", "v", 60, T0)
        assert (cache.get_stale("k", T0 + after) is not None) is there

    def test_it_is_not_fresh(self) -> None:
        cache = Cache[str](stale=DAY)
        cache.put("k", "v", 60, T0)
        assert cache.get("k", T0 + 61) is None

    def test_failures_do_not_take_it_away(self) -> None:
        cache = Cache[str](stale=DAY)
        cache.put("k", "v", 60, T0)
        for when in (61, 200, 500):
            cache.put_failure("k", "no", T0 + when)
            entry = cache.get("k", T0 + when)
            assert entry is not None
            assert entry.value == "no"
            stale = cache.get_stale("k", T0 + when)
            assert stale is not None
            assert (stale.value, stale.failures) == ("v", 0)
        assert len(cache) == 1
        assert cache.get_stale("k", T0 + 60 + DAY) is None

    def test_while_it_stands_in_nobody_asks_again_for_half_a_minute(self) -> None:
        cache = Cache[str](failure_ttl=5.0, stale=DAY)
        cache.put("k", "v", 60, T0)
        cache.put_failure("k", "no", T0 + 61)
        assert holds_for(cache, T0 + 61) == STALE_TTL == 30.0

    def test_a_failure_that_comes_when_it_is_too_old_holds_as_usual(self) -> None:
        cache = Cache[str](failure_ttl=5.0, stale=100.0)
        cache.put("k", "v", 60, T0)
        cache.put_failure("k", "no", T0 + 160)
        assert holds_for(cache, T0 + 160) == 5.0
        assert cache.get_stale("k", T0 + 160) is None

    def test_what_was_never_there_does_not_stand_in(self) -> None:
        cache = Cache[str](stale=DAY)
        assert cache.get_stale("k", T0) is None
        cache.put_failure("k", "no", T0)
        assert cache.get_stale("k", T0) is None

    def test_a_new_answer_ends_it(self) -> None:
        cache = Cache[str](stale=DAY)
        cache.put("k", "old", 60, T0)
        cache.put_failure("k", "no", T0 + 61)
        cache.put("k", "new", 60, T0 + 100)
        assert value(cache, T0 + 100) == "new"
        stale = cache.get_stale("k", T0 + 200)
        assert stale is not None
        assert stale.value == "new"


class TestBound:
    def test_the_least_recently_used_goes(self) -> None:
        cache = Cache[str](max_entries=3)
        for key in "abc":
            cache.put(key, key, 60, T0)
        cache.get("a", T0)
        cache.put("d", "d", 60, T0)
        assert {key for key in "abcd" if cache.get(key, T0)} == {"a", "c", "d"}

    def test_to_put_is_to_use(self) -> None:
        cache = Cache[str](max_entries=2)
        for key in "aba":
            cache.put(key, key, 60, T0)
        cache.put("c", "c", 60, T0)
        assert cache.get("b", T0) is None
        assert cache.get("a", T0) is not None

    def test_with_no_room_nothing_is_kept(self) -> None:
        cache = Cache[str](max_entries=0, stale=DAY)
        cache.put("k", "v", 60, T0)
        cache.put_negative("k", "v", 60, T0)
        cache.put_failure("k", "v", T0)
        assert len(cache) == 0
        assert cache.get("k", T0) is None

    def test_to_put_what_is_there_makes_no_room(self) -> None:
        cache = Cache[str](max_entries=2)
        cache.put("a", "1", 60, T0)
        cache.put("b", "1", 60, T0)
        cache.put("b", "2", 60, T0)
        assert cache.get("a", T0) is not None

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["put", "get", "remove", "wait"]), st.integers(0, 6), st.integers(1, 3)
            ),
            max_size=60,
        ),
        st.integers(1, 4),
    )
    def test_any_calls_leave_the_same_as_a_plain_model(
        self, calls: list[tuple[str, int, int]], room: int
    ) -> None:
        cache = Cache[int](max_entries=room)
        model: OrderedDict[int, tuple[int, float]] = OrderedDict()  # the least recently used one first
        now = T0
        for count, (call, key, seconds) in enumerate(calls):
            if call == "wait":
                now += seconds
            elif call == "remove":
                cache.remove(key)
                model.pop(key, None)
            elif call == "put":
                cache.put(key, count, seconds, now)
                model.pop(key, None)
                model[key] = (count, now + seconds)
                if len(model) > room:
                    model.popitem(last=False)
            else:
                kept, expires_at = model.get(key, (None, 0.0))
                entry = cache.get(key, now)
                assert (entry.value if entry else None) == (kept if now < expires_at else None)
                if entry:
                    model.move_to_end(key)
            assert len(cache) == len(model)


class TestHousekeeping:
    def test_the_defaults_are_those_of_a_resolver(self) -> None:
        options = ResolverOptions()
        assert Cache.__init__.__defaults__ == (
            options.max_cache,
            options.max_ttl,
            options.max_negative_ttl,
            options.failure_ttl,
            options.serve_stale,
        )

    def test_remove_and_clear(self) -> None:
        cache = Cache[str]()
        for key in "abc":
            cache.put(key, key, 60, T0)
        cache.remove("a")
        cache.remove("unknown")
        assert [key for key in "abc" if cache.get(key, T0)] == ["b", "c"]
        cache.clear()
        assert len(cache) == 0
        assert cache.get("b", T0) is None

    def test_hits_and_misses_are_counted(self) -> None:
        cache = Cache[str](max_entries=5)
        cache.put("k", "v", 60, T0)
        for when in (0, 59, 60):
            cache.get("k", T0 + when)
        assert (cache.hits, cache.misses) == (2, 1)
        assert repr(cache) == "<Cache 1/5 hits=2 misses=1>"

    @pytest.mark.parametrize(
        ("entry", "text"),
        [
            (Entry("v", 1, 2), "<Entry answer stored_at=1.000 expires_at=2.000 'v'>"),
            (Entry("v", 1, 2, negative=True), "<Entry negative stored_at=1.000 expires_at=2.000 'v'>"),
            (Entry("v", 1, 2, failures=3), "<Entry failures=3 stored_at=1.000 expires_at=2.000 'v'>"),
        ],
    )
    def test_an_entry_tells_what_it_is(self, entry: Entry[str], text: str) -> None:
        assert repr(entry) == text
