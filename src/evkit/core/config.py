"""What a program may ask of an event base before it exists, and which backend answers that.

A decider: the environment comes in as a mapping, and the first backend that fits goes out as a class. Knows nothing
of the loop.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from evkit.core.backends import BACKENDS, Backend, EpollBackend, EpollChangelistBackend
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
    feature_bits,
)
from evkit.core.log import LOG_MSG, log
from evkit.errors import NoBackendError

_FLAGS: Final = (
    BASE_NOLOCK
    | BASE_IGNORE_ENV
    | BASE_NO_CACHE_TIME
    | BASE_EPOLL_USE_CHANGELIST
    | BASE_PRECISE_TIMER
    | BASE_EPOLL_DISALLOW_TIMERFD
    | BASE_USE_SIGNALFD
)
_FEATURES: Final = FEATURE_ET | FEATURE_O1 | FEATURE_FDS | FEATURE_EARLY_CLOSE
_ANYWHERE: Final = frozenset({"evport", "kqueue", "epoll", "devpoll", "poll", "select", "win32", "wepoll"})
"""Backends of all platforms: to avoid one that is not here is no mistake."""


def supported_methods() -> list[str]:
    """Return the names of this platform's backends, the preferred one first.

    Source: ``event_get_supported_methods``. As there, a promise that the code exists and not that it works.
    """
    return [backend.name for backend in BACKENDS]


class EventConfig:
    """The wishes of a program for one `EventBase`.

    Attributes:
        avoid: Names of backends not to use (``event_config_avoid_method``).
        require: ``FEATURE_…`` bits that the backend must have, all of them (``event_config_require_features``).
        flags: ``BASE_…`` bits (``event_config_set_flag``).
        max_dispatch_interval: Seconds of callbacks after which the loop polls again; ``None``: no limit.
        max_dispatch_callbacks: Callbacks after which the loop polls again; ``None``: no limit.
        min_dispatch_priority: The two limits hold for priorities from this number on
            (``event_config_set_max_dispatch_interval``).
        reinit_after_fork: Whether a child process that `os.fork` makes calls `EventBase.reinit` by itself.
        environment: Where ``EVENT_NOEPOLL`` and its kin, ``EVENT_SHOW_METHOD`` and ``EVENT_EPOLL_USE_CHANGELIST`` are
            looked up: the process's own unless a test says otherwise. As in libevent the value does not matter.
            ``EVENT_PRECISE_TIMER`` and ``EVENT_USE_SIGNALFD`` mean nothing here, for the reasons given at their flags.

    Raises:
        ValueError: ``avoid`` has a name that is no backend's, there is no such flag or feature, or a limit is not
            positive.
    """

    __slots__ = (
        "avoid",
        "environment",
        "flags",
        "max_dispatch_callbacks",
        "max_dispatch_interval",
        "min_dispatch_priority",
        "reinit_after_fork",
        "require",
    )

    def __init__(
        self,
        avoid: Iterable[str] = (),
        require: int = 0,
        flags: int = 0,
        *,
        max_dispatch_interval: float | None = None,
        max_dispatch_callbacks: int | None = None,
        min_dispatch_priority: int = 0,
        reinit_after_fork: bool = False,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.avoid = frozenset(avoid)
        self.require = require
        self.flags = flags
        self.max_dispatch_interval = max_dispatch_interval
        self.max_dispatch_callbacks = max_dispatch_callbacks
        self.min_dispatch_priority = min_dispatch_priority
        self.reinit_after_fork = reinit_after_fork
        self.environment = environment
        unknown = self.avoid - _ANYWHERE
        if unknown:
            raise ValueError(
                f"avoid= takes names of backends, got {sorted(unknown)}: expected some of {supported_methods()}"
            )
        if flags & ~_FLAGS or require & ~_FEATURES:
            raise ValueError(
                f"flags= takes BASE_… and require= takes FEATURE_… bits, got {flags:#x} and {require:#x}"
            )
        if min_dispatch_priority < 0:
            raise ValueError(f"min_dispatch_priority must be >= 0, got {min_dispatch_priority}")
        for name, limit in (
            ("max_dispatch_interval", max_dispatch_interval),
            ("max_dispatch_callbacks", max_dispatch_callbacks),
        ):
            if limit is not None and not limit > 0:  # nor NaN
                raise ValueError(f"{name} must be None or positive, got {limit}")

    @property
    def limits_dispatch(self) -> bool:
        """Whether some callbacks may have to wait for another poll."""
        return self.max_dispatch_interval is not None or self.max_dispatch_callbacks is not None

    def choose_backend(self) -> Callable[[], Backend]:
        """Return the first backend, in libevent's order, that nothing speaks against.

        Raises:
            NoBackendError: All were avoided, switched off by the environment, or lack a feature.

        Source: ``event_base_new_with_config``.
        """
        environment = self._trusted_environment()
        for backend in BACKENDS:
            if backend.name in self.avoid or f"EVENT_NO{backend.name.upper()}" in environment:
                continue
            if backend.features & self.require != self.require:
                continue
            chosen = (
                EpollChangelistBackend if backend is EpollBackend and self._gathers(environment) else backend
            )
            if "EVENT_SHOW_METHOD" in environment:
                log(LOG_MSG, f"evkit is using: {chosen.name}")
            return chosen
        raise NoBackendError(
            f"no backend with features {feature_bits(self.require)} is left of {supported_methods()}: "
            f"avoided {sorted(self.avoid)}; unset EVENT_NO… in the environment or require less"
        )

    def _gathers(self, environment: Mapping[str, str]) -> bool:
        """Return whether epoll is to hear of changes all at once."""
        return bool(self.flags & BASE_EPOLL_USE_CHANGELIST) or "EVENT_EPOLL_USE_CHANGELIST" in environment

    def _trusted_environment(self) -> Mapping[str, str]:
        # A set-uid or set-gid program must not take orders from whoever started it.
        lends_rights = os.geteuid() != os.getuid() or os.getegid() != os.getgid()
        return {} if lends_rights or self.flags & BASE_IGNORE_ENV else self.environment
