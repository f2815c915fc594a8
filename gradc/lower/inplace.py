"""Which outputs of a kernel may lie over which of its inputs.

Enters: a kernel. Leaves: pairs (input, output) of parameter positions. Always holds: a pair that
leaves is safe: every read of the input happens before the write that would destroy what it reads.

An element may be written over when nothing reads it any more: each read of the input is either at
the same index as the write and before it, or in an earlier loop over the same row, or in an earlier
loop altogether, or never of an element that this write reaches (as where a matrix is updated in
blocks of columns).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..index import Index, Var
from .nest import Kernel, Stmt
from .overlap import disjoint, in_rows, is_once, same
from .traverse import blocks, loads, stores

Path = tuple[tuple[int, Var], ...]
"""Loops, the outermost first, each with its place in the text."""


@dataclass(frozen=True)
class Access:
    """One read or write: where in the text, inside which loops, at which index."""

    position: int
    path: Path
    buffer: str
    index: Index
    writes: bool


def in_place_pairs(kernel: Kernel) -> list[tuple[int, int]]:
    """Positions (input, output) in `kernel.params` that may share storage."""
    params = kernel.params
    pairs = [
        (i, o)
        for o, out in enumerate(params)
        for i, source in enumerate(params)
        if out.written
        and not (source.written or source.scalar)
        and (source.size, source.dtype) == (out.size, out.dtype)
    ]
    if not pairs:
        return []
    reads: dict[str, list[Access]] = {p.name: [] for p in params}
    writes: dict[str, list[Access]] = {p.name: [] for p in params}
    for a in _accesses(kernel.body, (), [0]):
        (writes if a.writes else reads).get(a.buffer, []).append(a)

    def safe(i: int, o: int) -> bool:
        before, after = reads[params[i].name], writes[params[o].name]
        return bool(before and after) and all(_safe(a, b) for a in before for b in after)

    return [(i, o) for i, o in pairs if safe(i, o)]


def _accesses(body: tuple[Stmt, ...], path: Path, counter: list[int]) -> Iterator[Access]:
    for s in body:
        here = _next(counter)
        for writes, touched in ((False, loads(s)), (True, stores(s))):
            for a in touched:
                inside = (*path, *((here, v) for v in a.over))
                yield Access(here, inside, a.buffer, a.index, writes)
        for block in blocks(s):
            start = _next(counter)
            inside = (*path, *((start, v) for v in block.variables))
            yield from _accesses(block.body, inside, counter)


def _next(counter: list[int]) -> int:
    counter[0] += 1
    return counter[0]


def _safe(read: Access, write: Access) -> bool:
    return _before(read, write) or disjoint(read.index, write.index)


def _before(read: Access, write: Access) -> bool:
    if read.position > write.position:
        return False
    count = 0
    while count < min(len(read.path), len(write.path)) and read.path[count] == write.path[count]:
        count += 1
    shared = [v for _, v in read.path[:count]]
    if same(read.index, write.index):
        within = {v for _, v in read.path}
        return read.index.vars <= within and is_once(write.index, shared)
    if not shared:
        return True
    if count == len(read.path) and count == len(write.path):
        return False  # one loop, different elements
    return in_rows(read.index, write.index, shared)
