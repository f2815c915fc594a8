"""An entry point as C sees it: its arguments, its results, what it reads and what it may refuse.

Enters: a planned entry point. Leaves: an `Entry`. Always holds: what an entry point takes follows
from its plan and the program's layout alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..dtypes import DType, item_bytes
from ..graph import Graph
from ..lower.axes import Axes
from ..plan.steps import Block, Guard, offsets_of, runs, walk

NOTHING = Graph({}, (), ())
Scope = Literal["", "params", "state"]
"""What of the state a function takes: nothing, the parameters alone, or all of it."""


def aligned(n: int) -> int:
    """`n` bytes rounded up to whole cache lines."""
    return -(-n // 64) * 64


@dataclass(frozen=True)
class Argument:
    """An input or output of an entry point: the C name, and what the user calls it.

    `default` is the value of a scalar that a call from Python need not give.
    """

    identifier: str
    name: str
    dtype: DType
    shape: tuple[int, ...]
    default: float | None = None

    @property
    def size(self) -> int:
        total = 1
        for n in self.shape:
            total *= n
        return total

    @property
    def nbytes(self) -> int:
        return self.size * item_bytes(self.dtype)


@dataclass(frozen=True)
class Check:
    """Integers of argument `position` must satisfy lower <= x < upper."""

    position: int
    lower: int
    upper: int


@dataclass(frozen=True)
class Entry:
    """One entry point: `args` and `outputs` in order; `batch` rows if it can be run many times.
    `axes` says which axes of its arrays are one.

    `graph` is what it computes: names and formulas are made from it.
    """

    name: str
    plan: Block
    args: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    axes: Axes
    updates: bool
    checks: tuple[Check, ...] = ()
    batch: int | None = None
    scope: Scope = "state"
    graph: Graph = NOTHING

    @property
    def returns_value(self) -> bool:
        """Whether the C function gives its only result, a scalar, by value.

        So does a function without state that cannot fail; all others return a status.
        """
        single = len(self.outputs) == 1 and not self.outputs[0].shape
        return single and not self.scope and not self.checks and not self.guards

    @property
    def guards(self) -> tuple[Guard, ...]:
        """Where it may end before it has written anything, for what it has computed."""
        return tuple(step for _, step, _ in walk(self.plan) if isinstance(step, Guard))

    @property
    def arrays(self) -> tuple[Argument, ...]:
        return tuple(a for a in self.args if a.shape)

    @property
    def scalars(self) -> tuple[Argument, ...]:
        return tuple(a for a in self.args if not a.shape)

    @property
    def pointers(self) -> tuple[Argument, ...]:
        """The outputs that C writes through pointers."""
        return () if self.returns_value else self.outputs

    @property
    def repeats(self) -> bool:
        """Whether there is a function that runs it many times."""
        return self.updates and self.batch is not None

    @property
    def gathered(self) -> tuple[Argument, ...]:
        """The arrays of which that function collects the rows of a batch."""
        several = self.repeats and self.batch != 1
        return tuple(a for a in self.arrays if a.size) if several else ()

    @property
    def arena(self) -> Mapping[DType, int]:
        """The bytes of scratch it needs for elements of each dtype; none if it needs no scratch."""
        sizes: dict[DType, int] = {}
        offsets = offsets_of(self.plan)
        for _, run, _ in runs(self.plan):  # a copy is of what a kernel wrote
            for use in run.uses:
                buffer = use.array.base
                if buffer in offsets:
                    end = offsets[buffer] + buffer.nbytes
                    sizes[buffer.dtype] = max(sizes.get(buffer.dtype, 0), end)
        return sizes
