"""Passes on loop nests: each kernel does the same before and after, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hand_nests import compiled
from random_nests import PARAMS, Arrays, arrays, draw_nest

from gradc.dtypes import F32
from gradc.index import Index, Var, at
from gradc.lower.adjacent import join_adjacent
from gradc.lower.cuts import cut_loops
from gradc.lower.execute import execute
from gradc.lower.forward import forward_stores
from gradc.lower.hoist import hoist_invariants
from gradc.lower.inplace import in_place_pairs
from gradc.lower.listing import listing
from gradc.lower.nest import (
    Accumulate,
    Apply,
    Array,
    Assign,
    Declare,
    For,
    If,
    Kernel,
    Let,
    Literal,
    Load,
    Ref,
    Stmt,
    Store,
)
from gradc.lower.nested import nested
from gradc.lower.rename import merge_buffers
from gradc.lower.traverse import walk
from gradc.lower.unused import without_unused


def all_passes(kernel: Kernel) -> Kernel:
    return nested(forward_stores(join_adjacent(hoist_invariants(cut_loops(kernel)))))


PASSES: dict[str, Callable[[Kernel], Kernel]] = {
    "cut": cut_loops,
    "hoist": hoist_invariants,
    "join": join_adjacent,
    "forward": forward_stores,
    "nested": nested,
    "all": lambda kernel: nested(
        forward_stores(join_adjacent(hoist_invariants(cut_loops(kernel))))
    ),
    "unused": lambda kernel: replace(kernel, body=without_unused(kernel.body)),
}


def run(kernel: Kernel, given: Arrays) -> list[list[float]]:
    found = {name: array.copy() for name, array in given.items()}
    execute(kernel, found)
    return [found[p.name].tolist() for p in kernel.params if p.written]


@pytest.mark.parametrize("name", PASSES)
def test_random_nests_do_the_same_after_a_pass(name: str):
    changed = 0
    for seed in range(300):
        kernel, given = draw_nest(seed), arrays(seed)
        made = PASSES[name](kernel)
        changed += made != kernel
        np.testing.assert_array_equal(run(made, given), run(kernel, given), f"{kernel}\n{made}")
    assert changed > 15


def test_random_nests_do_the_same_in_place():
    """What begins as the input that it is laid over ends alike, laid over it or beside it."""
    count = 0
    for seed in range(500):
        kernel, given = draw_nest(seed, apart=True), arrays(seed)
        for i, o in in_place_pairs(kernel):
            source, target = kernel.params[i].name, kernel.params[o].name
            given[target] = given[source]
            merged = merge_buffers(kernel, kernel.buffers[i], kernel.buffers[o])
            np.testing.assert_array_equal(
                sorted(run(merged, given)), sorted(run(kernel, given)), f"{kernel}\n{merged}"
            )
            count += 1
    assert count > 40


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_random_nests_are_the_same_in_c(compiler: str, tmp_path: Path):
    kernels = [draw_nest(seed, hides=False) for seed in range(30)]
    given = [arrays(seed) for seed in range(30)]
    for kernel, before, found in zip(
        kernels, given, compiled(kernels, given, tmp_path, compiler, ("-w",)), strict=True
    ):
        made = [found[p.name].tolist() for p in kernel.params if p.written]
        np.testing.assert_array_equal(made, run(kernel, before), listing(kernel))


# What each pass is for ---

I, J = Var("i", 4), Var("j", 6)
HERE = at(I) * 6 + at(J)
X_AT = Let("x_at", Load("a", HERE, F32))
V = Ref("x_at", F32)


def kernel(*body: Stmt) -> Kernel:
    return Kernel("k", PARAMS, tuple(range(len(PARAMS))), body, (1,))


def rows(*body: Stmt) -> For:
    return For(I, (For(J, body),))


ROW = Let("row", Load("b", at(I), F32))
TOTAL = Let("total", Apply("add", (Ref("row", F32), Literal(1.0, F32)), F32))
STORE = Store("y", HERE, Ref("total", F32))
HOISTED = {
    "to where it changes": (rows(ROW, TOTAL, STORE), ["row", "total"], []),
    "out of all loops": (rows(Let("x_at", Load("a", Index(), F32)), STORE), [], ["x_at"]),
    "not past a store to what it reads": (rows(Let("v", Load("y", at(I), F32)), STORE), [], []),
    "not out of a test": (rows(If(((at(J), 1, 2),), (ROW, TOTAL, STORE))), [], []),
    "not out of a loop that may not run": (
        For(Var("j", 4), (For(I, (X_AT,), high=at(Var("j", 4))),)), [], []
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOISTED)
def test_invariants_leave_their_loops(name: str):
    """`row` and `total` are those before the inner loop, then those before the outer one."""
    loop, *wanted = HOISTED[name]
    made = hoist_invariants(kernel(loop)).body
    outer = next(s for s in made if isinstance(s, For))
    found = [[s.name for s in body if isinstance(s, Let)] for body in (outer.body, made)]
    assert found == wanted


def test_values_that_leave_for_one_scope_have_names_of_their_own():
    twice = tuple(For(J, (replace(ROW, expr=Load("b", Index((), k), F32)),)) for k in (1, 2))
    made = hoist_invariants(kernel(*twice))
    assert {s.name for s in made.body if isinstance(s, Let)} == {"row", "row_2"}


ARRAY = Array("kept", F32, 6, None)
FORWARDED = {
    "a load of what is stored": (
        rows(X_AT, Store("y", HERE, V), Let("again", Load("y", HERE, F32)),
             Store("z", HERE, Ref("again", F32))), 1,
    ),
    "a load for the second time": (
        rows(X_AT, Let("again", Load("a", HERE, F32)), Store("z", HERE, Ref("again", F32))), 1
    ),
    "what an array keeps": (
        For(I, (ARRAY, For(J, (X_AT, Store("kept", at(J), V), Let("w", Load("kept", at(J), F32)),
                               Store("z", HERE, Ref("w", F32)))))), 1,
    ),
    "what is stored last": (
        rows(Let("v", Load("y", HERE, F32)), Store("y", HERE, Literal(2.0, F32)),
             Let("w", Load("y", HERE, F32)), Store("z", HERE, Ref("w", F32))), 0,
    ),
    "not past a store that may meet it": (
        rows(Let("v", Load("y", HERE, F32)), Store("y", at(J), Ref("v", F32)),
             Let("w", Load("y", HERE, F32)), Store("z", HERE, Ref("w", F32))), 2,
    ),
    "past a store to a neighbour": (
        rows(Let("v", Load("y", HERE, F32)), Store("y", HERE + 1, Ref("v", F32)),
             Let("w", Load("y", HERE, F32)), Store("z", HERE, Ref("w", F32))), 1,
    ),
    "not a variable that changes": (
        (Declare("m", F32, Literal(0.0, F32)), Store("y", Index(), Ref("m", F32)),
         Assign("m", Literal(3.0, F32)), Let("w", Load("y", Index(), F32)),
         Store("z", Index(), Ref("w", F32))), 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORWARDED)
def test_what_is_at_hand_is_not_read(name: str):
    body, loads_left = FORWARDED[name]
    before = kernel(*(body if isinstance(body, tuple) else (body,)))
    made = forward_stores(before)
    left = [s for s in walk(made.body) if isinstance(s, Let) and isinstance(s.expr, Load)]
    assert len(left) == loads_left, listing(made)
    given = arrays(0) | {"y": np.zeros(25, np.float32)[:24]}
    if "neighbour" not in name:
        assert run(made, given) == run(before, given)


def test_an_array_that_nobody_reads_any_more_goes():
    body, _ = FORWARDED["what an array keeps"]
    made = forward_stores(kernel(body))
    assert not any(
        isinstance(s, Array) or getattr(s, "buffer", "") == "kept" for s in walk(made.body)
    )


def over(index: Index, buffer: str = "y", source: str = "a", var: Var = J) -> For:
    """A loop that stores something at an index."""
    value = Let("v", Load(source, index if source == buffer else at(var), F32))
    return For(var, (value, Store(buffer, index, Ref("v", F32))))


def reading(index: Index, var: Var = J) -> For:
    return For(var, (Let("w", Load("y", index, F32)), Store("z", at(var), Ref("w", F32))))


K = Var("k", 6)
SUM = For(J, (Let("v", Load("a", at(J), F32)), Accumulate("m", None, "sum", Ref("v", F32), F32)))
USE = For(J, (Let("v", Load("a", at(J), F32)), Store("y", at(J), Ref("m", F32))))
JOINED = {
    "the same elements": ((over(at(J)), reading(at(J))), 1),
    "by a variable of another name": ((over(at(J)), reading(at(K), K)), 1),
    "three of them": ((over(at(J)), reading(at(J)), over(at(J), "z")), 1),
    "what is read twice": ((over(at(J)), over(at(J), "z")), 1),
    "another row of the same": ((over(at(J)), reading(at(J)), reading(at(J) + 6)), 1),
    "nothing in common": ((over(at(J)), over(at(J), "z", "b")), 2),
    "an element that is still to come": ((over(at(J)), reading(at(J) + 1)), 2),
    "one element again and again": ((over(Index()), reading(Index())), 2),
    "a sum and what needs it": ((Declare("m", F32, Literal(0.0, F32)), SUM, USE), 2),
    "other values": ((over(at(J)), reading(at(Var("j", 5)), Var("j", 5))), 2),
}


@pytest.mark.parametrize("name", JOINED)
def test_loops_over_the_same_elements_are_one(name: str):
    body, count = JOINED[name]
    before = kernel(*body)
    made = join_adjacent(before)
    assert sum(isinstance(s, For) for s in made.body) == count, str(made)
    assert run(made, arrays(0)) == run(before, arrays(0))
