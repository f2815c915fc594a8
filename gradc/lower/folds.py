"""Reductions as accumulators: where they start, how they take an element, how they end.

Enters: a reduction node. Leaves: the statements around and inside the loop that folds. Always
holds: the order of a reduction is the loop's own, or, for long rows of floats, that of `LANES`
partial results which are joined in halves; neither depends on the target. Long float32 sums are
sums of blocks (see `sweep`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..cnames import identifier
from ..dtypes import F32, F64, DType, is_float
from ..graph import Node
from ..index import Index, Var, at
from ..ops.table import OPS
from ..passes.cost import LONG_CHAIN
from .nest import (
    Accumulate,
    Apply,
    Array,
    Declare,
    Joined,
    Let,
    Literal,
    Load,
    LoopKind,
    Ref,
    Select,
    Simple,
    Stmt,
)
from .pointwise import Body


def start_value(op: str, dtype: DType) -> Literal:
    """What a reduction holds before its first element."""
    start = OPS[op].start
    assert start is not None, f"reduction `{op}` has no start"
    return Literal(start(dtype), dtype)


@dataclass
class Fold:
    """One reduction while its loop runs: `name` is its accumulator, an array of them if `width`.

    A long sum is `blocked`: `name` then belongs to one block, and `total`, in double, to all.
    `rest` are elements that no lane takes: they are folded into what the lanes are joined to.
    """

    op: str
    dtype: DType
    nodes: tuple[int, ...]
    base: str
    width: int
    name: str = ""
    total: str = ""
    rest: list[Simple] = field(default_factory=list)

    @property
    def blocked(self) -> bool:
        return bool(self.total)

    @property
    def best(self) -> str:
        """The accumulator of the value an argmax compares with."""
        return f"{self.name}_value"

    def take(self, value: Simple, lane: Index | None, position: Index, body: Body) -> None:
        """One element of the loop; in a loop of lanes, one without a lane is left for the end."""
        if self.width and lane is None:
            self.rest.append(value)
            return
        if OPS[self.op].better:
            step: Stmt = Select(
                self.best, self.name, self.op, value, position, value.dtype, self.nodes
            )
        else:
            step = Accumulate(self.name, lane, self.op, value, self.dtype, self.nodes)
        body.statements.append(step)

    def declare(self, base: str, dtype: DType, body: Body) -> str:
        """A new accumulator at its start: a scalar, or one for each lane."""
        start = Literal(0, dtype) if OPS[self.op].better else start_value(self.op, dtype)
        name = body.fresh(f"{base}_lanes" if self.width else base)
        if self.width:
            body.statements.append(Array(name, dtype, self.width, start))
        else:
            body.statements.append(Declare(name, dtype, start, self.nodes))
        return name

    def open_block(self, body: Body) -> None:
        """Before the loop over one block."""
        self.name = self.declare(f"{self.base}_block", self.dtype, body)

    def close_block(self, body: Body) -> None:
        """After it: what the block has is added to the total."""
        if not self.width:
            widened = widen(Ref(self.name, self.dtype), self.nodes, body)
            body.statements.append(Accumulate(self.total, None, self.op, widened, F64, self.nodes))
            return
        with body.loop(Var(body.fresh("lane"), self.width), LoopKind.LANES) as inner:
            lane = at(inner.var) if inner.var else Index()
            part = Ref(inner.fresh("part"), self.dtype)
            inner.statements.append(Let(part.name, Load(self.name, lane, part.dtype), self.nodes))
            widened = widen(part, self.nodes, inner)
            step = Accumulate(self.total, lane, self.op, widened, F64, self.nodes)
            inner.statements.append(step)

    def finish(self, body: Body) -> Ref:
        """After the loop: the result, joined from the partial sums if there are any."""
        name, dtype = (self.total, F64) if self.blocked else (self.name, self.dtype)
        if self.width:
            name = self._joined(name, dtype, body)
        if not self.blocked:
            return Ref(name, dtype)
        result = body.fresh(self.base)
        rounded = Apply("cast", (Ref(name, dtype),), self.dtype)
        body.statements.append(Let(result, rounded, self.nodes))
        return Ref(result, self.dtype)

    def _joined(self, lanes: str, dtype: DType, body: Body) -> str:
        """All lanes in one."""
        total = body.fresh(f"{self.base}_total" if self.blocked else self.base)
        joined = Joined(lanes, self.op, dtype)
        if not self.rest:
            body.statements.append(Let(total, joined, self.nodes))
            return total
        body.statements.append(Declare(total, dtype, joined, self.nodes))
        for value in self.rest:
            step = Accumulate(total, None, self.op, value, dtype, self.nodes)
            body.statements.append(step)
        return total


def widen(value: Simple, nodes: tuple[int, ...], body: Body) -> Ref:
    """A float as a double."""
    name = body.fresh("widened")
    body.statements.append(Let(name, Apply("cast", (value,), F64), nodes))
    return Ref(name, F64)


def start_fold(
    node: Node,
    value_dtype: DType,
    width: int,
    body: Body,
    *,
    op: str | None = None,
    additions: int = 0,
) -> Fold:
    """Declare the accumulator(s) of `node` before its loop: `width` partial sums, or 0 for one.

    `op` is the reduction when it is not the node's own op (a contraction sums); `additions` are
    those that an accumulator takes in the whole loop.
    """
    op = op or node.op
    fold = Fold(op, node.dtype, (node.id,), identifier(node.name or OPS[op].noun or op), width)
    if is_long_sum(op, node.dtype, additions):
        fold.total = fold.declare(f"{fold.base}_total", F64, body)
        return fold
    if OPS[op].better:
        fold.name = body.fresh(fold.base)
        first = start_value(op, value_dtype)
        body.statements.append(Declare(body.fresh(fold.best), value_dtype, first, fold.nodes))
        body.statements.append(Declare(fold.name, node.dtype, Literal(0, node.dtype), fold.nodes))
        return fold
    fold.name = fold.declare(fold.base, node.dtype, body)
    return fold


def splits(op: str, dtype: DType) -> bool:
    """Whether a reduction of a long row is worth splitting into partial results: of floats, whose
    order compilers do not change. Those of integers they split themselves.
    """
    return OPS[op].joined is not None and is_float(dtype)


def is_long_sum(op: str, dtype: DType, additions: int) -> bool:
    """Whether a reduction of so many additions in a row is cut into blocks."""
    return OPS[op].adds_up and dtype == F32 and additions > LONG_CHAIN
