"""Losses of real targets.

Enters: what a model put out and what it should have. Leaves: a scalar, or with `reduction="none"`
one number for each element. Always holds: shapes must agree exactly: a loss never broadcasts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import functions as fn
from ..errors import ArgumentError, ShapeError, fail, user_errors
from ..trace import error, spec_of
from .activations import softplus


def in_dtype_of(target: Any, scores: Any) -> Any:
    """The target in the dtype of the scores: signs and hits may be given as integers."""
    return fn.astype(target, spec_of(scores).dtype)


def reduced(losses: Any, reduction: str) -> Any:
    """The losses of all elements: their mean, their sum, or as they are."""
    if reduction == "mean":
        return fn.mean(losses)
    if reduction == "sum":
        return fn.sum(losses)
    if reduction != "none":
        message = f"`reduction` is 'mean', 'sum' or 'none', got {reduction!r}"
        raise fail(ArgumentError, "GC340", message, helps=("leave it out for 'mean'",))
    return losses


def same_shape(name: str, prediction: Any, target: Any) -> None:
    if np.shape(prediction) != np.shape(target):
        raise error(
            ShapeError,
            "GC322",
            f"`{name}` needs a target of the prediction's shape, "
            f"got {spec_of(prediction)!r} and {spec_of(target)!r}",
            helps=(_reshaped(np.shape(prediction), np.shape(target)),),
        )


def _reshaped(prediction: tuple[int, ...], target: tuple[int, ...]) -> str:
    if prediction == (*target, 1):
        return "take the column of the prediction: `prediction[..., 0]`"
    if target == (*prediction, 1):
        return "take the column of the target: `target[..., 0]`"
    return "reshape one of them: a loss does not broadcast"


@user_errors
def mse(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean squared error, `mean((prediction - target) ** 2)`.

    `prediction` and `target` are arrays of float32 or float64 of one shape; a scalar comes out,
    with `reduction="sum"` the sum, with "none" every element's. Gradient: `g * 2 * (prediction -
    target) / count`. Raises `ShapeError` if the shapes differ: a loss does not broadcast;
    `DTypeError` if the dtypes have none in common; `ArgumentError` for another `reduction`.
    """
    same_shape("mse", prediction, target)
    return reduced(fn.square(prediction - target), reduction)


@user_errors
def l1(prediction: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean absolute error, `mean(abs(prediction - target))`.

    `prediction`, `target` and `reduction` are those of `nn.mse`. Gradient: `g * sign(prediction -
    target) / count`. Raises `ShapeError` if the shapes differ: a loss does not broadcast;
    `DTypeError` if the dtypes, float32 or float64, have none in common.
    """
    same_shape("l1", prediction, target)
    return reduced(fn.abs(prediction - target), reduction)


@user_errors
def huber(prediction: Any, target: Any, delta: float = 1.0, reduction: str = "mean") -> Any:
    """The mean of `d ** 2 / 2` up to `delta`, `delta * (d - delta / 2)` beyond it (Huber, 1964).

    Here `d` is `abs(prediction - target)`; `prediction`, `target` and `reduction` are those of
    `nn.mse`. Gradient: that of `prediction - target`, clipped to +-`delta`, over the count. Raises
    `ShapeError` if the shapes differ: a loss does not broadcast; `DTypeError` if the dtypes,
    float32 or float64, have none in common.
    """
    same_shape("huber", prediction, target)
    error = prediction - target
    inner = fn.clip(error, -delta, delta)  # then neither part has an infinite slope
    return reduced(inner * (error - inner * 0.5), reduction)


@user_errors
def smooth_l1(prediction: Any, target: Any, beta: float = 1.0, reduction: str = "mean") -> Any:
    """The mean of `d ** 2 / (2 * beta)` up to `beta`, `d - beta / 2` beyond it.

    Here `d` is `abs(prediction - target)`; `prediction`, `target` and `reduction` are those of
    `nn.mse`; a `beta` of 0 is `nn.l1`. Gradient: `(prediction - target) / beta`, clipped to +-1,
    over the count. Raises `ShapeError` if the shapes differ: a loss does not broadcast;
    `DTypeError` if the dtypes, float32 or float64, have none in common.
    """
    if not beta:
        return l1(prediction, target, reduction)
    return huber(prediction, target, beta, reduction) * (1 / beta)


@user_errors
def kl_div(
    log_probabilities: Any, target: Any, log_target: bool = False, reduction: str = "mean"
) -> Any:
    """The mean of `target * (log(target) - log_probabilities)`, the divergence by elements.

    Both are arrays of float32 or float64 of one shape; with `log_target` the target is given as
    logarithms, else 0 counts as 0. `reduction` is that of `nn.mse`, or "batchmean": the sum over
    the extent of the first axis, which is the divergence. Gradient: `-g * target / count`. Raises
    `ShapeError` if the shapes differ: a loss does not broadcast; `DTypeError` if the dtypes have
    none in common.
    """
    same_shape("kl_div", log_probabilities, target)
    if log_target:
        losses = fn.exp(target) * (target - log_probabilities)
    else:
        empty = target == 0
        entropy = fn.where(empty, 0.0, target * fn.log(fn.where(empty, 1.0, target)))
        losses = entropy - target * log_probabilities
    if reduction == "batchmean":
        return fn.sum(losses) * (1 / np.shape(losses)[0] if np.ndim(losses) else 1.0)
    return reduced(losses, reduction)


@user_errors
def poisson_nll(
    prediction: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """The mean negative log-likelihood of counts `target` of a Poisson distribution.

    `exp(prediction) - target * prediction`, or, without `log_input`, `prediction - target *
    log(prediction + eps)`; `full` adds Stirling's approximation of the logarithm of `target!` for
    targets above 1. `prediction`, `target` and `reduction` are those of `nn.mse`. Gradient: by the
    chain rule. Raises `ShapeError` if the shapes differ: a loss does not broadcast; `DTypeError` if
    the dtypes, float32 or float64, have none in common.
    """
    same_shape("poisson_nll", prediction, target)
    if log_input:
        losses = fn.exp(prediction) - target * prediction
    else:
        losses = prediction - target * fn.log(prediction + eps)
    if full:
        large = target > 1
        count = fn.where(large, target, 1.0)
        stirling = count * fn.log(count) - count + 0.5 * fn.log(2 * math.pi * count)
        losses = losses + fn.where(large, stirling, 0.0)
    return reduced(losses, reduction)


@user_errors
def gaussian_nll(
    prediction: Any,
    target: Any,
    variance: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """The mean of `(log(v) + (prediction - target) ** 2 / v) / 2` with `v = max(variance, eps)`.

    `variance` is a number or broadcasts to the prediction; it is not less than `eps`, which bounds
    it without a part in the gradient. `full` adds `log(2 * pi) / 2`. `prediction`, `target` and
    `reduction` are those of `nn.mse`. Gradient: by the chain rule. Raises `ShapeError` if the
    shapes differ: a loss does not broadcast; `DTypeError` if the dtypes, float32 or float64, have
    none in common.
    """
    same_shape("gaussian_nll", prediction, target)
    v = variance + fn.stop_gradient(fn.maximum(variance, eps) - variance)
    losses = 0.5 * (fn.log(v) + fn.square(prediction - target) / v)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


@user_errors
def binary_cross_entropy(
    probabilities: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """The mean of `-target * log(p) - (1 - target) * log(1 - p)`, no logarithm less than -100.

    `probabilities` p, from 0 to 1, `target` and `reduction` are those of `nn.mse`; `weight`
    multiplies the losses, and broadcasts. `nn.binary_cross_entropy_with_logits` is exact where this
    is not. Gradient: `g * (p - target) / (p * (1 - p)) / count`. Raises `ShapeError` if the shapes
    differ: a loss does not broadcast; `DTypeError` if the dtypes, float32 or float64, have none in
    common.
    """
    same_shape("binary_cross_entropy", probabilities, target)
    losses = -target * _log(probabilities) - (1 - target) * _log(1 - probabilities)
    return reduced(losses if weight is None else losses * weight, reduction)


def _log(p: Any) -> Any:
    """log(p), at least -100, where its slope is 0."""
    enough = p > math.exp(-100)
    return fn.where(enough, fn.log(fn.where(enough, p, 1.0)), -100.0)


@user_errors
def binary_cross_entropy_with_logits(
    logits: Any,
    target: Any,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """The mean of `-target * log(p) - (1 - target) * log(1 - p)` with `p = sigmoid(logits)`.

    `logits`, `target` and `reduction` are those of `nn.mse`; computed so that nothing overflows.
    `weight` multiplies the losses, `pos_weight` the first term alone; both broadcast. Gradient of
    the logits: `g * (p - target) / count`. Raises `ShapeError` if the shapes differ: a loss does
    not broadcast; `DTypeError` if the dtypes, float32 or float64, have none in common.
    """
    same_shape("binary_cross_entropy_with_logits", logits, target)
    if pos_weight is None:
        losses = softplus(logits) - logits * target
    else:
        positive = pos_weight * target
        losses = (1 - target) * softplus(logits) + positive * softplus(-logits)
    return reduced(losses if weight is None else losses * weight, reduction)
