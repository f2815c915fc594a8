"""Normalisation: mean 0 and variance 1 over some of the axes.

Enters: an array and the axes. Leaves: an array of the same shape. Always holds: variances are those
of the elements at hand, divided by their count, as PyTorch's layers have them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import functions as fn
from ..dtypes import F32
from ..errors import ArgumentError, ShapeError, fail, user_errors
from ..trace import error, spec_of
from .init import check_size, ones, zeros
from .module import Module

Shape = int | Sequence[int]


def _normed(x: Any, axes: tuple[int, ...], eps: float) -> Any:
    """`x` less its mean over `axes`, over the root of its variance there."""
    centred = x - fn.mean(x, axis=axes, keepdims=True)
    variance = fn.mean(fn.square(centred), axis=axes, keepdims=True)
    return centred / fn.sqrt(variance + eps)


def _trailing(name: str, x: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of `x` that are its last ones and have the extents `shape`."""
    found = np.shape(x)
    if not shape or found[len(found) - len(shape) :] != shape or len(found) < len(shape):
        message = f"`{name}` is over the last axes {list(shape)}, got {spec_of(x)!r}"
        raise error(ShapeError, "GC335", message, helps=("give it the extents of the last axes",))
    return tuple(range(-len(shape), 0))


def _sizes(layer: str, shape: Shape) -> tuple[int, ...]:
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    for size in sizes:
        check_size(layer, "normalized_shape", size)
    return sizes


@user_errors
def layer_norm(
    x: Any, normalized_shape: Shape, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """`(x - mean) / sqrt(variance + eps) * weight + bias` over the last axes (Ba et al., 2016).

    `x` is an array of float32 or float64 whose last axes have the extents `normalized_shape`, as
    have `weight` and `bias`, each of which may be None; its shape and dtype come out. Gradient: by
    the chain rule, also through mean and variance. Raises `ShapeError` if the axes do not fit.
    """
    axes = _trailing("layer_norm", x, _sizes("layer_norm", normalized_shape))
    y = _normed(x, axes, eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


@user_errors
def rms_norm(x: Any, normalized_shape: Shape, weight: Any = None, eps: float | None = None) -> Any:
    """`x / sqrt(mean(x**2) + eps) * weight` over the last axes (Zhang and Sennrich, 2019).

    `x` is an array of float32 or float64 whose last axes have the extents `normalized_shape`, as
    has `weight`, which may be None; its shape and dtype come out. An `eps` of None is the spacing
    of numbers at 1. Gradient: by the chain rule, also through the root. Raises `ShapeError` if the
    axes do not fit.
    """
    axes = _trailing("rms_norm", x, _sizes("rms_norm", normalized_shape))
    least = float(np.finfo(spec_of(x).dtype).eps) if eps is None else eps
    y = x / fn.sqrt(fn.mean(fn.square(x), axis=axes, keepdims=True) + least)
    return y if weight is None else y * weight


@user_errors
def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Axis 1 in `num_groups` groups, each normalised with all axes behind it (Wu and He, 2018).

    `x` is [samples, channels, ...], of float32 or float64, whose shape and dtype come out; `weight`
    and `bias` are [channels], or None; `eps` is added to the variance. Gradient: by the chain rule,
    also through mean and variance. Raises `ShapeError` if the groups do not divide the channels.
    """
    shape = np.shape(x)
    if len(shape) < 2 or num_groups < 1 or shape[1] % num_groups:
        message = f"{num_groups} groups do not divide axis 1 of {spec_of(x)!r}"
        raise error(ShapeError, "GC335", message, helps=("choose a divisor of the channels",))
    grouped = fn.reshape(x, (shape[0], num_groups, -1))
    return _scaled(fn.reshape(_normed(grouped, (-1,), eps), shape), weight, bias)


def _scaled(x: Any, weight: Any, bias: Any) -> Any:
    """`x` times `weight` plus `bias`, which are along axis 1."""
    along = (-1, *[1] * (np.ndim(x) - 2))
    x = x if weight is None else x * fn.reshape(weight, along)
    return x if bias is None else x + fn.reshape(bias, along)


@user_errors
def instance_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Each channel of each sample normalised by itself (Ulyanov et al., 2016).

    `x` is [samples, channels, ...], of float32 or float64, whose shape and dtype come out; `weight`
    and `bias` are [channels], or None; `eps` is added to the variance. Gradient: by the chain rule,
    also through mean and variance. Raises `ShapeError` if there is nothing behind the channels.
    """
    if np.ndim(x) < 3:
        message = f"`instance_norm` needs axes behind the channels, got {spec_of(x)!r}"
        raise error(ShapeError, "GC335", message, helps=("give it [samples, channels, ...]",))
    return _scaled(_normed(x, tuple(range(2, np.ndim(x))), eps), weight, bias)


@user_errors
def normalize(x: Any, p: float = 2.0, axis: int = 1, eps: float = 1e-12) -> Any:
    """`x / max(norm(x), eps)` along `axis`, where the norm is that of order `p`.

    `x` is an array of float32 or float64, whose shape and dtype come out. Gradient: by the chain
    rule, also through the norm. Raises `ArgumentError` for an order below 1.
    """
    return x / fn.maximum(_norm(x, p, axis, keepdims=True), eps)


def _norm(x: Any, p: float, axis: int, *, keepdims: bool) -> Any:
    """The norm of order `p` along `axis`; 0 has the slope 0."""
    if p == 1:
        return fn.sum(fn.abs(x), axis=axis, keepdims=keepdims)
    if p == math.inf:
        return fn.max(fn.abs(x), axis=axis, keepdims=keepdims)
    if not p > 1:
        message = f"the order of a norm is at least 1, got {p!r}"
        raise fail(ArgumentError, "GC336", message, helps=("take `p=2.0`",))
    powers = fn.square(x) if p == 2 else fn.abs(x) ** p
    total = fn.sum(powers, axis=axis, keepdims=keepdims)
    positive = total > 0
    inside = fn.where(positive, total, 1.0)
    root = fn.sqrt(inside) if p == 2 else inside ** (1 / p)
    return fn.where(positive, root, 0.0)


@user_errors
def cosine_similarity(x1: Any, x2: Any, axis: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between `x1` and `x2` along `axis`.

    Both are arrays of float32 or float64 that broadcast; one without `axis` comes out. A norm
    counts as `eps` at least. Gradient: by the chain rule. Raises `ShapeError` if they do not
    broadcast.
    """
    lengths = [fn.maximum(_norm(x, 2.0, axis, keepdims=True), eps) for x in (x1, x2)]
    return fn.sum((x1 / lengths[0]) * (x2 / lengths[1]), axis=axis)


@user_errors
def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False
) -> Any:
    """The norm of order `p` of `x1 - x2 + eps` along the last axis.

    Both are arrays of float32 or float64 that broadcast; one without the last axis comes out, or
    with `keepdims` of extent 1 there. Gradient: by the chain rule. Raises `ArgumentError` for an
    order below 1.
    """
    return _norm(x1 - x2 + eps, p, -1, keepdims=keepdims)


class LayerNorm(Module):
    """`nn.layer_norm` with a `weight` and a `bias` to train.

    `normalized_shape` are the extents of the last axes, which `weight` and `bias` have; they start
    at 1 and 0, and are None with `elementwise_affine=False`; `bias=False` leaves out that alone.
    `eps` is added to the variance. They are of `dtype`, float32 or float64. Gradients are those of
    `nn.layer_norm`. Raises `ArgumentError` for sizes that are none; called, `ShapeError`.
    """

    @user_errors
    def __init__(
        self,
        normalized_shape: Shape,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: object = F32,
    ) -> None:
        self.normalized_shape = _sizes("LayerNorm", normalized_shape)
        self.eps = eps
        affine = elementwise_affine
        self.weight: Any = ones(self.normalized_shape, dtype=dtype) if affine else None
        self.bias: Any = zeros(self.normalized_shape, dtype=dtype) if affine and bias else None

    @user_errors
    def __call__(self, x: Any) -> Any:
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)


class RMSNorm(Module):
    """`nn.rms_norm` with a `weight` to train.

    `normalized_shape` are the extents of the last axes, which `weight` has; it starts at 1, and is
    None with `elementwise_affine=False`. An `eps` of None is the spacing of numbers at 1. It is of
    `dtype`, float32 or float64. Gradients are those of `nn.rms_norm`. Raises `ArgumentError` for
    sizes that are none; called, `ShapeError`.
    """

    @user_errors
    def __init__(
        self,
        normalized_shape: Shape,
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: object = F32,
    ) -> None:
        self.normalized_shape = _sizes("RMSNorm", normalized_shape)
        self.eps = eps
        self.weight: Any = ones(self.normalized_shape, dtype=dtype) if elementwise_affine else None

    @user_errors
    def __call__(self, x: Any) -> Any:
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    """`nn.group_norm` with a `weight` and a `bias` to train.

    `num_groups` divides `num_channels`, the extent of axis 1, which `weight` and `bias` have; they
    start at 1 and 0, and are None with `affine=False`; `bias=False` leaves out that alone. `eps` is
    added to the variance. They are of `dtype`, float32 or float64. Gradients are those of
    `nn.group_norm`. Raises `ArgumentError` for sizes that do not fit; called, `ShapeError`.
    """

    @user_errors
    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        bias: bool = True,
        *,
        dtype: object = F32,
    ) -> None:
        check_size("GroupNorm", "num_groups", num_groups)
        check_size("GroupNorm", "num_channels", num_channels)
        if not num_groups or num_channels % num_groups:
            message = f"{num_groups} groups do not divide {num_channels} channels"
            raise fail(ArgumentError, "GC337", message, helps=("choose a divisor",))
        self.num_groups = num_groups
        self.eps = eps
        self.weight: Any = ones(num_channels, dtype=dtype) if affine else None
        self.bias: Any = zeros(num_channels, dtype=dtype) if affine and bias else None

    @user_errors
    def __call__(self, x: Any) -> Any:
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class CosineSimilarity(Module):
    """`nn.cosine_similarity` as a layer of two arguments, along `axis`, with `eps`.

    Its arguments are of float32 or float64. Gradients are those of the function. Raises
    `ShapeError` if its arguments do not broadcast.
    """

    @user_errors
    def __init__(self, axis: int = 1, eps: float = 1e-8) -> None:
        self.axis = axis
        self.eps = eps

    @user_errors
    def __call__(self, x1: Any, x2: Any) -> Any:
        return cosine_similarity(x1, x2, self.axis, self.eps)


class PairwiseDistance(Module):
    """`nn.pairwise_distance` as a layer of two arguments, of order `p`, with `eps` and `keepdims`.

    Its arguments are of float32 or float64. Gradients are those of the function. Raises
    `ArgumentError` for an order below 1.
    """

    @user_errors
    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False) -> None:
        self.p = p
        self.eps = eps
        self.keepdims = keepdims

    @user_errors
    def __call__(self, x1: Any, x2: Any) -> Any:
        return pairwise_distance(x1, x2, self.p, self.eps, self.keepdims)
