"""Rebuilding a graph node by node, the way every pass does.

Enters: a graph and what to make of each node. Leaves: a new graph, made through the hash-consing
constructor. Always holds: inputs keep their order; spans, names and the link from a gradient to its
forward node go along (`GONE` where that node is no longer there).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..graph import GONE, NO_ATTRS, Builder, Graph, Node
from ..ops.table import Kind

Attrs = Mapping[str, Any]


class Rewriter:
    """A builder that adds nodes on behalf of a node of the old graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.builder = Builder()
        self.ids: dict[int, int] = {}
        self.current: Node | None = None

    def node(self, new_id: int) -> Node:
        """A node of the graph being built."""
        return self.builder.nodes[new_id]

    def add(
        self,
        op: str,
        args: Sequence[int] = (),
        attrs: Mapping[str, Any] = NO_ATTRS,
        *,
        name: str | None = None,
        clone: int = 0,
        unique: bool = False,
    ) -> int:
        """Add a node that comes from the current one."""
        at = self.current
        span = at.span if at else None
        of = self.ids.get(at.of, GONE) if at and at.of is not None else None
        return self.builder.add(
            op, args, attrs, span=span, of=of, name=name, clone=clone, unique=unique
        )

    def copy(self, node: Node, args: Sequence[int]) -> int:
        """The node as it is, on new arguments."""
        if node.kind is Kind.INPUT:
            return self.builder.input(node.spec, node.name or "", node.span)
        return self.remake(node, args)

    def remake(self, node: Node, args: Sequence[int], attrs: Attrs | None = None) -> int:
        """The same op on new arguments, with `attrs` in the place of its own if given."""
        chosen = node.attrs if attrs is None else attrs
        return self.add(node.op, args, chosen, name=node.name, clone=node.clone)

    def run(self, visit: Callable[[Node, tuple[int, ...]], int]) -> Graph:
        """Rebuild: `visit(node, new args)` returns the new id that takes the node's place."""
        for node in self.graph:
            self.current = node
            self.ids[node.id] = visit(node, tuple(self.ids[a] for a in node.args))
        return self.builder.finish(self.ids[o] for o in self.graph.outputs)
