"""The soak of RPC: a short one finds nothing, and a fault or a leak that was planted in its server it finds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="needs /proc")

# What the server's interpreter runs before anything else.
PLANTED = {
    "cycles that only the collector frees": (
        "from evkit.rpc.streams.sink import Sink; Sink.leave = lambda sink: setattr(sink, 'gone', True)",
        "left to the collector: .*Sink",
    ),
    "an exception that escapes": (
        "from evkit.rpc.protocol.session import Session; Session.count_stray = lambda session: {}[session]",
        "the server's own faults: .*KeyError",
    ),
    "a wrong answer": (
        "from evkit.rpc import Call; old = Call.reply; Call.reply = lambda call, result=None: old(call, [result])",
        "a good call got",
    ),
}


def soak(frames: int, folder: Path, plant: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(
        f"import sys\nif 'soak.rpc_server' in sys.orig_argv:\n    {plant or 'pass'}\n"
    )
    command = [sys.executable, str(BENCHMARKS / "soak_rpc.py"), f"--frames={frames}", "--report"]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=250)


def test_two_thousand_frames_leave_nothing(tmp_path: Path) -> None:
    done = soak(2000, tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "2,000 frames, seed 1: the server answers, and nothing is left in it"
    counted = next(line for line in lines if line.endswith("good calls"))
    assert int(re.sub(r"\D.*", "", counted.replace(",", ""))) >= 2000


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name: str, tmp_path: Path) -> None:
    plant, expected = PLANTED[name]
    done = soak(500, tmp_path, plant)
    assert done.returncode == 1, done.stdout
    assert re.search(expected, done.stderr), done.stderr[-3000:]
