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
kernel would grow beyond `MOST_GROWTH` times its statements, and around a product, of which
there is one copy only. (What is left of tests is printed so that no compiler makes vectors of it.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..dtypes import is_float
from ..index import Index, Var, at
from ..ops.table import OPS
from .joins import joined
from .nest import (
    Apply,
    Array,
    Assign,
    Declare,
    Expr,
    For,
    If,
    Kernel,
    Let,
    Literal,
    Product,
    Ref,
    Stmt,
)
from .ranges import Test, cut_points, decided, period, plain
from .scopes import Scope
from .traverse import blocks, changed, walk
from .unused import without_unused

MOST_PIECES = 64
"""Pieces of one loop."""
MOST_GROWTH = 4
SMALL = 200
"""A kernel may grow to this many statements, or by the factor above."""


def cut_loops(kernel: Kernel) -> Kernel:
    """The kernel with its loops cut at the tests within them."""
    if not any(isinstance(s, If) and s.tests for s in walk(kernel.body)):
        return kernel
    size = sum(1 for _ in walk(kernel.body))
    names = {p.name for p in (*kernel.params, *kernel.scratch)}
    body = _Cutter(max(SMALL, MOST_GROWTH * size)).statements(kernel.body, Scope(names))
    return replace(kernel, body=without_unused(tuple(body)))


def _in_scope(test: Test, scope: Scope) -> Test:
    """The test in the plainest form: of one quotient of an index, a test of the index."""
    index, low, high = test
    return plain((scope.index(index), low, high))


class _TooLargeError(Exception):
    """A loop in pieces would be too much code."""


class _Cutter:
    def __init__(self, limit: int) -> None:
        self.limit = limit

    def statements(self, body: Sequence[Stmt], scope: Scope) -> list[Stmt]:
        out: list[Stmt] = []
        self._block(body, scope, out)
        return out

    def _block(self, body: Sequence[Stmt], scope: Scope, out: list[Stmt]) -> None:
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

    def _choose(self, s: Declare, guards: Sequence[If], scope: Scope, out: list[Stmt]) -> bool:
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
            scope.stand_for(s.name, value)
        return True

    def _let(self, s: Let, scope: Scope, out: list[Stmt]) -> None:
        """A name for a value; a number needs none, and what follows from it is computed here."""
        expr = _folded(scope.expr(s.expr))
        if isinstance(expr, Literal):
            scope.stand_for(s.name, expr)
        else:
            out.append(replace(s, name=scope.declare(s.name), expr=expr))

    def _statement(self, s: Stmt, scope: Scope, out: list[Stmt]) -> None:
        match s:
            case Let():
                self._let(s, scope, out)
            case If():
                self._if(s, scope, out)
            case For():
                self._loop(s, scope, out)
            case _:
                assert not blocks(s), f"what `{type(s).__name__}` has within is not looked at"
                out.append(scope.statement(s))

    def _if(self, s: If, scope: Scope, out: list[Stmt]) -> None:
        verdict = _verdict(s.tests, scope)
        if verdict:
            self._block(s.body, scope.merged(), out)
        elif verdict is None:
            tests = tuple(t for t in (_in_scope(t, scope) for t in s.tests) if decided(t) is None)
            out.append(If(tests, tuple(self.statements(s.body, scope.inner()))))

    # Loops

    def _loop(self, s: For, scope: Scope, out: list[Stmt]) -> None:
        """The loop in pieces, or, where that would be too much code, as it was. A loop around a
        product stays whole: what is cut is the loops over its sums.
        """
        var = replace(s.var, name=scope.inner().fresh(s.var.name))
        if s.is_whole and not any(isinstance(inner, Product) for inner in walk(s.body)):
            try:
                found = self._pieces(s, var, lambda index: index, scope)
            except _TooLargeError:
                pass
            else:
                out += found
                return
        low, high = (end if end is None else scope.index(end) for end in (s.low, s.high))
        body = tuple(self._piece(s, at(var), var, scope))
        out.append(replace(s, var=var, low=low, high=high, body=body))

    def _pieces(
        self, s: For, var: Var, value: Callable[[Index], Index], scope: Scope
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
            if repeats:
                made, rest = self._periods(s, part, *repeats, value, scope)
                ahead += reversed(rest)
            elif part.last == part.first:
                made = self._once(s, value(at(part)), part, scope)
            else:
                body = self._piece(s, value(at(part)), part, scope)
                made = [joined(replace(s, var=part, body=tuple(body)))] if body else []
            out += made
            pieces, size = pieces + 1, size + sum(1 for _ in walk(made))
            if pieces > MOST_PIECES or (size > self.limit and pieces > 1):
                raise _TooLargeError
        return out

    def _piece(self, s: For, value: Index, var: Var, scope: Scope) -> list[Stmt]:
        """The body of a loop over `var` in place of the loop `s`."""
        within = scope.inner()
        within.taken.add(var.name)
        within.indices[s.var] = value
        return self.statements(s.body, within)

    def _once(self, s: For, value: Index, var: Var, scope: Scope) -> list[Stmt]:
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
        scope: Scope,
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

        body = self._pieces(s, inner, whole, within)
        return [joined(For(outer, tuple(body)))], rest


def _folded(expr: Expr) -> Expr:
    """The number that an operation on numbers gives, as NumPy computes it, or a comparison of a
    value with itself: the cut has put one value into both places.
    """
    if not isinstance(expr, Apply):
        return expr
    of_equal = OPS[expr.op].of_equal
    if of_equal is not None and expr.args[0] == expr.args[1] and not is_float(expr.args[0].dtype):
        return Literal(of_equal, expr.dtype)
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
    written = any(s.name in changed(other) for other in walk(following[len(found) :]))
    return [] if written else found


def _verdict(tests: Sequence[Test], scope: Scope) -> bool | None:
    """Whether all tests hold, if that is known."""
    found = [decided(_in_scope(t, scope)) for t in tests]
    return False if False in found else None if None in found else True


def _tests(body: Sequence[Stmt], scope: Scope) -> Iterator[Test]:
    """The tests within, but for those under a test that never holds."""
    for s in body:
        if isinstance(s, For):
            yield from _tests(s.body, scope)
        elif isinstance(s, If) and _verdict(s.tests, scope) is not False:
            yield from (_in_scope(t, scope) for t in s.tests)
            yield from _tests(s.body, scope)
