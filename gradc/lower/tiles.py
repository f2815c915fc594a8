"""How the result of a contraction is cut into register tiles.

Enters: the axes of a result and the blocks of `target`. Leaves: the loops over tiles, and what one
tile is. Always holds: nothing here knows of operands; the tiles of a `Cut` cover the result once.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..index import Index, Var
from .target import ColumnBlock


@dataclass(frozen=True)
class Cut:
    """How a result is cut into tiles: its axes, the heights of tiles, the blocks of columns, and
    whether the vector operand is read where it lies.
    """

    column: Var
    row: Var | None
    heights: list[tuple[int, int, int]]
    blocks: list[ColumnBlock]
    contiguous: bool

    def is_packed(self, block: ColumnBlock) -> bool:
        return not self.contiguous or block.valid < block.width

    def across(self, block: ColumnBlock) -> Var:
        """The loop over the tiles of a block of columns."""
        return Var(self.column.name, block.count * block.width, block.width)

    def down(self, repeat: int, height: int) -> Var:
        """The loop over tiles of one height."""
        return Var(self.row.name if self.row else "i", repeat * height, height)


@dataclass(frozen=True)
class Place:
    """One tile of a result: where it starts, and whether its rows and columns have been copied
    together.
    """

    rows: int
    block: ColumnBlock
    top: Index
    start: Index
    rows_packed: bool
    columns_packed: bool
