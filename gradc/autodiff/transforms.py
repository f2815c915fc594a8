"""`grad`, `value_and_grad`, `vjp`: functions that make functions.

Enters: a function of arrays. Leaves: a function that computes its gradient. Always holds: on
traced values the gradient becomes part of the running trace; on NumPy arrays the function is
traced and its graph computed by NumPy at once; the gradient has the nesting of the argument.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from ..dtypes import is_float, is_weak
from ..errors import ShapeError, TraceError, user_errors
from ..interpret import interpret
from ..trace import (
    Value,
    argument_names,
    current_trace,
    error,
    lift,
    trace_tree,
)
from ..trace.given import need_arguments, need_function
from ..tree import flatten, map_leaves
from .reverse import chosen_of, gradient_of, mark, or_zeros, pull_back

Function = Callable[..., Any]


def _is_traced(args: Sequence[Any]) -> bool:
    return current_trace() is not None or any(isinstance(v, Value) for v in flatten(args)[0])


def _at_once(
    fn: Function, args: Sequence[Any], names: Sequence[str], argnums: Sequence[int]
) -> Any:
    """`fn(*args)` on NumPy arrays, by tracing and interpreting.

    A Python number counts as float64 in an argument that is differentiated, and is handed over as
    it is in another.
    """
    args = list(args)
    for i in argnums:
        args[i] = map_leaves(lambda v: np.float64(v) if isinstance(v, float) else v, args[i])
        args[i] = map_leaves(lambda v: np.asarray(v) if is_weak(v) else v, args[i])
    traced = trace_tree(fn, *args, names=names, numbers_are_inputs=False, largest_constant=None)
    outputs = interpret(traced.graph, traced.arrays(flatten(tuple(args))[0]))
    return traced.out_tree.unflatten([out if out.ndim else out[()] for out in outputs])


@user_errors
def value_and_grad(
    fn: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Function:
    """A function that returns the value of `fn` and its gradient: `(value, gradient)`.

    `fn` returns a scalar of float32 or float64, or with `has_aux` a pair of such a scalar and
    anything else. `argnums` says with respect to which argument, or arguments, all of whose arrays
    must be floating-point; a gradient has the nesting, shapes and dtypes of its argument, and is a
    tuple of those if `argnums` is a sequence. What the function does not depend on has gradient
    zero.

    With `has_aux` the result is `((value, aux), gradient)`. Called with arrays it computes at once,
    by NumPy; in a traced function it becomes part of the trace, so it can be compiled and
    differentiated again. Calls raise `TraceError`, `ShapeError` or `DTypeError` if `fn` does not
    return a real scalar or an argument is not floating-point, `ArgumentError` for `argnums` that
    name no argument, `UnsupportedError` where an op has no gradient.
    """

    need_function(fn, "value_and_grad")

    @user_errors
    @wraps(fn)
    def with_gradient(*args: Any) -> Any:
        need_arguments(fn, len(args), "value")

        def inside(*args: Any) -> Any:
            found = gradient_of(fn, args, argnums, has_aux=has_aux)
            return ((found.value, found.aux) if has_aux else found.value), found.gradients

        if _is_traced(args):
            return inside(*args)
        return _at_once(inside, args, argument_names(fn, len(args)), chosen_of(argnums, len(args)))

    return with_gradient


@user_errors
def grad(fn: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of `fn`, or `(gradient, aux)` with `has_aux`.

    `fn` returns a scalar of float32 or float64, or with `has_aux` a pair of such a scalar and
    anything else. `argnums` says with respect to which argument, or arguments, all of whose arrays
    must be floating-point; a gradient has the nesting, shapes and dtypes of its argument, and is a
    tuple of those if `argnums` is a sequence. What the function does not depend on has gradient
    zero.

    Called with arrays it computes at once, by NumPy; in a traced function it becomes part of the
    trace, so it can be compiled and differentiated again. Calls raise `TraceError`, `ShapeError` or
    `DTypeError` if `fn` does not return a real scalar or an argument is not floating-point,
    `ArgumentError` for `argnums` that name no argument, `UnsupportedError` where an op has no
    gradient.
    """
    need_function(fn, "grad")
    both = value_and_grad(fn, argnums, has_aux)

    @user_errors
    @wraps(fn)
    def gradient(*args: Any) -> Any:
        value, gradients = both(*args)
        return (gradients, value[1]) if has_aux else gradients

    return gradient


@user_errors
def vjp(fn: Function, *args: Any) -> tuple[Any, Function]:
    """`fn(*args)`, and a function from a cotangent of it to the cotangents of `args`, as a tuple.

    `args` are arrays of float32 or float64, in any nesting, and so is what `fn` returns; the
    cotangent has its nesting, shapes and dtypes. Raises `DTypeError` if an argument is not
    floating-point, `TraceError` or `ShapeError` if the cotangent is not like the result.
    """
    need_function(fn, "vjp")
    need_arguments(fn, len(args), "value")
    if _is_traced(args):
        return _traced_vjp(fn, args)
    names = argument_names(fn, len(args))

    def pull(cotangent: Any) -> Any:
        def inside(*both: Any) -> Any:
            return vjp(fn, *both[:-1])[1](both[-1])

        return _at_once(inside, (*args, cotangent), [*names, "g"], range(len(args) + 1))

    return _at_once(fn, args, names, range(len(args))), pull


def _traced_vjp(fn: Function, args: Sequence[Any]) -> tuple[Any, Function]:
    owner = current_trace()
    assert owner is not None
    marked = [mark(owner, a, n) for a, n in zip(args, argument_names(fn, len(args)), strict=True)]
    targets = [i for m in marked for i in m[1]]
    paths = [path for m in marked for path in m[2]]
    result = fn(*(m[0] for m in marked))
    leaves, out_tree = flatten(result)
    outputs = [lift(owner, leaf) for leaf in leaves]

    def pull(cotangent: Any) -> Any:
        given, given_tree = flatten(cotangent)
        if given_tree.paths() != out_tree.paths():
            raise error(
                TraceError,
                "GC305",
                f"the cotangent has leaves {given_tree.paths()}, the result {out_tree.paths()}",
            )
        pairs = [(y, g) for y, g in zip(outputs, given, strict=True) if is_float(y.dtype)]
        for y, g in pairs:
            if np.shape(g) != y.shape:
                raise error(
                    ShapeError, "GC305", f"a cotangent of {y.spec!r} has shape {list(np.shape(g))}"
                )
        pulled = iter(or_zeros(owner, targets, paths, pull_back(owner, pairs, targets)))
        return tuple(m[3].unflatten([next(pulled) for _ in m[1]]) for m in marked)

    return result, pull


def stop_gradient(x: Any) -> Any:
    """`x`, an array or any nesting of arrays of any dtype, as a constant for differentiation.

    The values are the same; its gradient is zero.
    """
    return map_leaves(lambda v: v.elementwise("stop_gradient") if isinstance(v, Value) else v, x)
