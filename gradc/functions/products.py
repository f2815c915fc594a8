"""Products: `matmul`, `dot`, `tensordot`, all written in the one contraction op.

Enters: traced values or NumPy arrays. Leaves: sums of products over shared axes. Always holds: what
NumPy gives, for the same arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..trace import Value
from ..trace.methods import matmul as traced_matmul
from .dispatch import Array, traces


@traces(np.matmul, operands=2)
def matmul(a: Value, b: Value) -> Array:
    """The matrix product `a @ b` of vectors, matrices, or stacks of matrices."""
    return traced_matmul(a, b)


@traces(np.dot, operands=2)
def dot(a: Value, b: Value) -> Array:
    """`numpy.dot`: the last axis of `a` with the next-to-last of `b`."""
    return a.dot(b)


@traces(np.tensordot, operands=2)
def tensordot(a: Value, b: Value, axes: Any = 2) -> Array:
    """Products summed over the last `axes` of `a` and first of `b`, or over the axes named."""
    if isinstance(axes, int):
        axes = (range(a.ndim - axes, a.ndim), range(axes))
    named = [(x,) if isinstance(x, int) else tuple(x) for x in axes]
    pair = tuple(tuple(i % v.ndim for i in own) for own, v in zip(named, (a, b), strict=True))
    return a.contract(b, pair, ((), ()))


@traces(np.inner, operands=2)
def inner(a: Value, b: Value) -> Array:
    """Products summed over the last axis of both."""
    return tensordot(a, b, ((-1,), (-1,))) if a.ndim and b.ndim else a * b


@traces(np.outer, operands=2)
def outer(a: Value, b: Value) -> Array:
    """Every element of `a` times every element of `b`."""
    return a.ravel()[:, None] * b.ravel()[None, :]


@traces(np.vecdot, operands=2)
def vecdot(a: Value, b: Value, *, axis: int = -1) -> Array:
    """Products summed over `axis`, other axes broadcast."""
    return (a * b).sum(axis)
