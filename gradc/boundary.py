"""The boundary of an entry point: what goes in and comes out, for the planner and for C.

Enters: entry points on their way, the layout of the state. Leaves: the buffers of inputs and
outputs, and the `Entry` that C offers. Always holds: leaves, arguments and results keep their
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .emit.entry import Argument, Check, Entry, Scope
from .emit.layout import Member, StateLayout
from .lower.axes import find_axes
from .plan.buffers import Array, Buffer, Value
from .plan.steps import Block, arrays_of, walk
from .stages import Job, Leaf, Planned


@dataclass(frozen=True)
class Ends:
    """Where inputs lie and outputs are wanted, by node; names of `updates` (new values of the
    state) and of results; the `scalars` among the arguments, which are passed by value.
    """

    given: dict[Value, Array]
    wanted: dict[int, Array]
    updates: dict[int, str]
    results: dict[int, str]
    scalars: frozenset[int]


def ends_of(job: Job) -> Ends:
    """The buffers of inputs and outputs of the job's graph."""
    graph, inputs = job.graph, job.graph.inputs
    given: dict[Value, Array] = {}
    for leaf, i in enumerate(inputs[: job.leaves]):
        given[i] = Buffer(_leaf_name(job, leaf), graph[i].dtype, graph[i].shape, "state", leaf)
    arguments = inputs[job.leaves :]
    for k, (text, i) in enumerate(zip(job.arguments, arguments, strict=True)):
        given[i] = Buffer(text, graph[i].dtype, graph[i].shape, "argument", k)
    wanted: dict[int, Array] = {}
    count = len(job.replaced)
    updated = dict(zip(graph.outputs[:count], job.replaced, strict=True))
    results = list(zip(graph.outputs[count:], job.results, strict=True))
    for out, leaf in updated.items():
        wanted[out] = given[inputs[leaf]]
    for k, (out, text) in enumerate(results):
        wanted[out] = Buffer(text, graph[out].dtype, graph[out].shape, "output", k)
    updates = {out: _leaf_name(job, leaf) for out, leaf in updated.items()}
    scalars = frozenset(i for i in arguments if not graph[i].shape)
    return Ends(given, wanted, updates, dict(results), scalars)


def _leaf_name(job: Job, leaf: int) -> str:
    return job.graph[job.graph.inputs[leaf]].name or f"state_{leaf}"


def members(leaves: Sequence[Leaf], swapped: frozenset[int]) -> list[Member]:
    """The leaves as members of the state that have no place yet."""
    return [
        Member(
            k, leaf.section, leaf.field or leaf.display, np.dtype(leaf.value.dtype),
            leaf.value.shape, 0, k in swapped, leaf.recipe, leaf.value, leaf.layer, leaf.axes,
        )
        for k, leaf in enumerate(leaves)
    ]  # fmt: skip


def entry_of(job: Planned, layout: StateLayout | None) -> Entry:
    """The function that C offers."""
    graph = job.graph
    args = tuple(
        Argument(text, graph[i].name or text, graph[i].dtype, graph[i].shape, job.defaults.get(k))
        for k, (text, i) in enumerate(zip(job.arguments, graph.inputs[job.leaves :], strict=True))
    )
    outs = graph.outputs[len(job.replaced) :]
    outputs = tuple(
        Argument(text, text, graph[o].dtype, shape)
        for text, o, shape in zip(job.results, outs, job.result_shapes, strict=True)
    )
    checks = tuple(Check(c.argument, c.lower, c.upper) for c in job.checks)
    updates = bool(job.replaced)
    scope = _scope(job.plan, layout, updates)
    axes = find_axes(graph, job.leaves, job.replaced)
    return Entry(job.name, job.plan, args, outputs, axes, updates, checks, job.batch, scope, graph)


def _scope(plan: Block, layout: StateLayout | None, updates: bool) -> Scope:
    """A function that reads nothing but parameters takes them alone."""
    if layout is None:
        return ""
    if updates or layout.params is None:
        return "state"
    arrays = (array for _, step, _ in walk(plan) for array in arrays_of(step))
    used = {array.number for array in arrays if array.home == "state"}
    return "params" if used <= {m.leaf for m in layout.params.members} else "state"
