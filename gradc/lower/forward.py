"""Elements that are known already, in place of reading them from memory.

Enters: a kernel. Leaves: one that does the same, in which a value that has just been stored or read
is not read again. Always holds: between the one and the other nothing can have been written to the
element; of stores, only those into a local array go that then nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..index import Index
from .nest import Declare, Kernel, Let, Literal, Load, Ref, Simple, Stmt, Store
from .overlap import disjoint
from .scopes import Scope
from .traverse import Access, loads, stores, walk
from .unused import without_unused

Element = tuple[str, Index]


def forward_stores(kernel: Kernel) -> Kernel:
    """The kernel without loads of what it has at hand."""
    if not _may_repeat(kernel):
        return kernel
    names = {p.name for p in (*kernel.params, *kernel.scratch)}
    return replace(kernel, body=without_unused(_Known(names).block(kernel.body)))


def _may_repeat(kernel: Kernel) -> bool:
    """Whether an element that is read has the formula of one that was touched before."""
    seen: set[Element] = set()
    for s in walk(kernel.body):
        read = {(a.buffer, a.index) for a in loads(s)}
        if not seen.isdisjoint(read):
            return True
        seen.update(read, ((a.buffer, a.index) for a in stores(s)))
    return False


class _Known(Scope):
    """What is known of elements in a scope: `elements`, by buffer and index; `mutable` are the
    variables, whose values at one time are not those at another.
    """

    def __init__(self, taken: set[str]) -> None:
        super().__init__(taken)
        self.elements: dict[Element, Simple] = {}
        self.mutable: set[str] = set()

    def within(self) -> _Known:
        inner = _Known(set(self.taken))
        inner.names, inner.values = dict(self.names), dict(self.values)
        inner.elements, inner.mutable = dict(self.elements), set(self.mutable)
        return inner

    def body(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """What runs within a statement: for the second time, perhaps."""
        for s in walk(body):
            self.forget(stores(s))
        return self.within().block(body)

    def block(self, body: Iterable[Stmt]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for s in body:
            if isinstance(s, Let) and isinstance(s.expr, Load):
                self._load(s, self.load(s.expr), out)
                continue
            made = self.statement(s)
            out.append(made)
            if isinstance(made, Declare):
                self.mutable.add(made.name)
            self.forget(stores(made))
            if isinstance(made, Store) and isinstance(made.expr, (Ref, Literal)):
                self._store(made, made.expr)
        return tuple(out)

    def _load(self, s: Let, e: Load, out: list[Stmt]) -> None:
        known = self.elements.get((e.buffer, e.index))
        if known is not None and known.dtype == e.dtype:
            self.stand_for(s.name, known)
            return
        made = replace(s, name=self.declare(s.name), expr=e)
        out.append(made)
        self.elements[e.buffer, e.index] = Ref(made.name, e.dtype)

    def _store(self, s: Store, value: Simple) -> None:
        if isinstance(value, Literal) or value.name not in self.mutable:
            self.elements[s.buffer, s.index] = value

    def forget(self, written: Iterable[Access]) -> None:
        for a in written:
            buffer = self.name(a.buffer)
            for element in [e for e in self.elements if e[0] == buffer]:
                if not _apart(element[1], a.index):
                    del self.elements[element]


def _apart(known: Index, written: Index) -> bool:
    """Whether two indices differ in one iteration of what surrounds both, or in all of them."""
    if written.places:  # which may be called as others are in the scope outside
        return disjoint(known, written)
    low, high = (known + written * -1).bounds
    return low > 0 or high < 0 or disjoint(known, written)
