"""What a call hands to its kernel, in the order in which C has it.

Enters: a call of a kernel in a planned block. Leaves: its operands, each with the part it plays.
Always holds: outputs come first, then what is replaced, inputs, scalars and scratch; what is
written over an input that ends there is one operand, and its array is that of what it becomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from ..lower.nest import Param
from ..plan.buffers import Array
from ..plan.steps import Block, Run, Use


class Role(IntEnum):
    """The part that an operand plays in a call, in the order of C's parameters."""

    OUT = 0
    IN_OUT = 1
    IN = 2
    SCALAR = 3
    SCRATCH = 4


@dataclass(frozen=True)
class Operand:
    """Parameter `position` of a kernel, and what stands there in one call.

    `over` is what the array holds before, if that is another value than what is written there.
    """

    position: int
    param: Param
    array: Array
    role: Role
    over: Array | None = None

    @property
    def mark(self) -> str:
        """What a comment says of it: `out`, `in: a, out: b`; nothing of an input."""
        if self.over is not None and self.over.name != self.param.name:
            return f"in: {self.over.name}, out: {self.param.name}"
        return {Role.OUT: "out", Role.IN_OUT: "in-out", Role.SCRATCH: "scratch"}.get(self.role, "")


def operands(run: Run, block: Block) -> list[Operand]:
    """The operands of a kernel's call in the order of C.

    Outputs stand in the order of the entry point's results, what is replaced in that of the state,
    inputs as a formula of the results names them.
    """
    params = (*run.kernel.params, *run.kernel.scratch)
    found = [
        _operand(block, position, p, use)
        for position, (p, use) in enumerate(zip(params, run.uses, strict=True))
    ]
    named = {value: k for k, value in enumerate(run.reads)}
    last = len(named)

    def rank(o: Operand) -> tuple[int, int, int, int]:
        kind = 0 if o.array.home == "output" else 1
        if o.role in (Role.OUT, Role.IN_OUT):
            return o.role, kind, o.array.number, o.position
        return o.role, 0, named.get(run.uses[o.position].read, last), o.position

    return sorted(found, key=rank)


def _operand(block: Block, position: int, p: Param, use: Use) -> Operand:
    old, new = use.read, use.written
    if new is None:
        role = Role.SCRATCH if old is None else Role.SCALAR if p.scalar else Role.IN
        return Operand(position, p, use.array, role)
    if old is None:
        return Operand(position, p, use.array, Role.OUT)
    becomes = block.places[new]
    if becomes == use.array:
        return Operand(position, p, use.array, Role.IN_OUT)
    return Operand(position, p, becomes, Role.IN_OUT, use.array)
