"""The whole compiler on one page.

Enters: traced entry points and the state they share. Leaves: a `Compiled` program: C text, memory
plans and what is known of each kernel. Always holds: the stages run in the order of `STAGES`, each
sees only what the ones before it left, and after every stage that rebuilds a graph the graph is
checked anew.

    function ──trace──▶ Graph ──autodiff──▶ Graph ──STAGES──▶ Block ──emit──▶ one .c, one .h
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .emit.entry import Argument, Check, Entry, Scope
from .emit.interface import Interface
from .emit.layout import Member, StateLayout, lay_out
from .emit.program import Emitted, ProgramPrinter
from .graph import Graph, verify
from .lower.alike import once_each
from .lower.axes import find_axes
from .lower.cuts import cut_loops
from .lower.forward import forward_stores
from .lower.hoist import hoist_invariants
from .lower.kernels import lower_group
from .lower.naming import KernelNames
from .lower.nest import Kernel
from .lower.target import TARGETS, Target
from .passes.checks import InputCheck, extract_checks
from .passes.fuse import Group, fuse
from .passes.layout import apply_layouts, layout_costs, updated_together
from .passes.materialise import materialise
from .passes.simplify import simplify
from .passes.squeeze import squeeze_units
from .plan.bind import bind
from .plan.buffers import Array, Buffer, Value
from .plan.outline import Outline
from .plan.steps import Block, arrays_of, map_kernels, walk
from .plan.tasks import outline_of


@dataclass(frozen=True)
class Leaf:
    """One array of the state: its name, what C calls it, its first value, its distribution.

    A leaf of a `section` lies in a struct of that name inside the state, called `field` there.
    All sections have the fields of the section "params", of the same dtypes and shapes. `axes` are
    words for the axes of its array, if its layer has some.
    """

    name: str
    display: str
    value: np.ndarray[Any, Any]
    recipe: tuple[Any, ...] | None = None
    section: str = ""
    field: str = ""
    axes: tuple[str, ...] = ()

    @property
    def layer(self) -> str:
        """What it is a part of: `fc1` of `fc1.weight`."""
        return (self.field or self.display).rpartition(".")[0]


@dataclass
class Job:
    """One entry point on its way through the stages; later fields are filled by later stages.

    The graph's inputs are the leaves of the state (`leaves` of them), then the arguments; its
    outputs are the new values of the leaves in `replaced`, then the results named in `results`.
    `defaults` are the values of arguments, by position, that a call need not give. Without `fusion`
    every node becomes a kernel of its own: the tests compare the two.
    """

    name: str
    graph: Graph
    leaves: int
    replaced: tuple[int, ...]
    arguments: tuple[str, ...]
    results: tuple[str, ...]
    target: Target
    batch: int | None = None
    defaults: Mapping[int, float] = field(default_factory=dict)
    fusion: bool = True
    result_shapes: tuple[tuple[int, ...], ...] = ()
    swapped: frozenset[int] = frozenset()
    checks: tuple[InputCheck, ...] = ()
    groups: list[Group] = field(default_factory=list)
    names: KernelNames | None = None
    kernels: list[Kernel] = field(default_factory=list)
    outline: Outline | None = None
    plan: Block | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def find_checks(job: Job) -> None:
    """What is required of integer arguments leaves the graph and becomes a check at the entry."""
    job.graph, job.checks = extract_checks(job.graph, job.leaves)


def simplified(job: Job) -> None:
    """Exact algebra, constant folding, common subexpressions, dead code."""
    job.graph = simplify(job.graph)


def drop_unchanged(job: Job) -> None:
    """A leaf that is returned as it came, or has no elements, needs no storing."""
    graph, count = job.graph, len(job.replaced)
    pairs = list(zip(job.replaced, graph.outputs[:count], strict=True))
    kept = [(leaf, o) for leaf, o in pairs if o != graph.inputs[leaf] and graph[o].size]
    job.replaced = tuple(leaf for leaf, _ in kept)
    outputs = (*(o for _, o in kept), *graph.outputs[count:])
    job.graph = Graph(graph.nodes, graph.inputs, outputs)


def squeezed(job: Job) -> None:
    """Axes of extent 1 go; what the results looked like with them is kept."""
    outs = job.graph.outputs[len(job.replaced) :]
    job.result_shapes = tuple(job.graph[o].shape for o in outs)
    job.graph = simplify(squeeze_units(job.graph))


def laid_out(job: Job) -> None:
    """Matrices of the state that the program stores transposed come in and go out transposed."""
    inputs = job.graph.inputs
    swapped = frozenset(inputs[leaf] for leaf in job.swapped)
    outputs = {k: inputs[leaf] for k, leaf in enumerate(job.replaced)}
    job.graph = apply_layouts(job.graph, swapped, outputs)


def materialised(job: Job) -> None:
    """Copies become visible nodes."""
    job.graph = materialise(job.graph, [*(None for _ in job.replaced), *job.results])


def fused(job: Job) -> None:
    """Nodes are grouped into kernels."""
    job.groups = fuse(job.graph, merge=job.fusion)


def outlined(job: Job) -> None:
    """Everything gets its name; groups are tasks that read and write values."""
    given, wanted, updates, scalars = _ends(job)
    results = {i: array.name for i, array in wanted.items() if array.home == "output"}
    job.names = KernelNames(job.graph, job.groups, updates, results, scalars)
    job.outline = outline_of(job.graph, job.groups, given, wanted, job.names.bases)


def lowered(job: Job) -> None:
    """Groups become loop nests."""
    assert job.names is not None
    job.kernels = [lower_group(job.graph, g, job.target, job.names) for g in job.groups]


def planned(job: Job) -> None:
    """Kernels are ordered, and every buffer gets its place."""
    assert job.outline is not None
    job.plan = bind(job.outline, job.kernels)


def nests(apply: Callable[[Kernel], Kernel]) -> Callable[[Job], None]:
    """A pass on the loop nest of every kernel; only now, since a test cut away hides what may lie
    over what.
    """

    def stage(job: Job) -> None:
        assert job.plan is not None
        job.plan = map_kernels(job.plan, once_each(apply))

    return stage


STAGES: tuple[tuple[str, Callable[[Job], None]], ...] = (
    ("checks", find_checks),
    ("simplify", simplified),
    ("unchanged", drop_unchanged),
    ("squeeze", squeezed),
    ("layout", laid_out),
    ("materialise", materialised),
    ("fuse", fused),
    ("outline", outlined),
    ("lower", lowered),
    ("plan", planned),
    ("cut", nests(cut_loops)),
    ("hoist", nests(hoist_invariants)),
    ("forward", nests(forward_stores)),
)
BEFORE_LAYOUT = 4


@dataclass
class Compiled:
    """A program, ready to be built: its text, what it offers to C, and its jobs."""

    name: str
    emitted: Emitted
    interface: Interface
    jobs: tuple[Job, ...]
    target: Target

    @property
    def members(self) -> tuple[Member, ...]:
        """The arrays of the state, in the order of its leaves."""
        return () if self.interface.layout is None else self.interface.layout.members

    @property
    def entries(self) -> Sequence[Entry]:
        return self.interface.entries


def compile_program(
    name: str,
    leaves: Sequence[Leaf],
    jobs: Sequence[Job],
    *,
    layouts: frozenset[int] | None = None,
    vectors: str = "scalar",
) -> Compiled:
    """Run every job through the stages and print the program.

    `layouts` fixes which matrices of the state are stored transposed, else the cost model chooses.
    """
    for job in jobs:
        _run(job, STAGES[:BEFORE_LAYOUT])
    swapped = _choose_layouts(leaves, jobs) if layouts is None else layouts
    for job in jobs:
        job.swapped = swapped
        _run(job, STAGES[BEFORE_LAYOUT:])
    layout = lay_out(name, _members(leaves, swapped)) if leaves else None
    interface = Interface(name, layout, tuple(_entry(job, layout) for job in jobs))
    emitted = ProgramPrinter(interface, TARGETS[vectors]).emit()
    return Compiled(name, emitted, interface, tuple(jobs), TARGETS[vectors])


def _run(job: Job, stages: Sequence[tuple[str, Callable[[Job], None]]]) -> None:
    for name, stage in stages:
        start, before = time.perf_counter(), job.graph
        stage(job)
        verify(job.graph, known=before)
        job.seconds[name] = time.perf_counter() - start


def _choose_layouts(leaves: Sequence[Leaf], jobs: Sequence[Job]) -> frozenset[int]:
    """The matrices that all entry points together would rather have transposed.

    What is updated together (a weight and its momentum) is laid out together, and so are the
    fields of one name in structs of one type.
    """
    kept, swapped = [0.0] * len(leaves), [0.0] * len(leaves)
    matrices = [
        k for k, leaf in enumerate(leaves) if leaf.value.ndim == 2 and 1 not in leaf.value.shape
    ]
    together = {k: k for k in matrices}
    first: dict[str, int] = {}
    for k in matrices:
        if leaves[k].section:
            together[k] = first.setdefault(leaves[k].field, k)
    for job in jobs:
        for k in matrices:
            lanes = job.target.lanes(leaves[k].value.dtype)
            as_is, turned = layout_costs(job.graph, job.graph.inputs[k], lanes)
            kept[k], swapped[k] = kept[k] + as_is, swapped[k] + turned
        for a, b in updated_together(job.graph, job.replaced, matrices):
            low, high = sorted((together[a], together[b]))
            together = {k: low if c == high else c for k, c in together.items()}
    chosen = set()
    for k in matrices:
        same = [m for m in matrices if together[m] == together[k]]
        if sum(swapped[m] for m in same) < sum(kept[m] for m in same):
            chosen.add(k)
    return frozenset(chosen)


def _ends(
    job: Job,
) -> tuple[dict[Value, Array], dict[int, Array], dict[int, str], frozenset[int]]:
    """Where inputs lie and outputs are wanted; names of new state values; arguments passed by
    value.
    """
    graph, inputs = job.graph, job.graph.inputs
    given: dict[Value, Array] = {}
    scalars: set[int] = set()
    for leaf, i in enumerate(inputs[: job.leaves]):
        name = _leaf_name(job, leaf)
        given[i] = Buffer(name, graph[i].dtype, graph[i].shape, "state", leaf)
    for k, (text, i) in enumerate(zip(job.arguments, inputs[job.leaves :], strict=True)):
        given[i] = Buffer(text, graph[i].dtype, graph[i].shape, "argument", k)
        if not graph[i].shape:
            scalars.add(i)
    wanted: dict[int, Array] = {}
    updates: dict[int, str] = {}
    count = len(job.replaced)
    for leaf, out in zip(job.replaced, graph.outputs[:count], strict=True):
        wanted[out] = given[inputs[leaf]]
        updates[out] = _leaf_name(job, leaf)
    for k, (text, out) in enumerate(zip(job.results, graph.outputs[count:], strict=True)):
        wanted[out] = Buffer(text, graph[out].dtype, graph[out].shape, "output", k)
    return given, wanted, updates, frozenset(scalars)


def _leaf_name(job: Job, leaf: int) -> str:
    return job.graph[job.graph.inputs[leaf]].name or f"state_{leaf}"


def _members(leaves: Sequence[Leaf], swapped: frozenset[int]) -> list[Member]:
    """The leaves as members that have no place yet."""
    return [
        Member(
            k, leaf.section, leaf.field or leaf.display, np.dtype(leaf.value.dtype),
            leaf.value.shape, 0, k in swapped, leaf.recipe, leaf.value, leaf.layer, leaf.axes,
        )
        for k, leaf in enumerate(leaves)
    ]  # fmt: skip


def _entry(job: Job, layout: StateLayout | None) -> Entry:
    assert job.plan is not None
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
    named = frozenset(node.id for node in graph if node.name)
    axes = find_axes(graph, job.leaves, job.replaced)
    return Entry(job.name, job.plan, args, outputs, axes, updates, checks, job.batch, scope, named)


def _scope(plan: Block, layout: StateLayout | None, updates: bool) -> Scope:
    """A function that reads nothing but parameters takes them alone."""
    if layout is None:
        return ""
    if updates or layout.params is None:
        return "state"
    arrays = (array for _, step, _ in walk(plan) for array in arrays_of(step))
    used = {array.number for array in arrays if array.home == "state"}
    return "params" if used <= {m.leaf for m in layout.params.members} else "state"
