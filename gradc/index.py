"""Index arithmetic: which element of an array, as a formula in loop variables.

Enters: loop variables, places that only the running program knows, and constants. Leaves: `Index`,
one for each axis or for the offset in memory. Always holds: an index is affine in the loop
variables and places, with whole quotients and remainders where a view needs them, and is never
negative.

It lies below the op table, so that the row of a movement op can say which element of its argument
an element of its result is (`Source`); composing these maps is all that a view is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Var:
    """A loop variable that runs over first, first + step, first + 2 * step, ... below `extent`."""

    name: str
    extent: int
    step: int = 1
    first: int = 0

    @property
    def last(self) -> int:
        return self.first + max(self.extent - 1 - self.first, 0) // self.step * self.step


@dataclass(frozen=True)
class Quot:
    """`index / by`, rounded down."""

    index: Index
    by: int


@dataclass(frozen=True)
class Rem:
    """`index % by`."""

    index: Index
    by: int


@dataclass(frozen=True)
class Dyn:
    """A place that is known only when the program runs; what computes it sees to it that
    0 <= place < `extent`. It may be another one for other values of the loop variables `over`.
    """

    name: str
    extent: int
    over: frozenset[Var] = frozenset()


Atom = Var | Quot | Rem | Dyn


@dataclass(frozen=True)
class Index:
    """`const + sum(coefficient * atom)`; terms in order of first use, no zero coefficients."""

    terms: tuple[tuple[Atom, int], ...] = ()
    const: int = 0

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.terms, self.const + other)
        merged = dict(self.terms)
        for atom, k in other.terms:
            merged[atom] = merged.get(atom, 0) + k
        terms = tuple((a, k) for a, k in merged.items() if k)
        return _rejoined(Index(terms, self.const + other.const))

    def __mul__(self, k: int) -> Index:
        if k == 0:
            return Index()
        return Index(tuple((a, c * k) for a, c in self.terms), self.const * k)

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest value over all values of the loop variables."""
        low = high = self.const
        for atom, k in self.terms:
            ends = [k * end for end in _bounds(atom)]
            low, high = low + min(ends), high + max(ends)
        return low, high

    @cached_property
    def vars(self) -> frozenset[Var]:
        """The loop variables that it may change with."""
        found: set[Var] = set()
        for atom, _ in self.terms:
            match atom:
                case Var():
                    found.add(atom)
                case Dyn():
                    found |= atom.over
                case _:
                    found |= atom.index.vars
        return frozenset(found)

    @cached_property
    def places(self) -> frozenset[Dyn]:
        """The places within it that only the running program knows."""
        found: frozenset[Dyn] = frozenset()
        for atom, _ in self.terms:
            if not isinstance(atom, Var):
                found |= {atom} if isinstance(atom, Dyn) else atom.index.places
        return found

    @cached_property
    def affine(self) -> bool:
        """Whether it is a sum of multiples, of loop variables and of places."""
        return all(isinstance(a, (Var, Dyn)) for a, _ in self.terms)

    def coefficient(self, var: Var) -> int:
        return dict(self.terms).get(var, 0)


def _bounds(atom: Atom) -> tuple[int, int]:
    if isinstance(atom, Var):
        return atom.first, atom.last
    if isinstance(atom, Dyn):
        return 0, atom.extent - 1
    low, high = atom.index.bounds
    if isinstance(atom, Quot):
        return low // atom.by, high // atom.by
    if low // atom.by == high // atom.by:
        return low % atom.by, high % atom.by
    return 0, atom.by - 1


def _rejoined(index: Index) -> Index:
    """The same index with every `(x / n) * n + x % n` written as `x`."""
    found = dict(index.terms)
    for atom, k in index.terms:
        if isinstance(atom, Rem) and found.get(whole := Quot(atom.index, atom.by)) == k * atom.by:
            rest = tuple((a, c) for a, c in index.terms if a not in (atom, whole))
            return Index(rest, index.const) + atom.index * k
    return index


def at(var: Var) -> Index:
    """The index that is just `var` (a number when the variable has only one value)."""
    return Index(((var, 1),)) if var.last > var.first else Index((), var.first)


def divmod_index(index: Index, by: int) -> tuple[Index, Index]:
    """Quotient and remainder of a non-negative index by a positive constant, simplified.

    Terms that are multiples of `by` leave the remainder; what is left needs no division when its
    bounds lie within one period.
    """
    if by == 1:
        return index, Index()
    whole = Index(tuple((a, k // by) for a, k in index.terms if k % by == 0), index.const // by)
    rest = Index(tuple((a, k) for a, k in index.terms if k % by), index.const % by)
    low, high = rest.bounds
    if low >= 0 and low // by == high // by:
        return whole + low // by, rest + -(low // by * by)
    if low < 0:  # a reversed axis: keep the whole index together, which is non-negative
        whole, rest = Index(), index
    return whole + Index(((Quot(rest, by), 1),)), Index(((Rem(rest, by), 1),))


def substitute(index: Index, var: Var, by: Index) -> Index:
    """`index` with `var` replaced by the index `by`."""
    return replace_vars(index, {var: by})


def replace_vars(
    index: Index, by: Mapping[Var, Index], place: Callable[[Dyn], Dyn] | None = None
) -> Index:
    """`index` with each variable of `by` replaced by the index given for it, all at once.

    A place that changes with one of these variables is another one then: `place` says which.
    """
    result = Index((), index.const)
    for atom, k in index.terms:
        if isinstance(atom, Var):
            result += by.get(atom, Index(((atom, 1),))) * k
        elif isinstance(atom, Dyn):
            if place is None and not atom.over.isdisjoint(by):
                raise ValueError(f"`{atom.name}` is computed for other values of {set(by)}")
            result += Index(((place(atom) if place else atom, k),))
        else:
            inner = replace_vars(atom.index, by, place)
            whole, rest = divmod_index(inner, atom.by)
            result += (whole if isinstance(atom, Quot) else rest) * k
    return result


Indices = tuple[Index, ...]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """Where one element of a movement op's result comes from: operand number `operand` at `index`,
    if every index of `tests` lies in its half-open range.
    """

    operand: int
    index: Indices
    tests: tuple[tuple[Index, int, int], ...] = ()


def strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides in elements."""
    result = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        result[axis] = result[axis + 1] * shape[axis + 1]
    return tuple(result)


def flatten(index: Sequence[Index], shape: Sequence[int]) -> Index:
    """The offset of an element in row-major storage."""
    total = Index()
    for i, stride in zip(index, strides(shape), strict=True):
        total += i * stride
    return total


def unflatten(offset: Index, shape: Sequence[int]) -> Indices:
    """The index of the element at a row-major offset."""
    result: list[Index] = []
    for stride in strides(shape):
        whole, offset = divmod_index(offset, stride)
        result.append(whole)
    return tuple(result)
