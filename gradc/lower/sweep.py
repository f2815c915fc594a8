"""Every element of a loop nest once, with reductions folded on the way.

Enters: the extents of a nest and the reductions that run over it. Leaves: its loops, innermost the
lanes of partial sums where they are asked for, and around them blocks. Always holds: an element is
visited once, in row-major order; a float32 sum makes at most `CHAIN` additions in a row, or
`LONG_CHAIN` if those are all, before what it has is added to a double, so that its error does not
grow with its length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from ..cnames import Names
from ..index import Index, Var, at
from ..passes.cost import CHAIN, DEPTH
from .folds import Fold
from .nest import LoopKind
from .pointwise import Body

Visit = Callable[[tuple[Index, ...], Index | None, Body], None]


@dataclass(frozen=True)
class Span:
    """A stretch of an axis: `extent` positions from `start` on, counted by a variable."""

    start: Index
    extent: int
    letter: str


def additions(extents: Sequence[int], width: int) -> int:
    """How many elements one accumulator takes in a nest, whose last loop has `width` lanes."""
    return prod(extents) if not width else prod(extents[:-1]) * -(-extents[-1] // width)


def sweep(
    extents: Sequence[int],
    letters: Sequence[str],
    width: int,
    folds: Sequence[Fold],
    body: Body,
    visit: Visit,
) -> None:
    """Loops over `extents`; `visit(position, lane, scope)` writes what is done with one element.

    `folds` have been started with the same `width`.
    """
    assert body.names is not None
    spans = [Span(Index(), n, letter) for n, letter in zip(extents, letters, strict=True)]
    blocked = [f for f in folds if f.blocked]
    nest = _Nest(body.names, width, visit, alone=len(extents) == 1 and not blocked)
    if not blocked:
        nest.elements(spans, (), body)
        return
    cut, step = _block(extents, width)
    outside = [Var(body.names.fresh(s.letter), s.extent) for s in spans[:cut]]
    with body.loops(tuple(outside)) as around:
        before = tuple(at(v) for v in outside)
        span, rest = spans[cut], spans[cut + 1 :]
        whole = span.extent // step * step
        block = Var(body.names.fresh("b"), whole, step)
        with around.loop(block) as inside:
            nest.block([Span(at(block), step, span.letter), *rest], before, inside, blocked)
        if whole < span.extent:
            last = Span(Index((), whole), span.extent - whole, span.letter)
            nest.block([last, *rest], before, around, blocked)


def _block(extents: Sequence[int], width: int) -> tuple[int, int]:
    """Which loop is cut, and into how long pieces, for blocks of about `CHAIN` additions."""
    inner = 1
    for cut in range(len(extents) - 1, -1, -1):
        unit = width if width and cut == len(extents) - 1 else 1
        steps = -(-extents[cut] // unit)
        if inner * steps > CHAIN:
            return cut, even_part(extents[cut] // unit, max(1, CHAIN // inner)) * unit
        inner *= steps
    return 0, extents[0]


def even_part(steps: int, most: int) -> int:
    """The most steps a block may have, or fewer if then all blocks are equal."""
    return next((n for n in range(most, most // 2, -1) if steps % n == 0), most)


def cut_depth(extent: int, rest: int) -> list[tuple[int, int, int]]:
    """A long depth, of `rest` products at each of `extent` positions, in pieces of about `DEPTH`
    products: (first position, positions, positions of a piece), all pieces alike but the last.
    """
    step = even_part(extent, max(1, DEPTH // rest))
    whole = extent // step * step
    last = [(whole, extent - whole, extent - whole)] if whole < extent else []
    return [(0, whole, step), *last]


@dataclass(frozen=True)
class _Nest:
    names: Names
    width: int
    visit: Visit
    alone: bool
    """Whether the lanes are all of the nest: what is left of it is left once."""

    def block(
        self, spans: list[Span], before: tuple[Index, ...], body: Body, folds: list[Fold]
    ) -> None:
        """One block: its own sums, which are then added to those of all blocks."""
        for fold in folds:
            fold.open_block(body)
        self.elements(spans, before, body)
        for fold in folds:
            fold.close_block(body)

    def elements(self, spans: list[Span], before: tuple[Index, ...], body: Body) -> None:
        if not spans:
            self.visit(before, None, body)
            return
        span, rest = spans[0], spans[1:]
        if self.width and not rest:
            self._lanes(span, before, body)
            return
        var = Var(self.names.fresh(span.letter), span.extent)
        with body.loop(var) as inner:
            self.elements(rest, (*before, span.start + at(var)), inner)

    def _lanes(self, span: Span, before: tuple[Index, ...], body: Body) -> None:
        """The innermost loop, `width` elements at a time, and what is left of it."""
        whole = span.extent // self.width * self.width
        if whole:
            var = Var(self.names.fresh(span.letter), whole, self.width)
            with body.loop(var) as vectors:
                lane = Var(self.names.fresh("lane"), self.width)
                with vectors.loop(lane, LoopKind.LANES) as inner:
                    position = span.start + at(var) + at(lane)
                    self.visit((*before, position), at(lane), inner)
        if whole == span.extent - 1 and self.alone:
            self.visit((*before, span.start + whole), None, body)
        elif whole < span.extent:
            lane = Var(self.names.fresh("lane"), span.extent - whole)
            with body.loop(lane, LoopKind.LANES) as inner:
                position = span.start + at(lane) + whole
                self.visit((*before, position), at(lane), inner)
