"""The array functions: traced and at once they give the same, which is NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import functions
from gradc.errors import DTypeError, ShapeError
from gradc.interpret import interpret
from gradc.ops import OPS
from gradc.trace import Value, trace_tree

RNG = np.random.default_rng(0)
A = RNG.uniform(0.5, 2, (3, 4)).astype(np.float32)
B = RNG.uniform(0.5, 2, (4, 2)).astype(np.float32)
M = RNG.uniform(size=(3, 4)) < 0.5
K = RNG.integers(0, 9, (3, 4)).astype(np.int32)


def run(fn, *args) -> Any:
    traced = trace_tree(fn, *args)
    return traced.out_tree.unflatten(interpret(traced.graph, traced.arrays(args)))


CASES = {
    "matmul": (gd.matmul, A, B),
    "dot": (gd.dot, A, B),
    "tensordot": (lambda a, b: gd.tensordot(a, b, axes=((1,), (0,))), A, B),
    "tensordot 0": (lambda a, b: gd.tensordot(a, b, 0), A, B),
    "inner": (gd.inner, A, A),
    "outer": (gd.outer, A[0], B[0]),
    "vecdot": (lambda a: gd.vecdot(a, a, axis=0), A),
    "sum": (lambda a: gd.sum(a, axis=1, keepdims=True), A),
    "sum of integers": (lambda k: gd.sum(k, axis=0), K),
    "sum dtype": (lambda a: gd.sum(a, dtype="float64"), A),
    "prod": (lambda a: gd.prod(a, axis=0), A),
    "max": (lambda a: gd.max(a, axis=(0, 1)), A),
    "min": (lambda a: gd.min(a, axis=-1), A),
    "any": (lambda m: gd.any(m, axis=0), M),
    "all": (lambda m: gd.all(m, axis=1, keepdims=True), M),
    "mean": (lambda a: gd.mean(a, axis=0), A),
    "var": (lambda a: gd.var(a, axis=1, correction=1), A),
    "std": (lambda a: gd.std(a, keepdims=True), A),
    "reshape": (lambda a: gd.reshape(a, (2, -1)), A),
    "permute_dims": (lambda a: gd.permute_dims(a, (1, 0)), A),
    "matrix_transpose": (gd.matrix_transpose, A),
    "swapaxes": (lambda a: gd.swapaxes(a, 0, 1), A),
    "moveaxis": (lambda a: gd.moveaxis(a[None], (0, 1), (2, 0)), A),
    "expand_dims": (lambda a: gd.expand_dims(a, axis=(0, -1)), A),
    "squeeze": (lambda a: gd.squeeze(a[:1], axis=0), A),
    "ravel": (gd.ravel, A),
    "broadcast_to": (lambda a: gd.broadcast_to(a, (2, 3, 4)), A),
    "broadcast_to 1": (lambda a: gd.broadcast_to(a[:, :1], (2, 3, 4)), A),
    "flip": (lambda a: gd.flip(a, axis=0), A),
    "flip all": (gd.flip, A),
    "roll": (lambda a: gd.roll(a, -3, axis=1), A),
    "concat": (lambda a: gd.concat([a, a[:1], np.ones((1, 4), np.float32)]), A),
    "concat flat": (lambda a: gd.concat([a, a[:, 0]], axis=None), A),
    "stack": (lambda a: gd.stack([a, 2 * a], axis=1), A),
    "tril": (lambda a: gd.tril(a, -1), A),
    "triu": (lambda a: gd.triu(a, 1), A),
    "where": (lambda m, a: gd.where(m, a, 0.0), M, A),
    "clip": (lambda a: gd.clip(a, 1.0, 1.5), A),
    "clip low": (lambda a: gd.clip(a, 1.0), A),
    "astype": (lambda a: gd.astype(a, gd.int32), A),
    "pow": (lambda a: gd.pow(a, 3), A),
    "negative": (gd.negative, A),
    "positive": (gd.positive, A),
    "subtract": (lambda a: gd.subtract(a, 1), A),
    "multiply": (lambda a: gd.multiply(2, a), A),
    "divide": (lambda a: gd.divide(a, a), A),
    "logaddexp": (lambda a: gd.logaddexp(a, -a), A),
    "asarray": (lambda a: gd.asarray(a, dtype="float64") + gd.asarray(a), A),
    "zeros_like": (gd.zeros_like, A),
    "ones_like": (lambda a: gd.ones_like(a, dtype=gd.int8), A),
    "full_like": (lambda a: gd.full_like(a, 2.5), A),
    "softmax": (gd.softmax, A),
    "softmax 0": (lambda a: gd.softmax(a, axis=0), A),
    "log_softmax": (gd.log_softmax, A),
    "logsumexp": (lambda a: gd.logsumexp(a, axis=1), A),
    "logsumexp all": (lambda a: gd.logsumexp(a, keepdims=True), A),
    "one_hot": (lambda k: gd.one_hot(k, 9), K),
}


@pytest.mark.parametrize("name", CASES)
def test_traced_and_at_once_are_the_same(name):
    fn, *args = CASES[name]
    at_once, traced = np.asarray(fn(*args)), run(fn, *args)
    assert traced.shape == at_once.shape
    assert traced.dtype == at_once.dtype
    np.testing.assert_allclose(traced, at_once, rtol=1e-5)


def test_every_public_function_is_covered():
    composed = set(functions.__all__) - set(functions.elementwise.ROWS)
    tested = {name.split()[0] for name in CASES} | {"argmax", "argmin", "broadcast_arrays"}
    creation = {"arange", "eye", "full", "linspace", "ones", "zeros"}
    assert composed - tested - creation == set()


def test_positions():
    assert run(lambda a: gd.argmax(a, axis=1, keepdims=True), A).dtype == np.int32
    np.testing.assert_array_equal(run(lambda a: gd.argmax(a, 1), A), np.argmax(A, 1))
    np.testing.assert_array_equal(run(gd.argmin, A), np.argmin(A))
    assert gd.argmax(A) == np.argmax(A)


def test_broadcast_arrays():
    x, y = run(lambda a: gd.broadcast_arrays(a, a[:1]), A)
    np.testing.assert_array_equal(y, np.broadcast_to(A[:1], x.shape))
    with pytest.raises(ShapeError, match="do not broadcast"):
        gd.trace(lambda a: gd.broadcast_arrays(a, a[:2]), gd.f32[3, 4])


CREATED = {
    "zeros": lambda: gd.zeros((2, 3)),
    "ones": lambda: gd.ones(3, dtype=gd.int64),
    "full": lambda: gd.full((2,), 2.5),
    "full of integers": lambda: gd.full((2,), 7),
    "arange": lambda: gd.arange(5),
    "arange from to": lambda: gd.arange(2, 9, 3),
    "arange down": lambda: gd.arange(5, 0, -2),
    "arange empty": lambda: gd.arange(5, 0),
    "arange real": lambda: gd.arange(0.0, 1.0, 0.25),
    "arange dtype": lambda: gd.arange(5, dtype="float64"),
    "linspace": lambda: gd.linspace(-1.0, 1.0, 5),
    "linspace open": lambda: gd.linspace(0.0, 1.0, 4, endpoint=False),
    "eye": lambda: gd.eye(3),
    "eye k": lambda: gd.eye(3, 4, k=1, dtype=gd.int32),
    "one_hot": lambda: gd.one_hot([0, 2], 3),
}


@pytest.mark.parametrize("name", CREATED)
def test_creation_in_a_trace_makes_the_numbers_in_the_program(name):
    create = CREATED[name]
    at_once = create()
    assert isinstance(at_once, np.ndarray)
    inside = []
    found = run(lambda x: inside.append(create()) or inside[0], np.float32(0))
    assert isinstance(inside[0], Value)
    assert found.dtype == at_once.dtype
    np.testing.assert_allclose(found, at_once, rtol=1e-6)


def test_a_traced_fill_value():
    def fn(x):
        return gd.full((2, 3), x.sum())

    np.testing.assert_allclose(run(fn, A), np.full((2, 3), A.sum()), rtol=1e-5)


def test_softmax_and_its_kin_do_not_overflow():
    big = np.array([[1e4, 0.0, -1e4]], np.float32)
    np.testing.assert_array_equal(run(gd.softmax, big), [[1, 0, 0]])
    np.testing.assert_array_equal(run(gd.log_softmax, big), [[0, -1e4, -2e4]])
    np.testing.assert_array_equal(run(gd.logsumexp, big), 1e4)
    for value in (-np.inf, np.inf, np.nan):
        infinite = np.array([value, -np.inf], np.float32)
        np.testing.assert_array_equal(run(gd.logsumexp, infinite), np.float32(value))


def test_float32_stays_float32_at_once():
    for name, row in functions.elementwise.ROWS.items():
        if name in ("cast", "to_integer", "bounded", "where") or name.startswith(
            ("bitwise", "logical")
        ):
            continue
        operands = (A,) * len(next(iter(OPS[name].samples())).args)
        if name in ("asin", "acos", "atanh"):
            operands = (A / 4,)
        if name == "acosh":
            operands = (A + 1,)
        assert row(*operands).dtype in (np.float32, np.bool_), name


def test_one_hot_wants_integers():
    with pytest.raises(DTypeError, match="labels of `one_hot` are integers"):
        gd.trace(lambda x: gd.one_hot(x, 3), gd.f32[4])
    with pytest.raises(DTypeError, match="labels of `one_hot` are integers"):
        gd.one_hot(A[0], 3)


def test_public_names_are_found_and_listed():
    names = dir(gd)
    for name in ("grad", "trace", "matmul", "relu", "f32", "SGD", "train_step", "pi", "newaxis"):
        assert (name in names) == (name != "SGD")
    assert gd.pi == np.pi
    assert gd.newaxis is None
    import gradc.trace  # the submodule does not hide the function

    assert callable(gradc.trace)
    assert gd.__version__ == "0.1.0"
    with pytest.raises(AttributeError, match="has no attribute `nonsense`"):
        _ = gd.nonsense
