"""Every way of waiting that can be tried here: this platform's backends, epoll's other one, and kqueue over a model."""

import select
from collections.abc import Callable
from typing import cast

from evkit.core.backends import BACKENDS, Backend, EpollChangelistBackend, KqueueBackend
from evkit.core.backends.kqueue import KqueueSystem
from kqueue_model import KqueueModel

CHANGELIST = "epoll (with changelist)"
MODEL = "kqueue (modelled)"


def kqueue_over(model: KqueueModel) -> KqueueBackend:
    return KqueueBackend(cast(KqueueSystem, model))


EVERY_BACKEND: dict[str, Callable[[], Backend]] = {backend.name: backend for backend in BACKENDS}
FEATURES = {backend.name: backend.features for backend in BACKENDS}
if hasattr(select, "epoll"):
    EVERY_BACKEND[CHANGELIST] = EpollChangelistBackend
    FEATURES[CHANGELIST] = EpollChangelistBackend.features
    EVERY_BACKEND[MODEL] = lambda: kqueue_over(KqueueModel())
    FEATURES[MODEL] = KqueueBackend.features
