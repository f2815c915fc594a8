"""Arrays in the dtype that a program wants: NumPy's `same_kind` rule, and every loss noticed.

Enters: arrays of whatever dtype a user has. Leaves: arrays of the dtype asked for. Always holds:
integers are never made of floats, and a number that the new dtype cannot hold (an integer out of
its range, a finite float that would become infinite) is an error that names the element; rounding
to fewer digits is no loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from .dtypes import SHORT, DType, is_float, is_integer, is_numeric, item_bytes, limits, short
from .errors import DataError, DTypeError, GradcError, ShapeError, fail

Array = np.ndarray[Any, Any]
T = TypeVar("T")


def in_dtype(array: Array, dtype: DType, name: str, wanted: str, *, weak: bool = False) -> Array:
    """`array` in `dtype`, or the array itself if it has that dtype already.

    `name` is what messages call the array and `wanted` what it should be. `weak`: it is made of
    Python's own numbers, so that integers become whatever integer type holds them. Raises
    `DTypeError`, or `DataError` for a number that does not fit.
    """
    if array.dtype == dtype:
        return array
    if not _is_allowed(array, dtype, weak):
        raise fail(
            DTypeError,
            "GC405",
            f"`{name}` must be {wanted}, got {described(array)}",
            helps=(f"convert it: `{spelled(name)}.astype(np.{dtype.name})`",),
        )
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(dtype)
    if is_integer(dtype) and is_integer(array.dtype):
        least, greatest = limits(dtype)
        _refuse(array, (array < least) | (array > greatest), name, dtype)
    elif is_float(dtype) and is_float(array.dtype) and item_bytes(array.dtype) > item_bytes(dtype):
        _refuse(array, np.isinf(converted) & np.isfinite(array), name, dtype)
    return converted


def spelled(name: str) -> str:
    """How code calls what messages call `name`: the path of a leaf is no name of Python's."""
    return "" if "." in name else name


def described(array: Array) -> str:
    """`f64[3, 4]`; a dtype that gradc does not know keeps NumPy's name."""
    if array.dtype not in SHORT:
        return f"{array.dtype}{list(array.shape)}"
    return short(array.dtype, array.shape)


def _is_allowed(array: Array, dtype: DType, weak: bool) -> bool:
    if not is_numeric(array.dtype):
        return False
    if weak and (not array.size or (is_integer(array.dtype) and is_integer(dtype))):
        return True
    return np.can_cast(array.dtype, dtype, "same_kind")


def _refuse(array: Array, lost: Array, name: str, dtype: DType) -> None:
    """Raise `DataError` naming the first element that is lost."""
    if not lost.any():
        return
    where = tuple(int(i) for i in np.argwhere(lost)[0])
    raise does_not_fit(f"{name}{list(where) or ''}", array[where], dtype)


def does_not_fit(place: str, value: object, dtype: DType) -> DataError:
    """The error of a number at `place` that `dtype` cannot hold."""
    return fail(
        DataError,
        "GC404",
        f"`{place}` is {value}, which does not fit `{SHORT[dtype]}`",
        helps=("use numbers in its range, or compile for a wider dtype",),
    )


def each(convert: Callable[..., T], items: Iterable[tuple[Any, ...]]) -> list[T]:
    """`convert(*item)` for every item; one error names all that are wrong."""
    done: list[T] = []
    wrong: list[GradcError] = []
    for item in items:
        try:
            done.append(convert(*item))
        except (ShapeError, DTypeError, DataError) as error:
            wrong.append(error)
    if wrong:
        raise _together(wrong) from None
    return done


def _together(errors: list[GradcError]) -> GradcError:
    """One error for all of them, of the first one's class."""
    first = errors[0]
    if len(errors) == 1:
        return first
    parts = [error.diagnostic for error in errors]
    return fail(
        type(first),
        parts[0].code,
        "; ".join(part.message for part in parts),
        notes=list(dict.fromkeys(note for part in parts for note in part.notes)),
        helps=list(dict.fromkeys(text for part in parts for text in part.helps)),
    )
