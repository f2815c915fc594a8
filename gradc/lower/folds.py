"""Reductions as accumulators: where they start, how they take an element, how they end.

Enters: a reduction node. Leaves: the statements around and inside the loop that folds. Always
holds: the order of a reduction is the loop's own, or, for long rows, `LANES` partial sums joined in
ascending order; neither depends on the target.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dtypes import DType
from ..graph import Node
from ..index import Index, Var, at
from ..ops.table import OPS
from ..passes.domain import SELECTING
from .nest import Accumulate, Array, Declare, For, Let, Literal, Load, Ref, Select, Stmt
from .pointwise import Body, Simple, identifier


def start_value(op: str, dtype: DType) -> Literal:
    """What a reduction holds before its first element."""
    start = OPS[op].start
    assert start is not None, f"reduction `{op}` has no start"
    return Literal(start(dtype), dtype)


@dataclass(frozen=True)
class Fold:
    """One reduction while its loop runs: `name` is its accumulator, an array of them if `width`."""

    op: str
    dtype: DType
    nodes: tuple[int, ...]
    name: str
    width: int = 0

    @property
    def best(self) -> str:
        """The accumulator of the value an argmax compares with."""
        return f"{self.name}_value"

    def take(self, value: Simple, lane: Index | None, position: Index, body: Body) -> None:
        """One element of the loop."""
        if self.op in SELECTING:
            step: Stmt = Select(
                self.best, self.name, self.op, value, position, value.dtype, self.nodes
            )
        else:
            step = Accumulate(self.name, lane, self.op, value, self.dtype, self.nodes)
        body.statements.append(step)

    def finish(self, body: Body) -> Ref:
        """After the loop: the result, joined from the partial sums if there are any."""
        if not self.width:
            return Ref(self.name, self.dtype)
        total = body.fresh(self.name.removesuffix("_lanes"))
        lane, part = Var("lane", self.width), "part"
        body.statements.append(Declare(total, self.dtype, start_value(self.op, self.dtype)))
        step = Accumulate(total, None, self.op, Ref(part, self.dtype), self.dtype, self.nodes)
        load = Let(part, Load(self.name, at(lane), self.dtype), self.nodes)
        body.statements.append(For(lane, (load, step)))
        return Ref(total, self.dtype)


def start_fold(
    node: Node, value_dtype: DType, width: int, body: Body, op: str | None = None
) -> Fold:
    """Declare the accumulator(s) of `node` before its loop: `width` partial sums, or 0 for one.

    `op` is the reduction when it is not the node's own op (a contraction sums).
    """
    op = op or node.op
    base = identifier(node.name or op)
    start = start_value(op, node.dtype) if op not in SELECTING else Literal(0, node.dtype)
    if width:
        fold = Fold(op, node.dtype, (node.id,), body.fresh(f"{base}_lanes"), width)
        body.statements.append(Array(fold.name, node.dtype, width, start))
        return fold
    fold = Fold(op, node.dtype, (node.id,), body.fresh(base))
    if op in SELECTING:
        first = start_value("max" if op == "argmax" else "min", value_dtype)
        body.statements.append(Declare(body.fresh(fold.best), value_dtype, first, fold.nodes))
    body.statements.append(Declare(fold.name, node.dtype, start, fold.nodes))
    return fold
