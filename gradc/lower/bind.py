"""From kernels to a plan of calls: which buffer is where, in which order the kernels run.

Enters: the kernels of one entry point and what its inputs and outputs are. Leaves: an `EntryPlan`:
calls in order, each parameter bound to a place, and the memory plan. Always holds: a value of the
state is replaced in its own storage only after everything that reads the old value; where that
cannot be, it is computed aside and copied in at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..dtypes import short
from ..graph import Graph
from ..passes.memory import MemoryPlan, Storage, plan
from ..passes.order import InPlace, Task, schedule
from .inplace import in_place_pairs
from .nest import Kernel, Param
from .pointwise import Names
from .rename import merge_buffers


@dataclass(frozen=True)
class Place:
    """Where a buffer lives: `kind` is "state", "argument", "output", "constant" or "arena"."""

    kind: str
    name: str


@dataclass(frozen=True)
class Roles:
    """What the inputs and outputs of an entry point's graph are, by node id."""

    inputs: Mapping[int, Place]
    outputs: Mapping[int, Place]


@dataclass(frozen=True)
class Call:
    """One kernel call, or (kernel None) the copy of a finished value into the state."""

    kernel: Kernel | None
    places: tuple[Place, ...]
    size: int = 0


@dataclass(frozen=True)
class EntryPlan:
    """The body of one entry point."""

    calls: tuple[Call, ...]
    memory: MemoryPlan
    graph: Graph


def bind(
    graph: Graph, kernels: Sequence[Kernel], roles: Roles, names: Mapping[int, str]
) -> EntryPlan:
    """Order the kernels, place their buffers, and say what each call is handed."""
    binder = _Binder(graph, kernels, roles, names)
    binder.replace_state()
    return binder.finish()


class _Binder:
    def __init__(
        self, graph: Graph, kernels: Sequence[Kernel], roles: Roles, names: Mapping[int, str]
    ) -> None:
        self.graph = graph
        self.kernels = list(kernels)
        self.roles = roles
        self.places: dict[int, Place] = dict(roles.inputs)
        self.copies: list[tuple[int, Place]] = []
        self.writer = {i: k for k in range(len(kernels)) for i in self._ids(k, True)}
        self.after: list[set[int]] = [set() for _ in kernels]
        for k in range(len(kernels)):
            for i in self._ids(k, False):
                if i in self.writer:
                    self.after[k].add(self.writer[i])
        self._name_arena(names)

    def _ids(self, k: int, written: bool) -> list[int]:
        kernel = self.kernels[k]
        return [
            int(b)
            for b, p in zip(kernel.buffers, kernel.params, strict=True)
            if p.written == written
        ]

    def _name_arena(self, names: Mapping[int, str]) -> None:
        """A distinct place for everything that is neither input nor output."""
        distinct = Names(frozenset())
        for i in sorted(self.writer):
            role = self.roles.outputs.get(i)
            if role is not None and role.kind == "output":
                self.places[i] = role
                continue
            self.places[i] = Place("arena", distinct.fresh(names[i]))
        for node in self.graph:
            if node.op == "const" and node.size > 1:
                self.places[node.id] = Place("constant", names[node.id])

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
        readers = [r for r in range(len(self.kernels)) if old in self._ids(r, False)]
        if k in readers:
            pair = next(
                (
                    (i, o)
                    for i, o in in_place_pairs(self.kernels[k])
                    if self.kernels[k].buffers[i] == str(old)
                    and self.kernels[k].buffers[o] == str(new)
                ),
                None,
            )
            if pair is None:
                return False
        others = {r for r in readers if r != k}
        if any(self._reaches(k, r) for r in others):
            return False
        self.after[k] |= others
        if k in readers:
            self.kernels[k] = merge_buffers(self.kernels[k], str(old), str(new))
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
        sizes = {s.name: s.size for s in storages if s.kind == "arena"}
        permissions = self._permissions()
        outside = [s.name for s in storages if s.kind != "arena"]
        order = schedule(tasks, sizes, live_in=outside, live_out=outside, in_place=permissions)
        by_id = {t.id: t for t in tasks}
        memory = plan([by_id[t] for t in order], storages, permissions)
        over = {b.name: b.over for b in memory.buffers if b.over}
        calls = [self._call(int(t), over) for t in order if int(t) < len(self.kernels)]
        calls += [
            Call(None, (place, self.places[new]), self.graph[new].nbytes)
            for new, place in self.copies
        ]
        return EntryPlan(tuple(calls), memory, self.graph)

    def _storage_name(self, place: Place) -> str:
        return place.name if place.kind == "arena" else f"{place.kind} {place.name}"

    def _scratch_name(self, k: int, p: Param) -> str:
        return f"{self.kernels[k].name}.{p.name}"

    def _tasks(self) -> list[Task]:
        tasks = []
        for k in self._base_order():
            reads = [self._storage_name(self.places[i]) for i in self._ids(k, False)]
            writes = [self._storage_name(self.places[i]) for i in self._ids(k, True)]
            writes += [self._scratch_name(k, p) for p in self.kernels[k].scratch]
            tasks.append(Task(k, tuple(reads), tuple(writes)))
        done = tuple(t.id for t in tasks)
        for n, (new, place) in enumerate(self.copies):
            source = self._storage_name(self.places[new])
            task = Task(len(self.kernels) + n, (source,), (self._storage_name(place),), after=done)
            tasks.append(task)
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
        found: dict[str, Storage] = {}
        for i, place in self.places.items():
            node = self.graph[i]
            name = self._storage_name(place)
            kind = {"arena": "arena", "state": "state", "constant": "state"}.get(place.kind, "io")
            shape = short(node.dtype, node.shape)
            found[name] = Storage(name, node.nbytes, shape=shape, kind=kind)  # type: ignore[arg-type]
        for new, place in self.copies:
            name, node = self._storage_name(place), self.graph[new]
            shape = short(node.dtype, node.shape)
            found.setdefault(name, Storage(name, node.nbytes, shape=shape, kind="state"))
        for k, kernel in enumerate(self.kernels):
            for p in kernel.scratch:
                name = self._scratch_name(k, p)
                size = p.size * p.dtype.itemsize
                found[name] = Storage(name, size, shape=short(p.dtype, p.shape))
        return list(found.values())

    def _permissions(self) -> list[InPlace]:
        permissions: list[InPlace] = []
        for k, kernel in enumerate(self.kernels):
            for i, o in in_place_pairs(kernel):
                source, target = (self.places[int(kernel.buffers[x])] for x in (i, o))
                if source.kind == target.kind == "arena":
                    permissions.append((k, source.name, target.name))
        return permissions

    def _call(self, k: int, over: Mapping[str, str]) -> Call:
        kernel = self.kernels[k]
        by_name = {
            self._storage_name(self.places[int(b)]): b
            for b, p in zip(kernel.buffers, kernel.params, strict=True)
            if not p.written
        }
        for i in self._ids(k, True):
            source = by_name.get(over.get(self.places[i].name, ""))
            if self.places[i].kind == "arena" and source is not None:
                kernel = merge_buffers(kernel, source, str(i))
        places = [self.places[int(b)] for b in kernel.buffers]
        scratch = [Place("arena", self._scratch_name(k, p)) for p in kernel.scratch]
        return Call(kernel, (*places, *scratch))
