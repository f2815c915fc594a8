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
    accesses = list(_accesses(kernel.body, (), [0]))
    pairs: list[tuple[int, int]] = []
    for o, out in enumerate(kernel.params):
        writes = [a for a in accesses if a.buffer == out.name and a.writes]
        if not out.written or not writes:
            continue
        for i, source in enumerate(kernel.params):
            if (
                source.written
                or source.scalar
                or (source.size, source.dtype) != (out.size, out.dtype)
            ):
                continue
            reads = [a for a in accesses if a.buffer == source.name]
            if reads and all(_safe(read, write) for read in reads for write in writes):
                pairs.append((i, o))
    return pairs


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
    return _before(read, write) or _disjoint(read.index, write.index)


def _disjoint(a: Index, b: Index) -> bool:
    """Whether two indices never meet, in whichever iterations: one lies below the other, in memory
    or within rows of one length that both have as a stride.
    """
    if not (a.affine and b.affine):
        return False
    if _apart(a.bounds, b.bounds):
        return True
    for stride in {abs(k) for index in (a, b) for _, k in index.terms}:
        rests = [_rest(index, stride).bounds for index in (a, b)]
        if all(low >= 0 and high < stride for low, high in rests) and _apart(*rests):
            return True
    return False


def _apart(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[1] < b[0] or b[1] < a[0]


def _rest(index: Index, stride: int) -> Index:
    """What is left of an index without whole multiples of a stride."""
    return Index(tuple((v, k) for v, k in index.terms if k % stride), index.const % stride)


def _before(read: Access, write: Access) -> bool:
    if read.position > write.position:
        return False
    shared = 0
    while shared < min(len(read.path), len(write.path)) and read.path[shared] == write.path[shared]:
        shared += 1
    if dict(read.index.terms) == dict(write.index.terms) and read.index.const == write.index.const:
        within = {v for _, v in read.path}
        return read.index.vars <= within and _is_once(write.index, write.path[:shared])
    if not shared:
        return True
    if shared == len(read.path) and shared == len(write.path):
        return False  # one loop, different elements
    common = [v for _, v in read.path[:shared] if v.extent > 1]
    steps = [read.index.coefficient(v) for v in common]
    if steps != [write.index.coefficient(v) for v in common] or min(steps, default=0) <= 0:
        return False
    if not (read.index.affine and write.index.affine):
        return False
    row = min(steps)
    rows = Index(tuple(zip(common, steps, strict=True)))
    return _is_once(rows, (), row) and all(_within_row(a.index, common, row) for a in (read, write))


def _is_once(index: Index, loops: Path, width: int = 1) -> bool:
    """Whether no two iterations of these loops share one of the `width` elements at an index: each
    variable steps over all that those of smaller steps reach.
    """
    if (
        not index.affine
        or index.places
        or any(v.last > v.first and v not in index.vars for _, v in loops)
    ):
        return False
    steps = ((abs(k) * v.step, abs(k) * (v.last - v.first)) for v, k in _affine_terms(index))
    reach = width - 1
    for step, span in sorted(steps):
        if span and step <= reach:
            return False
        reach += span
    return True


def _affine_terms(index: Index) -> Iterator[tuple[Var, int]]:
    return ((v, k) for v, k in index.terms if isinstance(v, Var))


def _within_row(index: Index, common: list[Var], step: int) -> bool:
    rest = Index(tuple((a, k) for a, k in index.terms if a not in common), index.const)
    low, high = rest.bounds
    return low >= 0 and high < step
