"""Products where there are no vectors to be told of: one row of sums after the other.

Enters: a `Dot` and which of its axes a row of sums is along. Leaves: the statements of its kernel:
for each row, or a few, a local array of sums, to which every contracted position adds multiples of
a row of the other operand. Always holds: an array fits the stack; every sum runs over the
contracted axes in order; a compiler can make vectors of the innermost loop by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..dtypes import F32, F64, DType, item_bytes
from ..index import Index, Var, at, replace_vars
from ..passes.cost import LANES, LARGE_BYTES, LONG_DEPTH, SUMS_BYTES
from .dot import Dot, Operand, is_contiguous
from .folds import start_value
from .nest import Accumulate, Apply, Array, If, Load, LoopKind
from .panels import pack
from .pointwise import Body
from .sweep import cut_depth
from .target import ColumnBlock, counted, row_blocks


@dataclass(frozen=True)
class RowSums:
    """A contraction with rows of sums along `column`; side `row_side` has the other operand."""

    dot: Dot
    column: Var
    row_side: int

    def lower(self, body: Body) -> None:
        """Loops over rows and columns; those over other axes are around them."""
        (row,) = (self.dot.axes.left, self.dot.axes.right)[self.row_side] or (Var("i", 1),)
        most = SUMS_BYTES // item_bytes(self.dot.dtype) // self._height
        for first, count, width in row_blocks(self.column.extent, most):
            across, start = counted(self.column.name, first, count, width)
            with body.loop(across) as inside:
                b = self._panel(start, width, inside)
                self._rows(row, start, width, b, inside)

    @property
    def _height(self) -> int:
        """How many rows are summed at a time. One is best as a rule: a compiler can keep its sums
        in registers. With several, short ones take less time to begin, and the other operand is
        read fewer times if it is larger than what is quick to reach.
        """
        size = self.dot.length * self.column.extent * item_bytes(self.dot.dtype)
        return 4 if self.column.extent < LANES or size >= LARGE_BYTES else 1

    def _panel(self, start: Index, width: int, body: Body) -> Operand:
        """The columns of some sums: where they lie, or a copy."""
        b = self.dot.operands[1 - self.row_side]
        if is_contiguous(b.offset, self.column):
            return b.at({self.column: start})
        block = ColumnBlock(0, 1, width, 1, 0, width)
        return pack(self.dot, b, self.column, start, block, body)

    def _rows(self, row: Var, start: Index, width: int, b: Operand, body: Body) -> None:
        """All rows, of the columns from `start` on."""
        c = Var("c" if width < self.column.extent else self.column.name, width)
        for first, repeat, height in row_blocks(row.extent, self._height):
            (down, top), r = counted(row.name, first, repeat, height), Var("r", height)
            with body.loop(down) as inner:
                here = top + at(r)
                a = self.dot.operands[self.row_side].at({row: here})
                index = {row: here, self.column: start + at(c)}
                self._block(_Part(self.dot.axes.depth, r, c, a, b), index, inner)

    def _block(self, part: _Part, index: Mapping[Var, Index], body: Body) -> None:
        """The sums of a few rows, and the epilogue on them."""
        dot, dtype = self.dot, self.dot.dtype
        long = dtype == F32 and dot.length > LONG_DEPTH
        alone = Body(body, guard=True, names=dot.names)
        name = (self._long_sums if long else self._sums)(part, alone)
        with alone.loop(part.row) as across, across.loop(part.column, LoopKind.LANES) as along:
            total = dot.let("sum", Load(name, part.place, F64 if long else dtype), along)
            if long:
                total = dot.let("rounded", Apply("cast", (total,), dtype), along)
            where = tuple(replace_vars(i, index) for i in dot.where)
            dot.epilogue(where, total, at(part.column), along)
        alone.close()
        body.statements.append(If((), tuple(alone.statements)))

    def _sums(self, part: _Part, body: Body) -> str:
        """An array of the sums over a part of the depth."""
        dot, dtype = self.dot, self.dot.dtype
        name = self._array("sums", part, dtype, body)
        with body.loops((*part.depth, part.row)) as inner:
            a = dot.let("a_at", Load(part.a.buffer, part.a.offset, dtype), inner)
            with inner.loop(part.column, LoopKind.LANES) as along:
                offset = part.b.offset + at(part.column)
                b = dot.let("b_at", Load(part.b.buffer, offset, dtype), along)
                product = dot.let("product", Apply("mul", (a, b), dtype), along)
                along.statements.append(
                    Accumulate(name, part.place, "sum", product, dtype, dot.nodes)
                )
        return name

    def _long_sums(self, part: _Part, body: Body) -> str:
        """An array of doubles, in which sums over pieces of the depth are added up."""
        dot, (first, *inner) = self.dot, part.depth
        name = self._array("totals", part, F64, body)
        for start, count, step in cut_depth(first.extent, dot.length // first.extent):
            piece = Var(dot.names.fresh("q"), count, step)
            with body.loop(piece) as each:
                alone = Body(each, names=dot.names)
                within = replace(first, extent=step)
                here = {first: at(piece) + at(within) + start}
                a, b, depth = part.a.at(here), part.b.at(here), (within, *inner)
                sums = self._sums(replace(part, depth=depth, a=a, b=b), alone)
                k = Var("k", part.size)
                with alone.loop(k, LoopKind.LANES) as along:
                    value = dot.let("sum", Load(sums, at(k), dot.dtype), along)
                    wide = dot.let("widened", Apply("cast", (value,), F64), along)
                    along.statements.append(Accumulate(name, at(k), "sum", wide, F64, dot.nodes))
                alone.close()
                each.statements.append(If((), tuple(alone.statements)))
        return name

    def _array(self, base: str, part: _Part, dtype: DType, body: Body) -> str:
        name = body.fresh(base)
        body.statements.append(Array(name, dtype, part.size, start_value("sum", dtype)))
        return name


@dataclass(frozen=True)
class _Part:
    """A part of the depth for some rows and columns, both counted from their first: the operands
    along it, `a` with the rows and `b` with the columns.
    """

    depth: tuple[Var, ...]
    row: Var
    column: Var
    a: Operand
    b: Operand

    @property
    def size(self) -> int:
        """How many sums there are."""
        return self.row.extent * self.column.extent

    @property
    def place(self) -> Index:
        """Where a sum is in the array of them."""
        return at(self.row) * self.column.extent + at(self.column)
