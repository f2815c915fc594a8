"""Names and descriptions in the generated C, from the user's names and the graph's structure.

Enters: a graph, its groups and what is stored. Leaves: an identifier for each value and kernel, and
the comments above a kernel. Always holds: an identifier is valid C and says what the value is: the
user's own name where there is one, else the layer it comes from and the operation (`fc1_relu`,
`d_fc1_relu`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..cnames import identifier
from ..dtypes import short
from ..graph import Graph, Node
from ..ops.table import OPS, Kind
from ..passes.fuse import Group
from .formula import formulas, steps

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

    def title(self, group: Group) -> str:
        """The first line of the comment: what is made, and from which lines of the model."""
        made = ", ".join(
            f"{self.bases[i]} {short(self.graph[i].dtype, self.graph[i].shape)}"
            for i in group.stored
        )
        spans = [s for i in group.nodes if (s := self.graph[i].span) is not None]
        where = ", ".join(dict.fromkeys(s.short for s in spans))
        gradient = any(self.graph[i].of is not None for i in group.nodes)
        return f"{made}{'; gradient of ' if gradient and where else '; ' if where else ''}{where}"

    def notes(self, group: Group) -> tuple[str, ...]:
        """The mathematics: one formula per stored value, or step by step where that is too long."""
        computed = self._computed(group)
        text = formulas(self.graph, frozenset(computed), group.stored, self.bases)
        return (steps(self.graph, computed, self.stored, self.bases) if text is None else text,)

    def _computed(self, group: Group) -> list[int]:
        """The nodes of a group, and the cheap scalars that it computes for itself."""
        found, stack = set(group.nodes), list(group.nodes)
        while stack:
            for a in self.graph.producers[stack.pop()]:
                own = not self.graph[a].kind.is_source and a not in self.stored
                if own and a not in found:
                    found.add(a)
                    stack.append(a)
        return sorted(found)


def derive_names(graph: Graph, given: Mapping[int, str]) -> dict[int, str]:
    """An identifier for every node, in order, so that a name can build on those before it."""
    bases: dict[int, str] = {}
    for node in graph:
        if node.id in given:
            bases[node.id] = identifier(given[node.id])
        elif node.name:
            bases[node.id] = identifier(node.name)
        elif node.kind.is_source:
            bases[node.id] = f"{node.op}_{node.id}"
        else:
            bases[node.id] = _derived(graph, node, bases)
    return bases


def _derived(graph: Graph, node: Node, bases: dict[int, str]) -> str:
    """A name from the operation and what it works on."""
    if node.of is not None and node.of in graph.nodes:
        return f"d_{bases[node.of]}" if node.of < node.id else f"d_{node.op}"
    layer = None
    for a in graph.producers[node.id]:
        found = graph[a]
        while OPS[found.op].marker:
            found = graph[found.args[0]]
        if found.kind is Kind.INPUT and found.name and "." in found.name:
            layer = layer or identifier(found.name.rsplit(".", 1)[0])
    if node.kind is Kind.CONTRACTION and layer:
        return layer
    producers = sorted(a for a in graph.producers[node.id] if not graph[a].kind.is_source)
    base = bases[producers[-1]] if producers else layer or ""
    if OPS[node.op].unnamed and base:
        return base
    name = f"{base}_{node.op}" if base else node.op
    return name if len(name) <= LONGEST_NAME else node.op
