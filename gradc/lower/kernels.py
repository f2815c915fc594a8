"""One fused group as one kernel.

Enters: a graph, its groups, the target. Leaves: `Kernel`s. Always holds: buffers are known by the
id of the node they hold; a kernel's parameters are named after the values, uniquely within the
kernel.
"""

from __future__ import annotations

from ..cnames import Names
from ..graph import Graph, Node
from ..ops.table import Kind
from ..passes.fuse import Group
from .naming import KernelNames
from .nest import Kernel, Param
from .pointwise import Elements
from .reserved import LOCALS, OWN
from .target import Target
from .walk import Walk


def lower_group(graph: Graph, group: Group, target: Target, names: KernelNames) -> Kernel:
    """The kernel of `group`; `params[k]` is the buffer of node `buffers[k]`."""
    params: dict[int, Param] = {}
    taken = Names(LOCALS - OWN)
    members = frozenset(group.nodes)

    def stored(node_id: int) -> bool:
        node = graph[node_id]
        if node.kind.is_given:
            return node.kind is Kind.INPUT or node.size > 1
        return node_id not in members and names.is_stored(node_id)

    def parameter(node: Node, written: bool) -> str:
        if node.id not in params:
            name = names.value(node.id)
            if not written and any(p.written and p.name == name for p in params.values()):
                name = f"old_{name}"
            name = taken.fresh(name)
            scalar = node.kind is Kind.INPUT and names.by_value(node.id)
            params[node.id] = Param(name, node.dtype, node.size, node.shape, written, scalar)
            if scalar:
                elements.scalars.add(name)
        return params[node.id].name

    elements = Elements(graph, stored, lambda node: parameter(node, False), taken, names.value)
    storage = {i: parameter(graph[i], True) for i in group.stored}
    nest = Walk(elements, graph, group.tree, storage, target)
    body = nest.lower()
    ordered = sorted(
        params.items(), key=lambda item: (item[1].written, not item[1].scalar, item[0])
    )
    return Kernel(
        names.kernel(group),
        tuple(p for _, p in ordered),
        tuple(i for i, _ in ordered),
        tuple(body.statements),
        group.nodes,
        tuple(nest.scratch),
    )
