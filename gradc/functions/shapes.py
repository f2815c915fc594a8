"""Shape functions: they move elements and compute nothing.

Enters: traced values or NumPy arrays. Leaves: the same elements in other places. Always holds: what
NumPy gives, for the same arguments.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ShapeError
from ..trace import NUMPY_FUNCTIONS, Value, error, lifted, owner_of, promoted
from ..trace.methods import normal_axes
from .dispatch import Array, Axis, traces, values_in
from .elementwise import where


@traces(np.reshape)
def reshape(x: Value, shape: int | Sequence[int]) -> Array:
    """The same elements in row-major order in another shape; one extent may be -1."""
    return x.reshape(shape)


@traces(np.transpose)
def permute_dims(x: Value, axes: Sequence[int] | None = None) -> Array:
    """The axes in another order, by default reversed."""
    return x.transpose(*(axes or ()))


@traces(np.matrix_transpose)
def matrix_transpose(x: Value) -> Array:
    """The last two axes exchanged."""
    return x.mT


@traces(np.swapaxes)
def swapaxes(x: Value, axis1: int, axis2: int) -> Array:
    """Two axes exchanged."""
    return x.swapaxes(axis1, axis2)


@traces(np.moveaxis)
def moveaxis(x: Value, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> Array:
    """Axes `source` put at the places `destination`, the others in their order."""
    sources = [source] if isinstance(source, int) else source
    targets = [destination] if isinstance(destination, int) else destination
    pairs = {t % x.ndim: s % x.ndim for s, t in zip(sources, targets, strict=True)}
    rest = iter([i for i in range(x.ndim) if i not in pairs.values()])
    return x.transpose(tuple(pairs[i] if i in pairs else next(rest) for i in range(x.ndim)))


@traces(np.expand_dims)
def expand_dims(x: Value, axis: int | tuple[int, ...] = 0) -> Array:
    """New axes of extent 1 at the places `axis` of the result."""
    return x.expand_dims(axis)


@traces(np.squeeze)
def squeeze(x: Value, axis: Axis = None) -> Array:
    """Without the axes of extent 1 named by `axis`."""
    return x.squeeze(axis)


@traces(np.ravel)
def ravel(x: Value) -> Array:
    """All elements in row-major order, in one axis."""
    return x.ravel()


@traces(np.broadcast_to)
def broadcast_to(x: Value, shape: Sequence[int]) -> Array:
    """The array repeated to `shape` by NumPy's rule."""
    return x.broadcast_to(shape)


@traces(np.broadcast_arrays, operands=0)
def broadcast_arrays(*arrays: Array) -> Array:
    """All arrays repeated to their common shape."""
    owner = owner_of(arrays)
    values = [lifted(owner, a, values_in(arrays)) for a in arrays]
    try:
        shape = np.broadcast_shapes(*(v.shape for v in values))
    except ValueError:
        specs = ", ".join(repr(v.spec) for v in values)
        raise error(ShapeError, "GC101", f"the shapes of {specs} do not broadcast") from None
    return tuple(v.broadcast_to(shape) for v in values)


@traces(np.flip)
def flip(x: Value, axis: Axis = None) -> Array:
    """The order of the elements reversed along `axis`, by default along all."""
    return x.flip(axes=normal_axes(axis, x.ndim))


@traces(np.concatenate, operands=0)
def concat(arrays: Sequence[Array], axis: int | None = 0) -> Array:
    """The arrays one after the other along `axis`; `None` flattens them first."""
    owner = values_in(arrays)[0].owner
    values = promoted(owner, arrays)
    if axis is None:
        values, axis = [v.ravel() for v in values], 0
    (chosen,) = normal_axes(axis, values[0].ndim)
    return values[0].concat(*values[1:], axis=chosen)


@traces(np.stack, operands=0)
def stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    """The arrays, which have one shape, along a new axis."""
    owner = values_in(arrays)[0].owner
    return concat([a.expand_dims(axis) for a in promoted(owner, arrays)], axis)


@traces(np.roll)
def roll(x: Value, shift: int, axis: int | None = None) -> Array:
    """Elements moved `shift` places along `axis`, those at the end to the beginning."""
    if axis is None:
        return roll(x.ravel(), shift, 0).reshape(x.shape)
    (chosen,) = normal_axes(axis, x.ndim)
    extent = x.shape[chosen]
    cut = (-shift) % extent if extent else 0
    front = (slice(None),) * chosen
    return concat([x[(*front, slice(cut, None))], x[(*front, slice(None, cut))]], chosen)


@traces(np.tril)
def tril(x: Value, k: int = 0) -> Array:
    """The lower triangle of the last two axes; zero above diagonal `k`."""
    rows, columns = x.shape[-2:]
    return where(np.tri(rows, columns, k, dtype=bool), x, 0)


@traces(np.triu)
def triu(x: Value, k: int = 0) -> Array:
    """The upper triangle of the last two axes; zero below diagonal `k`."""
    rows, columns = x.shape[-2:]
    return where(np.tri(rows, columns, k - 1, dtype=bool), 0, x)


NUMPY_FUNCTIONS[np.shape] = lambda x: x.shape
NUMPY_FUNCTIONS[np.ndim] = lambda x: x.ndim
NUMPY_FUNCTIONS[np.size] = lambda x: x.size
NUMPY_FUNCTIONS[np.copy] = lambda x: x.copy()
