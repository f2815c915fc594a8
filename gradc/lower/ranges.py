"""Tests of indices against ranges: which are decided, and where a loop changes them.

Enters: a test `low <= index < high`, where the index depends on loop variables. Leaves: whether it
always holds or never does, the values of one variable between which that changes, and the period
with which it does. Always holds: what is said is true for all values of the other variables.
"""

from __future__ import annotations

from ..index import Index, Quot, Rem, Var, divmod_index

Test = tuple[Index, int, int]
"""`low <= index < high`."""


def plain(test: Test) -> Test:
    """The same test, of the index itself where it was one of a quotient or a multiple of it."""
    index, low, high = test
    while (atom := _only(index)) is not None:
        k, const = index.terms[0][1], index.const
        low, high = _least(k, const, low), _least(k, const, high)
        if k < 0:  # the order is turned round
            low, high = high, low
        if isinstance(atom, Quot):
            index, low, high = atom.index, low * atom.by, high * atom.by
            continue
        index = Index(((atom, 1),))
        within = _only(atom.index)
        if (
            not isinstance(within, Rem)
            or atom.index != Index(((within, 1),))
            or within.by % atom.by
        ):
            break
        index = divmod_index(within.index, atom.by)[1]  # (x % (m * n)) % n is x % n
    return index, low, high


def _only(index: Index) -> Quot | Rem | None:
    """The one quotient or remainder that an index is made of, if it is."""
    atom = index.terms[0][0] if len(index.terms) == 1 else None
    return atom if isinstance(atom, (Quot, Rem)) else None


def _least(k: int, const: int, bound: int) -> int:
    """The least x at which `k * x + const >= bound` changes its truth."""
    return -((const - bound) // k) if k > 0 else (const - bound) // -k + 1


def decided(test: Test) -> bool | None:
    """Whether the test always holds (True) or never does (False); None if it depends."""
    index, low, high = test
    least, most = index.bounds
    if low <= least and most < high:
        return True
    return False if most < low or least >= high else None


def cut_points(test: Test, var: Var) -> tuple[int, ...]:
    """The values of `var`, beyond its first, from which on the test may be decided otherwise."""
    index, low, high = test
    k = index.coefficient(var)
    rest = Index(tuple((atom, c) for atom, c in index.terms if atom != var), index.const)
    if k == 0 or var in rest.vars:
        return ()
    points = {_least(k, end, bound) for end in rest.bounds for bound in (low, high)}
    on_grid = {var.first + -(-(p - var.first) // var.step) * var.step for p in points}
    return tuple(sorted(p for p in on_grid if var.first < p <= var.last))


def period(test: Test, var: Var) -> tuple[int, int] | None:
    """(n, shift) if the test is one of `(var + shift) % n`, or of a part of it."""
    atom = _only(test[0])
    if not isinstance(atom, Rem) or var.step != 1:
        return None
    n, index = atom.by, atom.index
    while isinstance(atom := _only(index), Quot) and index == Index(((atom, 1),)):
        n, index = n * atom.by, atom.index  # (x // m) % n repeats as x % (m * n)
    return (n, index.const) if index.terms == ((var, 1),) else None
