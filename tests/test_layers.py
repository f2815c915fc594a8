"""How gradc's source is built: imports run one way, and a fact stands in one place.

Every file may import only from rooms below its own, and within a room files do not import one
another in circles. The order of rooms is written down once, in `LAYERS`. Imports inside functions
count (a late import is still a dependency), and so do those for types alone (`if TYPE_CHECKING:`).
What a dtype is, is asked of dtypes.py; what an op is, of its row.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import networkx as nx
import pytest

from gradc.ops import OPS

PACKAGE = Path(__file__).resolve().parent.parent / "gradc"

# Lowest first. Rooms on one line stand beside each other: neither may import the other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("cnames", "forks", "namespace", "spans"),
    ("diagnostics",),
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
    ("plan",),
    ("emit", "stages"),
    ("boundary", "toolchain"),
    ("native", "pipeline"),
    ("inspect",),
    ("program",),
    ("train",),
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


def imports(tree: ast.AST, package: str, modules: set[str]) -> list[tuple[int, str]]:
    """Every module of gradc that a file imports, as (line, dotted name), relative names resolved.

    `package` is what one leading dot means in that file. A name imported from a package is the
    submodule of that name where there is one, and the package itself otherwise.
    """
    found: list[tuple[int, str]] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
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


def circles(imported: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The groups of files each of which depends on all others of its group."""
    graph = nx.DiGraph((a, b) for a, names in imported.items() for b in names if a != b)
    return sorted(sorted(c) for c in nx.strongly_connected_components(graph) if len(c) > 1)


def test_no_files_import_one_another_in_a_circle() -> None:
    assert circles({m: [name for _, name in imports_of(m)] for m in MODULES}) == []


def test_circles_are_found() -> None:
    found = circles({"a": ["b"], "b": ["c", "d"], "c": ["a"], "d": ["e"], "e": [], "f": ["f"]})
    assert found == [["a", "b", "c"]]


KNOW_GRAPHS = {"gradc.plan.tasks"}


def test_the_planner_knows_no_graph() -> None:
    """Tasks are made of groups in one file; everything behind it would plan anything else."""
    wrong = {
        module
        for module in MODULES
        if room(module) == "plan"
        and any(room(name) in ("graph", "ops", "passes") for _, name in imports_of(module))
    }
    assert wrong == KNOW_GRAPHS


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
        ("if TYPE_CHECKING:\n    from ..graph import Graph", ["gradc.graph"]),
    ],
)
def test_imports_are_resolved(source: str, expected: list[str]) -> None:
    known = {"gradc", "gradc.graph", "gradc.functions", "gradc.trace", "gradc.ops.table"}
    assert [name for _, name in imports(ast.parse(source), "gradc.ops", known)] == expected


SOURCES = {p.relative_to(PACKAGE).as_posix(): p for p in sorted(PACKAGE.rglob("*.py"))}
DTYPE_KINDS = frozenset("biufcmMOSUV")


def parsed(name: str) -> ast.Module:
    return ast.parse(SOURCES[name].read_text(encoding="utf-8"))


def dtype_questions(tree: ast.AST) -> Iterator[str]:
    """Where the size of a dtype's elements, or the letter of its kind, is asked for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "itemsize":
            yield f"{node.lineno}: {ast.unparse(node)}"
        if not isinstance(node, ast.Compare):
            continue
        sides = (node.left, *node.comparators)
        letters = [s for s in sides if isinstance(s, ast.Constant) and isinstance(s.value, str)]
        if any(isinstance(s, ast.Attribute) and s.attr == "kind" for s in sides) and any(
            s.value and DTYPE_KINDS.issuperset(s.value) for s in letters
        ):
            yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("name", [n for n in SOURCES if n != "dtypes.py"])
def test_only_dtypes_looks_into_a_dtype(name):
    assert list(dtype_questions(parsed(name))) == [], "ask a function of gradc/dtypes.py"


def test_such_questions_are_found():
    source = "a.dtype.kind == 'f' or x.itemsize > 4 or 'u' in (b.kind,) or b.kind in 'iu'"
    assert len(list(dtype_questions(ast.parse(source)))) == 3


# Where the names of ops may stand in tables and tests. Everywhere else a fact about an op is asked
# of its row, so that an op is one row; making a node of a named op is free to everyone.
MAY_NAME_OPS = {
    "passes/simplify.py": "algebra: each rule is about the ops that it names",
    "passes/integers.py": "algebra: each rule is about the ops that it names",
    "trace/refusals.py": "what people type instead is spelt like ops at times",
    "nn/activations.py": "`tanh` is the name of an approximation, as in PyTorch",
    "nn/recurrent.py": "`tanh` is the name of a nonlinearity, as in PyTorch",
    "nn/losses.py": "`sum` is the name of a reduction, as in PyTorch",
}


def op_names(tree: ast.Module) -> Iterator[str]:
    """Names of ops that are compared with, matched, or collected in a table."""
    public = {
        id(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for name in ast.walk(node.value)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Compare():
                found = [node.left, *node.comparators]
            case ast.MatchValue():
                found = [node.value]
            case ast.Dict():
                found = node.keys  # a value names what is to be made
            case ast.Set() | ast.Tuple() | ast.List():
                found = node.elts
            case _:
                continue
        for name in found:
            if isinstance(name, ast.Constant) and name.value in OPS and id(name) not in public:
                yield f"{name.lineno}: {name.value}"


@pytest.mark.parametrize("name", [n for n in SOURCES if not n.startswith("ops/")])
def test_facts_about_an_op_are_asked_of_its_row(name):
    found = list(op_names(parsed(name)))
    assert bool(found) == (name in MAY_NAME_OPS), found


def test_names_of_ops_are_found():
    source = """
__all__ = ["sum"]
node.op == "dot" or node.op in ("add", "sub") or {"mul"} or {"div": 1, 2: "pow"}
match node.op:
    case "reshape": make("exp", attrs["clip"])
"""
    names = {line.split()[1] for line in op_names(ast.parse(source))}
    assert names == {"dot", "add", "sub", "mul", "div", "reshape"}
