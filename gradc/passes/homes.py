"""Where each value of a kernel lives while the kernel runs: a function of its tree's paths alone.

Enters: a tree and what it stores in memory. Leaves: a `Home` for each statement, and the bytes of
local memory they need. Always holds: whoever reads a value finds it at its home. A value that is
read only in the iteration that makes it stays in a register, a fold in its accumulator; what is
stored is read from memory by later loops; everything else is kept in an array that has the axes
which the loops around it and all its readers do not fix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from ..dtypes import item_bytes
from ..graph import Graph
from .statements import Role
from .tree import Loop, Tree, axes_of, shared


@dataclass(frozen=True)
class Home:
    """Where one statement's value is.

    It can be read from its register or accumulator inside the first `depth` loops of its path.
    `kept`: the factors of its result that an array of it has, or None if it needs no array.
    `common` loops are around it and all its `readers`.
    """

    depth: int
    kept: tuple[int, ...] | None
    common: int
    readers: int


def homes(tree: Tree, stored: frozenset[int]) -> dict[int, Home]:
    """The home of each statement of a tree that writes `stored` to memory."""
    readers: dict[int, dict[int, None]] = {n: {} for n in tree.statements}
    for s in tree.statements.values():
        for read in s.reads:
            if read.source in readers:
                readers[read.source][s.node] = None
    return {n: _home(tree, n, list(readers[n]), n in stored) for n in tree.statements}


def _home(tree: Tree, node: int, readers: list[int], stored: bool) -> Home:
    s, path = tree.statements[node], tree.paths[node]
    depth = tree.fold_depth(node) if s.role is Role.FOLD else len(path)
    common = min((shared(path, tree.paths[r]) for r in readers), default=depth)
    common = min(common, depth)
    # Tiles take their operands from arrays only.
    factor = any(tree.statements[r].role is Role.CONTRACT for r in readers)
    if stored or (common == depth and not factor):
        return Home(depth, None, common, len(readers))
    opened = {loop.axis for loop in path[:common] if isinstance(loop, Loop)}
    kept = tuple(d for d, axis in enumerate(tree.result(node)) if axis not in opened)
    return Home(depth, kept, common, len(readers))


def accumulated(tree: Tree, node: int) -> tuple[int, ...]:
    """The factors of a fold's result that its accumulators are an array over: those of the loops
    inside of the outermost one it folds.
    """
    inside = {a for loop in tree.paths[node][tree.fold_depth(node) :] for a in axes_of(loop)}
    return tuple(d for d, axis in enumerate(tree.result(node)) if axis in inside)


def local_bytes(graph: Graph, tree: Tree, places: Mapping[int, Home]) -> int:
    """The bytes of arrays that the kernel needs for itself, on the stack or in the arena."""
    total = 0
    for n, home in places.items():
        s, size = tree.statements[n], item_bytes(graph[n].dtype)
        if home.kept is not None:
            total += size * prod(s.shape[d] for d in home.kept)
        if s.role is Role.FOLD:
            total += size * prod(s.shape[d] for d in accumulated(tree, n))
    return total
