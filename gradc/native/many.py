"""Many steps in one C call.

Enters: whole data sets and an order of sample indices. Leaves: one loss (and metric) a step. Always
holds: every index and every label is checked before anything is read or trained through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..conversion import each, in_dtype
from ..dtypes import is_integer, short
from ..emit.entry import Argument
from ..errors import DataError, DTypeError, ShapeError, fail
from .arguments import as_array, as_in_c, check_range, convert, describe, wrong_count
from .entry import NativeEntry

Array = np.ndarray[Any, Any]


def run_many(
    native: NativeEntry,
    data: Sequence[Any],
    order: Any,
    scalars: Sequence[Any],
) -> list[Array]:
    """The outputs of the step, each with a leading axis of K, for the K rows of `order`.

    `data` holds one array of samples for each argument of the step that has a batch axis, and one
    number for each that is a scalar; `scalars` are its further arguments.
    """
    entry = native.entry
    assert entry.batch is not None
    further = entry.args[len(entry.args) - len(scalars) :]
    values = [
        *(native.apart(v) for v in _data(entry.args[: len(entry.args) - len(scalars)], data)),
        *(convert(a, value) for a, value in zip(further, scalars, strict=True)),
    ]
    arrays = [(a, v) for a, v in zip(entry.args, values, strict=True) if a.shape]
    samples = _samples(arrays)
    rows = _order(order, entry.batch, samples)
    for c in entry.checks:
        _check_labels(entry.args[c.position].name, values[c.position], rows, c.lower, c.upper)
    count = rows.shape[0]
    outputs = [np.empty((count, *a.shape), a.dtype) for a in entry.outputs]
    buffer = native.ffi.from_buffer
    done = native.ffi.new("size_t *")
    assert native.many is not None
    with native.lock:
        status = native.many(
            native.state_pointer,
            *(
                buffer(native.c_array(a), out, require_writable=True)
                for a, out in zip(entry.outputs, outputs, strict=True)
            ),
            done,
            *(buffer(native.c_array(a), array) for a, array in arrays),
            samples,
            buffer("uint32_t[]", rows),
            count,
            *(v for a, v in zip(entry.args, values, strict=True) if not a.shape),
            *([native.steps_arena_pointer] if native.steps_arena_pointer is not None else []),
        )
    if status:
        message = f"step {done[0]} of `{native.name}s` refused its data, which has changed since"
        raise fail(DataError, "GC419", message, helps=("do not write to arrays during a call",))
    return outputs


def _data(expected: Sequence[Argument], data: Sequence[Any]) -> list[Any]:
    """The data as the C wants it, but for the number of rows."""
    given = list(data) if isinstance(data, (tuple, list)) else [data]
    if len(given) != len(expected):
        raise wrong_count("data", [a.name for a in expected], len(given))
    return each(_column, zip(expected, given, strict=True))


def _column(a: Argument, value: Any) -> Any:
    """One argument of all steps: an array with a row for each sample, or a number."""
    if not a.shape:
        return convert(a, value)
    array = as_array(value, a.name)
    row = short(a.dtype, a.shape[1:])
    if array.shape[1:] != a.shape[1:] or array.ndim == 0:
        message = f"each row of `{a.name}` must be {row}, got {describe(value)} in all"
        extents = ", ".join(["-1", *map(str, a.shape[1:])])
        helps = (f"reshape it, if its elements are in that order: `{a.name}.reshape({extents})`",)
        raise fail(ShapeError, "GC402", message, helps=helps)
    wanted = f"rows of {row}"
    return as_in_c(in_dtype(array, a.dtype, a.name, wanted, weak=not hasattr(value, "dtype")))


def _samples(arrays: Sequence[tuple[Argument, Array]]) -> int:
    """How many samples there are."""
    samples = len(arrays[0][1])
    if any(len(array) != samples for _, array in arrays):
        listed = ", ".join(f"`{a.name}` has {len(array)}" for a, array in arrays)
        raise fail(
            DataError,
            "GC414",
            f"all arrays need the same number of rows: {listed}",
            helps=("give one row of each array for each sample",),
        )
    if not samples:
        raise fail(
            DataError,
            "GC415",
            "the data is empty: it has no rows",
            helps=("pass at least one row",),
        )
    return samples


def _order(order: Any, batch: int, samples: int) -> Array:
    """Sample indices as the C wants them."""
    rows = as_array(order, "order")
    if not is_integer(rows.dtype) and rows.size:
        message = f"`order` holds sample indices, which are integers, got {describe(order)}"
        raise fail(DTypeError, "GC416", message, helps=("convert it: `order.astype(np.int64)`",))
    if rows.ndim != 2 or rows.shape[1] != batch:
        message = f"`order` must be [steps, {batch}] indices, got {describe(order)}"
        helps = (f"give a row of {batch} indices for each step: `order.reshape(-1, {batch})`",)
        raise fail(ShapeError, "GC417", message, helps=helps)
    if rows.size and (rows.min() < 0 or rows.max() >= samples):
        bad = rows[(rows < 0) | (rows >= samples)][0]
        message = f"`order` names sample {bad}, outside 0..{samples - 1}"
        helps = (f"use indices from 0 to {samples - 1}",)
        raise fail(DataError, "GC418", message, helps=helps)
    return as_in_c(rows.astype(np.uint32))


def _check_labels(name: str, labels: Array, rows: Array, lower: int, upper: int) -> None:
    """Raise if a label that a step will read is out of range; the others may be anything."""
    used = labels if rows.size >= len(labels) else labels[np.unique(rows)]
    if not used.size or (used.min() >= lower and used.max() < upper):
        return
    unused = np.ones(len(labels), bool)
    unused[rows.ravel()] = False
    keep = unused.reshape(-1, *[1] * (labels.ndim - 1))
    check_range(name, np.where(keep, np.asarray(lower, labels.dtype), labels), lower, upper)
