"""Programs: one state, several entry points, one C file and one struct.

Enters: a nesting of arrays as the state, and functions marked as `query` (reads the state) or
`update` (returns a new one). Leaves: a `Program` with a callable for each. Always holds: a new
state has the structure, shapes and dtypes of the old one; it takes its place in the struct when the
call returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import short
from ..errors import ShapeError, TraceError, UnsupportedError, fail, user_errors
from ..graph import Graph
from ..lower.naming import MARKERS, derive_names
from ..lower.pointwise import identifier
from ..ops.table import Kind
from ..passes.memory import MemoryPlan
from ..pipeline import Job, Leaf
from ..trace import Traced, trace_tree
from ..tree import Tree, flatten, is_array
from .core import Core, Options, argument_names, batch_of, make_core, target_of
from .describe import KernelInfo, Stage
from .native import State

if TYPE_CHECKING:
    from ..toolchain.build import BuildInfo


@dataclass(frozen=True)
class EntryDef:
    """A function and the specs of its arguments after the state.

    `scalars` maps names of further scalar arguments to their defaults (a learning rate).
    """

    fn: Callable[..., Any]
    specs: tuple[Any, ...]
    updates: bool
    scalars: Mapping[str, float] = field(default_factory=dict)


def query(fn: Callable[..., Any], *specs: Any) -> EntryDef:
    """An entry point `fn(state, *args) -> outputs` that reads the state and leaves it as it is."""
    return EntryDef(fn, specs, False)


def update(fn: Callable[..., Any], *specs: Any) -> EntryDef:
    """An entry point `fn(state, *args) -> (new_state, outputs)` that replaces the state."""
    return EntryDef(fn, specs, True)


@dataclass(frozen=True)
class StateLeaves:
    """The arrays of a state: tied arrays once, and where each leaf of the nesting is among them."""

    leaves: tuple[Leaf, ...]
    tree: Tree
    paths: tuple[str, ...]
    position: tuple[int, ...]


def state_leaves(state: Any, display: Callable[[str], str]) -> StateLeaves:
    """Take a state apart. Python numbers become 0-d arrays of their default dtype."""
    values, tree = flatten(state)
    paths = tree.paths()
    known: dict[int, int] = {}
    leaves: list[Leaf] = []
    position: list[int] = []
    for path, value in zip(paths, values, strict=True):
        key = id(value) if isinstance(value, np.ndarray) else -1 - len(position)
        if key not in known:
            known[key] = len(leaves)
            recipe = getattr(value, "recipe", None)
            if isinstance(value, float):
                value = np.float32(value)
            elif isinstance(value, int) and not isinstance(value, (bool, np.integer)):
                value = np.int32(value)
            array = np.array(value, order="C", subok=False)
            if recipe is None and not array.any():
                recipe = ("constant", 0)
            leaves.append(Leaf(path, display(path), array, recipe))
        position.append(known[key])
    return StateLeaves(tuple(leaves), tree, tuple(paths), tuple(position))


def make_job(
    name: str, entry: EntryDef, state: Any, known: StateLeaves, options: Options
) -> tuple[Job, Traced]:
    """Trace one entry point into a job, and check what it returns as a new state."""
    scalars = list(entry.scalars)
    names = _argument_labels(entry, len(entry.specs)) + scalars
    defaults = [np.float32(v) for v in entry.scalars.values()]
    traced = trace_tree(entry.fn, state, *entry.specs, *defaults, names=["", *names])
    graph = _named(traced, known)
    count = len(known.leaves)
    paths = [""] * len(graph.inputs)
    for path, at in zip(traced.paths, traced.leaf_inputs, strict=True):
        paths[at] = paths[at] or path
    arguments, free = argument_names(paths[count:])
    outputs: tuple[int, ...] = graph.outputs
    replaced: tuple[int, ...] = ()
    tree = traced.out_tree
    skip = 0
    if entry.updates:
        skip = _check_new_state(name, traced, known)
        replaced, chosen = _new_leaves(graph, known, skip)
        outputs = (*chosen, *graph.outputs[skip:])
        if not replaced:
            raise fail(TraceError, "GC501", f"`{name}` is an update but has no state to replace")
    results = _result_names(tree, skip, entry.updates, free)
    graph = Graph(graph.nodes, graph.inputs, outputs)
    arrays = [graph[i].spec for i in graph.inputs[count:] if graph[i].shape]
    batch = batch_of(arrays) if entry.updates else None
    job = Job(name, graph, count, replaced, arguments, results, target_of(options), batch=batch)
    return job, traced


def _argument_labels(entry: EntryDef, count: int) -> list[str]:
    from ..trace.tracing import argument_names as labels

    return labels(entry.fn, count + 1)[1:]


def _named(traced: Traced, known: StateLeaves) -> Graph:
    """The graph with its state under display names, and gradients called after what they are of."""
    graph = traced.graph
    nodes = dict(graph.nodes)
    shown = {f"d_{path}": f"d_{known.leaves[k].display}" for path, k in _positions(known)}
    for leaf, i in zip(known.leaves, graph.inputs, strict=False):
        nodes[i] = replace(nodes[i], name=leaf.display)
    bases = derive_names(Graph(nodes, graph.inputs, graph.outputs), {})
    for forward, cotangent in traced.cotangents.items():
        node = nodes.get(cotangent)
        if node is None or forward not in nodes or node.kind is Kind.SOURCE:
            continue
        if nodes[forward].op in MARKERS or nodes[forward].kind is Kind.MOVEMENT:
            continue
        own = graph[cotangent].name or ""
        name = shown.get(own, own) or f"d_{bases[forward]}"
        nodes[cotangent] = replace(node, name=name)
    return Graph(MappingProxyType(nodes), graph.inputs, graph.outputs)


def _positions(known: StateLeaves) -> list[tuple[str, int]]:
    return list(zip(known.paths, known.position, strict=True))


def _check_new_state(name: str, traced: Traced, known: StateLeaves) -> int:
    """How many outputs are the new state; raises unless it has the old one's structure."""
    tree = traced.out_tree
    if len(tree.children) != 2:
        raise fail(
            TraceError, "GC502", f"`{name}` must return a pair (new state, outputs)",
            helps=("return `state, outputs`; outputs may be `None`",),
        )  # fmt: skip
    new = tree.children[0]
    if new.paths() != list(known.paths):
        missing = [p for p in known.paths if p not in new.paths()]
        extra = [p for p in new.paths() if p not in known.paths]
        found = f"missing {', '.join(missing)}" if missing else f"unexpected {', '.join(extra)}"
        raise fail(
            TraceError, "GC503", f"the new state of `{name}` differs from the old one: {found}"
        )
    for path, at, out in zip(known.paths, known.position, traced.graph.outputs, strict=False):
        leaf, node = known.leaves[at], traced.graph[out]
        if node.shape != leaf.value.shape or node.dtype != leaf.value.dtype:
            expected = short(leaf.value.dtype, leaf.value.shape)
            raise fail(
                ShapeError, "GC504",
                f"the new `{path}` is {node.spec!r}, but the state holds {expected}",
                span=node.span,
            )  # fmt: skip
    return new.count


def _new_leaves(
    graph: Graph, known: StateLeaves, count: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The leaves that are replaced, and by which outputs; the paths of a tied leaf must agree."""
    chosen: dict[int, int] = {}
    for path, leaf, out in zip(known.paths, known.position, graph.outputs[:count], strict=True):
        if chosen.setdefault(leaf, out) != out:
            raise fail(
                UnsupportedError, "GC505",
                f"`{path}` is tied to `{known.leaves[leaf].name}` but is given another new value",
            )  # fmt: skip
    return tuple(chosen), tuple(chosen.values())


def _result_names(tree: Tree, skip: int, updates: bool, free: Any) -> tuple[str, ...]:
    outputs = tree.children[1] if updates else tree
    return tuple(free.fresh(identifier(p)) if p else free.fresh("out") for p in outputs.paths())


class Program:
    """A compiled program; each entry point is an attribute that can be called."""

    def __init__(
        self, core: Core, entries: Mapping[str, EntryDef], traced: Mapping[str, Traced]
    ) -> None:
        self._core = core
        self._defs = entries
        self._traced = traced
        self._calls: dict[str, Callable[..., Any]] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or name not in self._defs:
            raise AttributeError(f"program has no entry point `{name}`")
        if name not in self._calls:
            self._calls[name] = self._bind(name)
        return self._calls[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._defs]

    def _bind(self, name: str) -> Callable[..., Any]:
        """The entry point as a Python function that gives back its outputs in their nesting."""
        call: Callable[..., list[Any]] | None = None
        traced, updates = self._traced[name], self._defs[name].updates
        tree = traced.out_tree.children[1] if updates else traced.out_tree
        flat = all(is_array(s) for s in self._defs[name].specs)

        def run(*args: Any) -> Any:
            nonlocal call
            if call is None:
                call = self._core.entry(name).fast(self._defs[name].scalars)
            given = args if flat else tuple(flatten(args)[0])
            return tree.unflatten(call(*given))

        run.__name__ = name
        return run

    @property
    def name(self) -> str:
        return self._core.compiled.name

    @property
    def state(self) -> State:
        """NumPy views of the struct's members by path (`prog.state["net.fc1.weight"]`)."""
        assert self._core.state is not None
        return self._core.state

    @property
    def source(self) -> str:
        """The C file."""
        return self._core.source

    @property
    def header(self) -> str:
        """Its header."""
        return self._core.header

    @property
    def plans(self) -> dict[str, MemoryPlan]:
        """The memory plan of each entry point."""
        return self._core.plans

    @property
    def kernels(self) -> list[KernelInfo]:
        """Every C function with its work."""
        return self._core.kernels

    @property
    def stages(self) -> list[Stage]:
        """What each stage of the compilation did."""
        return self._core.stages

    def graph(self, entry: str) -> Graph:
        """The graph of one entry point, after all passes."""
        return self._core.graph(entry)

    def build(self) -> BuildInfo:
        """Compile to native code now."""
        return self._core.build()

    def export(self, directory: str | Path) -> list[Path]:
        """Write the C, the header, the runtime headers it uses and an example `main.c`."""
        return self._core.export(directory)

    def __repr__(self) -> str:
        lines = [f"gradc.Program {self.name}: state {self.state.memory.size:,} B"]
        for name, plan in self.plans.items():
            kind = "update" if self._defs[name].updates else "query"
            lines.append(
                f"  {name:<16} {kind:<6} {len(plan.order)} kernels, arena {plan.arena_bytes:,} B"
            )
        return "\n".join(lines[:12])


@user_errors
def program(
    name: str,
    state: Any,
    *,
    target: str = "native",
    compiler: str | None = None,
    cflags: Sequence[str] = (),
    cache_dir: str | Path | None = None,
    **entries: EntryDef,
) -> Program:
    """Compile a state and entry points made with `query` and `update` into one program.

    `state` is any nesting of arrays (modules included); its values are the initial state. Options
    as in `compile`. In C the entry point `act` of program `agent` is `agent_act(agent_state *,
    ...)`.
    """
    if not entries:
        raise fail(TraceError, "GC506", "a program needs at least one entry point")
    for label, entry in entries.items():
        if not isinstance(entry, EntryDef):
            raise fail(
                TraceError,
                "GC507",
                f"entry point `{label}` must be made with `gd.query` or `gd.update`",
            )
    options = Options(identifier(name), target, compiler, tuple(cflags), cache_dir)
    known = state_leaves(state, lambda path: path)
    core, traced = build_core(entries, state, known, options)
    return Program(core, entries, traced)


def build_core(
    entries: Mapping[str, EntryDef],
    state: Any,
    known: StateLeaves,
    options: Options,
    share: Core | None = None,
) -> tuple[Core, dict[str, Traced]]:
    """Trace every entry point and compile them together."""
    start = time.perf_counter()
    jobs, traced = [], {}
    for label, entry in entries.items():
        job, traced[label] = make_job(label, entry, state, known, options)
        jobs.append(job)
    seconds = time.perf_counter() - start
    names = [leaf.name for leaf in known.leaves]
    core = make_core(options, known.leaves, jobs, traced_seconds=seconds, names=names, share=share)
    return core, traced
