"""A `dot` node as axes and operands.

Enters: a `dot` node, with the elementwise nodes that follow it in its loops (the epilogue), and the
buffers they are written to. Leaves: a `Dot`, from which each form of its kernel is made. Always
holds: operands are affine views of stored buffers, up to whole quotients and remainders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from ..cnames import Names
from ..dtypes import DType
from ..graph import Graph, Node
from ..index import Index, Indices, Var, at, flatten, replace_vars
from ..passes.views import view
from .nest import Apply, Let, Load, Nodes, Param, Ref, Store
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
    """The loop variables of a contraction."""

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


@dataclass
class Dot:
    """A contraction and where its results go. `storage` names the buffers of the nodes that are
    written; `scratch` are those its form turns out to need.
    """

    elements: Elements
    graph: Graph
    anchor: Node
    storage: Mapping[int, str]
    axes: Axes = field(init=False)
    operands: tuple[Operand, Operand] = field(init=False)
    scratch: list[Param] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.axes = self._axes()
        self.operands = self._operand(0), self._operand(1)

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

    def epilogue(self, index: Indices, total: Ref, body: Body) -> None:
        """Store the nodes of the group at one element, whose sum is `total`."""
        self.elements.local[self.anchor.id] = lambda _: total
        for node_id, buffer in self.storage.items():
            value = self.elements.value(node_id, index, body)
            offset = flatten(index, self.graph[node_id].shape)
            body.statements.append(Store(buffer, offset, value, (node_id,)))


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
