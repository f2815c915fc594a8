"""Loops over the same elements, one behind the other, as one loop.

Enters: a kernel. Leaves: one that does the same, in which the second of two loops that go over the
same values and touch the same elements is run along with the first. Always holds: no iteration
needs what a later one of the other loop does, so each element is read and written as before.

    for i < 8                          for i < 8
      y[i] = x[i]                        y[i] = x[i]
    for i < 8                    =>      z[i] = y[i]
      z[i] = y[i]
"""

from __future__ import annotations

from dataclasses import replace

from ..index import Index, Var, at
from .nest import For, Kernel, Stmt
from .overlap import disjoint, in_rows, is_once, same
from .scopes import Scope
from .traverse import Rewrite, blocks, changed, declared, loads, stores, used, walk

LARGEST = 200
"""Statements of a loop that no other one joins any more."""


def join_adjacent(kernel: Kernel) -> Kernel:
    """The kernel with loops as one that go over the same elements one behind the other."""
    return replace(kernel, body=_Joined().body(kernel.body))


class _Joined(Rewrite):
    def body(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for s in body:
            both = _one_loop(out[-1], s) if out else None
            if both is None:
                out.append(s)
            else:
                out[-1] = both
        return tuple([self.statement(s) if blocks(s) else s for s in out])


def _one_loop(first: Stmt, second: Stmt) -> For | None:
    """The two as one loop, if they are loops that may be."""
    if not isinstance(first, For) or not isinstance(second, For):
        return None
    if _values(first) != _values(second) or first.kind is not second.kind:
        return None
    if first.var.name in _variables(second.body):
        return None  # a loop within would hide it
    names = _variables((first,))
    names.update(filter(None, map(declared, walk(first.body))))
    scope = Scope(names, indices={second.var: at(first.var)})
    a, b = _Effects(first.body), _Effects(scope.block(second.body))
    if len(a.statements) + len(b.statements) > LARGEST or not a.may_precede(b, first.var):
        return None
    nodes = (*first.nodes, *second.nodes)
    return replace(first, body=(*first.body, *b.body), nodes=nodes)


def _variables(body: tuple[Stmt, ...]) -> set[str]:
    """What the loops of a body are counted by."""
    return {v.name for s in walk(body) for b in blocks(s) for v in b.variables}


def _values(loop: For) -> tuple[int, int, int, Index, Index]:
    return loop.var.first, loop.var.extent, loop.var.step, loop.start, loop.stop


class _Effects:
    """What the body of a loop does to what is outside of it."""

    def __init__(self, body: tuple[Stmt, ...]) -> None:
        self.body = body
        self.statements = list(walk(body))
        self.own = own = {declared(s) for s in self.statements}
        self.changed = {name for s in self.statements for name in changed(s)} - own
        self.used = {name for s in self.statements for name in used(s)} - own
        self.writes = [a for s in self.statements for a in stores(s) if a.buffer not in own]
        self.reads = [a for s in self.statements for a in loads(s) if a.buffer not in own]

    def may_precede(self, later: _Effects, var: Var) -> bool:
        """Whether an iteration of this body may come after earlier ones of the `later` body, and
        both touch the same elements.
        """
        if not self.changed.isdisjoint(later.used | later.changed):
            return False
        if not later.changed.isdisjoint(self.used) or not self.own.isdisjoint(later.used):
            return False  # the latter: what is meant is hidden by a name within
        shared = False
        for a in (*self.writes, *self.reads):
            for b in (*later.writes, *later.reads):
                if a.buffer == b.buffer:
                    shared |= same(a.index, b.index)
                    written = a in self.writes or b in later.writes
                    if written and not _apart(a.index, b.index, var):
                        return False
        return shared


def _apart(a: Index, b: Index, var: Var) -> bool:
    """Whether different iterations never meet in an element of these."""
    if disjoint(a, b) or in_rows(a, b, (var,)):
        return True
    return same(a, b) and is_once(a, (var,))
