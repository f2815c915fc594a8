"""Random loop nests, of every statement that the IR has, and within its rules.

Enters: a seed. Leaves: a kernel, and arrays for its parameters. Always holds: no index leaves its
buffer, whatever the places; names are those of an open scope, and are given out again when it ends.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradc.dtypes import F32, I32
from gradc.index import Dyn, Index, Rem, Var, at
from gradc.lower.nest import (
    Accumulate,
    Apply,
    Array,
    Assign,
    Copy,
    Declare,
    For,
    FromIndex,
    If,
    Kernel,
    Let,
    Literal,
    Load,
    LoopKind,
    Param,
    Position,
    Ref,
    Select,
    Simple,
    Stmt,
    Store,
    Transpose,
)  # fmt: skip

SIZE = 24
PLACES = 5
PARAMS = (
    Param("a", F32, SIZE), Param("b", F32, SIZE), Param("ids", I32, SIZE),
    Param("y", F32, SIZE, written=True), Param("z", F32, SIZE, written=True),
)  # fmt: skip
Arrays = dict[str, np.ndarray[Any, Any]]


def arrays(seed: int) -> Arrays:
    """Values for the parameters; `y` and `z` begin with values, too."""
    rng = np.random.default_rng(seed)
    return {
        p.name: rng.integers(0, PLACES, p.size).astype(p.dtype)
        if p.dtype == I32
        else rng.normal(size=p.size).astype(p.dtype)
        for p in PARAMS
    }


def draw_nest(seed: int, *, apart: bool = False, hides: bool = True) -> Kernel:
    """A kernel; where `apart`, it only reads `a` and `b`, and only writes `y` and `z`.

    Where it `hides`, a value within a block has at times the name of one outside.
    """
    drawer = _Drawer(random.Random(seed), apart, hides)
    body = drawer.block(_Scope(), 0)
    return Kernel("k", PARAMS, tuple(range(len(PARAMS))), body, (1,))


@dataclass
class _Scope:
    """The names that are visible."""

    values: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    arrays: dict[str, int] = field(default_factory=dict)
    loops: list[Var] = field(default_factory=list)
    places: list[Dyn] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    indices: list[Index] = field(default_factory=list)

    def inner(self) -> _Scope:
        return _Scope(
            list(self.values), list(self.variables), dict(self.arrays), list(self.loops),
            list(self.places), list(self.taken), [], list(self.indices),
        )  # fmt: skip

    def fresh(self, base: str) -> str:
        names = {*self.values, *self.variables, *self.arrays, *(v.name for v in self.loops)}
        names.update(self.taken, (p.name for p in self.places))
        return next(name for k in range(99) if (name := f"{base}{k}") not in names)


class _Drawer:
    def __init__(self, rng: random.Random, apart: bool, hides: bool) -> None:
        self.rng = rng
        self.reads = ("a", "b") if apart else ("a", "b", "y", "z", "y")
        self.hides = 0.1 if hides else 0.0
        self.left = 40

    def block(self, scope: _Scope, depth: int) -> tuple[Stmt, ...]:
        out: list[Stmt] = []
        for _ in range(self.rng.randint(1, 6 if depth else 9)):
            if self.left > 0:
                self.left -= 1
                out += self.statements(scope, depth)
        return tuple(out)

    def statements(self, scope: _Scope, depth: int) -> Iterator[Stmt]:
        kinds = ["load", "load", "apply", "store", "store", "declare", "change", "place", "array"]
        kinds += ["accumulate", "copy", "select", "transpose"]
        kinds += ["loop", "loop", "loop", "guard"] * (3 if depth < 3 else 0)
        yield from getattr(self, self.rng.choice(kinds))(scope, depth)

    # Indices and operands

    def index(self, scope: _Scope, size: int) -> Index:
        """An index that stays within a buffer: often one that has been used before."""
        known = [index for index in scope.indices if index.bounds[1] < size]
        if known and self.rng.random() < 0.4:
            return self.rng.choice(known)
        index = self.new_index(scope, size)
        scope.indices.append(index)
        return index

    def new_index(self, scope: _Scope, size: int) -> Index:
        for _ in range(8):
            atoms = [at(v) for v in scope.loops] + [Index(((p, 1),)) for p in scope.places]
            index = Index()
            for atom in self.rng.sample(atoms, min(len(atoms), self.rng.randint(0, 3))):
                index += atom * self.rng.choice((1, 1, 2, 3, 4, 6, -1))
            low, high = index.bounds
            if high - low < size:
                return index + (-low + self.rng.randint(0, size - 1 - high + low))
            if low >= 0 and self.rng.random() < 0.5:
                by = self.rng.choice((2, 3, size))
                if by <= size:
                    return Index(((Rem(index, by), 1),))
        return Index((), self.rng.randrange(size))

    def buffer(self, scope: _Scope, buffers: tuple[str, ...]) -> tuple[str, int]:
        found = {**dict.fromkeys(buffers, SIZE), **scope.arrays}
        name = self.rng.choice(sorted(found))
        return name, found[name]

    def new_value(self, scope: _Scope) -> str:
        """The name of a new value: at times that of one outside, which it hides."""
        outside = sorted(set(scope.values) - set(scope.own))
        name = (
            self.rng.choice(outside)
            if outside and self.rng.random() < self.hides
            else scope.fresh("v")
        )
        scope.own.append(name)
        return name

    def simple(self, scope: _Scope) -> Simple:
        names = scope.values + scope.variables
        if not names or self.rng.random() < 0.1:
            return Literal(float(self.rng.randint(-3, 3)), F32)
        return Ref(self.rng.choice(names), F32)

    # Statements

    def load(self, scope: _Scope, _: int) -> Iterator[Stmt]:
        name, size = self.buffer(scope, self.reads)
        value = self.new_value(scope)
        yield Let(value, Load(name, self.index(scope, size), F32))
        scope.values.append(value)

    def apply(self, scope: _Scope, _: int) -> Iterator[Stmt]:
        op = self.rng.choice(("add", "sub", "mul", "maximum"))
        value = self.new_value(scope)
        if self.rng.random() < 0.2:
            yield Let(value, FromIndex(self.index(scope, 9), F32))
        else:
            yield Let(value, Apply(op, (self.simple(scope), self.simple(scope)), F32))
        scope.values.append(value)

    def store(self, scope: _Scope, _: int) -> Iterator[Stmt]:
        name, size = self.buffer(scope, ("y", "z"))
        yield Store(name, self.index(scope, size), self.simple(scope))

    def accumulate(self, scope: _Scope, _: int) -> Iterator[Stmt]:
        name, size = self.buffer(scope, ("y", "z"))
        op = self.rng.choice(("sum", "max"))
        yield Accumulate(name, self.index(scope, size), op, self.simple(scope), F32)

    def declare(self, scope: _Scope, _: int) -> Iterator[Stmt]:
        name = scope.fresh("m")
        yield Declare(name, F32, self.simple(scope))
        scope.variables.append(name)

    def change(self, scope: _Scope, _: int) -> Iterator[Stmt]:
        if scope.variables:
            name = self.rng.choice(scope.variables)
            if self.rng.random() < 0.5:
                yield Assign(name, self.simple(scope))
            else:
                yield Accumulate(name, None, "sum", self.simple(scope), F32)

    def select(self, scope: _Scope, _: int) -> Iterator[Stmt]:
        if scope.variables:
            place = scope.fresh("best")
            yield Declare(place, I32, Literal(0, I32))
            best = self.rng.choice(scope.variables)
            yield Select(best, place, "argmax", self.simple(scope), self.index(scope, 9), F32)
            value = self.new_value(scope)
            yield Let(value, Apply("cast", (Ref(place, I32),), F32))
            scope.values.append(value)
            scope.taken.append(place)

    def place(self, scope: _Scope, _: int) -> Iterator[Stmt]:
        value = scope.fresh("id")
        yield Let(value, Load("ids", self.index(scope, SIZE), I32))
        scope.taken.append(value)
        name = scope.fresh("p")
        yield Position(name, Ref(value, I32), PLACES)
        over = frozenset(v for v in scope.loops if v.extent > 1)
        scope.places.append(Dyn(name, PLACES, over))

    def array(self, scope: _Scope, _: int) -> Iterator[Stmt]:
        name, size = scope.fresh("r"), self.rng.randint(1, 6)
        yield Array(name, F32, size, Literal(1.0, F32))
        scope.arrays[name] = size

    def copy(self, scope: _Scope, depth: int) -> Iterator[Stmt]:
        if not depth and self.rng.random() < 0.3:
            yield Copy(self.rng.choice("yz"), self.rng.choice("ab"), SIZE, F32)

    def transpose(self, scope: _Scope, _: int) -> Iterator[Stmt]:
        if self.rng.random() < 0.2:
            target, source = self.rng.choice("yz"), Load(self.rng.choice("ab"), Index(), F32)
            yield Transpose(target, Index(), 4, source, 6, 4, 6)

    # Blocks

    def guard(self, scope: _Scope, depth: int) -> Iterator[Stmt]:
        index, low = self.index(scope, 9), self.rng.randint(0, 4)
        body = self.block(scope.inner(), depth + 1)
        yield If(((index, low, low + self.rng.randint(1, 4)),), body)

    def loop(self, scope: _Scope, depth: int) -> Iterator[Stmt]:
        first, step = self.rng.choice((0, 0, 0, 1, 2)), self.rng.choice((1, 1, 1, 2))
        var = Var(scope.fresh("i"), first + self.rng.randint(1, 5), step, first)
        inner, bounds = scope.inner(), dict[str, Index]()
        outer = [v for v in scope.loops if v.first == 0 and v.extent > 1]
        if outer and self.rng.random() < 0.3:
            limit = self.rng.choice(outer)
            var, here = Var(var.name, limit.extent), at(limit)
            bounds = self.rng.choice(({"low": here}, {"high": here}, {"high": here + 1}))
        inner.loops.append(var)
        for _ in range(self.rng.choice((1, 1, 2, 3))):  # some over the same elements
            within = inner.inner()
            yield For(var, self.block(within, depth + 1), LoopKind.SERIAL, **bounds)
            known = (k for k in within.indices if not k.places and k.vars <= {*inner.loops})
            inner.indices += [k for k in known if var in k.vars]
