"""Any sequence of calls leaves an event in the state that a model of it is in."""

import math
import socket
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from evkit.core.event import Event
from evkit.core.flags import (
    COUNT_ACTIVE,
    COUNT_ADDED,
    EV_PERSIST,
    EV_READ,
    EV_TIMEOUT,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.testing import base_with_fakes

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
FD = 10**6  # no real descriptor: for the fake backend
Pair = tuple[socket.socket, socket.socket]


def note(log: list[int]) -> Callable[[Event, int], None]:
    return lambda _event, what: log.append(what)


def ignore(_event: Event, _what: int) -> None:
    pass


class Model:
    """What libevent's documentation says about one event, in five variables."""

    def __init__(self, events: int, priority: int) -> None:
        self.events = events
        self.priority = priority
        self.inserted = False
        self.deadline: float | None = None
        self.interval: float | None = None
        self.active = 0

    @property
    def persistent(self) -> bool:
        return bool(self.events & EV_PERSIST)

    @property
    def waited_for(self) -> int:
        return self.events & (EV_READ | EV_WRITE)

    def pending(self) -> int:
        return (
            (self.waited_for if self.inserted else 0)
            | (EV_TIMEOUT if self.deadline is not None else 0)
            | self.active
        )

    def add(self, now: float, timeout: float | None) -> None:
        taken_back = timeout is not None and self.active & EV_TIMEOUT
        if self.waited_for and (self.persistent or taken_back or not self.active):
            self.inserted = True
        if timeout is not None:
            if self.active & EV_TIMEOUT:
                self.active = 0
            self.deadline = now + timeout
            self.interval = timeout if self.persistent else None

    def remove_timer(self) -> None:
        self.deadline = self.interval = None

    def delete(self) -> None:
        self.inserted = False
        self.active = 0
        self.remove_timer()

    def expire(self, now: float) -> None:
        if self.deadline is None or self.deadline > now:
            return
        self.active |= EV_TIMEOUT
        if self.interval is None:
            self.deadline = None
        else:
            following = self.deadline + self.interval
            self.deadline = following if following >= now else now + self.interval

    def fire(self, now: float) -> int:
        what = self.active
        self.active = 0
        if not self.persistent:
            self.delete()
        elif self.interval is not None and not what & EV_TIMEOUT:
            self.deadline = now + self.interval
        return what


_KINDS = (0, EV_PERSIST, EV_READ, EV_READ | EV_PERSIST, EV_READ | EV_WRITE | EV_PERSIST)
_INDEX = st.integers(0, len(_KINDS) - 1)
_SECONDS = st.sampled_from([0.5, 1.0, 2.0, 3.5])


class Events(RuleBasedStateMachine):
    """Any sequence of calls leaves every event in the state that the model is in."""

    @initialize(common=st.booleans())
    def start(self, common: bool) -> None:
        self.fakes = base_with_fakes()
        self.base = self.fakes.base
        self.base.exception_handler = self._escaped
        self.base.priority_init(3)
        self.common = common
        self.calls: list[tuple[int, int]] = []
        self.events = [
            self.base.event(FD + number if kind & (EV_READ | EV_WRITE) else -1, kind, self._called(number))
            for number, kind in enumerate(_KINDS)
        ]
        self.models = [Model(kind, 1) for kind in _KINDS]

    def teardown(self) -> None:
        if hasattr(self, "fakes"):
            self.base.close()

    def _escaped(self, exception: Exception, _source: object) -> None:
        raise SystemExit from exception  # a test fails, whatever the base does with exceptions

    def _called(self, number: int) -> Callable[[Event, int], None]:
        return lambda _event, what: self.calls.append((number, what))

    @rule(number=_INDEX, timeout=st.none() | _SECONDS)
    def add(self, number: int, timeout: float | None) -> None:
        if timeout is not None:
            timeout += number / 1024  # a common queue keeps an order of its own: one each, then
        queue = self.base.init_common_timeout(timeout) if self.common and timeout else timeout
        self.events[number].add(queue)
        self.models[number].add(self.fakes.clock.monotonic(), timeout)

    @rule(number=_INDEX)
    def delete(self, number: int) -> None:
        self.events[number].delete()
        self.models[number].delete()

    @rule(number=_INDEX)
    def remove_timer(self, number: int) -> None:
        self.events[number].remove_timer()
        self.models[number].remove_timer()

    @rule(number=_INDEX, what=st.sampled_from([EV_READ, EV_WRITE, EV_TIMEOUT]))
    def activate(self, number: int, what: int) -> None:
        self.events[number].activate(what)
        self.models[number].active |= what

    @rule(number=_INDEX, priority=st.integers(0, 2))
    def set_priority(self, number: int, priority: int) -> None:
        if self.models[number].active:
            with pytest.raises(ValueError, match="active"):
                self.events[number].set_priority(priority)
        else:
            self.events[number].set_priority(priority)
            self.models[number].priority = priority

    @rule(seconds=_SECONDS)
    def advance(self, seconds: float) -> None:
        self.fakes.clock.advance(seconds)

    @precondition(lambda self: any(model.inserted for model in self.models))
    @rule(number=_INDEX)
    def one_pass(self, number: int) -> None:
        """With something ready, or not: the most urgent queue runs, and those behind it stay as they are."""
        ready = self.models[number].inserted
        if ready:
            self.fakes.backend.ready(FD + number, EV_READ)
        self._run()
        now = self.fakes.clock.monotonic()
        for index, model in enumerate(self.models):
            if ready and index == number:
                model.active |= EV_READ
            model.expire(now)
        urgent = min((model.priority for model in self.models if model.active), default=None)
        expected = [(i, m.fire(now)) for i, m in enumerate(self.models) if m.active and m.priority == urgent]
        assert sorted(self.calls) == expected

    def _run(self) -> None:
        self.calls.clear()
        checks: list[object] = []

        def only_one(_watcher: object, _timeout: object) -> None:
            checks.append(None)
            if len(checks) > 1:  # ONCE goes on while less urgent events are active: leave before those run
                raise KeyboardInterrupt

        watcher = self.base.prepare(only_one)
        try:
            self.base.loop(ONE_PASS)
        except KeyboardInterrupt:
            pass
        watcher.close()

    @invariant()
    def states_agree(self) -> None:
        for event, model in zip(getattr(self, "events", ()), getattr(self, "models", ()), strict=True):
            assert event.pending() == model.pending(), event
            assert event.deadline == (math.inf if model.deadline is None else model.deadline)
            assert event.priority == model.priority

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "models"):
            return
        added = sum(model.inserted + (model.deadline is not None) for model in self.models)
        assert self.base.num_events(COUNT_ADDED) == added
        assert self.base.num_events(COUNT_ACTIVE) == sum(bool(model.active) for model in self.models)
        wanted = {fd for fd in self.fakes.backend.wanted if fd >= FD}
        assert wanted == {FD + index for index, model in enumerate(self.models) if model.inserted}


TestAnySequence = Events.TestCase
TestAnySequence.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
