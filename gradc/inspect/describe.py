"""What can be seen of a compiled program: stages, kernels, plans.

Enters: a `Compiled` program. Leaves: plain records for listings, reports and the command line.
Always holds: flops and bytes are counted from the graph, not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ..dtypes import item_bytes
from ..graph import Graph, Node
from ..ops.table import OPS, Kind
from ..pipeline import Compiled
from ..plan.memory import MemoryPlan
from ..plan.steps import runs


@dataclass(frozen=True)
class Stage:
    """One step of the compilation, as the command line prints it."""

    verb: str
    what: str
    detail: str
    seconds: float


@dataclass(frozen=True)
class KernelInfo:
    """One C function of the program: `ops` it computes, `flops` and `bytes` a call, source lines.

    `lines` are its first and last line in the C file, `entry` the entry point it was made for.
    """

    name: str
    entry: str
    ops: tuple[str, ...]
    nodes: tuple[int, ...]
    flops: int
    bytes: int
    sources: tuple[str, ...]
    lines: tuple[int, int]

    def __repr__(self) -> str:
        where = f"  {', '.join(self.sources)}" if self.sources else ""
        work = f"{self.flops:>12,} flops {self.bytes:>12,} bytes"
        place = f"lines {self.lines[0]}-{self.lines[1]}{where}"
        return f"{self.entry:<10} {self.name:<40} {work}  {place}"


def kernel_infos(compiled: Compiled) -> list[KernelInfo]:
    """Every kernel of every entry point, in the order of the calls."""
    found: list[KernelInfo] = []
    for job in compiled.jobs:
        for path, call, _ in runs(job.plan):
            name, first, last = compiled.emitted.kernels[(job.name, path)]
            nodes = [job.graph[i] for i in call.kernel.nodes]
            spans = (n.span for n in nodes if n.span is not None)
            size = sum(
                p.size * item_bytes(p.dtype) for p in (*call.kernel.params, *call.kernel.scratch)
            )
            found.append(
                KernelInfo(
                    name, job.name, tuple(dict.fromkeys(n.op for n in nodes)), call.kernel.nodes,
                    sum(flops(job.graph, n) for n in nodes), size,
                    tuple(dict.fromkeys(s.short for s in spans)), (first, last),
                )
            )  # fmt: skip
    return found


def plans(compiled: Compiled) -> dict[str, MemoryPlan]:
    """The memory plan of each entry point."""
    return {job.name: job.plan.memory for job in compiled.jobs}


def flops(graph: Graph, node: Node) -> int:
    """Floating-point operations of one node; a transcendental function counts as its cost."""
    if node.kind is Kind.CONTRACTION:
        contracted = node.attrs["contract"][0]
        return 2 * node.size * int(prod(graph[node.args[0]].shape[k] for k in contracted))
    if node.kind is Kind.REDUCTION:
        return graph[node.args[0]].size
    if node.kind is Kind.ELEMENTWISE:
        return int(node.size * OPS[node.op].cost)
    return 0


def stages(
    compiled: Compiled, traced: float, emitted: float, parameters: Sequence[tuple[int, ...]]
) -> list[Stage]:
    """The stages up to the C text; the build adds its own."""
    job = compiled.jobs[0]
    forward = [n for n in job.graph if n.of is None]
    gradient = len(job.graph) - len(forward)
    scalars = sum(prod(shape) for shape in parameters)
    plural = "parameter" if len(parameters) == 1 else "parameters"
    what = f"{len(forward)} nodes, {len(parameters)} {plural} ({scalars:,} scalars)"
    result = [Stage("Traced", job.name or compiled.name, what, traced)]
    if gradient:
        detail = f"+{gradient} nodes, {len(job.replaced)} updates"
        result.append(Stage("Derived", "gradients", detail, 0.0))
    memory = job.plan.memory
    arena = f"arena {kib(memory.arena_bytes)}, {memory.saved}"
    passes = sum(compiled.seconds.values())
    result.append(Stage("Planned", f"{len(job.plan.steps)} kernels", arena, passes))
    lines = compiled.emitted.source.count("\n")
    result.append(Stage("Emitted", f"{compiled.name}.c", f"{lines} lines", emitted))
    return result


def kib(count: int) -> str:
    """`145.4 KiB`."""
    return f"{count:,} B" if count < 1024 else f"{count / 1024:,.1f} KiB"


def node_of_line(compiled: Compiled, line: int) -> str | None:
    """The node and the Python line behind a line of the generated C (counted from 1)."""
    lines = compiled.emitted.lines
    if not 0 < line <= len(lines):
        return None
    entry, ids = lines[line - 1]
    graphs = {j.name: j for j in compiled.jobs}
    if entry not in graphs or not ids:
        return None
    graph = graphs[entry].graph
    node = graph[ids[-1]]
    where = f", {node.span.short}" if node.span else ""
    return f"#{node.id} {node.op}{where}"
