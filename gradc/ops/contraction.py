"""The contraction `dot`: sums of products over shared axes.

Enters: nothing. Leaves: one row in the op table. Always holds: `dot` is closed under
differentiation, its vjp is `dot` with other attributes and a transpose; the result's axes are the
batch axes, then the free axes of the left operand, then those of the right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..dtypes import SHORT, Spec, is_bool
from ..errors import DTypeError, ShapeError, fail
from .notation import product
from .table import Attrs, Kind, Sample, op

Axes = tuple[int, ...]
Pair = tuple[Axes, Axes]
Array = np.ndarray[Any, Any]


def free_axes(ndim: int, contract: Axes, batch: Axes) -> Axes:
    """The axes of an operand that are neither contracted nor batch axes."""
    return tuple(i for i in range(ndim) if i not in contract and i not in batch)


def _rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    a, b = args
    contract, batch = attrs["contract"], attrs["batch"]
    if a.dtype != b.dtype or is_bool(a.dtype):
        names = f"`{SHORT[a.dtype]}` and `{SHORT[b.dtype]}`"
        raise fail(DTypeError, "GC110", f"`dot` needs two operands of one number type, got {names}")
    for operand, own in ((a, contract[0] + batch[0]), (b, contract[1] + batch[1])):
        if len(set(own)) != len(own) or any(not 0 <= i < operand.ndim for i in own):
            raise fail(ShapeError, "GC113", f"`dot` of {operand!r} over axes {list(own)}")
    for left, right in ((contract[0], contract[1]), (batch[0], batch[1])):
        if [a.shape[i] for i in left] != [b.shape[i] for i in right]:
            raise fail(
                ShapeError,
                "GC113",
                f"`dot` of {a!r} and {b!r}: axes {list(left)} and {list(right)} differ in extent",
            )
    free_a = free_axes(a.ndim, contract[0], batch[0])
    free_b = free_axes(b.ndim, contract[1], batch[1])
    shape = [a.shape[i] for i in batch[0]] + [a.shape[i] for i in free_a]
    return Spec((*shape, *(b.shape[i] for i in free_b)), a.dtype)


def _reference(a: Array, b: Array, *, contract: Pair, batch: Pair) -> Array:
    """As one batched matrix product of the operands with their axes put in order."""
    free_a = free_axes(a.ndim, contract[0], batch[0])
    free_b = free_axes(b.ndim, contract[1], batch[1])
    lead = [a.shape[i] for i in batch[0]]
    rows, columns = [a.shape[i] for i in free_a], [b.shape[i] for i in free_b]
    depth = math.prod(a.shape[i] for i in contract[0])
    left = np.transpose(a, batch[0] + free_a + contract[0])
    right = np.transpose(b, batch[1] + contract[1] + free_b)
    product: Array = np.matmul(
        left.reshape((*lead, math.prod(rows), depth)),
        right.reshape((*lead, depth, math.prod(columns))),
    )
    return product.reshape((*lead, *rows, *columns))


def _operand_vjp(g: Any, other: Any, g_free: Axes, other_side: Pair, own_side: Pair) -> Any:
    """The cotangent of one operand: `g` contracted with the other operand's free axes.

    A side is (contracted axes, batch axes) of that operand; `g_free` are the axes of `g` that
    came from the other operand's free axes.
    """
    count = len(own_side[1])
    free_other = free_axes(other.ndim, *other_side)
    product = g.dot(
        other, contract=(g_free, free_other), batch=(tuple(range(count)), other_side[1])
    )
    # Its axes: batch, own free axes, then the contracted axes in the order of the other operand.
    by_other = sorted(range(len(other_side[0])), key=lambda k: other_side[0][k])
    own_free = free_axes(product.ndim, *own_side)
    order = own_side[1] + own_free + tuple(own_side[0][k] for k in by_other)
    return product.transpose(tuple(order.index(i) for i in range(len(order))))


def _vjp(g: Any, y: Any, a: Any, b: Any, contract: Pair, batch: Pair) -> tuple[Any, Any]:
    count = len(batch[0])
    split = count + a.ndim - len(contract[0]) - count
    from_a, from_b = tuple(range(count, split)), tuple(range(split, g.ndim))
    left, right = (contract[0], batch[0]), (contract[1], batch[1])
    return _operand_vjp(g, b, from_b, right, left), _operand_vjp(g, a, from_a, left, right)


CASES: tuple[tuple[Axes, Axes, Pair, Pair], ...] = (
    ((3, 4), (4, 5), ((1,), (0,)), ((), ())),
    ((3, 4), (5, 4), ((1,), (1,)), ((), ())),
    ((4, 3), (4, 5), ((0,), (0,)), ((), ())),
    ((4,), (4,), ((0,), (0,)), ((), ())),
    ((3,), (2,), ((), ()), ((), ())),
    ((2, 3, 4), (2, 4, 5), ((2,), (1,)), ((0,), (0,))),
    ((3, 2, 4), (5, 4, 2), ((2,), (1,)), ((1,), (2,))),
    ((2, 3, 4), (4, 5, 3), ((1, 2), (2, 0)), ((), ())),
    ((2, 3, 4, 2), (2, 4, 3, 2), ((1, 2), (2, 1)), ((0, 3), (0, 3))),
    ((17, 33), (33, 20), ((1,), (0,)), ((), ())),
)


def _samples() -> Iterator[Sample]:
    rng = np.random.default_rng(0)
    for shape_a, shape_b, contract, batch in CASES:
        attrs = {"contract": contract, "batch": batch}
        a, b = rng.uniform(-1, 1, shape_a), rng.uniform(-1, 1, shape_b)
        yield Sample((a, b), attrs, 2 if a.size < 100 else 0)
        yield Sample((a.astype(np.float32), b.astype(np.float32)), attrs, 0)
        yield Sample(((a * 9).astype(np.int32), (b * 9).astype(np.int32)), attrs, 0)


op(
    "dot",
    (Kind.CONTRACTION, _rule),
    reference=_reference,
    vjp=_vjp,
    wraps=True,
    cost=2,
    notation=product,
    unnamed=True,
    samples=_samples,
    doc="contract=((axes of a), (axes of b)) are summed over, batch=(...) are shared",
)
