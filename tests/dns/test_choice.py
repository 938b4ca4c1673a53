"""Who is asked next: by stories where it is certain, by statistics with a seeded source where it is drawn."""

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.chance import Chance
from evkit.dns.choice import FASTEST, ORDERED, POLICIES, ROTATE, Choice
from evkit.dns.nameserver import NameServer
from evkit.dns.options import ResolverOptions
from evkit.dns.server_address import parse_server

T0 = 1000.0
OPTIONS = ResolverOptions(max_timeouts=1, initial_probe_timeout=5.0)


def server(rtt: float | None) -> NameServer:
    """Return a server that takes so long; below 0: one that is down; ``None``: one that nobody has asked yet."""
    known = NameServer(parse_server("192.0.2.1"), OPTIONS)
    if rtt is not None and rtt < 0:
        known.failed(T0)
    elif rtt is not None:
        known.replied(T0, T0 + rtt)
    return known


def servers(*rtts: float | None) -> list[NameServer]:
    return [server(rtt) for rtt in rtts]


def choice(policy: str = FASTEST, attempts: int = 3, seed: int = 1) -> Choice:
    return Choice(Chance(random.Random(seed).randbytes), policy, attempts)


def shares(by: Choice, among: list[NameServer], times: int = 6400) -> list[float]:
    """Return which part of so many questions each server gets."""
    counts = Counter(by.choose(among) for _ in range(times))
    return [counts[index] / times for index in range(len(among))]


def course(by: Choice, among: list[NameServer], times: int = 20) -> str:
    """Return who is asked, one after the other, when nobody ever replies and nobody goes down by that."""
    tried = [0] * len(among)
    asked = ""
    for turn in range(times):
        index = by.choose(among, tried if turn else ())
        if index is None:
            return asked
        tried[index] += 1
        asked += "ABCDEF"[index]
    return asked


class TestAnyPolicy:
    @pytest.mark.parametrize("policy", POLICIES)
    def test_among_none_there_is_nobody_to_ask(self, policy: str) -> None:
        assert choice(policy).choose([]) is None

    @pytest.mark.parametrize("policy", POLICIES)
    @pytest.mark.parametrize("rtt", [0.1, None, -1])
    def test_a_single_one_is_asked_as_often_as_is_allowed(self, policy: str, rtt: float | None) -> None:
        assert course(choice(policy), servers(rtt)) == "AAA"

    @pytest.mark.parametrize("policy", POLICIES)
    def test_one_that_is_down_is_not_asked_first(self, policy: str) -> None:
        assert shares(choice(policy), servers(-1, 0.1, -1), 300) == [0, 1, 0]

    @pytest.mark.parametrize("policy", POLICIES)
    def test_one_that_is_down_gets_a_chance_when_the_other_has_had_two(self, policy: str) -> None:
        assert course(choice(policy), servers(-1, 0.1)) == "BBABAA"

    @pytest.mark.parametrize("policy", POLICIES)
    @pytest.mark.parametrize("attempts", [1, 2, 3])
    def test_when_all_are_down_each_is_asked_all_the_same(self, policy: str, attempts: int) -> None:
        asked = course(choice(policy, attempts), servers(-1, -1, -1))
        assert [sorted(asked[at : at + 3]) for at in range(0, len(asked), 3)] == [list("ABC")] * attempts

    @pytest.mark.parametrize("policy", POLICIES)
    @given(
        rtts=st.lists(st.sampled_from([None, -1, 0.01, 0.012, 1.0]), min_size=1, max_size=5),
        attempts=st.integers(1, 3),
        seed=st.integers(0, 99),
    )
    def test_whoever_there_is_each_gets_the_question_exactly_so_often(
        self, policy: str, rtts: list[float | None], attempts: int, seed: int
    ) -> None:
        asked = course(choice(policy, attempts, seed), servers(*rtts))
        assert Counter(asked) == dict.fromkeys("ABCDEF"[: len(rtts)], attempts)

    @pytest.mark.parametrize("policy", POLICIES)
    @given(rtts=st.lists(st.sampled_from([None, 0.01, 0.012, 1.0]), min_size=1, max_size=5))
    def test_of_those_that_are_up_nobody_gets_it_twice_before_all_have_had_it(
        self, policy: str, rtts: list[float | None]
    ) -> None:
        asked = course(choice(policy), servers(*rtts))
        count = len(rtts)
        for at in range(0, len(asked), count):
            assert sorted(asked[at : at + count]) == list("ABCDEF"[:count])

    def test_there_are_no_others(self) -> None:
        with pytest.raises(ValueError, match="expected one of fastest, rotate, ordered, got 'random'"):
            Choice(Chance(), "random")

    def test_repr(self) -> None:
        assert repr(choice(ROTATE, 2)) == "<Choice rotate attempts=2>"


class TestFastest:
    @pytest.mark.parametrize(
        "rtts",
        [
            (0.020, 0.020, 0.020),
            (0.020, 0.039, 0.044),  # up to twice the fastest and 5 ms
            (0.0, 0.001, 0.0049),
            (None, None, None),
        ],
    )
    def test_those_that_are_about_as_fast_are_as_likely(self, rtts: tuple[float | None, ...]) -> None:
        assert all(0.30 < share < 0.37 for share in shares(choice(), servers(*rtts)))

    @pytest.mark.parametrize("others", [(0.050, 0.046), (0.3, None), (None, None)])
    def test_the_others_get_little_so_that_it_shows_when_they_are_faster(
        self, others: tuple[float | None, ...]
    ) -> None:
        part = shares(choice(), servers(0.020, *others))
        assert part[0] > 0.98
        assert all(0.001 < share < 0.01 for share in part[1:])

    def test_one_that_is_down_gets_nothing_even_so(self) -> None:
        part = shares(choice(), servers(0.02, 0.3, -1))
        assert part[2] == 0
        assert part[1] > 0.001

    def test_one_that_becomes_slow_is_left(self) -> None:
        among = servers(0.02, 0.025)
        for step in range(4):
            among[0].replied(T0 + step, T0 + step + 0.5)
        assert shares(choice(), among)[1] > 0.98

    def test_one_that_comes_up_again_is_asked(self) -> None:
        among = servers(0.02, -1)
        among[1].replied(T0, T0 + 0.02)
        assert 0.46 < shares(choice(), among)[1] < 0.54

    def test_when_all_are_down_the_first_one_that_replies_gets_all(self) -> None:
        among = servers(-1, -1, -1)
        assert all(0.30 < share < 0.37 for share in shares(choice(), among))
        among[1].replied(T0, T0 + 1.0)
        assert shares(choice(), among) == [0, 1, 0]

    def test_the_second_try_goes_to_the_fastest_of_the_others(self) -> None:
        among = servers(0.02, 0.5, 0.05)
        by = choice()
        again = Counter(by.choose(among, [1, 0, 0]) for _ in range(640))
        assert again[2] > 0.97 * 640
        assert 0 not in again


class TestRotate:
    def test_each_in_turn_whoever_is_fast(self) -> None:
        by = choice(ROTATE)
        among = servers(0.5, 0.01, None)
        assert [by.choose(among) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]

    def test_those_that_are_down_lose_their_turn(self) -> None:
        by = choice(ROTATE)
        among = servers(0.1, -1, 0.1, -1)
        assert [by.choose(among) for _ in range(5)] == [0, 2, 0, 2, 0]

    def test_when_all_are_down_they_take_turns_as_well(self) -> None:
        by = choice(ROTATE)
        among = servers(-1, -1, -1)
        assert [by.choose(among) for _ in range(4)] == [0, 1, 2, 0]

    def test_a_second_try_takes_the_next_turn(self) -> None:
        by = choice(ROTATE)
        among = servers(0.1, 0.1, 0.1)
        assert by.choose(among) == 0
        assert by.choose(among, [1, 0, 0]) == 1
        assert by.choose(among) == 2
        assert by.choose(among, [1, 0, 1]) == 1

    def test_when_there_are_fewer_it_begins_anew(self) -> None:
        by = choice(ROTATE)
        among = servers(0.1, 0.1, 0.1)
        for _ in range(3):
            by.choose(among)
        assert by.choose(among[:2]) == 0


class TestOrdered:
    def test_the_first_one_that_is_up_always(self) -> None:
        assert shares(choice(ORDERED), servers(0.9, 0.01, None), 100) == [1, 0, 0]
        assert shares(choice(ORDERED), servers(-1, 0.9, 0.01), 100) == [0, 1, 0]

    def test_further_tries_go_down_the_list(self) -> None:
        assert course(choice(ORDERED, 2), servers(0.9, None, 0.01)) == "ABCABC"


class TestProbe:
    def test_one_that_is_up_needs_none(self) -> None:
        assert choice().probe(servers(0.1, None), T0 + 1e6) is None
        assert choice().probe([], T0) is None

    def test_it_is_too_early_for_some_seconds(self) -> None:
        by = choice()
        assert {by.probe(servers(0.1, -1), T0 + 4.9) for _ in range(100)} == {None}

    def test_when_it_is_due_the_next_question_is_copied(self) -> None:
        assert choice().probe(servers(0.1, -1), T0 + 5) == 1

    def test_between_two_one_question_in_ten_is(self) -> None:
        among = servers(0.1, -1)
        among[1].probed(T0 + 5)  # so the next one is due at 20, and may come from 10 on
        by = choice()
        assert {by.probe(among, T0 + 9.9) for _ in range(100)} == {None}
        copied = sum(by.probe(among, T0 + 10) == 1 for _ in range(2000))
        assert 0.08 < copied / 2000 < 0.12
        assert by.probe(among, T0 + 20) == 1

    def test_each_of_several_gets_its_own(self) -> None:
        among = servers(-1, 0.1, -1)
        by = choice()
        assert by.probe(among, T0 + 5) == 0
        among[0].probed(T0 + 5)
        assert by.probe(among, T0 + 5) == 2

    def test_without_any_answer_they_go_on_for_ever(self) -> None:
        among = servers(0.1, -1)
        by = choice()
        sent = []
        for second in range(8000):
            if by.probe(among, T0 + second) is not None:
                among[1].probed(T0 + second)
                sent.append(second)
        pauses = [after - before for before, after in itertools.pairwise(sent)]
        assert sent[0] == 5
        assert min(pauses) >= 5
        assert sum(pauses) / len(pauses) < 20  # some 5 seconds and ten questions, one a second
