"""The loop-nest IR: what a kernel does, before it is printed as C.

Enters: nothing (this file only defines the types). Leaves: `Kernel`s made of the statements and
expressions below. Always holds: loops have constant extents and count from 0; an index is affine
in the loop variables, with whole quotients and remainders where a view needs them, and is never
negative or past its buffer; every value has a dtype; every statement carries the ids of the graph
nodes it computes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..dtypes import DType

# Indices ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Var:
    """A loop variable that runs over 0, step, 2 * step, ... below `extent`."""

    name: str
    extent: int
    step: int = 1

    @property
    def last(self) -> int:
        return max(self.extent - 1, 0) // self.step * self.step


@dataclass(frozen=True)
class Quot:
    """`index / by`, rounded down."""

    index: Index
    by: int


@dataclass(frozen=True)
class Rem:
    """`index % by`."""

    index: Index
    by: int


Atom = Var | Quot | Rem


@dataclass(frozen=True)
class Index:
    """`const + sum(coefficient * atom)`; terms in order of first use, no zero coefficients."""

    terms: tuple[tuple[Atom, int], ...] = ()
    const: int = 0

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.terms, self.const + other)
        merged = dict(self.terms)
        for atom, k in other.terms:
            merged[atom] = merged.get(atom, 0) + k
        terms = tuple((a, k) for a, k in merged.items() if k)
        return _rejoined(Index(terms, self.const + other.const))

    def __mul__(self, k: int) -> Index:
        if k == 0:
            return Index()
        return Index(tuple((a, c * k) for a, c in self.terms), self.const * k)

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest value over all values of the loop variables."""
        low = high = self.const
        for atom, k in self.terms:
            top = _top(atom)
            low, high = low + min(0, k * top), high + max(0, k * top)
        return low, high

    @property
    def vars(self) -> frozenset[Var]:
        found: set[Var] = set()
        for atom, _ in self.terms:
            found |= {atom} if isinstance(atom, Var) else atom.index.vars
        return frozenset(found)

    @property
    def affine(self) -> bool:
        return all(isinstance(a, Var) for a, _ in self.terms)

    def coefficient(self, var: Var) -> int:
        return dict(self.terms).get(var, 0)


def _top(atom: Atom) -> int:
    if isinstance(atom, Var):
        return atom.last
    if isinstance(atom, Quot):
        return atom.index.bounds[1] // atom.by
    return min(atom.by - 1, atom.index.bounds[1])


def _rejoined(index: Index) -> Index:
    """The same index with every `(x / n) * n + x % n` written as `x`."""
    found = dict(index.terms)
    for atom, k in index.terms:
        if isinstance(atom, Rem) and found.get(whole := Quot(atom.index, atom.by)) == k * atom.by:
            rest = tuple((a, c) for a, c in index.terms if a not in (atom, whole))
            return Index(rest, index.const) + atom.index * k
    return index


def at(var: Var) -> Index:
    """The index that is just `var` (0 when the variable has only one value)."""
    return Index(((var, 1),)) if var.last else Index()


def divmod_index(index: Index, by: int) -> tuple[Index, Index]:
    """Quotient and remainder of a non-negative index by a positive constant, simplified.

    Terms that are multiples of `by` leave the remainder; what is left needs no division when its
    bounds lie within one period.
    """
    if by == 1:
        return index, Index()
    whole = Index(tuple((a, k // by) for a, k in index.terms if k % by == 0), index.const // by)
    rest = Index(tuple((a, k) for a, k in index.terms if k % by), index.const % by)
    low, high = rest.bounds
    if low >= 0 and high < by:
        return whole, rest
    if low < 0:  # a reversed axis: keep the whole index together, which is non-negative
        whole, rest = Index(), index
    return whole + Index(((Quot(rest, by), 1),)), Index(((Rem(rest, by), 1),))


def substitute(index: Index, var: Var, by: Index) -> Index:
    """`index` with `var` replaced by the index `by`."""
    result = Index((), index.const)
    for atom, k in index.terms:
        if isinstance(atom, Var):
            result += (by if atom == var else Index(((atom, 1),))) * k
        else:
            inner = substitute(atom.index, var, by)
            whole, rest = divmod_index(inner, atom.by)
            result += (whole if isinstance(atom, Quot) else rest) * k
    return result


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
    var: Var
    body: tuple[Stmt, ...]


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


Stmt = Let | Declare | Array | Assign | Store | Accumulate | Select | If | For | Tile


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
    """One C function. `params[k]` holds the value of `buffers[k]`, a key of the caller's."""

    name: str
    params: tuple[Param, ...]
    buffers: tuple[str, ...]
    body: tuple[Stmt, ...]
    nodes: Nodes
    scratch: tuple[Param, ...] = ()
    title: str = ""
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        from .listing import listing

        return listing(self)
