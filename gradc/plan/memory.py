"""The memory plan: how many bytes a program needs, and where in the arena each storage lies.

Enters: tasks in the order they run, the storages they touch, and permissions to write an output
over an input. Leaves: a `MemoryPlan`. Always holds: it has been checked from scratch, after the
fact, that no two storages live at one step share a byte, except an output laid exactly over its
dying input; kernel scratch is counted like any storage; a plan is a pure function of its arguments.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from . import offsets as packing
from .offsets import PlanError, Region, StorageId, round_up
from .order import InPlace, Task, TaskId, lifetimes, overlays

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector register."""


@dataclass(frozen=True, slots=True)
class Storage:
    """`size` bytes that tasks touch. Only those of the arena are placed; the others are counted.

    `id` is what it is, by which tasks and plans know it. `label` is what the report calls it (else
    its id), and `shape` what it prints beside it, such as `f32[64, 128]`.
    """

    id: StorageId
    size: int
    alignment: int = ALIGNMENT
    shape: str = ""
    kind: Literal["arena", "state", "io"] = "arena"
    label: str = ""

    @property
    def name(self) -> str:
        return self.label or str(self.id)


@dataclass(frozen=True, slots=True)
class Scratch:
    """The identity of the storage that a task needs while it runs."""

    task: TaskId

    def __str__(self) -> str:
        return f"scratch of {self.task}"


@dataclass(frozen=True, slots=True)
class PlannedBuffer:
    """A storage in its place: live on steps [first, last), at bytes [offset, offset + size).

    `over` is the id of the input it is written over, at the same offset, in step `first`, if there
    is one. `name` is for people; no two buffers of a plan have one.
    """

    id: StorageId
    offset: int
    size: int
    first: int
    last: int
    shape: str = ""
    over: StorageId | None = None
    name: str = ""


@dataclass(frozen=True, repr=False)
class MemoryPlan:
    """Where everything lies and what it costs, in bytes.

    `lower_bound` is the most bytes live at one step of this order, which no arena can be smaller
    than; `no_reuse_bytes` is what the arena would be if nothing shared. `order` names the tasks
    step by step.
    """

    arena_bytes: int
    lower_bound: int
    no_reuse_bytes: int
    buffers: tuple[PlannedBuffer, ...]
    order: tuple[TaskId, ...]
    state_bytes: int
    io_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.state_bytes + self.io_bytes + self.arena_bytes

    @property
    def saved(self) -> str:
        """How the arena compares, as in `67% under no reuse, at the lower bound`."""
        at_bound = self.arena_bytes == self.lower_bound
        over = 100 * (self.arena_bytes / max(1, self.lower_bound) - 1)
        bound = "at the lower bound" if at_bound else f"{over:.1f}% over the lower bound"
        if self.no_reuse_bytes == 0:
            return bound
        less = 100 * (1 - self.arena_bytes / self.no_reuse_bytes)
        return f"{less:.0f}% under no reuse, {bound}"

    def __getitem__(self, name: str) -> PlannedBuffer:
        """The buffer of that name; `KeyError` if the arena has none."""
        for buffer in self.buffers:
            if buffer.name == name:
                return buffer
        raise KeyError(name)

    @cached_property
    def by_id(self) -> Mapping[StorageId, PlannedBuffer]:
        """The buffers by what they hold."""
        return {b.id: b for b in self.buffers}

    def __repr__(self) -> str:
        return "\n".join(
            (
                f"MemoryPlan: {len(self.buffers)} buffers over {len(self.order)} steps",
                f"  parameters and state {_bytes(self.state_bytes):>12}",
                f"  inputs and outputs   {_bytes(self.io_bytes):>12}",
                f"  arena                {_bytes(self.arena_bytes):>12}  {self.saved}",
                f"  total                {_bytes(self.total_bytes):>12}",
            )
        )

    def report(self) -> str:
        """The whole plan as text: the numbers, a table of the buffers, and a picture."""
        return "\n\n".join(part for part in (repr(self), self._table(), self._picture()) if part)

    def as_csv(self) -> str:
        """`id,lower,upper,size,offset`, a line for each region: what is written in place is one."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("id", "lower", "upper", "size", "offset"))
        for chain in _chains(self.buffers):
            writer.writerow(
                (
                    "+".join(b.name for b in chain),
                    chain[0].first,
                    chain[-1].last,
                    max(b.size for b in chain),
                    chain[0].offset,
                )
            )
        return text.getvalue()

    def _marks(self) -> dict[str, str]:
        """A letter for each buffer, in order of birth, reused after z."""
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        return {b.name: letters[i % len(letters)] for i, b in enumerate(self.buffers)}

    def _table(self) -> str:
        if not self.buffers:
            return ""
        marks = self._marks()
        name_width = max(6, *(len(b.name) for b in self.buffers))
        lines = [
            f"     {'offset':>11} {'bytes':>11}  {'steps':<9}  {'buffer':<{name_width}}  shape"
        ]
        for b in self.buffers:
            steps = f"{b.first}..{b.last - 1}"
            over = "" if b.over is None else f"  over {self.by_id[b.over].name}"
            lines.append(
                f"  {marks[b.name]}  {b.offset:>11,} {b.size:>11,}  {steps:<9}  "
                f"{b.name:<{name_width}}  {b.shape}{over}".rstrip()
            )
        return "\n".join(lines)

    def _picture(self, rows: int = 16, columns: int = 72) -> str:
        """Steps from left to right, offsets from bottom to top; a letter where a buffer lives.

        A cell shows the last buffer that begins in it when several do; a dot is free room.
        """
        steps = len(self.order)
        if not self.buffers or steps == 0:
            return ""
        across = max(1, -(-steps // columns))  # steps to a column
        each = max(1, min(3, columns // steps))  # characters to a column
        band = max(1, -(-self.arena_bytes // rows))  # bytes to a row
        height = -(-self.arena_bytes // band)
        grid = [["."] * (-(-steps // across)) for _ in range(height)]
        marks = self._marks()
        for b in self.buffers:
            for row in range(b.offset // band, -(-(b.offset + b.size) // band)):
                for column in range(b.first // across, -(-b.last // across)):
                    grid[row][column] = marks[b.name]
        lines = [
            f"  {row * band:>11,} |" + "".join(cell * each for cell in grid[row])
            for row in reversed(range(height))
        ]
        unit = "1 step" if across == 1 else f"{across} steps"
        lines.append(f"  {'':>11} +{'-' * (len(grid[0]) * each)}")
        lines.append(f"  {'':>11}  steps 0 to {steps - 1}, {unit} a column; {band:,} bytes a row")
        return "\n".join(lines)


def plan(
    tasks: Sequence[Task], storages: Sequence[Storage], in_place: Sequence[InPlace] = ()
) -> MemoryPlan:
    """Place the arena's storages and the scratch of `tasks`, which run in the order given.

    `in_place` lists what may be written over what: (task, input storage, output storage), where the
    caller knows that the task reads the input only at the index it writes. Such a permission is
    used when that is the input's last use, the output fits, and the least arena does not grow by
    it.
    """
    known = {s.id: s for s in storages}
    if len(known) != len(storages):
        raise ValueError("two storages are one")
    for task in tasks:
        for key in task.touches:
            if key not in known:
                raise ValueError(f"task {task.id!r} touches `{key}`, which is no storage")
    outside = [s.id for s in storages if s.kind != "arena"]
    spans = lifetimes(tasks, outside, outside)
    for step, task in enumerate(tasks):
        if task.scratch:
            scratch = Storage(Scratch(task.id), task.scratch)
            known[scratch.id] = scratch
            spans[scratch.id] = (step, step + 1)
    arena = {key: s for key, s in known.items() if s.kind == "arena" and key in spans}
    over = _accepted(tasks, arena, spans, in_place)
    regions = _regions(arena, spans, over)
    offsets = packing.place(regions)
    arena_bytes = packing.arena_bytes(regions, offsets)
    packing.check(regions, offsets, arena_bytes)
    buffers = tuple(
        PlannedBuffer(
            key, offsets[_root(key, over)], s.size, *spans[key], s.shape, over.get(key), name
        )
        for name, (key, s) in _named(sorted(arena.items(), key=lambda item: spans[item[0]]))
    )
    check(buffers, arena_bytes)
    return MemoryPlan(
        arena_bytes,
        packing.lower_bound(regions),
        sum(round_up(s.size, s.alignment) for s in arena.values()),
        buffers,
        tuple(task.id for task in tasks),
        sum(s.size for s in storages if s.kind == "state"),
        sum(s.size for s in storages if s.kind == "io"),
    )


def check(buffers: Sequence[PlannedBuffer], arena_bytes: int) -> None:
    """Look at the buffers again, two by two; raises `PlanError` that names the offending ones.

    Two that are live at one step share no byte, unless one is written over the other: then they
    have one offset, and one step in common.
    """
    known = {b.id: b for b in buffers}
    for b in buffers:
        if not 0 <= b.offset <= b.offset + b.size <= arena_bytes:
            raise PlanError(f"`{b.name}` leaves the arena")
        if b.over is not None:
            _check_over(known[b.over], b)
    by_birth = sorted(buffers, key=lambda b: b.first)
    for i, a in enumerate(by_birth):
        for b in by_birth[i + 1 :]:
            if b.first >= a.last:
                break  # born after `a` died, and so are all that follow
            meet = a.offset < b.offset + b.size and b.offset < a.offset + a.size
            if meet and b.over != a.id and a.over != b.id:
                raise PlanError(f"`{a.name}` and `{b.name}` overlap: {a}, {b}")


def _check_over(source: PlannedBuffer, target: PlannedBuffer) -> None:
    what = f"`{target.name}` is written over `{source.name}`"
    if source.offset != target.offset:
        raise PlanError(f"{what} but lies elsewhere")
    if target.size > source.size:
        raise PlanError(f"{what} but is larger")
    if source.first >= target.first:
        raise PlanError(f"{what} but is as old")
    if target.first + 1 != source.last:
        raise PlanError(f"{what} but not in its last use")


def _accepted(
    tasks: Sequence[Task],
    arena: Mapping[StorageId, Storage],
    spans: Mapping[StorageId, tuple[int, int]],
    in_place: Sequence[InPlace],
) -> dict[StorageId, StorageId]:
    """Output -> input for the permissions worth using.

    A chain keeps the size of its first storage to its end, so a small output that lives on may cost
    more in the place of a large input than elsewhere; then it is not laid there.
    """
    sizes = {key: s.size for key, s in arena.items()}
    inside = [p for p in in_place if p[1] in arena and p[2] in arena]
    inside = [p for p in inside if arena[p[2]].alignment <= arena[p[1]].alignment]
    over: dict[StorageId, StorageId] = {}
    for target, source in overlays(tasks, spans, sizes, inside).items():
        longer = over | {target: source}
        if sizes[target] == sizes[source] or _bound(arena, spans, longer) <= _bound(
            arena, spans, over
        ):
            over = longer
    return over


def _bound(
    arena: Mapping[StorageId, Storage],
    spans: Mapping[StorageId, tuple[int, int]],
    over: Mapping[StorageId, StorageId],
) -> int:
    return packing.lower_bound(_regions(arena, spans, over))


def _named(
    arena: Iterable[tuple[StorageId, Storage]],
) -> Iterator[tuple[str, tuple[StorageId, Storage]]]:
    """The storages with names that are distinct: those after the first of a name are numbered."""
    taken: set[str] = set()
    for key, storage in arena:
        name, count = storage.name, 2
        while name in taken:
            name, count = f"{storage.name}_{count}", count + 1
        taken.add(name)
        yield name, (key, storage)


def _root(key: StorageId, over: Mapping[StorageId, StorageId]) -> StorageId:
    """The storage at the beginning of the chain that this one is written over."""
    while key in over:
        key = over[key]
    return key


def _regions(
    arena: Mapping[StorageId, Storage],
    spans: Mapping[StorageId, tuple[int, int]],
    over: Mapping[StorageId, StorageId],
) -> list[Region]:
    """What is placed: a buffer for each chain, as large as its first storage, live throughout."""
    ends: dict[StorageId, int] = {}
    for key in arena:
        root = _root(key, over)
        ends[root] = max(ends.get(root, 0), spans[key][1])
    return [
        Region(root, arena[root].size, arena[root].alignment, spans[root][0], end)
        for root, end in ends.items()
    ]


def _chains(buffers: Sequence[PlannedBuffer]) -> list[list[PlannedBuffer]]:
    """The buffers that share a place by being written over each other, first to last."""
    chains: dict[StorageId, list[PlannedBuffer]] = {}
    for b in buffers:  # in order of birth, so a source comes before its target
        chain = [] if b.over is None else chains.pop(b.over)
        chains[b.id] = [*chain, b]
    return sorted(chains.values(), key=lambda chain: (chain[0].first, chain[0].name))


def _bytes(count: int) -> str:
    """`397.5 KiB`: three or four digits and a unit."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << power:
            return f"{count / (1 << power):,.1f} {unit}"
    return f"{count} B"
