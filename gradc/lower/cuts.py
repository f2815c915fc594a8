"""Loops cut where their tests change: no inner loop asks what its bounds can say.

Enters: a kernel whose pads, concatenations and slice gradients are guarded by tests. Leaves: a
kernel that does the same in the same order, with each loop cut into pieces in which a test is
always true or never; where a test asks for a remainder (a strided pad, a pad that is read flat),
the loop is split into one over periods and one within a period. Always holds: every element is
read, computed and written as before, in the same sequence.

    for i < 8                          for i < 3
      float pad = 0                      out[i] = 0
      if 3 <= i < 8             =>     for 3 <= i < 8
        pad = x[i - 3]                   x_at = x[i - 3]
      out[i] = pad                       out[i] = x_at

A loop is left as it is, tests inside, where it would become more than `MOST_PIECES`, where the
kernel would grow beyond `MOST_GROWTH` times its statements, and around a register tile, of which
there is one copy only. (What is left of tests is printed so that no compiler makes vectors of it.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import assert_never

import numpy as np

from ..index import Index, Var, at, replace_vars
from .joins import joined
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
    walk,
)
from .ranges import Test, cut_points, decided, period, plain
from .unused import without_unused

MOST_PIECES = 64
"""Pieces of one loop."""
MOST_GROWTH = 4
SMALL = 200
"""A kernel may grow to this many statements, or by the factor above."""

Simple = Ref | Literal


def cut_loops(kernel: Kernel) -> Kernel:
    """The kernel with its loops cut at the tests within them."""
    if not any(isinstance(s, If) for s in walk(kernel.body)):
        return kernel
    size = sum(1 for _ in walk(kernel.body))
    names = {p.name for p in (*kernel.params, *kernel.scratch)}
    body = _Cutter(max(SMALL, MOST_GROWTH * size)).statements(kernel.body, _Scope(names))
    return replace(kernel, body=without_unused(tuple(body)))


@dataclass
class _Scope:
    """What names and loop variables of the kernel stand for in the one that is being made."""

    taken: set[str]
    values: dict[str, Simple] = field(default_factory=dict)
    arrays: dict[str, str] = field(default_factory=dict)
    indices: dict[Var, Index] = field(default_factory=dict)

    def inner(self) -> _Scope:
        return _Scope(set(self.taken), dict(self.values), dict(self.arrays), dict(self.indices))

    def merged(self) -> _Scope:
        """A scope whose statements end up in this one: its names must differ, and mean nothing to
        what comes after it.
        """
        return _Scope(self.taken, dict(self.values), dict(self.arrays), self.indices)

    def fresh(self, name: str) -> str:
        """The name, or a numbered one where it is in use: pieces that meet had scopes apart."""
        found, count = name, 2
        while found in self.taken:
            found, count = f"{name}_{count}", count + 1
        self.taken.add(found)
        return found

    def index(self, index: Index) -> Index:
        return replace_vars(index, self.indices)

    def simple(self, e: Simple) -> Simple:
        return self.values.get(e.name, e) if isinstance(e, Ref) else e

    def name(self, name: str) -> str:
        """What a variable that is assigned to is called."""
        found = self.values.get(name)
        return found.name if isinstance(found, Ref) else name

    def load(self, e: Load) -> Load:
        return replace(e, buffer=self.arrays.get(e.buffer, e.buffer), index=self.index(e.index))

    def expr(self, e: Expr) -> Expr:
        match e:
            case Load():
                return self.load(e)
            case FromIndex():
                return replace(e, index=self.index(e.index))
            case Apply():
                return replace(e, args=tuple(self.simple(a) for a in e.args))
        return self.simple(e)

    def test(self, test: Test) -> Test:
        """The test in the plainest form: of one quotient of an index, a test of the index."""
        index, low, high = test
        return plain((self.index(index), low, high))


class _TooLargeError(Exception):
    """A loop in pieces would be too much code."""


class _Cutter:
    def __init__(self, limit: int) -> None:
        self.limit = limit

    def statements(self, body: Sequence[Stmt], scope: _Scope) -> list[Stmt]:
        out: list[Stmt] = []
        self._block(body, scope, out)
        return out

    def _block(self, body: Sequence[Stmt], scope: _Scope, out: list[Stmt]) -> None:
        """Statements of one scope, behind those that it already has."""
        k = 0
        while k < len(body):
            s = body[k]
            guards = _guards(s, body[k + 1 :])
            if isinstance(s, Declare) and guards and self._choose(s, guards, scope, out):
                k += len(guards)
            else:
                self._statement(s, scope, out)
            k += 1

    def _choose(self, s: Declare, guards: Sequence[If], scope: _Scope, out: list[Stmt]) -> bool:
        """A variable that gets its value under tests which are all decided is that value."""
        verdicts = [_verdict(g.tests, scope) for g in guards]
        if None in verdicts:
            return False
        live = [g for g, verdict in zip(guards, verdicts, strict=True) if verdict]
        if not live:
            self._let(Let(s.name, s.start, s.nodes), scope, out)
        for g in live:
            last = g.body[-1]
            assert isinstance(last, Assign)
            within = scope.merged()
            self._block(g.body[:-1], within, out)
            value = within.expr(last.expr)
            assert isinstance(value, (Ref, Literal))
            scope.values[s.name] = value
        return True

    def _let(self, s: Let, scope: _Scope, out: list[Stmt]) -> None:
        """A name for a value; a number needs none, and what follows from it is computed here."""
        expr = _folded(scope.expr(s.expr))
        if isinstance(expr, Literal):
            scope.values[s.name] = expr
            return
        name = scope.fresh(s.name)
        scope.values[s.name] = Ref(name, expr.dtype)
        out.append(replace(s, name=name, expr=expr))

    def _statement(self, s: Stmt, scope: _Scope, out: list[Stmt]) -> None:
        match s:
            case Let():
                self._let(s, scope, out)
            case Declare():
                start = scope.expr(s.start)
                name = scope.fresh(s.name)
                scope.values[s.name] = Ref(name, s.dtype)
                out.append(replace(s, name=name, start=start))
            case Array():
                name = scope.fresh(s.name)
                scope.arrays[s.name] = name
                start_of = None if s.start is None else scope.expr(s.start)
                out.append(replace(s, name=name, start=start_of))
            case Assign():
                out.append(replace(s, name=scope.name(s.name), expr=scope.expr(s.expr)))
            case Store():
                buffer, index = scope.arrays.get(s.buffer, s.buffer), scope.index(s.index)
                out.append(replace(s, buffer=buffer, index=index, expr=scope.simple(s.expr)))
            case Accumulate():
                out.append(self._accumulate(s, scope))
            case Select():
                best, position = scope.name(s.value), scope.name(s.position)
                expr, index = scope.simple(s.expr), scope.index(s.index)
                out.append(replace(s, value=best, position=position, expr=expr, index=index))
            case If():
                self._if(s, scope, out)
            case For():
                self._loop(s, scope, out)
            case Transpose():
                out.append(self._transpose(s, scope))
            case Tile():
                out.append(self._tile(s, scope))
            case _:
                assert_never(s)

    def _accumulate(self, s: Accumulate, scope: _Scope) -> Accumulate:
        if s.index is None:
            return replace(s, target=scope.name(s.target), expr=scope.simple(s.expr))
        target = scope.arrays.get(s.target, s.target)
        return replace(s, target=target, index=scope.index(s.index), expr=scope.simple(s.expr))

    def _transpose(self, s: Transpose, scope: _Scope) -> Transpose:
        target, source = scope.arrays.get(s.target, s.target), scope.load(s.source)
        return replace(s, target=target, target_index=scope.index(s.target_index), source=source)

    def _if(self, s: If, scope: _Scope, out: list[Stmt]) -> None:
        verdict = _verdict(s.tests, scope)
        if verdict:
            self._block(s.body, scope.merged(), out)
        elif verdict is None:
            tests = tuple(t for t in map(scope.test, s.tests) if decided(t) is None)
            out.append(If(tests, tuple(self.statements(s.body, scope.inner()))))

    def _tile(self, t: Tile, scope: _Scope) -> Tile:
        """A register tile stays one; the loops over its columns are cut."""
        a, b = scope.load(t.a), scope.load(t.b)
        row = scope.inner()
        row.taken |= {t.row.name, t.column.name, t.accumulator}
        epilogue: list[Stmt] = []
        for s in t.epilogue:
            if t.is_along(s):
                self._loop(s, row, epilogue, tile=True)
            else:
                self._block([s], row, epilogue)
        return replace(t, a=a, b=b, epilogue=tuple(epilogue))

    # Loops

    def _loop(self, s: For, scope: _Scope, out: list[Stmt], *, tile: bool = False) -> None:
        """The loop in pieces, or, where that would be too much code, as it was."""
        name = s.var.name if tile else scope.inner().fresh(s.var.name)
        var = replace(s.var, name=name)
        if not any(isinstance(inner, Tile) for inner in walk(s.body)):
            try:
                found = self._pieces(s, var, lambda index: index, scope, tile)
            except _TooLargeError:
                pass
            else:
                out += found
                return
        out.append(replace(s, var=var, body=tuple(self._piece(s, at(var), var, scope))))

    def _pieces(
        self, s: For, var: Var, value: Callable[[Index], Index], scope: _Scope, tile: bool
    ) -> list[Stmt]:
        """Loops over parts of the range of `var`, one after the other; the variable of `s` is
        `value` of it.
        """
        out: list[Stmt] = []
        ahead, pieces, size = [var], 0, 0
        while ahead:
            part = ahead.pop()
            within = scope.inner()
            within.indices[s.var] = value(at(part))
            undecided = [t for t in _tests(s.body, within) if decided(t) is None]
            points = next((cuts for t in undecided if (cuts := cut_points(t, part))), ())
            if points:
                ends = (part.first, *points, part.extent)
                parts = [replace(part, first=a, extent=b) for a, b in pairwise(ends)]
                ahead += reversed(parts)
                continue
            repeats = next((found for t in undecided if (found := period(t, part))), None)
            if repeats and not tile:
                made, rest = self._periods(s, part, *repeats, value, scope)
                ahead += reversed(rest)
            elif part.last == part.first and not tile:
                made = self._once(s, value(at(part)), part, scope)
            else:
                body = self._piece(s, value(at(part)), part, scope)
                made = [joined(replace(s, var=part, body=tuple(body)))] if body else []
            out += made
            pieces, size = pieces + 1, size + sum(1 for _ in walk(made))
            if pieces > MOST_PIECES or (size > self.limit and pieces > 1):
                raise _TooLargeError
        return out

    def _piece(self, s: For, value: Index, var: Var, scope: _Scope) -> list[Stmt]:
        """The body of a loop over `var` in place of the loop `s`."""
        within = scope.inner()
        within.taken.add(var.name)
        within.indices[s.var] = value
        return self.statements(s.body, within)

    def _once(self, s: For, value: Index, var: Var, scope: _Scope) -> list[Stmt]:
        """The body for one value: a block of its own if it declares something."""
        body = self._piece(s, value, var, scope)
        declares = any(isinstance(made, (Let, Declare, Array)) for made in body)
        return [If((), tuple(body))] if declares else body

    def _periods(
        self,
        s: For,
        var: Var,
        by: int,
        shift: int,
        value: Callable[[Index], Index],
        scope: _Scope,
    ) -> tuple[list[Stmt], list[Var]]:
        """The loop over `var` in periods of `(var + shift) % by`: what is made of it, and the parts
        of its range that are left.
        """
        start = var.first + -(var.first + shift) % by
        count = (var.extent - start) // by
        end = start + count * by
        if start > var.first:  # a part of a period, and the rest
            return [], [replace(var, extent=start), replace(var, first=start)]
        rest = [replace(var, first=end)] if end < var.extent else []
        if count == 1:
            return [], [replace(var, extent=end), *rest]
        within = scope.inner()
        within.taken.add(var.name)
        outer, inner = Var(var.name, count), Var(within.inner().fresh(f"{var.name}_in"), by)

        def whole(index: Index) -> Index:
            return value(at(outer) * by + index + start)

        body = self._pieces(s, inner, whole, within, tile=False)
        return [joined(For(outer, tuple(body)))], rest


def _folded(expr: Expr) -> Expr:
    """The number that an operation on numbers gives, as NumPy computes it."""
    if not isinstance(expr, Apply):
        return expr
    numbers = [a for a in expr.args if isinstance(a, Literal)]
    if len(numbers) < len(expr.args):
        return expr
    with np.errstate(all="ignore"):
        value = expr.value(a.dtype.type(a.value) for a in numbers)
    return Literal(value.item(), expr.dtype)


def _guards(s: Stmt, following: Sequence[Stmt]) -> list[If]:
    """The tests under which a variable gets its value, if that is all that is done to it."""
    if not isinstance(s, Declare):
        return []
    found: list[If] = []
    for guard in following:
        last = guard.body[-1] if isinstance(guard, If) and guard.body else None
        if not isinstance(guard, If) or not isinstance(last, Assign) or last.name != s.name:
            break
        found.append(guard)
    written = (_target(other) for other in walk(following[len(found) :]))
    return [] if s.name in written else found


def _target(s: Stmt) -> str:
    """The variable that a statement changes."""
    match s:
        case Assign():
            return s.name
        case Accumulate():
            return s.target
        case Select():
            return s.value
    return ""


def _verdict(tests: Sequence[Test], scope: _Scope) -> bool | None:
    """Whether all tests hold, if that is known."""
    found = [decided(scope.test(t)) for t in tests]
    return False if False in found else None if None in found else True


def _tests(body: Sequence[Stmt], scope: _Scope) -> Iterator[Test]:
    """The tests within, but for those under a test that never holds."""
    for s in body:
        if isinstance(s, For):
            yield from _tests(s.body, scope)
        elif isinstance(s, If) and _verdict(s.tests, scope) is not False:
            yield from map(scope.test, s.tests)
            yield from _tests(s.body, scope)
