"""Offsets: where each buffer of the arena lies, known before the program runs.

Enters: buffers, each with a size, an alignment and the steps it is live for. Leaves: an offset for
each. Always holds: two buffers that are live at one step never share a byte (`check` looks again,
slowly and obviously); the same buffers in whatever sequence get the same offsets (but for which of
two alike has which), on any machine and however busy; and nothing here knows what a graph is.

Picture time from left to right and offsets from bottom to top: a buffer is a rectangle whose left
and right edges are given and whose height is its size; only its bottom edge is free. The arena's
least size is then a packing problem (dynamic storage allocation, NP-hard; the search below follows
M. Moffitt, "MiniMalloc: A Lightweight Memory Allocator for Hardware-Accelerated Machine Learning",
ASPLOS 2023).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
StorageId = Hashable
"""What a storage is, whatever it is called: two storages may have one name, never one identity."""

PLACED = np.iinfo(np.int64).max // 2
"""The floor of a buffer that is already placed: never the smallest."""

SEARCH_BUFFERS = 400
"""Beyond this many buffers the search is left out; it would not finish in its budget."""

SEARCH_NODES = 20_000
"""Partial plans the search may visit in all. A count, not a clock, so that results do not vary."""

ATTEMPT_NODES = 500
"""Partial plans visited at one capacity under one priority before the next is tried."""


class PlanError(AssertionError):
    """A plan that does not hold what it promises: a fault of the planner, never of a caller.

    It is raised, not asserted: `python -O` keeps the checks.
    """


@dataclass(frozen=True, slots=True)
class Region:
    """`size` bytes at a multiple of `alignment` (a power of two), live on steps [first, last)."""

    id: StorageId
    size: int
    alignment: int
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.size < 0 or self.last < self.first:
            raise ValueError(f"buffer `{self.id}` has a negative size or lifetime: {self}")
        if self.alignment < 1 or self.alignment & (self.alignment - 1):
            raise ValueError(f"the alignment of `{self.id}` is no power of two: {self.alignment}")


def round_up(size: int, alignment: int) -> int:
    """The smallest multiple of `alignment` (a power of two) that is at least `size`."""
    return (size + alignment - 1) & -alignment


def arena_bytes(buffers: Sequence[Region], offsets: Mapping[StorageId, int]) -> int:
    """The bytes the arena needs, a multiple of the least alignment."""
    tops = (offsets[b.id] + b.size for b in _occupying(buffers))
    return round_up(max(tops, default=0), _grain(buffers))


def lower_bound(buffers: Sequence[Region]) -> int:
    """The most bytes live at any one step: no plan of these lifetimes can be smaller.

    Every offset is a multiple of the least alignment, so sizes count rounded up to it.
    """
    grain = _grain(buffers)
    events = [(b.first, round_up(b.size, grain)) for b in _occupying(buffers)]
    events += [(b.last, -round_up(b.size, grain)) for b in _occupying(buffers)]
    live = most = 0
    for _, change in sorted(events):  # at one step, deaths (negative) come before births
        live += change
        most = max(most, live)
    return most


def check(
    buffers: Sequence[Region], offsets: Mapping[StorageId, int], capacity: int | None = None
) -> None:
    """Look at every pair of buffers again; raises `PlanError` that names the offending two.

    Shares no code with the planner: it must not be wrong in the same way.
    """
    if {b.id for b in buffers} != set(offsets) or len(offsets) != len(buffers):
        raise PlanError("offsets and buffers are not the same set")
    for b in buffers:
        offset = offsets[b.id]
        if offset < 0:
            raise PlanError(f"`{b.id}` lies at the negative offset {offset}")
        if offset % b.alignment:
            raise PlanError(f"`{b.id}` at {offset} is not {b.alignment}-aligned")
        if capacity is not None and b.last > b.first and offset + b.size > capacity:
            end = offset + b.size
            raise PlanError(f"`{b.id}` ends at {end}, beyond the arena of {capacity}")
    by_birth = sorted(buffers, key=lambda b: b.first)
    for i, a in enumerate(by_birth):
        for b in by_birth[i + 1 :]:
            if b.first >= a.last:
                break  # born after `a` died, and so are all that follow
            if b.first == b.last or a.size == 0 or b.size == 0:
                continue
            low, high = sorted((a, b), key=lambda x: offsets[x.id])
            if offsets[low.id] + low.size > offsets[high.id]:
                raise PlanError(
                    f"`{low.id}` and `{high.id}` overlap: "
                    f"{low} at {offsets[low.id]}, {high} at {offsets[high.id]}"
                )


def place(
    buffers: Sequence[Region],
    *,
    search_buffers: int = SEARCH_BUFFERS,
    search_nodes: int = SEARCH_NODES,
) -> dict[StorageId, int]:
    """An offset for each buffer, so that the arena is small, usually the least possible.

    First a skyline placement under each of eight priorities, stopping at one that meets the lower
    bound; if none does and the buffers are few, a depth-first search under a budget of nodes.
    """
    if len({b.id for b in buffers}) != len(buffers):
        raise ValueError("two buffers are one")
    offsets = {b.id: 0 for b in buffers}
    occupying = _occupying(buffers)
    bound = lower_bound(occupying)
    for group in _apart(occupying):
        problem = _Problem.of(group, _grain(occupying), bound)
        found = _skyline(problem)
        if problem.top(found) > problem.bound and len(group) <= search_buffers:
            found = _search(problem, found, search_nodes)
        offsets |= {b.id: int(offset) for b, offset in zip(group, found, strict=True)}
    return offsets


def _occupying(buffers: Iterable[Region]) -> list[Region]:
    """The buffers that take any room at all."""
    return [b for b in buffers if b.size > 0 and b.last > b.first]


def _grain(buffers: Iterable[Region]) -> int:
    """The least alignment: every offset is a multiple of it."""
    return min((b.alignment for b in _occupying(buffers)), default=1)


def _apart(buffers: Sequence[Region]) -> Iterator[list[Region]]:
    """The buffers in groups that share no step: each is a problem of its own."""
    group: list[Region] = []
    end = 0
    for b in sorted(buffers, key=lambda b: (b.first, b.last, b.size, b.alignment)):
        if group and b.first >= end:
            yield group
            group = []
        group.append(b)
        end = max(end, b.last)
    if group:
        yield group


@dataclass(frozen=True, eq=False)
class _Problem:
    """The buffers as columns. A section is a stretch of time in which none is born or dies."""

    size: Ints  # rounded up to the grain
    alignment: Ints
    first: Ints  # the buffer spans sections first <= s < last
    last: Ints
    width: Ints  # in steps, not sections
    load: Ints  # per section: bytes live
    bound: int  # of all groups: no use in being lower

    @staticmethod
    def of(group: Sequence[Region], grain: int, bound: int) -> _Problem:
        size = np.array([round_up(b.size, grain) for b in group], dtype=np.int64)
        alignment = np.array([b.alignment for b in group], dtype=np.int64)
        born = np.array([b.first for b in group], dtype=np.int64)
        dead = np.array([b.last for b in group], dtype=np.int64)
        edges = np.unique(np.concatenate((born, dead)))
        first, last = np.searchsorted(edges, born), np.searchsorted(edges, dead)
        change = np.zeros(len(edges), dtype=np.int64)
        np.add.at(change, first, size)
        np.subtract.at(change, last, size)
        load = np.cumsum(change)[:-1]
        return _Problem(size, alignment, first, last, dead - born, load, bound)

    def top(self, offsets: Ints) -> int:
        return int((offsets + self.size).max())


def _priorities(p: _Problem) -> Iterator[Ints]:
    """Eight orders of the buffers, the most urgent first.

    `total` is the most bytes live at any step of the buffer's life: how crowded it is around it.
    """
    total = np.array([p.load[a:b].max() for a, b in zip(p.first, p.last, strict=True)])
    area = p.width * p.size
    births, deaths = np.sort(p.first), np.sort(p.last)
    conflicts = np.searchsorted(births, p.last) - np.searchsorted(deaths, p.first, side="right")
    keys: tuple[tuple[Ints, ...], ...] = (
        (-total, -area),
        (-total, -p.width),
        (-p.width, -area),
        (-p.size,),
        (-area,),
        (-total, -p.size),
        (-conflicts,),
        (p.first,),
    )
    for key in keys:
        yield np.lexsort(key[::-1])  # lexsort takes the most significant key last; it is stable


def _skyline(p: _Problem) -> Ints:
    """The best of eight placements that always lay the buffer with the lowest possible place."""
    best: Ints | None = None
    for rank in _priorities(p):
        offsets = _lay(p, rank)
        if best is None or p.top(offsets) < p.top(best):
            best = offsets
        if p.top(best) == p.bound:
            break
    assert best is not None
    return best


def _lay(p: _Problem, rank: Ints) -> Ints:
    """Lay the buffer with the lowest floor (ties by `rank`), raise its neighbours, and again."""
    first, last, size, alignment = p.first[rank], p.last[rank], p.size[rank], p.alignment[rank]
    floor = np.zeros(len(rank), dtype=np.int64)
    offsets = np.zeros(len(rank), dtype=np.int64)
    for _ in range(len(rank)):
        i = int(floor.argmin())  # the first of the lowest, so the one of highest priority
        offsets[rank[i]] = floor[i]
        top = floor[i] + size[i]
        floor[i] = PLACED
        beside = (first < last[i]) & (last > first[i])
        raised = (top + alignment - 1) & -alignment
        np.maximum(floor, raised, out=floor, where=beside)
    return offsets


def _search(p: _Problem, known: Ints, budget: int) -> Ints:
    """A better plan than `known`, if the budget finds one: at the bound first, then bisecting.

    Each capacity is tried under each priority for a while: a bad early choice is better left by
    starting over in another order than by undoing everything after it.
    """
    best, low, capacity = known, p.bound, p.bound
    while low < p.top(best):
        found = None
        for rank in _priorities(p):
            attempt = _Attempt(p, rank, capacity, min(ATTEMPT_NODES, budget))
            found = attempt.run()
            budget -= attempt.visited
            if found is not None or attempt.visited < ATTEMPT_NODES:
                break  # a plan, or the proof that there is none, or no budget
        if found is not None:
            best = found
        else:
            low = capacity + 1
        if budget <= 0 or p.top(best) - low < p.bound // 1000:
            break
        capacity = (low + p.top(best)) // 2
    return best


@dataclass(frozen=True, eq=False)
class _Part:
    """Buffers still to be placed, by birth, that share sections with each other and no others.

    They go above the buffer `index`, which was laid last, at `offset`; should they not fit, the
    frame `parent` of the stack must choose again.
    """

    waiting: Ints
    offset: int
    index: int
    parent: int


@dataclass(frozen=True, eq=False)
class _Frame:
    """One level of the search: the part at hand, and the state each of its choices begins with."""

    part: _Part
    later: tuple[_Part, ...]  # once this part is placed
    choices: list[int]  # the best last
    floor: Ints
    rest: Ints


class _Attempt:
    """Depth-first search for a plan within `capacity`, over canonical plans only.

    A plan is canonical when its buffers, taken by rising offset (and by rank where offsets are
    equal), each lie as low as those before allow. Every plan can be pushed down into one, so no
    other need be tried.
    """

    def __init__(self, p: _Problem, rank: Ints, capacity: int, budget: int) -> None:
        self.rank, self.capacity, self.budget = rank, capacity, budget
        self.size, self.alignment = p.size[rank], p.alignment[rank]
        self.first, self.last = p.first[rank], p.last[rank]
        section = np.arange(len(p.load))
        inside = (section >= self.first[:, None]) & (section < self.last[:, None])
        self.outside = np.where(inside, 0, PLACED)  # added to a floor: not counted elsewhere
        self.visited = 0
        self.floor = np.zeros(len(rank), dtype=np.int64)
        self.rest = p.load.copy()  # per section: bytes still to be placed
        self.offsets = np.zeros(len(rank), dtype=np.int64)

    def run(self) -> Ints | None:
        """The offsets of a plan, or None: there is none, or none was found in the budget."""
        stack = [self._frame(_Part(np.argsort(self.first, kind="stable"), 0, -1, -1), ())]
        while stack:
            frame = stack[-1]
            if not frame.choices:
                del stack[frame.part.parent + 1 :]
                continue
            if self.visited >= self.budget:
                return None
            self.visited += 1
            i = frame.choices.pop()
            self.floor, self.rest = frame.floor.copy(), frame.rest.copy()
            left = frame.part.waiting[frame.part.waiting != i]
            self._lay(i, left)
            if not self._fits(left, int(self.offsets[i])):
                continue
            agenda = [
                _Part(waiting, int(self.offsets[i]), i, len(stack) - 1)
                for waiting in self._split(left)
            ]
            if not agenda and not frame.later:
                return self.offsets[np.argsort(self.rank)]
            part, *later = (*agenda, *frame.later)
            stack.append(self._frame(part, tuple(later)))
        return None

    def _frame(self, part: _Part, later: tuple[_Part, ...]) -> _Frame:
        """What may be laid next: on a fresh floor, below where a whole buffer would fit beneath."""
        floor = self.floor[part.waiting]
        reach = (floor + self.size[part.waiting]).min()
        fresh = (floor > part.offset) | ((floor == part.offset) & (part.waiting > part.index))
        choices = part.waiting[(floor < reach) & fresh]
        choices = choices[np.lexsort((choices, self.floor[choices]))][::-1]
        return _Frame(part, later, choices.tolist(), self.floor, self.rest)

    def _split(self, waiting: Ints) -> list[Ints]:
        """`waiting` (by birth) in parts that share no section."""
        if len(waiting) == 0:
            return []
        gaps = np.maximum.accumulate(self.last[waiting])[:-1] <= self.first[waiting][1:]
        return np.split(waiting, np.flatnonzero(gaps) + 1) if gaps.any() else [waiting]

    def _lay(self, i: int, left: Ints) -> None:
        """Lay buffer `i` on its floor; the floors of those `left` beside it rise to its top."""
        self.offsets[i] = self.floor[i]
        top = self.floor[i] + self.size[i]
        self.rest[self.first[i] : self.last[i]] -= self.size[i]
        beside = left[(self.first[left] < self.last[i]) & (self.last[left] > self.first[i])]
        raised = (top + self.alignment[beside] - 1) & -self.alignment[beside]
        self.floor[beside] = np.maximum(self.floor[beside], raised)

    def _fits(self, left: Ints, offset: int) -> bool:
        """Whether in each section the bytes left, above the lowest floor of those left, fit."""
        if len(left) == 0:
            return True
        floor = np.maximum(self.floor[left], offset)
        if (floor + self.size[left]).max() > self.capacity:
            return False
        part = slice(self.first[left].min(), self.last[left].max())
        ground = (self.outside[left, part] + floor[:, None]).min(axis=0)
        rest = self.rest[part]
        return bool((ground + rest)[rest > 0].max() <= self.capacity)
