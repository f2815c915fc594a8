"""From an outline, and what does its tasks, to a block of steps.

Enters: tasks that read and write values, and a kernel, a planned loop, a branch or a guard for
each. Leaves: a `Block`: the steps in order, each array that they are handed in its place. Always
holds: the block has been checked (`check_block`), by what does not know how it was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from typing import Literal, assert_never

from ..dtypes import short, u8
from ..lower.inplace import in_place_pairs
from ..lower.nest import Kernel
from ..lower.rename import merge_buffers
from .buffers import Buffer, Value
from .check import check_block
from .memory import MemoryPlan, Storage, plan
from .offsets import PlanError
from .order import InPlace, Task, TaskId, schedule
from .outline import Action, Outline
from .state import replace_state
from .steps import Block, Branch, Copy, Guard, Repeat, Run, Step, Use, frame_bytes, moved

Pair = tuple[Value, Value]


def bind(outline: Outline, actions: Sequence[Action]) -> Block:
    """Order the tasks, place their buffers, and say what each step is handed.

    `actions[k]` does task k. A kernel reads what its `buffers` say, at most what its task reads.
    """
    block = _Binder(outline, actions).block()
    check_block(block)
    return block


class _Binder:
    def __init__(self, outline: Outline, actions: Sequence[Action]) -> None:
        together = list(zip(outline.tasks, actions, strict=True))
        self.outline = outline
        self.actions = actions
        self.tasks = [_as_done(task, action) for task, action in together]
        self.pairs = {t.id: _pairs(outline, t, a) for t, a in together}
        self.scratch = [_scratch(action) for action in actions]
        guards = [t.id for t, a in together if isinstance(a, Guard)]
        done = replace(outline, tasks=tuple(self.tasks))
        self.replaced = replace_state(done, self.pairs, guards)
        self.arrays = {**outline.arrays, **self.replaced.direct}
        self.moved = {
            outline.arrays[v].base: array
            for v, array in self.replaced.direct.items()
            if outline.arrays[v] != array
        }

    def block(self) -> Block:
        tasks, storages = self._tasks(), self._storages()
        sizes = {s.id: s.size for s in storages if s.kind == "arena"}
        outside = [s.id for s in storages if s.kind != "arena"]
        permissions = self._permissions(sizes)
        order = schedule(tasks, sizes, live_in=outside, live_out=outside, in_place=permissions)
        by_id = {t.id: t for t in tasks}
        memory = plan([by_id[t] for t in order], storages, permissions)
        steps = tuple(self._step(int(t), memory) for t in order)
        return Block(steps, memory, self.outline.inputs, self.outline.outputs, self.arrays)

    # Order and memory

    def _tasks(self) -> list[Task]:
        """The tasks with arrays for values, each after what must precede it; copies at the end."""
        tasks = []
        for k in _in_order(self.replaced.after):
            task, after = self.tasks[k], tuple(self.replaced.after[k])
            reads = tuple(self.arrays[v].base for v in task.reads)
            writes = (*(self.arrays[v].base for v in task.writes), *self.scratch[k])
            tasks.append(Task(k, reads, writes, after=after))
        done = tuple(t.id for t in tasks)
        for n, (value, target) in enumerate(self.replaced.copies):
            source = self.arrays[value].base
            tasks.append(Task(len(done) + n, (source,), (target.base,), after=done))
        return tasks

    def _storages(self) -> list[Storage]:
        arrays = [*self.arrays.values(), *(target for _, target in self.replaced.copies)]
        given = (*self.outline.inputs.values(), *self.outline.outputs.values())
        outside = {array.base for array in given}
        found = {a.base: _storage(a.base, a.base in outside) for a in arrays}
        for action, buffers in zip(self.actions, self.scratch, strict=True):
            label = action.name if isinstance(action, Kernel) else action.label
            found |= {b: _storage(b, False, f"{label}.{b.name}") for b in buffers}
        return list(found.values())

    def _permissions(self, arena: Mapping[object, int]) -> list[InPlace]:
        found: list[InPlace] = []
        for k, pairs in self.pairs.items():
            for source, target in pairs:
                a, b = self.arrays[source], self.arrays[target]
                if a in arena and b in arena:
                    found.append((k, a, b))
        return found

    # Steps

    def _step(self, k: int, memory: MemoryPlan) -> Step:
        if k >= len(self.actions):
            value, target = self.replaced.copies[k - len(self.actions)]
            return Copy(self.arrays[value], target, value)
        action = self.actions[k]
        if isinstance(action, Kernel):
            return self._run(k, action, memory)
        task, arrays = self.tasks[k], self.arrays
        uses = (
            *(Use(arrays[v], v) for v in task.reads),
            *(Use(arrays[v], None, v) for v in task.writes),
            *(Use(b) for b in self.scratch[k]),
        )
        step, phase = moved(action, self.moved), self.outline.phase(k)
        frame = next(iter(self.scratch[k]), None)
        match step:
            case Repeat():
                starts = tuple(c for c in step.starts if not _is_there(c, memory))
                return replace(step, starts=starts, uses=uses, frame=frame, phase=phase)
            case Branch():
                return replace(step, uses=uses, frame=frame, phase=phase)
            case Guard():
                return replace(step, uses=uses, phase=phase)
            case Run() | Copy():
                raise PlanError(f"`{step.label}` is bound already")
            case _:
                assert_never(step)

    def _run(self, k: int, kernel: Kernel, memory: MemoryPlan) -> Run:
        """The call of a kernel, with one parameter for what is written over what."""
        task, over = self.tasks[k], {}
        lies = {self.arrays[v]: v for v in task.reads}
        for value in task.writes:
            old = self.replaced.over.get(value)
            planned = memory.by_id.get(self.arrays[value])
            if planned is not None and isinstance(planned.over, Buffer):
                old = lies.get(planned.over)
            if old is not None:
                kernel = merge_buffers(kernel, old, value)  # type: ignore[arg-type]
                over[old] = value
        uses = []
        for v, p in zip(kernel.buffers, kernel.params, strict=True):
            read = v if not p.written or v in over else None
            uses.append(Use(self.arrays[v], read, over.get(v, v) if p.written else None))
        uses += [Use(b) for b in self.scratch[k]]
        reads = tuple(v for v in self.outline.tasks[k].reads if v in task.reads)
        return Run(kernel, tuple(uses), self.outline.phase(k), reads)


def _as_done(task: Task, action: Action) -> Task:
    """The task with what its kernel reads and writes in fact."""
    if not isinstance(action, Kernel):
        return task
    params = list(zip(action.buffers, action.params, strict=True))
    reads = tuple(v for v, p in params if not p.written)
    writes = tuple(v for v, p in params if p.written)
    if not {*reads} <= {*task.reads} or {*writes} != {*task.writes}:
        raise PlanError(f"`{action.name}` does another task than {task}: {reads}, {writes}")
    return replace(task, reads=reads, writes=writes)


def _pairs(outline: Outline, task: Task, action: Action) -> list[Pair]:
    """The values (input, output) of a task of which one may be written over the other.

    What a loop's value begins with ends with its copy, unless a turn reads it as something else.
    """
    if isinstance(action, Kernel):
        return [(action.buffers[i], action.buffers[o]) for i, o in in_place_pairs(action)]
    if not isinstance(action, Repeat):
        return []
    made = {outline.arrays[v]: v for v in task.writes}
    read = [v for source, v in action.sources.items() if source not in action.carries]
    read += [copy.value for copy in action.starts]
    return [
        (c.value, made[c.target])
        for c in action.starts
        if c.target in made and read.count(c.value) == 1 and c.source.nbytes == c.target.nbytes
    ]


def _is_there(copy: Copy, memory: MemoryPlan) -> bool:
    """Whether source and target of a copy have become one."""
    planned = memory.by_id.get(copy.target)
    over = planned is not None and planned.over is copy.source
    return over or copy.source == copy.target


def _scratch(action: Action) -> tuple[Buffer, ...]:
    """What an action needs of the arena while it runs."""
    if isinstance(action, Kernel):
        return tuple(Buffer(p.name, p.dtype, p.shape, "scratch") for p in action.scratch)
    size = 0 if isinstance(action, Guard) else frame_bytes(action)
    return (Buffer("frame", u8.dtype, (size,), "scratch"),) if size else ()


def _storage(buffer: Buffer, outside: bool, label: str = "") -> Storage:
    kind: Literal["arena", "state", "io"] = "io"
    if buffer.in_arena and not outside:
        kind = "arena"
    elif buffer.home in ("state", "constant"):
        kind = "state"
    shape = short(buffer.dtype, buffer.shape)
    return Storage(buffer, buffer.nbytes, shape=shape, kind=kind, label=label or buffer.name)


def _in_order(after: Mapping[TaskId, Iterable[TaskId]]) -> list[int]:
    """The tasks by number, but each after what must precede it."""
    missing = {int(k): {int(a) for a in before} for k, before in after.items()}
    followers: dict[int, list[int]] = {k: [] for k in missing}
    for k, before in missing.items():
        for a in before:
            followers[a].append(k)
    ready = [k for k, before in missing.items() if not before]
    heapify(ready)
    order: list[int] = []
    while ready:
        k = heappop(ready)
        order.append(k)
        for follower in followers[k]:
            missing[follower].remove(k)
            if not missing[follower]:
                heappush(ready, follower)
    if len(order) < len(missing):
        raise PlanError("tasks wait for one another")
    return order
