"""Lowering, without a C compiler: executing the loop nests gives what the graph means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nests import compare, kernels_of, lowered, run

import gradc as gd
from gradc import nn
from gradc.dtypes import F32, I32
from gradc.index import Index, Var, at
from gradc.lower.execute import execute
from gradc.lower.inplace import in_place_pairs
from gradc.lower.listing import listing
from gradc.lower.nest import (
    Accumulate,
    Apply,
    Assign,
    Declare,
    For,
    If,
    Kernel,
    Let,
    Literal,
    Load,
    Param,
    Product,
    Ref,
    Stmt,
    Store,
)
from gradc.lower.rename import merge_buffers
from gradc.lower.target import TARGETS
from gradc.lower.traverse import walk
from gradc.trace import trace_tree

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.normal(size=shape).astype(np.float32)


def mlp_step(w1, b1, w2, b2, x, y):
    """One step of gradient descent on a small classifier."""

    def loss(w1, b1, w2, b2):
        return nn.cross_entropy(gd.tanh(x @ w1.T + b1) @ w2.T + b2, y)

    value, gradients = gd.value_and_grad(loss, argnums=(0, 1, 2, 3))(w1, b1, w2, b2)
    updated = [p - 0.1 * g for p, g in zip((w1, b1, w2, b2), gradients, strict=True)]
    return value, updated


MLP = (
    normal(13, 9), normal(13), normal(5, 13), normal(5), normal(11, 9),
    RNG.integers(0, 5, 11).astype(np.int32),
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_a_training_step_is_what_its_graph_means(target):
    compare(mlp_step, *MLP, target=target)


def test_a_training_step_without_fusion_is_what_its_graph_means():
    compare(mlp_step, *MLP, fusion=False)


def softmax(a):
    e = gd.exp(a - gd.max(a, axis=-1, keepdims=True))
    return e / gd.sum(e, axis=-1, keepdims=True)


def layer_norm(a):
    centred = a - gd.mean(a, axis=-1, keepdims=True)
    return centred / gd.sqrt(gd.mean(centred * centred, axis=-1, keepdims=True) + 1e-5)


A, B3, LONG = normal(6, 7), normal(3, 4, 5), normal(5, 53)
K = RNG.integers(-9, 9, (4, 6)).astype(np.int32)
NAN = np.where(RNG.uniform(size=(4, 9)) < 0.1, np.nan, normal(4, 9)).astype(np.float32)

PROGRAMS = {
    "softmax rows": (softmax, A),
    "softmax of long rows": (softmax, LONG),
    "softmax backward": (lambda a: gd.grad(lambda v: gd.sum(softmax(v) ** 2))(a), A),
    "layer norm": (layer_norm, A),
    "layer norm backward": (lambda a: gd.grad(lambda v: gd.sum(layer_norm(v) ** 3))(a), B3),
    "sum of all": (lambda a: gd.sum(a), B3),
    "mean of much": (lambda a: gd.mean(a * a), normal(9, 11)),
    "mean and the values": (lambda a: (gd.tanh(a), gd.mean(gd.tanh(a))), normal(6, 12)),
    "sum over the first axis": (lambda a: gd.sum(a, axis=0), B3),
    "sum over the middle axis": (lambda a: gd.sum(a, axis=1), B3),
    "sum over the outer axes": (lambda a: gd.sum(a, axis=(0, 2)), B3),
    "sum over the last axes": (lambda a: gd.sum(a, axis=(1, 2)), normal(3, 6, 7)),
    "sum over the first axes": (lambda a: gd.sum(a, axis=(0, 1)), B3),
    "product of integers": (lambda k: gd.prod(k, axis=1), K),
    "least and greatest": (lambda a: (gd.min(a, axis=0), gd.max(a, axis=1)), NAN),
    "any and all": (lambda k: (gd.any(k > 8, axis=0), gd.all(k > -9, axis=1)), K),
    "argmax": (lambda a: (gd.argmax(a, axis=1), gd.argmin(a, axis=0)), NAN),
    "argmax beside its maximum": (lambda a: (gd.argmax(a, axis=1), gd.max(a, axis=1)), LONG),
    "variance": (lambda a: (gd.mean(a, axis=0), gd.var(a, axis=0)), A),
    "transpose": (lambda a: (gd.tanh(a.T), a.T + 1), A),
    "reshape": (lambda a: gd.tanh(gd.reshape(a, (3, 14))) + 1, A),
    "reshape against the grain": (lambda a: gd.reshape(a.T, (3, 14)) * 2, A),
    "ravel of a sum": (lambda a, b: gd.ravel(a + b), A, A),
    "flip and slice": (lambda a: a[::-1, 1::2] * a[:, 1::2], A),
    "concat": (lambda a: gd.concat([a, 2 * a, a[:, :1]], axis=1), A),
    "concat of rows": (lambda a: gd.tanh(gd.concat([a, a[:2]], axis=0)), A),
    "pad": (lambda a: gd.grad(lambda v: gd.sum(gd.tanh(v[1:, ::3])))(a), A),
    "roll": (lambda a: gd.roll(a, 2, axis=1) - a, A),
    "broadcasts": (lambda a, v: a[:, None, :] * v[None, :, None], A, normal(3)),
    "bias of a channel": (lambda a, v: gd.tanh(a + v), B3, normal(5)),
    "bias of a row": (lambda a, v: gd.tanh(a + v[:, None, None]), B3, normal(3)),
    "scalars": (lambda a, s: gd.tanh(a * s) / (s + 1), normal(4, 5), np.float32(0.5)),
    "positions": (lambda a: a * gd.arange(7, dtype="float32"), A),
    "a constant array": (lambda a: a + np.arange(42, dtype=np.float32).reshape(6, 7), A),
    "where and casts": (lambda k: gd.where(k > 0, k, -k).astype("float32") / 3, K),
    "no elements": (lambda a: (gd.sum(a, axis=0), gd.tanh(a)), normal(0, 3)),
    "axes of one element": (lambda a: gd.sum(gd.tanh(a), axis=(0, 2)), normal(1, 5, 1)),
    "inner product": (lambda a, b: gd.vecdot(a, b), normal(77), normal(77)),
    "matrix times vector": (lambda a, b: a @ b, normal(19, 37), normal(37)),
    "vector times matrix": (lambda a, b: b @ a, normal(37, 19), normal(37)),
    "batch of products": (lambda a, b: gd.tanh(a @ b), normal(2, 9, 7), normal(2, 7, 11)),
    "batch of small products": (lambda a, b: a @ b, normal(3, 2, 4), normal(3, 4, 2)),
    "product of transposes": (lambda a, b: a.T @ b.T, normal(8, 9), normal(11, 8)),
    "two contracted axes": (
        lambda a, b: gd.tensordot(a, b, axes=((1, 2), (0, 1))), normal(6, 3, 5), normal(3, 5, 10)
    ),
    "integer product": (lambda k: k @ k.T, K),
    "product of a rolled matrix": (
        lambda a, b: gd.roll(a, 1, axis=0) @ b, normal(9, 8), normal(8, 9)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_what_its_graph_means(name):
    fn, *args = PROGRAMS[name]
    compare(fn, *args)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(1, 40, 33), (9, 17, 35), (29, 20, 3), (8, 10, 16)])
def test_ragged_rows_and_columns_of_a_product(target, shape):
    m, k, n = shape
    compare(lambda a, b: gd.tanh(a @ b), normal(m, k), normal(k, n), target=target)
    compare(lambda a, b: a.T @ b.T, normal(k, m), normal(n, k), target=target)


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_output_may_lie_over_an_input_where_the_kernel_says_so(name):
    fn, *args = PROGRAMS[name]
    for kernel in kernels_of(fn, *args):
        apart = _arrays(kernel)
        execute(kernel, apart)
        for i, o in in_place_pairs(kernel):
            merged = merge_buffers(kernel, kernel.buffers[i], kernel.buffers[o])
            together = _arrays(kernel)
            source, target = kernel.params[i].name, kernel.params[o].name
            together[target] = together.pop(source)
            execute(merged, together)
            for p in merged.params:
                np.testing.assert_array_equal(together[p.name], apart[p.name])


def _arrays(kernel: Kernel) -> dict[str, np.ndarray[Any, Any]]:
    """The same arrays every time, small whole numbers."""
    rng = np.random.default_rng(1)
    return {p.name: rng.integers(0, 2, p.size).astype(p.dtype) for p in kernel.params}


# What may be done in place, case by case. `x` and `y` are matrices of 3 x 3.

I, J = Var("i", 3), Var("j", 3)
HERE, TURNED = at(I) * 3 + at(J), at(J) * 3 + at(I)


def load(index: Index, buffer: str = "x", name: str = "v") -> Let:
    return Let(name, Load(buffer, index, F32))


def store(index: Index = HERE, name: str = "v") -> Store:
    return Store("y", index, Ref(name, F32))


def nest(*body: Stmt) -> tuple[Stmt, ...]:
    return (For(I, (For(J, body),)),)


def kernel(*body: Stmt) -> Kernel:
    x, y = (Param(name, F32, 9, (3, 3), written=name == "y") for name in "xy")
    return Kernel("k", (x, y), (0, 1), body, (1,))


def columns(count: int, start: int = 0) -> tuple[Stmt, ...]:
    """Some columns of row i, each element replaced."""
    index = at(I) * 3 + at(Var("c", count)) + start
    return (For(Var("c", count), (load(index), store(index))),)


def blocks(count: int, start: int = 0) -> tuple[Stmt, ...]:
    """Some rows, each element replaced."""
    rows = Var("r", count)
    index = at(rows) * 3 + at(J) + start
    return (For(rows, (For(J, (load(index), store(index))),)),)


ROW_SUM = (
    Declare("total", F32, Literal(0.0, F32)),
    For(J, (load(HERE), Accumulate("total", None, "sum", Ref("v", F32), F32))),
)
IN_PLACE = {
    "the same element": nest(load(HERE), store()),
    "a row's sum, then the row": (For(I, (*ROW_SUM, For(J, (store(name="total"),)))),),
    "a row's sum, then the row again": (
        For(I, (*ROW_SUM, For(J, (load(HERE, name="w"), store(name="w"))))),
    ),
    "all read, then all written": (
        Declare("total", F32, Literal(0.0, F32)),
        *nest(load(TURNED), Accumulate("total", None, "sum", Ref("v", F32), F32)),
        *nest(store(name="total")),
    ),
    "in blocks of columns": (For(I, columns(2)), For(I, columns(1, start=2))),
    "in blocks of rows": (*blocks(2), *blocks(1, start=6)),
}
NOT_IN_PLACE = {
    "transposed": nest(load(TURNED), store()),
    "a neighbour": nest(load(HERE), load(at(I) * 3, name="w"), store()),
    "read after it is written": (*nest(load(HERE), store()), *nest(load(HERE, name="w"))),
    "read after, in one loop": nest(load(HERE), store(), load(HERE, name="w")),
    "a column's sum, then the row": (
        For(I, (
            Declare("total", F32, Literal(0.0, F32)),
            For(J, (load(TURNED), Accumulate("total", None, "sum", Ref("v", F32), F32))),
            For(J, (store(name="total"),)),
        )),
    ),
    "in blocks of columns that overlap": (For(I, columns(2)), For(I, columns(2, start=1))),
    "in blocks of rows that overlap": (*blocks(2), *blocks(2, start=3)),
    "rows that overlap": (
        For(I, (For(J, (
            *(For(Var("k", 2), (load(at(I) * 3 + at(J) * 2 + at(Var("k", 2))),)),),
            *(For(Var("m", 2), (store(at(I) * 3 + at(J) * 2 + at(Var("m", 2)) * -1 + 1),)),),
        )),)),
    ),
    "every time again": nest(load(at(J)), store(at(J))),
    "where iterations meet": nest(load(at(I) + at(J)), store(at(I) + at(J))),
    "written twice": (*nest(load(HERE), store()), *nest(load(HERE), store())),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_is_allowed(name):
    assert in_place_pairs(kernel(*IN_PLACE[name])) == [(0, 1)]


@pytest.mark.parametrize("name", NOT_IN_PLACE)
def test_in_place_is_refused(name):
    assert in_place_pairs(kernel(*NOT_IN_PLACE[name])) == []


def test_in_place_needs_the_same_size_and_dtype():
    body = nest(load(HERE), store())
    base = kernel(*body)
    other = Param("x", I32, 9, (3, 3))
    assert in_place_pairs(Kernel("k", (other, base.params[1]), (0, 1), body, (1,))) == []
    other = Param("x", F32, 12, (4, 3))
    assert in_place_pairs(Kernel("k", (other, base.params[1]), (0, 1), body, (1,))) == []


def test_merged_buffers_are_one_written_parameter():
    merged = merge_buffers(kernel(*nest(load(HERE), store())), 0, 1)
    assert [(p.name, p.written) for p in merged.params] == [("y", True)]
    assert merged.buffers == (0,)
    assert "let v f32 = y[3*i + j]" in listing(merged)


# The executor itself


def test_a_kernel_reads_as_a_listing():
    (only,) = kernels_of(lambda x: gd.sum(x * x, axis=1), A)
    assert listing(only).splitlines() == [
        "kernel forward_y0",
        "    reads x f32[6, 7]",
        "    writes y0 f32[6]",
        "for i < 6",
        "    var sum f32 = 0.0  #2",
        "    for j < 7",
        "        let x_at f32 = x[7*i + j]  #0",
        "        let product f32 = mul(x_at, x_at)  #1",
        "        sum = sum(sum, product)  #2",
        "    y0[i] = sum  #2",
    ]


def test_a_tile_reads_as_a_listing():
    (only,) = kernels_of(lambda x, w: gd.tanh(x @ w), normal(16, 8), normal(8, 16))
    assert listing(only).splitlines()[3:10] == [
        "for i < 16 step 4",
        "    block",
        "        array tile f32[64]",
        "        tile[0] by 16 = product 4 x 16 x 8 in f32x8 of x[8*i] by 8, 1 and w[0] by 16  #2",
        "        for r < 4 in rows",
        "            for c < 16 in lanes",
        "                let dot f32 = tile[16*r + c]  #2",
    ]


def test_sums_without_an_epilogue_go_where_they_are_wanted():
    (only,) = kernels_of(lambda x, w: x @ w, normal(16, 8), normal(8, 16))
    assert [type(s) for s in walk(only.body)] == [For, Product]


ONE = Literal(1.0, F32)
WRONG = {
    "an index past the end": (nest(load(HERE + 1), store()), IndexError, "the index is 9"),
    "a negative index": (nest(load(HERE + -1), store()), IndexError, "the index is -1"),
    "a store past the end": (nest(load(HERE), store(HERE + 1)), IndexError, "`y` has 9"),
    "a write to an input": (nest(Store("x", HERE, ONE)), ValueError, "only read"),
    "a name declared twice": (nest(load(HERE), load(HERE), store()), NameError, "twice"),
    "a name out of scope": ((*nest(load(HERE)), store(Index())), KeyError, "v"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_would_be_undefined_in_c_raises(name):
    body, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        execute(kernel(*body), {n: np.zeros(9, np.float32) for n in "xy"})


def test_arrays_must_be_those_of_the_parameters():
    whole = kernel(*nest(load(HERE), store()))
    with pytest.raises(ValueError, match=r"`x` is float32\[9\], got float32\[3, 3\]"):
        execute(whole, {"x": np.zeros((3, 3), np.float32), "y": np.zeros(9, np.float32)})


def test_a_guard_keeps_what_is_outside_from_being_read():
    v = Ref("v", F32)
    body = nest(
        Declare("v", F32, ONE),
        If(((at(J), 1, 3),), (load(HERE + -1, name="w"), Assign("v", Ref("w", F32)))),
        Let("twice", Apply("add", (v, v), F32)),
        store(name="twice"),
    )
    x, y = np.arange(9, dtype=np.float32), np.zeros(9, np.float32)
    execute(kernel(*body), {"x": x, "y": y})
    np.testing.assert_array_equal(y, [2, 0, 2, 2, 6, 8, 2, 12, 14])


def test_what_was_never_written_shows():
    body = (For(Var("i", 8), (Store("y", at(Var("i", 8)), ONE),)),)
    job = lowered(trace_tree(lambda a: a + 1, A).graph)
    assert np.isfinite(run(job, [A])[0]).all()
    buffers = {"x": np.zeros(9, np.float32), "y": np.full(9, np.nan, np.float32)}
    execute(kernel(*body), buffers)
    assert np.isnan(buffers["y"][8])
