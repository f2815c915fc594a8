"""Shape functions: they move elements and compute nothing.

Enters: traced values or NumPy arrays. Leaves: the same elements in other places. Always holds: what
NumPy gives, for the same arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..trace import NUMPY_FUNCTIONS, Value, error, lifted, promoted
from ..trace.axes import axes_in_order, normal_axes, normal_axis
from .dispatch import Array, Axis, traces, values_in
from .elementwise import where


@traces(np.reshape)
def reshape(x: Value, shape: int | Sequence[int]) -> Array:
    """The elements of `x` in row-major order in another `shape`; one extent may be -1 and is found.

    Any dtype, which stays. Gradient: `g` in the shape of `x`. Raises `ShapeError` if the shape has
    not as many elements.
    """
    return x.reshape(shape)


@traces(np.transpose)
def permute_dims(x: Value, axes: Sequence[int] | None = None) -> Array:
    """The axes of `x` in the order `axes`, by default reversed; negative ones count from the end.

    Any dtype, which stays. Gradient: `g` with its axes put back. Raises `ShapeError` unless each
    axis is named once.
    """
    return x.transpose(axes)


@traces(np.matrix_transpose)
def matrix_transpose(x: Value) -> Array:
    """The last two axes of `x` exchanged.

    Any dtype, which stays. Gradient: `g` with its own exchanged. Raises `ShapeError` if `x` has
    fewer than two axes.
    """
    return x.mT


@traces(np.swapaxes)
def swapaxes(x: Value, axis1: int, axis2: int) -> Array:
    """The axes `axis1` and `axis2` of `x` exchanged; negative ones count from the end.

    Any dtype, which stays. Gradient: `g` with its own exchanged. Raises `ShapeError` for an axis
    that `x` does not have.
    """
    return x.swapaxes(axis1, axis2)


@traces(np.moveaxis)
def moveaxis(x: Value, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> Array:
    """The axes `source` of `x` put at the places `destination`, the others in their order.

    Each is an axis or several; negative ones count from the end. Any dtype, which stays. Gradient:
    `g` with its axes put back. Raises `ShapeError` for an axis that `x` does not have.
    """
    sources, targets = axes_in_order(source, x.ndim), axes_in_order(destination, x.ndim)
    if len(sources) != len(targets):
        raise error(
            ShapeError,
            "GC123",
            f"`moveaxis` of {len(sources)} axes to {len(targets)} places",
            helps=("name as many places as axes",),
        )
    pairs = dict(zip(targets, sources, strict=True))
    rest = iter([i for i in range(x.ndim) if i not in pairs.values()])
    return x.transpose(tuple(pairs[i] if i in pairs else next(rest) for i in range(x.ndim)))


@traces(np.expand_dims)
def expand_dims(x: Value, axis: int | tuple[int, ...] = 0) -> Array:
    """`x` with new axes of extent 1, which have the places `axis` in the result.

    Any dtype, which stays. Gradient: `g` in the shape of `x`. Raises `ShapeError` for a place that
    the result does not have.
    """
    return x.expand_dims(axis)


@traces(np.squeeze)
def squeeze(x: Value, axis: Axis = None) -> Array:
    """`x` without the axes of extent 1 named by `axis`, by default without any.

    Any dtype, which stays. Gradient: `g` in the shape of `x`. Raises `ShapeError` for an axis of
    another extent.
    """
    return x.squeeze(axis)


@traces(np.ravel)
def ravel(x: Value) -> Array:
    """All elements of `x` in row-major order, in one axis.

    Any dtype, which stays. Gradient: `g` in the shape of `x`.
    """
    return x.ravel()


@traces(np.broadcast_to)
def broadcast_to(x: Value, shape: Sequence[int]) -> Array:
    """`x` repeated to `shape` by NumPy's rule: extents are equal or 1, counted from the last axis.

    Any dtype, which stays. Gradient: `g` summed over what was repeated. Raises `ShapeError` if the
    rule is broken.
    """
    return x.broadcast_to(shape)


@traces(np.broadcast_arrays, operands=0)
def broadcast_arrays(*arrays: Array) -> Array:
    """All `arrays` repeated to their common shape, as a tuple; their dtypes stay.

    Gradient: each `g` summed over what was repeated. Raises `ShapeError` if there is no such shape.
    """
    traced = values_in(arrays)
    values = [lifted(traced[0].owner, a, traced) for a in arrays]
    try:
        shape = np.broadcast_shapes(*(v.shape for v in values))
    except ValueError:
        specs = ", ".join(repr(v.spec) for v in values)
        raise error(ShapeError, "GC101", f"the shapes of {specs} do not broadcast") from None
    return tuple(v.broadcast_to(shape) for v in values)


@traces(np.flip)
def flip(x: Value, axis: Axis = None) -> Array:
    """The order of the elements of `x` reversed along `axis` (one or several), by default all.

    Any dtype, which stays. Gradient: `g` reversed. Raises `ShapeError` for an axis that `x` does
    not have.
    """
    return x.movement("flip", axes=normal_axes(axis, x.ndim))


@traces(np.concatenate, operands=0)
def concat(arrays: Sequence[Array], axis: int | None = 0) -> Array:
    """The `arrays` one after the other along `axis`; `None` flattens them first.

    Their dtypes are promoted to one. Gradient: the parts of `g`. Raises `ShapeError` if their other
    axes differ, `DTypeError` if the dtypes have none in common.
    """
    owner = values_in(arrays)[0].owner
    values = promoted(owner, arrays)
    if axis is None:
        values, axis = [v.ravel() for v in values], 0
    chosen = normal_axis(axis, values[0].ndim)
    return values[0].concat(*values[1:], axis=chosen)


@traces(np.stack, operands=0)
def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    """The `arrays`, which have one shape, along a new axis at the place `axis`.

    Their dtypes are promoted to one. Gradient: the parts of `g`. Raises `ShapeError` if the shapes
    differ, `DTypeError` if the dtypes have none in common.
    """
    owner = values_in(arrays)[0].owner
    return concat([a.expand_dims(axis) for a in promoted(owner, arrays)], axis)


@traces(np.roll)
def roll(x: Value, shift: int | tuple[int, ...], axis: Axis = None) -> Array:
    """The elements of `x` moved `shift` places along `axis`, the last ones to the beginning.

    Several axes have a shift each, or one for all; without an axis it is the flattened array that
    is rolled. Any dtype, which stays. Gradient: `g` rolled back. Raises `ShapeError` for an axis
    that `x` does not have.
    """
    if axis is None:
        return roll(x.ravel(), shift, 0).reshape(x.shape)
    for places, along in np.broadcast(shift, axis):
        x = _rolled(x, int(places), normal_axis(int(along), x.ndim))
    return x


def _rolled(x: Value, shift: int, chosen: int) -> Value:
    extent = x.shape[chosen]
    cut = (-shift) % extent if extent else 0
    front = (slice(None),) * chosen
    parts = x[(*front, slice(cut, None))], x[(*front, slice(None, cut))]
    return parts[0].concat(parts[1], axis=chosen)


@traces(np.tril)
def tril(x: Value, k: int = 0) -> Array:
    """The lower triangle of the last two axes of `x`; zero above diagonal `k`.

    Diagonal 1 lies above the main one, -1 below it.

    Any dtype, which stays. Gradient: `g` in the triangle, else 0. Raises `ShapeError` if `x` has
    fewer than two axes.
    """
    return where(_lower_triangle(x, k), x, 0)


@traces(np.triu)
def triu(x: Value, k: int = 0) -> Array:
    """The upper triangle of the last two axes of `x`; zero below diagonal `k`.

    Diagonal 1 lies above the main one, -1 below it.

    Any dtype, which stays. Gradient: `g` in the triangle, else 0. Raises `ShapeError` if `x` has
    fewer than two axes.
    """
    return where(_lower_triangle(x, k - 1), 0, x)


def _lower_triangle(x: Value, k: int) -> Array:
    """A mask of the last two axes of `x`, true up to diagonal `k`."""
    if x.ndim < 2:
        message = f"a triangle has at least two axes, got {x.spec!r}"
        raise error(ShapeError, "GC124", message)
    rows, columns = x.shape[-2:]
    return np.tri(rows, columns, k, dtype=bool)


NUMPY_FUNCTIONS[np.shape] = lambda x: x.shape
NUMPY_FUNCTIONS[np.ndim] = lambda x: x.ndim
NUMPY_FUNCTIONS[np.size] = lambda x: x.size
NUMPY_FUNCTIONS[np.copy] = lambda x: x.copy()
