"""Accumulators that outlive the loop that adds to them: where they start, take and end.

Enters: a reduction node and where its accumulators may be. Leaves: the statements around the loops
that fold, and in them. Always holds: what is folded is folded in the order of the loops; a float32
sum of many additions is one of blocks that are added up in double, or is in double itself. What one
innermost loop folds all by itself is a `Fold` (see `folds`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..cnames import identifier
from ..dtypes import F64, DType
from ..graph import Node
from ..index import Index, Indices, Rem, Var, at
from ..passes.cost import LANES
from .folds import Fold, is_long_sum, splits, start_fold, start_value, widen
from .nest import (
    Accumulate,
    Apply,
    Array,
    Declare,
    For,
    If,
    Let,
    Literal,
    Load,
    Ref,
    Simple,
    Stmt,
    Store,
)
from .pointwise import Body, noun
from .sweep import sweep

NewArray = Callable[[str, DType, int], tuple[str, bool]]
"""A new local array: its name, and whether it is to be declared where it starts."""

Reader = Callable[[Indices], Load | Simple]


class Accumulator(Protocol):
    """What takes part of a reduction's elements at a time.

    `position` is the offset among the accumulators, `lane` that among the partial sums.
    """

    def start(self, body: Body) -> None:
        """Before the outermost loop that folds."""

    def take(self, value: Simple, position: Index, lane: Index | None, body: Body) -> None:
        """One element, or what an inner loop has made of several."""

    def end_row(self, position: Index, body: Body) -> None:
        """Behind iteration `position` of the loops around: a block may be full."""

    def finish(self, body: Body) -> Callable[[Index], Load | Simple]:
        """Behind the loops: how the result at a position is read."""


class Total:
    """One number, to which inner loops add what they have folded."""

    def __init__(self, node: Node, additions: int) -> None:
        self.node, self.nodes = node, (node.id,)
        self.long = is_long_sum(node.op, node.dtype, additions)
        self.dtype = F64 if self.long else node.dtype
        self.base = identifier(node.name or noun(node))
        self.name = ""

    def start(self, body: Body) -> None:
        self.name = body.fresh(f"{self.base}_total")
        first = start_value(self.node.op, self.dtype)
        body.statements.append(Declare(self.name, self.dtype, first, self.nodes))

    def take(self, value: Simple, position: Index, lane: Index | None, body: Body) -> None:
        if self.long:
            value = widen(value, self.nodes, body)
        step = Accumulate(self.name, None, self.node.op, value, self.dtype, self.nodes)
        body.statements.append(step)

    def end_row(self, position: Index, body: Body) -> None:
        pass

    def finish(self, body: Body) -> Callable[[Index], Load | Simple]:
        result = Ref(self.name, self.dtype)
        if self.long:
            result = rounded(result, self.node, body)
        return lambda _: result


class LaneTotal:
    """One number as `LANES` partial results, each of every so many columns of all rows.

    `additions` are those to one of them; `rows` rows make a block of about `CHAIN` of these.
    """

    def __init__(self, node: Node, additions: int, rows: int) -> None:
        self.node, self.nodes = node, (node.id,)
        self.additions, self.rows = additions, rows
        self.fold: Fold | None = None

    @property
    def lanes(self) -> Fold:
        assert self.fold is not None, "the fold has not begun"
        return self.fold

    def start(self, body: Body) -> None:
        self.fold = start_fold(self.node, self.node.dtype, LANES, body, additions=self.additions)
        if self.fold.blocked:
            self.fold.open_block(body)

    def take(self, value: Simple, position: Index, lane: Index | None, body: Body) -> None:
        first = Index()  # also for one element that is left of a row: there are more rows to come
        self.lanes.take(value, first if lane is None else lane, Index(), body)

    def end_row(self, position: Index, body: Body) -> None:
        if not self.lanes.blocked:
            return

        def close(inside: Body) -> None:
            self.lanes.close_block(inside)
            first = start_value(self.node.op, self.node.dtype)
            inside.statements.append(fill(self.lanes.name, LANES, first, self.nodes))

        every(self.rows, position, close, body)

    def finish(self, body: Body) -> Callable[[Index], Load | Simple]:
        if self.lanes.blocked:
            self.lanes.close_block(body)
        result = self.lanes.finish(body)
        return lambda _: result


class TileTotal:
    """One number as a partial result for each column of a tile; long sums are in double."""

    def __init__(self, node: Node, width: int, additions: int) -> None:
        self.node, self.nodes, self.width = node, (node.id,), width
        self.dtype = F64 if is_long_sum(node.op, node.dtype, additions) else node.dtype
        self.base = identifier(node.name or noun(node))
        self.name = ""

    def start(self, body: Body) -> None:
        self.name = body.fresh(f"{self.base}_columns")
        first = start_value(self.node.op, self.dtype)
        body.statements.append(Array(self.name, self.dtype, self.width, first))

    def take(self, value: Simple, position: Index, lane: Index | None, body: Body) -> None:
        if self.dtype != self.node.dtype:
            value = widen(value, self.nodes, body)
        column = lane if lane is not None else Index()
        step = Accumulate(self.name, column, self.node.op, value, self.dtype, self.nodes)
        body.statements.append(step)

    def end_row(self, position: Index, body: Body) -> None:
        pass

    def finish(self, body: Body) -> Callable[[Index], Load | Simple]:
        split = self.width >= 2 * LANES and splits(self.node.op, self.dtype)
        fold = Fold(self.node.op, self.dtype, self.nodes, self.base, LANES if split else 0)
        fold.name = fold.declare(self.base, self.dtype, body)

        def visit(position: Indices, lane: Index | None, inner: Body) -> None:
            part = Ref(inner.fresh("part"), self.dtype)
            load = Load(self.name, position[0], self.dtype)
            inner.statements.append(Let(part.name, load, self.nodes))
            fold.take(part, lane, Index(), inner)

        sweep((self.width,), ("j",), fold.width, (fold,), body, visit)
        result = fold.finish(body)
        if result.dtype != self.node.dtype:
            result = rounded(result, self.node, body)
        return lambda _: result


class Totals:
    """A number for each of `size` elements of the result.

    `rows`: so many rows make a block; 0 where there is no telling, and a long sum is in double.
    """

    def __init__(
        self, node: Node, size: int, additions: int, rows: int, array: NewArray, label: str
    ) -> None:
        self.node, self.nodes, self.size, self.rows = node, (node.id,), size, rows
        self.array, self.base = array, identifier(label)
        self.long = is_long_sum(node.op, node.dtype, additions)
        self.name = ""
        self.wide = ""

    def start(self, body: Body) -> None:
        if self.long:
            self.wide = self._cleared(f"{self.base}_total", F64, body)
        if not self.long or self.rows:
            name = f"{self.base}_block" if self.long else f"{self.base}_total"
            self.name = self._cleared(name, self.node.dtype, body)

    def _cleared(self, base: str, dtype: DType, body: Body) -> str:
        first = start_value(self.node.op, dtype)
        name, on_stack = self.array(base, dtype, self.size)
        if on_stack:
            body.statements.append(Array(name, dtype, self.size, first))
        else:
            body.statements.append(fill(name, self.size, first, self.nodes))
        return name

    def take(self, value: Simple, position: Index, lane: Index | None, body: Body) -> None:
        name, dtype = self.name, self.node.dtype
        if not name:
            name, dtype, value = self.wide, F64, widen(value, self.nodes, body)
        step = Accumulate(name, position, self.node.op, value, dtype, self.nodes)
        body.statements.append(step)

    def end_row(self, position: Index, body: Body) -> None:
        if not (self.wide and self.name):
            return

        def close(inside: Body) -> None:
            self._add_block(inside)
            first = start_value(self.node.op, self.node.dtype)
            inside.statements.append(fill(self.name, self.size, first, self.nodes))

        every(self.rows, position, close, body)

    def _add_block(self, body: Body) -> None:
        with body.loop(Var(body.fresh("k"), self.size)) as inner:
            k = at(inner.var) if inner.var and self.size > 1 else Index()
            part = Ref(inner.fresh("part"), self.node.dtype)
            inner.statements.append(Let(part.name, Load(self.name, k, part.dtype), self.nodes))
            value = widen(part, self.nodes, inner)
            step = Accumulate(self.wide, k, self.node.op, value, F64, self.nodes)
            inner.statements.append(step)

    def finish(self, body: Body) -> Callable[[Index], Load | Simple]:
        node = self.node
        if self.wide:
            if self.name:
                self._add_block(body)
            else:
                self.name = self._result(body)
            with body.loop(Var(body.fresh("k"), self.size)) as inner:
                k = at(inner.var) if inner.var and self.size > 1 else Index()
                total = Ref(inner.fresh("total"), F64)
                inner.statements.append(Let(total.name, Load(self.wide, k, F64), self.nodes))
                result = rounded(total, node, inner)
                inner.statements.append(Store(self.name, k, result, self.nodes))
        return lambda position: Load(self.name, position, node.dtype)

    def _result(self, body: Body) -> str:
        name, on_stack = self.array(f"{self.base}_sum", self.node.dtype, self.size)
        if on_stack:
            body.statements.append(Array(name, self.node.dtype, self.size))
        return name


def every(count: int, position: Index, then: Callable[[Body], None], body: Body) -> None:
    """Do something behind every `count`-th row."""
    if count == 1:
        then(body)
        return
    tests = ((Index(((Rem(position, count), 1),)), count - 1, count),)
    inside = Body(body, guard=True, names=body.names)
    then(inside)
    inside.close()
    body.statements.append(If(tests, tuple(inside.statements)))


def fill(name: str, size: int, value: Literal, nodes: tuple[int, ...]) -> Stmt:
    """All elements of an array set to a number."""
    k = Var("k", size)
    store = Store(name, at(k), value, nodes)
    return store if size == 1 else For(k, (store,))


def rounded(value: Ref, node: Node, body: Body) -> Ref:
    """A double as the node's dtype."""
    result = Ref(body.fresh(identifier(node.name or noun(node))), node.dtype)
    body.statements.append(Let(result.name, Apply("cast", (value,), node.dtype), (node.id,)))
    return result
