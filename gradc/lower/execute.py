"""The meaning of a kernel, in Python: runs the loop-nest IR one statement after the other.

Enters: a kernel and a flat array for each of its parameters. Leaves: the written arrays, changed
in place. Always holds: every value is a NumPy scalar of its dtype; an index outside its array, a
write to what the kernel may only read, and a name that is not in scope raise; what is not yet
written is NaN or the least integer.

It is slow and meant to be: the tests compare lowering with `interpret` through it, without a C
compiler in between.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, assert_never

import numpy as np

from ..dtypes import DType, is_bool, is_float, limits
from ..index import Dyn, Index, Quot, Rem, Var
from ..ops.table import OPS
from .nest import (
    Accumulate,
    Apply,
    Array,
    Assign,
    Copy,
    Declare,
    Expr,
    For,
    FromIndex,
    If,
    Joined,
    Kernel,
    Let,
    Literal,
    Load,
    LoopKind,
    Param,
    Position,
    Product,
    Ref,
    Select,
    Stmt,
    Store,
    Transpose,
)

Buffer = np.ndarray[Any, Any]


def execute(kernel: Kernel, buffers: Mapping[str, Buffer]) -> None:
    """Run `kernel` on `buffers`, named after its parameters; missing scratch is allocated."""
    frame = dict(buffers)
    for p in kernel.scratch:
        frame.setdefault(p.name, unwritten(p.size, p.dtype))
    for p in (*kernel.params, *kernel.scratch):
        _check(p, frame[p.name])
    writable = frozenset(p.name for p in (*kernel.params, *kernel.scratch) if p.written)
    read_only = frozenset(p.name for p in kernel.params) - writable
    scalars = {p.name: frame.pop(p.name)[0] for p in kernel.params if p.scalar}
    with np.errstate(all="ignore"):
        _Scope(ChainMap({**frame, **scalars}), read_only).run(kernel.body)


def unwritten(size: int, dtype: DType) -> Buffer:
    """An array of values that show up if anything reads them."""
    if is_float(dtype):
        return np.full(size, np.nan, dtype)
    return np.full(size, is_bool(dtype) or limits(dtype)[0], dtype)


def _check(p: Param, array: Buffer) -> None:
    if array.shape != (p.size,) or array.dtype != p.dtype:
        raise ValueError(f"`{p.name}` is {p.dtype}[{p.size}], got {array.dtype}{list(array.shape)}")


def _combine(reduction: str) -> Callable[[Any, Any], Any]:
    combine = OPS[reduction].combine
    assert combine is not None, f"reduction `{reduction}` does not say how it folds two values"
    return combine


def _better(reduction: str) -> str:
    better = OPS[reduction].better
    assert better is not None, f"reduction `{reduction}` looks for no place"
    return better


class _Scope:
    """One block of a running kernel: what its names stand for (as in C, each once a block)."""

    def __init__(self, names: ChainMap[str, Any], read_only: frozenset[str]) -> None:
        self.names = names
        self.read_only = read_only

    def inner(self, **names: Any) -> _Scope:
        return _Scope(self.names.new_child(names), self.read_only)

    def run(self, body: Sequence[Stmt]) -> None:
        for s in body:
            self.statement(s)

    def statement(self, s: Stmt) -> None:
        match s:
            case Let():
                self._declare(s.name, self._value(s.expr))
            case Declare():
                self._declare(s.name, self._value(s.start))
            case Array():
                array = unwritten(s.size, s.dtype)
                if s.start is not None:
                    array[:] = self._value(s.start)
                self._declare(s.name, array)
            case Assign():
                self._assign(s.name, self._value(s.expr))
            case Store():
                self._store(s.buffer, s.index, self._value(s.expr))
            case Accumulate():
                self._accumulate(s)
            case Select():
                value, best = self._value(s.expr), self.names[s.value]
                better = OPS[_better(s.op)].reference(value, best)
                if better or (np.isnan(value) and not np.isnan(best)):
                    self._assign(s.value, value)
                    self._assign(s.position, np.int32(self._index(s.index)))
            case If():
                if all(low <= self._index(i) < high for i, low, high in s.tests):
                    self.inner().run(s.body)
            case For():
                for k in self._values(s):
                    self.inner(**{s.var.name: k}).run(s.body)
            case Position():
                place = int(self._value(s.expr))
                if not 0 <= place < s.extent:
                    raise IndexError(f"`{s.name}` is {place}, outside 0..{s.extent - 1}")
                self._declare(s.name, place)
            case Copy():
                for k in range(s.size):
                    here = Index((), k)
                    self._store(s.target, here, self._value(Load(s.source, here, s.dtype)))
            case Transpose():
                for r, c in product(range(s.rows), range(s.columns)):
                    source = replace(s.source, index=s.source.index + (r * s.source_row + c))
                    where = s.target_index + (c * s.target_row + r)
                    self._store(s.target, where, self._value(source))
            case Product():
                self._product(s)
            case _:
                assert_never(s)

    def _values(self, loop: For) -> Sequence[int]:
        """Those of the variable, in order; lanes from the last to the first, since they are run all
        at once: what depends on their order shows.
        """
        values = range(self._index(loop.start), self._index(loop.stop), loop.var.step)
        return values[::-1] if loop.kind is LoopKind.LANES else values

    def _product(self, s: Product) -> None:
        """The sums, in the order of the depth, before any is written."""
        sums = np.zeros((s.rows, s.columns), s.dtype)
        for r, c in product(range(s.rows), range(s.columns)):
            if s.adds:
                where = self._position(s.target, s.target_index + (r * s.target_row + c))
                sums[r, c] = self.names[s.target][where]
            for p in range(s.depth):
                a = replace(s.a, index=s.a.index + (r * s.a_row + p * s.a_column))
                b = replace(s.b, index=s.b.index + (p * s.b_row + c))
                sums[r, c] += self._value(a) * self._value(b)
        for r, c in product(range(s.rows), range(s.columns)):
            self._store(s.target, s.target_index + (r * s.target_row + c), sums[r, c])

    # Names and memory

    def _declare(self, name: str, value: Any) -> None:
        if name in self.names.maps[0]:
            raise NameError(f"`{name}` is declared twice in one block")
        self.names[name] = value

    def _assign(self, name: str, value: Any) -> None:
        home = next(m for m in self.names.maps if name in m)
        home[name] = home[name].dtype.type(value)

    def _accumulate(self, s: Accumulate) -> None:
        value, fold = self._value(s.expr), _combine(s.op)
        if s.index is None:
            self._assign(s.target, fold(self.names[s.target], value))
        else:
            old = self._value(Load(s.target, s.index, s.dtype))
            self._store(s.target, s.index, fold(old, value))

    def _store(self, buffer: str, index: Index, value: Any) -> None:
        if buffer in self.read_only:
            raise ValueError(f"the kernel writes `{buffer}`, which it may only read")
        self.names[buffer][self._position(buffer, index)] = value

    def _position(self, buffer: str, index: Index) -> int:
        position, size = self._index(index), len(self.names[buffer])
        if not 0 <= position < size:
            raise IndexError(f"`{buffer}` has {size} elements, the index is {position}")
        return position

    # Values

    def _index(self, index: Index) -> int:
        total = index.const
        for atom, k in index.terms:
            if isinstance(atom, (Var, Dyn)):
                total += k * int(self.names[atom.name])
            elif isinstance(atom, Quot):
                total += k * (self._index(atom.index) // atom.by)
            elif isinstance(atom, Rem):
                total += k * (self._index(atom.index) % atom.by)
            else:
                assert_never(atom)
        return total

    def _value(self, e: Expr) -> Any:
        match e:
            case Load():
                return self.names[e.buffer][self._position(e.buffer, e.index)]
            case Literal():
                return e.dtype.type(e.value)
            case Ref():
                return self.names[e.name]
            case FromIndex():
                return e.dtype.type(self._index(e.index))
            case Joined():
                return self._joined(e)
            case Apply():
                return e.value(self._value(a) for a in e.args)
            case _:
                assert_never(e)

    def _joined(self, e: Joined) -> Any:
        part, combine = self.names[e.array], _combine(e.op)
        while len(part) > 1:
            half = len(part) // 2
            part = combine(part[:half], part[half:])
        return part[0]
