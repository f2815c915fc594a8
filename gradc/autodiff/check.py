"""`check_grad`: the analytic gradient against the numerical method.

Enters: a function that returns a scalar, and its arguments. Leaves: a `GradientCheck`, or a
`GradientError`. Always holds: everything is computed in float64, by central differences
`(f(x + h) - f(x - h)) / 2h` with `h` near the cube root of the machine precision, where truncation
and rounding errors balance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dtypes import F64, is_float
from ..errors import DTypeError, GradcError, fail, user_errors
from ..interpret import interpret
from ..trace import argument_names, trace_tree
from ..trace.given import need_arguments, need_function
from ..tree import flatten
from .reverse import gradient_of

Array = np.ndarray[Any, Any]
STEP = float(np.finfo(F64).eps ** (1 / 3))


class GradientError(GradcError):
    """A gradient does not agree with finite differences."""


@dataclass(frozen=True)
class GradientCheck:
    """What `check_grad` found: the greatest error in each argument, and along a random direction.

    An error is `|analytic - numerical| / max(1, |analytic|, |numerical|)`; `checked` counts the
    elements compared.
    """

    errors: dict[str, float]
    direction: float
    checked: int

    def __repr__(self) -> str:
        worst = max([*self.errors.values(), self.direction])
        return f"GradientCheck: {self.checked} elements, greatest error {worst:.1e}"


@user_errors
def check_grad(
    fn: Callable[..., Any],
    *args: Any,
    has_aux: bool = False,
    tolerance: float = 1e-5,
    elements: int = 64,
    seed: int = 0,
) -> GradientCheck:
    """Compare the gradient of `fn` at `args` with central differences, for each argument.

    `fn` returns a scalar, or with `has_aux` a pair of one and anything else. Floating-point
    arguments, in any nesting, are converted to float64. Of an array of more than `elements`
    elements that many are drawn at random, from `seed`; a random direction through all arguments
    covers the rest. Raises `GradientError` where an error, relative to what is greater than 1,
    exceeds `tolerance`; `DTypeError` if no argument is floating-point. At a kink (`relu` at exactly
    0) the two methods differ by nature.
    """
    need_function(fn, "check_grad")
    need_arguments(fn, len(args), "value")
    given, tree = flatten(args)
    arrays: list[Any] = [leaf if isinstance(leaf, int) else _in_float64(leaf) for leaf in given]
    chosen = [i for i, a in enumerate(arrays) if not isinstance(a, int) and is_float(a.dtype)]
    if not chosen:
        message = "no argument is a floating-point number"
        raise fail(DTypeError, "GC302", message, helps=("pass floats: `x.astype(np.float64)`",))
    names = argument_names(fn, len(args))
    paths = [
        path for name, child in zip(names, tree.children, strict=True) for path in child.paths(name)
    ]

    def loss(*leaves: Any) -> Any:
        result = fn(*tree.unflatten(leaves))
        return result[0] if has_aux else result

    def gradients(*leaves: Any) -> Any:
        return gradient_of(loss, leaves, chosen).gradients

    value = _Evaluation(loss, arrays, paths)
    analytic = dict(zip(chosen, _Evaluation(gradients, arrays, paths)(arrays), strict=True))
    rng = np.random.default_rng(seed)
    errors: dict[str, float] = {}
    checked = 0
    for i in chosen:
        errors[paths[i]] = 0.0
        for place in _places(arrays[i], elements, rng):
            checked += 1
            numeric = _difference(value, arrays, {i: _unit(arrays[i], place)})
            found = float(analytic[i].reshape(-1)[place])
            error = _compare(found, numeric, tolerance, _spelt(paths[i], arrays[i], place))
            errors[paths[i]] = max(errors[paths[i]], error)
    direction = {i: rng.standard_normal(arrays[i].shape) for i in chosen}
    along = sum(float(np.sum(analytic[i] * d)) for i, d in direction.items())
    numeric = _difference(value, arrays, direction)
    return GradientCheck(errors, _compare(along, numeric, tolerance, "a random direction"), checked)


def _in_float64(leaf: Any) -> Array:
    array = np.asarray(leaf)
    return array.astype(F64) if is_float(array.dtype) else array


class _Evaluation:
    """A function of flat leaves, traced once and interpreted as often as it is called."""

    def __init__(
        self, fn: Callable[..., Any], arrays: Sequence[Array], paths: Sequence[str]
    ) -> None:
        self.traced = trace_tree(
            fn,
            *arrays,
            names=paths,
            tied=False,
            numbers_are_inputs=False,
            largest_constant=None,
        )

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        return interpret(self.traced.graph, self.traced.arrays(arrays))


def _difference(value: _Evaluation, arrays: Sequence[Array], direction: dict[int, Array]) -> float:
    """The derivative of `value` along `direction`, by a central difference."""
    scale = max((float(np.max(np.abs(arrays[i]), initial=1.0)) for i in direction), default=1.0)
    h = STEP * scale
    ends = []
    for sign in (h, -h):
        moved = [a + sign * direction[i] if i in direction else a for i, a in enumerate(arrays)]
        ends.append(float(value(moved)[0]))
    return (ends[0] - ends[1]) / (2 * h)


def _places(array: Array, most: int, rng: np.random.Generator) -> Iterator[int]:
    if array.size <= most:
        yield from range(array.size)
    else:
        yield from sorted(int(p) for p in rng.choice(array.size, most, replace=False))


def _unit(array: Array, place: int) -> Array:
    unit = np.zeros(array.shape)
    unit.reshape(-1)[place] = 1.0
    return unit


def _spelt(path: str, array: Array, place: int) -> str:
    index = [int(i) for i in np.unravel_index(place, array.shape)]
    return f"`{path}`" + (f" at {index}" if index else "")


def _compare(analytic: float, numeric: float, tolerance: float, where: str) -> float:
    error = abs(analytic - numeric) / max(1.0, abs(analytic), abs(numeric))
    if not error <= tolerance:  # a NaN is an error too
        raise fail(
            GradientError,
            "GC306",
            f"the gradient with respect to {where} is {analytic:.8g}, "
            f"central differences give {numeric:.8g}",
        )
    return error
