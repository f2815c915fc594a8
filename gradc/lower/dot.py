"""A `dot` node as axes and operands.

Enters: a `dot` node, its operands, and what is to be done with each sum (the epilogue). Leaves: a
`Dot`, from which each form of its loops is made. Always holds: operands are affine views of
buffers, up to whole quotients and remainders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from ..cnames import Names
from ..dtypes import DType
from ..graph import Node
from ..index import Index, Indices, Var, replace_vars
from .nest import Apply, Let, Load, Nodes, Param, Ref
from .pointwise import Body, Elements


@dataclass(frozen=True)
class Operand:
    """One side of a product: a stored buffer and the offset of its element."""

    buffer: str
    offset: Index

    def at(self, by: Mapping[Var, Index]) -> Operand:
        """The operand where variables have the values `by`."""
        return Operand(self.buffer, replace_vars(self.offset, by))


@dataclass(frozen=True)
class Axes:
    """The loops that a contraction opens itself; around them there may be others."""

    batch: tuple[Var, ...]
    left: tuple[Var, ...]
    right: tuple[Var, ...]
    depth: tuple[Var, ...]

    @property
    def free(self) -> tuple[Var, ...]:
        """Those of the result, in its order."""
        return (*self.batch, *self.left, *self.right)


@dataclass(frozen=True)
class Stretch:
    """Contracted positions that lie at equal distances in both operands, counted by `var`: so many
    elements in `a`, and so many in `b`.
    """

    var: Var
    a: int
    b: int


Epilogue = Callable[[Indices, Ref, Index, Body], None]
"""What is done with one sum: its index in the result, the sum, its column in a tile, and where."""


@dataclass
class Dot:
    """A contraction and what becomes of its sums.

    `where` is the index of an element of the result, in the variables of `axes` and of the loops
    around. `target` is where the sums themselves go if they are all that is wanted. `scratch` is
    what a form turns out to need.
    """

    elements: Elements
    anchor: Node
    axes: Axes
    operands: tuple[Operand, Operand]
    where: Indices
    epilogue: Epilogue
    target: Operand | None = None
    scratch: list[Param] = field(default_factory=list)

    @property
    def names(self) -> Names:
        return self.elements.names

    @property
    def dtype(self) -> DType:
        return self.anchor.dtype

    @property
    def nodes(self) -> Nodes:
        return (self.anchor.id,)

    @property
    def length(self) -> int:
        """How many products a sum has."""
        return prod(v.extent for v in self.axes.depth)

    @property
    def along_depth(self) -> bool:
        """Whether both operands lie contiguously along the last contracted axis."""
        last = self.axes.depth[-1:]
        return bool(last) and all(is_contiguous(o.offset, last[0]) for o in self.operands)

    def let(self, base: str, expr: Load | Apply, body: Body) -> Ref:
        """A name for a value of the product, declared in `body`."""
        name = body.fresh(base)
        body.statements.append(Let(name, expr, self.nodes))
        return Ref(name, expr.dtype)


def is_strided(index: Index, variables: Sequence[Var]) -> bool:
    """Whether each of these variables moves the index on, by the same from value to value."""
    others = Index(tuple((atom, k) for atom, k in index.terms if not isinstance(atom, Var)))
    moved_on = all(index.coefficient(v) >= 0 for v in variables)
    return moved_on and others.vars.isdisjoint(variables)


def is_contiguous(index: Index, var: Var) -> bool:
    """Whether the index grows by one with the variable."""
    return is_strided(index, (var,)) and index.coefficient(var) == 1


def stretches(depth: Sequence[Var], a: Index, b: Index) -> list[Stretch]:
    """The contracted axes, those joined into one that lie behind each other in both operands."""
    found: list[Stretch] = []
    for v in depth:
        if v.extent == 1:
            continue
        here = Stretch(v, a.coefficient(v), b.coefficient(v))
        before = found[-1] if found else None
        if before and (before.a, before.b) == (here.a * v.extent, here.b * v.extent):
            joined = Var(before.var.name, before.var.extent * v.extent)
            found[-1] = Stretch(joined, here.a, here.b)
        else:
            found.append(here)
    return found or [Stretch(depth[0] if depth else Var("p", 1), 0, 0)]
