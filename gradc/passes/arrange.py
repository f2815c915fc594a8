"""The loop tree of a set of statements: a function of the set alone.

Enters: statements in topological order. Leaves: their `Tree`, with as few loops as the edges
between them allow. Always holds: axes are numbered in the order of their loops, from the outermost,
and those of a path ascend; a statement's path has exactly its axes, each once; what reads a fold
lies behind the loop that folds.

This is greedy typed loop fusion (Kennedy and McKinley 1993), once for each level of loops: a
statement joins the first bundle that has the loop it asks for and comes no earlier than what it
reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..graph import Graph
from ..ops.table import OPS
from .classes import Owned, axis_classes
from .factors import Map
from .statements import Role, Statement
from .tree import Item, Leaf, Loop, TileLoop, Tree

Key = tuple[int | None, ...]
"""What a statement asks for: () to be a leaf, (axis,) a loop, (row, column) a tile."""

Edge = tuple[int, int, Map]
"""A source, its reader, and where it reads."""


def arrange(graph: Graph, statements: Sequence[Statement]) -> Tree | None:
    """The loops of `statements`; None if one that looks for a place cannot do so in one nest."""
    classes = axis_classes(graph, statements)
    selecting = frozenset(s.node for s in statements if OPS[graph[s.node].op].better)
    ranks = _ranks(classes, statements, selecting)
    if ranks is None:
        return None
    axis_of = {dim: ranks[c] for dim, c in classes.items()}
    extent = {axis_of[s.node, k]: n for s in statements for k, n in enumerate(s.extents)}
    group = {s.node: s for s in statements}
    edges = [(r.source, s.node, r.map) for s in statements for r in s.reads if r.source in group]
    arranger = _Arranger(group, axis_of, selecting)
    items = arranger.items(list(statements), frozenset(), edges)
    tree = Tree(group, axis_of, extent, items)
    return tree if all(_is_one_nest(tree, n) for n in selecting) else None


def _axes(axis_of: Mapping[Owned, int], s: Statement, dims: Sequence[int]) -> list[int]:
    return [axis_of[s.node, k] for k in dims]


def _ranks(
    axis_of: Mapping[Owned, int], statements: Sequence[Statement], selecting: frozenset[int]
) -> dict[int, int] | None:
    """The order of the axes, from the outermost loop: that of the largest statements.

    What looks for a place has no array of accumulators, so the axes it looks along come last.
    """
    order: list[int] = []
    picks = [s for s in statements if s.node in selecting]
    rest = [s for s in statements if s.node not in selecting]
    rest.sort(key=lambda s: (s.role is Role.CONTRACT, -s.iterations, s.node))
    for s in (*picks, *rest):
        place = 0
        for axis in _axes(axis_of, s, _in_order(s, s.node in selecting)):
            if axis in order:
                place = max(place, order.index(axis) + 1)
            else:
                order.insert(place, axis)
                place += 1
    ranks = {axis: k for k, axis in enumerate(order)}
    for s in picks:
        kept = (ranks[a] for a in _axes(axis_of, s, s.result))
        if max(kept, default=-1) > min(ranks[a] for a in _axes(axis_of, s, sorted(s.folded))):
            return None
    return ranks


def _is_one_nest(tree: Tree, node: int) -> bool:
    """Whether all loops that a statement folds have nothing in between, and nobody in them folds
    less: there are no accumulators for the best of the best.
    """
    loops, folded = tree.paths[node][tree.fold_depth(node) :], tree.folded(node)
    items = [item for loop in loops if isinstance(loop, Loop) for item in loop.body]
    leaves = [item.node for item in items if isinstance(item, Leaf)]
    others = (tree.folded(n) & folded for n in leaves)
    return len(items) == len(loops) - 1 + len(leaves) and all(f in (set(), folded) for f in others)


def _in_order(s: Statement, selects: bool) -> list[int]:
    """A statement's dimensions in the order in which it would rather have their loops."""
    if selects:
        return [*s.result, *sorted(s.folded)]
    if s.product is None:
        return list(range(len(s.extents)))
    pair = [k for k in s.product.tile if k is not None]
    return [*(k for k in s.result if k not in pair), *pair, *sorted(s.folded)]


@dataclass
class _Bundle:
    """Statements that share a loop, a tile, or the place between loops."""

    key: Key
    nodes: list[Statement]


@dataclass(frozen=True)
class _Arranger:
    group: Mapping[int, Statement]
    axis_of: Mapping[Owned, int]
    selecting: frozenset[int]

    def items(
        self, statements: list[Statement], opened: frozenset[int], edges: Sequence[Edge]
    ) -> tuple[Item, ...]:
        """Loops over all axes that `statements` have left, inside of those `opened`."""
        here = {s.node for s in statements}
        within = [e for e in edges if e[0] in here and e[1] in here]
        into: dict[int, list[tuple[int, Map]]] = {}
        for source, reader, where in within:
            into.setdefault(reader, []).append((source, where))
        bundles: list[_Bundle] = []
        bundle_of: dict[int, int] = {}
        for s in statements:
            reads = [(bundle_of[p], p, where) for p, where in into.get(s.node, ())]
            k = self._place(s, opened, bundles, reads)
            bundles[k].nodes.append(s)
            bundle_of[s.node] = k
        found: list[Item] = []
        for b in bundles:
            found += self._bundled(b, opened, within)
        return tuple(found)

    def _bundled(self, b: _Bundle, opened: frozenset[int], edges: Sequence[Edge]) -> list[Item]:
        if not b.key:
            return [Leaf(s.node) for s in b.nodes]
        if len(b.key) == 2:
            first, *values = (s.node for s in b.nodes)
            return [TileLoop(first, tuple(values), tuple(a for a in b.key if a is not None))]
        (axis,) = b.key
        assert axis is not None
        return [Loop(axis, self.items(b.nodes, opened | {axis}, edges))]

    def _place(
        self,
        s: Statement,
        opened: frozenset[int],
        bundles: list[_Bundle],
        reads: Sequence[tuple[int, int, Map]],
    ) -> int:
        """The first bundle that `s` may join, or a new one at the end."""
        left = [a for a in _axes(self.axis_of, s, range(len(s.extents))) if a not in opened]
        wish = self._wish(s, left)
        for key in (*self._tiles(s, left, bundles), wish):
            earliest = 0
            for k, source, where in reads:
                same = bundles[k].key == key and self._aligned(source, s, where, key)
                earliest = max(earliest, k if same else k + 1)
            if len(key) == 2 and s.role is Role.CONTRACT:
                continue  # every contraction has a tile of its own
            for k in range(earliest, len(bundles)):
                if bundles[k].key == key:
                    return k
        bundles.append(_Bundle(wish, []))
        return len(bundles) - 1

    def _wish(self, s: Statement, left: Sequence[int]) -> Key:
        if s.product is not None:
            pair = tuple(None if k is None else self.axis_of[s.node, k] for k in s.product.tile)
            folded = _axes(self.axis_of, s, sorted(s.folded))
            outer = [a for a in left if a not in pair and a not in folded]
            return (min(outer),) if outer else pair
        return (min(left),) if left else ()

    def _tiles(self, s: Statement, left: Sequence[int], bundles: Sequence[_Bundle]) -> list[Key]:
        """The tiles that might take a statement in: those over all the axes it has left.

        A tile may fold its rows: what that leaves is one value for each column, or one in all.
        """
        if s.role is Role.CONTRACT or s.node in self.selecting or not left:
            return []
        folded = _axes(self.axis_of, s, sorted(s.folded))
        return [
            b.key
            for b in bundles
            if len(b.key) == 2
            and {a for a in b.key if a is not None} == set(left)
            and (s.role is Role.VALUE or b.key[0] in folded)
        ]

    def _aligned(self, source: int, s: Statement, where: Map, key: Key) -> bool:
        """Whether `s` reads of `source` only what the same iteration of the loops `key` makes."""
        return reads_own_iteration(self.axis_of, self.group[source], s, where, key)


def reads_own_iteration(
    axis_of: Mapping[Owned, int], source: Statement, reader: Statement, where: Map, key: Key
) -> bool:
    """Whether in every one of the loops `key` the reader takes what the same iteration has made."""
    folded = _axes(axis_of, source, sorted(source.folded))
    position = {axis_of[source.node, k]: d for d, k in enumerate(source.result)}
    for axis in key:
        if axis is None:
            continue
        k = where[position[axis]] if axis in position and axis not in folded else None
        if k is None or axis_of[reader.node, k] != axis:
            return False
    return True
