"""The soak of the core: a short one finds nothing, and a fault or a leak that was planted it finds.

Each runs in a process of its own, as it counts what a process has and stops the collector.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from soak.buffers import Buffers
from soak.streams import PERIOD, Stream
from soak.world import FaultError, PlannedError, World, is_documented

from evkit import EV_READ

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="needs /proc")

START = f"""
import os, signal, sys
sys.path.insert(0, {str(BENCHMARKS)!r})
import soak_core
from evkit.core import Buffer, BufferEvent, Event, EventBase, SocketBufferEvent
kept = []
"""
PLANTED = {
    "a callback after free": (
        "Event.free = lambda event: None",
        "called though nothing was waited for|called after the end|has a time-out|left behind|inserted is not",
    ),
    "bytes that vanish": (
        "old = Buffer.drain; Buffer.drain = lambda self, size: old(self, size) and old(self, 1) and size",
        "other bytes|in place of",
    ),
    "an exception of no class of ours": ("Event.remove_timer = lambda event: {}[event.fd]", "KeyError"),
    "a value error that nobody raised": (
        "Event.remove_timer = lambda event: [].remove(event)",
        "not in list",
    ),
    "a count that drifts": (
        "old = EventBase.add_virtual; EventBase.add_virtual = lambda base: (old(base), old(base))",
        "virtual is not",
    ),
    "objects that stay": (
        "old = Event.free; Event.free = lambda event: (kept.append(event), old(event))",
        "after tenth 1: objects: .*Event",
    ),
    "cycles that only the collector frees": (
        "SocketBufferEvent.close = lambda bev: (BufferEvent.close(bev), setattr(bev, 'read_timeout', [bev]))",
        "left to the collector: .*SocketBufferEvent",
    ),
    "descriptors that stay": (
        "old = Event.free; Event.free = lambda event: (len(kept) or kept.append(os.dup(2)), old(event))",
        "after tenth 1: descriptors: ",
    ),
    "memory that stays": (
        "old = Event.add; Event.add = lambda event, after=None: (kept.append([after]), old(event, after))",
        "since the second tenth: pieces of memory: ",
    ),
    "a signal handler that stays": (
        "old = EventBase.close; EventBase.close = lambda base: (old(base), signal.signal(signal.SIGUSR1, print))",
        "at the end: signal handlers: ",
    ),
}


def soak(*arguments: str, plant: str = "") -> subprocess.CompletedProcess[str]:
    """Run one in a process of its own, with something planted."""
    program = f"{START}\n{plant}\nsys.exit(soak_core.main({list(arguments)!r}))"
    command = [sys.executable, "-bb", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)


def test_twenty_thousand_operations_a_backend_leave_nothing() -> None:
    done = soak("--operations", "60000", "--seed", "11", "--report")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].endswith("seed 11: nothing is left, nothing was wrong")
    performed = next(line for line in lines if " callbacks on " in line)
    assert int(performed.split(" ")[0].replace(",", "")) >= 60000
    assert int(performed.split(" ")[2].replace(",", "")) > 10000


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name: str) -> None:
    plant, expected = PLANTED[name]
    done = soak("--operations", "12000", "--backend", "poll", plant=plant)
    assert done.returncode == 1, done.stdout
    assert "seed 1" in done.stderr
    assert re.search(expected, done.stderr), done.stderr[-3000:]


def test_a_fault_is_told_with_the_last_fifty_operations() -> None:
    done = soak(
        "--operations", "4000", "--backend", "poll", plant=PLANTED["a value error that nobody raised"][0]
    )
    told = done.stderr.partition("poll, seed 1, the last operations:\n")[2].splitlines()
    numbers = [int(line.split()[0]) for line in told if line.split()[:1] and line.split()[0].isdigit()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert 1 < len(numbers) <= 50


def test_the_same_seed_gives_the_same_run() -> None:
    runs = [soak("--operations", "2000", "--backend", "poll", "--seed", "5", "--report") for _ in range(2)]
    counted = [[line for line in run.stdout.splitlines() if "callbacks on" in line] for run in runs]
    assert counted[0]
    assert counted[0] == counted[1]


def test_a_stream_knows_each_byte_by_its_place() -> None:
    stream = Stream()
    first, second = stream.next(10), stream.next(PERIOD)
    stream.arrive(first + second[:5])
    with pytest.raises(FaultError, match="other bytes at 15"):
        stream.arrive(second[6:])
    with pytest.raises(FaultError, match="other bytes at 15"):
        stream.arrive(second[4:])
    stream.arrive(second[5:])
    with pytest.raises(FaultError, match="only 261 were sent"):
        stream.arrive(bytes([stream.got % PERIOD]))


def test_only_what_evkit_raises_is_documented() -> None:
    with World("poll", 1).base as base:
        for call, documented in (
            (lambda: base.event(-1, EV_READ, print), True),
            (lambda: [].remove(1), False),
            (lambda: base.timer(1), False),
        ):
            with pytest.raises((ValueError, TypeError)) as raised:
                call()
            assert is_documented(raised.value) is documented
    assert is_documented(PlannedError())
    assert is_documented(BlockingIOError(11, "again"))
    assert not is_documented(OSError(28, "no space left"))


def test_a_buffer_that_tells_too_little_is_a_fault() -> None:
    world = World("poll", 1)
    buffers = Buffers(world)
    try:
        world.enter(buffers)
        world.live(300, 50)
        buffers._all[0].model += b"more"
        with pytest.raises(FaultError, match="other bytes"):
            world.verify()
    finally:
        buffers.close()
        world.base.close()
