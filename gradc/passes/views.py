"""Movement nodes as views: which element of a stored node an element of a chain of movements is.

Enters: a movement node and the index of one of its elements, an `Index` per axis. Leaves: the
elements it may come from, or the offset in the buffer at the end of the chain. Always holds:
nothing is copied or computed here; what a movement op does is what its row says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..graph import Graph, Node
from ..index import Index, Indices, Source, Var, at, flatten
from ..ops.table import OPS, Kind


def sources(graph: Graph, node: Node, index: Indices) -> tuple[Source, ...]:
    """The possible sources of element `index` of a movement node, among its operands."""
    index_map = OPS[node.op].index_map
    assert index_map is not None, f"movement op `{node.op}` has no index map"
    return index_map(index, tuple(a.shape for a in graph.args(node)), node.shape, node.attrs)


@dataclass(frozen=True)
class View:
    """Element `index` of a movement chain is element `offset` of the stored node `base`."""

    base: int
    offset: Index


def view(graph: Graph, node_id: int, index: Indices, stored: Callable[[int], bool]) -> View | None:
    """The chain of movements from `node_id` to a stored node as one affine offset, if it is one."""
    while not stored(node_id):
        node = graph[node_id]
        if node.kind is not Kind.MOVEMENT:
            return None
        found = sources(graph, node, index)
        if len(found) != 1 or found[0].tests:
            return None
        node_id, index = node.args[found[0].operand], found[0].index
    offset = flatten(index, graph[node_id].shape)
    return View(node_id, offset) if offset.affine else None


def whole_index(shape: tuple[int, ...]) -> Indices:
    """The index of any element of an array: a loop variable for each axis."""
    return tuple(map(at, whole_variables(shape)))


def whole_variables(shape: tuple[int, ...]) -> tuple[Var, ...]:
    """A loop variable for each axis of an array."""
    return tuple(Var(f"i{axis}", n) for axis, n in enumerate(shape))
