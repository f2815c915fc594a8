"""A node of a running trace, by its place in it: what every operand has in common.

Enters: a trace and a node's id. Leaves: what is known of the node. Always holds: a handle says what
the value is and nothing of what can be done with it: that is the matter of what derives from it.
"""

from __future__ import annotations

from ..dtypes import DType, Spec
from ..graph import Node
from .context import Trace


class Handle:
    """One node of a trace, which has one result."""

    __slots__ = ("node_id", "owner")

    def __init__(self, owner: Trace, node_id: int) -> None:
        self.owner = owner
        self.node_id = node_id

    @property
    def node(self) -> Node:
        return self.owner.builder.nodes[self.node_id]

    @property
    def spec(self) -> Spec:
        return self.node.spec

    @property
    def shape(self) -> tuple[int, ...]:
        return self.node.shape

    @property
    def dtype(self) -> DType:
        return self.node.dtype

    @property
    def ndim(self) -> int:
        return len(self.node.shape)

    @property
    def size(self) -> int:
        return self.node.size
