"""From kernels to a plan of calls: which buffer is where, in which order the kernels run.

Enters: the kernels of one entry point and what its inputs and outputs are. Leaves: an `EntryPlan`:
calls in order, each parameter bound to a place, and the memory plan. Always holds: a value of the
state is replaced in its own storage only after everything that reads the old value; where that
cannot be, it is computed aside and copied in at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from ..dtypes import item_bytes, short
from ..graph import Graph
from ..lower.inplace import in_place_pairs
from ..lower.nest import Kernel
from ..lower.rename import merge_buffers
from ..ops.table import Kind
from .check import verify_calls
from .memory import Storage, plan
from .offsets import StorageId
from .order import InPlace, Task, schedule
from .steps import Call, EntryPlan, Phase, Place, Roles


def bind(
    graph: Graph, kernels: Sequence[Kernel], roles: Roles, names: Mapping[int, str]
) -> EntryPlan:
    """Order the kernels, place their buffers, and say what each call is handed."""
    binder = _Binder(graph, kernels, roles, names)
    binder.replace_state()
    found = binder.finish()
    verify_calls(found)
    return found


class _Binder:
    def __init__(
        self, graph: Graph, kernels: Sequence[Kernel], roles: Roles, names: Mapping[int, str]
    ) -> None:
        self.graph = graph
        self.kernels = list(kernels)
        self.roles = roles
        self.places: dict[int, Place] = dict(roles.inputs)
        self.copies: list[tuple[int, Place]] = []
        self.replaced: dict[int, int] = {}  # new value -> the old one it is written over
        self.writer = {i: k for k in range(len(kernels)) for i in self._ids(k, True)}
        self.after: list[set[int]] = [set() for _ in kernels]
        self.readers: dict[int, list[int]] = {}
        for k in range(len(kernels)):
            for i in self._ids(k, False):
                self.readers.setdefault(i, []).append(k)
                if i in self.writer:
                    self.after[k].add(self.writer[i])
        self._place_values(names)

    def _ids(self, k: int, written: bool) -> list[int]:
        kernel = self.kernels[k]
        return [
            b for b, p in zip(kernel.buffers, kernel.params, strict=True) if p.written == written
        ]

    def _place_values(self, names: Mapping[int, str]) -> None:
        """A place of its own for everything that is neither input nor output."""
        for i in sorted(self.writer):
            role = self.roles.outputs.get(i)
            if role is not None and role.kind == "output":
                self.places[i] = role
                continue
            self.places[i] = Place("arena", i, names[i])
        for node in self.graph:
            if node.kind is Kind.CONSTANT and node.size > 1:
                self.places[node.id] = Place("constant", node.id, names[node.id])

    # State

    def replace_state(self) -> None:
        """Let new values of the state be written over the old ones wherever that is safe."""
        old_of = {p: i for i, p in self.roles.inputs.items() if p.kind == "state"}
        for new, place in sorted(self.roles.outputs.items()):
            if place.kind != "state":
                continue
            old = old_of.get(place)
            if self._overwrites(new, old):
                self.places[new] = place
            else:
                self.copies.append((new, place))

    def _overwrites(self, new: int, old: int | None) -> bool:
        k = self.writer[new]
        readers = self.readers.get(old, []) if old is not None else []
        if k in readers:
            pair = next(
                (
                    (i, o)
                    for i, o in in_place_pairs(self.kernels[k])
                    if (self.kernels[k].buffers[i], self.kernels[k].buffers[o]) == (old, new)
                ),
                None,
            )
            if pair is None:
                return False
        others = {r for r in readers if r != k}
        if any(self._reaches(k, r) for r in others):
            return False
        self.after[k] |= others
        if old is not None and k in readers:
            self.kernels[k] = merge_buffers(self.kernels[k], old, new)
            self.replaced[new] = old
        return True

    def _reaches(self, start: int, end: int) -> bool:
        """Whether kernel `end` must come after kernel `start`."""
        stack, seen = [end], set()
        while stack:
            k = stack.pop()
            if k == start:
                return True
            if k not in seen:
                seen.add(k)
                stack.extend(self.after[k])
        return False

    # Order and memory

    def finish(self) -> EntryPlan:
        tasks = self._tasks()
        storages = self._storages()
        sizes = {s.id: s.size for s in storages if s.kind == "arena"}
        permissions = self._permissions()
        outside = [s.id for s in storages if s.kind != "arena"]
        order = schedule(tasks, sizes, live_in=outside, live_out=outside, in_place=permissions)
        by_id = {t.id: t for t in tasks}
        memory = plan([by_id[t] for t in order], storages, permissions)
        over = {b.id: b.over for b in memory.buffers if b.over is not None}
        calls = [self._call(int(t), over) for t in order if int(t) < len(self.kernels)]
        calls += [self._copy(new, place) for new, place in self.copies]
        return EntryPlan(tuple(calls), memory, self.graph, self.roles)

    def _scratch(self, k: int) -> list[Place]:
        """The places of what kernel `k` needs only while it runs."""
        return [Place("scratch", k, p.name, n) for n, p in enumerate(self.kernels[k].scratch)]

    def _tasks(self) -> list[Task]:
        tasks = []
        for k in self._base_order():
            reads = [self.places[i] for i in self._ids(k, False)]
            writes = [self.places[i] for i in self._ids(k, True)] + self._scratch(k)
            tasks.append(Task(k, tuple(reads), tuple(writes)))
        done = tuple(t.id for t in tasks)
        for n, (new, place) in enumerate(self.copies):
            tasks.append(Task(len(self.kernels) + n, (self.places[new],), (place,), after=done))
        return tasks

    def _base_order(self) -> list[int]:
        """The kernels as given, but each after what must precede it."""
        order: list[int] = []
        done: set[int] = set()
        while len(order) < len(self.kernels):
            k = next(k for k in range(len(self.kernels)) if k not in done and self.after[k] <= done)
            order.append(k)
            done.add(k)
        return order

    def _storages(self) -> list[Storage]:
        found = {place: self._storage(i, place) for i, place in self.places.items()}
        for new, place in self.copies:
            found.setdefault(place, self._storage(new, place))
        for k, kernel in enumerate(self.kernels):
            for p, place in zip(kernel.scratch, self._scratch(k), strict=True):
                size, shape = p.size * item_bytes(p.dtype), short(p.dtype, p.shape)
                found[place] = Storage(place, size, shape=shape, label=f"{kernel.name}.{p.name}")
        return list(found.values())

    def _storage(self, node_id: int, place: Place) -> Storage:
        node = self.graph[node_id]
        kind: Literal["arena", "state", "io"] = "io"
        if place.in_arena:
            kind = "arena"
        elif place.kind in ("state", "constant"):
            kind = "state"
        shape = short(node.dtype, node.shape)
        return Storage(place, node.nbytes, shape=shape, kind=kind, label=place.name)

    def _permissions(self) -> list[InPlace]:
        permissions: list[InPlace] = []
        for k, kernel in enumerate(self.kernels):
            for i, o in in_place_pairs(kernel):
                source, target = (self.places[kernel.buffers[x]] for x in (i, o))
                if source.in_arena and target.in_arena:
                    permissions.append((k, source, target))
        return permissions

    def _call(self, k: int, over: Mapping[StorageId, StorageId]) -> Call:
        kernel = self.kernels[k]
        phase = self._phase(k)
        value_at = {self.places[i]: i for i in self._ids(k, False)}
        old_of = {new: old for new, old in self.replaced.items() if self.writer[new] == k}
        for i in self._ids(k, True):
            source = over.get(self.places[i])
            old = None if source is None else value_at.get(source)  # type: ignore[call-overload]
            if old is not None:
                kernel = merge_buffers(kernel, old, i)
                old_of[i] = old
        new_of = {old: new for new, old in old_of.items()}
        reads: list[int | None] = []
        writes: list[int | None] = []
        for b, p in zip(kernel.buffers, kernel.params, strict=True):
            reads.append(b if not p.written or b in new_of else None)
            writes.append(new_of.get(b, b) if p.written else None)
        scratch = self._scratch(k)
        nothing = (None,) * len(scratch)
        places = (*(self.places[b] for b in kernel.buffers), *scratch)
        return Call(kernel, places, phase, (*reads, *nothing), (*writes, *nothing))

    def _copy(self, new: int, place: Place) -> Call:
        """The copy of a finished value into the state."""
        places, size = (place, self.places[new]), self.graph[new].nbytes
        return Call(None, places, Phase.COPY, (None, new), (new, None), size)

    def _phase(self, k: int) -> Phase:
        """Forward until a gradient is computed; a kernel that only replaces state is no turn."""
        derives = {self.graph[i].of is not None for i in self.kernels[k].nodes}
        made = (i for i, writer in self.writer.items() if writer == k)
        roles = (self.roles.outputs.get(i) for i in made)
        if all(role is not None and role.kind == "state" for role in roles):
            return Phase.BACKWARD if True in derives else Phase.UPDATE
        if derives == {True, False}:
            return Phase.TURN
        return Phase.BACKWARD if True in derives else Phase.FORWARD
