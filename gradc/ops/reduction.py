"""The reductions: ops that fold axes away.

Enters: nothing. Leaves: rows in the op table. Always holds: `axes` is a sorted tuple, the axes
named there are gone from the result (keeping them is a reshape afterwards), and integers wrap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..dtypes import I32, SHORT, DType, Spec, is_float, kind_of, limits
from ..errors import DTypeError, ShapeError, fail
from .notation import Level
from .rules import CAST_HELP, INTEGERS, KIND_NAMES, no_gradient
from .table import Attrs, Kind, Sample, ShapeRule, op


def _reduction(kinds: str, *, empty: bool = True, index: bool = False) -> tuple[Kind, ShapeRule]:
    """`empty`: whether folding no elements means something; `index`: a position comes out."""

    def rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
        axes = attrs["axes"]
        (a,) = args
        if sorted(set(axes)) != [*axes] or any(not 0 <= i < a.ndim for i in axes):
            raise fail(ShapeError, "GC111", f"cannot reduce axes {list(axes)} of {a!r}")
        if index and len(axes) != 1:
            raise fail(ShapeError, "GC111", f"`{name}` reduces one axis, got {list(axes)}")
        if kind_of(a.dtype) not in kinds:
            raise fail(
                DTypeError,
                "GC110",
                f"`{name}` works on {KIND_NAMES[kinds]}, got `{SHORT[a.dtype]}`",
                helps=(CAST_HELP[kinds],),
            )
        if not empty and any(a.shape[i] == 0 for i in axes):
            raise fail(ShapeError, "GC112", f"`{name}` over no elements: axis of extent 0 in {a!r}")
        shape = tuple(n for i, n in enumerate(a.shape) if i not in axes)
        return Spec(shape, I32 if index else a.dtype)

    return Kind.REDUCTION, rule


def _kept(a: Any, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i for i in range(a.ndim) if i not in axes)


def _sum_vjp(g: Any, y: Any, a: Any, axes: tuple[int, ...]) -> tuple[Any, ...]:
    return (g.broadcast(shape=a.shape, axes=_kept(a, axes)),)


def _extremum_vjp(g: Any, y: Any, a: Any, axes: tuple[int, ...]) -> tuple[Any, ...]:
    """The cotangent goes to the elements that are the extremum, in equal shares."""
    kept = _kept(a, axes)
    chosen = (a == y.broadcast(shape=a.shape, axes=kept)).astype(g.dtype)
    share = g / chosen.sum(axes)
    return (share.broadcast(shape=a.shape, axes=kept) * chosen,)


def _running_product(x: Any) -> Any:
    """For each row of `x` [rows, n]: the products of all elements before each one."""
    rows, n = x.shape
    step, ones = (1, 1), {"value": 1.0, "step": (1, 1), "shape": (rows, n)}
    product = x.slice(start=(0, 0), step=step, shape=(rows, n - 1)).pad(low=(0, 1), **ones)
    reach = 1
    while reach < n:  # doubles how far each product looks back (Hillis and Steele, 1986)
        earlier = product.slice(start=(0, 0), step=step, shape=(rows, n - reach))
        product = product * earlier.pad(low=(0, reach), **ones)
        reach *= 2
    return product


def _prod_vjp(g: Any, y: Any, a: Any, axes: tuple[int, ...]) -> tuple[Any, ...]:
    """Each element's cotangent is the product of all others; exact where elements are zero."""
    kept = _kept(a, axes)
    count = math.prod(a.shape[i] for i in axes)
    rows = a.transpose(kept + axes).reshape((a.size // count if count else 0, count))
    if rows.size == 0:
        return (a * 0,)
    before = _running_product(rows)
    after = _running_product(rows.flip(axes=(1,))).flip(axes=(1,))
    perm = kept + axes
    others = (before * after).reshape(tuple(a.shape[i] for i in perm))
    others = others.transpose(tuple(perm.index(i) for i in range(a.ndim)))
    return (g.broadcast(shape=a.shape, axes=kept) * others,)


def _samples(
    kinds: str, *, order: int = 2, axes_of: Sequence[tuple[int, ...]] = ((1,), (0, 2), (0, 1, 2))
) -> Callable[[], Iterator[Sample]]:
    def samples() -> Iterator[Sample]:
        rng = np.random.default_rng(0)
        for axes in axes_of:
            if "f" in kinds:
                x = rng.uniform(0.5, 2.0, (2, 3, 4)) * rng.choice([-1, 1], (2, 3, 4))
                yield Sample((x,), {"axes": axes}, order)
                yield Sample((x.astype(np.float32),), {"axes": axes}, 0)
                x = x.copy()
                x[0, 1, 2] = np.nan
                yield Sample((x.astype(np.float32),), {"axes": axes}, 0)
            if "i" in kinds:
                for name in INTEGERS:
                    yield Sample((rng.integers(0, 120, (2, 3, 4)).astype(name),), {"axes": axes}, 0)
            if "b" in kinds:
                for chance in (0.0, 0.3, 0.9, 1.0):
                    yield Sample((rng.uniform(size=(2, 3, 4)) < chance,), {"axes": axes}, 0)
        if "f" in kinds and order:
            yield Sample((np.array([[1.5, 0.0, -2.0], [0.0, 0.0, 3.0]]),), {"axes": (1,)}, 1)

    return samples


def _least(dtype: DType) -> float:
    """What no element is less than."""
    return -math.inf if is_float(dtype) else limits(dtype)[0]


def _greatest(dtype: DType) -> float:
    """What no element is greater than."""
    return math.inf if is_float(dtype) else limits(dtype)[1]


# fmt: off
op("sum", _reduction("iuf"), vjp=_sum_vjp, wraps=True,
   reference=lambda x, axes: np.sum(x, axes, dtype=np.asarray(x).dtype),
   c="{0} + {1}", level=Level.SUM, combine=np.add, compound="+=", adds_up=True,
   joined="gradc_sum16", start=lambda dtype: 0, samples=_samples("if"))
op("prod", _reduction("iuf"), vjp=_prod_vjp, wraps=True,
   reference=lambda x, axes: np.prod(x, axes, dtype=np.asarray(x).dtype),
   c="{0} * {1}", level=Level.PRODUCT, combine=np.multiply, compound="*=", joined="gradc_prod16",
   start=lambda dtype: 1, noun="product", samples=_samples("if"))
op("max", _reduction("iuf", empty=False), reference=lambda x, axes: np.max(x, axes),
   vjp=_extremum_vjp, c="({1} > {0} || {1} != {1}) ? {1} : {0}", c_int="({1} > {0}) ? {1} : {0}",
   combine=np.maximum, joined="gradc_max16", start=_least, samples=_samples("if"),
   doc="NaN if any element is")
op("min", _reduction("iuf", empty=False), reference=lambda x, axes: np.min(x, axes),
   vjp=_extremum_vjp, c="({1} < {0} || {1} != {1}) ? {1} : {0}", c_int="({1} < {0}) ? {1} : {0}",
   combine=np.minimum, joined="gradc_min16", start=_greatest, samples=_samples("if"),
   doc="NaN if any element is")
op("all", _reduction("b"), reference=lambda x, axes: np.all(x, axes),
   c="{0} && {1}", level=Level.AND, noun="all_hold", combine=np.logical_and,
   start=lambda dtype: True, samples=_samples("b"))
op("any", _reduction("b"), reference=lambda x, axes: np.any(x, axes),
   c="{0} || {1}", level=Level.OR, noun="any_holds", combine=np.logical_or,
   start=lambda dtype: False, samples=_samples("b"))
op("argmax", _reduction("iuf", empty=False, index=True), vjp=no_gradient,
   reference=lambda x, axes: np.argmax(x, axes[0]).astype(np.int32),
   better="greater", extremum="max", start=_least,
   noun="best", samples=_samples("if", order=0, axes_of=((0,), (1,), (2,))),
   doc="the position of the first greatest element, or of the first NaN")
op("argmin", _reduction("iuf", empty=False, index=True), vjp=no_gradient,
   reference=lambda x, axes: np.argmin(x, axes[0]).astype(np.int32),
   better="less", extremum="min", start=_greatest,
   noun="least", samples=_samples("if", order=0, axes_of=((0,), (1,), (2,))),
   doc="the position of the first least element, or of the first NaN")
# fmt: on
