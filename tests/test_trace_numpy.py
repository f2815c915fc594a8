"""Tracing: every form of Python and NumPy that works gives NumPy's result."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from traced import RNG, A, B, K, V, check_same, run

import gradc as gd

BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
    operator.eq,
    operator.ne,
]


@pytest.mark.parametrize("op", BINARY, ids=lambda f: f.__name__)
def test_operators_broadcast_and_reflect(op):
    check_same(op, A, B)
    check_same(op, A, V)
    check_same(op, V, A)
    check_same(lambda a: op(a, 2), A)
    check_same(lambda a: op(2, a), A)
    check_same(lambda a: op(a, 1.5), A)
    check_same(lambda a: op(a, np.float64(1.5)), A.astype(np.float64))
    check_same(lambda a: op(B, a), A)
    check_same(lambda a: op(a, [1, 2, 3, 4]), A.astype(np.float64))


INTEGER = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.floordiv,
    operator.mod,
    operator.and_,
    operator.or_,
    operator.xor,
    operator.lshift,
    operator.rshift,
]


@pytest.mark.parametrize("op", INTEGER, ids=lambda f: f.__name__)
def test_integer_operators(op):
    check_same(op, K, K[::-1])
    check_same(lambda k: op(k, 3), K)
    check_same(lambda k: op(3, k), K)


def test_unary_operators_and_logic():
    check_same(lambda a: -a, A)
    check_same(lambda a: +a, A)
    check_same(abs, -A)
    check_same(lambda k: ~k, K)
    check_same(lambda a: ~(a > 1), A)
    check_same(lambda a: (a > 1) & (a < 1.5) | (a == 2), A)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, -1, -2, 0.5, 2.0, 1.5, -0.5])
def test_powers_with_a_number(n):
    check_same(lambda a: a**n, A, rtol=1e-5)
    check_same(lambda a: np.power(a, n), A, rtol=1e-5)


def test_whole_powers_of_integers():
    check_same(lambda k: k**3, K)
    assert [n.op for n in gd.trace(lambda a: a**2, gd.f32[3])] == ["input", "square"]


SHAPES = [
    ((3, 4), (4, 5)),
    ((4,), (4, 5)),
    ((3, 4), (4,)),
    ((4,), (4,)),
    ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)),
    ((4,), (2, 4, 5)),
    ((2, 3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (7, 4, 5)),
    ((5, 1, 3, 4), (2, 4, 1)),
    ((2, 3, 4), (4,)),
]


@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_matmul_is_numpys(left, right):
    a, b = RNG.normal(size=left), RNG.normal(size=right)
    check_same(operator.matmul, a, b, rtol=1e-9)
    check_same(np.matmul, a, b, rtol=1e-9)
    check_same(lambda x: a @ x, b, rtol=1e-9)
    check_same(np.dot, a, b, rtol=1e-9)


def test_methods():
    for fn in (
        lambda a: a.sum(),
        lambda a: a.sum(0),
        lambda a: a.sum(axis=(0, 1), keepdims=True),
        lambda a: a.mean(-1),
        lambda a: a.max(1),
        lambda a: a.min(axis=0, keepdims=True),
        lambda a: a.prod(1),
        lambda a: (a > 1).all(1),
        lambda a: (a > 1).any(),
        lambda a: a.all(),
        lambda a: a.T,
        lambda a: a.reshape(4, 3),
        lambda a: a.reshape((2, -1)),
        lambda a: a.reshape(-1),
        lambda a: a.transpose(1, 0),
        lambda a: a.transpose((1, 0)),
        lambda a: a.transpose(),
        lambda a: a.swapaxes(0, 1),
        lambda a: a.astype("float64"),
        lambda a: a.astype(np.int32),
        lambda a: a.astype(bool),
        lambda a: a.ravel(),
        lambda a: a.flatten(),
        lambda a: a.clip(1, 1.5),
        lambda a: a[None].squeeze(),
        lambda a: a.copy(),
        lambda a: a.dot(a.T),
    ):
        check_same(fn, A, rtol=1e-5)
    check_same(lambda k: k.sum(), K)
    check_same(lambda k: k.sum(0), K.astype(np.uint8))
    check_same(lambda k: (k > 3).sum(), K)
    check_same(lambda k: k.max(), K)
    assert run(lambda a: a.argmax(1), A).tolist() == A.argmax(1).tolist()
    assert run(lambda a: a.argmin(), A).tolist() == A.argmin()
    check_same(lambda k: (k > 3).mean(), K)
    check_same(lambda k: k.mean(0, dtype=np.float32), K)
    assert run(lambda a: a.mT, A).tolist() == A.T.tolist()


def test_sizes_are_known_while_tracing():
    def fn(x):
        assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((3, 4), 2, 12, 3, np.float32)
        assert (np.shape(x), np.ndim(x), np.size(x)) == ((3, 4), 2, 12)
        assert [row.shape for row in x] == [(4,)] * 3
        return sum(row for row in x)

    check_same(fn, A)


@st.composite
def basic_indices(draw):
    shape = draw(st.lists(st.integers(0, 5), min_size=0, max_size=3))
    bound = st.none() | st.integers(-7, 7)
    step = st.none() | st.integers(-3, 3).filter(bool)
    items: list[Any] = []
    for n in draw(st.permutations(shape))[: draw(st.integers(0, len(shape)))]:
        choice = st.builds(slice, bound, bound, step)
        if n:
            choice |= st.integers(-min(shape), min(shape) - 1) if min(shape) else choice
        items.append(draw(choice))
    for _ in range(draw(st.integers(0, 2))):
        items.insert(draw(st.integers(0, len(items))), None)
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), Ellipsis)
    return shape, tuple(items)


@given(basic_indices())
def test_basic_indexing_is_numpys(case):
    shape, key = case
    x = np.arange(float(np.prod(shape, dtype=int))).reshape(shape)
    np.testing.assert_array_equal(run(lambda a: a[key], x), x[key])


NUMPY_CODE = [
    lambda x, w: np.tanh(x @ w).mean(),
    lambda x, w: np.sum(x, axis=1) + np.mean(x) * np.max(x, axis=1),
    lambda x, w: np.where(x > 1, x, 0.0),
    lambda x, w: np.concatenate([x, x[:, :2]], axis=1),
    lambda x, w: np.stack([x, 2 * x], axis=-1),
    lambda x, w: np.reshape(np.transpose(x), (2, 6)),
    lambda x, w: np.dot(x, w),
    lambda x, w: np.matmul(x, w),
    lambda x, w: np.clip(x, 1, 1.5),
    lambda x, w: np.expand_dims(x, 0) + np.squeeze(x[None], axis=0),
    lambda x, w: np.zeros_like(x) + np.ones_like(x) + np.full_like(x, 3),
    lambda x, w: np.maximum(x, 1) * np.minimum(x, 1.2) + np.hypot(x, x),
    lambda x, w: np.add.reduce(x, axis=1) + np.maximum.reduce(x, axis=1),
    lambda x, w: np.linalg.norm(x) + np.linalg.norm(x, axis=1),
    lambda x, w: np.tensordot(x, w, axes=1) + np.inner(x, w.T) + np.outer(x[:, 0], w[0]),
    lambda x, w: np.var(x, axis=0) + np.std(x, axis=0, ddof=1),
    lambda x, w: np.flip(x, 1) + np.roll(x, 1, axis=1) + np.roll(x, 5),
    lambda x, w: np.moveaxis(x[None], 0, -1) * np.swapaxes(x, 0, 1).T[..., None],
    lambda x, w: np.broadcast_to(x, (2, 3, 4)) + np.tril(x) - np.triu(x, 1),
    lambda x, w: np.log1p(np.exp(x)) + np.logaddexp(x, 1.0) + np.square(x) + np.fabs(-x),
    lambda x, w: np.round(x, 1) + np.around(x) + np.sign(x) + np.positive(x) + np.copy(x),
    lambda x, w: np.vecdot(x, x) + np.prod(x, axis=1),
    lambda x, w: np.isfinite(x) & np.any(x > 1) | np.all(x > 1, axis=0),
    lambda x, w: sum(np.broadcast_arrays(x, x[0])),
]


@pytest.mark.parametrize("fn", NUMPY_CODE)
def test_plain_numpy_code_is_traced_as_it_is(fn):
    check_same(fn, A, np.ascontiguousarray(A.T[:, :2]), rtol=2e-5)
