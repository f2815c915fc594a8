"""What a loop tree costs: bytes that move and operations, in one unit.

Enters: a tree and what it stores. Leaves: a price in sixteenths of a byte; one operation on one
element costs as much as one byte, which is what a vector operation and memory have in common on
many machines. Always holds: prices are integers and only choose between trees that are all right.

A buffer costs what one run of a loop moves of it, times the iterations of the loops around, except
where what an iteration touches is so little that it is still near in the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from ..dtypes import item_bytes
from ..graph import Graph
from ..ops.table import OPS
from .factors import Map
from .homes import Home, homes, local_bytes
from .statements import Role
from .tree import Item, Loop, TileLoop, Tree

UNIT = 16
"""A byte, or an operation."""

NEAR_BYTES = 24 * 1024
"""What is still in the first-level cache when it is read again."""

FAR_BYTES = 256 * 1024
"""The same of the second level."""

CALL = 1000 * UNIT
"""A kernel more."""

LOCAL_BYTES = 128 * 1024
"""The most that a kernel may keep in arrays of its own."""

WRITE = (3, 2)
"""A byte written, in bytes read: its cache line is often read first."""

Moved = dict[int, int]


def price(graph: Graph, tree: Tree, stored: frozenset[int]) -> int | None:
    """The price of a kernel; None where it would keep too much for itself."""
    places = homes(tree, stored)
    held = local_bytes(graph, tree, places)
    if held > LOCAL_BYTES:
        return None
    prices = _Prices(graph, tree, stored)
    moved, _ = prices.level(tree.items, ())
    return CALL + sum(moved.values()) + prices.operations + _kept(graph, places, held)


def _kept(graph: Graph, places: Mapping[int, Home], held: int) -> int:
    """Arrays of the kernel's own: written once, read by each reader, mostly while they are near."""
    total = 0
    for n, home in places.items():
        if home.kept is not None:
            share = UNIT if not home.common else 2 if held <= NEAR_BYTES else 4
            total += share * graph[n].nbytes * (3 + 2 * home.readers) // 2
    return total


class _Prices:
    def __init__(self, graph: Graph, tree: Tree, stored: frozenset[int]) -> None:
        self.graph, self.tree, self.stored = graph, tree, stored
        self.operations = 0
        self._counted: set[object] = set()
        self._along: set[tuple[int, int]] = set()

    def level(self, items: Sequence[Item], opened: tuple[int, ...]) -> tuple[Moved, Moved]:
        """What one run of `items` moves, and the bytes it touches, by buffer."""
        runs: list[Moved] = []
        touched: Moved = {}
        for item in items:
            if isinstance(item, Loop):
                runs.append(self._loop(item, opened, touched))
            else:
                nodes = item.nodes if isinstance(item, TileLoop) else (item.node,)
                runs.append(self._leaves(nodes, item, opened, touched))
        total = sum(touched.values())
        again = 0 if total <= NEAR_BYTES else 5 if total <= FAR_BYTES else UNIT
        if not opened:  # nothing is nearer between two loops of a kernel than between two kernels
            again = UNIT
        moved: Moved = {}
        for run in runs:
            for buffer, size in run.items():
                before = moved.get(buffer)
                if before is None:
                    moved[buffer] = size
                else:
                    moved[buffer] = max(before, size) + again * min(before, size) // UNIT
        return moved, touched

    def _loop(self, loop: Loop, opened: tuple[int, ...], touched: Moved) -> Moved:
        moved, foot = self.level(loop.body, (*opened, loop.axis))
        near = sum(foot.values()) <= NEAR_BYTES
        extent = self.tree.extent[loop.axis]
        whole: Moved = {}
        for buffer, size in moved.items():
            along = (buffer, loop.axis) in self._along
            whole[buffer] = size * extent if along or not near else size
            full = foot[buffer] * extent if along else foot[buffer]
            full = min(full, self.graph[buffer].nbytes)
            touched[buffer] = max(touched.get(buffer, 0), full)
        return whole

    def _leaves(
        self, nodes: Sequence[int], item: Item, opened: tuple[int, ...], touched: Moved
    ) -> Moved:
        """The statements of a leaf or a tile, at one iteration of the loops around."""
        moved: Moved = {}
        tile: frozenset[int] = frozenset()
        if isinstance(item, TileLoop):
            tile = frozenset(self.tree.all_axes(item.contract)) - set(opened)
        for n in nodes:
            self._work(n, opened)
            for buffer, where in self._accesses(n):
                size = item_bytes(self.graph[buffer].dtype)
                size *= prod(self.tree.extent[a] for a in where if a is not None and a in tile)
                cost = size * UNIT
                if buffer == n:
                    cost = cost * WRITE[0] // WRITE[1]
                moved[buffer] = max(moved.get(buffer, 0), cost)
                size = min(size, self.graph[buffer].nbytes)
                touched[buffer] = max(touched.get(buffer, 0), size)
                axes = {a for a in where if a is not None}
                if None in where:
                    axes |= set(self.tree.all_axes(n))
                self._along.update((buffer, a) for a in axes)
        return moved

    def _accesses(self, n: int) -> list[tuple[int, Map]]:
        """What a statement reads and writes in memory, with the axis of each factor."""
        tree, s = self.tree, self.tree.statements[n]
        found: list[tuple[int, Map]] = []
        for read in s.reads:
            if read.source in tree.statements and read.source not in self.stored:
                continue
            where = tuple(None if k is None else tree.axis_of[n, k] for k in read.map)
            found.append((read.source, where))
        if n in self.stored:
            found.append((n, tree.result(n)))
        return found

    def _work(self, n: int, opened: tuple[int, ...]) -> None:
        """The operations of a statement; what does not change in inner loops is done outside."""
        tree, s = self.tree, self.tree.statements[n]
        loop = id(tree.paths[n][-1]) if tree.paths[n] else 0
        todo: list[tuple[int, Map]] = list(s.inline)
        if s.role is Role.VALUE:
            todo.append((n, tuple(range(len(s.extents)))))
        for i, where in todo:
            axes = {None if k is None else tree.axis_of[n, k] for k in where}
            key = (loop, i, tuple(None if k is None else tree.axis_of[n, k] for k in where))
            if key in self._counted:
                continue
            self._counted.add(key)
            inside = [k for k, a in enumerate(opened) if a in axes]
            times = prod(tree.extent[a] for a in opened[: max(inside, default=-1) + 1])
            if None in axes or len(inside) < len(axes):  # read elsewhere, or inside of a tile
                times = s.iterations
            self.operations += round(OPS[self.graph[i].op].cost * UNIT) * times
        if s.role is Role.FOLD:
            self.operations += s.iterations * UNIT
