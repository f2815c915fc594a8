"""Loop trees: a kernel before it has code.

Enters: nothing (this file only defines the types). Leaves: `Tree`s of the items below. Always
holds: what `check_tree` checks; every iteration of a loop is for one position of one axis, and an
axis is a class of dimensions that run together (see `arrange`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .statements import Statement


@dataclass(frozen=True)
class Leaf:
    """One statement, at one iteration of all loops around it."""

    node: int


@dataclass(frozen=True, eq=False)
class Loop:
    """`body` for every position along `axis`."""

    axis: int
    body: tuple[Item, ...]


@dataclass(frozen=True, eq=False)
class TileLoop:
    """The last free axes of a contraction, rows and columns, with all that is done to its sums."""

    contract: int
    values: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def nodes(self) -> tuple[int, ...]:
        return (self.contract, *self.values)


Item = Leaf | Loop | TileLoop
Path = tuple[Loop | TileLoop, ...]


def axes_of(item: Loop | TileLoop) -> tuple[int, ...]:
    """The axes that a part of a path opens."""
    return item.axes if isinstance(item, TileLoop) else (item.axis,)


@dataclass(frozen=True, eq=False)
class Tree:
    """The loops of one kernel.

    `axis_of` is the axis of each dimension of each statement, `extent` the length of an axis, and
    `paths` the loops around each statement, from the outermost.
    """

    statements: Mapping[int, Statement]
    axis_of: Mapping[tuple[int, int], int]
    extent: Mapping[int, int]
    items: tuple[Item, ...]
    paths: Mapping[int, Path] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths", dict(_paths(self.items, ())))

    def axes(self, node: int, dims: Sequence[int]) -> tuple[int, ...]:
        return tuple(self.axis_of[node, k] for k in dims)

    def all_axes(self, node: int) -> tuple[int, ...]:
        return self.axes(node, range(len(self.statements[node].extents)))

    def result(self, node: int) -> tuple[int, ...]:
        """The axis of each factor of a statement's result."""
        return self.axes(node, self.statements[node].result)

    def folded(self, node: int) -> frozenset[int]:
        return frozenset(self.axes(node, sorted(self.statements[node].folded)))

    def fold_depth(self, node: int) -> int:
        """How many loops lie outside of the outermost one that a statement folds."""
        folded, path = self.folded(node), self.paths[node]
        inside = (k for k, loop in enumerate(path) if not folded.isdisjoint(axes_of(loop)))
        return next(inside, len(path))

    def __str__(self) -> str:
        return "\n".join(self._lines(self.items, ""))

    def _lines(self, items: Sequence[Item], indent: str) -> Iterator[str]:
        for item in items:
            if isinstance(item, Loop):
                yield f"{indent}loop a{item.axis} < {self.extent[item.axis]}"
                yield from self._lines(item.body, indent + "    ")
            elif isinstance(item, TileLoop):
                then = f" then {', '.join(f'#{n}' for n in item.values)}" if item.values else ""
                axes = ", ".join(f"a{a} < {self.extent[a]}" for a in item.axes)
                yield f"{indent}tile #{item.contract} over {axes}{then}"
            else:
                yield f"{indent}{self.statements[item.node].role.value} #{item.node}"


def _paths(items: Sequence[Item], path: Path) -> Iterator[tuple[int, Path]]:
    for item in items:
        if isinstance(item, Loop):
            yield from _paths(item.body, (*path, item))
        elif isinstance(item, TileLoop):
            yield from ((n, (*path, item)) for n in item.nodes)
        else:
            yield item.node, path


def shared(one: Path, other: Path) -> int:
    """How many loops two paths have in common."""
    count = 0
    while count < min(len(one), len(other)) and one[count] is other[count]:
        count += 1
    return count
