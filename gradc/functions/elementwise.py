"""Elementwise functions: one for every elementwise row of the op table, and a few composed of them.

Enters: traced values, NumPy arrays, scalars. Leaves: the same, computed element by element. Always
holds: each row's function has the row's name; the Array API's own names are beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import as_dtype, is_float, is_integer
from ..ops import OPS, Kind, Op
from ..ops.describe import docstring, operand_count
from ..trace import NUMPY_FUNCTIONS, NUMPY_UFUNCS, Value, apply, power
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
positive = traces(np.positive)(Value.copy)
pow = traces(np.power, operands=0)(power)
NUMPY_UFUNCS[np.fabs] = ROWS["abs"]


@traces(np.where, operands=0)
def where(condition: Array, a: Array, b: Array) -> Array:
    """Elements of `a` where the condition holds, of `b` elsewhere."""
    return apply("where", condition, a, b)


@traces(np.round, np.around)
def _round_to(x: Value, decimals: int = 0) -> Array:
    return (x * 10.0**decimals).round() / 10.0**decimals if decimals else x.round()


def _eager_astype(x: Any, dtype: object) -> Any:
    array, target = np.asarray(x), as_dtype(dtype)
    if is_float(array.dtype) and is_integer(target):
        return OPS["to_integer"].reference(array, dtype=target)
    return array.astype(target)


@traces(eager=_eager_astype)
def astype(x: Value, dtype: object) -> Array:
    """The elements converted to `dtype`.

    A real number becomes its integer part: where that is out of range, the nearest integer in it,
    and NaN becomes 0. (NumPy's own `astype` leaves these to the processor.)
    """
    return x.astype(dtype)


def _eager_clip(x: Any, min: Any = None, max: Any = None) -> Any:
    return np.clip(x, min, max)


@traces(eager=_eager_clip)
def clip(x: Value, min: Any = None, max: Any = None) -> Array:
    """The elements moved into [min, max]."""
    return x.clip(min, max)


NUMPY_FUNCTIONS[np.clip] = lambda a, a_min=None, a_max=None, **kw: clip(
    a, kw.get("min", a_min), kw.get("max", a_max)
)
