"""Reductions: sums, means, extremes, and what is composed of them.

Enters: traced values or NumPy arrays, and an axis in NumPy's form. Leaves: the same with axes
folded away. Always holds: `softmax` and its kin subtract the greatest element first, so nothing
overflows, and differentiation sees that element as a constant.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import F64, is_float
from ..errors import UnsupportedError, user_errors
from ..trace import Value, error
from ..trace.axes import normal_axes
from . import elementwise
from .dispatch import Array, Axis, traces
from .shapes import squeeze


@traces(np.sum)
def sum(x: Value, axis: Axis = None, *, dtype: object = None, keepdims: bool = False) -> Array:
    """The sum of the elements of `x` over `axis`.

    `axis` is an axis, several, or None for all; with `keepdims` they stay, with extent 1. Numbers
    of any dtype; floats keep theirs, integers and bools are summed in 64 bits, unless `dtype` says
    another. Gradient: `g` repeated along the axes. Raises `ShapeError` for an axis that `x` does
    not have.
    """
    return x.sum(axis, dtype=dtype, keepdims=keepdims)


@traces(np.prod)
def prod(x: Value, axis: Axis = None, *, dtype: object = None, keepdims: bool = False) -> Array:
    """The product of the elements of `x` over `axis`.

    `axis` is an axis, several, or None for all; with `keepdims` they stay, with extent 1. Numbers
    of any dtype; floats keep theirs, integers and bools are multiplied in 64 bits, unless `dtype`
    says another. Gradient: `g` times the product of all other elements, exact where some are 0.
    Raises `ShapeError` for an axis that `x` does not have.
    """
    return x.prod(axis, dtype=dtype, keepdims=keepdims)


@traces(np.max, np.amax)
def max(x: Value, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The greatest element of `x` over `axis`; NaN if there is one.

    `axis` is an axis, several, or None for all; with `keepdims` they stay, with extent 1. Numbers
    of any dtype, which stays. Gradient: `g` at the greatest element, shared equally among ties.
    Raises `ShapeError` for an axis that `x` does not have or one without elements, `DTypeError` for
    bools.
    """
    return x.max(axis, keepdims=keepdims)


@traces(np.min, np.amin)
def min(x: Value, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The least element of `x` over `axis`; NaN if there is one.

    `axis` is an axis, several, or None for all; with `keepdims` they stay, with extent 1. Numbers
    of any dtype, which stays. Gradient: `g` at the least element, shared equally among ties. Raises
    `ShapeError` for an axis that `x` does not have or one without elements, `DTypeError` for bools.
    """
    return x.min(axis, keepdims=keepdims)


@traces(np.all)
def all(x: Value, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """Whether all elements of `x` over `axis` are true, or not zero: bools, for any dtype.

    `axis` is an axis, several, or None for all; with `keepdims` they stay, with extent 1. Gradient:
    none. Raises `ShapeError` for an axis that `x` does not have.
    """
    return x.all(axis, keepdims=keepdims)


@traces(np.any)
def any(x: Value, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """Whether one element of `x` over `axis` is true, or not zero: bools, for any dtype.

    `axis` is an axis, several, or None for all; with `keepdims` they stay, with extent 1. Gradient:
    none. Raises `ShapeError` for an axis that `x` does not have.
    """
    return x.any(axis, keepdims=keepdims)


@traces(np.argmax)
def argmax(x: Value, axis: int | None = None, *, keepdims: bool = False) -> Array:
    """The position along `axis` of the first greatest element of `x`, or of the first NaN: int32.

    `axis` is one axis, or None for the position in the flattened array; with `keepdims` it stays,
    with extent 1. Numbers of any dtype. Gradient: none. Raises `ShapeError` for an axis that `x`
    does not have or one without elements, `DTypeError` for bools.
    """
    return x.argmax(axis, keepdims=keepdims)


@traces(np.argmin)
def argmin(x: Value, axis: int | None = None, *, keepdims: bool = False) -> Array:
    """The position along `axis` of the first least element of `x`, or of the first NaN: int32.

    `axis` is one axis, or None for the position in the flattened array; with `keepdims` it stays,
    with extent 1. Numbers of any dtype. Gradient: none. Raises `ShapeError` for an axis that `x`
    does not have or one without elements, `DTypeError` for bools.
    """
    return x.argmin(axis, keepdims=keepdims)


@traces(np.mean)
def mean(x: Value, axis: Axis = None, *, dtype: object = None, keepdims: bool = False) -> Array:
    """The arithmetic mean of the elements of `x` over `axis`.

    `axis` is an axis, several, or None for all; with `keepdims` they stay, with extent 1. Floats
    keep their dtype, that of integers and bools is float64, unless `dtype` says another. Gradient:
    `g / count` repeated along the axes. Raises `ShapeError` for an axis that `x` does not have.
    """
    return x.mean(axis, dtype=dtype, keepdims=keepdims)


def _eager_var(
    x: Any, axis: Axis = None, *, correction: float = 0.0, ddof: float = 0.0, keepdims: bool = False
) -> Any:
    return np.var(x, axis, ddof=correction or ddof, keepdims=keepdims)


@traces(np.var, eager=_eager_var)
def var(
    x: Value,
    axis: Axis = None,
    *,
    correction: float = 0.0,
    ddof: float = 0.0,
    keepdims: bool = False,
) -> Array:
    """The variance over `axis`: squared deviations from the mean, over (count - `correction`).

    `axis` is an axis, several, or None for all; with `keepdims` they stay, with extent 1. `ddof` is
    NumPy's name of `correction`. Floats keep their dtype; that of integers and bools is computed in
    float64, as NumPy does. Gradient: `g * 2 * (x - mean(x)) / (count - correction)`. Raises
    `ShapeError` for an axis that `x` does not have.
    """
    x = x if is_float(x.dtype) else x.astype(F64)
    count = math.prod(x.shape[i] for i in normal_axes(axis, x.ndim))
    deviation = x - x.mean(axis, keepdims=True)
    squares = deviation.elementwise("square").sum(axis, keepdims=keepdims)
    return squares / (count - (correction or ddof))


@traces(np.std, eager=lambda *args, **kwargs: np.sqrt(_eager_var(*args, **kwargs)))
def std(x: Value, axis: Axis = None, **options: Any) -> Array:
    """The standard deviation of `x` over `axis`, the root of its variance.

    The `options` are those of `var`, and so are the dtypes.

    Gradient: `g * (x - mean(x)) / ((count - correction) * y)`, 0 where the deviation `y` is 0.
    Raises `ShapeError` for an axis that `x` does not have.
    """
    return _root(var(x, axis, **options))


@traces(np.linalg.norm)
def _norm(x: Value, ord: object = None, axis: Axis = None, keepdims: bool = False) -> Array:
    """The 2-norm; of matrices the Frobenius norm, of vectors also those of order 1 and inf.

    Its gradient at 0 is 0.
    """
    axes = normal_axes(axis, x.ndim)
    vectors, matrices = len(axes) == 1, len(axes) == 2
    if ord is None or (ord == 2 and vectors) or (ord == "fro" and matrices):
        return _root(x.elementwise("square").sum(axis, keepdims=keepdims))
    if ord == 1 and vectors:
        return x.elementwise("abs").sum(axis, keepdims=keepdims)
    if ord == math.inf and vectors:
        return x.elementwise("abs").max(axis, keepdims=keepdims)
    kind = "a vector" if vectors else "a matrix" if matrices else f"{len(axes)} axes"
    raise error(
        UnsupportedError,
        "GC218",
        f"the norm of order {ord!r} of {kind} cannot be traced",
        helps=("leave out `ord` for the 2-norm of all elements",),
    )


def _root(squares: Value) -> Array:
    """The square root of a sum of squares; its gradient is 0 where all of them are 0."""
    nothing = squares == 0
    root: Value = elementwise.where(nothing, 1, squares).sqrt()
    return elementwise.where(nothing, 0, root)


@user_errors
def softmax(x: Array, axis: int = -1) -> Array:
    """`exp(x) / sum(exp(x))` along `axis`, computed so that nothing overflows.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient, where `g` is
    the one of the result `y`: `y * (g - sum(g * y))`. Raises `ShapeError` for an axis that `x` does
    not have, `DTypeError` for integers.
    """
    weights = elementwise.exp(x - _greatest(x, axis))
    # A division takes as long as ten products: one a row, not one an element.
    return weights * elementwise.reciprocal(sum(weights, axis, keepdims=True))


@user_errors
def log_softmax(x: Array, axis: int = -1) -> Array:
    """`log(softmax(x))` along `axis`, exact where the softmax itself would be 0.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient, where `g` is
    the one of the result: `g - softmax(x) * sum(g)`. Raises `ShapeError` for an axis that `x` does
    not have, `DTypeError` for integers.
    """
    shifted = x - _greatest(x, axis)
    return shifted - elementwise.log(sum(elementwise.exp(shifted), axis, keepdims=True))


@user_errors
def logsumexp(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """`log(sum(exp(x)))` over `axis`, computed so that nothing overflows.

    `axis` is an axis, several, or None for all; with `keepdims` they stay, with extent 1. `x` is an
    array of float32 or float64, whose dtype comes out. Gradient: `g * softmax(x)`. Raises
    `ShapeError` for an axis that `x` does not have, `DTypeError` for integers.
    """
    greatest = _greatest(x, axis)
    # Where all elements are -inf, or one is inf, there is nothing to subtract.
    greatest = elementwise.where(elementwise.isfinite(greatest), greatest, 0)
    total = elementwise.log(sum(elementwise.exp(x - greatest), axis, keepdims=True)) + greatest
    return total if keepdims else squeeze(total, axis)


def _greatest(x: Array, axis: Axis) -> Array:
    """The greatest element, which differentiation takes for a constant."""
    return elementwise.stop_gradient(max(x, axis, keepdims=True))
