"""Contractions: one register tile for every `dot`, or plain loops where a tile would not pay.

Enters: a `dot` node with the elementwise nodes that follow it in its loops (the epilogue). Leaves:
the statements of a kernel. Always holds: operands are affine views of stored buffers; nothing is
read past an array (ragged columns are packed with zeros); every sum runs over the contracted axes
in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from ..dtypes import is_float
from ..graph import Graph, Node
from ..index import Index, Indices, Var, at, flatten, substitute
from ..passes.cost import LANES, PLAIN_PRODUCTS, contraction_cost
from ..passes.views import view
from .folds import start_fold
from .nest import Apply, For, Let, Literal, Load, Param, Ref, Stmt, Store, Tile
from .pointwise import Body, Elements
from .sweep import additions, sweep
from .target import Target, column_blocks, row_blocks


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
        factors: list[Ref | Literal] = []
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
        with root.loops(outer) as outside:
            for block in column_blocks(column.extent, lanes, shape.vectors):
                ragged = not contiguous or block.valid < block.width
                across = Var(column.name, block.count * block.width, block.width)
                with outside.loop(across) as columns:
                    start = at(across) + block.start
                    b = self.operands[1 - row_side]
                    if ragged:
                        b = self._pack(b, column, start, block.width, block.valid, columns)
                    for first, repeat, height in row_blocks(rows, shape.rows):
                        down = Var(row.name if row else "i", repeat * height, height)
                        with columns.loop(down) as inner:
                            top = at(down) + first
                            tile = _Tile(
                                height, block.vectors, block.lanes, block.valid, top, start, ragged
                            )
                            self._tile(tile, column, row, row_side, b, inner)
        return root

    def _pack(
        self, b: Operand, column: Var, start: Index, width: int, valid: int, body: Body
    ) -> Operand:
        """Copy a panel of `b`: its columns contiguous, and padded with zeros to `width`."""
        depth = self.axes.depth
        size = prod(v.extent for v in depth) * width
        name = self.names.fresh(f"{b.buffer}_panel")
        self.scratch.append(
            Param(name, self.anchor.dtype, size, (size // width, width), written=True)
        )
        where = flatten(tuple(at(v) for v in depth), tuple(v.extent for v in depth)) * width
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
            if valid < width:
                padded = Var("c", width - valid)
                nothing = Literal(0, self.anchor.dtype)
                store = Store(name, where + at(padded) + valid, nothing, (self.anchor.id,))
                inner.statements.append(For(padded, (store,)))
        return Operand(name, where)

    def _tile(
        self, tile: _Tile, column: Var, row: Var | None, row_side: int, b: Operand, body: Body
    ) -> None:
        dtype, anchor = self.anchor.dtype, self.anchor
        r, c = Var("r", tile.rows), Var("c", tile.columns)
        a_offset = self.operands[row_side].offset
        row_index = tile.top + at(r)
        if row is not None:
            a_offset = substitute(a_offset, row, row_index)
        column_index = tile.start + at(c)
        b_offset = b.offset + at(c) if tile.packed else substitute(b.offset, column, column_index)
        across = Body(body, r, names=self.names)
        # The sum exists in the loop over the columns only, even where that has one iteration.
        along = Body(across, c, guard=not c.last, names=self.names)
        by_var = {column: column_index}
        if row is not None:
            by_var[row] = row_index
        axes = self.axes
        index = tuple(by_var.get(v, at(v)) for v in (*axes.batch, *axes.left, *axes.right))
        accumulator = along.fresh("sum")
        self._epilogue(index, Ref(accumulator, dtype), along)
        along.close()
        across.close()
        epilogue: list[Stmt] = [*across.statements, For(c, tuple(along.statements))]
        body.statements.append(
            Tile(
                tile.rows, tile.vectors, tile.lanes, tile.columns, axes.depth, r, c,
                Load(self.operands[row_side].buffer, a_offset, dtype),
                Load(b.buffer, b_offset, dtype), accumulator, dtype, tuple(epilogue), (anchor.id,),
            )
        )  # fmt: skip

    def _epilogue(self, index: Indices, total: Ref, body: Body) -> None:
        """Store the nodes of the group at one element, whose sum is `total`."""
        self.elements.local[self.anchor.id] = lambda _: total
        for node_id, buffer in self.storage.items():
            value = self.elements.value(node_id, index, body)
            offset = flatten(index, self.graph[node_id].shape)
            body.statements.append(Store(buffer, offset, value, (node_id,)))


@dataclass(frozen=True)
class _Tile:
    """Extents of one tile: where it starts, how high and wide it is, whether its columns are
    packed.
    """

    rows: int
    vectors: int
    lanes: int
    columns: int
    top: Index
    start: Index
    packed: bool
