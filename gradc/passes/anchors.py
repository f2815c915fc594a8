"""Which nodes are computed at a place of their own; all others are computed again by every reader.

Enters: a graph (after `materialise`). Leaves: the ids of its anchors. Always holds: outputs,
reductions and contractions are anchors, and so is what the operands of contractions are views of;
what is compared with something else that is computed is computed once.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..dtypes import is_bool, is_float, item_bytes
from ..graph import Graph, Node
from ..ops.table import OPS, Kind
from .statements import in_memory

KEEP = 4
"""Operations an element from which a value is kept rather than computed again in every loop."""

SPREAD = 4
"""So many times more often than it has elements is a costly value not computed."""

MANY = 8
"""More sources or readers than this are not counted."""


def is_computed(node: Node) -> bool:
    return node.kind is not Kind.MOVEMENT and not node.kind.is_source


def choose_anchors(graph: Graph) -> frozenset[int]:
    """The anchors; from the outputs back, as each choice depends on who reads the value."""
    return _Choice(graph).anchors()


def compared_values(graph: Graph) -> frozenset[int]:
    """Floats that are compared with other computed values, rather than with constants.

    A compiler may round a product and a sum in one loop twice and in another once. An element that
    is compared with the maximum of all of them would then equal none.
    """
    found: set[int] = set()
    for node in graph:
        if node.kind is Kind.ELEMENTWISE and is_bool(node.dtype):
            ends = [a for a in graph.producers[node.id] if is_computed(graph[a])]
            if len(ends) > 1:
                found.update(a for a in ends if is_float(graph[a].dtype))
    return frozenset(found)


class _Choice:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.found = set(self._forced())
        self.compared = compared_values(graph)
        self.operations: dict[int, float] = {}
        self.sources: dict[int, frozenset[int] | None] = {}
        for node in graph:
            self._count(node)

    def _forced(self) -> Iterable[int]:
        graph = self.graph
        for node in graph:
            if node.kind in (Kind.REDUCTION, Kind.CONTRACTION):
                yield node.id
            if node.kind is Kind.CONTRACTION:
                yield from (a for a in graph.producers[node.id] if is_computed(graph[a]))
        yield from (o for o in graph.outputs if is_computed(graph[o]))

    def _count(self, node: Node) -> None:
        """The operations that an element takes from anchors and memory, and which those are."""
        if node.id in self.found or in_memory(node):
            self.operations[node.id], self.sources[node.id] = 0.0, frozenset({node.id})
            return
        own = OPS[node.op].cost if node.kind is Kind.ELEMENTWISE else 0.0
        args = list(dict.fromkeys(node.args))
        self.operations[node.id] = min(1e6, own + sum(self.operations[a] for a in args))
        union: frozenset[int] = frozenset()
        for a in args:
            more = self.sources[a]
            if more is None or len(union | more) > MANY:
                self.sources[node.id] = None
                return
            union |= more
        self.sources[node.id] = union

    def anchors(self) -> frozenset[int]:
        readers: dict[int, frozenset[int]] = {}
        for node in reversed(list(self.graph)):
            mine: set[int] = set()
            for u in self.graph.users[node.id]:
                mine |= {u} if u in self.found else readers[u]
                if len(mine) > MANY:
                    break
            readers[node.id] = frozenset(mine)
            free = node.kind is Kind.ELEMENTWISE and node.id not in self.found
            if free and mine and self._is_anchor(node, mine):
                self.found.add(node.id)
        return frozenset(self.found)

    def _is_anchor(self, node: Node, readers: set[int]) -> bool:
        operations, count = self.operations[node.id], len(readers)
        if node.id in self.compared and count > 1:
            return True
        if node.size <= 1 and operations < KEEP:
            return False
        spread = max(self._iterations(r) for r in readers) >= SPREAD * max(node.size, 1)
        tiled = self.graph[max(readers)].kind is Kind.CONTRACTION
        if spread and operations >= KEEP and not tiled:
            return True
        if count < 2:
            return False
        if self._takes_the_place(node):
            return True
        sources = self.sources[node.id]
        if sources is None:
            return True
        size = item_bytes(node.dtype)
        read = sum(self.graph[s].nbytes / max(node.size, 1) for s in sources)
        extra = max(0.0, read - size)
        saved = size if extra == 0 else 0
        return count * (extra + operations) > (1.5 + count) * size - saved

    def _iterations(self, node_id: int) -> int:
        node = self.graph[node_id]
        return self.graph[node.args[0]].size if node.kind is Kind.REDUCTION else node.size

    def _takes_the_place(self, node: Node) -> bool:
        """Whether it is all that is made of an anchor as large, in whose place it can be stored."""
        below = self.graph[node.args[0]]
        while below.id not in self.found:
            if below.kind.is_source or len(self.graph.users[below.id]) > 1 or not below.args:
                return False
            below = self.graph[below.args[0]]
        return below.size >= node.size and len(self.graph.users[below.id]) == 1
