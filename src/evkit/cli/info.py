"""``evkit info``: what this evkit can do on this machine.

Gathers facts through the public interface, then shows them as text or JSON. Changes nothing.
"""

import json
import os
import platform
import resource
import select
import socket
from argparse import ArgumentParser, Namespace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from evkit import (
    BASE_IGNORE_ENV,
    FEATURE_EARLY_CLOSE,
    FEATURE_ET,
    FEATURE_FDS,
    FEATURE_O1,
    EventBase,
    EventConfig,
    NoBackendError,
    __version__,
    supported_methods,
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
    return {
        "version": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "backends": _backends(),
        "engines": [_engine(name) for name in engines],
        "features": {
            "sendfile": hasattr(os, "sendfile"),
            "unix sockets": hasattr(socket, "AF_UNIX"),
            "IPv6": socket.has_ipv6,
            "SO_REUSEPORT": hasattr(socket, "SO_REUSEPORT"),
            "early close with poll": hasattr(select, "POLLRDHUP"),
        },
        "open_files": _open_files(),
    }


def _backends() -> list[dict[str, Any]]:
    """List the backends, the preferred one first."""
    try:
        with EventBase() as base:
            chosen = base.method
    except NoBackendError:  # the environment speaks against all of them
        chosen = ""
    return [_backend(name, chosen=name == chosen) for name in supported_methods()]


def _backend(name: str, *, chosen: bool) -> dict[str, Any]:
    others = [other for other in supported_methods() if other != name]
    with EventBase(EventConfig(avoid=others, flags=BASE_IGNORE_ENV)) as base:
        features = [words for bit, words in _FEATURES if base.features & bit]
    return {"name": name, "chosen": chosen, "features": features}


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
    lines += [f"   {name}: {'yes' if there else 'no'}" for name, there in facts["features"].items()]
    soft, hard = (facts["open_files"][key] or "unlimited" for key in ("soft", "hard"))
    lines.append(f"   open files: {soft}, at most {hard} (evkit serve takes what it may)")
    return "\n".join(lines)
