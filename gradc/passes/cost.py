"""The cost model: what it takes to compute, store or move something, in one place.

Enters: sizes. Leaves: estimates in units of one vector operation. Always holds: estimates only
choose between correct alternatives; nothing is right or wrong because of them.
"""

from __future__ import annotations

EXPENSIVE = 8.0
"""Flops per element from which a value is kept rather than computed again."""

SCRATCH_BYTES = 16 * 1024
"""The most row-local scratch of one kernel: a third of a usual first-level cache."""

STACK_BYTES = 4096
"""Local arrays beyond this live in the arena instead of on the stack."""

LANES = 16
"""Partial sums of a long reduction; the same on every target, so that results are too."""

CHAIN = 64
"""Additions to one float32 partial sum, of many, before it is added to a double."""

LONG_CHAIN = 256
"""The most additions in a row to a float32 sum that is not cut into such blocks."""

DEPTH = 256
"""The same for a float32 product in register tiles: the depth of one stretch, of many."""

LONG_DEPTH = 1024
"""The greatest depth of such a product that is not cut into stretches."""

PACK_COST = 2.0
"""Vector operations per packed element, against one per `lanes` products."""

LARGE_BYTES = 1024 * 1024
"""A matrix of so many bytes is read in copied panels: its rows lie in different pages, and, where
their distance is a power of two, in a few sets of the first-level cache."""

SUMS_BYTES = 4096
"""The sums of a few rows, where a product is computed row by row."""

LONG_DOT = 256
"""The depth from which, without vectors, sums of many columns are better added up one by one, where
both matrices lie along it, than side by side from a copy of one of them that is turned round."""

MANY_ROWS = 96
"""Rows of the other operand for which such a copy pays."""

SCATTER_COST = 2.0
"""The same per element stored against the grain of the output."""

PLAIN_PRODUCTS = 512
"""Contractions of fewer products are plain loops: a tile would not pay."""


def round_up(n: int, to: int) -> int:
    return -(-n // to) * to


def contraction_cost(
    rows: int,
    columns: int,
    depth: int,
    lanes: int,
    *,
    columns_contiguous: bool,
    output_contiguous: bool,
) -> float:
    """Cost of a contraction with `columns` on the vector axis, in vectors of `lanes`; where there
    are none, in those that a compiler may make by itself.

    `columns_contiguous`: the vector operand lies contiguously along the columns, else it is packed;
    `output_contiguous`: so does the output, else it is written element by element.
    """
    products = rows * -(-columns // (lanes if lanes > 1 else LANES)) * depth
    pack = 0.0 if columns_contiguous else PACK_COST * depth * columns
    scatter = 0.0 if output_contiguous else SCATTER_COST * rows * columns
    return products + pack + scatter
