"""Layers: modules with parameters.

Enters: sizes and a random generator. Leaves: callable modules. Always holds: parameters have
PyTorch's names, logical shapes and initial distributions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import functions as fn
from ..dtypes import F32
from ..errors import ArgumentError, ShapeError, fail, user_errors
from ..trace import error, name_of, spec_of
from .init import Generator, called, check_size, generator, uniform
from .module import Module


class Linear(Module):
    """`y = x @ weight.T + bias` over the last axis of `x`.

    `x` is `[..., in_features]` and `y` is `[..., out_features]`. `weight` is [out_features,
    in_features], `bias` is [out_features], or None with `bias=False`; both start uniform in
    +-1/sqrt(in_features), drawn from `rng`, a NumPy generator or a seed (None: other numbers on
    every run). They are of `dtype`, float32 or float64.

    Gradients, where `g` is the one of `y`: `g @ weight` of `x`, `g.T @ x` of `weight`, `g` summed
    over all but the last axis of `bias`. Raises `ArgumentError` for sizes that are none,
    `DTypeError` for another dtype; called, `ShapeError` if the last axis of `x` is not
    `in_features`.
    """

    @user_errors
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Generator = None,
        dtype: object = F32,
    ) -> None:
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            check_size("Linear", name, size)
        rng = generator(rng)
        bound = 1.0 / math.sqrt(in_features) if in_features else 0.0
        self.in_features = in_features
        self.out_features = out_features
        weight = uniform((out_features, in_features), -bound, bound, rng=rng, dtype=dtype)
        self.weight: Any = called(weight, "out", "in")
        self.bias: Any = None
        if bias:
            bias_ = uniform(out_features, -bound, bound, rng=rng, dtype=dtype)
            self.bias = called(bias_, "out")

    @user_errors
    def __call__(self, x: Any) -> Any:
        shape = np.shape(x)
        if not shape or shape[-1] != np.shape(self.weight)[-1]:
            raise self._unfit(x)
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias

    def _unfit(self, x: Any) -> ShapeError:
        """The error of an input with another number of features."""
        shape = np.shape(x)
        outputs, inputs = np.shape(self.weight)
        path = name_of(self.weight).removesuffix("weight").removesuffix(".")
        name = f"`{path}`" if path else "the layer"
        got = shape[-1] if shape else "a scalar"
        helps = []
        if shape and got == outputs:
            helps.append(f"make it `nn.Linear({got}, {inputs})`: the number of inputs comes first")
        elif shape:
            helps.append(f"make it `nn.Linear({got}, {outputs})`")
        if len(shape) > 2 and math.prod(shape[1:]) == inputs:
            helps.insert(0, f"flatten each sample first: `x.reshape({shape[0]}, {inputs})`")
        return error(
            ShapeError,
            "GC324",
            f"{name} is `nn.Linear({inputs}, {outputs})`, but its input "
            + (f"has {got} features: {spec_of(x)!r}" if shape else "is a scalar"),
            helps=helps or (f"give it an array whose last axis has {inputs} elements",),
        )


class Sequential(Module):
    """Layers and functions, one after the other: `nn.Sequential(nn.Linear(2, 8), nn.relu)`.

    Each of `layers` is called with what the one before it returned. `len`, indices and loops are
    those of a list. What they raise comes from the layers.
    """

    @user_errors
    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        for layer in layers:
            if not callable(layer) or isinstance(layer, type):
                raise _not_a_layer(layer)
        self.layers = list(layers)

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Callable[[Any], Any]:
        return self.layers[index]

    def __iter__(self) -> Iterator[Callable[[Any], Any]]:
        return iter(self.layers)


def _not_a_layer(layer: object) -> ArgumentError:
    what, help_ = f"got a `{type(layer).__name__}`", "pass functions and layers: `nn.relu`"
    if isinstance(layer, (list, tuple)):
        help_ = "pass the layers one by one: `nn.Sequential(*layers)`"
    elif isinstance(layer, type):
        what = f"got the class `{layer.__name__}`"
        help_ = f"make an instance: `{layer.__name__}(...)`"
    message = f"what `nn.Sequential` holds is called with an array, {what}"
    return fail(ArgumentError, "GC325", message, helps=(help_,))


class Bilinear(Module):
    """`y = x1 @ weight @ x2 + bias` over the last axes of two inputs.

    `x1` is [..., `in1_features`], `x2` [..., `in2_features`], of float32 or float64; [...,
    `out_features`] comes out. `weight` is [out_features, in1_features, in2_features], `bias`
    [out_features], or None with `bias=False`; both start uniform in +-1/sqrt(in1_features), drawn
    from `rng`; they are of `dtype`. Gradients: by the chain rule. Raises `ArgumentError` for sizes
    that are none; called, `ShapeError`.
    """

    @user_errors
    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Generator = None,
        dtype: object = F32,
    ) -> None:
        sizes = {
            "in1_features": in1_features,
            "in2_features": in2_features,
            "out_features": out_features,
        }
        for name, size in sizes.items():
            check_size("Bilinear", name, size)
        rng = generator(rng)
        bound = 1.0 / math.sqrt(in1_features) if in1_features else 0.0
        shape = (out_features, in1_features, in2_features)
        self.weight: Any = uniform(shape, -bound, bound, rng=rng, dtype=dtype)
        self.bias: Any = None
        if bias:
            self.bias = uniform(out_features, -bound, bound, rng=rng, dtype=dtype)

    @user_errors
    def __call__(self, x1: Any, x2: Any) -> Any:
        outputs, first, second = np.shape(self.weight)
        for x, extent in ((x1, first), (x2, second)):
            if not np.ndim(x) or np.shape(x)[-1] != extent:
                message = f"`nn.Bilinear({first}, {second}, {outputs})` cannot take {spec_of(x)!r}"
                raise error(ShapeError, "GC324", message, helps=("make its sizes fit",))
        flat = fn.reshape(self.weight, (outputs * first, second))
        rows = fn.reshape(x2 @ flat.T, (*np.shape(x2)[:-1], outputs, first))
        y = fn.sum(rows * x1[..., None, :], axis=-1)
        return y if self.bias is None else y + self.bias


class Flatten(Module):
    """The axes from `start_axis` to `end_axis` as one: by default all but the first.

    Any dtype, which stays. Gradient: `g` in the shape of the input. Raises `ShapeError` for an axis
    that the input has not.
    """

    @user_errors
    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis = start_axis
        self.end_axis = end_axis

    @user_errors
    def __call__(self, x: Any) -> Any:
        shape = np.shape(x)
        axes = (self.start_axis, self.end_axis)
        first, last = (axis + len(shape) if axis < 0 else axis for axis in axes)
        if not 0 <= first <= last < len(shape):
            message = f"`Flatten` from axis {first} to {last} of {spec_of(x)!r}"
            raise error(ShapeError, "GC334", message, helps=("choose axes that it has",))
        merged = math.prod(shape[first : last + 1])
        return fn.reshape(x, (*shape[:first], merged, *shape[last + 1 :]))


class Identity(Module):
    """What goes in comes out, of any dtype; arguments that other layers take are ignored.

    Gradient: `g`. Raises nothing: neither `ShapeError` nor any other error.
    """

    def __init__(self, *_ignored: Any, **_options: Any) -> None:
        return

    def __call__(self, x: Any) -> Any:
        return x
