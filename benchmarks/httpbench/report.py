"""From rows to what is read: medians and ranges, ratios to libevent, tables and the JSON file.

Pure: it is given all that it tells, and must never know how it was measured.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from common.rounds import paired_ratio
from common.table import format_decimal, format_table

from httpbench.load import Case
from httpbench.runner import IdleRow, Measurement, Row

SUBJECT: Final = "evkit-native"
_MB: Final = 1024 * 1024
# Above this the work that was done but not counted shows in CPU time a request, and the table says so.
_MOST_IN_FLIGHT: Final = 0.05
_HEADINGS: Final = (
    *("server", "us CPU/req", "range", "x {baseline}"),
    *("req/s", "x {baseline}", "p50 ms", "p99 ms"),
    *("core %", "RSS MB"),
)
_IDLE_HEADINGS: Final = ("server", "idle", "bytes each", "us CPU/req alone", "beside them", "closed")


@dataclass(frozen=True, slots=True)
class Summary:
    """One server in one table: medians over the rounds that counted.

    Attributes:
        cpu_us: Microseconds of CPU time a request.
        cpu_range: Lowest and highest round of it.
        cpu_ratio: Median of the rounds' ratios to the baseline in the same round; None without a baseline.
        rate: Requests a second; ``rate_ratio`` as above.
        load: Share of its processor that the server used.
        rss: Bytes resident after the run.
        rounds: How many rounds counted.
        p50_ms: Median latency; None when pipelined, and so ``p99_ms``.
        in_flight: The most requests that the server may have done uncounted, as share of the counted ones.
        errors: Why the others did not.
    """

    case: str
    connections: int
    server: str
    rounds: int
    cpu_us: float
    cpu_range: tuple[float, float]
    cpu_ratio: float | None
    rate: float
    rate_ratio: float | None
    p50_ms: float | None
    p99_ms: float | None
    load: float
    rss: int
    in_flight: float
    errors: tuple[str, ...]


def _results(rows: Iterable[Row]) -> dict[int, Measurement]:
    return {row.round: row.result for row in rows if row.result is not None}


def summarize(case: Case, connections: int, rows: Sequence[Row]) -> list[Summary]:
    """Sum up one table: the rows of one case and number of connections, best CPU time a request first.

    A server of which no round counted comes last, with zeros.
    """
    own = [row for row in rows if (row.case, row.connections) == (case.name, connections)]
    baseline = _results(row for row in own if row.server == case.baseline)
    servers = dict.fromkeys(row.server for row in own)
    parts = [
        _summary(case, connections, name, [row for row in own if row.server == name], baseline)
        for name in servers
    ]
    return sorted(parts, key=lambda part: (not part.rounds, part.cpu_us))


def _summary(
    case: Case, connections: int, server: str, rows: Sequence[Row], baseline: Mapping[int, Measurement]
) -> Summary:
    results = _results(rows)

    def median(figure: Callable[[Measurement], float]) -> float:
        return statistics.median([figure(result) for result in results.values()] or [0.0])

    cpu = [result.cpu_us for result in results.values()] or [0.0]
    requests = median(lambda result: result.figures.requests)
    return Summary(
        case=case.name,
        connections=connections,
        server=server,
        rounds=len(results),
        cpu_us=statistics.median(cpu),
        cpu_range=(min(cpu), max(cpu)),
        cpu_ratio=paired_ratio(results, baseline, lambda result: result.cpu_us),
        rate=median(lambda result: result.figures.rate),
        rate_ratio=paired_ratio(results, baseline, lambda result: result.figures.rate),
        p50_ms=_median_ms(result.figures.p50_us for result in results.values()),
        p99_ms=_median_ms(result.figures.p99_us for result in results.values()),
        load=median(lambda result: result.load),
        rss=int(median(lambda result: result.memory.rss)),
        in_flight=connections * case.depth / requests if requests else 0.0,
        errors=tuple(row.error for row in rows if row.error),
    )


def _median_ms(latencies: Iterable[int | None]) -> float | None:
    known = [latency for latency in latencies if latency is not None]
    return statistics.median(known) / 1e3 if known else None


def _cells(part: Summary) -> tuple[str, ...]:
    if not part.rounds:
        return (part.server, *["-"] * (len(_HEADINGS) - 1))
    low, high = part.cpu_range
    return (
        part.server,
        f"{part.cpu_us:.2f}",
        f"{low:.2f}-{high:.2f}",
        format_decimal(part.cpu_ratio, 2),
        f"{part.rate:,.0f}",
        format_decimal(part.rate_ratio, 2),
        format_decimal(part.p50_ms, 3),
        format_decimal(part.p99_ms, 3),
        f"{part.load:.0%}",
        f"{part.rss / _MB:.1f}",
    )


def format_summaries(case: Case, connections: int, parts: Sequence[Summary]) -> str:
    """Write one table with its heading, and below it what did not count and why."""
    heading = f"{case.title}, {connections:,} connection{'s' * (connections != 1)}"
    remarks = [f"  {part.server}: {remark}" for part in parts for remark in _remarks(part)]
    headings = tuple(word.format(baseline=case.baseline) for word in _HEADINGS)
    goal = _verdict(case, parts)
    return "\n".join([heading, format_table([headings, *map(_cells, parts)]), *goal, *remarks])


def _verdict(case: Case, parts: Sequence[Summary]) -> list[str]:
    """Compare evkit's CPU time with the baseline's, where there is a goal for it."""
    cpu = {part.server: part.cpu_us for part in parts if part.rounds}
    if case.most_above is None or not {SUBJECT, case.baseline} <= cpu.keys():
        return []
    above = cpu[SUBJECT] - cpu[case.baseline]
    told = "met" if above <= case.most_above else "MISSED"
    most = f"at most {case.most_above:g} us more than {case.baseline}"
    return [f"  goal: {SUBJECT} {most}: {above:.2f}, {told}"]


def _remarks(part: Summary) -> tuple[str, ...]:
    remarks = list(dict.fromkeys(part.errors))  # once, though every round failed alike
    if part.in_flight > _MOST_IN_FLIGHT:
        share = f"{part.in_flight:.0%}"
        remarks.append(
            f"CPU time too high by up to {share}: requests under way at the end; use longer --seconds"
        )
    return tuple(remarks)


def format_idle(rows: Sequence[IdleRow]) -> str:
    """Write the table of the idle connections."""
    lines = [_IDLE_HEADINGS, *(_idle_cells(row) for row in rows)]
    errors = [f"  {row.server}: {row.error}" for row in rows if row.error]
    return "\n".join(
        ["idle connections, beside the minimal request on 64 busy ones", format_table(lines), *errors]
    )


def _idle_cells(row: IdleRow) -> tuple[str, ...]:
    if row.alone is None or row.beside is None:
        return (row.server, f"{row.held:,}", "-", "-", "-", "-")
    cpu = (f"{row.alone.cpu_us:.2f}", f"{row.beside.cpu_us:.2f}")
    return (row.server, f"{row.held:,}", f"{row.bytes_each:,.0f}", *cpu, f"{row.lost:,}")


def document(
    about: Mapping[str, Any], rows: Sequence[Row], summaries: Sequence[Summary], idle: Sequence[IdleRow]
) -> dict[str, Any]:
    """Put all figures, raw and summed up, into what ``json.dump`` takes.

    Args:
        about: Machine, settings, versions: whatever a reader has to know; its keys stay at the top.
        rows: Every measurement.
        summaries: The lines of the tables.
        idle: The idle connections.
    """
    return {
        **about,
        "rows": [asdict(row) for row in rows],
        "summaries": [asdict(part) for part in summaries],
        "idle": [asdict(row) for row in idle],
    }
