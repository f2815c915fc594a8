"""What is known of an entry point, stage by stage.

Enters: nothing (this file only defines the types). Leaves: `Job`, and what it becomes: `Checked`,
`Simplified`, `Grouped`, `Outlined`, `Lowered`, `Planned`; and the `Unit` of all entry points of one
program. Always holds: each is all that it was made of and more, and nothing is ever changed in
place; what a stage needs is there, since the stage takes no other type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from .graph import Graph
from .lower.naming import KernelNames
from .lower.nest import Kernel
from .lower.target import Target
from .passes.checks import InputCheck
from .passes.fuse import Group
from .plan.outline import Outline
from .plan.steps import Block


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


@dataclass(frozen=True)
class Job:
    """One entry point as it was traced.

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


@dataclass(frozen=True, kw_only=True)
class Checked(Job):
    """What is required of integer arguments has left the graph."""

    checks: tuple[InputCheck, ...]


@dataclass(frozen=True, kw_only=True)
class Simplified(Checked):
    """The graph has no axes of extent 1; `result_shapes` are those of the results with them."""

    result_shapes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Grouped(Simplified):
    """The nodes are in groups, of which each will be a kernel; the graph is what it will be."""

    groups: tuple[Group, ...]


@dataclass(frozen=True, kw_only=True)
class Outlined(Grouped):
    """Everything has a name, and the groups are tasks that read and write values."""

    names: KernelNames
    outline: Outline


@dataclass(frozen=True, kw_only=True)
class Lowered(Outlined):
    """The kernel of each group, as it was lowered."""

    kernels: tuple[Kernel, ...]


@dataclass(frozen=True, kw_only=True)
class Planned(Lowered):
    """The steps in order, their arrays in place; its kernels are those that are printed."""

    plan: Block


J = TypeVar("J", bound=Job)
K = TypeVar("K", bound=Job)


@dataclass(frozen=True)
class Unit(Generic[J]):
    """All that becomes one C file: the arrays of the state, and what works on them.

    The leaves in `swapped` are matrices that are stored transposed; which they are may still be
    chosen while it is `free`.
    """

    leaves: tuple[Leaf, ...]
    jobs: tuple[J, ...]
    swapped: frozenset[int] = frozenset()
    free: bool = True

    def each(self, stage: Callable[[J], K]) -> Unit[K]:
        """The unit with what a stage makes of each entry point."""
        return Unit(self.leaves, tuple(map(stage, self.jobs)), self.swapped, self.free)
