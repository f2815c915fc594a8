"""The movement ops: they move elements and compute nothing.

Enters: nothing. Leaves: rows in the op table. Always holds: every output element is one input
element or the pad value, at the place that the row's index map gives; so a later stage turns each
of them into index arithmetic instead of code, and a new movement op is one row here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..dtypes import SHORT, DType, Spec, is_signed
from ..errors import DTypeError, ShapeError, fail
from ..index import Index, Indices, Shape, Source, divmod_index, flatten, unflatten
from .notation import sliced, transposed, unwritten
from .table import Attrs, Kind, Sample, ShapeRule, op

Array = np.ndarray[Any, Any]


def _movement(rule: ShapeRule) -> tuple[Kind, ShapeRule]:
    return Kind.MOVEMENT, rule


def _reshape_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    shape = attrs["shape"]
    if math.prod(shape) != args[0].size:
        raise fail(
            ShapeError,
            "GC102",
            f"cannot reshape {args[0]!r} of {args[0].size} elements to {list(shape)}, "
            f"which has {math.prod(shape)}",
            helps=(f"choose extents whose product is {args[0].size}",),
        )
    return Spec(shape, args[0].dtype)


def _transpose_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    perm = attrs["perm"]
    if sorted(perm) != list(range(args[0].ndim)):
        raise fail(
            ShapeError,
            "GC103",
            f"`transpose` of {args[0]!r} needs each of its {args[0].ndim} axes once, got {perm}",
        )
    return Spec(tuple(args[0].shape[i] for i in perm), args[0].dtype)


def _broadcast_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    shape, axes = attrs["shape"], attrs["axes"]
    fits = len(axes) == args[0].ndim and all(0 <= j < len(shape) for j in axes)
    increasing = sorted(set(axes)) == [*axes]
    if not (fits and increasing and tuple(shape[j] for j in axes) == args[0].shape):
        raise fail(
            ShapeError,
            "GC104",
            f"cannot broadcast {args[0]!r} to {list(shape)} along axes {list(axes)}",
        )
    return Spec(shape, args[0].dtype)


def _slice_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    start, step, shape = attrs["start"], attrs["step"], attrs["shape"]
    fits = len(start) == len(step) == len(shape) == args[0].ndim
    for low, stride, n, extent in zip(start, step, shape, args[0].shape, strict=False):
        fits = fits and low >= 0 and stride >= 1 and (n == 0 or low + stride * (n - 1) < extent)
    if not fits:
        raise fail(
            ShapeError,
            "GC105",
            f"a slice of {list(shape)} from {list(start)} with steps {list(step)} "
            f"does not lie in {args[0]!r}",
        )
    return Spec(shape, args[0].dtype)


def _flip_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    axes = attrs["axes"]
    if sorted(set(axes)) != [*axes] or any(not 0 <= i < args[0].ndim for i in axes):
        raise fail(ShapeError, "GC106", f"cannot flip axes {list(axes)} of {args[0]!r}")
    return args[0]


def _pad_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    low, step, shape = attrs["low"], attrs["step"], attrs["shape"]
    fits = len(low) == len(step) == len(shape) == args[0].ndim
    for begin, stride, n, extent in zip(low, step, shape, args[0].shape, strict=False):
        inside = extent == 0 or begin + stride * (extent - 1) < n
        fits = fits and begin >= 0 and stride >= 1 and inside
    if not fits:
        raise fail(
            ShapeError,
            "GC107",
            f"{args[0]!r} at {list(low)} with steps {list(step)} does not lie in {list(shape)}",
        )
    return Spec(shape, args[0].dtype)


def _concat_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    axis = attrs["axis"]
    first = args[0]
    if not 0 <= axis < first.ndim:
        raise fail(ShapeError, "GC108", f"`concat` of {first!r} has no axis {axis}")
    for a in args[1:]:
        if a.dtype != first.dtype:
            names = f"`{SHORT[first.dtype]}` and `{SHORT[a.dtype]}`"
            raise fail(DTypeError, "GC110", f"`concat` needs one dtype, got {names}")
        rest = [n for i, n in enumerate(a.shape) if i != axis]
        if a.ndim != first.ndim or rest != [n for i, n in enumerate(first.shape) if i != axis]:
            raise fail(
                ShapeError,
                "GC108",
                f"`concat` on axis {axis} needs the other axes to agree, got {first!r} and {a!r}",
            )
    total = sum(a.shape[axis] for a in args)
    return Spec((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)


def _broadcast(x: Array, *, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    new = [j for j in range(len(shape)) if j not in axes]
    return np.broadcast_to(np.expand_dims(x, new), shape)


def _window(start: Sequence[int], step: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    """The index of `shape` elements from `start` on, every `step`-th, on each axis."""
    return tuple(
        slice(low, low + stride * (n - 1) + 1 if n else low, stride)
        for low, stride, n in zip(start, step, shape, strict=True)
    )


def _slice(
    x: Array, *, start: tuple[int, ...], step: tuple[int, ...], shape: tuple[int, ...]
) -> Array:
    result: Array = x[_window(start, step, shape)]
    return result


def _pad(
    x: Array, *, low: tuple[int, ...], step: tuple[int, ...], shape: tuple[int, ...], value: float
) -> Array:
    out = np.full(shape, value, dtype=x.dtype)
    out[_window(low, step, x.shape)] = x
    return out


def _concat_vjp(g: Any, y: Any, *args: Any, axis: int) -> tuple[Any, ...]:
    parts = []
    begin = 0
    for a in args:
        start = tuple(begin if i == axis else 0 for i in range(a.ndim))
        parts.append(g.slice(start=start, step=(1,) * a.ndim, shape=a.shape))
        begin += a.shape[axis]
    return tuple(parts)


# where the elements of the result come from


def _reshape_map(
    index: Indices, shapes: Sequence[Shape], shape: Shape, attrs: Attrs
) -> tuple[Source, ...]:
    return (Source(0, unflatten(flatten(index, shape), shapes[0])),)


def _transpose_map(
    index: Indices, shapes: Sequence[Shape], shape: Shape, attrs: Attrs
) -> tuple[Source, ...]:
    return (Source(0, tuple(index[i] for i in _inverse(attrs["perm"]))),)


def _broadcast_map(
    index: Indices, shapes: Sequence[Shape], shape: Shape, attrs: Attrs
) -> tuple[Source, ...]:
    return (Source(0, tuple(index[axis] for axis in attrs["axes"])),)


def _slice_map(
    index: Indices, shapes: Sequence[Shape], shape: Shape, attrs: Attrs
) -> tuple[Source, ...]:
    picked = (i * s + b for i, s, b in zip(index, attrs["step"], attrs["start"], strict=True))
    return (Source(0, tuple(picked)),)


def _flip_map(
    index: Indices, shapes: Sequence[Shape], shape: Shape, attrs: Attrs
) -> tuple[Source, ...]:
    flipped = (
        i * -1 + (n - 1) if axis in attrs["axes"] else i
        for axis, (i, n) in enumerate(zip(index, shape, strict=True))
    )
    return (Source(0, tuple(flipped)),)


def _pad_map(
    index: Indices, shapes: Sequence[Shape], shape: Shape, attrs: Attrs
) -> tuple[Source, ...]:
    tests: list[tuple[Index, int, int]] = []
    inner: list[Index] = []
    low, step = attrs["low"], attrs["step"]
    for axis, (i, n) in enumerate(zip(index, shapes[0], strict=True)):
        if low[axis] == 0 and step[axis] == 1 and n == shape[axis]:
            inner.append(i)
            continue
        last = low[axis] + (n - 1) * step[axis]
        tests.append((i, low[axis], last + 1))
        whole, rest = divmod_index(i + -low[axis], step[axis])
        if step[axis] > 1:
            tests.append((rest, 0, 1))
        inner.append(whole if n > 1 else Index())
    return (Source(0, tuple(inner), tuple(tests)),)


def _concat_map(
    index: Indices, shapes: Sequence[Shape], shape: Shape, attrs: Attrs
) -> tuple[Source, ...]:
    axis, start, found = attrs["axis"], 0, []
    for operand, own in enumerate(shapes):
        n = own[axis]
        within = index[axis] + -start if n > 1 else Index()
        moved = (*index[:axis], within, *index[axis + 1 :])
        found.append(Source(operand, moved, ((index[axis], start, start + n),)))
        start += n
    return tuple(found)


# their attributes when axes of extent 1 are gone


def without_units(shape: Shape) -> Shape:
    """The shape without its axes of extent 1."""
    return tuple(n for n in shape if n != 1)


def left_axes(axes: Sequence[int], shape: Shape) -> tuple[int, ...]:
    """Those of `axes` whose extent in `shape` is not 1, by their numbers among such axes."""
    kept = [axis for axis, n in enumerate(shape) if n != 1]
    return tuple(kept.index(axis) for axis in axes if axis in kept)


def _thin_transpose(attrs: Attrs, old: Shape, new: Shape) -> Attrs:
    return {"perm": left_axes(attrs["perm"], old)}


def _thin_broadcast(attrs: Attrs, old: Shape, new: Shape) -> Attrs:
    return {"shape": without_units(new), "axes": left_axes(attrs["axes"], new)}


def _inverse(perm: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(perm.index(i) for i in range(len(perm)))


def _samples(*cases: tuple[tuple[tuple[int, ...], ...], dict[str, Any]]) -> Any:
    """Samples of argument shapes and attributes, in f64 (to second order), f32 and i32."""

    def samples() -> Iterator[Sample]:
        rng = np.random.default_rng(0)
        for shapes, attrs in cases:
            for name, order in (("float64", 2), ("float32", 0), ("int32", 0)):
                dtype: DType = np.dtype(name)
                args = tuple(np.asarray(rng.uniform(-9, 9, shape), dtype) for shape in shapes)
                own = dict(attrs)
                if "value" in own and is_signed(dtype):
                    own["value"] = int(own["value"])
                yield Sample(args, own, order)

    return samples


# fmt: off
op("reshape", _movement(_reshape_rule), index_map=_reshape_map,
   idle=lambda attrs, shape: attrs["shape"] == shape, view=True, whole=True, notation=unwritten,
   without_units=lambda attrs, old, new: {"shape": without_units(new)},
   reference=lambda x, shape: np.reshape(x, shape),
   vjp=lambda g, y, a, shape: (g.reshape(a.shape),), cost=0,
   samples=_samples((((2, 6),), {"shape": (3, 4)}), (((1, 1),), {"shape": ()}),
                    (((0, 3),), {"shape": (3, 0)})))
op("transpose", _movement(_transpose_rule), index_map=_transpose_map,
   idle=lambda attrs, shape: attrs["perm"] == tuple(range(len(shape))),
   view=True, whole=True, notation=transposed,
   permutation=lambda attrs: attrs["perm"], without_units=_thin_transpose,
   reference=lambda x, perm: np.transpose(x, perm),
   vjp=lambda g, y, a, perm: (g.transpose(_inverse(perm)),), cost=0,
   samples=_samples((((2, 3, 4),), {"perm": (2, 0, 1)}), (((3, 5),), {"perm": (1, 0)})))
op("broadcast", _movement(_broadcast_rule), index_map=_broadcast_map,
   idle=lambda attrs, shape: attrs["shape"] == shape, view=True, whole=True, notation=unwritten,
   without_units=_thin_broadcast,
   reference=_broadcast,
   vjp=lambda g, y, a, shape, axes: (g.sum(tuple(j for j in range(len(shape)) if j not in axes)),),
   samples=_samples((((3,),), {"shape": (2, 3, 4), "axes": (1,)}),
                    (((),), {"shape": (2, 2), "axes": ()})),
   cost=0, doc="input axis i is output axis axes[i]; the other output axes are new")
op("slice", _movement(_slice_rule), index_map=_slice_map,
   idle=lambda attrs, shape: attrs["shape"] == shape and set(attrs["step"]) <= {1},
   view=True, notation=sliced,
   reference=_slice,
   vjp=lambda g, y, a, start, step, shape: (g.pad(low=start, step=step, shape=a.shape, value=0.0),),
   samples=_samples((((5, 6),), {"start": (1, 0), "step": (1, 2), "shape": (3, 3)}),
                    (((4,),), {"start": (4,), "step": (1,), "shape": (0,)})),
   cost=0, doc="out[i] = x[start + step * i]")
op("flip", _movement(_flip_rule), index_map=_flip_map,
   idle=lambda attrs, shape: not attrs["axes"], view=True, whole=True,
   reference=lambda x, axes: np.flip(x, axes),
   vjp=lambda g, y, a, axes: (g.flip(axes=axes),), cost=0,
   samples=_samples((((3, 4),), {"axes": (1,)}), (((2, 3, 2),), {"axes": (0, 2)})))
op("pad", _movement(_pad_rule), index_map=_pad_map,
   idle=lambda attrs, shape: attrs["shape"] == shape,
   reference=_pad,
   vjp=lambda g, y, a, low, step, shape, value: (g.slice(start=low, step=step, shape=a.shape),),
   samples=_samples((((2, 3),), {"low": (1, 0), "step": (2, 1), "shape": (5, 4), "value": 0.5}),
                    (((3,),), {"low": (0,), "step": (1,), "shape": (3,), "value": 0.0})),
   cost=0, doc="out[low + step * i] = x[i], the value elsewhere")
op("concat", _movement(_concat_rule), index_map=_concat_map, joins=True,
   reference=lambda *xs, axis: np.concatenate(xs, axis),
   vjp=_concat_vjp, cost=0,
   samples=_samples((((2, 3), (2, 1)), {"axis": 1}), (((1, 2), (3, 2), (2, 2)), {"axis": 0})))
# fmt: on
