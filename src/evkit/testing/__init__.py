"""Aids for testing what is built on evkit: time that is moved by hand, readiness that is scripted, connections in
memory, input in pieces.

fakes = base_with_fakes()
with fakes.base as base:
    base.timer(tick).add(3600)
    base.dispatch()                  # returns at once: the clock has moved on by an hour
"""

from evkit.testing.backend import Change, FakeBackend, FakeBase, base_with_fakes
from evkit.testing.clock import ManualClock
from evkit.testing.data import chunks, same_however_cut, split_everywhere, ways_to_cut
from evkit.testing.pair import MemoryPair

__all__ = [
    "Change",
    "FakeBackend",
    "FakeBase",
    "ManualClock",
    "MemoryPair",
    "base_with_fakes",
    "chunks",
    "same_however_cut",
    "split_everywhere",
    "ways_to_cut",
]
