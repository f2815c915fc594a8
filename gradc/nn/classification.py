"""Losses of classes, and the accuracy.

Enters: scores of classes, the last axis, and integer labels. Leaves: a scalar, or with
`reduction="none"` one number for each sample. Always holds: labels are integers in the range of the
classes, which is checked when the program runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functions as fn
from ..dtypes import F32, I32, is_float, is_integer, item_bytes
from ..errors import DTypeError, ShapeError, user_errors
from ..functions.creation import class_numbers
from ..trace import Value, error, spec_of
from .activations import log_sigmoid
from .losses import in_dtype_of, reduced, same_shape


@user_errors
def cross_entropy(
    logits: Any,
    labels: Any,
    weight: Any = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """The mean over samples of `-log(softmax(logits))` at the label.

    `logits` is [..., classes], of float32 or float64; `labels` holds integers from 0 to classes - 1
    in the shape of the leading axes; a scalar comes out, with `reduction="sum"` the sum, with
    "none" every sample's. `weight` is [classes]: the mean is then weighted by that of the label.
    `label_smoothing` in [0, 1] spreads that part of each label over all classes. Gradient of the
    logits: `g * (softmax(logits) - one_hot(labels)) / samples`. Raises `ShapeError` if the shapes
    do not fit, `DTypeError` if the labels are no integers, and `DataError` when the program runs
    and a label is out of range.
    """
    if is_integer(spec_of(logits).dtype):
        raise _exchanged("cross_entropy", logits, labels)
    log_probabilities = fn.log_softmax(logits, -1)
    loss = nll(log_probabilities, labels, weight, reduction, _name="cross_entropy")
    if not label_smoothing:
        return loss
    smoothed = log_probabilities if weight is None else log_probabilities * weight
    spread = -fn.sum(smoothed, -1) * (1 / np.shape(logits)[-1])
    if reduction == "mean" and weight is not None:
        chosen = _chosen("cross_entropy", logits, labels)
        spread = fn.sum(spread) / fn.sum(fn.where(chosen, weight, 0.0))
    else:
        spread = reduced(spread, reduction)
    return (1 - label_smoothing) * loss + label_smoothing * spread


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
def nll(
    log_probabilities: Any,
    labels: Any,
    weight: Any = None,
    reduction: str = "mean",
    *,
    _name: str = "nll",
) -> Any:
    """The mean negative log-likelihood: of `log_probabilities` [..., classes], at the label.

    `log_probabilities` is of float32 or float64, such as `log_softmax` gives; `labels` holds
    integers from 0 to classes - 1 in the shape of the leading axes; a scalar comes out. `weight`
    and `reduction` are those of `nn.cross_entropy`. Gradient: `-g * one_hot(labels) / samples`.
    Raises `ShapeError` if the shapes do not fit, `DTypeError` if the labels are no integers, and
    `DataError` when the program runs and a label is out of range.
    """
    chosen = _chosen(_name, log_probabilities, labels)
    if weight is None and reduction == "mean":
        return -fn.mean(fn.sum(fn.where(chosen, log_probabilities, 0.0), -1))
    weighted = log_probabilities if weight is None else log_probabilities * weight
    losses = -fn.sum(fn.where(chosen, weighted, 0.0), -1)
    if weight is None or reduction != "mean":
        return reduced(losses, reduction)
    return fn.sum(losses) / fn.sum(fn.where(chosen, weight, 0.0))


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
def multi_margin(
    scores: Any,
    labels: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """The mean over samples of `sum(max(0, margin - at_label + scores) ** p) / classes`.

    `scores` is [..., classes], of float32 or float64; `labels` are those of `nn.cross_entropy`; the
    sum leaves out the label; `p` is 1 or 2; `weight`, [classes], multiplies what is summed by that
    of the label. `reduction` is that of `nn.cross_entropy`. Gradient: by the chain rule. Raises
    `ShapeError` if the shapes do not fit, `DTypeError` if the labels are no integers.
    """
    chosen = _chosen("multi_margin", scores, labels)
    at_label = fn.sum(fn.where(chosen, scores, 0.0), -1, keepdims=True)
    short = fn.relu(fn.where(chosen, 0.0, margin - at_label + scores))
    losses = short if p == 1 else fn.square(short)
    if weight is not None:
        losses = losses * fn.sum(fn.where(chosen, weight, 0.0), -1, keepdims=True)
    return reduced(fn.sum(losses, -1) * (1 / np.shape(scores)[-1]), reduction)


@user_errors
def multilabel_soft_margin(
    logits: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """The mean over samples and classes of the binary cross-entropy of each class.

    `logits`, of float32 or float64, and `target`, 0 or 1, are [..., classes]; `weight`, [classes],
    multiplies the losses of a class. `reduction` is over samples. Gradient of the logits: `g *
    (sigmoid(logits) - target) / count`. Raises `ShapeError` if the shapes differ; `DTypeError` if
    the dtypes have none in common.
    """
    same_shape("multilabel_soft_margin", logits, target)
    target = in_dtype_of(target, logits)
    losses = -(target * log_sigmoid(logits) + (1 - target) * log_sigmoid(-logits))
    losses = losses if weight is None else losses * weight
    return reduced(fn.mean(losses, -1), reduction)


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
