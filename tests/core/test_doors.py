"""Every module of the core comes to the others by their doors: what begins with an underscore is its owner's."""

import ast
from pathlib import Path

import pytest

import evkit.core

ROOT = Path(evkit.core.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))


def inner(node: ast.Attribute) -> bool:
    """Whether the attribute is an inner one: ``_x``, and not ``__x__``."""
    return node.attr.startswith("_") and not node.attr.endswith("__")


def of_itself(node: ast.Attribute) -> bool:
    """Whether the attribute is asked of ``self``, ``cls`` or ``super()``."""
    value = node.value.func if isinstance(node.value, ast.Call) else node.value
    return isinstance(value, ast.Name) and value.id in ("self", "cls", "super")


def intrusions(tree: ast.AST) -> list[str]:
    """Return the inner attributes of other objects that a module uses, two of the same class left out.

    What a module uses of ``self``, or defines, is its own class's, so it may use that of another object of it, too.
    """
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and inner(node)]
    own = {node.attr for node in used if of_itself(node)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return [ast.unparse(node) for node in used if node.attr not in own]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_reaches_into_another(path: Path) -> None:
    assert intrusions(ast.parse(path.read_text("utf-8"))) == []


def test_the_walk_finds_the_modules() -> None:
    assert {"base.py", "loop.py", "flow.py", "socket.py"} <= {path.name for path in SOURCES}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("self.input._owner = self", ["self.input._owner"]),
        ("buffer._append(data)", ["buffer._append"]),
        ("f().x._y", ["f().x._y"]),
        ("self._start()", []),
        ("super()._start()", []),
        ("event.callback.__name__", []),
        ("def move(self, other): self._segments += other._segments", []),
    ],
)
def test_reaching_in_is_noticed(line: str, found: list[str]) -> None:
    assert intrusions(ast.parse(line)) == found
