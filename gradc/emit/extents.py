"""Names for the extents of a program's arrays.

Enters: the layout of the state, the entry points with the classes of their axes, the functions that
their calls share. Leaves: `Extents`: enumerators with their values, and how the shape of each array
is written. Always holds: one name is one number in the whole program; an extent of which nothing is
known stays a number.

Axes of one class have one name: that of a batch, else of the layer whose parameter has such an
axis, else of an argument, a parameter or a result. Layers that share a function share the names of
its extents; what is the same axis of several layers is called after none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..cnames import Names, identifier
from ..lower.axes import Classes
from ..lower.nest import Kernel
from ..lower.reserved import GLOBAL, RESERVED
from ..lower.traverse import declared, walk
from ..plan.buffers import Value
from .entry import Entry
from .functions import Function
from .layout import Member, StateLayout

OF_SEVERAL = "WIDTH"
"""What is one axis of several layers."""
Key = tuple[str, int]
"""A class of axes: the entry point's name, and the number of the class there."""


@dataclass(frozen=True)
class Extents:
    """`enumerators` are the names and their values; `_names` those of the classes that have one.

    In the header they begin with a `prefix`.
    """

    enumerators: Mapping[str, int]
    _names: Mapping[Key, str]
    _members: Mapping[int, tuple[str, ...]]
    prefix: str = ""

    def public(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Each enumerator, and what the header calls it."""
        return ((name, f"{prefix}_{name}") for name in self.enumerators)

    def prefixed(self, prefix: str) -> Extents:
        """The same under the names that the header has."""
        public = dict(self.public(prefix))
        return Extents(
            {public[name]: n for name, n in self.enumerators.items()},
            {key: public[name] for key, name in self._names.items()},
            {k: tuple(public.get(t, t) for t in texts) for k, texts in self._members.items()},
            f"{prefix}_",
        )

    def short(self, m: Member) -> tuple[str, ...]:
        """The extents of an array of the state, without the prefix."""
        return tuple(text.removeprefix(self.prefix) for text in self.member(m))

    def shape(self, e: Entry, value: Value, shape: Sequence[int]) -> tuple[str, ...]:
        """How the extents of an array are written that holds a value of an entry point's graph."""
        return self._written(e, e.axes.of.get(value, ()), shape)

    def argument(self, e: Entry, position: int) -> tuple[str, ...]:
        """The same of an argument."""
        return self._written(e, e.axes.arguments[position], e.args[position].shape)

    def member(self, m: Member) -> tuple[str, ...]:
        """The same of an array of the state, as it is stored."""
        return self._members.get(m.leaf) or tuple(map(str, m.stored_shape))

    def function(self, f: Function, position: int) -> tuple[str, ...]:
        """The same of parameter `position` of a function, where its calls agree."""
        shape = (*f.kernel.params, *f.kernel.scratch)[position].shape
        texts = {
            self.shape(c.entry, c.run.kernel.buffers[position], shape)
            for c in f.calls
            if position < len(c.run.kernel.buffers)
        }
        if not texts:
            return tuple(map(str, shape))
        columns = zip(*texts, strict=True)
        return tuple(
            column[0] if len(set(column)) == 1 else str(n)
            for column, n in zip(columns, shape, strict=True)
        )

    def _written(self, e: Entry, axes: Sequence[int], shape: Sequence[int]) -> tuple[str, ...]:
        if len(axes) != len(shape):
            return tuple(map(str, shape))
        names = (self._names.get((e.name, axis)) for axis in axes)
        # A value and one that it is written over may have other shapes.
        return tuple(
            name if name is not None and self.enumerators[name] == n else str(n)
            for name, n in zip(names, shape, strict=True)
        )


def name_extents(
    layout: StateLayout | None, entries: Sequence[Entry], functions: Sequence[Function]
) -> Extents:
    """The names of a program's extents."""
    namer = _Namer(layout, entries, functions)
    return namer.finish()


@dataclass
class _Candidate:
    """A name that a class of axes may have. `word` is what a layer calls such an axis."""

    key: Key
    extent: int
    name: str
    word: str = ""


class _Namer:
    def __init__(
        self, layout: StateLayout | None, entries: Sequence[Entry], functions: Sequence[Function]
    ) -> None:
        self.members = () if layout is None else layout.members
        self.entries = entries
        self.classes = Classes()
        self._join_ends()
        self.candidates = [c for c in self._candidates() if c.extent > 1]
        self.words = {c.word for c in self.candidates} - {""}
        self._join_shared(functions)
        used = {name for f in functions for name in _identifiers(f.kernel)}
        used |= {a.identifier for e in entries for a in (*e.args, *e.outputs)}
        self.names = Names(RESERVED | GLOBAL | frozenset(used))

    def _join_ends(self) -> None:
        """The state's axes are the same in all entry points, and so are an argument's."""
        known: dict[object, Key] = {}
        for e in self.entries:
            ends: list[tuple[object, Sequence[int]]] = [
                (("leaf", leaf), axes) for leaf, axes in enumerate(e.axes.leaves)
            ]
            ends += [
                ((a.identifier, a.shape), axes)
                for a, axes in zip(e.args, e.axes.arguments, strict=True)
            ]
            for what, axes in ends:
                for k, axis in enumerate(axes):
                    key = (e.name, axis)
                    self.classes.join(known.setdefault((what, k), key), key)

    def _candidates(self) -> Iterator[_Candidate]:
        """What is known of axes, the best first."""
        for e in self.entries:
            if e.batch is not None:
                yield from (c for c in self._arguments(e) if c.name == "BATCH")
        for e in self.entries[:1]:
            for m in self.members:
                for key, extent, word in zip(
                    _keys(e, e.axes.leaves[m.leaf]), m.stored_shape, m.stored_axes, strict=False
                ):
                    if word:
                        name = "_".join(filter(None, (m.layer, word)))
                        yield _Candidate(key, extent, identifier(name).upper(), word.upper())
        for e in self.entries:
            yield from self._arguments(e)
        for e in self.entries[:1]:
            for m in self.members:
                yield from _axis_names(e, m.identifier, e.axes.leaves[m.leaf], m.stored_shape)
        for e in self.entries:
            for a, axes in zip(e.outputs, e.axes.results, strict=True):
                yield from _axis_names(e, a.identifier, axes, a.shape)

    def _arguments(self, e: Entry) -> Iterator[_Candidate]:
        for a, axes in zip(e.args, e.axes.arguments, strict=True):
            for k, c in enumerate(_axis_names(e, a.identifier, axes, a.shape)):
                if k == 0 and c.extent == e.batch:
                    c.name = "BATCH"
                yield c

    def _join_shared(self, functions: Sequence[Function]) -> None:
        """Layers whose calls are of one function have one name for each of its extents."""
        layers = self._layer_classes()
        for f in functions:
            for position, p in enumerate(f.kernel.params):
                rows = [
                    list(_keys(c.entry, c.entry.axes.of.get(c.run.kernel.buffers[position], ())))
                    for c in f.calls
                ]
                if any(len(row) != len(p.shape) for row in rows):
                    continue
                for column in zip(*rows, strict=True):
                    for key in column[1:]:
                        a, b = self.classes.root(column[0]), self.classes.root(key)
                        if a != b and a in layers and b in layers:
                            self.classes.join(a, b)

    def _layer_classes(self) -> set[object]:
        """The classes that have the names of layers, and no better ones."""
        found: dict[object, bool] = {}
        for c in self.candidates:
            found.setdefault(self.classes.root(c.key), bool(c.word))
        return {root for root, is_layer in found.items() if is_layer}

    def finish(self) -> Extents:
        chosen: dict[object, str] = {}
        enumerators: dict[str, int] = {}
        layers: dict[tuple[object, str], set[str]] = {}
        for c in self.candidates:
            layers.setdefault((self.classes.root(c.key), c.word), set()).add(c.name)
        for c in self.candidates:
            root = self.classes.root(c.key)
            if root in chosen:
                continue
            several = any(len(layers.get((root, word), ())) > 1 for word in self.words)
            chosen[root] = self.names.fresh(OF_SEVERAL if c.word and several else c.name)
            enumerators[chosen[root]] = c.extent
        names = {
            (e.name, axis): chosen[root]
            for e in self.entries
            for axes in e.axes.of.values()
            for axis in axes
            if (root := self.classes.root((e.name, axis))) in chosen
        }
        members = {
            m.leaf: tuple(
                names[key] if enumerators.get(names.get(key, "")) == n else str(n)
                for key, n in zip(_keys(e, e.axes.leaves[m.leaf]), m.stored_shape, strict=True)
            )
            for e in self.entries[:1]
            for m in self.members
        }
        return Extents(enumerators, names, members)


def _keys(e: Entry, axes: Iterable[int]) -> Iterator[Key]:
    return ((e.name, axis) for axis in axes)


def _axis_names(
    e: Entry, name: str, axes: Sequence[int], shape: Sequence[int]
) -> Iterator[_Candidate]:
    """The axes of an array called after it."""
    ends = {1: ["SIZE"], 2: ["ROWS", "COLUMNS"]}.get(
        len(shape), [f"AXIS_{k}" for k in range(len(shape))]
    )
    for key, extent, end in zip(_keys(e, axes), shape, ends, strict=False):
        yield _Candidate(key, extent, f"{identifier(name).upper()}_{end}")


def _identifiers(kernel: Kernel) -> Iterator[str]:
    """What a kernel calls its parameters and values."""
    yield from (p.name for p in (*kernel.params, *kernel.scratch))
    yield from (name for s in walk(kernel.body) if (name := declared(s)) is not None)
