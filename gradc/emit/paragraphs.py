"""Paragraphs of an entry point: the steps that one line of the model asks for.

Enters: an entry point and a stretch of its steps. Leaves: `Paragraph`s with their headings. Always
holds: a heading says which steps follow, by their numbers, and which line of the model they are of:
that line itself, or where the backward pass comes back to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import assert_never

from ..errors import Span
from ..plan.steps import Block, Phase, Run, Step
from .entry import Entry
from .layout import StateLayout

PHASES = {
    Phase.FORWARD: "Forward pass.",
    Phase.BACKWARD: (
        "Backward pass and update, in reverse order: a parameter is updated where its gradient is"
        " known, after the last call that reads it."
    ),
}
"""What the first paragraph of a phase begins with."""
REST = {
    Phase.UPDATE: "the rest of the state",
    Phase.COPY: "new values of the state that could not be written in place",
}
"""What stands for the line of the model where there is none."""
MOST_LAYERS = 4
"""So many layers a heading names."""


@dataclass
class Paragraph:
    """Steps that stand together, by their numbers from 0."""

    phase: Phase
    span: Span | None
    steps: list[int] = field(default_factory=list)
    heading: str = ""


def paragraphs(e: Entry, layout: StateLayout | None, block: Block, first: int) -> list[Paragraph]:
    """The paragraphs of a block's steps, which are number `first`, ... of the entry point's."""
    found: list[Paragraph] = []
    known = [(step.phase, _span(e, step)) for step in block.steps]
    numbered = enumerate(known, first)
    for (phase, _), group in groupby(numbered, lambda item: (item[1][0], _key(item[1][1]))):
        rows = list(group)
        found.append(Paragraph(phase, rows[0][1][1], [number for number, _ in rows]))
    begun: set[Phase] = set()
    for p in found:
        steps = [block.steps[number - first] for number in p.steps]
        p.heading = _heading(e, layout, p, steps, p.phase not in begun)
        begun.add(p.phase)
    return found


def _key(span: Span | None) -> str:
    return "" if span is None else span.short


def _span(e: Entry, step: Step) -> Span | None:
    """The line of the model that a step is of."""
    if not isinstance(step, Run):
        return None
    written = [use.written for use in step.uses if isinstance(use.written, int)]
    known = e.graph.nodes  # values of blocks inside have graphs of their own
    nodes = sorted(i for i in written if i in known and known[i].of is None)
    if step.phase is Phase.BACKWARD:
        nodes = [i for i in step.kernel.nodes if i in known and known[i].of is not None]
    spans = (known[i].span for i in nodes)
    return next((span for span in spans if span is not None), None)


def _heading(
    e: Entry, layout: StateLayout | None, p: Paragraph, steps: Iterable[Step], begins: bool
) -> str:
    """`1-2: h = nn.relu(self.fc1(x)); model.py:28`, below what its phase is."""
    numbers = str(p.steps[0] + 1)
    if len(p.steps) > 1:
        numbers += f"-{p.steps[-1] + 1}"
    place = "" if p.span is None else p.span.short
    match p.phase:
        case Phase.FORWARD | Phase.TURN:
            line = "" if p.span is None else p.span.text.strip()
            said = "; ".join(filter(None, (line, place)))
        case Phase.BACKWARD:
            said = ", ".join(filter(None, (place, _layers(layout, steps))))
        case Phase.UPDATE | Phase.COPY:
            said = REST[p.phase]
        case _:
            assert_never(p.phase)
    text = f"{numbers}: {said}" if said else numbers
    if p.phase is Phase.TURN:
        text += ". Here the backward pass begins."
    start = PHASES.get(p.phase, "") if begins and e.updates else ""
    return f"{start}\n{text}" if start else text


def _layers(layout: StateLayout | None, steps: Iterable[Step]) -> str:
    """The layers whose parameters steps replace: `fc2 and fc1`."""
    if layout is None:
        return ""
    found = dict.fromkeys(
        layout.members[use.array.number].layer
        for step in steps
        for use in step.uses
        if use.array.home == "state" and use.written is not None
    )
    names = [name for name in found if name]
    if len(names) > MOST_LAYERS:
        names = [*names[: MOST_LAYERS - 1], f"{len(names) - MOST_LAYERS + 1} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
