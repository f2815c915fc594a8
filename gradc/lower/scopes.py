"""Scopes of a kernel that is made of another one: what the names of the one mean in the other.

Enters: statements, one after the other. Leaves: the same in terms of the new kernel. Always holds:
no name is declared where it is in use already, so that statements may leave or change their scope.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..index import Dyn, Index, Var, at, replace_vars
from .nest import Ref, Simple, Stmt
from .traverse import Rewrite


class Scope(Rewrite):
    """What names and loop variables of the kernel stand for in the one that is being made.

    A name is another name (`names`), or, of a value that need not be named, the value (`values`).
    """

    def __init__(
        self,
        taken: set[str],
        names: Mapping[str, str] = MappingProxyType({}),
        values: Mapping[str, Simple] = MappingProxyType({}),
        indices: Mapping[Var, Index] = MappingProxyType({}),
    ) -> None:
        self.taken = taken
        self.names = dict(names)
        self.values = dict(values)
        self.indices = dict(indices)

    def body(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        return self.inner().block(body)

    def block(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """Statements of this very scope."""
        return super().body(body)

    def inner(self) -> Scope:
        return Scope(set(self.taken), self.names, self.values, self.indices)

    def merged(self) -> Scope:
        """A scope whose statements end up in this one: its names must differ, and mean nothing to
        what comes after it.
        """
        return Scope(self.taken, self.names, self.values, self.indices)

    def fresh(self, name: str) -> str:
        """The name, or a numbered one where it is in use: pieces that meet had scopes apart."""
        found, count = name, 2
        while found in self.taken:
            found, count = f"{name}_{count}", count + 1
        self.taken.add(found)
        return found

    def stand_for(self, name: str, value: Simple) -> None:
        """From now on the name is this value."""
        self.values[name] = value

    def declare(self, name: str) -> str:
        self.values.pop(name, None)
        self.names[name] = found = self.fresh(name)
        return found

    def name(self, name: str) -> str:
        return self.names.get(name, name)

    def simple(self, e: Simple) -> Simple:
        if isinstance(e, Ref) and e.name in self.values:
            return self.values[e.name]
        return super().simple(e)

    def index(self, index: Index) -> Index:
        return replace_vars(index, self.indices, self.place)

    def place(self, place: Dyn) -> Dyn:
        over = (self.indices.get(v, at(v)).vars for v in place.over)
        return Dyn(self.name(place.name), place.extent, frozenset().union(*over))
