"""The register tile: how the result of a contraction is cut into blocks, and what is done with one.

Enters: a `Dot` and which of its axes is on the vectors. Leaves: the statements of its kernel: loops
over tiles, the `Product` of one, and the epilogue on its sums. Always holds: the tiles cover the
result once; nothing is read past an array; every sum runs over the contracted axes in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ..dtypes import F32, F64, item_bytes
from ..index import Index, Indices, Var, at, replace_vars
from ..passes.cost import LARGE_BYTES, LONG_DEPTH, MANY_ROWS
from .dot import Dot, Operand, Stretch, is_contiguous, is_strided, stretches
from .folds import start_value
from .nest import Accumulate, Apply, Array, If, Load, LoopKind, Product, Transpose
from .panels import pack
from .pointwise import Body
from .sweep import cut_depth
from .target import ColumnBlock, Target, column_blocks, counted, row_blocks


@dataclass(frozen=True)
class Place:
    """One tile of a result: rows from `top` on, and of `block` the columns from `start` on."""

    block: ColumnBlock
    top: Index
    start: Index


@dataclass(frozen=True)
class Rows:
    """The other operand of a tile: `height` rows, `step` elements apart."""

    operand: Operand
    height: int
    step: int


@dataclass(frozen=True)
class Tiles:
    """A contraction with `column` on the vector axis of its tiles. The other operand, of side
    `row_side`, is broadcast by scalars: those of `row`, or of one row where it has no free axis.
    """

    dot: Dot
    target: Target
    column: Var
    row: Var | None
    row_side: int

    @cached_property
    def a(self) -> Operand:
        return self.dot.operands[self.row_side]

    @cached_property
    def b(self) -> Operand:
        return self.dot.operands[1 - self.row_side]

    @property
    def rows(self) -> int:
        return self.row.extent if self.row else 1

    @property
    def heights(self) -> list[tuple[int, int, int]]:
        return row_blocks(self.rows, self.target.tile(self.rows).rows)

    @property
    def blocks(self) -> list[ColumnBlock]:
        columns = self.column.extent
        lanes, least = (f(self.dot.dtype) for f in (self.target.lanes, self.target.least_lanes))
        if columns < lanes < 2 * columns and self.rows >= MANY_ROWS:
            least = lanes  # one vector of copied columns, rather than two shorter ones
        return column_blocks(columns, lanes, self.target.tile(self.rows).vectors, least)

    def lower(self, body: Body) -> None:
        """Loops over `row` and `column`, tile by tile; those over other axes are around them."""
        if self._rows_first():
            self._by_rows(body)
        else:
            self._by_columns(body)

    # Which operands are copied first

    @cached_property
    def is_read_in_place(self) -> bool:
        """Whether the vector operand can be read where it lies."""
        depth, offset = self.dot.axes.depth, self.b.offset
        return is_contiguous(offset, self.column) and is_strided(offset, depth)

    @cached_property
    def has_strided_rows(self) -> bool:
        """Whether the other operand can."""
        row = (self.row,) if self.row else ()
        return is_strided(self.a.offset, (*row, *self.dot.axes.depth))

    def _is_packed(self, block: ColumnBlock) -> bool:
        return not self.is_read_in_place or self._is_large() or self._is_few(block)

    def _is_few(self, block: ColumnBlock) -> bool:
        """Whether there are fewer columns than a vector has."""
        return block.valid < block.columns

    def _is_large(self) -> bool:
        """Whether the vector operand is better read from a copy of a panel of it: its rows lie
        apart, and it is larger than what is quick to reach.
        """
        size = self.dot.length * self.column.extent * item_bytes(self.dot.dtype)
        return self.rows >= MANY_ROWS and size >= LARGE_BYTES

    def _rows_first(self) -> bool:
        """Whether tiles of the same rows follow each other: where the rows do not lie along the
        depth, so that they are copied together first, and the result is large.
        """
        if not self.is_read_in_place or self.row is None:
            return False
        along = is_contiguous(self.a.offset, self.dot.axes.depth[-1])
        results = self.rows * self.column.extent * item_bytes(self.dot.dtype)
        return not self.has_strided_rows or (not along and results >= LARGE_BYTES)

    def _panel(self, block: ColumnBlock, start: Index, body: Body) -> Operand:
        """The columns of a tile: where they lie, or a copy."""
        if self._is_packed(block):
            return pack(self.dot, self.b, self.column, start, block, body)
        return self.b.at({self.column: start})

    def _rows(self, top: Index, height: int, body: Body, *, packed: bool) -> Rows:
        """The rows of a tile: where they lie, or a copy."""
        if self.row is None:
            return Rows(self.a, height, 0)
        if not packed:
            step = self.a.offset.coefficient(self.row)
            return Rows(self.a.at({self.row: top}), height, step)
        together = ColumnBlock(0, 1, height, 1, 0, height)
        return Rows(pack(self.dot, self.a, self.row, top, together, body), height, 1)

    # Loops over tiles

    def _across(self, block: ColumnBlock) -> tuple[Var, Index]:
        """The loop over the tiles of a block of columns, and where one begins."""
        return counted(self.column.name, block.start, block.count, block.columns)

    def _down(self, first: int, repeat: int, height: int) -> tuple[Var, Index]:
        """The loop over tiles of one height, and where one begins."""
        return counted(self.row.name if self.row else "i", first, repeat, height)

    def _by_columns(self, outside: Body) -> None:
        """One panel of columns after the other, all rows of each."""
        for block in self.blocks:
            across, start = self._across(block)
            with outside.loop(across) as inside:
                b = self._panel(block, start, inside)
                for first, repeat, height in self.heights:
                    down, top = self._down(first, repeat, height)
                    with inside.loop(down) as inner:
                        a = self._rows(top, height, inner, packed=not self.has_strided_rows)
                        self._tile(Place(block, top, start), a, b, inner)

    def _by_rows(self, outside: Body) -> None:
        """The rows of one tile after the other, all columns of each."""
        few = [
            self._panel(block, Index((), block.start), outside) if self._is_few(block) else None
            for block in self.blocks
        ]
        for first, repeat, height in self.heights:
            down, top = self._down(first, repeat, height)
            with outside.loop(down) as inside:
                a = self._rows(top, height, inside, packed=True)
                for block, panel in zip(self.blocks, few, strict=True):
                    across, start = self._across(block)
                    with inside.loop(across) as inner:
                        b = panel or self.b.at({self.column: start})
                        self._tile(Place(block, top, start), a, b, inner)

    # One tile

    def _tile(self, place: Place, a: Rows, b: Operand, body: Body) -> None:
        """The sums of a tile, and the epilogue on them."""
        dot, block = self.dot, place.block
        parts = stretches(dot.axes.depth, a.operand.offset, b.offset)
        product = self._product(a, b, block)
        long = dot.dtype == F32 and dot.length > LONG_DEPTH
        if not long and len(parts) == 1 and self._is_stored_as_it_is(block):
            body.statements.append(_over(self._stored(product, place), parts[0]))
            return
        if not long and self._is_stored_turned(a.height, block):
            alone = Body(body, names=dot.names)
            name = self._sums(product, parts, alone)
            alone.statements.append(self._turned(product, place, name))
            alone.close()
            body.statements.append(If((), tuple(alone.statements)))
            return
        r, c = Var("r", a.height), Var("c", block.own)
        alone = Body(body, guard=not (r.last or c.last), names=dot.names)
        sums = self._long_sums if long else self._sums
        name = sums(product, parts, alone)
        with alone.loop(r, LoopKind.ROWS) as across, across.loop(c, LoopKind.LANES) as along:
            here = Load(
                name, at(r) * block.columns + at(c) + block.first, F64 if long else dot.dtype
            )
            total = self.dot.let("wide" if long else "dot", here, along)
            if long:
                total = self.dot.let("dot", Apply("cast", (total,), dot.dtype), along)
            column = place.start + at(c) + block.first
            dot.epilogue(self._index(place.top + at(r), column), total, at(c), along)
        alone.close()
        body.statements.append(If((), tuple(alone.statements)))

    def _product(self, a: Rows, b: Operand, block: ColumnBlock) -> Product:
        """The product of a tile for one contracted position, the first; it has no target yet."""
        dtype, nodes = self.dot.dtype, self.dot.nodes
        first = {v: Index() for v in self.dot.axes.depth}
        left, right = (Load(o.buffer, o.at(first).offset, dtype) for o in (a.operand, b))
        return Product(
            "", Index(), block.columns, left, a.step, 0, right, 0,
            a.height, block.columns, 1, block.lanes, nodes=nodes,
        )  # fmt: skip

    def _sums(self, product: Product, parts: Sequence[Stretch], body: Body) -> str:
        """The sums in an array: of the innermost stretch by one product, added up by loops over
        the others.
        """
        *outer, inner = parts
        name = body.fresh("tile")
        start = start_value("sum", self.dot.dtype) if outer else None
        size = product.rows * product.columns
        body.statements.append(Array(name, self.dot.dtype, size, start))
        product = replace(product, target=name, adds=bool(outer))
        variables = tuple(s.var for s in outer)
        with body.loops(variables) as inside:
            for s in outer:
                product = _moved(product, s, at(s.var))
            inside.statements.append(_over(product, inner))
        return name

    def _long_sums(self, product: Product, parts: Sequence[Stretch], body: Body) -> str:
        """Long sums in an array of doubles: those of stretches of the depth are added up there."""
        first, *inner = parts
        name, size = body.fresh("total"), product.rows * product.columns
        body.statements.append(Array(name, F64, size, start_value("sum", F64)))
        extent = first.var.extent
        for start, count, step in cut_depth(extent, self.dot.length // extent):
            piece = Var(self.dot.names.fresh("q"), count, step)
            with body.loop(piece) as each:
                alone = Body(each, names=self.dot.names)
                here = _moved(product, first, at(piece) + start)
                part = replace(first, var=replace(first.var, extent=step))
                partial = self._sums(here, [part, *inner], alone)
                k = Var("k", size)
                with alone.loop(k) as element:
                    value = self.dot.let("sum", Load(partial, at(k), self.dot.dtype), element)
                    wide = self.dot.let("widened", Apply("cast", (value,), F64), element)
                    element.statements.append(
                        Accumulate(name, at(k), "sum", wide, F64, self.dot.nodes)
                    )
                alone.close()
                each.statements.append(If((), tuple(alone.statements)))
        return name

    # Where the results are

    def _at(self, row: Index, column: Index) -> dict[Var, Index]:
        return {self.column: column} | ({self.row: row} if self.row else {})

    def _index(self, row: Index, column: Index) -> Indices:
        """The element of the result in a row and a column."""
        return tuple(replace_vars(i, self._at(row, column)) for i in self.dot.where)

    def _is_stored_as_it_is(self, block: ColumnBlock) -> bool:
        """Whether the sums of a tile are all there is to be stored, each once and side by side."""
        target = self.dot.target
        if target is None or block.own < block.columns:
            return False
        return is_contiguous(target.offset, self.column)

    def _is_stored_turned(self, rows: int, block: ColumnBlock) -> bool:
        """Whether they are all there is to be stored, those of a column side by side."""
        target = self.dot.target
        if target is None or self.row is None or self.dot.dtype != F32:
            return False
        return is_contiguous(target.offset, self.row) and min(rows, block.own) >= 8

    def _stored(self, product: Product, place: Place) -> Product:
        """The product of a tile with its place in the result as the target."""
        assert self.dot.target is not None
        target = self.dot.target.at(self._at(place.top, place.start))
        step = self.dot.target.offset.coefficient(self.row) if self.row else 0
        return replace(product, target=target.buffer, target_index=target.offset, target_row=step)

    def _turned(self, product: Product, place: Place, tile: str) -> Transpose:
        """The sums of a tile, turned round, at their place in the result."""
        assert self.dot.target is not None
        block, step = place.block, self.dot.target.offset.coefficient(self.column)
        target = self.dot.target.at(self._at(place.top, place.start + block.first))
        return Transpose(
            target.buffer, target.offset, step,
            Load(tile, Index((), block.first), self.dot.dtype), block.columns,
            product.rows, block.own, self.dot.nodes,
        )  # fmt: skip


def _moved(product: Product, part: Stretch, by: Index) -> Product:
    """The product as many contracted positions further on."""
    a, b = product.a, product.b
    a, b = replace(a, index=a.index + by * part.a), replace(b, index=b.index + by * part.b)
    return replace(product, a=a, b=b)


def _over(product: Product, part: Stretch) -> Product:
    """The product summed over a stretch."""
    return replace(product, depth=part.var.extent, a_column=part.a, b_row=part.b)
