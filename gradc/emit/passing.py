"""What a call hands to its kernel, in the order in which C has it.

Enters: a call of an entry point's plan. Leaves: its operands, each with the part it plays. Always
holds: outputs come first, then what is replaced, inputs, scalars and scratch; what is written over
an input that ends there is one operand, and its place is that of what it becomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from ..lower.nest import Kernel, Param
from ..plan.steps import Call, EntryPlan, Place


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

    `over` is what the place holds before, if that is another value than what is written there.
    """

    position: int
    param: Param
    place: Place
    role: Role
    over: Place | None = None

    @property
    def mark(self) -> str:
        """What a comment says of it: `out`, `in: a, out: b`; nothing of an input."""
        if self.over is not None and self.over.name != self.param.name:
            return f"in: {self.over.name}, out: {self.param.name}"
        return {Role.OUT: "out", Role.IN_OUT: "in-out", Role.SCRATCH: "scratch"}.get(self.role, "")


def operands(call: Call, plan: EntryPlan) -> list[Operand]:
    """The operands of a kernel's call in the order of C.

    Outputs stand in the order of the entry point's results, what is replaced in that of the state,
    inputs as a formula of the results names them.
    """
    kernel = call.kernel
    assert kernel is not None, "a copy has no parameters"
    params = (*kernel.params, *kernel.scratch)
    found = [
        _operand(call, plan, position, p, place)
        for position, (p, place) in enumerate(zip(params, call.places, strict=True))
    ]
    named = {node: k for k, node in enumerate(_formula_order(call, plan, kernel))}
    last = len(named)

    def rank(o: Operand) -> tuple[int, int, int, int]:
        kind = 0 if o.place.kind == "output" else 1
        if o.role in (Role.OUT, Role.IN_OUT):
            return o.role, kind, o.place.key, o.position
        node = call.reads[o.position]
        return o.role, 0, last if node is None else named.get(node, last), o.position

    return sorted(found, key=rank)


def _operand(call: Call, plan: EntryPlan, position: int, p: Param, place: Place) -> Operand:
    old, new = call.reads[position], call.writes[position]
    if old is None and new is None:
        return Operand(position, p, place, Role.SCRATCH)
    if new is None:
        return Operand(position, p, place, Role.SCALAR if p.scalar else Role.IN)
    if old is None:
        return Operand(position, p, place, Role.OUT)
    if place.kind == "state":
        return Operand(position, p, place, Role.IN_OUT)
    becomes = plan.memory.by_id[Place("arena", new)].id
    assert isinstance(becomes, Place)
    return Operand(position, p, becomes, Role.IN_OUT, place)


def _formula_order(call: Call, plan: EntryPlan, kernel: Kernel) -> Sequence[int]:
    """The values that a kernel reads, in the order in which its formulas name them."""
    read = {i for i in call.reads if i is not None}
    stack = [i for i in reversed(call.writes) if i is not None]
    seen: set[int] = set()
    order: list[int] = []
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in read:
            order.append(node)
        else:
            stack += reversed(plan.graph[node].args)
    return order
