"""From rows to a table and a JSON file: medians, and ratios to the smallest crew of the same round.

Pure: it is given all that it tells, and must never know how it was measured.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from common.rounds import paired_ratio
from common.table import format_decimal, format_table

from workersbench.measure import Measurement, Row

_HEADINGS: Final = ("workers", "req/s", "speed-up", "range", "us CPU/req", "server cores", "wrk cores")


@dataclass(frozen=True, slots=True)
class Summary:
    """One crew: medians over the rounds that counted.

    Attributes:
        workers: How many.
        rounds: How many rounds counted.
        rate: Requests a second.
        rate_range: Lowest and highest round of it.
        speed_up: Median of the rounds' ratios to the smallest crew; None without it.
        cpu_us: Microseconds of CPU time a request.
        server_share: Processors that the server has kept busy.
        load_share: Likewise wrk.
        errors: Why the other rounds did not count.
    """

    workers: int
    rounds: int
    rate: float
    rate_range: tuple[float, float]
    speed_up: float | None
    cpu_us: float
    server_share: float
    load_share: float
    errors: tuple[str, ...]


def _results(rows: Sequence[Row], workers: int) -> dict[int, Measurement]:
    return {row.round: row.result for row in rows if row.workers == workers and row.result is not None}


def _summarize_one(rows: Sequence[Row], workers: int, smallest: int) -> Summary:
    own = _results(rows, workers)
    results = list(own.values())
    rates = [result.figures.rate for result in results]
    return Summary(
        workers,
        len(own),
        statistics.median(rates or [0]),
        (min(rates, default=0), max(rates, default=0)),
        paired_ratio(own, _results(rows, smallest), lambda result: result.figures.rate),
        statistics.median([result.cpu_us for result in results] or [0]),
        statistics.median([result.server_share for result in results] or [0]),
        statistics.median([result.load_share for result in results] or [0]),
        tuple(row.error for row in rows if row.workers == workers and row.error),
    )


def summarize(rows: Sequence[Row]) -> list[Summary]:
    """Sum up, the smallest crew first. One of which no round counted has zeros."""
    crews = sorted({row.workers for row in rows})
    return [_summarize_one(rows, workers, crews[0]) for workers in crews]


def format_summaries(summaries: Sequence[Summary], processors: int) -> str:
    """Make the table, and say what could be had at most."""
    lines: list[Sequence[str]] = [_HEADINGS]
    for part in summaries:
        low, high = part.rate_range
        lines.append(
            (
                str(part.workers),
                format_decimal(part.rate, 0),
                format_decimal(part.speed_up, 2),
                f"{low:.0f}-{high:.0f}",
                format_decimal(part.cpu_us, 0),
                format_decimal(part.server_share, 2),
                format_decimal(part.load_share, 2),
            )
        )
    text = [format_table(lines), *(_ceiling(part, processors) for part in summaries[1:] if part.rounds)]
    text += [f"{part.workers} workers: {error}" for part in summaries for error in part.errors]
    return "\n".join(text)


def _ceiling(part: Summary, processors: int) -> str:
    """Say what the crew could have had; where it used much less, other programs had the rest."""
    left = min(part.workers, processors - part.load_share)
    had = f"could have had {left:.2f} of {processors} processors beside wrk, and had {part.server_share:.2f}"
    return f"{part.workers} workers {had}"


def document(about: dict[str, Any], rows: Sequence[Row], summaries: Sequence[Summary]) -> dict[str, Any]:
    """Put all figures together for the JSON file."""
    return {**about, "summaries": [asdict(part) for part in summaries], "rows": [asdict(row) for row in rows]}
