"""What a machine can check of the documentation: names, defaults and links are right, samples compile and run."""

import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import NamedTuple

import pytest

import evkit
from evkit import EventBase
from evkit.core.bufferevent.socket import DEFAULT_MAX_SINGLE_READ
from evkit.core.listener import DEFAULT_BACKLOG
from evkit.http import Limits, Server, Timeouts, connection, exchange, farewell
from evkit.http.server import DEFAULT_MAX_BODY, DEFAULT_MAX_CONNECTIONS
from running import PATIENCE

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
RUNS = "# runs\n"
NONE = "\u2013"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Sample(NamedTuple):
    where: str
    source: str


class Row(NamedTuple):
    libevent: str
    ours: str
    remark: str


def samples() -> Iterator[Sample]:
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in _FENCE.finditer(text):
            if match[1] == "python":
                line = text.count("\n", 0, match.start()) + 2
                yield Sample(f"{page.relative_to(ROOT)}:{line}", match[2])


def rows() -> list[Row]:
    """Return the rows of the tables of docs/libevent.md, their heads left out."""
    found = []
    for line in (ROOT / "docs/libevent.md").read_text("utf-8").splitlines():
        if line.startswith("| ") and not line.startswith(("| ---", "| libevent |")):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == 3, line
            found.append(Row(*cells))
    return found


def names(cell: str) -> list[str]:
    return [str(name) for name in _CODE.findall(cell)]


def exists(name: str) -> bool:
    """Return whether ``name`` stands for something: dotted from a module, or from what `evkit` exports."""
    parts = name.split(".")
    found: object = evkit
    if parts[0] == "evkit":
        parts = parts[1:]
        path = "evkit"
        while parts and hasattr(found, "__path__") and importlib.util.find_spec(f"{path}.{parts[0]}"):
            path += f".{parts.pop(0)}"
            found = importlib.import_module(path)
    for part in parts:
        found = _with_attributes(found)
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


def _with_attributes(found: object) -> object:
    """Return an object of those classes whose attributes are on their objects alone."""
    if found in (EventBase, Server):
        base = EventBase()
        base.close()
        return base if found is EventBase else Server(base)
    return found


LIBEVENT_ROWS = rows()


@pytest.mark.parametrize("name", sorted({name for row in LIBEVENT_ROWS for name in names(row.ours)}))
def test_name_of_the_table_exists(name: str) -> None:
    assert exists(name)


def test_a_name_that_does_not_exist_is_noticed() -> None:
    for name in ("EventBase.nothing", "evkit.nothing", "Nothing", "evkit.core.net.nothing"):
        assert not exists(name)


@pytest.mark.parametrize("row", LIBEVENT_ROWS, ids=lambda row: names(row.libevent)[0])
def test_row_says_what_to_use_or_why_there_is_nothing(row: Row) -> None:
    assert names(row.libevent)
    assert names(row.ours) or (row.ours == NONE and row.remark)


def test_table_names_each_function_once() -> None:
    listed = [name for row in LIBEVENT_ROWS for name in names(row.libevent)]
    assert len(listed) > 400
    assert sorted(listed) == sorted(set(listed))


@pytest.mark.parametrize("constant", ["FEATURE", "LOG", "COUNT", "BASE", "EOL", "EV", "EVLOOP", "BEV_EVENT"])
def test_constants_in_the_pages_exist(constant: str) -> None:
    # EV_FINALIZE and the like must not be taught before they are there.
    pattern = re.compile(rf"\b{constant}_[A-Z0-9_]+\b")
    used = {name for page in PAGES for name in pattern.findall(page.read_text("utf-8"))}
    assert {name for name in used if not hasattr(evkit, name)} <= _OF_LIBEVENT


_OF_LIBEVENT = {"EV_RATE_LIMIT_MAX"}


def default_beside(page: str, setting: str) -> float | None:
    """Return the number in the row of a table that has ``setting`` in it; None where it says "none"."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| ") and setting in line]
    for cell in row.strip("|").split("|"):
        number = re.fullmatch(r"([0-9,.]+)( bytes| s)?", cell.strip())
        if number:
            return float(number[1].replace(",", ""))
    assert "| none |" in row
    return None


@pytest.mark.parametrize("field", fields(Limits), ids=lambda field: field.name)
def test_default_limit(field: Field[int]) -> None:
    assert default_beside("http.md", f"`Limits({field.name}=…)`") == getattr(Limits(), field.name)


@pytest.mark.parametrize("field", fields(Timeouts), ids=lambda field: field.name)
def test_default_time_out(field: Field[float]) -> None:
    assert default_beside("http.md", f"`Timeouts({field.name}=…)`") == getattr(Timeouts(), field.name)


@pytest.mark.parametrize(
    ("page", "setting", "default"),
    [
        ("http.md", "`Server(max_body=…)`", DEFAULT_MAX_BODY),
        ("http.md", "`Server(max_connections=…)`", DEFAULT_MAX_CONNECTIONS),
        ("http.md", "pipelined requests", connection._MAX_INPUT),
        ("http.md", "does not read", exchange.MAX_OUTPUT),
        ("http.md", "after the last reply |", farewell._MAX_DISCARDED),
        ("core.md", "`max_single_read`", DEFAULT_MAX_SINGLE_READ),
        ("core.md", "`backlog`", DEFAULT_BACKLOG),
    ],
)
def test_other_default(page: str, setting: str, default: int) -> None:
    assert default_beside(page, setting) == default


@pytest.mark.parametrize("sample", list(samples()), ids=lambda sample: sample.where)
def test_sample_compiles(sample: Sample) -> None:
    compile(sample.source, sample.where, "exec", dont_inherit=True)


@pytest.mark.parametrize(
    "sample",
    [sample for sample in samples() if sample.source.startswith(RUNS)],
    ids=lambda sample: sample.where,
)
def test_complete_program_runs(sample: Sample, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", sample.source],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_there_are_programs_to_run() -> None:
    assert sum(sample.source.startswith(RUNS) for sample in samples()) >= 8


def anchor(heading: str) -> str:
    """Return the anchor that a heading gets on the usual sites."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text("utf-8"))
    for link in _LINK.findall(text):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if fragment:
            assert fragment in map(anchor, _HEADING.findall(target.read_text("utf-8"))), link
