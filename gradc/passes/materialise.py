"""Make explicit every value that must be stored although nothing is computed for it.

Enters: a graph. Leaves: a graph with an `identity` node wherever a movement, an input or a constant
has to exist in memory on its own. Always holds: afterwards every output that has elements is a
computed node of its own, and every operand of a contraction is an affine view of a stored buffer.
"""

from __future__ import annotations

from ..graph import Graph, Node
from ..ops.table import Kind
from .rewrite import Rewriter

AFFINE = frozenset({"transpose", "broadcast", "slice", "flip"})


def materialise(graph: Graph) -> Graph:
    """Insert the copies; see the module docstring."""
    rewriter = Rewriter(graph)

    def visit(node: Node, args: tuple[int, ...]) -> int:
        if node.kind is Kind.CONTRACTION:
            args = tuple(
                new if _is_affine(graph, old) else rewriter.add("identity", (new,))
                for old, new in zip(node.args, args, strict=True)
            )
        return rewriter.copy(node, args)

    rewriter.run(visit)
    outputs: list[int] = []
    for out in graph.outputs:
        node, new = graph[out], rewriter.ids[out]
        if node.size and (node.kind in (Kind.MOVEMENT, Kind.SOURCE) or new in outputs):
            rewriter.current = node
            new = rewriter.add("identity", (new,), name=node.name, unique=True)
        outputs.append(new)
    return rewriter.builder.finish(outputs)


def _is_affine(graph: Graph, node_id: int) -> bool:
    """Whether a chain of movements is one strided view of the stored node it ends at.

    Transposes, slices, flips and broadcasts of a row-major buffer are; a reshape is as long as
    nothing below it has disturbed the row-major order, or it only adds and drops axes of extent 1.
    """
    node = graph[node_id]
    while node.kind is Kind.MOVEMENT:
        below = graph[node.args[0]]
        if node.op == "reshape":
            if _squeezed(node.shape) != _squeezed(below.shape):
                return _is_row_major(graph, below.id)
        elif node.op not in AFFINE:
            return False
        node = below
    return _is_buffer(node)


def _is_row_major(graph: Graph, node_id: int) -> bool:
    node = graph[node_id]
    while node.kind is Kind.MOVEMENT:
        if node.op != "reshape":
            return False
        node = graph[node.args[0]]
    return _is_buffer(node)


def _is_buffer(node: Node) -> bool:
    """Whether a node that is no movement is in memory: a single number need not be."""
    return node.size > 1 and node.op != "iota"


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)
