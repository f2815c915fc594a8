"""Losses that want a margin: between classes, between samples, between distances.

Enters: scores or embeddings and signs. Leaves: a scalar, or with `reduction="none"` one number for
each sample. Always holds: PyTorch's formulas.
"""

from __future__ import annotations

from typing import Any

from .. import functions as fn
from ..errors import user_errors
from .activations import softplus
from .losses import in_dtype_of, reduced, same_shape
from .normalisation import cosine_similarity, pairwise_distance


@user_errors
def soft_margin(scores: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean of `log(1 + exp(-target * scores))`, with targets 1 and -1.

    `scores`, of float32 or float64, and `target` are arrays of one shape; `reduction` is that of
    `nn.mse`. Gradient: `-g * target * sigmoid(-target * scores) / count`. Raises `ShapeError` if
    the shapes differ: a loss does not broadcast.
    """
    same_shape("soft_margin", scores, target)
    target = in_dtype_of(target, scores)
    return reduced(softplus(-target * scores), reduction)


@user_errors
def hinge_embedding(
    distances: Any, target: Any, margin: float = 1.0, reduction: str = "mean"
) -> Any:
    """The mean of the distances where the target is 1, of `max(0, margin - distance)` where -1.

    `distances`, of float32 or float64, and `target` are arrays of one shape; `reduction` is that of
    `nn.mse`. Gradient: `g / count` where 1, `-g / count` where -1 and within the margin. Raises
    `ShapeError` if the shapes differ: a loss does not broadcast.
    """
    same_shape("hinge_embedding", distances, target)
    near = fn.where(target == 1, distances, 0.0)
    far = fn.where(target == -1, fn.relu(margin - distances), 0.0)
    return reduced(near + far, reduction)


@user_errors
def margin_ranking(
    x1: Any, x2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """The mean of `max(0, margin - target * (x1 - x2))`: `x1` ranks higher where the target is 1.

    `x1` and `x2`, of float32 or float64, and `target` are arrays of one shape; `reduction` is that
    of `nn.mse`. Gradient: `-g * target / count` of `x1` within the margin, else 0. Raises
    `ShapeError` if the shapes differ: a loss does not broadcast.
    """
    same_shape("margin_ranking", x1, x2)
    same_shape("margin_ranking", x1, target)
    target = in_dtype_of(target, x1)
    return reduced(fn.relu(margin - target * (x1 - x2)), reduction)


@user_errors
def cosine_embedding(
    x1: Any, x2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """The mean of `1 - cos` where the target is 1, of `max(0, cos - margin)` where it is -1.

    `x1` and `x2` are [..., features], of float32 or float64, `target` is [...]; cos is the cosine
    of their angle; `reduction` is that of `nn.mse`. Gradient: by the chain rule. Raises
    `ShapeError` if the shapes do not fit: a loss does not broadcast.
    """
    same_shape("cosine_embedding", x1, x2)
    cosine = cosine_similarity(x1, x2, -1)
    same_shape("cosine_embedding", cosine, target)
    alike = fn.where(target == 1, 1 - cosine, 0.0)
    apart = fn.where(target == -1, fn.relu(cosine - margin), 0.0)
    return reduced(alike + apart, reduction)


@user_errors
def triplet_margin(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """The mean of `max(0, d(anchor, positive) - d(anchor, negative) + margin)`.

    The three are [..., features], of float32 or float64; d is `nn.pairwise_distance` with `p` and
    `eps`; with `swap` the negative's distance is that to the nearer of the other two. `reduction`
    is that of `nn.mse`. Gradient: by the chain rule. Raises `ShapeError` if the shapes differ: a
    loss does not broadcast.
    """
    same_shape("triplet_margin", anchor, positive)
    same_shape("triplet_margin", anchor, negative)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = fn.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(fn.relu(near - far + margin), reduction)
