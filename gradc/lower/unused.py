"""Statements without those that nothing needs.

Enters: the statements of a kernel. Leaves: the same without values, variables and arrays that are
not read, and without the loops and tests that have become empty. Always holds: every store into a
buffer stays.
"""

from __future__ import annotations

from .nest import Array, For, Stmt
from .traverse import Rewrite, blocks, changed, declared, stores, used, walk


def without_unused(body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The statements that are needed."""
    arrays = frozenset(s.name for s in walk(body) if isinstance(s, Array))
    return _Needed(arrays, set()).body(body)


class _Needed(Rewrite):
    """From the last to the first; `later` are the names that what comes after needs."""

    def __init__(self, arrays: frozenset[str], later: set[str]) -> None:
        self.arrays = arrays
        self.later = later

    def body(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        kept: list[Stmt] = []
        for s in reversed(body):
            if not self._is_needed(s):
                continue
            if blocks(s):
                inner = self._within(s)
                s = inner.statement(s)
                if not any(block.body for block in blocks(s)):
                    continue
                self.later |= inner.later
            self.later.discard(declared(s) or "")
            self.later.update(used(s))
            kept.append(s)
        return tuple(reversed(kept))

    def _is_needed(self, s: Stmt) -> bool:
        """Whether it does more than to make or change locals that are not read."""
        written = {a.buffer for a in stores(s)}
        locals_ = {*written, *changed(s), *filter(None, [declared(s)])}
        return not (written <= self.arrays and locals_) or not self.later.isdisjoint(locals_)

    def _within(self, s: Stmt) -> _Needed:
        """What an iteration leaves behind, the next may read."""
        inner = set(self.later)
        if isinstance(s, For):
            inner |= _read_from_outside(s.body)
        return _Needed(self.arrays, inner)


def _read_from_outside(body: tuple[Stmt, ...]) -> set[str]:
    """The variables that a loop reads and does not declare."""
    read: set[str] = set()
    own: set[str | None] = set()
    for s in walk(body):
        read.update(used(s))
        own.add(declared(s))
    return read - own
