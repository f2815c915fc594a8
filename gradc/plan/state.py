"""Where values that must end up in a certain array are written: there, or aside and copied.

Enters: an outline, the pairs of values of each task of which one may be written over the other, and
which tasks are guards. Leaves: `Replaced`. Always holds: an array is written only after everything
that reads what it held, and nothing outside the arena before a guard; a value for which that cannot
be is computed aside and copied in at the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from .buffers import Array, Buffer, Value, are_apart
from .order import TaskId
from .outline import Outline

Pairs = Mapping[TaskId, Collection[tuple[Value, Value]]]
"""For each task (input, output): it reads the input no more when it writes the output."""


@dataclass(frozen=True)
class Replaced:
    """What follows from the outputs of an outline.

    `direct` are the values written where they must end up, `over` those of them that take the place
    of an input of the same task, with that input; `copies` are the others. `after` has for each
    task those that must come before it.
    """

    direct: Mapping[Value, Array]
    over: Mapping[Value, Value]
    copies: tuple[tuple[Value, Array], ...]
    after: Mapping[TaskId, frozenset[TaskId]]


def replace_state(outline: Outline, pairs: Pairs, guards: Sequence[TaskId] = ()) -> Replaced:
    """Decide for every output, in turn."""
    return _Replacing(outline, pairs, guards).result()


class _Replacing:
    def __init__(self, outline: Outline, pairs: Pairs, guards: Sequence[TaskId]) -> None:
        self.outline, self.pairs, self.guards = outline, pairs, guards
        self.writer = {v: t.id for t in outline.tasks for v in t.writes}
        self.readers: dict[Value, list[TaskId]] = defaultdict(list)
        self.after: dict[TaskId, set[TaskId]] = {}
        for task in outline.tasks:
            made = {self.writer[v] for v in task.reads if v in self.writer}
            self.after[task.id] = {*task.after, *(made - {task.id})}
            for v in task.reads:
                self.readers[v].append(task.id)
        self.given: dict[Buffer, list[Value]] = defaultdict(list)
        for v, array in outline.inputs.items():
            self.given[array.base].append(v)
        self.direct: dict[Value, Array] = {}
        self.over: dict[Value, Value] = {}

    def result(self) -> Replaced:
        copies = []
        for value, target in self.outline.outputs.items():
            if self._writes_there(value, target):
                self.direct[value] = target
            elif self.outline.arrays[value] != target:
                copies.append((value, target))
        after = {task: frozenset(before) for task, before in self.after.items()}
        return Replaced(self.direct, self.over, tuple(copies), after)

    def _writes_there(self, value: Value, target: Array) -> bool:
        """Whether the task that makes a value may write it where it must end up."""
        task = self.writer.get(value)
        if task is None:
            return False
        given, lies = self.given.get(target.base, ()), self.outline.inputs
        lost = [v for v in given if not are_apart(lies[v], target)]
        own = [v for v in lost if task in self.readers.get(v, ())]
        if any(lies[v] != target or (v, value) not in self.pairs.get(task, ()) for v in own):
            return False
        first = {r for v in lost for r in self.readers.get(v, ())} - {task}
        if not target.in_arena:
            first |= {*self.guards}
        if len(own) > 1 or any(self._reaches(task, other) for other in first):
            return False
        self.after[task] |= first
        for v in own:
            self.over[value] = v
        return True

    def _reaches(self, start: TaskId, end: TaskId) -> bool:
        """Whether task `end` must come after task `start`."""
        stack, seen = [end], set()
        while stack:
            task = stack.pop()
            if task == start:
                return True
            if task not in seen:
                seen.add(task)
                stack.extend(self.after[task])
        return False
