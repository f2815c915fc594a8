"""Long entry points in parts: a function for each phase, or for each stretch of a long one.

Enters: a planned entry point. Leaves: its `Part`s, in order; none if it is short enough to be read,
and compiled, as one function. Always holds: the parts together are the steps, each once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from ..plan.buffers import Buffer
from ..plan.steps import Block, Phase, Step, arrays_of, walk
from .entry import Argument, Entry

MOST_STEPS = 64
"""So many steps are one function: the time of compilers grows faster than the length of one."""


@dataclass(frozen=True)
class Part:
    """The steps of `block`, which lie in the arena of the whole; `first` of them comes before."""

    word: str
    block: Block
    first: int

    @property
    def steps(self) -> range:
        """The numbers of its steps, from 0."""
        return range(self.first, self.first + len(self.block.steps))


def parts_of(e: Entry) -> list[Part]:
    """The parts of an entry point that has many steps, and none at which it may end."""
    if len(e.plan.steps) <= MOST_STEPS or e.guards:
        return []
    found, first = [], 0
    for is_forward, run in groupby(e.plan.steps, lambda step: step.phase is Phase.FORWARD):
        word = "forward" if is_forward else "backward"
        pieces = list(_pieces(list(run)))
        for number, steps in enumerate(pieces, 1):
            label = word if len(pieces) == 1 else f"{word}_{number}"
            found.append(Part(label, replace(e.plan, steps=tuple(steps)), first))
            first += len(steps)
    return found


def _pieces(steps: list[Step]) -> Iterator[list[Step]]:
    """Steps in equal stretches that are short enough."""
    count = -(-len(steps) // MOST_STEPS)
    for k in range(count):
        yield steps[k * len(steps) // count : (k + 1) * len(steps) // count]


def used_buffers(block: Block) -> dict[Buffer, None]:
    """The buffers that steps are handed, each once."""
    return dict.fromkeys(a.base for _, step, _ in walk(block) for a in arrays_of(step))


def used_arguments(e: Entry, block: Block) -> tuple[list[Argument], list[Argument]]:
    """The results that steps write and the arguments that they read, in the entry point's order."""
    used = {(b.home, b.number) for b in used_buffers(block)}
    outputs = [a for k, a in enumerate(e.outputs) if ("output", k) in used]
    return outputs, [a for k, a in enumerate(e.args) if ("argument", k) in used]
