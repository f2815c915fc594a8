"""Products: `matmul`, `dot`, `tensordot`, all written in the one contraction op.

Enters: traced values or NumPy arrays. Leaves: sums of products over shared axes. Always holds: what
NumPy gives, for the same arguments.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ShapeError
from ..trace import Value, error
from ..trace.axes import axes_in_order
from ..trace.methods import matmul as traced_matmul
from .dispatch import Array, traces


@traces(np.matmul, operands=2)
def matmul(a: Value, b: Value) -> Array:
    """The matrix product `a @ b` of vectors, matrices, or stacks of matrices.

    Both are arrays of numbers of one dtype after promotion; the last axis of `a` meets the last but
    one of `b`, the axes before these broadcast, and a vector's axis is gone from the result.

    Gradient, where `g` is the one of the result, for matrices:
        d_a = g @ b.T
        d_b = a.T @ g

    Raises `ShapeError` if the axes that meet differ or an operand is a scalar, `DTypeError` if the
    dtypes have none in common.
    """
    return traced_matmul(a, b)


@traces(np.dot, operands=2)
def dot(a: Value, b: Value) -> Array:
    """`numpy.dot`: the last axis of `a` with the last but one of `b`, or the only one of a vector.

    The product of two matrices is that of `matmul`; a scalar multiplies; other axes of `a` come
    before those of `b` in the result. Both are arrays of numbers, promoted to one dtype. Gradient:
    `g` contracted with the other operand. Raises `ShapeError` if the axes that meet differ,
    `DTypeError` if the dtypes have none in common.
    """
    return a.dot(b)


@traces(np.tensordot, operands=2)
def tensordot(a: Value, b: Value, axes: Any = 2) -> Array:
    """Products summed over the last `axes` of `a` and first of `b`, or over the axes named.

    `axes` is a number, or a pair: the axes of `a`, and those of `b` that they meet. What is left of
    `a`, then of `b`, are the axes of the result. Both are arrays of numbers, promoted to one dtype.
    Gradient: `g` contracted with the other operand. Raises `ShapeError` if the axes that meet
    differ, `DTypeError` if the dtypes have none in common.
    """
    if isinstance(axes, int):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise error(
                ShapeError,
                "GC123",
                f"`tensordot` over {axes} axes of {a.spec!r} and {b.spec!r}",
                helps=("name at most as many axes as both have",),
            )
        axes = (range(a.ndim - axes, a.ndim), range(axes))
    of_a, of_b = axes
    return a.contract(b, (axes_in_order(of_a, a.ndim), axes_in_order(of_b, b.ndim)), ((), ()))


@traces(np.inner, operands=2)
def inner(a: Value, b: Value) -> Array:
    """Products summed over the last axis of both `a` and `b`; the other axes of `a` come first.

    Both are arrays of numbers, promoted to one dtype; a scalar multiplies. Gradient: `g` contracted
    with the other operand. Raises `ShapeError` if the last axes differ, `DTypeError` if the dtypes
    have none in common.
    """
    return tensordot(a, b, ((-1,), (-1,))) if a.ndim and b.ndim else a * b


@traces(np.outer, operands=2)
def outer(a: Value, b: Value) -> Array:
    """Every element of `a` times every element of `b`: a matrix, both being flattened.

    Both are arrays of numbers, promoted to one dtype. Gradient: `g` summed with the other operand,
    as of a product. Raises `DTypeError` if the dtypes have none in common.
    """
    return a.ravel()[:, None] * b.ravel()[None, :]


@traces(np.vecdot, operands=2)
def vecdot(a: Value, b: Value, *, axis: int = -1) -> Array:
    """Products of `a` and `b` summed over `axis` of both; the other axes broadcast.

    Both are arrays of numbers, promoted to one dtype. Gradient: `g` times the other operand. Raises
    `ShapeError` if the shapes do not broadcast, `DTypeError` if the dtypes have none in common.
    """
    return (a * b).sum(axis)
