"""Elementwise functions: one for every elementwise row of the op table, and a few composed of them.

Enters: traced values, NumPy arrays, scalars. Leaves: the same, computed element by element. Always
holds: each row's function has the row's name; the Array API's own names are beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import as_dtype
from ..ops import OPS, Kind
from ..trace import NUMPY_FUNCTIONS, NUMPY_UFUNCS, Value, apply, power
from .dispatch import Array, traces

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # the rows' functions


def _elementwise(name: str) -> Callable[..., Array]:
    """The function of an elementwise row."""
    row = OPS[name]

    def function(*operands: Any, **attrs: Any) -> Array:
        if any(isinstance(v, Value) for v in operands):
            return apply(name, *operands, **attrs)
        return row.reference(*operands, **attrs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = row.doc or f"`{name}` of each element."
    return function


ROWS = {name: _elementwise(name) for name, row in OPS.items() if row.kind is Kind.ELEMENTWISE}
globals().update(ROWS)

# The Array API's names where they are not the rows' own.
negative, subtract, multiply, divide = (ROWS[n] for n in ("neg", "sub", "mul", "div"))
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


@traces(eager=lambda x, dtype: np.asarray(x).astype(as_dtype(dtype)))
def astype(x: Value, dtype: object) -> Array:
    """The elements converted to `dtype`."""
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
