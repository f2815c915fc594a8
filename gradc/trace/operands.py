"""Operands: from anything to nodes of one dtype and one shape.

Enters: traced values, NumPy arrays, Python scalars. Leaves: handles of nodes, and elementwise nodes
on them. Always holds: promotion and broadcasting happen here, by explicit nodes, before an op sees
its arguments; a mistake is reported with the operands marked in the user's line.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..dtypes import (
    DType,
    Spec,
    as_dtype,
    bits_of,
    default_dtype,
    is_bool,
    is_float,
    is_integer,
    is_numeric,
    is_weak,
    kind_of,
    promote,
    weak,
)
from ..errors import (
    DTypeError,
    GradcError,
    Label,
    ShapeError,
    TraceError,
    UnsupportedError,
    fail,
)
from ..ops.table import OPS
from .context import Trace, error, located, user_span
from .handle import Handle
from .indexing import Movement


def lift(owner: Trace, operand: Any, dtype: DType | None = None) -> Handle:
    """`operand` as a node of the trace; Python's numbers, and lists, take `dtype`.

    Without `dtype`, a number takes the default of the trace and a list what NumPy makes of it.
    """
    if isinstance(operand, Handle):
        if operand.owner is not owner:
            raise error(
                TraceError,
                "GC201",
                "a traced value of another function is used here",
                helps=("pass the value as an argument",),
            )
        return operand
    if is_weak(operand):
        own = dtype or default_dtype(operand, owner.default_float)
        return Handle(owner, constant(owner, operand, own))
    array = _as_array(operand)
    if isinstance(operand, (list, tuple)) and dtype is not None:
        array = _list_in(array, dtype)
    own = as_dtype(array.dtype)
    if array.size > 1 and _is_uniform(array):
        scalar = Handle(owner, constant(owner, array.reshape(-1)[0], own))
        return broadcast(scalar, array.shape)
    limit = owner.largest_constant
    if limit is not None and array.size > limit:
        raise error(
            TraceError,
            "GC216",
            f"an array of {array.size:,} elements is used but is not an argument of the function",
            notes=(f"an array of at most {limit:,} elements is written into the code",),
            helps=("pass it as an argument",),
        )
    return Handle(owner, constant(owner, array, own))


def _as_array(operand: Any) -> np.ndarray[Any, Any]:
    array = (
        np.asarray(operand) if isinstance(operand, (np.ndarray, np.generic, list, tuple)) else None
    )
    if array is None or not is_numeric(array.dtype):
        name = array.dtype.name if array is not None else type(operand).__name__
        raise error(
            UnsupportedError,
            "GC217",
            f"a `{name}` cannot be used as an array",
            helps=("use a number or an array",),
        )
    # A view of other data may hold true as any byte but 0; in C it is 1.
    return array.view(np.uint8) != 0 if is_bool(array.dtype) else array


def _list_in(array: np.ndarray[Any, Any], dtype: DType) -> np.ndarray[Any, Any]:
    """The numbers of a list in `dtype`, none of which may be out of its range."""
    if array.size:
        dtype = weak(array.reshape(-1)[0].item(), dtype)
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if is_integer(dtype) and not np.array_equal(converted, array):
        first = array[converted != array][0]
        raise error(DTypeError, "GC118", f"the integer {first} does not fit `{dtype.name}`")
    return converted


def _is_uniform(array: np.ndarray[Any, Any]) -> bool:
    """Whether all elements have the same bits."""
    bits = bits_of(array)
    return bool((bits == bits[0]).all())


def constant(owner: Trace, value: Any, dtype: DType) -> int:
    try:
        with np.errstate(over="ignore"):
            array = np.array(value, dtype=dtype, order="C")
    except OverflowError:
        raise error(
            DTypeError, "GC118", f"the integer {value} does not fit `{dtype.name}`"
        ) from None
    return owner.add("const", (), {"value": array})


def promoted(owner: Trace, operands: Sequence[Any]) -> list[Handle]:
    """The operands as nodes of one dtype, that of the arrays by the Array API's rules.

    Python's numbers, and lists of them, take the dtype of the arrays at full precision.
    """
    arrays = [v if _is_weak_or_list(v) else lift(owner, v) for v in operands]
    strong = [v.dtype for v in arrays if isinstance(v, Handle)]
    if strong:
        common = reduce(promote, strong)
    else:
        dtypes = [_own_dtype(owner, v) for v in arrays]
        common = max(dtypes, key=lambda d: "bif".index(kind_of(d)))
    values = []
    for v in arrays:
        if isinstance(v, Handle):
            values.append(converted(v, common))
        else:
            values.append(lift(owner, v, weak(v, common) if is_weak(v) else common))
    return values


def lifted(owner: Trace, operand: Any, others: Sequence[Handle]) -> Handle:
    """`operand` as a node; a Python number or a list takes the dtype of the `others`."""
    if isinstance(operand, Handle) or not _is_weak_or_list(operand):
        return lift(owner, operand)
    return promoted(owner, [operand, *others])[0]


def _is_weak_or_list(operand: Any) -> bool:
    return is_weak(operand) or isinstance(operand, (list, tuple))


def _own_dtype(owner: Trace, operand: Any) -> DType:
    """The dtype of a number or a list that meets no array."""
    array = _as_array(operand) if isinstance(operand, (list, tuple)) else None
    first = operand if array is None else array.dtype.type(0)
    return default_dtype(first, owner.default_float)


def converted(value: Handle, dtype: DType) -> Handle:
    """`value` in `dtype`, itself if it is so already.

    A real number becomes its integer part: where that is out of range, the nearest integer in it,
    and NaN becomes 0, on every machine.
    """
    if dtype == value.dtype:
        return value
    if is_bool(dtype):
        return apply("not_equal", value, 0)
    if is_float(value.dtype) and is_integer(dtype):
        return apply("to_integer", value, dtype=dtype)
    return apply("cast", value, dtype=dtype)


def broadcasting(spec: Spec, shape: tuple[int, ...]) -> list[Movement]:
    """What repeats an array like `spec` to `shape` by NumPy's rule: `reshape` and `broadcast`."""
    if spec.shape == shape:
        return []
    offset = len(shape) - len(spec.shape)
    pairs = list(zip(spec.shape, shape[offset:] if offset >= 0 else (), strict=False))
    if offset < 0 or any(n not in (m, 1) for n, m in pairs):
        raise error(ShapeError, "GC104", f"{spec!r} does not broadcast to {list(shape)}")
    if spec.size == Spec(shape, spec.dtype).size and spec.size:
        return [Movement("reshape", {"shape": shape})]
    kept = [i for i, (n, m) in enumerate(pairs) if n == m]
    return [
        Movement("reshape", {"shape": tuple(spec.shape[i] for i in kept)}),
        Movement("broadcast", {"shape": shape, "axes": tuple(i + offset for i in kept)}),
    ]


def broadcast(value: Handle, shape: tuple[int, ...]) -> Handle:
    """`value` repeated to `shape` by NumPy's rule."""
    for name, attrs in broadcasting(value.spec, shape):
        idle = OPS[name].idle
        if idle is None or not idle(attrs, value.shape):
            value = Handle(value.owner, value.owner.add(name, (value.node_id,), attrs))
    return value


def apply(name: str, *operands: Any, **attrs: Any) -> Handle:
    """The elementwise op `name` on operands of which at least one is a traced value."""
    owner = next(v.owner for v in operands if isinstance(v, Handle))
    values: list[Handle] = []
    try:
        conditions = OPS[name].conditions  # they stay bools
        lifted = [lift(owner, v) for v in operands[:conditions]]
        values = [*lifted, *promoted(owner, operands[conditions:])]
        shape = values[0].shape
        if any(v.shape != shape for v in values):
            shape = np.broadcast_shapes(*(v.shape for v in values))
            values = [broadcast(v, shape) for v in values]
    except GradcError as found:
        raise located(found, user_span(), _operand_labels(operands)) from None
    except ValueError:
        shapes = " and ".join(repr(v.spec) for v in values)
        raise fail(
            ShapeError,
            "GC101",
            f"`{name}` needs shapes that broadcast, got {shapes}",
            span=user_span(),
            labels=_operand_labels(values),
            helps=("make extents equal or 1, counted from the last axis",),
        ) from None
    return Handle(owner, owner.add(name, [v.node_id for v in values], attrs))


def _operand_labels(operands: Sequence[Any]) -> list[Label]:
    """A label under each operand in the source, where the source shows as many operands."""
    span = user_span()
    places = span.operands() if span else ()
    if len(places) != len(operands):
        return []
    texts = [repr(v.spec) if isinstance(v, Handle) else "" for v in operands]
    return [Label(place, text) for place, text in zip(places, texts, strict=True)]
