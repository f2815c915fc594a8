"""NumPy's functions, called on traced values: which can be traced, and what is said of the others.

Enters: what NumPy hands over by its protocols. Leaves: traced values. Always holds: a function that
cannot be traced, or not with these arguments, is an `UnsupportedError` that says what to write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np

from ..calls import call_form
from ..errors import UnsupportedError
from ..namespace import nearest
from ..ops.table import OPS
from .context import error

NUMPY_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""NumPy's functions that can be traced, and what each of them becomes; filled by `functions`."""
NUMPY_UFUNCS: dict[Any, Callable[..., Any]] = {}
"""The same for ufuncs; the rows of the op table fill in theirs."""
UFUNC_REDUCTIONS = {row.combine: name for name, row in OPS.items() if row.combine}


def call_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """What `__array_ufunc__` is asked for."""
    if options.pop("out", None) is not None:
        raise error(
            UnsupportedError,
            "GC214",
            f"`numpy.{ufunc.__name__}` cannot write a traced value into an array",
            helps=("use the result: `x = x + y` instead of `x += y` or `out=x`",),
        )
    if method == "reduce" and ufunc in UFUNC_REDUCTIONS:
        axis = options.pop("axis", 0)
        return getattr(inputs[0], UFUNC_REDUCTIONS[ufunc])(axis, **options)
    unused = {k: v for k, v in options.items() if v is not None}
    if method == "__call__" and not unused and ufunc in NUMPY_UFUNCS:
        return NUMPY_UFUNCS[ufunc](*inputs)
    module = "numpy" if getattr(np, ufunc.__name__, None) is ufunc else "scipy.special"
    spelling = f"{module}.{ufunc.__name__}" + (f".{method}" if method != "__call__" else "")
    raise _unsupported(spelling, NUMPY_UFUNCS, unused)


def call_function(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What `__array_function__` is asked for."""
    traced = NUMPY_FUNCTIONS.get(function)
    if traced is not None:
        try:
            signature(traced).bind(*args, **kwargs)
        except TypeError as why:
            raise error(
                UnsupportedError,
                "GC215",
                f"`numpy.{function.__name__}` cannot be traced with these arguments: {why}",
                helps=(f"call it as `{call_form(f'np.{function.__name__}', signature(traced))}`",),
            ) from None
        return traced(*args, **kwargs)
    module = getattr(function, "__module__", None) or "numpy"
    known = (*NUMPY_FUNCTIONS, *NUMPY_UFUNCS)
    raise _unsupported(f"{module}.{function.__name__}", known, {})


def _unsupported(
    spelling: str, known: Iterable[Callable[..., Any]], options: dict[str, Any]
) -> UnsupportedError:
    """The error of a function of NumPy, or one like it, that cannot be traced."""
    names = [f.__name__ for f in known]
    module, _, name = spelling.rpartition(".")
    if options and name in names:
        given = ", ".join(f"`{k}`" for k in options)
        return error(
            UnsupportedError,
            "GC215",
            f"`{spelling}` cannot be traced with {given}",
            helps=(f"leave out {given}",),
        )
    near = nearest(name, names) if module == "numpy" else None
    advice = ELSEWHERE.get(name) or (
        f"use `np.{near[0]}`, if that is what you mean" if near else None
    )
    return error(
        UnsupportedError,
        "GC215",
        f"`{spelling}` cannot be traced",
        helps=(advice or "compute it before the call and pass the result as an argument",),
    )


# What is here under another name, or is written in other functions.
ELSEWHERE = {
    "expit": "use `gd.sigmoid`",
    "log_expit": "use `gd.log(gd.sigmoid(x))`",
    "cumsum": "write it as a product with `gd.tril(gd.ones((n, n)))`",
    "average": "use `np.mean`",
    "nanmean": "use `np.mean` of `np.where(np.isnan(x), 0, x)`",
    "nansum": "use `np.sum` of `np.where(np.isnan(x), 0, x)`",
    "vstack": "use `np.concatenate`",
    "hstack": "use `np.concatenate`",
    "einsum": "use `np.tensordot`, or `@`",
    "take": "use `gd.one_hot(index, n) @ x`, which picks rows",
}
