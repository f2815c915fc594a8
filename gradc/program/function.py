"""Compiled functions: `compile` for given shapes, `jit` for whatever shapes come.

Enters: a Python function of arrays, in any nesting. Leaves: a `Function`, which computes the same
with the generated C. Always holds: results have the structure, shapes and dtypes that the traced
function gave.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ShapeError, fail, user_errors
from ..graph import Graph
from ..lower.pointwise import identifier
from ..passes.memory import MemoryPlan
from ..pipeline import Job
from ..trace import Traced, spec_of, trace_tree
from ..tree import flatten
from .core import Core, Options, argument_names, make_core, output_names, target_of
from .describe import KernelInfo, Stage

if TYPE_CHECKING:
    from ..toolchain.build import BuildInfo


class Function:
    """A compiled function of arrays; call it like the Python function it came from."""

    def __init__(self, core: Core, traced: Traced, name: str) -> None:
        self._core = core
        self._traced = traced
        self.name = name
        self._call: Callable[..., list[Any]] | None = None

    def __call__(self, *args: Any) -> Any:
        """Run the C; arrays must have the shapes and dtypes the function was compiled for."""
        leaves, tree = flatten(args)
        if tree.paths() != self._traced.in_tree.paths():
            expected, got = (", ".join(t.paths()) for t in (self._traced.in_tree, tree))
            raise fail(
                ShapeError,
                "GC406",
                f"`{self.name}` was compiled for arguments ({expected}), got ({got})",
            )
        if self._call is None:
            self._call = self._core.entry("").fast({})
        given = dict(zip(self._traced.leaf_inputs, leaves, strict=True))
        outputs = self._call(*(given[k] for k in range(len(given))))
        return self._traced.out_tree.unflatten(outputs)

    @property
    def source(self) -> str:
        """The C file."""
        return self._core.source

    @property
    def header(self) -> str:
        """Its header."""
        return self._core.header

    @property
    def graph(self) -> Graph:
        """The graph as it was compiled, after all passes."""
        return self._core.graph("")

    @property
    def plan(self) -> MemoryPlan:
        """The memory plan."""
        return self._core.plans[""]

    @property
    def kernels(self) -> list[KernelInfo]:
        """Every C function with its work."""
        return self._core.kernels

    @property
    def stages(self) -> list[Stage]:
        """What each stage of the compilation did."""
        return self._core.stages

    def build(self) -> BuildInfo:
        """Compile to native code now."""
        return self._core.build()

    def export(self, directory: str | Path) -> list[Path]:
        """Write the C, the header, the runtime headers it uses and an example `main.c`."""
        return self._core.export(directory)

    def __repr__(self) -> str:
        args = ", ".join(
            f"{p}: {self._traced.graph[i].spec!r}"
            for p, i in zip(self._traced.paths, self._traced.graph.inputs, strict=False)
        )
        plan = self.plan
        size = f"{len(self.kernels)} kernels, arena {plan.arena_bytes:,} B"
        return f"gradc.Function {self.name}({args}), {size}"


@user_errors
def compile(
    fn: Callable[..., Any],
    *args: Any,
    name: str | None = None,
    target: str = "native",
    compiler: str | None = None,
    cflags: Sequence[str] = (),
    cache_dir: str | Path | None = None,
) -> Function:
    """Compile `fn` for arguments like `args` (specs or arrays, in any nesting).

    `target` is "native" (this machine's vector unit) or "portable" (plain ISO C). `compiler` and
    `cflags` go to the C compiler, `cache_dir` overrides where builds are kept. Raises what tracing
    raises; the C compiler first runs when the function is first called.
    """
    label = str(name or getattr(fn, "__name__", "function"))
    c_label = identifier(label if label != "<lambda>" else "function")
    options = Options(c_label, target, compiler, tuple(cflags), cache_dir)
    start = time.perf_counter()
    traced = trace_tree(fn, *args)
    seconds = time.perf_counter() - start
    paths = [""] * len(traced.graph.inputs)
    for path, position in zip(traced.paths, traced.leaf_inputs, strict=True):
        paths[position] = paths[position] or path
    arguments, names = argument_names(paths)
    results = output_names(traced, 0, names)
    job = Job("", traced.graph, 0, (), arguments, results, target_of(options))
    core = make_core(options, (), [job], traced_seconds=seconds)
    return Function(core, traced, label)


def jit(fn: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """`compile` on the first call for each new combination of shapes and dtypes.

    The options are those of `compile`. `jitted.specialisations` maps argument specs to `Function`s.
    """
    known: dict[Any, Function] = {}

    @functools.wraps(fn)
    def jitted(*args: Any) -> Any:
        leaves, tree = flatten(args)
        specs = tuple(spec_of(leaf) for leaf in leaves)
        ties = tuple(id(leaf) if isinstance(leaf, np.ndarray) else 0 for leaf in leaves)
        same = tuple(ties.index(t) if t else k for k, t in enumerate(ties))
        key = (tuple(tree.paths()), specs, same)
        if key not in known:
            known[key] = compile(fn, *args, **options)
        return known[key](*args)

    jitted.specialisations = known  # type: ignore[attr-defined]
    return jitted
