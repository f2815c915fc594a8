"""Parts of an operand copied together, so that they can be read as vectors, or in fewer pages.

Enters: an operand of a product and a block of its columns (or rows). Leaves: the copy as an
operand, and the statements that make it. Always holds: of a panel the column is the fastest axis;
columns that do not exist are zeros.
"""

from __future__ import annotations

from ..dtypes import F32
from ..index import Index, Var, at, flatten, substitute
from .dot import Dot, Operand
from .nest import Literal, Load, Param, Store, Transpose
from .pointwise import Body
from .target import ColumnBlock


def pack(
    dot: Dot, b: Operand, column: Var, start: Index, block: ColumnBlock, body: Body
) -> Operand:
    """Copy the columns of one tile, from `start` on."""
    depth, width = dot.axes.depth, block.columns
    name = dot.names.fresh(f"{b.buffer}_panel")
    shape = (dot.length, width)
    dot.scratch.append(Param(name, dot.dtype, dot.length * width, shape, written=True))
    where = flatten(tuple(at(v) for v in depth), tuple(v.extent for v in depth)) * width
    panel = Operand(name, where)
    if _turns(dot, b, column, block):
        _transpose(dot, b, column, start, block, panel, body)
        return panel
    with body.loops(depth) as inner:
        copied = Var("c", block.valid)
        source = substitute(b.offset, column, start + at(copied))
        with inner.loop(copied) as each:
            value = dot.let("value", Load(b.buffer, source, dot.dtype), each)
            each.statements.append(Store(name, where + at(copied), value, dot.nodes))
        _pad(dot, panel, block, inner)
    return panel


def _pad(dot: Dot, panel: Operand, block: ColumnBlock, body: Body) -> None:
    """Zeros behind the columns that exist."""
    if block.valid < block.columns:
        padded = Var("c", block.columns - block.valid)
        at_pad = panel.offset + at(padded) + block.valid
        store = Store(panel.buffer, at_pad, Literal(0, dot.dtype), dot.nodes)
        with body.loop(padded) as each:
            each.statements.append(store)


def _turns(dot: Dot, b: Operand, column: Var, block: ColumnBlock) -> bool:
    """Whether packing is a transposition, of a matrix with contiguous rows along the depth."""
    last = dot.axes.depth[-1]
    return (
        dot.dtype == F32
        and block.lanes > 1
        and min(block.valid, last.extent) >= 8
        and b.offset.affine
        and b.offset.coefficient(last) == 1
        and b.offset.coefficient(column) > 1
    )


def _transpose(
    dot: Dot, b: Operand, column: Var, start: Index, block: ColumnBlock, panel: Operand, body: Body
) -> None:
    *outer, last = dot.axes.depth
    with body.loops(tuple(outer)) as inner:
        source = substitute(substitute(b.offset, column, start), last, Index())
        inner.statements.append(
            Transpose(
                panel.buffer, substitute(panel.offset, last, Index()), block.columns,
                Load(b.buffer, source, dot.dtype), b.offset.coefficient(column),
                block.valid, last.extent, dot.nodes,
            )
        )  # fmt: skip
        if block.valid < block.columns:
            with inner.loop(last) as each:
                _pad(dot, panel, block, each)
