"""From rows to what is read: medians and ranges, ratios, goals, tables and the JSON file.

Pure: it is given all that it tells, and must never know how it was measured.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from common.rounds import paired_ratio
from common.table import format_decimal, format_table

from corebench.cases import Case
from corebench.runner import Row, Times

SUBJECT: Final = "evkit"
_MB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Summary:
    """One peer in one section of one case: medians over the rounds that counted.

    Attributes:
        cpu: Microseconds of CPU time for one unit of work; ``wall`` by the clock.
        cpu_range: Lowest and highest round of it.
        cpu_ratio: Median of the rounds' ratios to the baseline in the same round; None without a baseline.
        wall_ratio: As above.
        rounds: How many rounds counted.
    """

    case: str
    section: str
    peer: str
    rounds: int
    cpu: float
    cpu_range: tuple[float, float]
    cpu_ratio: float | None
    wall: float
    wall_ratio: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal and what came of it; ``ratio`` is None where it was not measured."""

    case: str
    section: str
    against: str
    most: float
    ratio: float | None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where it was not measured."""
        return None if self.ratio is None else self.ratio <= self.most


def _rounds(rows: Sequence[Row], case: str, section: str, peer: str) -> dict[int, Times]:
    own = [row for row in rows if (row.case, row.peer) == (case, peer)]
    return {row.round: row.sections[section] for row in own if section in row.sections}


def sections_of(case: Case, rows: Sequence[Row]) -> list[str]:
    """List the timed sections of ``case``, in the order of its programs."""
    return list(dict.fromkeys(name for row in rows if row.case == case.name for name in row.sections))


def summarize(case: Case, section: str, rows: Sequence[Row]) -> list[Summary]:
    """Sum up one table, least CPU time first. A peer of which no round counted is not in it."""
    peers = dict.fromkeys(row.peer for row in rows if row.case == case.name)
    baseline = _rounds(rows, case.name, section, case.baseline)
    parts = [
        _summary(case, section, peer, _rounds(rows, case.name, section, peer), baseline) for peer in peers
    ]
    return sorted((part for part in parts if part.rounds), key=lambda part: part.cpu)


def _summary(
    case: Case, section: str, peer: str, own: Mapping[int, Times], baseline: Mapping[int, Times]
) -> Summary:
    cpu = [times.cpu for times in own.values()] or [0.0]
    wall = [times.wall for times in own.values()] or [0.0]
    return Summary(
        case=case.name,
        section=section,
        peer=peer,
        rounds=len(own),
        cpu=statistics.median(cpu),
        cpu_range=(min(cpu), max(cpu)),
        cpu_ratio=paired_ratio(own, baseline, lambda times: times.cpu),
        wall=statistics.median(wall),
        wall_ratio=paired_ratio(own, baseline, lambda times: times.wall),
    )


def judge(case: Case, rows: Sequence[Row]) -> list[Verdict]:
    """Compare evkit with each goal of ``case``."""
    verdicts = []
    for goal in case.goals:
        own = _rounds(rows, case.name, goal.section, SUBJECT)
        other = _rounds(rows, case.name, goal.section, goal.against)
        ratio = paired_ratio(own, other, lambda times: times.cpu)
        verdicts.append(Verdict(case.name, goal.section, goal.against, goal.most, ratio))
    return verdicts


def growth(case: Case, rows: Sequence[Row], section: str) -> dict[str, float]:
    """Tell what a unit costs each peer in ``case``, as a ratio to the same with fewer of them."""
    ratios = {}
    for peer in dict.fromkeys(row.peer for row in rows if row.case == case.name):
        many, few = (_rounds(rows, name, section, peer) for name in (case.name, case.fewer))
        ratio = paired_ratio(many, few, lambda times: times.cpu)
        if ratio is not None:
            ratios[peer] = ratio
    return ratios


# Text


def format_case(case: Case, rows: Sequence[Row]) -> str:
    """Write the tables of one case, and below them its goals and what did not count."""
    parts = [_format_section(case, section, rows) for section in sections_of(case, rows)]
    remarks = [*map(_format_verdict, judge(case, rows)), *_remarks(case, rows)]
    return "\n".join([case.title, *parts, *(f"  {remark}" for remark in remarks)])


def _format_section(case: Case, section: str, rows: Sequence[Row]) -> str:
    headings = (
        section,
        f"us CPU/{case.unit}",
        "range",
        f"x {case.baseline}",
        "us wall",
        f"x {case.baseline}",
    )
    text = format_table([headings, *map(_cells, summarize(case, section, rows))])
    if ratios := growth(case, rows, section):
        told = ", ".join(f"{peer} {ratio:.2f}" for peer, ratio in ratios.items())
        text += f"\n  {section}, as a ratio to {case.fewer}: {told}"
    return text


def _cells(part: Summary) -> tuple[str, ...]:
    low, high = part.cpu_range
    return (
        part.peer,
        f"{part.cpu:.2f}",
        f"{low:.2f}-{high:.2f}",
        format_decimal(part.cpu_ratio, 2),
        f"{part.wall:.2f}",
        format_decimal(part.wall_ratio, 2),
    )


def _format_verdict(verdict: Verdict) -> str:
    goal = f"goal: {verdict.section}, {SUBJECT} at most {verdict.most:.2f} of {verdict.against}"
    if verdict.ratio is None:
        return f"{goal}: not measured"
    return f"{goal}: {verdict.ratio:.2f}, {'met' if verdict.met else 'MISSED'}"


def _remarks(case: Case, rows: Sequence[Row]) -> list[str]:
    own = [row for row in rows if row.case == case.name]
    grown: dict[str, int] = {}
    for row in own:
        if row.memory_growth is not None:
            grown[row.peer] = max(grown.get(row.peer, 0), row.memory_growth)
    remarks = [f"{peer}: memory grew by {size / _MB:.1f} MB at most" for peer, size in grown.items()]
    return [*remarks, *dict.fromkeys(f"{row.peer}: {row.error}" for row in own if row.error)]


def document(about: Mapping[str, Any], cases: Sequence[Case], rows: Sequence[Row]) -> dict[str, Any]:
    """Put all figures, raw and summed up, into what ``json.dump`` takes.

    Args:
        about: Machine, settings, versions: whatever a reader has to know; its keys stay at the top.
        cases: What was measured.
        rows: Every measurement.
    """
    return {
        **about,
        "rows": [asdict(row) for row in rows],
        "summaries": [
            asdict(part)
            for case in cases
            for section in sections_of(case, rows)
            for part in summarize(case, section, rows)
        ],
        "goals": [asdict(verdict) | {"met": verdict.met} for case in cases for verdict in judge(case, rows)],
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write all figures down, and say where; the folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nall figures: {path}")
