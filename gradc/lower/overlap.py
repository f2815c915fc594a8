"""Whether two indices meet: what in-place analysis and the joining of loops ask of memory.

Enters: indices into one buffer. Leaves: whether they name one element in some iterations. Always
holds: what is said to be apart is; what cannot be proved is taken to meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..index import Index, Var


def disjoint(a: Index, b: Index) -> bool:
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


def same(a: Index, b: Index) -> bool:
    """Whether two indices are one formula."""
    return a.const == b.const and dict(a.terms) == dict(b.terms)


def is_once(index: Index, loops: Iterable[Var], width: int = 1) -> bool:
    """Whether no two iterations of these loops share one of the `width` elements at an index: each
    variable steps over all that those of smaller steps reach.
    """
    if not index.affine or index.places:
        return False
    if any(v.last > v.first and v not in index.vars for v in loops):
        return False
    steps = ((abs(k) * v.step, abs(k) * (v.last - v.first)) for v, k in _variables(index))
    reach = width - 1
    for step, span in sorted(steps):
        if span and step <= reach:
            return False
        reach += span
    return True


def _variables(index: Index) -> Iterator[tuple[Var, int]]:
    return ((v, k) for v, k in index.terms if isinstance(v, Var))


def in_rows(a: Index, b: Index, loops: Iterable[Var]) -> bool:
    """Whether each iteration of these loops has a row of its own, in which both indices stay."""
    common = [v for v in loops if v.extent > 1]
    steps = [a.coefficient(v) for v in common]
    if steps != [b.coefficient(v) for v in common] or min(steps, default=0) <= 0:
        return False
    if not (a.affine and b.affine):
        return False
    row = min(steps)
    rows = Index(tuple(zip(common, steps, strict=True)))
    return is_once(rows, (), row) and all(_within_row(index, common, row) for index in (a, b))


def _within_row(index: Index, common: list[Var], step: int) -> bool:
    rest = Index(tuple((a, k) for a, k in index.terms if a not in common), index.const)
    low, high = rest.bounds
    return low >= 0 and high < step
