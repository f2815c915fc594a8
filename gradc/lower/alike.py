"""Which kernels are one function, whatever their values are called.

Enters: a kernel. Leaves: its `signature`. Always holds: kernels of one signature do the same with
their parameters, in the same order; names, titles, shapes and graph nodes are no part of it.
"""

from __future__ import annotations

from collections.abc import Hashable

from ..index import Index, Quot, Rem, Var
from .nest import (
    Accumulate,
    Apply,
    Array,
    Assign,
    Declare,
    Expr,
    For,
    FromIndex,
    If,
    Kernel,
    Let,
    Literal,
    Load,
    Ref,
    Select,
    Stmt,
    Store,
    Tile,
    Transpose,
)

Key = Hashable


def signature(kernel: Kernel) -> Key:
    """Equal for two kernels that can be one C function."""
    numbers = _Numbers()
    params = (*kernel.params, *kernel.scratch)
    interface = tuple((numbers.of(p.name), p.dtype, p.size, p.written, p.scalar) for p in params)
    return interface, numbers.body(kernel.body)


class _Numbers:
    """Names replaced by numbers, in the order in which they first appear.

    A scope that has ended gives its names back, so one name may be several values; it is numbered
    once, and two kernels are alike only if they use their names over and again in the same way.
    """

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def of(self, name: str) -> int:
        return self.known.setdefault(name, len(self.known))

    def body(self, statements: tuple[Stmt, ...]) -> Key:
        return tuple(self.statement(s) for s in statements)

    def statement(self, s: Stmt) -> Key:
        match s:
            case Let() | Assign():
                return type(s), self.of(s.name), self.expr(s.expr)
            case Declare():
                return Declare, self.of(s.name), s.dtype, self.expr(s.start)
            case Array():
                start = None if s.start is None else self.expr(s.start)
                return Array, self.of(s.name), s.dtype, s.size, start
            case Store():
                return Store, self.of(s.buffer), self.index(s.index), self.expr(s.expr)
            case Accumulate():
                where = None if s.index is None else self.index(s.index)
                return Accumulate, self.of(s.target), where, s.op, self.expr(s.expr), s.dtype
            case Select():
                best = self.of(s.value), self.of(s.position)
                return Select, *best, s.op, self.expr(s.expr), self.index(s.index), s.dtype
            case If():
                tests = tuple((self.index(i), low, high) for i, low, high in s.tests)
                return If, tests, self.body(s.body)
            case For():
                return For, self.var(s.var), s.lanes, self.body(s.body)
            case Transpose():
                target = self.of(s.target), self.index(s.target_index), s.target_row
                return Transpose, target, self.expr(s.source), s.source_row, s.rows, s.columns
            case Tile():
                return self.tile(s)

    def tile(self, t: Tile) -> Key:
        extents = t.rows, t.vectors, t.lanes, t.columns, t.dtype
        variables = tuple(self.var(v) for v in (*t.depth, t.row, t.column))
        operands = self.expr(t.a), self.expr(t.b)
        return Tile, extents, variables, operands, self.of(t.accumulator), self.body(t.epilogue)

    def var(self, v: Var) -> Key:
        return self.of(v.name), v.first, v.extent, v.step

    def expr(self, e: Expr) -> Key:
        match e:
            case Load():
                return Load, self.of(e.buffer), self.index(e.index), e.dtype
            case Literal():  # by its digits: 0.0 equals -0.0, and NaN not even itself
                return Literal, repr(e.value), e.dtype
            case Ref():
                return Ref, self.of(e.name), e.dtype
            case FromIndex():
                return FromIndex, self.index(e.index), e.dtype
            case Apply():
                return Apply, e.op, tuple(self.expr(a) for a in e.args), e.dtype

    def index(self, index: Index) -> Key:
        return tuple((self.atom(atom), k) for atom, k in index.terms), index.const

    def atom(self, atom: Var | Quot | Rem) -> Key:
        if isinstance(atom, Var):
            return self.var(atom)
        return type(atom), self.index(atom.index), atom.by
