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

from ..index import Index, Var, at
from .nest import For, If, Kernel, Let, Load, Stmt, Store, Tile, Transpose


@dataclass(frozen=True)
class Access:
    """One read or write: where in the text, inside which loops, at which index."""

    position: int
    path: tuple[tuple[int, Var], ...]
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


def _accesses(
    body: tuple[Stmt, ...], path: tuple[tuple[int, Var], ...], counter: list[int]
) -> Iterator[Access]:
    for s in body:
        counter[0] += 1
        here = counter[0]
        match s:
            case Let(expr=Load() as load):
                yield Access(here, path, load.buffer, load.index, False)
            case Store():
                yield Access(here, path, s.buffer, s.index, True)
            case For():
                yield from _accesses(s.body, (*path, (here, s.var)), counter)
            case If():
                yield from _accesses(s.body, path, counter)
            case Transpose():
                r, c = Var("r", s.rows), Var("c", s.columns)
                read = s.source.index + at(r) * s.source_row + at(c)
                write = s.target_index + at(c) * s.target_row + at(r)
                inside = (*path, (here, r), (here, c))
                yield Access(here, inside, s.source.buffer, read, False)
                yield Access(here, inside, s.target, write, True)
            case Tile():
                for load in (s.a, s.b):
                    yield Access(here, path, load.buffer, load.index, False)
                yield from _accesses(s.epilogue, (*path, (here, s.row)), counter)


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
        return read.index.vars <= {v for _, v in read.path}
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
    return all(_within_row(a.index, common, min(steps)) for a in (read, write))


def _within_row(index: Index, common: list[Var], step: int) -> bool:
    rest = Index(tuple((a, k) for a, k in index.terms if a not in common), index.const)
    low, high = rest.bounds
    return low >= 0 and high < step
