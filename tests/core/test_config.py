"""Which backend a configuration leads to, and which wishes are no wishes."""

import select
from typing import Any

import pytest

from evkit.core.base import EventBase
from evkit.core.config import EventConfig, supported_methods
from evkit.core.flags import (
    BASE_EPOLL_DISALLOW_TIMERFD,
    BASE_EPOLL_USE_CHANGELIST,
    BASE_IGNORE_ENV,
    BASE_NO_CACHE_TIME,
    BASE_NOLOCK,
    BASE_PRECISE_TIMER,
    BASE_USE_SIGNALFD,
    FEATURE_EARLY_CLOSE,
    FEATURE_ET,
    FEATURE_FDS,
    FEATURE_O1,
)
from evkit.core.log import LOG_MSG, set_log_callback
from evkit.errors import NoBackendError

needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")


def chosen(config: EventConfig) -> str:
    backend = config.choose_backend()()
    backend.close()
    return backend.name


def test_methods_are_this_platforms_in_libevents_order() -> None:
    assert supported_methods() == [
        name for name in ("kqueue", "epoll", "poll", "select") if hasattr(select, name)
    ]


@needs_epoll
class TestChoice:
    def test_first_by_default(self) -> None:
        assert chosen(EventConfig(environment={})) == "epoll"

    @pytest.mark.parametrize(
        ("avoid", "name"),
        [([], "epoll"), (["epoll"], "poll"), (["epoll", "poll"], "select"), (["select"], "epoll")],
    )
    def test_avoid(self, avoid: list[str], name: str) -> None:
        assert chosen(EventConfig(avoid=avoid, environment={})) == name

    def test_avoid_takes_any_iterable(self) -> None:
        assert chosen(EventConfig(avoid=(name for name in ["epoll"]), environment={})) == "poll"

    def test_avoid_takes_names_of_other_platforms(self) -> None:
        names = ["evport", "kqueue", "devpoll", "win32", "wepoll"]
        assert chosen(EventConfig(avoid=names, environment={})) == "epoll"

    def test_avoid_of_something_unknown_is_a_mistake(self) -> None:
        with pytest.raises(
            ValueError, match=r"got \['epol'\]: expected some of \['epoll', 'poll', 'select'\]"
        ):
            EventConfig(avoid=["epol", "poll"])

    @pytest.mark.parametrize(
        ("require", "name"),
        [
            (0, "epoll"),
            (FEATURE_ET | FEATURE_O1 | FEATURE_EARLY_CLOSE, "epoll"),
            (FEATURE_FDS, "poll"),
            (FEATURE_FDS | FEATURE_EARLY_CLOSE, "poll"),
        ],
    )
    def test_require(self, require: int, name: str) -> None:
        assert chosen(EventConfig(require=require, environment={})) == name

    def test_nothing_has_everything(self) -> None:
        with pytest.raises(NoBackendError) as caught:
            EventConfig(require=FEATURE_ET | FEATURE_FDS, environment={}).choose_backend()
        assert str(caught.value) == (
            "no backend with features ET|FDS is left of ['epoll', 'poll', 'select']: "
            "avoided []; unset EVENT_NO… in the environment or require less"
        )

    def test_nothing_is_left(self) -> None:
        with pytest.raises(NoBackendError, match=r"avoided \['epoll', 'poll', 'select'\]"):
            EventBase(EventConfig(avoid=supported_methods()))


@needs_epoll
class TestEnvironment:
    @pytest.mark.parametrize("value", ["1", "", "0"])
    def test_switches_a_backend_off_whatever_the_value(self, value: str) -> None:
        assert chosen(EventConfig(environment={"EVENT_NOEPOLL": value})) == "poll"

    def test_switches_several_off(self) -> None:
        assert chosen(EventConfig(environment={"EVENT_NOEPOLL": "1", "EVENT_NOPOLL": "1"})) == "select"

    def test_switches_all_off(self) -> None:
        environment = dict.fromkeys(("EVENT_NOEPOLL", "EVENT_NOPOLL", "EVENT_NOSELECT"), "1")
        with pytest.raises(NoBackendError, match="unset EVENT_NO"):
            EventConfig(environment=environment).choose_backend()

    def test_ignored_when_asked(self) -> None:
        config = EventConfig(flags=BASE_IGNORE_ENV, environment={"EVENT_NOEPOLL": "1"})
        assert chosen(config) == "epoll"

    @pytest.mark.parametrize("kind", ["u", "g"])
    def test_ignored_in_a_program_that_lends_rights(self, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        monkeypatch.setattr(f"os.gete{kind}id", lambda: 0)
        monkeypatch.setattr(f"os.get{kind}id", lambda: 1000)
        assert chosen(EventConfig(environment={"EVENT_NOEPOLL": "1"})) == "epoll"

    def test_is_the_processs_own_unless_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EVENT_NOEPOLL", "1")
        assert chosen(EventConfig()) == "poll"
        with EventBase() as base:
            assert base.method == "poll"

    def test_show_method(self) -> None:
        lines: list[tuple[int, str]] = []
        set_log_callback(lambda severity, message: lines.append((severity, message)))
        try:
            EventConfig(environment={"EVENT_SHOW_METHOD": "1"}).choose_backend()
            EventConfig(environment={}).choose_backend()
        finally:
            set_log_callback(None)
        assert lines == [(LOG_MSG, "evkit is using: epoll")]


@needs_epoll
class TestChangelist:
    """``BASE_EPOLL_USE_CHANGELIST`` and the variable of the same name."""

    def test_is_off_by_default(self) -> None:
        assert chosen(EventConfig(environment={})) == "epoll"

    def test_by_flag(self) -> None:
        config = EventConfig(flags=BASE_EPOLL_USE_CHANGELIST | BASE_IGNORE_ENV)
        assert chosen(config) == "epoll (with changelist)"
        with EventBase(config) as base:
            assert base.method == "epoll (with changelist)"

    @pytest.mark.parametrize("value", ["1", "", "0"])
    def test_by_environment_whatever_the_value(self, value: str) -> None:
        assert (
            chosen(EventConfig(environment={"EVENT_EPOLL_USE_CHANGELIST": value}))
            == "epoll (with changelist)"
        )

    def test_environment_is_ignored_when_asked(self) -> None:
        config = EventConfig(flags=BASE_IGNORE_ENV, environment={"EVENT_EPOLL_USE_CHANGELIST": "1"})
        assert chosen(config) == "epoll"

    @pytest.mark.parametrize(("avoid", "name"), [(["epoll"], "poll"), (["epoll", "poll"], "select")])
    def test_means_nothing_to_other_backends(self, avoid: list[str], name: str) -> None:
        assert chosen(EventConfig(avoid=avoid, flags=BASE_EPOLL_USE_CHANGELIST, environment={})) == name

    def test_is_epoll_to_who_avoids_or_forbids_that(self) -> None:
        config = EventConfig(flags=BASE_EPOLL_USE_CHANGELIST, environment={"EVENT_NOEPOLL": "1"})
        assert chosen(config) == "poll"

    def test_has_epolls_features(self) -> None:
        features = FEATURE_ET | FEATURE_O1 | FEATURE_EARLY_CLOSE
        config = EventConfig(require=features, flags=BASE_EPOLL_USE_CHANGELIST, environment={})
        with EventBase(config) as base:
            assert (base.method, base.features) == ("epoll (with changelist)", features)

    def test_is_shown(self) -> None:
        lines: list[str] = []
        set_log_callback(lambda _severity, message: lines.append(message))
        try:
            environment = {"EVENT_SHOW_METHOD": "1", "EVENT_EPOLL_USE_CHANGELIST": "1"}
            EventConfig(environment=environment).choose_backend()
        finally:
            set_log_callback(None)
        assert lines == ["evkit is using: epoll (with changelist)"]


@pytest.mark.parametrize(
    "flag",
    [BASE_NOLOCK, BASE_PRECISE_TIMER, BASE_EPOLL_DISALLOW_TIMERFD, BASE_USE_SIGNALFD, BASE_NO_CACHE_TIME],
)
def test_other_flags_choose_no_backend(flag: int) -> None:
    default = EventConfig(environment={}).choose_backend()
    assert EventConfig(flags=flag, environment={}).choose_backend() is default
    ignored = {"EVENT_PRECISE_TIMER": "1", "EVENT_USE_SIGNALFD": "1"}
    assert EventConfig(environment=ignored).choose_backend() is default


class TestLimits:
    @pytest.mark.parametrize("name", ["max_dispatch_interval", "max_dispatch_callbacks"])
    @pytest.mark.parametrize("limit", [0, -1, float("nan")])
    def test_that_let_nothing_run(self, name: str, limit: float) -> None:
        limits: dict[str, Any] = {name: limit}
        with pytest.raises(ValueError, match=f"{name} must be None or positive, got {limit}"):
            EventConfig(**limits)

    def test_are_off_by_default(self) -> None:
        assert not EventConfig().limits_dispatch
        assert not EventConfig(min_dispatch_priority=3).limits_dispatch

    def test_either_is_one(self) -> None:
        assert EventConfig(max_dispatch_interval=0.5).limits_dispatch
        assert EventConfig(max_dispatch_callbacks=5).limits_dispatch


def test_base_tells_what_it_got(method: str) -> None:
    avoid = [name for name in supported_methods() if name != method]
    config = EventConfig(avoid=avoid, environment={})
    with EventBase(config) as base:
        assert base.method == method
        assert base.features == config.choose_backend()().features
