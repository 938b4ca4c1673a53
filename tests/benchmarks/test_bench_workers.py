"""The benchmark of workers: one crew under load, and how rows become a table."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from bench_workers import make_parser
from common.machine import Cores, find_cores
from httpbench.load import Figures
from workersbench import measure as module
from workersbench.measure import Measurement, Plan, Row, command, measure_rows
from workersbench.report import document, format_summaries, summarize


def measured(requests: int, server_cpu: float = 2.0, load_cpu: float = 0.2) -> Measurement:
    return Measurement(Figures(requests, 2.0, 1, 500, 600, 1500, 2000), server_cpu, load_cpu)


ROWS = [
    Row(1, 1, measured(2000)),
    Row(2, 1, measured(3600, server_cpu=3.6)),
    Row(2, 2, measured(1900, server_cpu=1.9)),
    Row(1, 2, measured(1000)),
    Row(1, 3, measured(1500)),
    Row(2, 3, None, error="LoadError: wrk hung"),
]


def test_a_measurement_by_request_and_by_second() -> None:
    result = measured(1000, server_cpu=3.0, load_cpu=0.5)
    assert (result.cpu_us, result.server_share, result.load_share) == (3000, 1.5, 0.25)


def test_summary_compares_within_a_round() -> None:
    one, two = summarize(ROWS)
    assert (one.workers, one.rounds, one.rate, one.rate_range, one.speed_up) == (1, 3, 750, (500, 1000), 1.0)
    assert (two.workers, two.rounds, two.rate) == (2, 2, 1375)
    assert two.speed_up == pytest.approx((1.8 + 1.9) / 2)
    assert two.errors == ("LoadError: wrk hung",)


def test_table() -> None:
    text = format_summaries(summarize(ROWS), 2)
    heading, one, two, ceiling, error = text.splitlines()
    assert heading.split("  ")[0] == "workers"
    assert one.split() == ["1", "750", "1.00", "500-1000", "1333", "1.00", "0.10"]
    assert two.split() == ["2", "1375", "1.85", "950-1800", "1000", "1.38", "0.10"]
    assert ceiling == "2 workers could have had 1.90 of 2 processors beside wrk, and had 1.38"
    assert error == "2 workers: LoadError: wrk hung"


def test_a_crew_that_never_ran_has_no_figures() -> None:
    (part,) = summarize([Row(2, 1, None, error="x")])
    assert (part.rounds, part.rate, part.speed_up) == (0, 0, None)
    assert format_summaries([part], 2).splitlines()[1].split() == ["2", "0", "-", "0-0", "0", "0.00", "0.00"]


def test_document_survives_json() -> None:
    content = json.loads(json.dumps(document({"date": "x"}, ROWS, summarize(ROWS))))
    assert content["date"] == "x"
    assert content["summaries"][1]["workers"] == 2
    assert content["rows"][0]["result"]["figures"]["requests"] == 2000


def test_command_names_workers_and_port() -> None:
    words = command(3, 1234)
    assert words[words.index("--workers") + 1] == "3"
    assert words[words.index("--bind") + 1] == "127.0.0.1:1234"


def test_rounds_alternate_and_a_failure_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def measure(workers: int, plan: Plan, build: Path, core: int) -> Measurement:
        asked.append(workers)
        if len(asked) == 2:
            raise module.LoadError("wrk hung")
        return measured(1)

    monkeypatch.setattr(module, "measure", measure)
    rows = list(measure_rows(Plan((1, 2), 1, 1, 2, 1), tmp_path, Cores(1, 0)))
    assert asked == [1, 2, 2, 1]
    assert [row.error for row in rows] == ["", "LoadError: wrk hung", "", ""]


def test_defaults_are_one_and_all_processors() -> None:
    args = make_parser().parse_args([])
    assert args.workers == sorted({1, len(os.sched_getaffinity(0))})


@pytest.mark.parametrize("wrong", [["--workers", "0"], ["--loops", "x"], ["--rounds", "-1"]])
def test_nonsense_is_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        make_parser().parse_args(wrong)
    assert end.value.code == 2


@pytest.mark.peer
@pytest.mark.skipif(
    shutil.which("wrk") is None or shutil.which("taskset") is None, reason="wrk or taskset is not installed"
)
def test_a_crew_is_measured(tmp_path: Path) -> None:
    plan = Plan(crews=(2,), loops=100, connections=8, rounds=1, seconds=1)
    (row,) = measure_rows(plan, tmp_path, find_cores())
    assert row.error == ""
    assert row.result is not None
    assert row.result.figures.requests > 0
    assert row.result.server_cpu > 0
    assert row.result.load_cpu > 0
    assert "all 2 workers are ready" in (tmp_path / "workers-2.log").read_text()
