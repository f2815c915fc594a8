"""How one function serves traced values and NumPy arrays alike.

Enters: a function on traced values and the NumPy functions of the same meaning. Leaves: a function
that traces if any argument is traced and lets NumPy compute at once otherwise; NumPy's own
functions are pointed at it. Always holds: NumPy never sees a traced value, and no value is made
without need.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..errors import user_errors
from ..trace import NUMPY_FUNCTIONS, NUMPY_UFUNCS, Value, lifted

P = ParamSpec("P")
R = TypeVar("R")
Array = Any  # a traced value, or a NumPy array when none of the arguments is traced
Axis = int | tuple[int, ...] | None


def values_in(items: Sequence[Any]) -> list[Value]:
    """The traced values among `items`, those in lists and tuples included."""
    found: list[Value] = []
    for item in items:
        if isinstance(item, Value):
            found.append(item)
        elif isinstance(item, (list, tuple)):
            found += values_in(item)
    return found


def traces(
    *numpy_functions: Any, eager: Callable[..., Any] | None = None, operands: int = 1
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function on traced values: it becomes the traced form of NumPy's functions.

    Without a traced argument `eager` is called instead, by default the first NumPy function. The
    first `operands` arguments are lifted into the trace.
    """
    at_once = eager or numpy_functions[0]

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @user_errors
        @wraps(function)
        def dispatch(*args: P.args, **kwargs: P.kwargs) -> R:
            found = values_in((*args, *kwargs.values()))
            if not found:
                result: R = at_once(*args, **kwargs)
                return result
            values = [lifted(found[0].owner, a, found) for a in args[:operands]]
            return function(*values, *args[operands:], **kwargs)  # type: ignore[arg-type]

        dispatch.__signature__ = _of_arrays(function)  # type: ignore[attr-defined]
        for f in numpy_functions:
            (NUMPY_UFUNCS if isinstance(f, np.ufunc) else NUMPY_FUNCTIONS)[f] = dispatch
        return dispatch

    return decorate


def _of_arrays(function: Callable[..., Any]) -> inspect.Signature:
    """The signature for users: what is a traced value inside is any array to them."""
    signature = inspect.signature(function)
    shown = [
        p.replace(annotation="Array") if p.annotation == "Value" else p
        for p in signature.parameters.values()
    ]
    return signature.replace(parameters=shown)
