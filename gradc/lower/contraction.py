"""Contractions: register tiles for a `dot`, or loops where there are no vectors or few products.

Enters: a `Dot`. Leaves: the statements of its loops. Always holds: the form that is taken decides
how fast the kernel is, and in which order a long sum is added up, never what it computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from ..dtypes import DType, is_float
from ..index import Index, Indices, Var
from ..passes.cost import LANES, LONG_DOT, PLAIN_PRODUCTS, contraction_cost
from .dot import Dot, is_contiguous
from .folds import splits, start_fold
from .nest import Apply, Load, Ref
from .pointwise import Body
from .rowsums import RowSums
from .sweep import additions, sweep
from .target import Target
from .tiles import Tiles


def is_small(dtype: DType, products: int) -> bool:
    """Whether so many products are a few plain loops, since tiles would not pay."""
    return not is_float(dtype) or products < PLAIN_PRODUCTS


@dataclass(frozen=True)
class Contraction:
    """Lowers one `dot`."""

    dot: Dot
    target: Target

    def lower(self, root: Body) -> None:
        """The loops, by the cheapest of their forms."""
        dot = self.dot
        left, right = dot.axes.left[-1:], dot.axes.right[-1:]
        m, n = (prod(v.extent for v in axes) for axes in (left, right))
        k, lanes = dot.length, self.target.lanes(dot.dtype)
        few = not (left or right) or is_small(dot.dtype, m * n * k)
        line = min(m, n) == 1 and k >= 2 * LANES and dot.along_depth
        if few or line:
            self._elements(root)
            return
        contiguous = [
            bool(axes) and is_contiguous(operand.offset, axes[0])
            for axes, operand in zip((left, right), dot.operands, strict=True)
        ]
        straight = contraction_cost(
            m, n, k, lanes, columns_contiguous=contiguous[1], output_contiguous=True
        )
        swapped = contraction_cost(
            n, m, k, lanes, columns_contiguous=contiguous[0], output_contiguous=n == 1
        )
        turned = (swapped < straight and bool(left)) or not right
        column, *row = (*left, *right) if turned else (*right, *left)
        if lanes > 1:
            Tiles(dot, self.target, column, row[0] if row else None, int(turned)).lower(root)
        elif any(contiguous) or not self._adds_along_depth(column):
            RowSums(dot, column, int(turned)).lower(root)
        else:
            self._elements(root)

    def _adds_along_depth(self, column: Var) -> bool:
        """Whether, of two matrices that lie along the depth, each sum is better added up by itself
        than one of them turned round and copied for sums side by side.
        """
        least = 4 * LANES if column.extent < LANES else LONG_DOT
        return self.dot.along_depth and self.dot.length >= least

    # One element after the other

    def _elements(self, root: Body) -> None:
        dot, depth = self.dot, self.dot.axes.depth
        along = bool(depth) and depth[-1].extent >= 2 * LANES and dot.along_depth
        width = LANES if along and splits("sum", dot.dtype) else 0
        with root.loops(dot.axes.free) as element:
            extents = tuple(v.extent for v in depth)
            fold = start_fold(
                dot.anchor, dot.dtype, width, element, op="sum",
                additions=additions(extents, width),
            )  # fmt: skip

            def visit(position: Indices, lane: Index | None, body: Body) -> None:
                place = dict(zip(depth, position, strict=True))
                a, b = (self._factor(side, place, body) for side in (0, 1))
                product = dot.let("product", Apply("mul", (a, b), dot.dtype), body)
                fold.take(product, lane, Index(), body)

            dot.names.release([v.name for v in depth])  # to the loops of the sweep
            sweep(extents, tuple(v.name for v in depth), width, (fold,), element, visit)
            total = fold.finish(element)
            dot.epilogue(dot.where, total, Index(), element)

    def _factor(self, side: int, place: Mapping[Var, Index], body: Body) -> Ref:
        """An element of an operand, at a place along the contracted axes."""
        operand, dtype = self.dot.operands[side].at(place), self.dot.dtype
        return self.dot.let(f"{'ab'[side]}_at", Load(operand.buffer, operand.offset, dtype), body)
