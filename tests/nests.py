"""Programs run in Python from their loop nests and memory plan, without a C compiler.

Enters: a function and arrays, or a graph. Leaves: kernels, and the arrays that executing them
gives. Always holds: every kernel writes each element of its outputs exactly once; buffers lie in
one arena, at the offsets of the memory plan, so that a wrong overlay shows in the results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from compiled import job_of

from gradc.graph import Graph
from gradc.interpret import interpret
from gradc.lower.execute import execute, unwritten
from gradc.lower.nest import Kernel, Param
from gradc.lower.nested import nested
from gradc.pipeline import Job, compile_program
from gradc.plan.steps import Call, Place
from gradc.program.options import Options
from gradc.trace import trace_tree

Array = np.ndarray[Any, Any]


class Counting(np.ndarray):
    """An array that counts how often each of its elements is written."""

    def __array_finalize__(self, parent: object) -> None:
        self.writes = np.zeros(self.shape, int)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.writes[key] += 1
        super().__setitem__(key, value)


def lowered(graph: Graph, target: str = "avx2", *, fusion: bool = True) -> Job:
    """The graph after all stages of the compiler."""
    job = job_of("f", graph, Options("f", target), fusion)
    compile_program("f", (), [job], vectors=target)
    return job


def kernels_of(fn: Callable[..., Any], *args: Array, target: str = "avx2") -> list[Kernel]:
    return lowered(trace_tree(fn, *args).graph, target).kernels


def run(job: Job, arrays: Sequence[Array]) -> list[Array]:
    """The outputs of an entry point, from its calls in the places of its plan."""
    plan, roles = job.plan, job.roles
    assert plan is not None
    assert roles is not None
    arena = np.full(plan.memory.arena_bytes, 0xFF, np.uint8)
    offsets = {b.id: b.offset for b in plan.memory.buffers}
    graph = plan.graph
    memory: dict[Place, Array] = {
        roles.inputs[i]: np.array(a, order="C").reshape(-1)
        for i, a in zip(graph.inputs, arrays, strict=True)
    }
    for i, place in roles.outputs.items():
        memory[place] = unwritten(graph[i].size, graph[i].dtype)

    def place_of(place: Place, param: Param, value: int | None) -> Array:
        if place.in_arena:
            start = offsets[place]
            return arena[start : start + param.size * param.dtype.itemsize].view(param.dtype)
        if place.kind == "constant":
            assert value is not None
            memory[place] = graph[value].attrs["value"].reshape(-1)
        return memory[place]

    for call in plan.calls:
        _run_call(call, place_of)
    return [memory[roles.outputs[o]].reshape(graph[o].shape) for o in graph.outputs]


def _run_call(call: Call, place_of: Callable[[Place, Param, int | None], Array]) -> None:
    assert call.kernel is not None
    kernel = nested(call.kernel)  # as it is printed
    params = (*kernel.params, *kernel.scratch)
    buffers = {
        p.name: place_of(place, p, value).view(Counting)
        for place, p, value in zip(call.places, params, call.reads, strict=True)
    }
    execute(kernel, buffers)
    for p in kernel.params:
        expected = 1 if p.written else 0
        assert (buffers[p.name].writes == expected).all(), f"writes of `{p.name}` in\n{kernel}"


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
