"""Wrong inputs inside a traced function: what other array libraries spell in another way."""

from __future__ import annotations

import pytest
from wrong_input import Wrong, check, in_function

from gradc.errors import ArgumentError, DTypeError, ShapeError, TraceError, UnsupportedError

PYTORCH = (
    in_function(
        "x.view(12)",
        UnsupportedError,
        "a traced value has no attribute `view`",
        "write `x.reshape(...)`",
    ),
    in_function(
        "x.sum(dim=1)",
        ArgumentError,
        "`sum` has no argument `dim`",
        "write `axis=` instead of `dim=`",
    ),
    in_function(
        "x.mean(1, keepdim=True)",
        ArgumentError,
        "`mean` has no argument `keepdim`",
        "write `keepdims=` instead of `keepdim=`",
    ),
    in_function(
        "gd.sum(x, dim=1)",
        ArgumentError,
        "`sum` has no argument `dim`",
        "write `axis=` instead of `dim=`",
    ),
    in_function(
        "x.max(dim=-1)",
        ArgumentError,
        "`max` has no argument `dim`",
        "write `axis=` instead of `dim=`",
    ),
    in_function(
        "nn.softmax(x, dim=-1)",
        ArgumentError,
        "`softmax` has no argument `dim`",
        "write `axis=` instead of `dim=`",
    ),
    in_function(
        "x.unsqueeze(0)",
        UnsupportedError,
        "a traced value has no attribute `unsqueeze`",
        "write `x.expand_dims(...)`, or `x[:, None]`",
    ),
    in_function(
        "x.permute(1, 0)",
        UnsupportedError,
        "a traced value has no attribute `permute`",
        "write `x.transpose(...)`",
    ),
    in_function(
        "x.float()",
        UnsupportedError,
        "a traced value has no attribute `float`",
        "write `x.astype(gd.float32)`",
    ),
    in_function(
        "x.detach()",
        UnsupportedError,
        "a traced value has no attribute `detach`",
        "write `gd.stop_gradient(x)`",
    ),
    in_function(
        "x.cpu().numpy()",
        UnsupportedError,
        "a traced value has no attribute `cpu`",
        "leave it out: a compiled function takes and gives NumPy arrays",
    ),
    in_function(
        "x.mean().backward()",
        UnsupportedError,
        "a traced value has no attribute `backward`",
        "make the gradient a function: `gd.grad(loss)`, or `gd.train_step`",
    ),
    in_function(
        "x.foo",
        UnsupportedError,
        "a traced value has no attribute `foo`",
        "use a function of `gradc` or of NumPy",
    ),
    in_function(
        "x.argmx(1)", UnsupportedError, "a traced value has no attribute `argmx`", "write `.argmax`"
    ),
    in_function(
        "torch.tanh(x)",
        UnsupportedError,
        "`torch.tanh` cannot be traced",
        "use `gd.tanh`",
        before="import torch",
    ),
    in_function(
        "torch.cat([x, x])",
        UnsupportedError,
        "`torch.cat` cannot be traced",
        "use the functions of `gradc` or of NumPy",
        before="import torch",
    ),
    in_function(
        "F.cross_entropy(x, i)",
        UnsupportedError,
        "`torch.cross_entropy` cannot be traced",
        "use the functions of `gradc` or of NumPy",
        before="import torch.nn.functional as F",
    ),
)
JAX_AND_NUMPY = (
    in_function(
        "jnp.tanh(x)",
        UnsupportedError,
        "`jnp.tanh` cannot be traced",
        "use `gd.tanh`",
        before="import jax.numpy as jnp",
    ),
    in_function(
        "x.at[0].set(1.0)",
        UnsupportedError,
        "a traced value has no attribute `at`",
        "write `gd.where(mask, new, x)`",
    ),
    in_function(
        "table[i]",
        UnsupportedError,
        "an index that is an array is not supported",
        "write `gd.one_hot(i, 10) @ table`, which picks rows",
    ),
    in_function(
        "table[n]",
        UnsupportedError,
        "an index that is an array is not supported",
        "write `gd.one_hot(n, 10) @ table`, which picks rows",
    ),
    in_function(
        "table[[0, 2]]",
        UnsupportedError,
        "an index that is a `list` is not supported",
        "write `gd.one_hot(np.array([0, 2]), 10) @ table`, which picks rows",
    ),
    in_function(
        "table[np.array([0, 2])]",
        UnsupportedError,
        "an index that is an array is not supported",
        "write `gd.one_hot(np.array([0, 2]), 10) @ table`, which picks rows",
    ),
    in_function(
        "x[x > 0]",
        UnsupportedError,
        "an index that is an array is not supported",
        "keep the shape and choose with `gd.where(x > 0, x, 0)`",
    ),
    in_function(
        "x[1.0]",
        UnsupportedError,
        "an index that is a `float` is not supported",
        "convert it to an integer: `int(...)` of a Python number",
    ),
    in_function(
        "x['a']",
        UnsupportedError,
        "an index that is a `str` is not supported",
        "use integers, slices, `None` and `...`",
    ),
    in_function(
        "x[0] = 1.0",
        UnsupportedError,
        "writing into a traced value by index is not supported",
        "make the new value with `gd.where(mask, new, old)`",
    ),
    in_function(
        "np.array([x[0, 0], x[0, 1]])",
        TraceError,
        "a traced f32[] cannot become a NumPy array here",
        "use `gd.stack([x[0, 0], x[0, 1]])`",
    ),
    in_function(
        "np.asarray(x)",
        TraceError,
        "a traced f32[4, 3] cannot become a NumPy array here",
        "leave it out: it is an array already",
    ),
    in_function(
        "np.where(x > 0)",
        UnsupportedError,
        "`numpy.where` cannot be traced",
        "call it as `np.where(",
    ),
    in_function(
        "np.fft.fft(x)",
        UnsupportedError,
        "`numpy.fft.fft` cannot be traced",
        "compute it before the call and pass the result as an argument",
    ),
    in_function(
        "np.median(x)",
        UnsupportedError,
        "`numpy.median` cannot be traced",
        "compute it before the call and pass the result as an argument",
    ),
    in_function(
        "np.cumsum(x, 0)",
        UnsupportedError,
        "`numpy.cumsum` cannot be traced",
        "write it as a product with `gd.tril(gd.ones((n, n)))`",
    ),
    in_function(
        "np.add(x, 1, out=np.zeros((4, 3), np.float32))",
        UnsupportedError,
        "`numpy.add` cannot write a traced value into an array",
        "use the result: `x = x + y` instead of `x += y` or `out=x`",
    ),
    in_function(
        "np.float32(x.mean())",
        TraceError,
        "a traced f32[] cannot become a NumPy array here",
        "convert it with `.astype(...)`, which stays traced",
    ),
    in_function(
        "x.astype('float16')",
        DTypeError,
        "dtype `float16` is not supported",
        "use one of f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, bool",
    ),
    in_function(
        "x @ x",
        ShapeError,
        "`matmul` needs the inner axes to agree, got 3 and 4",
        "transpose the right operand: `.T`",
    ),
    in_function(
        "x + i",
        DTypeError,
        "`f32` and `i32` have no common dtype",
        "cast the `i32` operand: `.astype(gd.float32)`",
    ),
    in_function(
        "x + table",
        ShapeError,
        "`add` needs shapes that broadcast, got f32[4, 3] and f32[10, 3]",
        "make extents equal or 1, counted from the last axis",
    ),
    in_function(
        "x.reshape(5, 5)",
        ShapeError,
        "cannot reshape f32[4, 3] of 12 elements to [5, 5], which has 25",
        "choose extents whose product is 12",
    ),
    in_function(
        "x.sum(axis=2)", ShapeError, "axis 2 is out of range for 2 axes", "use an axis from -2 to 1"
    ),
    in_function(
        "scipy.special.expit(x)",
        UnsupportedError,
        "`scipy.special.expit` cannot be traced",
        "use `gd.sigmoid`",
        before="import scipy.special",
    ),
)


@pytest.mark.parametrize("case", PYTORCH + JAX_AND_NUMPY, ids=lambda c: c.typed)
def test_the_error_of_a_wrong_input(case: Wrong, tmp_path):
    for module in ("torch", "jax", "scipy"):
        if f"import {module}" in case.source:
            pytest.importorskip(module)
    check(case, tmp_path)
