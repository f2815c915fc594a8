"""The loop-nest IR: what a kernel does, before it is printed as C.

Enters: nothing (this file only defines the types). Leaves: `Kernel`s made of the statements and
expressions below. Always holds: loops count from one constant or index of outer loops to another;
an index is never negative or past its buffer; every value has a dtype; every statement carries the
ids of the graph nodes it computes. Who asks what a statement touches, or makes others of it, does
so by `traverse`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..dtypes import DType, is_float
from ..index import Index, Var, at
from ..ops.table import OPS
from ..passes.cost import LANES

# Expressions -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """One element of a buffer: a parameter of the kernel, a scratch or a local array."""

    buffer: str
    index: Index
    dtype: DType


@dataclass(frozen=True, eq=False)
class Literal:
    """A number. Two are equal if they print alike: 0.0 is not -0.0, and NaN is NaN."""

    value: float | int | bool
    dtype: DType

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self._digits == other._digits

    def __hash__(self) -> int:
        return hash(self._digits)

    @property
    def _digits(self) -> tuple[str, DType]:
        return repr(self.value), self.dtype


@dataclass(frozen=True)
class Ref:
    """A value named by a `Let` or `Declare` in scope."""

    name: str
    dtype: DType


@dataclass(frozen=True)
class FromIndex:
    """An index as a number."""

    index: Index
    dtype: DType


@dataclass(frozen=True)
class Apply:
    """An elementwise op. Its operands are simple until, last of all, `nested` puts expressions of
    several ops together.
    """

    op: str
    args: tuple[Expr, ...]
    dtype: DType

    def value(self, operands: Iterable[Any]) -> Any:
        """What it gives for operands that are known, as NumPy computes it."""
        op = OPS[self.op]
        attrs = {"dtype": self.dtype} if op.converts else {}
        return self.dtype.type(op.reference(*operands, **attrs))


@dataclass(frozen=True)
class Joined:
    """The `LANES` elements of a local array made into one by reduction `op`: the upper half is
    folded into the lower one, and again, until one is left.
    """

    array: str
    op: str
    dtype: DType

    def __post_init__(self) -> None:
        assert is_float(self.dtype), "the functions that join lanes are of floats"

    @property
    def elements(self) -> tuple[Index, Var]:
        """The index of each element, and the variable it is an index of."""
        lane = Var("lane", LANES)
        return at(lane), lane


Simple = Ref | Literal
Expr = Load | Literal | Ref | FromIndex | Apply | Joined

# Statements ------------------------------------------------------------------------------------

Nodes = tuple[int, ...]


@dataclass(frozen=True)
class Let:
    name: str
    expr: Expr
    nodes: Nodes = ()


@dataclass(frozen=True)
class Declare:
    """A mutable scalar with its first value."""

    name: str
    dtype: DType
    start: Expr
    nodes: Nodes = ()


@dataclass(frozen=True)
class Array:
    """A small array on the stack, all elements set to `start` unless that is None."""

    name: str
    dtype: DType
    size: int
    start: Expr | None = None


@dataclass(frozen=True)
class Position:
    """An integer as a place in an index (`Dyn`); its maker sees to 0 <= `expr` < `extent`."""

    name: str
    expr: Simple
    extent: int
    nodes: Nodes = ()


@dataclass(frozen=True)
class Assign:
    name: str
    expr: Expr
    nodes: Nodes = ()


@dataclass(frozen=True)
class Store:
    buffer: str
    index: Index
    expr: Expr
    nodes: Nodes = ()


@dataclass(frozen=True)
class Accumulate:
    """Fold `expr` with reduction `op` into a scalar (index None), or into an element of a local
    array or of a buffer.
    """

    target: str
    index: Index | None
    op: str
    expr: Expr
    dtype: DType
    nodes: Nodes = ()


@dataclass(frozen=True)
class Select:
    """Keep the best value and its position: the step of an argmax or argmin."""

    value: str
    position: str
    op: str
    expr: Simple
    index: Index
    dtype: DType
    nodes: Nodes = ()


@dataclass(frozen=True)
class If:
    """Run the body when every index lies in its half-open range."""

    tests: tuple[tuple[Index, int, int], ...]
    body: tuple[Stmt, ...]


class LoopKind(Enum):
    """How the iterations of a loop are run.

    In `LANES` they do the same to elements side by side, as one vector operation. In `ROWS` each is
    such operations, on one row of a tile. A kind is added here when something makes loops of it.
    """

    SERIAL = "serial"
    LANES = "lanes"
    ROWS = "rows"


@dataclass(frozen=True)
class For:
    """The body for each value of `var`, in ascending order.

    The values are all those of the variable or, where `low` or `high` is given, those from `low` to
    below `high`: indices of outer variables, which never leave what the variable may be. The last
    of a triangular loop's variables is such a one. (A variable with a step begins at its first.)
    """

    var: Var
    body: tuple[Stmt, ...]
    kind: LoopKind = LoopKind.SERIAL
    low: Index | None = None
    high: Index | None = None
    nodes: Nodes = ()

    def __post_init__(self) -> None:
        if self.is_whole:
            return
        low, (least, high) = self.start.bounds[0], self.stop.bounds
        if low < self.var.first or least < 0 or high > self.var.extent:
            raise ValueError(f"the loop over {self.var} runs from {low} to {least} or {high}")
        if self.low is not None and self.var.step > 1:
            raise ValueError(f"the loop over {self.var} has a step and may begin anywhere")

    @property
    def start(self) -> Index:
        return Index((), self.var.first) if self.low is None else self.low

    @property
    def stop(self) -> Index:
        return Index((), self.var.extent) if self.high is None else self.high

    @property
    def is_whole(self) -> bool:
        """Whether it runs over all values of its variable, whatever the outer ones are."""
        return self.low is None and self.high is None


@dataclass(frozen=True)
class Copy:
    """The first `size` elements of a buffer as those of another.

    Where a value is another one with some elements changed, it begins as its copy; laid over it,
    they are one, and nothing is copied.
    """

    target: str
    source: str
    size: int
    dtype: DType
    nodes: Nodes = ()


@dataclass(frozen=True)
class Transpose:
    """Copy a matrix turned round: `target[c, r] = source[r, c]` for `rows` x `columns` elements.

    Both begin at their index; rows lie `source_row` and `target_row` elements apart.
    """

    target: str
    target_index: Index
    target_row: int
    source: Load
    source_row: int
    rows: int
    columns: int
    nodes: Nodes = ()


@dataclass(frozen=True)
class Product:
    """A block of a matrix product, whose sums are kept in registers: for each of `rows` rows r and
    `columns` columns c

        target[r * target_row + c] = sum over p < depth of
            a[r * a_row + p * a_column] * b[p * b_row + c]

    counted from the indices of `target`, `a` and `b`; or added to what is there, if it `adds`. It
    is computed in vectors of `lanes` columns, of which there are not less. Everything is read
    before anything is written.
    """

    target: str
    target_index: Index
    target_row: int
    a: Load
    a_row: int
    a_column: int
    b: Load
    b_row: int
    rows: int
    columns: int
    depth: int
    lanes: int
    adds: bool = False
    nodes: Nodes = ()

    @property
    def dtype(self) -> DType:
        return self.a.dtype


Stmt = (
    Let
    | Declare
    | Array
    | Position
    | Assign
    | Store
    | Accumulate
    | Select
    | If
    | For
    | Copy
    | Transpose
    | Product
)


@dataclass(frozen=True)
class Param:
    """A buffer a kernel reads or writes; `size` in elements. `scalar`: passed by value."""

    name: str
    dtype: DType
    size: int
    shape: tuple[int, ...] = ()
    written: bool = False
    scalar: bool = False


@dataclass(frozen=True)
class Kernel:
    """One C function. `params[k]` holds the value of the node `buffers[k]`.

    `memo` keeps what has been found out about it, under the name of what found it.
    """

    name: str
    params: tuple[Param, ...]
    buffers: tuple[int, ...]
    body: tuple[Stmt, ...]
    nodes: Nodes
    scratch: tuple[Param, ...] = ()
    memo: dict[str, Hashable] = field(default_factory=dict, init=False, repr=False, compare=False)
