"""Which dimensions of a group's statements run together.

Enters: statements. Leaves: for each of their dimensions its axis. Always holds: dimensions of one
axis have one extent, and no axis has two dimensions of one statement, nor of one value in memory.
So of `x + x.T` only one side runs along with x; the other is read wherever it is, and x is complete
before. That is why axes are made for one group and not once for the whole graph, in which every
self-attention would tie the rows of its scores to their columns.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..graph import Graph
from .factors import Map
from .statements import Statement

Owned = tuple[int, int]
"""A dimension of a statement; of a value in memory, of which the node is counted from -1 down."""


class Classes:
    """A partition of dimensions that never puts two of one owner into one class."""

    def __init__(self) -> None:
        self.of: dict[Owned, int] = {}
        self._members: dict[int, dict[int, int]] = {}

    def add(self, owner: int, dim: int) -> int:
        """The class of a dimension, which is one of its own at first."""
        key = (owner, dim)
        if key not in self.of:
            self.of[key] = len(self.of)
            self._members[self.of[key]] = {owner: dim}
        return self.of[key]

    def tie(self, a: Owned, b: Owned) -> bool:
        """Make one class of two, unless it would hold two dimensions of one owner."""
        one, two = self.add(*a), self.add(*b)
        if one == two:
            return True
        drop, keep = sorted((one, two), key=lambda c: (len(self._members[c]), c))
        if not self._members[keep].keys().isdisjoint(self._members[drop]):
            return False
        for owner, dim in self._members[drop].items():
            self.of[owner, dim] = keep
        self._members[keep] |= self._members.pop(drop)
        return True


def axis_classes(graph: Graph, statements: Sequence[Statement]) -> dict[Owned, int]:
    """The axis of each dimension of `statements`, which are in topological order.

    What one statement reads of another is tied first, then what several read of memory, the largest
    arrays first, and last what several compute on the way (a comparison with 0, 1, 2, ..., which
    reads nothing along that axis).
    """
    group = {s.node: s for s in statements}
    classes = Classes()
    outside = []
    for s in statements:
        for dim in range(len(s.extents)):
            classes.add(s.node, dim)
    for s in statements:
        for n, read in enumerate(s.reads):
            source = group.get(read.source)
            if source is None:
                outside.append((-graph[read.source].nbytes, s.node, n, read))
                continue
            for own, k in zip(source.result, read.map, strict=True):
                if k is not None:
                    classes.tie((source.node, own), (s.node, k))
    for _, node, _, read in sorted(outside, key=lambda item: item[:3]):
        _tie_all(classes, read.source, node, read.map)
    first: dict[int, tuple[int, Map]] = {}
    for s in statements:
        for i, where in s.inline:
            other = first.setdefault(i, (s.node, where))
            if other[0] != s.node:
                _tie_all(classes, i, *other)
                _tie_all(classes, i, s.node, where)
    return {(owner, dim): c for (owner, dim), c in classes.of.items() if owner >= 0}


def _tie_all(classes: Classes, shared: int, reader: int, where: Map) -> None:
    """A reader's dimensions to those of a value that others read or compute, too."""
    for dim, k in enumerate(where):
        if k is not None:
            classes.tie((-1 - shared, dim), (reader, k))
