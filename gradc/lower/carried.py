"""Reductions carried across rows: their accumulators while the rows run, and what they leave.

Enters: a reduction node, the number of axes outside the row loops, and how to get local memory.
Leaves: the statements around the row loops and in them. Always holds: rows are folded in ascending
order; a float32 sum over many rows is a sum of blocks of rows, which are added up in double.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from ..cnames import identifier
from ..dtypes import F64, DType
from ..graph import Node
from ..index import Index, Indices, Rem, Var, at, flatten
from ..passes.cost import CHAIN
from .folds import is_long_sum, start_value, widen
from .nest import Accumulate, Apply, Array, Declare, For, If, Let, Literal, Load, Ref, Simple, Store
from .pointwise import Body, noun

NewArray = Callable[[str, DType, int], tuple[str, bool]]


class Carried:
    """One carried reduction. `rows` are the extents of the row loops, `argument` the shape folded;
    `array(name, dtype, size)` names a new local array and says whether it is to be declared here.
    """

    def __init__(
        self,
        node: Node,
        argument: tuple[int, ...],
        outer: int,
        rows: Sequence[int],
        array: NewArray,
    ) -> None:
        self.node = node
        self.outer = outer
        self.shape = node.shape[outer:]
        self.size = prod(self.shape)
        self.array = array
        # A total of one element takes one sum of each row.
        additions = prod(argument) // max(node.size, 1) if self.shape else prod(rows)
        self.long = is_long_sum(node.op, node.dtype, additions)
        self.name = ""
        self.wide = ""

    def start(self, outside: Body) -> None:
        """Before the row loops."""
        base = identifier(f"{self.node.name or noun(self.node)}_total")
        dtype = self.node.dtype
        if not self.shape:
            dtype = F64 if self.long else dtype
            self.name = outside.fresh(base)
            start = start_value(self.node.op, dtype)
            outside.statements.append(Declare(self.name, dtype, start, (self.node.id,)))
            return
        if self.long:
            self.wide = self._cleared(base, F64, outside)
            base = identifier(f"{self.node.name or noun(self.node)}_block")
        self.name = self._cleared(base, dtype, outside)

    def _cleared(self, base: str, dtype: DType, outside: Body) -> str:
        start = start_value(self.node.op, dtype)
        name, on_stack = self.array(base, dtype, self.size)
        if on_stack:
            outside.statements.append(Array(name, dtype, self.size, start))
        else:
            outside.statements.append(self._fill(name, start))
        return name

    def _fill(self, name: str, value: Literal) -> For:
        k = Var("k", self.size)
        return For(k, (Store(name, at(k), value, (self.node.id,)),))

    def position(self, index: Indices) -> Index | None:
        """Which accumulator takes the element of the argument at `index`."""
        if not self.shape:
            return None
        kept = [i for axis, i in enumerate(index) if axis not in self.node.attrs["axes"]]
        return flatten(kept[self.outer :], self.shape)

    def take(self, value: Simple, position: Index | None, body: Body) -> None:
        """One element of the argument, or one row's result."""
        node, dtype = self.node, self.node.dtype
        if self.long and not self.shape:
            value, dtype = widen(value, (node.id,), body), F64
        body.statements.append(Accumulate(self.name, position, node.op, value, dtype, (node.id,)))

    def end_row(self, position: Index, row: Body) -> None:
        """Behind a row, the `position`-th: every `CHAIN` of them are a block."""
        if self.wide:
            tests = ((Index(((Rem(position, CHAIN), 1),)), CHAIN - 1, CHAIN),)
            inside = Body(row, guard=True, names=row.names)
            self._add_block(inside)
            inside.close()
            clear = self._fill(self.name, start_value(self.node.op, self.node.dtype))
            row.statements.append(If(tests, (*inside.statements, clear)))

    def _add_block(self, body: Body) -> None:
        nodes = (self.node.id,)
        with body.loop(Var(body.fresh("k"), self.size)) as inner:
            k = at(inner.var) if inner.var and self.size > 1 else Index()
            part = Ref(inner.fresh("part"), self.node.dtype)
            inner.statements.append(Let(part.name, Load(self.name, k, part.dtype), nodes))
            value = widen(part, nodes, inner)
            inner.statements.append(Accumulate(self.wide, k, self.node.op, value, F64, nodes))

    def finish(self, outside: Body) -> Callable[[Indices], Load | Ref]:
        """Behind the row loops; returns how an element of the result is read."""
        node, dtype, nodes = self.node, self.node.dtype, (self.node.id,)
        if not self.shape:
            if not self.long:
                return lambda _: Ref(self.name, dtype)
            result = outside.fresh(identifier(node.name or noun(node)))
            single = Apply("cast", (Ref(self.name, F64),), dtype)
            outside.statements.append(Let(result, single, nodes))
            return lambda _: Ref(result, dtype)
        if self.wide:
            self._add_block(outside)
            with outside.loop(Var(outside.fresh("k"), self.size)) as inner:
                k = at(inner.var) if inner.var and self.size > 1 else Index()
                total = Ref(inner.fresh("total"), F64)
                inner.statements.append(Let(total.name, Load(self.wide, k, F64), nodes))
                rounded = Ref(inner.fresh("rounded"), dtype)
                inner.statements.append(Let(rounded.name, Apply("cast", (total,), dtype), nodes))
                inner.statements.append(Store(self.name, k, rounded, nodes))
        return lambda index: Load(self.name, flatten(index[self.outer :], self.shape), dtype)
