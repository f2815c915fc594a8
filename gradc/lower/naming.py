"""Names of values and kernels in the generated C, from the user's names and the graph's structure.

Enters: a graph, its groups and what is stored. Leaves: an identifier for each value and kernel.
Always holds: an identifier is valid C and says what the value is: the
user's own name where there is one, else the layer it comes from and the operation (`fc1_relu`,
`d_fc1_relu`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..cnames import identifier
from ..graph import Graph, Node
from ..ops.table import OPS, Kind
from ..passes.fuse import Group

LONGEST_NAME = 28


class KernelNames:
    """Names for one entry point's graph.

    `updates` maps new values of the state to their names there, `results` outputs to theirs.
    """

    def __init__(
        self,
        graph: Graph,
        groups: Iterable[Group],
        updates: dict[int, str],
        results: dict[int, str],
        scalars: frozenset[int],
    ) -> None:
        self.graph = graph
        self.updates = updates
        self.scalars = scalars
        self.stored = {i for g in groups for i in g.stored}
        self.bases = derive_names(graph, {**updates, **results})

    def is_stored(self, node_id: int) -> bool:
        return node_id in self.stored

    def by_value(self, node_id: int) -> bool:
        """Whether an input is a scalar that the entry point takes by value."""
        return node_id in self.scalars

    def value(self, node_id: int) -> str:
        """The identifier of a stored value."""
        return self.bases[node_id]

    def kernel(self, group: Group) -> str:
        """The function's name: the phase of the step and what it makes."""
        updated = [i for i in group.stored if i in self.updates]
        others = [i for i in group.stored if i not in self.updates]
        forward = [self.bases[i] for i in others if self.graph[i].of is None]
        backward = [self.bases[i] for i in others if self.graph[i].of is not None]
        parts = [*forward[:1], *backward[:1], *(self.bases[i] for i in updated[-1:])]
        phases = (("forward", forward), ("backward", backward), ("update", updated))
        present = [phase for phase, found in phases if found]
        return "_and_".join(parts) if len(present) > 1 else f"{present[0]}_{parts[0]}"


def derive_names(graph: Graph, given: Mapping[int, str]) -> dict[int, str]:
    """An identifier for every node, in order, so that a name can build on those before it."""
    bases: dict[int, str] = {}
    roots: dict[int, str] = {}  # what has a name, or a layer, on the way to a node
    for node in graph:
        if node.id in given:
            bases[node.id] = roots[node.id] = identifier(given[node.id])
        elif node.name:
            bases[node.id] = roots[node.id] = identifier(node.name)
        elif node.kind.is_source:
            bases[node.id] = roots[node.id] = f"{node.op}_{node.id}"
        else:
            bases[node.id], roots[node.id] = _derived(graph, node, bases, roots)
    return bases


def _derived(
    graph: Graph, node: Node, bases: dict[int, str], roots: dict[int, str]
) -> tuple[str, str]:
    """A name from the operation and what it works on, and that by itself."""
    if node.of is not None and node.of in graph.nodes:
        name = f"d_{bases[node.of]}" if node.of < node.id else f"d_{node.op}"
        return name, name
    layer = None
    for a in graph.producers[node.id]:
        found = graph[a]
        while OPS[found.op].marker:
            found = graph[found.args[0]]
        if found.kind is Kind.INPUT and found.name and "." in found.name:
            layer = layer or identifier(found.name.rsplit(".", 1)[0])
    row = OPS[node.op]
    if layer and (node.kind is Kind.CONTRACTION or row.unnamed):
        return layer, layer
    word = row.noun or node.op
    args = list(graph.producers[node.id])
    made = [a for a in args[row.conditions :] if not graph[a].kind.is_source]
    if made:
        base, root = bases[made[0]], roots[made[0]]
        if row.unnamed:
            return base, root
    else:
        root = next((bases[a] for a in args if graph[a].kind is Kind.INPUT), "")
    name = f"{root}_{word}" if root else word
    return (name, root) if len(name) <= LONGEST_NAME else (word, word)
