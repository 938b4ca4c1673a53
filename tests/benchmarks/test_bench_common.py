"""The parts that both benchmarks share: what /proc says, processors, programs, rounds, tables."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from common.machine import Cores, choose_cores, cpu_model, parse_cpu_list
from common.proc import (
    Memory,
    cpu_spent,
    descendants,
    parse_schedstat,
    parse_stat,
    parse_status,
    sample_cpu,
    sample_memory,
)
from common.programs import PeerMissing, compile_c, distributions, run
from common.rounds import alternate, paired_ratio
from common.server import ServerError, free_port, last_words, running
from common.table import format_decimal, format_table

# --- what /proc says


def test_schedstat_is_the_first_number() -> None:
    assert parse_schedstat("120200000 83634 2\n") == 120_200_000


def test_stat_with_a_hostile_name() -> None:
    fields = "S 7 42 42 0 -1 4194560 100 0 0 0 250 125 9 9 20 0 1 0"
    assert parse_stat(f"42 (a) S 1 (b) {fields}\n") == (7, 375)


def test_status_in_bytes() -> None:
    assert parse_status("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n") == Memory(1 << 20, 2 << 20)


def test_a_zombie_has_no_memory() -> None:
    assert parse_status("Name:\tx\nState:\tZ (zombie)\n") == Memory(0, 0)


def test_descendants_reach_grandchildren_only_of_the_root() -> None:
    parents = {10: 1, 11: 10, 12: 11, 13: 10, 20: 1, 21: 20}
    assert sorted(descendants(10, parents)) == [10, 11, 12, 13]


def test_cpu_time_between_samples() -> None:
    before = {1: 5_000_000_000, 2: 1_000_000_000, 9: 400}
    after = {1: 6_500_000_000, 2: 1_000_000_000, 3: 250_000_000}
    assert cpu_spent(before, after) == 1.75


def test_this_process_has_used_time_and_memory() -> None:
    assert cpu_spent({}, sample_cpu(os.getpid())) > 0
    memory = sample_memory(os.getpid())
    assert 0 < memory.rss <= memory.peak


# --- the machine


@pytest.mark.parametrize(("text", "cpus"), [("0\n", {0}), ("0-2,5", {0, 1, 2, 5}), ("4,6-7", {4, 6, 7})])
def test_cpu_list(text: str, cpus: set[int]) -> None:
    assert parse_cpu_list(text) == cpus


def test_wrk_avoids_the_other_thread_of_the_servers_core() -> None:
    pairs = {cpu: frozenset({cpu & ~1, cpu | 1}) for cpu in range(4)}
    cores = choose_cores([0, 1, 2, 3], pairs)
    assert cores == Cores(3, 0)
    assert choose_cores([2, 3], pairs).warning != ""


def test_one_processor_is_shared_and_said() -> None:
    cores = choose_cores([3], {})
    assert (cores.server, cores.client) == (3, 3)
    assert "one processor" in cores.warning


def test_cpu_model() -> None:
    assert cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n") == "Some CPU @ 2 GHz"
    assert cpu_model("processor\t: 0\n") == "unknown"


# --- rounds and tables


def test_rounds_alternate() -> None:
    assert list(alternate(["a", "b"], 1)) == ["a", "b"]
    assert list(alternate(["a", "b"], 2)) == ["b", "a"]


def test_ratios_are_paired_by_round() -> None:
    own = {1: 2.0, 2: 8.0, 3: 3.0, 4: 99.0}
    base = {1: 1.0, 2: 8.0, 3: 1.0, 5: 50.0}
    assert paired_ratio(own, base, float) == 2.0
    assert paired_ratio(own, {}, float) is None


def test_columns_line_up() -> None:
    assert format_table([("name", "n"), ("a", "100")]) == "name    n\na     100"


def test_no_number_is_a_dash() -> None:
    assert (format_decimal(1.256, 2), format_decimal(None, 2)) == ("1.26", "-")


# --- programs and servers


def test_a_command_gives_its_output_errors_included() -> None:
    script = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    assert run([sys.executable, "-c", script], "").split() == ["out", "err"]


def test_what_does_not_start_or_fails_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PeerMissing, match=r"does not start .*; install it"):
        run([str(tmp_path / "nothing")], "install it")
    with pytest.raises(PeerMissing, match=r"failed \(boom\); install it"):
        run([sys.executable, "-c", "raise SystemExit('boom')"], "install it")


def test_a_compiler_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    with pytest.raises(PeerMissing, match=r"false failed .*apt-get install gcc libevent-dev"):
        compile_c(tmp_path / "program.c", tmp_path)


def test_distributions_are_named_with_versions() -> None:
    assert distributions("pytest") == f"pytest {pytest.__version__}"
    with pytest.raises(PeerMissing, match="no-such-thing is not installed"):
        distributions("pytest", "no-such-thing")


def test_last_words() -> None:
    assert last_words("Traceback\n  File x\nValueError: boom\n\n") == "ValueError: boom"
    assert last_words("\n") == "without a word"


def test_a_server_that_ends_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no port for me')"]
    core = min(os.sched_getaffinity(0))
    server = running(command, port=free_port(), core=core, log=tmp_path / "log")
    with pytest.raises(ServerError, match="ended with 1: no port for me"), server:
        pass


def test_a_server_runs_on_its_core_until_the_block_ends(tmp_path: Path) -> None:
    port = free_port()
    script = f"import socket, time\nserver = socket.create_server(('127.0.0.1', {port}))\ntime.sleep(60)"
    core = max(os.sched_getaffinity(0))
    command = [sys.executable, "-c", script]
    with running(command, port=port, core=core, log=tmp_path / "log") as server:
        assert server.port == port
        assert os.sched_getaffinity(server.pid) == {core}
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)
