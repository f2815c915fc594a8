"""Activation functions, elementwise.

Enters: an array of floating-point numbers. Leaves: an array of the same shape. Always holds: they
are composed of array functions, so they need no gradient rule of their own.
"""

from __future__ import annotations

import math
from typing import Any

from .. import functions as fn
from ..errors import ArgumentError, fail

relu = fn.relu
sigmoid = fn.sigmoid
tanh = fn.tanh
softmax = fn.softmax
log_softmax = fn.log_softmax


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


def softplus(x: Any) -> Any:
    """`log(1 + exp(x))` of each element, without overflow.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: `g *
    sigmoid(x)`. Raises `DTypeError` for integers.
    """
    return fn.logaddexp(x, 0.0)


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
