"""Graphs, as they are, through the back end: what the tests of the generated C share.

Enters: graphs by name, with or without a state. Leaves: one `Core` with an entry point for each, so
that many graphs cost one run of the C compiler; and the arrays that calling it gives. Always holds:
inputs and outputs keep their order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradc.dtypes import Spec
from gradc.graph import Builder, Graph
from gradc.native.call import compile_call
from gradc.program.core import Core, make_core
from gradc.program.names import argument_names
from gradc.program.options import Options, target_of
from gradc.stages import Job, Leaf

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Update:
    """A graph whose first inputs are a `state`; its first outputs replace the leaves `replaced`."""

    graph: Graph
    state: Sequence[Array]
    replaced: tuple[int, ...]


def job_of(
    name: str,
    graph: Graph,
    options: Options,
    fusion: bool = True,
    names: Sequence[str] | None = None,
) -> Job:
    """A graph as an entry point without state; arguments `names` (`x0`, ...), results `y0`, ..."""
    arguments, free = argument_names(names or [f"x{k}" for k in range(len(graph.inputs))])
    results = tuple(free.fresh(f"y{k}") for k in range(len(graph.outputs)))
    return Job(name, graph, 0, (), arguments, results, target_of(options), fusion=fusion)


def compile_graphs(
    graphs: Mapping[str, Graph],
    name: str = "graphs",
    *,
    target: str = "native",
    compiler: str | None = None,
    unfused: Collection[str] = (),
    cflags: Sequence[str] = (),
    names: Mapping[str, Sequence[str]] | None = None,
) -> Core:
    """One program with an entry point for each graph; those `unfused` store every node.

    `names` are those of the arguments of each graph that has others than `x0`, ...
    """
    options = Options(name, target, compiler, tuple(cflags))
    jobs = [
        job_of(label, graph, options, label not in unfused, (names or {}).get(label))
        for label, graph in graphs.items()
    ]
    return make_core(options, (), jobs, traced_seconds=0.0)


def call(core: Core, entry: str, arrays: Sequence[Array]) -> list[Array]:
    """The outputs of one entry point, each an array of its dtype."""
    native = core.entry(entry)
    outputs = compile_call(native)(*(np.array(a, order="C") for a in arrays))
    promised = native.entry.outputs
    return [np.asarray(y, o.dtype) for y, o in zip(outputs, promised, strict=True)]


def compile_updates(
    updates: Mapping[str, Update],
    name: str = "updates",
    *,
    target: str = "native",
    compiler: str | None = None,
    unfused: Collection[str] = (),
    layouts: frozenset[int] | None = None,
    cflags: Sequence[str] = (),
) -> Core:
    """One program with an entry point for each update; its state is all their states in a row.

    The leaves of `a` are called `a.0`, `a.1`, ... `layouts`: see `compile_program`.
    """
    options = Options(name, target, compiler, tuple(cflags))
    leaves: list[Leaf] = []
    first: dict[str, int] = {}
    for label, update in updates.items():
        first[label] = len(leaves)
        for k, value in enumerate(update.state):
            leaves.append(Leaf(f"{label}.{k}", f"{label}.{k}", value))
    jobs = [
        _update_job(label, update, leaves, first[label], options, label not in unfused)
        for label, update in updates.items()
    ]
    return make_core(options, leaves, jobs, traced_seconds=0.0, names=[x.name for x in leaves])


def _update_job(
    label: str,
    update: Update,
    leaves: Sequence[Leaf],
    first: int,
    options: Options,
    fusion: bool,
) -> Job:
    """The update as an entry point of a program with more state than its own."""
    graph, own = widened(update, leaves, first), range(first, first + len(update.state))
    arguments, free = argument_names([f"x{k}" for k in range(len(graph.inputs) - len(leaves))])
    results = [free.fresh(f"y{k}") for k in range(len(graph.outputs) - len(update.replaced))]
    return Job(
        label, graph, len(leaves), tuple(own[k] for k in update.replaced), arguments,
        tuple(results), target_of(options), fusion=fusion,
    )  # fmt: skip


def widened(update: Update, leaves: Sequence[Leaf], first: int) -> Graph:
    """The graph with inputs for all `leaves`, of which its own begin at `first`."""
    builder, ids = Builder(), dict[int, int]()
    graph, own = update.graph, update.graph.inputs[: len(update.state)]
    for k, leaf in enumerate(leaves):
        node_id = builder.input(Spec(leaf.value.shape, leaf.value.dtype), leaf.name)
        if first <= k < first + len(own):
            ids[own[k - first]] = node_id
    for node in graph:
        if node.op == "input":
            if node.id not in ids:
                ids[node.id] = builder.input(node.spec, node.name or "")
        else:
            of = ids.get(node.of, 0) if node.of is not None else None
            ids[node.id] = builder.add(node.op, [ids[a] for a in node.args], node.attrs, of=of)
    return builder.finish(ids[o] for o in graph.outputs)
