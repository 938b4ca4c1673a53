"""Aids for testing what is built on evkit: time that is moved by hand, readiness that is scripted, input in pieces.

fakes = base_with_fakes()
with fakes.base as base:
    base.timer(tick).add(3600)
    base.dispatch()                  # returns at once: the clock has moved on by an hour
"""

from evkit.testing.backend import Change, FakeBackend, FakeBase, base_with_fakes
from evkit.testing.clock import ManualClock
from evkit.testing.data import chunks, split_everywhere

__all__ = [
    "Change",
    "FakeBackend",
    "FakeBase",
    "ManualClock",
    "base_with_fakes",
    "chunks",
    "split_everywhere",
]
