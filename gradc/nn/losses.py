"""Losses, each the mean over all samples, and the accuracy.

Enters: what a model put out and what it should have. Leaves: a scalar. Always holds: shapes must
agree exactly (a loss never broadcasts), and labels are integers in the range of the classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functions as fn
from ..dtypes import F32, I32, is_float, is_integer, item_bytes
from ..errors import DTypeError, ShapeError, user_errors
from ..functions.creation import class_numbers
from ..trace import Value, error, spec_of
from .activations import softplus


def _same_shape(name: str, prediction: Any, target: Any) -> None:
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
def mse(prediction: Any, target: Any) -> Any:
    """The mean squared error, `mean((prediction - target) ** 2)`.

    `prediction` and `target` are arrays of float32 or float64 of one shape; a scalar comes out.
    Gradient: `g * 2 * (prediction - target) / count`. Raises `ShapeError` if the shapes differ: a
    loss does not broadcast; `DTypeError` if the dtypes have none in common.
    """
    _same_shape("mse", prediction, target)
    return fn.mean(fn.square(prediction - target))


@user_errors
def l1(prediction: Any, target: Any) -> Any:
    """The mean absolute error, `mean(abs(prediction - target))`.

    `prediction` and `target` are arrays of float32 or float64 of one shape; a scalar comes out.
    Gradient: `g * sign(prediction - target) / count`. Raises `ShapeError` if the shapes differ: a
    loss does not broadcast; `DTypeError` if the dtypes have none in common.
    """
    _same_shape("l1", prediction, target)
    return fn.mean(fn.abs(prediction - target))


@user_errors
def huber(prediction: Any, target: Any, delta: float = 1.0) -> Any:
    """The mean of `d ** 2 / 2` up to `delta`, `delta * (d - delta / 2)` beyond it (Huber, 1964).

    Here `d` is `abs(prediction - target)`. `prediction` and `target` are arrays of float32 or
    float64 of one shape; a scalar comes out. Gradient: that of `prediction - target`, clipped to
    +-`delta`, over the count. Raises `ShapeError` if the shapes differ: a loss does not broadcast;
    `DTypeError` if the dtypes have none in common.
    """
    _same_shape("huber", prediction, target)
    error = prediction - target
    inner = fn.clip(error, -delta, delta)  # then neither part has an infinite slope
    return fn.mean(inner * (error - inner * 0.5))


@user_errors
def cross_entropy(logits: Any, labels: Any) -> Any:
    """The mean over samples of `-log(softmax(logits))` at the label.

    `logits` is [..., classes], of float32 or float64; `labels` holds integers from 0 to classes - 1
    in the shape of the leading axes; a scalar comes out. Gradient of the logits: `g *
    (softmax(logits) - one_hot(labels)) / samples`. Raises `ShapeError` if the shapes do not fit,
    `DTypeError` if the labels are no integers, and `DataError` when the program runs and a label is
    out of range.
    """
    if is_integer(spec_of(logits).dtype):
        raise _exchanged("cross_entropy", logits, labels)
    return nll(fn.log_softmax(logits, -1), labels, _name="cross_entropy")


def _exchanged(name: str, scores: Any, labels: Any) -> DTypeError:
    exchanged = is_float(spec_of(labels).dtype)
    help_ = (
        f"exchange them: `nn.{name}(logits, labels)`" if exchanged else "pass scores, not classes"
    )
    return error(
        DTypeError,
        "GC323",
        f"the scores of `{name}` are real numbers, got {spec_of(scores)!r}",
        helps=(help_,),
    )


@user_errors
def nll(log_probabilities: Any, labels: Any, *, _name: str = "nll") -> Any:
    """The mean negative log-likelihood: of `log_probabilities` [..., classes], at the label.

    `log_probabilities` is of float32 or float64, such as `log_softmax` gives; `labels` holds
    integers from 0 to classes - 1 in the shape of the leading axes; a scalar comes out. Gradient:
    `-g * one_hot(labels) / samples`. Raises `ShapeError` if the shapes do not fit, `DTypeError` if
    the labels are no integers, and `DataError` when the program runs and a label is out of range.
    """
    chosen = _chosen(_name, log_probabilities, labels)
    return -fn.mean(fn.sum(fn.where(chosen, log_probabilities, 0.0), -1))


def _chosen(name: str, scores: Any, labels: Any) -> Any:
    """A mask [..., classes], true at each label."""
    if not isinstance(labels, Value):
        labels = np.asarray(labels)
    if not is_integer(labels.dtype):
        raise error(
            DTypeError,
            "GC323",
            f"the labels of `{name}` are integers, got {spec_of(labels)!r}",
            helps=(
                "take the place of the one: `labels.argmax(-1)`"
                if np.shape(labels) == np.shape(scores)
                else "convert them: `labels.astype(gd.int32)`",
            ),
        )
    leading = tuple(np.shape(scores)[:-1])
    if not np.ndim(scores) or labels.shape != leading:
        raise error(
            ShapeError,
            "GC322",
            f"`{name}` needs one label for each row of scores, "
            f"got scores {spec_of(scores)!r} and labels {spec_of(labels)!r}",
            helps=(
                "drop the last axis of the labels: `labels[..., 0]`"
                if labels.shape == (*leading, 1)
                else f"give labels of the shape {list(leading)}",
            ),
        )
    classes = np.shape(scores)[-1]
    labels = fn.bounded(labels, lower=0, upper=classes)
    labels, numbers = class_numbers(labels, classes)
    return labels[..., None] == numbers


@user_errors
def binary_cross_entropy_with_logits(logits: Any, target: Any) -> Any:
    """The mean of `-target * log(p) - (1 - target) * log(1 - p)` with `p = sigmoid(logits)`.

    `logits` and `target` are arrays of float32 or float64 of one shape; a scalar comes out,
    computed so that nothing overflows. Gradient of the logits: `g * (p - target) / count`. Raises
    `ShapeError` if the shapes differ: a loss does not broadcast; `DTypeError` if the dtypes have
    none in common.
    """
    _same_shape("binary_cross_entropy_with_logits", logits, target)
    return fn.mean(softplus(logits) - logits * target)


@user_errors
def accuracy(logits: Any, labels: Any) -> Any:
    """The share of rows whose greatest logit is at the label, in float32.

    `logits` is [..., classes], of numbers; `labels` holds integers in the shape of the leading
    axes; a scalar comes out. Gradient: none. Raises `ShapeError` if the shapes do not broadcast.
    """
    if item_bytes(labels.dtype) < item_bytes(I32):
        labels = fn.astype(labels, I32)  # so that every class number fits
    hits = fn.astype(fn.argmax(logits, -1), labels.dtype) == labels
    return fn.mean(fn.astype(hits, F32))
