"""Contractions: one register tile for every `dot`, or plain loops where a tile would not pay.

Enters: a `dot` node with the elementwise nodes that follow it in its loops (the epilogue). Leaves:
the statements of a kernel. Always holds: operands are affine views of stored buffers; nothing is
read past an array (ragged columns are packed with zeros); every sum runs over the contracted axes
in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from ..dtypes import F32, F64, is_float, item_bytes
from ..graph import Graph, Node
from ..index import Index, Indices, Var, at, flatten, substitute
from ..passes.cost import (
    DEPTH,
    LANES,
    LARGE_BYTES,
    LONG_DEPTH,
    MANY_ROWS,
    PLAIN_PRODUCTS,
    contraction_cost,
)
from ..passes.views import view
from .folds import start_fold, start_value
from .nest import (
    Accumulate,
    Apply,
    Array,
    For,
    Let,
    Literal,
    Load,
    Param,
    Ref,
    Simple,
    Store,
    Tile,
    Transpose,
)
from .pointwise import Body, Elements
from .sweep import additions, even_part, sweep
from .target import ColumnBlock, Target, column_blocks, row_blocks
from .tiles import Cut, Place


@dataclass(frozen=True)
class Operand:
    """One side of a product: a stored buffer and the offset of its element."""

    buffer: str
    offset: Index


@dataclass
class Axes:
    """The loop variables of a contraction; `rows` and `columns` are None where an operand has no
    free axis.
    """

    batch: tuple[Var, ...]
    left: tuple[Var, ...]
    right: tuple[Var, ...]
    depth: tuple[Var, ...]


class Contraction:
    """Lowers one `dot` group. `storage` names the buffers of the nodes the group writes."""

    def __init__(
        self,
        elements: Elements,
        graph: Graph,
        anchor: Node,
        storage: Mapping[int, str],
        target: Target,
    ) -> None:
        self.elements = elements
        self.names = elements.names
        self.graph = graph
        self.anchor = anchor
        self.storage = storage
        self.target = target
        self.scratch: list[Param] = []
        self.axes = self._axes()
        self.operands = tuple(self._operand(side) for side in (0, 1))

    def _axes(self) -> Axes:
        contract, batch = self.anchor.attrs["contract"], self.anchor.attrs["batch"]
        a, b = self.graph.args(self.anchor)

        def free(node: Node, side: int) -> tuple[int, ...]:
            taken = {*contract[side], *batch[side]}
            return tuple(n for axis, n in enumerate(node.shape) if axis not in taken)

        def variables(prefix: str, extents: tuple[int, ...]) -> tuple[Var, ...]:
            return tuple(Var(self.names.fresh(prefix), n) for n in extents)

        return Axes(
            variables("n", tuple(a.shape[axis] for axis in batch[0])),
            variables("i", free(a, 0)),
            variables("j", free(b, 1)),
            variables("p", tuple(a.shape[axis] for axis in contract[0])),
        )

    def _operand(self, side: int) -> Operand:
        contract, batch = self.anchor.attrs["contract"][side], self.anchor.attrs["batch"][side]
        free = iter((self.axes.left, self.axes.right)[side])
        node_id = self.anchor.args[side]
        index: list[Index] = []
        for axis in range(len(self.graph[node_id].shape)):
            if axis in contract:
                index.append(at(self.axes.depth[contract.index(axis)]))
            elif axis in batch:
                index.append(at(self.axes.batch[batch.index(axis)]))
            else:
                index.append(at(next(free)))
        found = view(self.graph, node_id, tuple(index), self.elements.stored)
        assert found is not None, f"operand #{node_id} of {self.anchor} is not an affine view"
        return Operand(self.elements.load(self.graph[found.base]), found.offset)

    def lower(self) -> Body:
        """The body of the kernel, by the cheapest of the three forms."""
        left, right = self.axes.left[-1:], self.axes.right[-1:]
        m, n = prod(v.extent for v in left), prod(v.extent for v in right)
        k = prod(v.extent for v in self.axes.depth)
        lanes = self.target.lanes(self.anchor.dtype)
        if not is_float(self.anchor.dtype) or m * n * k < PLAIN_PRODUCTS or 0 in (m, n, k):
            return self._loops()
        if not (left or right) or (min(m, n) == 1 and k >= 2 * LANES and self._along_depth()):
            return self._loops()
        contiguous = [
            bool(v) and operand.offset.coefficient(v[0]) == 1
            for v, operand in ((left, self.operands[0]), (right, self.operands[1]))
        ]
        straight = contraction_cost(
            m, n, k, lanes, columns_contiguous=contiguous[1], output_contiguous=True
        )
        swapped = contraction_cost(
            n, m, k, lanes, columns_contiguous=contiguous[0], output_contiguous=n == 1
        )
        if (swapped < straight and left) or not right:
            return self._tiles(left[0], (*right, None)[0], 1, contiguous[0], lanes)
        return self._tiles(right[0], (*left, None)[0], 0, contiguous[1], lanes)

    def _along_depth(self) -> bool:
        """Whether both operands lie contiguously along the last contracted axis."""
        last = self.axes.depth[-1]
        return all(o.offset.coefficient(last) == 1 for o in self.operands)

    # Plain loops: one element at a time

    def _loops(self) -> Body:
        root, axes = Body(names=self.names), self.axes
        free = (*axes.batch, *axes.left, *axes.right)
        depth_last = axes.depth[-1] if axes.depth else Var("p", 1)
        width = LANES if depth_last.extent >= 2 * LANES and self._along_depth() else 0
        with root.loops(free) as element:
            extents = tuple(v.extent for v in axes.depth)
            fold = start_fold(
                self.anchor, self.anchor.dtype, width, element, op="sum",
                additions=additions(extents, width),
            )  # fmt: skip

            def visit(position: Indices, lane: Index | None, body: Body) -> None:
                fold.take(self._product(position, body), lane, Index(), body)

            sweep(extents, tuple(v.name for v in axes.depth), width, (fold,), element, visit)
            total = fold.finish(element)
            self._epilogue(tuple(at(v) for v in free), total, element)
        return root

    def _product(self, position: Indices, body: Body) -> Ref:
        """The product of the operands at a position along the contracted axes."""
        factors: list[Simple] = []
        for name, operand in zip("ab", self.operands, strict=True):
            name, offset = body.fresh(f"{name}_at"), operand.offset
            for variable, here in zip(self.axes.depth, position, strict=True):
                offset = substitute(offset, variable, here)
            load = Load(operand.buffer, offset, self.anchor.dtype)
            body.statements.append(Let(name, load, (self.anchor.id,)))
            factors.append(Ref(name, self.anchor.dtype))
        name = body.fresh("product")
        apply = Apply("mul", tuple(factors), self.anchor.dtype)
        body.statements.append(Let(name, apply, (self.anchor.id,)))
        return Ref(name, self.anchor.dtype)

    # The register tile

    def _tiles(
        self, column: Var, row: Var | None, row_side: int, contiguous: bool, lanes: int
    ) -> Body:
        """Tiles with `column` on the vector axis; the other operand is broadcast by scalars."""
        root, axes = Body(names=self.names), self.axes
        outer = (
            *axes.batch,
            *(v for v in (*axes.left, *axes.right) if v not in (row, column)),
        )
        rows = row.extent if row is not None else 1
        shape = self.target.tile(self.anchor.dtype, rows)
        cut = Cut(
            column, row, row_blocks(rows, shape.rows),
            column_blocks(column.extent, lanes, shape.vectors), contiguous,
        )  # fmt: skip
        a, b = self.operands[row_side], self.operands[1 - row_side]
        with root.loops(outer) as outside:
            if lanes > 1 and contiguous and self._rows_first(a, rows * column.extent):
                self._by_rows(cut, a, b, outside)
            else:
                large = lanes > 1 and rows >= MANY_ROWS and self._is_large(b, column.extent)
                self._by_columns(replace(cut, contiguous=contiguous and not large), a, b, outside)
        return root

    def _is_large(self, b: Operand, columns: int) -> bool:
        """Whether the vector operand is better read from a copy of a panel of it: its rows lie
        apart, and it is larger than what is quick to reach.
        """
        depth = self.axes.depth
        size = prod(v.extent for v in depth) * columns * item_bytes(self.anchor.dtype)
        return size >= LARGE_BYTES

    def _rows_first(self, a: Operand, results: int) -> bool:
        """Whether tiles of the same rows follow each other: where the rows do not lie along the
        depth, so that they are copied together first, and the result is large.
        """
        along = a.offset.coefficient(self.axes.depth[-1]) == 1
        return not along and results * item_bytes(self.anchor.dtype) >= LARGE_BYTES

    def _by_columns(self, cut: Cut, a: Operand, b: Operand, outside: Body) -> None:
        """One panel of columns after the other, all rows of each."""
        for block in cut.blocks:
            packed = cut.is_packed(block)
            across = cut.across(block)
            with outside.loop(across) as inside:
                start = at(across) + block.start
                panel = self._pack(b, cut.column, start, block, inside) if packed else b
                for first, repeat, height in cut.heights:
                    down = cut.down(repeat, height)
                    with inside.loop(down) as inner:
                        tile = Place(height, block, at(down) + first, start, False, packed)
                        self._tile(tile, cut, a, panel, inner)

    def _by_rows(self, cut: Cut, a: Operand, b: Operand, outside: Body) -> None:
        """The rows of one tile after the other, all columns of each."""
        assert cut.row is not None
        panels = [
            self._pack(b, cut.column, Index((), block.start), block, outside)
            if cut.is_packed(block)
            else b
            for block in cut.blocks
        ]
        for first, repeat, height in cut.heights:
            down = cut.down(repeat, height)
            with outside.loop(down) as inside:
                top = at(down) + first
                rows = self._pack(a, cut.row, top, ColumnBlock(0, 1, 1, height, height), inside)
                for block, panel in zip(cut.blocks, panels, strict=True):
                    across = cut.across(block)
                    with inside.loop(across) as inner:
                        start = at(across) + block.start
                        tile = Place(height, block, top, start, True, cut.is_packed(block))
                        self._tile(tile, cut, rows, panel, inner)

    def _pack(
        self, b: Operand, column: Var, start: Index, block: ColumnBlock, body: Body
    ) -> Operand:
        """Copy a panel of `b`: its columns contiguous, and padded with zeros to whole vectors."""
        depth, width, valid = self.axes.depth, block.width, block.valid
        size = prod(v.extent for v in depth) * width
        name = self.names.fresh(f"{b.buffer}_panel")
        self.scratch.append(
            Param(name, self.anchor.dtype, size, (size // width, width), written=True)
        )
        where = flatten(tuple(at(v) for v in depth), tuple(v.extent for v in depth)) * width
        if self._turns(b, column, block):
            self._transpose(b, column, start, block, Operand(name, where), body)
            return Operand(name, where)
        with body.loops(depth) as inner:
            copied = Var("c", valid)
            source = substitute(b.offset, column, start + at(copied))
            value, nodes = "value", (self.anchor.id,)
            inner.statements.append(
                For(copied, (
                    Let(value, Load(b.buffer, source, self.anchor.dtype), (self.anchor.id,)),
                    Store(name, where + at(copied), Ref(value, self.anchor.dtype), nodes),
                ))
            )  # fmt: skip
            self._pad(Operand(name, where), block, inner)
        return Operand(name, where)

    def _pad(self, panel: Operand, block: ColumnBlock, body: Body) -> None:
        """Zeros behind the columns that exist."""
        if block.valid < block.width:
            padded = Var("c", block.width - block.valid)
            nothing = Literal(0, self.anchor.dtype)
            at_pad = panel.offset + at(padded) + block.valid
            store = Store(panel.buffer, at_pad, nothing, (self.anchor.id,))
            body.statements.append(For(padded, (store,)))

    def _turns(self, b: Operand, column: Var, block: ColumnBlock) -> bool:
        """Whether packing is a transposition, of a matrix with contiguous rows along the depth."""
        last = self.axes.depth[-1]
        return (
            self.anchor.dtype == F32
            and block.lanes > 1
            and min(block.valid, last.extent) >= 8
            and b.offset.affine
            and b.offset.coefficient(last) == 1
            and b.offset.coefficient(column) > 1
        )

    def _transpose(
        self, b: Operand, column: Var, start: Index, block: ColumnBlock, panel: Operand, body: Body
    ) -> None:
        *outer, last = self.axes.depth
        with body.loops(tuple(outer)) as inner:
            source = substitute(substitute(b.offset, column, start), last, Index())
            inner.statements.append(
                Transpose(
                    panel.buffer, substitute(panel.offset, last, Index()), block.width,
                    Load(b.buffer, source, self.anchor.dtype), b.offset.coefficient(column),
                    block.valid, last.extent, (self.anchor.id,),
                )
            )  # fmt: skip
            if block.valid < block.width:
                with inner.loop(last) as each:
                    self._pad(panel, block, each)

    def _tile(self, tile: Place, cut: Cut, a: Operand, b: Operand, body: Body) -> None:
        dtype, anchor, block = self.anchor.dtype, self.anchor, tile.block
        r, c = Var("r", tile.rows), Var("c", block.valid)
        row_index, column_index = tile.top + at(r), tile.start + at(c)
        a_offset, b_offset = a.offset, b.offset + at(c)
        if tile.rows_packed:
            a_offset += at(r)
        elif cut.row is not None:
            a_offset = substitute(a_offset, cut.row, row_index)
        if not tile.columns_packed:
            b_offset = substitute(b.offset, cut.column, column_index)
        across = Body(body, r, names=self.names)
        # The sum exists in the loop over the columns only, even where that has one iteration.
        along = Body(across, c, guard=not c.last, names=self.names)
        by_var = {cut.column: column_index}
        if cut.row is not None:
            by_var[cut.row] = row_index
        axes = self.axes
        index = tuple(by_var.get(v, at(v)) for v in (*axes.batch, *axes.left, *axes.right))
        accumulator = along.fresh("sum")
        self._epilogue(index, Ref(accumulator, dtype), along)
        along.close()
        across.close()
        product = Tile(
            tile.rows, block.vectors, block.lanes, block.valid, axes.depth, r, c,
            Load(a.buffer, a_offset, dtype), Load(b.buffer, b_offset, dtype), accumulator, dtype,
            (*across.statements, For(c, tuple(along.statements))), (anchor.id,),
        )  # fmt: skip
        if dtype == F32 and prod(v.extent for v in axes.depth) > LONG_DEPTH:
            self._in_stretches(product, body)
        else:
            body.statements.append(product)

    def _in_stretches(self, tile: Tile, body: Body) -> None:
        """A tile of long sums: those of stretches of the depth are added up in double."""
        first, *inner = tile.depth
        rest = prod(v.extent for v in inner)
        step = even_part(first.extent, max(1, DEPTH // rest))
        total = body.fresh("total")
        body.statements.append(Array(total, F64, tile.rows * tile.columns, start_value("sum", F64)))
        here, nodes = at(tile.row) * tile.columns + at(tile.column), tile.nodes
        widened = Let(
            body.fresh("widened"), Apply("cast", (Ref(tile.accumulator, tile.dtype),), F64), nodes
        )
        add = Accumulate(total, here, "sum", Ref(widened.name, F64), F64, nodes)
        whole = first.extent // step * step
        for start, count in ((0, whole), (whole, first.extent - whole)):
            stretch = Var(self.names.fresh("q"), count, min(step, count) or 1)
            part = replace(first, extent=stretch.step)
            position = at(stretch) + at(part) + start
            a, b = (
                replace(e, index=substitute(e.index, first, position)) for e in (tile.a, tile.b)
            )
            sums = For(tile.column, (widened, add))
            partial = replace(tile, depth=(part, *inner), a=a, b=b, epilogue=(sums,))
            if count:
                with body.loop(stretch) as each:
                    each.statements.append(partial)
        wide = Let(body.fresh("sum_total"), Load(total, here, F64), nodes)
        rounded = Let(tile.accumulator, Apply("cast", (Ref(wide.name, F64),), tile.dtype), nodes)
        *rows, columns = tile.epilogue
        assert isinstance(columns, For)
        columns = replace(columns, body=(wide, rounded, *columns.body))
        body.statements.append(For(tile.row, (*rows, columns)))

    def _epilogue(self, index: Indices, total: Ref, body: Body) -> None:
        """Store the nodes of the group at one element, whose sum is `total`."""
        self.elements.local[self.anchor.id] = lambda _: total
        for node_id, buffer in self.storage.items():
            value = self.elements.value(node_id, index, body)
            offset = flatten(index, self.graph[node_id].shape)
            body.statements.append(Store(buffer, offset, value, (node_id,)))
