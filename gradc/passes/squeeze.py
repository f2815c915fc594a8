"""Axes of extent 1 leave the graph: they hold no elements, but keep nodes from sharing loops.

Enters: a graph. Leaves: an equal graph in which no computed node has an axis of extent 1. Always
holds: inputs keep their shapes and are viewed without unit axes; outputs have lost theirs, which
changes nothing of how they lie in memory.
"""

from __future__ import annotations

from math import prod

import numpy as np

from ..graph import Graph, Node
from ..ops.movement import left_axes, without_units
from ..ops.table import OPS, Kind
from .rewrite import Rewriter

Shape = tuple[int, ...]


def squeeze_units(graph: Graph) -> Graph:
    """See the module docstring."""
    return _Squeezer(graph).rebuilt()


class _Squeezer(Rewriter):
    """Rebuilds every node without unit axes; `self.ids` are squeezed nodes throughout."""

    def rebuilt(self) -> Graph:
        return self.run(self._visit)

    def _visit(self, node: Node, args: Shape) -> int:
        if node.kind.is_source:
            return self._reshaped(self._source(node), without_units(node.shape))
        match node.kind:
            case Kind.ELEMENTWISE:
                return self.remake(node, args)
            case Kind.REDUCTION:
                return self._reduction(node, args)
            case Kind.CONTRACTION:
                return self._contraction(node, args)
            case Kind.OWN:
                return self._as_before(node, args)
            case Kind.ITEM:
                return self._reshaped(self.remake(node, args), without_units(node.shape))
        return self._movement(node, args)

    def _source(self, node: Node) -> int:
        if node.kind is Kind.CONSTANT and node.size == 1:
            value = np.asarray(node.attrs["value"]).reshape(())
            return self.add("const", (), {"value": value}, name=node.name)
        return self.copy(node, ())

    def _reshaped(self, node_id: int, shape: Shape) -> int:
        if self.node(node_id).shape == shape:
            return node_id
        return self.add("reshape", (node_id,), {"shape": shape})

    def _as_before(self, node: Node, args: Shape) -> int:
        """The op in its old shapes, between reshapes."""
        wide = [
            self._reshaped(new, self.graph[old].shape)
            for old, new in zip(node.args, args, strict=True)
        ]
        made = self.add(node.op, wide, node.attrs, clone=node.clone)
        if len(node.results) > 1:
            return made  # the items are reshaped
        return self._reshaped(made, without_units(node.shape))

    def _reduction(self, node: Node, args: Shape) -> int:
        old = self.graph[node.args[0]].shape
        axes = left_axes(node.attrs["axes"], old)
        folded = prod(old[axis] for axis in node.attrs["axes"])
        if folded == 1 or len(axes) == 0:
            return self._as_before(node, args)
        return self.remake(node, args, {**node.attrs, "axes": axes})

    def _contraction(self, node: Node, args: Shape) -> int:
        shapes = [self.graph[a].shape for a in node.args]
        attrs = {
            key: tuple(left_axes(node.attrs[key][side], shapes[side]) for side in (0, 1))
            for key in ("contract", "batch")
        }
        if not attrs["contract"][0]:
            return self._as_before(node, args)
        return self.remake(node, args, attrs)

    def _movement(self, node: Node, args: Shape) -> int:
        thin = OPS[node.op].without_units
        if thin is None:
            return self._as_before(node, args)
        attrs = thin(node.attrs, self.graph[node.args[0]].shape, node.shape)
        return self.remake(node, args, attrs)
