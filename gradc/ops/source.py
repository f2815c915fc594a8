"""The sources: ops without arguments, where values come from.

Enters: nothing. Leaves: rows in the op table. Always holds: a source's shape and dtype follow from
its attributes alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..dtypes import F32, I32, Spec, as_dtype
from .table import Attrs, Kind, Sample, op


def _input_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    return Spec(attrs["shape"], attrs["dtype"])


def _const_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    value: np.ndarray[Any, Any] = attrs["value"]
    return Spec(value.shape, as_dtype(value.dtype))


def _iota_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    return Spec((attrs["length"],), attrs["dtype"])


def _input_samples() -> Iterator[Sample]:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    yield Sample((x,), {"shape": (2, 3), "dtype": F32}, 0)


def _const_samples() -> Iterator[Sample]:
    yield Sample((), {"value": np.array([1.5, -0.0, np.nan, np.inf], np.float32)}, 0)
    yield Sample((), {"value": np.array(7, np.int32)}, 0)


def _iota_samples() -> Iterator[Sample]:
    for dtype in (I32, F32):
        yield Sample((), {"length": 5, "dtype": dtype}, 0)


# fmt: off
op("input", (Kind.INPUT, _input_rule), reference=lambda array, **attrs: array, cost=0,
   samples=_input_samples, doc="an argument of the program; the array handed over is its value")
op("const", (Kind.CONSTANT, _const_rule), reference=lambda value: value, cost=0,
   samples=_const_samples)
op("iota", (Kind.COUNTER, _iota_rule),
   reference=lambda length, dtype: np.arange(length, dtype=dtype), cost=0,
   samples=_iota_samples, doc="0, 1, ..., length - 1")
# fmt: on
