"""`Hooks` and `Chain`: which hooks are called, in which order, what their answers do, and what a pause may end in."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.errors import LocalProtocolError
from evkit.rpc.hooks.hooks import CONTINUE, INPUT, OUTPUT, PAUSE, TERMINATE, Chain, Hook, Hooks, check_verdict


class Run:
    """A chain over hooks that do what they were told, and a record of what happened."""

    def __init__(self, *behaviours: str) -> None:
        self.called: list[int] = []
        self.done: list[int] = []
        self.escaped: list[BaseException] = []
        self.blamed: list[object] = []
        self.hooks = Hooks()
        self.handles = [
            self.hooks.add(INPUT, self.hook(at, behaviour)) for at, behaviour in enumerate(behaviours)
        ]
        self.chain = Chain(self.hooks.input, self.on_done, self.on_escape)

    def hook(self, at: int, behaviour: str) -> Callable[[Any], Any]:
        def call(run: Run) -> Any:
            assert run is self
            run.called.append(at)
            return DOES[behaviour](run)

        return call

    def on_done(self, context: object, verdict: int) -> None:
        assert context is self
        self.done.append(verdict)

    def on_escape(self, exception: BaseException, source: object) -> None:
        self.escaped.append(exception)
        self.blamed.append(source)


def resumed(verdict: int) -> Callable[[Run], int]:
    def act(run: Run) -> int:
        assert run.chain.resume(run, verdict) is True
        return PAUSE

    return act


def resumed_twice(run: Run) -> int:
    run.chain.resume(run, CONTINUE)
    run.chain.resume(run, CONTINUE)
    return PAUSE


def resumed_and_said(verdict: int) -> Callable[[Run], int]:
    def act(run: Run) -> int:
        run.chain.resume(run, CONTINUE)
        return verdict

    return act


def resumed_with_nonsense(run: Run) -> int:
    run.chain.resume(run, PAUSE)
    return CONTINUE


def naughty(run: Run) -> int:
    raise ZeroDivisionError("on purpose")


def leaving(run: Run) -> int:
    raise SystemExit(3)


DOES: dict[str, Callable[[Run], object]] = {
    "continue": lambda run: CONTINUE,
    "nothing": lambda run: None,
    "terminate": lambda run: TERMINATE,
    "pause": lambda run: PAUSE,
    "resumed to continue": resumed(CONTINUE),
    "resumed to terminate": resumed(TERMINATE),
    "raise": naughty,
    "exit": leaving,
    "false": lambda run: False,
    "true": lambda run: True,
    "two": lambda run: 2,
    "text": lambda run: "CONTINUE",
    "resumed twice": resumed_twice,
    "resumed, continue": resumed_and_said(CONTINUE),
    "resumed, terminate": resumed_and_said(TERMINATE),
    "resumed with nonsense": resumed_with_nonsense,
}
GOES_ON = {"continue", "nothing", "resumed to continue"}
ENDS = {"terminate", "resumed to terminate"}
FAILS = {
    "raise": ZeroDivisionError,
    "exit": SystemExit,
    "false": TypeError,
    "true": TypeError,
    "two": TypeError,
    "text": TypeError,
    "resumed twice": LocalProtocolError,
    "resumed, continue": LocalProtocolError,
    "resumed, terminate": LocalProtocolError,
    "resumed with nonsense": ValueError,
}


def expected(behaviours: tuple[str, ...], verdicts: tuple[int, ...]) -> tuple[list[int], int]:
    """Who is called, and the verdict, when the pauses are resumed with ``verdicts`` in turn."""
    remaining = list(verdicts)
    for at, behaviour in enumerate(behaviours):
        if behaviour == "pause":
            if not remaining:
                return list(range(at + 1)), PAUSE
            if remaining.pop(0) == TERMINATE:
                return list(range(at + 1)), TERMINATE
        elif behaviour not in GOES_ON:
            return list(range(at + 1)), TERMINATE
    return list(range(len(behaviours))), CONTINUE


class TestChain:
    def test_every_behaviour_is_judged(self) -> None:
        assert set(DOES) == GOES_ON | ENDS | set(FAILS) | {"pause"}

    @pytest.mark.parametrize("length", range(4))
    def test_every_chain_of_up_to_three(self, length: int) -> None:
        for behaviours in product(DOES, repeat=length):
            for verdicts in (
                (),
                (CONTINUE,),
                (TERMINATE,),
                (CONTINUE, CONTINUE, CONTINUE),
                (CONTINUE, TERMINATE),
            ):
                run = Run(*behaviours)
                result = run.chain.start(run)
                for verdict in verdicts:
                    if run.chain.paused:
                        assert run.done == []
                        assert run.chain.resume(run, verdict) is True
                called, verdict = expected(behaviours, verdicts)
                assert run.called == called, behaviours
                if "pause" in behaviours[: len(called)]:
                    assert result == PAUSE
                    assert run.done == ([] if verdict == PAUSE else [verdict]), behaviours
                else:
                    assert (result, run.done) == (verdict, [])
                faults = [FAILS[behaviours[at]] for at in called if behaviours[at] in FAILS]
                assert [type(exception) for exception in run.escaped] == faults
                assert run.blamed == [run.handles[at] for at in called if behaviours[at] in FAILS]
                assert run.chain.paused is (verdict == PAUSE)

    def test_what_ended_can_not_be_resumed(self) -> None:
        for behaviours in ((), ("continue",), ("terminate",), ("raise",)):
            run = Run(*behaviours)
            with pytest.raises(LocalProtocolError, match="nothing is paused"):
                run.chain.resume(run, CONTINUE)  # it has not begun
            run.chain.start(run)
            with pytest.raises(LocalProtocolError, match="nothing is paused"):
                run.chain.resume(run, CONTINUE)
            assert run.done == []

    def test_a_second_resume(self) -> None:
        for verdict in (CONTINUE, TERMINATE):
            run = Run("pause")
            run.chain.start(run)
            run.chain.resume(run, verdict)
            with pytest.raises(LocalProtocolError):
                run.chain.resume(run, CONTINUE)
            assert run.done == [verdict]

    @pytest.mark.parametrize("nonsense", [PAUSE, 2, None, True, False, "CONTINUE", 0.0])
    def test_nonsense_resumes_nothing(self, nonsense: Any) -> None:
        run = Run("pause")
        run.chain.start(run)
        with pytest.raises(ValueError, match="expected CONTINUE or TERMINATE, got"):
            run.chain.resume(run, nonsense)
        assert run.chain.paused
        with pytest.raises(ValueError, match="expected CONTINUE or TERMINATE, got"):
            check_verdict(nonsense)

    def test_done_may_ask_whether_it_is_paused(self) -> None:
        seen: list[bool] = []
        hooks = Hooks()
        hooks.add(INPUT, lambda context: PAUSE)
        chain: Chain[None] = Chain(
            hooks.input, lambda context, verdict: seen.append(chain.paused), lambda *_: None
        )
        chain.start(None)
        chain.resume(None, TERMINATE)
        assert seen == [False]

    def test_the_text_of_it(self) -> None:
        run = Run("pause", "continue")
        assert repr(run.chain) == "<Chain ready 0 of 2>"
        run.chain.start(run)
        assert repr(run.chain) == "<Chain paused 1 of 2>"
        run.chain.resume(run, CONTINUE)
        assert repr(run.chain) == "<Chain ended 2 of 2>"


class TestAbandon:
    def test_while_it_is_paused(self) -> None:
        run = Run("pause", "continue")
        run.chain.start(run)
        run.chain.abandon()
        assert not run.chain.paused
        assert run.chain.resume(run, CONTINUE) is False
        assert run.chain.resume(run, TERMINATE) is False  # as often as anybody likes
        assert (run.called, run.done) == ([0], [])

    @pytest.mark.parametrize("answer", [CONTINUE, TERMINATE, PAUSE, None, "nonsense"])
    def test_by_the_hook_itself(self, answer: Any) -> None:
        run = Run()

        def end(context: Run) -> Any:
            run.chain.abandon()
            return answer

        run.hooks.add(INPUT, end)
        run.hooks.add(INPUT, run.hook(1, "continue"))
        run.chain = Chain(run.hooks.input, run.on_done, run.on_escape)
        assert run.chain.start(run) == PAUSE  # there is nothing to do any more
        assert (run.called, run.done) == ([], [])
        assert run.chain.resume(run, CONTINUE) is False

    def test_by_a_hook_after_a_pause(self) -> None:
        run = Run("pause")
        run.hooks.add(INPUT, lambda context: run.chain.abandon())
        run.chain = Chain(run.hooks.input, run.on_done, run.on_escape)
        run.chain.start(run)
        assert run.chain.resume(run, CONTINUE) is True
        assert run.done == []

    def test_after_its_end_it_is_harmless(self) -> None:
        run = Run("continue")
        run.chain.start(run)
        run.chain.abandon()
        with pytest.raises(LocalProtocolError):
            run.chain.resume(run, CONTINUE)

    def test_by_an_interrupt(self) -> None:
        run = Run()

        def interrupted(context: Run) -> int:
            raise KeyboardInterrupt

        run.hooks.add(INPUT, interrupted)
        run.chain = Chain(run.hooks.input, run.on_done, run.on_escape)
        with pytest.raises(KeyboardInterrupt):
            run.chain.start(run)
        assert run.escaped == []
        assert run.chain.resume(run, CONTINUE) is False


class TestHooks:
    def test_four_lists_in_order(self) -> None:
        hooks = Hooks()
        handles: dict[tuple[int, bool], list[Hook]] = {}
        for kind, frames in product((INPUT, OUTPUT), (False, True)):
            handles[kind, frames] = [hooks.add(kind, lambda context: None, frames=frames) for _ in range(3)]
        assert list(hooks.input) == handles[INPUT, False]
        assert list(hooks.output) == handles[OUTPUT, False]
        assert list(hooks.input_frames) == handles[INPUT, True]
        assert list(hooks.output_frames) == handles[OUTPUT, True]
        assert repr(hooks) == "<Hooks input=3 output=3 input_frames=3 output_frames=3>"

    @pytest.mark.parametrize("kind", [INPUT, OUTPUT])
    @pytest.mark.parametrize("frames", [False, True])
    def test_whether_there_are_any(self, kind: int, frames: bool) -> None:
        hooks = Hooks()
        assert not hooks
        handle = hooks.add(kind, lambda context: None, frames=frames)
        assert hooks
        assert hooks.remove(handle) is True
        assert not hooks

    def test_remove_takes_the_one(self) -> None:
        hooks = Hooks()

        def same(context: object) -> None: ...

        first, second, third = (hooks.add(OUTPUT, same) for _ in range(3))
        assert hooks.remove(second) is True
        assert (list(hooks.output), second.removed) == ([first, third], True)
        assert hooks.remove(second) is False
        assert Hooks().remove(first) is False
        assert (list(hooks.output), first.removed) == ([first, third], False)

    @pytest.mark.parametrize("kind", [-1, 2, None, "INPUT", True, False])
    def test_no_such_kind(self, kind: Any) -> None:
        with pytest.raises(ValueError, match=r"expected INPUT or OUTPUT, got"):
            Hooks().add(kind, lambda context: None)

    def test_not_callable(self) -> None:
        nothing: Any = None
        with pytest.raises(TypeError):
            Hooks().add(INPUT, nothing)

    def test_the_text_of_a_hook(self) -> None:
        hooks = Hooks()
        handle = hooks.add(OUTPUT, print, frames=True)
        assert repr(handle) == "<Hook OUTPUT frames <built-in function print>>"
        hooks.remove(handle)
        assert repr(handle) == "<Hook OUTPUT frames <built-in function print> removed>"


class TestChanges:
    """Hooks that add and remove hooks while they run."""

    def test_what_is_added_is_for_the_next(self) -> None:
        run = Run()

        def add(context: Run) -> None:
            run.hooks.add(INPUT, run.hook(7, "continue"))

        run.hooks.add(INPUT, add)
        assert Chain(run.hooks.input, run.on_done, run.on_escape).start(run) == CONTINUE
        assert run.called == []
        Chain(run.hooks.input, run.on_done, run.on_escape).start(run)
        assert run.called == [7]

    def test_what_is_removed_is_not_called_any_more(self) -> None:
        run = Run("continue", "pause", "terminate", "continue")
        chain = Chain(run.hooks.input, run.on_done, run.on_escape)
        assert chain.start(run) == PAUSE
        run.hooks.remove(run.handles[2])
        chain.resume(run, CONTINUE)
        assert (run.called, run.done) == ([0, 1, 3], [CONTINUE])

    def test_the_last_one_is_removed_during_a_pause(self) -> None:
        run = Run("pause", "terminate")
        run.chain.start(run)
        run.hooks.remove(run.handles[1])
        run.chain.resume(run, CONTINUE)
        assert run.done == [CONTINUE]
        assert repr(run.chain) == "<Chain ended 2 of 2>"

    def test_a_hook_that_removes_itself(self) -> None:
        run = Run()
        handle = run.hooks.add(INPUT, lambda context: run.hooks.remove(handle) and None)
        run.hooks.add(INPUT, run.hook(1, "continue"))
        for _ in range(2):
            assert Chain(run.hooks.input, run.on_done, run.on_escape).start(run) == CONTINUE
        assert (run.called, run.escaped, handle.removed) == ([1, 1], [], True)

    def test_a_hook_that_removes_itself_and_pauses(self) -> None:
        run = Run()

        def once(context: Run) -> int:
            run.hooks.remove(handle)
            return PAUSE

        handle = run.hooks.add(INPUT, once)
        chain = Chain(run.hooks.input, run.on_done, run.on_escape)
        assert chain.start(run) == PAUSE
        chain.resume(run, CONTINUE)
        assert run.done == [CONTINUE]

    @given(st.lists(st.sampled_from(["add", "remove"]), max_size=12), st.randoms(use_true_random=False))
    def test_any_changes_keep_the_order(self, steps: list[str], random: Any) -> None:
        hooks, model = Hooks(), []
        for step in steps:
            if step == "add" or not model:
                model.append(hooks.add(OUTPUT, lambda context: None))
            else:
                gone = random.choice(model)
                model.remove(gone)
                assert hooks.remove(gone)
            assert list(hooks.output) == model


class TestManyHooks:
    def test_thousands_of_hooks_that_resume_themselves(self) -> None:
        run = Run(*["resumed to continue"] * 5000)
        assert run.chain.start(run) == CONTINUE  # without a stack frame for each
        assert len(run.called) == 5000
