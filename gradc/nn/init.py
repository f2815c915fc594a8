"""Initialisers: arrays of first values, which remember how they were drawn.

Enters: a shape and the parameters of a distribution. Leaves: an `Initialised` array (float32
unless said otherwise). Always holds: its `recipe` says how to draw such an array again, so that
generated C can do so for another seed; an array derived from it, or changed since, has none.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import F32, as_dtype, is_float
from ..errors import ArgumentError, DTypeError, fail
from ..namespace import unknown_name

Recipe = tuple[str, float] | tuple[str, float, float]
Shape = int | tuple[int, ...]
Generator = np.random.Generator | int | None


class Initialised(np.ndarray[Any, Any]):
    """An array with a recipe.

    The recipe is `("uniform", low, high)`, `("normal", mean, std)` or `("constant", value)`. `axes`
    are words for the axes, if the layer that has the array gives them (`out`, `in`).
    """

    axes: tuple[str, ...]
    _recipe: Recipe | None
    _digest: int

    def __array_finalize__(self, source: object) -> None:
        self.axes = ()  # a view or a copy is another array
        self._recipe = None
        self._digest = 0

    @property
    def recipe(self) -> Recipe | None:
        """How the elements were drawn; None if they have been changed since."""
        if self._recipe is not None and hash(self.tobytes()) != self._digest:
            self._recipe = None
        return self._recipe


def _initialised(values: Any, dtype: object, recipe: Recipe) -> Initialised:
    chosen = as_dtype(dtype)
    if not is_float(chosen):
        message = f"parameters are floating-point numbers, so `{chosen.name}` cannot be their dtype"
        raise fail(DTypeError, "GC328", message, helps=("use `gd.float32` or `gd.float64`",))
    array = np.asarray(values).astype(chosen).view(Initialised)
    array._recipe = recipe
    array._digest = hash(array.tobytes())
    return array


def called(array: Initialised, *axes: str) -> Initialised:
    """The array with words for its axes."""
    array.axes = axes
    return array


def generator(rng: Generator) -> np.random.Generator:
    """A generator from a generator, a seed, or nothing (then every run draws other numbers)."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is not None and (not is_index(rng) or rng < 0):
        message = f"`rng` is a NumPy generator or a seed, which is an integer from 0, got {rng!r}"
        raise fail(ArgumentError, "GC326", message, helps=("write `rng=np.random.default_rng(0)`",))
    return np.random.default_rng(rng)


def is_index(value: object) -> bool:
    """Whether it is a whole number; a truth value is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_size(layer: str, name: str, size: Any) -> None:
    """Raise unless `size` can be the extent of an axis."""
    if not is_index(size) or size < 0:
        message = f"`{name}` of `nn.{layer}` is a whole number from 0, got {size!r}"
        raise fail(ArgumentError, "GC327", message, helps=("pass the number of features",))


def constant(shape: Shape, value: float, *, dtype: object = F32) -> Initialised:
    """An array of `shape` and `dtype` with every element `value`.

    Raises `DTypeError` for a dtype that is not supported.
    """
    return _initialised(np.full(shape, value), dtype, ("constant", float(value)))


def zeros(shape: Shape, *, dtype: object = F32) -> Initialised:
    """An array of `shape` and `dtype`, all 0.

    Raises `DTypeError` for a dtype that is not supported.
    """
    return constant(shape, 0.0, dtype=dtype)


def ones(shape: Shape, *, dtype: object = F32) -> Initialised:
    """An array of `shape` and `dtype`, all 1.

    Raises `DTypeError` for a dtype that is not supported.
    """
    return constant(shape, 1.0, dtype=dtype)


def uniform(
    shape: Shape, low: float = 0.0, high: float = 1.0, *, rng: Generator = None, dtype: object = F32
) -> Initialised:
    """An array of `shape` and `dtype`, uniform in [`low`, `high`).

    `rng` is a NumPy generator or a seed; without one every run draws other numbers. Raises
    `DTypeError` for a dtype that is not supported.
    """
    values = generator(rng).uniform(low, high, shape)
    return _initialised(values, dtype, ("uniform", float(low), float(high)))


def normal(
    shape: Shape, mean: float = 0.0, std: float = 1.0, *, rng: Generator = None, dtype: object = F32
) -> Initialised:
    """An array of `shape` and `dtype`, normal with the given `mean` and standard deviation `std`.

    `rng` is a NumPy generator or a seed; without one every run draws other numbers. Raises
    `DTypeError` for a dtype that is not supported.
    """
    values = generator(rng).normal(mean, std, shape)
    return _initialised(values, dtype, ("normal", float(mean), float(std)))


def _fans(shape: Shape) -> tuple[int, int]:
    """How many inputs feed an output, and how many outputs an input feeds: shape (out, in, ...)."""
    if isinstance(shape, int) or len(shape) < 2:
        raise fail(
            ArgumentError,
            "GC320",
            f"this initialiser needs at least two axes (out, in), got {shape}",
            helps=("use `init.uniform` or `init.normal`, which take any shape",),
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def xavier_uniform(
    shape: Shape, gain: float = 1.0, *, rng: Generator = None, dtype: object = F32
) -> Initialised:
    """Uniform with bound `gain * sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio, 2010).

    `shape` is (out, in, ...): fan_in is `in` times the extents after it, fan_out `out` times these.
    The elements are of `dtype`. `rng` is a NumPy generator or a seed; without one every run draws
    other numbers. Raises `ArgumentError` for fewer than two axes, `DTypeError` for a dtype that is
    not supported.
    """
    bound = gain * math.sqrt(6.0 / sum(_fans(shape)))
    return uniform(shape, -bound, bound, rng=rng, dtype=dtype)


def xavier_normal(
    shape: Shape, gain: float = 1.0, *, rng: Generator = None, dtype: object = F32
) -> Initialised:
    """Normal with deviation `gain * sqrt(2 / (fan_in + fan_out))` (Glorot and Bengio, 2010).

    `shape` is (out, in, ...): fan_in is `in` times the extents after it, fan_out `out` times these.
    The elements are of `dtype`. `rng` is a NumPy generator or a seed; without one every run draws
    other numbers. Raises `ArgumentError` for fewer than two axes, `DTypeError` for a dtype that is
    not supported.
    """
    return normal(shape, 0.0, gain * math.sqrt(2.0 / sum(_fans(shape))), rng=rng, dtype=dtype)


def kaiming_uniform(
    shape: Shape, *, gain: float = math.sqrt(2), rng: Generator = None, dtype: object = F32
) -> Initialised:
    """Uniform with bound `gain * sqrt(3 / fan_in)`; the gain is that of relu (He et al., 2015).

    `shape` is (out, in, ...): fan_in is `in` times the extents after it, fan_out `out` times these.
    The elements are of `dtype`. `rng` is a NumPy generator or a seed; without one every run draws
    other numbers. Raises `ArgumentError` for fewer than two axes, `DTypeError` for a dtype that is
    not supported.
    """
    bound = gain * math.sqrt(3.0 / _fans(shape)[0])
    return uniform(shape, -bound, bound, rng=rng, dtype=dtype)


def kaiming_normal(
    shape: Shape, *, gain: float = math.sqrt(2), rng: Generator = None, dtype: object = F32
) -> Initialised:
    """Normal with deviation `gain / sqrt(fan_in)`; the gain is that of relu (He et al., 2015).

    `shape` is (out, in, ...): fan_in is `in` times the extents after it, fan_out `out` times these.
    The elements are of `dtype`. `rng` is a NumPy generator or a seed; without one every run draws
    other numbers. Raises `ArgumentError` for fewer than two axes, `DTypeError` for a dtype that is
    not supported.
    """
    return normal(shape, 0.0, gain / math.sqrt(_fans(shape)[0]), rng=rng, dtype=dtype)


glorot_uniform, glorot_normal = xavier_uniform, xavier_normal
he_uniform, he_normal = kaiming_uniform, kaiming_normal

_GROUPS = {
    "any shape": ["constant", "zeros", "ones", "uniform", "normal"],
    "weights": [
        "xavier_uniform", "xavier_normal", "glorot_uniform", "glorot_normal",
        "kaiming_uniform", "kaiming_normal", "he_uniform", "he_normal",
    ],
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module `gradc.nn.init` has no attribute `{name}`")
    raise unknown_name("gradc.nn.init", name, _GROUPS)


def __dir__() -> list[str]:
    return [name for names in _GROUPS.values() for name in names]
