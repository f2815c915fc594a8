"""The ops: importing this package fills the table `OPS`, one family file after the other.

Enters: nothing. Leaves: `OPS` with every row registered. Always holds: a family file imports only
`table`, the dtypes and the errors, so an op can be added without touching any other file.
"""

from . import contraction, elementwise, item, movement, reduction, source
from .table import OPS, Kind, Op, Sample, infer

__all__ = [
    "OPS",
    "Kind",
    "Op",
    "Sample",
    "contraction",
    "elementwise",
    "infer",
    "item",
    "movement",
    "reduction",
    "source",
]
