"""Axes finer than dimensions: where reshapes cut them, and what movements do to them.

Enters: a graph. Leaves: for every dimension of every node its *factors*, outermost first, and for
every movement node which factor of its result is which factor of an operand. Always holds: an
elementwise node has the factors of its arguments; on both sides of a reshape the same factors stand
in the same order, except where extents do not line up (6 = 2 x 3 against 3 x 2); a dimension of a
contraction is one factor.

Loops run over factors, so that a softmax over [12, 64, 512] and a loss over its reshape to
[768, 512] can share theirs. Factors that stayed together are one loop again when a kernel is
printed (`lower.flat`), so nothing is lost where no reshape is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod

from ..graph import Graph, Node
from ..index import Index, Indices, Var, at, flatten, unflatten
from ..ops.table import Kind
from .views import sources, whole_index

Factors = tuple[tuple[int, ...], ...]
"""For each dimension its factors, outermost first; their product is its extent."""

Map = tuple[int | None, ...]
"""For each factor of a value that is read: the dimension of the reader whose position it is read
at, or None where it is read anywhere else."""

Dim = tuple[int, int]
"""A dimension of a node: the node's id and the number of the axis."""


@dataclass
class _Class:
    """Dimensions that have the same factors. `cuts` are the products of what lies inside a cut."""

    extent: int
    cuts: set[int] = field(default_factory=set)
    whole: bool = False


class Factoring:
    """The factors of every dimension of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._of: dict[Dim, Dim] = {}
        self._classes: dict[Dim, _Class] = {}
        self._moves: dict[int, tuple[tuple[int, Map], ...]] = {}
        runs: list[tuple[list[Dim], list[Dim]]] = []
        for node in graph:
            for result in node.results[:1]:
                for k, n in enumerate(result.shape):
                    self._of[node.id, k] = (node.id, k)
                    self._classes[node.id, k] = _Class(n)
            runs += self._relate(node)
        changed = bool(runs)
        while changed:
            changed = sum(self._spread(*run) for run in runs) > 0
        self._factors = {n.id: self._cut(n) for n in graph} if runs else {}

    def __getitem__(self, node_id: int) -> Factors:
        if node_id in self._factors:
            return self._factors[node_id]
        return tuple((n,) for n in self.graph[node_id].shape)

    def flat(self, node_id: int) -> tuple[int, ...]:
        """The factors of all dimensions, one after the other."""
        return tuple(n for factors in self[node_id] for n in factors)

    def moves(self, node: Node) -> tuple[tuple[int, Map], ...]:
        """The operands of a movement node, each with the factor of the result at whose position
        each of its own factors is read, or None.

        This is read off the row's index map, and holds for every movement there is: a factor is
        kept where its position in the operand is that in the result, and it is as long.
        """
        if node.id not in self._moves:
            variables = [Var(f"f{k}", n) for k, n in enumerate(self.flat(node.id))]
            index = joined([at(v) for v in variables], self[node.id])
            found = dict.fromkeys(
                (node.args[s.operand], self._kept(node.args[s.operand], s.index, variables))
                for s in sources(self.graph, node, index)
            )
            self._moves[node.id] = tuple(found)
        return self._moves[node.id]

    def through(self, node: Node, reader: Map) -> list[tuple[int, Map]]:
        """The operands of a movement node, and how somebody reads them who reads the node so."""
        return [
            (operand, tuple(None if k is None else reader[k] for k in kept))
            for operand, kept in self.moves(node)
        ]

    def _kept(self, operand: int, index: Indices, variables: Sequence[Var]) -> Map:
        known = {at(v): (k, v.extent) for k, v in enumerate(variables) if v.extent > 1}
        places = (known.get(i) for i in split(index, self[operand]))
        return tuple(
            place[0] if place is not None and place[1] == n else None
            for place, n in zip(places, self.flat(operand), strict=True)
        )

    # Classes of dimensions with the same factors

    def _find(self, dim: Dim) -> Dim:
        while self._of[dim] != dim:
            self._of[dim] = self._of[self._of[dim]]
            dim = self._of[dim]
        return dim

    def _class(self, dim: Dim) -> _Class:
        return self._classes[self._find(dim)]

    def _tie(self, a: Dim, b: Dim) -> None:
        a, b = self._find(a), self._find(b)
        if a != b:
            self._of[b] = a
            self._classes[a].whole |= self._classes.pop(b).whole

    def _relate(self, node: Node) -> list[tuple[list[Dim], list[Dim]]]:
        """Tie a node's dimensions to its arguments'; what a reshape cuts is returned, in runs."""
        graph, i = self.graph, node.id
        match node.kind:
            case Kind.ELEMENTWISE:
                for arg in node.args:
                    for k in range(len(node.shape)):
                        self._tie((arg, k), (i, k))
            case Kind.REDUCTION:
                (arg,) = node.args
                kept = (k for k in range(len(graph[arg].shape)) if k not in node.attrs["axes"])
                for k, x in enumerate(kept):
                    self._tie((arg, x), (i, k))
            case Kind.CONTRACTION:
                for n in (i, *node.args):
                    for k in range(len(graph[n].shape)):
                        self._class((n, k)).whole = True
            case Kind.MOVEMENT:
                return self._relate_moved(node)
        return []

    def _relate_moved(self, node: Node) -> list[tuple[list[Dim], list[Dim]]]:
        shape = node.shape
        index = whole_index(shape)
        place = {x: k for k, x in enumerate(index) if shape[k] > 1}
        found = sources(self.graph, node, index)
        for source in found:
            arg = self.graph[node.args[source.operand]]
            in_order = flatten(source.index, arg.shape) == flatten(index, shape)
            if len(found) == 1 and in_order and arg.size == node.size:  # not the first of its rows
                return self._lined_up(node, arg)
            for k, x in enumerate(source.index):
                if x in place and shape[place[x]] == arg.shape[k]:
                    self._tie((arg.id, k), (node.id, place[x]))
        return []

    def _lined_up(self, node: Node, arg: Node) -> list[tuple[list[Dim], list[Dim]]]:
        """A reshape: dimensions that are the same are tied, others are runs."""
        runs = []
        for outs, ins in lined_up(node.shape, arg.shape):
            of, to = [(node.id, k) for k in outs], [(arg.id, k) for k in ins]
            if len(of) == len(to) == 1:
                self._tie(to[0], of[0])
            else:
                runs.append((of, to))
        return runs

    def _spread(self, outs: list[Dim], ins: list[Dim]) -> bool:
        """Cut the dimensions of a run where the others begin; False if there is nothing to do, or
        the cuts do not lie within one another.
        """
        points: set[int] = set()
        sides: list[tuple[int, _Class]] = []
        for side in (outs, ins):
            stride = 1
            for dim in reversed(side):
                own = self._class(dim)
                points |= {stride} | {stride * c for c in own.cuts}
                sides.append((stride, own))
                stride *= own.extent
            points.add(stride)
        if 0 in points or not _is_chain(points):
            return False
        new: list[tuple[_Class, set[int]]] = []
        for stride, own in sides:
            more = {p // stride for p in points if stride < p < stride * own.extent} - own.cuts
            if more and (own.whole or not _is_chain(own.cuts | more | {own.extent})):
                return False
            new.append((own, more))
        for own, more in new:
            own.cuts |= more
        return any(more for _, more in new)

    def _cut(self, node: Node) -> Factors:
        found: list[tuple[int, ...]] = []
        for k, n in enumerate(node.results[0].shape if node.results else ()):
            cuts = sorted({n, 1} | self._class((node.id, k)).cuts, reverse=True)
            own = tuple(x // y for x, y in pairwise(cuts)) if n > 1 else (n,)
            assert prod(own) == n, f"axis {k} of {node} is not the product of {own}"
            found.append(own)
        return tuple(found)


def joined(positions: Sequence[Index], factors: Factors) -> Indices:
    """The position along every dimension, from that along every factor."""
    found: list[Index] = []
    done = 0
    for own in factors:
        found.append(flatten(positions[done : done + len(own)], own))
        done += len(own)
    return tuple(found)


def split(index: Sequence[Index], factors: Factors) -> Indices:
    """The position along every factor, from that along every dimension."""
    found: list[Index] = []
    for position, own in zip(index, factors, strict=True):
        found += unflatten(position, own) if len(own) > 1 else (position,)
    return tuple(found)


def lined_up(outs: Sequence[int], ins: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The shortest runs of extents that have equal products on both sides, as axis numbers."""
    found: list[tuple[list[int], list[int]]] = []
    o = i = 0
    while o < len(outs) and i < len(ins):
        p, q, o_end, i_end = outs[o], ins[i], o + 1, i + 1
        while p != q:
            if p < q and o_end < len(outs):
                p, o_end = p * outs[o_end], o_end + 1
            elif q < p and i_end < len(ins):
                q, i_end = q * ins[i_end], i_end + 1
            else:
                return found
        found.append((list(range(o, o_end)), list(range(i, i_end))))
        o, i = o_end, i_end
    return found


def _is_chain(points: set[int]) -> bool:
    """Whether of any two numbers the smaller divides the larger."""
    ordered = sorted(points)
    return all(x and y % x == 0 for x, y in pairwise(ordered))
