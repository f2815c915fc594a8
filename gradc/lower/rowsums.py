"""Products where there are no vectors to be told of: one row of sums after the other.

Enters: a `Dot` and which of its axes a row of sums is along. Leaves: the statements of its kernel:
for each row, a local array of sums, to which every contracted position adds a multiple of a row of
the other operand. Always holds: an array fits the stack; every sum runs over the contracted axes in
order; a compiler can make vectors of the innermost loop by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..dtypes import F32, F64, item_bytes
from ..index import Index, Var, at
from ..passes.cost import LONG_DEPTH, SUMS_BYTES
from .dot import Dot, Operand, is_contiguous
from .folds import start_value
from .nest import Accumulate, Apply, Array, If, Load, LoopKind
from .panels import pack
from .pointwise import Body
from .sweep import cut_depth
from .target import ColumnBlock, row_blocks


@dataclass(frozen=True)
class RowSums:
    """A contraction with rows of sums along `column`; side `row_side` has the other operand."""

    dot: Dot
    column: Var
    row_side: int

    def lower(self, body: Body) -> None:
        axes = self.dot.axes
        sides = axes.left, axes.right
        beside = tuple(v for v in sides[1 - self.row_side] if v != self.column)
        most = SUMS_BYTES // item_bytes(self.dot.dtype)
        with body.loops((*axes.batch, *beside)) as outside:
            for first, count, width in row_blocks(self.column.extent, most):
                across = Var(self.column.name, count * width, width)
                with outside.loop(across) as inside:
                    start = at(across) + first
                    b = self._panel(start, width, inside)
                    with inside.loops(sides[self.row_side]) as inner:
                        self._row(start, width, b, inner)

    def _panel(self, start: Index, width: int, body: Body) -> Operand:
        """The columns of some sums: where they lie, or a copy."""
        b = self.dot.operands[1 - self.row_side]
        if is_contiguous(b.offset, self.column):
            return b.at({self.column: start})
        block = ColumnBlock(0, 1, width, 1, 0, width)
        return pack(self.dot, b, self.column, start, block, body)

    def _row(self, start: Index, width: int, b: Operand, body: Body) -> None:
        """The sums of one row, and the epilogue on them."""
        dot, dtype = self.dot, self.dot.dtype
        long = dtype == F32 and dot.length > LONG_DEPTH
        c = Var("c" if width < self.column.extent else self.column.name, width)
        part = _Part(dot.axes.depth, c, dot.operands[self.row_side], b)
        alone = Body(body, guard=True, names=dot.names)
        name = (self._long_sums if long else self._sums)(part, alone)
        with alone.loop(c, LoopKind.LANES) as along:
            total = dot.let("sum", Load(name, at(c), F64 if long else dtype), along)
            if long:
                total = dot.let("rounded", Apply("cast", (total,), dtype), along)
            index = tuple(start + at(c) if v == self.column else at(v) for v in dot.axes.free)
            dot.epilogue(index, total, along)
        alone.close()
        body.statements.append(If((), tuple(alone.statements)))

    def _sums(self, part: _Part, body: Body) -> str:
        """An array of the sums over a part of the depth."""
        dot, dtype, c = self.dot, self.dot.dtype, part.column
        name = body.fresh("sums")
        body.statements.append(Array(name, dtype, c.extent, start_value("sum", dtype)))
        with body.loops(part.depth) as inner:
            a = dot.let("a_at", Load(part.a.buffer, part.a.offset, dtype), inner)
            with inner.loop(c, LoopKind.LANES) as along:
                b = dot.let("b_at", Load(part.b.buffer, part.b.offset + at(c), dtype), along)
                product = dot.let("product", Apply("mul", (a, b), dtype), along)
                along.statements.append(Accumulate(name, at(c), "sum", product, dtype, dot.nodes))
        return name

    def _long_sums(self, part: _Part, body: Body) -> str:
        """An array of doubles, in which sums over stretches of the depth are added up."""
        dot, c, (first, *inner) = self.dot, part.column, part.depth
        name = body.fresh("totals")
        body.statements.append(Array(name, F64, c.extent, start_value("sum", F64)))
        for start, count, step in cut_depth(first.extent, dot.length // first.extent):
            piece = Var(dot.names.fresh("q"), count, step)
            with body.loop(piece) as each:
                alone = Body(each, names=dot.names)
                within = replace(first, extent=step)
                here = {first: at(piece) + at(within) + start}
                a, b = part.a.at(here), part.b.at(here)
                sums = self._sums(_Part((within, *inner), c, a, b), alone)
                with alone.loop(c, LoopKind.LANES) as along:
                    value = dot.let("sum", Load(sums, at(c), dot.dtype), along)
                    wide = dot.let("widened", Apply("cast", (value,), F64), along)
                    along.statements.append(Accumulate(name, at(c), "sum", wide, F64, dot.nodes))
                alone.close()
                each.statements.append(If((), tuple(alone.statements)))
        return name


@dataclass(frozen=True)
class _Part:
    """A part of the depth: the operands along it and the columns, both from the first on."""

    depth: tuple[Var, ...]
    column: Var
    a: Operand
    b: Operand
