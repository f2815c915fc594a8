"""Graphs, as they are, through the back end: what the tests of the generated C share.

Enters: graphs by name. Leaves: one `Core` with an entry point for each, so that many graphs cost one
run of the C compiler, and the arrays that calling it gives. Always holds: the graphs are queries (no
state) and keep the order of their inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradc.graph import Graph
from gradc.pipeline import Job
from gradc.program.core import Core, Options, argument_names, make_core, target_of

Array = np.ndarray[Any, Any]


def job_of(name: str, graph: Graph, options: Options, fusion: bool = True) -> Job:
    """A graph as an entry point without state; arguments `x0`, ..., results `y0`, ..."""
    arguments, free = argument_names([f"x{k}" for k in range(len(graph.inputs))])
    results = tuple(free.fresh(f"y{k}") for k in range(len(graph.outputs)))
    return Job(name, graph, 0, (), arguments, results, target_of(options), fusion=fusion)


def compile_graphs(
    graphs: Mapping[str, Graph],
    name: str = "graphs",
    *,
    target: str = "native",
    fusion: bool = True,
    cflags: Sequence[str] = (),
) -> Core:
    """One program with an entry point for each graph."""
    options = Options(name, target, cflags=tuple(cflags))
    jobs = [job_of(label, graph, options, fusion) for label, graph in graphs.items()]
    return make_core(options, (), jobs, traced_seconds=0.0)


def call(core: Core, entry: str, arrays: Sequence[Array]) -> list[Array]:
    """The outputs of one entry point, each an array of its graph's dtype."""
    outputs = core.entry(entry).call([np.array(a, order="C") for a in arrays])
    graph = core.graph(entry)
    return [np.asarray(y, graph[o].dtype) for y, o in zip(outputs, graph.outputs, strict=True)]
