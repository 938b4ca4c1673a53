"""How long to wait for a server, when it is down, and when it is tried again: by tables and small stories."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.nameserver import (
    EDNS,
    EDNS_OPTIONS,
    FEATURE_MEMORY,
    MIXED_CASE,
    UNKNOWN_RTT,
    NameServer,
    Statistics,
    time_outs,
)
from evkit.dns.options import ResolverOptions
from evkit.dns.server_address import parse_server

T0 = 1000.0
INFINITE = float("inf")


def server(**options: Any) -> NameServer:
    return NameServer(parse_server("192.0.2.1"), ResolverOptions(**options))


def answered_in(seconds: float, **options: Any) -> NameServer:
    """Return a server that has always taken so long."""
    known = server(**options)
    for step in range(5):
        known.replied(T0 + step, T0 + step + seconds)
    return known


def down(**options: Any) -> NameServer:
    """Return a server that went down at ``T0``."""
    known = server(**options)
    while known.up:
        known.failed(T0)
    return known


class TestTimeOuts:
    @pytest.mark.parametrize(
        ("shortest", "longest", "every_third"),
        [
            (0.25, 2.0, [0.25, 0.5, 1.0, 2.0]),
            (0.25, 0.25, [0.25]),
            (0.25, 0.1, [0.1]),
            (1.0, 3.0, [1.0, 2.0]),
        ],
    )
    def test_they_double_in_three_steps(
        self, shortest: float, longest: float, every_third: list[float]
    ) -> None:
        series = time_outs(shortest, longest)
        assert list(series[::3]) == pytest.approx(every_third)
        assert series[-1] == longest

    @given(st.floats(0.001, 3600), st.floats(0.001, 3600))
    def test_they_rise_in_small_steps_within_the_limits_and_are_few(
        self, shortest: float, longest: float
    ) -> None:
        series = time_outs(shortest, longest)
        assert series[0] == min(shortest, longest)
        assert series[-1] == longest
        assert all(1 < after / before < 1.27 for before, after in itertools.pairwise(series))
        assert len(series) < 68  # three for each doubling from a millisecond to an hour


class TestTimeoutFor:
    @pytest.mark.parametrize(
        ("seconds", "least", "most"),
        [
            (0.001, 0.25, 0.25),
            (0.05, 0.25, 0.25),
            (0.051, 0.25, 0.32),
            (0.1, 0.5, 0.63),
            (0.2, 1.0, 1.26),
            (0.39, 1.95, 2.0),
            (0.5, 2.0, 2.0),
            (9.0, 2.0, 2.0),
        ],
    )
    def test_it_is_five_times_the_mean_rounded_up_within_the_limits(
        self, seconds: float, least: float, most: float
    ) -> None:
        assert least <= answered_in(seconds).timeout_for(0) <= most

    def test_it_is_the_longest_while_the_server_is_unknown(self) -> None:
        assert server(timeout=1.5).timeout_for(0) == 1.5

    @pytest.mark.parametrize(
        ("attempt", "expected"), [(0, 0.25), (1, 0.5), (2, 1.0), (3, 2.0), (4, 2.0), (255, 2.0)]
    )
    def test_it_doubles_with_each_try_of_the_same_question(self, attempt: int, expected: float) -> None:
        assert answered_in(0.01).timeout_for(attempt) == pytest.approx(expected)

    def test_a_longest_below_the_shortest_wins(self) -> None:
        assert answered_in(0.01, min_timeout=0.25, timeout=0.1).timeout_for(0) == 0.1

    def test_other_limits_hold_at_once(self) -> None:
        known = answered_in(0.001)
        known.configure(ResolverOptions(min_timeout=0.5, timeout=1.0))
        assert (known.timeout_for(0), known.timeout_for(9)) == (0.5, 1.0)
        assert known.rtt == pytest.approx(0.001)

    @given(st.lists(st.floats(0, 3), min_size=1, max_size=40))
    def test_after_any_replies_it_is_right_for_the_mean(self, replies: list[float]) -> None:
        known = server()
        for seconds in replies:
            known.replied(T0, T0 + seconds)
        assert known.rtt is not None
        wanted = min(max(known.rtt * 5, 0.25), 2.0)
        assert wanted <= known.timeout_for(0) * 1.000001
        assert known.timeout_for(0) < wanted * 1.2600001


class TestMean:
    def test_the_first_reply_is_the_mean(self) -> None:
        known = server()
        assert known.rtt is None
        assert known.rank == UNKNOWN_RTT
        known.replied(T0, T0 + 0.5)
        assert known.rtt == known.rank == 0.5

    def test_each_further_one_counts_for_an_eighth(self) -> None:
        known = answered_in(0.5)
        known.replied(T0, T0 + 1.3)
        assert known.rtt == known.rank == pytest.approx(0.6)

    def test_it_comes_down_again(self) -> None:
        known = answered_in(1.0)
        for _ in range(60):
            known.replied(T0, T0 + 0.01)
        assert known.timeout_for(0) == 0.25

    def test_a_time_out_counts_as_a_reply_that_takes_longer(self) -> None:
        known = answered_in(0.01)
        known.timed_out(T0 + 10, T0 + 10.25)
        assert known.rtt == known.rank == pytest.approx(0.01 + 0.24 / 8)

    def test_one_that_was_shorter_than_the_mean_says_nothing(self) -> None:
        known = answered_in(1.0, timeout=0.5)
        known.timed_out(T0 + 10, T0 + 10.5)
        assert known.rtt == known.rank == pytest.approx(1.0)

    def test_a_late_reply_lengthens_the_time_out(self) -> None:
        known = answered_in(0.04)
        for step in range(20):
            known.timed_out(T0 + step, T0 + step + known.timeout_for(0))
            known.replied(T0 + step, T0 + step + 0.4)
        assert known.timeout_for(0) > 1.0

    def test_an_unknown_server_that_is_silent_is_no_better_than_a_slow_one(self) -> None:
        known = server()
        known.timed_out(T0, T0 + 2.0)
        assert known.rtt is None
        assert known.rank == 2.0
        known.timed_out(T0 + 2, T0 + 2.1)
        assert known.rank == 2.0


class TestDown:
    @pytest.mark.parametrize("max_timeouts", [1, 3, 5])
    @pytest.mark.parametrize("how", ["failed", "timed out", "both"])
    def test_so_many_in_a_row_and_it_is_down(self, max_timeouts: int, how: str) -> None:
        known = server(max_timeouts=max_timeouts)
        went_down = []
        for step in range(max_timeouts + 1):
            now = T0 + step
            if how == "failed" or (how == "both" and step % 2):
                went_down.append(known.failed(now))
            else:
                went_down.append(known.timed_out(now, now + 0.5))
            assert known.up is (step + 1 < max_timeouts)
        assert went_down == [step + 1 == max_timeouts for step in range(max_timeouts + 1)]
        assert known.rank == INFINITE

    def test_a_reply_ends_the_row(self) -> None:
        known = server(max_timeouts=3)
        for step in range(10):
            known.timed_out(T0 + step, T0 + step + 0.25)
            known.timed_out(T0 + step + 0.25, T0 + step + 0.5)
            assert known.consecutive_failures == 2
            assert known.replied(T0 + step + 0.5, T0 + step + 0.6) is False
            assert known.consecutive_failures == 0
        assert known.up

    def test_many_that_wait_at_once_are_one_failure(self) -> None:
        known = answered_in(0.01, max_timeouts=3)
        for query in range(100):
            known.timed_out(T0 + 10 + query / 1000, T0 + 10.25 + query / 1000)
        assert known.up
        assert known.consecutive_failures == 1
        assert known.timeouts == 100

    def test_under_any_load_it_takes_as_many_waits_as_with_one_query_at_a_time(self) -> None:
        known = answered_in(0.01, max_timeouts=3)
        sent = [T0 + 10 + query / 1000 for query in range(2000)]
        fell_at = next(at + 0.25 for at in sent if known.timed_out(at, at + 0.25))
        assert T0 + 10.75 <= fell_at <= T0 + 10.76

    def test_a_query_that_was_sent_as_the_last_one_timed_out_counts(self) -> None:
        known = server(max_timeouts=2)
        known.timed_out(T0, T0 + 0.25)
        assert known.timed_out(T0 + 0.25, T0 + 0.75) is True

    def test_a_lost_packet_among_replies_is_no_failure_of_the_server(self) -> None:
        known = server(max_timeouts=1)
        known.replied(T0 + 0.1, T0 + 0.2)
        assert known.timed_out(T0, T0 + 0.25) is False
        assert (known.up, known.timeouts) == (True, 1)

    def test_any_reply_brings_it_up_and_what_was_before_is_forgotten(self) -> None:
        known = answered_in(1.5)
        for step in range(3):
            known.timed_out(T0 + 10 + step, T0 + 11 + step)
        assert known.rank == INFINITE
        assert known.replied(T0 + 20, T0 + 20.01) is True
        assert known.up
        assert known.rtt == known.rank == pytest.approx(0.01)
        assert known.timeout_for(0) == 0.25
        assert known.consecutive_failures == 0
        assert known.replied(T0 + 21, T0 + 21.01) is False

    def test_a_time_out_while_it_is_down_leaves_it_the_last_choice(self) -> None:
        known = down()
        assert known.timed_out(T0 + 1, T0 + 3) is False
        assert known.rank == INFINITE


class TestProbes:
    def test_one_that_is_up_gets_none(self) -> None:
        known = server()
        assert (known.copies_from, known.next_probe_at) == (INFINITE, INFINITE)

    def test_they_come_ever_more_rarely(self) -> None:
        known = down(initial_probe_timeout=5.0, probe_backoff_factor=3, max_probe_timeout=100.0)
        now, pauses = T0, []
        for _ in range(5):
            pauses.append(known.next_probe_at - now)
            assert known.copies_from == now + 5.0
            now = known.next_probe_at
            known.probed(now)
        assert pauses == [5, 15, 45, 100, 100]

    def test_a_failed_one_does_not_put_them_off(self) -> None:
        # Nobody tells when a copy was never answered, because its question had been: so nothing may wait for that.
        known = down()
        known.probed(T0 + 5)
        due = known.next_probe_at
        known.timed_out(T0 + 5, T0 + 7)
        known.failed(T0 + 8)
        assert known.next_probe_at == due == T0 + 20

    def test_they_begin_anew_when_it_goes_down_again(self) -> None:
        known = down(initial_probe_timeout=5.0)
        known.probed(T0 + 5)
        known.replied(T0 + 5, T0 + 6)
        assert (known.copies_from, known.next_probe_at) == (INFINITE, INFINITE)
        while known.up:
            known.failed(T0 + 10)
        assert known.next_probe_at == T0 + 15

    def test_the_longest_pause_limits_the_first_one(self) -> None:
        known = down(initial_probe_timeout=10.0, max_probe_timeout=2.0)
        assert (known.copies_from, known.next_probe_at) == (T0 + 2, T0 + 2)

    def test_other_limits_do_not_forget_that_it_is_down(self) -> None:
        known = down()
        known.configure(ResolverOptions(timeout=1.0))
        assert not known.up
        assert known.rank == INFINITE
        assert known.next_probe_at == T0 + 5


class TestFeatures:
    @pytest.mark.parametrize("feature", [EDNS, EDNS_OPTIONS, MIXED_CASE])
    def test_what_it_chokes_on_is_left_for_a_while(self, feature: int) -> None:
        known = server()
        assert all(known.supports(each, T0) for each in (EDNS, EDNS_OPTIONS, MIXED_CASE))
        known.give_up(feature, T0)
        for each in (EDNS, EDNS_OPTIONS, MIXED_CASE):
            assert known.supports(each, T0 + FEATURE_MEMORY - 1) is (each != feature)
        assert known.supports(feature, T0 + FEATURE_MEMORY)


class TestAccount:
    def test_statistics(self) -> None:
        known = answered_in(0.01)
        known.queries += 8
        known.timed_out(T0 + 10, T0 + 10.25)
        known.failed(T0 + 11)
        assert known.statistics() == Statistics(
            server=str(known.address),
            up=True,
            rtt=known.rtt,
            timeout=0.25,
            queries=8,
            replies=5,
            timeouts=1,
            failures=1,
            consecutive_failures=2,
        )

    def test_repr(self) -> None:
        assert repr(server()) == f"<NameServer {server().address} up rtt=unknown timeout=2000ms failures=0>"
        known = answered_in(0.012)
        assert repr(known) == f"<NameServer {known.address} up rtt=12ms timeout=250ms failures=0>"
        assert "down next_probe_at=1005.000" in repr(down())
