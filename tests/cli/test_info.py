"""``evkit info``: what it says is what the library does."""

import json
import sys
from dataclasses import fields

import pytest

from evkit import EventBase, Features, __version__, features, supported_methods
from evkit.cli import main
from evkit.cli.info import as_text, gather


def test_json_holds_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["version"] == __version__
    assert [backend["name"] for backend in facts["backends"]] == supported_methods()
    with EventBase() as base:
        assert [backend["name"] for backend in facts["backends"] if backend["chosen"]] == [base.method]
    assert {engine["name"]: engine["available"] for engine in facts["engines"]} == {
        "native": True,
        "h11": True,
    }
    assert facts["open_files"].keys() == {"soft", "hard"}


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"evkit {__version__}, ")
    for name in (*supported_methods(), "native", "h11"):
        assert f" {name} " in text
    assert text.count(" * ") == 1


def test_the_environment_moves_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"EVENT_NO{supported_methods()[0].upper()}", "1")
    assert [backend["name"] for backend in gather()["backends"] if backend["chosen"]] == [
        supported_methods()[1]
    ]


def test_no_backend_is_chosen_where_all_are_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in supported_methods():
        monkeypatch.setenv(f"EVENT_NO{name.upper()}", "1")
    facts = gather()
    assert not any(backend["chosen"] for backend in facts["backends"])
    assert all(backend["name"] in as_text(facts) for backend in facts["backends"])


def test_an_engine_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evkit.http.parser.h11_engine", None)  # importing it fails from now on
    facts = gather()
    assert facts["engines"][1] == {"name": "h11", "available": False, "version": None}
    assert "h11     not installed" in as_text(facts)


def test_features_in_words() -> None:
    features = {backend["name"]: backend["features"] for backend in gather()["backends"]}
    assert features["select"] == ["files, too"]
    if "epoll" in features:
        assert "edge-triggered events" in features["epoll"]
        assert "files, too" not in features["epoll"]


def test_platform_is_what_the_library_finds() -> None:
    facts, found = gather()["features"], features()
    assert facts == {
        "clock": found.clock,
        "clock resolution": found.clock_resolution,
        "TLS": found.tls,
        "IPv6": found.ipv6,
        "SO_REUSEPORT": found.reuse_port,
        "unix sockets": found.unix_sockets,
        "sendfile": found.sendfile,
        "eventfd": found.eventfd,
    }
    assert len(facts) == len(
        fields(Features)
    )  # none is forgotten: `tls` is no field, and the backends stand apart


def test_platform_in_words() -> None:
    found = {"clock": "ticks()", "clock resolution": 1e-09, "TLS": None, "IPv6": False, "sendfile": True}
    words = as_text(gather() | {"features": found}).partition("Platform:\n")[2].splitlines()
    assert words[:-1] == [
        "   clock: ticks()",
        "   clock resolution: 1e-09 s",
        "   TLS: no",
        "   IPv6: no",
        "   sendfile: yes",
    ]


def test_limits_without_end_are_words() -> None:
    facts = gather() | {"open_files": {"soft": None, "hard": None}}
    assert "open files: unlimited, at most unlimited" in as_text(facts)
