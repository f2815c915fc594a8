"""The outline of a graph: a task for each of its groups, a buffer for each value that is stored.

Enters: a graph, its groups, the buffers of its inputs and where its outputs are wanted. Leaves: an
`Outline`, before anything is loops. Always holds: values are named by the ids of their nodes; this
is the one file of the planner that knows what a graph is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..graph import Graph
from ..ops.table import Kind
from ..passes.fuse import Group
from .buffers import Array, Buffer, Value
from .order import Task
from .outline import Outline
from .steps import Phase


def outline_of(
    graph: Graph,
    groups: Sequence[Group],
    given: Mapping[Value, Array],
    wanted: Mapping[int, Array],
    names: Mapping[int, str],
) -> Outline:
    """What the groups have to do. `given` and `wanted` say where inputs and outputs lie."""
    made = sorted(i for group in groups for i in group.stored)
    constants: dict[Value, Array] = {
        node.id: Buffer(
            names[node.id], node.dtype, node.shape, "constant", value=node.attrs["value"]
        )
        for node in graph
        if node.kind is Kind.CONSTANT and node.size > 1
    }
    arrays: dict[Value, Array] = dict(given)
    for i in made:
        arrays[i] = Buffer(names[i], graph[i].dtype, graph[i].shape, number=i)
    stored = frozenset(made)
    tasks = tuple(
        Task(k, tuple(_reads(graph, group, stored)), group.stored) for k, group in enumerate(groups)
    )
    state = {i for i, array in wanted.items() if array.home == "state"}
    phases = tuple(_phase(graph, group, state) for group in groups)
    inputs: dict[Value, Array] = {**given, **constants}
    outputs: dict[Value, Array] = {i: a for i, a in sorted(wanted.items()) if a.size}
    return Outline(tasks, {**arrays, **constants}, inputs, outputs, phases)


def _reads(graph: Graph, group: Group, stored: Collection[int]) -> list[int]:
    """The values that a group reads, in the order in which formulas of its results name them."""
    members = frozenset(group.nodes)
    stack = list(reversed(group.stored))
    seen: set[int] = set()
    found: list[int] = []
    while stack:
        node = graph[stack.pop()]
        if node.id in seen:
            continue
        seen.add(node.id)
        if node.kind.is_given:
            if node.kind is Kind.INPUT or node.size > 1:
                found.append(node.id)
        elif node.id in stored and node.id not in members:
            found.append(node.id)
        else:
            stack += reversed(node.args)
    return found


def _phase(graph: Graph, group: Group, state: Collection[int]) -> Phase:
    """Forward until a gradient is computed; what only makes new `state` is no turn.

    What a kernel makes tells, and not all it computes: gradients compute forward values anew.
    """
    derives = any(graph[i].of is not None for i in group.nodes)
    others = [graph[i].of is None for i in group.stored if i not in state]
    if not others:
        return Phase.BACKWARD if derives else Phase.UPDATE
    if any(others):
        return Phase.TURN if derives else Phase.FORWARD
    return Phase.BACKWARD
