"""Activation functions, elementwise.

Enters: an array of floating-point numbers. Leaves: an array of the same shape. Always holds: they
are composed of array functions, so they need no gradient rule of their own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import functions as fn
from ..errors import ArgumentError, ShapeError, fail, user_errors
from ..trace import error, spec_of

relu = fn.relu
sigmoid = fn.sigmoid
tanh = fn.tanh
softmax = fn.softmax
log_softmax = fn.log_softmax

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
"""Solved from the fixed point of mean 0 and variance 1 (Klambauer et al., 2017)."""


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """`x` where positive, `negative_slope * x` elsewhere, of each element.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g` where `x`
    is positive, `negative_slope * g` elsewhere. Raises `DTypeError` for integers.
    """
    return fn.where(x > 0, x, x * negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """`x` where positive, `alpha * (exp(x) - 1)` elsewhere (Clevert et al., 2015).

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g` where `x`
    is positive, `g * alpha * exp(x)` elsewhere. Raises `DTypeError` for integers.
    """
    falling = x <= 0
    exponent = fn.where(falling, x, 0)  # so that the branch not taken has no infinite slope
    return fn.where(falling, fn.expm1(exponent) * alpha, x)


def softplus(x: Any, beta: float = 1.0) -> Any:
    """`log(1 + exp(beta * x)) / beta` of each element, without overflow.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g *
    sigmoid(beta * x)`. Raises `DTypeError` for integers.
    """
    return fn.logaddexp(x, 0.0) if beta == 1 else fn.logaddexp(beta * x, 0.0) * (1 / beta)


def log_sigmoid(x: Any) -> Any:
    """`log(sigmoid(x))` of each element, exact where the sigmoid itself would be 0.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g *
    sigmoid(-x)`. Raises `DTypeError` for integers.
    """
    return -fn.logaddexp(-x, 0.0)


def silu(x: Any) -> Any:
    """`x * sigmoid(x)` of each element, also called swish.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient, with `s` the
    sigmoid of `x`: `g * s * (1 + x * (1 - s))`. Raises `DTypeError` for integers.
    """
    return x * fn.sigmoid(x)


def gelu(x: Any, approximate: str = "none") -> Any:
    """`x` times the normal distribution function at `x` (Hendrycks and Gimpel, 2016).

    `x` is an array of float32 or float64, whose shape and dtype come out. `approximate` is "none",
    or "tanh" for their formula with the hyperbolic tangent. Gradient: `g * (P(x) + x * p(x))`, with
    the distribution function `P` and its density `p`. Raises `ArgumentError` for another
    `approximate`, `DTypeError` for integers.
    """
    if approximate == "none":
        return x * 0.5 * (fn.erf(x * math.sqrt(0.5)) + 1)
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return x * 0.5 * (fn.tanh(inner) + 1)
    raise fail(ArgumentError, "GC321", f"`approximate` is 'none' or 'tanh', not {approximate!r}")


def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """Each element moved into [`min_val`, `max_val`].

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g` strictly
    between the bounds, else 0. Raises `DTypeError` for integers.
    """
    return fn.where(x <= min_val, min_val, fn.where(x >= max_val, max_val, x))


def relu6(x: Any) -> Any:
    """`min(max(x, 0), 6)` of each element.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g` strictly
    between 0 and 6, else 0. Raises `DTypeError` for integers.
    """
    return hardtanh(x, 0.0, 6.0)


def hardsigmoid(x: Any) -> Any:
    """`x / 6 + 1 / 2`, moved into [0, 1], of each element.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g / 6`
    strictly between -3 and 3, else 0. Raises `DTypeError` for integers.
    """
    return hardtanh(x * (1 / 6) + 0.5, 0.0, 1.0)


def hardswish(x: Any) -> Any:
    """`x * hardsigmoid(x)` of each element (Howard et al., 2019).

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g * (x / 3 + 1
    / 2)` strictly between -3 and 3, `g` from 3 on, else 0. Raises `DTypeError` for integers.
    """
    return fn.where(x <= -3, 0 * x, fn.where(x >= 3, x, x * (x + 3) * (1 / 6)))


def selu(x: Any) -> Any:
    """`elu` scaled so that mean and variance stay (Klambauer et al., 2017).

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `1.0507 * g`
    where `x` is positive, `1.7581 * g * exp(x)` elsewhere. Raises `DTypeError` for integers.
    """
    return SELU_SCALE * elu(x, SELU_ALPHA)


def celu(x: Any, alpha: float = 1.0) -> Any:
    """`x` where positive, `alpha * (exp(x / alpha) - 1)` elsewhere (Barron, 2017).

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g` where `x`
    is positive, `g * exp(x / alpha)` elsewhere. Raises `DTypeError` for integers.
    """
    return alpha * elu(x * (1 / alpha)) if alpha != 1 else elu(x)


def mish(x: Any) -> Any:
    """`x * tanh(softplus(x))` of each element (Misra, 2019).

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g * (t + x *
    (1 - t**2) * sigmoid(x))` with `t = tanh(softplus(x))`. Raises `DTypeError` for integers.
    """
    return x * fn.tanh(softplus(x))


def softsign(x: Any) -> Any:
    """`x / (1 + abs(x))` of each element.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g / (1 +
    abs(x)) ** 2`. Raises `DTypeError` for integers.
    """
    return x / (1 + fn.abs(x))


def tanhshrink(x: Any) -> Any:
    """`x - tanh(x)` of each element.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g * tanh(x) **
    2`. Raises `DTypeError` for integers.
    """
    return x - fn.tanh(x)


def hardshrink(x: Any, lambd: float = 0.5) -> Any:
    """`x` where its magnitude is more than `lambd`, 0 elsewhere.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g` where the
    magnitude is more than `lambd`, else 0. Raises `DTypeError` for integers.
    """
    return fn.where((x >= -lambd) & (x <= lambd), 0 * x, x)


def softshrink(x: Any, lambd: float = 0.5) -> Any:
    """`x` moved towards 0 by `lambd`, and 0 where it would pass it.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g` where the
    magnitude of `x` is more than `lambd`, else 0. Raises `DTypeError` for integers.
    """
    return fn.where(x > lambd, x - lambd, fn.where(x < -lambd, x + lambd, 0 * x))


def threshold(x: Any, threshold: float, value: float) -> Any:
    """`x` where it is more than `threshold`, `value` elsewhere.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g` where `x`
    is more than `threshold`, else 0. Raises `DTypeError` for integers.
    """
    return fn.where(x <= threshold, value, x)


def softmin(x: Any, axis: int = -1) -> Any:
    """`softmax(-x)` over `axis`.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: that of
    `softmax`, negated. Raises `DTypeError` for integers, `ShapeError` for an axis that `x` has not.
    """
    return fn.softmax(-x, axis)


@user_errors
def glu(x: Any, axis: int = -1) -> Any:
    """`a * sigmoid(b)`, where `a` and `b` are the two halves of `x` along `axis`.

    `x` is an array of float32 or float64; half as long along `axis` comes out. Gradient: that of
    the product, in both halves (Dauphin et al., 2017). Raises `ShapeError` if the axis does not
    exist or its extent is odd.
    """
    shape = np.shape(x)
    if not -len(shape) <= axis < len(shape) or shape[axis] % 2:
        message = f"`glu` halves axis {axis}, which {spec_of(x)!r} has not, or not in equal parts"
        raise error(ShapeError, "GC334", message, helps=("choose an axis of an even extent",))
    axis %= len(shape)
    before, half = (slice(None),) * axis, shape[axis] // 2
    return x[(*before, slice(half))] * fn.sigmoid(x[(*before, slice(half, None))])


@user_errors
def prelu(x: Any, weight: Any) -> Any:
    """`x` where positive, `weight * x` elsewhere (He et al., 2015).

    `x` is an array of float32 or float64, whose shape and dtype come out; `weight` has one element,
    or one for each index of axis 1 of `x`. Gradient: `g` where `x` is positive, `weight * g`
    elsewhere; of `weight`, the sum of `g * x` where `x` is not positive. Raises `ShapeError` if
    `weight` does not fit.
    """
    shape, count = np.shape(x), np.size(weight)
    if count != 1 and (len(shape) < 2 or shape[1] != count):
        message = f"`prelu` has {count} weights for {spec_of(x)!r}"
        raise error(ShapeError, "GC334", message, helps=("give one, or one for each of axis 1",))
    slope = fn.reshape(weight, (-1, *[1] * (len(shape) - 2)) if count != 1 else ())
    return fn.where(x > 0, x, slope * x)
