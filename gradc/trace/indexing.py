"""Basic indexing: what `x[1:, None, ::-1, 0]` means in movement ops.

Enters: a spec and an index of integers, slices, `None` and `...`. Leaves: at most one `slice`, one
`flip` and one `reshape`, as names and attributes. Always holds: the result is what NumPy's basic
indexing gives; any other index is an `UnsupportedError`.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Spec
from ..errors import ShapeError, UnsupportedError
from . import refusals
from .context import error


class Movement(NamedTuple):
    """A movement op, to be done to whatever there is."""

    op: str
    attrs: Mapping[str, Any]


def basic_index(spec: Spec, key: Any) -> list[Movement]:
    """What makes `x[key]` of an `x` like `spec`, one after the other, for a basic index."""
    start, step, count, flips, shape = [], [], [], [], []
    axis = 0
    for item in _expanded(spec, key):
        if item is None:
            shape.append(1)
            continue
        extent = spec.shape[axis]
        if isinstance(item, slice):
            low, stride, n = _run(item, extent)
            if stride < 0:
                low, stride = low + stride * max(n - 1, 0), -stride
                flips.append(axis)
            shape.append(n)
        else:
            low, stride, n = _position(spec, item, axis), 1, 1
        start.append(low if n else 0)
        step.append(stride if n > 1 else 1)
        count.append(n)
        axis += 1
    movements: list[Movement] = []
    if tuple(count) != spec.shape:
        cut = {"start": tuple(start), "step": tuple(step), "shape": tuple(count)}
        movements.append(Movement("slice", cut))
    if flips:
        movements.append(Movement("flip", {"axes": tuple(flips)}))
    return [*movements, Movement("reshape", {"shape": tuple(shape)})]


def _expanded(spec: Spec, key: Any) -> list[Any]:
    """The items of the index, one for each axis and each `None`, the ellipsis spelt out."""
    items = [_item(spec, i) for i in (key if isinstance(key, tuple) else (key,))]
    used = sum(i is not None and i is not Ellipsis for i in items)
    ndim = len(spec.shape)
    if used > ndim:
        raise error(
            ShapeError,
            "GC120",
            f"{used} indices are too many for {spec!r} of {ndim} axes",
        )
    if items.count(Ellipsis) > 1:
        raise error(ShapeError, "GC120", "an index has at most one `...`")
    if Ellipsis not in items:
        items.append(Ellipsis)
    at = items.index(Ellipsis)
    return items[:at] + [slice(None)] * (ndim - used) + items[at + 1 :]


def _item(spec: Spec, item: Any) -> Any:
    if item is None or item is Ellipsis:
        return item
    if isinstance(item, slice):
        return slice(_bound(item.start), _bound(item.stop), _bound(item.step))
    if isinstance(item, (int, np.integer)) and not isinstance(item, (bool, np.bool_)):
        return int(item)
    kind = "an array" if hasattr(item, "dtype") else f"a `{type(item).__name__}`"
    raise error(
        UnsupportedError,
        "GC121",
        f"an index that is {kind} is not supported",
        notes=("supported are integers, slices, `None` and `...`",),
        helps=(refusals.index_advice(spec.shape, item),),
    )


def _bound(bound: Any) -> int | None:
    """One end of a slice: a Python or NumPy integer, known while tracing."""
    if bound is None:
        return None
    if hasattr(type(bound), "__array_namespace__") and not isinstance(bound, np.ndarray):
        raise error(
            UnsupportedError,
            "GC121",
            "the bounds of a slice are Python integers, not traced values",
            helps=("keep the shape and choose with `gd.where(mask, x, 0)`",),
        )
    return operator.index(bound)


def _run(item: slice, extent: int) -> tuple[int, int, int]:
    """First position, stride and number of elements of a slice of `extent`."""
    if item.step == 0:
        raise error(ShapeError, "GC120", "the step of a slice cannot be 0")
    positions = range(*item.indices(extent))
    return positions.start, positions.step, len(positions)


def _position(spec: Spec, item: int, axis: int) -> int:
    extent = spec.shape[axis]
    if not -extent <= item < extent:
        raise error(
            ShapeError, "GC122", f"index {item} is out of range for axis {axis} of {spec!r}"
        )
    return item % extent
