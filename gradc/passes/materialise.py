"""Make explicit every value that must be stored although nothing is computed for it.

Enters: a graph. Leaves: a graph with an `identity` node wherever a movement, an input or a constant
has to exist in memory on its own. Always holds: afterwards every output that has elements is a
computed node of its own, and every operand of a contraction is an affine view of a stored buffer.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Graph, Node
from ..ops.table import OPS, Kind
from .rewrite import Rewriter
from .views import view, whole_index


def materialise(graph: Graph, names: Sequence[str | None]) -> Graph:
    """Insert the copies; see the module docstring. `names` are those of the outputs, if known."""
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
    for out, name in zip(graph.outputs, names, strict=True):
        node, new = graph[out], rewriter.ids[out]
        if node.size and (node.kind is Kind.MOVEMENT or node.kind.is_source or new in outputs):
            rewriter.current = node
            source = rewriter.node(new)
            of = source.args[0] if OPS[source.op].marker else new
            new = rewriter.add("identity", (of,), name=name or node.name, unique=True)
        outputs.append(new)
    return rewriter.builder.finish(outputs)


def _is_affine(graph: Graph, node_id: int) -> bool:
    """Whether a node is in memory, or a chain of movements that is one strided view of one."""
    index = whole_index(graph[node_id].shape)
    return view(graph, node_id, index, lambda i: _is_buffer(graph[i])) is not None


def _is_buffer(node: Node) -> bool:
    """Whether a node is in memory: what only moves is not, and a single number need not be."""
    return node.kind is not Kind.MOVEMENT and node.size > 1 and node.kind is not Kind.COUNTER
