"""Creation functions: `zeros`, `arange`, `one_hot`, ...

Enters: shapes, numbers, dtypes (float32 unless said otherwise). Leaves: NumPy arrays; while a
function is traced, traced values instead, so that the numbers are made by the program and not
written into it. Always holds: `dtype=None` means float32 for real and int32 for whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import (
    F32,
    I32,
    I64,
    DType,
    as_dtype,
    default_dtype,
    is_integer,
    is_weak,
    limits,
    weak,
)
from ..errors import DTypeError
from ..trace import Value, current_trace, error, lift
from .dispatch import Array, traces
from .elementwise import astype

Shape = int | Sequence[int]


def _extents(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def full(shape: Shape, fill_value: Any, *, dtype: object = None) -> Array:
    """An array of `shape` with every element `fill_value`, a number or an array that broadcasts.

    `dtype` is by default that of `fill_value`, where a Python number counts as float32 (float64 in
    a traced function of float64 arrays), int32 or bool. Gradient: `g` summed to the shape of
    `fill_value`. Raises `DTypeError` if the number does not fit the dtype.
    """
    owner = current_trace()
    if dtype is not None:
        chosen = as_dtype(dtype)
    elif is_weak(fill_value):
        chosen = default_dtype(fill_value, owner.default_float if owner else F32)
    else:
        chosen = as_dtype(fill_value.dtype)
    if owner is None:
        return np.full(_extents(shape), fill_value, chosen)
    if isinstance(fill_value, np.generic):
        fill_value = fill_value.item()
    if is_weak(fill_value):
        weak(fill_value, chosen)
    scalar = lift(owner, fill_value, chosen)
    return (scalar if scalar.dtype == chosen else scalar.astype(chosen)).broadcast_to(
        _extents(shape)
    )


def asarray(x: Any, *, dtype: object = None) -> Array:
    """`x`, a number, a nesting of lists or an array, as an array of `dtype`, by default its own.

    A traced value is one already. Gradient: that of `astype`. Raises `DTypeError` for a dtype that
    is not supported.
    """
    if isinstance(x, Value):
        return x if dtype is None else x.astype(dtype)
    return np.asarray(x, None if dtype is None else as_dtype(dtype))


def zeros(shape: Shape, *, dtype: object = F32) -> Array:
    """An array of `shape` (an int or several), all 0, of `dtype`.

    Raises `DTypeError` for a dtype that is not supported.
    """
    return full(shape, 0, dtype=dtype or F32)


def ones(shape: Shape, *, dtype: object = F32) -> Array:
    """An array of `shape` (an int or several), all 1, of `dtype`.

    Raises `DTypeError` for a dtype that is not supported.
    """
    return full(shape, 1, dtype=dtype or F32)


@traces(np.full_like, eager=lambda x, v, *, dtype=None: np.full_like(x, v, dtype=_given(dtype)))
def full_like(x: Value, fill_value: Any, *, dtype: object = None) -> Array:
    """An array of the shape of `x` with every element `fill_value`.

    `dtype` is by default that of `x`.

    Gradient: none with respect to `x`, `g` summed with respect to `fill_value`. Raises `DTypeError`
    if the number does not fit the dtype.
    """
    return full(x.shape, fill_value, dtype=dtype or x.dtype)


@traces(np.zeros_like, eager=lambda x, *, dtype=None: np.zeros_like(x, dtype=_given(dtype)))
def zeros_like(x: Value, *, dtype: object = None) -> Array:
    """An array of the shape of `x`, all 0; `dtype` is by default that of `x`.

    Raises `DTypeError` for a dtype that is not supported.
    """
    return full_like(x, 0, dtype=dtype)


@traces(np.ones_like, eager=lambda x, *, dtype=None: np.ones_like(x, dtype=_given(dtype)))
def ones_like(x: Value, *, dtype: object = None) -> Array:
    """An array of the shape of `x`, all 1; `dtype` is by default that of `x`.

    Raises `DTypeError` for a dtype that is not supported.
    """
    return full_like(x, 1, dtype=dtype)


def _given(dtype: object) -> DType | None:
    return None if dtype is None else as_dtype(dtype)


def arange(
    start: float, stop: float | None = None, step: float = 1, *, dtype: object = None
) -> Array:
    """The numbers `start`, `start + step`, ... below `stop`; with one argument, from 0 below it.

    `dtype` is by default int32 for whole numbers and float32 for others. Raises `DTypeError` if a
    number does not fit the dtype.
    """
    if stop is None:
        start, stop = 0, start
    whole = all(isinstance(v, (int, np.integer)) for v in (start, stop, step))
    chosen = as_dtype(dtype) if dtype is not None else (I32 if whole else F32)
    length = max(math.ceil((stop - start) / step), 0)
    if is_integer(chosen) and length:
        _check_range((start, start + (length - 1) * step), chosen)
    owner = current_trace()
    if owner is None:
        return np.arange(start, stop, step, dtype=chosen)
    index = Value(owner, owner.add("iota", (), {"length": length, "dtype": chosen}))
    scaled = index if step == 1 else index * step
    return scaled if start == 0 else scaled + start


def _check_range(numbers: Sequence[float], dtype: DType) -> None:
    """Raise `DTypeError` if one of the whole numbers is out of the range of `dtype`."""
    least, greatest = limits(dtype)
    for number in numbers:
        if not least <= number <= greatest:
            raise error(DTypeError, "GC118", f"the integer {number} does not fit `{dtype.name}`")


def class_numbers(labels: Array, classes: int) -> tuple[Array, Array]:
    """The labels, and 0, 1, ..., `classes` - 1, in one dtype that holds both."""
    if not isinstance(labels, Value):
        labels = np.asarray(labels)
    if limits(labels.dtype)[1] < classes - 1:
        labels = astype(labels, I32 if classes - 1 <= limits(I32)[1] else I64)
    return labels, arange(classes, dtype=labels.dtype)


def linspace(
    start: float, stop: float, num: int, *, dtype: object = None, endpoint: bool = True
) -> Array:
    """`num` numbers at equal distances from `start` to `stop`, which is the last with `endpoint`.

    They are of `dtype`, by default float32. Raises `DTypeError` for a dtype that is not supported.
    """
    gaps = max(num - 1 if endpoint else num, 1)
    chosen = as_dtype(dtype) if dtype is not None else F32
    if current_trace() is None:
        return np.linspace(start, stop, num, endpoint=endpoint, dtype=chosen)
    return arange(num, dtype=chosen) * ((stop - start) / gaps) + start


def eye(rows: int, columns: int | None = None, *, k: int = 0, dtype: object = F32) -> Array:
    """A matrix of `rows` rows and `columns` columns (as many, by default) with 1 on diagonal `k`.

    The others are 0; diagonal 1 lies above the main one, -1 below it. The elements are of `dtype`.
    Raises `DTypeError` for a dtype that is not supported.
    """
    columns = rows if columns is None else columns
    if current_trace() is None:
        return np.eye(rows, columns, k, dtype=as_dtype(dtype))
    return (arange(rows)[:, None] + k == arange(columns)[None, :]).astype(dtype)


def one_hot(labels: Array, classes: int, *, dtype: object = F32) -> Array:
    """Along a new last axis of extent `classes`: 1 at the place that the label names, else 0.

    `labels` are integers of any shape; one out of range has a row of zeros. The result is of
    `dtype`. Gradient: none. Raises `DTypeError` if the labels are no integers.
    """
    if not is_integer(getattr(labels, "dtype", I64)):
        raise error(
            DTypeError,
            "GC110",
            "the labels of `one_hot` are integers",
            helps=("cast them first: `.astype(gd.int32)`",),
        )
    labels, places = class_numbers(labels, classes)
    return astype(labels[..., None] == places, dtype)
