"""Many steps in one C call.

Enters: whole data sets and an order of sample indices. Leaves: one loss (and metric) a step. Always
holds: every index and every label is checked before anything is read or trained through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import SHORT, short
from ..emit.entry import Argument
from ..errors import DataError, DTypeError, ShapeError, fail
from .native import NativeEntry, c_type, check_ranges

Array = np.ndarray[Any, Any]


def run_many(
    native: NativeEntry,
    module: Any,
    batch: int | None,
    data: Sequence[Any],
    order: Any,
    lr: float | None,
) -> list[Array]:
    """The outputs of the step, each with a leading axis of K, for the K rows of `order`."""
    if batch is None:
        raise fail(
            ShapeError, "GC412", "the arguments share no leading axis that could be a batch",
            helps=("give every spec of `train_step` the same first extent",),
        )  # fmt: skip
    entry = native.entry
    arrays = _data(native, data)
    samples = arrays[0].shape[0]
    rows = _order(order, batch, samples)
    count = rows.shape[0]
    for a, array in zip(_arrays(native), arrays, strict=True):
        _check_labels(native, a, array, rows)
    outputs = [
        np.full((count, *a.shape), np.nan if a.dtype.kind == "f" else 0, a.dtype)
        for a in entry.outputs
    ]
    function = getattr(module.lib, f"{native.name}s")
    ffi = native.ffi
    types = [t for t, a in zip(native.types, entry.args, strict=True) if a.shape]
    scalars = [lr for a in entry.args if not a.shape]
    with native.lock:
        done = function(
            native.state_pointer,
            *(ffi.from_buffer(t, x) for t, x in zip(types, arrays, strict=True)),
            samples,
            ffi.from_buffer("uint32_t[]", rows),
            count,
            *scalars,
            *(ffi.from_buffer(ffi.typeof(f"{c_type(a)}[]"), o, require_writable=True)
              for a, o in zip(entry.outputs, outputs, strict=True)),
            native.arena_pointer,
        )  # fmt: skip
    assert done == count, "the C refused an order that was checked"
    return outputs


def _arrays(native: NativeEntry) -> list[Argument]:
    return [a for a in native.entry.args if a.shape]


def _data(native: NativeEntry, data: Sequence[Any]) -> list[Array]:
    expected = _arrays(native)
    given = list(data) if isinstance(data, (tuple, list)) else [data]
    if len(given) != len(expected):
        names = ", ".join(a.name for a in expected)
        raise fail(
            ShapeError,
            "GC403",
            f"data must hold {len(expected)} arrays ({names}), got {len(given)}",
        )
    arrays = []
    for a, value in zip(expected, given, strict=True):
        array = np.asarray(value)
        if array.shape[1:] != a.shape[1:] or array.ndim == 0:
            row = short(a.dtype, a.shape[1:])
            raise fail(
                ShapeError,
                "GC402",
                f"rows of `{a.name}` must be {row}, got shape {list(array.shape)}",
            )
        if array.dtype != a.dtype:
            got = SHORT.get(array.dtype, str(array.dtype))
            raise fail(
                DTypeError, "GC405", f"`{a.name}` must have dtype `{SHORT[a.dtype]}`, got `{got}`",
                helps=(f"cast it: `{a.name}.astype(np.{a.dtype.name})`",),
            )  # fmt: skip
        arrays.append(np.ascontiguousarray(array))
    lengths = {a.name: len(x) for a, x in zip(expected, arrays, strict=True)}
    if len(set(lengths.values())) != 1:
        listed = ", ".join(f"`{n}` {k}" for n, k in lengths.items())
        raise fail(DataError, "GC414", f"arrays of different lengths: {listed}")
    if not len(arrays[0]):
        raise fail(DataError, "GC415", "the data is empty")
    return arrays


def _order(order: Any, batch: int, samples: int) -> Array:
    rows = np.asarray(order)
    if rows.dtype.kind not in "iu":
        raise fail(DTypeError, "GC416", f"`order` holds sample indices, got dtype `{rows.dtype}`")
    if rows.ndim != 2 or rows.shape[1] != batch:
        raise fail(
            ShapeError,
            "GC417",
            f"`order` must be [steps, {batch}] indices, got shape {list(rows.shape)}",
        )
    if rows.size and (rows.min() < 0 or rows.max() >= samples):
        bad = rows[(rows < 0) | (rows >= samples)][0]
        raise fail(DataError, "GC418", f"`order` names sample {bad}, but there are {samples}")
    return np.ascontiguousarray(rows, dtype=np.uint32)


def _check_labels(native: NativeEntry, a: Argument, array: Array, rows: Array) -> None:
    """Class labels of the samples in use."""
    for c in native.entry.checks:
        if native.entry.args[c.position] is a:
            used = array if rows.size >= len(array) else array[np.unique(rows)]
            if used.size and (used.min() < c.lower or used.max() >= c.upper):
                values = [array if x is a else np.zeros(x.shape) for x in native.entry.args]
                check_ranges(native.entry, values)
