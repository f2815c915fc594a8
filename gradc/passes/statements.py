"""Statements: what is computed at a place of its own, with all that is computed on the way.

Enters: a graph and its *anchors*, the nodes that are computed at a place of their own. Leaves: for
each a `Statement`: its dimensions, and which elements of memory and of other statements one
iteration reads. Always holds: dimensions are factors of axes (see `factors`); movements and nodes
that are no anchors are part of every statement that reads through them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from math import prod

from ..graph import Graph, Node
from ..ops.table import Kind
from .factors import Factoring, Factors, Map


class Role(Enum):
    """How a statement is computed; each has an emitter of its own."""

    VALUE = "value"  # each element from those at its place
    FOLD = "fold"  # a reduction
    CONTRACT = "contract"  # sums of products, in tiles


@dataclass(frozen=True)
class Read:
    """A value in memory, or another statement, and where it is read."""

    source: int
    map: Map


@dataclass(frozen=True)
class Product:
    """The dimensions of a contraction: up to `batch`, `left` and `right` those of its result, then
    those it folds. `operands`: for each axis of either operand the dimension it is.
    """

    batch: int
    left: int
    right: int
    operands: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def tile(self) -> tuple[int | None, int | None]:
        """The dimensions that are the rows and the columns of its tiles."""
        row = self.left - 1 if self.left > self.batch else None
        return row, self.right - 1 if self.right > self.left else None


@dataclass(frozen=True)
class Statement:
    """One anchor.

    `domain` are the factors it runs over: those of its result, of a fold those of its argument, of
    a contraction batch, left, right and depth. Counted through they are its dimensions, of which
    `folded` are folded and `result` are those of the result, one for each factor in `factors`.
    `inline` are the nodes it computes on the way, and where.
    """

    node: int
    role: Role
    domain: Factors
    factors: Factors
    result: tuple[int, ...]
    folded: frozenset[int]
    reads: tuple[Read, ...]
    inline: tuple[tuple[int, Map], ...]
    product: Product | None = None

    @property
    def extents(self) -> tuple[int, ...]:
        """Its dimensions."""
        return tuple(n for factors in self.domain for n in factors)

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents of the result, one for each factor."""
        return tuple(n for factors in self.factors for n in factors)

    @property
    def iterations(self) -> int:
        return prod(self.extents)


NONE: frozenset[int] = frozenset()


def in_memory(node: Node) -> bool:
    """Whether an array exists before anything runs; a single number is written where it is used."""
    return node.kind is Kind.INPUT or (node.kind is Kind.CONSTANT and node.size > 1)


class Statements:
    """The statements of a graph, made when they are asked for, and kept."""

    def __init__(self, graph: Graph, anchors: Iterable[int]) -> None:
        self.graph = graph
        self.anchors = frozenset(anchors)
        self.axes = Factoring(graph)
        self._made: dict[tuple[int, frozenset[int], frozenset[int]], Statement] = {}

    def __call__(
        self, node_id: int, kept: frozenset[int] = NONE, dropped: frozenset[int] = NONE
    ) -> Statement:
        """A node's statement where those of `kept` are anchors, too, and `dropped` are none."""
        key = (node_id, kept, dropped)
        if key not in self._made:

            def ends(i: int) -> bool:
                return i in kept or (i in self.anchors and i not in dropped)

            self._made[key] = self._make(node_id, ends)
        return self._made[key]

    def _make(self, node_id: int, ends: Callable[[int], bool]) -> Statement:
        node, axes = self.graph[node_id], self.axes
        if node.kind is Kind.CONTRACTION:
            return self._contraction(node, ends)
        if node.kind is not Kind.REDUCTION:
            every = tuple(range(len(axes.flat(node_id))))
            reads, inline = self._reads([(a, every) for a in node.args], ends)
            own = axes[node_id]
            return Statement(node_id, Role.VALUE, own, own, every, NONE, reads, inline)
        (arg,) = node.args
        domain = axes[arg]
        owner = [k for k, factors in enumerate(domain) for _ in factors]
        folded = frozenset(k for k, axis in enumerate(owner) if axis in node.attrs["axes"])
        result = tuple(k for k in range(len(owner)) if k not in folded)
        reads, inline = self._reads([(arg, tuple(range(len(owner))))], ends)
        return Statement(node_id, Role.FOLD, domain, axes[node_id], result, folded, reads, inline)

    def _contraction(self, node: Node, ends: Callable[[int], bool]) -> Statement:
        product, extents = _product(node, *self.graph.args(node))
        starts = list(zip(node.args, product.operands, strict=True))
        reads, inline = self._reads(starts, ends)
        result, every = range(product.right), range(len(extents))
        return Statement(
            node.id, Role.CONTRACT, tuple((n,) for n in extents), self.axes[node.id],
            tuple(result), frozenset(every[product.right :]), reads, inline, product,
        )  # fmt: skip

    def _reads(
        self, starts: Iterable[tuple[int, Map]], ends: Callable[[int], bool]
    ) -> tuple[tuple[Read, ...], tuple[tuple[int, Map], ...]]:
        """What is read, and what is computed on the way, from `starts` back to where it ends."""
        graph = self.graph
        reads: dict[Read, None] = {}
        inline: dict[tuple[int, Map], None] = {}
        stack = list(dict.fromkeys(starts))
        seen = set(stack)
        while stack:
            node_id, here = stack.pop()
            node = graph[node_id]
            if ends(node_id) or in_memory(node):
                reads[Read(node_id, here)] = None
                continue
            if node.kind.is_source:
                continue
            if node.kind is Kind.MOVEMENT:
                more = self.axes.through(node, here)
            else:
                inline[node_id, here] = None
                more = [(a, here) for a in dict.fromkeys(node.args)]
            for item in more:
                if item not in seen:
                    seen.add(item)
                    stack.append(item)
        return tuple(reads), tuple(inline)


def _product(node: Node, a: Node, b: Node) -> tuple[Product, list[int]]:
    """The dimensions of a contraction of `a` and `b`, and their extents."""
    contract, batch = node.attrs["contract"], node.attrs["batch"]
    free = [
        [k for k in range(len(arg.shape)) if k not in (*contract[side], *batch[side])]
        for side, arg in enumerate((a, b))
    ]
    left = len(batch[0]) + len(free[0])
    right = left + len(free[1])
    operands = []
    for side, first in enumerate((len(batch[0]), left)):
        order = [*batch[side], *free[side], *contract[side]]
        dims = [*range(len(batch[0])), *range(first, first + len(free[side]))]
        dims += range(right, right + len(contract[side]))
        place = dict(zip(order, dims, strict=True))
        operands.append(tuple(place[k] for k in range(len(order))))
    extents = [a.shape[k] for k in (*batch[0], *free[0])] + [b.shape[k] for k in free[1]]
    extents += [a.shape[k] for k in contract[0]]
    return Product(len(batch[0]), left, right, (operands[0], operands[1])), extents
