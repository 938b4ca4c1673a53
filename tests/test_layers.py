"""Who may import whom: the layers, the doors of third-party packages, and what the packages export."""

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import evkit
import evkit.errors

ROOT = Path(evkit.__file__).parent
SIBLINGS = ("http", "dns", "rpc", "extra")
BELOW = {
    "errors": set[str](),
    "core": {"core", "errors"},
    **{name: {name, "core", "errors"} for name in SIBLINGS},
    "testing": {"testing", "core", "errors"},
    "__init__": {"core", "errors"},
    "__main__": {"cli"},
    "cli": {"__init__", "cli", "testing", "core", "errors", *SIBLINGS},
}
"""The parts of evkit, and which of them each may import; ``__init__`` is the face, ``from evkit import EventBase``."""
DOORS = {
    "h11": "evkit.http.parser.h11_engine evkit.http.parser.response_h11",
    "brotli": "evkit.http.client.codings",
    "backports": "evkit.http.client.codings",
    "python_multipart": "evkit.http.forms.part_splitter",
    "dns": "evkit.dns.rdata",
    "idna": "evkit.dns.names evkit.http.host_names",
    "msgpack": "evkit.rpc",
    "argcomplete": "evkit.cli",
}
"""Third-party packages, by the name that they are imported by, and the module or package that may do it."""


def name_of(path: Path) -> str:
    parts = ("evkit", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


SOURCES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield what is imported anywhere in a module, for type checkers only too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            # "from evkit import core" imports a module too, so the name is told with it.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def offences(name: str, imported: list[str]) -> list[str]:
    """Return the imports that a module of that name may not have."""
    part = name.split(".")[1]
    found = []
    for target in imported:
        top, _, rest = target.partition(".")
        if top == "evkit":
            first = rest.split(".")[0]
            allowed = (first if first in BELOW else "__init__") in BELOW[part]
        elif top in DOORS:
            allowed = any(name == door or name.startswith(door + ".") for door in DOORS[top].split())
        else:
            allowed = top in sys.stdlib_module_names
        if not allowed:
            found.append(target)
    return found


def test_the_walk_finds_the_modules() -> None:
    assert {
        "evkit.__init__",
        "evkit.errors",
        "evkit.core",
        "evkit.core.base",
        "evkit.core.backends.epoll",
    } <= set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_imports_point_downwards_and_through_the_doors(name: str) -> None:
    tree = ast.parse(SOURCES[name].read_text(encoding="utf-8"))
    assert offences(name, list(imports(tree))) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("evkit.errors", "import evkit.core.base"),
        ("evkit.core.base", "from evkit.http import Server"),
        ("evkit.core.base", "from evkit import dns"),
        ("evkit.core.base", "from evkit.testing import ManualClock"),
        ("evkit.core.base", "from evkit import EventBase"),
        ("evkit.http.client", "import evkit"),
        ("evkit.core.net", "import dns.resolver"),
        ("evkit.core.net", "from .base import EventBase"),
        ("evkit.http.client", "def late():\n    from evkit.dns import Resolver"),
        ("evkit.http.client", "if TYPE_CHECKING:\n    from evkit.rpc import Client"),
        ("evkit.rpc.client.client", "import evkit.http"),
        ("evkit.dns.server", "import evkit.extra.tagging"),
        ("evkit.http.parser.native", "import h11"),
        ("evkit.http.parser.contract", "from h11 import Request"),
        ("evkit.http.parser.response_native", "import h11"),
        ("evkit.http.client.decoding", "import brotli"),
        ("evkit.http.client.decoding", "from backports import zstd"),
        ("evkit.dns.message", "import msgpack"),
        ("evkit.rpc.protocol.codec", "import dns.name"),
        ("evkit.extra.tagging", "import requests"),
        ("evkit.testing.clock", "import evkit.cli"),
        ("evkit.__init__", "from evkit.http import Server"),
    ],
)
def test_an_import_that_points_elsewhere_is_found(name: str, line: str) -> None:
    assert len(offences(name, list(imports(ast.parse(line))))) == 1


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("evkit.core.base", "import os, evkit.errors\nfrom evkit.core.event import Event"),
        ("evkit.http.parser.h11_engine", "import h11"),
        ("evkit.dns.rdata", "import dns.message\nfrom dns.name import Name"),
        ("evkit.rpc.protocol.codec", "import msgpack"),
        ("evkit.cli.info", "from evkit import EventBase, __version__"),
        (
            "evkit.cli.serve",
            "from evkit.http import Server\nfrom evkit.dns import Resolver\nimport argcomplete",
        ),
    ],
)
def test_an_import_that_is_allowed_is_not(name: str, line: str) -> None:
    assert offences(name, list(imports(ast.parse(line)))) == []


_LOADED_BY = """
import sys
before = set(sys.modules)
import {name}
print(*sorted({{module.partition(".")[0] for module in set(sys.modules) - before}}))
"""


@pytest.mark.parametrize("name", ["evkit", "evkit.core", "evkit.http"])
def test_importing_loads_no_third_party_package(name: str) -> None:
    if name not in SOURCES and f"{name}.__init__" not in SOURCES:
        pytest.skip(f"there is no {name} yet")
    run = subprocess.run(
        [sys.executable, "-c", _LOADED_BY.format(name=name)], capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    loaded = set(run.stdout.split())
    assert "evkit" in loaded
    assert loaded - set(sys.stdlib_module_names) - {"evkit"} == set()


PACKAGES = [
    "evkit",
    *(f"evkit.{part}" for part in BELOW if (ROOT / part / "__init__.py").exists() and part != "cli"),
]


@pytest.mark.parametrize("name", PACKAGES)
def test_what_a_package_exports_is_there_and_once(name: str) -> None:
    package = importlib.import_module(name)
    exported: list[str] = list(getattr(package, "__all__", ()))
    assert sorted(set(exported)) == sorted(exported)
    things = [getattr(package, word) for word in exported]  # AttributeError: it is not there
    defined = [id(thing) for thing in things if inspect.isclass(thing) or inspect.isfunction(thing)]
    assert len(set(defined)) == len(defined)


@pytest.mark.parametrize("name", PACKAGES)
def test_what_a_package_exports_is_its_own(name: str) -> None:
    """A class has one public home: the package that defines it, and ``evkit`` itself for core and errors."""
    package = importlib.import_module(name)
    homes = ("evkit.core.", "evkit.errors") if name == "evkit" else (name + ".",)
    for word in getattr(package, "__all__", ()):
        thing = getattr(package, word)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__module__.startswith(homes), word


# The face of evkit: one list, in evkit.core


def tree_of(name: str) -> ast.Module:
    return ast.parse(SOURCES[name].read_text(encoding="utf-8"))


def listed(nodes: list[ast.stmt]) -> list[tuple[str, str]]:
    """Return the module and name of what these statements import by name."""
    return [
        (node.module or "", alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name != "*"
    ]


def later(tree: ast.Module) -> list[ast.stmt]:
    """Return what a module imports for type checkers only."""
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "typing.TYPE_CHECKING"
    return block.body


def test_every_name_is_listed_once() -> None:
    core, face = tree_of("evkit.core"), tree_of("evkit.__init__")
    of_core = listed(core.body + later(core))
    of_face = [(module, name) for module, name in listed(face.body) if module == "evkit.errors"]
    names = [name for _, name in of_core + of_face]
    assert sorted(names) == sorted(set(names))
    assert sorted(evkit.core.__all__) == sorted(name for _, name in of_core)
    assert sorted(evkit.__all__) == sorted([*names, "__version__"])


def test_every_name_is_told_to_type_checkers() -> None:
    """They take ``X as X`` for exported, and evkit's names from ``from evkit.core import *``."""
    core, face = tree_of("evkit.core"), tree_of("evkit.__init__")
    aliases = [
        alias
        for node in core.body + later(core) + face.body
        if isinstance(node, ast.ImportFrom) and node.module != "evkit"
        for alias in node.names
    ]
    assert [alias.name for alias in aliases if alias.asname != alias.name] == []
    assert [ast.unparse(node) for node in later(face)] == ["from evkit.core import *"]


def test_what_is_imported_later_is_what_type_checkers_see() -> None:
    seen = sorted(listed(later(tree_of("evkit.core"))))
    table = [
        (f"evkit.core.{part}", name) for part, names in evkit.core._LATER.items() for name in names.split()
    ]
    assert sorted(table) == seen


@pytest.mark.parametrize("name", evkit.core.__all__)
def test_a_name_of_the_core_is_a_name_of_evkit(name: str) -> None:
    assert getattr(evkit, name) is getattr(evkit.core, name)
    assert name in vars(evkit)
    assert name in vars(evkit.core)


def test_every_exception_is_exported() -> None:
    defined = {
        name
        for name, thing in vars(evkit.errors).items()
        if getattr(thing, "__module__", "") == "evkit.errors"
    }
    assert defined <= set(evkit.__all__)


@pytest.mark.parametrize("package", [evkit, evkit.core])
def test_a_name_that_is_not_there(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'typo'"):
        _ = package.typo


_LOADS_LATER = """
import sys
import evkit
loaded = set(sys.modules)
assert "ssl" not in loaded, "a program pays for TLS that it does not use"
assert "TLSBufferEvent" in dir(evkit)
assert "TLSBufferEvent" in dir(evkit.core)
from evkit import TLSBufferEvent
assert "ssl" in sys.modules
assert "TLSBufferEvent" in vars(evkit), "the next one asks again"
"""


def test_what_is_costly_is_imported_when_it_is_asked_for() -> None:
    subprocess.run([sys.executable, "-c", _LOADS_LATER], check=True)
