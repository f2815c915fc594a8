"""Invariants of loops, computed before them.

Enters: a kernel. Leaves: one that does the same, with what every iteration of a loop would compute
again before the loop. Always holds: nothing leaves a test or a loop that may not run at all, so
that nothing is read that was not; nothing passes a statement that changes what it reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from .nest import For, Kernel, Let, Position, Stmt
from .rename import renamed
from .traverse import Rewrite, blocks, changed, declared, indices, stores, used, walk


def hoist_invariants(kernel: Kernel) -> Kernel:
    """The kernel with its invariants before their loops."""
    return replace(kernel, body=_Hoisted(_Names(kernel)).body(kernel.body))


class _Names:
    """The names of a kernel, where a value that leaves its scope needs one that no other has."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.count: Counter[str] = Counter()

    def unique(self, name: str) -> str:
        """The name of a value, or a numbered one if others have it too."""
        if not self.count:
            body = list(walk(self.kernel.body))
            self.count.update(p.name for p in (*self.kernel.params, *self.kernel.scratch))
            self.count.update(filter(None, map(declared, body)))
            self.count.update(v.name for s in body for b in blocks(s) for v in b.variables)
        found, number = name, 2
        while self.count[found] > (found == name):
            found, number = f"{name}_{number}", number + 1
        if found != name:
            self.count.update({found: 1, name: -1})
        return found


class _Hoisted(Rewrite):
    """Scopes from the inside out: what leaves an inner loop may leave the outer one, too."""

    def __init__(self, names: _Names) -> None:
        self.names = names

    def body(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for s in body:
            if blocks(s):
                s = self.statement(s)
                if isinstance(s, For) and s.start.bounds[1] < s.stop.bounds[0]:
                    s = self._without_invariants(s, out)
            out.append(s)
        return tuple(out)

    def _without_invariants(self, loop: For, out: list[Stmt]) -> For:
        """The loop, which runs at least once, behind its invariants."""
        body, own = list(loop.body), set[str]()
        k = 0
        while k < len(body):
            s = body[k]
            if isinstance(s, (Let, Position)) and _is_invariant(s, loop, own):
                name = self.names.unique(s.name)
                out.append(replace(s, name=name))
                body[k:] = renamed(tuple(body[k + 1 :]), s.name, name)
                loop = replace(loop, body=tuple(body))
            else:
                own.update(_made(s))
                k += 1
        return loop


def _is_invariant(s: Let | Position, loop: For, own: set[str]) -> bool:
    """Whether nothing that a statement needs is another one in each iteration; `own` are names made
    before it (which most statements need, and all of which are looked for last).
    """
    names = set(used(s))
    if not own.isdisjoint(names) or any(loop.var in index.vars for index in indices(s)):
        return False
    return all(names.isdisjoint(_made(other)) for other in walk(loop.body))


def _made(s: Stmt) -> Iterator[str]:
    """The names that a statement declares, changes or writes to."""
    name = declared(s)
    if name is not None:
        yield name
    yield from changed(s)
    yield from (a.buffer for a in stores(s))
