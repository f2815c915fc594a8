"""What the functions that compile are given, checked before anything is traced.

Enters: a function, and the specs or arrays it is to be traced for. Leaves: nothing, or an
`ArgumentError` that says what to pass instead. Always holds: whatever passes here can be called
with as many arguments, and no dtype stands where a spec is meant.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..dtypes import ALL, ScalarType
from ..errors import ArgumentError, fail
from ..tree import is_array


def need_function(fn: Any, caller: str) -> None:
    """Raise unless `fn` can be called."""
    if callable(fn) and not isinstance(fn, ScalarType):
        return
    called = is_array(fn) or isinstance(fn, (int, float, dict, list, tuple)) or fn is None
    raise fail(
        ArgumentError,
        "GC441",
        f"`{caller}` takes a function first, got {described(fn)}",
        helps=(
            f"pass the function itself: `{caller}(f, ...)`, not `{caller}(f(x), ...)`"
            if called
            else f"pass a function: `{caller}(f, ...)`",
        ),
    )


def described(value: Any) -> str:
    """What was given, in words."""
    if isinstance(value, ScalarType):
        return f"the dtype `{value!r}`"
    if isinstance(value, type):
        return f"the class `{value.__name__}`"
    if value is None:
        return "`None`"
    return f"a `{type(value).__name__}`"


def need_arguments(fn: Callable[..., Any], count: int, noun: str = "spec", first: str = "") -> None:
    """Raise unless `fn` can be called with as many arguments in order.

    There are `count` of what `noun` says, and before them the one that `first` says, if it does.
    """
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return  # a function in C that does not say what it takes
    try:
        signature.bind(*[None] * (count + bool(first)))
    except TypeError:
        names = ", ".join(p.name for p in signature.parameters.values())
        name = getattr(fn, "__name__", type(fn).__name__)
        counted = f"{count} {noun}" if count == 1 else f"{count} {noun}s"
        counted = f"{first} and {counted}" if first else counted
        takes = f"takes ({names})" if names else "takes no arguments"
        raise fail(
            ArgumentError,
            "GC442",
            f"the function `{name}` {takes}, got {counted}",
            helps=(
                f"give one value for each of ({names})"
                if noun == "value"
                else "give one spec for each argument, such as `gd.f32[64, 784]`",
            ),
        ) from None


def need_specs(specs: Sequence[Any], caller: str) -> None:
    """Raise if an argument is a dtype, or the name of one, where a spec or an array is meant."""
    for position, spec in enumerate(specs):
        for part in _parts(spec):
            dtype = dtype_meant(part)
            if dtype is not None:
                array, scalar = (
                    f"`gd.{dtype}[64, 784]` for an array",
                    f"`gd.{dtype}[()]` for a scalar",
                )
                raise fail(
                    ArgumentError,
                    "GC443",
                    f"`{caller}` needs a spec for argument {position}, got {described(part)}",
                    helps=(f"write {scalar}, {array}",),
                )


def _parts(spec: Any) -> Iterator[Any]:
    """The leaves of nested dicts, lists and tuples; what an object holds is its own matter."""
    if isinstance(spec, (dict, list, tuple)):
        for part in spec.values() if isinstance(spec, dict) else spec:
            yield from _parts(part)
    else:
        yield spec


def dtype_meant(value: Any) -> str | None:
    """The short name of the dtype that stands where a spec should; None if it is none."""
    known = {"float": "float32", "int": "int32"}
    if isinstance(value, ScalarType):
        return value.short
    if isinstance(value, np.dtype) or (
        isinstance(value, type) and issubclass(value, (np.generic, bool, int, float))
    ):
        name = np.dtype(known.get(getattr(value, "__name__", ""), value)).name
        return next((t.short for t in ALL if t.dtype.name == name), "f32")
    return None
