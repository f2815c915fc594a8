"""Pointers to rows: `fc2_row[j]` in place of `fc2[i * CLASSES + j]`.

Enters: a kernel. Leaves: for each loop the pointers that are declared at its head, and for each
access below it how it is spelt. Always holds: a pointer stays within its array, and so does what is
added to it; there is one where several accesses of a loop have all but the place in a row in
common, in the loop that fixes the row.

Sweeps in lanes are left as they are: Clang makes vectors of them by their addresses, and finds
fewer behind a pointer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..index import Index, Var
from ..lower.nest import Accumulate, For, Kernel, Load, LoopKind, Product, Stmt, Store
from ..lower.traverse import blocks, declared, expressions, parts, walk


@dataclass(frozen=True)
class Row:
    """A pointer `name` to element `first` of a buffer, declared in `loop`."""

    loop: For
    name: str
    buffer: str
    first: Index


class Rows:
    """The pointers of one kernel; `open` are those of the loops around what is being printed."""

    def __init__(self, kernel: Kernel) -> None:
        params = (*kernel.params, *kernel.scratch)
        self.buffers = {p.name for p in params if not p.scalar and p.size > 1}
        self.taken = {p.name for p in params}
        for s in walk(kernel.body):
            self.taken |= {declared(s) or ""} | ({s.var.name} if isinstance(s, For) else set())
        self.heads: dict[int, dict[tuple[str, Index], int]] = {}
        self._collect(kernel.body, {})
        self.open: list[Row] = []
        self.loops: list[For] = []

    def _collect(self, body: tuple[Stmt, ...], loops: Mapping[Var, tuple[int, For]]) -> None:
        for s in body:
            for buffer, index in _accesses(s):
                split = self._split(buffer, index, loops)
                if split is not None:
                    loop, first, _ = split
                    counts = self.heads.setdefault(loop, {})
                    counts[(buffer, first)] = counts.get((buffer, first), 0) + 1
            for block in blocks(s):
                inside = {**loops, s.var: (len(loops), s)} if isinstance(s, For) else loops
                self._collect(block.body, inside)

    def _split(
        self, buffer: str, index: Index, loops: Mapping[Var, tuple[int, For]]
    ) -> tuple[int, Index, Index] | None:
        """The loop that fixes the row of an access, where the row begins, and the place in it."""
        terms = [(a, k) for a, k in index.terms if isinstance(a, Var) and a in loops]
        if buffer not in self.buffers or len(terms) < len(index.terms):
            return None
        first = tuple((v, k) for v, k in terms if k != 1)
        along = tuple((v, k) for v, k in terms if k == 1)
        if not first or not along or min(k for _, k in first) < 1:
            return None
        stride = min(k for _, k in first)
        start = Index(first, max(index.const, 0) // stride * stride)
        place = Index(along, index.const - start.const)
        depths = [max(loops[v][0] for v, _ in part) for part in (first, along)]
        if depths[1] <= depths[0] or place.bounds[0] < 0:
            return None
        loop = next(s for depth, s in loops.values() if depth == depths[0])
        if any(_sweeps(loops[v][1], loop) for v, _ in along):
            return None
        return id(loop), start, place

    def head(self, loop: For) -> list[Row]:
        """The pointers that are declared where a loop's body begins."""
        self.loops.append(loop)
        found: list[Row] = []
        for (buffer, first), times in self.heads.get(id(loop), {}).items():
            if times > 1:
                found.append(Row(loop, self._fresh(f"{buffer}_row"), buffer, first))
                self.open.append(found[-1])
        return found

    def close(self, rows: list[Row]) -> None:
        """Behind the loop."""
        self.loops.pop()
        del self.open[len(self.open) - len(rows) :]

    def spelt(self, buffer: str, index: Index) -> tuple[str, Index]:
        """A pointer and the place behind it; the buffer and the index where there is no pointer."""
        loops = {s.var: (depth, s) for depth, s in enumerate(self.loops)}
        split = self._split(buffer, index, loops)
        if split is None:
            return buffer, index
        loop, start, place = split
        for row in self.open:
            if (row.buffer, row.first, id(row.loop)) == (buffer, start, loop):
                return row.name, place
        return buffer, index

    def _fresh(self, name: str) -> str:
        taken = self.taken | {row.name for row in self.open}
        found, count = name, 2
        while found in taken:
            found, count = f"{name}_{count}", count + 1
        return found


def _sweeps(inner: For, loop: For) -> bool:
    """Whether a loop sweeps in lanes over the row that another fixes; a tile's rows do not."""
    return inner.kind is LoopKind.LANES and loop.kind is not LoopKind.ROWS


def _accesses(s: Stmt) -> Iterator[tuple[str, Index]]:
    """The elements of memory that a statement reads or writes one by one; a product of the runtime
    is handed whole arrays.
    """
    if isinstance(s, Product):
        return
    if isinstance(s, Store) or (isinstance(s, Accumulate) and s.index is not None):
        buffer = s.buffer if isinstance(s, Store) else s.target
        assert s.index is not None
        yield buffer, s.index
    for e in expressions(s):
        yield from ((p.buffer, p.index) for p in parts(e) if isinstance(p, Load))
