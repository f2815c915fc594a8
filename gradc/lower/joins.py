"""Two loops as one, where the inner one covers whole rows of the outer one.

Enters: a loop of the nest IR. Leaves: the same loop, or one over all elements of its rows in the
same order. Always holds: the two are joined only if every index within depends on them as if they
were one: rows lie behind each other in everything that is touched.
"""

from __future__ import annotations

from dataclasses import replace

from ..index import Dyn, Index, Var, replace_vars
from .nest import For, LoopKind
from .traverse import map_indices


def joined(loop: For) -> For:
    """`for i { for j { ... } }` as one loop, if that is all there is."""
    within = loop.body[0]
    if len(loop.body) != 1 or not isinstance(within, For):
        return loop
    if not all(each.kind is LoopKind.SERIAL and each.is_whole for each in (loop, within)):
        return loop
    outer, inner = loop.var, within.var
    if (outer.step, inner.step, inner.first) != (1, 1, 0):
        return loop
    n = inner.extent
    both = Var(outer.name, outer.extent * n, 1, outer.first * n)
    column = Index(((both, 1), (outer, -n)))
    apart: list[Index] = []

    def moved(place: Dyn) -> Dyn:
        rest = place.over - {outer, inner}
        return replace(place, over=rest if rest == place.over else rest | {both})

    def replaced(index: Index) -> Index:
        found = replace_vars(index, {inner: column}, moved)
        if outer in found.vars:
            apart.append(found)
        return found

    body = map_indices(within.body, replaced)
    return loop if apart else For(both, body)
