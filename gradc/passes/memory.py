"""The memory plan: how many bytes a program needs, and where in the arena each storage lies.

Enters: tasks in the order they run, the storages they touch, and permissions to write an output
over an input. Leaves: a `MemoryPlan`. Always holds: it has been checked from scratch, after the
fact, that no two storages live at one step share a byte, except an output laid exactly over its
dying input; kernel scratch is counted like any storage; a plan is a pure function of its arguments.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from . import offsets as packing
from .offsets import Buffer, round_up
from .order import InPlace, Task, TaskId, lifetimes, overlays

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector register."""


@dataclass(frozen=True, slots=True)
class Storage:
    """`size` bytes that tasks name. Only those of the arena are placed; the others are counted.

    `shape` is what the report prints beside it, such as `f32[64, 128]`.
    """

    name: str
    size: int
    alignment: int = ALIGNMENT
    shape: str = ""
    kind: Literal["arena", "state", "io"] = "arena"


@dataclass(frozen=True, slots=True)
class PlannedBuffer:
    """A storage in its place: live on steps [first, last), at bytes [offset, offset + size).

    `over` names the input it is written over, at the same offset, in step `first`; else it is
    empty.
    """

    name: str
    offset: int
    size: int
    first: int
    last: int
    shape: str = ""
    over: str = ""


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
            over = f"  over {b.over}" if b.over else ""
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
    known = {s.name: s for s in storages}
    if len(known) != len(storages):
        raise ValueError("two storages have one name")
    for task in tasks:
        for name in task.touches:
            if name not in known:
                raise ValueError(f"task {task.id!r} touches `{name}`, which is no storage")
    outside = [s.name for s in storages if s.kind != "arena"]
    spans = lifetimes(tasks, outside, outside)
    for step, task in enumerate(tasks):
        if task.scratch:
            scratch = Storage(f"scratch of {task.id}", task.scratch)
            if scratch.name in known:
                raise ValueError(f"a storage has the name `{scratch.name}`")
            known[scratch.name] = scratch
            spans[scratch.name] = (step, step + 1)
    arena = {n: s for n, s in known.items() if s.kind == "arena" and n in spans}
    over = _accepted(tasks, arena, spans, in_place)
    regions = _regions(arena, spans, over)
    offsets = packing.place(regions)
    arena_bytes = packing.arena_bytes(regions, offsets)
    packing.check(regions, offsets, arena_bytes)
    buffers = tuple(
        PlannedBuffer(n, offsets[_root(n, over)], s.size, *spans[n], s.shape, over.get(n, ""))
        for n, s in sorted(arena.items(), key=lambda item: spans[item[0]])
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
    """Look at every pair of buffers again; raises `AssertionError` that names the offending two.

    Two that are live at one step share no byte, unless one is written over the other: then they
    have one offset, and one step in common.
    """
    for i, a in enumerate(buffers):
        assert 0 <= a.offset <= a.offset + a.size <= arena_bytes, f"`{a.name}` leaves the arena"
        for b in buffers[i + 1 :]:
            if a.name == b.over or b.name == a.over:
                source, target = (a, b) if b.over == a.name else (b, a)
                what = f"`{target.name}` is written over `{source.name}`"
                assert source.offset == target.offset, f"{what} but lies elsewhere"
                assert target.size <= source.size, f"{what} but is larger"
                assert source.first < target.first, f"{what} but is as old"
                assert target.first + 1 == source.last, f"{what} but not in its last use"
                continue
            together = a.first < b.last and b.first < a.last
            meet = a.offset < b.offset + b.size and b.offset < a.offset + a.size
            assert not (together and meet), f"`{a.name}` and `{b.name}` overlap: {a}, {b}"


def _accepted(
    tasks: Sequence[Task],
    arena: Mapping[str, Storage],
    spans: Mapping[str, tuple[int, int]],
    in_place: Sequence[InPlace],
) -> dict[str, str]:
    """Output -> input for the permissions worth using.

    A chain keeps the size of its first storage to its end, so a small output that lives on may cost
    more in the place of a large input than elsewhere; then it is not laid there.
    """
    sizes = {n: s.size for n, s in arena.items()}
    inside = [p for p in in_place if p[1] in arena and p[2] in arena]
    inside = [p for p in inside if arena[p[2]].alignment <= arena[p[1]].alignment]
    over: dict[str, str] = {}
    for target, source in overlays(tasks, spans, sizes, inside).items():
        longer = over | {target: source}
        if sizes[target] == sizes[source] or _bound(arena, spans, longer) <= _bound(
            arena, spans, over
        ):
            over = longer
    return over


def _bound(
    arena: Mapping[str, Storage], spans: Mapping[str, tuple[int, int]], over: Mapping[str, str]
) -> int:
    return packing.lower_bound(_regions(arena, spans, over))


def _root(name: str, over: Mapping[str, str]) -> str:
    """The storage at the beginning of the chain that `name` is written over."""
    while name in over:
        name = over[name]
    return name


def _regions(
    arena: Mapping[str, Storage], spans: Mapping[str, tuple[int, int]], over: Mapping[str, str]
) -> list[Buffer]:
    """What is placed: a buffer for each chain, as large as its first storage, live throughout."""
    ends: dict[str, int] = {}
    for name in arena:
        root = _root(name, over)
        ends[root] = max(ends.get(root, 0), spans[name][1])
    return [
        Buffer(root, arena[root].size, arena[root].alignment, spans[root][0], end)
        for root, end in ends.items()
    ]


def _chains(buffers: Sequence[PlannedBuffer]) -> list[list[PlannedBuffer]]:
    """The buffers that share a place by being written over each other, first to last."""
    chains: dict[str, list[PlannedBuffer]] = {}
    for b in buffers:  # in order of birth, so a source comes before its target
        chain = chains.pop(b.over) if b.over else []
        chains[b.name] = [*chain, b]
    return sorted(chains.values(), key=lambda chain: (chain[0].first, chain[0].name))


def _bytes(count: int) -> str:
    """`397.5 KiB`: three or four digits and a unit."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if count >= 1 << power:
            return f"{count / (1 << power):,.1f} {unit}"
    return f"{count} B"
