"""What the package exports, and whether its page tells of it: names, options and defaults."""

import inspect
import re
from dataclasses import fields
from pathlib import Path

import evkit.dns.server
from evkit.dns.server import ServerLimits, ServerPort, ServerRequest, ServerStatistics

PAGE = (Path(__file__).parents[3] / "docs/dns-server.md").read_text("utf-8")


def test_each_name_is_there_and_told_of() -> None:
    told = set(re.findall(r"\w+", PAGE))
    assert set(evkit.dns.server.__all__) <= told
    assert all(hasattr(evkit.dns.server, name) for name in evkit.dns.server.__all__)
    assert sorted(set(evkit.dns.server.__all__)) == sorted(evkit.dns.server.__all__)


def test_each_limit_is_told_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE.partition("## Limits")[2], re.MULTILINE)
    expected = {field.name: field.default for field in fields(ServerLimits)}
    assert dict(rows) == {
        name: "none" if default is None else f"{default:,}" for name, default in expected.items()
    }


def test_what_is_said_of_requests_and_ports_exists() -> None:
    spoken_of = {"request": ServerRequest, "port": ServerPort}
    found = set(re.findall(r"`(request|port)\.(\w+)", PAGE))
    assert len(found) > 20
    assert [(thing, name) for thing, name in sorted(found) if not hasattr(spoken_of[thing], name)] == []


def test_counts_have_a_meaning() -> None:
    told = inspect.getdoc(ServerStatistics) or ""
    assert [name for name in ServerStatistics.__slots__ if f"\n    {name}: " not in told] == []
