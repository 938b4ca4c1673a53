"""`Credit` and `Window`: a sender that is kept to its credit, a receiver that is sent no more than it has room for."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.errors import RemoteProtocolError
from evkit.rpc.streams.credit import DEFAULT_WINDOW, MAX_CREDIT, Credit, Window

NONSENSE: list[Any] = [-1, -(2**63), 2**64, 1.0, "1", b"1", None, True, False, [1], {"n": 1}, MAX_CREDIT + 1]


class TestCredit:
    @pytest.mark.parametrize("number", range(4))
    def test_as_many_as_there_are(self, number: int) -> None:
        credit = Credit(number)
        assert [credit.take() for _ in range(5)] == [True] * number + [False] * (5 - number)
        assert credit.available == 0

    def test_grants_add_up(self) -> None:
        for first, second, taken in product(range(4), (1, 2), range(3)):
            credit = Credit(first)
            for _ in range(taken):
                credit.take()
            credit.grant(second)
            assert credit.available == max(0, first - taken) + second

    @pytest.mark.parametrize("number", [*NONSENSE, 0])
    def test_no_such_grant(self, number: Any) -> None:
        credit = Credit(2)
        with pytest.raises(RemoteProtocolError, match="expected a credit of 1 to 2147483645 items, got"):
            credit.grant(number)
        assert credit.available == 2

    @pytest.mark.parametrize("number", NONSENSE)
    def test_no_such_beginning(self, number: Any) -> None:
        with pytest.raises(RemoteProtocolError, match="expected a credit"):
            Credit(number)

    def test_what_it_tells_of_nonsense_is_short(self) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            Credit("x" * 10**6)
        assert len(str(caught.value)) < 200

    def test_the_most(self) -> None:
        credit = Credit(MAX_CREDIT)
        with pytest.raises(RemoteProtocolError):
            credit.grant(1)
        assert credit.take()
        credit.grant(1)
        assert credit.available == MAX_CREDIT
        assert repr(credit) == "<Credit 2147483647>"


class TestWindow:
    @pytest.mark.parametrize("size", range(1, 12))
    def test_topped_up_at_half(self, size: int) -> None:
        window = Window(size)
        for _ in range(size):
            window.arrived()
        grants = [window.consumed() for _ in range(size)]
        half = (size + 1) // 2
        assert grants[:half] == [0] * (half - 1) + [half]
        assert all(granted in (0, half) for granted in grants)
        assert window.open == sum(grants)

    def test_the_usual_size(self) -> None:
        window = Window()
        assert (window.open, window.size) == (DEFAULT_WINDOW, DEFAULT_WINDOW) == (100, 100)
        for _ in range(100):
            window.arrived()
        assert [at for at in range(1, 101) if window.consumed()] == [50, 100]

    @pytest.mark.parametrize("size", [1, 2, 5])
    def test_more_than_was_granted(self, size: int) -> None:
        window = Window(size)
        for _ in range(size):
            window.arrived()
        with pytest.raises(RemoteProtocolError, match="an item without credit"):
            window.arrived()
        assert (window.open, window.full) == (0, size)

    def test_what_is_free_and_not_granted_is_no_credit(self) -> None:
        window = Window(3)
        for _ in range(3):
            window.arrived()
        assert window.consumed() == 0
        with pytest.raises(RemoteProtocolError):
            window.arrived()
        assert window.consumed() == 2
        window.arrived()

    def test_nothing_to_consume(self) -> None:
        window = Window(2)
        with pytest.raises(ValueError, match="no item is there"):
            window.consumed()
        window.arrived()
        window.consumed()
        with pytest.raises(ValueError, match="no item is there"):
            window.consumed()

    @pytest.mark.parametrize("size", [*NONSENSE, 0])
    def test_no_such_size(self, size: Any) -> None:
        with pytest.raises(ValueError, match="expected a window of 1 to 2147483647 items, got"):
            Window(size)

    def test_the_text_of_it(self) -> None:
        window = Window(5)
        window.arrived()
        window.arrived()
        window.consumed()
        assert repr(window) == "<Window size=5 open=3 full=1 free=1>"


class TestTogether:
    """A sender, a wire and a receiver: nothing that either does alone can stop the other for ever."""

    @given(st.integers(1, 40), st.lists(st.sampled_from(["send", "take", "bring"]), max_size=300))
    def test_never_too_many_and_never_stuck(self, size: int, steps: list[str]) -> None:
        credit, window = Credit(size), Window(size)
        wire, waiting, sent, taken = 0, 0, 0, 0
        grants: list[int] = []  # on their way to the sender

        def step(what: str) -> bool:
            nonlocal wire, waiting, sent, taken
            if what == "send" and credit.take():
                wire, sent = wire + 1, sent + 1
                return True
            if what == "take" and wire + waiting:
                if wire:
                    window.arrived()  # raises, if the sender has sent too many
                    wire, waiting = wire - 1, waiting + 1
                else:
                    waiting, taken = waiting - 1, taken + 1
                    grants.append(window.consumed())
                return True
            if what == "bring" and grants:
                granted = grants.pop(0)
                if granted:
                    credit.grant(granted)
                return True
            return False

        for what in steps:
            step(what)
            assert window.full == waiting <= size
            assert credit.available + wire + sum(grants) == window.open
        before = sent
        while sent < before + 2 * size:  # however it stands now, it can go on
            assert any([step("send"), step("take"), step("bring")])
        assert sent == taken + waiting + wire
