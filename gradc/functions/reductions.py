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
from ..trace.methods import normal_axes
from . import elementwise
from .dispatch import Array, Axis, traces
from .shapes import squeeze


@traces(np.sum)
def sum(x: Value, axis: Axis = None, *, dtype: object = None, keepdims: bool = False) -> Array:
    """The sum over `axis`, by default over all; integers are summed in 64 bits."""
    return x.sum(axis, dtype=dtype, keepdims=keepdims)


@traces(np.prod)
def prod(x: Value, axis: Axis = None, *, dtype: object = None, keepdims: bool = False) -> Array:
    """The product over `axis`, by default over all."""
    return x.prod(axis, dtype=dtype, keepdims=keepdims)


@traces(np.max, np.amax)
def max(x: Value, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The greatest element; NaN if there is one. Its gradient is shared equally among ties."""
    return x.max(axis, keepdims=keepdims)


@traces(np.min, np.amin)
def min(x: Value, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The least element; NaN if there is one. Its gradient is shared equally among ties."""
    return x.min(axis, keepdims=keepdims)


@traces(np.all)
def all(x: Value, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """Whether all elements are true, or not zero."""
    return x.all(axis, keepdims=keepdims)


@traces(np.any)
def any(x: Value, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """Whether one element is true, or not zero."""
    return x.any(axis, keepdims=keepdims)


@traces(np.argmax)
def argmax(x: Value, axis: int | None = None, *, keepdims: bool = False) -> Array:
    """The position of the first greatest element."""
    return x.argmax(axis, keepdims=keepdims)


@traces(np.argmin)
def argmin(x: Value, axis: int | None = None, *, keepdims: bool = False) -> Array:
    """The position of the first least element."""
    return x.argmin(axis, keepdims=keepdims)


@traces(np.mean)
def mean(x: Value, axis: Axis = None, *, dtype: object = None, keepdims: bool = False) -> Array:
    """The arithmetic mean over `axis`, by default over all; in float64 for integers and bools."""
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
    """The variance: squared deviations from the mean over (count - correction).

    That of integers and bools is computed in float64, as NumPy does.
    """
    x = x if is_float(x.dtype) else x.astype(F64)
    count = math.prod(x.shape[i] for i in normal_axes(axis, x.ndim))
    deviation = x - x.mean(axis, keepdims=True)
    return deviation.square().sum(axis, keepdims=keepdims) / (count - (correction or ddof))


@traces(np.std, eager=lambda *args, **kwargs: np.sqrt(_eager_var(*args, **kwargs)))
def std(x: Value, axis: Axis = None, **options: Any) -> Array:
    """The standard deviation; options as for `var`."""
    return _root(var(x, axis, **options))


@traces(np.linalg.norm)
def _norm(x: Value, ord: object = None, axis: Axis = None, keepdims: bool = False) -> Array:
    if ord not in (None, 2) or (ord == 2 and axis is None and x.ndim > 1):
        raise error(UnsupportedError, "GC218", f"the norm of order {ord!r} cannot be traced")
    return _root(x.square().sum(axis, keepdims=keepdims))


def _root(squares: Value) -> Array:
    """The square root of a sum of squares; its gradient is 0 where all of them are 0."""
    nothing = squares == 0
    root: Value = elementwise.where(nothing, 1, squares).sqrt()
    return elementwise.where(nothing, 0, root)


@user_errors
def softmax(x: Array, axis: int = -1) -> Array:
    """`exp(x) / sum(exp(x))` along `axis`."""
    weights = elementwise.exp(x - _greatest(x, axis))
    return weights / sum(weights, axis, keepdims=True)


@user_errors
def log_softmax(x: Array, axis: int = -1) -> Array:
    """`log(softmax(x))`, exact where the softmax itself would be 0."""
    shifted = x - _greatest(x, axis)
    return shifted - elementwise.log(sum(elementwise.exp(shifted), axis, keepdims=True))


@user_errors
def logsumexp(x: Array, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """`log(sum(exp(x)))` over `axis`, by default over all."""
    greatest = _greatest(x, axis)
    # Where all elements are -inf, or one is inf, there is nothing to subtract.
    greatest = elementwise.where(elementwise.isfinite(greatest), greatest, 0)
    total = elementwise.log(sum(elementwise.exp(x - greatest), axis, keepdims=True)) + greatest
    return total if keepdims else squeeze(total, axis)


def _greatest(x: Array, axis: Axis) -> Array:
    """The greatest element, which differentiation takes for a constant."""
    return elementwise.stop_gradient(max(x, axis, keepdims=True))
