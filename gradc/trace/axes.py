"""Axes as users name them: negative, in tuples, left out.

Enters: what stands for `axis`, and a number of axes. Leaves: axes that are not negative. Always
holds: an axis that there is not, or that is named twice, is a `ShapeError` at the user's line.
"""

from __future__ import annotations

import operator
from typing import Any

from ..errors import ShapeError
from .context import error

Axis = int | tuple[int, ...] | list[int] | None


def normal_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Sorted, non-negative axes; `None` means all of them."""
    if axis is None:
        return tuple(range(ndim))
    given = [operator.index(a) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    for a in given:
        if not -ndim <= a < ndim:
            raise error(
                ShapeError,
                "GC123",
                f"axis {a} is out of range for {ndim} axes",
                helps=(
                    f"use an axis from {-ndim} to {ndim - 1}" if ndim else "leave the axis out",
                ),
            )
    axes = sorted(a % ndim for a in given)
    if len(set(axes)) != len(axes):
        raise error(ShapeError, "GC123", f"an axis is named twice: {given}")
    return tuple(axes)


def normal_axis(axis: Any, ndim: int) -> int:
    """One axis, not negative."""
    if isinstance(axis, (tuple, list)):
        raise error(
            ShapeError,
            "GC123",
            f"one axis is meant here, not {axis}",
            helps=("name one axis, as an integer",),
        )
    return normal_axes(axis, ndim)[0]


def axes_in_order(axes: Any, ndim: int) -> tuple[int, ...]:
    """Axes, not negative, in the order in which they are named."""
    given = axes if isinstance(axes, (tuple, list, range)) else (axes,)
    normal_axes(list(given), ndim)
    return tuple(operator.index(a) % ndim for a in given)
