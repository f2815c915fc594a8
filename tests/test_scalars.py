"""Constants: Python's numbers are weak and exact, NumPy's have a dtype, none wraps."""

from __future__ import annotations

import numpy as np
import pytest
from traced import run

import gradc as gd
from gradc import nn
from gradc.errors import DTypeError, GradcError
from gradc.passes.simplify import simplify

X64 = np.array([1.0, 2.0])
X32 = X64.astype(np.float32)
U8 = np.array([1, 200], np.uint8)
I8 = np.array([1, -100], np.int8)

EXACT = {
    "mul": lambda x: x * 0.1,
    "dot": lambda x: np.dot(x, 0.1),
    "dot reversed": lambda x: np.dot(0.1, x),
    "full": lambda x: np.full((2,), 0.1) * x,
    "list": lambda x: np.add(x, [0.1, 0.2]),
    "inner": lambda x: np.inner(x, [0.1, 0.2]),
    "matmul": lambda x: x @ np.array([0.1, 0.2]),
    "outer": lambda x: np.outer([0.1, 0.3], x),
    "tensordot": lambda x: np.tensordot([0.1, 0.3], x, 1),
    "concat": lambda x: np.concatenate([[0.1], x]),
    "stack": lambda x: np.stack([x[0], 0.1]),
    "clip": lambda x: np.clip(x, 0.1, 1.7),
    "clip of a number": lambda x: np.clip(0.1, x - 3, x),
    "where": lambda x: np.where(x > 1, 0.1, x),
    "where of numbers": lambda x: np.where(x > 1, 0.1, 0.2),
    "pow": lambda x: x**0.1,
    "maximum": lambda x: np.maximum(x, 1.1),
    "NumPy's scalar": lambda x: x * np.float64(0.1),
    "NumPy's exponent": lambda x: x ** np.float64(0.1),
    "NumPy's whole exponent": lambda x: x ** np.float64(2),
    "broadcast": lambda x: np.broadcast_arrays(x, 0.1)[1] * x,
    "full_like": lambda x: np.full_like(x, 0.1),
    "result": lambda x: np.float64(0.1),
    "result of Python": lambda x: np.asarray(0.1) if isinstance(x, np.ndarray) else 0.1,
    "mean": lambda x: x.mean() + 0.1,
    "var": lambda x: np.var(x, ddof=0.5),
}


@pytest.mark.parametrize("name", EXACT)
def test_a_number_keeps_its_digits_in_a_float64_program(name):
    fn = EXACT[name]
    found, expected = run(fn, X64), np.asarray(fn(X64))
    assert found.dtype == expected.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=4e-16)


def test_the_arrays_that_gradc_makes_of_numbers_alone_follow_the_program():
    assert run(lambda x: gd.full((2,), 0.1) * x, X64)[0] == 0.1
    assert run(lambda x: gd.full((2,), 0.1) * x, X32).dtype == np.float32


def test_a_number_beside_float32_is_float32_and_numpys_float64_is_not():
    assert run(lambda x: x * 0.1, X32).dtype == np.float32
    assert run(lambda x: np.add(x, [0.1, 0.2]), X32).dtype == np.float32
    for fn in (lambda x: x * np.float64(0.1), lambda x: x ** np.float64(2), lambda x: x * X64):
        found = run(fn, X32)
        assert found.dtype == fn(X32).dtype == np.float64
        np.testing.assert_array_equal(found, fn(X32))


def test_a_number_given_as_an_argument_is_as_wide_as_the_arrays_beside_it():
    f = gd.compile(lambda x, a: x * a, X64, 0.1, cflags=("-O0",))
    np.testing.assert_array_equal(f(X64, 0.1), X64 * 0.1)
    assert run(lambda x, a: a * 1, X32, 0.1).dtype == np.float32


def test_gradients_of_gradients_with_respect_to_numbers_are_float64():
    def f(a, b):
        return a * a * b * b

    assert gd.grad(gd.grad(f, 0), 1)(0.1, 0.3) == pytest.approx(4 * 0.1 * 0.3, rel=1e-15)
    assert gd.grad(gd.grad(lambda a: a * a * 0.1))(0.3) == 0.2
    inner = run(lambda x: gd.grad(lambda a: a * a * x[0])(0.1), X64)
    assert inner == pytest.approx(0.2, rel=1e-15)


PROMOTED = {
    "NumPy's scalar": (lambda x: x + np.int64(300), I8),
    "NumPy's array": (lambda x: x + np.array([300, 1], np.int16), U8),
    "exponent": (lambda x: x ** np.int64(2), I8),
    "list in range": (lambda x: np.add(x, [1, 2]), U8),
    "where": (lambda x: np.where(x > 3, x, np.int32(300)), U8),
}
REFUSED = {
    "number": (lambda x: x + 300, I8),
    "list": (lambda x: np.add(x, [100, 300]), I8),
    "negative list": (lambda x: np.add(x, [-1, 2]), U8),
    "negative number": (lambda x: x * -1, U8),
    "real list": (lambda x: np.add(x, [0.5, 1.0]), I8),
    "where": (lambda x: np.where(x > 3, x, 300), U8),
    "clip": (lambda x: x.clip(0, 300), U8),
    "concat": (lambda x: gd.concat([x, [300]]), U8),
    "full_like": (lambda x: np.full_like(x, -1), U8),
    "full": (lambda x: gd.full((2,), np.int64(300), dtype=gd.i8) + x, I8),
    "full of a real number": (lambda x: gd.full((2,), 0.5, dtype=gd.i8) + x, I8),
    "arange": (lambda x: gd.arange(300, dtype=gd.u8)[:2] + x, U8),
    "a real and an integer dtype": (lambda x: x * np.int64(3), X32),
}


@pytest.mark.parametrize("name", PROMOTED)
def test_a_typed_constant_promotes_as_in_numpy(name):
    fn, x = PROMOTED[name]
    found, expected = run(fn, x), fn(x)
    if name == "list in range":
        expected = expected.astype(x.dtype)  # a list is as weak as its numbers
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", REFUSED)
def test_a_number_that_does_not_fit_is_an_error(name):
    fn, x = REFUSED[name]
    with pytest.raises(DTypeError, match=r"does not fit|no common dtype"):
        gd.trace(fn, x)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int64", "uint64"])
def test_classes_are_compared_in_a_type_that_holds_all_of_them(dtype):
    labels = np.array([0, 44, 100], dtype)
    scores = np.zeros((3, 300))
    scores[np.arange(3), [0, 44, 100]] = 1
    scores[1, 299] = 2  # 299 is 43 in 8 bits
    for call in (lambda fn, *args: fn(*args), run):
        one_hot = call(lambda y: gd.one_hot(y, 300), labels)
        np.testing.assert_array_equal(one_hot, np.arange(300) == labels[:, None].astype(int))
        assert call(nn.accuracy, scores, np.array([0, 43, 100], dtype)) == np.float32(2 / 3)
        loss = call(nn.cross_entropy, scores, labels)
        chosen = np.take_along_axis(scores, labels.astype(int)[:, None], 1)[:, 0]
        expected = (np.log(np.exp(scores).sum(1)) - chosen).mean()
        assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["mean", "var", "std"])
@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_the_statistics_of_whole_numbers_are_float64_traced_and_at_once(name, dtype):
    x = np.array([[1, 0, 5], [3, 1, 0]]).astype(dtype)
    for fn in (getattr(gd, name), getattr(np, name)):
        traced, at_once = run(lambda x, fn=fn: fn(x, 0), x), fn(x, 0)
        assert traced.dtype == at_once.dtype == np.float64
        np.testing.assert_allclose(traced, at_once, rtol=1e-15)


def test_a_bool_is_0_or_1_in_c_whatever_byte_a_view_holds():
    odd = np.array([0, 1, 2, 255], np.uint8).view(bool)

    def fn(m):
        return m.astype(gd.f32), m ^ gd.asarray(np.ones(4, bool)), m == (m | m), m.sum()

    f = gd.compile(fn, gd.spec((4,), bool), cflags=("-O0",))
    plain = np.array([False, True, True, True])
    for found, expected in zip(f(odd), f(plain), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(f(odd)[0], [0, 1, 1, 1])
    np.testing.assert_array_equal(run(lambda x: gd.where(odd, x, 0), np.ones(4)), [0, 1, 1, 1])


def test_mixing_that_numpy_would_guess_says_what_to_cast():
    with pytest.raises(GradcError) as caught:
        gd.trace(lambda x, n: x * n, gd.f32[3], gd.i64[3])
    assert "astype(gd.float32)" in str(caught.value)


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8", "uint64"])
def test_what_no_integer_is_becomes_the_nearest_in_range(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 300.7, -1.5], np.float32)
    info = np.iinfo(dtype)
    expected = [0, info.max, info.min, min(300, info.max), max(-1, info.min)]
    for found in (gd.astype(x, dtype), run(lambda x: x.astype(dtype), x)):
        assert found.dtype == dtype
        assert found.tolist() == expected


def test_an_integer_that_was_a_real_number_for_a_while_is_not_checked():
    def ops(fn, spec):
        return [node.op for node in simplify(gd.trace(fn, spec))]

    assert ops(lambda m: m.astype(gd.f32).astype(gd.i32), gd.spec((3,), bool)) == ["input", "cast"]
    assert ops(lambda k: k.astype(gd.f32).astype(gd.i32), gd.i16[3]) == ["input", "cast"]
    for target in (gd.i8, gd.u32):
        assert "to_integer" in ops(lambda k, t=target: k.astype(gd.f32).astype(t), gd.i16[3])
    assert "to_integer" in ops(lambda k: k.astype(gd.f32).astype(gd.i64), gd.i32[3])
