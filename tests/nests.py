"""Programs run in Python from their loop nests and memory plan, without a C compiler.

Enters: a function and arrays, or a graph. Leaves: kernels, and the arrays that executing them
gives. Always holds: see `run_block`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from blocks import run_block
from compiled import job_of

from gradc.graph import Graph
from gradc.interpret import interpret
from gradc.lower.execute import unwritten
from gradc.lower.nest import Kernel
from gradc.pipeline import compile_program
from gradc.plan.buffers import Buffer
from gradc.program.options import Options
from gradc.stages import Planned
from gradc.trace import trace_tree

Array = np.ndarray[Any, Any]


def lowered(graph: Graph, target: str = "avx2", *, fusion: bool = True) -> Planned:
    """The graph after all stages of the compiler."""
    traced = job_of("f", graph, Options("f", target), fusion)
    (job,) = compile_program("f", (), [traced], vectors=target).jobs
    return job


def kernels_of(fn: Callable[..., Any], *args: Array, target: str = "avx2") -> list[Kernel]:
    return list(lowered(trace_tree(fn, *args).graph, target).kernels)


def run(job: Planned, arrays: Sequence[Array]) -> list[Array]:
    """The outputs of an entry point, from the steps of its plan."""
    plan, graph = job.plan, job.graph
    memory: dict[Buffer, Array] = {
        plan.inputs[i].base: np.array(a, order="C").reshape(-1)
        for i, a in zip(graph.inputs, arrays, strict=True)
    }
    for array in plan.outputs.values():
        memory[array.base] = unwritten(array.size, array.dtype)
    run_block(plan, memory)
    return [
        memory[plan.outputs[o].base].reshape(graph[o].shape)
        if o in plan.outputs
        else np.empty(graph[o].shape, graph[o].dtype)
        for o in graph.outputs
    ]


def compare(
    fn: Callable[..., Any], *args: Array, target: str = "avx2", fusion: bool = True
) -> None:
    """Tracing and interpreting `fn` gives what its loop nests give."""
    traced = trace_tree(fn, *args)
    arrays = traced.arrays(args)
    expected = interpret(traced.graph, arrays)
    found = run(lowered(traced.graph, target, fusion=fusion), arrays)
    for e, f in zip(expected, found, strict=True):
        assert f.dtype == e.dtype
        f = f.reshape(e.shape)  # the graph that is lowered has no axes of extent 1
        if e.dtype.kind == "f":
            scale = np.max(np.abs(e), initial=1.0, where=np.isfinite(e))
            np.testing.assert_allclose(f, e, rtol=1e-5, atol=1e-6 * float(scale))
        else:
            np.testing.assert_array_equal(f, e)
