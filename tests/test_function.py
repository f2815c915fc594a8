"""Compiled functions: `gd.compile` and `gd.jit` beside the same function run by NumPy."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn
from gradc.errors import ArgumentError, ShapeError, TraceError

X = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


@dataclass
class Affine:
    scale: Any
    shift: Any
    label: str = "affine"


def model(params: Any, x: Any, extra: Any) -> Any:
    hidden = np.tanh(x @ params["w"] + params["b"])
    affine, (power,) = extra
    y = affine.scale * hidden**2 + affine.shift + power
    return {"hidden": hidden, "parts": [y.sum(axis=0), (y.mean(), Affine(y.max(), x))]}


PARAMS = {"w": X.T @ X, "b": X[0]}
EXTRA = (Affine(np.float32(2), X[1]), [np.float32(0.5)])


@pytest.fixture(scope="module")
def nested() -> Any:
    specs = {"w": gd.f32[3, 3], "b": gd.f32[3]}
    return gd.compile(model, specs, gd.f32[4, 3], (Affine(gd.f32[()], gd.f32[3]), [gd.f32[()]]))


def test_arguments_and_results_are_nested_as_in_python(nested):
    got, expected = nested(PARAMS, X, EXTRA), model(PARAMS, X, EXTRA)
    assert list(got) == ["hidden", "parts"]
    y_sum, (mean, affine) = got["parts"]
    assert type(affine) is Affine
    assert affine.label == "affine"
    assert isinstance(mean, np.float32)
    np.testing.assert_allclose(got["hidden"], expected["hidden"], rtol=1e-5)
    np.testing.assert_allclose(y_sum, expected["parts"][0], rtol=1e-5)
    np.testing.assert_allclose(mean, expected["parts"][1][0], rtol=1e-5)
    np.testing.assert_allclose(affine.scale, expected["parts"][1][1].scale, rtol=1e-5)
    assert (affine.shift == X).all()
    assert not np.shares_memory(affine.shift, X)


def test_dicts_may_come_in_any_order_and_arguments_by_name(nested):
    expected = nested(PARAMS, X, EXTRA)["hidden"]
    turned = {"b": PARAMS["b"], "w": PARAMS["w"]}
    assert (nested(turned, extra=EXTRA, x=X)["hidden"] == expected).all()
    assert (nested(x=X, params=turned, extra=EXTRA)["hidden"] == expected).all()


def test_what_differs_from_what_was_compiled_is_named(nested):
    with pytest.raises(ShapeError, match=r"`params` .*missing `params\.b`; unexpected `params\.c`"):
        nested({"w": PARAMS["w"], "c": X[0]}, X, EXTRA)
    with pytest.raises(ShapeError, match=r"3 arguments \(params, x, extra\), got 2"):
        nested(PARAMS, X)
    with pytest.raises(ShapeError, match=r"`params\.w` must be f32\[3, 3\], got f32\[4, 3\]"):
        nested({"w": X, "b": X[0]}, X, EXTRA)
    with pytest.raises(ShapeError, match=r"compiled for `extra\.0\.label` = 'affine', got 'other'"):
        nested(PARAMS, X, (Affine(np.float32(2), X[1], "other"), [np.float32(0.5)]))
    with pytest.raises(TypeError, match="unexpected"):
        nested(PARAMS, X, EXTRA, nothing=EXTRA)


def test_lists_and_numbers_stand_for_arrays():
    f = gd.compile(lambda a, b, n: (a * b, n + 1), gd.f32[2], gd.f64[()], gd.i32[()])
    product, following = f([1, 2], 0.5, 3)
    assert (product.tolist(), following) == ([0.5, 1], 4)
    product, following = f(b=0.5, a=np.ones(2, np.float32), n=np.int64(1))
    assert (product.tolist(), following) == ([0.5, 0.5], 2)


@pytest.mark.parametrize(
    "kind", ["f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64"]
)
def test_scalars_are_those_that_numpy_gives(kind):
    dtype = getattr(gd, kind)
    f = gd.compile(lambda x: (x.max(), x > 1, x.min()), dtype[3])
    x = np.array([1, 2, 3], dtype)
    largest, mask, least = f(x)
    assert type(largest) is type(x.max())
    assert mask.tolist() == [False, True, True]
    assert mask.dtype == bool
    assert (largest, least) == (3, 1)


def test_results_that_are_no_result_of_an_op():
    """Arguments, constants, and one value by two names."""
    f = gd.compile(lambda x, n: (x, 3.0, x * n, (x * n, n), np.arange(3)), gd.f32[2], gd.f32[()])
    x = np.array([1, 2], np.float32)
    same, three, product, (again, n), constant = f(x, 2)
    assert (same == x).all()
    assert not np.shares_memory(same, x)
    assert three == 3
    assert product.tolist() == again.tolist() == [2, 4]
    assert not np.shares_memory(product, again)
    assert n == 2
    assert constant.tolist() == [0, 1, 2]


def test_arrays_without_elements():
    f = gd.compile(lambda x: (x * 2, x.sum(), x.reshape(2, 0)), gd.f32[0])
    y, total, z = f(np.zeros(0, np.float32))
    assert (y.shape, total, z.shape) == ((0,), 0, (2, 0))


def test_a_function_of_nothing():
    f = gd.compile(lambda: np.float32(2) * 3)
    assert f() == 6
    with pytest.raises(ShapeError, match="takes 0 arguments, got 1"):
        f(1)


def test_a_function_shows_what_it_is(nested):
    assert "gradc.Function model(" in repr(nested)
    assert "params.w: f32[3, 3]" in repr(nested)
    assert "float *hidden" in nested.header
    assert nested.plan.arena_bytes >= 0
    assert nested.graph.dag.number_of_nodes() == len(nested.graph)
    assert [k.entry for k in nested.kernels] == [""] * len(nested.kernels)
    assert nested.build().path.exists()


@pytest.mark.parametrize(
    "name", ["exp", "main", "printf", "math", "float", "forward_out", "a b", ""]
)
def test_a_function_of_any_name_compiles(name):
    def fn(float: Any, error: Any) -> Any:  # noqa: A002 (that it is, is the point)
        return np.exp(float) * error

    fn.__name__ = name
    f = gd.compile(fn, gd.f32[3], gd.f32[()])
    x = np.ones(3, np.float32)
    np.testing.assert_allclose(f(x, 1.0), np.exp(x), rtol=1e-6)
    with pytest.raises(ShapeError, match="`float` must be"):
        f(x[:2], 1.0)


def test_gradients_compile():
    def loss(params: Any, x: Any) -> Any:
        return (np.tanh(x @ params["w"] + params["b"]) ** 2).sum()

    both = gd.value_and_grad(loss)
    f = gd.compile(both, {"w": gd.f32[3, 3], "b": gd.f32[3]}, gd.f32[4, 3])
    value, gradient = f(PARAMS, X)
    expected_value, expected = both(PARAMS, X)
    np.testing.assert_allclose(value, expected_value, rtol=1e-5)
    for name in ("w", "b"):
        np.testing.assert_allclose(gradient[name], expected[name], rtol=1e-4, atol=1e-5)


# --- jit ---


def test_jit_specialises_by_shape_dtype_and_nesting():
    traced = []

    @gd.jit
    def f(x: Any) -> Any:
        traced.append(1)
        return (x["a"] if isinstance(x, dict) else x) * 2

    for argument in (X, X, X[:2], X.astype(np.float64), {"a": X}, {"a": X * 2}):
        expected = (argument["a"] if isinstance(argument, dict) else argument) * 2
        got = f(argument)
        assert got.dtype == expected.dtype
        assert (got == expected).all()
    assert len(traced) == len(f.specialisations) == 4


def test_jit_specialises_by_what_is_no_array():
    """Strings and flags of a model are compiled in, so each value needs a function of its own."""

    @dataclass
    class Model:
        w: Any
        activation: Any
        power: int = 1

    @gd.jit
    def f(m: Any, x: Any, mode: str) -> Any:
        y = m.activation(x * m.w)
        return y.sum() if mode == "sum" else y.mean()

    x = np.array([-1, 2], np.float32)
    w = np.float32(3)
    assert f(Model(w, nn.relu), x, "sum") == 6
    assert f(Model(w, nn.relu), x, "mean") == 3
    assert f(Model(w, np.abs), x, "sum") == 9
    assert f(Model(w, nn.relu), x, mode="sum") == 6
    assert len(f.specialisations) == 3


def test_jit_inside_a_traced_function_is_traced_along():
    @gd.jit
    def square(x: Any) -> Any:
        return x * x

    assert gd.grad(lambda x: square(x).sum())(X).tolist() == (2 * X).tolist()
    f = gd.compile(lambda x: square(x).sum(), gd.f32[4, 3])
    np.testing.assert_allclose(f(X), (X * X).sum(), rtol=1e-5)
    assert not square.specialisations


def test_a_compiled_function_cannot_be_traced():
    f = gd.compile(lambda x: x * 2, gd.f32[4, 3])
    with pytest.raises(TraceError):
        gd.trace(lambda x: f(x).sum(), gd.f32[4, 3])


def test_jit_keeps_the_name_and_passes_options_on():
    @gd.jit
    def halved(x: Any) -> Any:
        """Half of it."""
        return x / 2

    assert halved.__name__ == "halved"
    assert halved.__doc__ == "Half of it."
    portable = gd.jit(lambda x: x @ x.T, target="portable", name="outer")
    np.testing.assert_allclose(portable(X), X @ X.T, rtol=1e-5)
    assert next(iter(portable.specialisations.values())).name == "outer"
    assert '#include "gradc_simd.h"' not in next(iter(portable.specialisations.values())).source
    with pytest.raises(ArgumentError, match="unknown target"):
        gd.jit(lambda x: x, target="abacus")(X)


# --- compilers ---


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
def test_gcc_and_clang_agree():
    results = []
    for compiler in ("gcc", "clang"):
        f = gd.compile(lambda x: np.exp(x @ x.T) / 100, gd.f32[4, 3], compiler=compiler)
        results.append(f(X))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)


def test_flags_are_passed_on():
    f = gd.compile(lambda x: x * 2, gd.f32[2], cflags=["-DUNUSED_FLAG=1"])
    assert f(np.ones(2, np.float32)).tolist() == [2, 2]
    assert "-DUNUSED_FLAG=1" in f.build().flags


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("nm")), reason="needs gcc and nm")
def test_the_library_needs_nothing_but_the_math_library(nested):
    source = nested.build().directory / f"{nested._core.compiled.name}.c"
    target = source.with_suffix(".test.o")
    command = ["gcc", "-std=c11", "-O2", "-c", source.name, "-o", str(target)]
    subprocess.run(command, cwd=source.parent, check=True)
    listed = subprocess.run(["nm", "-u", str(target)], capture_output=True, text=True, check=True)
    symbols = {line.split()[-1] for line in listed.stdout.splitlines()}
    assert symbols <= {"memcpy", "memset", "memmove", "expf", "tanhf", "_GLOBAL_OFFSET_TABLE_"}
