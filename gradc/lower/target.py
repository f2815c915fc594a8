"""What the lowering knows of the machine: vector width and register tile.

Enters: the name of an instruction set. Leaves: tile extents and how axes are cut into them. Always
holds: blocks cover an axis exactly once; a tile's accumulators fit the registers of its instruction
set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what looks for a build in the cache needs this file, and no NumPy
    from ..dtypes import DType
from ..index import Index, Var, at

LEAST_BYTES = 16
"""The shortest vectors: every instruction set that has vectors has those."""


@dataclass(frozen=True)
class TileShape:
    rows: int
    vectors: int


@dataclass(frozen=True)
class Target:
    """An instruction set: bytes of a vector register, and how many accumulators a tile may hold.

    `title` is what people call it; `macros` are what a compiler defines that may use it, and
    `architecture` is the least machine with it, as `-march` calls that.
    """

    name: str
    vector_bytes: int
    accumulators: int
    title: str
    macros: tuple[str, ...] = ()
    architecture: str = ""

    def lanes(self, dtype: DType) -> int:
        """Elements of a vector; 1 where there are none."""
        from ..dtypes import item_bytes

        return max(1, self.vector_bytes // item_bytes(dtype))

    def least_lanes(self, dtype: DType) -> int:
        """Elements of the shortest vector there is."""
        from ..dtypes import item_bytes

        return LEAST_BYTES // item_bytes(dtype)

    def tile(self, rows: int) -> TileShape:
        """The tile for a contraction of `rows` rows: few rows leave room for more vectors."""
        if rows < 4:
            return TileShape(rows, min(8, self.accumulators // rows))
        return TileShape(self.accumulators // 2, 2)


# From the widest vectors to none. AVX-512 brings fused multiply-add, AVX2 does not.
TARGETS = {
    "avx512": Target("avx512", 64, 28, "AVX-512", ("__AVX512F__",), "x86-64-v4"),
    "avx2": Target("avx2", 32, 12, "AVX2", ("__AVX2__", "__FMA__"), "x86-64-v3"),
    "neon": Target("neon", 16, 24, "NEON", ("__ARM_NEON",), "armv8-a"),
    "sse": Target("sse", 16, 12, "SSE2", ("__SSE2__",), "x86-64"),
    "scalar": Target("scalar", 0, 16, "any machine"),
}


@dataclass(frozen=True)
class ColumnBlock:
    """`count` tiles, one beside the other from column `start` on, of `columns` columns each, in
    vectors of `lanes`.

    Those before `first` belong to the tile before as well: so that the last vector of a row ends
    where the row does. Those from `valid` on do not exist: of few columns none can be a vector.
    """

    start: int
    count: int
    columns: int
    lanes: int
    first: int
    valid: int

    @property
    def own(self) -> int:
        """How many columns of a tile are no other's."""
        return self.valid - self.first


def counted(name: str, first: int, count: int, step: int) -> tuple[Var, Index]:
    """The loop over `count` blocks of `step` positions from `first` on, and where one begins."""
    if count == 1:
        return Var(name, step, step), Index((), first)
    var = Var(name, first + count * step, step, first)
    return var, at(var)


def column_blocks(columns: int, lanes: int, vectors: int, least: int) -> list[ColumnBlock]:
    """Cut the vector axis into full tiles and one narrower tile; vectors have `lanes` columns, or
    fewer, but not less than `least`, where there are not so many.

    The last vector of a tile may overlap the one before it. One that is all that is left after the
    full tiles overlaps the last of those.
    """
    while lanes > max(columns, least):
        lanes //= 2
    if columns < lanes:
        return [ColumnBlock(0, 1, lanes, lanes, 0, columns)]
    full = lanes * vectors
    count, rest = divmod(columns, full)
    blocks = [ColumnBlock(0, count, full, lanes, 0, full)] if count else []
    if rest >= lanes:
        blocks.append(ColumnBlock(count * full, 1, rest, lanes, 0, rest))
    elif rest:
        width = max(least, 1 << (rest - 1).bit_length())
        blocks.append(ColumnBlock(columns - width, 1, width, width, width - rest, width))
    return blocks


def row_blocks(rows: int, most: int) -> list[tuple[int, int, int]]:
    """Cut the other axis evenly: (first row, number of tiles, rows a tile).

    Tiles of one height are one loop, which a few rows are better off with; many rows are cut into
    tiles nearly as high as can be, of two heights if they must.
    """
    if rows <= most:
        return [(0, 1, rows)]
    least = most // 2 if rows <= 16 * most else most * 3 // 4
    for even in range(most, least, -1):
        if rows % even == 0:
            return [(0, rows // even, even)]
    tiles = -(-rows // most)
    lower, higher = rows // tiles, rows % tiles
    blocks = [(0, higher, lower + 1), (higher * (lower + 1), tiles - higher, lower)]
    return [block for block in blocks if block[1]]
