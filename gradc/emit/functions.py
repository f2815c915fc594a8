"""Which calls of a program are of one C function.

Enters: planned entry points. Leaves: `Function`s in the order in which the steps first need them.
Always holds: calls are of one function if their kernels do the same, whatever values are called.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from ..lower.alike import signature
from ..lower.nest import Kernel
from ..plan.steps import Block, Path, Run, runs
from .entry import Entry
from .passing import Operand, operands


@dataclass(frozen=True)
class Call:
    """One call: where it stands in which entry point."""

    entry: Entry
    path: Path
    run: Run
    block: Block

    @property
    def operands(self) -> list[Operand]:
        return operands(self.run, self.block)


@dataclass(frozen=True)
class Function:
    """The calls of one function; it is printed as the first of them has it."""

    calls: list[Call] = field(default_factory=list)

    @property
    def first(self) -> Call:
        return self.calls[0]

    @property
    def kernel(self) -> Kernel:
        return self.first.run.kernel

    @property
    def order(self) -> tuple[int, ...]:
        """Which of the kernel's parameters is the first, second, ... one in C."""
        return tuple(o.position for o in self.first.operands)


def functions_of(entries: Sequence[Entry]) -> list[Function]:
    """The functions of a program."""
    found: dict[Hashable, Function] = {}
    for call in _calls(entries):
        found.setdefault(signature(call.run.kernel), Function()).calls.append(call)
    return list(found.values())


def _calls(entries: Sequence[Entry]) -> Iterator[Call]:
    for entry in entries:
        for path, run, block in runs(entry.plan):
            yield Call(entry, path, run, block)
