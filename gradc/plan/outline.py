"""What is to be done, before it is known when and where: tasks that make values of values.

Enters: nothing (this file only defines the types). Leaves: `Outline`, which can be had before
anything is loops, and the `Action` that does each task. Always holds: tasks stand in an order that
is right; each value is made by one of them, or is an input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..lower.nest import Kernel
from .buffers import Array, Value
from .order import Task
from .steps import Branch, Guard, Phase, Repeat

Action = Kernel | Repeat | Branch | Guard
"""What does a task. A loop and a branch are planned inside; their own arrays are those that the
outline gives the values outside.
"""


@dataclass(frozen=True)
class Outline:
    """The tasks of a block, numbered from 0, which read and write values.

    `arrays` says where each value lies when it is made, or given; `inputs` which are given, and
    `outputs` where values must lie in the end (over an input, if that is to be replaced). `phases`
    are those of the tasks, all forward if there are none.
    """

    tasks: tuple[Task, ...]
    arrays: Mapping[Value, Array]
    inputs: Mapping[Value, Array]
    outputs: Mapping[Value, Array]
    phases: tuple[Phase, ...] = field(default=())

    def phase(self, task: int) -> Phase:
        return self.phases[task] if self.phases else Phase.FORWARD
