"""``evkit info``: what this evkit can do on this machine.

Gathers facts through the public interface, then shows them as text or JSON. Changes nothing.
"""

import json
import platform
import resource
from argparse import ArgumentParser, Namespace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from evkit import (
    FEATURE_EARLY_CLOSE,
    FEATURE_ET,
    FEATURE_FDS,
    FEATURE_O1,
    EventBase,
    Features,
    NoBackendError,
    __version__,
    features,
)
from evkit.cli.terminal import show
from evkit.http import Limits, engines, make_engine

_FEATURES: Final = (
    (FEATURE_ET, "edge-triggered events"),
    (FEATURE_O1, "cost independent of the number of descriptors"),
    (FEATURE_FDS, "files, too"),
    (FEATURE_EARLY_CLOSE, "early close"),
)
_NATIVE: Final = "native"
"""The engine that is part of evkit; the others are named as the packages that they need."""


def configure(parser: ArgumentParser) -> None:
    """Tell ``parser`` the options of this command."""
    parser.add_argument("--json", action="store_true", help="write one JSON object")


def run(arguments: Namespace) -> int:
    """Print what there is to know; return 0."""
    facts = gather()
    show(json.dumps(facts, indent=2) if arguments.json else as_text(facts))
    return 0


def gather() -> dict[str, Any]:
    """Return the facts, as JSON takes them."""
    found = features()
    return {
        "version": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "backends": _backends(found),
        "engines": [_engine(name) for name in engines],
        "features": {
            "clock": found.clock,
            "clock resolution": found.clock_resolution,
            "TLS": found.tls,
            "IPv6": found.ipv6,
            "SO_REUSEPORT": found.reuse_port,
            "unix sockets": found.unix_sockets,
            "sendfile": found.sendfile,
            "eventfd": found.eventfd,
        },
        "open_files": _open_files(),
    }


def _backends(found: Features) -> list[dict[str, Any]]:
    """List the backends, the preferred one first."""
    try:
        with EventBase() as base:
            chosen = base.method
    except NoBackendError:  # the environment speaks against all of them
        chosen = ""
    return [
        {
            "name": name,
            "chosen": name == chosen,
            "features": [words for bit, words in _FEATURES if bits & bit],
        }
        for name, bits in found.backends.items()
    ]


def _engine(name: str) -> dict[str, Any]:
    try:
        make_engine(name, Limits())
    except ImportError:
        return {"name": name, "available": False, "version": None}
    return {"name": name, "available": True, "version": _engine_version(name)}


def _engine_version(name: str) -> str | None:
    if name == _NATIVE:
        return __version__
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _open_files() -> dict[str, int | None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinity = resource.RLIM_INFINITY
    return {"soft": None if soft == infinity else soft, "hard": None if hard == infinity else hard}


def as_text(facts: dict[str, Any]) -> str:
    """Write the facts of `gather` for a human reader."""
    lines = [
        f"evkit {facts['version']}, {facts['python']}, {facts['platform']}",
        "",
        "Backends, the preferred first:",
    ]
    for backend in facts["backends"]:
        mark = "*" if backend["chosen"] else " "
        lines.append(f" {mark} {backend['name']:8}{', '.join(backend['features'])}")
    lines += ["   (* is what an event base gets)", "", "HTTP engines:"]
    for engine in facts["engines"]:
        state = engine["version"] or "available" if engine["available"] else "not installed"
        lines.append(f"   {engine['name']:8}{state}")
    lines += ["", "Platform:"]
    lines += [f"   {name}: {_words(fact)}" for name, fact in facts["features"].items()]
    soft, hard = (facts["open_files"][key] or "unlimited" for key in ("soft", "hard"))
    lines.append(f"   open files: {soft}, at most {hard} (evkit serve takes what it may)")
    return "\n".join(lines)


def _words(fact: bool | float | str | None) -> str:
    """Write what `features` has found: there or not, a number of seconds, a name."""
    if isinstance(fact, bool) or fact is None:
        return "yes" if fact else "no"
    return f"{fact:g} s" if isinstance(fact, float) else fact
