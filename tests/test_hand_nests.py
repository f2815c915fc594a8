"""What the loop-nest IR can say beyond what lowering says today: places that are known only when
the program runs, folds into buffers, copies, loops whose bounds are those of outer ones.

Each nest is run by the interpreter and, under the sanitizers, as C; both give what NumPy gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hand_nests import Array, compiled, interpreted, parameters

from gradc.dtypes import F32, I32
from gradc.index import Dyn, Index, Var, at, replace_vars
from gradc.lower.alike import signature
from gradc.lower.cuts import cut_loops
from gradc.lower.inplace import in_place_pairs
from gradc.lower.listing import listing
from gradc.lower.nest import (
    Accumulate,
    Apply,
    Assign,
    Copy,
    Declare,
    For,
    If,
    Kernel,
    Let,
    Literal,
    Load,
    LoopKind,
    Param,
    Position,
    Ref,
    Stmt,
    Store,
)  # fmt: skip
from gradc.lower.nest import (
    Array as LocalArray,
)
from gradc.lower.rename import merge_buffers
from gradc.lower.unused import without_unused

I, J, K = Var("i", 6), Var("j", 4), Var("k", 6)
ZERO = Literal(0.0, F32)


def place(name: str, extent: int, *over: Var) -> Index:
    return Index(((Dyn(name, extent, frozenset(over)), 1),))


def load(name: str, buffer: str, index: Index, dtype: np.dtype[np.generic] = F32) -> Let:
    return Let(name, Load(buffer, index, dtype))


def ref(name: str, dtype: np.dtype[np.generic] = F32) -> Ref:
    return Ref(name, dtype)


@dataclass(frozen=True)
class Case:
    """A nest, and what it makes of its parameters."""

    params: tuple[Param, ...]
    body: tuple[Stmt, ...]
    meaning: Callable[..., Array]

    @property
    def kernel(self) -> Kernel:
        return Kernel("k", self.params, tuple(range(len(self.params))), self.body, (1,))


def reads(name: str, size: int, dtype: np.dtype[np.generic] = F32) -> Param:
    return Param(name, dtype, size, (size,))


def writes(name: str, size: int, dtype: np.dtype[np.generic] = F32) -> Param:
    return Param(name, dtype, size, (size,), written=True)


ROW = place("row", 5, I)
WHERE = (load("id", "ids", at(I), I32), Position("row", ref("id", I32), 5, (3,)))
TABLE, IDS = reads("table", 20), reads("ids", 6, I32)
TRIANGLE = For(
    K, (
        load("a_at", "a", at(I) * 6 + at(K)),
        load("x_at", "x", at(K)),
        Let("product", Apply("mul", (ref("a_at"), ref("x_at")), F32)),
        Accumulate("sum", None, "sum", ref("product"), F32),
    ),
)  # fmt: skip


def triangular(**bounds: Index) -> tuple[Stmt, ...]:
    """`y[i] = sum(a[i, k] * x[k])` over some k of each row."""
    inner = replace(TRIANGLE, **bounds)
    return (For(I, (Declare("sum", F32, ZERO), inner, Store("y", at(I), ref("sum")))),)


def added(base: Array, ids: Array, u: Array, fold: Callable[..., object] = np.add.at) -> Array:
    out = base.reshape(5, 4).copy()
    fold(out, ids, u.reshape(6, 4))
    return out.reshape(-1)


def scatter(op: str) -> tuple[Stmt, ...]:
    step = load("u_at", "u", at(I) * 4 + at(J))
    fold = Accumulate("out", ROW * 4 + at(J), op, ref("u_at"), F32)
    return (Copy("out", "base", 20, F32, (2,)), For(I, (*WHERE, For(J, (step, fold)))))


SQUARE, VECTOR = reads("a", 36), reads("x", 6)
BASE, UPDATES, OUT = reads("base", 20), reads("u", 24), writes("out", 20)
CASES = {
    "gather": Case(
        (TABLE, IDS, writes("y", 24)),
        (For(I, (*WHERE, For(J, (
            load("v", "table", ROW * 4 + at(J)), Store("y", at(I) * 4 + at(J), ref("v")),
        ), LoopKind.LANES))),),
        lambda table, ids: table.reshape(5, 4)[ids].reshape(-1),
    ),
    "gather of single elements": Case(
        (reads("table", 5), IDS, writes("y", 6)),
        (For(I, (*WHERE, load("v", "table", ROW), Store("y", at(I), ref("v")))),),
        lambda table, ids: table[ids],
    ),
    "scatter-add": Case((BASE, IDS, UPDATES, OUT), scatter("sum"), added),
    "greatest of each place": Case(
        (BASE, IDS, UPDATES, OUT), scatter("max"),
        lambda base, ids, u: added(base, ids, u, np.maximum.at),
    ),
    "count of each place": Case(
        (IDS, writes("y", 5, I32)),
        (
            For(Var("k", 5), (Store("y", at(Var("k", 5)), Literal(0, I32)),)),
            For(I, (*WHERE, Accumulate("y", ROW, "sum", Literal(1, I32), I32))),
        ),
        lambda ids: np.bincount(ids, minlength=5),
    ),
    "total in an array of one": Case(
        (VECTOR, writes("y", 1)),
        (
            LocalArray("total", F32, 1, ZERO),
            For(
                I,
                (
                    load("v", "x", at(I)),
                    Accumulate("total", Index(), "sum", ref("v"), F32),
                ),
            ),
            load("all", "total", Index()),
            Store("y", Index(), ZERO),
            Accumulate("y", Index(), "sum", ref("all"), F32),
        ),
        lambda x: x.sum(keepdims=True),
    ),
    "lower triangle": Case(
        (SQUARE, VECTOR, writes("y", 6)), triangular(high=at(I) + 1),
        lambda a, x: np.tril(a.reshape(6, 6)) @ x,
    ),
    "strict lower triangle": Case(
        (SQUARE, VECTOR, writes("y", 6)), triangular(high=at(I)),
        lambda a, x: np.tril(a.reshape(6, 6), -1) @ x,
    ),
    "upper triangle": Case(
        (SQUARE, VECTOR, writes("y", 6)), triangular(low=at(I)),
        lambda a, x: np.triu(a.reshape(6, 6)) @ x,
    ),
    "prefix sum": Case(
        (VECTOR, writes("y", 6)),
        (
            Declare("sum", F32, ZERO),
            For(I, (
                load("v", "x", at(I)),
                Accumulate("sum", None, "sum", ref("v"), F32),
                Store("y", at(I), ref("sum")),
            ), nodes=(7,)),
        ),
        np.cumsum,
    ),
    "prefix sum from below": Case(
        (VECTOR, writes("y", 6)),
        (
            Copy("y", "x", 6, F32),
            For(Var("i", 6, first=1), (
                load("before", "y", at(Var("i", 6, first=1)) + -1),
                Accumulate("y", at(Var("i", 6, first=1)), "sum", ref("before"), F32),
            )),
        ),
        np.cumsum,
    ),
    "copy": Case((BASE, OUT), (Copy("out", "base", 20, F32),), lambda base: base),
    "copy of one element": Case(
        (reads("x", 1), writes("y", 1)), (Copy("y", "x", 1, F32),), lambda x: x
    ),
}  # fmt: skip


def arrays(case: Case) -> dict[str, Array]:
    """Whole numbers, so that no order of additions shows; ids of five places."""
    rng = np.random.default_rng(2)
    return {
        p.name: np.full(p.size, -99, p.dtype)
        if p.written
        else rng.integers(0, 5, p.size).astype(p.dtype)
        for p in parameters(case.kernel)
    }


def expected(case: Case) -> Array:
    return case.meaning(*(a for name, a in arrays(case).items() if not written(case, name)))


def written(case: Case, name: str) -> bool:
    return any(p.name == name and p.written for p in case.params)


@pytest.mark.parametrize("name", CASES)
def test_the_interpreter_gives_what_is_meant(name: str):
    case = CASES[name]
    made = interpreted(case.kernel, arrays(case))
    np.testing.assert_array_equal(made[case.params[-1].name], expected(case))


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_c_gives_what_is_meant(compiler: str, tmp_path: Path):
    cases = list(CASES.values())
    made = compiled([c.kernel for c in cases], [arrays(c) for c in cases], tmp_path, compiler)
    for name, case, found in zip(CASES, cases, made, strict=True):
        np.testing.assert_array_equal(found[case.params[-1].name], expected(case), name)


@pytest.mark.parametrize("name", ["scatter-add", "greatest of each place", "copy"])
def test_what_changes_a_copy_may_be_laid_over_what_is_copied(name: str):
    case = CASES[name]
    kernel = case.kernel
    pair = (0, len(case.params) - 1)
    assert pair in in_place_pairs(kernel)
    merged = merge_buffers(kernel, *pair)
    assert not any(isinstance(s, Copy) for s in merged.body)
    given = arrays(case)
    given["out"] = given.pop("base")
    np.testing.assert_array_equal(interpreted(merged, given)["out"], expected(case))


def test_what_is_read_anywhere_is_not_laid_under_what_is_written_there():
    """A gather, whose result has the size of its table."""
    body = (For(I, (*WHERE, load("v", "x", ROW), Store("y", at(I), ref("v")))),)
    whole = Kernel("k", (VECTOR, IDS, writes("y", 6)), (0, 1, 2), body, (1,))
    assert in_place_pairs(whole) == []
    again = (For(I, (*WHERE, load("v", "x", ROW), Store("y", ROW, ref("v")))),)
    assert in_place_pairs(replace(whole, body=again)) == []
    apart = (*WHERE[:1], For(I, (*WHERE, load("v", "x", ROW))), For(I, (Store("y", at(I), ZERO),)))
    assert in_place_pairs(replace(whole, body=apart)) == [(0, 2)]


# Listing, signature, cuts ---


def test_they_read_as_a_listing():
    text = {name: listing(case.kernel).splitlines() for name, case in CASES.items()}
    assert text["scatter-add"][3:] == [
        "out = copy 20 f32 base  #2",
        "for i < 6",
        "    let id i32 = ids[i]",
        "    place row < 5 = id  #3",
        "    for j < 4",
        "        let u_at f32 = u[4*i + j]",
        "        out[4*row + j] = sum(out[4*row + j], u_at)",
    ]
    assert "    for k < i + 1" in text["lower triangle"]
    assert "    for i <= k < 6" in text["upper triangle"]
    assert "    for j < 4 in lanes" in text["gather"]
    assert "for i < 6  #7" in text["prefix sum"]


def test_nests_that_differ_have_other_signatures():
    assert len({signature(case.kernel) for case in CASES.values()}) == len(CASES)


def test_names_of_places_are_no_part_of_a_signature():
    case = CASES["gather of single elements"]
    other = place("position", 5, I)
    body = (
        For(I, (
            WHERE[0], Position("position", ref("id", I32), 5),
            load("v", "table", other), Store("y", at(I), ref("v")),
        )),
    )  # fmt: skip
    assert signature(case.kernel) == signature(replace(case.kernel, body=body))


def test_a_loop_is_cut_around_places_and_triangles():
    """The outer loop is cut; places and the bounds of inner loops follow it."""
    for name in ("gather", "scatter-add", "lower triangle", "upper triangle"):
        case = CASES[name]
        *before, loop = case.body
        assert isinstance(loop, For)
        guard = (Declare("c", F32, ZERO), If(((at(I), 2, 4),), (Assign("c", ZERO),)))
        kernel = replace(case.kernel, body=(*before, replace(loop, body=(*guard, *loop.body))))
        cut = cut_loops(kernel)
        assert listing(cut).count("for ") > listing(kernel).count("for ")
        made = interpreted(cut, arrays(case))
        np.testing.assert_array_equal(made[case.params[-1].name], expected(case), name)


def test_a_place_that_is_not_needed_goes():
    keeps = without_unused((*WHERE, Store("y", ROW, ZERO)))
    assert len(keeps) == 3
    assert len(without_unused((*WHERE, Store("y", Index(), ZERO)))) == 1


# What cannot be ---


def test_a_place_outside_its_extent_raises():
    case = CASES["gather"]
    given = arrays(case) | {"ids": np.array([0, 1, 5, 0, 0, 0], np.int32)}
    with pytest.raises(IndexError, match=r"`row` is 5, outside 0\.\.4"):
        interpreted(case.kernel, given)


def test_a_fold_into_what_is_only_read_raises():
    body = (Accumulate("x", Index(), "sum", ZERO, F32),)
    kernel = Kernel("k", (VECTOR,), (0,), body, (1,))
    with pytest.raises(ValueError, match="only read"):
        interpreted(kernel, {"x": np.zeros(6, np.float32)})


WRONG_BOUNDS = {
    "above the variable": {"high": at(I) + 2},
    "below the variable": {"low": at(I) + -1},
    "below nothing": {"high": at(I) + -1},
    "with a step": {"low": at(I), "var": Var("k", 6, 2)},
}


@pytest.mark.parametrize("name", WRONG_BOUNDS)
def test_a_loop_does_not_leave_what_its_variable_may_be(name: str):
    with pytest.raises(ValueError, match="the loop over"):
        replace(TRIANGLE, **WRONG_BOUNDS[name])


def test_a_variable_that_a_place_changes_with_is_not_replaced():
    with pytest.raises(ValueError, match="`row` is computed for other values"):
        replace_vars(ROW, {I: at(J)})
    assert replace_vars(ROW + at(J), {J: at(K)}) == ROW + at(K)
    assert ROW.bounds == (0, 4)
    assert ROW.vars == {I}
