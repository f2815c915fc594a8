"""Layers: modules with parameters.

Enters: sizes and a random generator. Leaves: callable modules. Always holds: parameters have
PyTorch's names, logical shapes and initial distributions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from ..dtypes import F32
from .init import Generator, generator, uniform
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

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Generator = None,
        dtype: object = F32,
    ) -> None:
        rng = generator(rng)
        bound = 1.0 / math.sqrt(in_features) if in_features else 0.0
        self.in_features = in_features
        self.out_features = out_features
        self.weight: Any = uniform((out_features, in_features), -bound, bound, rng=rng, dtype=dtype)
        self.bias: Any = None
        if bias:
            self.bias = uniform(out_features, -bound, bound, rng=rng, dtype=dtype)

    def __call__(self, x: Any) -> Any:
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


class Sequential(Module):
    """Layers and functions, one after the other: `nn.Sequential(nn.Linear(2, 8), nn.relu)`.

    Each of `layers` is called with what the one before it returned. `len`, indices and loops are
    those of a list. What they raise comes from the layers.
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
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
