"""Elementwise functions: one for every elementwise row of the op table, and a few composed of them.

Enters: traced values, NumPy arrays, scalars. Leaves: the same, computed element by element. Always
holds: each row's function has the row's name; the Array API's own names are beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import as_dtype, is_float, is_integer
from ..errors import ArgumentError
from ..ops import OPS, Kind, Op
from ..ops.describe import docstring, operand_count
from ..trace import NUMPY_FUNCTIONS, NUMPY_UFUNCS, Value, apply, error, power
from .dispatch import Array, traces

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # the rows' functions


def _elementwise(row: Op, name: str) -> Callable[..., Array]:
    """The function of an elementwise row, under a name."""

    def function(*operands: Any, **attrs: Any) -> Array:
        if any(isinstance(v, Value) for v in operands):
            return apply(row.name, *operands, **attrs)
        return row.reference(*operands, **attrs)

    def unary(x: Array, /) -> Array:
        return apply(row.name, x) if isinstance(x, Value) else row.reference(x)

    def binary(a: Array, b: Array, /) -> Array:
        if isinstance(a, Value) or isinstance(b, Value):
            return apply(row.name, a, b)
        return row.reference(a, b)

    plain: dict[int, Callable[..., Array]] = {} if row.internal else {1: unary, 2: binary}
    made: Callable[..., Array] = plain.get(operand_count(row), function)
    made.__name__ = made.__qualname__ = name
    made.__doc__ = docstring(row) if made is not function else row.doc
    return made


ROWS = {name: _elementwise(row, name) for name, row in OPS.items() if row.kind is Kind.ELEMENTWISE}
globals().update(ROWS)

ARRAY_API = {"negative": "neg", "subtract": "sub", "multiply": "mul", "divide": "div"}
"""The Array API's names of rows that have shorter ones."""
PUBLIC_ROWS = [n for n in ROWS if not OPS[n].internal and n not in ARRAY_API.values()]
"""The rows whose functions are of the interface by their own names."""
negative, subtract, multiply, divide = (_elementwise(OPS[r], n) for n, r in ARRAY_API.items())
NUMPY_UFUNCS[np.fabs] = ROWS["abs"]


@traces(np.positive)
def positive(x: Value) -> Array:
    """`+x`: the same elements, of any shape and dtype. Gradient: `g`, that of the result."""
    return x.copy()


@traces(np.power, operands=0)
def pow(base: Array, exponent: Array) -> Array:
    """`base ** exponent` of each element.

    Both are arrays of float32 or float64, or Python scalars, broadcast and promoted. A whole Python
    number as the exponent is a few multiplications, and may be taken of integers too if it is not
    negative.

    Gradient, where `g` is the one of the result `y`, for bases above 0:
        d_base = g * (exponent * base ** (exponent - 1))
        d_exponent = g * (y * log(base))

    Raises `ShapeError` if the shapes do not broadcast, `DTypeError` for another dtype.
    """
    return power(base, exponent)


@traces(np.where, operands=0)
def where(condition: Array, a: Array, b: Array) -> Array:
    """Elements of `a` where the condition holds, of `b` elsewhere.

    `condition` is an array of bools; `a` and `b` are arrays of any dtype, or Python scalars. All
    three are broadcast, `a` and `b` promoted to the dtype of the result.

    Gradient, where `g` is the one of the result:
        d_a = where(condition, g, 0)
        d_b = where(condition, 0, g)

    Raises `ShapeError` if the shapes do not broadcast, `DTypeError` if the condition is no bool or
    the dtypes have none in common.
    """
    return apply("where", condition, a, b)


@traces(np.round, np.around)
def _round_to(x: Value, decimals: int = 0) -> Array:
    scale = 10.0**decimals
    return (x * scale).elementwise("round") / scale if decimals else x.elementwise("round")


def _eager_astype(x: Any, dtype: object) -> Any:
    array, target = np.asarray(x), as_dtype(dtype)
    if is_float(array.dtype) and is_integer(target):
        return OPS["to_integer"].reference(array, dtype=target)
    return array.astype(target)


@traces(eager=_eager_astype)
def astype(x: Value, dtype: object) -> Array:
    """The elements of `x` converted to `dtype` (`gd.float32`, `"int32"`, ...); the shape stays.

    A real number becomes its integer part: where that is out of range, the nearest integer in it,
    and NaN becomes 0. (NumPy's own `astype` leaves these to the processor.) A cast to bool asks
    which elements are not zero. Gradient: `g` converted back to the dtype of `x`, where both are
    floating-point. Raises `DTypeError` for a dtype that is not supported.
    """
    return x.astype(dtype)


def _eager_clip(x: Any, min: Any = None, max: Any = None) -> Any:
    return np.clip(x, min, max)


@traces(eager=_eager_clip)
def clip(x: Value, min: Any = None, max: Any = None) -> Array:
    """The elements of `x` moved into [`min`, `max`], each of which may be left out.

    `x` is an array of numbers; the bounds are scalars or arrays that broadcast. NaN stays NaN. The
    result has the dtype that all of them promote to.

    Gradient, where `g` is the one of the result: `g` where an element lies within, its bounds
    included, else 0; that of a bound is `g` where it was taken.

    Raises `ShapeError` if the shapes do not broadcast, `DTypeError` if the dtypes have none in
    common.
    """
    return x.clip(min, max)


def _numpy_clip(
    a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None
) -> Any:
    """`numpy.clip`, whose bounds have two names."""
    if (min is not None or max is not None) and (a_min is not None or a_max is not None):
        raise error(
            ArgumentError,
            "GC440",
            "`numpy.clip` is given its bounds twice",
            helps=("name them `min` and `max`",),
        )
    return clip(a, a_min if min is None else min, a_max if max is None else max)


NUMPY_FUNCTIONS[np.clip] = _numpy_clip
