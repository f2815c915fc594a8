"""Elementwise nodes and reductions as one loop nest.

Enters: a graph, a group's `Domain` and the buffers it writes. Leaves: the statements of a kernel.
Always holds: a stored element is written exactly once, after everything it needs; levels of a row
run in ascending order, and one level's work over the same extents shares one loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod

from ..cnames import identifier
from ..dtypes import DType, item_bytes
from ..graph import Graph
from ..index import Index, Indices, Var, at, flatten
from ..ops.table import OPS
from ..passes.cost import LANES, STACK_BYTES
from ..passes.domain import Domain, fold_level
from .carried import Carried
from .flat import Loops, merged_loops, offsets_read
from .folds import Fold, splits, start_fold
from .nest import Array, Load, Param, Ref, Store
from .pointwise import Body, Elements, noun
from .sweep import additions, sweep

AXES = "ijklmnpq"


@dataclass
class Work:
    """What one inner loop computes: elements to store or keep, and reductions to fold."""

    kept: list[int] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)
    carried: list[int] = field(default_factory=list)

    def parts(self, folds: list[int]) -> tuple[Work, Work]:
        """The same without these reductions, and they alone."""
        kept, alone = Work(self.kept), Work()
        for i in self.folds:
            (alone if i in folds else kept).folds.append(i)
        for i in self.carried:
            (alone if i in folds else kept).carried.append(i)
        return kept, alone


class RowNest:
    """Lowers one group. `storage` names the buffers of the nodes the group writes."""

    def __init__(
        self, elements: Elements, graph: Graph, domain: Domain, storage: Mapping[int, str]
    ) -> None:
        self.elements = elements
        self.names = elements.names
        self.graph = graph
        # Without reductions there is one inner loop, and nothing to be done around it.
        plain = not (domain.trailing or domain.carried)
        self.domain = replace(domain, outer=0, rows=0) if plain else domain
        self.storage = storage
        self.scratch: list[Param] = []
        self.arrays: list[Array] = []
        self.kept: dict[int, str] = {}
        self.carried: dict[int, Carried] = {}

    def lower(self) -> Body:
        """The body of the kernel."""
        root, d = Body(names=self.names), self.domain
        prefix = self._axes(self._read_shape(next(iter(d.level)))[: d.depth], 0)
        index = tuple(at(v) for v in prefix)
        with root.loops(prefix[: d.outer]) as outside:
            rows = tuple(v.extent for v in prefix[d.outer :])
            for i in d.carried:
                node = self.graph[i]
                argument = self.graph[node.args[0]].shape
                self.carried[i] = Carried(node, argument, d.outer, rows, self._array)
                self.carried[i].start(outside)
            with outside.loops(prefix[d.outer :]) as row:
                for level in range(max(d.level.values()) + 1):
                    for inner, work in self._work_of(level):
                        self._inner_loop(inner, work, index, row)
                for carried in self.carried.values():
                    carried.end_row(flatten(index[d.outer :], rows), row)
            for i, carried in self.carried.items():
                self.elements.local[i] = carried.finish(outside)
            self._after(index[: d.outer], outside)
        root.statements[:0] = self.arrays
        return root

    def _letters(self, count: int, used: int) -> list[str]:
        return [AXES[k % len(AXES)] for k in range(used, used + count)]

    def _axes(self, shape: tuple[int, ...], used: int) -> tuple[Var, ...]:
        letters = self._letters(len(shape), used)
        return tuple(Var(self.names.fresh(name), n) for name, n in zip(letters, shape, strict=True))

    def _read_shape(self, node_id: int) -> tuple[int, ...]:
        """The shape a node is computed over: that of a reduction's argument, or its own."""
        node = self.graph[node_id]
        folds = node_id in self.domain.trailing or node_id in self.domain.carried
        return self.graph[node.args[0]].shape if folds else node.shape

    def _work_of(self, level: int) -> list[tuple[tuple[int, ...], Work]]:
        """One level's work by inner extents; whole rows first, since inner loops may need them."""
        d = self.domain
        found: dict[tuple[int, ...], Work] = {}
        for i, own in d.level.items():
            inner = self._read_shape(i)[d.depth :]
            if i in d.trailing or i in d.carried:
                if fold_level(self.graph, d, i) == level:
                    work = found.setdefault(inner, Work())
                    (work.folds if i in d.trailing else work.carried).append(i)
                if i in d.trailing and own == level and i in self.storage:
                    found.setdefault((), Work()).kept.append(i)
            elif d.scratch.get(i) == level or (i in self.storage and own == level):
                found.setdefault(inner, Work()).kept.append(i)
        return sorted(found.items(), key=lambda item: (len(item[0]), item[0]))

    # The loops inside a row

    def _inner_loop(self, inner: tuple[int, ...], work: Work, index: Indices, row: Body) -> None:
        loops = self._merged(inner, work, index, row)
        whole = [i for i in work.carried if not self.carried[i].shape] if loops.extents else []
        results = (*work.folds, *whole)
        long = bool(loops.extents) and loops.extents[-1] >= 2 * LANES
        split = [i for i in results if long and self._splits(i)]
        if split and len(split) < len(results):  # others would be in the way of the vectors
            for part in work.parts([i for i in results if i not in split]):
                self._inner_loop(inner, part, index, row)
            return
        width = LANES if split else 0
        folds = {i: self._start(i, loops.extents, width, row) for i in results}

        def visit(position: Indices, lane: Index | None, body: Body) -> None:
            self._element(work, (*index, *loops.index(position)), lane, body, folds)

        letters = self._letters(len(loops.extents), self.domain.depth)
        sweep(loops.extents, letters, width, tuple(folds.values()), row, visit)
        for i, fold in folds.items():
            result = fold.finish(row)
            if i in self.domain.trailing:
                self._read_result(i, result)
            else:
                self.carried[i].take(result, None, row)
        for i in work.kept:
            if i not in self.domain.trailing:
                self._read_back(i)

    def _start(self, node_id: int, extents: tuple[int, ...], width: int, row: Body) -> Fold:
        node = self.graph[node_id]
        dtype = self.graph[node.args[0]].dtype
        return start_fold(node, dtype, width, row, additions=additions(extents, width))

    def _merged(self, shape: tuple[int, ...], work: Work, index: Indices, body: Body) -> Loops:
        """The fewest loops for work over `shape`, inside of loops at `index`."""
        return merged_loops(shape, lambda here: self._touched(work, (*index, *here), body))

    def _touched(self, work: Work, index: Indices, body: Body) -> Iterator[Index]:
        """Every offset that an iteration of an inner loop reads or writes."""
        seen: set[tuple[int, Indices]] = set()
        for i in work.kept:
            yield from offsets_read(self.elements, i, index, body, seen)
            yield self._kept_offset(i, index)
        for i in (*work.folds, *work.carried):
            node = self.graph[i]
            yield from offsets_read(self.elements, node.args[0], index, body, seen)
            if i in work.carried and (total := self.carried[i].position(index)) is not None:
                yield total
            if OPS[node.op].better:
                yield index[-1]

    def _kept_offset(self, node_id: int, index: Indices) -> Index:
        """Where an element is kept: in memory, or in the row's scratch."""
        shape, skip = self.graph[node_id].shape, self.domain.depth
        if node_id in self.storage:
            return flatten(index, shape)
        return flatten(index[skip:], shape[skip:])

    def _splits(self, node_id: int) -> bool:
        node = self.graph[node_id]
        return splits(node.op, node.dtype)

    def _element(
        self,
        work: Work,
        index: Indices,
        lane: Index | None,
        body: Body,
        folds: dict[int, Fold],
    ) -> None:
        """One iteration of an inner loop."""
        for i in work.kept:
            value = self.elements.value(i, index, body)
            target = self.storage[i] if i in self.storage else self._scratch_of(i)
            body.statements.append(Store(target, self._kept_offset(i, index), value, (i,)))
        for i in (*work.folds, *work.carried):
            node = self.graph[i]
            value = self.elements.value(node.args[0], index, body)
            if i in folds:
                folds[i].take(value, lane, index[-1] if index else Index(), body)
            else:
                self.carried[i].take(value, self.carried[i].position(index), body)

    # Memory of a row

    def _array(self, name: str, dtype: DType, size: int) -> tuple[str, bool]:
        """A new local array; large ones become scratch in the arena. True if it is on the stack."""
        name = self.names.fresh(identifier(name))
        if size * item_bytes(dtype) <= STACK_BYTES:
            return name, True
        self.scratch.append(Param(name, dtype, size, (size,), written=True))
        return name, False

    def _scratch_of(self, node_id: int) -> str:
        """The row scratch of a value that a later level reads again."""
        if node_id not in self.kept:
            node = self.graph[node_id]
            size = prod(node.shape[self.domain.depth :])
            name, on_stack = self._array(f"{node.name or noun(node)}_row", node.dtype, size)
            self.kept[node_id] = name
            if on_stack:
                self.arrays.append(Array(name, node.dtype, size))
        return self.kept[node_id]

    def _read_result(self, node_id: int, result: Ref) -> None:
        """From now on a reduction of this row is its result, wherever in the row it is read."""
        self.elements.local[node_id] = lambda _: result

    def _read_back(self, node_id: int) -> None:
        """From now on the stored or kept copy of a node is read instead of computed."""
        node, depth = self.graph[node_id], self.domain.depth
        if node_id in self.storage:
            buffer, skip = self.storage[node_id], 0
        else:
            buffer, skip = self.kept[node_id], depth

        def read(index: Indices) -> Load:
            return Load(buffer, flatten(index[skip:], node.shape[skip:]), node.dtype)

        self.elements.local[node_id] = read

    # Behind the rows

    def _after(self, index: Indices, outside: Body) -> None:
        """Store what needs all rows to be done, values of one shape in one loop."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for i in sorted((*self.domain.carried, *self.domain.after)):
            if i in self.storage:
                by_shape.setdefault(self.graph[i].shape, []).append(i)
        for shape, stored in by_shape.items():
            done = Work(kept=stored)
            loops = self._merged(shape[self.domain.outer :], done, index, outside)
            variables = self._axes(loops.extents, self.domain.outer)
            with outside.loops(variables) as innermost:
                here = (*index, *loops.index([at(v) for v in variables]))
                self._element(done, here, None, innermost, {})
            for i in stored:
                self._read_back(i)
