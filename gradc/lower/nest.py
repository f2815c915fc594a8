"""The loop-nest IR: what a kernel does, before it is printed as C.

Enters: nothing (this file only defines the types). Leaves: `Kernel`s made of the statements and
expressions below. Always holds: loops count from one constant to another; an index is never
negative or past its buffer; every value has a dtype; every statement carries the ids of the graph
nodes it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

from ..dtypes import DType
from ..index import Index, Var
from ..ops.table import OPS

# Expressions -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """One element of a buffer: a parameter of the kernel, a scratch or a local array."""

    buffer: str
    index: Index
    dtype: DType


@dataclass(frozen=True)
class Literal:
    value: float | int | bool
    dtype: DType


@dataclass(frozen=True)
class Ref:
    """A value named by a `Let`, `Declare` or tile accumulator in scope."""

    name: str
    dtype: DType


@dataclass(frozen=True)
class FromIndex:
    """An index as a number."""

    index: Index
    dtype: DType


@dataclass(frozen=True)
class Apply:
    """An elementwise op on simple operands (`Ref` or `Literal`)."""

    op: str
    args: tuple[Ref | Literal, ...]
    dtype: DType

    def value(self, operands: Iterable[Any]) -> Any:
        """What it gives for operands that are known, as NumPy computes it."""
        op = OPS[self.op]
        attrs = {"dtype": self.dtype} if op.converts else {}
        return self.dtype.type(op.reference(*operands, **attrs))


Expr = Load | Literal | Ref | FromIndex | Apply

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
class Assign:
    name: str
    expr: Expr
    nodes: Nodes = ()


@dataclass(frozen=True)
class Store:
    buffer: str
    index: Index
    expr: Ref | Literal
    nodes: Nodes = ()


@dataclass(frozen=True)
class Accumulate:
    """Fold `expr` into a scalar (index None) or into an element of a local array with reduction
    `op`.
    """

    target: str
    index: Index | None
    op: str
    expr: Ref | Literal
    dtype: DType
    nodes: Nodes = ()


@dataclass(frozen=True)
class Select:
    """Keep the best value and its position: the step of an argmax or argmin."""

    value: str
    position: str
    op: str
    expr: Ref | Literal
    index: Index
    dtype: DType
    nodes: Nodes = ()


@dataclass(frozen=True)
class If:
    """Run the body when every index lies in its half-open range."""

    tests: tuple[tuple[Index, int, int], ...]
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class For:
    """`lanes`: the iterations do the same to elements side by side, as one vector operation."""

    var: Var
    body: tuple[Stmt, ...]
    lanes: bool = False


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
class Tile:
    """The contraction register tile: `rows` x (`vectors` * `lanes`) sums of products.

    `a` is indexed by `row` and the `depth` variables, `b` by `column` and them, with coefficient 1
    of `column`. The epilogue runs once for every row and each of the first `columns` columns, with
    the sum in the scalar `accumulator`.
    """

    rows: int
    vectors: int
    lanes: int
    columns: int
    depth: tuple[Var, ...]
    row: Var
    column: Var
    a: Load
    b: Load
    accumulator: str
    dtype: DType
    epilogue: tuple[Stmt, ...]
    nodes: Nodes = ()

    def is_along(self, s: Stmt) -> TypeGuard[For]:
        """Whether a statement of the epilogue is a loop over columns, where the sums exist."""
        return isinstance(s, For) and s.var.name == self.column.name


Stmt = Let | Declare | Array | Assign | Store | Accumulate | Select | If | For | Transpose | Tile


def walk(body: Iterable[Stmt]) -> Iterator[Stmt]:
    """Every statement, each before those within it."""
    for s in body:
        yield s
        if isinstance(s, (For, If)):
            yield from walk(s.body)
        elif isinstance(s, Tile):
            yield from walk(s.epilogue)


def map_indices(body: tuple[Stmt, ...], f: Callable[[Index], Index]) -> tuple[Stmt, ...]:
    """The statements with `f` of each index in place of the index."""
    return tuple(_map_indices(s, f) for s in body)


def _map_indices(s: Stmt, f: Callable[[Index], Index]) -> Stmt:
    match s:
        case Let() | Assign():
            return replace(s, expr=_map_index(s.expr, f))
        case Declare():
            return replace(s, start=_map_index(s.start, f))
        case Array():
            return replace(s, start=None if s.start is None else _map_index(s.start, f))
        case Store() | Select():
            return replace(s, index=f(s.index))
        case Accumulate():
            return replace(s, index=None if s.index is None else f(s.index))
        case If():
            tests = tuple((f(index), low, high) for index, low, high in s.tests)
            return If(tests, map_indices(s.body, f))
        case For():
            return replace(s, body=map_indices(s.body, f))
        case Transpose():
            source = replace(s.source, index=f(s.source.index))
            return replace(s, target_index=f(s.target_index), source=source)
        case Tile():
            a, b = (replace(e, index=f(e.index)) for e in (s.a, s.b))
            return replace(s, a=a, b=b, epilogue=map_indices(s.epilogue, f))


def _map_index(e: Expr, f: Callable[[Index], Index]) -> Expr:
    return replace(e, index=f(e.index)) if isinstance(e, (Load, FromIndex)) else e


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
    """One C function. `params[k]` holds the value of the node `buffers[k]`."""

    name: str
    params: tuple[Param, ...]
    buffers: tuple[int, ...]
    body: tuple[Stmt, ...]
    nodes: Nodes
    scratch: tuple[Param, ...] = ()
    title: str = ""
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        from .listing import listing

        return listing(self)
