"""The whole compiler on one page.

Enters: traced entry points and the state they share. Leaves: a `Compiled` program: C text, memory
plans and what is known of each kernel. Always holds: the stages run in the order of `STAGES`; each
takes what the one before it left and makes something new of it (`stages.py`); after every stage
that rebuilds a graph the graph is checked anew.

    function ──trace──▶ Job ──STAGES──▶ Planned ──emit──▶ one .c, one .h
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .boundary import ends_of, entry_of, members
from .emit.entry import Entry
from .emit.interface import Interface
from .emit.layout import Member, lay_out
from .emit.program import Emitted, ProgramPrinter
from .graph import Graph, verify
from .lower.adjacent import join_adjacent
from .lower.alike import once_each
from .lower.cuts import cut_loops
from .lower.forward import forward_stores
from .lower.hoist import hoist_invariants
from .lower.kernels import lower_group
from .lower.naming import KernelNames
from .lower.nest import Kernel
from .lower.target import TARGETS, Target
from .passes.checks import extract_checks
from .passes.fuse import fuse
from .passes.layout import apply_layouts, choose_layouts
from .passes.materialise import materialise
from .passes.simplify import simplify
from .passes.squeeze import squeeze_units
from .plan.bind import bind
from .plan.steps import map_kernels
from .plan.tasks import outline_of
from .stages import (
    Checked,
    Grouped,
    J,
    Job,
    K,
    Leaf,
    Lowered,
    Outlined,
    Planned,
    Simplified,
    Unit,
)

Stage = Callable[[Unit[Any]], Unit[Any]]


def each(stage: Callable[[J], K]) -> Callable[[Unit[J]], Unit[K]]:
    """A stage for one entry point after the other."""
    return lambda unit: unit.each(stage)


def nests(apply: Callable[[Kernel], Kernel]) -> Callable[[Unit[Planned]], Unit[Planned]]:
    """A pass on the loop nest of every kernel, after planning: a test cut away hides what may lie
    over what.
    """
    return each(lambda job: replace(job, plan=map_kernels(job.plan, once_each(apply))))


def find_checks(job: Job) -> Checked:
    """What is required of integer arguments leaves the graph and becomes a check at the entry."""
    graph, checks = extract_checks(job.graph, job.leaves)
    return Checked(**{**vars(job), "graph": graph}, checks=checks)


def simplified(job: J) -> J:
    """Exact algebra, constant folding, common subexpressions, dead code."""
    return replace(job, graph=simplify(job.graph))


def drop_unchanged(job: J) -> J:
    """A leaf that is returned as it came, or has no elements, needs no storing."""
    graph, count = job.graph, len(job.replaced)
    pairs = list(zip(job.replaced, graph.outputs[:count], strict=True))
    kept = [(leaf, o) for leaf, o in pairs if o != graph.inputs[leaf] and graph[o].size]
    outputs = (*(o for _, o in kept), *graph.outputs[count:])
    graph = Graph(graph.nodes, graph.inputs, outputs)
    return replace(job, graph=graph, replaced=tuple(leaf for leaf, _ in kept))


def squeezed(job: Checked) -> Simplified:
    """Axes of extent 1 go; what the results looked like with them is kept."""
    shapes = tuple(job.graph[o].shape for o in job.graph.outputs[len(job.replaced) :])
    graph = simplify(squeeze_units(job.graph))
    return Simplified(**{**vars(job), "graph": graph}, result_shapes=shapes)


def layouts_chosen(unit: Unit[J]) -> Unit[J]:
    """Which matrices of the state are stored transposed, for all entry points at once."""
    if not unit.free:
        return unit
    swapped = choose_layouts(
        [(leaf.value, leaf.field if leaf.section else None) for leaf in unit.leaves],
        [(job.graph, job.replaced, job.target.lanes) for job in unit.jobs],
    )
    return replace(unit, swapped=swapped, free=False)


def laid_out(unit: Unit[J]) -> Unit[J]:
    """Matrices that are stored transposed come in and go out transposed."""

    def one(job: J) -> J:
        inputs = job.graph.inputs
        swapped = frozenset(inputs[leaf] for leaf in unit.swapped)
        outputs = {k: inputs[leaf] for k, leaf in enumerate(job.replaced)}
        return replace(job, graph=apply_layouts(job.graph, swapped, outputs))

    return unit.each(one)


def materialised(job: J) -> J:
    """Copies become visible nodes."""
    names = [*(None for _ in job.replaced), *job.results]
    return replace(job, graph=materialise(job.graph, names))


def fused(job: Simplified) -> Grouped:
    """Nodes are grouped into kernels."""
    return Grouped(**vars(job), groups=tuple(fuse(job.graph, merge=job.fusion)))


def outlined(job: Grouped) -> Outlined:
    """Everything gets its name; groups are tasks that read and write values."""
    ends = ends_of(job)
    names = KernelNames(job.graph, job.groups, ends.updates, ends.results, ends.scalars)
    outline = outline_of(job.graph, job.groups, ends.given, ends.wanted, names.bases)
    return Outlined(**vars(job), names=names, outline=outline)


def lowered(job: Outlined) -> Lowered:
    """Groups become loop nests."""
    kernels = (lower_group(job.graph, g, job.target, job.names) for g in job.groups)
    return Lowered(**vars(job), kernels=tuple(kernels))


def planned(job: Lowered) -> Planned:
    """Kernels are ordered, and every buffer gets its place."""
    return Planned(**vars(job), plan=bind(job.outline, job.kernels))


STAGES: tuple[tuple[str, Stage], ...] = (
    ("checks", each(find_checks)),
    ("simplify", each(simplified)),
    ("unchanged", each(drop_unchanged)),
    ("squeeze", each(squeezed)),
    ("layouts", layouts_chosen),
    ("layout", laid_out),
    ("materialise", each(materialised)),
    ("fuse", each(fused)),
    ("outline", each(outlined)),
    ("lower", each(lowered)),
    ("plan", each(planned)),
    ("cut", nests(cut_loops)),
    ("hoist", nests(hoist_invariants)),
    ("join", nests(join_adjacent)),
    ("forward", nests(forward_stores)),
)


@dataclass
class Compiled:
    """A program, ready to be built: its text, what it offers to C, and its entry points.

    `seconds` says how long each stage took.
    """

    name: str
    emitted: Emitted
    interface: Interface
    jobs: tuple[Planned, ...]
    target: Target
    seconds: Mapping[str, float]

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
    """Take every job through the stages and print the program.

    `layouts` fixes which matrices of the state are stored transposed, else the cost model chooses.
    """
    unit: Unit[Any] = Unit(tuple(leaves), tuple(jobs), layouts or frozenset(), layouts is None)
    seconds: dict[str, float] = {}
    for label, stage in STAGES:
        start, before = time.perf_counter(), unit.jobs
        unit = stage(unit)
        for job, old in zip(unit.jobs, before, strict=True):
            verify(job.graph, known=old.graph)
        seconds[label] = time.perf_counter() - start
    layout = lay_out(name, members(leaves, unit.swapped)) if leaves else None
    interface = Interface(name, layout, tuple(entry_of(job, layout) for job in unit.jobs))
    target = TARGETS[vectors]
    emitted = ProgramPrinter(interface, target).emit()
    return Compiled(name, emitted, interface, unit.jobs, target, seconds)
