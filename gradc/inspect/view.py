"""What is known of a program, gathered by entry point and node.

Enters: a compiled function, program or training step. Leaves: a `View`. Always holds: node ids are
those of the entry point's own graph after all passes; kernels and lines of C count from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from ..errors import ArgumentError, fail
from ..graph import Graph, Node
from ..pipeline import Compiled
from ..plan.buffers import Buffer
from ..plan.memory import MemoryPlan
from ..plan.steps import plans_inside
from ..stages import Planned
from .describe import KernelInfo, kernel_infos
from .visible import Visible

Lines = tuple[int, int]


@dataclass(frozen=True)
class EntryView:
    """One entry point: its graph, its kernels in the order of the calls, its plan.

    `places` says where the value of a node lies, for those that are stored; `lines` which lines of
    the C file compute it. `inside` are the plans of its loops and branches, which lie in its own.
    """

    name: str
    graph: Graph
    kernels: tuple[KernelInfo, ...]
    plan: MemoryPlan
    places: Mapping[int, Buffer]
    lines: Mapping[int, tuple[Lines, ...]]
    inside: tuple[tuple[str, MemoryPlan], ...] = ()

    def kernel_of(self, node_id: int) -> int | None:
        """The number of the kernel that computes a node, if one does."""
        for number, kernel in enumerate(self.kernels, 1):
            if node_id in kernel.nodes:
                return number
        return None

    def node(self, node_id: int) -> Node:
        """A node by its id; raises ArgumentError that says which ids there are."""
        if node_id not in self.graph.nodes:
            ids = list(self.graph.nodes)
            known = f"{ids[0]} to {ids[-1]}" if ids else "none"
            message = f"`{self.name}` has no node {node_id}: its ids are {known}, with gaps"
            raise fail(ArgumentError, "GC901", message)
        return self.graph[node_id]

    def at(self, file: str, line: int) -> list[Node]:
        """The nodes that came from a line of Python; `file` may be the end of a path."""
        wanted = PurePath(file).parts
        return [
            node
            for node in self.graph
            if node.span is not None
            and PurePath(node.span.file).parts[-len(wanted) :] == wanted
            and node.span.line <= line <= node.span.end_line
        ]


@dataclass(frozen=True)
class View:
    """A program: its C and its entry points, the main one first."""

    name: str
    source: str
    header: str
    entries: Mapping[str, EntryView]
    state_arrays: int

    def entry(self, name: str | None = None) -> EntryView:
        """An entry point by name, or the main one."""
        if name is None:
            return next(iter(self.entries.values()))
        if name not in self.entries:
            known = ", ".join(f"`{n}`" for n in self.entries)
            message = f"`{self.name}` has no entry point `{name}`; it has {known}"
            raise fail(ArgumentError, "GC902", message)
        return self.entries[name]


def view_of(target: Visible) -> View:
    """Gather what is known of `target`, a function, program or training step."""
    compiled = target.compiled
    kernels = kernel_infos(compiled)
    entries = {}
    for job in compiled.jobs:
        name = job.name or target.name
        own = tuple(k for k in kernels if k.entry == job.name)
        entries[name] = EntryView(
            name, job.graph, own, job.plan.memory, _places(job), _lines(compiled, job.name),
            tuple(plans_inside(job.plan)),
        )  # fmt: skip
    return View(compiled.name, target.source, target.header, entries, len(compiled.members))


def _places(job: Planned) -> dict[int, Buffer]:
    """Where each stored value lies, by node id."""
    found: dict[int, Buffer] = {}
    for value, array in (*job.plan.inputs.items(), *job.plan.places.items()):
        assert isinstance(value, int)
        found[value] = array.base
    return found


def _lines(compiled: Compiled, entry: str) -> dict[int, tuple[Lines, ...]]:
    """The ranges of lines of the C file that each node of an entry point's graph came to."""
    found: dict[int, list[int]] = {}
    for number, (own, ids) in enumerate(compiled.emitted.lines, 1):
        if own == entry:
            for node_id in ids:
                found.setdefault(node_id, []).append(number)
    return {node_id: tuple(_ranges(numbers)) for node_id, numbers in found.items()}


def _ranges(numbers: list[int]) -> Iterator[Lines]:
    first = last = numbers[0]
    for number in numbers[1:]:
        if number > last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
