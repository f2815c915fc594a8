"""Reductions in a loop tree: which accumulators each has, and who adds to them when.

Enters: a tree with its places. Leaves: the statements that start, feed and finish reductions.
Always holds: accumulators start in front of the outermost loop that folds and are read behind it;
one place decides what they are (`_accumulator`), so that whoever feeds them cannot disagree.

A reduction whose loops all belong to one nest is a `Fold` of that nest (see `sweep`). One that goes
on around other loops has an accumulator that outlives the nest: one number, partial sums of it, or
an array with the axes in between that it does not fold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from ..dtypes import item_bytes
from ..graph import Graph
from ..index import Index, Indices, Var, at, flatten
from ..ops.table import OPS
from ..passes.cost import CHAIN, LANES, SUMS_BYTES
from ..passes.homes import accumulated
from ..passes.statements import Role
from ..passes.tree import Leaf, Loop, TileLoop, Tree, axes_of
from .contraction import is_small
from .flat import merged_loops
from .folds import splits
from .nest import Load, Ref, Simple, Store
from .places import Env, Places
from .pointwise import Body
from .target import Target
from .totals import Accumulator, LaneTotal, TileTotal, Total, Totals


@dataclass
class Running:
    """A reduction whose loops are open. Behind iterations of the loops `rows` blocks may end."""

    accumulator: Accumulator
    rows: tuple[int, ...]
    kept: tuple[int, ...]


class Folds:
    """The reductions of one kernel."""

    def __init__(self, graph: Graph, tree: Tree, places: Places, target: Target) -> None:
        self.graph, self.tree, self.places, self.target = graph, tree, places, target
        self.elements = places.elements
        self.running: dict[int, Running] = {}
        self._all = {n for n, s in tree.statements.items() if s.role is Role.FOLD}
        self._inside: dict[int, list[int]] = {}
        for n, path in tree.paths.items():
            if n in self._all:
                for loop in path:
                    self._inside.setdefault(id(loop), []).append(n)

    def starting(self, loop: Loop | TileLoop) -> list[int]:
        """The reductions of which this is the outermost loop that they fold."""
        found = self._inside.get(id(loop), ())
        return [n for n in found if self.tree.paths[n][self.tree.fold_depth(n)] is loop]

    def selects(self, node: int) -> bool:
        """Whether a reduction looks for a place."""
        return OPS[self.graph[node].op].better is not None

    def splits(self, node: int) -> bool:
        """Whether a long row of a reduction is folded in partial results."""
        return splits(self.graph[node].op, self.graph[node].dtype)

    def lanes(self, nodes: Iterable[int], axes: Iterable[int], extent: int) -> int:
        """How many elements of an innermost loop over `axes` are taken side by side; 0 for one."""
        folding = (n for n in nodes if not self.tree.folded(n).isdisjoint(axes))
        return LANES if extent >= 2 * LANES and any(map(self.splits, folding)) else 0

    def nest(self, loop: Loop) -> tuple[list[Loop], list[int]] | None:
        """The loops from `loop` inward and the statements in the innermost, if these are all there
        is, and no reduction starts in between.
        """
        chain = [loop]
        while len(chain[-1].body) == 1 and isinstance(inner := chain[-1].body[0], Loop):
            chain.append(inner)
        leaves = [item.node for item in chain[-1].body if isinstance(item, Leaf)]
        whole = len(leaves) == len(chain[-1].body)
        starts = any(self.starting(inner) for inner in chain[1:])
        return (chain, leaves) if whole and not starts else None

    def swept(self, axes: Sequence[int], leaves: Iterable[int]) -> tuple[int, ...]:
        """The innermost of the axes of a nest of which each reduction folds all or none."""
        folded = [self.tree.folded(n) for n in leaves if n in self._all]
        for cut in range(len(axes)):
            inside = {a for a in axes[cut:] if self.tree.extent[a] > 1}
            if all((inside & f) in (set(), inside) for f in folded):
                return tuple(axes[cut:])
        return tuple(axes[-1:])

    def start(self, node: int, body: Body) -> None:
        """Make the accumulators of a reduction."""
        kept = accumulated(self.tree, node)
        rows = self._rows(node)
        accumulator = self._accumulator(node, kept, rows)
        self.running[node] = Running(accumulator, rows, kept)
        accumulator.start(body)

    def _rows(self, node: int) -> tuple[int, ...]:
        """The loops around all that a block of additions is made of."""
        tree, folded = self.tree, self.tree.folded(node)
        within: tuple[int, ...] = ()
        for k, loop in enumerate(tree.paths[node]):
            if isinstance(loop, Loop) and (found := self.nest(loop)) is not None:
                axes = [inner.axis for inner in tree.paths[node][k:] if isinstance(inner, Loop)]
                within = self.swept(axes, found[1])
                break
        rows: list[int] = []
        for loop in tree.paths[node][tree.fold_depth(node) :]:
            if isinstance(loop, TileLoop) or loop.axis not in folded or loop.axis in within:
                break
            if tree.extent[loop.axis] > 1:
                rows.append(loop.axis)
        return tuple(rows)

    def _accumulator(self, node: int, kept: Sequence[int], rows: Sequence[int]) -> Accumulator:
        tree, graph, s = self.tree, self.graph, self.tree.statements[node]
        shape = [s.shape[d] for d in kept]
        whole = prod(tree.extent[a] for a in tree.folded(node))
        inner = whole // max(1, prod(tree.extent[a] for a in rows))
        last = tree.paths[node][-1]
        joins = not tree.folded(node).isdisjoint(axes_of(last))  # takes what inner loops have made
        if kept:
            period = 0 if joins or not rows else max(1, CHAIN // max(1, inner))
            return Totals(
                graph[node], prod(shape), whole, period, self.places.array,
                self.elements.label(node),
            )  # fmt: skip
        if isinstance(last, TileLoop):
            width = self._tile_width(last)
            return TileTotal(graph[node], width, whole) if width else Total(graph[node], whole)
        steps = inner // LANES
        if rows and 0 < steps <= CHAIN and self.splits(node) and self._in_lanes(last):
            return LaneTotal(graph[node], whole // LANES, max(1, CHAIN // steps))
        return Total(graph[node], whole)

    def _tile_width(self, item: TileLoop) -> int:
        """The most columns a tile can have, whichever way it lies; 0 where there are none."""
        dtype, extents = self.graph[item.contract].dtype, [self.tree.extent[a] for a in item.axes]
        depth = prod(self.tree.extent[a] for a in self.tree.folded(item.contract))
        if is_small(dtype, prod(extents) * depth):
            return 0
        lanes = self.target.lanes(dtype)
        if lanes == 1:
            return min(max(extents), SUMS_BYTES // item_bytes(dtype))
        rows = extents if len(extents) > 1 else [1]
        return max(self.target.tile(n).vectors * lanes for n in rows)

    def _in_lanes(self, loop: Loop) -> bool:
        """Whether an innermost loop is for certain one of lanes."""
        leaves = [item.node for item in loop.body if isinstance(item, Leaf)]
        folds = [n for n in leaves if n in self._all]
        plain = len(leaves) == len(loop.body)
        return plain and self.lanes(folds, (loop.axis,), self.tree.extent[loop.axis]) > 0

    def takes_lanes(self, node: int) -> bool:
        """Whether a running reduction takes every element of a lane loop by itself."""
        running = self.running.get(node)
        return running is not None and isinstance(running.accumulator, LaneTotal)

    def take(self, node: int, value: Simple, env: Env, lane: Index | None, body: Body) -> None:
        """One element, or the result of an inner loop, for the accumulators of a reduction."""
        running = self.running[node]
        position = self._position(node, self.places.result(node, env))
        running.accumulator.take(value, position, lane, body)

    def _position(self, node: int, index: Indices) -> Index:
        return self.places.within(node, self.running[node].kept, index)

    def end_row(self, axes: Sequence[int], env: Env, body: Body) -> None:
        """Behind an iteration of the loop over `axes`."""
        for running in self.running.values():
            if running.rows and running.rows[-1] in axes:
                extents = [self.tree.extent[a] for a in running.rows]
                position = flatten([env[a] for a in running.rows], extents)
                running.accumulator.end_row(position, body)

    def finish(self, node: int, env: Env, letters: Sequence[str], body: Body) -> None:
        """Behind the loops of a reduction: from now on its result can be read."""
        running = self.running.pop(node)
        read = running.accumulator.finish(body)
        kept = running.kept

        def element(index: Indices) -> Load | Simple:
            return read(self.places.within(node, kept, index))

        self.elements.local[node] = element
        self.keep(node, kept, env, letters, body)

    def finished(self, node: int, result: Ref, env: Env, body: Body) -> None:
        """One nest has folded all there is: from now on the result can be read."""
        self.elements.local[node] = lambda _: result
        self.keep(node, (), env, (), body)

    def keep(
        self, node: int, factors: Sequence[int], env: Env, letters: Sequence[str], body: Body
    ) -> None:
        """Put a finished reduction where others read it: the elements along `factors`."""
        if not self.places.is_kept(node):
            return
        tree, names = self.tree, self.elements.names
        axes = tree.result(node)
        own = [axes[d] for d in factors]
        read = self.elements.local[node]

        def placed(here: Indices) -> Indices:
            return self.places.result(node, {**env, **dict(zip(own, here, strict=True))})

        def touched(here: Indices) -> Iterable[Index]:
            index = placed(here)
            yield self.places.element(node, index)[1]
            if isinstance(found := read(index), Load):
                yield found.index

        loops = merged_loops(tuple(tree.extent[a] for a in own), touched)
        variables = tuple(
            Var(names.fresh(letter), n) for letter, n in zip(letters, loops.extents, strict=False)
        )
        with body.loops(variables) as inner:
            index = placed(loops.index([at(v) for v in variables]))
            value = self.elements.value(node, index, inner)
            inner.statements.append(Store(*self.places.element(node, index), value, (node,)))
        home = self.places.homes[node]
        if home.kept is not None or home.common < home.depth:
            self.places.read_back(node)
