"""The order of the kernels: which one runs when, so that little memory is live at once.

Enters: tasks in an order that is right (what a task reads is what the tasks before it wrote).
Leaves: an order that is right too, in the same sense, and never needs more bytes at its peak.
Always holds: every order is judged by one simulator, `peak`; where no order is better the given one
is kept, so that the C reads forward, backward, update; no clock decides anything.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from .offsets import StorageId

TaskId = int | str
InPlace = tuple[TaskId, StorageId, StorageId]
"""Task, input storage, output storage: the task may write its output over its input."""

SEARCH_STATES = 4_000
"""Sets of finished tasks the exact search may visit. A count, not a clock: results do not vary."""

SETTLE_SWAPS = 1_000
"""Neighbours that may be tried in each other's place to bring a better order near the given one."""


@dataclass(frozen=True, slots=True)
class Task:
    """One kernel: what it reads and writes, and the `scratch` bytes it needs while it runs.

    A storage both read and written is updated. `after` names tasks that must come before this one
    beyond what the storages say.
    """

    id: TaskId
    reads: tuple[StorageId, ...]
    writes: tuple[StorageId, ...]
    scratch: int = 0
    after: tuple[TaskId, ...] = ()

    @property
    def touches(self) -> tuple[StorageId, ...]:
        """Every storage it reads or writes, once."""
        return tuple(dict.fromkeys(self.reads + self.writes))


def dependencies(tasks: Sequence[Task]) -> dict[TaskId, set[TaskId]]:
    """For each task those that must come before it: `tasks` in the order given say what they mean.

    A reader follows the last writer, a writer follows the last writer and the readers since. Raises
    `ValueError` when an `after` edge points at a later or unknown task.
    """
    before: dict[TaskId, set[TaskId]] = {}
    writer: dict[StorageId, TaskId] = {}
    readers: dict[StorageId, list[TaskId]] = {}
    for task in tasks:
        if task.id in before:
            raise ValueError(f"two tasks have the id {task.id!r}")
        for other in task.after:
            if other not in before:
                raise ValueError(f"task {task.id!r} must follow {other!r}, which is not before it")
        needed = set(task.after)
        for name in task.touches:
            if name in writer:
                needed.add(writer[name])
        for name in task.writes:
            needed.update(readers.get(name, ()))
        before[task.id] = needed
        for name in task.reads:
            readers.setdefault(name, []).append(task.id)
        for name in task.writes:
            writer[name] = task.id
            readers[name] = []
    return before


def lifetimes(
    order: Sequence[Task], live_in: Collection[StorageId] = (), live_out: Collection[StorageId] = ()
) -> dict[StorageId, tuple[int, int]]:
    """For each storage the half-open range of steps it is live for: first writer to last user.

    One in `live_in` lives from step -1, before the first, and one in `live_out` through step
    `len(order)`, after the last. Raises `ValueError` when a
    task reads what nothing has written.
    """
    end, last = len(order) + 1, frozenset(live_out)
    spans = {name: (-1, end if name in last else -1) for name in live_in}
    for step, task in enumerate(order):
        for name in task.reads:
            if name not in spans and name not in task.writes:
                raise ValueError(f"task {task.id!r} reads `{name}`, which is not written before it")
        for name in task.touches:
            first = spans.get(name, (step, 0))[0]
            spans[name] = (first, end if name in last else step + 1)
    for name in live_out:
        if name not in spans:
            raise ValueError(f"`{name}` is to be live at the end, but nothing writes it")
    return spans


def overlays(
    order: Sequence[Task],
    spans: Mapping[StorageId, tuple[int, int]],
    sizes: Mapping[StorageId, int],
    in_place: Sequence[InPlace],
) -> dict[StorageId, StorageId]:
    """Output -> input for the permissions this order can use; each storage at most once a role.

    The task must be the input's last user, not write it, be the output's first writer, not read it,
    and the output must fit. The best fit wins, then the permission given first.
    """
    step_of = {task.id: step for step, task in enumerate(order)}
    chosen: dict[StorageId, StorageId] = {}
    used: set[StorageId] = set()
    for task_id, source, target in sorted(in_place, key=lambda p: -sizes[p[2]]):
        step = step_of[task_id]
        if (
            source in order[step].reads
            and target not in order[step].reads
            and spans[source][1] == step + 1
            and spans[target][0] == step
            and source not in order[step].writes
            and sizes[target] <= sizes[source]
            and target not in chosen
            and source not in used
        ):
            chosen[target] = source
            used.add(source)
    return chosen


def peak(
    order: Sequence[TaskId],
    tasks: Sequence[Task],
    sizes: Mapping[StorageId, int],
    *,
    live_in: Collection[StorageId] = (),
    live_out: Collection[StorageId] = (),
    in_place: Sequence[InPlace] = (),
) -> int:
    """The most bytes live at one time when `tasks` run in `order`: the one simulator.

    While a task runs, everything it touches and its scratch are live together, but an output laid
    over an input costs nothing then. `sizes` gives the bytes of the storages that count; others are
    free.
    """
    by_id = {task.id: task for task in tasks}
    running = [by_id[i] for i in order]
    spans = lifetimes(running, live_in, live_out)
    change = [0] * (len(running) + 1)
    for name, (first, last) in spans.items():
        change[max(0, first)] += sizes.get(name, 0)
        change[max(0, min(last, len(running)))] -= sizes.get(name, 0)
    shared = [0] * len(running)
    counted = [p for p in in_place if p[1] in sizes and p[2] in sizes]
    for target in overlays(running, spans, sizes, counted):
        shared[spans[target][0]] += sizes[target]
    live = most = 0
    for step, task in enumerate(running):
        live += change[step]
        most = max(most, live + task.scratch - shared[step])
    return most


def lower_bound_all_orders(
    tasks: Sequence[Task],
    sizes: Mapping[StorageId, int],
    *,
    live_in: Collection[StorageId] = (),
    live_out: Collection[StorageId] = (),
    in_place: Sequence[InPlace] = (),
) -> int:
    """A peak no order can go below.

    While a task runs there lives, whatever the order, all it touches, and what the start or an
    ancestor made and the end or a descendant needs.
    """
    p = _Problem(tasks, sizes, live_in, live_out, in_place)
    return p.bound


def schedule(
    tasks: Sequence[Task],
    sizes: Mapping[StorageId, int],
    *,
    live_in: Collection[StorageId] = (),
    live_out: Collection[StorageId] = (),
    in_place: Sequence[InPlace] = (),
    search_states: int = SEARCH_STATES,
) -> tuple[TaskId, ...]:
    """An order of low peak, by `peak`; the given one unless another is strictly better.

    Stops at the lower bound over all orders; otherwise a portfolio of list schedules, then an exact
    search over sets of finished tasks, complete when it ends within `search_states`.
    """
    p = _Problem(tasks, sizes, live_in, live_out, in_place)
    best = list(range(len(tasks)))
    least = p.peak(best)
    for candidate in p.portfolio():
        if least <= p.bound:
            break
        cost = p.peak(candidate)
        if cost < least:
            best, least = candidate, cost
    if least > p.bound:
        found = _search(p, least, search_states)
        if found is not None and p.peak(found) < least:
            best, least = found, p.peak(found)
    return tuple(tasks[i].id for i in _settle(p, best, least))


class _Problem:
    """Tasks and storages as numbers, sets of tasks as the bits of an integer."""

    def __init__(
        self,
        tasks: Sequence[Task],
        sizes: Mapping[StorageId, int],
        live_in: Collection[StorageId],
        live_out: Collection[StorageId],
        in_place: Sequence[InPlace],
    ) -> None:
        self.tasks, self.sizes = tasks, sizes
        self.live_in, self.live_out = dict.fromkeys(live_in), dict.fromkeys(live_out)
        self.in_place = in_place
        number = {task.id: i for i, task in enumerate(tasks)}
        before = dependencies(tasks)
        lifetimes(tasks, live_in, live_out)  # refuses what is read before it is written
        self.before = [sum(1 << number[j] for j in before[task.id]) for task in tasks]
        self.followers: list[list[int]] = [[] for _ in tasks]
        for task in tasks:
            for j in before[task.id]:
                self.followers[number[j]].append(number[task.id])
        self.users: dict[StorageId, int] = {}
        for i, task in enumerate(tasks):
            for name in task.touches:
                self.users[name] = self.users.get(name, 0) | 1 << i
        self.overlaid: list[list[tuple[StorageId, StorageId]]] = [[] for _ in tasks]
        for task_id, source, target in sorted(in_place, key=lambda p: -sizes.get(p[2], 0)):
            i = number[task_id]
            reads, writes = tasks[i].reads, tasks[i].writes
            apart = source in reads and source not in writes and target not in reads
            counted = source in sizes and target in sizes
            if apart and counted and sizes[target] <= sizes[source]:
                self.overlaid[i].append((source, target))

    @cached_property
    def start(self) -> int:
        """The bytes live before the first task."""
        used = (n for n in self.live_in if n in self.users or n in self.live_out)
        return sum(self.sizes.get(n, 0) for n in used)

    def peak(self, order: Sequence[int]) -> int:
        return peak(
            [self.tasks[i].id for i in order],
            self.tasks,
            self.sizes,
            live_in=self.live_in,
            live_out=self.live_out,
            in_place=self.in_place,
        )

    def ready(self, done: int) -> list[int]:
        """The tasks that may run after the set `done`, in the given order."""
        return [
            i for i, before in enumerate(self.before) if not done >> i & 1 and before & ~done == 0
        ]

    def cost(self, i: int, done: int) -> tuple[int, int]:
        """The bytes task `i` adds while it runs after `done`, and those it leaves (or frees)."""
        task = self.tasks[i]
        born = {n for n in task.touches if n not in self.live_in and not self.users[n] & done}
        dead = {
            n
            for n in task.touches
            if n not in self.live_out and not self.users[n] & ~(done | 1 << i)
        }
        made = sum(self.sizes.get(n, 0) for n in born)
        freed = sum(self.sizes.get(n, 0) for n in dead)
        shared: dict[StorageId, StorageId] = {}
        for source, target in self.overlaid[i]:
            free = target not in shared and source not in shared.values()
            if free and source in dead and target in born:
                shared[target] = source
        saved = sum(self.sizes[n] for n in shared)
        return made - saved + task.scratch, made - freed

    @cached_property
    def bound(self) -> int:
        """See `lower_bound_all_orders`."""
        count = len(self.tasks)
        ancestors, descendants = list(self.before), [0] * count
        for i, before in enumerate(self.before):  # the given order is topological
            for j in _bits(before):
                ancestors[i] |= ancestors[j]
        for i in reversed(range(count)):
            for j in _bits(self.before[i]):
                descendants[j] |= descendants[i] | 1 << i
        idle = (n for n in self.live_in if n in self.live_out and n not in self.users)
        live = np.full(count, sum(self.sizes.get(n, 0) for n in idle), np.int64)
        for i, task in enumerate(self.tasks):
            live[i] += task.scratch - sum(self.sizes[t] for t in {t for _, t in self.overlaid[i]})
        everywhere = (1 << count) - 1
        for name, users in self.users.items():
            made = everywhere if name in self.live_in else 0
            needed = everywhere if name in self.live_out else 0
            for i in _bits(users):
                made, needed = made | descendants[i], needed | ancestors[i]
            live += self.sizes.get(name, 0) * _flags(users | (made & needed), count)
        return int(live.max(initial=0))

    def portfolio(self) -> Iterator[list[int]]:
        """A few ways to list the tasks; which is best depends on the graph."""
        yield self._greedy(lambda run, leave, i: (run, leave, i))
        yield self._greedy(lambda run, leave, i: (leave, run, i))
        yield self._depth_first(backwards=False)
        yield self._depth_first(backwards=True)

    def _greedy(self, key: Callable[[int, int, int], tuple[int, int, int]]) -> list[int]:
        """Always the ready task of least `key` (bytes while it runs, bytes it leaves, number).

        Dominance: a task that leaves no more than there was and fits under the peak so far goes at
        once.
        """
        order: list[int] = []
        done, live, most = 0, self.start, self.bound
        missing = [before.bit_count() for before in self.before]
        ready = [i for i, count in enumerate(missing) if not count]  # in the given order
        while ready:
            costs = [(*self.cost(i, done), i) for i in ready]
            free = (c for c in costs if c[1] <= 0 and live + c[0] <= most)
            run, leave, i = next(free, None) or min(costs, key=lambda c: key(*c))
            order.append(i)
            most = max(most, live + run)
            live += leave
            done |= 1 << i
            ready.remove(i)
            for follower in self.followers[i]:
                missing[follower] -= 1
                if not missing[follower]:
                    insort(ready, follower)
        return order

    def _depth_first(self, *, backwards: bool) -> list[int]:
        """What the last task needs, then what the last but one needs beyond it, and so on.

        Of the needs of one task each is met wholly before the next, in the given order or
        backwards.
        """
        order: list[int] = []
        done = 0
        stack = list(range(len(self.tasks)))
        while stack:
            i = stack[-1]
            missing = list(_bits(self.before[i] & ~done))
            if missing and not done >> i & 1:
                stack.extend(missing if backwards else reversed(missing))
                continue
            stack.pop()
            if not done >> i & 1:
                order.append(i)
                done |= 1 << i
        return order


def _bits(numbers: int) -> Iterator[int]:
    """The members of a set of numbers, ascending."""
    while numbers:
        least = numbers & -numbers
        yield least.bit_length() - 1
        numbers ^= least


def _flags(numbers: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each number below `count`, 1 if it is in the set, else 0."""
    packed = np.frombuffer(numbers.to_bytes(-(-count // 8), "little"), np.uint8)
    return np.unpackbits(packed, count=count, bitorder="little").astype(np.int64)


def _search(p: _Problem, limit: int, states: int) -> list[int] | None:
    """The best order if its peak is below `limit`; None if there is none or `states` ran out.

    A path of least peak through the lattice of sets of finished tasks (what is live depends on the
    set alone), as Dijkstra's algorithm finds it with `max` for `+`. Where the graph has one task
    that all others are before or after, the lattice has one set, so long graphs fall into short
    segments.
    """
    everything = (1 << len(p.tasks)) - 1
    came: dict[int, tuple[int, int]] = {}  # set -> (peak on the way, last task)
    queue = [
        (p.bound, 0, 0, p.start, -1)
    ]  # peak, tasks still to run (negated count), set, live, last
    while queue and states > 0:
        most, count, done, live, last = heapq.heappop(queue)
        if done in came:
            continue
        came[done] = (most, last)
        if done == everything:
            return _walk_back(came, done)
        states -= 1
        steps = [(*p.cost(i, done), i) for i in p.ready(done)]
        free = [s for s in steps if s[1] <= 0 and live + s[0] <= most][:1]
        for run, leave, i in free or steps:
            reached = max(most, live + run)
            if reached < limit and done | 1 << i not in came:
                heapq.heappush(queue, (reached, count - 1, done | 1 << i, live + leave, i))
    return None


def _walk_back(came: Mapping[int, tuple[int, int]], done: int) -> list[int]:
    order = []
    while done:
        i = came[done][1]
        order.append(i)
        done ^= 1 << i
    return order[::-1]


def _settle(p: _Problem, order: list[int], limit: int) -> list[int]:
    """Bring `order` nearer to the given one: swap neighbours while the peak is within `limit`."""
    order, cost = list(order), cache(p.cost)
    swaps = SETTLE_SWAPS
    moved = True
    while moved and swaps > 0:
        moved = False
        done, live = 0, p.start
        for k in range(len(order) - 1):
            a, b = order[k], order[k + 1]
            if a > b and not p.before[b] >> a & 1:
                swaps -= 1
                # What lives before and after the two does not depend on which of them is first.
                run, leave = cost(b, done)
                then = live + leave + cost(a, done | 1 << b)[0]
                if max(live + run, then) <= limit:
                    order[k], order[k + 1] = b, a
                    moved = True
                if swaps == 0:
                    break
            live += cost(order[k], done)[1]
            done |= 1 << order[k]
    return order
