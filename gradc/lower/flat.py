"""One loop over several axes, where they lie one after the other in everything a loop touches.

Enters: the extents of a loop nest's axes, and which offsets it reads and writes at an index.
Leaves: `Loops`, as few as there can be. Always holds: every offset is affine in the loop variables,
or the axes stay apart; an element is visited once, in row-major order, either way.

A mean over [256, 100] then is one loop of 25,600 elements, long enough for partial sums, and
`tanh` of [64, 10] one that a compiler turns into vectors without a remainder for each row of 10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from ..index import Index, Indices, Var, at, flatten, unflatten
from ..ops.table import Kind
from ..passes.views import sources
from .nest import Load
from .pointwise import Body, Elements

Axes = tuple[int, ...]
Touched = Callable[[Indices], Iterable[Index]]


@dataclass(frozen=True)
class Loops:
    """A loop for each of `parts`, which are the extents of the axes it runs over."""

    parts: tuple[Axes, ...]

    @property
    def extents(self) -> Axes:
        return tuple(prod(part) for part in self.parts)

    def index(self, counters: Sequence[Index]) -> Indices:
        """The position along every axis, from the position in every loop."""
        found: list[Index] = []
        for counter, part in zip(counters, self.parts, strict=True):
            found += unflatten(counter, part)
        return tuple(found)


def merged_loops(shape: Axes, touched: Touched) -> Loops:
    """The fewest loops over `shape`; `touched(index)` are all offsets used at an index."""
    loops = Loops(tuple((n,) for n in shape))
    if 0 in shape:
        return loops
    done = 0
    while done + 1 < len(loops.parts):
        first, second = loops.parts[done : done + 2]
        joined = Loops((*loops.parts[:done], (*first, *second), *loops.parts[done + 2 :]))
        counters = [at(Var(f"k{k}", n)) for k, n in enumerate(joined.extents)]
        if all(offset.affine for offset in touched(joined.index(counters))):
            loops = joined
        else:
            done += 1
    return loops


def offsets_read(
    elements: Elements, node_id: int, index: Indices, body: Body, seen: set[tuple[int, Indices]]
) -> Iterator[Index]:
    """Every offset and position that the value of an element depends on, without computing it.

    This follows `Elements.value`, step by step.
    """
    waiting = [(node_id, index)]
    while waiting:
        node_id, index = waiting.pop()
        if (node_id, index) in seen or body.lookup((node_id, index)) is not None:
            continue
        seen.add((node_id, index))
        node = elements.graph[node_id]
        if node_id in elements.local:
            found = elements.local[node_id](index)
            if isinstance(found, Load):
                yield found.index
        elif elements.stored(node_id):
            yield flatten(index, node.shape)
        elif node.kind is Kind.COUNTER:
            yield index[0]
        elif node.kind is Kind.MOVEMENT:
            for source in sources(elements.graph, node, index):
                yield from (test for test, _, _ in source.tests)
                waiting.append((node.args[source.operand], source.index))
        else:
            waiting += ((a, index) for a in node.args)
