"""Imports inside gradc run one way: every file may import only from rooms below its own.

The order is written down once, in `LAYERS`. Imports inside functions count (a late import is still
a dependency); imports under `if TYPE_CHECKING:` do not.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "gradc"

# Lowest first. Rooms on one line stand beside each other: neither may import the other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("diagnostics", "forks", "namespace"),
    ("calls",),
    ("errors",),
    ("dtypes", "files", "index"),
    ("conversion", "ops"),
    ("graph", "tree"),
    ("trace",),
    ("functions",),
    ("interpret",),
    ("autodiff",),
    ("nn", "optim", "passes"),
    ("lower",),
    ("emit",),
    ("toolchain",),
    ("pipeline",),
    ("program",),
    ("inspect", "train"),
    ("cli",),
    ("__init__", "__main__"),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def module_name(path: Path) -> str:
    """`gradc.ops.table` for gradc/ops/table.py; `gradc.ops` for gradc/ops/__init__.py."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(p): p for p in sorted(PACKAGE.rglob("*.py"))}


def room(module: str) -> str:
    """The room of a module: the first name below `gradc`; the package itself is `__init__`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports(tree: ast.AST, package: str, modules: set[str]) -> list[tuple[int, str]]:
    """Every module of gradc that a file imports, as (line, dotted name), relative names resolved.

    `package` is what one leading dot means in that file. A name imported from a package is the
    submodule of that name where there is one, and the package itself otherwise.
    """
    found: list[tuple[int, str]] = []
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            assert isinstance(node, ast.If)
            for branch in node.orelse:
                found += imports(ast.Module([branch], []), package, modules)
        elif isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.append((node.lineno, inner if inner in modules else base))
        else:
            found += imports(node, package, modules)
    return [(line, name) for line, name in found if name.split(".")[0] == "gradc"]


def imports_of(module: str) -> list[tuple[int, str]]:
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return imports(ast.parse(path.read_text(encoding="utf-8")), package, set(MODULES))


@pytest.mark.parametrize("module", MODULES)
def test_a_file_imports_only_from_below(module: str) -> None:
    own = room(module)
    assert own in LEVEL, f"give `{own}` its place in LAYERS"
    wrong = [
        f"gradc/{module.partition('.')[2].replace('.', '/')}:{line} imports {name}"
        for line, name in imports_of(module)
        if room(name) != own and LEVEL[room(name)] >= LEVEL[own]
    ]
    assert wrong == []


def test_every_room_of_the_order_exists() -> None:
    rooms = {room(m) for m in MODULES} | {"__init__"}
    assert [r for r in LEVEL if r not in rooms] == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from ..graph import Graph", ["gradc.graph"]),
        ("from .. import functions", ["gradc.functions"]),
        ("from .. import f32", ["gradc"]),
        ("from . import table", ["gradc.ops.table"]),
        ("import gradc.trace as t", ["gradc.trace"]),
        ("def f():\n    from gradc.trace import Value", ["gradc.trace"]),
        ("import numpy\nfrom os import path", []),
        ("if TYPE_CHECKING:\n    from ..graph import Graph", []),
        (
            "if typing.TYPE_CHECKING:\n    pass\nelse:\n    from ..graph import Graph",
            ["gradc.graph"],
        ),
    ],
)
def test_imports_are_resolved(source: str, expected: list[str]) -> None:
    known = {"gradc", "gradc.graph", "gradc.functions", "gradc.trace", "gradc.ops.table"}
    assert [name for _, name in imports(ast.parse(source), "gradc.ops", known)] == expected
